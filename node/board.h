// SPDX-License-Identifier: Apache-2.0
// What this node knows of the cluster at the moment, for handlers on other threads.
//
// The links belong to the control loop, which puts a copy here on every tick; any thread reads.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/mem.h"
#include "core/tls/tls.h"
#include "replication/engine_etcd.h"
#include "replication/peers_link.h"

#define KR_BOARD_MS 200             // from one copy to the next
#define KR_BOARD_UNKNOWN UINT64_MAX // of a number that nobody has told

enum board_state {
    KR_BOARD_SERVING,
    KR_BOARD_LOADING,  // answers from the index meanwhile
    KR_BOARD_STALE,    // its lease is over
    KR_BOARD_FETCHING, // a snapshot
    KR_BOARD_UNHEARD   // nothing has been heard of it for a while
};
const char *board_state_text(enum board_state state);

// What a node has told, or has been measured, of one member.
struct board_node {
    char id[KR_TLS_NAME_SIZE], upstream[KR_TLS_NAME_SIZE]; // upstream "": it follows nobody
    char version[32];                                      // "": not told
    enum board_state state;
    uint64_t index, lag_ms, lease_ms, validations_per_second;
    uint64_t round_trip_us;                             // to its upstream
    uint64_t snapshot_done_bytes, snapshot_total_bytes; // FETCHING; the total is an estimate
    uint64_t vault_mark; // of a core node's newest master key; 0: not told
};

// A measured way from this node to another one.
struct board_distance {
    char id[KR_TLS_NAME_SIZE];
    uint64_t round_trip_us;
};

struct board_facts {
    const struct board_node *nodes; // heard of; this node is one of them
    size_t count;
    const struct board_distance *distances; // of these and of others; one may be there twice
    size_t distance_count;
    char leader_id[KR_TLS_NAME_SIZE]; // "": nobody, as far as is known
    uint64_t epoch;
    struct peers_figures links; // zeroes without peers
    bool has_etcd;
    struct engine_etcd_figures etcd; // of this node's engine, where it is that one
};

struct board;

struct board *board_new(void); // gives
void board_free(struct board **board);
void board_put(struct board *board, const struct board_facts *facts); // copies; control loop
void board_read(struct board *board, struct arena *arena, struct board_facts *out);
// NULL: not heard of.
const struct board_node *board_find(const struct board_facts *facts, const char *id);
// The shortest way that was measured; KR_BOARD_UNKNOWN: none was.
uint64_t board_distance_us(const struct board_facts *facts, const char *id);
