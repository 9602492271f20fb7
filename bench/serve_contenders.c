// SPDX-License-Identifier: Apache-2.0
// Who is measured by serve: the node's listeners, its empty handler, and what they stand beside.
#include "bench/serve_internal.h"

#include <stdio.h>
#include <string.h>

#include "bench/grpc.h"
#include "bench/load_tls.h"
#include "bench/redis.h"

// What a contender is, but for where it answers.
struct role {
    const char *name; // NULL: the route's path
    const char *protocol, *system;
    bool is_unix, is_tls, is_binary; // is_binary: many requests in flight
};

static const struct role roles[KR_SERVE_COUNT] = {
    [KR_SERVE_HTTP] = {NULL, "http", NULL, false, false, false},
    [KR_SERVE_HTTP_UNIX] = {NULL, "unix", NULL, true, false, false},
    [KR_SERVE_HTTPS] = {NULL, "https", NULL, false, true, false},
    [KR_SERVE_EMPTY] = {"empty handler", "http", "empty", false, false, false},
    [KR_SERVE_REDIS] = {"Redis GET", "redis", "redis", false, false, false},
    [KR_SERVE_BARE] = {"bare responder", "http", "bare", false, false, false},
    [KR_SERVE_BINARY] = {"binary", "binary", NULL, false, false, true},
    [KR_SERVE_BINARY_UNIX] = {"binary", "binary unix", NULL, true, false, true},
    [KR_SERVE_BINARY_TLS] = {"binary", "binary tls", NULL, false, true, true},
    [KR_SERVE_REDIS_PIPELINE] = {"Redis GET pipeline", "redis", "redis", false, false, true},
    [KR_SERVE_BARE_BINARY] = {"bare responder (binary)", "binary", "bare", false, false, true},
    [KR_SERVE_GRPC] = {"gRPC Check", "grpc", NULL, false, false, false},
    [KR_SERVE_EMPTY_HTTP2] = {"empty handler (HTTP/2)", "http2", "empty", false, false, false},
};

static struct protocol_request request_of(const struct serve *serve, enum serve_who who)
{
    const struct serve_options *o = &serve->options;
    bool is_validate = strncmp(o->path, "/v1/validate", 12) == 0;
    switch (who) {
    case KR_SERVE_HTTP:
    case KR_SERVE_HTTP_UNIX:
    case KR_SERVE_HTTPS:
        return (struct protocol_request){is_validate ? KR_PROTOCOL_VALIDATE : KR_PROTOCOL_BEARER,
                                         serve->host, o->path};
    case KR_SERVE_EMPTY:
    case KR_SERVE_EMPTY_HTTP2:
    case KR_SERVE_BARE:
        return (struct protocol_request){KR_PROTOCOL_EMPTY, serve->host, o->empty};
    case KR_SERVE_REDIS:
    case KR_SERVE_REDIS_PIPELINE:
        return (struct protocol_request){.kind = KR_PROTOCOL_REDIS};
    case KR_SERVE_GRPC:
        return (struct protocol_request){.kind = KR_PROTOCOL_VALIDATE, .host = serve->host};
    case KR_SERVE_BINARY:
    case KR_SERVE_BINARY_UNIX:
    case KR_SERVE_BINARY_TLS:
    case KR_SERVE_BARE_BINARY:
    case KR_SERVE_COUNT:
        break;
    }
    return (struct protocol_request){.kind = KR_PROTOCOL_BINARY};
}

