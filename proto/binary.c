// SPDX-License-Identifier: Apache-2.0
// Frames of the binary validation protocol, read where they lie and written in one pass.
#include "proto/binary.h"

#include <assert.h>
#include <stddef.h>

#include "core/keys/verdict.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read by the word");

struct request_head {
    uint32_t length, tag;
    uint8_t op, flags;
    uint16_t count;
} __attribute__((packed));

struct answer_head {
    uint32_t length, tag;
    uint8_t op, flags;
    uint16_t count;
    uint64_t index;
    uint32_t age_ms;
} __attribute__((packed));

struct result_head {
    uint8_t code, keep;
    uint16_t size;
} __attribute__((packed));

_Static_assert(sizeof(struct request_head) == KR_BINARY_REQUEST_HEAD, "as on the wire");
_Static_assert(sizeof(struct answer_head) == KR_BINARY_ANSWER_HEAD, "as on the wire");

enum { KR_LENGTH_SIZE = 4, KR_FLAGS_ALL = 7, KR_NEWS_FLAGS_ALL = 3 };

const char *binary_fault_text(enum binary_fault fault)
{
    switch (fault) {
#define X(name, number, text)                                                                      \
    case KR_BINARY_FAULT_##name:                                                                   \
        return text;
        KR_BINARY_FAULT_TABLE(X)
#undef X
    case KR_BINARY_NO_FAULT:
        break;
    }
    return "unknown fault";
}

// --- reading -------------------------------------------------------------------------------------

// A walk over a frame's bytes; has_failed is sticky: a part ran past the end.
struct walk {
    const uint8_t *at, *end;
    bool has_failed;
};

static const uint8_t *step(struct walk *walk, size_t size)
{
    const uint8_t *here = walk->at;
    if (walk->has_failed || size > (size_t)(walk->end - here)) {
        walk->has_failed = true;
        return NULL;
    }
    walk->at += size;
    return here;
}

static void step_number(struct walk *walk, void *out, size_t size)
{
    const uint8_t *here = step(walk, size);
    if (here != NULL)
        memcpy(out, here, size);
}

// u16 size and so many bytes.
static struct bytes step_bytes(struct walk *walk)
{
    uint16_t size = 0;
    step_number(walk, &size, sizeof(size));
    const uint8_t *here = step(walk, size);
    return bytes_of(here, here != NULL ? size : 0);
}

static bool is_whole(const struct walk *walk)
{
    return !walk->has_failed && walk->at == walk->end;
}

static enum binary_fault read_parts(struct walk *walk, const struct request_head *head,
                                    struct binary_request *out)
{
    out->keys = walk->at;
    for (unsigned i = 0; i < head->count; i++)
        (void)step_bytes(walk);
    if (head->flags & KR_BINARY_HAS_MIN_INDEX)
        step_number(walk, &out->min_index, sizeof(out->min_index));
    out->has_max_staleness = (head->flags & KR_BINARY_HAS_MAX_STALENESS) != 0;
    if (out->has_max_staleness)
        step_number(walk, &out->max_staleness_ms, sizeof(out->max_staleness_ms));
    bool has_bucket = (head->flags & KR_BINARY_HAS_BUCKET) != 0;
    if (has_bucket)
        out->bucket = step_bytes(walk);
    // A bucket without a name is not every bucket.
    if (!is_whole(walk) || (has_bucket && out->bucket.size == 0) ||
        out->bucket.size > KR_BINARY_BUCKET_MAX)
        return KR_BINARY_FAULT_SHAPE;
    return KR_BINARY_NO_FAULT;
}

static enum binary_fault check_head(const struct request_head *head)
{
    bool is_question = head->op == KR_BINARY_VALIDATE;
    if (!is_question && head->op != KR_BINARY_SUBSCRIBE)
        return KR_BINARY_FAULT_OP;
    if ((head->flags & (is_question ? ~KR_FLAGS_ALL : 0xff)) != 0)
        return KR_BINARY_FAULT_FLAGS;
    if (head->count > (is_question ? KR_BINARY_KEYS_MAX : 0))
        return KR_BINARY_FAULT_COUNT;
    return KR_BINARY_NO_FAULT;
}

// A wrong length is told by its four bytes alone: what would follow may never come.
static bool is_length(uint32_t length, size_t head_size, size_t most)
{
    return length >= head_size - KR_LENGTH_SIZE && length <= most - KR_LENGTH_SIZE;
}

