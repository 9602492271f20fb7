// SPDX-License-Identifier: Apache-2.0
// Clients that write, and the leader's part of it.
#include "tests/sim/sim_writes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "tests/sim/sim_check.h"

enum {
    KR_SIM_OPS = 8192,
    KR_SIM_CALL_WAIT_MS = 4000,
    KR_SIM_RECEIPT_MS = 15000,
    KR_SIM_ENLIST_AGAIN_MS = 500,
    KR_SIM_LEADING_AGAIN_MS = 200,   // as node/leading.c
    KR_SIM_LAST_WRITES_US = 4000000, // behind the last fault
};

enum sim_op_kind {
    KR_SIM_CREATE,
    KR_SIM_REVOKE,
    KR_SIM_TOUCH,
    KR_SIM_REVOKE_CONSUMER,
    KR_SIM_SET_BOUND,
    KR_SIM_OWN
};

struct sim_op {
    enum sim_op_kind kind;
    unsigned key; // or consumer, or bucket
    int64_t bound_ms;
    bool is_everywhere;
};

static const int64_t staleness_ms[KR_SIM_BUCKETS] = {300, 1000, 4000, KR_UNBOUNDED};
// What they are changed to. Where there was no bound once, receipts wait for all who do not know of
// the later one, so that is rare.
static const int64_t later_staleness_ms[] = {300,  300,  1000, 1000, 1000,        4000,
                                             4000, 4000, 8000, 8000, KR_UNBOUNDED};
static struct sim_op ops[KR_SIM_OPS];
static unsigned op_count;
static bool is_created[KR_SIM_KEYS];

// One write at the leader.
struct sim_write {
    struct sim_write *next;
    struct sim_node *node;
    unsigned op;
    bool is_own;  // the node's, not a client's
    bool is_lead; // that it leads
    struct peers_call *call;
    uint64_t index, until_ms;
    uint64_t epoch; // that this node led by when the receipt was asked for
    struct roster_demand demand;
    int64_t was_bound_ms;
    uint64_t bounded_at;
};

struct sim_writes {
    struct sim_write *waiting; // for everywhere
    uint64_t enlisted_ms[KR_SIM_NODES];
    uint64_t led_epoch, lead_again_ms; // as node/leading.c: of the leadership that has said so
    bool is_leading_said;              // on its way
};

void sim_writes_digest(unsigned key, uint8_t digest[KR_DIGEST_SIZE])
{
    memset(digest, 0x5a, KR_DIGEST_SIZE);
    digest[0] = (uint8_t)key;
}

bool sim_writes_is_of(unsigned key, const char *consumer_id)
{
    char own[8];
    snprintf(own, sizeof(own), "c%u", key % KR_SIM_BUCKETS);
    return strcmp(own, consumer_id) == 0;
}

struct sim_writes *sim_writes_new(void)
{
    return mem_zalloc(sizeof(struct sim_writes));
}

// --- commands ------------------------------------------------------------------------------------

static void add_bucket(struct command *command, struct arena *arena, unsigned i)
{
    char *name = arena_printf(arena, "bucket-%u", i);
    command_add(command, KR_OP_BUCKET_PUT, arena)->as.bucket_put = (struct command_bucket_put){
        {.id = arena_printf(arena, "b%u", i), .name = name, .max_staleness_ms = staleness_ms[i]},
        0};
    command_add(command, KR_OP_CONSUMER_PUT, arena)->as.consumer_put =
        (struct command_consumer_put){{.id = arena_printf(arena, "c%u", i),
                                       .bucket_id = arena_printf(arena, "b%u", i),
                                       .name = arena_printf(arena, "consumer-%u", i)},
                                      .expected_version = 0};
}

static struct key key_of(struct arena *arena, unsigned number)
{
    struct key key = {.id = arena_printf(arena, "key_%024u", number),
                      .bucket_id = arena_printf(arena, "b%u", number % KR_SIM_BUCKETS),
                      .consumer_id = arena_printf(arena, "c%u", number % KR_SIM_BUCKETS),
                      .masked = "kr_…",
                      .created_by = "sim",
                      .is_enabled = true,
                      .created_ms = KR_SIM_KEY_CREATED_MS};
    sim_writes_digest(number, key.digest);
    return key;
}

