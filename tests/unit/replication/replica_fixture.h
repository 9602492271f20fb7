// SPDX-License-Identifier: Apache-2.0
// A replica over a scripted engine, and submitters that write what they are told.
#pragma once

#include "scripted_engine.h"

#include "core/base/clock.h"
#include "proto/codec.h"

struct replica_fixture {
    struct fixture base;
    struct scripted engine;
    enum engine_fitness fitness;
    bool is_closed;
};

static inline void on_fatal(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct replica_fixture *fixture = ctx;
    (void)err;
    buf_printf(&fixture->base.transcript, "fatal: %s\n", fault->text);
}

static inline void on_closed(void *ctx)
{
    struct replica_fixture *fixture = ctx;
    buf_printf(&fixture->base.transcript, "closed\n");
    fixture->is_closed = true;
}

static inline enum engine_fitness tell_fitness(void *ctx, struct fault *why)
{
    const struct replica_fixture *fixture = ctx;
    if (fixture->fitness != KR_ENGINE_FIT)
        fault_set(why, KR_ERR_FORBIDDEN, "as the test says");
    return fixture->fitness;
}

static inline int setup(void **state)
{
    struct replica_fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_init(&fixture->base);
    scripted_init(&fixture->engine, &fixture->base.transcript);
    const struct replica_options options = {.state = &fixture->base.state,
                                            .engine = &fixture->engine.base,
                                            .fatal = on_fatal,
                                            .ctx = fixture,
                                            .fitness = tell_fitness};
    fixture->base.replica = replica_new(&options);
    assert_happened(&fixture->base, "campaign\n");
    *state = fixture;
    return 0;
}

static inline void stop(struct replica_fixture *fixture)
{
    if (fixture->is_closed)
        return;
    replica_close(fixture->base.replica, on_closed, fixture);
    while (fixture->engine.pending_count > 0)
        scripted_answer(&fixture->engine, 0, KR_ERR_NO_LEADER, false);
    replica_turn(fixture->base.replica);
    assert_true(fixture->is_closed);
}

static inline int teardown(void **state)
{
    struct replica_fixture *fixture = *state;
    stop(fixture);
    scripted_fini(&fixture->engine);
    fixture_fini(&fixture->base);
    free(fixture);
    return 0;
}

// A submitter: writes its name and outcome.
struct submitter {
    struct replica_fixture *fixture;
    char name[16];
};

static inline void on_outcome(void *ctx, const struct replica_outcome *outcome)
{
    struct submitter *submitter = ctx;
    struct buf *transcript = &submitter->fixture->base.transcript;
    if (outcome->err != KR_ERR_OK)
        buf_printf(transcript, "%s: %s\n", submitter->name, err_text(outcome->err));
    else
        buf_printf(transcript, "%s: index %llu epoch %llu%s\n", submitter->name,
                   (unsigned long long)outcome->index, (unsigned long long)outcome->epoch,
                   outcome->result.code == KR_APPLY_OK ? "" : " refused by apply");
    assert_true(outcome->err != KR_ERR_OK || outcome->committed_ms > 0);
    free(submitter);
}

static inline enum kr_err submit_sized(struct replica_fixture *fixture, const char *name,
                                       size_t size)
{
    struct submitter *submitter = calloc(1, sizeof(*submitter));
    submitter->fixture = fixture;
    snprintf(submitter->name, sizeof(submitter->name), "%s", name);
    enum kr_err err =
        replica_submit(fixture->base.replica, fixture_command(name, size), on_outcome, submitter);
    if (err != KR_ERR_OK)
        free(submitter);
    return err;
}

static inline void submit(struct replica_fixture *fixture, const char *name)
{
    assert_int_equal(submit_sized(fixture, name, 4), KR_ERR_OK);
}

static inline void lead(struct replica_fixture *fixture)
{
    scripted_role(&fixture->engine, KR_ENGINE_LEADER, 1);
    replica_turn(fixture->base.replica);
    assert_happened(&fixture->base, "");
    assert_true(replica_is_leader(fixture->base.replica));
}

// Submits each name and ends the turn.
static inline void submit_in_a_turn(struct replica_fixture *fixture, const char *name)
{
    submit(fixture, name);
    replica_turn(fixture->base.replica);
}

// Another leader's entry, as it would come to stand in the log.
static inline void log_foreign(struct replica_fixture *fixture, uint64_t index, uint64_t epoch,
                               const char *name)
{
    struct buf bytes;
    const struct entry entry = {index, epoch, 1700000000000000, *fixture_command(name, 4)};
    buf_init(&bytes, 1 << 16);
    codec_add_entry(&bytes, &entry);
    scripted_log(&fixture->engine, buf_bytes(&bytes));
    buf_fini(&bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