enum binary_read binary_read_request(struct bytes in, struct binary_request *out, size_t *consumed,
                                     enum binary_fault *fault)
{
    struct request_head head = {.length = 0};
    *out = (struct binary_request){.op = KR_BINARY_VALIDATE};
    *fault = KR_BINARY_NO_FAULT;
    if (in.size < KR_LENGTH_SIZE)
        return KR_BINARY_MORE;
    memcpy(&head, in.data, in.size < sizeof(head) ? in.size : sizeof(head));
    if (in.size >= offsetof(struct request_head, op))
        out->tag = head.tag;
    if (!is_length(head.length, sizeof(head), KR_BINARY_FRAME_MAX)) {
        *fault = KR_BINARY_FAULT_LENGTH;
        return KR_BINARY_BROKEN;
    }
    if (in.size < sizeof(head))
        return KR_BINARY_MORE;
    out->op = head.op;
    out->count = head.count;
    *fault = check_head(&head);
    if (*fault != KR_BINARY_NO_FAULT)
        return KR_BINARY_BROKEN;
    *consumed = KR_LENGTH_SIZE + head.length;
    if (in.size < *consumed)
        return KR_BINARY_MORE;
    struct walk walk = {.at = in.data + sizeof(head), .end = in.data + *consumed};
    *fault = read_parts(&walk, &head, out);
    return *fault == KR_BINARY_NO_FAULT ? KR_BINARY_FRAME : KR_BINARY_BROKEN;
}

static bool read_results(struct walk *walk, struct binary_answer *out)
{
    out->results = walk->at;
    for (unsigned i = 0; i < out->count; i++) {
        struct result_head head = {.code = 0};
        step_number(walk, &head, sizeof(head));
        (void)step(walk, head.size);
        if (head.code == 0 || (head.keep != 0 && head.code != KR_VERDICT_VALID + 1))
            return false;
    }
    return is_whole(walk);
}

// The head of an error frame is that of a request, with the fault for flags and the size for count.
static bool read_error(struct bytes frame, const struct request_head *head,
                       struct binary_answer *out)
{
    out->fault = head->flags;
    out->fault_text = bytes_of(frame.data + sizeof(*head), head->count);
    return head->flags != 0 && frame.size == sizeof(*head) + head->count;
}

static bool read_news(struct walk *walk, const struct answer_head *head, struct binary_answer *out)
{
    out->has_lease = (head->flags & KR_BINARY_NEWS_LEASE) != 0;
    out->drops_all = (head->flags & KR_BINARY_NEWS_DROP_ALL) != 0;
    out->lease_ms = head->age_ms;
    out->results = step(walk, head->count * sizeof(struct binary_lost));
    return head->count <= KR_BINARY_LOST_MAX && head->flags <= KR_NEWS_FLAGS_ALL && is_whole(walk);
}

static bool read_answer(struct bytes frame, struct binary_answer *out)
{
    struct answer_head head;
    struct walk walk = {.at = frame.data + sizeof(head), .end = frame.data + frame.size};
    if (frame.size < sizeof(head))
        return false;
    memcpy(&head, frame.data, sizeof(head));
    out->count = head.count;
    out->index = head.index;
    if (head.op == KR_BINARY_SUBSCRIBE)
        return read_news(&walk, &head, out);
    out->age_ms = head.age_ms;
    return head.count <= KR_BINARY_KEYS_MAX && head.flags == 0 && read_results(&walk, out);
}

enum binary_read binary_read_answer(struct bytes in, struct binary_answer *out, size_t *consumed)
{
    struct request_head head = {.length = 0};
    *out = (struct binary_answer){.op = KR_BINARY_VALIDATE};
    if (in.size < KR_LENGTH_SIZE)
        return KR_BINARY_MORE;
    memcpy(&head, in.data, in.size < sizeof(head) ? in.size : sizeof(head));
    if (!is_length(head.length, sizeof(head), KR_BINARY_ANSWER_MAX))
        return KR_BINARY_BROKEN;
    *consumed = KR_LENGTH_SIZE + head.length;
    if (in.size < *consumed)
        return KR_BINARY_MORE;
    struct bytes frame = bytes_of(in.data, *consumed);
    bool is_good = false;
    out->tag = head.tag;
    out->op = head.op;
    if (head.op == KR_BINARY_ERROR)
        is_good = read_error(frame, &head, out);
    else if (head.op == KR_BINARY_VALIDATE || head.op == KR_BINARY_SUBSCRIBE)
        is_good = read_answer(frame, out);
    return is_good ? KR_BINARY_FRAME : KR_BINARY_BROKEN;
}

struct binary_result binary_next_result(const uint8_t **at)
{
    struct result_head head;
    memcpy(&head, *at, sizeof(head));
    struct binary_result result = {.code = head.code,
                                   .may_keep = head.keep != 0,
                                   .body = bytes_of(*at + sizeof(head), head.size)};
    *at += sizeof(head) + head.size;
    return result;
}

struct binary_lost binary_next_lost(const uint8_t **at)
{
    struct binary_lost lost;
    memcpy(&lost, *at, sizeof(lost));
    *at += sizeof(lost);
    return lost;
}

// --- writing -------------------------------------------------------------------------------------

