// SPDX-License-Identifier: Apache-2.0
// Fills a Redis with the keys that it is to be asked for.
#pragma once

#include "bench/load.h"

// SETs every key to 64 bytes, pipelined, with progress. IO names the reason.
must_use enum kr_err redis_fill(const struct load_target *target, const struct keyset *keys,
                                struct fault *fault);
