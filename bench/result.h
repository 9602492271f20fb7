// SPDX-License-Identifier: Apache-2.0
// Result rows: each figure that keyreeve-bench measures, as one JSON object on a line, with all
// that it takes to measure it again. docs/benchmark.md describes the members.
//
// A run is opened once by a subcommand; rows go to stdout (--json), behind those that are there in
// DIR/rows.jsonl (--out DIR), or nowhere. A row reaches the file by one write(2), so that several
// processes may append to it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/histogram.h"

#define KR_RESULT_COMMAND 2048
#define KR_RESULT_CONDITIONS 24

struct result_run {
    const char *directory; // --out; NULL
    bool is_json;          // --json
    uint64_t seed;
    const char *disk; // a path on the file system that the figures depend on; NULL: the directory
    char command[KR_RESULT_COMMAND];
    struct json *targets;
    int fd;          // of rows.jsonl; -1
    enum kr_err err; // of the first row that could not be written
    struct fault *fault;
};

// The two options, for a subcommand's table of options.
#define KR_RESULT_OPTIONS(run)                                                                     \
    {"--json", NULL, KR_OPTION_FLAG, &(run)->is_json,                                              \
     0,        0,    false,          "the results as JSON, an object a row, and no table"},        \
    {                                                                                              \
        "--out", "DIR", KR_OPTION_TEXT, &(run)->directory, 0, 0, false,                            \
            "appends the same to DIR/rows.jsonl"                                                   \
    }

// What a figure was measured under: "keys" 10,000,000. A number, or a text where there is one.
struct result_condition {
    const char *name;
    double number;
    const char *text;
};

// A point of a course in time or of a curve.
struct result_point {
    double x, y;
};

struct result_row {
    const char *name;   // "write.one"
    const char *label;  // the same for people
    const char *system; // NULL: "keyreeve"
    const char *region; // NULL: of none
    const char *unit;   // "us", "ms", "ns", "1/s", "bytes", "ratio"
    struct result_condition conditions[KR_RESULT_CONDITIONS]; // ends with a name NULL, or is full
    // One of these three:
    const double *values;              // one a turn or a round; NAN: not measured in that one
    const struct histogram *histogram; // ns; the row's unit is us
    const struct result_point *points; // a course, without statistics
    size_t count;                      // of values or points
};

// Notes the command line; opens no file when none is asked for. Keeps fault, which tells the
// first row that could not be written.
must_use enum kr_err result_open(struct result_run *run, int argc, char **argv,
                                 struct fault *fault);
// A row without a single measured value is left out. An error stays until the run is closed.
void result_write(struct result_run *run, const struct result_row *row);
// Also where result_open has failed. Returns err when there was one before, else the rows'.
must_use enum kr_err result_close(struct result_run *run, enum kr_err err);

// What such a row should reach, as "<= 1.2"; in brackets when that is meant for other conditions,
// "" where nobody has set a target.
void result_target(const struct result_run *run, const struct result_row *row, char *out,
                   size_t size);
// Whether it was measured under the target's conditions and is worse; false also without a target.
bool result_misses(const struct result_run *run, const struct result_row *row);
// The row as JSON, as result_write would write it: for what is written elsewhere, and for tests.
void result_render(const struct result_run *run, const struct result_row *row, struct buf *out);
