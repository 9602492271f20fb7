// SPDX-License-Identifier: Apache-2.0
// The peers but for their handles: what all files of theirs use, and what each turn and tick does.
#include <assert.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "replication/peers_internal.h"

// --- what all files use --------------------------------------------------------------------------

bool peers_leads(const struct peers *peers)
{
    return replica_is_leader(peers->options.replica);
}

enum peers_reason peers_reason_of(enum kr_err err)
{
    if (err == KR_ERR_OK)
        return KR_PEERS_LEFT;
    if (err == KR_ERR_TIMEOUT)
        return KR_PEERS_SILENT;
    if (err == KR_ERR_UNAUTHORIZED)
        return KR_PEERS_UNTRUSTED;
    if (err == KR_ERR_FORBIDDEN)
        return KR_PEERS_REFUSED;
    if (err == KR_ERR_INVALID || err == KR_ERR_TOO_LARGE || err == KR_ERR_VERSION)
        return KR_PEERS_BROKEN;
    if (err == KR_ERR_CONFLICT || err == KR_ERR_CORRUPT)
        return KR_PEERS_DIVERGED;
    return KR_PEERS_FAILED;
}

void peers_note_closed(struct peers *peers, const char *what, const char *node, const char *address,
                       enum peers_reason reason, const struct fault *fault)
{
    bool is_calm = reason == KR_PEERS_LEFT || reason == KR_PEERS_STOPPING;
    bool is_told = fault != NULL && fault->text[0] != '\0';
    peers->figures.closed[reason]++;
    LOG_WITH(is_calm ? KR_LOG_INFO : KR_LOG_WARN, what, LOG_TEXT("node", node),
             LOG_TEXT("address", address), LOG_TEXT("reason", peers_reason_text(reason)),
             LOG_TEXT("why", is_told ? fault->text : "the other end closed"));
}

// A lease says that this node has all that its upstream has: a doubt is over with it.
void peers_note_lease(struct peers *peers)
{
    struct replica *replica = peers->options.replica;
    if (peers_leads(peers))
        return;
    uint64_t until_ms = peers->carry.must_rebuild ? 0 : lease_until(&peers->lease);
    replica_note_lease(replica, until_ms);
    if (until_ms > 0)
        replica_note_doubt(replica, false);
}

void peers_count_member(struct peers *peers, const struct state_member *member)
{
    if (roster_member(peers->options.roster, member->id, member->is_removed) != KR_ERR_OK)
        LOG_WARN("too many members", LOG_TEXT("node", member->id));
}

static void note_member(void *ctx, const struct state_member *member)
{
    struct peers *peers = ctx;
    upstream_member(&peers->upstream, member);
    peers_count_member(peers, member);
}

void peers_refresh_members(struct peers *peers)
{
    const struct state *state = peers->options.state;
    upstream_members_begin(&peers->upstream);
    state->each_member(state->ctx, note_member, peers);
    upstream_members_end(&peers->upstream);
    peers_child_check_members(peers);
}

// Nobody is fed before the entry that registers him. Who counts from its commit on is passed over
// by no receipt of a later entry; the look at all members, once a second, may come behind one.
bool peers_expect_member(struct peers *peers, const char *id, uint64_t now_ms)
{
    size_t place = KR_PEERS_ENLISTING;
    for (size_t i = 0; i < KR_PEERS_ENLISTING; i++) {
        bool is_free = peers->enlisting[i].id[0] == '\0' || now_ms >= peers->enlisting[i].until_ms;
        bool is_same = strcmp(peers->enlisting[i].id, id) == 0;
        if (is_same || (is_free && place == KR_PEERS_ENLISTING))
            place = i;
        if (is_same)
            break;
    }
    if (place == KR_PEERS_ENLISTING || strlen(id) >= KR_STATE_NAME_SIZE)
        return false;
    snprintf(peers->enlisting[place].id, sizeof(peers->enlisting[place].id), "%s", id);
    peers->enlisting[place].until_ms = now_ms + KR_PEERS_ENLISTING_MS;
    return true;
}

static void count_expected(struct peers *peers)
{
    const struct state *state = peers->options.state;
    struct state_member member;
    for (size_t i = 0; i < KR_PEERS_ENLISTING; i++) {
        char *id = peers->enlisting[i].id;
        if (id[0] == '\0' || !state->member(state->ctx, id, &member))
            continue;
        peers_count_member(peers, &member);
        id[0] = '\0';
    }
}

