// SPDX-License-Identifier: Apache-2.0
// The validation messages, read and written straight on the wire format: a serving loop does this
// for every request, and its texts are slices, which protobuf-c's NUL-terminated strings are not.
#include "core/base/text.h"
#include "core/keys/verdict.h"
#include "proto/codec.h"
#include "proto/codec_wire.h"
#include "proto/validation.pb-c.h"

#define X(name, status)                                                                            \
    _Static_assert((int)KEYREEVE__V1__CODE__CODE_##name == (int)KR_VERDICT_##name + 1,             \
                   "a code's number on the wire is one more than in memory");
KR_VERDICT_TABLE(X)
#undef X

// Fields of validation.proto.
enum {
    KR_ASK_KEY = 1,
    KR_ASK_BUCKET,
    KR_ASK_SCOPES,
    KR_ASK_IP,
    KR_ASK_METHOD,
    KR_ASK_PATH,
    KR_ASK_MIN_INDEX,
    KR_ASK_MAX_STALENESS,
    KR_ASK_EXPLAIN,
    KR_ASK_END
};

enum {
    KR_ANSWER_VALID = 1,
    KR_ANSWER_CODE,
    KR_ANSWER_CODE_TEXT,
    KR_ANSWER_KEY_ID,
    KR_ANSWER_SUB,
    KR_ANSWER_DATA,
    KR_ANSWER_CONSUMER_ID,
    KR_ANSWER_CONSUMER_NAME,
    KR_ANSWER_SCOPES,
    KR_ANSWER_BUCKET,
    KR_ANSWER_ENVIRONMENT,
    KR_ANSWER_EXPIRES,
    KR_ANSWER_INDEX,
    KR_ANSWER_AGE,
    KR_ANSWER_NODE,
    KR_ANSWER_REGION
};

enum { KR_BATCH_ITEMS = 1 }; // of both batch messages

// --- questions -----------------------------------------------------------------------------------
// Where a text field goes; NULL for what is no text field, or one scope too many.
static struct bytes *text_place(struct validation_ask *ask, uint32_t number)
{
    switch (number) {
    case KR_ASK_KEY:
        return &ask->key;
    case KR_ASK_BUCKET:
        return &ask->bucket;
    case KR_ASK_IP:
        return &ask->ip;
    case KR_ASK_METHOD:
        return &ask->method;
    case KR_ASK_PATH:
        return &ask->path;
    case KR_ASK_SCOPES:
        return ask->scope_count < KR_VALIDATION_SCOPES_MAX ? &ask->scopes[ask->scope_count++]
                                                           : NULL;
    default:
        return NULL;
    }
}

static bool take_text(struct validation_ask *ask, const struct codec_field *field)
{
    struct bytes *place = text_place(ask, field->number);
    if (place == NULL || !text_is_utf8(field->bytes))
        return false;
    *place = field->bytes;
    return true;
}

static bool take_number(struct validation_ask *ask, const struct codec_field *field)
{
    if (field->number == KR_ASK_MIN_INDEX)
        ask->min_index = field->value;
    else if (field->number == KR_ASK_EXPLAIN)
        ask->wants_explanation = field->value != 0;
    else if (field->number == KR_ASK_MAX_STALENESS && field->value <= INT64_MAX)
        ask->max_staleness_ms = (int64_t)field->value;
    else
        return false;
    return true;
}

// The ask's texts lend in. Of a field that occurs twice the last counts, as protobuf has it.
static enum kr_err read_ask(struct bytes in, struct validation_ask *out)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    memset(out, 0, sizeof(*out));
    out->max_staleness_ms = KR_UNBOUNDED;
    while (codec_wire_next(&wire, &field)) {
        bool is_taken = field.number >= KR_ASK_END;
        if (!is_taken && field.type == KR_WIRE_BYTES)
            is_taken = take_text(out, &field);
        else if (!is_taken && field.type == KR_WIRE_VARINT)
            is_taken = take_number(out, &field);
        if (!is_taken)
            return KR_ERR_INVALID;
    }
    return wire.is_bad ? KR_ERR_INVALID : KR_ERR_OK;
}

