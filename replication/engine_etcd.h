// SPDX-License-Identifier: Apache-2.0
// The `etcd` engine: leadership and the tail of the log lie in an etcd cluster, so that whichever
// node dies, another one leads and no acknowledged write is lost while a majority of etcd lives.
//
// Leadership is a key under a lease; its create revision is the epoch. Appends are transactions
// that hold only while that key has this revision, and only for indexes that nobody has written.
// What lies in etcd is described in docs/wire-formats.md. Neither libcurl nor libuv here: see
// etcd_port.h. Control loop only.
#pragma once

#include "core/base/hash.h"
#include "replication/engine.h"
#include "replication/etcd_port.h"

#define KR_ETCD_APPEND_MS 4500 // an append is answered within this, whatever etcd does

struct engine_etcd_options {
    const struct etcd_port *port; // keeps
    const char *cluster_id;       // kept as a copy: the first segment of every key
    const char *member_id;        // of this node; a copy
    const char *peer_address;     // where other nodes reach this one; a copy
    unsigned leader_ttl_ms;       // of the leader's lease, whole seconds; 2000 to 5000
    uint64_t quota_bytes;         // etcd's --quota-backend-bytes, to warn in time
    // Where this node's state stands; asked when it takes over.
    void (*position)(void *ctx, uint64_t *index, uint64_t *epoch, struct hash128 *chain);
    // Why this node does not lead though it could (a hole, a chain that does not fit); once for
    // each attempt. May be NULL: the engine logs it besides.
    void (*refused)(void *ctx, const struct fault *fault);
    // Asked before each candidacy. NULL: it is fit.
    engine_fitness_fn *fitness;
    void *ctx;
};

// Gives; the engine is closed by its verb before the port goes. Its events are set by replica_new.
struct engine *engine_etcd_new(const struct engine_etcd_options *options);

// For metrics.
struct engine_etcd_figures {
    enum engine_role role;
    uint64_t epoch;          // of the own leadership, or 0
    uint64_t end_index;      // last one known to be committed in etcd, or 0
    uint64_t transactions;   // that appended
    uint64_t appended_bytes; // of the entries in them
    uint64_t retries;        // of transactions without an answer
    uint64_t elections;      // won
    uint64_t refusals;       // take-overs given up
    uint64_t database_bytes; // the largest among etcd's members, or 0: not known
    uint64_t database_used_bytes;
    uint64_t quota_bytes;
    bool is_out_of_space; // etcd's NOSPACE alarm is on
};
void engine_etcd_figures(const struct engine *engine, struct engine_etcd_figures *out);