// --- who may lead --------------------------------------------------------------------------------

// Another core node that follows this one, and says that it would lead.
static bool has_heir(const struct peers *peers)
{
    for (const struct peers_child *child = peers->children; child != NULL; child = child->next) {
        bool is_fed = child->is_attached && feed_state(child->feed) == KR_FEED_STREAMING;
        if (is_fed && feed_child(child->feed)->role == KR_PEER_CORE && child->usage.count > 0 &&
            !child->usage.items[0].is_unfit)
            return true;
    }
    return false;
}

// With a full disk. Where nobody has come of it, another attempt would cost more than it may bring.
static bool makes_way(struct peers *peers)
{
    if (!peers_leads(peers) || !has_heir(peers) || clock_boot_ms() < peers->make_way_after_ms)
        return false;
    peers->made_way_epoch = replica_epoch(peers->options.replica);
    return true;
}

// It leads again, and nobody is known to have led meanwhile.
static void note_return(struct peers *peers, uint64_t now_ms)
{
    if (peers->made_way_epoch != 0 && peers->made_way_epoch == peers->carry.known_epoch)
        peers->make_way_after_ms = now_ms + KR_PEERS_MAKE_WAY_MS;
    peers->made_way_epoch = 0;
}

enum engine_fitness peers_fitness(struct peers *peers, struct fault *why)
{
    const struct state *state = peers->options.state;
    struct state_member own;
    if (state->member(state->ctx, peers->own.node_id, &own) && own.is_removed) {
        fault_set(why, KR_ERR_FORBIDDEN, "%s was removed from the cluster", peers->own.node_id);
        return KR_ENGINE_UNFIT;
    }
    if (peers_is_rebuilding(peers)) {
        fault_set(why, KR_ERR_CORRUPT, "this node's state has to be replaced by a snapshot");
        return KR_ENGINE_UNFIT;
    }
    if (state->check_room(state->ctx, KR_PEERS_ROOM_BYTES, why) == KR_ERR_OK) {
        peers->make_way_after_ms = 0; // when the disk is full again, that is another story
        return KR_ENGINE_FIT;
    }
    return makes_way(peers) ? KR_ENGINE_UNFIT : KR_ENGINE_LAST_RESORT;
}

// --- life ----------------------------------------------------------------------------------------

struct peers *peers_make(const struct peers_options *options)
{
    struct peers *peers = mem_zalloc(sizeof(*peers));
    peers->options = *options;
    peers->leader_id = peers->leader_http = "";
    peers->started_unix_ms = (uint64_t)clock_unix_ms();
    peers->last_tick_ms = clock_boot_ms();
    peers->forward = forward_new();
    peers->exports = exports_new(options->state);
    arena_init(&peers->path_arena);
    return peers;
}

enum kr_err peers_choose(struct peers *peers, uint64_t seed, struct fault *fault)
{
    const struct state *state = peers->options.state;
    const struct upstream_options options = {.own_id = peers->own.node_id,
                                             .own_region = peers->own.region,
                                             .own_address = peers->advertised,
                                             .is_core = peers->own.role == KR_TLS_ROLE_CORE,
                                             .seed = seed,
                                             .is_below = peers_child_is_below,
                                             .ctx = peers};
    upstream_init(&peers->upstream, &options);
    enum kr_err err = upstream_configure(&peers->upstream, peers->options.upstreams, fault);
    if (err != KR_ERR_OK)
        return err;
    lease_init(&peers->lease, state->applied_index(state->ctx), clock_boot_ms());
    peers->carry.must_rebuild = state->is_wrong(state->ctx);
    if (peers->carry.must_rebuild) {
        replica_note_doubt(peers->options.replica, true);
        LOG_WARN("this node's state differed from its leader's when it stopped: it answers STALE, "
                 "and leads nobody, until it is rebuilt",
                 LOG_TEXT("node", peers->own.node_id));
    }
    peers_refresh_members(peers);
    if (peers->options.asks_first) {
        peers->asking = KR_PEERS_ASKING;
        peers_ask(peers, clock_boot_ms());
    }
    return KR_ERR_OK;
}

