// SPDX-License-Identifier: Apache-2.0
// The replica: a queue of encoded entries, a list of appends in flight, and the step between them.
//
// Happy path: submit encodes and queues → turn makes a batch (indexes, epoch and time are written
// in front of each body), appends it → the engine says done → it is applied, unless the engine has
// applied it → every submitter is told, in order.
// Ways it can fail: the engine refuses at once, or later and with it all that is behind it in
// flight (each submitter is told; no new append starts before the last of them is told, since
// their indexes are given anew); leadership is lost (the queue fails, what is in flight waits for
// its answer); the disk is full (nothing is appended that could not be applied; see below); an
// error that no process survives (fatal is told, then every submitter).
//
// INVARIANT. What a node says by its leadership rests on the whole log. So it leads only behind all
// that was there when it was elected, and gives up when it cannot apply that. From then on nobody
// else writes, and what it writes itself is known to nobody before it is applied here: if the disk
// has no room for that, it goes on being valid, and takes no write. Whoever may not lead resigns.
//
//              LEADER event            caught up
//   STANDBY ──────────────▶ CATCHING_UP ────────▶ LEADING
//      ▲                        ▲    an append failed  │
//      │ another role           └──────────────────────┤
//      └───────────────────────────────────────────────┤
//                                FAILED, CLOSING ◀─────┘ (from any state; CLOSING is the last)
#include "replication/replica.h"

#include <assert.h>
#include <stdatomic.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "replication/batch.h"
#include "replication/fate.h"

enum {
    KR_REPLICA_FITNESS_MS = 200, // how often a leader is asked whether it may be one
    KR_REPLICA_READ_ENTRIES =
        100 // are applied together in catching up: some change a thousand rows
};

enum replica_state {
    KR_REPLICA_STANDBY,
    KR_REPLICA_CATCHING_UP,
    KR_REPLICA_LEADING,
    KR_REPLICA_FAILED,
    KR_REPLICA_CLOSING
};

struct append {
    struct append *next;
    struct replica *owner;
    struct batch batch;
    int64_t committed_ms;
    bool is_done;
    enum kr_err err;
};

struct replica {
    struct replica_options options;
    enum replica_state state;
    struct batch_queue queue;
    size_t held_bytes; // queued and in flight
    struct append *first, **last;
    size_t append_count;
    uint64_t next_index; // of the next batch, while something is in flight
    uint64_t engine_epoch;
    int64_t last_at_us;
    bool is_in_turn;
    bool is_behind;  // something committed could not be applied: the log has it, the state not yet
    bool is_waiting; // catching up, and nothing can be done before the engine or the disk can
    bool has_led;    // since the engine said that it leads: it has all that was there before
    bool is_full;    // the disk was, when it was looked at last
    uint64_t fitness_due_ms;
    void (*closed)(void *ctx);
    void *closed_ctx;
    atomic_bool is_leader;
    atomic_uint_fast64_t epoch;
    atomic_uint_fast64_t valid_until_ms; // 0: nothing is known
    atomic_bool is_doubtful;
};

static uint64_t applied_index(const struct replica *replica)
{
    const struct state *state = replica->options.state;
    return state->applied_index(state->ctx);
}

// --- states --------------------------------------------------------------------------------------

// A leader that stops being one keeps what it knew, and grows older from now on, even if its
// validity would have lasted longer: another one may be writing.
static void note_validity(struct replica *replica, bool is_leader)
{
    const struct engine *engine = replica->options.engine;
    uint64_t until_ms = engine->verbs->valid_until_ms(engine);
    bool was_leader = atomic_load_explicit(&replica->is_leader, memory_order_relaxed);
    if (is_leader) {
        atomic_store_explicit(&replica->valid_until_ms, until_ms, memory_order_release);
    } else if (was_leader) {
        uint64_t known_ms = clock_boot_ms() + KR_REPLICA_WINDOW_MS;
        uint64_t promised_ms = atomic_load_explicit(&replica->valid_until_ms, memory_order_relaxed);
        atomic_store_explicit(&replica->valid_until_ms,
                              promised_ms < known_ms ? promised_ms : known_ms,
                              memory_order_release);
    }
    atomic_store_explicit(&replica->is_leader, is_leader, memory_order_release);
}