static void add_sized(struct buf *out, struct bytes bytes)
{
    uint16_t size = (uint16_t)bytes.size;
    buf_add(out, &size, sizeof(size));
    buf_add_bytes(out, bytes);
}

static size_t size_of_request(const struct binary_request *request, const struct bytes *keys)
{
    size_t size = sizeof(struct request_head);
    for (unsigned i = 0; i < request->count; i++)
        size += 2 + keys[i].size;
    size += request->min_index > 0 ? sizeof(request->min_index) : 0;
    size += request->has_max_staleness ? sizeof(request->max_staleness_ms) : 0;
    size += request->bucket.size > 0 ? 2 + request->bucket.size : 0;
    return size;
}

enum kr_err binary_add_request(struct buf *out, const struct binary_request *request,
                               const struct bytes *keys)
{
    size_t size = size_of_request(request, keys);
    if (request->count > KR_BINARY_KEYS_MAX || size > KR_BINARY_FRAME_MAX ||
        request->bucket.size > KR_BINARY_BUCKET_MAX)
        return KR_ERR_TOO_LARGE;
    struct request_head head = {
        .length = (uint32_t)(size - KR_LENGTH_SIZE),
        .tag = request->tag,
        .op = (uint8_t)request->op,
        .flags = (uint8_t)((request->min_index > 0 ? KR_BINARY_HAS_MIN_INDEX : 0) |
                           (request->has_max_staleness ? KR_BINARY_HAS_MAX_STALENESS : 0) |
                           (request->bucket.size > 0 ? KR_BINARY_HAS_BUCKET : 0)),
        .count = request->count,
    };
    buf_add(out, &head, sizeof(head));
    for (unsigned i = 0; i < request->count; i++)
        add_sized(out, keys[i]);
    if (request->min_index > 0)
        buf_add(out, &request->min_index, sizeof(request->min_index));
    if (request->has_max_staleness)
        buf_add(out, &request->max_staleness_ms, sizeof(request->max_staleness_ms));
    if (request->bucket.size > 0)
        add_sized(out, request->bucket);
    return buf_result(out);
}

size_t binary_begin_answer(struct buf *out, uint32_t tag, uint16_t count)
{
    const struct answer_head head = {.tag = tag, .op = KR_BINARY_VALIDATE, .count = count};
    size_t begin = out->size;
    buf_add(out, &head, sizeof(head));
    return begin;
}

void binary_add_result(struct buf *out, const struct binary_result *result)
{
    assert(result->code > 0 && result->body.size <= KR_BINARY_BODY_MAX);
    const struct result_head head = {
        .code = result->code, .keep = result->may_keep, .size = (uint16_t)result->body.size};
    buf_add(out, &head, sizeof(head));
    buf_add_bytes(out, result->body);
}

void binary_end_answer(struct buf *out, size_t begin, uint64_t index, uint32_t age_ms)
{
    if (buf_result(out) != KR_ERR_OK)
        return;
    uint32_t length = (uint32_t)(out->size - begin - KR_LENGTH_SIZE);
    uint8_t *head = out->data + begin;
    memcpy(head + offsetof(struct answer_head, length), &length, sizeof(length));
    memcpy(head + offsetof(struct answer_head, index), &index, sizeof(index));
    memcpy(head + offsetof(struct answer_head, age_ms), &age_ms, sizeof(age_ms));
}

static void add_news_head(struct buf *out, const struct answer_head *given)
{
    struct answer_head head = *given;
    size_t size = sizeof(head) + head.count * sizeof(struct binary_lost);
    head.length = (uint32_t)(size - KR_LENGTH_SIZE);
    head.op = KR_BINARY_SUBSCRIBE;
    buf_add(out, &head, sizeof(head));
}

void binary_add_news(struct buf *out, const struct binary_lost *lost, uint16_t count,
                     bool drops_all, uint64_t index)
{
    assert(count <= KR_BINARY_LOST_MAX);
    add_news_head(out, &(struct answer_head){.flags = drops_all ? KR_BINARY_NEWS_DROP_ALL : 0,
                                             .count = count,
                                             .index = index});
    buf_add(out, lost, count * sizeof(*lost));
}

void binary_add_lease(struct buf *out, uint32_t tag, uint64_t index, uint32_t lease_ms)
{
    add_news_head(
        out, &(struct answer_head){
                 .tag = tag, .flags = KR_BINARY_NEWS_LEASE, .index = index, .age_ms = lease_ms});
}

void binary_add_error(struct buf *out, uint32_t tag, enum binary_fault fault)
{
    struct bytes text = bytes_text(binary_fault_text(fault));
    const struct request_head head = {
        .length = (uint32_t)(sizeof(head) - KR_LENGTH_SIZE + text.size),
        .tag = tag,
        .op = KR_BINARY_ERROR,
        .flags = (uint8_t)fault,
        .count = (uint16_t)text.size,
    };
    buf_add(out, &head, sizeof(head));
    buf_add_bytes(out, text);
}
