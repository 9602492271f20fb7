// SPDX-License-Identifier: Apache-2.0
// A file of keys, one a line, mapped into memory and never copied.
#pragma once

#include "core/base/bytes.h"
#include "core/base/fault.h"

struct keyset {
    const uint8_t *data;
    size_t size_bytes;
    uint64_t count;
    size_t stride;     // bytes from line to line when all are equally long, else 0
    uint64_t *offsets; // otherwise: where each line begins
};

// INVALID names the first line that is no key: 16..512 printable ASCII characters, no spaces.
must_use enum kr_err keyset_open(const char *path, struct keyset *out, struct fault *fault);
void keyset_close(struct keyset *keyset);
struct bytes keyset_at(const struct keyset *keyset, uint64_t number); // lends until close
