// SPDX-License-Identifier: Apache-2.0
// The process of a world: what is the same whether it carries packets or streams. It listens to its
// control socket and to its tie, and keeps the time.
#pragma once

#include "bench/topology.h"

// Events of a carrier are numbered below this.
#define KR_WORLD_EVENTS KR_TOPOLOGY_REGIONS

enum world_outcome {
    KR_WORLD_NO_REQUEST, // not one of the carrier's
    KR_WORLD_ANSWERED,
    KR_WORLD_JOINED // answered, and the connection stays until its other end closes it
};

struct world_process;

// Who carries; ctx is the carrier's own. What it opens stays open until the process ends.
struct world_carrier {
    enum kr_err (*open)(struct world_process *process, struct fault *fault);
    void (*take)(struct world_process *process, uint32_t event);
    void (*give)(struct world_process *process); // what is due; each turn
    uint64_t (*next_ns)(const struct world_process *process);
    // Takes the text apart.
    enum world_outcome (*request)(struct world_process *process, int client, char *request);
};

struct world_process {
    const struct topology *topology;
    const struct world_carrier *carrier;
    void *ctx;
    struct link *link;
    int epoll, control, tie;
};

// For a carrier's open: from now on take is told this event when fd is readable.
bool world_serve_watch(struct world_process *process, int fd, uint32_t event);
// An answer to a client: '+' and a text, or '-' and why not; with two descriptors where fds is
// given.
void world_serve_answer(int client, struct bytes text, const int fds[2]);
// Opens the carrier, says so, or why not, over the tie, and carries until the world ends.
__attribute__((noreturn)) void world_serve(struct world_process *process);

extern const struct world_carrier world_packets, world_streams;
