// SPDX-License-Identifier: Apache-2.0
// The forms of settings.
#include "core/keys/rules.h"

#include "core/base/text.h"

enum { KR_TAG_NAME_MAX = 64, KR_TAG_VALUE_MAX = 256, KR_LAST4_SIZE = 4 };

bool rules_is_tag_name(const char *name)
{
    return name[0] != '\0' && text_characters(name) <= KR_TAG_NAME_MAX;
}

bool rules_is_tag_value(const char *value)
{
    return text_characters(value) <= KR_TAG_VALUE_MAX;
}

bool rules_is_scope(const char *text)
{
    size_t size = 0;
    while (text[size] > ' ' && text[size] <= '~' && text[size] != '"' && text[size] != '\\' &&
           text[size] != ',')
        size++;
    return text[size] == '\0' && size >= 1 && size <= KR_SCOPE_MAX;
}

bool rules_is_last4(const char *text)
{
    size_t size = 0;
    while (text[size] > ' ' && text[size] <= '~')
        size++;
    return text[size] == '\0' && (size == 0 || size == KR_LAST4_SIZE);
}

bool rules_is_life(int64_t not_before_ms, int64_t expires_ms)
{
    return expires_ms == 0 || not_before_ms < expires_ms;
}
