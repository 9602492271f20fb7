// SPDX-License-Identifier: Apache-2.0
// Look-ups in a request.
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
