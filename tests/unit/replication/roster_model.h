// SPDX-License-Identifier: Apache-2.0
// A cluster of the real leases and rosters on virtual time: delays, blackholes, broken links,
// pauses, restarts, clocks that run wrong, re-attachments, take-overs. After every step it checks
// the promise: once an entry is complete, no node without it can answer VALID.
#pragma once

#include "replication/lease.h"
#include "replication/roster.h"

enum { KR_MODEL_NODES = 8, KR_MODEL_CORE = 3, KR_MODEL_INDEXES = 4096, KR_MODEL_MESSAGES = 4096 };
enum { KR_MODEL_STEP_US = 5000, KR_MODEL_BOUNDS = 3 };

// What a model leaves out of the rules, to show that the check would find it.
enum model_fault {
    KR_MODEL_SOUND,
    KR_MODEL_RELAY_SPEAKS_FOR_ITSELF, // a relay reports nothing of the nodes below it
    KR_MODEL_LEASE_BEFORE_INDEX,      // a lease takes effect before its index is applied
    KR_MODEL_SILENT_CHILDREN_IGNORED, // a relay leaves out children that have gone
    KR_MODEL_TAKE_OVER_WITHOUT_FLOOR, // a new leader forgets what the old one may have granted
    KR_MODEL_OLDER_LEASES             // a process lives on what was known before it began
};

enum model_kind { KR_MODEL_RENEW, KR_MODEL_LEASE, KR_MODEL_ENTRY, KR_MODEL_ACK };

struct model_message {
    int64_t at_us;
    uint64_t order; // of those that arrive at once
    uint32_t from, to, link;
    enum model_kind kind;
    struct peer_lease lease;
    uint64_t index;
    struct peer_ack ack;
    struct peer_node_report items[KR_MODEL_NODES];
};

struct model_node {
    char id[8];
    int64_t offset_us, ppm;
    struct lease lease;
    struct roster *roster;
    uint64_t started_ms, applied, epoch; // epoch: of the last Lease
    uint8_t epochs[KR_MODEL_INDEXES];    // of each entry: the chain
    bool is_down;
    int64_t paused_us, back_us, next_us; // until when paused, down; the next Renew and Ack
    int parent;                          // -1: none
    uint32_t link;                       // to the parent; 0: none
    uint64_t sent;                       // entries on their way to it
    int64_t up_us, down_us, black_us;    // last arrivals each way; nothing arrives before black
};

struct model {
    enum model_fault fault;
    uint64_t random;
    int64_t now_us;
    struct model_node nodes[KR_MODEL_NODES];
    int leader;
    uint8_t epoch;
    uint32_t last_link;
    uint64_t last_order, completed[KR_MODEL_BOUNDS];
    struct model_message *messages;
    size_t message_count;
    bool is_calm;     // no more mishaps
    uint64_t checks;  // of a node without a completed entry
    char broken[160]; // what broke the promise
};

static const int64_t model_bounds_ms[KR_MODEL_BOUNDS] = {400, 2500, 9000};

// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators".
static inline uint64_t model_draw(struct model *model, uint64_t below)
{
    model->random ^= model->random >> 12;
    model->random ^= model->random << 25;
    model->random ^= model->random >> 27;
    return (model->random * 2685821657736338717u >> 33) % below;
}

static inline bool model_once_in(struct model *model, uint64_t steps)
{
    return model_draw(model, steps) == 0;
}

static inline uint64_t model_clock(const struct model *model, int node)
{
    const struct model_node *one = &model->nodes[node];
    return (uint64_t)((model->now_us + one->offset_us + model->now_us * one->ppm / 1000000) / 1000);
}

static inline bool model_is_running(const struct model *model, int node)
{
    return !model->nodes[node].is_down && model->nodes[node].paused_us <= model->now_us;
}

// --- links ---------------------------------------------------------------------------------------