static void enter(struct replica *replica, enum replica_state state)
{
    // Rows: from; columns: to STANDBY, CATCHING_UP, LEADING, FAILED, CLOSING.
    static const bool is_allowed[5][5] = {
        [KR_REPLICA_STANDBY] = {true, true, false, true, true},
        [KR_REPLICA_CATCHING_UP] = {true, true, true, true, true},
        [KR_REPLICA_LEADING] = {true, true, false, true, true},
        [KR_REPLICA_FAILED] = {false, false, false, false, true},
        [KR_REPLICA_CLOSING] = {false, false, false, false, false},
    };
    assert(is_allowed[replica->state][state]);
    replica->state = state;
    if (state == KR_REPLICA_LEADING)
        note_validity(replica, true);
    else if (state != KR_REPLICA_CATCHING_UP)
        note_validity(replica, false);
    replica->has_led =
        state == KR_REPLICA_LEADING || (replica->has_led && state == KR_REPLICA_CATCHING_UP);
}

static void fail_for_good(struct replica *replica, enum kr_err err, const struct fault *fault)
{
    struct fault unsaid;
    if (replica->state == KR_REPLICA_FAILED || replica->state == KR_REPLICA_CLOSING)
        return;
    enter(replica, KR_REPLICA_FAILED);
    if (fault == NULL || fault->err == KR_ERR_OK) {
        fault_set(&unsaid, err, "log engine %s: %s", replica->options.engine->verbs->name,
                  err_text(err));
        fault = &unsaid;
    }
    replica->options.fatal(replica->options.ctx, err, fault);
}

static void on_role(void *ctx, enum engine_role role, uint64_t epoch)
{
    struct replica *replica = ctx;
    if (replica->state == KR_REPLICA_FAILED || replica->state == KR_REPLICA_CLOSING)
        return;
    if (role != KR_ENGINE_LEADER) {
        bool was_for_good =
            atomic_load_explicit(&replica->valid_until_ms, memory_order_relaxed) == UINT64_MAX;
        enter(replica, KR_REPLICA_STANDBY);
        // Deposed though its validity had no end: nobody knows since when.
        if (role == KR_ENGINE_STANDBY && was_for_good)
            replica_note_lease(replica, 0);
        return;
    }
    replica->engine_epoch = epoch;
    replica->has_led = replica->is_full = false;
    atomic_store_explicit(&replica->epoch, epoch, memory_order_release);
    // A store-backed log holds nothing that the store does not.
    enter(replica, KR_REPLICA_CATCHING_UP);
    if (replica->options.engine->is_store_backed && replica->append_count == 0)
        enter(replica, KR_REPLICA_LEADING);
}

static void on_leader(void *ctx, const char *member_id, const char *peer_address)
{
    const struct replica *replica = ctx;
    if (replica->options.leader != NULL)
        replica->options.leader(replica->options.ctx, member_id, peer_address);
}

// --- who must not lead ---------------------------------------------------------------------------

static bool is_fit(const struct replica *replica, struct fault *why)
{
    const struct replica_options *options = &replica->options;
    return options->fitness == NULL || options->engine->verbs->resign == NULL ||
           options->fitness(options->ctx, why) != KR_ENGINE_UNFIT;
}

static void resign(struct replica *replica, const struct fault *why)
{
    struct engine *engine = replica->options.engine;
    if (engine->verbs->resign != NULL)
        engine->verbs->resign(engine, why);
}

