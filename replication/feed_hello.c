// SPDX-License-Identifier: Apache-2.0
// The feed's admission: whether a Hello may be answered, and how the child goes on from its index.
#include "replication/feed_internal.h"

static const char *role_text(enum peer_role role)
{
    return role == KR_PEER_CORE ? "core" : "follower";
}

bool feed_path_has(struct texts path, const char *id)
{
    for (size_t i = 0; i < path.count; i++)
        if (strcmp(path.items[i], id) == 0)
            return true;
    return false;
}

static void keep_hello(struct feed *feed, const struct peer_hello *hello)
{
    struct arena *arena = &feed->hellos;
    arena_reset(arena);
    feed->child.peer_address = arena_text(arena, hello->node.peer_address);
    feed->child.http_address = arena_text(arena, hello->node.http_address);
    feed->version = arena_text(arena, hello->version);
    feed->hello = *hello;
    feed->hello.cluster_id = feed->options.cluster_id;
    feed->hello.node = feed->child;
    feed->hello.version = feed->version;
    feed->hello.path = (struct texts){0};
    feed->holding = hello->holding == KR_PEER_HOLDS_ALL ? KR_HOLD_ALL : KR_HOLD_VALIDATION;
}

// Does the certificate say the same?
static bool is_genuine(const struct feed *feed, const struct peer_member *claimed)
{
    const struct peer_member *child = &feed->options.child;
    return strcmp(claimed->id, child->id) == 0 && strcmp(claimed->region, child->region) == 0 &&
           claimed->role == child->role;
}

// What never changes by waiting. False: refused.
static bool check_identity(struct feed *feed, const struct peer_hello *hello, uint64_t now_ms)
{
    const struct feed_options *options = &feed->options;
    if (strcmp(hello->cluster_id, options->cluster_id) != 0)
        feed_refuse(
            feed, KR_PEER_OTHER_CLUSTER, 0, now_ms,
            "this node belongs to cluster %s, not to %s; check the bundle and the upstreams",
            options->cluster_id, hello->cluster_id);
    else if (hello->feature_level != KR_PEER_FEATURE_LEVEL)
        feed_refuse(feed, KR_PEER_OTHER_LEVEL, 0, now_ms,
                    "feature level %u does not go with level %u here; run versions that fit",
                    hello->feature_level, KR_PEER_FEATURE_LEVEL);
    else if (!is_genuine(feed, &hello->node))
        feed_refuse(feed, KR_PEER_NOT_A_MEMBER, 0, now_ms,
                    "the certificate is of %s (%s, %s), not of %s (%s, %s)", options->child.id,
                    options->child.region, role_text(options->child.role), hello->node.id,
                    hello->node.region, role_text(hello->node.role));
    else if (hello->holding == KR_PEER_HOLDS_ALL && options->state->holding != KR_HOLD_ALL)
        feed_refuse(feed, KR_PEER_OTHER_HOLDING, 0, now_ms,
                    "this node holds only what validation needs; a core node's upstream is a core "
                    "node");
    else if (hello->holding == KR_PEER_HOLDS_ALL && hello->node.role != KR_PEER_CORE)
        feed_refuse(feed, KR_PEER_OTHER_HOLDING, 0, now_ms, "a follower may not hold everything");
    else
        return true;
    return false;
}

// Whoever was removed is let in no more, and not believed in what it says of epochs.
bool feed_is_removed(const struct feed *feed)
{
    const struct state *state = feed->options.state;
    struct state_member member;
    return state->member(state->ctx, feed->options.child.id, &member) && member.is_removed;
}

static void refuse_removed(struct feed *feed, uint64_t now_ms)
{
    feed_refuse(feed, KR_PEER_NOT_A_MEMBER, 0, now_ms,
                "%s was removed from the cluster; add a node under another name",
                feed->options.child.id);
}

// What depends on where the two stand. False: refused.
static bool check_standing(struct feed *feed, const struct peer_hello *hello, uint64_t now_ms)
{
    struct feed_standing standing;
    feed_standing_now(feed, now_ms, &standing);
    if (strcmp(hello->node.id, feed->options.own.id) == 0 ||
        feed_path_has(standing.path, hello->node.id)) {
        feed_refuse(feed, KR_PEER_DESCENDANT, 0, now_ms, "%s is above %s already", hello->node.id,
                    feed->options.own.id);
        return false;
    }
    if (hello->epoch > standing.epoch) {
        feed_refuse(feed, KR_PEER_OLD_EPOCH, standing.epoch, now_ms,
                    "this node knows epoch %llu, and %s knows %llu",
                    (unsigned long long)standing.epoch, hello->node.id,
                    (unsigned long long)hello->epoch);
        feed->options.owner.outranked(feed->options.owner.ctx, hello->epoch);
        return false;
    }
    if (!standing.is_leader && standing.lease_left_ms == 0) {
        feed_refuse(feed, KR_PEER_NOT_READY, 0, now_ms, "%s neither leads nor hears of who does",
                    feed->options.own.id);
        return false;
    }
    return true;
}

enum kr_err feed_take_hello(struct feed *feed, const struct peer_hello *hello, uint64_t now_ms,
                            struct fault *fault)
{
    keep_hello(feed, hello);
    if (!check_identity(feed, hello, now_ms))
        return KR_ERR_OK;
    if (feed_is_removed(feed)) {
        refuse_removed(feed, now_ms);
        return KR_ERR_OK;
    }
    return check_standing(feed, hello, now_ms) ? feed_admit(feed, now_ms, fault) : KR_ERR_OK;
}

