// SPDX-License-Identifier: Apache-2.0
// gRPC calls: what each method makes of a message. Framing, trailers, deadlines and streams are
// serve_grpc.c's.
//
// A call has a message in and a message out. ask makes a question of it, which is looked up
// together with all others of the turn; reply writes what came of it. Both run on the serving loop;
// what they need for the turn alone lies in its scratch arena. The message is lent until the reply.
#pragma once

#include "node/serve_internal.h"

enum grpc_status {
    KR_GRPC_OK = 0,
    KR_GRPC_CANCELLED = 1,
    KR_GRPC_UNKNOWN = 2,
    KR_GRPC_INVALID_ARGUMENT = 3,
    KR_GRPC_DEADLINE_EXCEEDED = 4,
    KR_GRPC_NOT_FOUND = 5,
    KR_GRPC_PERMISSION_DENIED = 7,
    KR_GRPC_RESOURCE_EXHAUSTED = 8,
    KR_GRPC_UNIMPLEMENTED = 12,
    KR_GRPC_INTERNAL = 13,
    KR_GRPC_UNAVAILABLE = 14,
    KR_GRPC_UNAUTHENTICATED = 16,
};

// How a call ends: OK with a message in serve->body, which was cleared before; else without one.
struct grpc_end {
    enum grpc_status status;
    const char *text; // of a status that is not OK; constant, or in the scratch arena
    enum kr_err err;  // OK: the status says it all; else what it stands for, which is counted
};

struct grpc_method {
    const char *path; // "/keyreeve.v1.Validation/Validate", as in the route table
    // Fills job->question. False: there is nothing to look up, and reply says why. NULL: the method
    // asks nothing (health), or looks up for itself (a batch).
    bool (*ask)(struct job *job, struct bytes message);
    // After the question was judged, or was not asked (job->has_question).
    struct grpc_end (*reply)(struct job *job, struct bytes message);
    // To a message that is too large to be read. NULL: the call ends RESOURCE_EXHAUSTED.
    struct grpc_end (*refuse)(struct job *job);
};

extern const struct grpc_method grpc_methods[];
extern const size_t grpc_method_count;

// --- what the methods share ----------------------------------------------------------------------
// How a message that cannot be taken ends its call; text as in grpc_end.
struct grpc_end grpc_refuse(enum kr_err err, const char *text);
struct grpc_end grpc_cannot_tell(struct job *job);   // the verdict says nothing of the key
struct grpc_end grpc_written(const struct job *job); // OK with the message in serve->body