// NULL: it is not asked for.
static const char *place_of(const struct serve *serve, enum serve_who who)
{
    const struct serve_options *o = &serve->options;
    const char *const places[KR_SERVE_COUNT] = {
        [KR_SERVE_HTTP] = serve->host,
        [KR_SERVE_HTTP_UNIX] = o->http_unix,
        [KR_SERVE_HTTPS] = o->https,
        [KR_SERVE_EMPTY] = serve->host,
        [KR_SERVE_REDIS] = o->redis,
        [KR_SERVE_BINARY] = o->binary,
        [KR_SERVE_BINARY_UNIX] = o->binary_unix,
        [KR_SERVE_BINARY_TLS] = o->binary_tls,
        [KR_SERVE_REDIS_PIPELINE] = o->binary != NULL ? o->redis : NULL,
        [KR_SERVE_GRPC] = o->has_grpc ? serve->host : NULL,
        [KR_SERVE_EMPTY_HTTP2] = o->has_grpc ? serve->host : NULL,
    };
    return places[who];
}

static void count_processor(const struct serve_options *o, const struct role *role,
                            struct load_target *target)
{
    bool is_redis = role->system != NULL && strcmp(role->system, "redis") == 0;
    uint64_t pid = is_redis ? o->redis_pid : role->is_tls ? o->secure_pid : o->server_pid;
    target->pid = (pid_t)pid;
    target->threads = is_redis ? NULL : o->server_threads;
}

// NULL: it is somebody else, or is not started.
static const struct load_target *bare_of(const struct serve *serve, enum serve_who who)
{
    if (serve->bare.pid <= 0)
        return NULL;
    if (who == KR_SERVE_BARE)
        return &serve->bare.http;
    return who == KR_SERVE_BARE_BINARY && serve->options.binary != NULL ? &serve->bare.binary
                                                                        : NULL;
}

static enum kr_err add(struct serve *serve, enum serve_who who, const char *place)
{
    const struct serve_options *o = &serve->options;
    const struct role *role = &roles[who];
    struct serve_contender *contender = &serve->report.contenders[who];
    snprintf(contender->name, sizeof(contender->name), "%s%s",
             role->name != NULL ? role->name : o->path,
             role->is_unix  ? " (unix)"
             : role->is_tls ? " (TLS)"
                            : "");
    contender->is_there = true;
    contender->protocol = role->protocol;
    contender->system = role->system;
    contender->connections = (unsigned)(role->is_binary ? o->binary_connections : o->connections);
    contender->depth = role->is_binary ? (unsigned)o->depth : 1;
    contender->depth_name = "depth";
    contender->run = load_run;
    if (who == KR_SERVE_GRPC || who == KR_SERVE_EMPTY_HTTP2) {
        contender->run = grpc_run;
        contender->connections = (unsigned)o->grpc_connections;
        contender->depth = (unsigned)o->streams;
        contender->depth_name = "streams";
    }
    count_processor(o, role, &contender->target);
    const struct load_target *bare = bare_of(serve, who);
    if (bare != NULL)
        contender->target = *bare;
    contender->target.request = request_of(serve, who);
    contender->target.tls = role->is_tls ? serve->tls : NULL;
    return bare != NULL ? KR_ERR_OK
                        : load_resolve(place, role->is_unix, &contender->target, &serve->fault);
}

static enum kr_err trust(struct serve *serve)
{
    const struct serve_options *o = &serve->options;
    if (o->https == NULL && o->binary_tls == NULL)
        return KR_ERR_OK;
    return load_tls_trust(&(struct load_tls_files){.ca = o->cacert}, &serve->tls, &serve->fault);
}

enum kr_err serve_add_contenders(struct serve *serve)
{
    const struct serve_options *o = &serve->options;
    enum kr_err err = trust(serve);
    if (err == KR_ERR_OK && o->bare_cpu != UINT64_MAX)
        err = bare_start(o->bare_cpu, &serve->bare, &serve->fault);
    for (enum serve_who who = 0; who < KR_SERVE_COUNT && err == KR_ERR_OK; who++) {
        const char *place = place_of(serve, who);
        if (place != NULL || bare_of(serve, who) != NULL)
            err = add(serve, who, place);
    }
    if (err == KR_ERR_OK && o->redis != NULL)
        err = redis_fill(&serve->report.contenders[KR_SERVE_REDIS].target, &serve->keys,
                         &serve->fault);
    return err;
}
