// SPDX-License-Identifier: Apache-2.0
// Signals that end a run, noted.
#include "bench/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t noted;

static void on_signal(int number)
{
    noted = number;
}

void interrupt_watch(void)
{
    const struct sigaction action = {.sa_handler = on_signal}; // without SA_RESTART
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool interrupt_is_noted(void)
{
    return noted != 0;
}

void interrupt_pass_on(void)
{
    if (noted == 0)
        return;
    signal(noted, SIG_DFL);
    raise(noted);
}
