// SPDX-License-Identifier: Apache-2.0
// A cluster for people: a few lines about it, and a table of its nodes.
#pragma once

#include "client/view.h"

// The answer of GET /v1/cluster on standard output; with --json as it is.
must_use enum exit_code cluster_view(struct session *session, const struct json *cluster);
// Its nodes alone; with --json as an array.
must_use enum exit_code cluster_view_nodes(struct session *session, const struct json *cluster);