static void set_bound(struct sim_node *node, struct command *command, struct arena *arena,
                      const struct sim_op *op)
{
    struct bucket stored, bucket = {.id = arena_printf(arena, "b%u", op->key),
                                    .name = arena_printf(arena, "bucket-%u", op->key),
                                    .max_staleness_ms = op->bound_ms};
    bool is_there = fake_get_bucket(&node->disk->fake, bucket.id, &stored);
    command_add(command, KR_OP_BUCKET_PUT, arena)->as.bucket_put =
        (struct command_bucket_put){bucket, is_there ? stored.version : 1};
}

static void add_op(struct sim_node *node, struct command *command, struct arena *arena,
                   const struct sim_op *op)
{
    struct key stored, key = key_of(arena, op->key);
    switch (op->kind) {
    case KR_SIM_CREATE:
        command_add(command, KR_OP_KEY_PUT, arena)->as.key_put =
            (struct command_key_put){key, 0, NULL};
        break;
    case KR_SIM_TOUCH:
        if (!fake_get_key(&node->disk->fake, key.digest, &stored))
            stored.version = 1;
        key.description =
            arena_printf(arena, "%0*llu", (int)sim_below(600), (unsigned long long)sim.now_us);
        command_add(command, KR_OP_KEY_PUT, arena)->as.key_put =
            (struct command_key_put){key, stored.version, NULL};
        break;
    case KR_SIM_REVOKE:
        command_add(command, KR_OP_KEY_REVOKE, arena)->as.key_revoke = (struct command_key_revoke){
            .reason = KR_REASON_KEY_COMPROMISE, .purge_ms = sim_chance(30) ? KR_SIM_START_US : 0};
        sim_writes_digest(op->key, command->ops[command->op_count - 1].as.key_revoke.digest);
        break;
    case KR_SIM_REVOKE_CONSUMER:
        command_add(command, KR_OP_CONSUMER_REVOKE, arena)->as.target = (struct command_target){
            .id = arena_printf(arena, "c%u", op->key), .reason = KR_REASON_SUPERSEDED};
        break;
    case KR_SIM_SET_BOUND:
        set_bound(node, command, arena, op);
        break;
    case KR_SIM_OWN:
        break;
    }
}

// --- the leader's part ---------------------------------------------------------------------------

static void answer(struct sim_write *write, unsigned status)
{
    const struct forward_answer answer = {.status = status};
    if (write->call != NULL)
        peers_answer(write->node->peers, write->call, &answer);
    mem_free(write);
}

static void op_name(unsigned op, char out[24])
{
    snprintf(out, 24, "op-%u", op);
}

// As node/everywhere.c: by the bounds of the revoked keys as they stand behind the commit.
static void wait_everywhere(struct sim_write *write, uint64_t index)
{
    struct sim_node *node = write->node;
    struct bucket bucket;
    char id[8];
    snprintf(id, sizeof(id), "b%u", ops[write->op].key % KR_SIM_BUCKETS);
    if (!fake_get_bucket(&node->disk->fake, id, &bucket))
        bucket = (struct bucket){.max_staleness_ms = KR_UNBOUNDED};
    write->index = index;
    write->until_ms = clock_boot_ms() + KR_SIM_RECEIPT_MS;
    write->epoch = replica_epoch(node->replica);
    write->demand = (struct roster_demand){index, bucket.max_staleness_ms};
    write->was_bound_ms = bucket.was_staleness_ms;
    write->bounded_at = bucket.lowered_at;
    write->next = node->writes->waiting;
    node->writes->waiting = write;
}

static void note_safe(struct sim_write *write, const struct replica_outcome *outcome)
{
    const struct sim_op *op = &ops[write->op];
    char name[24];
    op_name(write->op, name);
    sim.figures.acked++;
    sim_check_acked(outcome->index, name);
    sim_say("acked %s at entry %llu (%d)", name, (unsigned long long)outcome->index,
            (int)outcome->result.code);
    bool is_revoked = op->kind == KR_SIM_REVOKE || op->kind == KR_SIM_REVOKE_CONSUMER;
    if (outcome->result.code == KR_APPLY_OK && is_revoked && op->is_everywhere)
        wait_everywhere(write, outcome->index);
    else
        answer(write, 200);
}

