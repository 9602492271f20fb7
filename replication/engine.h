// SPDX-License-Identifier: Apache-2.0
// The log engine: who leads, and where a committed entry is safe. One interface, several engines.
//
// Everything is asynchronous and speaks of indexes and epochs: an append succeeds when its entries
// are committed under this epoch, or fails for good. All calls and callbacks on the control loop; a
// callback never comes before the call that causes it has returned.
#pragma once

#include "core/base/fault.h"
#include "core/store/store.h"

enum engine_role { KR_ENGINE_STARTING, KR_ENGINE_STANDBY, KR_ENGINE_LEADER, KR_ENGINE_STOPPED };

// May this node lead? Where others could take the place instead.
enum engine_fitness {
    KR_ENGINE_FIT,
    KR_ENGINE_LAST_RESORT, // better than nobody: it could lead, and take no write
    KR_ENGINE_UNFIT        // on no account; why says so, as it does of a last resort
};
typedef enum engine_fitness engine_fitness_fn(void *ctx, struct fault *why);

// Entries in index order that continue the log. Lent to append until its callback.
struct engine_batch {
    const struct store_row *rows;
    size_t count;
    uint64_t epoch;
};

typedef void engine_done_fn(void *ctx, enum kr_err err, const struct fault *fault);

// What the engine tells its owner.
struct engine_events {
    void *ctx;
    // The role changed; epoch is the new one when LEADER.
    void (*role)(void *ctx, enum engine_role role, uint64_t epoch);
    // Who leads, when it is another node; both texts empty when nobody does. Lent for the call. May
    // be NULL.
    void (*leader)(void *ctx, const char *member_id, const char *peer_address);
};

struct engine;

// An engine's verbs; see engine_local.h for the first.
struct engine_verbs {
    const char *name;
    // Tries to become leader; the outcome comes as a role event.
    void (*campaign)(struct engine *engine);
    // Makes the batch durable and fixed in the log. Owner applies it in the callback (`local`
    // commits by applying: see is_store_backed). Several may be in flight; they complete in order,
    // and when one fails, those behind it fail too: the log never has a hole. NO_LEADER, DISK_FULL
    // and BUSY mean that nothing was written, TIMEOUT that nobody knows, anything else that the
    // process must stop.
    must_use enum kr_err (*append)(struct engine *engine, const struct engine_batch *batch,
                                   engine_done_fn *done, void *ctx);
    // One committed entry; lends until the arena is reset. NOT_FOUND behind the end of the log.
    // BUSY: it is being fetched, ask again on a later turn. NO_LEADER: a role event comes, or has
    // come.
    must_use enum kr_err (*read)(struct engine *engine, uint64_t index, struct arena *arena,
                                 struct bytes *entry, struct fault *fault);
    void (*trim)(struct engine *engine, uint64_t below_index);
    // Gives the leadership away, and stands back for a while; the role event follows. Nothing on a
    // node that does not lead. NULL: under this engine nobody else would take it.
    void (*resign)(struct engine *engine, const struct fault *why);
    // Until when (boot time, ms) no other node can lead; UINT64_MAX: always a full window.
    uint64_t (*valid_until_ms)(const struct engine *engine);
    // Delivers the callbacks that are due, the closed of close among them, and does what time asks
    // for; the owner calls it once each turn of its loop. True: call it again without sleeping.
    bool (*turn)(struct engine *engine);
    // Completes what is in flight, then calls closed and frees itself, from a later turn.
    void (*close)(struct engine *engine, void (*closed)(void *ctx), void *ctx);
};

// Embedded first in every engine.
struct engine {
    const struct engine_verbs *verbs;
    struct engine_events events;
    // The log is the node's own store: what is applied with a sync is thereby committed, so append
    // applies, and the owner must not apply again.
    bool is_store_backed;
    // With is_store_backed: append reports what apply said of each row here (the owner's array, set
    // before each append, kept until its callback).
    struct apply_result *results;
};

static inline bool engine_turn(struct engine *engine)
{
    return engine->verbs->turn(engine);
}
