// SPDX-License-Identifier: Apache-2.0
// The engine over the register service: campaigns, keeps its lease, appends one batch at a time,
// and reads the log's tail before it leads.
//
// Happy path: campaign won → tail read → LEADER → appends and keep-alives. What is not answered is
// settled by reading the key back. It stops leading when its validity is over by its own clock, or
// the service says that another one leads; what is on its way then is settled all the same, and may
// turn out to be committed while another one leads. Only then does it stand by again.
#include <string.h>

#include "core/base/clock.h"
#include "replication/engine_etcd.h"
#include "replication/lease.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_service.h"

enum {
    KR_SIM_KEEP_MS = 300,
    KR_SIM_CAMPAIGN_MS = 350,
    KR_SIM_GIVE_WAY_MS = 4000,
    KR_SIM_LAST_RESORT_MS = 3000,
    KR_SIM_REFUSED_MOST_MS = 30000
};

enum sim_phase { KR_SIM_STANDS_BY, KR_SIM_RESIGNS, KR_SIM_CAMPAIGNS, KR_SIM_READS, KR_SIM_LEADS };

enum sim_append_stage { KR_SIM_WAITS, KR_SIM_SENT, KR_SIM_UNSURE, KR_SIM_SETTLES, KR_SIM_SETTLED };

struct sim_append {
    struct sim_append *next;
    struct bytes *rows; // heap
    size_t count;
    uint64_t index, deadline_ms;
    enum sim_append_stage stage;
    bool is_in_flight; // it was sent, and may be in the log
    bool is_deposed;   // and whatever was sent has had its effect, or has none
    enum kr_err err;
    engine_done_fn *done;
    void *ctx;
};