static void watch_fitness(struct replica *replica)
{
    struct fault why = {0};
    uint64_t now_ms = clock_boot_ms();
    if (now_ms < replica->fitness_due_ms)
        return;
    replica->fitness_due_ms = now_ms + KR_REPLICA_FITNESS_MS;
    if (!is_fit(replica, &why))
        resign(replica, &why);
}

// --- the disk ------------------------------------------------------------------------------------

// Told when it changes.
static void note_disk(struct replica *replica, enum kr_err err, const struct fault *fault)
{
    bool is_full = err == KR_ERR_DISK_FULL;
    if (is_full && !replica->is_full)
        LOG_ERROR("this node's disk is full: it takes no writes",
                  LOG_TEXT("why", fault != NULL ? fault->text : err_text(err)));
    else if (!is_full && replica->is_full)
        LOG_INFO("this node's disk has room again: it takes writes",
                 LOG_NUMBER("index", applied_index(replica)));
    replica->is_full = is_full;
}

// --- telling submitters --------------------------------------------------------------------------

// Takes the item.
static void tell(struct replica *replica, struct batch_item *item,
                 const struct replica_outcome *outcome)
{
    replica->held_bytes -= batch_item_size(item);
    item->done(item->ctx, outcome);
    batch_item_free(item);
}

static void fail_next(struct replica *replica, enum kr_err err)
{
    tell(replica, batch_queue_pop(&replica->queue), &(struct replica_outcome){.err = err});
}

static void fail_queue(struct replica *replica, enum kr_err err)
{
    while (replica->queue.first != NULL)
        fail_next(replica, err);
}

// Takes the append.
static void tell_append(struct replica *replica, struct append *append)
{
    struct batch_item *item;
    for (size_t i = 0; (item = batch_queue_pop(&append->batch.items)) != NULL; i++) {
        struct replica_outcome outcome = {.err = fate_of(append->err)};
        if (append->err == KR_ERR_OK) {
            outcome.result = append->batch.results[i];
            outcome.index = item->index;
            outcome.epoch = append->batch.epoch;
            outcome.committed_ms = append->committed_ms;
        }
        tell(replica, item, &outcome);
    }
    batch_fini(&append->batch);
    mem_free(append);
}

// --- room for what is appended -------------------------------------------------------------------

// For these bytes beside what is on its way.
static enum kr_err check_room(const struct replica *replica, size_t size_bytes, struct fault *fault)
{
    const struct state *state = replica->options.state;
    size_t sent_bytes = replica->held_bytes - replica->queue.size_bytes;
    return state->check_room(state->ctx, sent_bytes + size_bytes, fault);
}

// How large the next batch may be. What has no room fails alone: a large entry takes no small ones
// with it, and revocations are small. A store that is the log refuses for itself.
static size_t make_room(struct replica *replica)
{
    const struct batch_queue *queue = &replica->queue;
    struct fault fault = {0};
    if (replica->options.engine->is_store_backed)
        return KR_REPLICA_BATCH_BYTES;
    if (check_room(replica, queue->size_bytes, &fault) == KR_ERR_OK) {
        note_disk(replica, KR_ERR_OK, NULL);
        return KR_REPLICA_BATCH_BYTES;
    }
    while (queue->first != NULL &&
           check_room(replica, batch_item_size(queue->first), &fault) != KR_ERR_OK)
        fail_next(replica, KR_ERR_DISK_FULL);
    note_disk(replica, check_room(replica, 1, &fault), &fault);
    return 1; // one at a time
}

// --- appends -------------------------------------------------------------------------------------

// Tells the submitters of every append that is done and has nothing unanswered before it.
static void settle(struct replica *replica)
{
    while (replica->first != NULL && replica->first->is_done) {
        struct append *append = replica->first;
        replica->first = append->next;
        if (replica->first == NULL)
            replica->last = &replica->first;
        replica->append_count--;
        tell_append(replica, append);
    }
}

