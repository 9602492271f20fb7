// SPDX-License-Identifier: Apache-2.0
// One key as an answer, and as an audit row.
#include "node/api/key_answer.h"

enum { KR_AUDIT_DETAIL_MAX = 2048 };

// What revokes a consumer or a bucket leaves the versions of its keys alone, and yet they are other
// keys then.
static const char *tag_name(struct call *call, const struct key_place *place)
{
    const struct key *key = &place->key;
    if (key_status_of(key, &place->consumer, &place->bucket, call->now_ms) != KR_KEY_REVOKED)
        return key->id;
    return arena_printf(&call->arena, "%s.revoked", key->id);
}

enum kr_err key_check_match(struct call *call, const struct key_place *place)
{
    return api_check_match(call, tag_name(call, place), place->key.version);
}

enum kr_err key_answer(struct call *call, const struct key_place *place, enum api_key_format format,
                       const char *value)
{
    struct json_writer writer;
    api_json_begin(call, &writer);
    api_write_key(call, &writer, &place->key, &place->bucket, &place->consumer, format, value);
    api_etag(call, tag_name(call, place), place->key.version);
    if (value != NULL || format == KR_KEY_VISIBLE)
        api_field(call, "Cache-Control", "no-store");
    return api_json_end(call, &writer);
}

void key_audit(struct call *call, const char *action, const struct key_place *place,
               const char *name, const char *text)
{
    struct buf detail;
    struct json_writer writer;
    buf_init(&detail, KR_AUDIT_DETAIL_MAX);
    json_begin(&writer, &detail);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "bucket", place->bucket.name);
    json_write_string(&writer, "consumer", place->consumer.name);
    json_write_string(&writer, "masked", place->key.masked);
    if (name != NULL)
        json_write_string(&writer, name, text);
    json_close(&writer, '}');
    api_audit(call, action, place->key.id, place->key.description,
              detail.has_failed ? NULL : arena_text_of(&call->arena, buf_bytes(&detail)));
    buf_fini(&detail);
}
