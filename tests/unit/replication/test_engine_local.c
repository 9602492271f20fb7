// SPDX-License-Identifier: Apache-2.0
// The local engine over a real store: durable appends whose answers come a turn later.
#include "fixture.h"

#include "proto/codec.h"
#include "replication/engine_local.h"

struct local_fixture {
    struct fixture base;
    struct engine *engine;
    struct apply_result results[8];
    bool is_closed;
};

static void on_role(void *ctx, enum engine_role role, uint64_t epoch)
{
    struct local_fixture *fixture = ctx;
    buf_printf(&fixture->base.transcript, "role %d epoch %llu\n", (int)role,
               (unsigned long long)epoch);
}

static void on_done(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct local_fixture *fixture = ctx;
    buf_printf(&fixture->base.transcript, "done %s%s\n", err_text(err),
               err == KR_ERR_OK || (fault != NULL && fault->text[0] != '\0') ? "" : " unsaid");
}

static void on_closed(void *ctx)
{
    struct local_fixture *fixture = ctx;
    fixture->is_closed = true;
}

static void start_engine_as(struct local_fixture *fixture, bool leads)
{
    const struct engine_events events = {.ctx = fixture, .role = on_role};
    const struct engine_local_options options = {.store = fixture->base.store, .leads = leads};
    fixture->is_closed = false;
    fixture->engine = engine_local_new(&options, &events);
    fixture->engine->results = fixture->results;
}

static void start_engine(struct local_fixture *fixture)
{
    start_engine_as(fixture, true);
}

static void stop_engine(struct local_fixture *fixture)
{
    fixture->engine->verbs->close(fixture->engine, on_closed, fixture);
    assert_false(fixture->is_closed);
    assert_true(engine_turn(fixture->engine));
    assert_true(fixture->is_closed);
}

static int setup(void **state)
{
    static struct local_fixture fixture;
    fixture = (struct local_fixture){0};
    fixture_init(&fixture.base);
    start_engine(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct local_fixture *fixture = *state;
    if (!fixture->is_closed)
        stop_engine(fixture);
    fixture_fini(&fixture->base);
    return 0;
}

static void lead(struct local_fixture *fixture)
{
    fixture->engine->verbs->campaign(fixture->engine);
    assert_true(engine_turn(fixture->engine));
    buf_clear(&fixture->base.transcript);
}

// Appends count entries from first on.
static enum kr_err append(struct local_fixture *fixture, uint64_t first, size_t count,
                          uint64_t epoch)
{
    struct store_row rows[8];
    struct buf bytes[8];
    char name[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "bucket%llu", (unsigned long long)(first + i));
        const struct entry entry = {first + i, epoch, 1700000000000000, *fixture_command(name, 4)};
        buf_init(&bytes[i], 1 << 16);
        codec_add_entry(&bytes[i], &entry);
        rows[i] = (struct store_row){first + i, buf_bytes(&bytes[i])};
    }
    const struct engine_batch batch = {rows, count, epoch};
    enum kr_err err = fixture->engine->verbs->append(fixture->engine, &batch, on_done, fixture);
    for (size_t i = 0; i < count; i++)
        buf_fini(&bytes[i]);
    return err;
}

static void it_leads_a_turn_after_its_campaign(void **state)
{
    struct local_fixture *fixture = *state;
    const struct engine_verbs *verbs = fixture->engine->verbs;
    assert_int_equal(append(fixture, 1, 1, 1), KR_ERR_NO_LEADER);
    assert_int_equal(verbs->valid_until_ms(fixture->engine), 0);
    verbs->campaign(fixture->engine);
    assert_happened(&fixture->base, "");
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "role 2 epoch 1\n");
    assert_true(verbs->valid_until_ms(fixture->engine) == UINT64_MAX);
    assert_false(engine_turn(fixture->engine));
    assert_string_equal(verbs->name, "local");
}

static void an_append_is_durable_at_once_and_answered_next_turn(void **state)
{
    struct local_fixture *fixture = *state;
    lead(fixture);
    assert_int_equal(append(fixture, 1, 2, 1), KR_ERR_OK);
    assert_int_equal(append(fixture, 3, 1, 1), KR_ERR_OK);
    assert_int_equal(store_applied_index(fixture->base.store), 3);
    assert_happened(&fixture->base, "");
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "done ok\ndone ok\n");
    assert_int_equal(fixture->results[0].code, KR_APPLY_OK);
    assert_false(engine_turn(fixture->engine));
}

