// SPDX-License-Identifier: Apache-2.0
// The links of which this node is the upstream: each a socket and a feed.
//
// Happy path: accepted → handshake → feed → fed. A link ends by itself (the socket, a frame, a
// deadline), by the feed's refusal (its Reject is left time to be read), when the same node
// attaches anew, or with the node.
#include "replication/peers_internal.h"

#include <assert.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "replication/forward_parts.h"

// --- what the feed asks --------------------------------------------------------------------------

static void give_standing(void *ctx, uint64_t now_ms, struct feed_standing *out)
{
    struct peers *peers = ((struct peers_child *)ctx)->peers;
    const struct replica *replica = peers->options.replica;
    out->is_leader = peers_leads(peers);
    out->lease_left_ms =
        out->is_leader ? replica_lease_left_ms(replica, now_ms) : lease_left(&peers->lease, now_ms);
    out->epoch = peers->carry.known_epoch;
    out->leader_id = peers_leader_id(peers);
    out->leader_http = peers_leader_http(peers);
    if (!out->is_leader)
        out->path = peers->path;
}

static void enlist(void *ctx, const struct peer_member *member)
{
    struct peers *peers = ((struct peers_child *)ctx)->peers;
    if (peers_leads(peers)) {
        if (peers_expect_member(peers, member->id, clock_boot_ms()))
            peers->options.owner.enlist(peers->options.owner.ctx, member);
    } else if (peers->session != NULL && peers->session->follow != NULL) {
        if (follow_enlist(peers->session->follow, member) != KR_ERR_OK)
            LOG_WARN("too many nodes wait to be registered", LOG_TEXT("node", member->id));
        peers_session_push(peers, clock_boot_ms());
    }
}

// A node that comes anew is not on its old link any more, whether that knows it or not.
static void close_former(struct peers_child *child)
{
    for (struct peers_child *one = child->peers->children; one != NULL; one = one->next)
        if (one != child && one->feed != NULL &&
            strcmp(feed_child(one->feed)->id, feed_child(child->feed)->id) == 0) {
            one->is_attached = false;
            peers_child_close(one, KR_PEERS_LEFT, KR_ERR_OK, "it attached anew");
        }
}

static void attached(void *ctx, struct feed *feed, const struct peer_hello *hello)
{
    struct peers_child *child = ctx;
    struct peers *peers = child->peers;
    const struct peer_member *node = feed_child(feed);
    if (roster_member(peers->options.roster, node->id, false) != KR_ERR_OK) {
        peers_child_close(child, KR_PEERS_REFUSED, KR_ERR_TOO_LARGE, "too many nodes are known");
        return;
    }
    close_former(child);
    child->is_attached = true;
    roster_attached(peers->options.roster, node->id, hello->started_ms, hello->applied_index);
    LOG_INFO("a node attached", LOG_TEXT("node", node->id), LOG_TEXT("region", node->region),
             LOG_NUMBER("index", hello->applied_index));
}

// Of the names in an Ack those that are registered, since the members were looked at last, are
// counted one by one; so is who was removed and is still fed.
static void enroll(struct peers *peers, const struct peer_ack *ack)
{
    const struct state *state = peers->options.state;
    struct state_member member;
    for (size_t i = 0; i < ack->count; i++)
        if (!roster_has(peers->options.roster, ack->items[i].id) &&
            state->member(state->ctx, ack->items[i].id, &member))
            peers_count_member(peers, &member);
}

static void acked(void *ctx, struct feed *feed, const struct peer_ack *ack, uint64_t now_ms)
{
    struct peers *peers = ((struct peers_child *)ctx)->peers;
    enroll(peers, ack);
    roster_heard(peers->options.roster, feed_child(feed)->id, ack, now_ms);
    peers->options.owner.heard(peers->options.owner.ctx);
    if (peers->session != NULL && peers->session->follow != NULL)
        follow_report(peers->session->follow);
}

static void granted(void *ctx, struct feed *feed, uint64_t remaining_ms, uint64_t now_ms)
{
    struct peers *peers = ((struct peers_child *)ctx)->peers;
    roster_granted(peers->options.roster, feed_child(feed)->id, remaining_ms, now_ms);
}

