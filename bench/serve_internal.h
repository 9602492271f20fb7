// SPDX-License-Identifier: Apache-2.0
// What the files of serve share: its options, and who is measured.
#pragma once

#include "bench/bare.h"
#include "bench/rig.h"
#include "bench/serve_figures.h"

struct serve_options {
    const char *url, *http_unix, *https, *cacert, *keys, *path, *empty, *redis;
    const char *binary, *binary_unix, *binary_tls;
    const char *programs, *server_threads;
    uint64_t key_count, idle;
    uint64_t connections, binary_connections, depth, grpc_connections, streams, turns, server_pid,
        secure_pid, redis_pid, cpu, bare_cpu;
    double seconds, zipf, unknown, rate, writes;
    bool is_compare, has_no_redis, has_grpc;
};

struct serve {
    struct serve_options options;
    struct rig rig;
    char folder[KR_RIG_TEXT]; // this program's, for the rig
    struct keyset keys;
    struct bare bare;
    struct tls_context *tls; // of the contenders with TLS
    struct serve_report report;
    struct result_run results;
    char host[KR_PROTOCOL_HOST_MAX + 1];
    struct fault fault;
};

// serve_contenders.c: everybody whose place an option names.
must_use enum kr_err serve_add_contenders(struct serve *serve);

// idle.c: memory that idle connections cost a node of the rig; --idle.
must_use enum kr_err serve_idle(struct serve *serve);
// under_writes.c: latency of validations beside the same under writes; --writes.
must_use enum kr_err serve_under_writes(struct serve *serve);
