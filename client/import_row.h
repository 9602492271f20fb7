// SPDX-License-Identifier: Apache-2.0
// One row of an import: is it good as far as can be told here, and what of it goes to the node.
//
// Pure. A reason never quotes a key's value.
#pragma once

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/keys/digest.h"

#define KR_IMPORT_LINE_MAX ((size_t)256 << 10)
#define KR_IMPORT_NAME_SIZE 130

struct import_row {
    int64_t now_ms;                     // to judge expiresOn by; 0: the node does it
    char bucket[KR_IMPORT_NAME_SIZE];   // "": the row names none
    char consumer[KR_IMPORT_NAME_SIZE]; // a name or an id
    uint8_t digest[KR_DIGEST_SIZE];     // of the value
    struct bytes text;                  // the JSON object without its "bucket"; lent until the next
    struct buf scratch;
};

void import_row_init(struct import_row *row);
void import_row_fini(struct import_row *row);

// Checks a line and fills the row; text may point into line. INVALID with the reason otherwise.
must_use enum kr_err import_row_take(struct import_row *row, struct bytes line,
                                     struct fault *reason);
