// SPDX-License-Identifier: Apache-2.0
// Envoy's authorization and gRPC's health, read and written straight on the wire format: a serving
// loop does this for every request.
#include "proto/codec_grpc.h"

#include <assert.h>
#include <strings.h>

#include "proto/codec_wire.h"

// Fields of proto/grpc/authorization.proto.
enum { KR_CHECK_ATTRIBUTES = 1 };
enum { KR_ATTRIBUTES_SOURCE = 1, KR_ATTRIBUTES_REQUEST = 4, KR_ATTRIBUTES_EXTENSIONS = 10 };
enum { KR_PEER_ADDRESS = 1, KR_ADDRESS_SOCKET = 1, KR_SOCKET_ADDRESS = 2 };
enum { KR_REQUEST_HTTP = 2 };
enum { KR_HTTP_HEADERS = 3, KR_HTTP_PATH = 4, KR_HTTP_HEADER_MAP = 13 };
enum { KR_HEADER_MAP_HEADERS = 1 };
enum { KR_PAIR_NAME = 1, KR_PAIR_VALUE = 2, KR_PAIR_RAW_VALUE = 3 };

enum { KR_CHECK_STATUS = 1, KR_CHECK_DENIED = 2, KR_CHECK_OK = 3, KR_CHECK_METADATA = 4 };
enum { KR_STATUS_CODE = 1, KR_STATUS_MESSAGE = 2 };
enum { KR_DENIED_STATUS = 1, KR_DENIED_BODY = 3, KR_OK_REMOVALS = 5 };
enum { KR_REPLY_HEADERS = 2 }; // of OkHttpResponse and of DeniedHttpResponse
enum { KR_OPTION_HEADER = 1, KR_OPTION_ACTION = 3, KR_OPTION_KEEPS_EMPTY = 4 };
enum { KR_OVERWRITE_IF_EXISTS_OR_ADD = 2 };
enum { KR_STRUCT_FIELDS = 1, KR_VALUE_TEXT = 3, KR_VALUE_LIST = 6, KR_LIST_VALUES = 1 };

enum { KR_HEALTH_SERVICE = 1, KR_HEALTH_STATUS = 1 };

// --- the question --------------------------------------------------------------------------------

struct reading {
    const struct bytes *wanted;
    size_t wanted_count;
    struct codec_check *out;
};

// Takes in one field of a message; those that it does not know are passed over. One that it knows
// and that is no text, bytes or message is refused: it could be what a key must have.
typedef enum kr_err take_fn(struct reading *reading, const struct codec_field *field);

static enum kr_err read_message(struct bytes in, take_fn *take, struct reading *reading)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && codec_wire_next(&wire, &field))
        err = take(reading, &field);
    return err == KR_ERR_OK && wire.is_bad ? KR_ERR_INVALID : err;
}

static enum kr_err take_message(struct reading *reading, const struct codec_field *field,
                                take_fn *take)
{
    return field->type == KR_WIRE_BYTES ? read_message(field->bytes, take, reading)
                                        : KR_ERR_INVALID;
}

static enum kr_err take_text(const struct codec_field *field, struct bytes *out)
{
    if (field->type != KR_WIRE_BYTES)
        return KR_ERR_INVALID;
    *out = field->bytes;
    return KR_ERR_OK;
}

// An entry of a map, or a HeaderValue, which alone may have a raw value.
static enum kr_err read_pair(struct bytes in, bool has_raw_value, struct codec_pair *out)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    struct bytes raw = {0};
    enum kr_err err = KR_ERR_OK;
    *out = (struct codec_pair){0};
    while (err == KR_ERR_OK && codec_wire_next(&wire, &field)) {
        if (field.number == KR_PAIR_NAME)
            err = take_text(&field, &out->name);
        else if (field.number == KR_PAIR_VALUE)
            err = take_text(&field, &out->value);
        else if (field.number == KR_PAIR_RAW_VALUE && has_raw_value)
            err = take_text(&field, &raw);
    }
    if (err != KR_ERR_OK || wire.is_bad || (raw.size > 0 && out->value.size > 0))
        return KR_ERR_INVALID;
    if (raw.size > 0)
        out->value = raw;
    return KR_ERR_OK;
}

