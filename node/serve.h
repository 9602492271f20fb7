// SPDX-License-Identifier: Apache-2.0
// A serving loop: one thread that accepts, parses, validates from memory and answers.
//
// It never touches disk, never blocks and allocates nothing for a validation. Everything that
// arrived in a turn is parsed first, then hashed and looked up together, then answered in order.
// Management calls go to the control loop and come back through a queue and a waker.
#pragma once

#include "core/base/fault.h"
#include "node/node.h"

// Opens the listeners of loop `number` (SO_REUSEPORT; the unix socket on loop 0 is shared by all
// through its descriptor) without running it. INVALID or LOCKED name address and mend (port in
// use).
must_use enum kr_err serve_new(struct node *node, size_t number, struct serve **out,
                               struct fault *fault);
// Starts the thread.
void serve_start(struct serve *serve);
// Stops accepting, lets requests under way finish, closes idle connections; any thread.
void serve_stop(struct serve *serve);
// There is something new in the node's losses, for clients of this loop that keep answers; control
// loop.
void serve_tell_losses(struct serve *serve);
// Is any loop's thread still at work? Any thread.
bool serve_any_running(const struct node *node);
// Waits for the thread's end; then frees.
void serve_join(struct serve **serve);
