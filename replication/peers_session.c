// SPDX-License-Identifier: Apache-2.0
// The link upwards: which node, and the session on it.
//
// Happy path: picked → connected → handshake → session → streaming, until something clearly better
// is measured. Ways it ends: the link's, the session's, this node leads, a move. Then the next
// candidate is tried, each with a back-off of its own. While a received snapshot is being checked
// no other session begins.
//
// INVARIANT. The log has one writer at a time. The replica is it from the moment at which the
// engine says that this node leads until its last append is settled, which may be long after
// another node leads; only a replica at rest leaves the log to a session. So a session begins at
// rest, takes nothing once the replica is not, and what it has gathered by then is never applied.
#include "replication/peers_internal.h"

#include <assert.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/log.h"

// --- what the session asks and tells -------------------------------------------------------------

static void introduce(void *ctx, struct peer_hello *out)
{
    struct peers *peers = ctx;
    out->cluster_id = peers->own.cluster_id;
    out->node = (struct peer_member){.id = peers->own.node_id,
                                     .region = peers->own.region,
                                     .role = peers->own.role == KR_TLS_ROLE_CORE ? KR_PEER_CORE
                                                                                 : KR_PEER_FOLLOWER,
                                     .peer_address = peers->advertised,
                                     .http_address = peers->options.http_advertise};
    out->version = peers->options.version;
    out->path = peers->path;
    out->started_ms = peers->started_unix_ms;
}

static void forget_path(struct peers *peers)
{
    peers->path = (struct texts){0};
    peers->leader_id = peers->leader_http = "";
    arena_reset(&peers->path_arena);
}

static void welcomed(void *ctx, const struct peer_welcome *welcome)
{
    struct peers *peers = ctx;
    struct arena *arena = &peers->path_arena;
    bool is_new = peers->path.count == 0;
    size_t above =
        welcome->path.count < KR_PEER_PATH_MAX ? welcome->path.count : KR_PEER_PATH_MAX - 1;
    arena_reset(arena);
    const char **items = arena_alloc(arena, (above + 1) * sizeof(*items));
    items[0] = arena_text(arena, welcome->node_id);
    for (size_t i = 0; i < above; i++)
        items[i + 1] = arena_text(arena, welcome->path.items[i]);
    peers->path = (struct texts){items, above + 1};
    peers->leader_id = arena_text(arena, welcome->leader_id);
    peers->leader_http = arena_text(arena, welcome->leader_http);
    if (!is_new)
        return;
    upstream_attached(&peers->upstream, peers->session->address, clock_boot_ms());
    LOG_INFO("attached to an upstream", LOG_TEXT("node", welcome->node_id),
             LOG_TEXT("region", welcome->region), LOG_TEXT("address", peers->session->address),
             LOG_NUMBER("index", peers->options.state->applied_index(peers->options.state->ctx)));
}

static void applied(void *ctx, uint64_t index)
{
    struct peers *peers = ctx;
    peers->has_applied = true;
    peers->options.owner.applied(peers->options.owner.ctx, index);
}

static void report(void *ctx, uint64_t now_ms, struct arena *arena, struct peer_ack *out)
{
    struct peers *peers = ctx;
    const struct state *state = peers->options.state;
    uint64_t applied = state->applied_index(state->ctx);
    bool is_core = state->holding == KR_HOLD_ALL;
    const struct roster_own own = {.applied_index = applied,
                                   .epoch = peers->carry.lease_epoch,
                                   .unflushed =
                                       is_core ? applied - state->safe_index(state->ctx) : 0};
    roster_report(peers->options.roster, &own, now_ms, arena, out);
}

static uint64_t round_trip_us(const struct peers *peers)
{
    const struct upstream_candidate *current = peers->upstream.current;
    return current != NULL ? current->round_trip_us : 0;
}

static size_t count_usage(const struct peers *peers)
{
    size_t count = 1;
    for (struct peers_child *child = peers->children; child != NULL; child = child->next)
        count += child->usage.count;
    return count < KR_PEER_NODES_MAX ? count : KR_PEER_NODES_MAX;
}

static bool is_unfit(struct peers *peers)
{
    struct fault why;
    return peers->own.role == KR_TLS_ROLE_CORE && peers_fitness(peers, &why) != KR_ENGINE_FIT;
}

