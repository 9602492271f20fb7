// SPDX-License-Identifier: Apache-2.0
// An emulated world: regions joined by one process that carries all that goes between them.
//
// It has one of two forms. Of packets ("tun"): regions are network namespaces with devices, held by
// that process by descriptors alone, and it is the first of a process namespace. So when it ends,
// killed or not, the kernel ends every process that was started in its namespace, and nothing is
// left: no device, no namespace, no process, no file. Of streams ("relay"), without root and TUN:
// regions are addresses of the loopback device, TCP between them goes through relays
// (world_relay.c), and what is started in it ends with who started it. In both it answers on an
// abstract unix socket, which goes with it, and whose name lets one world of a name be. The world's
// addresses are told in topology.h.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include "bench/topology.h"
#include "core/base/buf.h"

#define KR_WORLD_NAME 32
#define KR_WORLD_ANSWER 131072
#define KR_WORLD_ANYWHERE "anywhere"

// --- starting ------------------------------------------------------------------------------------

// "tun" or "relay", as results say it.
const char *world_form(enum link_kind kind);

struct world_plan {
    const char *name;
    struct topology *topology; // whose addresses become the world's
    uint64_t seed;
    bool is_relay; // also where packets could be had
};

struct world {
    pid_t pid; // of the process that carries; 0: not started
    int tie;   // as long as it is open, the world ends with the process that started it
    char name[KR_WORLD_NAME];
    enum link_kind form;
};

// Starts a world and waits until it is there; says on stderr when it has to be one of relays. It
// ends with this process, unless world_detach. LOCKED: there is one of this name. INVALID: its
// links lose or reorder, which relays cannot.
must_use enum kr_err world_start(const struct world_plan *plan, struct world *out,
                                 struct fault *fault);
// The world outlives this process; its process keeps none of the caller's files open.
must_use enum kr_err world_detach(struct world *world, struct fault *fault);
// Ends it and all that runs in it, and waits for that.
void world_stop(struct world *world);

// --- a running one -------------------------------------------------------------------------------

// Sends a request (world_control.h) and appends the answer. NOT_FOUND: no such world runs.
must_use enum kr_err world_ask(const char *name, const char *request, struct buf *answer,
                               struct fault *fault);
// Ends the world of this name, whoever has started it, and waits for its end.
must_use enum kr_err world_end(const char *name, struct fault *fault);
// The address at which programs of a region (or KR_WORLD_ANYWHERE: those that come from an address
// of their own region) reach a port of another region's address: the same one in a world of
// packets.
must_use enum kr_err world_reach(const char *name, const char *region, const char *address,
                                 uint16_t port, char out[INET_ADDRSTRLEN], struct fault *fault);

// A way into a region.
struct world_place {
    enum link_kind form;
    int net_fd, pid_fd; // of packets: the namespaces, for setns(2)
    int tie;            // of streams: ends with the world
};

must_use enum kr_err world_open_place(const char *name, const char *region, struct world_place *out,
                                      struct fault *fault);
void world_close_place(struct world_place *place);
// A child in the region's namespaces, which ends with the calling process and with the world; of
// streams, and where place is NULL, with the calling process alone. As fork(2): 0 in the child, -1
// with errno.
pid_t world_fork(const struct world_place *place);
// A socket of the region, for a thread that stays where it is; of this process where place is
// NULL. -1 with errno.
int world_socket(const struct world_place *place, int type);

// --- for the world's own process -----------------------------------------------------------------

#define KR_WORLD_REQUEST 1024

// The abstract address of a world's control socket; its size.
unsigned world_address(const char *name, void *out);