// A committed batch that cannot be applied leaves a node whose state is not what the log says. One
// that came another way, to a node that leads no more, is there; what each entry did is not known.
static enum kr_err apply_append(struct append *append, struct fault *fault)
{
    const struct state *state = append->owner->options.state;
    const struct batch *batch = &append->batch;
    uint64_t applied = state->applied_index(state->ctx);
    if (append->owner->options.engine->is_store_backed)
        return KR_ERR_OK;
    if (append->owner->is_behind)
        return KR_ERR_DISK_FULL;
    if (append->owner->state == KR_REPLICA_STANDBY && batch->rows[0].index <= applied)
        return KR_ERR_TIMEOUT;
    if (batch->rows[0].index != applied + 1)
        return fault_set(fault, KR_ERR_INTERNAL,
                         "log engine %s committed index %llu out of order, applied is %llu",
                         append->owner->options.engine->verbs->name,
                         (unsigned long long)batch->rows[0].index, (unsigned long long)applied);
    return state->apply(state->ctx, batch->rows, batch->count, batch->results, fault);
}

// What is committed and cannot be applied is in the log all the same: its fate is not known here.
// When only the disk is full, it is read again from there, and nothing is taken before.
static void on_appended(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct append *append = ctx;
    struct replica *replica = append->owner;
    struct fault own = {0};
    assert(!append->is_done);
    enum kr_err applied = err == KR_ERR_OK ? apply_append(append, &own) : KR_ERR_OK;
    append->is_done = true;
    append->err = applied == KR_ERR_OK ? err : KR_ERR_TIMEOUT;
    append->committed_ms = clock_unix_ms();
    replica->is_behind |= applied == KR_ERR_DISK_FULL;
    if (own.err == KR_ERR_DISK_FULL)
        note_disk(replica, applied, &own);
    else if (replica->options.engine->is_store_backed)
        note_disk(replica, err, fault);
    if (applied != KR_ERR_OK && !fate_is_survivable(applied))
        fail_for_good(replica, applied, &own);
    else if (err != KR_ERR_OK && !fate_is_survivable(err))
        fail_for_good(replica, err, fault);
    else if (append->err != KR_ERR_OK && replica->state == KR_REPLICA_LEADING)
        enter(replica, KR_REPLICA_CATCHING_UP);
    settle(replica);
}

static void start_append(struct replica *replica, size_t most_bytes)
{
    struct engine *engine = replica->options.engine;
    struct append *append = mem_zalloc(sizeof(*append));
    struct batch *batch = &append->batch;
    append->owner = replica;
    batch_take(batch, &replica->queue, most_bytes);
    if (replica->append_count == 0)
        replica->next_index = applied_index(replica) + 1;
    batch_place(batch, replica->next_index, replica->engine_epoch,
                batch_time_us(&replica->last_at_us, clock_unix_us()));
    replica->next_index += batch->count;
    *replica->last = append;
    replica->last = &append->next;
    replica->append_count++;
    engine->results = batch->results;
    const struct engine_batch wanted = {batch->rows, batch->count, batch->epoch};
    enum kr_err err = engine->verbs->append(engine, &wanted, on_appended, append);
    if (err != KR_ERR_OK)
        on_appended(append, err, NULL);
}

// --- catching up ---------------------------------------------------------------------------------

// Reads what the log holds behind the applied index, at most a batch. NOT_FOUND: nothing more.
static enum kr_err read_batch(struct replica *replica, struct arena *arena, struct store_row *rows,
                              size_t *count, struct fault *fault)
{
    struct engine *engine = replica->options.engine;
    uint64_t index = applied_index(replica) + 1;
    enum kr_err err = KR_ERR_OK;
    for (size_t size_bytes = 0; err == KR_ERR_OK && *count < KR_REPLICA_READ_ENTRIES &&
                                size_bytes < KR_REPLICA_BATCH_BYTES;) {
        struct store_row *row = &rows[*count];
        row->index = index + *count;
        err = engine->verbs->read(engine, row->index, arena, &row->entry, fault);
        if (err == KR_ERR_OK) {
            size_bytes += row->entry.size;
            (*count)++;
        }
    }
    return err;
}

