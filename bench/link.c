// SPDX-License-Identifier: Apache-2.0
// The emulated links: one heap of packets by the time when they are due.
//
// A path is a transmitter with a queue, then a line. The transmitter sends one packet after the
// other at the bandwidth; the line adds delay and jitter. A packet's time is known when it arrives,
// that nothing but the heap has to be kept; and, of streams, what a cut has stopped.
#include "bench/link.h"

#include <assert.h>
#include <stdlib.h>

#include "bench/draw.h"
#include "core/base/mem.h"

enum { KR_LINK_HEAP = 1024 };

struct path {
    struct link_shape shape;
    struct link_counters counters;
    struct draw draw;
    uint64_t free_ns; // when the transmitter has sent all that it took
    uint64_t last_ns; // due of the last packet, of those that were not held back
    uint64_t held_bytes;
    bool is_cut;
    struct link_packet **stalled; // of a stream, by the cut, in the order of arrival
    size_t stalled_count, stalled_capacity;
};

struct link {
    enum link_kind kind;
    size_t places;
    struct path *paths; // places × places, row by row of from
    struct link_packet **heap;
    size_t count, capacity;
    uint64_t next_number;
    bool is_healed; // a path with something stalled is cut no more
};

struct link *link_new(enum link_kind kind, size_t places, uint64_t seed)
{
    struct link *link = mem_zalloc(sizeof(*link));
    struct draw seeds = {seed};
    assert(places <= KR_LINK_PLACES);
    link->kind = kind;
    link->places = places;
    link->paths = mem_zalloc(places * places * sizeof(*link->paths));
    link->capacity = KR_LINK_HEAP;
    link->heap = mem_alloc(link->capacity * sizeof(struct link_packet *));
    for (size_t i = 0; i < places * places; i++) {
        link->paths[i].draw.state = draw_u64(&seeds);
        link->paths[i].shape.mbit = KR_LINK_MBIT_MAX;
    }
    return link;
}

void link_free(struct link **link)
{
    if (*link == NULL)
        return;
    for (size_t i = 0; i < (*link)->count; i++)
        mem_free((*link)->heap[i]);
    for (size_t i = 0; i < (*link)->places * (*link)->places; i++) {
        struct path *path = &(*link)->paths[i];
        for (size_t k = 0; k < path->stalled_count; k++)
            mem_free(path->stalled[k]);
        mem_free(path->stalled);
    }
    mem_free((*link)->paths);
    mem_free((*link)->heap);
    mem_free(*link);
    *link = NULL;
}

enum link_kind link_kind(const struct link *link)
{
    return link->kind;
}

// --- the heap ------------------------------------------------------------------------------------

