// SPDX-License-Identifier: Apache-2.0
// What a disk needs to flush a small append: what no commit to it goes below.
//
// pwrite(2) and fdatasync(2) of as many bytes as a log row has, into a file whose space is
// allocated. The file has no name. One thread.
#pragma once

#include <stdint.h>

#include "core/base/fault.h"

struct flush {
    const char *directory; // keeps
    int fd;                // -1: not open
    uint64_t rows;         // appended
};

// A file in this directory. Must be closed, also when it fails.
must_use enum kr_err flush_open(struct flush *flush, const char *directory, struct fault *fault);
// Appends a row and flushes it; ns that both took.
must_use enum kr_err flush_once(struct flush *flush, uint64_t *out_ns, struct fault *fault);
void flush_close(struct flush *flush);
