// SPDX-License-Identifier: Apache-2.0
// Reads the head of a request (RFC 9112 §3, §5): line by line, into slices.
#include "core/http/http1_head.h"

#include <strings.h>

#include "core/base/text.h"
#include "core/http/syntax.h"

static enum kr_err refuse(struct http1_head *head, enum kr_err err, const char *reason)
{
    head->reason = reason;
    return err;
}

static struct bytes behind(struct bytes text, size_t count)
{
    return bytes_of(text.data + count, text.size - count);
}

// --- request line --------------------------------------------------------------------------------

// RFC 9112 §2.3; the name is case-sensitive.
static enum kr_err read_version(struct http1_head *head, struct bytes version)
{
    const uint8_t *at = version.data;
    if (version.size != 8 || memcmp(at, "HTTP/", 5) != 0 || at[6] != '.' || at[5] < '0' ||
        at[5] > '9' || at[7] < '0' || at[7] > '9')
        return refuse(head, KR_ERR_INVALID, "the request line ends in no valid version");
    if (at[5] != '1' || at[7] > '1')
        return refuse(head, KR_ERR_UNSUPPORTED, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    head->request->minor_version = (uint8_t)(at[7] - '0');
    return KR_ERR_OK;
}

// RFC 9112 §3.2.2: what a client sends to a proxy; the authority must be what Host says.
static enum kr_err read_absolute_form(struct http1_head *head, struct bytes target)
{
    size_t scheme_size = 0;
    if (target.size > 7 && strncasecmp((const char *)target.data, "http://", 7) == 0)
        scheme_size = 7;
    else if (target.size > 8 && strncasecmp((const char *)target.data, "https://", 8) == 0)
        scheme_size = 8;
    else
        return refuse(head, KR_ERR_INVALID, "the target is neither a path nor an http URL");
    struct bytes rest = behind(target, scheme_size);
    const uint8_t *slash = memchr(rest.data, '/', rest.size);
    size_t size = slash == NULL ? rest.size : (size_t)(slash - rest.data);
    head->framing.authority = bytes_of(rest.data, size);
    if (!syntax_is_authority(head->framing.authority))
        return refuse(head, KR_ERR_INVALID, "the target names no valid host");
    http_request_set_target(head->request, slash == NULL ? bytes_text("/") : behind(rest, size));
    return KR_ERR_OK;
}

static enum kr_err read_target(struct http1_head *head, struct bytes target)
{
    struct http_request *request = head->request;
    if (bytes_equal_text(request->method_name, "CONNECT"))
        return refuse(head, KR_ERR_UNSUPPORTED, "CONNECT is not served here");
    if (target.size == 0 || !syntax_is_target(target))
        return refuse(head, KR_ERR_INVALID, "the target is empty or holds a forbidden character");
    if (target.data[0] == '/') {
        http_request_set_target(request, target);
        return KR_ERR_OK;
    }
    if (target.size == 1 && target.data[0] == '*') {
        http_request_set_target(request, target);
        return request->method == KR_HTTP_OPTIONS
                   ? KR_ERR_OK
                   : refuse(head, KR_ERR_INVALID, "the target '*' is for OPTIONS alone");
    }
    return read_absolute_form(head, target);
}

static enum kr_err read_request_line(struct http1_head *head, struct bytes line)
{
    size_t method_size = syntax_token_size(line);
    if (method_size == 0 || method_size == line.size || line.data[method_size] != ' ')
        return refuse(head, KR_ERR_INVALID, "the request line starts with no valid method");
    struct bytes rest = behind(line, method_size + 1);
    const uint8_t *space = memchr(rest.data, ' ', rest.size);
    if (space == NULL)
        return refuse(head, KR_ERR_INVALID, "the request line has no version");
    size_t target_size = (size_t)(space - rest.data);
    head->request->method_name = bytes_of(line.data, method_size);
    head->request->method = http_method_of(head->request->method_name);
    enum kr_err err = read_version(head, behind(rest, target_size + 1));
    return err == KR_ERR_OK ? read_target(head, bytes_of(rest.data, target_size)) : err;
}

// --- fields --------------------------------------------------------------------------------------

// A field that may come once. NULL, or why it is refused.
static const char *keep_single(const struct http_field *field, struct bytes *value, bool *has,
                               const char *reason)
{
    if (*has)
        return reason;
    *value = field->value;
    *has = true;
    return NULL;
}

static void note_connection(struct http1_framing *framing, struct bytes value)
{
    while (value.size > 0) {
        struct bytes item = syntax_take_item(&value);
        framing->says_close = framing->says_close || bytes_equal_text_nocase(item, "close");
        framing->says_keep_alive =
            framing->says_keep_alive || bytes_equal_text_nocase(item, "keep-alive");
    }
}

// Remembers the fields that frame the message; sorted by the length of their names. NULL, or why
// the field is refused.
static const char *note_field(struct http1_framing *framing, const struct http_field *field)
{
    switch (field->name.size) {
    case 4:
        if (syntax_is_named(field->name, "host"))
            return keep_single(field, &framing->host, &framing->has_host, "Host is repeated");
        return NULL;
    case 6:
        if (syntax_is_named(field->name, "expect") &&
            bytes_equal_text_nocase(field->value, "100-continue"))
            framing->expects_continue = true;
        return NULL;
    case 10:
        if (syntax_is_named(field->name, "connection"))
            note_connection(framing, field->value);
        return NULL;
    case 14:
        if (syntax_is_named(field->name, "content-length"))
            return keep_single(field, &framing->length, &framing->has_length,
                               "Content-Length is repeated");
        return NULL;
    case 17:
        if (syntax_is_named(field->name, "transfer-encoding"))
            return keep_single(field, &framing->coding, &framing->has_coding,
                               "Transfer-Encoding is repeated");
        return NULL;
    default:
        return NULL;
    }
}

static enum kr_err read_field(struct http1_head *head, struct bytes line)
{
    struct http_request *request = head->request;
    if (request->field_count == KR_HTTP_FIELDS_MAX)
        return refuse(head, KR_ERR_HEADERS_TOO_LARGE, "too many fields");
    struct http_field *field = &request->fields[request->field_count++];
    const char *reason = syntax_field(line, field);
    if (reason == NULL)
        reason = note_field(&head->framing, field);
    return reason == NULL ? KR_ERR_OK : refuse(head, KR_ERR_INVALID, reason);
}

// --- what the fields mean ------------------------------------------------------------------------

// RFC 9112 §3.2; HTTP/1.0 knew no Host.
static enum kr_err check_host(struct http1_head *head)
{
    const struct http1_framing *framing = &head->framing;
    if (!framing->has_host)
        return head->request->minor_version == 0 ? KR_ERR_OK
                                                 : refuse(head, KR_ERR_INVALID, "Host is missing");
    if (!syntax_is_authority(framing->host))
        return refuse(head, KR_ERR_INVALID, "Host is not valid");
    if (framing->authority.size > 0 &&
        (framing->authority.size != framing->host.size ||
         strncasecmp((const char *)framing->authority.data, (const char *)framing->host.data,
                     framing->host.size) != 0))
        return refuse(head, KR_ERR_INVALID, "the target and Host name different hosts");
    return KR_ERR_OK;
}

// RFC 9112 §6.1 and §6.2, without the leniencies that these allow.
static enum kr_err check_framing(struct http1_head *head)
{
    struct http1_framing *framing = &head->framing;
    if (framing->has_coding && framing->has_length)
        return refuse(head, KR_ERR_INVALID, "Content-Length and Transfer-Encoding exclude another");
    if (framing->has_coding && head->request->minor_version == 0)
        return refuse(head, KR_ERR_INVALID, "HTTP/1.0 has no Transfer-Encoding");
    if (framing->has_coding && !bytes_equal_text_nocase(framing->coding, "chunked"))
        return refuse(head, KR_ERR_UNSUPPORTED, "the only transfer coding is a single 'chunked'");
    if (framing->has_length && !text_decimal(framing->length, UINT64_MAX, &framing->body_bytes))
        return refuse(head, KR_ERR_INVALID, "Content-Length is not a decimal number");
    return KR_ERR_OK;
}

static enum kr_err finish(struct http1_head *head)
{
    struct http1_framing *framing = &head->framing;
    // RFC 9110 §10.1.1: an expectation of HTTP/1.0 is ignored.
    if (head->request->minor_version == 0)
        framing->expects_continue = false;
    head->request->is_keep_alive =
        !framing->says_close && (head->request->minor_version > 0 || framing->says_keep_alive);
    enum kr_err err = check_host(head);
    return err == KR_ERR_OK ? check_framing(head) : err;
}

// --- lines ---------------------------------------------------------------------------------------

// One empty line before a request is passed over (RFC 9112 §2.2).
static size_t skip_empty_line(const struct http1_head *head)
{
    return head->bound >= 2 && head->input[0] == '\r' && head->input[1] == '\n' ? 2 : 0;
}

enum kr_err http1_head_read(struct http1_head *head, bool *is_whole)
{
    head->framing = (struct http1_framing){0};
    head->request->field_count = 0;
    head->request->body = bytes_of(NULL, 0);
    head->at = skip_empty_line(head);
    *is_whole = false;
    enum kr_err err = KR_ERR_OK;
    for (bool is_first = true; err == KR_ERR_OK; is_first = false) {
        struct bytes line;
        enum syntax_line found = syntax_take_line(head->input, head->bound, &head->at, &line);
        if (found == KR_SYNTAX_LINE_PART)
            break;
        if (found == KR_SYNTAX_LINE_BROKEN)
            err = refuse(head, KR_ERR_INVALID, "a line ends without CR");
        else if (is_first)
            err = read_request_line(head, line);
        else if (line.size > 0)
            err = read_field(head, line);
        else {
            *is_whole = true;
            err = finish(head);
            break;
        }
    }
    return err;
}
