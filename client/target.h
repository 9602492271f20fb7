// SPDX-License-Identifier: Apache-2.0
// Where a file is to be written: what its path leads to, so that a link or a device stays what it
// is.
#pragma once

#include <stdbool.h>

#include "core/base/fault.h"
#include "core/base/mem.h"

struct target {
    const char *path; // behind all links; in the arena
    bool is_special;  // no file: a device, a pipe, a terminal. Nothing may take its place
};

// What is not there yet is as good as a file. INVALID for a directory, and for a link that leads to
// nothing.
must_use enum kr_err target_find(struct arena *arena, const char *path, struct target *out,
                                 struct fault *fault);
// Do both paths lead to one thing?
bool target_is_same(const char *path, const char *other);
// Is what lies at path, if anything does, what is open here?
bool target_is_open(const char *path, int fd);