static inline void model_send(struct model *model, int child, bool is_up,
                              struct model_message message)
{
    struct model_node *one = &model->nodes[child];
    int64_t *last_us = is_up ? &one->up_us : &one->down_us;
    uint64_t delay_us = 1000 + model_draw(model, 20000);
    if (!model->is_calm && model_once_in(model, 40))
        delay_us += model_draw(model, 1500000);
    if (one->link == 0 || model->message_count == KR_MODEL_MESSAGES)
        return;
    message.at_us = model->now_us + (int64_t)delay_us;
    if (message.at_us < *last_us)
        message.at_us = *last_us;
    if (message.at_us < one->black_us)
        message.at_us = one->black_us;
    *last_us = message.at_us;
    message.order = ++model->last_order;
    message.link = one->link;
    message.from = (uint32_t)(is_up ? child : one->parent);
    message.to = (uint32_t)(is_up ? one->parent : child);
    model->messages[model->message_count++] = message;
}

static inline void model_break(struct model *model, int child)
{
    struct model_node *one = &model->nodes[child];
    if (one->link == 0)
        return;
    roster_detached(model->nodes[one->parent].roster, one->id);
    one->link = 0;
    one->parent = -1;
    size_t kept = 0;
    for (size_t i = 0; i < model->message_count; i++) {
        const struct model_message *message = &model->messages[i];
        bool is_theirs = (int)message->from == child || (int)message->to == child;
        bool is_below = is_theirs && model->nodes[message->from].link != message->link &&
                        model->nodes[message->to].link != message->link;
        if (!is_below)
            model->messages[kept++] = *message;
    }
    model->message_count = kept;
}

static inline void model_break_below(struct model *model, int node)
{
    model_break(model, node);
    for (int i = 0; i < KR_MODEL_NODES; i++) {
        if (model->nodes[i].parent == node)
            model_break(model, i);
    }
}

static inline struct roster *model_new_roster(struct model *model, int node)
{
    struct roster *roster = roster_new(model->nodes[node].id, model_clock(model, node));
    for (int i = 0; i < KR_MODEL_NODES; i++) {
        if (roster_member(roster, model->nodes[i].id, false) != KR_ERR_OK)
            roster_free(&roster);
    }
    return roster;
}

// A new process, with its state or another: nothing is known but what is applied.
static inline void model_begin(struct model *model, int node)
{
    struct model_node *one = &model->nodes[node];
    bool knows_begin = model->fault != KR_MODEL_OLDER_LEASES;
    model_break_below(model, node);
    lease_init(&one->lease, one->applied, knows_begin ? model_clock(model, node) : 0);
    roster_free(&one->roster);
    one->roster = model_new_roster(model, node);
    one->started_ms = 1 + model_draw(model, 1u << 30); // by a wall clock that is anything
    one->epoch = one->epochs[one->applied];
}

static inline bool model_is_below(const struct model *model, int node, int above)
{
    for (; node >= 0; node = model->nodes[node].parent) {
        if (node == above)
            return true;
    }
    return false;
}

static inline void model_attach(struct model *model, int child, int parent)
{
    struct model_node *one = &model->nodes[child], *up = &model->nodes[parent];
    uint64_t common = one->applied < up->applied ? one->applied : up->applied;
    if (memcmp(one->epochs, up->epochs, common + 1) != 0) { // diverged: a snapshot
        one->applied = up->applied;
        memcpy(one->epochs, up->epochs, sizeof(one->epochs));
        model_begin(model, child);
    }
    if (one->applied > up->applied) // who is behind is no upstream
        return;
    one->parent = parent;
    one->link = ++model->last_link;
    one->sent = one->applied;
    one->up_us = one->down_us = one->black_us = 0;
    roster_attached(up->roster, one->id, one->started_ms, one->applied);
}

// --- what nodes do -------------------------------------------------------------------------------

