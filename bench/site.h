// SPDX-License-Identifier: Apache-2.0
// Where programs run and sockets are: this machine's loopback, or a region of an emulated world.
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/world.h"

struct site {
    char address[INET_ADDRSTRLEN];
    bool is_in_world;
    char world[KR_WORLD_NAME], region[KR_TOPOLOGY_NAME];
    struct world_place place;
};

void site_init(struct site *site); // loopback
// An address (topology.h) of a world's region; site_leave gives the way into it back.
must_use enum kr_err site_enter(struct site *site, const char *world, const char *region,
                                const char *address, struct fault *fault);
void site_leave(struct site *site);
// The address at which programs of a site reach a port of another's address: the same one but in a
// world of relays.
must_use enum kr_err site_reach(const struct site *from, const struct site *to, uint16_t port,
                                char out[INET_ADDRSTRLEN], struct fault *fault);
// In a world of relays: makes a unix socket at a path, by which programs of the one site reach that
// at the target's path of the other.
must_use enum kr_err site_pass(const struct site *from, const char *at, const struct site *to,
                               const char *target, struct fault *fault);
// Of a site in a world: "tun" or "relay".
const char *site_form(const struct site *site);
// A socket of this site; -1 with errno.
int site_socket(const struct site *site, int type);
// A connected TCP socket from this site; -1 with errno.
int site_connect(const struct site *site, const char *address, uint16_t port);
// A listening TCP socket of this site on a free port, which it sets; -1 with errno.
int site_listen(const struct site *site, uint16_t *port);
// A port of the site that nobody had a moment ago; 0 with errno.
uint16_t site_free_port(const struct site *site);
// As fork(2); the child ends with its parent.
pid_t site_fork(const struct site *site);