static void used(void *ctx, struct feed *feed, const struct peer_usage *usage)
{
    struct peers_child *child = ctx;
    struct arena *arena = &child->usage_arena;
    (void)feed;
    arena_reset(arena);
    struct peer_node_usage *items = arena_alloc(arena, (usage->count + 1) * sizeof(*items));
    for (size_t i = 0; i < usage->count; i++) {
        items[i] = usage->items[i];
        items[i].id = arena_text(arena, items[i].id);
        items[i].upstream_id = arena_text(arena, items[i].upstream_id);
        items[i].version = arena_text(arena, items[i].version);
    }
    child->usage = (struct peer_usage){items, usage->count};
}

static void outranked(void *ctx, uint64_t epoch)
{
    peers_outranked(((struct peers_child *)ctx)->peers, epoch);
}

// --- calls ---------------------------------------------------------------------------------------

// The child's link may have gone meanwhile, and then nobody waits for the answer.
void peers_answer(struct peers *peers, struct peers_call *call, const struct forward_answer *answer)
{
    struct peers_call **at = &peers->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    for (struct peers_child *child = peers->children; child != NULL; child = child->next) {
        if (child->number != call->child_number || child->feed == NULL)
            continue;
        feed_answer(child->feed, call->id, answer);
        peer_link_pump(child->link, clock_boot_ms());
        break;
    }
    mem_free(call);
}

static void relayed(void *ctx, enum kr_err err, const struct forward_answer *answer)
{
    struct peers_call *call = ctx;
    struct forward_answer refusal;
    if (err != KR_ERR_OK) {
        refusal = forward_parts_refusal(err);
        answer = &refusal;
    }
    peers_answer(call->peers, call, answer);
}

static void forward(void *ctx, struct feed *feed, uint64_t id,
                    const struct forward_request *request)
{
    struct peers_child *child = ctx;
    struct peers *peers = child->peers;
    struct peers_call *call = mem_zalloc(sizeof(*call));
    (void)feed;
    *call = (struct peers_call){
        .next = peers->calls, .peers = peers, .child_number = child->number, .id = id};
    peers->calls = call;
    if (peers_leads(peers)) {
        peers->options.owner.forwarded(peers->options.owner.ctx, call, request);
        return;
    }
    // Too many wait here: it goes no further, so nothing has happened.
    if (forward_submit(peers->forward, request, relayed, call) != KR_ERR_OK)
        relayed(call, KR_ERR_NO_LEADER, NULL);
}

// --- strangers -----------------------------------------------------------------------------------
//
// Whoever reaches the listener may open links, and none of them may cost a node its place: those
// that have shown no certificate have a few places of their own, where the newest displaces the
// oldest, from its own address first.

static bool is_stranger(const struct peers_child *child)
{
    return child->feed == NULL && child->reason == KR_PEERS_REASON_COUNT;
}

// One host may have the /64 of an IPv6 address to itself.
static bool is_same_host(const struct cidr_address *a, const struct cidr_address *b)
{
    return memcmp(a->bytes, b->bytes, cidr_is_ipv4(a) ? sizeof(a->bytes) : 8) == 0;
}

void peers_child_arrived(struct peers_child *child)
{
    struct peers_child *oldest = NULL, *oldest_here = NULL;
    size_t count = 0, count_here = 0;
    peer_link_host(child->link, child->host);
    cidr_parse_address(bytes_text(child->host), &child->address);
    for (struct peers_child *one = child->peers->children; one != NULL; one = one->next) {
        if (!is_stranger(one))
            continue;
        count++;
        oldest = one;
        if (!is_same_host(&one->address, &child->address))
            continue;
        count_here++;
        oldest_here = one;
    }
    if (count_here > KR_PEERS_STRANGERS_HOST)
        oldest = oldest_here;
    else if (count <= KR_PEERS_STRANGERS_MAX)
        return;
    peers_child_close(oldest, KR_PEERS_FAILED, KR_ERR_BUSY, "too many links without a handshake");
}

