// SPDX-License-Identifier: Apache-2.0
// One line of progress on standard error, for whatever takes longer than two seconds.
//
// Drawn only on a terminal, at most ten times a second, and wiped before anything else is printed.
// The time is an argument of everything, so that tests need no clock.
#pragma once

#include <stdint.h>

#include "client/term.h"

#define KR_PROGRESS_QUIET_MS 2000 // nothing is shown before
#define KR_PROGRESS_EVERY_MS 100

struct progress {
    const struct term *term; // keeps
    const char *label;       // keeps
    uint64_t started_ms, drawn_ms;
    bool is_drawn;
};

// What is known now. total 0: unknown, a moving mark is shown instead of a bar.
struct progress_now {
    uint64_t done, total; // of one unit, e.g. bytes
    const char *detail;   // "1,204,000 rows, 51,000/s"; may be ""
};

void progress_init(struct progress *progress, const struct term *term, const char *label,
                   uint64_t now_ms);
// Is it time to draw? So that callers format a detail only when it is shown.
bool progress_is_due(const struct progress *progress, uint64_t now_ms);
void progress_draw(struct progress *progress, struct progress_now now, uint64_t now_ms);
void progress_wipe(struct progress *progress);

// The line itself: label, bar, percentage, remaining time, detail; cut to the width.
void progress_add_line(const struct progress *progress, struct progress_now now, uint64_t now_ms,
                       struct buf *out);

// "1,204,000" into out.
#define KR_PROGRESS_NUMBER_SIZE 28
const char *progress_number(uint64_t value, char out[KR_PROGRESS_NUMBER_SIZE]);
