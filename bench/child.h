// SPDX-License-Identifier: Apache-2.0
// A keyreeved that the bench starts, asks, and stops.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "bench/load.h"

struct child {
    pid_t pid; // 0: not running
    struct load_target target;
    uint64_t begin_ns; // CLOCK_MONOTONIC, before the fork
};

struct child_options {
    const char *program, *data, *http; // keeps; HOST:PORT
    bool is_quiet;                     // its stderr goes nowhere; its stdout always does
    const char *const *settings;       // more flags and their values, ended by NULL; NULL: none
    uint64_t cpu;                      // the core that it gets, from 1 on; 0: any
};

must_use enum kr_err child_start(const struct child_options *options, struct child *child,
                                 struct fault *fault);
// One request on a connection of its own: the HTTP status, 0 when there was no answer. key is empty
// where the path needs none, else presented as a bearer.
unsigned child_ask(const struct child *child, const char *path, struct bytes key);
// Asks every millisecond until it answers 200; returns ns since the start. TIMEOUT after deadline_s
// seconds since the start, IO when the process ended.
must_use enum kr_err child_await(struct child *child, const char *path, struct bytes key,
                                 double deadline_s, uint64_t *after_ns, struct fault *fault);
// SIGTERM, and waits; SIGKILL after 60 s. ns that it took.
uint64_t child_stop(struct child *child);