static void note_lead(struct sim_writes *writes, const struct replica_outcome *outcome)
{
    writes->is_leading_said = false;
    writes->lead_again_ms = clock_boot_ms() + KR_SIM_LEADING_AGAIN_MS;
    if (outcome->err == KR_ERR_OK)
        writes->led_epoch = outcome->epoch;
}

static void submitted(void *ctx, const struct replica_outcome *outcome)
{
    struct sim_write *write = ctx;
    bool is_heard = !write->node->is_dying && !write->is_own;
    if (write->is_lead && !write->node->is_dying)
        note_lead(write->node->writes, outcome);
    if (outcome->err == KR_ERR_OK && is_heard) {
        note_safe(write, outcome);
        return;
    }
    if (is_heard && outcome->err == KR_ERR_TIMEOUT)
        sim.figures.unknown++;
    else if (is_heard)
        sim.figures.refused++;
    answer(write, 503);
}

static void submit(struct sim_write *write, struct command *command)
{
    char name[24];
    op_name(write->op, name);
    command->request_id = write->is_own ? "own" : name;
    command->actor = "sim";
    enum kr_err err = replica_submit(write->node->replica, command, submitted, write);
    if (err == KR_ERR_OK) {
        sim_node_turn_soon(write->node);
        return;
    }
    submitted(write, &(struct replica_outcome){.err = err});
}

static void execute(struct sim_node *node, unsigned op, struct peers_call *call)
{
    struct sim_write *write = mem_zalloc(sizeof(*write));
    struct command command = {0};
    struct arena arena;
    arena_init(&arena);
    *write = (struct sim_write){.node = node, .op = op, .call = call};
    add_op(node, &command, &arena, &ops[op]);
    submit(write, &command);
    arena_fini(&arena);
}

void sim_writes_forwarded(struct sim_node *node, struct peers_call *call,
                          const struct forward_request *request)
{
    execute(node, (unsigned)strtoul(request->target + 1, NULL, 10), call);
}

// --- the node's own entries ----------------------------------------------------------------------

static struct member member_of(const struct sim_node *node)
{
    return (struct member){.id = node->id,
                           .region = node->region,
                           .role = node->is_core ? KR_MEMBER_CORE : KR_MEMBER_FOLLOWER,
                           .peer_address = node->address,
                           .added_ms = 1};
}

static struct sim_write *own_write(struct sim_node *node)
{
    struct sim_write *write = mem_zalloc(sizeof(*write));
    write->node = node;
    write->is_own = true;
    return write;
}

static void say_leading(struct sim_node *node)
{
    struct sim_write *write = own_write(node);
    struct command command = {0};
    struct arena arena;
    arena_init(&arena);
    if (node->disk->position.index == 0) {
        command_add(&command, KR_OP_CLUSTER_INIT, &arena)->as.cluster_init =
            (struct command_cluster_init){"clst_sim", "acct", "sim"};
        for (unsigned i = 0; i < KR_SIM_BUCKETS; i++)
            add_bucket(&command, &arena, i);
        submit(own_write(node), &command);
    }
    command = (struct command){0};
    command_add(&command, KR_OP_MEMBER_PUT, &arena)->as.member_put = member_of(node);
    command_add(&command, KR_OP_LEAD, &arena)->as.lead =
        (struct command_lead){node->id, replica_epoch(node->replica)};
    write->is_lead = node->writes->is_leading_said = true;
    submit(write, &command);
    arena_fini(&arena);
}

// A leader says so in the log, and begins one that is empty.
static void lead(struct sim_node *node)
{
    const struct sim_writes *writes = node->writes;
    if (replica_is_leader(node->replica) && !writes->is_leading_said &&
        writes->led_epoch != replica_epoch(node->replica) &&
        clock_boot_ms() >= writes->lead_again_ms)
        say_leading(node);
}

