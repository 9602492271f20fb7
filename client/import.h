// SPDX-License-Identifier: Apache-2.0
// An import under way: reads segments, keeps requests in flight, commits what is finished in order.
//
// import_* functions are steps of the loop in run_import.c; the struct holds all that they share.
#pragma once

#include "client/import_reader.h"
#include "client/import_seen.h"
#include "client/import_segment.h"
#include "client/import_state.h"
#include "client/progress.h"
#include "client/session.h"

struct import {
    struct session *session;
    struct import_reader reader;
    struct import_row row;
    struct import_seen seen;   // of a dry run
    struct import_state state; // of the committed prefix
    const char *state_path;    // NULL: progress is not kept
    const char *default_bucket;
    const char *base; // path before a bucket's name
    int report_fd;    // -1: none
    bool is_dry;
    bool is_rehearsal; // dry, while an import of the same file that has a report has not ended
    bool is_at_end;    // nothing more will be read
    bool is_quiet;     // nothing more has come yet, and the last segment waits for it
    size_t concurrency, batch;
    struct import_segment *segments; // a ring in the input's order
    size_t ring_size, first, count;
    size_t in_flight;
    uint64_t lines_read;
    uint64_t started_ms, saved_ms;
    uint64_t absent_ms;  // since when the node gives no whole answer; 0: the latest was one
    uint64_t first_line; // lines that earlier runs committed
    struct progress progress;
    bool has_told_absence;
    unsigned shown_refusals; // printed for want of a report
    enum exit_code code;     // sticky
};

// What a node has taken behind the committed prefix: when the import goes on, it exists.
struct import_ahead {
    uint64_t imported, existing;
};

// How an import that has ended early goes on; NULL: not at all.
const char *import_hint(const struct import *import);
// Is there room for more of the input, and may more come?
bool import_wants_input(const struct import *import);
// Reads one more segment into the ring, if there is room, or as much of it as has come; sets
// is_at_end and is_quiet.
void import_read(struct import *import);
// Sends what is ready, as far as concurrency allows.
void import_send(struct import *import, uint64_t now_ms);
// Looks at the answers that have come.
void import_receive(struct import *import, uint64_t now_ms);
// The same where the import has ended early: what was taken is counted, nothing is tried again.
void import_receive_rest(struct import *import);
// Counts, reports and drops the finished segments at the front.
void import_commit(struct import *import);
// fsyncs the report and stores the state.
void import_save(struct import *import, uint64_t now_ms);
// fsyncs the report and removes the state: nothing is left to go on with.
void import_end(struct import *import);
struct import_ahead import_count_ahead(struct import *import);
// Takes requests back that are under way.
void import_cancel(struct import *import);
