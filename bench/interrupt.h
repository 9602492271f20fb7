// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM, noted, so that a run ends what it has started before it ends itself.
#pragma once

#include <stdbool.h>

// From now on SIGINT, SIGTERM and SIGHUP interrupt waiting calls (EINTR) and are noted.
void interrupt_watch(void);
bool interrupt_is_noted(void);
// Ends this process by the signal that was noted, if there was one, as its parent expects.
void interrupt_pass_on(void);
