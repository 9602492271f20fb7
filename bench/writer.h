// SPDX-License-Identifier: Apache-2.0
// Who makes keys: a management token, and the route that makes a key of one consumer.
#pragma once

#include "bench/load.h"

#define KR_WRITER_PATH 512

struct writer {
    struct buf secret;
    struct keyset token; // of one line, the secret
    char host[KR_PROTOCOL_HOST_MAX + 1], path[KR_WRITER_PATH];
    struct load_target target; // whose request keeps the two
};

// Stays where it is until it is closed.
must_use enum kr_err writer_open(struct writer *writer, const char *url, const char *token_file,
                                 const char *bucket, const char *consumer, struct fault *fault);
void writer_close(struct writer *writer); // also one that was not opened
// Was every key made, and any?
must_use enum kr_err writer_check(const struct writer *writer, const struct load_result *result,
                                  struct fault *fault);
