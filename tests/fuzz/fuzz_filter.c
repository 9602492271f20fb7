// SPDX-License-Identifier: Apache-2.0
// Fuzzes a follower's part of a log entry: it can be read, at its place, without the rest.
#include "proto/codec.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct entry *whole, const struct entry *part)
{
    const struct command *command = &part->command;
    assert(part->index == whole->index && part->at_unix_us == whole->at_unix_us);
    assert(command->op_count > 0 && command->op_count <= whole->command.op_count);
    assert(!command->audit && !command->idempotency && !command->request_id && !command->actor);
    for (size_t i = 0; i < command->op_count; i++)
        assert(command->ops[i].kind != KR_OP_VAULT_PUT &&
               command->ops[i].kind != KR_OP_MANAGER_PUT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct entry whole, read;
    struct buf part, again;
    arena_init(&arena);
    buf_init(&part, size);
    buf_init(&again, size);
    enum kr_err err = codec_entry_filter(bytes_of(data, size), &part);
    if (codec_entry(bytes_of(data, size), &arena, &whole) == KR_ERR_OK)
        assert(err == KR_ERR_OK && buf_result(&part) == KR_ERR_OK);
    else
        buf_clear(&part);
    if (part.size > 0) {
        assert(codec_entry(buf_bytes(&part), &arena, &read) == KR_ERR_OK);
        check(&whole, &read);
        assert(codec_entry_filter(buf_bytes(&part), &again) == KR_ERR_OK);
        assert(bytes_equal(buf_bytes(&part), buf_bytes(&again)));
    }
    buf_fini(&part), buf_fini(&again), arena_fini(&arena);
    return 0;
}