void sim_writes_enlist(struct sim_node *node, const struct peer_member *member)
{
    const struct sim_node *known = sim_node_by_id(member->id);
    uint64_t now_ms = clock_boot_ms();
    struct command command = {0};
    struct arena arena;
    if (known == NULL || now_ms < node->writes->enlisted_ms[known->slot] + KR_SIM_ENLIST_AGAIN_MS)
        return;
    node->writes->enlisted_ms[known->slot] = now_ms;
    arena_init(&arena);
    command_add(&command, KR_OP_MEMBER_PUT, &arena)->as.member_put = member_of(known);
    submit(own_write(node), &command);
    arena_fini(&arena);
}

void sim_writes_remove(struct sim_node *node, const char *id)
{
    struct command command = {0};
    struct arena arena;
    arena_init(&arena);
    command_add(&command, KR_OP_MEMBER_REMOVE, &arena)->as.member_remove =
        (struct command_member_remove){id};
    submit(own_write(node), &command);
    arena_fini(&arena);
}

// --- receipts ------------------------------------------------------------------------------------

static void pass_over(void *ctx, const struct roster_view *view)
{
    *(bool *)ctx |= view->state != KR_ROSTER_APPLIED && view->is_attached;
}

static void pass_over_former(void *ctx, const struct roster_view *view)
{
    bool is_open = view->state == KR_ROSTER_PENDING || view->state == KR_ROSTER_UNBOUNDED;
    *(bool *)ctx |= is_open && sim_node_by_id(view->id) != sim.former;
}

struct former_bound {
    uint64_t bounded_at;
    bool is_open;
};

static void visit_former_bound(void *ctx, const struct roster_view *view)
{
    struct former_bound *former = ctx;
    bool is_open = view->state == KR_ROSTER_PENDING || view->state == KR_ROSTER_UNBOUNDED;
    former->is_open |= is_open && view->applied_index < former->bounded_at;
}

// By the bound, and of who does not know it by the one before it.
static bool is_complete(struct sim_node *node, const struct sim_write *write, uint64_t now_ms)
{
    const struct roster_demand before = {write->index, write->was_bound_ms};
    struct former_bound former = {.bounded_at = write->bounded_at};
    if (roster_wait(node->roster, &write->demand, UINT64_MAX, now_ms) != KR_ROSTER_COMPLETE)
        return false;
    if (write->bounded_at != 0 && !sim_is_broken(KR_SIM_FORMER_BOUND_UNASKED))
        roster_each(node->roster, &before, now_ms, visit_former_bound, &former);
    return !former.is_open;
}

static bool is_complete_as_broken(struct sim_node *node, const struct sim_write *write,
                                  uint64_t now_ms)
{
    bool is_waited_for = false, is_former = sim_is_broken(KR_SIM_FORMER_PASSED_OVER);
    if (!is_former && !sim_is_broken(KR_SIM_SILENT_PASSED_OVER))
        return is_complete(node, write, now_ms);
    roster_each(node->roster, &write->demand, now_ms, is_former ? pass_over_former : pass_over,
                &is_waited_for);
    return !is_waited_for;
}

// Where leadership is the operator's word, another one may have been promoted without the entry.
// With etcd it stands whoever leads.
static bool is_superseded(const struct sim_node *node, const struct sim_write *write)
{
    return node->engine->is_store_backed &&
           (!replica_is_leader(node->replica) || replica_epoch(node->replica) != write->epoch);
}

static enum roster_outcome ask_roster(struct sim_node *node, const struct sim_write *write)
{
    uint64_t now_ms = clock_boot_ms();
    if (is_superseded(node, write))
        return KR_ROSTER_LATE;
    if (is_complete_as_broken(node, write, now_ms))
        return KR_ROSTER_COMPLETE;
    return now_ms >= write->until_ms ? KR_ROSTER_LATE : KR_ROSTER_WAITING;
}

static void promise(const struct sim_write *write)
{
    const struct sim_op *op = &ops[write->op];
    sim.figures.receipts++;
    sim_say("receipt: entry %llu is everywhere%s", (unsigned long long)write->index,
            replica_is_leader(write->node->replica) ? "" : ", says who led");
    if (op->kind == KR_SIM_REVOKE)
        sim_check_promised(op->key, write->index);
    for (unsigned key = 0; key < KR_SIM_KEYS && op->kind == KR_SIM_REVOKE_CONSUMER; key++)
        if (key % KR_SIM_BUCKETS == op->key)
            sim_check_promised(key, write->index);
}

