// SPDX-License-Identifier: Apache-2.0
// One run of the command: what was asked, where to, as whom, and how to speak to the reader.
//
// Settings come from options, then the environment, then the context. A context's token is only
// sent to that context's URL. One thread.
#pragma once

#include "client/contexts.h"
#include "client/http.h"
#include "client/parse.h"
#include "client/term.h"

struct session {
    const struct invocation *in; // keeps
    struct arena arena;          // zeroed at the end: it holds tokens and keys
    struct contexts contexts;
    const struct context *context; // the one in use, or NULL
    struct http *http;             // NULL until there is a URL
    const char *url;               // without a slash at its end
    const char *token;             // or NULL
    const char *account, *bucket;  // bucket or NULL
    const char *no_name;           // what was to be a segment of a path and cannot be one, or NULL
    bool is_json;
    struct term out, err;
};

void session_init(struct session *session, const struct invocation *in);
void session_fini(struct session *session);
// Settles URL, token, account and bucket as far as the command needs them.
must_use enum exit_code session_open(struct session *session);
// Settles on these: closes what was open and opens http to url as token.
void session_connect(struct session *session, const char *url, const char *token);

// Prints "keyreeve: …" and the hint (or NULL) on standard error, as JSON with --json; returns code.
enum exit_code session_fail(struct session *session, enum exit_code code, const char *hint,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));
// A line for people on standard error, not with --json.
void session_note(const struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Writes to standard output; FAILURE when that cannot be written (a full disk, a closed pipe).
must_use enum exit_code session_write(struct session *session, struct bytes text);
// The same for an arena-less buffer whose sticky error counts; clears it.
must_use enum exit_code session_flush(struct session *session, struct buf *text);

// The value of an option, or its environment variable, or NULL.
const char *session_setting(const struct session *session, enum spec_option_id option);
// Reads a secret of one line from a file (0600 asked for), "-" is standard input.
// Lends until session_fini.
must_use enum exit_code session_read_secret(struct session *session, const char *path,
                                            const char **value);
// True when --yes was given or the reader typed the name; otherwise prints why not.
bool session_confirm(struct session *session, const char *what, const char *name);
