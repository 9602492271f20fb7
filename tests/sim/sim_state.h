// SPDX-License-Identifier: Apache-2.0
// A node's state in memory under the real apply, on a simulated disk, behind replication/state.h.
//
// The disk holds a base (the rows of the snapshot that it began with, or nothing), the log rows
// behind it, how many of them are written and how many synced. A process that starts makes its
// state of these, as a store does: checks, then replay. Commits wait for the sync with the `local`
// engine on core nodes alone. Log retention hides old rows from stream_read.
#pragma once

#include "replication/state.h"
#include "tests/unit/core/keys/fake_state.h"

// Of every key that is not damaged.
#define KR_SIM_KEY_CREATED_MS 1

struct sim_node;

// One record of the state: a row of a snapshot.
struct sim_row {
    uint8_t family;
    struct bytes key, value; // heap
};

struct sim_rows {
    struct sim_row *items;
    size_t count, capacity;
};

struct sim_log_row {
    uint64_t index, epoch;
    struct hash128 chain;
    bool has_effect;
    uint64_t checksum;
    struct bytes entry; // heap
};

struct sim_state {
    struct fake fake; // first: apply's verbs get it
    struct arena texts;
    struct sim_node *node;
    enum store_holding holding;
    struct store_position position;
    bool is_open, is_rotten;
    bool is_full;  // the disk: nothing more can be applied
    bool is_wrong; // it says on the disk that this state has to be replaced
    bool may_lack; // on the disk, too: a power cut may have taken some of what was here
    // the disk
    struct sim_rows base;
    struct store_position base_position;
    struct sim_log_row *log; // behind the base
    size_t log_count, log_capacity;
    size_t written_count, synced_count; // what a process leaves at its end, and what a power cut
    size_t flushing_count;              // what will be synced at the end of the flush; 0: none
    uint64_t log_first, retention;      // rows that stream_read knows
    // the snapshot being received, and the one that the next start takes
    struct sim_rows incoming, next;
    struct store_position incoming_position, next_position;
    bool has_incoming, has_next;
    unsigned incoming_safe; // rows of it that a power cut leaves
    // the next apply dies: 0 no, 1 before it is written, 2 torn, 3 after the sync
    unsigned dies;
    uint64_t written_us; // ACK_BEFORE_SYNC
};

struct sim_state *sim_state_new(struct sim_node *node, enum store_holding holding); // gives: empty
void sim_state_free(struct sim_state **state);
// A process starts over what is on the disk. False: it is damaged.
bool sim_state_open(struct sim_state *state);
// A process has ended; what is not synced is gone when is_power_cut.
void sim_state_shut(struct sim_state *state, bool is_power_cut);
void sim_state_verbs(struct sim_state *state, struct state *out);
// The node has all that there is: a power cut before is over.
void sim_state_caught_up(struct sim_state *state);
void sim_state_trim(struct sim_state *state);
// As store_flush: begins when there is something to be synced (true), and ends.
bool sim_state_flush(struct sim_state *state);
void sim_state_flushed(struct sim_state *state);

// --- sim_sums.c ----------------------------------------------------------------------------------
struct apply_state sim_state_apply_verbs(struct sim_state *state);
// The sums over all records, made anew.
void sim_state_sums(struct sim_state *state, struct hash128 out[KR_CLASS_COUNT]);
// Damages a record that followers hold; false: there is none.
bool sim_state_rot(struct sim_state *state, uint64_t chance);

// --- sim_health.c --------------------------------------------------------------------------------
void sim_state_health(struct state *out);
enum kr_err sim_state_check_room(void *ctx, uint64_t size_bytes, struct fault *fault);

// --- sim_rows.c ----------------------------------------------------------------------------------
// Appends every record of the state that a child of that holding has, in (family, key) order.
void sim_rows_save(struct sim_rows *rows, const struct fake *fake, enum store_holding holding);
// Puts the rows into an empty state; false: one cannot be read.
bool sim_rows_load(const struct sim_rows *rows, struct fake *fake);
void sim_rows_add(struct sim_rows *rows, uint8_t family, struct bytes key, struct bytes value);
void sim_rows_fini(struct sim_rows *rows);
int sim_rows_compare(uint8_t family_a, struct bytes a, uint8_t family_b, struct bytes b);
struct bytes sim_rows_copy(struct bytes bytes); // gives
