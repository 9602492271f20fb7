// SPDX-License-Identifier: Apache-2.0
// Idempotent answers: looked up by (token, Idempotency-Key), bound to one request, sealed at rest.
//
// A stored answer is: status, content type, whether it became a receipt, the fields, the body. A
// receipt is written anew from its stored row, because the body stood before its commit.
#include "node/api/idempotency.h"

#include "node/api/api.h"
#include "node/api/receipt.h"
#include "node/dispatch.h"

#define KR_IDEMPOTENCY_KEPT_MS ((int64_t)24 * 60 * 60 * 1000)
#define KR_ANSWER_MAX_BYTES (32u << 20)

enum { KR_IDEMPOTENCY_KEY_MAX = 255, KR_ANSWER_VERSION = 1 };

static const char context[] = "idempotent answer";

// A reveal changes nothing, and each one is to have its audit row: none is answered from memory.
bool idempotency_applies(const struct call *call)
{
    return call->idempotency_key != NULL && strcmp(call->route->method, "POST") == 0 &&
           call->route->right != KR_RIGHT_REVEAL;
}

// Answers are kept a token's.
static bool has_memory(const struct call *call)
{
    return idempotency_applies(call) && call->actor.token_id[0] != '\0';
}

static bool is_key(const char *key)
{
    size_t size = 0;
    while (key[size] > ' ' && key[size] <= '~')
        size++;
    return key[size] == '\0' && size >= 1 && size <= KR_IDEMPOTENCY_KEY_MAX;
}

static void scope_of(const struct call *call, uint8_t scope[KR_DIGEST_SIZE])
{
    struct bytes parts[] = {bytes_text(call->actor.token_id), bytes_text(call->idempotency_key)};
    digest_parts(parts, sizeof(parts) / sizeof(parts[0]), scope);
}

// Method, path, query and body: what must be the same for the answer to be the same.
static void request_of(const struct call *call, uint8_t request[KR_DIGEST_SIZE])
{
    struct bytes parts[3 + 2 * KR_CALL_PARAMETERS_MAX];
    size_t count = 0;
    parts[count++] = bytes_text(call->route->method);
    parts[count++] = bytes_text(call->path);
    parts[count++] = call->body;
    for (size_t i = 0; i < call->parameter_count; i++) {
        parts[count++] = bytes_text(call->parameters[i].name);
        parts[count++] = bytes_text(call->parameters[i].value);
    }
    digest_parts(parts, count, request);
}

// Length and characters of token and key, so that no two pairs make the same secret. Zeroed with
// the arena.
static struct bytes secret_of(struct call *call)
{
    struct buf secret;
    buf_init(&secret, KR_KEY_VALUE_MAX + KR_IDEMPOTENCY_KEY_MAX + 8);
    buf_add_u32(&secret, (uint32_t)call->token.size);
    buf_add_bytes(&secret, call->token);
    buf_add_text(&secret, call->idempotency_key);
    struct bytes copy = arena_bytes_of(&call->arena, buf_bytes(&secret));
    buf_fini(&secret);
    return copy;
}

// --- an answer as bytes --------------------------------------------------------------------------

static void add_text(struct buf *out, const char *text)
{
    struct bytes bytes = bytes_text(text == NULL ? "" : text);
    buf_add_u32(out, (uint32_t)bytes.size);
    buf_add_bytes(out, bytes);
}

static void add_answer(struct buf *out, const struct call_answer *answer)
{
    buf_add_u8(out, KR_ANSWER_VERSION);
    buf_add_u32(out, answer->status);
    buf_add_u8(out, answer->wants_receipt);
    add_text(out, answer->content_type);
    buf_add_u32(out, (uint32_t)answer->field_count);
    for (size_t i = 0; i < answer->field_count; i++) {
        add_text(out, answer->fields[i].name);
        add_text(out, answer->fields[i].value);
    }
    buf_add_bytes(out, buf_bytes(&answer->body));
}

// Takes parts off the front; what is short leaves is_bad.
struct reader {
    struct bytes rest;
    bool is_bad;
};

static struct bytes take(struct reader *reader, size_t size)
{
    if (reader->is_bad || reader->rest.size < size) {
        reader->is_bad = true;
        return bytes_of(NULL, 0);
    }
    struct bytes part = bytes_of(reader->rest.data, size);
    reader->rest = bytes_of(reader->rest.data + size, reader->rest.size - size);
    return part;
}

