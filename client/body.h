// SPDX-License-Identifier: Apache-2.0
// Request bodies made from the options given: --description becomes "description", and so on.
//
// The first value that cannot be is printed as an error and kept as the exit code; every later step
// is a no-op. Bodies may hold keys: they are zeroed at the end.
#pragma once

#include "client/session.h"
#include "core/base/json.h"

struct body {
    struct session *session;
    struct buf text;
    struct json_writer writer;
    enum exit_code code;
    size_t member_count;
};

// Begins an object with a member for every option that was given and has one.
void body_begin(struct body *body, struct session *session);
void body_add_text(struct body *body, const char *name, const char *value);
// Ends the object. USAGE when a value was no good; wants_change: also when it has no member.
must_use enum exit_code body_end(struct body *body, bool wants_change);
void body_fini(struct body *body);

// "2027-01-31", a date-time, or "90d", "12h", "30m", "45s" from now (direction 1) or ago (-1).
bool body_parse_time(const char *text, int64_t now_ms, int direction, int64_t *unix_ms);
