// SPDX-License-Identifier: Apache-2.0
// Receipts that wait: the roster is asked again behind every acknowledgement and on every tick.
//
// A bucket's bound may have been lowered: a member that does not know of that yet is judged by the
// bound before it, so the roster is asked with both.
#include "node/everywhere.h"

#include "core/base/clock.h"
#include "node/api/receipt.h"
#include "node/node.h"
#include "replication/roster.h"

struct waiting {
    struct waiting *next;
    struct call *call;
    everywhere_done_fn *done;
    void *ctx;
    uint64_t requested_boot_ms, deadline_ms;
};

struct everywhere {
    const struct node *node;
    struct roster *roster;
    struct waiting *first;
    struct arena scratch; // of one look at the roster
    bool is_stopped;
};

struct everywhere *everywhere_new(const struct node *node, struct roster *roster)
{
    struct everywhere *everywhere = mem_zalloc(sizeof(*everywhere));
    everywhere->node = node;
    everywhere->roster = roster;
    arena_init(&everywhere->scratch);
    return everywhere;
}

void everywhere_free(struct everywhere **everywhere)
{
    arena_fini(&(*everywhere)->scratch);
    mem_free(*everywhere);
    *everywhere = NULL;
}

// --- what the nodes know -------------------------------------------------------------------------

// The rows of one receipt, in the scratch arena.
struct rows {
    struct everywhere *everywhere;
    struct waiting *waiting;
    struct store_view *view;
    struct receipt_node *nodes;
    size_t count, capacity;
    bool is_second; // asked by the bound before it was lowered
};

static enum receipt_state state_of(enum roster_state state)
{
    switch (state) {
    case KR_ROSTER_APPLIED:
        return KR_RECEIPT_APPLIED;
    case KR_ROSTER_EXPIRED:
        return KR_RECEIPT_EXPIRED;
    case KR_ROSTER_PENDING:
        return KR_RECEIPT_PENDING;
    case KR_ROSTER_UNBOUNDED:
        return KR_RECEIPT_UNBOUNDED;
    }
    return KR_RECEIPT_PENDING;
}

static int64_t after_ms(const struct waiting *waiting, const struct roster_view *seen)
{
    uint64_t at_ms = seen->state == KR_ROSTER_APPLIED ? seen->applied_ms : seen->expires_ms;
    bool is_over = seen->state == KR_ROSTER_APPLIED || seen->state == KR_ROSTER_EXPIRED;
    if (!is_over || at_ms == 0)
        return -1;
    return at_ms > waiting->requested_boot_ms ? (int64_t)(at_ms - waiting->requested_boot_ms) : 0;
}

static const char *region_of(struct rows *rows, const char *id)
{
    struct member member;
    struct arena *arena = &rows->everywhere->scratch;
    return store_get_member(rows->view, id, arena, &member) ? member.region : NULL;
}

static void add_row(struct rows *rows, const struct receipt_node *row)
{
    struct arena *arena = &rows->everywhere->scratch;
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity == 0 ? 16 : 2 * rows->capacity;
        struct receipt_node *grown = arena_zalloc(arena, capacity * sizeof(*grown));
        if (rows->count > 0)
            memcpy(grown, rows->nodes, rows->count * sizeof(*grown));
        rows->nodes = grown;
        rows->capacity = capacity;
    }
    rows->nodes[rows->count++] = *row;
}

static struct receipt_node *find_row(struct rows *rows, const char *id)
{
    for (size_t i = 1; i < rows->count; i++)
        if (strcmp(rows->nodes[i].id, id) == 0)
            return &rows->nodes[i];
    return NULL;
}

// A removed member may be visited with the one bound alone.
static void visit(void *ctx, const struct roster_view *seen)
{
    struct rows *rows = ctx;
    struct waiting *waiting = rows->waiting;
    const struct call_receipt *receipt = &waiting->call->receipt;
    const struct receipt_node row = {
        .id = seen->id, .state = state_of(seen->state), .after_ms = after_ms(waiting, seen)};
    if (rows->is_second && seen->applied_index >= receipt->bounded_at)
        return; // it goes by the bound that it knows
    struct receipt_node *first = rows->is_second ? find_row(rows, seen->id) : NULL;
    if (first != NULL)
        *first = row;
    else
        add_row(rows, &row);
}

