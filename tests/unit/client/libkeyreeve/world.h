// SPDX-License-Identifier: Apache-2.0
// A client and a node in one thread, over real sockets: they take turns, the clocks skip what a
// test says, and names have the addresses that it says.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the above.
#include <cmocka.h>

#include "client/libkeyreeve/keyreeve.h"
#include "core/base/buf.h"
#include "core/tls/tls.h"

// Its keys are all VALID but the empty one; it gives a lease of 2 s.
struct node {
    int listener, fd; // -1: none
    uint16_t port;
    struct tls_context *secure; // NULL: it speaks in the clear
    struct tls *tls;
    struct buf in;
    unsigned accepted, answered;
    uint64_t index; // that it has applied: 1. It fails the test when it should wait for another
    bool is_stale;  // it says so of all keys
    bool keeps_all; // it says that all its answers may be kept, which is wrong
};

// Takes a free port of 127.0.0.1; refuses connections until it listens.
void node_init(struct node *node);
void node_fini(struct node *node);
void node_listen(struct node *node);
void node_hang_up(struct node *node);
// Is gone: its connection and its port.
void node_leave(struct node *node);
// Takes a connection, in place of the one that it had.
void node_accept(struct node *node);
// Takes a connection, and answers what has come.
void node_turn(struct node *node);

struct world {
    struct node node;
    struct keyreeve *client;
    struct keyreeve_figures figures; // as of the latest turn
};

void world_init(struct world *world); // its node listens
void world_fini(struct world *world);
// The client knows the node as that; nodes is filled in where options have none.
void world_open(struct world *world, struct keyreeve_options options);
void world_turn(struct world *world);
enum keyreeve_code world_ask(struct world *world); // and waits for the answer
struct keyreeve_question world_question(void);

// The boot clock and the monotonic clock have gone on by so much.
void world_skip(uint64_t ms);
// From now on every name stands for these ports of 127.0.0.1; 0 of them: as the system has it.
void world_resolve(const uint16_t *ports, size_t count);

#define UNTIL(condition, turn)                                                                     \
    for (unsigned turns = 0; !(condition); turns++) {                                              \
        if (turns > 30000)                                                                         \
            fail_msg("waited in vain for %s", #condition);                                         \
        turn;                                                                                      \
    }