static inline void model_send_ack(struct model *model, int node)
{
    struct model_node *one = &model->nodes[node];
    struct model_message message = {.kind = KR_MODEL_ACK};
    struct arena arena;
    arena_init(&arena);
    const struct roster_own own = {one->applied, one->epoch, 0};
    roster_report(one->roster, &own, model_clock(model, node), &arena, &message.ack);
    memcpy(message.items, message.ack.items, message.ack.count * sizeof(*message.items));
    if (model->fault == KR_MODEL_RELAY_SPEAKS_FOR_ITSELF)
        message.ack.count = 0;
    for (size_t i = 0; i < message.ack.count; i++) { // ids that outlive the roster
        int other = message.items[i].id[1] - '0';
        message.items[i].id = model->nodes[other].id;
        if (model->fault == KR_MODEL_SILENT_CHILDREN_IGNORED && !model_is_below(model, other, node))
            message.items[i].age_ms = INT64_MAX;
    }
    if (model->fault == KR_MODEL_RELAY_SPEAKS_FOR_ITSELF ||
        model->fault == KR_MODEL_SILENT_CHILDREN_IGNORED)
        message.ack.others_age_ms = INT64_MAX;
    arena_fini(&arena);
    model_send(model, node, true, message);
}

static inline void model_grant(struct model *model, int node, const struct model_message *renew)
{
    struct model_node *one = &model->nodes[node];
    uint64_t now_ms = model_clock(model, node);
    uint64_t left_ms = node == model->leader ? lease_left_of_leader(UINT64_MAX, now_ms)
                                             : lease_left(&one->lease, now_ms);
    struct model_message message = {.kind = KR_MODEL_LEASE,
                                    .lease = {renew->index, left_ms, one->applied, one->epoch}};
    if (left_ms > KR_LEASE_WINDOW_MS)
        left_ms = KR_LEASE_WINDOW_MS;
    roster_granted(one->roster, model->nodes[renew->from].id, left_ms, now_ms);
    model_send(model, (int)renew->from, false, message);
}

static inline void model_apply(struct model *model, int node, uint64_t index)
{
    struct model_node *one = &model->nodes[node];
    const struct model_node *up = &model->nodes[one->parent];
    for (; one->applied < index; one->applied++)
        one->epochs[one->applied + 1] = up->epochs[one->applied + 1];
    lease_applied(&one->lease, one->applied);
    model_send_ack(model, node);
}

static inline void model_receive(struct model *model, struct model_message *message)
{
    int to = (int)message->to;
    struct model_node *one = &model->nodes[to];
    uint64_t index = model->fault == KR_MODEL_LEASE_BEFORE_INDEX ? 0 : message->lease.index;
    switch (message->kind) {
    case KR_MODEL_RENEW:
        model_grant(model, to, message);
        return;
    case KR_MODEL_LEASE:
        one->epoch = message->lease.epoch;
        lease_granted(&one->lease, message->lease.seq, message->lease.remaining_ms, index);
        return;
    case KR_MODEL_ENTRY:
        model_apply(model, to, message->index);
        return;
    case KR_MODEL_ACK:
        message->ack.items = message->items;
        roster_heard(one->roster, model->nodes[message->from].id, &message->ack,
                     model_clock(model, to));
        return;
    }
}

// The first message that is due at a node that runs; false: none.
static inline bool model_deliver(struct model *model)
{
    size_t best = model->message_count;
    for (size_t i = 0; i < model->message_count; i++) {
        const struct model_message *one = &model->messages[i];
        if (one->at_us > model->now_us || !model_is_running(model, (int)one->to))
            continue;
        if (best == model->message_count || one->order < model->messages[best].order)
            best = i;
    }
    if (best == model->message_count)
        return false;
    struct model_message message = model->messages[best];
    model->messages[best] = model->messages[--model->message_count];
    model_receive(model, &message);
    return true;
}

static inline void model_work(struct model *model, int node)
{
    struct model_node *one = &model->nodes[node];
    for (int i = 0; i < KR_MODEL_NODES; i++) {
        struct model_node *child = &model->nodes[i];
        if (child->parent != node || child->sent >= one->applied)
            continue;
        child->sent = one->applied;
        model_send(model, i, false,
                   (struct model_message){.kind = KR_MODEL_ENTRY, .index = one->applied});
    }
    if (one->link == 0 || model->now_us < one->next_us)
        return;
    one->next_us = model->now_us + KR_LEASE_RENEW_MS * 1000;
    uint64_t seq = lease_ask(&one->lease, model_clock(model, node));
    model_send(model, node, true, (struct model_message){.kind = KR_MODEL_RENEW, .index = seq});
    model_send_ack(model, node);
}

