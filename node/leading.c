// SPDX-License-Identifier: Apache-2.0
// The entries that a leader writes for the cluster itself.
//
// Happy path of a leadership: bootstrap where the state knows no cluster → MEMBER_PUT of ourselves
// and LEAD in one entry, with the vault's version where the state knows none → nothing more. Ways
// it can fail: the entry is not committed (tried again while we lead), or refused (this node was
// removed: said once, and the replica resigns).
#include "node/leading.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "node/bootstrap.h"
#include "node/sealing.h"

enum { KR_ENLISTING_MAX = 64, KR_LEADING_AGAIN_MS = 200, KR_LEADING_TELL_MS = 10000 };

struct leading {
    struct node *node;
    uint64_t done_epoch; // of the leadership that has said what it must
    uint64_t again_ms;
    uint64_t tell_ms; // not before: another line on a member that would be something else
    bool is_busy;
    char enlisting[KR_ENLISTING_MAX][KR_TLS_NAME_SIZE]; // "": a free place
};

struct enlisting {
    struct leading *leading;
    char *place;
};

struct leading *leading_new(struct node *node)
{
    struct leading *leading = mem_zalloc(sizeof(*leading));
    leading->node = node;
    return leading;
}

void leading_free(struct leading **leading)
{
    mem_free(*leading);
    *leading = NULL;
}

// --- what the state says -------------------------------------------------------------------------

