// SPDX-License-Identifier: Apache-2.0
// Receipts that wait: in queues, by what is asked of the nodes.
//
// Happy path: complete at once; or queued → the roster hears something → in the end of that turn it
// is asked about the first of each queue → answered. Other ends: the time is over, the client has
// gone, or the node stops, and then the answer is what is known by then. What waits costs nothing
// meanwhile: in a queue nobody is complete before those in front, since what a node knows of an
// entry it knows of all before it. A bucket's bound may have been lowered: a member that does not
// know of that yet is judged by the bound before it, so the roster is asked with both.
//
// Where leadership is the operator's word, another node may have been promoted that has never seen
// the entry. So a leader that was superseded completes nothing: whether what it committed stands is
// not for it to say. With etcd an entry stands whoever leads.
#include "node/everywhere.h"

#include "core/base/clock.h"
#include "node/api/receipt.h"
#include "node/node.h"
#include "replication/roster.h"

enum {
    KR_EVERYWHERE_ROWS = 1024, // written in one turn: leases are lent between two
    KR_EVERYWHERE_QUEUES = 8,  // more than these are not looked at in every turn
    KR_EVERYWHERE_PAUSE_MS = 5,
    KR_EVERYWHERE_LOOK_MS = 1000 // for what nobody waits for any more
};

struct waiting {
    struct waiting *next;
    struct call *call;
    everywhere_done_fn *done;
    void *ctx;
    uint64_t index, requested_boot_ms, deadline_ms;
    uint64_t epoch; // that this node led by when it was asked
};

// Receipts with the same bounds, by index.
struct queue {
    struct queue *next;
    int64_t bound_ms, was_bound_ms;
    uint64_t bounded_at;
    struct waiting *first, **end;
    uint64_t end_index; // none is higher
    uint64_t look_ms;   // when the next may be late, or given up
};

