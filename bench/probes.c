// SPDX-License-Identifier: Apache-2.0
// The rate of probing, as a row and as a line.
#include "bench/probes.h"

#include <math.h>
#include <stdio.h>

enum { KR_PROBES_TARGET = 64 };

void probes_write(struct result_run *results, const struct probes *probes)
{
    char target[KR_PROBES_TARGET];
    double least = INFINITY;
    const struct result_row row = {
        .name = "propagate.probes",
        .label = "probes a second of a node while watched",
        .unit = "1/s",
        .conditions = {{"world", 0, probes->world},
                       {"engine", 0, probes->engine},
                       {"load", 0, probes->load},
                       {probes->form != NULL ? "form" : NULL, 0, probes->form}},
        .values = probes->rates,
        .count = probes->count};
    result_write(results, &row);
    for (size_t i = 0; i < probes->count; i++)
        least = fmin(least, probes->rates[i]);
    result_target(results, &row, target, sizeof(target));
    if (!results->is_json)
        printf("probes a second of the node that was asked least: %.0f (wanted %s%s)\n", least,
               target,
               result_misses(results, &row)
                   ? ", missed: delays are told later than they were, by up to the time between two"
                   : "");
}
