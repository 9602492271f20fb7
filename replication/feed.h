// SPDX-License-Identifier: Apache-2.0
// One attached child: what it is sent, and what is made of what it says. We are its upstream.
//
// A pure machine: takes frames and the time (boot time, ms), gives frames when asked for the
// next one, which is asked only while the link has room: so a slow child costs nobody but itself.
// It reads the state, never changes it. Control loop only.
#pragma once

#include "proto/peer.h"
#include "replication/exports.h"
#include "replication/forward_serve.h"
#include "replication/state.h"

#define KR_FEED_WINDOW_BYTES (4u << 20) // of entries sent and not acknowledged
#define KR_FEED_HELLO_MS 5000           // to be welcomed or offered a snapshot
#define KR_FEED_DIGEST_MS 1000
#define KR_FEED_OFFER_MS 30000 // for an offered snapshot to be asked for

struct feed;

// This node at one moment. Texts lent until the verb is called again.
struct feed_standing {
    bool is_leader;
    uint64_t lease_left_ms; // what a lease granted now may still last
    uint64_t epoch;         // the highest that is known here
    const char *leader_id, *leader_http;
    struct texts path; // our ancestors, nearest first
};

// What a feed asks of the node around it.
struct feed_owner {
    void *ctx;
    void (*standing)(void *ctx, uint64_t now_ms, struct feed_standing *out);
    // Sees to it that the member comes into the state, here or further up; may be asked again.
    void (*enlist)(void *ctx, const struct peer_member *member);
    // The child is about to be fed, from behind the index in its Hello.
    void (*attached)(void *ctx, struct feed *feed, const struct peer_hello *hello);
    void (*acked)(void *ctx, struct feed *feed, const struct peer_ack *ack, uint64_t now_ms);
    // A lease of so many milliseconds is on its way to the child.
    void (*granted)(void *ctx, struct feed *feed, uint64_t remaining_ms, uint64_t now_ms);
    void (*used)(void *ctx, struct feed *feed, const struct peer_usage *usage);
    void (*forward)(void *ctx, struct feed *feed, uint64_t id,
                    const struct forward_request *request);
    // The child knows a higher epoch than this node: whoever leads here leads no more.
    void (*outranked)(void *ctx, uint64_t epoch);
};

struct feed_options {
    const struct state *state; // keeps
    struct exports *exports;   // keeps
    struct feed_owner owner;
    // Keeps the texts: this node, and what the child's certificate says.
    const char *cluster_id;
    struct peer_member own, child; // addresses are not looked at
};

enum feed_state {
    KR_FEED_HELLO,
    KR_FEED_ENLISTING,
    KR_FEED_STREAMING,
    KR_FEED_OFFERING,
    KR_FEED_EXPORTING,
    KR_FEED_EXPORTED,
    KR_FEED_REJECTING,
    KR_FEED_ENDED
};

struct feed *feed_new(const struct feed_options *options, uint64_t now_ms); // gives
// An unfinished snapshot stays with the exports for a while.
void feed_free(struct feed **feed, uint64_t now_ms);

// On an error the link is to be closed: the fault says why. The frame is borrowed.
must_use enum kr_err feed_take(struct feed *feed, const struct peer_frame *frame, uint64_t now_ms,
                               struct fault *fault);
// Appends the next frame, at most KR_PEER_FRAME_MAX and its head. NOT_FOUND: nothing to send. Other
// errors: the link is to be closed.
must_use enum kr_err feed_next(struct feed *feed, uint64_t now_ms, struct buf *out,
                               struct fault *fault);
// Deadlines and what waits for the state; call it each tick. As feed_take.
must_use enum kr_err feed_tick(struct feed *feed, uint64_t now_ms, struct fault *fault);
void feed_answer(struct feed *feed, uint64_t id, const struct forward_answer *answer);

enum feed_state feed_state(const struct feed *feed);
const char *feed_state_text(enum feed_state state);            // "streaming", …
const struct peer_member *feed_child(const struct feed *feed); // lends; addresses after its Hello
const char *feed_version(const struct feed *feed);             // of its program; "" before Hello
uint64_t feed_acked_index(const struct feed *feed);
// Of the snapshot under way; zeroes when there is none.
void feed_progress(const struct feed *feed, struct state_export_progress *out);
