// SPDX-License-Identifier: Apache-2.0
// Copies of requests and answers, bodies in parts, and refusals.
//
// Of a refusal the status says what it means. But nodes of an older kind say 503 of whatever has
// gone wrong, so that of a bare 503 nobody knows; what has not happened has a field with it, which
// they pass over.
#include "replication/forward_parts.h"

#include <assert.h>

static const struct {
    enum kr_err err;
    uint32_t status;
} refusals[] = {{KR_ERR_NO_LEADER, 503}, {KR_ERR_TIMEOUT, 504}, {KR_ERR_BUSY, 507}};

enum { KR_PARTS_REFUSALS = sizeof(refusals) / sizeof(refusals[0]) };

static const char unsent[] = "keyreeve-unsent";

struct forward_answer forward_parts_refusal(enum kr_err err)
{
    static const struct peer_header field = {unsent, {(const uint8_t *)"1", 1}};
    struct forward_answer refusal = {0};
    size_t i = 0;
    while (i < KR_PARTS_REFUSALS && refusals[i].err != err)
        i++;
    assert(i < KR_PARTS_REFUSALS);
    refusal.status = refusals[i].status;
    if (err == KR_ERR_NO_LEADER)
        refusal.fields = (struct peer_headers){&field, 1};
    return refusal;
}

static bool is_unsent(const struct forward_answer *answer)
{
    for (size_t i = 0; i < answer->fields.count; i++)
        if (strcmp(answer->fields.items[i].name, unsent) == 0)
            return true;
    return false;
}

enum kr_err forward_parts_refused(const struct forward_answer *answer)
{
    for (size_t i = 0; i < KR_PARTS_REFUSALS && answer->body.size == 0; i++)
        if (refusals[i].status == answer->status)
            return refusals[i].err == KR_ERR_NO_LEADER && !is_unsent(answer) ? KR_ERR_TIMEOUT
                                                                             : refusals[i].err;
    return KR_ERR_OK;
}

struct bytes forward_parts_take(struct forward_parts_out *out, bool *has_more)
{
    size_t left = out->body.size - out->sent;
    size_t size = left < KR_FORWARD_PART_BYTES ? left : KR_FORWARD_PART_BYTES;
    struct bytes part = bytes_of(size > 0 ? out->body.data + out->sent : NULL, size);
    out->sent += size;
    out->is_begun = true;
    *has_more = out->sent < out->body.size;
    return part;
}

bool forward_parts_is_sent(const struct forward_parts_out *out)
{
    return out->is_begun && out->sent == out->body.size;
}

bool forward_parts_has_room(size_t held_bytes, size_t size)
{
    return held_bytes + size <= KR_FORWARD_HELD_MAX;
}

enum kr_err forward_parts_add(struct buf *body, struct bytes part, size_t *held_bytes,
                              struct fault *fault)
{
    if (!forward_parts_has_room(*held_bytes, part.size))
        return fault_set(fault, KR_ERR_TOO_LARGE,
                         "peer frame: the bodies under way are over %u bytes together",
                         KR_FORWARD_HELD_MAX);
    buf_add_bytes(body, part);
    if (buf_result(body) != KR_ERR_OK)
        return fault_set(fault, KR_ERR_TOO_LARGE, "peer frame: a body is over %u bytes",
                         KR_FORWARD_BODY_MAX);
    *held_bytes += part.size;
    return KR_ERR_OK;
}

static struct bytes copy_bytes(struct arena *arena, struct bytes from)
{
    uint8_t *data = arena_alloc(arena, from.size + 1);
    if (from.size > 0)
        memcpy(data, from.data, from.size);
    return bytes_of(data, from.size);
}

struct peer_headers forward_parts_headers(struct arena *arena, struct peer_headers headers)
{
    struct peer_header *items = arena_alloc(arena, (headers.count + 1) * sizeof(*items));
    for (size_t i = 0; i < headers.count; i++)
        items[i] = (struct peer_header){.name = arena_text(arena, headers.items[i].name),
                                        .value = copy_bytes(arena, headers.items[i].value)};
    return (struct peer_headers){items, headers.count};
}