static bool is_wanted(const struct reading *reading, struct bytes name)
{
    for (size_t i = 0; i < reading->wanted_count; i++) {
        const struct bytes *one = &reading->wanted[i];
        if (one->size == name.size && name.size > 0 &&
            strncasecmp((const char *)one->data, (const char *)name.data, name.size) == 0)
            return true;
    }
    return false;
}

static enum kr_err take_header(struct reading *reading, const struct codec_field *field,
                               bool has_raw_value)
{
    struct codec_check *out = reading->out;
    struct codec_pair pair;
    struct bytes content;
    enum kr_err err = take_text(field, &content);
    if (err == KR_ERR_OK)
        err = read_pair(content, has_raw_value, &pair);
    if (err != KR_ERR_OK || !is_wanted(reading, pair.name))
        return err;
    if (out->header_count == KR_CHECK_HEADERS_MAX)
        return KR_ERR_TOO_LARGE;
    out->headers[out->header_count++] = pair;
    return KR_ERR_OK;
}

static enum kr_err take_header_map(struct reading *reading, const struct codec_field *field)
{
    return field->number == KR_HEADER_MAP_HEADERS ? take_header(reading, field, true) : KR_ERR_OK;
}

static enum kr_err take_http(struct reading *reading, const struct codec_field *field)
{
    switch (field->number) {
    case KR_HTTP_PATH:
        return take_text(field, &reading->out->path);
    case KR_HTTP_HEADERS:
        return take_header(reading, field, false);
    case KR_HTTP_HEADER_MAP:
        return take_message(reading, field, take_header_map);
    }
    return KR_ERR_OK;
}

static enum kr_err take_request(struct reading *reading, const struct codec_field *field)
{
    return field->number == KR_REQUEST_HTTP ? take_message(reading, field, take_http) : KR_ERR_OK;
}

static enum kr_err take_socket(struct reading *reading, const struct codec_field *field)
{
    return field->number == KR_SOCKET_ADDRESS ? take_text(field, &reading->out->source) : KR_ERR_OK;
}

static enum kr_err take_address(struct reading *reading, const struct codec_field *field)
{
    return field->number == KR_ADDRESS_SOCKET ? take_message(reading, field, take_socket)
                                              : KR_ERR_OK;
}

static enum kr_err take_peer(struct reading *reading, const struct codec_field *field)
{
    return field->number == KR_PEER_ADDRESS ? take_message(reading, field, take_address)
                                            : KR_ERR_OK;
}

static enum kr_err take_extension(struct reading *reading, const struct codec_field *field)
{
    struct codec_check *out = reading->out;
    struct bytes content;
    enum kr_err err = take_text(field, &content);
    if (err != KR_ERR_OK)
        return err;
    if (out->extension_count == KR_CHECK_EXTENSIONS_MAX)
        return KR_ERR_TOO_LARGE;
    return read_pair(content, false, &out->extensions[out->extension_count++]);
}

static enum kr_err take_attributes(struct reading *reading, const struct codec_field *field)
{
    switch (field->number) {
    case KR_ATTRIBUTES_SOURCE:
        return take_message(reading, field, take_peer);
    case KR_ATTRIBUTES_REQUEST:
        return take_message(reading, field, take_request);
    case KR_ATTRIBUTES_EXTENSIONS:
        return take_extension(reading, field);
    }
    return KR_ERR_OK;
}

static enum kr_err take_check(struct reading *reading, const struct codec_field *field)
{
    return field->number == KR_CHECK_ATTRIBUTES ? take_message(reading, field, take_attributes)
                                                : KR_ERR_OK;
}

