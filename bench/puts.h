// SPDX-License-Identifier: Apache-2.0
// Bare puts to the etcd that a cluster's log lies in: what a write through it is measured beside.
//
// Over etcd's HTTP gateway, as the engine's own transactions, with the node's client certificate,
// to the endpoint that the node has. A value is as large as the log's newest row, its key as long
// as that row's. One thread.
#pragma once

#include "bench/load.h"

struct puts_options {
    const char *endpoint;                       // "https://HOST:PORT", "http://HOST:PORT"
    const char *ca_file, *cert_file, *key_file; // PEM; with https
};

struct puts {
    char host[KR_PROTOCOL_HOST_MAX + 1], name[KR_PROTOCOL_HOST_MAX + 1];
    struct load_target target; // whose request keeps the host
    struct buf key, text;      // what is put, and the body that puts it
    struct keyset body;        // of one line, the text
    size_t value_bytes;        // 0: puts_like_log has not been asked
};

// INVALID names the option that is wrong. Must be closed, also when it fails.
must_use enum kr_err puts_open(struct puts *puts, const struct puts_options *options,
                               struct fault *fault);
// From now on puts are as large as the log's newest row is. NOT_FOUND: there is no log.
must_use enum kr_err puts_like_log(struct puts *puts, struct fault *fault);
// Puts one after the other over one connection.
must_use enum kr_err puts_run(struct puts *puts, double seconds, struct load_result *result,
                              struct fault *fault);
// Takes the key away.
void puts_close(struct puts *puts);
