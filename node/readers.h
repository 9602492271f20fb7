// SPDX-License-Identifier: Apache-2.0
// The calls that only read: how many of the pool's threads they hold at a time, the line of those
// that wait for one, and which of them nobody waits for any more.
//
// A list may walk millions of rows. Whoever asks for many of them takes turns with others who read,
// and never the last threads and places, which are for changes: above all for revocations. Pure;
// control loop only, but for the figures.
#pragma once

#include "node/api/call.h"

#define KR_READERS_PLACES_MAX 512u // of a node; with KR_REMOTE_LEFT_MAX less than a link takes
#define KR_READERS_WAIT_MS 30000   // in the line

enum reader_state {
    KR_READER_OUT,     // has no place
    KR_READER_INSIDE,  // has one: passed on to the leader, or being committed
    KR_READER_WAITING, // for a thread
    KR_READER_RUNNING  // on one
};

// Embedded in whatever carries the call, zeroed.
struct reader {
    struct call *call;
    void *owner;
    enum reader_state state;
    uint64_t waits_until_ms; // while WAITING
    struct reader *previous, *next;
};

struct reader_line {
    struct reader *first, *last;
};

struct readers {
    size_t threads, places, inside;
    struct reader_line waiting, running;
    atomic_size_t waiting_count, running_count;
    atomic_size_t refused, given_up;
};

struct readers_figures {
    uint64_t waiting, running;
    uint64_t refused, given_up; // since the start
};

// Of a pool of so many threads all but two, and of so many calls under way half; one at least.
void readers_init(struct readers *readers, size_t pool_threads, uint64_t calls_max);
// Takes a place for reader->call. False: there is none.
bool readers_enter(struct readers *readers, struct reader *reader);
void readers_leave(struct readers *readers, struct reader *reader); // one without a place too

// An INSIDE one goes to the end of the line.
void readers_wait(struct readers *readers, struct reader *reader, uint64_t now_ms);
// The first of the line has a thread from now on; NULL: none is free, or nobody waits.
struct reader *readers_next(struct readers *readers);
void readers_ran(struct readers *readers, struct reader *reader); // it is INSIDE again

// Gives up what is past its call's until_ms, and hands out, INSIDE, one that waits in vain: given
// up, or too long in the line. NULL: there is none. Until it says so, each tick.
struct reader *readers_expired(struct readers *readers, uint64_t now_ms);
// Gives up all that run: the node cannot wait for them.
void readers_give_up(struct readers *readers);

void readers_figures(const struct readers *readers, struct readers_figures *out); // any thread
