// SPDX-License-Identifier: Apache-2.0
// A run of consecutive lines of an import: its rows as requests by bucket, and what came of them.
//
// Segments are finished in the input's order, and only then counted: so the state file always
// speaks of a prefix of the input. One thread.
#pragma once

#include "client/http.h"
#include "client/import_row.h"
#include "core/base/mem.h"

#define KR_SEGMENT_BUCKETS_MAX 64
#define KR_SEGMENT_BODY_BYTES ((size_t)8 << 20) // a request is closed beyond this

enum import_group_state { KR_GROUP_OPEN, KR_GROUP_READY, KR_GROUP_SENT, KR_GROUP_DONE };

// One request: rows of one bucket.
struct import_group {
    struct import_group *next;
    struct import_segment *segment;
    enum import_group_state state;
    char bucket[KR_IMPORT_NAME_SIZE];
    struct buf body; // {"rows":[…]}
    uint64_t *lines; // the rows' line numbers
    size_t *starts;  // where each row begins in the body
    size_t row_count, row_capacity;
    struct http_call call;
    unsigned tries;
    uint64_t retry_at_ms;
};

struct import_refusal {
    uint64_t line;
    const char *detail;
};

struct import_segment {
    struct arena arena; // details
    struct import_group *groups;
    bool is_sealed;
    size_t group_count, row_count, line_count;
    size_t open_rows_max; // rows of its largest group
    uint64_t end_offset;  // of the input, behind its last line
    uint64_t imported, existing;
    struct import_refusal *refusals;
    size_t refusal_count, refusal_capacity;
};

void import_segment_init(struct import_segment *segment);
void import_segment_fini(struct import_segment *segment);

// bucket is a bucket's name or id.
void import_segment_add(struct import_segment *segment, const char *bucket, uint64_t line,
                        struct bytes row);
void import_segment_refuse(struct import_segment *segment, uint64_t line, const char *detail);
// Time to send it: a request holds batch rows or many bytes, or there are many lines or buckets.
bool import_segment_is_full(const struct import_segment *segment, size_t batch);
// No line will follow: ends the bodies; the groups are READY.
void import_segment_seal(struct import_segment *segment);
bool import_segment_is_done(const struct import_segment *segment);

// Counts a 200 answer and its refused rows; the group is DONE. False when the answer does not add
// up to the group's rows.
bool import_group_take(struct import_group *group, struct bytes answer);
// After the node refused the request as a whole: a group of one row is refused with the detail and
// DONE, a larger one becomes two READY ones.
void import_group_divide(struct import_group *group, const char *detail);

// {"line":12,"detail":"…"} for each refusal, by line.
void import_segment_add_report(struct import_segment *segment, struct buf *out);