static bool may_tell_stranger(struct peers *peers)
{
    if (peers->strangers.told < KR_PEERS_STRANGERS_TOLD) {
        peers->strangers.told++;
        return true;
    }
    peers->strangers.untold++;
    return false;
}

static void tick_strangers(struct peers *peers, uint64_t now_ms)
{
    if (now_ms < peers->strangers.since_ms + KR_PEERS_STRANGERS_MS)
        return;
    if (peers->strangers.untold > 0)
        LOG_WARN("more links closed before their handshake",
                 LOG_NUMBER("links", peers->strangers.untold));
    peers->strangers.since_ms = now_ms;
    peers->strangers.told = peers->strangers.untold = 0;
}

static size_t count_known(const struct peers *peers)
{
    size_t count = 0;
    for (struct peers_child *child = peers->children; child != NULL; child = child->next)
        count += child->feed != NULL;
    return count;
}

// --- what the link tells -------------------------------------------------------------------------

static void opened(void *ctx)
{
    struct peers_child *child = ctx;
    struct peers *peers = child->peers;
    if (count_known(peers) >= KR_PEERS_CHILDREN_MAX) {
        peers_child_close(child, KR_PEERS_FAILED, KR_ERR_BUSY, "too many links");
        return;
    }
    const struct tls_peer *peer = peer_link_peer(child->link);
    const struct feed_options options = {
        .state = peers->options.state,
        .exports = peers->exports,
        .owner = {.ctx = child,
                  .standing = give_standing,
                  .enlist = enlist,
                  .attached = attached,
                  .acked = acked,
                  .granted = granted,
                  .used = used,
                  .forward = forward,
                  .outranked = outranked},
        .cluster_id = peers->own.cluster_id,
        .own = {.id = peers->own.node_id,
                .region = peers->own.region,
                .role = peers->own.role == KR_TLS_ROLE_CORE ? KR_PEER_CORE : KR_PEER_FOLLOWER},
        .child = {.id = peer->node_id,
                  .region = peer->region,
                  .role = peer->role == KR_TLS_ROLE_CORE ? KR_PEER_CORE : KR_PEER_FOLLOWER},
    };
    child->feed = feed_new(&options, clock_boot_ms());
    peers->figures.opened++;
}

static enum kr_err take(void *ctx, const struct peer_frame *frame, uint64_t now_ms,
                        struct fault *fault)
{
    struct peers_child *child = ctx;
    return feed_take(child->feed, frame, now_ms, fault);
}

static enum kr_err next(void *ctx, uint64_t now_ms, struct buf *out, struct fault *fault)
{
    struct peers_child *child = ctx;
    return feed_next(child->feed, now_ms, out, fault);
}

static void note_end(struct peers_child *child, enum kr_err err, const struct fault *fault)
{
    struct peers *peers = child->peers;
    const char *node = child->feed != NULL ? feed_child(child->feed)->id : "";
    enum peers_reason reason = child->reason;
    if (reason == KR_PEERS_REASON_COUNT)
        reason = child->feed != NULL && feed_state(child->feed) == KR_FEED_ENDED
                     ? KR_PEERS_REFUSED
                     : peers_reason_of(err);
    if (child->feed != NULL && feed_state(child->feed) == KR_FEED_EXPORTED)
        peers->figures.snapshots_sent++;
    // Who only measured the way has said no Hello, and is no news.
    if (child->feed != NULL && feed_state(child->feed) == KR_FEED_HELLO && err == KR_ERR_OK)
        return;
    if (child->feed != NULL || may_tell_stranger(peers))
        peers_note_closed(peers, "a link from a node closed", node, child->host, reason, fault);
    else
        peers->figures.closed[reason]++;
}

static void closed(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct peers_child *child = ctx;
    struct peers *peers = child->peers;
    note_end(child, err, fault);
    peer_link_figures(child->link, &peers->link_figures);
    if (child->is_attached)
        roster_detached(peers->options.roster, feed_child(child->feed)->id);
    peers_child_drop(child);
    peers_port_step(peers);
}

