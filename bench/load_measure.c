// SPDX-License-Identifier: Apache-2.0
// What load generators share: which keys they draw, which time counts, how answers are counted.
#include "bench/load.h"

#include <string.h>
#include <time.h>

#include "bench/process.h"
#include "core/base/clock.h"

void load_keys_init(struct load_keys *keys, const struct load_plan *plan)
{
    *keys = (struct load_keys){.plan = plan, .draw = {.state = plan->seed}};
    if (plan->zipf > 0 && plan->keys != NULL)
        zipf_init(&keys->zipf, plan->keys->count, plan->zipf);
}

struct bytes load_keys_draw(struct load_keys *keys)
{
    const struct load_plan *plan = keys->plan;
    if (plan->unknown > 0 && draw_unit(&keys->draw) < plan->unknown) {
        draw_key(~plan->seed, draw_u64(&keys->draw), "kr_live", keys->unknown);
        return bytes_text(keys->unknown);
    }
    uint64_t number = plan->zipf > 0 ? zipf_draw(&keys->zipf, &keys->draw)
                                     : draw_below(&keys->draw, plan->keys->count);
    return keyset_at(plan->keys, number);
}

// --- the time that counts ------------------------------------------------------------------------

static uint64_t own_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * UINT64_C(1000000000) + (uint64_t)used.tv_nsec;
}

static uint64_t server_cpu_ns(const struct load_target *target)
{
    return target->pid > 0 ? process_cpu_ns(target->pid, target->threads) : 0;
}

void load_span_init(struct load_span *span, const struct load_plan *plan)
{
    double warm_up_s = plan->seconds / 10 < 1 ? plan->seconds / 10 : 1;
    uint64_t begin_ns = clock_mono_ns() + (uint64_t)(warm_up_s * 1e9);
    *span = (struct load_span){.begin_ns = begin_ns,
                               .end_ns = begin_ns + (uint64_t)(plan->seconds * 1e9)};
}

void load_span_enter(struct load_span *span, const struct load_target *target,
                     struct load_result *result)
{
    if (span->is_begun || clock_mono_ns() < span->begin_ns)
        return;
    span->is_begun = true;
    result->own_cpu_ns = own_cpu_ns();
    result->server_cpu_ns = server_cpu_ns(target);
}

void load_span_leave(struct load_span *span, const struct load_target *target,
                     struct load_result *result)
{
    if (span->is_over)
        return;
    span->is_over = true;
    result->own_cpu_ns = own_cpu_ns() - result->own_cpu_ns;
    result->server_cpu_ns = server_cpu_ns(target) - result->server_cpu_ns;
}

// --- answers -------------------------------------------------------------------------------------

void load_record(struct load_result *result, uint64_t latency_ns,
                 const struct protocol_answer *answer)
{
    histogram_record(&result->latency, latency_ns);
    for (size_t i = 0; i < result->code_count; i++) {
        const struct protocol_answer *known = &result->codes[i].answer;
        if (known->status == answer->status && strcmp(known->code, answer->code) == 0) {
            result->codes[i].count++;
            return;
        }
    }
    if (result->code_count < KR_LOAD_CODES)
        result->codes[result->code_count++] = (struct load_code){*answer, 1};
}