struct everywhere {
    const struct node *node;
    struct roster *roster;
    struct queue *queues;
    size_t queue_count;
    uint64_t looked_ms;
    struct arena scratch; // of one receipt's rows
    bool is_due, is_stopped;
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

// --- the answer ----------------------------------------------------------------------------------

// The rows of one receipt, in the scratch arena.
struct rows {
    struct everywhere *everywhere;
    struct waiting *waiting;
    struct store_view *view;
    struct receipt_node *nodes;
    size_t count, capacity;
    size_t found;   // by the second question: both go by id
    bool is_second; // asked by the bound before it was lowered
};

static bool is_superseded(const struct everywhere *everywhere, const struct waiting *waiting)
{
    const struct node *node = everywhere->node;
    return everywhere->roster != NULL && waiting->call->receipt.is_everywhere &&
           node->engine->is_store_backed &&
           (!replica_is_leader(node->replica) || replica_epoch(node->replica) != waiting->epoch);
}

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
    for (size_t i = rows->found + 1; i < rows->count; i++)
        if (strcmp(rows->nodes[i].id, id) == 0)
            return &rows->nodes[rows->found = i];
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

static void ask_roster(struct rows *rows, uint64_t now_ms)
{
    const struct call_receipt *receipt = &rows->waiting->call->receipt;
    struct roster *roster = rows->everywhere->roster;
    struct roster_demand demand = {receipt->record.index, receipt->bound_ms};
    roster_each(roster, &demand, now_ms, visit, rows);
    if (receipt->bounded_at == 0)
        return;
    rows->is_second = true;
    demand.max_staleness_ms = receipt->was_bound_ms;
    roster_each(roster, &demand, now_ms, visit, rows);
}

// This node's own row comes first: while it leads, what it has committed it has applied.
static void collect(struct rows *rows, uint64_t now_ms)
{
    const struct node *node = rows->everywhere->node;
    struct receipt_node own = {node->identity.node_id, node->identity.region, KR_RECEIPT_APPLIED,
                               receipt_commit_ms(rows->waiting->call)};
    if (is_superseded(rows->everywhere, rows->waiting)) {
        own.state = KR_RECEIPT_PENDING;
        own.after_ms = -1;
    }
    arena_reset(&rows->everywhere->scratch);
    add_row(rows, &own);
    if (rows->everywhere->roster != NULL)
        ask_roster(rows, now_ms);
}

static void name_regions(struct rows *rows)
{
    rows->view = store_view_open(rows->everywhere->node->store);
    for (size_t i = 1; i < rows->count; i++)
        rows->nodes[i].region = region_of(rows, rows->nodes[i].id);
    store_view_close(&rows->view);
}

// Takes the receipt. Gives how many rows it has.
static size_t answer(struct everywhere *everywhere, struct waiting *waiting, uint64_t now_ms)
{
    struct rows rows = {.everywhere = everywhere, .waiting = waiting};
    collect(&rows, now_ms);
    name_regions(&rows);
    // A failure has been written as the answer.
    (void)receipt_write(waiting->call, rows.nodes, rows.count);
    waiting->done(waiting->ctx);
    mem_free(waiting);
    return rows.count;
}

// --- whether it is complete ----------------------------------------------------------------------

struct former {
    uint64_t bounded_at;
    bool is_open;
};

static void visit_former(void *ctx, const struct roster_view *seen)
{
    struct former *former = ctx;
    bool is_open = seen->state == KR_ROSTER_PENDING || seen->state == KR_ROSTER_UNBOUNDED;
    former->is_open |= is_open && seen->applied_index < former->bounded_at;
}

static bool is_complete(const struct everywhere *everywhere, const struct queue *queue,
                        uint64_t index, uint64_t now_ms)
{
    struct roster_demand demand = {index, queue->bound_ms};
    struct former former = {.bounded_at = queue->bounded_at};
    if (everywhere->roster == NULL)
        return true;
    if (roster_wait(everywhere->roster, &demand, UINT64_MAX, now_ms) != KR_ROSTER_COMPLETE)
        return false;
    if (queue->bounded_at == 0)
        return true;
    demand.max_staleness_ms = queue->was_bound_ms;
    roster_each(everywhere->roster, &demand, now_ms, visit_former, &former);
    return !former.is_open;
}

// --- the queues ----------------------------------------------------------------------------------

static bool has_bounds_of(const struct queue *queue, const struct queue *wanted)
{
    return queue->bound_ms == wanted->bound_ms && queue->was_bound_ms == wanted->was_bound_ms &&
           queue->bounded_at == wanted->bounded_at;
}

static struct queue *find_or_add(struct everywhere *everywhere, const struct queue *wanted)
{
    struct queue *at = everywhere->queues;
    while (at != NULL && !has_bounds_of(at, wanted))
        at = at->next;
    if (at != NULL)
        return at;
    at = mem_alloc(sizeof(*at));
    *at = *wanted;
    at->end = &at->first;
    at->next = everywhere->queues;
    everywhere->queues = at;
    everywhere->queue_count++;
    return at;
}

// Most are the highest of all; the receipt of an older entry may be asked for again.
static void enqueue(struct queue *queue, struct waiting *waiting)
{
    struct waiting **at = waiting->index >= queue->end_index ? queue->end : &queue->first;
    while (*at != NULL && (*at)->index <= waiting->index)
        at = &(*at)->next;
    waiting->next = *at;
    *at = waiting;
    if (waiting->next == NULL) {
        queue->end = &waiting->next;
        queue->end_index = waiting->index;
    }
    if (waiting->deadline_ms < queue->look_ms)
        queue->look_ms = waiting->deadline_ms;
}

static struct waiting *dequeue(struct queue *queue, struct waiting **at)
{
    struct waiting *waiting = *at;
    *at = waiting->next;
    if (queue->end == &waiting->next)
        queue->end = at;
    return waiting;
}

static void drop_queue(struct everywhere *everywhere, struct queue **at)
{
    struct queue *queue = *at;
    *at = queue->next;
    everywhere->queue_count--;
    mem_free(queue);
}

// --- coming and going ----------------------------------------------------------------------------

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

// How long before now the request was made: what the commit took, by the wall clock; and where the
// receipt is asked for again, the time since the commit, for which there is no other clock.
static uint64_t requested_since_ms(const struct call *call)
{
    int64_t since_commit_ms = clock_unix_ms() - call->receipt.record.committed_ms;
    bool is_asked_again = !call->has_command;
    return (uint64_t)receipt_commit_ms(call) +
           (is_asked_again && since_commit_ms > 0 ? (uint64_t)since_commit_ms : 0);
}

void everywhere_answer(struct everywhere *everywhere, struct call *call, everywhere_done_fn *done,
                       void *ctx)
{
    const struct call_receipt *receipt = &call->receipt;
    struct waiting *waiting = mem_zalloc(sizeof(*waiting));
    read_bound(everywhere, call);
    uint64_t now_ms = clock_boot_ms(), since_ms = requested_since_ms(call);
    *waiting = (struct waiting){.call = call,
                                .done = done,
                                .ctx = ctx,
                                .index = receipt->record.index,
                                .epoch = replica_epoch(everywhere->node->replica),
                                .requested_boot_ms = now_ms > since_ms ? now_ms - since_ms : 0,
                                .deadline_ms = now_ms + receipt->timeout_ms};
    const struct queue wanted = {.bound_ms = receipt->bound_ms,
                                 .was_bound_ms = receipt->was_bound_ms,
                                 .bounded_at = receipt->bounded_at,
                                 .look_ms = now_ms + KR_EVERYWHERE_LOOK_MS};
    bool may_wait = receipt->is_everywhere && receipt->timeout_ms > 0 && !everywhere->is_stopped &&
                    !is_superseded(everywhere, waiting);
    if (may_wait && !is_complete(everywhere, &wanted, waiting->index, now_ms))
        enqueue(find_or_add(everywhere, &wanted), waiting);
    else
        answer(everywhere, waiting, now_ms);
}

static size_t answer_complete(struct everywhere *everywhere, struct queue *queue, uint64_t now_ms)
{
    size_t rows = 0;
    while (queue->first != NULL && rows < KR_EVERYWHERE_ROWS &&
           is_complete(everywhere, queue, queue->first->index, now_ms))
        rows += answer(everywhere, dequeue(queue, &queue->first), now_ms);
    return rows;
}

static bool is_over(const struct everywhere *everywhere, const struct waiting *waiting,
                    uint64_t now_ms)
{
    return everywhere->is_stopped || now_ms >= waiting->deadline_ms ||
           is_superseded(everywhere, waiting) ||
           atomic_load_explicit(&waiting->call->is_given_up, memory_order_relaxed);
}

static size_t answer_late(struct everywhere *everywhere, struct queue *queue, uint64_t now_ms)
{
    uint64_t next_ms = now_ms + KR_EVERYWHERE_LOOK_MS;
    struct waiting **at = &queue->first;
    size_t rows = 0;
    if (now_ms < queue->look_ms && !everywhere->is_stopped)
        return 0;
    while (*at != NULL && rows < KR_EVERYWHERE_ROWS) {
        if (is_over(everywhere, *at, now_ms)) {
            rows += answer(everywhere, dequeue(queue, at), now_ms);
            continue;
        }
        if ((*at)->deadline_ms < next_ms)
            next_ms = (*at)->deadline_ms;
        at = &(*at)->next;
    }
    queue->look_ms = *at == NULL ? next_ms : now_ms;
    return rows;
}

void everywhere_ask(struct everywhere *everywhere)
{
    everywhere->is_due = true;
}

bool everywhere_turn(struct everywhere *everywhere, uint64_t now_boot_ms)
{
    bool is_early = everywhere->queue_count > KR_EVERYWHERE_QUEUES && !everywhere->is_stopped &&
                    now_boot_ms < everywhere->looked_ms + KR_EVERYWHERE_PAUSE_MS;
    struct queue **at = &everywhere->queues, *queue;
    size_t rows = 0;
    if (!everywhere->is_due || is_early)
        return false;
    everywhere->looked_ms = now_boot_ms;
    while ((queue = *at) != NULL && rows < KR_EVERYWHERE_ROWS) {
        rows += answer_complete(everywhere, queue, now_boot_ms);
        rows += answer_late(everywhere, queue, now_boot_ms);
        if (queue->first == NULL)
            drop_queue(everywhere, at);
        else
            at = &queue->next;
    }
    everywhere->is_due = rows >= KR_EVERYWHERE_ROWS;
    return everywhere->is_due;
}

void everywhere_stop(struct everywhere *everywhere)
{
    everywhere->is_stopped = everywhere->is_due = true;
}
