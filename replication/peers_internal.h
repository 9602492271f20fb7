// SPDX-License-Identifier: Apache-2.0
// What the files of the peers share: children, the session with the upstream, measurements.
//
// peers_link.c has the loop's handles, peers.c what is done without them; peers_child.c the links
// of which we are the upstream; peers_session.c the one upwards and the choice of it;
// peers_measure.c the ones that only measure and ask; peers_figures.c what is told of all that.
#pragma once

#include <sys/socket.h>

#include "replication/exports.h"
#include "replication/feed.h"
#include "replication/follow.h"
#include "replication/peer_link.h"
#include "replication/peers_link.h"
#include "replication/roster.h"
#include "replication/upstream.h"

enum {
    KR_PEERS_TICK_MS = 20,
    KR_PEERS_FAIR_MS = 200,        // a tick later than this says nothing of who was silent
    KR_PEERS_STRANGERS_HOST = 32,  // of those without a certificate, from one address
    KR_PEERS_STRANGERS_MS = 10000, // in which so many of their ends are told
    KR_PEERS_STRANGERS_TOLD = 10,
    KR_PEERS_LINGER_MS = 500,     // for a Reject to be read
    KR_PEERS_MEMBERS_MS = 1000,   // how often the members are looked at
    KR_PEERS_LEASELESS_MS = 2000, // so long an upstream may have nothing to lend
    KR_PEERS_RETIRE_MS = 1000,    // so long who is left for a better one may still answer
    KR_PEERS_PROBES = 4,          // of a measurement; the best one counts
    KR_PEERS_MEASURE_MS = 2000,
    KR_PEERS_ASK_MS = 5000,        // for core nodes to say what epoch they know
    KR_PEERS_PROBES_AT_ONCE = 8,   // answers that are waited for
    KR_PEERS_MAKE_WAY_MS = 300000, // between two attempts, when nobody came of the first
    KR_PEERS_ROOM_BYTES = 1 << 20, // of entries that a leader must be able to take
    KR_PEERS_ENLISTING = 64,       // members that are being registered at once
    KR_PEERS_ENLISTING_MS = 30000, // longer than an append is on its way
};

struct peers_port; // libuv's handles

// One link of which we are the upstream.
struct peers_child {
    struct peers_child *next;
    struct peers *peers;
    struct peer_link *link;
    struct feed *feed;            // NULL before the handshake
    char host[KR_CIDR_TEXT_SIZE]; // where it comes from
    struct cidr_address address;
    uint64_t number, ended_ms;
    bool is_attached; // it was fed
    enum peers_reason reason;
    struct arena usage_arena;
    struct peer_usage usage; // of it and everything below it
};

struct peers_probe {
    uint64_t seq, sent_ns;
};

// The link upwards.
struct peers_session {
    char address[KR_STATE_ADDRESS_SIZE];
    struct peer_link *link; // NULL: lost while a snapshot is being checked
    struct follow *follow;  // NULL before the handshake
    struct tls_peer peer;
    struct peers_probe probes[KR_PEERS_PROBES_AT_ONCE];
    uint64_t retire_by_ms; // it is left for a better one by then; 0: it stays
    bool is_moving;        // closed by us, for a better one
    bool is_spoilt;        // its snapshot was not good
    enum peers_reason reason;
    uint64_t ended_ms;
};

// Does this node know whether it may lead, where that is the operator's word? See peers_measure.c.
enum peers_asking { KR_PEERS_KNOWS, KR_PEERS_ASKING, KR_PEERS_UNOPPOSED };

// How far away a candidate is, and what epoch it knows.
struct peers_measure {
    char address[KR_STATE_ADDRESS_SIZE];
    struct peer_link *link; // NULL: none under way
    uint64_t seq, sent_ns, best_us, until_ms;
    bool is_waiting;
};

// A call of a member below us, until it is answered.
struct peers_call {
    struct peers_call *next;
    struct peers *peers;
    uint64_t child_number, id;
};

