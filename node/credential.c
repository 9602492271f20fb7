// SPDX-License-Identifier: Apache-2.0
// Finding the key, and the client's address, in what a gateway sends.
#include "node/credential.h"

#include <strings.h>

#include "core/base/text.h"
#include "core/http/uri.h"

enum { KR_BASIC_MAX = 1024 };

// Bits of a credential's carriers.
enum { KR_CARRIER_AUTHORIZATION = 1, KR_CARRIER_HEADER = 2 };

static void offer(struct credential *found, struct bytes key, unsigned carrier)
{
    if (key.size == 0)
        return;
    found->carriers |= carrier;
    if (found->result == KR_CREDENTIAL_NONE) {
        found->result = KR_CREDENTIAL_FOUND;
        found->key = key;
    } else if (!bytes_equal(found->key, key)) {
        found->result = KR_CREDENTIAL_AMBIGUOUS;
    }
}

static bool take_scheme(struct bytes value, const char *scheme, struct bytes *rest)
{
    size_t size = strlen(scheme);
    if (value.size <= size || strncasecmp((const char *)value.data, scheme, size) != 0 ||
        value.data[size] != ' ')
        return false;
    while (size < value.size && value.data[size] == ' ')
        size++;
    *rest = bytes_of(value.data + size, value.size - size);
    return true;
}

// Basic's user part (RFC 7617): what stands before the first colon of the decoded text.
static struct bytes basic_user(struct bytes encoded, struct arena *arena)
{
    uint8_t *plain = arena_alloc(arena, KR_BASIC_MAX);
    size_t size = 0;
    if (!text_from_base64(encoded, plain, KR_BASIC_MAX, &size))
        return (struct bytes){0};
    const uint8_t *colon = memchr(plain, ':', size);
    return bytes_of(plain, colon == NULL ? size : (size_t)(colon - plain));
}

static void offer_authorization(struct credential *found, struct bytes value,
                                const struct config *config, struct arena *arena)
{
    struct bytes rest;
    if (take_scheme(value, "basic", &rest))
        offer(found, basic_user(rest, arena), KR_CARRIER_AUTHORIZATION);
    else if (take_scheme(value, "bearer", &rest) ||
             take_scheme(value, config->credential_scheme, &rest))
        offer(found, rest, KR_CARRIER_AUTHORIZATION);
}

static void offer_cookie(struct credential *found, struct bytes value, const char *name)
{
    size_t name_size = strlen(name);
    while (value.size > 0) {
        const uint8_t *end = memchr(value.data, ';', value.size);
        size_t size = end == NULL ? value.size : (size_t)(end - value.data);
        if (size > name_size && memcmp(value.data, name, name_size) == 0 &&
            value.data[name_size] == '=')
            offer(found, bytes_of(value.data + name_size + 1, size - name_size - 1), 0);
        size_t step = end == NULL ? size : size + 1;
        while (step < value.size && value.data[step] == ' ')
            step++;
        value = bytes_of(value.data + step, value.size - step);
    }
}

// What cannot be decoded is offered as it is: no key is like it, and another key beside it is not
// taken alone.
static void offer_query(struct credential *found, struct bytes query, const char *name,
                        struct arena *arena)
{
    struct bytes value;
    const uint8_t *end = query.data + query.size;
    while (uri_query_value(query, name, &value)) {
        const char *plain = uri_decode(value, arena);
        query = bytes_of(value.data + value.size, (size_t)(end - value.data) - value.size);
        offer(found, plain != NULL ? bytes_text(plain) : value, 0);
    }
}

static void look_at(const struct http_field *field, const struct config *config,
                    struct arena *arena, struct credential *found)
{
    if (bytes_equal_text_nocase(field->name, "authorization"))
        offer_authorization(found, field->value, config, arena);
    else if (bytes_equal_text_nocase(field->name, config->credential_header))
        offer(found, field->value, KR_CARRIER_HEADER);
    else if (config->credential_cookie[0] != '\0' && bytes_equal_text_nocase(field->name, "cookie"))
        offer_cookie(found, field->value, config->credential_cookie);
}

void credential_find(const struct http_request *request, const struct config *config,
                     struct bytes original_query, struct arena *arena, struct credential *out)
{
    *out = (struct credential){.result = KR_CREDENTIAL_NONE};
    for (size_t i = 0; i < request->field_count; i++)
        look_at(&request->fields[i], config, arena, out);
    if (config->credential_query[0] != '\0')
        offer_query(out, original_query, config->credential_query, arena);
}

size_t credential_carriers(const struct credential *credential, const struct config *config,
                           struct bytes names[KR_CREDENTIAL_CARRIERS_MAX])
{
    size_t count = 0;
    if ((credential->carriers & KR_CARRIER_AUTHORIZATION) != 0)
        names[count++] = bytes_text("authorization");
    if ((credential->carriers & KR_CARRIER_HEADER) != 0)
        names[count++] = bytes_text(config->credential_header);
    return count;
}

// --- the client's address ------------------------------------------------------------------------

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_of(text.data + 1, text.size - 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

// The last comma-separated element; list loses it.
static struct bytes take_last(struct bytes *list)
{
    const uint8_t *comma = list->size > 0 ? memrchr(list->data, ',', list->size) : NULL;
    size_t at = comma == NULL ? 0 : (size_t)(comma - list->data) + 1;
    struct bytes last = bytes_of(list->data + at, list->size - at);
    list->size = comma == NULL ? 0 : at - 1;
    return trim(last);
}

bool credential_client(const struct http_request *request, const struct config *config,
                       bool is_trusted, const struct cidr_address *peer,
                       struct cidr_address *client)
{
    if (!is_trusted) {
        *client = *peer;
        return true;
    }
    // Several fields of one name read as one list (RFC 9110 §5.3); the last is the nearest hop.
    bool has_address = false;
    for (size_t i = request->field_count; i-- > 0;) {
        if (!bytes_equal_text_nocase(request->fields[i].name, "x-forwarded-for"))
            continue;
        struct bytes list = request->fields[i].value;
        while (list.size > 0) {
            if (!cidr_parse_address(take_last(&list), client))
                return false;
            has_address = true;
            if (!cidr_any_contains(config->trusted_proxy_list, config->trusted_proxy_count, client))
                return true;
        }
    }
    return has_address; // all hops are trusted: the farthest one
}
