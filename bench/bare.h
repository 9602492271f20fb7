// SPDX-License-Identifier: Apache-2.0
// The floor beneath every server here: a process that receives and sends and does nothing else.
//
// By epoll(7), recv(2) and send(2). It answers each segment of HTTP with the same few bytes, and
// each frame of the binary protocol with the same answer, as long as a node's to a VALID key of a
// consumer without metadata. What it needs for a request is the kernel's part, which no server
// goes below.
#pragma once

#include <stdint.h>

#include "bench/load.h"

struct bare {
    pid_t pid; // 0: not running
    struct load_target http, binary;
};

// On free ports of the loopback, pinned to this core. IO, INVALID: it says which core is missing.
must_use enum kr_err bare_start(uint64_t cpu, struct bare *bare, struct fault *fault);
void bare_stop(struct bare *bare);
