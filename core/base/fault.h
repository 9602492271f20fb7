// SPDX-License-Identifier: Apache-2.0
// An error with the one sentence that its reader needs: what is wrong, where, and how to mend it.
//
// The caller owns the struct; a function that fails fills it and returns its err. The text never
// holds a key's value.
#pragma once

#include "core/base/err.h"

#define KR_FAULT_TEXT_MAX 384

struct fault {
    enum kr_err err;
    char text[KR_FAULT_TEXT_MAX]; // NUL-terminated, cut when longer
};

// Records the error and its sentence, and returns err, so that `return fault_set(…)` reads well.
// Borrows everything; fault may be NULL.
enum kr_err fault_set(struct fault *fault, enum kr_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
