// SPDX-License-Identifier: Apache-2.0
// Counters and latency histograms, one block a serving loop, summed when Prometheus asks.
//
// A block has one writer, its loop; readers load relaxed. Text format 0.0.4.
#pragma once

#include <stdatomic.h>

#include "core/base/buf.h"
#include "core/keys/verdict.h"
#include "core/store/store.h"
#include "node/readers.h"
#include "node/secure.h"
#include "replication/engine_etcd.h"
#include "replication/peers_link.h"

#define KR_METRICS_ROUTES_MAX 96
#define KR_METRICS_BINARY (KR_METRICS_ROUTES_MAX - 2) // the binary protocol, as one more route
#define KR_METRICS_STATUSES 19 // those that the node answers with, and one for all others
#define KR_METRICS_BOUNDS 16   // latency buckets; bounds in metrics.c

// The answers of one route with one status.
struct metrics_answers {
    atomic_uint_fast64_t latency[KR_METRICS_BOUNDS + 1];
    atomic_uint_fast64_t latency_sum_ns;
};

struct metrics {
    // By number in dispatch_routes; KR_METRICS_BINARY; the last one counts what matches no route.
    struct metrics_answers answers[KR_METRICS_ROUTES_MAX][KR_METRICS_STATUSES];
    atomic_uint_fast64_t verdicts[KR_VERDICT_COUNT];
    atomic_uint_fast64_t connections_accepted, connections_open, connections_refused;
    atomic_uint_fast64_t accept_pauses;    // for want of a descriptor, or of memory
    atomic_uint_fast64_t requests_refused; // not HTTP, too large, too slow
    atomic_uint_fast64_t auth_failures;    // requests with a wrong management token
    atomic_uint_fast64_t auth_limited;     // of them, those that were told to wait
    atomic_uint_fast64_t bytes_in, bytes_out;
    atomic_uint_fast64_t http2_connections; // of those accepted, that turned out to speak it
    atomic_uint_fast64_t tls_handshakes, tls_resumed, tls_failed;
};

struct metrics *metrics_new(void); // gives
void metrics_free(struct metrics **metrics);

static inline void metrics_bump(atomic_uint_fast64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

// So many requests of a route with the same answer and latency; 0 counts nothing.
void metrics_requests(struct metrics *metrics, size_t route, unsigned status, uint64_t latency_ns,
                      uint64_t count);

// What the node adds to the sum of the loops' blocks.
struct metrics_node {
    const char *node_id, *region;
    struct store_figures store;
    uint64_t epoch, calls_queued, uptime_s;
    uint64_t age_ms; // of what it knows; UINT64_MAX: nothing is known
    struct readers_figures reads;
    uint64_t denials_left_out;
    struct peers_figures links;
    uint64_t snapshot_done_bytes, snapshot_total_bytes; // of the one that comes in; 0: none
    struct secure_figures certificates;
    bool is_leader, has_etcd;
    struct engine_etcd_figures etcd;
    uint64_t load_done, load_total; // keys, at a start
};

// Appends everything in Prometheus text form.
void metrics_render(struct buf *out, struct metrics *const *blocks, size_t count,
                    const struct metrics_node *node);