// Equal times leave in the order of arrival.
static bool is_before(const struct link_packet *a, const struct link_packet *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void sift_down(struct link *link, size_t at)
{
    struct link_packet *moved = link->heap[at];
    for (size_t child = 2 * at + 1; child < link->count; child = 2 * at + 1) {
        if (child + 1 < link->count && is_before(link->heap[child + 1], link->heap[child]))
            child++;
        if (!is_before(link->heap[child], moved))
            break;
        link->heap[at] = link->heap[child];
        at = child;
    }
    link->heap[at] = moved;
}

static void heap_add(struct link *link, struct link_packet *packet)
{
    if (link->count == link->capacity) {
        link->capacity *= 2;
        link->heap = mem_realloc(link->heap, link->capacity * sizeof(struct link_packet *));
    }
    size_t at = link->count++;
    while (at > 0 && is_before(packet, link->heap[(at - 1) / 2])) {
        link->heap[at] = link->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    link->heap[at] = packet;
}

// --- the paths -----------------------------------------------------------------------------------

static struct path *path_of(struct link *link, size_t from, size_t to)
{
    assert(from < link->places && to < link->places);
    return &link->paths[from * link->places + to];
}

static const struct path *path_seen(const struct link *link, size_t from, size_t to)
{
    assert(from < link->places && to < link->places);
    return &link->paths[from * link->places + to];
}

void link_set(struct link *link, size_t from, size_t to, const struct link_shape *shape)
{
    path_of(link, from, to)->shape = *shape;
}

const struct link_shape *link_get(const struct link *link, size_t from, size_t to)
{
    return &path_seen(link, from, to)->shape;
}

bool link_is_cut(const struct link *link, size_t from, size_t to)
{
    return path_seen(link, from, to)->is_cut;
}

const struct link_counters *link_counters(const struct link *link, size_t from, size_t to)
{
    return &path_seen(link, from, to)->counters;
}

uint64_t link_held_bytes(const struct link *link, size_t from, size_t to)
{
    return path_seen(link, from, to)->held_bytes;
}

static void stall(struct path *path, struct link_packet *packet)
{
    if (path->stalled_count == path->stalled_capacity) {
        path->stalled_capacity = 2 * path->stalled_capacity + 16;
        path->stalled =
            mem_realloc(path->stalled, path->stalled_capacity * sizeof(struct link_packet *));
    }
    path->stalled[path->stalled_count++] = packet;
}

static int compare_numbers(const void *left, const void *right)
{
    const struct link_packet *const *a = left, *const *b = right;
    return ((*a)->number > (*b)->number) - ((*a)->number < (*b)->number);
}

static void stop_path(struct link *link, struct path *path, size_t from, size_t to)
{
    size_t kept = 0;
    for (size_t i = 0; i < link->count; i++) {
        struct link_packet *packet = link->heap[i];
        if (packet->from != from || packet->to != to) {
            link->heap[kept++] = packet;
        } else if (link->kind == KR_LINK_STREAMS) {
            stall(path, packet);
        } else {
            path->counters.cut++;
            path->held_bytes -= packet->size_bytes;
            mem_free(packet);
        }
    }
    link->count = kept;
    for (size_t at = link->count / 2; at > 0; at--)
        sift_down(link, at - 1);
    if (path->stalled_count > 1)
        qsort(path->stalled, path->stalled_count, sizeof(struct link_packet *), compare_numbers);
    path->free_ns = path->last_ns = 0;
}

void link_cut(struct link *link, size_t from, size_t to, bool is_cut)
{
    struct path *path = path_of(link, from, to);
    path->is_cut = is_cut;
    if (is_cut)
        stop_path(link, path, from, to);
    else if (path->stalled_count > 0)
        link->is_healed = true;
}

// --- packets -------------------------------------------------------------------------------------

static uint64_t ns_of_ms(double ms)
{
    return (uint64_t)(ms * 1e6 + 0.5);
}

static double ns_of_byte(const struct path *path)
{
    return 8e3 / path->shape.mbit;
}

static uint64_t delay_ns(struct path *path)
{
    double ms = path->shape.delay_ms;
    if (path->shape.jitter_ms > 0)
        ms += (2 * draw_unit(&path->draw) - 1) * path->shape.jitter_ms;
    return ns_of_ms(ms > 0 ? ms : 0);
}

static bool is_drawn(struct path *path, double share)
{
    return share > 0 && draw_unit(&path->draw) < share;
}

// The packet has left the transmitter at free_ns; what it waited for it had to wait for.
static uint64_t due_of(struct path *path)
{
    uint64_t due_ns = path->free_ns + delay_ns(path);
    if (due_ns < path->last_ns)
        due_ns = path->last_ns;
    if (is_drawn(path, path->shape.reorder)) {
        path->counters.reordered++;
        return due_ns + ns_of_ms(path->shape.reorder_ms);
    }
    path->last_ns = due_ns;
    return due_ns;
}

static uint64_t waiting_bytes(const struct path *path, uint64_t now_ns)
{
    if (path->free_ns <= now_ns)
        return 0;
    return (uint64_t)((double)(path->free_ns - now_ns) / ns_of_byte(path));
}

uint64_t link_room_bytes(const struct link *link, size_t from, size_t to, uint64_t now_ns)
{
    const struct path *path = path_seen(link, from, to);
    uint64_t waiting = waiting_bytes(path, now_ns);
    return path->is_cut || waiting >= path->shape.queue_bytes ? 0
                                                              : path->shape.queue_bytes - waiting;
}

// The packet goes to the transmitter now.
static void set_out(struct link *link, struct path *path, struct link_packet *packet,
                    uint64_t now_ns)
{
    if (path->free_ns < now_ns)
        path->free_ns = now_ns;
    path->free_ns += (uint64_t)((double)packet->size_bytes * ns_of_byte(path) + 0.5);
    packet->due_ns = due_of(path);
    heap_add(link, packet);
}

// Whether, and why not, a packet that is no part of a stream is held.
static enum link_fate fate_of(struct path *path, size_t size_bytes, uint64_t now_ns)
{
    if (path->is_cut) {
        path->counters.cut++;
        return KR_LINK_CUT;
    }
    if (is_drawn(path, path->shape.loss)) {
        path->counters.lost++;
        return KR_LINK_LOST;
    }
    if (waiting_bytes(path, now_ns) + size_bytes > path->shape.queue_bytes) {
        path->counters.overflowed++;
        return KR_LINK_OVERFLOWED;
    }
    return KR_LINK_HELD;
}

enum link_fate link_push(struct link *link, size_t from, size_t to, struct bytes packet,
                         uint64_t now_ns)
{
    struct path *path = path_of(link, from, to);
    enum link_fate fate =
        link->kind == KR_LINK_STREAMS ? KR_LINK_HELD : fate_of(path, packet.size, now_ns);
    if (fate != KR_LINK_HELD)
        return fate;
    struct link_packet *held = mem_alloc(sizeof(*held) + packet.size);
    held->number = link->next_number++;
    held->from = (uint8_t)from;
    held->to = (uint8_t)to;
    held->size_bytes = (uint32_t)packet.size;
    if (packet.size > 0)
        memcpy(held->data, packet.data, packet.size);
    path->held_bytes += packet.size;
    if (path->is_cut || path->stalled_count > 0)
        stall(path, held);
    else
        set_out(link, path, held, now_ns);
    return KR_LINK_HELD;
}

// What stood behind a cut sets out now.
static void go_on(struct link *link, uint64_t now_ns)
{
    link->is_healed = false;
    for (size_t i = 0; i < link->places * link->places; i++) {
        struct path *path = &link->paths[i];
        for (size_t k = 0; k < path->stalled_count && !path->is_cut; k++)
            set_out(link, path, path->stalled[k], now_ns);
        if (!path->is_cut)
            path->stalled_count = 0;
    }
}

uint64_t link_next_ns(const struct link *link)
{
    if (link->is_healed)
        return 0;
    return link->count > 0 ? link->heap[0]->due_ns : UINT64_MAX;
}

struct link_packet *link_pop(struct link *link, uint64_t now_ns)
{
    if (link->is_healed)
        go_on(link, now_ns);
    if (link->count == 0 || link->heap[0]->due_ns > now_ns)
        return NULL;
    struct link_packet *packet = link->heap[0];
    struct path *path = path_of(link, packet->from, packet->to);
    link->heap[0] = link->heap[--link->count];
    if (link->count > 0)
        sift_down(link, 0);
    path->held_bytes -= packet->size_bytes;
    path->counters.passed++;
    path->counters.passed_bytes += packet->size_bytes;
    return packet;
}
