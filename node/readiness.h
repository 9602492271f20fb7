// SPDX-License-Identifier: Apache-2.0
// Whether the node serves, and the one place that says so: /readyz, the log and systemd agree.
#pragma once

#include <stdbool.h>

struct node;

enum readiness {
    KR_READINESS_LOADING, // the table is not in memory yet
    KR_READINESS_WAITING, // what is known is too old: it joins, or has lost, its cluster
    KR_READINESS_SERVING,
    KR_READINESS_STOPPING,
};

// Any thread.
enum readiness readiness_of(const struct node *node);

// Once a tick of the control loop: logs and notifies what has changed since the last call. *told is
// what was told last; it begins as LOADING.
void readiness_tell(const struct node *node, enum readiness *told);
