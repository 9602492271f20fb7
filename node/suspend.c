// SPDX-License-Identifier: Apache-2.0
// Jobs that outlive their turn: waits for an index, and look-ups in the index while the table
// loads.
//
// Happy path: suspended → (index reached | found on the pool) → judged → answered → resumed.
// Failures: the wait ends after a second (STALE) or with a gRPC call's deadline, the index cannot
// tell or is asked by too many (UNAVAILABLE), the connection closes meanwhile (the result is
// dropped).
#include "node/serve_internal.h"

#include <assert.h>

// The question's slices may lie in the turn's scratch arena; a suspended job keeps its own.
static void keep_ask(struct suspended *suspended)
{
    struct validation_ask *ask = &suspended->job.question.ask;
    struct arena *arena = &suspended->arena;
    ask->key = arena_bytes_of(arena, ask->key);
    ask->bucket = arena_bytes_of(arena, ask->bucket);
    for (size_t i = 0; i < ask->scope_count; i++)
        ask->scopes[i] = arena_bytes_of(arena, ask->scopes[i]);
    suspended->job.credential.key = ask->key;
}

struct suspended *suspend_job(struct job *job, enum suspended_kind kind)
{
    struct suspended *suspended = mem_alloc(sizeof(*suspended));
    *suspended = (struct suspended){.kind = kind, .serve = job->connection->serve, .job = *job};
    arena_init(&suspended->arena);
    if (job->has_question)
        keep_ask(suspended);
    job->is_suspended = true;
    suspended->next_of_connection = job->connection->suspended;
    job->connection->suspended = suspended;
    if (job->stream == NULL)
        job->connection->state = KR_CONNECTION_SUSPENDED;
    return suspended;
}

void suspend_end(struct suspended *suspended)
{
    struct suspended **at = &suspended->job.connection->suspended;
    while (*at != suspended)
        at = &(*at)->next_of_connection;
    *at = suspended->next_of_connection;
}

void suspend_free(struct suspended **suspended)
{
    arena_fini(&(*suspended)->arena);
    mem_free(*suspended);
    *suspended = NULL;
}

// --- waits for an index --------------------------------------------------------------------------

static void unlink_wait(struct serve *serve, struct suspended *suspended)
{
    if (suspended->previous != NULL)
        suspended->previous->next = suspended->next;
    else
        serve->waits = suspended->next;
    if (suspended->next != NULL)
        suspended->next->previous = suspended->previous;
}

static void link_wait(struct serve *serve, struct suspended *suspended)
{
    suspended->next = serve->waits;
    if (serve->waits != NULL)
        serve->waits->previous = suspended;
    serve->waits = suspended;
}

// What was looked up before the wait is too old: the record may have come with the index.
static void ask_again(struct serve *serve, struct suspended *suspended)
{
    struct validate_question *question = &suspended->job.question;
    validate_look_up(serve->node, &question, 1);
    if (validate_is_ahead(question))
        validate_give_up(question);
}

static void end_wait(struct serve *serve, struct suspended *suspended)
{
    unlink_wait(serve, suspended);
    if (!suspended->is_abandoned) {
        ask_again(serve, suspended);
        turn_finish(suspended);
    }
    suspend_free(&suspended);
}

static void check_each(struct serve *serve, uint64_t applied)
{
    struct suspended *next;
    waits_init(&serve->wait_bounds);
    for (struct suspended *at = serve->waits; at != NULL; at = next) {
        uint64_t wanted = at->job.question.ask.min_index;
        next = at->next;
        bool is_over = uv_now(&serve->loop) >= at->wait_until_ms || serve->is_stopping;
        if (is_over || wanted <= applied || at->is_abandoned)
            end_wait(serve, at);
        else
            waits_add(&serve->wait_bounds, wanted, at->wait_until_ms);
    }
}

static void check_waits(uv_timer_t *timer)
{
    struct serve *serve = timer->data;
    uint64_t applied = store_applied_index(serve->node->store);
    if (serve->is_stopping || waits_are_due(&serve->wait_bounds, applied, uv_now(&serve->loop))) {
        hot_online();
        check_each(serve, applied);
        hot_offline();
    }
    if (serve->waits == NULL)
        uv_timer_stop(&serve->wait);
}

bool suspend_wait(struct job *job)
{
    struct serve *serve = job->connection->serve;
    uint64_t until_ms = uv_now(&serve->loop) + KR_WAITS_MS;
    if (job->deadline_ms < until_ms)
        until_ms = job->deadline_ms;
    if (!waits_add(&serve->wait_bounds, job->question.ask.min_index, until_ms))
        return false;
    struct suspended *suspended = suspend_job(job, KR_SUSPENDED_WAIT);
    suspended->wait_until_ms = until_ms;
    link_wait(serve, suspended);
    // Started anew for each, it would not run out while more of them come.
    if (!uv_is_active((uv_handle_t *)&serve->wait))
        uv_timer_start(&serve->wait, check_waits, KR_WAITS_POLL_MS, KR_WAITS_POLL_MS);
    return true;
}

// --- look-ups in the index -----------------------------------------------------------------------

static void find(uv_work_t *work)
{
    struct suspended *suspended = work->data;
    struct validate_question *question = &suspended->job.question;
    suspended->found_err = store_find_index(suspended->serve->node->store, question->digest,
                                            &suspended->arena, &question->found);
}

static void found(uv_work_t *work, int status)
{
    struct suspended *suspended = work->data;
    struct validate_question *question = &suspended->job.question;
    suspended->serve->works--;
    if (status != 0 || suspended->found_err != KR_ERR_OK)
        question->found.lookup = KR_STORE_ASK_INDEX; // judged UNAVAILABLE
    if (!suspended->is_abandoned) {
        validate_take(suspended->serve->node, question, &question->found);
        hot_online();
        turn_finish(suspended);
        hot_offline();
    }
    suspend_free(&suspended);
}

// Each takes memory, and a turn on the pool that changes use as well.
bool suspend_index(struct job *job)
{
    if (job->connection->serve->works >= KR_SERVE_WORKS)
        return false;
    struct suspended *suspended = suspend_job(job, KR_SUSPENDED_INDEX);
    suspended->work.data = suspended;
    suspended->serve->works++;
    int status = uv_queue_work(&suspended->serve->loop, &suspended->work, find, found);
    assert(status == 0); // fails only without a function to run
    (void)status;
    return true;
}
