// SPDX-License-Identifier: Apache-2.0
// Which node to follow: the nearest by measured round trip, in the own region first, never oneself
// or a node below; when to try again, what to measure, when to move, whom to ask for its epoch.
//
// Pure: the time (boot time, ms) and the seed of its chance come from outside. A follower
// takes another follower for an upstream only if that one's id is the smaller, unless nothing else
// answers: so that two never wait for each other. One thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "replication/state.h"

#define KR_UPSTREAM_MAX 512 // candidates; more are passed over
#define KR_UPSTREAM_BACKOFF_LEAST_MS 50
#define KR_UPSTREAM_BACKOFF_MOST_MS 5000
#define KR_UPSTREAM_MEASURE_MS 30000 // each candidate, when there are few
#define KR_UPSTREAM_SETTLE_MS 30000  // no move to a better one within this time of the last

struct upstream_candidate {
    char address[KR_STATE_ADDRESS_SIZE];
    char id[KR_STATE_NAME_SIZE], region[KR_STATE_NAME_SIZE]; // "": not known yet
    bool is_core, is_configured, is_member;
    uint64_t round_trip_us; // smoothed; 0: never measured
    uint32_t measured;      // how often
    bool is_missed;         // the last measure did not reach it
    uint32_t failures;      // since it last served
    uint32_t silences;      // of them, since it last answered anything
    uint32_t spoilt;        // snapshots that were not good
    uint64_t next_try_ms, next_measure_ms;
    bool is_heard;  // it has said what epoch it knows, since all were to be asked
    uint32_t asked; // how often, since then
    uint64_t next_ask_ms;
};

struct upstream_options {
    const char *own_id, *own_region, *own_address; // keeps
    bool is_core;                                  // then only core nodes are candidates
    uint64_t seed;
    bool (*is_below)(void *ctx, const char *id); // is that node a descendant?
    void *ctx;
};

struct upstream {
    struct upstream_options options;
    struct upstream_candidate candidates[KR_UPSTREAM_MAX];
    size_t count;
    struct upstream_candidate *current; // NULL: none
    uint64_t attached_ms;
    char leader_address[KR_STATE_ADDRESS_SIZE], leader_id[KR_STATE_NAME_SIZE];
    uint64_t chance;
};

void upstream_init(struct upstream *upstream, const struct upstream_options *options);
// The setting alone. As upstream_configure.
must_use enum kr_err upstream_check(const char *addresses, struct fault *fault);
// From the setting: HOST:PORT, comma-separated. INVALID names the part that is no address.
must_use enum kr_err upstream_configure(struct upstream *upstream, const char *addresses,
                                        struct fault *fault);
// The members as they are now: begin, one call each, end forgets those that are no more.
void upstream_members_begin(struct upstream *upstream);
void upstream_member(struct upstream *upstream, const struct state_member *member);
void upstream_members_end(struct upstream *upstream);
// Who leads; texts may be "".
void upstream_leader_is(struct upstream *upstream, const char *id, const char *address);

// The one to connect to now; NULL: none is due. Lends until the members change.
struct upstream_candidate *upstream_pick(struct upstream *upstream, uint64_t now_ms);
// The one to measure now; NULL: none is due. Counts it as begun.
struct upstream_candidate *upstream_pick_measure(struct upstream *upstream, uint64_t now_ms);
// The core nodes among the members are all to be asked what epoch they know.
void upstream_ask_all(struct upstream *upstream);
// The one to ask now, first the ones that were asked least; NULL: none is due. Counts it as begun.
struct upstream_candidate *upstream_pick_ask(struct upstream *upstream, uint64_t now_ms);
enum upstream_hearing {
    KR_UPSTREAM_ALL_HEARD,
    KR_UPSTREAM_ALL_ASKED, // some have not answered
    KR_UPSTREAM_SOME_UNASKED
};
enum upstream_hearing upstream_hearing(const struct upstream *upstream);
// One that is clearly better than the current one; NULL: stay.
struct upstream_candidate *upstream_better(struct upstream *upstream, uint64_t now_ms);

// What came of it, by address: candidates may have gone meanwhile.
void upstream_identified(struct upstream *upstream, const char *address,
                         const struct state_member *node);
void upstream_measured(struct upstream *upstream, const char *address, uint64_t round_trip_us);
void upstream_missed(struct upstream *upstream, const char *address); // it could not be measured
void upstream_heard(struct upstream *upstream, const char *address);
void upstream_attached(struct upstream *upstream, const char *address, uint64_t now_ms);

enum upstream_failure {
    KR_UPSTREAM_LOST,
    KR_UPSTREAM_SILENT,  // that took its time: who may answer comes before it
    KR_UPSTREAM_REFUSED, // waiting will hardly help, so the longest back-off
    KR_UPSTREAM_SPOILT   // a whole snapshot of it was not good: longer each time
};
void upstream_failed(struct upstream *upstream, const char *address, enum upstream_failure how,
                     uint64_t now_ms);
