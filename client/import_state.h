// SPDX-License-Identifier: Apache-2.0
// How far an import has come: a small file that is replaced atomically and fsynced.
//
// Everything before `offset` is done and counted; everything behind may or may not be, and is sent
// again, which does no harm. Holds nothing secret: no row, only a digest of the input's beginning.
#pragma once

#include <stdint.h>

#include "core/base/fault.h"
#include "core/keys/digest.h"

#define KR_IMPORT_TARGET_SIZE 1024

struct import_state {
    char target[KR_IMPORT_TARGET_SIZE]; // URL, account and default bucket
    uint8_t digest[KR_DIGEST_SIZE];     // of the input's first bytes
    uint64_t offset, lines;
    uint64_t imported, existing, refused;
    uint64_t report_bytes; // of the report, up to and with the rows counted in refused
};

// NOT_FOUND when there is none, INVALID when it is no such file.
must_use enum kr_err import_state_load(const char *path, struct import_state *state,
                                       struct fault *fault);
must_use enum kr_err import_state_store(const char *path, const struct import_state *state,
                                        struct fault *fault);
