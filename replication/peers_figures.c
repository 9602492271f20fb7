// SPDX-License-Identifier: Apache-2.0
// What the peers tell of themselves: counts, and the nodes as seen from here.
#include "replication/peers_internal.h"

#include "core/base/clock.h"

const char *peers_reason_text(enum peers_reason reason)
{
    static const char *const texts[] = {
        [KR_PEERS_LEFT] = "left",           [KR_PEERS_SILENT] = "silent",
        [KR_PEERS_UNTRUSTED] = "untrusted", [KR_PEERS_BROKEN] = "broken",
        [KR_PEERS_REFUSED] = "refused",     [KR_PEERS_DIVERGED] = "diverged",
        [KR_PEERS_FAILED] = "failed",       [KR_PEERS_STOPPING] = "stopping",
    };
    return texts[reason];
}

void peers_figures(const struct peers *peers, struct peers_figures *out)
{
    struct peer_link_figures sum = peers->link_figures;
    *out = peers->figures;
    for (struct peers_child *child = peers->children; child != NULL; child = child->next) {
        out->children += child->is_attached;
        peer_link_figures(child->link, &sum);
    }
    if (peers->session != NULL && peers->session->link != NULL)
        peer_link_figures(peers->session->link, &sum);
    out->frames_in = sum.frames_in;
    out->frames_out = sum.frames_out;
    out->bytes_in = sum.bytes_in;
    out->bytes_out = sum.bytes_out;
}

const char *peers_leader_id(const struct peers *peers)
{
    return peers_leads(peers) ? peers->own.node_id : peers->leader_id;
}

const char *peers_leader_http(const struct peers *peers)
{
    return peers_leads(peers) ? peers->options.http_advertise : peers->leader_http;
}

const char *peers_upstream_id(const struct peers *peers)
{
    return !peers_leads(peers) && peers->path.count > 0 ? peers->path.items[0] : "";
}

// --- nodes ---------------------------------------------------------------------------------------

static void visit_self(const struct peers *peers, peers_node_fn *visit, void *ctx)
{
    const struct state *state = peers->options.state;
    const struct peers_session *session = peers->session;
    const struct upstream_candidate *current = peers->upstream.current;
    struct follow_figures follow = {0};
    bool has_session = session != NULL && session->follow != NULL;
    if (has_session)
        follow_figures(session->follow, &follow);
    const struct peers_node node = {
        .id = peers->own.node_id,
        .region = peers->own.region,
        .version = peers->options.version,
        .vault_mark = peers->options.vault_mark,
        .upstream_id = peers_upstream_id(peers),
        .state = peers_leads(peers) ? "leading"
                 : has_session      ? follow_state_text(follow_state(session->follow))
                                    : "seeking",
        .is_core = peers->own.role == KR_TLS_ROLE_CORE,
        .is_leader = peers_leads(peers),
        .is_self = true,
        .applied_index = state->applied_index(state->ctx),
        .age_ms = replica_age_ms(peers->options.replica, clock_boot_ms()),
        .round_trip_us = current != NULL ? current->round_trip_us : 0,
        .validations_per_second = peers->options.owner.validations(peers->options.owner.ctx),
        .snapshot_done_bytes = follow.snapshot_bytes,
        .snapshot_total_bytes = follow.snapshot_total_bytes};
    visit(ctx, &node);
}

static void visit_upstream(const struct peers *peers, peers_node_fn *visit, void *ctx)
{
    const struct peers_session *session = peers->session;
    struct follow_figures follow;
    if (session == NULL || session->follow == NULL || peers->path.count == 0)
        return;
    follow_figures(session->follow, &follow);
    const struct peers_node node = {
        .id = session->peer.node_id,
        .region = session->peer.region,
        .version = "",
        .upstream_id = peers->path.count > 1 ? peers->path.items[1] : "",
        .state = "upstream",
        .is_core = session->peer.role == KR_TLS_ROLE_CORE,
        .is_leader = strcmp(session->peer.node_id, peers->leader_id) == 0,
        .is_direct = true,
        .applied_index = follow.commit_index,
        .age_ms = UINT64_MAX};
    visit(ctx, &node);
}

