// SPDX-License-Identifier: Apache-2.0
// TCP connections that are passed on between places, each direction as late as its path has it.
//
// A door listens, and stands for a target in a place. Who connects there comes from the place that
// the door is for, or from the one that its address tells. A connection takes its round trip: the
// target hears of it one way later, and what the client sends sets out when it would know. Nothing
// is lost and nothing overtakes: where a path is cut or full, the sender waits. One thread.
#pragma once

#include <sys/socket.h>

#include "bench/link.h"
#include "core/base/fault.h"

#define KR_STREAMS_BY_ADDRESS SIZE_MAX // a door's place: that of who connects
#define KR_STREAMS_NOWHERE SIZE_MAX    // an address of no place: the connection is closed

struct streams_address {
    struct sockaddr_storage address;
    socklen_t size;
};

struct streams_door {
    struct streams_address at, target;
    size_t from, to; // from: or KR_STREAMS_BY_ADDRESS
};

// The place of an address, or KR_STREAMS_NOWHERE.
typedef size_t streams_origin_fn(void *ctx, const struct sockaddr_storage *address);

struct streams;

// Keeps link, which is one of streams, and ctx. Without a door by address origin may be NULL.
struct streams *streams_new(struct link *link, streams_origin_fn *origin, void *ctx);
// Ends all connections and doors.
void streams_free(struct streams **streams);
// LOCKED: it cannot listen there; the fault says why.
must_use enum kr_err streams_open(struct streams *streams, const struct streams_door *door,
                                  struct fault *fault);
// Readable while there is something to do by streams_turn; lends, to wait for.
int streams_fd(const struct streams *streams);
// When streams_turn is wanted at the latest (CLOCK_MONOTONIC, ns); UINT64_MAX: not by time.
uint64_t streams_next_ns(const struct streams *streams);
// Reads what has come and writes what is due. Waits for nothing.
void streams_turn(struct streams *streams);