static inline void model_write(struct model *model)
{
    struct model_node *leader = &model->nodes[model->leader];
    if (!model_is_running(model, model->leader) || leader->applied + 2 >= KR_MODEL_INDEXES)
        return;
    leader->epochs[++leader->applied] = model->epoch;
    roster_committed(leader->roster, leader->applied, model_clock(model, model->leader));
}

// --- mishaps -------------------------------------------------------------------------------------

// What the new leader does not have is lost, with the promise: the operator took that on himself.
static inline void model_lose_tail(struct model *model, int old)
{
    uint64_t kept = 0;
    const struct model_node *leader = &model->nodes[model->leader];
    while (kept < leader->applied && kept < model->nodes[old].applied &&
           leader->epochs[kept + 1] == model->nodes[old].epochs[kept + 1])
        kept++;
    for (int i = 0; i < KR_MODEL_BOUNDS; i++) {
        if (model->completed[i] > kept)
            model->completed[i] = kept;
    }
}

static inline void model_take_over(struct model *model)
{
    int next = (int)model_draw(model, KR_MODEL_CORE), old = model->leader;
    if (next == old || !model_is_running(model, next))
        return;
    model_break_below(model, old);
    model->nodes[old].is_down = true;
    model->nodes[old].back_us = model->now_us + (int64_t)model_draw(model, 8000000);
    model_break(model, next);
    model->leader = next;
    model->epoch++;
    struct model_node *one = &model->nodes[next];
    one->epochs[++one->applied] = model->epoch;
    one->epoch = model->epoch;
    if (model->fault == KR_MODEL_TAKE_OVER_WITHOUT_FLOOR) {
        for (int i = 0; i < KR_MODEL_NODES; i++) {
            if (model->nodes[i].parent == next)
                model_break(model, i);
        }
        roster_free(&one->roster);
        one->roster = roster_new(one->id, 0);
        roster_take_over(one->roster, model->epoch, 0, 0);
        for (int i = 0; i < KR_MODEL_NODES; i++)
            (void)!roster_member(one->roster, model->nodes[i].id, false);
    } else {
        roster_take_over(one->roster, model->epoch, one->applied, model_clock(model, next));
    }
    model_lose_tail(model, old);
}

static inline void model_upset(struct model *model)
{
    int node = (int)model_draw(model, KR_MODEL_NODES);
    struct model_node *one = &model->nodes[node];
    if (model_once_in(model, 100))
        model_break(model, node);
    if (model_once_in(model, 150))
        one->black_us = model->now_us + (int64_t)model_draw(model, 6000000);
    if (model_once_in(model, 400))
        one->paused_us = model->now_us + (int64_t)model_draw(model, 5000000);
    if (model_once_in(model, 400) && node != model->leader && !one->is_down) {
        model_break_below(model, node);
        bool is_short = model_once_in(model, 2);
        one->is_down = true;
        one->back_us = model->now_us + (int64_t)model_draw(model, is_short ? 300000 : 6000000);
    }
    if (model_once_in(model, 2500))
        model_take_over(model);
}

static inline void model_recover(struct model *model, int node)
{
    struct model_node *one = &model->nodes[node];
    if (one->is_down && model->now_us >= one->back_us) {
        uint64_t lost = model_draw(model, 8); // with the power: nobody but the leader flushes first
        one->is_down = false;
        one->applied -= lost < one->applied ? lost : one->applied;
        model_begin(model, node);
    }
    if (node == model->leader || one->link != 0 || !model_is_running(model, node) ||
        !model_once_in(model, model->is_calm ? 5 : 60))
        return;
    int parent = (int)model_draw(model, KR_MODEL_NODES - 3); // the last three feed nobody
    bool leads_up = parent == model->leader || model->nodes[parent].link != 0 || !model->is_calm;
    // Who has seen a higher epoch refuses a lower one.
    if (leads_up && model_is_running(model, parent) && !model_is_below(model, parent, node) &&
        model->nodes[parent].epoch >= one->epoch)
        model_attach(model, node, parent);
}

