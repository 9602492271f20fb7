// SPDX-License-Identifier: Apache-2.0
// The messages of other people's gRPC services that a node answers: Envoy's authorization, health.
//
// proto/grpc/ has them. What is read comes from outside: it is looked over field by field, goes no
// deeper than the messages that are known, and is counted before it is kept; INVALID when it is no
// such message, TOO_LARGE when there is more of something than is kept. Nothing is allocated. All
// that is read lends the input. Any thread.
#pragma once

#include "core/base/buf.h"

// --- envoy.service.auth.v3.Authorization/Check ---------------------------------------------------
#define KR_CHECK_HEADERS_MAX 64    // of those that are wanted
#define KR_CHECK_EXTENSIONS_MAX 16 // of context_extensions

struct codec_pair {
    struct bytes name, value;
};

struct codec_check {
    struct bytes method, path; // the path with its query
    struct bytes source;       // the client's address as a text; empty: not told
    struct codec_pair headers[KR_CHECK_HEADERS_MAX]; // of headers and of header_map
    size_t header_count;
    struct codec_pair extensions[KR_CHECK_EXTENSIONS_MAX];
    size_t extension_count;
};

// Reads a CheckRequest. Of the headers it keeps those that are wanted, whatever the case of their
// letters. Of a field that occurs twice the last counts, of a header every one.
must_use enum kr_err codec_check(struct bytes in, const struct bytes *wanted, size_t wanted_count,
                                 struct codec_check *out);

// A CheckResponse. Texts are UTF-8, header values hold no control characters.
struct codec_check_answer {
    uint32_t status;                  // a gRPC status; 0 lets in
    struct bytes status_text;         // for the gateway alone
    const struct codec_pair *headers; // to overwrite, empty ones too
    size_t header_count;
    const struct bytes *removals; // headers of the request, when it lets in
    size_t removal_count;
    uint32_t http_status; // when it denies
    struct bytes body;
    const struct codec_pair *metadata;
    size_t metadata_count;
    struct bytes list_name; // one more entry of the metadata, which is a list; empty: none
    const char *const *list;
    size_t list_count;
};

void codec_add_check_answer(struct buf *out, const struct codec_check_answer *answer);

// --- grpc.health.v1.Health/Check -----------------------------------------------------------------
enum codec_health { KR_HEALTH_SERVING = 1, KR_HEALTH_NOT_SERVING = 2 };

must_use enum kr_err codec_health_question(struct bytes in, struct bytes *service);
void codec_add_health_answer(struct buf *out, enum codec_health health);