enum kr_err codec_check(struct bytes in, const struct bytes *wanted, size_t wanted_count,
                        struct codec_check *out)
{
    struct reading reading = {.wanted = wanted, .wanted_count = wanted_count, .out = out};
    out->path = out->source = (struct bytes){0};
    out->header_count = out->extension_count = 0;
    return read_message(in, take_check, &reading);
}

// --- the answer ----------------------------------------------------------------------------------

// Sizes first, so that the whole is written once, into a place of its size, and nothing is moved.
static size_t varint_size(uint64_t value)
{
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

// Of a field with a number below 16 and so much content.
static size_t field_size(size_t content)
{
    return 1 + varint_size(content) + content;
}

// The same when an empty one is left out.
static size_t text_size(struct bytes text)
{
    return text.size > 0 ? field_size(text.size) : 0;
}

static uint8_t *put_number(uint8_t *at, unsigned number, uint64_t value)
{
    *at++ = (uint8_t)(number << 3 | KR_WIRE_VARINT);
    return at + codec_wire_put_varint(at, value);
}

static uint8_t *put_head(uint8_t *at, unsigned number, size_t size)
{
    *at++ = (uint8_t)(number << 3 | KR_WIRE_BYTES);
    return at + codec_wire_put_varint(at, size);
}

static uint8_t *put_content(uint8_t *at, unsigned number, struct bytes content)
{
    at = put_head(at, number, content.size);
    if (content.size > 0)
        memcpy(at, content.data, content.size);
    return at + content.size;
}

static uint8_t *put_text(uint8_t *at, unsigned number, struct bytes text)
{
    return text.size > 0 ? put_content(at, number, text) : at;
}

static size_t pair_size(const struct codec_pair *pair)
{
    return text_size(pair->name) + text_size(pair->value);
}

static size_t option_size(const struct codec_pair *header)
{
    return field_size(pair_size(header)) + 2 + (header->value.size == 0 ? 2 : 0);
}

static size_t options_size(const struct codec_check_answer *answer)
{
    size_t size = 0;
    for (size_t i = 0; i < answer->header_count; i++)
        size += field_size(option_size(&answer->headers[i]));
    return size;
}

// What a request or an answer has under such a name goes, whatever the value is that comes: without
// keep_empty_value Envoy passes over an empty one, and what a client has forged would stay.
static uint8_t *put_options(uint8_t *at, const struct codec_check_answer *answer)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct codec_pair *header = &answer->headers[i];
        size_t size = pair_size(header);
        bool is_empty = header->value.size == 0;
        at = put_head(at, KR_REPLY_HEADERS, field_size(size) + (is_empty ? 4 : 2));
        at = put_head(at, KR_OPTION_HEADER, size);
        at = put_text(at, KR_PAIR_NAME, header->name);
        at = put_text(at, KR_PAIR_VALUE, header->value);
        at = put_number(at, KR_OPTION_ACTION, KR_OVERWRITE_IF_EXISTS_OR_ADD);
        if (is_empty)
            at = put_number(at, KR_OPTION_KEEPS_EMPTY, 1);
    }
    return at;
}

static size_t ok_size(const struct codec_check_answer *answer)
{
    size_t size = options_size(answer);
    for (size_t i = 0; i < answer->removal_count; i++)
        size += text_size(answer->removals[i]);
    return size;
}

static uint8_t *put_ok(uint8_t *at, const struct codec_check_answer *answer, size_t size)
{
    at = put_options(put_head(at, KR_CHECK_OK, size), answer);
    for (size_t i = 0; i < answer->removal_count; i++)
        at = put_text(at, KR_OK_REMOVALS, answer->removals[i]);
    return at;
}

static size_t http_status_size(const struct codec_check_answer *answer)
{
    return 1 + varint_size(answer->http_status);
}

static size_t denied_size(const struct codec_check_answer *answer)
{
    return field_size(http_status_size(answer)) + options_size(answer) + text_size(answer->body);
}