// --- the promise ---------------------------------------------------------------------------------

static inline void model_check(struct model *model, int node)
{
    const struct model_node *one = &model->nodes[node], *leader = &model->nodes[model->leader];
    if (one->is_down || node == model->leader)
        return;
    uint64_t age_ms = lease_age(&one->lease, model_clock(model, node));
    for (int i = 0; i < KR_MODEL_BOUNDS; i++) {
        uint64_t index = model->completed[i];
        if (one->applied >= index && one->epochs[index] == leader->epochs[index])
            continue;
        model->checks++;
        if (age_ms <= (uint64_t)model_bounds_ms[i])
            snprintf(
                model->broken, sizeof(model->broken),
                "%s has %llu, is %llu ms old, and may answer without %llu (%lld ms) at %lld us",
                one->id, (unsigned long long)one->applied, (unsigned long long)age_ms,
                (unsigned long long)index, (long long)model_bounds_ms[i], (long long)model->now_us);
    }
}

// Entries that the leader takes to be complete now.
static inline void model_complete(struct model *model)
{
    const struct model_node *leader = &model->nodes[model->leader];
    uint64_t now_ms = model_clock(model, model->leader);
    if (!model_is_running(model, model->leader))
        return;
    for (int i = 0; i < KR_MODEL_BOUNDS; i++) {
        for (uint64_t index = model->completed[i] + 1; index <= leader->applied; index++) {
            const struct roster_demand demand = {index, model_bounds_ms[i]};
            if (roster_wait(leader->roster, &demand, UINT64_MAX, now_ms) != KR_ROSTER_COMPLETE)
                break;
            model->completed[i] = index;
        }
        const struct roster_demand last = {leader->applied, model_bounds_ms[i]};
        if (model->completed[i] < leader->applied &&
            roster_wait(leader->roster, &last, UINT64_MAX, now_ms) == KR_ROSTER_COMPLETE)
            snprintf(model->broken, sizeof(model->broken), "%llu is complete, and %llu is not",
                     (unsigned long long)leader->applied,
                     (unsigned long long)model->completed[i] + 1);
    }
}

static inline void model_step(struct model *model)
{
    model->now_us += KR_MODEL_STEP_US;
    if (!model->is_calm)
        model_upset(model);
    while (model_deliver(model))
        continue;
    for (int i = 0; i < KR_MODEL_NODES; i++) {
        model_recover(model, i);
        if (model_is_running(model, i))
            model_work(model, i);
    }
    if (!model->is_calm && model_once_in(model, 60))
        model_write(model);
    model_complete(model);
    for (int i = 0; i < KR_MODEL_NODES; i++)
        model_check(model, i);
}

static inline struct model *model_new(uint64_t seed, enum model_fault fault)
{
    struct model *model = mem_zalloc(sizeof(*model));
    model->fault = fault;
    model->random = seed * 0x9e3779b97f4a7c15u + 1;
    model->messages = mem_zalloc(KR_MODEL_MESSAGES * sizeof(*model->messages));
    for (int i = 0; i < KR_MODEL_NODES; i++) {
        struct model_node *one = &model->nodes[i];
        one->id[0] = 'n';
        one->id[1] = (char)('0' + i);
        one->ppm = (int64_t)model_draw(model, 1001) - 500;
        one->offset_us = (int64_t)model_draw(model, 100000000);
        one->parent = -1;
    }
    for (int i = 0; i < KR_MODEL_NODES; i++)
        model_begin(model, i);
    model->epoch = 1;
    model->nodes[0].epoch = 1;
    roster_take_over(model->nodes[0].roster, 1, 0, model_clock(model, 0));
    return model;
}

static inline void model_free(struct model *model)
{
    for (int i = 0; i < KR_MODEL_NODES; i++)
        roster_free(&model->nodes[i].roster);
    mem_free(model->messages);
    mem_free(model);
}