// --- member or not -------------------------------------------------------------------------------

static bool is_at_its_addresses(const struct feed *feed, const struct state_member *member)
{
    return strcmp(member->peer_address, feed->child.peer_address) == 0 &&
           strcmp(member->http_address, feed->child.http_address) == 0;
}

// Role and region of a member stay: no leader registers others, but for itself. False: refused.
static bool check_kind(struct feed *feed, const struct state_member *member, uint64_t now_ms)
{
    const struct peer_member *child = &feed->child;
    enum peer_role role = member->is_core ? KR_PEER_CORE : KR_PEER_FOLLOWER;
    if (strcmp(member->region, child->region) == 0 && role == child->role)
        return true;
    feed_refuse(feed, KR_PEER_NOT_A_MEMBER, 0, now_ms,
                "%s is a member as (%s, %s), not as (%s, %s); remove it and add a node under "
                "another name",
                child->id, member->region, role_text(role), child->region, role_text(child->role));
    return false;
}

// --- where the child stands ----------------------------------------------------------------------

enum feed_fit { KR_FEED_FITS, KR_FEED_NEEDS_SNAPSHOT, KR_FEED_DIVERGED };

// Compares the child's position with the log here.
static enum kr_err compare(struct feed *feed, const struct store_position *position,
                           enum feed_fit *fit, struct fault *fault)
{
    const struct state *state = feed->options.state;
    const struct peer_hello *hello = &feed->hello;
    struct store_stream_row row = {.chain = position->chain, .epoch = position->epoch};
    enum kr_err err = KR_ERR_OK;
    uint64_t first = state->log_first(state->ctx);
    *fit = KR_FEED_NEEDS_SNAPSHOT;
    if (hello->applied_index == 0) {
        if (first == 1)
            *fit = KR_FEED_FITS;
        return KR_ERR_OK;
    }
    if (hello->applied_index < position->index)
        err = state->stream_read(state->ctx, hello->applied_index, feed->holding, &feed->frame,
                                 &row, fault);
    if (err == KR_ERR_NOT_FOUND)
        return KR_ERR_OK;
    if (err != KR_ERR_OK)
        return err;
    bool is_same = row.epoch == hello->epoch && hash_equal(row.chain, hello->chain);
    *fit = is_same ? KR_FEED_FITS : KR_FEED_DIVERGED;
    return KR_ERR_OK;
}

// A deposed leader's tail, or a follower's damage, goes by a snapshot. A core node that disagrees
// within one epoch may hold writes that exist nowhere else: that is for people to decide.
static enum kr_err settle_diverged(struct feed *feed, const struct store_position *position,
                                   uint64_t now_ms, struct fault *fault)
{
    const struct peer_hello *hello = &feed->hello;
    if (feed->holding == KR_HOLD_VALIDATION || hello->epoch < position->epoch)
        return feed_offer(feed, now_ms, fault);
    feed_refuse(
        feed, KR_PEER_DIVERGED, position->epoch, now_ms,
        "the logs of %s and %s differ at or before entry %llu of epoch %llu; keep a copy of "
        "the wrong one's directory, empty it, and let the node join again",
        feed->options.own.id, hello->node.id, (unsigned long long)hello->applied_index,
        (unsigned long long)hello->epoch);
    return KR_ERR_OK;
}

static enum kr_err settle(struct feed *feed, uint64_t now_ms, struct fault *fault)
{
    const struct state *state = feed->options.state;
    const struct peer_hello *hello = &feed->hello;
    struct store_position position;
    enum feed_fit fit = KR_FEED_DIVERGED;
    state->position(state->ctx, &position);
    if (hello->applied_index > position.index) {
        if (hello->epoch < position.epoch)
            return settle_diverged(feed, &position, now_ms, fault);
        feed_refuse(feed, KR_PEER_FROM_FUTURE, position.epoch, now_ms,
                    "%s has applied entry %llu, and %s only %llu", hello->node.id,
                    (unsigned long long)hello->applied_index, feed->options.own.id,
                    (unsigned long long)position.index);
        return KR_ERR_OK;
    }
    enum kr_err err = compare(feed, &position, &fit, fault);
    if (err != KR_ERR_OK)
        return err;
    if (fit == KR_FEED_NEEDS_SNAPSHOT)
        return feed_offer(feed, now_ms, fault);
    if (fit == KR_FEED_DIVERGED)
        return settle_diverged(feed, &position, now_ms, fault);
    feed_stream_begin(feed, hello->applied_index);
    feed_enter(feed, KR_FEED_STREAMING, now_ms);
    feed->owes_welcome = true;
    feed->options.owner.attached(feed->options.owner.ctx, feed, hello);
    return KR_ERR_OK;
}

enum kr_err feed_admit(struct feed *feed, uint64_t now_ms, struct fault *fault)
{
    const struct state *state = feed->options.state;
    struct state_member member;
    bool is_known = state->member(state->ctx, feed->child.id, &member);
    if (is_known && member.is_removed) { // while it was being enlisted
        refuse_removed(feed, now_ms);
        return KR_ERR_OK;
    }
    if (is_known && !check_kind(feed, &member, now_ms))
        return KR_ERR_OK;
    if (is_known && is_at_its_addresses(feed, &member))
        return settle(feed, now_ms, fault);
    if (feed->state == KR_FEED_HELLO) {
        feed_enter(feed, KR_FEED_ENLISTING, now_ms);
        feed->options.owner.enlist(feed->options.owner.ctx, &feed->child);
    }
    return KR_ERR_OK;
}
