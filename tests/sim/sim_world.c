// SPDX-License-Identifier: Apache-2.0
// The world: events in the order of virtual time, chance from the seed, the transcript.
#include "tests/sim/sim_asks.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_faults.h"
#include "tests/sim/sim_service.h"
#include "tests/sim/sim_writes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sim sim;

struct sim_event {
    uint64_t at_us, seq;
    sim_event_fn *fn;
    struct sim_node *node;
    uint64_t incarnation, arg;
};

// --- chance --------------------------------------------------------------------------------------

// SplitMix64 (Steele, Lea, Flood 2014): every seed gives a full-length sequence.
static uint64_t draw(void)
{
    uint64_t z = sim.random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t sim_below(uint64_t limit)
{
    return draw() % limit;
}

bool sim_chance(unsigned percent)
{
    return sim_below(100) < percent;
}

uint64_t sim_between(uint64_t low, uint64_t high)
{
    return low + sim_below(high - low + 1);
}

// --- events --------------------------------------------------------------------------------------

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void push(struct sim_event event)
{
    if (sim.event_count == sim.event_capacity) {
        sim.event_capacity = sim.event_capacity * 2 + 256;
        sim.events = mem_realloc(sim.events, sim.event_capacity * sizeof(*sim.events));
    }
    event.seq = ++sim.event_seq;
    size_t at = sim.event_count++;
    for (; at > 0 && is_before(&event, &sim.events[(at - 1) / 2]); at = (at - 1) / 2)
        sim.events[at] = sim.events[(at - 1) / 2];
    sim.events[at] = event;
}

static struct sim_event pop(void)
{
    struct sim_event first = sim.events[0], last = sim.events[--sim.event_count];
    size_t at = 0;
    for (size_t child = 1; child < sim.event_count; child = 2 * at + 1) {
        if (child + 1 < sim.event_count && is_before(&sim.events[child + 1], &sim.events[child]))
            child++;
        if (!is_before(&sim.events[child], &last))
            break;
        sim.events[at] = sim.events[child];
        at = child;
    }
    sim.events[at] = last;
    return first;
}

void sim_at(uint64_t at_us, struct sim_node *node, sim_event_fn *fn, uint64_t arg)
{
    push((struct sim_event){.at_us = at_us > sim.now_us ? at_us : sim.now_us,
                            .fn = fn,
                            .node = node,
                            .incarnation = node != NULL ? node->incarnation : 0,
                            .arg = arg});
}

void sim_after(uint64_t delay_us, struct sim_node *node, sim_event_fn *fn, uint64_t arg)
{
    sim_at(sim.now_us + delay_us, node, fn, arg);
}

// What waited for a paused process comes in any order when it goes on.
static void run_one(struct sim_event event)
{
    struct sim_node *node = event.node;
    sim.now_us = event.at_us;
    sim.event_total++;
    if (node != NULL && (!node->is_up || node->incarnation != event.incarnation))
        return;
    if (node != NULL && node->is_paused) {
        event.at_us = node->paused_until_us + sim_below(300);
        push(event);
        return;
    }
    sim.running = node;
    event.fn(node, event.arg);
    sim.running = NULL;
    if (node != NULL && node->has_failed)
        sim_node_kill(node, false);
}

// --- words ---------------------------------------------------------------------------------------

void sim_say(const char *format, ...)
{
    char *line = sim.shown[sim.shown_count % KR_SIM_SHOWN];
    va_list arguments;
    int head =
        snprintf(line, KR_SIM_LINE, "%4u.%06u %-4s ", (unsigned)(sim.now_us / 1000000),
                 (unsigned)(sim.now_us % 1000000), sim.running != NULL ? sim.running->id : "-");
    va_start(arguments, format);
    vsnprintf(line + head, KR_SIM_LINE - (size_t)head, format, arguments);
    va_end(arguments);
    sim.shown_count++;
    sim.shown_hash = hash_u64(bytes_text(line), sim.shown_hash);
    if (sim.options.is_traced)
        puts(line);
}

void sim_violated(char letter, const char *format, ...)
{
    va_list arguments;
    if (sim.has_violation)
        return;
    sim.has_violation = true;
    sim.figures.violations++;
    int head = snprintf(sim.violation, sizeof(sim.violation), "(%c) ", letter);
    va_start(arguments, format);
    vsnprintf(sim.violation + head, sizeof(sim.violation) - (size_t)head, format, arguments);
    va_end(arguments);
    sim_say("VIOLATION %s", sim.violation);
}

// --- a run ---------------------------------------------------------------------------------------

void sim_run(const struct sim_options *options)
{
    memset(&sim, 0, sizeof(sim)); // in place: of many nodes it is more than a stack holds
    sim.options = *options;
    sim.random = options->seed;
    sim.end_us = UINT64_MAX;
    sim.shown = mem_alloc(KR_SIM_SHOWN * sizeof(*sim.shown));
    sim.check = sim_check_new();
    sim_service_new();
    sim_faults_begin();
    sim_writes_begin();
    sim_asks_begin();
    while (sim.event_count > 0 && !sim.has_violation && sim.events[0].at_us <= sim.end_us)
        run_one(pop());
}

void sim_fini(void)
{
    for (unsigned i = 0; i < sim.node_count; i++) {
        sim_node_kill(&sim.nodes[i], true);
        sim_state_free(&sim.nodes[i].disk);
    }
    sim_net_fini();
    sim_service_free();
    sim_check_free(&sim.check);
    mem_free(sim.events);
    mem_free(sim.shown);
}
