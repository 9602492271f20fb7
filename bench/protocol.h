// SPDX-License-Identifier: Apache-2.0
// What the load generator says and hears: HTTP/1.1 requests of our routes and of etcd's gateway,
// our binary frames, and Redis' GET.
//
// Answers are read only as far as measuring needs: where one ends, its status, its verdict code.
#pragma once

#include <stddef.h>

#include "core/base/buf.h"

enum protocol_kind {
    KR_PROTOCOL_EMPTY,    // GET path, no key
    KR_PROTOCOL_BEARER,   // GET path with Authorization: Bearer KEY (forward-auth)
    KR_PROTOCOL_CREATE,   // POST path {}; KEY is the management token
    KR_PROTOCOL_VALIDATE, // POST path {"key":"KEY"}
    KR_PROTOCOL_POST,     // POST path KEY, which is JSON
    KR_PROTOCOL_BINARY,   // a frame with KEY
    KR_PROTOCOL_REDIS     // GET KEY
};

// Every request of our routes and Redis fits.
#define KR_PROTOCOL_REQUEST_MAX 4096
#define KR_PROTOCOL_HOST_MAX 255
#define KR_PROTOCOL_PATH_MAX 1024
#define KR_PROTOCOL_CODE_SIZE 24

struct protocol_request {
    enum protocol_kind kind;
    const char *host, *path; // keeps; at most the sizes above
};

struct protocol_answer {
    unsigned status; // HTTP's; with Redis 200 found, 404 not; of a frame 200, of an error frame 400
    char code[KR_PROTOCOL_CODE_SIZE]; // the verdict's where the answer says it, else ""
};

enum protocol_outcome { KR_PROTOCOL_MORE, KR_PROTOCOL_DONE, KR_PROTOCOL_BROKEN };

// Appends one request.
void protocol_add(const struct protocol_request *request, struct bytes key, struct buf *out);
// Reads one answer at the start of in; DONE sets how many bytes it took.
enum protocol_outcome protocol_read(enum protocol_kind kind, struct bytes in, size_t *used,
                                    struct protocol_answer *answer);