static void an_entry_can_be_read_back(void **state)
{
    struct local_fixture *fixture = *state;
    const struct engine_verbs *verbs = fixture->engine->verbs;
    struct arena arena;
    struct bytes bytes;
    struct entry entry;
    struct fault fault;
    lead(fixture);
    arena_init(&arena);
    assert_int_equal(append(fixture, 1, 2, 1), KR_ERR_OK);
    assert_int_equal(verbs->read(fixture->engine, 2, &arena, &bytes, &fault), KR_ERR_OK);
    assert_int_equal(codec_entry(bytes, &arena, &entry), KR_ERR_OK);
    assert_int_equal(entry.index, 2);
    assert_string_equal(entry.command.ops[0].as.bucket_put.record.name, "bucket2");
    assert_int_equal(verbs->read(fixture->engine, 3, &arena, &bytes, &fault), KR_ERR_NOT_FOUND);
    arena_fini(&arena);
}

static void another_epoch_is_refused(void **state)
{
    struct local_fixture *fixture = *state;
    lead(fixture);
    assert_int_equal(append(fixture, 1, 1, 2), KR_ERR_NO_LEADER);
    assert_int_equal(store_applied_index(fixture->base.store), 0);
    assert_false(engine_turn(fixture->engine));
}

static void what_follows_a_failure_fails_until_it_is_told(void **state)
{
    struct local_fixture *fixture = *state;
    stop_engine(fixture);
    store_close(&fixture->base.store);
    fixture_open_store(&fixture->base, UINT64_MAX / 4);
    start_engine(fixture);
    lead(fixture);
    assert_int_equal(append(fixture, 1, 1, 1), KR_ERR_OK);
    assert_int_equal(append(fixture, 2, 1, 1), KR_ERR_OK);
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "done disk full\ndone disk full\n");
    assert_int_equal(store_applied_index(fixture->base.store), 0);
}

static void closing_tells_what_is_due_first(void **state)
{
    struct local_fixture *fixture = *state;
    lead(fixture);
    assert_int_equal(append(fixture, 1, 1, 1), KR_ERR_OK);
    fixture->engine->verbs->close(fixture->engine, on_closed, fixture);
    assert_int_equal(append(fixture, 2, 1, 1), KR_ERR_NO_LEADER);
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "done ok\nrole 3 epoch 1\n");
    assert_true(fixture->is_closed);
}

static void it_goes_on_where_the_store_stands(void **state)
{
    struct local_fixture *fixture = *state;
    lead(fixture);
    assert_int_equal(append(fixture, 1, 2, 1), KR_ERR_OK);
    stop_engine(fixture);
    store_close(&fixture->base.store);
    fixture_open_store(&fixture->base, 0);
    start_engine(fixture);
    lead(fixture);
    assert_int_equal(store_applied_index(fixture->base.store), 2);
    assert_int_equal(append(fixture, 3, 1, 1), KR_ERR_OK);
    assert_int_equal(store_applied_index(fixture->base.store), 3);
}

static void restart(struct local_fixture *fixture, bool leads)
{
    stop_engine(fixture);
    store_close(&fixture->base.store);
    fixture_open_store(&fixture->base, 0);
    start_engine_as(fixture, leads);
    fixture->engine->verbs->campaign(fixture->engine);
    assert_true(engine_turn(fixture->engine));
}

static void a_standby_leads_under_the_next_epoch_once_promoted(void **state)
{
    struct local_fixture *fixture = *state;
    lead(fixture);
    assert_int_equal(append(fixture, 1, 2, 1), KR_ERR_OK);
    restart(fixture, false);
    buf_clear(&fixture->base.transcript);
    assert_int_equal(append(fixture, 3, 1, 1), KR_ERR_NO_LEADER);
    assert_int_equal(fixture->engine->verbs->valid_until_ms(fixture->engine), 0);
    assert_int_equal(engine_local_promote(fixture->engine, 0), KR_ERR_OK);
    assert_int_equal(engine_local_promote(fixture->engine, 9), KR_ERR_CONFLICT);
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "role 2 epoch 2\n");
    assert_int_equal(append(fixture, 3, 1, 1), KR_ERR_NO_LEADER);
    assert_int_equal(append(fixture, 3, 1, 2), KR_ERR_OK);
    restart(fixture, true);
    assert_happened(&fixture->base, "done ok\nrole 3 epoch 2\nrole 2 epoch 2\n");
}

