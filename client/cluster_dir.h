// SPDX-License-Identifier: Apache-2.0
// The directory of a cluster's secrets: its CA, its master key, and a folder for each node.
//
//   ca.pem  ca-key.pem  master-key  NAME/node.pem  NAME/master-key
//
// What is secret is 0600. Files are replaced whole; a directory is complete once ca.pem stands in
// it, and a node once node.pem does.
#pragma once

#include "core/tls/authority.h"

enum { KR_CLUSTER_DIR_PATH_SIZE = 4096 };

struct cluster_dir_made {
    char cluster_id[KR_TLS_NAME_SIZE];
    int64_t not_after_ms; // of the CA
};

// Is it a cluster's id? NULL is good: it will be made. INVALID.
must_use enum kr_err cluster_dir_check_id(const char *cluster_id, struct fault *fault);
// For a cluster that there is already cluster_id is its id, and no master key is made; NULL: for a
// new one. CONFLICT when the directory has content, INVALID for an id that is none. Leaves no file
// behind when it fails.
must_use enum kr_err cluster_dir_make(const char *path, const char *cluster_id, int64_t now_ms,
                                      struct cluster_dir_made *out, struct fault *fault);

struct cluster_dir_node {
    const char *name;
    const char *region; // NULL in a renewal: as it is
    const char *role;   // "core", "follower"; the same
    unsigned days;
    bool is_renewal;
};

// Are name and region such? INVALID.
must_use enum kr_err cluster_dir_check_node(const struct cluster_dir_node *node,
                                            struct fault *fault);
// Issues, writes, and reads back what is there then. CONFLICT for a node that is there already (or,
// in a renewal, that is another); NOT_FOUND for a directory or, in a renewal, a node that is not.
must_use enum kr_err cluster_dir_add(const char *path, const struct cluster_dir_node *node,
                                     int64_t now_ms, struct tls_peer *out, struct fault *fault);
