// SPDX-License-Identifier: Apache-2.0
// The management API of a node, as the bench uses it: a call, its answer, over one connection.
#pragma once

#include "bench/api.h"

struct manage {
    struct talk talk;
    char token[KR_API_TOKEN];
};

// The owner's or another token, from its file (0600). Must be closed, also when it fails.
must_use enum kr_err manage_open(struct manage *manage, const struct site *from,
                                 const char *address, uint16_t port, const char *token_file,
                                 struct fault *fault);
void manage_close(struct manage *manage);

// Sends a call; the body may be empty, and is JSON else.
must_use enum kr_err manage_send(struct manage *manage, const char *method, const char *path,
                                 struct bytes body);
// The answer, if it is whole: its status and body, which is lent until the next call. NOT_FOUND: it
// is not yet there.
must_use enum kr_err manage_look(struct manage *manage, unsigned *status, struct bytes *body);
// A call and its answer, which must be 200; its body is lent until the next call.
must_use enum kr_err manage_call(struct manage *manage, const char *method, const char *path,
                                 const char *body, struct bytes *answer);