static void usage(void *ctx, struct arena *arena, struct peer_usage *out)
{
    struct peers *peers = ctx;
    const struct state *state = peers->options.state;
    size_t room = count_usage(peers), count = 0;
    struct peer_node_usage *items = arena_alloc(arena, room * sizeof(*items));
    items[count++] = (struct peer_node_usage){
        .id = peers->own.node_id,
        .upstream_id = peers_upstream_id(peers),
        .version = peers->options.version,
        .vault_mark = peers->options.vault_mark,
        .applied_index = state->applied_index(state->ctx),
        .age_ms = replica_age_ms(peers->options.replica, clock_boot_ms()),
        .validations_per_second = peers->options.owner.validations(peers->options.owner.ctx),
        .round_trip_us = round_trip_us(peers),
        .is_unfit = is_unfit(peers)};
    for (struct peers_child *child = peers->children; child != NULL; child = child->next)
        for (size_t i = 0; i < child->usage.count && count < room; i++)
            items[count++] = child->usage.items[i];
    *out = (struct peer_usage){items, count};
}

static struct peers_probe *probe_at(struct peers *peers, uint64_t seq)
{
    return &peers->session->probes[seq % KR_PEERS_PROBES_AT_ONCE];
}

static void probing(void *ctx, uint64_t seq)
{
    *probe_at(ctx, seq) = (struct peers_probe){seq, clock_mono_ns()};
}

static void echoed(void *ctx, uint64_t seq)
{
    struct peers *peers = ctx;
    struct peers_probe *probe = probe_at(peers, seq);
    if (probe->seq != seq || seq == 0)
        return;
    probe->seq = 0;
    upstream_measured(&peers->upstream, peers->session->address,
                      (clock_mono_ns() - probe->sent_ns) / 1000);
}

static void differs(void *ctx, const struct fault *fault)
{
    struct peers *peers = ctx;
    const struct state *state = peers->options.state;
    struct fault unmarked;
    peers->figures.differences++;
    replica_note_doubt(peers->options.replica, true);
    peers_note_lease(peers);
    if (peers->carry.must_rebuild &&
        state->mark_wrong(state->ctx, fault->text, &unmarked) != KR_ERR_OK)
        LOG_ERROR("a restart would forget that this node's state is wrong",
                  LOG_TEXT("why", unmarked.text));
    LOG_ERROR("this node's state differs from its leader's: it answers STALE until it is rebuilt",
              LOG_TEXT("why", fault->text), LOG_TEXT("node", peers->own.node_id),
              LOG_TEXT("upstream", peers->session->peer.node_id));
}

static void received(void *ctx, struct state_import *import)
{
    struct peers *peers = ctx;
    peers->figures.snapshots_received++;
    LOG_INFO("a snapshot has arrived and is being checked",
             LOG_TEXT("upstream", peers->session->peer.node_id));
    peers_port_finish(peers, import);
}

// --- what the link tells -------------------------------------------------------------------------

// What the certificate says may already rule the node out: it is us, or no core node, or removed.
static const char *unfit(const struct peers *peers, const struct tls_peer *peer)
{
    const struct state *state = peers->options.state;
    struct state_member member;
    if (strcmp(peer->node_id, peers->own.node_id) == 0)
        return "that is this node itself";
    if (peers->own.role == KR_TLS_ROLE_CORE && peer->role != KR_TLS_ROLE_CORE)
        return "a core node's upstream is a core node";
    if (state->member(state->ctx, peer->node_id, &member) && member.is_removed)
        return "it was removed from the cluster";
    return NULL;
}

static void opened(void *ctx)
{
    struct peers *peers = ctx;
    struct peers_session *session = peers->session;
    session->peer = *peer_link_peer(session->link);
    peers_identify(peers, session->address, &session->peer);
    const char *why = unfit(peers, &session->peer);
    if (why != NULL) {
        peers_session_close(peers, KR_PEERS_REFUSED, KR_ERR_FORBIDDEN, why);
        return;
    }
    const struct follow_options options = {.state = peers->options.state,
                                           .lease = &peers->lease,
                                           .forward = peers->forward,
                                           .carry = &peers->carry,
                                           .owner = {.ctx = peers,
                                                     .introduce = introduce,
                                                     .welcomed = welcomed,
                                                     .applied = applied,
                                                     .report = report,
                                                     .usage = usage,
                                                     .probing = probing,
                                                     .echoed = echoed,
                                                     .differs = differs,
                                                     .received = received},
                                           .own_id = peers->own.node_id,
                                           .upstream_id = session->peer.node_id};
    session->follow = follow_new(&options, clock_boot_ms());
    peers->figures.opened++;
}

