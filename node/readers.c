// SPDX-License-Identifier: Apache-2.0
// Places, threads and the line of the calls that read.
//
//   OUT ─enter─▶ INSIDE ─wait─▶ WAITING ─next─▶ RUNNING
//    ▲             │  ▲            │               │
//    └────leave────┘  └──expired───┴──────ran──────┘
#include "node/readers.h"

#include <assert.h>

void readers_init(struct readers *readers, size_t pool_threads, uint64_t calls_max)
{
    uint64_t places = calls_max / 2;
    if (places > KR_READERS_PLACES_MAX)
        places = KR_READERS_PLACES_MAX;
    *readers = (struct readers){.threads = pool_threads > 2 ? pool_threads - 2 : 1,
                                .places = places > 0 ? (size_t)places : 1};
}

// --- lines ---------------------------------------------------------------------------------------

static void add(struct reader_line *line, struct reader *reader, atomic_size_t *count)
{
    reader->next = NULL;
    reader->previous = line->last;
    *(line->last != NULL ? &line->last->next : &line->first) = reader;
    line->last = reader;
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void take_out(struct reader_line *line, struct reader *reader, atomic_size_t *count)
{
    *(reader->previous != NULL ? &reader->previous->next : &line->first) = reader->next;
    *(reader->next != NULL ? &reader->next->previous : &line->last) = reader->previous;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static void leave_line(struct readers *readers, struct reader *reader)
{
    assert(reader->state == KR_READER_WAITING);
    take_out(&readers->waiting, reader, &readers->waiting_count);
}

// --- places and threads --------------------------------------------------------------------------

bool readers_enter(struct readers *readers, struct reader *reader)
{
    assert(reader->state == KR_READER_OUT);
    if (readers->inside >= readers->places) {
        atomic_fetch_add_explicit(&readers->refused, 1, memory_order_relaxed);
        return false;
    }
    readers->inside++;
    reader->state = KR_READER_INSIDE;
    return true;
}

static bool is_given_up(const struct reader *reader)
{
    return atomic_load_explicit(&reader->call->is_given_up, memory_order_relaxed);
}

void readers_leave(struct readers *readers, struct reader *reader)
{
    if (reader->state == KR_READER_OUT)
        return;
    assert(reader->state == KR_READER_INSIDE);
    atomic_fetch_add_explicit(&readers->given_up, is_given_up(reader), memory_order_relaxed);
    readers->inside--;
    reader->state = KR_READER_OUT;
}

void readers_wait(struct readers *readers, struct reader *reader, uint64_t now_ms)
{
    assert(reader->state == KR_READER_INSIDE);
    reader->state = KR_READER_WAITING;
    reader->waits_until_ms = now_ms + KR_READERS_WAIT_MS;
    add(&readers->waiting, reader, &readers->waiting_count);
}

struct reader *readers_next(struct readers *readers)
{
    struct reader *reader = readers->waiting.first;
    if (reader == NULL || atomic_load(&readers->running_count) >= readers->threads)
        return NULL;
    leave_line(readers, reader);
    reader->state = KR_READER_RUNNING;
    add(&readers->running, reader, &readers->running_count);
    return reader;
}

void readers_ran(struct readers *readers, struct reader *reader)
{
    assert(reader->state == KR_READER_RUNNING);
    take_out(&readers->running, reader, &readers->running_count);
    reader->state = KR_READER_INSIDE;
}

// --- what nobody waits for -----------------------------------------------------------------------

static void give_up(const struct reader *reader)
{
    atomic_store_explicit(&reader->call->is_given_up, true, memory_order_relaxed);
}

static void give_up_late(struct reader_line *line, uint64_t now_ms)
{
    for (const struct reader *at = line->first; at != NULL; at = at->next) {
        if (at->call->until_ms != 0 && now_ms >= at->call->until_ms)
            give_up(at);
    }
}

struct reader *readers_expired(struct readers *readers, uint64_t now_ms)
{
    give_up_late(&readers->running, now_ms);
    give_up_late(&readers->waiting, now_ms);
    for (struct reader *at = readers->waiting.first; at != NULL; at = at->next) {
        if (!is_given_up(at) && now_ms < at->waits_until_ms)
            continue;
        leave_line(readers, at);
        at->state = KR_READER_INSIDE;
        return at;
    }
    return NULL;
}

void readers_give_up(struct readers *readers)
{
    for (const struct reader *at = readers->running.first; at != NULL; at = at->next)
        give_up(at);
}

void readers_figures(const struct readers *readers, struct readers_figures *out)
{
    *out = (struct readers_figures){
        .waiting = atomic_load_explicit(&readers->waiting_count, memory_order_relaxed),
        .running = atomic_load_explicit(&readers->running_count, memory_order_relaxed),
        .refused = atomic_load_explicit(&readers->refused, memory_order_relaxed),
        .given_up = atomic_load_explicit(&readers->given_up, memory_order_relaxed)};
}
