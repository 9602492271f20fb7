// SPDX-License-Identifier: Apache-2.0
// The node's parts in one place: what start-up wires together and shutdown takes apart.
//
// Built by main before any loop runs; afterwards the pointers never change.
#pragma once

#include <stdatomic.h>

#include "core/keys/vault.h"
#include "core/store/store.h"
#include "node/board.h"
#include "node/ceilings.h"
#include "node/commits.h"
#include "node/config.h"
#include "node/control.h"
#include "node/denials.h"
#include "node/figures.h"
#include "node/identity.h"
#include "node/losses.h"
#include "node/metrics.h"
#include "node/names.h"
#include "node/secure.h"
#include "replication/replica.h"

#define KR_NODE_LOOPS_MAX 256

struct serve;

struct node {
    const struct config *config;
    struct identity identity;
    struct store *store;
    struct state state; // the store, as replication sees it
    struct engine *engine;
    struct replica *replica;
    struct vault *vault;
    struct secure *secure; // the listeners' certificates; NULL: none has TLS
    struct control *control;
    struct figures *figures;   // of the store, for any thread
    struct commits *commits;   // for receipts; NULL: not remembered
    struct losses *losses;     // keys that stopped being good, for clients that keep answers
    struct ceilings *ceilings; // of what one address may take
    struct denials *denials;   // what the audit trail has told of them
    struct names *names;       // of the account and the tokens
    struct board *board;       // the cluster at the moment, for any thread
    struct serve *serves[KR_NODE_LOOPS_MAX];
    struct metrics *metrics[KR_NODE_LOOPS_MAX]; // one a serving loop
    size_t serve_count;
    uint64_t connections_max;          // of all loops together
    atomic_size_t connections, calls;  // open, and under way, of all loops together
    size_t pool_threads;               // libuv's, which all loops share
    char cluster_id[KR_TLS_NAME_SIZE]; // "": not known yet
    uint64_t started_boot_ms;
    atomic_bool is_loaded;   // the table is in memory
    atomic_bool is_stopping; // no new requests
    bool must_restart;       // behind the stop; control loop, then the main thread
};

// What cannot be survived: one line, and the process ends at once, without unwinding.
_Noreturn void node_die(const struct fault *fault);