static bool is_same_text(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool is_same_kind(const struct member *a, const struct member *b)
{
    return is_same_text(a->region, b->region) && a->role == b->role;
}

static bool is_same(const struct member *a, const struct member *b)
{
    return is_same_kind(a, b) && is_same_text(a->peer_address, b->peer_address) &&
           is_same_text(a->http_address, b->http_address);
}

// Removed ones count as known: they are not taken in again.
static bool is_known(struct store_view *view, const struct member *member, struct arena *arena)
{
    struct member stored;
    return store_get_member(view, member->id, arena, &stored) &&
           (stored.is_removed || is_same(&stored, member));
}

static const char *role_text(enum member_role role)
{
    return role == KR_MEMBER_CORE ? "core" : "follower";
}

static struct member ourselves(const struct node *node)
{
    return (struct member){.id = node->identity.node_id,
                           .region = node->identity.region,
                           .role = KR_MEMBER_CORE,
                           .peer_address = node->identity.peer_address,
                           .http_address = node->identity.http_address,
                           .added_ms = clock_unix_ms()};
}

static bool is_said(struct node *node, uint64_t epoch)
{
    struct arena arena;
    struct leader leader;
    const struct member own = ourselves(node);
    arena_init(&arena);
    struct store_view *view = store_view_open(node->store);
    struct command_op op;
    bool is_there = !sealing_first(node, &op) && store_get_leader(view, &arena, &leader) &&
                    leader.epoch == epoch && strcmp(leader.member_id, own.id) == 0 &&
                    is_known(view, &own, &arena);
    store_view_close(&view);
    arena_fini(&arena);
    return is_there;
}

// --- the beginning of a leadership ---------------------------------------------------------------

static void try_later(struct leading *leading)
{
    leading->is_busy = false;
    leading->again_ms = clock_boot_ms() + KR_LEADING_AGAIN_MS;
}

static void bootstrapped(void *ctx, enum kr_err err)
{
    struct leading *leading = ctx;
    try_later(leading);
    if (err != KR_ERR_OK) {
        LOG_WARN("the cluster could not be made yet", LOG_TEXT("why", err_text(err)));
        return;
    }
    leading->again_ms = 0;
    LOG_INFO("bootstrapped", LOG_TEXT("cluster", leading->node->identity.cluster_id),
             LOG_TEXT("account", leading->node->config->account));
}

static void bootstrap(struct leading *leading)
{
    struct fault fault = {0};
    leading->is_busy = true;
    if (bootstrap_begin(leading->node, bootstrapped, leading, &fault) == KR_ERR_OK)
        return;
    LOG_WARN("the cluster cannot be made", LOG_TEXT("why", fault.text));
    try_later(leading);
}

static void said(void *ctx, const struct replica_outcome *outcome)
{
    struct leading *leading = ctx;
    try_later(leading);
    if (outcome->err != KR_ERR_OK)
        return;
    leading->done_epoch = outcome->epoch;
    if (outcome->result.code == KR_APPLY_OK)
        LOG_INFO("leading", LOG_NUMBER("epoch", outcome->epoch),
                 LOG_NUMBER("index", outcome->index));
    else
        LOG_WARN("leading, though the cluster's members refuse this node: it was removed",
                 LOG_NUMBER("epoch", outcome->epoch));
}

static void say(struct leading *leading, uint64_t epoch)
{
    struct node *node = leading->node;
    struct command_op ops[3] = {
        {.kind = KR_OP_MEMBER_PUT, .as.member_put = ourselves(node)},
        {.kind = KR_OP_LEAD, .as.lead = {node->identity.node_id, epoch}},
    };
    size_t count = sealing_first(node, &ops[2]) ? 3 : 2;
    const struct command command = {
        .ops = ops, .op_count = count, .actor = "system", .requested_ms = clock_unix_ms()};
    leading->is_busy = true;
    if (replica_submit(node->replica, &command, said, leading) != KR_ERR_OK)
        try_later(leading);
}

void leading_turn(struct leading *leading)
{
    struct node *node = leading->node;
    uint64_t epoch = replica_epoch(node->replica);
    if (!node->identity.has_peers || leading->is_busy || leading->done_epoch == epoch ||
        !replica_is_leader(node->replica) || clock_boot_ms() < leading->again_ms)
        return;
    sealing_insist(node); // better no leader than one whose values nobody can open
    if (!bootstrap_is_known(node))
        bootstrap(leading);
    else if (is_said(node, epoch))
        leading->done_epoch = epoch;
    else
        say(leading, epoch);
}

// --- members -------------------------------------------------------------------------------------

static char *free_place(struct leading *leading, const char *id)
{
    char *place = NULL;
    for (size_t i = 0; i < KR_ENLISTING_MAX; i++) {
        if (strcmp(leading->enlisting[i], id) == 0)
            return NULL; // on its way
        if (leading->enlisting[i][0] == '\0')
            place = leading->enlisting[i];
    }
    return place;
}

static void enlisted(void *ctx, const struct replica_outcome *outcome)
{
    struct enlisting *enlisting = ctx;
    if (outcome->err == KR_ERR_OK && outcome->result.code == KR_APPLY_OK)
        LOG_INFO("a member joins", LOG_TEXT("node", enlisting->place),
                 LOG_NUMBER("index", outcome->index));
    enlisting->place[0] = '\0';
    mem_free(enlisting);
}

static void tell_change(struct leading *leading, const struct member *stored,
                        const struct member *member)
{
    uint64_t now_ms = clock_boot_ms();
    if (now_ms < leading->tell_ms)
        return;
    leading->tell_ms = now_ms + KR_LEADING_TELL_MS;
    LOG_WARN("a member keeps its role and region: another node says that it has others",
             LOG_TEXT("node", stored->id), LOG_TEXT("region", stored->region),
             LOG_TEXT("role", role_text(stored->role)), LOG_TEXT("saidRegion", member->region),
             LOG_TEXT("saidRole", role_text(member->role)));
}

// Any node that is fed may say anything of any other. What a member is others go by: a core node
// that became a follower would not be waited for.
static bool is_wanted(struct leading *leading, const struct member *member)
{
    struct arena arena;
    struct member stored;
    arena_init(&arena);
    struct store_view *view = store_view_open(leading->node->store);
    bool is_new = !store_get_member(view, member->id, &arena, &stored);
    bool is_live = !is_new && !stored.is_removed;
    if (is_live && !is_same_kind(&stored, member))
        tell_change(leading, &stored, member);
    bool has_moved = is_live && is_same_kind(&stored, member) && !is_same(&stored, member);
    store_view_close(&view);
    arena_fini(&arena);
    return is_new || has_moved;
}

void leading_enlist(struct leading *leading, const struct member *member)
{
    struct node *node = leading->node;
    if (!replica_is_leader(node->replica) || strlen(member->id) >= KR_TLS_NAME_SIZE ||
        !is_wanted(leading, member))
        return;
    char *place = free_place(leading, member->id);
    if (place == NULL)
        return; // asked again by the link
    struct command_op op = {.kind = KR_OP_MEMBER_PUT, .as.member_put = *member};
    const struct command command = {
        .ops = &op, .op_count = 1, .actor = "system", .requested_ms = clock_unix_ms()};
    op.as.member_put.added_ms = clock_unix_ms();
    struct enlisting *enlisting = mem_alloc(sizeof(*enlisting));
    *enlisting = (struct enlisting){leading, place};
    snprintf(place, KR_TLS_NAME_SIZE, "%s", member->id);
    if (replica_submit(node->replica, &command, enlisted, enlisting) == KR_ERR_OK)
        return;
    place[0] = '\0';
    mem_free(enlisting);
}
