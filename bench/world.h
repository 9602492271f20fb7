// SPDX-License-Identifier: Apache-2.0
// An emulated world: regions joined by one process that carries every packet between them.
//
// The link process is the first of a process namespace, and holds the network namespaces and their
// devices by descriptors alone. So when it ends, killed or not, the kernel ends every process that
// was started in its namespace, and nothing is left: no device, no namespace, no process, no file.
// It answers on an abstract unix socket, which goes with it, and whose name lets one world of a
// name be. The world's addresses are told in topology.h.
#pragma once

#include <sys/types.h>

#include "bench/topology.h"
#include "core/base/buf.h"

#define KR_WORLD_NAME 32
#define KR_WORLD_ANSWER 131072

// --- starting ------------------------------------------------------------------------------------

struct world {
    pid_t pid; // of the link process; 0: not started
    int tie;   // as long as it is open, the world ends with the process that started it
    char name[KR_WORLD_NAME];
};

// Starts a world and waits until it is there. It ends with this process, unless world_detach.
// LOCKED: there is one of this name. FORBIDDEN, NOT_FOUND: see region_open.
must_use enum kr_err world_start(const char *name, const struct topology *topology, uint64_t seed,
                                 struct world *out, struct fault *fault);
// The world outlives this process; its link process keeps none of the caller's files open.
must_use enum kr_err world_detach(struct world *world, struct fault *fault);
// Ends it and all that runs in it, and waits for that.
void world_stop(struct world *world);

// --- a running one -------------------------------------------------------------------------------

// Sends a request (world_control.h) and appends the answer. NOT_FOUND: no such world runs.
must_use enum kr_err world_ask(const char *name, const char *request, struct buf *answer,
                               struct fault *fault);
// Ends the world of this name, whoever has started it, and waits for its end.
must_use enum kr_err world_end(const char *name, struct fault *fault);

// A way into a region.
struct world_place {
    int net_fd, pid_fd; // the namespaces, for setns(2)
};

must_use enum kr_err world_open_place(const char *name, const char *region, struct world_place *out,
                                      struct fault *fault);
void world_close_place(struct world_place *place);
// A child in the region's namespaces, which ends with the world and with the calling process. As
// fork(2): 0 in the child, -1 with errno.
pid_t world_fork(const struct world_place *place);
// A socket of the region, for a thread that stays where it is. -1 with errno.
int world_socket(const struct world_place *place, int type);

// --- for the link process ------------------------------------------------------------------------

#define KR_WORLD_REQUEST 1024

// Runs the link until the world ends; control listens, tie is the other end of world.tie.
__attribute__((noreturn)) void world_run(const struct topology *topology, uint64_t seed,
                                         int control, int tie);
// The abstract address of a world's control socket; its size.
unsigned world_address(const char *name, void *out);
