// SPDX-License-Identifier: Apache-2.0
// A commit under way, shared by store_apply.c (whole entries) and store_stream.c (what comes from
// another node): begin, for each row apply and add, write, end.
#pragma once

#include "core/store/store_state.h"

struct store_commit {
    struct store_state state;
    struct rows_log *rows; // to be written, from the applied index on
    size_t count;
    uint64_t epoch; // of the entry that was applied last
    int64_t at_ms;  // the same's time
};

void store_commit_begin(struct store_commit *commit, struct store *store, size_t capacity);
// Applies an entry, which must be the next. CORRUPT, VERSION, IO.
must_use enum kr_err store_commit_apply(struct store_commit *commit, uint64_t index,
                                        struct bytes bytes, struct apply_result *result,
                                        struct fault *fault);
// Moves on by a row; keeps its entry until the end. Its time is that of the last entry.
void store_commit_add(struct store_commit *commit, const struct rows_log *row);
// One batch, synced where the log is here, then the hot table; nothing when there is no row.
must_use enum kr_err store_commit_write(struct store_commit *commit, struct fault *fault);
void store_commit_end(struct store_commit *commit);