void peers_shut(struct peers *peers)
{
    assert(!peers->is_closing);
    peers->is_closing = true;
    peers_end_calls(peers);
    for (struct peers_child *child = peers->children; child != NULL; child = child->next)
        peers_child_close(child, KR_PEERS_STOPPING, KR_ERR_OK, "this node stops");
    peers_session_close(peers, KR_PEERS_STOPPING, KR_ERR_OK, "this node stops");
    if (peers->measure.link != NULL)
        peer_link_close(peers->measure.link, KR_ERR_OK, NULL);
}

bool peers_is_shut(const struct peers *peers)
{
    return peers->is_closing && peers->children == NULL && peers->session == NULL &&
           peers->measure.link == NULL;
}

void peers_free(struct peers *peers)
{
    exports_free(&peers->exports);
    forward_free(&peers->forward);
    arena_fini(&peers->path_arena);
    mem_free(peers);
}

// --- turns ---------------------------------------------------------------------------------------

// A change of leadership: from now on the other rules hold.
static void watch_leadership(struct peers *peers, uint64_t now_ms)
{
    const struct state *state = peers->options.state;
    bool is_leader = peers_leads(peers);
    if (is_leader == peers->was_leader)
        return;
    peers->was_leader = is_leader;
    if (is_leader) {
        uint64_t epoch = replica_epoch(peers->options.replica);
        note_return(peers, now_ms);
        roster_take_over(peers->options.roster, epoch, state->applied_index(state->ctx), now_ms);
        if (epoch < peers->carry.known_epoch)
            peers->options.owner.outranked(peers->options.owner.ctx, peers->carry.known_epoch);
        else
            peers->carry.known_epoch = epoch;
        peers_ask(peers, now_ms);
        replica_note_doubt(peers->options.replica, false);
    } else {
        const struct replica_known known = replica_known(peers->options.replica);
        lease_led(&peers->lease, state->applied_index(state->ctx), known.until_ms);
    }
    peers_refresh_members(peers);
}

void peers_tick(struct peers *peers)
{
    uint64_t now_ms = clock_boot_ms();
    bool is_fair = now_ms < peers->last_tick_ms + KR_PEERS_FAIR_MS;
    peers->last_tick_ms = now_ms;
    watch_leadership(peers, now_ms);
    if (now_ms >= peers->members_due_ms) {
        peers->members_due_ms = now_ms + KR_PEERS_MEMBERS_MS;
        peers_refresh_members(peers);
    }
    exports_tick(peers->exports, now_ms);
    peers_child_tick(peers, is_fair, now_ms);
    if (!peers->is_closing)
        peers_measure_tick(peers, now_ms);
    peers_session_tick(peers, is_fair, now_ms);
}

void peers_turn(struct peers *peers)
{
    uint64_t now_ms = clock_boot_ms();
    if (peers->is_closing)
        return;
    watch_leadership(peers, now_ms);
    peers_session_turn(peers, now_ms);
    if (peers->has_applied)
        peers_child_push(peers, now_ms);
    else
        peers_child_push_snapshots(peers, now_ms);
    peers->has_applied = false;
}

void peers_committed(struct peers *peers)
{
    const struct state *state = peers->options.state;
    uint64_t now_ms = clock_boot_ms();
    watch_leadership(peers, now_ms);
    count_expected(peers);
    if (peers->was_leader)
        roster_committed(peers->options.roster, state->applied_index(state->ctx), now_ms);
    peers_child_push(peers, now_ms);
}

// --- what the node tells -------------------------------------------------------------------------

const struct tls_peer *peers_own(const struct peers *peers)
{
    return &peers->own;
}

const char *peers_address(const struct peers *peers)
{
    return peers->address;
}

void peers_leader_is(struct peers *peers, const char *member_id, const char *peer_address)
{
    upstream_leader_is(&peers->upstream, member_id, peer_address);
}

enum kr_err peers_forward(struct peers *peers, const struct forward_request *request,
                          forward_done_fn *done, void *ctx)
{
    enum kr_err err = forward_submit(peers->forward, request, done, ctx);
    if (err == KR_ERR_OK)
        peers_session_push(peers, clock_boot_ms());
    return err;
}

void peers_end_calls(struct peers *peers)
{
    forward_tick(peers->forward, UINT64_MAX);
}