enum kr_err codec_validation_ask(struct bytes in, struct arena *arena, struct validation_ask *out)
{
    return read_ask(arena_bytes_of(arena, in), out);
}

static enum kr_err count_asks(struct bytes in, size_t *count)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    *count = 0;
    while (codec_wire_next(&wire, &field)) {
        if (field.number != KR_BATCH_ITEMS)
            continue;
        if (field.type != KR_WIRE_BYTES)
            return KR_ERR_INVALID;
        if (++*count > KR_VALIDATION_BATCH_MAX)
            return KR_ERR_TOO_LARGE;
    }
    return wire.is_bad ? KR_ERR_INVALID : KR_ERR_OK;
}

// Counts first, so that what is allocated is bounded before it is.
enum kr_err codec_validation_batch(struct bytes in, struct arena *arena,
                                   struct validation_ask **out, size_t *count)
{
    enum kr_err err = count_asks(in, count);
    if (err != KR_ERR_OK)
        return err;
    struct codec_wire wire = codec_wire_of(arena_bytes_of(arena, in));
    struct codec_field field;
    struct validation_ask *ask = *out = arena_alloc(arena, *count * sizeof(*ask));
    while (err == KR_ERR_OK && codec_wire_next(&wire, &field)) {
        if (field.number == KR_BATCH_ITEMS)
            err = read_ask(field.bytes, ask++);
    }
    return err;
}

// --- answers -------------------------------------------------------------------------------------
void codec_add_validation_answer(struct buf *out, const struct validation_answer *answer)
{
    codec_wire_add_number(out, KR_ANSWER_VALID, answer->code == KR_VERDICT_VALID);
    codec_wire_add_number(out, KR_ANSWER_CODE, (uint64_t)answer->code + 1);
    if (answer->code_text != NULL)
        codec_wire_add_bytes(out, KR_ANSWER_CODE_TEXT, bytes_text(answer->code_text));
    codec_wire_add_bytes(out, KR_ANSWER_KEY_ID, answer->key_id);
    codec_wire_add_bytes(out, KR_ANSWER_SUB, answer->sub);
    codec_wire_add_bytes(out, KR_ANSWER_DATA, answer->data);
    codec_wire_add_bytes(out, KR_ANSWER_CONSUMER_ID, answer->consumer_id);
    codec_wire_add_bytes(out, KR_ANSWER_CONSUMER_NAME, answer->consumer_name);
    for (size_t i = 0; i < answer->scope_count; i++) {
        struct bytes scope = bytes_text(answer->scopes[i]);
        codec_wire_add_head(out, KR_ANSWER_SCOPES, scope.size); // an empty element counts
        buf_add_bytes(out, scope);
    }
    codec_wire_add_bytes(out, KR_ANSWER_BUCKET, answer->bucket);
    codec_wire_add_bytes(out, KR_ANSWER_ENVIRONMENT, answer->environment);
    codec_wire_add_number(out, KR_ANSWER_EXPIRES, (uint64_t)answer->expires_ms);
    codec_wire_add_number(out, KR_ANSWER_INDEX, answer->index);
    codec_wire_add_number(out, KR_ANSWER_AGE, answer->age_ms);
    codec_wire_add_bytes(out, KR_ANSWER_NODE, answer->node);
    codec_wire_add_bytes(out, KR_ANSWER_REGION, answer->region);
}

// Turns everything behind `at` into the content of a field, by moving it behind the field's head:
// cheaper than a second pass for the size.
static void wrap(struct buf *out, unsigned number, size_t at)
{
    size_t size = out->size - at;
    codec_wire_add_head(out, number, size); // at the end first, which makes room
    if (out->has_failed)
        return;
    uint8_t head[20];
    size_t head_size = out->size - at - size;
    memcpy(head, out->data + at + size, head_size);
    memmove(out->data + at + head_size, out->data + at, size);
    memcpy(out->data + at, head, head_size);
}

void codec_add_validation_answers(struct buf *out, const struct validation_answer *answers,
                                  size_t count)
{
    for (size_t i = 0; i < count && !out->has_failed; i++) {
        size_t at = out->size;
        codec_add_validation_answer(out, &answers[i]);
        if (!out->has_failed)
            wrap(out, KR_BATCH_ITEMS, at);
    }
}
