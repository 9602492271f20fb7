// SPDX-License-Identifier: Apache-2.0
// Errors with a sentence.
#include "core/base/fault.h"

#include <stdarg.h>
#include <stdio.h>

enum kr_err fault_set(struct fault *fault, enum kr_err err, const char *format, ...)
{
    if (fault != NULL) {
        va_list args;
        va_start(args, format);
        fault->err = err;
        vsnprintf(fault->text, sizeof(fault->text), format, args);
        va_end(args);
    }
    return err;
}
