// SPDX-License-Identifier: Apache-2.0
// SIGTERM, SIGINT and SIGHUP: who hears them, and when.
//
// Handlers are a loop's, and are there while it runs; without one these signals end the process. So
// every thread that outlives a loop holds them back; only the one that runs the control loop hears
// them, while it runs. What comes meanwhile waits for the next loop.
#pragma once

// This thread and those that it starts hold them back.
void signals_hold(void);
void signals_hear(void); // this thread hears them, until it holds them back again
// For good: a second one must not cut short what the first one asked for.
void signals_ignore(void);
