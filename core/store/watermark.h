// SPDX-License-Identifier: Apache-2.0
// The watermark: the highest index that was made durable, kept beside the index's own files.
//
// It tells a state that damage has cut short from one that is merely young: a MANIFEST or a
// write-ahead log whose end is missing looks to RocksDB like the end of a crash, and opens as an
// older state. Written without a sync behind each commit or flush, so it may be too low after a
// power loss, never too high. Control loop only.
#pragma once

#include <stdint.h>

#include "core/base/fault.h"

struct watermark;

// Opens or creates <directory>/watermark. CORRUPT names the file, IO.
must_use enum kr_err watermark_open(const char *directory, struct watermark **out,
                                    struct fault *fault);
void watermark_close(struct watermark **watermark);          // syncs it
uint64_t watermark_index(const struct watermark *watermark); // 0: nothing was written yet
// Best effort: a watermark that cannot be written stays too low.
void watermark_set(struct watermark *watermark, uint64_t index);