// False: the log is the replica's now, and the session is over.
static bool goes_on(struct peers *peers)
{
    if (replica_is_at_rest(peers->options.replica))
        return true;
    peers_session_close(peers, KR_PEERS_LEFT, KR_ERR_OK, "this node leads now");
    return false;
}

static enum kr_err take(void *ctx, const struct peer_frame *frame, uint64_t now_ms,
                        struct fault *fault)
{
    struct peers *peers = ctx;
    if (!goes_on(peers))
        return KR_ERR_OK;
    enum kr_err err = follow_take(peers->session->follow, frame, now_ms, fault);
    peers_note_lease(peers);
    if (err == KR_ERR_IO) // of the state: frames are read without any
        peers->options.owner.fatal(peers->options.owner.ctx, err, fault);
    return err;
}

static enum kr_err next(void *ctx, uint64_t now_ms, struct buf *out, struct fault *fault)
{
    struct peers *peers = ctx;
    return peers->session->follow != NULL ? follow_next(peers->session->follow, now_ms, out, fault)
                                          : KR_ERR_NOT_FOUND;
}

// Is it of no use to come back soon?
static bool is_for_good(const struct peers_session *session, enum kr_err err)
{
    enum peer_reject_code code =
        session->follow != NULL ? follow_reject(session->follow) : (enum peer_reject_code)0;
    switch (code) {
    case KR_PEER_OTHER_CLUSTER:
    case KR_PEER_NOT_A_MEMBER:
    case KR_PEER_DIVERGED:
    case KR_PEER_OTHER_LEVEL:
    case KR_PEER_OTHER_HOLDING:
        return true;
    case KR_PEER_FROM_FUTURE:
    case KR_PEER_DESCENDANT:
    case KR_PEER_OLD_EPOCH:
    case KR_PEER_NOT_READY:
        return false;
    }
    // It would send the same again: an entry of a later version, for one.
    return err == KR_ERR_UNAUTHORIZED || err == KR_ERR_DISK_FULL ||
           peers_reason_of(err) == KR_PEERS_BROKEN || session->reason == KR_PEERS_REFUSED;
}

static enum upstream_failure failure_of(const struct peers_session *session, enum kr_err err)
{
    if (session->is_spoilt)
        return KR_UPSTREAM_SPOILT;
    if (is_for_good(session, err))
        return KR_UPSTREAM_REFUSED;
    // Who is cut off itself, and was left for that, does answer.
    bool was_left = session->reason != KR_PEERS_REASON_COUNT;
    return err == KR_ERR_TIMEOUT && !was_left ? KR_UPSTREAM_SILENT : KR_UPSTREAM_LOST;
}

static void free_session(struct peers *peers)
{
    if (peers->session->follow != NULL)
        follow_free(&peers->session->follow);
    mem_free(peers->session);
    peers->session = NULL;
}

static enum peers_reason reason_of(const struct peers_session *session, enum kr_err err)
{
    enum peer_reject_code code =
        session->follow != NULL ? follow_reject(session->follow) : (enum peer_reject_code)0;
    if (session->reason != KR_PEERS_REASON_COUNT)
        return session->reason;
    if (code == KR_PEER_DIVERGED)
        return KR_PEERS_DIVERGED;
    return code != 0 ? KR_PEERS_REFUSED : peers_reason_of(err);
}