// A node's role and region are in the state; what is not there is not said.
static void visit_below(const struct peers *peers, const struct peers_child *child,
                        const struct peer_node_usage *usage, peers_node_fn *visit, void *ctx)
{
    const struct state *state = peers->options.state;
    struct state_member member = {0};
    struct state_export_progress progress = {0};
    bool is_direct = strcmp(usage->id, feed_child(child->feed)->id) == 0;
    state->member(state->ctx, usage->id, &member);
    if (is_direct)
        feed_progress(child->feed, &progress);
    const struct peers_node node = {
        .id = usage->id,
        .region = member.region,
        .version = usage->version,
        .vault_mark = usage->vault_mark,
        .upstream_id = usage->upstream_id,
        .state = is_direct ? feed_state_text(feed_state(child->feed)) : "streaming",
        .is_core = member.is_core,
        .is_direct = is_direct,
        .applied_index = is_direct ? feed_acked_index(child->feed) : usage->applied_index,
        .age_ms = usage->age_ms,
        .round_trip_us = usage->round_trip_us,
        .validations_per_second = usage->validations_per_second,
        .snapshot_done_bytes = progress.done_bytes,
        .snapshot_total_bytes = progress.total_bytes};
    visit(ctx, &node);
}

void peers_each_node(const struct peers *peers, peers_node_fn *visit, void *ctx)
{
    visit_self(peers, visit, ctx);
    visit_upstream(peers, visit, ctx);
    for (struct peers_child *child = peers->children; child != NULL; child = child->next) {
        if (child->feed == NULL || feed_state(child->feed) <= KR_FEED_ENLISTING)
            continue;
        // Before it has told of itself, or when it takes a snapshot, only its name is known.
        const struct peer_node_usage itself = {.id = feed_child(child->feed)->id,
                                               .upstream_id = peers->own.node_id,
                                               .version = feed_version(child->feed),
                                               .applied_index = feed_acked_index(child->feed),
                                               .age_ms = UINT64_MAX};
        if (child->usage.count == 0)
            visit_below(peers, child, &itself, visit, ctx);
        for (size_t i = 0; i < child->usage.count; i++)
            visit_below(peers, child, &child->usage.items[i], visit, ctx);
    }
}

// --- distances -----------------------------------------------------------------------------------

// What a child has measured of the way to its upstream; NULL: it has not told of itself.
static const struct peer_node_usage *own_usage(const struct peers_child *child)
{
    for (size_t i = 0; child->feed != NULL && i < child->usage.count; i++)
        if (strcmp(child->usage.items[i].id, feed_child(child->feed)->id) == 0)
            return &child->usage.items[i];
    return NULL;
}

// A leader measures nobody, and what it did before may be of a node that is down by now.
static bool is_known(const struct peers *peers, const struct upstream_candidate *one)
{
    return !peers_leads(peers) && one->measured > 0 && !one->is_missed && one->failures == 0 &&
           one->id[0] != '\0';
}

void peers_each_distance(const struct peers *peers, peers_distance_fn *visit, void *ctx)
{
    const struct upstream *upstream = &peers->upstream;
    for (size_t i = 0; i < upstream->count; i++) {
        const struct upstream_candidate *one = &upstream->candidates[i];
        if (is_known(peers, one))
            visit(ctx, one->id, one->round_trip_us);
    }
    for (struct peers_child *child = peers->children; child != NULL; child = child->next) {
        const struct peer_node_usage *usage = own_usage(child);
        if (usage != NULL && usage->round_trip_us > 0)
            visit(ctx, usage->id, usage->round_trip_us);
    }
}
