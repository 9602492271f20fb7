// SPDX-License-Identifier: Apache-2.0
// A node's links to the other nodes of its cluster: it listens for children, keeps one upstream
// while it does not lead, and passes entries, leases, acknowledgements and calls between them.
//
// The sockets under feed.h and follow.h, on the caller's uv loop, through TLS. All of it on that
// loop. Links are bounded in memory and time; each that closes leaves one line in the log and a
// count.
#pragma once

#include "core/tls/tls.h"
#include "replication/forward.h"
#include "replication/replica.h"

#define KR_PEERS_CHILDREN_MAX 1024 // links from nodes, which have shown a certificate
#define KR_PEERS_STRANGERS_MAX 128 // links that have not yet

struct uv_loop_s;
struct peers;
struct peers_call;
struct roster;

// What the node does for its links.
struct peers_owner {
    void *ctx;
    // A member's call is to be run here, since this node leads; the request is lent for the call.
    // Answered once by peers_answer, never from within.
    void (*forwarded)(void *ctx, struct peers_call *call, const struct forward_request *request);
    // This node leads, and the member is not registered, or has moved: commit a MEMBER_PUT, unless
    // one is under way. Texts lent for the call.
    void (*enlist)(void *ctx, const struct peer_member *member);
    // Another node knows a higher epoch: who leads here, or is about to, steps down. Again when
    // this node leads in spite of it.
    void (*outranked)(void *ctx, uint64_t epoch);
    // With asks_first, once: no core node that could be asked knows a higher epoch, so this node
    // leads again.
    void (*unopposed)(void *ctx);
    // Entries up to this index came from above and are applied.
    void (*applied)(void *ctx, uint64_t index);
    // The roster has heard something: receipts that wait may be complete.
    void (*heard)(void *ctx);
    // A complete snapshot lies beside the state: the node is to start again, to switch to it.
    void (*replaced)(void *ctx);
    // What the process cannot survive: an fsync failed.
    void (*fatal)(void *ctx, enum kr_err err, const struct fault *fault);
    // Validations a second, now.
    uint64_t (*validations)(void *ctx);
};

struct peers_options {
    struct uv_loop_s *loop;         // keeps
    const char *bundle_path;        // PEM: certificate, key, CA. Keeps all texts
    const char *listen, *advertise; // HOST:PORT; port 0: the system chooses. advertise "": listen
    const char *http_advertise;     // of the management API; may be ""
    const char *upstreams;          // HOST:PORT, comma-separated; may be ""
    const char *version;            // of the program
    uint64_t vault_mark;            // of a core node's newest master key, for its upstream
    const struct state *state;      // keeps
    struct replica *replica;        // keeps
    struct roster *roster;          // keeps
    // Leadership is the operator's word, so a leader asks the other core nodes what epoch they
    // know.
    bool leads_by_word;
    bool asks_first; // it led when it stopped, and does so again only when it is unopposed
    struct peers_owner owner;
};

// Reads the bundle, checks that it fits, binds. Gives. INVALID, FORBIDDEN (the bundle may be read
// by others), LOCKED (address in use): the fault names setting or file and the mend.
must_use enum kr_err peers_new(const struct peers_options *options, struct peers **out,
                               struct fault *fault);
// Who this node is, by its certificate.
const struct tls_peer *peers_own(const struct peers *peers);
// Where it listens, with the port that the system chose. Lends.
const char *peers_address(const struct peers *peers);
// The end of a turn of the loop, behind replica_turn: applies what has arrived, sends what is due.
void peers_turn(struct peers *peers);
// Entries were committed here: pushes them to the children at once.
void peers_committed(struct peers *peers);
// Reads the bundle again (SIGHUP; a changed file is noticed within a minute too): new links use it.
// What is wrong with it is logged, the old one stays, and the file is tried again.
void peers_reload(struct peers *peers);
// The engine says who leads (address "": nobody known): core nodes attach there first.
void peers_leader_is(struct peers *peers, const char *member_id, const char *peer_address);
// Closes all links, then calls closed and frees itself. Calls that wait fail first.
void peers_close(struct peers *peers, void (*closed)(void *ctx), void *ctx);

// Sends a call towards the leader. As forward_submit; done comes on the loop.
must_use enum kr_err peers_forward(struct peers *peers, const struct forward_request *request,
                                   forward_done_fn *done, void *ctx);
// Ends the calls that are on their way up, as if their deadlines had passed.
void peers_end_calls(struct peers *peers);
// Takes the call, borrows the answer.
void peers_answer(struct peers *peers, struct peers_call *call,
                  const struct forward_answer *answer);

// --- what is known -------------------------------------------------------------------------------
enum peers_reason {
    KR_PEERS_LEFT,      // the other end closed, or better was found
    KR_PEERS_SILENT,    // a deadline passed
    KR_PEERS_UNTRUSTED, // TLS: certificate, protocol
    KR_PEERS_BROKEN,    // a frame against the rules
    KR_PEERS_REFUSED,   // a Reject, either way
    KR_PEERS_DIVERGED,  // chain or digests differ
    KR_PEERS_FAILED,    // connection or disk
    KR_PEERS_STOPPING,
    KR_PEERS_REASON_COUNT
};
const char *peers_reason_text(enum peers_reason reason); // "left", …

struct peers_figures {
    uint64_t opened, closed[KR_PEERS_REASON_COUNT]; // since the start
    uint64_t children;                              // now
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
    uint64_t snapshots_sent, snapshots_received, differences;
};
void peers_figures(const struct peers *peers, struct peers_figures *out);

// A node as this one sees it. Texts lent for the visit.
struct peers_node {
    const char *id, *region, *version, *upstream_id; // upstream_id "": the leader, or unknown
    const char *state;                               // of the link: "streaming", "exporting", …
    bool is_core, is_leader, is_self, is_direct;
    uint64_t applied_index, age_ms; // age UINT64_MAX: unknown
    uint64_t round_trip_us;         // to its upstream; 0: unknown
    uint64_t validations_per_second;
    uint64_t vault_mark;                                // 0: it has none, or has not told
    uint64_t snapshot_done_bytes, snapshot_total_bytes; // 0: none under way
};
typedef void peers_node_fn(void *ctx, const struct peers_node *node);
// This node, its upstream, and everything below it that has told of itself.
void peers_each_node(const struct peers *peers, peers_node_fn *visit, void *ctx);
typedef void peers_distance_fn(void *ctx, const char *id, uint64_t round_trip_us);
// The ways from this node that were measured: to those that it may follow, by itself, and to its
// children, by them. A node may come twice.
void peers_each_distance(const struct peers *peers, peers_distance_fn *visit, void *ctx);
// "" when nobody is known to lead. Lends until the next turn.
const char *peers_leader_id(const struct peers *peers);
const char *peers_leader_http(const struct peers *peers);
bool peers_is_rebuilding(const struct peers *peers);      // its state is being replaced
uint64_t peers_known_epoch(const struct peers *peers);    // the highest that it has heard of
const char *peers_upstream_id(const struct peers *peers); // "": none

// May this node lead? Not when it was removed, or its state is wrong; with a full disk only where
// no other core node would instead.
enum engine_fitness peers_fitness(struct peers *peers, struct fault *why);
