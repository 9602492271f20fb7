// SPDX-License-Identifier: Apache-2.0
// Fuzzes etcd's answers: what is read is bounded by what came; an error's text is printable.
#include <assert.h>

#include "replication/etcd_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct etcd_reply reply;
    char text[64];
    size_t bytes = 0;
    arena_init(&arena);
    enum kr_err err = etcd_read_reply(bytes_of(data, size), &arena, &reply);
    assert(err == KR_ERR_OK || err == KR_ERR_CORRUPT);
    assert(err == KR_ERR_OK || (reply.count == 0 && reply.full_count == 0));
    for (size_t i = 0; i < reply.count; i++)
        bytes += reply.kvs[i].key.size + reply.kvs[i].value.size;
    assert(bytes <= size && reply.count <= KR_ETCD_REPLY_KVS_MAX);
    for (size_t i = 0; i < reply.full_count; i++)
        assert(reply.full_members[i][0] >= '0' && reply.full_members[i][0] <= '9');
    etcd_read_error(bytes_of(data, size), text, sizeof(text));
    for (const char *at = text; *at != '\0'; at++)
        assert(*at >= 0x20 && *at <= 0x7e);
    arena_fini(&arena);
    return 0;
}
