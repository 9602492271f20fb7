// SPDX-License-Identifier: Apache-2.0
// Fuzzes management bodies: what is taken is within its bounds, a refusal is a problem in JSON.
#include <assert.h>

#include "core/base/text.h"
#include "node/api/api.h"

static void check_taken(const struct key *key)
{
    struct json *metadata;
    assert(key->description == NULL || text_is_utf8(bytes_text(key->description)));
    assert(key->tags.count <= KR_TAGS_MAX && strlen(key->metadata) <= 256);
    assert(json_parse(bytes_text(key->metadata), &metadata, NULL) == KR_ERR_OK);
    assert(json_type_of(metadata) == KR_JSON_OBJECT);
    json_free(&metadata);
    struct cidr cidr;
    for (size_t i = 0; i < key->ip_allow.count; i++)
        assert(cidr_parse(bytes_text(key->ip_allow.items[i]), &cidr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct call call = {.path = "/", .request_id = "r", .body = bytes_of(data, size)};
    struct bucket bucket = {.metadata_limit_bytes = 256};
    struct api_new_key new_key;
    struct json *problem = NULL;
    arena_init(&call.arena);
    buf_init(&call.answer.body, 1u << 20);
    if (api_new_key_members(&call, &bucket, NULL, "", &new_key) == KR_ERR_OK) {
        check_taken(&new_key.record);
    } else {
        assert(call.answer.status == 400);
        assert(json_parse(buf_bytes(&call.answer.body), &problem, NULL) == KR_ERR_OK);
        json_free(&problem);
    }
    json_free(&call.json);
    buf_fini(&call.answer.body);
    arena_fini(&call.arena);
    return 0;
}
