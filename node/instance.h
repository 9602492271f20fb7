// SPDX-License-Identifier: Apache-2.0
// A request's path as the `instance` of a problem: bounded, and without what may be a key's value.
#pragma once

#include "core/base/mem.h"

// The path as it was sent, to 1,024 bytes; each segment that must not be repeated
// (format_may_repeat) is "…". Borrows the path; the text is in the arena.
const char *instance_of(struct bytes path, struct arena *arena);
