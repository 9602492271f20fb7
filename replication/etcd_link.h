// SPDX-License-Identifier: Apache-2.0
// The link to etcd: HTTP calls to its JSON gateway through libcurl on the caller's uv loop. The
// home of libcurl in this folder.
//
// Several endpoints: calls go to one of them until it fails (no connection, a deadline, an answer
// 5xx), then to the next. Connections are kept. A call is never sent twice by this layer. One loop.
#pragma once

#include "core/base/fault.h"
#include "replication/etcd_port.h"

struct uv_loop_s;
struct etcd_link;

struct etcd_link_options {
    struct uv_loop_s *loop; // keeps
    const char *endpoints;  // URLs, comma-separated: http://… or https://…, at most 16
    // PEM files; "": none. With https, ca_file is required (the system's authorities do not count),
    // cert_file and key_file go together.
    const char *ca_file, *cert_file, *key_file;
};

// The options alone, but for the loop, which it has no need of. As etcd_link_new.
must_use enum kr_err etcd_link_check(const struct etcd_link_options *options, struct fault *fault);
// INVALID names the endpoint or file and the mend. Gives.
must_use enum kr_err etcd_link_new(const struct etcd_link_options *options, struct etcd_link **out,
                                   struct fault *fault);
const struct etcd_port *etcd_link_port(const struct etcd_link *link); // lends until close
// Fails what is under way (its callbacks come first), then calls closed and frees itself.
void etcd_link_close(struct etcd_link *link, void (*closed)(void *ctx), void *ctx);
