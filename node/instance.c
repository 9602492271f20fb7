// SPDX-License-Identifier: Apache-2.0
// Copies a path segment by segment.
#include "node/instance.h"

#include "core/base/buf.h"
#include "core/keys/format.h"

enum { KR_INSTANCE_MAX = 1024 };

static void add_segment(struct buf *out, struct bytes segment)
{
    if (segment.size == 0 || format_may_repeat(segment))
        buf_add_bytes(out, segment);
    else
        buf_add_text(out, "…");
}

const char *instance_of(struct bytes path, struct arena *arena)
{
    char text[2 * KR_INSTANCE_MAX]; // "…" has three bytes, and stands for one at least
    struct buf out;
    buf_init_fixed(&out, text, sizeof(text));
    if (path.size > KR_INSTANCE_MAX)
        path.size = KR_INSTANCE_MAX;
    for (size_t at = 0; at < path.size;) {
        const uint8_t *slash = memchr(path.data + at, '/', path.size - at);
        size_t end = slash != NULL ? (size_t)(slash - path.data) : path.size;
        add_segment(&out, bytes_of(path.data + at, end - at));
        if (slash != NULL)
            buf_add_text(&out, "/");
        at = end + 1;
    }
    return arena_text_of(arena, buf_bytes(&out));
}
