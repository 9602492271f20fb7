// SPDX-License-Identifier: Apache-2.0
// How far an import has come, in a small checked file beside its parts.
#pragma once

#include "core/store/rows.h"

#define KR_IMPORT_PARTS_MAX 16384

struct import_progress {
    enum store_holding holding;
    struct store_position position;
    bool is_whole; // the last row is the snapshot's
    struct rows_key last_key;
    size_t part_count;
    uint8_t families[KR_IMPORT_PARTS_MAX]; // of each part
};

// False: there is none, or it is damaged, which is the same.
bool import_progress_read(const char *directory, struct import_progress *out);
must_use enum kr_err import_progress_write(const char *directory,
                                           const struct import_progress *progress,
                                           struct fault *fault);
// Are they of the same snapshot?
bool import_progress_is_same(const struct import_progress *a, const struct import_progress *b);
// The file's bytes.
void import_progress_add(struct buf *out, const struct import_progress *progress);
bool import_progress_get(struct bytes in, struct import_progress *out);
