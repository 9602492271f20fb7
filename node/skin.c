// SPDX-License-Identifier: Apache-2.0
// The parts of a gateway's question and of the answer to it that no protocol changes.
#include "node/skin.h"

// --- what is required ----------------------------------------------------------------------------

// False when there is none, or there are more than can be judged.
static bool take_scopes(struct bytes list, struct validation_ask *ask)
{
    size_t before = ask->scope_count;
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        size_t size = comma == NULL ? list.size : (size_t)(comma - list.data);
        if (size > 0 && ask->scope_count == KR_VALIDATION_SCOPES_MAX)
            return false;
        if (size > 0)
            ask->scopes[ask->scope_count++] = bytes_of(list.data, size);
        size_t step = comma == NULL ? size : size + 1;
        list = bytes_of(list.data + step, list.size - step);
    }
    return ask->scope_count > before;
}

// A variable that was empty is no permission for every bucket, or without a scope.
enum skin_taken skin_take(struct validation_ask *ask, struct bytes name, struct bytes value)
{
    if (bytes_equal_text(name, "scopes"))
        return take_scopes(value, ask) ? KR_SKIN_TAKEN : KR_SKIN_BAD;
    if (!bytes_equal_text(name, "bucket"))
        return KR_SKIN_UNKNOWN;
    if (value.size == 0 || ask->bucket.size > 0)
        return KR_SKIN_BAD;
    ask->bucket = value;
    return KR_SKIN_TAKEN;
}

// --- who it is -----------------------------------------------------------------------------------

static struct bytes join(const struct texts *scopes, struct arena *arena)
{
    size_t size = 0;
    for (size_t i = 0; i < scopes->count; i++)
        size += strlen(scopes->items[i]) + 1;
    if (size == 0)
        return (struct bytes){0};
    char *text = arena_alloc(arena, size);
    char *at = text;
    for (size_t i = 0; i < scopes->count; i++) {
        size_t one = strlen(scopes->items[i]);
        memcpy(at, scopes->items[i], one);
        at += one;
        *at++ = ',';
    }
    return bytes_of(text, size - 1);
}

void skin_identify(const struct store_found *found, struct arena *arena, struct skin_identity *out)
{
    const struct hot_subject *subject = found->subject;
    const char *texts = subject->texts;
    uint64_t expires_ms = hot_record_u48(found->record->expires);
    validate_key_id(found->record, out->key_id_text);
    out->key_id = bytes_text(out->key_id_text);
    out->consumer_id = bytes_of(texts + subject->id_at, subject->id_size);
    out->consumer_name = bytes_of(texts + subject->name_at, subject->name_size);
    out->metadata = bytes_of(texts + subject->json_size, subject->header_size);
    out->environment = bytes_text(environment_text(found->bucket->environment));
    out->scopes = out->expires = (struct bytes){0};
    if (found->extra != NULL)
        out->scopes = join(&found->extra->scopes, arena);
    if (expires_ms == 0)
        return;
    clock_stamp((int64_t)expires_ms, out->expires_text);
    out->expires = bytes_text(out->expires_text);
}

// --- refusals ------------------------------------------------------------------------------------

#define REFUSALS(X)                                                                                \
    X(401, "Unauthorized", "a valid API key is required")                                          \
    X(403, "Forbidden", "this API key may not be used for this request")                           \
    X(413, "Content Too Large", "the request is too large for its API key to be checked")          \
    X(429, "Too Many Requests", "too many requests with this API key")                             \
    X(431, "Request Header Fields Too Large", "the request has too many fields for an API key")    \
    X(503, "Service Unavailable", "the API key cannot be checked at the moment; try again")

const char *skin_detail(unsigned status)
{
    switch (status) {
#define X(number, title, detail)                                                                   \
    case number:                                                                                   \
        return detail;
        REFUSALS(X)
#undef X
    }
    return "";
}

struct bytes skin_problem(unsigned status)
{
    switch (status) {
#define X(number, title, detail)                                                                   \
    case number:                                                                                   \
        return bytes_text("{\"type\":\"https://httpproblems.com/http-status/" #number              \
                          "\",\"title\":\"" title "\",\"status\":" #number ",\"detail\":\"" detail \
                          "\"}");
        REFUSALS(X)
#undef X
    }
    return (struct bytes){0};
}

// RFC 6750 §3: without a credential there is no error to name.
struct bytes skin_challenge(const struct config *config, enum credential_result credential,
                            struct arena *arena)
{
    enum { KR_REALM_MAX = 128, KR_CHALLENGE_MAX = 224 };
    struct bytes realm = bytes_text(config->realm);
    struct buf out;
    buf_init_fixed(&out, arena_alloc(arena, KR_CHALLENGE_MAX), KR_CHALLENGE_MAX);
    buf_add_text(&out, config->credential_scheme);
    buf_add_text(&out, " realm=\"");
    buf_add(&out, realm.data, realm.size < KR_REALM_MAX ? realm.size : KR_REALM_MAX);
    if (credential == KR_CREDENTIAL_NONE)
        buf_add_text(&out, "\"");
    else
        buf_add_text(&out, "\", error=\"invalid_token\"");
    return buf_bytes(&out);
}