static void ask_roster(struct rows *rows)
{
    const struct call_receipt *receipt = &rows->waiting->call->receipt;
    struct roster *roster = rows->everywhere->roster;
    uint64_t now_ms = clock_boot_ms();
    struct roster_demand demand = {receipt->record.index, receipt->bound_ms};
    roster_each(roster, &demand, now_ms, visit, rows);
    if (receipt->bounded_at == 0)
        return;
    rows->is_second = true;
    demand.max_staleness_ms = receipt->was_bound_ms;
    roster_each(roster, &demand, now_ms, visit, rows);
}

static bool is_pending(const struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->nodes[i].state == KR_RECEIPT_PENDING ||
            rows->nodes[i].state == KR_RECEIPT_UNBOUNDED)
            return true;
    return false;
}

// This node's own row comes first: it leads, so what it has committed it has applied.
static void collect(struct everywhere *everywhere, struct waiting *waiting, struct rows *rows)
{
    const struct node *node = everywhere->node;
    const struct receipt_node own = {node->identity.node_id, node->identity.region,
                                     KR_RECEIPT_APPLIED, receipt_commit_ms(waiting->call)};
    arena_reset(&everywhere->scratch);
    *rows = (struct rows){.everywhere = everywhere, .waiting = waiting};
    add_row(rows, &own);
    if (everywhere->roster != NULL)
        ask_roster(rows);
}

static void name_regions(struct everywhere *everywhere, struct rows *rows)
{
    rows->view = store_view_open(everywhere->node->store);
    for (size_t i = 1; i < rows->count; i++)
        rows->nodes[i].region = region_of(rows, rows->nodes[i].id);
    store_view_close(&rows->view);
}

// --- waiting -------------------------------------------------------------------------------------

// True: answered.
static bool try_answer(struct everywhere *everywhere, struct waiting *waiting, uint64_t now_ms)
{
    struct rows rows;
    collect(everywhere, waiting, &rows);
    bool has_time = now_ms < waiting->deadline_ms && !everywhere->is_stopped;
    if (waiting->call->receipt.is_everywhere && has_time && is_pending(&rows))
        return false;
    name_regions(everywhere, &rows);
    // A failure has been written as the answer.
    (void)receipt_write(waiting->call, rows.nodes, rows.count);
    waiting->done(waiting->ctx);
    mem_free(waiting);
    return true;
}

// The bound as it stands behind the commit: what the handler saw may have been changed in between.
static void read_bound(const struct everywhere *everywhere, struct call *call)
{
    struct bucket bucket;
    if (call->receipt.bucket_id == NULL)
        return;
    struct store_view *view = store_view_open(everywhere->node->store);
    if (store_get_bucket(view, call->receipt.bucket_id, &call->arena, &bucket))
        receipt_take_bound(&call->receipt, &bucket);
    store_view_close(&view);
}

void everywhere_answer(struct everywhere *everywhere, struct call *call, everywhere_done_fn *done,
                       void *ctx)
{
    struct waiting *waiting = mem_zalloc(sizeof(*waiting));
    read_bound(everywhere, call);
    uint64_t now_ms = clock_boot_ms();
    // The request came earlier, by the wall clock; its receipt counts from there.
    uint64_t since_ms = (uint64_t)receipt_commit_ms(call);
    *waiting = (struct waiting){.call = call,
                                .done = done,
                                .ctx = ctx,
                                .requested_boot_ms = now_ms > since_ms ? now_ms - since_ms : 0,
                                .deadline_ms = now_ms + call->receipt.timeout_ms};
    if (try_answer(everywhere, waiting, now_ms))
        return;
    waiting->next = everywhere->first;
    everywhere->first = waiting;
}

void everywhere_check(struct everywhere *everywhere, uint64_t now_boot_ms)
{
    struct waiting *list = everywhere->first, *next;
    everywhere->first = NULL;
    for (struct waiting *at = list; at != NULL; at = next) {
        next = at->next;
        if (try_answer(everywhere, at, now_boot_ms))
            continue;
        at->next = everywhere->first;
        everywhere->first = at;
    }
}

void everywhere_stop(struct everywhere *everywhere)
{
    everywhere->is_stopped = true;
    everywhere_check(everywhere, clock_boot_ms());
}
