// SPDX-License-Identifier: Apache-2.0
// Two ends of a TLS connection in memory, and the clusters' CAs that made their certificates.
#pragma once

#include <assert.h>
#include <openssl/err.h>

#include "core/base/clock.h"
#include "core/base/rand.h"
#include "core/tls/authority.h"

#define DAY_MS INT64_C(86400000)
#define CLUSTER "clst_000000000000000000000001"
#define OTHER_CLUSTER "clst_000000000000000000000002"
#define BUNDLE_MAX ((size_t)1 << 16)
#define WIRE_MAX ((size_t)16 << 20)

// A CA of this cluster that holds for a year; its PEM is appended to certificate when there is one.
static inline struct authority *make_authority(const char *cluster_id, struct buf *certificate)
{
    struct buf pem, key;
    struct authority *authority;
    struct fault fault = {0};
    int64_t now_ms = clock_unix_ms();
    buf_init(&pem, BUNDLE_MAX);
    buf_init(&key, BUNDLE_MAX);
    enum kr_err err =
        authority_make(cluster_id, now_ms - 30 * DAY_MS, now_ms + 365 * DAY_MS, &pem, &key, &fault);
    assert(err == KR_ERR_OK);
    err = authority_open(buf_bytes(&pem), buf_bytes(&key), &authority, &fault);
    assert(err == KR_ERR_OK);
    if (certificate != NULL)
        buf_add_bytes(certificate, buf_bytes(&pem));
    buf_fini(&pem);
    buf_fini(&key);
    return authority;
}

// A bundle that holds from so many days from now on, to so many.
static inline void issue(const struct authority *authority, const char *node_id, int from_days,
                         int to_days, struct buf *bundle)
{
    struct fault fault = {0};
    struct authority_request request = {.node_id = node_id,
                                        .region = "fra",
                                        .role = KR_TLS_ROLE_CORE,
                                        .not_before_ms = clock_unix_ms() + from_days * DAY_MS,
                                        .not_after_ms = clock_unix_ms() + to_days * DAY_MS};
    enum kr_err err = authority_issue(authority, &request, bundle, &fault);
    assert(err == KR_ERR_OK);
}

static inline struct tls_context *peer_context(struct bytes bundle)
{
    struct tls_context *context;
    struct fault fault = {0};
    struct tls_options options = tls_peer_options(bundle);
    enum kr_err err = tls_context_new(&options, &context, &fault);
    assert(err == KR_ERR_OK);
    return context;
}

struct pair {
    struct tls *client, *server;
    size_t piece; // bytes that are handed over at a time; 0: all
};

static inline void pair_init(struct pair *pair, struct tls_context *client,
                             struct tls_context *server)
{
    *pair = (struct pair){.client = tls_new(client, false), .server = tls_new(server, true)};
}

static inline void pair_fini(struct pair *pair)
{
    tls_free(&pair->client);
    tls_free(&pair->server);
    assert(ERR_peek_error() == 0);
}

static inline size_t carry(struct tls *from, struct tls *to, size_t piece)
{
    struct buf wire;
    buf_init(&wire, WIRE_MAX);
    size_t size = tls_take(from, &wire);
    for (size_t at = 0; at < size;) {
        size_t count = piece == 0 || piece > size - at ? size - at : piece;
        enum kr_err err = tls_receive(to, bytes_of(wire.data + at, count));
        assert(err == KR_ERR_OK);
        at += count;
    }
    buf_fini(&wire);
    return size;
}

// Carries bytes both ways until neither end has any.
static inline void pair_run(struct pair *pair)
{
    while (carry(pair->client, pair->server, pair->piece) +
               carry(pair->server, pair->client, pair->piece) >
           0)
        continue;
}
