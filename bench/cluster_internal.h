// SPDX-License-Identifier: Apache-2.0
// A cluster in an emulated world: what its files share.
#pragma once

#include "bench/cluster.h"

enum { KR_CLUSTER_PATH = 512, KR_CLUSTER_TEXT = 4096 };

// For the engine etcd: a certificate for the members and for the nodes as their clients; a node's
// settings; and, once the nodes have directories, the members, with a leader beside ours.
must_use enum kr_err cluster_etcd_certify(struct cluster *cluster);
must_use enum kr_err cluster_etcd_add(struct cluster *cluster, const struct cluster_node *node,
                                      struct buf *out);
must_use enum kr_err cluster_etcd_up(struct cluster *cluster);
