// SPDX-License-Identifier: Apache-2.0
// What a running world is told: its links are set, cut and healed, and described.
//
// A request is words: "set A B key=value…", "cut A B", "heal A B", "describe"; A and B name regions
// or say "all"; a third word "one-way" leaves the way from B to A alone. Pure; one thread.
#pragma once

#include "bench/topology.h"
#include "core/base/buf.h"

// Carries a request out; it takes the text apart. What it has to tell goes to answer (JSON of
// "describe"; empty otherwise). INVALID names what is not understood, and nothing is changed.
must_use enum kr_err world_control(const struct topology *topology, struct link *link,
                                   char *request, struct buf *answer, struct fault *fault);
