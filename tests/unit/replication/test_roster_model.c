// SPDX-License-Identifier: Apache-2.0
// The roster against a cluster in which everything goes wrong: the promise holds, it does not when
// a rule is left out, and what is healed completes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "roster_model.h"

enum { KR_SEEDS = 40, KR_FAULT_SEEDS = 2000, KR_STEPS = 8000 };

// Until the promise breaks, or the steps are over; what broke goes to text.
static bool run(uint64_t seed, enum model_fault fault, char text[160], uint64_t *checks)
{
    struct model *model = model_new(seed, fault);
    for (int i = 0; i < KR_STEPS && model->broken[0] == '\0'; i++)
        model_step(model);
    bool is_kept = model->broken[0] == '\0';
    memcpy(text, model->broken, sizeof(model->broken));
    *checks += model->checks;
    model_free(model);
    return is_kept;
}

static void the_promise_holds(void **state)
{
    (void)state;
    uint64_t checks = 0;
    for (uint64_t seed = 1; seed <= KR_SEEDS; seed++) {
        char text[160];
        if (!run(seed, KR_MODEL_SOUND, text, &checks))
            fail_msg("seed %llu: %s", (unsigned long long)seed, text);
    }
    // It was put to the test: nodes were without a completed entry, and asked.
    assert_true(checks > 1000 * KR_SEEDS);
}

static void assert_found(enum model_fault fault)
{
    uint64_t checks = 0;
    char text[160];
    for (uint64_t seed = 1; seed <= KR_FAULT_SEEDS; seed++) {
        if (!run(seed, fault, text, &checks))
            return;
    }
    fail_msg("fault %d was not found in %d runs", fault, KR_FAULT_SEEDS);
}

static void a_relay_must_speak_for_those_below(void **state)
{
    (void)state;
    assert_found(KR_MODEL_RELAY_SPEAKS_FOR_ITSELF);
}

static void a_lease_must_wait_for_its_index(void **state)
{
    (void)state;
    assert_found(KR_MODEL_LEASE_BEFORE_INDEX);
}

static void silent_children_must_count(void **state)
{
    (void)state;
    assert_found(KR_MODEL_SILENT_CHILDREN_IGNORED);
}

static void a_take_over_must_know_of_older_leases(void **state)
{
    (void)state;
    assert_found(KR_MODEL_TAKE_OVER_WITHOUT_FLOOR);
}

static void a_process_must_not_live_on_what_was_known_before_it(void **state)
{
    (void)state;
    assert_found(KR_MODEL_OLDER_LEASES);
}

static bool is_complete(const struct model *model, uint64_t index)
{
    for (int i = 0; i < KR_MODEL_BOUNDS; i++) {
        if (model->completed[i] < index)
            return false;
    }
    return true;
}

// Milliseconds until a write is complete for every bound; more than limit: it was not.
static int64_t time_to_complete(struct model *model, int64_t limit_ms)
{
    int64_t start_us = model->now_us;
    model_write(model);
    uint64_t index = model->nodes[model->leader].applied;
    while (!is_complete(model, index) && model->now_us - start_us <= limit_ms * 1000)
        model_step(model);
    return (model->now_us - start_us) / 1000;
}

static void calm(struct model *model, int64_t ms)
{
    model->is_calm = true;
    for (int i = 0; i < KR_MODEL_NODES; i++)
        model->nodes[i].black_us = model->nodes[i].paused_us = 0;
    for (int64_t end_us = model->now_us + ms * 1000; model->now_us < end_us;)
        model_step(model);
}

static void what_is_healed_completes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct model *model = model_new(seed, KR_MODEL_SOUND);
        for (int i = 0; i < KR_STEPS / 4; i++)
            model_step(model);
        calm(model, 30000);
        assert_in_range(time_to_complete(model, 1000), 0, 1000);
        assert_string_equal(model->broken, "");
        model_free(model);
    }
}

// A leaf that is gone for good delays nobody; one that went just now does so for its own window.
static void a_dead_member_delays_for_its_window_alone(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct model *model = model_new(seed, KR_MODEL_SOUND);
        calm(model, 20000);
        model_break_below(model, 7);
        model->nodes[7].is_down = true;
        model->nodes[7].back_us = INT64_MAX;
        assert_in_range(time_to_complete(model, 10000), 9000 - KR_LEASE_WINDOW_MS, 9300);
        calm(model, 1000);
        assert_in_range(time_to_complete(model, 1000), 0, 1000);
        model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_promise_holds),
        cmocka_unit_test(a_relay_must_speak_for_those_below),
        cmocka_unit_test(a_lease_must_wait_for_its_index),
        cmocka_unit_test(silent_children_must_count),
        cmocka_unit_test(a_take_over_must_know_of_older_leases),
        cmocka_unit_test(a_process_must_not_live_on_what_was_known_before_it),
        cmocka_unit_test(what_is_healed_completes),
        cmocka_unit_test(a_dead_member_delays_for_its_window_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