static void closed(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct peers *peers = ctx;
    struct peers_session *session = peers->session;
    uint64_t now_ms = clock_boot_ms();
    enum peers_reason reason = reason_of(session, err);
    if (reason == KR_PEERS_DIVERGED) // one of the two is wrong
        replica_note_doubt(peers->options.replica, true);
    peers_note_closed(peers, "the link to an upstream closed", session->peer.node_id,
                      session->address, reason, fault);
    peer_link_figures(session->link, &peers->link_figures);
    session->link = NULL;
    if (!session->is_moving)
        upstream_failed(&peers->upstream, session->address, failure_of(session, err), now_ms);
    forward_lost(peers->forward);
    forget_path(peers);
    if (session->follow == NULL || follow_state(session->follow) != KR_FOLLOW_FINISHING)
        free_session(peers);
    peers_port_step(peers);
}

// Elected while it was being checked: what this node leads by is newer.
static void drop_snapshot(struct peers *peers)
{
    const struct state *state = peers->options.state;
    struct fault fault = {0};
    LOG_WARN("a snapshot is dropped: this node leads now",
             LOG_NUMBER("index", state->applied_index(state->ctx)));
    if (state->import_drop(state->ctx, &fault) != KR_ERR_OK)
        peers->options.owner.fatal(peers->options.owner.ctx, fault.err, &fault);
    else if (peers->session->link == NULL)
        free_session(peers);
}

bool peers_is_rebuilding(const struct peers *peers)
{
    const struct peers_session *session = peers->session;
    if (peers->carry.must_rebuild)
        return true;
    if (session == NULL || session->follow == NULL)
        return false;
    enum follow_state state = follow_state(session->follow);
    return state >= KR_FOLLOW_REQUESTING && state <= KR_FOLLOW_REPLACED;
}

uint64_t peers_known_epoch(const struct peers *peers)
{
    return peers->carry.known_epoch;
}

void peers_session_finished(struct peers *peers, enum kr_err err, const struct fault *fault)
{
    struct peers_session *session = peers->session;
    struct fault own = {0};
    err = follow_finished(session->follow, err, fault, clock_boot_ms(), &own);
    if (err == KR_ERR_OK && !replica_is_at_rest(peers->options.replica)) {
        drop_snapshot(peers);
        return;
    }
    if (err == KR_ERR_OK && peers->is_closing) { // the next start opens it
        if (session->link == NULL)
            free_session(peers);
        return;
    }
    if (err == KR_ERR_OK) {
        LOG_INFO("the snapshot is good; this node starts again with it",
                 LOG_TEXT("upstream", session->peer.node_id));
        peers->options.owner.replaced(peers->options.owner.ctx);
        return;
    }
    LOG_ERROR("the snapshot is not good and was dropped", LOG_TEXT("why", own.text));
    session->is_spoilt = true;
    if (session->link != NULL) {
        peer_link_close(session->link, err, &own);
        return;
    }
    upstream_failed(&peers->upstream, session->address, KR_UPSTREAM_SPOILT, clock_boot_ms());
    free_session(peers);
}

// --- life ----------------------------------------------------------------------------------------

static void begin(struct peers *peers, const struct upstream_candidate *candidate)
{
    const struct peer_link_options options = {
        .loop = peers_port_loop(peers),
        .context = peers->context,
        .source = &peers->source,
        .events = {.opened = opened, .frame = take, .next = next, .closed = closed},
        .ctx = peers};
    peers->session = mem_zalloc(sizeof(*peers->session));
    peers->session->reason = KR_PEERS_REASON_COUNT;
    snprintf(peers->session->address, sizeof(peers->session->address), "%s", candidate->address);
    peers->session->link = peer_link_connect(&options, candidate->address);
}

void peers_session_close(struct peers *peers, enum peers_reason reason, enum kr_err err,
                         const char *why)
{
    struct peers_session *session = peers->session;
    struct fault fault;
    if (session == NULL)
        return;
    if (session->link == NULL) {
        if (follow_state(session->follow) != KR_FOLLOW_FINISHING)
            free_session(peers);
        return;
    }
    fault_set(&fault, err, "%s", why);
    session->reason = reason;
    peer_link_close(session->link, err, &fault);
}

void peers_session_push(struct peers *peers, uint64_t now_ms)
{
    if (peers->session != NULL && peers->session->link != NULL)
        peer_link_pump(peers->session->link, now_ms);
}

