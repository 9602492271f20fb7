// SPDX-License-Identifier: Apache-2.0
// Every error that a Keyreeve function can return, in one table with its text and HTTP status.
//
// Foreign codes (errno, RocksDB, libuv, jansson) are translated to these at the one file that talks
// to the library, and logged there once. A result on which callers branch is not an error.
#pragma once

#define KR_ERR_TABLE(X)                                                                            \
    X(OK, "ok", 200)                                                                               \
    X(INVALID, "not valid", 400)                                                                   \
    X(UNAUTHORIZED, "no valid token", 401)                                                         \
    X(FORBIDDEN, "the token lacks the right", 403)                                                 \
    X(NOT_FOUND, "not found", 404)                                                                 \
    X(METHOD, "method not allowed", 405)                                                           \
    X(CONFLICT, "conflict with the current state", 409)                                            \
    X(PRECONDITION, "precondition failed", 412)                                                    \
    X(TOO_LARGE, "too large", 413)                                                                 \
    X(URI_TOO_LONG, "request target too long", 414)                                                \
    X(MEDIA_TYPE, "unsupported media type", 415)                                                   \
    X(LIMITED, "too many requests", 429)                                                           \
    X(HEADERS_TOO_LARGE, "header fields too large", 431)                                           \
    X(INTERNAL, "internal error", 500)                                                             \
    X(IO, "input/output error", 500)                                                               \
    X(CORRUPT, "stored bytes are damaged", 500)                                                    \
    X(VERSION, "format version not supported", 500)                                                \
    X(LOCKED, "in use by another process", 500)                                                    \
    X(UNSUPPORTED, "not implemented by this version", 501)                                         \
    X(NO_LEADER, "no leader", 503)                                                                 \
    X(DISK_FULL, "disk full", 503)                                                                 \
    X(BUSY, "too busy", 503)                                                                       \
    X(TIMEOUT, "deadline exceeded", 503)

enum kr_err {
#define X(name, text, status) KR_ERR_##name,
    KR_ERR_TABLE(X)
#undef X
};

#define must_use __attribute__((warn_unused_result))

// The text of the table, lower case, without a full stop. Never NULL.
const char *err_text(enum kr_err err);

// The HTTP status that answers a request which failed with this error.
unsigned err_http_status(enum kr_err err);

// errno → kr_err: ENOSPC and EDQUOT are DISK_FULL, ENOENT is NOT_FOUND, everything else IO.
enum kr_err err_from_errno(int number);
