// SPDX-License-Identifier: Apache-2.0
// The flush: makes safe on this disk what commits have not waited for (store_options.
// is_log_elsewhere).
//
// INVARIANT. What a power cut leaves reaches to store_safe_index at least, and a start that finds
// less says so (watermark.h). So the log elsewhere must keep everything behind that index.
// Begin and end belong to the control loop, the run to any other thread; one at a time, and ended
// before the store is closed.
#pragma once

#include "core/store/store.h"

struct store_flush {
    uint64_t index; // safe when the run has succeeded
    enum kr_err err;
    struct fault fault;
};

// Is there anything to be made safe? Never on a follower, whose upstream keeps it, nor where
// commits wait for the disk themselves.
must_use bool store_flush_begin(const struct store *store, struct store_flush *flush);
void store_flush_run(struct store *store, struct store_flush *flush); // waits for the disk
// IO, DISK_FULL: nobody knows what is on the disk, and the process must stop.
must_use enum kr_err store_flush_end(struct store *store, const struct store_flush *flush,
                                     struct fault *fault);

// The last index that a power cut leaves here; 0 on a follower, where nobody knows. Control loop.
uint64_t store_safe_index(const struct store *store);

// May the state be older than what this node has acknowledged, since its machine stopped without
// it? From a start on until store_caught_up, over any number of starts. Never where commits wait
// for the disk. Control loop.
bool store_may_lack(const struct store *store);
void store_caught_up(struct store *store); // it has all that there is