void peers_session_turn(struct peers *peers, uint64_t now_ms)
{
    struct peers_session *session = peers->session;
    struct fault fault = {0};
    if (session == NULL || session->follow == NULL || session->link == NULL ||
        !peer_link_is_open(session->link) || !goes_on(peers))
        return;
    enum kr_err err = follow_turn(session->follow, now_ms, &fault);
    peers_note_lease(peers);
    if (err == KR_ERR_OK) {
        peer_link_pump(session->link, now_ms);
        return;
    }
    if (err == KR_ERR_IO)
        peers->options.owner.fatal(peers->options.owner.ctx, err, &fault);
    peer_link_close(session->link, err, &fault);
}

// --- time ----------------------------------------------------------------------------------------

// Who left of itself has said why, and gives the words time to arrive.
static void watch_end(struct peers *peers, uint64_t now_ms)
{
    struct peers_session *session = peers->session;
    if (follow_state(session->follow) != KR_FOLLOW_ENDED)
        return;
    if (session->ended_ms == 0)
        session->ended_ms = now_ms;
    else if (now_ms >= session->ended_ms + KR_PEERS_LINGER_MS)
        peers_session_close(peers, KR_PEERS_REFUSED, KR_ERR_FORBIDDEN,
                            "this node does not follow that one");
}

static void tick_link(struct peers *peers, bool is_fair, uint64_t now_ms)
{
    struct peers_session *session = peers->session;
    struct fault fault = {0};
    peer_link_tick(session->link, is_fair, now_ms);
    if (session->follow == NULL || !peer_link_is_open(session->link))
        return;
    enum kr_err err = follow_tick(session->follow, now_ms, &fault);
    if (err != KR_ERR_OK)
        peer_link_close(session->link, err, &fault);
    peer_link_pump(session->link, now_ms);
    watch_end(peers, now_ms);
}

// An upstream that is cut off itself answers, and has nothing to lend: another one may have.
static bool is_cut_off(const struct peers *peers, uint64_t now_ms)
{
    struct follow_figures figures;
    follow_figures(peers->session->follow, &figures);
    return figures.leaseless_since_ms != 0 &&
           now_ms >= figures.leaseless_since_ms + KR_PEERS_LEASELESS_MS;
}

static void look_for_better(struct peers *peers, uint64_t now_ms)
{
    const struct upstream_candidate *better = upstream_better(&peers->upstream, now_ms);
    if (better == NULL)
        return;
    LOG_INFO("a better upstream was found", LOG_TEXT("address", better->address),
             LOG_NUMBER("roundTripUs", better->round_trip_us));
    peers->session->retire_by_ms = now_ms + KR_PEERS_RETIRE_MS;
}

// Not before the calls on it are answered: nobody would know what has become of them.
static void retire(struct peers *peers, uint64_t now_ms)
{
    struct peers_session *session = peers->session;
    if (!forward_retire(peers->forward) && now_ms < session->retire_by_ms)
        return;
    session->is_moving = true;
    peers_session_close(peers, KR_PEERS_LEFT, KR_ERR_OK, "a better upstream was found");
}

// While a snapshot is on its way, moving would only delay it.
static void consider_moving(struct peers *peers, uint64_t now_ms)
{
    struct peers_session *session = peers->session;
    if (session->follow == NULL || follow_state(session->follow) != KR_FOLLOW_STREAMING)
        return;
    if (is_cut_off(peers, now_ms)) {
        peers_session_close(peers, KR_PEERS_SILENT, KR_ERR_TIMEOUT,
                            "it is cut off from the leader itself");
        return;
    }
    if (session->retire_by_ms == 0)
        look_for_better(peers, now_ms);
    if (session->retire_by_ms != 0)
        retire(peers, now_ms);
}

void peers_session_tick(struct peers *peers, bool is_fair, uint64_t now_ms)
{
    forward_tick(peers->forward, now_ms);
    if (peers_leads(peers))
        forward_end_waiting(peers->forward);
    if (peers->session == NULL && replica_is_at_rest(peers->options.replica) &&
        peers->asking == KR_PEERS_KNOWS && !peers->is_closing) {
        const struct upstream_candidate *candidate = upstream_pick(&peers->upstream, now_ms);
        if (candidate != NULL)
            begin(peers, candidate);
    } else if (peers->session != NULL && peers->session->link != NULL) {
        if (goes_on(peers))
            consider_moving(peers, now_ms);
        tick_link(peers, is_fair, now_ms);
    }
}