struct peers {
    struct peers_options options;
    struct peers_port *port;
    struct sockaddr_storage source; // of outgoing connections; AF_UNSPEC: the system's choice
    struct tls_context *context;
    struct tls_peer own;
    struct lease lease;
    struct follow_carry carry;
    struct forward *forward;
    struct exports *exports;
    struct upstream upstream;
    struct peers_child *children; // the newest first
    uint64_t last_child, started_unix_ms;
    struct {
        uint64_t since_ms, told, untold;
    } strangers;                   // lines on links that ended before their handshake
    struct peers_session *session; // NULL: none
    struct peers_measure measure;
    enum peers_asking asking;
    uint64_t ask_until_ms;
    struct peers_call *calls;
    struct {
        char id[KR_STATE_NAME_SIZE]; // "": a free place
        uint64_t until_ms;
    } enlisting[KR_PEERS_ENLISTING]; // while this node leads
    struct arena path_arena;         // of what the upstream told
    struct texts path;               // our ancestors, nearest first
    const char *leader_id, *leader_http;
    // Made way for another core node at the end of this epoch; 0: did not. And not again before.
    uint64_t made_way_epoch, make_way_after_ms;
    bool was_leader, has_applied, is_closing, is_told_replaced;
    uint64_t last_tick_ms, members_due_ms;
    char address[KR_STATE_ADDRESS_SIZE], advertised[KR_STATE_ADDRESS_SIZE];
    struct peers_figures figures;
    struct peer_link_figures link_figures;
};

// --- peers.c -------------------------------------------------------------------------------------
struct peers *peers_make(const struct peers_options *options); // gives; who we are is not known yet
// Who we are and where is known: begins the choice of an upstream.
must_use enum kr_err peers_choose(struct peers *peers, uint64_t seed, struct fault *fault);
void peers_tick(struct peers *peers);
void peers_shut(struct peers *peers); // calls fail, links close
bool peers_is_shut(const struct peers *peers);
void peers_free(struct peers *peers); // takes; shut, or never used
bool peers_leads(const struct peers *peers);
enum peers_reason peers_reason_of(enum kr_err err);
// One line for a link that closed, and its count.
void peers_note_closed(struct peers *peers, const char *what, const char *node, const char *address,
                       enum peers_reason reason, const struct fault *fault);
// What this node's lease says, to whoever answers validations.
void peers_note_lease(struct peers *peers);
// Members → roster and candidates.
void peers_refresh_members(struct peers *peers);
// One of them → roster.
void peers_count_member(struct peers *peers, const struct state_member *member);
// A member is about to be registered here: with the commit of that it counts. False: too many are.
bool peers_expect_member(struct peers *peers, const char *id, uint64_t now_ms);

// --- peers_child.c -------------------------------------------------------------------------------
struct peer_link_options peers_child_options(struct peers *peers, struct peers_child *child);
struct peers_child *peers_child_add(struct peers *peers); // its link is the caller's to set
// Its link has been accepted: an older one that has shown no certificate may have to make room.
void peers_child_arrived(struct peers_child *child);
void peers_child_drop(struct peers_child *child); // without a link
void peers_child_tick(struct peers *peers, bool is_fair, uint64_t now_ms);
void peers_child_push(struct peers *peers, uint64_t now_ms);
// The chunks that have been read meanwhile.
void peers_child_push_snapshots(struct peers *peers, uint64_t now_ms);
void peers_child_close(struct peers_child *child, enum peers_reason reason, enum kr_err err,
                       const char *why);
// Links with nodes that have been removed from the cluster are closed.
void peers_child_check_members(struct peers *peers);
bool peers_child_is_below(void *ctx, const char *id); // ctx: the peers

// --- peers_session.c -----------------------------------------------------------------------------
void peers_session_tick(struct peers *peers, bool is_fair, uint64_t now_ms);
void peers_session_turn(struct peers *peers, uint64_t now_ms);
void peers_session_push(struct peers *peers, uint64_t now_ms);
void peers_session_close(struct peers *peers, enum peers_reason reason, enum kr_err err,
                         const char *why);
// import_finish has come back.
void peers_session_finished(struct peers *peers, enum kr_err err, const struct fault *fault);

// --- peers_measure.c -----------------------------------------------------------------------------
// What the certificate says of a candidate.
void peers_identify(struct peers *peers, const char *address, const struct tls_peer *peer);
// A node knows a higher epoch than this one.
void peers_outranked(struct peers *peers, uint64_t epoch);
// All other core nodes are to be asked anew.
void peers_ask(struct peers *peers, uint64_t now_ms);
void peers_measure_tick(struct peers *peers, uint64_t now_ms);

// --- peers_link.c --------------------------------------------------------------------------------
// Runs import_finish on another thread; peers_session_finished follows.
void peers_port_finish(struct peers *peers, struct state_import *import);
// Reads the bundle again if its file has changed, or could not be used when it was read last.
void peers_port_watch(struct peers *peers);
struct uv_loop_s *peers_port_loop(const struct peers *peers);
// The last link may have gone while closing.
void peers_port_step(struct peers *peers);
