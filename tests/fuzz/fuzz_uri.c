// SPDX-License-Identifier: Apache-2.0
// Fuzzes paths and queries: what is let through is clean text, and no more than was given.
#include "core/base/text.h"
#include "core/http/uri.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t limit)
{
    assert(strlen(text) <= limit && text_is_utf8(bytes_text(text)));
    for (const char *at = text; *at != '\0'; at++)
        assert((uint8_t)*at >= 0x20 && *at != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const char *segments[KR_URI_SEGMENTS_MAX];
    struct uri_parameter parameters[8];
    struct bytes raw;
    size_t count = 0;
    arena_init(&arena);
    if (uri_split_path(bytes_of(data, size), &arena, segments, &count))
        for (size_t i = 0; i < count; i++) {
            check(segments[i], size);
            assert(segments[i][0] != '\0' && strchr(segments[i], '/') == NULL);
            assert(strcmp(segments[i], "..") != 0);
        }
    if (uri_split_query(bytes_of(data, size), &arena, parameters, 8, &count))
        for (size_t i = 0; i < count; i++) {
            check(parameters[i].name, size);
            check(parameters[i].value, size);
        }
    if (uri_query_value(bytes_of(data, size), "uri", &raw))
        assert(raw.size == 0 || (raw.data >= data && raw.data + raw.size <= data + size));
    arena_fini(&arena);
    return 0;
}
