// SPDX-License-Identifier: Apache-2.0
// Keyreeve over HTTP, as the bench's clients ask it: management calls, validations.
//
// Requests are added to a talk's out; answers are read from what has come in.
#pragma once

#include "bench/protocol.h"
#include "bench/talk.h"

#define KR_API_TOKEN 512
#define KR_API_KEY 256
#define KR_API_PATH 192
#define KR_API_BUCKET "production" // that a new cluster has

struct api_key {
    char value[KR_API_KEY];
    char revoke[KR_API_PATH]; // behind …/consumers
};

// A management token from a file of mode 0600.
must_use enum kr_err api_read_token(const char *path, char out[KR_API_TOKEN], struct fault *fault);
// Connects to ADDRESS:PORT, which becomes the talk's name.
must_use enum kr_err api_connect(struct talk *talk, const struct site *from, const char *place);
// POST …/consumers + tail, of this bucket.
void api_add_post(struct talk *talk, const char *token, const char *bucket, const char *tail,
                  const char *body);
void api_add_validate(struct talk *talk, const char *key);
// NOT_FOUND: the answer is not whole yet. IO: it is no HTTP, or not 200.
must_use enum kr_err api_read(struct talk *talk, struct protocol_answer *answer);
// Reads it from what has arrived meanwhile; NOT_FOUND as above.
must_use enum kr_err api_look(struct talk *talk, struct protocol_answer *answer);
// Waits for it.
must_use enum kr_err api_await(struct talk *talk, struct protocol_answer *answer);
// Sends what is added and waits for the answer.
must_use enum kr_err api_ask(struct talk *talk, struct protocol_answer *answer);
// A consumer of this name, made.
must_use enum kr_err api_make_consumer(struct talk *talk, const char *token, const char *bucket,
                                       const char *consumer);
// A key of this consumer, made.
must_use enum kr_err api_make_key(struct talk *talk, const char *token, const char *bucket,
                                  const char *consumer, struct api_key *out);
// Asks over and over until the key is VALID. TIMEOUT: it is not within patience_ms.
must_use enum kr_err api_await_valid(struct talk *talk, const char *key, unsigned patience_ms);