static uint32_t take_u32(struct reader *reader)
{
    struct bytes part = take(reader, 4);
    if (reader->is_bad)
        return 0;
    return (uint32_t)part.data[0] << 24 | (uint32_t)part.data[1] << 16 |
           (uint32_t)part.data[2] << 8 | part.data[3];
}

static uint8_t take_u8(struct reader *reader)
{
    struct bytes part = take(reader, 1);
    return reader->is_bad ? 0 : part.data[0];
}

static const char *take_text(struct reader *reader, struct arena *arena)
{
    struct bytes part = take(reader, take_u32(reader));
    return reader->is_bad || part.size == 0 ? NULL : arena_text_of(arena, part);
}

static enum kr_err take_answer(struct call *call, struct bytes plain)
{
    struct reader reader = {.rest = plain};
    bool is_known = take_u8(&reader) == KR_ANSWER_VERSION;
    api_answer_status(call, take_u32(&reader));
    call->answer.wants_receipt = take_u8(&reader) != 0;
    call->answer.content_type = take_text(&reader, &call->arena);
    uint32_t fields = take_u32(&reader);
    for (uint32_t i = 0; i < fields && i < KR_CALL_FIELDS_MAX; i++) {
        const char *name = take_text(&reader, &call->arena);
        const char *value = take_text(&reader, &call->arena);
        if (name != NULL)
            api_field(call, name, value == NULL ? "" : value);
    }
    if (!is_known || reader.is_bad || fields > KR_CALL_FIELDS_MAX)
        return KR_ERR_CORRUPT;
    buf_add_bytes(&call->answer.body, reader.rest);
    return buf_result(&call->answer.body);
}

// --- begin and keep ------------------------------------------------------------------------------

static enum kr_err replay(struct call *call, const struct idempotency *stored)
{
    struct buf plain;
    buf_init(&plain, KR_ANSWER_MAX_BYTES);
    enum kr_err err = vault_open_for(secret_of(call), context, stored->answer, &plain);
    if (err == KR_ERR_OK)
        err = take_answer(call, buf_bytes(&plain));
    buf_fini(&plain);
    if (err != KR_ERR_OK)
        return api_problem(call, err, "the stored answer to this Idempotency-Key is damaged");
    if (call->answer.wants_receipt)
        err = receipt_replay(call, stored->index);
    if (err == KR_ERR_OK)
        api_field(call, "Keyreeve-Index",
                  arena_printf(&call->arena, "%llu", (unsigned long long)stored->index));
    return err;
}

enum kr_err idempotency_begin(struct call *call, bool *is_replayed)
{
    *is_replayed = false;
    if (!has_memory(call))
        return KR_ERR_OK;
    if (!is_key(call->idempotency_key))
        return api_problem(call, KR_ERR_INVALID,
                           "Idempotency-Key: 1 to 255 visible ASCII characters");
    uint8_t scope[KR_DIGEST_SIZE], request[KR_DIGEST_SIZE];
    struct idempotency stored;
    scope_of(call, scope);
    if (!store_get_idempotency(call->view, scope, &call->arena, &stored) ||
        stored.expires_ms <= call->now_ms)
        return KR_ERR_OK;
    request_of(call, request);
    if (memcmp(stored.body, request, sizeof(request)) != 0)
        return api_problem(call, KR_ERR_CONFLICT,
                           "this Idempotency-Key was used for another request");
    *is_replayed = true;
    return replay(call, &stored);
}

enum kr_err idempotency_keep(struct call *call)
{
    if (!has_memory(call))
        return KR_ERR_OK;
    struct buf plain, box;
    buf_init(&plain, KR_ANSWER_MAX_BYTES);
    buf_init(&box, KR_ANSWER_MAX_BYTES + 256);
    struct idempotency *stored = arena_zalloc(&call->arena, sizeof(*stored));
    add_answer(&plain, &call->answer);
    vault_seal_for(secret_of(call), context, buf_bytes(&plain), &box);
    enum kr_err err = buf_result(&plain);
    if (err == KR_ERR_OK)
        err = buf_result(&box);
    if (err == KR_ERR_OK) {
        scope_of(call, stored->scope);
        request_of(call, stored->body);
        stored->answer = arena_bytes_of(&call->arena, buf_bytes(&box));
        stored->expires_ms = call->now_ms + KR_IDEMPOTENCY_KEPT_MS;
        call->command.idempotency = stored;
    } else {
        api_problem(call, err, "the answer is too large for an Idempotency-Key; send fewer items");
    }
    buf_fini(&plain);
    buf_fini(&box);
    return err;
}
