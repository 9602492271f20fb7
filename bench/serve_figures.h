// SPDX-License-Identifier: Apache-2.0
// What serve measured: figures of every contender and turn, their medians and ratios, in print.
#pragma once

#include <stdio.h>

#include "bench/load.h"

#define KR_SERVE_CONTENDERS 6
#define KR_SERVE_TURNS 99

// One turn of one contender; below 0: not measured.
struct serve_figures {
    double per_second, per_cpu_second, cpu_seconds, own_cpu_seconds;
    double p50_us, p99_us, p999_us, max_us;
};

struct serve_contender {
    char name[64];
    struct load_target target;
    struct serve_figures turns[KR_SERVE_TURNS];
    struct load_code codes[KR_LOAD_CODES]; // over all turns
    size_t code_count;
    uint64_t broken, unanswered;
};

// What is compared with one another, in one way of asking.
struct serve_report {
    struct serve_contender contenders[KR_SERVE_CONTENDERS]; // the first is what it is about
    size_t count;
    size_t turns; // finished
    struct load_plan plan;
};

void serve_note(struct serve_contender *contender, size_t turn, const struct load_result *result);
void serve_print(const struct serve_report *report, FILE *out);
void serve_print_json(const struct serve_report *report, FILE *out);
