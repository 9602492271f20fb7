// SPDX-License-Identifier: Apache-2.0
// The measured delays of a phase of propagate: kept, and written as rows and as a table.
#pragma once

#include "bench/cluster.h"
#include "bench/result.h"

// What was measured in one phase: a column a node, a row a revoked key. NAN: not measured.
struct propagate_samples {
    const char *load, *way; // as docs/benchmark.md names them
    size_t capacity, count;
    double *delays_us[KR_TOPOLOGY_NODES], *ways_us[KR_TOPOLOGY_NODES];
    double *answers_us; // until the leader's answer
    double *worsts_us;  // until the last node that was watched refused
};

void propagate_samples_init(struct propagate_samples *samples, const char *load, const char *way,
                            size_t nodes, size_t capacity);
void propagate_samples_fini(struct propagate_samples *samples);

// Where the rows come from, beside the phase.
struct propagate_frame {
    const struct cluster *cluster;
    const char *world; // the topology's name
    struct result_run *results;
};

// Writes the phase's rows, and a table where there is no --json.
void propagate_samples_write(const struct propagate_frame *frame,
                             const struct propagate_samples *samples);
// A figure of no node: its values, in this unit.
void propagate_figure_write(const struct propagate_frame *frame, const char *name,
                            const char *label, const char *load, const char *unit,
                            const double *values, size_t count);
