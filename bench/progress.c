// SPDX-License-Identifier: Apache-2.0
// A progress line on a terminal.
#include "bench/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"

#define KR_PROGRESS_EVERY_NS UINT64_C(100000000)

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
    *progress = (struct progress){.what = what,
                                  .total = total,
                                  .begin_ns = clock_mono_ns(),
                                  .is_shown = isatty(STDERR_FILENO) == 1};
}

void progress_at(struct progress *progress, uint64_t done)
{
    if (!progress->is_shown || progress->total == 0)
        return;
    uint64_t now_ns = clock_mono_ns();
    if (now_ns < progress->next_ns)
        return;
    progress->next_ns = now_ns + KR_PROGRESS_EVERY_NS;
    double seconds = (double)(now_ns - progress->begin_ns) / 1e9;
    double rest = done > 0 ? seconds * (double)(progress->total - done) / (double)done : 0;
    fprintf(stderr, "\r\033[K%s: %llu of %llu, %.0f %%, %.0f s left", progress->what,
            (unsigned long long)done, (unsigned long long)progress->total,
            100.0 * (double)done / (double)progress->total, rest);
}

void progress_end(struct progress *progress)
{
    if (progress->is_shown)
        fputs("\r\033[K", stderr);
}

void progress_say(const char *format, ...)
{
    va_list args;
    if (isatty(STDERR_FILENO) != 1)
        return;
    fputs("\r\033[K", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
}