static void turn_waiting(struct sim_node *node)
{
    struct sim_write **at = &node->writes->waiting;
    while (*at != NULL) {
        struct sim_write *write = *at;
        enum roster_outcome outcome = ask_roster(node, write);
        if (outcome == KR_ROSTER_WAITING) {
            at = &write->next;
            continue;
        }
        *at = write->next;
        if (outcome == KR_ROSTER_COMPLETE)
            promise(write);
        else
            sim.figures.late++;
        answer(write, outcome == KR_ROSTER_COMPLETE ? 200 : 202);
    }
}

void sim_writes_turn(struct sim_node *node)
{
    lead(node);
    turn_waiting(node);
}

void sim_writes_drop(struct sim_node *node)
{
    while (node->writes->waiting != NULL) {
        struct sim_write *write = node->writes->waiting;
        node->writes->waiting = write->next;
        answer(write, 503);
    }
}

void sim_writes_free(struct sim_writes **writes)
{
    mem_free(*writes);
    *writes = NULL;
}

// --- clients -------------------------------------------------------------------------------------

static void answered(void *ctx, enum kr_err err, const struct forward_answer *answer)
{
    (void)ctx;
    (void)answer;
    sim.figures.unknown += err == KR_ERR_TIMEOUT;
}

static void ask(struct sim_node *node, uint64_t op)
{
    char target[16];
    if (replica_is_leader(node->replica)) {
        execute(node, (unsigned)op, NULL);
        return;
    }
    snprintf(target, sizeof(target), "/%u", (unsigned)op);
    const struct forward_request request = {.method = "POST",
                                            .target = target,
                                            .client_address = "127.0.0.1",
                                            .request_id = "sim",
                                            .deadline_ms = clock_boot_ms() + KR_SIM_CALL_WAIT_MS};
    if (peers_forward(node->peers, &request, answered, NULL) != KR_ERR_OK)
        sim.figures.refused++;
    sim_node_turn_soon(node);
}

static struct sim_op draw_op(void)
{
    struct sim_op op = {.kind = KR_SIM_CREATE, .key = (unsigned)sim_below(KR_SIM_KEYS)};
    uint64_t kind = sim_below(100);
    if (kind < 1) {
        op.kind = KR_SIM_REVOKE_CONSUMER;
        op.key = (unsigned)sim_below(KR_SIM_BUCKETS);
    } else if (kind < 4) {
        op.kind = KR_SIM_SET_BOUND;
        op.key = (unsigned)sim_below(KR_SIM_BUCKETS);
        op.bound_ms = later_staleness_ms[sim_below(sizeof(later_staleness_ms) / sizeof(int64_t))];
    } else if (is_created[op.key]) {
        op.kind = kind < 38 ? KR_SIM_REVOKE : KR_SIM_TOUCH;
    } else {
        is_created[op.key] = true;
    }
    op.is_everywhere = sim_chance(70);
    return op;
}

static void next_write(struct sim_node *none, uint64_t arg)
{
    struct sim_node *node = &sim.nodes[sim_below(sim.node_count)];
    (void)none;
    if (sim.is_quiet && sim.now_us > sim.healed_us + KR_SIM_LAST_WRITES_US)
        return;
    if (sim_chance(30) && sim_node_leader() != NULL)
        node = sim_node_leader();
    if (op_count < KR_SIM_OPS && node->is_up) {
        ops[op_count] = draw_op();
        sim_at(sim.now_us, node, ask, op_count++);
    }
    sim_after(sim_between(10000, arg), NULL, next_write, arg);
}

static void steady_write(struct sim_node *none, uint64_t arg)
{
    struct sim_node *leader = sim_node_leader();
    (void)none;
    if (op_count < KR_SIM_OPS && leader != NULL) {
        ops[op_count] = draw_op();
        sim_at(sim.now_us, leader, ask, op_count++);
    }
    sim_after(40000, NULL, steady_write, arg);
}

void sim_writes_again(void)
{
    sim_after(0, NULL, steady_write, 0);
}

void sim_writes_begin(void)
{
    op_count = 0;
    memset(is_created, 0, sizeof(is_created));
    sim_after(300000, NULL, next_write, sim_between(40000, 250000));
}
