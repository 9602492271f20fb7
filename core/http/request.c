// SPDX-License-Identifier: Apache-2.0
// What a request consists of, by name.
#include "core/http/request.h"

#include <strings.h>

const struct http_field *http_request_field(const struct http_request *request, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < request->field_count; i++) {
        const struct http_field *field = &request->fields[i];
        if (field->name.size == size &&
            strncasecmp((const char *)field->name.data, name, size) == 0)
            return field;
    }
    return NULL;
}

struct bytes http_request_value(const struct http_request *request, const char *name)
{
    const struct http_field *field = http_request_field(request, name);
    return field == NULL ? bytes_of(NULL, 0) : field->value;
}

void http_request_set_target(struct http_request *request, struct bytes target)
{
    const uint8_t *mark = target.size > 0 ? memchr(target.data, '?', target.size) : NULL;
    size_t path_size = mark == NULL ? target.size : (size_t)(mark - target.data);
    request->target = target;
    request->path = bytes_of(target.data, path_size);
    request->query =
        mark == NULL ? bytes_of(NULL, 0) : bytes_of(mark + 1, target.size - path_size - 1);
}

enum http_method http_method_of(struct bytes name)
{
    static const struct {
        const char *text;
        size_t size;
        enum http_method method;
    } methods[] = {{"GET", 3, KR_HTTP_GET},        {"POST", 4, KR_HTTP_POST},
                   {"HEAD", 4, KR_HTTP_HEAD},      {"PUT", 3, KR_HTTP_PUT},
                   {"PATCH", 5, KR_HTTP_PATCH},    {"DELETE", 6, KR_HTTP_DELETE},
                   {"OPTIONS", 7, KR_HTTP_OPTIONS}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (name.size == methods[i].size && memcmp(name.data, methods[i].text, name.size) == 0)
            return methods[i].method;
    return KR_HTTP_OTHER;
}

const char *http_method_text(enum http_method method)
{
    switch (method) {
    case KR_HTTP_GET:
        return "GET";
    case KR_HTTP_HEAD:
        return "HEAD";
    case KR_HTTP_POST:
        return "POST";
    case KR_HTTP_PUT:
        return "PUT";
    case KR_HTTP_PATCH:
        return "PATCH";
    case KR_HTTP_DELETE:
        return "DELETE";
    case KR_HTTP_OPTIONS:
        return "OPTIONS";
    case KR_HTTP_OTHER:
        return "OTHER";
    }
    return "OTHER";
}
