// SPDX-License-Identifier: Apache-2.0
// Requests out, answers in.
#include "bench/protocol.h"

#include <string.h>
#include <strings.h>

#include "core/keys/verdict.h"
#include "proto/binary.h"

// --- requests ------------------------------------------------------------------------------------

static void add_head(const struct protocol_request *request, const char *method, struct buf *out)
{
    buf_add_text(out, method);
    buf_add_text(out, request->path);
    buf_add_text(out, " HTTP/1.1\r\nHost: ");
    buf_add_text(out, request->host);
    buf_add_text(out, "\r\n");
}

// Keys are printable ASCII, of which JSON escapes two.
static size_t escaped_size(struct bytes key)
{
    size_t size = key.size;
    for (size_t i = 0; i < key.size; i++)
        size += key.data[i] == '"' || key.data[i] == '\\';
    return size;
}

static void add_escaped(struct bytes key, struct buf *out)
{
    if (escaped_size(key) == key.size) {
        buf_add_bytes(out, key);
        return;
    }
    for (size_t i = 0; i < key.size; i++) {
        if (key.data[i] == '"' || key.data[i] == '\\')
            buf_add_u8(out, '\\');
        buf_add_u8(out, key.data[i]);
    }
}

static void add_create(const struct protocol_request *request, struct bytes token, struct buf *out)
{
    add_head(request, "POST ", out);
    buf_add_text(out, "Authorization: Bearer ");
    buf_add_bytes(out, token);
    buf_add_text(out, "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
}

static void add_validate(const struct protocol_request *request, struct bytes key, struct buf *out)
{
    static const char before[] = "{\"key\":\"", after[] = "\"}";
    add_head(request, "POST ", out);
    buf_add_text(out, "Content-Type: application/json\r\nContent-Length: ");
    buf_add_decimal(out, sizeof(before) - 1 + escaped_size(key) + sizeof(after) - 1);
    buf_add_text(out, "\r\n\r\n");
    buf_add_text(out, before);
    add_escaped(key, out);
    buf_add_text(out, after);
}

static void add_json(const struct protocol_request *request, struct bytes body, struct buf *out)
{
    add_head(request, "POST ", out);
    buf_add_text(out, "Content-Type: application/json\r\nContent-Length: ");
    buf_add_decimal(out, body.size);
    buf_add_text(out, "\r\n\r\n");
    buf_add_bytes(out, body);
}

static void add_binary(struct bytes key, struct buf *out)
{
    const struct binary_request request = {.op = KR_BINARY_VALIDATE, .count = 1};
    if (binary_add_request(out, &request, &key) != KR_ERR_OK)
        out->has_failed = true;
}

void protocol_add(const struct protocol_request *request, struct bytes key, struct buf *out)
{
    switch (request->kind) {
    case KR_PROTOCOL_EMPTY:
        add_head(request, "GET ", out);
        buf_add_text(out, "\r\n");
        return;
    case KR_PROTOCOL_BEARER:
        add_head(request, "GET ", out);
        buf_add_text(out, "Authorization: Bearer ");
        buf_add_bytes(out, key);
        buf_add_text(out, "\r\n\r\n");
        return;
    case KR_PROTOCOL_CREATE:
        add_create(request, key, out);
        return;
    case KR_PROTOCOL_VALIDATE:
        add_validate(request, key, out);
        return;
    case KR_PROTOCOL_POST:
        add_json(request, key, out);
        return;
    case KR_PROTOCOL_BINARY:
        add_binary(key, out);
        return;
    case KR_PROTOCOL_REDIS:
        buf_add_text(out, "*2\r\n$3\r\nGET\r\n$");
        buf_add_decimal(out, key.size);
        buf_add_text(out, "\r\n");
        buf_add_bytes(out, key);
        buf_add_text(out, "\r\n");
        return;
    }
}

// --- answers -------------------------------------------------------------------------------------

// A decimal of at most nine digits and what ends it.
static bool read_number(const char **at, const char *end, size_t *number)
{
    const char *begin = *at;
    *number = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - begin < 9)
        *number = *number * 10 + (size_t)(*(*at)++ - '0');
    return *at > begin;
}

static void copy_code(const char *at, const char *end, char code[KR_PROTOCOL_CODE_SIZE])
{
    size_t size = 0;
    for (; at < end && ((*at >= 'A' && *at <= 'Z') || *at == '_'); at++)
        if (size < KR_PROTOCOL_CODE_SIZE - 1)
            code[size++] = *at;
    code[size] = '\0';
}

struct http_head {
    unsigned status;
    size_t body_size;
    bool has_size, is_chunked;
};