// Applies rows that were read. Errors are fatal but for a full disk: it may have room later, and is
// waited for by who has led; of what was there before, another node makes more.
static bool apply_read(struct replica *replica, const struct store_row *rows, size_t count)
{
    const struct state *state = replica->options.state;
    struct fault fault = {0};
    if (count == 0)
        return true;
    struct apply_result *results = mem_zalloc(count * sizeof(*results));
    enum kr_err err = state->apply(state->ctx, rows, count, results, &fault);
    mem_free(results);
    if (err == KR_ERR_DISK_FULL) {
        replica->is_waiting = true;
        note_disk(replica, err, &fault);
        fail_queue(replica, err);
        if (!replica->has_led)
            resign(replica, &fault);
    } else if (err != KR_ERR_OK) {
        fail_for_good(replica, err, &fault);
    } else {
        note_disk(replica, err, NULL);
    }
    return err == KR_ERR_OK;
}

// It has all that the log holds.
static void open_for_writes(struct replica *replica)
{
    struct fault why = {0};
    if (replica->has_led || is_fit(replica, &why)) {
        enter(replica, KR_REPLICA_LEADING);
        return;
    }
    replica->is_waiting = true;
    resign(replica, &why);
}

static void catch_up(struct replica *replica)
{
    struct store_row *rows = NULL;
    struct fault fault = {0};
    struct arena arena;
    size_t count = 0;
    replica->is_waiting = false;
    if (replica->options.engine->is_store_backed) {
        enter(replica, KR_REPLICA_LEADING);
        return;
    }
    arena_init(&arena);
    rows = mem_alloc(KR_REPLICA_READ_ENTRIES * sizeof(*rows));
    enum kr_err read = read_batch(replica, &arena, rows, &count, &fault);
    bool is_readable = read == KR_ERR_OK || read == KR_ERR_NOT_FOUND || fate_is_survivable(read);
    if (!is_readable) {
        fail_for_good(replica, read, &fault);
    } else if (apply_read(replica, rows, count)) {
        replica->is_waiting = fate_is_survivable(read);
        replica->is_behind = replica->is_behind && read != KR_ERR_NOT_FOUND;
        if (read == KR_ERR_NOT_FOUND)
            open_for_writes(replica);
    }
    mem_free(rows);
    arena_fini(&arena);
}

// --- the public face -----------------------------------------------------------------------------

struct replica *replica_new(const struct replica_options *options)
{
    struct replica *replica = mem_zalloc(sizeof(*replica));
    assert(options->fatal != NULL);
    replica->options = *options;
    replica->state = KR_REPLICA_STANDBY;
    replica->last = &replica->first;
    batch_queue_init(&replica->queue);
    options->engine->events =
        (struct engine_events){.ctx = replica, .role = on_role, .leader = on_leader};
    options->engine->verbs->campaign(options->engine);
    return replica;
}

void replica_close(struct replica *replica, void (*closed)(void *ctx), void *ctx)
{
    assert(replica->closed == NULL && closed != NULL);
    replica->closed = closed;
    replica->closed_ctx = ctx;
    enter(replica, KR_REPLICA_CLOSING);
}

enum kr_err replica_submit(struct replica *replica, const struct command *command,
                           replica_done_fn *done, void *ctx)
{
    if (replica->state != KR_REPLICA_LEADING && replica->state != KR_REPLICA_CATCHING_UP)
        return KR_ERR_NO_LEADER;
    if (replica->held_bytes >= KR_REPLICA_QUEUE_BYTES)
        return KR_ERR_BUSY;
    struct batch_item *item = batch_item_new(command, done, ctx);
    enum kr_err err = buf_result(&item->bytes);
    if (err == KR_ERR_OK && replica->held_bytes + batch_item_size(item) > KR_REPLICA_QUEUE_BYTES)
        err = KR_ERR_BUSY;
    if (err != KR_ERR_OK)
        goto fail;
    replica->held_bytes += batch_item_size(item);
    batch_queue_push(&replica->queue, item);
    return KR_ERR_OK;
fail:
    batch_item_free(item);
    return err;
}

