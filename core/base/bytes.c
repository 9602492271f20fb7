// SPDX-License-Identifier: Apache-2.0
// Comparison of borrowed bytes.
#include "core/base/bytes.h"

#include <strings.h>

bool bytes_equal_text_nocase(struct bytes a, const char *text)
{
    size_t size = strlen(text);
    return a.size == size && (size == 0 || strncasecmp((const char *)a.data, text, size) == 0);
}
