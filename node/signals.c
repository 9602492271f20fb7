// SPDX-License-Identifier: Apache-2.0
// The signals that a node is stopped by, or told to read its certificates again.
#include "node/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

static const int ours[] = {SIGTERM, SIGINT, SIGHUP};

static void mask(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        sigaddset(&set, ours[i]);
    pthread_sigmask(how, &set, NULL);
}

void signals_hold(void)
{
    mask(SIG_BLOCK);
}

void signals_hear(void)
{
    mask(SIG_UNBLOCK);
}

void signals_ignore(void)
{
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        signal(ours[i], SIG_IGN);
}