static void read_field(const char *line, const char *end, struct http_head *head,
                       struct protocol_answer *answer)
{
    static const char size_name[] = "Content-Length: ", code_name[] = "X-Auth-Reason: ",
                      coding_name[] = "Transfer-Encoding: ";
    const char *value = line + sizeof(size_name) - 1;
    size_t size = (size_t)(end - line);
    if (size >= sizeof(size_name) && strncasecmp(line, size_name, sizeof(size_name) - 1) == 0)
        head->has_size = read_number(&value, end, &head->body_size);
    else if (size >= sizeof(code_name) && strncasecmp(line, code_name, sizeof(code_name) - 1) == 0)
        copy_code(line + sizeof(code_name) - 1, end, answer->code);
    else if (size >= sizeof(coding_name) &&
             strncasecmp(line, coding_name, sizeof(coding_name) - 1) == 0)
        head->is_chunked = true;
}

static bool read_head(const char *begin, const char *end, struct http_head *head,
                      struct protocol_answer *answer)
{
    static const char version[] = "HTTP/1.1 ";
    const char *at = begin + sizeof(version) - 1;
    size_t status;
    if (end - begin < 12 || memcmp(begin, version, sizeof(version) - 1) != 0 ||
        !read_number(&at, end, &status))
        return false;
    head->status = (unsigned)status;
    const char *line = memchr(begin, '\n', (size_t)(end - begin));
    while (line != NULL && ++line < end) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        read_field(line, next != NULL ? next : end, head, answer);
        line = next;
    }
    return true;
}

static enum protocol_outcome read_http(struct bytes in, size_t *used,
                                       struct protocol_answer *answer)
{
    static const char code_name[] = "\"code\":\"";
    const char *begin = (const char *)in.data;
    const char *end = in.size > 0 ? memmem(begin, in.size, "\r\n\r\n", 4) : NULL;
    struct http_head head = {0};
    if (end == NULL)
        return KR_PROTOCOL_MORE;
    if (!read_head(begin, end, &head, answer) || head.is_chunked ||
        (!head.has_size && head.status != 204 && head.status != 304))
        return KR_PROTOCOL_BROKEN;
    const char *body = end + 4;
    if (in.size - (size_t)(body - begin) < head.body_size)
        return KR_PROTOCOL_MORE;
    const char *code = memmem(body, head.body_size, code_name, sizeof(code_name) - 1);
    if (code != NULL)
        copy_code(code + sizeof(code_name) - 1, body + head.body_size, answer->code);
    answer->status = head.status;
    *used = (size_t)(body - begin) + head.body_size;
    return KR_PROTOCOL_DONE;
}

// RESP2: a bulk string, or its null; "+OK" where keys are set.
static enum protocol_outcome read_redis(struct bytes in, size_t *used,
                                        struct protocol_answer *answer)
{
    const char *begin = (const char *)in.data;
    const char *line_end = in.size > 0 ? memmem(begin, in.size, "\r\n", 2) : NULL;
    const char *at = begin + 1;
    size_t size = 0;
    if (line_end == NULL)
        return KR_PROTOCOL_MORE;
    *used = (size_t)(line_end - begin) + 2;
    answer->status = *begin == '$' && *at == '-' ? 404 : 200;
    if (*begin == '+' || answer->status == 404)
        return KR_PROTOCOL_DONE;
    if (*begin != '$' || !read_number(&at, line_end, &size))
        return KR_PROTOCOL_BROKEN;
    *used += size + 2;
    return *used <= in.size ? KR_PROTOCOL_DONE : KR_PROTOCOL_MORE;
}

static enum protocol_outcome read_binary(struct bytes in, size_t *used,
                                         struct protocol_answer *answer)
{
    struct binary_answer read;
    switch (binary_read_answer(in, &read, used)) {
    case KR_BINARY_MORE:
        return KR_PROTOCOL_MORE;
    case KR_BINARY_BROKEN:
        return KR_PROTOCOL_BROKEN;
    case KR_BINARY_FRAME:
        break;
    }
    answer->status = read.op == KR_BINARY_VALIDATE ? 200 : 400;
    for (const uint8_t *at = read.results; read.count > 0; read.count--) {
        const char *code = verdict_text((enum verdict_code)(binary_next_result(&at).code - 1));
        copy_code(code, code + strlen(code), answer->code);
    }
    return KR_PROTOCOL_DONE;
}

enum protocol_outcome protocol_read(enum protocol_kind kind, struct bytes in, size_t *used,
                                    struct protocol_answer *answer)
{
    answer->code[0] = '\0';
    switch (kind) {
    case KR_PROTOCOL_BINARY:
        return read_binary(in, used, answer);
    case KR_PROTOCOL_REDIS:
        return read_redis(in, used, answer);
    case KR_PROTOCOL_EMPTY:
    case KR_PROTOCOL_BEARER:
    case KR_PROTOCOL_CREATE:
    case KR_PROTOCOL_VALIDATE:
    case KR_PROTOCOL_POST:
        break;
    }
    return read_http(in, used, answer);
}
