// SPDX-License-Identifier: Apache-2.0
// What the etcd engine needs of the world: calls to etcd's JSON gateway, and the time.
//
// A struct of verbs, so that the engine runs over etcd_link.c in a node and over an etcd in memory
// in tests. Control loop only.
#pragma once

#include "core/base/buf.h"
#include "core/base/fault.h"

#define KR_ETCD_ANY_ENDPOINT SIZE_MAX

// What came of a call. Lent for the callback.
struct etcd_answer {
    enum kr_err err;       // not OK: no whole answer came (TIMEOUT, IO, TOO_LARGE), and nobody
                           // knows whether the call had an effect
    const char *text;      // with an err: what happened, for the log
    unsigned status;       // of HTTP, without an err
    struct bytes body;     // JSON, without an err
    uint64_t sent_at_ms;   // boot time just before the call was handed over
    bool is_surely_unsent; // with an err: no byte of the call has left, so it has no effect
};

typedef void etcd_answered_fn(void *ctx, const struct etcd_answer *answer);

struct etcd_call {
    const char *path;           // "/v3/kv/txn"; borrowed
    struct buf *body;           // its content is taken, it is left empty
    unsigned deadline_ms;       // from now
    size_t endpoint;            // its number, or KR_ETCD_ANY_ENDPOINT: the one that works
    bool stops_endpoint;        // that one answers nothing else until it is done
    etcd_answered_fn *answered; // once, never before post has returned
    void *ctx;
};

struct etcd_port {
    void *ctx;
    size_t endpoint_count;
    void (*post)(void *ctx, const struct etcd_call *call);
    uint64_t (*now_ms)(void *ctx); // boot time
};
