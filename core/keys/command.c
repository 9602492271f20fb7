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
