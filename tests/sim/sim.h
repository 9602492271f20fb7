// SPDX-License-Identifier: Apache-2.0
// The simulation: a whole cluster in one process, on virtual time, from one seed.
//
// What runs is the product: replica, peers with their feeds and sessions, roster, lease, upstream,
// apply, frames. What is simulated is around it: clocks (sim_clock.c), links (sim_net.c), the disk
// under the state's verbs (sim_state.c), the log engines (sim_service.c, sim_engine*.c), operators,
// clients and faults. sim_check.c knows everything and compares. One thread; nothing here reads a
// real clock, a pointer's value or chance from outside, so a seed is a run, bit for bit.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "replication/engine.h"
#include "replication/peers_internal.h"
#include "tests/sim/sim_breaks.h"
#include "tests/sim/sim_state.h"

#ifndef KR_SIM_NODES // the tree of many followers has its own
#define KR_SIM_NODES 7
#define KR_SIM_INDEXES 4096 // of one run
#endif

enum {
    KR_SIM_KEYS = 60,
    KR_SIM_BUCKETS = 4,
    KR_SIM_PROMISES = 1024,
    KR_SIM_SHOWN = 4096, // lines of transcript that are kept
    KR_SIM_LINE = 240,
    KR_SIM_TURN_US = 40, // from an event to the end of its turn
};

#define KR_SIM_START_US INT64_C(1767225600000000)

struct sim_node;
struct sim_wire;

typedef void sim_event_fn(struct sim_node *node, uint64_t arg);

// What a node is, in the operator's book; outlives its processes.
struct sim_node {
    unsigned slot;
    char id[16], region[16], address[24];
    const char *upstreams; // as configured; NULL: the core nodes
    bool is_core;
    uint64_t rate_ppm_up; // its clock runs at 1 + (this - 500) / 10⁶
    uint64_t boot_base_us;
    int64_t wall_offset_us;
    struct sim_state *disk;       // what outlives a process
    unsigned generation;          // of the id: a removed node comes back under another
    struct replica_known carried; // by its last process: CARRIED_LEASE

    // one process
    bool is_up, is_paused, has_failed, is_dying, has_turn_due;
    uint64_t incarnation, paused_until_us, up_since_us;
    struct engine *engine;
    struct replica *replica;
    struct roster *roster;
    struct peers *peers;
    struct sim_writes *writes;
    struct state_import *finishing;
    uint64_t turn_ms; // its clock at the last turn's begin
    uint64_t told_index, last_epoch;
    bool must_start_again, wants_wipe;
};

// The register service under the engines, and the operator's word with `local`.
struct sim_service;
struct sim_check;

struct sim_options {
    uint64_t seed;
    bool is_traced;  // every line to stdout
    unsigned broken; // enum sim_break, 0: nothing
};

struct sim_figures {
    uint64_t seeds, faults, events, acked, unknown, refused, answers, valid, stale, receipts, late;
    uint64_t snapshots, leaders, promotions, crashes, violations, entries, resumed, rebuilt;
};

struct sim {
    struct sim_options options;
    uint64_t now_us, random;
    struct sim_event *events; // a heap
    size_t event_count, event_capacity;
    uint64_t event_seq, event_total;
    struct sim_node nodes[KR_SIM_NODES];
    unsigned node_count, core_count;
    bool is_etcd;    // else `local`
    bool is_quiet;   // the faults are over, since healed_us
    bool has_rotted; // a record was damaged
    bool has_spread; // and led, before anybody could find it: it is the truth from then on
    uint64_t healed_us;
    unsigned slow_slot;       // at the end
    unsigned rotten_chunks;   // to come
    struct sim_node *running; // whose code runs; NULL: nobody's
    struct sim_wire **wires;
    size_t wire_count, wire_capacity;
    // Ways between nodes and to the service (slot KR_SIM_NODES), by direction.
    struct sim_way {
        uint32_t delay_us, jitter_us, loss_ppm, bytes_per_ms; // 0: no limit
        bool is_cut;
        uint64_t last_arrival_us;
    } ways[KR_SIM_NODES + 1][KR_SIM_NODES + 1];
    struct sim_service *service;
    struct sim_check *check;
    struct sim_node *leader, *former; // the last that led, and the one before it
    struct sim_node *appointed;       // `local`: who leads by the operator's word
    uint64_t appointed_epoch;         // 0: it made the cluster
    char (*shown)[KR_SIM_LINE];
    uint64_t shown_count, shown_hash;
    char plan[64][96]; // the faults, as told
    size_t plan_count;
    struct sim_figures figures;
    bool has_violation;
    char violation[512];
    uint64_t end_us;
};

extern struct sim sim; // the one that runs

// --- sim_world.c: time, chance, transcript -------------------------------------------------------
void sim_run(const struct sim_options *options); // fills sim; sim_fini frees it
void sim_fini(void);
uint64_t sim_below(uint64_t limit); // 0 … limit - 1
bool sim_chance(unsigned percent);
uint64_t sim_between(uint64_t low, uint64_t high); // both included
// Calls fn later, as the world's (node NULL) or as that process's of the node: then it waits while
// the node is paused, and is dropped when the process has ended.
void sim_at(uint64_t at_us, struct sim_node *node, sim_event_fn *fn, uint64_t arg);
void sim_after(uint64_t delay_us, struct sim_node *node, sim_event_fn *fn, uint64_t arg);
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
// An invariant is broken; letter is CONTRIBUTING.md's. The run ends.
void sim_violated(char letter, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline bool sim_is_broken(enum sim_break one)
{
    return sim.options.broken == one;
}

// --- sim_clock.c ---------------------------------------------------------------------------------
uint64_t sim_clock_boot_us(const struct sim_node *node, uint64_t at_us);

// --- sim_net.c -----------------------------------------------------------------------------------
void sim_net_drop(struct sim_node *node, bool is_silent); // its process has ended
void sim_net_reset(struct sim_node *a, struct sim_node *b);
// When what leaves now arrives; UINT64_MAX: the way is cut.
uint64_t sim_net_arrival(unsigned from, unsigned to, size_t size_bytes);
void sim_net_set_speed(unsigned from, unsigned to, uint32_t bytes_per_ms); // 0: without a limit
void sim_net_fini(void);

// --- sim_node.c ----------------------------------------------------------------------------------
void sim_node_start(struct sim_node *node);
// Ends its process. is_power_cut: what was not synced is gone, and nobody is told.
void sim_node_kill(struct sim_node *node, bool is_power_cut);
void sim_node_turn_soon(struct sim_node *node);
void sim_node_pause(struct sim_node *node, uint64_t duration_us);
void sim_node_promote(struct sim_node *node);
struct sim_node *sim_node_by_address(const char *address);
struct sim_node *sim_node_by_id(const char *id);
struct sim_node *sim_node_leader(void); // NULL: nobody says that it leads
enum engine_fitness sim_node_fitness(void *node, struct fault *why); // an engine_fitness_fn

// --- sim_engine.c, sim_engine_local.c ------------------------------------------------------------
struct engine *sim_engine_new(struct sim_node *node);                   // gives
struct engine *sim_engine_local_new(struct sim_node *node, bool leads); // gives
// Above every epoch that is known; gives the one it leads under.
uint64_t sim_engine_local_promote(struct engine *engine, uint64_t known_epoch);
void sim_engine_local_resume(struct engine *engine);
void sim_engine_local_step_down(struct engine *engine);
