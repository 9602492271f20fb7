// SPDX-License-Identifier: Apache-2.0
// Sorted tables of rows, written outside a database to be taken into one (index_ingest).
//
// One thread a writer.
#pragma once

#include "core/store/index.h"

struct checkpoint;

// Creates the file. IO, DISK_FULL name it.
must_use enum kr_err checkpoint_open(const char *path, enum index_family family,
                                     struct checkpoint **out, struct fault *fault);
// Keys ascend.
must_use enum kr_err checkpoint_add(struct checkpoint *checkpoint, struct bytes key,
                                    struct bytes value, struct fault *fault);
// Synced when it returns OK. At least one row was added.
must_use enum kr_err checkpoint_finish(struct checkpoint *checkpoint, struct fault *fault);
void checkpoint_close(struct checkpoint **checkpoint);