static void a_promotion_goes_above_every_epoch_that_was_heard_of(void **state)
{
    struct local_fixture *fixture = *state;
    restart(fixture, false);
    buf_clear(&fixture->base.transcript);
    assert_int_equal(engine_local_promote(fixture->engine, 6), KR_ERR_OK);
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "role 2 epoch 7\n");
}

static void a_leader_that_steps_down_appends_no_more(void **state)
{
    struct local_fixture *fixture = *state;
    lead(fixture);
    assert_int_equal(append(fixture, 1, 1, 1), KR_ERR_OK);
    assert_true(engine_local_step_down(fixture->engine));
    assert_int_equal(append(fixture, 2, 1, 1), KR_ERR_NO_LEADER);
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "done ok\nrole 1 epoch 1\n");
    assert_false(engine_local_step_down(fixture->engine));
    assert_false(engine_turn(fixture->engine));
}

static void a_former_leader_resumes_under_the_stored_epoch(void **state)
{
    struct local_fixture *fixture = *state;
    lead(fixture);
    assert_int_equal(append(fixture, 1, 1, 1), KR_ERR_OK);
    restart(fixture, false);
    buf_clear(&fixture->base.transcript);
    assert_int_equal(append(fixture, 2, 1, 1), KR_ERR_NO_LEADER);
    engine_local_resume(fixture->engine);
    engine_local_resume(fixture->engine);
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "role 2 epoch 1\n");
    assert_int_equal(append(fixture, 2, 1, 1), KR_ERR_OK);
}

static void who_is_told_before_it_leads_again_does_not(void **state)
{
    struct local_fixture *fixture = *state;
    restart(fixture, false);
    buf_clear(&fixture->base.transcript);
    engine_local_resume(fixture->engine);
    assert_true(engine_local_step_down(fixture->engine));
    assert_true(engine_turn(fixture->engine));
    assert_happened(&fixture->base, "role 1 epoch 1\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void it_leads_again_where_the_state_names_it_last(void **state)
{
    (void)state;
    const struct leader ours = {.member_id = "core-1", .epoch = 7};
    const struct leader theirs = {.member_id = "core-2", .epoch = 7};
    const struct {
        struct engine_local_past past;
        bool leads;
    } cases[] = {
        {{"core-1", &ours, 7, false, false}, true},
        {{"core-1", &ours, 7, true, false}, true},
        {{"core-1", &ours, 7, true, true}, false},  // to be replaced
        {{"core-1", &ours, 8, true, false}, false}, // an entry of whom it does not name yet
        {{"core-1", &theirs, 7, true, false}, false},
        {{"core-1", NULL, 0, true, false}, true}, // the first start
        {{"core-1", NULL, 0, true, true}, false},
        {{"core-1", NULL, 0, false, false}, false}, // it has upstreams
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(engine_local_was_leader(&cases[i].past), cases[i].leads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_leads_a_turn_after_its_campaign),
        TEST(an_append_is_durable_at_once_and_answered_next_turn),
        TEST(an_entry_can_be_read_back),
        TEST(another_epoch_is_refused),
        TEST(what_follows_a_failure_fails_until_it_is_told),
        TEST(closing_tells_what_is_due_first),
        TEST(it_goes_on_where_the_store_stands),
        TEST(a_standby_leads_under_the_next_epoch_once_promoted),
        TEST(a_promotion_goes_above_every_epoch_that_was_heard_of),
        TEST(a_leader_that_steps_down_appends_no_more),
        TEST(a_former_leader_resumes_under_the_stored_epoch),
        TEST(who_is_told_before_it_leads_again_does_not),
        TEST(it_leads_again_where_the_state_names_it_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
