// SPDX-License-Identifier: Apache-2.0
// The boot clock keeps the oscillator's rate and counts sleep, whatever NTP does to the other
// clocks and whoever interrupts a reading.
#include "core/base/clock_boot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

// A machine: its oscillator, its sleep, and a clock at a rate of its own.
static struct {
    int64_t raw_ns, mono_ns, slept_ns;
    int64_t ppm; // of the other clocks
    uint64_t random;
    bool is_interrupted; // between readings, now and then
} machine;

static uint64_t draw(uint64_t below)
{
    machine.random = machine.random * 6364136223846793005u + 1442695040888963407u;
    return (machine.random >> 33) % below;
}

static void pass(int64_t ns)
{
    machine.raw_ns += ns;
    machine.mono_ns += ns + ns / 1000000 * machine.ppm + ns % 1000000 * machine.ppm / 1000000;
}

static int64_t read_machine(clockid_t id)
{
    pass(25);
    if (machine.is_interrupted && draw(4) == 0)
        pass((int64_t)draw(20000000));
    if (machine.is_interrupted && draw(50) == 0)
        machine.slept_ns += (int64_t)draw(5000000000);
    if (id == CLOCK_MONOTONIC_RAW)
        return machine.raw_ns;
    return id == CLOCK_MONOTONIC ? machine.mono_ns : machine.mono_ns + machine.slept_ns;
}

static int64_t truth(void)
{
    return machine.raw_ns + machine.slept_ns;
}

static void start(uint64_t seed)
{
    machine.raw_ns = 5000000000;
    machine.mono_ns = 70000000000; // turned and turned again before
    // Less than none where a time namespace has offsets.
    machine.slept_ns = seed % 3 == 2 ? -3000000000 : (int64_t)(seed % 3) * 3600000000000;
    machine.ppm = 0;
    machine.random = seed;
    machine.is_interrupted = false;
}

static uint64_t last_ns;

static void check(struct clock_boot *boot)
{
    int64_t begin_ns = truth();
    uint64_t now_ns = clock_boot_ns(boot, read_machine);
    if ((int64_t)now_ns < begin_ns - KR_CLOCK_BOOT_LATE_NS)
        fail_msg("%lld ns late", (long long)(begin_ns - (int64_t)now_ns));
    if ((int64_t)now_ns > truth() + 100000)
        fail_msg("%lld ns ahead", (long long)((int64_t)now_ns - truth()));
    assert_true(now_ns >= last_ns);
    last_ns = now_ns;
}

static void a_turned_clock_turns_nothing_here(void **state)
{
    (void)state;
    static const int64_t rates[] = {0, 500, -500, 100000, -100000};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct clock_boot boot = KR_CLOCK_BOOT_INIT;
        start(i);
        last_ns = 0;
        for (int step = 0; step < 40000; step++) {
            machine.ppm = step % 4000 < 2000 ? rates[i] : 0;
            pass((int64_t)draw(200000000));
            check(&boot);
        }
    }
}

static void sleep_counts_at_the_first_look(void **state)
{
    (void)state;
    struct clock_boot boot = KR_CLOCK_BOOT_INIT;
    start(1);
    last_ns = 0;
    for (int step = 0; step < 40000; step++) {
        machine.ppm = (int64_t)draw(200001) - 100000;
        pass((int64_t)draw(20000000));
        machine.slept_ns += draw(10) == 0 ? (int64_t)draw(10000000000) : (int64_t)draw(2000);
        check(&boot);
    }
}

static void interruptions_turn_it_neither_back_nor_ahead(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct clock_boot boot = KR_CLOCK_BOOT_INIT;
        start(seed);
        machine.is_interrupted = true;
        last_ns = 0;
        for (int step = 0; step < 5000; step++) {
            machine.ppm = (int64_t)draw(200001) - 100000;
            pass((int64_t)draw(3000000));
            check(&boot);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turned_clock_turns_nothing_here),
        cmocka_unit_test(sleep_counts_at_the_first_look),
        cmocka_unit_test(interruptions_turn_it_neither_back_nor_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
