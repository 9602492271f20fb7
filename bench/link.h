// SPDX-License-Identifier: Apache-2.0
// The emulated links between places: when a packet arrives, or why it never does.
//
// Pure: the caller has the clock, which may be virtual, and never turns it back. What leaves on one
// path leaves in the order in which it came, unless reordering is asked for; a path that is cut
// passes nothing, not even what was under way; a path never holds more than its bandwidth times its
// delay and jitter, and its queue, and one packet, where the caller of a link of streams heeds
// link_room_bytes. One thread.
#pragma once

#include <stdbool.h>

#include "core/base/bytes.h"

#define KR_LINK_PLACES 255
#define KR_LINK_MBIT_MIN 0.01
#define KR_LINK_MBIT_MAX 100000.0
#define KR_LINK_DELAY_MAX_MS 10000.0

// How one direction between two places is.
struct link_shape {
    double delay_ms;      // one way
    double jitter_ms;     // uniform, up to so much more or less; nothing overtakes
    double loss;          // share of the packets, 0..1, each by itself
    double reorder;       // share of the packets that is held back, 0..1
    double reorder_ms;    // for how long
    double mbit;          // bandwidth in 10^6 bits a second, KR_LINK_MBIT_MIN..MAX
    uint64_t queue_bytes; // waiting for the bandwidth; what comes on top is dropped
};

struct link_counters {
    uint64_t passed, passed_bytes, lost, overflowed, cut, reordered;
};

// A packet in its path's hold.
struct link_packet {
    uint64_t due_ns, number; // number: the order of arrival
    uint8_t from, to;
    uint32_t size_bytes;
    uint8_t data[];
};

enum link_fate { KR_LINK_HELD, KR_LINK_LOST, KR_LINK_OVERFLOWED, KR_LINK_CUT };

// What becomes of what a path cannot pass.
enum link_kind {
    KR_LINK_PACKETS, // it is dropped, as on a wire
    KR_LINK_STREAMS  // it waits: parts of streams, none of which may be missing or overtake
};

struct link;

// The paths between this many places (≤ KR_LINK_PLACES). None passes anything before link_set, for
// its queue has no room. The same seed draws the same chances.
struct link *link_new(enum link_kind kind, size_t places, uint64_t seed);
void link_free(struct link **link);
enum link_kind link_kind(const struct link *link);

// Applies to what comes from now on; what is held keeps its time. Streams take no loss and no
// reordering.
void link_set(struct link *link, size_t from, size_t to, const struct link_shape *shape);
const struct link_shape *link_get(const struct link *link, size_t from, size_t to); // lends
// Cutting drops what is under way; of streams it is kept, and sets out anew behind the heal.
void link_cut(struct link *link, size_t from, size_t to, bool is_cut);
bool link_is_cut(const struct link *link, size_t from, size_t to);
const struct link_counters *link_counters(const struct link *link, size_t from, size_t to);
uint64_t link_held_bytes(const struct link *link, size_t from, size_t to);

// How much the path's queue takes now; 0 while it is cut. Who pushes no more lets a stream wait in
// its sender.
uint64_t link_room_bytes(const struct link *link, size_t from, size_t to, uint64_t now_ns);
// Copies the packet when it is held, which a link of streams always does.
enum link_fate link_push(struct link *link, size_t from, size_t to, struct bytes packet,
                         uint64_t now_ns);
// When the next packet is due; UINT64_MAX: none is held.
uint64_t link_next_ns(const struct link *link);
// Gives the packet that was due first, if that is by now; NULL: none. mem_free frees it.
struct link_packet *link_pop(struct link *link, uint64_t now_ns);
