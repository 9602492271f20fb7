// SPDX-License-Identifier: Apache-2.0
// What a measurement needs when nobody has started anything for it: two nodes of the same keys, one
// in the clear and one with TLS, and a Redis where there is one; in a directory that goes with it.
#pragma once

#include "bench/child.h"

#define KR_RIG_TEXT 160

struct rig_options {
    const char *programs; // the folder of keyreeved and keyreeve
    uint64_t keys, consumers;
    uint64_t server_cpu; // from 1 on; 0: any
    bool wants_redis;
};

struct rig {
    struct rig_options options;  // whose texts are kept
    char directory[KR_RIG_TEXT]; // "": not started
    struct child node, secure;
    pid_t redis; // 0: there is none
    // Addresses, and paths of sockets and files.
    char http[KR_RIG_TEXT], url[KR_RIG_TEXT], http_unix[KR_RIG_TEXT], https[KR_RIG_TEXT];
    char binary[KR_RIG_TEXT], binary_unix[KR_RIG_TEXT], binary_tls[KR_RIG_TEXT];
    char redis_address[KR_RIG_TEXT], keys[KR_RIG_TEXT], certificate[KR_RIG_TEXT];
    char token[KR_RIG_TEXT], consumer[KR_RIG_TEXT]; // an owner's, and one that has keys
};

// Keeps the programs' folder. The fault says which program failed. Stop it whatever comes back.
must_use enum kr_err rig_start(const struct rig_options *options, struct rig *rig,
                               struct fault *fault);
// Ends one of the nodes and starts it again, with what it has.
must_use enum kr_err rig_restart(struct rig *rig, bool is_secure, struct fault *fault);
void rig_stop(struct rig *rig);