// --- life ----------------------------------------------------------------------------------------

struct peer_link_options peers_child_options(struct peers *peers, struct peers_child *child)
{
    return (struct peer_link_options){
        .loop = peers_port_loop(peers),
        .context = peers->context,
        .events = {.opened = opened, .frame = take, .next = next, .closed = closed},
        .ctx = child};
}

struct peers_child *peers_child_add(struct peers *peers)
{
    struct peers_child *child = mem_zalloc(sizeof(*child));
    child->peers = peers;
    child->number = ++peers->last_child;
    child->reason = KR_PEERS_REASON_COUNT;
    arena_init(&child->usage_arena);
    child->next = peers->children;
    peers->children = child;
    return child;
}

void peers_child_drop(struct peers_child *child)
{
    struct peers_child **at = &child->peers->children;
    while (*at != child)
        at = &(*at)->next;
    *at = child->next;
    if (child->feed != NULL)
        feed_free(&child->feed, clock_boot_ms());
    arena_fini(&child->usage_arena);
    mem_free(child);
}

void peers_child_close(struct peers_child *child, enum peers_reason reason, enum kr_err err,
                       const char *why)
{
    struct fault fault;
    fault_set(&fault, err, "%s", why);
    child->reason = reason;
    peer_link_close(child->link, err, &fault);
}

// A refused child is left time to read why.
static void watch_end(struct peers_child *child, uint64_t now_ms)
{
    if (feed_state(child->feed) != KR_FEED_ENDED)
        return;
    if (child->ended_ms == 0)
        child->ended_ms = now_ms;
    else if (now_ms >= child->ended_ms + KR_PEERS_LINGER_MS)
        peer_link_close(child->link, KR_ERR_FORBIDDEN, NULL);
}

static void tick_one(struct peers_child *child, bool is_fair, uint64_t now_ms)
{
    struct fault fault = {0};
    peer_link_tick(child->link, is_fair, now_ms);
    if (child->feed == NULL || !peer_link_is_open(child->link))
        return;
    enum kr_err err = feed_tick(child->feed, now_ms, &fault);
    if (err != KR_ERR_OK)
        peer_link_close(child->link, err, &fault);
    peer_link_pump(child->link, now_ms);
    watch_end(child, now_ms);
}

void peers_child_tick(struct peers *peers, bool is_fair, uint64_t now_ms)
{
    for (struct peers_child *child = peers->children; child != NULL; child = child->next)
        tick_one(child, is_fair, now_ms);
    tick_strangers(peers, now_ms);
}

void peers_child_push(struct peers *peers, uint64_t now_ms)
{
    for (struct peers_child *child = peers->children; child != NULL; child = child->next)
        if (child->feed != NULL)
            peer_link_pump(child->link, now_ms);
}

void peers_child_push_snapshots(struct peers *peers, uint64_t now_ms)
{
    for (struct peers_child *child = peers->children; child != NULL; child = child->next)
        if (child->feed != NULL && feed_state(child->feed) == KR_FEED_EXPORTING)
            peer_link_pump(child->link, now_ms);
}

void peers_child_check_members(struct peers *peers)
{
    const struct state *state = peers->options.state;
    struct state_member member;
    for (struct peers_child *child = peers->children; child != NULL; child = child->next) {
        if (!child->is_attached ||
            !state->member(state->ctx, feed_child(child->feed)->id, &member) || !member.is_removed)
            continue;
        peers_count_member(peers, &member);
        peers_child_close(child, KR_PEERS_REFUSED, KR_ERR_FORBIDDEN,
                          "it was removed from the cluster");
    }
}

bool peers_child_is_below(void *ctx, const char *id)
{
    const struct peers *peers = ctx;
    for (struct peers_child *child = peers->children; child != NULL; child = child->next) {
        if (!child->is_attached)
            continue;
        if (strcmp(feed_child(child->feed)->id, id) == 0)
            return true;
        for (size_t i = 0; i < child->usage.count; i++)
            if (strcmp(child->usage.items[i].id, id) == 0)
                return true;
    }
    return false;
}