struct sim_engine {
    struct engine base;
    struct sim_node *node;
    enum sim_phase phase;
    uint64_t epoch, valid_until_ms, campaign_due_ms, keep_due_ms;
    uint64_t vacant_since_ms, refused_for_ms; // as in engine_etcd_internal.h
    bool is_keeping, has_role_event, owes_resignation;
    struct sim_append *first; // not told yet, in order
    struct bytes *tail;       // from tail_index on; heap
    size_t tail_count;
    uint64_t tail_index;
    struct sim_node *known_leader;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static struct sim_engine *engine_of(struct sim_node *node)
{
    return (struct sim_engine *)node->engine;
}

static void free_rows(struct bytes *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free((void *)(uintptr_t)rows[i].data);
    mem_free(rows);
}

// --- leaving -------------------------------------------------------------------------------------

// The first one that is not settled; NULL: none.
static struct sim_append *head_of(const struct sim_engine *engine)
{
    struct sim_append *append = engine->first;
    while (append != NULL && append->stage == KR_SIM_SETTLED)
        append = append->next;
    return append;
}

static bool has_flight(const struct sim_engine *engine)
{
    const struct sim_append *head = head_of(engine);
    return head != NULL && head->is_in_flight;
}

static void finish(struct sim_append *append, enum kr_err err)
{
    append->stage = KR_SIM_SETTLED;
    append->err = err;
}

// Nothing is in flight: what waited behind it was not written.
static void fail_waiting(struct sim_engine *engine)
{
    for (struct sim_append *one; (one = head_of(engine)) != NULL;)
        finish(one, KR_ERR_NO_LEADER);
}

static void leave(struct sim_engine *engine, uint64_t wait_ms, const char *why)
{
    if (engine->phase == KR_SIM_RESIGNS)
        return;
    sim_say("engine: leads no more: %s", why);
    engine->has_role_event = engine->phase == KR_SIM_LEADS;
    engine->phase = KR_SIM_RESIGNS;
    engine->campaign_due_ms = clock_boot_ms() + wait_ms + sim_below(200);
}

static void on_resigned(struct sim_node *node, struct sim_call *call)
{
    (void)node, (void)call;
}

// What is in flight comes before the leadership is given back, as later nobody could settle it.
static void end_resigning(struct sim_engine *engine)
{
    if (engine->phase != KR_SIM_RESIGNS || has_flight(engine))
        return;
    fail_waiting(engine);
    engine->phase = KR_SIM_STANDS_BY;
    if (engine->owes_resignation)
        sim_service_ask(engine->node,
                        &(struct sim_call){.kind = KR_SIM_RESIGN, .epoch = engine->epoch},
                        on_resigned);
    engine->owes_resignation = false;
}

static void resign(struct engine *base, const struct fault *why)
{
    struct sim_engine *engine = (struct sim_engine *)base;
    if (engine->phase != KR_SIM_LEADS || sim_is_broken(KR_SIM_NO_RESIGNING))
        return;
    uint64_t longer_ms = engine->refused_for_ms == 0 ? 1000 : 2 * engine->refused_for_ms;
    engine->refused_for_ms =
        longer_ms < KR_SIM_REFUSED_MOST_MS ? longer_ms : KR_SIM_REFUSED_MOST_MS;
    engine->owes_resignation = true;
    leave(engine, engine->refused_for_ms, why->text);
}

// --- campaign and take-over ----------------------------------------------------------------------

static void on_read(struct sim_node *node, struct sim_call *call)
{
    struct sim_engine *engine = engine_of(node);
    if (engine->phase != KR_SIM_READS)
        return;
    if (call->result == KR_SIM_UNKNOWN) {
        leave(engine, KR_SIM_CAMPAIGN_MS, "the tail could not be read");
        return;
    }
    if (call->first > call->index) {
        leave(engine, KR_SIM_GIVE_WAY_MS, "the log is trimmed beyond what is here");
        sim_service_ask(node, &(struct sim_call){.kind = KR_SIM_RESIGN, .epoch = engine->epoch},
                        on_read);
        return;
    }
    free_rows(engine->tail, engine->tail_count);
    engine->tail = NULL;
    engine->tail_count = 0;
    engine->tail_index = call->index;
    if (!sim_is_broken(KR_SIM_BLIND_TAKE_OVER)) {
        engine->tail = call->rows;
        engine->tail_count = call->count;
        call->rows = NULL;
        call->count = 0;
    }
    engine->phase = KR_SIM_LEADS;
    engine->has_role_event = true;
    sim.figures.leaders++;
}

static void note_leader(struct sim_engine *engine, const struct sim_call *call)
{
    const struct engine_events *events = &engine->base.events;
    engine->vacant_since_ms = 0;
    engine->known_leader = call->leader;
    if (events->leader != NULL)
        events->leader(events->ctx, call->leader->id, call->leader->address);
}

static void stand_by(struct sim_engine *engine)
{
    engine->phase = KR_SIM_STANDS_BY;
    engine->campaign_due_ms = clock_boot_ms() + KR_SIM_CAMPAIGN_MS + sim_below(250);
}

static void on_looked(struct sim_node *node, struct sim_call *call)
{
    struct sim_engine *engine = engine_of(node);
    if (engine->phase != KR_SIM_CAMPAIGNS)
        return;
    stand_by(engine);
    if (call->result == KR_SIM_REFUSED)
        note_leader(engine, call);
    else if (call->result == KR_SIM_DONE && engine->vacant_since_ms == 0)
        engine->vacant_since_ms = clock_boot_ms();
}

static void on_campaigned(struct sim_node *node, struct sim_call *call)
{
    struct sim_engine *engine = engine_of(node);
    if (engine->phase != KR_SIM_CAMPAIGNS)
        return;
    stand_by(engine);
    if (call->result == KR_SIM_DONE) {
        engine->vacant_since_ms = 0;
        engine->epoch = call->epoch;
        engine->valid_until_ms = call->sent_ms + KR_SIM_TTL_MS - lease_drift_ms(KR_SIM_TTL_MS);
        engine->keep_due_ms = call->sent_ms + KR_SIM_KEEP_MS;
        engine->phase = KR_SIM_READS;
        sim_service_ask(
            node, &(struct sim_call){.kind = KR_SIM_READ, .index = node->disk->position.index + 1},
            on_read);
    } else if (call->result == KR_SIM_REFUSED) {
        note_leader(engine, call);
    }
}

// As engine_etcd_lead.c: who is unfit only looks who leads, a last resort does so for a while.
static bool is_to_stand(const struct sim_engine *engine, uint64_t now_ms)
{
    struct fault why;
    enum engine_fitness fitness = sim_node_fitness(engine->node, &why);
    return fitness == KR_ENGINE_FIT ||
           (fitness == KR_ENGINE_LAST_RESORT && engine->vacant_since_ms != 0 &&
            now_ms >= engine->vacant_since_ms + KR_SIM_LAST_RESORT_MS);
}

static void stand(struct sim_engine *engine, uint64_t now_ms)
{
    engine->phase = KR_SIM_CAMPAIGNS;
    if (is_to_stand(engine, now_ms))
        sim_service_ask(engine->node, &(struct sim_call){.kind = KR_SIM_CAMPAIGN}, on_campaigned);
    else
        sim_service_ask(engine->node, &(struct sim_call){.kind = KR_SIM_LOOK}, on_looked);
}

static void on_kept(struct sim_node *node, struct sim_call *call)
{
    struct sim_engine *engine = engine_of(node);
    uint64_t until_ms = call->sent_ms + KR_SIM_TTL_MS - lease_drift_ms(KR_SIM_TTL_MS);
    engine->is_keeping = false;
    if (engine->phase < KR_SIM_READS || call->epoch != engine->epoch)
        return;
    if (call->result == KR_SIM_REFUSED)
        leave(engine, KR_SIM_CAMPAIGN_MS, "another one may lead");
    else if (call->result == KR_SIM_DONE && until_ms > engine->valid_until_ms)
        engine->valid_until_ms = until_ms;
}

// --- appends -------------------------------------------------------------------------------------

// It has failed, and what is behind it with it.
static void give_up(struct sim_engine *engine, struct sim_append *append, enum kr_err err,
                    const char *why)
{
    finish(append, err);
    fail_waiting(engine);
    leave(engine, KR_SIM_CAMPAIGN_MS, why);
}

static bool is_ours(const struct sim_append *append, const struct sim_call *call)
{
    return call->count > 0 && call->rows[0].size == append->rows[0].size &&
           memcmp(call->rows[0].data, append->rows[0].data, append->rows[0].size) == 0;
}

static void on_settled(struct sim_node *node, struct sim_call *call)
{
    struct sim_engine *engine = engine_of(node);
    struct sim_append *append = head_of(engine);
    if (append == NULL || append->stage != KR_SIM_SETTLES || append->index != call->index)
        return;
    if (call->result == KR_SIM_UNKNOWN)
        append->stage = KR_SIM_UNSURE;
    else if (is_ours(append, call))
        finish(append, KR_ERR_OK);
    else if (call->count > 0)
        give_up(engine, append, KR_ERR_NO_LEADER, "that entry is another's");
    else if (call->first > append->index)
        give_up(engine, append, KR_ERR_TIMEOUT, "the log is trimmed beyond an append");
    else if (append->is_deposed)
        give_up(engine, append, KR_ERR_NO_LEADER, "an append had no effect");
    else
        append->stage = KR_SIM_WAITS; // no effect, or not yet: the same again
}

static void on_put(struct sim_node *node, struct sim_call *call)
{
    struct sim_engine *engine = engine_of(node);
    struct sim_append *append = head_of(engine);
    if (append == NULL || append->stage != KR_SIM_SENT || append->index != call->index ||
        call->epoch != engine->epoch)
        return;
    append->is_deposed = call->result == KR_SIM_REFUSED;
    if (append->is_deposed)
        leave(engine, KR_SIM_CAMPAIGN_MS, "an append was refused");
    if (call->result == KR_SIM_DONE)
        engine->refused_for_ms = 0;
    if (call->result == KR_SIM_DONE)
        finish(append, KR_ERR_OK);
    else if (call->result == KR_SIM_UNKNOWN && sim_is_broken(KR_SIM_GUESSED_APPEND))
        finish(append, KR_ERR_OK);
    else if (call->result == KR_SIM_UNKNOWN && sim_is_broken(KR_SIM_NO_ABSENCE_GUARD))
        finish(append, KR_ERR_TIMEOUT);
    else
        append->stage = KR_SIM_UNSURE;
}

static void watch_deadline(struct sim_engine *engine)
{
    struct sim_append *append = head_of(engine);
    bool is_called =
        append != NULL && (append->stage == KR_SIM_SENT || append->stage == KR_SIM_SETTLES);
    if (append != NULL && !is_called && append->is_in_flight &&
        clock_boot_ms() >= append->deadline_ms)
        give_up(engine, append, KR_ERR_TIMEOUT, "an append was not settled in time");
}

// One at a time, so that the log has no hole. What has been sent goes on when another one leads.
static void send_head(struct sim_engine *engine)
{
    struct sim_append *append = head_of(engine);
    if (append == NULL || (engine->phase != KR_SIM_LEADS && !append->is_in_flight))
        return;
    if (append->stage == KR_SIM_WAITS) {
        append->stage = KR_SIM_SENT;
        append->is_in_flight = true;
        sim_service_ask(engine->node,
                        &(struct sim_call){.kind = KR_SIM_APPEND,
                                           .epoch = engine->epoch,
                                           .index = append->index,
                                           .rows = append->rows,
                                           .count = append->count},
                        on_put);
    } else if (append->stage == KR_SIM_UNSURE) {
        append->stage = KR_SIM_SETTLES;
        sim_service_ask(engine->node,
                        &(struct sim_call){.kind = KR_SIM_READ, .index = append->index},
                        on_settled);
    }
}

static enum kr_err put(struct engine *base, const struct engine_batch *batch, engine_done_fn *done,
                       void *ctx)
{
    struct sim_engine *engine = (struct sim_engine *)base;
    if (engine->phase != KR_SIM_LEADS || batch->epoch != engine->epoch)
        return KR_ERR_NO_LEADER;
    struct sim_append *append = mem_zalloc(sizeof(*append)), **at = &engine->first;
    append->rows = mem_alloc(batch->count * sizeof(*append->rows));
    for (size_t i = 0; i < batch->count; i++)
        append->rows[i] = sim_rows_copy(batch->rows[i].entry);
    append->count = batch->count;
    append->index = batch->rows[0].index;
    append->deadline_ms = clock_boot_ms() + KR_ETCD_APPEND_MS;
    append->done = done;
    append->ctx = ctx;
    while (*at != NULL)
        at = &(*at)->next;
    *at = append;
    send_head(engine);
    return KR_ERR_OK;
}

// --- the face ------------------------------------------------------------------------------------

static void campaign(struct engine *base)
{
    struct sim_engine *engine = (struct sim_engine *)base;
    engine->campaign_due_ms = clock_boot_ms() + sim_below(300);
}

// A long tail comes in pieces, which have to be waited for.
static enum kr_err read_one(struct engine *base, uint64_t index, struct arena *arena,
                            struct bytes *entry, struct fault *fault)
{
    const struct sim_engine *engine = (const struct sim_engine *)base;
    (void)arena;
    if (index < engine->tail_index || index >= engine->tail_index + engine->tail_count)
        return KR_ERR_NOT_FOUND;
    if (sim_chance(10))
        return fault_set(fault, KR_ERR_BUSY, "the tail is being read");
    *entry = engine->tail[index - engine->tail_index];
    return KR_ERR_OK;
}

static void trim(struct engine *base, uint64_t below_index)
{
    (void)base;
    sim_service_trim(below_index);
}

static uint64_t valid_until_ms(const struct engine *base)
{
    const struct sim_engine *engine = (const struct sim_engine *)base;
    if (engine->phase != KR_SIM_LEADS)
        return 0;
    return sim_is_broken(KR_SIM_ENDLESS_VALIDITY) ? UINT64_MAX : engine->valid_until_ms;
}

static void watch_time(struct sim_engine *engine, uint64_t now_ms)
{
    bool is_over = now_ms >= engine->valid_until_ms && !sim_is_broken(KR_SIM_ENDLESS_VALIDITY);
    if (engine->phase >= KR_SIM_READS && is_over)
        leave(engine, KR_SIM_CAMPAIGN_MS, "its validity is over");
    if (engine->phase >= KR_SIM_READS && now_ms >= engine->keep_due_ms && !engine->is_keeping) {
        engine->is_keeping = true;
        engine->keep_due_ms = now_ms + KR_SIM_KEEP_MS;
        sim_service_ask(engine->node,
                        &(struct sim_call){.kind = KR_SIM_KEEP_ALIVE, .epoch = engine->epoch},
                        on_kept);
    }
    if (engine->phase == KR_SIM_STANDS_BY && now_ms >= engine->campaign_due_ms)
        stand(engine, now_ms);
}

static bool tell(struct sim_engine *engine)
{
    const struct engine_events *events = &engine->base.events;
    bool were_any = engine->has_role_event;
    while (engine->first != NULL && engine->first->stage == KR_SIM_SETTLED) {
        struct sim_append *append = engine->first;
        engine->first = append->next;
        append->done(append->ctx, append->err, NULL);
        free_rows(append->rows, append->count);
        mem_free(append);
        were_any = true;
    }
    if (engine->has_role_event && events->role != NULL) {
        engine->has_role_event = false;
        events->role(events->ctx,
                     engine->phase == KR_SIM_LEADS ? KR_ENGINE_LEADER : KR_ENGINE_STANDBY,
                     engine->epoch);
    }
    return were_any;
}

static bool turn(struct engine *base)
{
    struct sim_engine *engine = (struct sim_engine *)base;
    if (engine->closed == NULL) {
        watch_time(engine, clock_boot_ms());
        watch_deadline(engine);
        end_resigning(engine);
    }
    bool were_any = tell(engine);
    send_head(engine);
    if (engine->closed == NULL || base->events.role != NULL)
        return were_any;
    void (*closed)(void *ctx) = engine->closed;
    void *ctx = engine->closed_ctx;
    free_rows(engine->tail, engine->tail_count);
    mem_free(engine);
    closed(ctx);
    return true;
}

static void close_engine(struct engine *base, void (*closed)(void *ctx), void *ctx)
{
    struct sim_engine *engine = (struct sim_engine *)base;
    engine->phase = KR_SIM_STANDS_BY;
    if (has_flight(engine)) // the process ends, and nobody will know
        finish(head_of(engine), KR_ERR_TIMEOUT);
    fail_waiting(engine);
    engine->closed = closed;
    engine->closed_ctx = ctx;
}

static const struct engine_verbs verbs = {.name = "sim",
                                          .campaign = campaign,
                                          .append = put,
                                          .read = read_one,
                                          .trim = trim,
                                          .resign = resign,
                                          .valid_until_ms = valid_until_ms,
                                          .turn = turn,
                                          .close = close_engine};

struct engine *sim_engine_new(struct sim_node *node)
{
    struct sim_engine *engine = mem_zalloc(sizeof(*engine));
    engine->base.verbs = &verbs;
    engine->node = node;
    return &engine->base;
}
