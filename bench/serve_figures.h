// SPDX-License-Identifier: Apache-2.0
// What serve measured: figures of every contender and turn, their medians and ratios, as a table
// and as result rows.
#pragma once

#include <stdio.h>

#include "bench/load.h"
#include "bench/result.h"

#define KR_SERVE_TURNS 99

// Who is measured, in the order of the table. A row of its own in serve_contenders.c.
enum serve_who {
    KR_SERVE_HTTP,
    KR_SERVE_HTTP_UNIX,
    KR_SERVE_HTTPS,
    KR_SERVE_EMPTY, // the node's empty handler
    KR_SERVE_REDIS,
    KR_SERVE_BARE,
    KR_SERVE_BINARY,
    KR_SERVE_BINARY_UNIX,
    KR_SERVE_BINARY_TLS,
    KR_SERVE_REDIS_PIPELINE,
    KR_SERVE_BARE_BINARY,
    KR_SERVE_GRPC,
    KR_SERVE_EMPTY_HTTP2, // as many of them in flight
    KR_SERVE_COUNT
};

// One turn of one contender; below 0: not measured.
struct serve_figures {
    double per_second, per_cpu_second, cpu_share, own_cpu_share;
};

struct serve_contender {
    bool is_there;
    char name[64];
    const char *protocol, *system; // as result rows have them
    struct load_target target;
    load_fn *run;
    unsigned connections, depth;
    const char *depth_name; // as result rows have it
    struct serve_figures turns[KR_SERVE_TURNS];
    struct histogram latency; // of all turns, as what follows
    struct load_code codes[KR_LOAD_CODES];
    size_t code_count;
    uint64_t broken, unanswered;
};

struct serve_report {
    struct serve_contender contenders[KR_SERVE_COUNT];
    size_t turns;          // finished
    struct load_plan plan; // but for connections and depth
};

void serve_note(struct serve_contender *contender, size_t turn, const struct load_result *result);
void serve_print(const struct serve_report *report, const struct result_run *run, FILE *out);
void serve_write_rows(const struct serve_report *report, struct result_run *run);
