// SPDX-License-Identifier: Apache-2.0
// The input of an import, line by line, through one large buffer.
//
// Knows byte offsets, so that an import can go on in the middle, and keeps the input's first bytes,
// by whose digest it is recognised then. Zeroed at the end: it held keys.
#pragma once

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/keys/digest.h"

#define KR_READER_HEAD_BYTES ((size_t)64 << 10)

struct import_reader {
    int fd;
    const char *name;    // keeps: for errors
    uint64_t size_bytes; // of a regular file, else 0
    uint64_t offset;     // behind the last line given
    uint8_t *buffer;
    size_t begin, end; // what is buffered and not yet given
    bool is_regular, has_ended;
    bool is_passing; // over a line that is too long, whose end has not come yet
    uint8_t *head;   // the first bytes of the input
    size_t head_size;
};

enum import_reader_result {
    KR_READER_LINE,
    KR_READER_TOO_LONG, // the line was passed over
    KR_READER_QUIET,    // no file, and the rest of the next line has not come yet: ask again
    KR_READER_END,
    KR_READER_FAILED
};

// "-" is standard input.
must_use enum kr_err import_reader_open(struct import_reader *reader, const char *path,
                                        struct fault *fault);
void import_reader_close(struct import_reader *reader);
// The next line without its line feed, lent until the next call. Does not wait for a pipe.
enum import_reader_result import_reader_next(struct import_reader *reader, struct bytes *line,
                                             struct fault *fault);
// The digest of the first min(offset, KR_READER_HEAD_BYTES) bytes.
void import_reader_digest(const struct import_reader *reader, uint64_t offset,
                          uint8_t out[KR_DIGEST_SIZE]);
// Goes on at offset, before any line was read. CONFLICT when the input does not begin with the
// bytes of that digest or is shorter than offset.
must_use enum kr_err import_reader_resume(struct import_reader *reader, uint64_t offset,
                                          const uint8_t digest[KR_DIGEST_SIZE],
                                          struct fault *fault);
