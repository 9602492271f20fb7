// SPDX-License-Identifier: Apache-2.0
// Who this node is: by its certificate where it has peers, by its settings where it stands alone.
//
// Read once at start, immutable afterwards; any thread.
#pragma once

#include "core/tls/tls.h"
#include "node/config.h"

#define KR_IDENTITY_ADDRESS_SIZE 256

struct identity {
    char node_id[KR_TLS_NAME_SIZE], region[KR_TLS_NAME_SIZE];
    char cluster_id[KR_TLS_NAME_SIZE];           // the bundle's; "": the bootstrap draws one
    bool has_peers;                              // a bundle is given
    bool is_core;                                // holds everything and may lead; else a follower
    char peer_address[KR_IDENTITY_ADDRESS_SIZE]; // as other nodes reach it; "" without peers
    char http_address[KR_IDENTITY_ADDRESS_SIZE]; // a URL; as clients are told
};

// INVALID names the setting that contradicts the certificate, or another setting.
must_use enum kr_err identity_read(const struct config *config, struct identity *out,
                                   struct fault *fault);
