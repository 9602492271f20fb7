// SPDX-License-Identifier: Apache-2.0
// A progress line on stderr, on a terminal only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what;
    uint64_t total, begin_ns, next_ns;
    bool is_shown;
};

void progress_begin(struct progress *progress, const char *what, uint64_t total); // keeps what
void progress_at(struct progress *progress, uint64_t done); // writes ten times a second at most
void progress_end(struct progress *progress);               // clears the line
// One line as it is, replacing the last; nothing without a terminal.
void progress_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