static bool finish_closing(struct replica *replica)
{
    void (*closed)(void *ctx) = replica->closed;
    void *ctx = replica->closed_ctx;
    if (replica->append_count > 0)
        return replica->options.engine->is_store_backed;
    replica->options.engine->events = (struct engine_events){0};
    mem_free(replica);
    closed(ctx);
    return false;
}

static bool step(struct replica *replica)
{
    if (replica->state == KR_REPLICA_CATCHING_UP && replica->append_count == 0)
        catch_up(replica);
    if (replica->has_led)
        note_validity(replica, true);
    if (replica->state == KR_REPLICA_LEADING && replica->queue.first != NULL &&
        replica->append_count < KR_REPLICA_APPENDS) {
        size_t most_bytes = make_room(replica);
        if (replica->queue.first != NULL)
            start_append(replica, most_bytes);
    }
    if (replica->has_led)
        watch_fitness(replica);
    if (replica->state != KR_REPLICA_LEADING && replica->state != KR_REPLICA_CATCHING_UP)
        fail_queue(replica, KR_ERR_NO_LEADER);
    bool has_work = replica->queue.first != NULL && replica->append_count < KR_REPLICA_APPENDS;
    bool is_busy = replica->append_count > 0 && replica->options.engine->is_store_backed;
    switch (replica->state) {
    case KR_REPLICA_CATCHING_UP:
        return (replica->append_count == 0 && !replica->is_waiting) || is_busy;
    case KR_REPLICA_LEADING:
    case KR_REPLICA_CLOSING:
        return has_work || is_busy;
    case KR_REPLICA_STANDBY:
    case KR_REPLICA_FAILED:
        return is_busy;
    }
    return false;
}

bool replica_turn(struct replica *replica)
{
    assert(!replica->is_in_turn);
    replica->is_in_turn = true;
    bool is_more = step(replica);
    replica->is_in_turn = false;
    return replica->state == KR_REPLICA_CLOSING ? finish_closing(replica) : is_more;
}

bool replica_is_leader(const struct replica *replica)
{
    return atomic_load_explicit(&replica->is_leader, memory_order_acquire);
}

uint64_t replica_epoch(const struct replica *replica)
{
    return atomic_load_explicit(&replica->epoch, memory_order_acquire);
}

bool replica_is_at_rest(const struct replica *replica)
{
    return replica->state == KR_REPLICA_STANDBY && replica->append_count == 0;
}

void replica_note_lease(struct replica *replica, uint64_t until_ms)
{
    if (!replica_is_leader(replica))
        atomic_store_explicit(&replica->valid_until_ms, until_ms, memory_order_release);
}

void replica_note_doubt(struct replica *replica, bool is_doubtful)
{
    atomic_store_explicit(&replica->is_doubtful, is_doubtful, memory_order_release);
}

uint64_t replica_lease_left_ms(const struct replica *replica, uint64_t now_boot_ms)
{
    const struct engine *engine = replica->options.engine;
    return replica_is_leader(replica)
               ? lease_left_of_leader(engine->verbs->valid_until_ms(engine), now_boot_ms)
               : 0;
}

struct replica_known replica_known(const struct replica *replica)
{
    bool is_leader = replica_is_leader(replica);
    return (struct replica_known){
        .until_ms = atomic_load_explicit(&replica->valid_until_ms, memory_order_acquire),
        .is_leader = is_leader,
        .is_doubtful =
            !is_leader && atomic_load_explicit(&replica->is_doubtful, memory_order_acquire)};
}