static uint8_t *put_denied(uint8_t *at, const struct codec_check_answer *answer, size_t size)
{
    at = put_head(at, KR_CHECK_DENIED, size);
    at = put_head(at, KR_DENIED_STATUS, http_status_size(answer));
    at = put_number(at, KR_STATUS_CODE, answer->http_status);
    at = put_options(at, answer);
    return put_text(at, KR_DENIED_BODY, answer->body);
}

// An entry of a Struct: a name, and a value of so many bytes, of which the head alone is written.
static size_t entry_size(struct bytes name, size_t value)
{
    return text_size(name) + field_size(value);
}

static uint8_t *put_entry_head(uint8_t *at, struct bytes name, size_t value)
{
    at = put_head(at, KR_STRUCT_FIELDS, entry_size(name, value));
    at = put_text(at, KR_PAIR_NAME, name);
    return put_head(at, KR_PAIR_VALUE, value);
}

static size_t list_size(const struct codec_check_answer *answer)
{
    size_t size = 0;
    for (size_t i = 0; i < answer->list_count; i++)
        size += field_size(field_size(strlen(answer->list[i])));
    return size;
}

static size_t metadata_size(const struct codec_check_answer *answer)
{
    size_t size = 0;
    for (size_t i = 0; i < answer->metadata_count; i++) {
        const struct codec_pair *one = &answer->metadata[i];
        size += field_size(entry_size(one->name, field_size(one->value.size)));
    }
    if (answer->list_name.size > 0)
        size += field_size(entry_size(answer->list_name, field_size(list_size(answer))));
    return size;
}

// A member of a oneof is written even when it is empty.
static uint8_t *put_list(uint8_t *at, const struct codec_check_answer *answer)
{
    size_t size = list_size(answer);
    at = put_entry_head(at, answer->list_name, field_size(size));
    at = put_head(at, KR_VALUE_LIST, size);
    for (size_t i = 0; i < answer->list_count; i++) {
        struct bytes text = bytes_text(answer->list[i]);
        at = put_head(at, KR_LIST_VALUES, field_size(text.size));
        at = put_content(at, KR_VALUE_TEXT, text);
    }
    return at;
}

static uint8_t *put_metadata(uint8_t *at, const struct codec_check_answer *answer, size_t size)
{
    at = put_head(at, KR_CHECK_METADATA, size);
    for (size_t i = 0; i < answer->metadata_count; i++) {
        const struct codec_pair *one = &answer->metadata[i];
        at = put_entry_head(at, one->name, field_size(one->value.size));
        at = put_content(at, KR_VALUE_TEXT, one->value);
    }
    return answer->list_name.size > 0 ? put_list(at, answer) : at;
}

void codec_add_check_answer(struct buf *out, const struct codec_check_answer *answer)
{
    bool is_ok = answer->status == 0;
    size_t status = (is_ok ? 0 : 1 + varint_size(answer->status)) + text_size(answer->status_text);
    size_t response = is_ok ? ok_size(answer) : denied_size(answer);
    size_t metadata = metadata_size(answer);
    size_t size = field_size(status) + field_size(response) + field_size(metadata);
    uint8_t *begin = buf_extend(out, size), *at = begin;
    if (begin == NULL)
        return;
    at = put_head(at, KR_CHECK_STATUS, status);
    if (!is_ok)
        at = put_number(at, KR_STATUS_CODE, answer->status);
    at = put_text(at, KR_STATUS_MESSAGE, answer->status_text);
    at = is_ok ? put_ok(at, answer, response) : put_denied(at, answer, response);
    at = put_metadata(at, answer, metadata);
    assert(at == begin + size);
}

// --- health --------------------------------------------------------------------------------------

enum kr_err codec_health_question(struct bytes in, struct bytes *service)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    *service = (struct bytes){0};
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && codec_wire_next(&wire, &field)) {
        if (field.number == KR_HEALTH_SERVICE)
            err = take_text(&field, service);
    }
    return err == KR_ERR_OK && wire.is_bad ? KR_ERR_INVALID : err;
}

void codec_add_health_answer(struct buf *out, enum codec_health health)
{
    codec_wire_add_number(out, KR_HEALTH_STATUS, health);
}
