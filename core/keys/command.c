// SPDX-License-Identifier: Apache-2.0
// Building a command: its list of operations, and their names.
#include "core/keys/command.h"

enum { KR_OPS_FIRST = 4 };

struct command_op *command_add(struct command *command, enum command_kind kind, struct arena *arena)
{
    if (command->op_count == command->op_capacity) {
        size_t capacity = command->op_capacity == 0 ? KR_OPS_FIRST : command->op_capacity * 2;
        struct command_op *ops = arena_alloc(arena, capacity * sizeof(*ops));
        if (command->op_count > 0)
            memcpy(ops, command->ops, command->op_count * sizeof(*ops));
        command->ops = ops;
        command->op_capacity = capacity;
    }
    struct command_op *op = &command->ops[command->op_count++];
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    return op;
}

const char *command_kind_text(enum command_kind kind)
{
    static const char *const texts[] = {
        [KR_OP_CLUSTER_INIT] = "cluster-init",
        [KR_OP_BUCKET_PUT] = "bucket-put",
        [KR_OP_BUCKET_DELETE] = "bucket-delete",
        [KR_OP_BUCKET_REVOKE] = "bucket-revoke",
        [KR_OP_CONSUMER_PUT] = "consumer-put",
        [KR_OP_CONSUMER_DELETE] = "consumer-delete",
        [KR_OP_CONSUMER_REVOKE] = "consumer-revoke",
        [KR_OP_KEY_PUT] = "key-put",
        [KR_OP_KEY_REVOKE] = "key-revoke",
        [KR_OP_MANAGER_PUT] = "manager-put",
        [KR_OP_MANAGER_DELETE] = "manager-delete",
        [KR_OP_VAULT_PUT] = "vault-put",
        [KR_OP_PURGE] = "purge",
    };
    return texts[kind];
}
