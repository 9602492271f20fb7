// SPDX-License-Identifier: Apache-2.0
// The inside of a client: nodes, questions under way, what is kept; and what drives it.
//
// A pure order of steps over non-blocking sockets: whoever waits for the sockets (run.c, loop.c)
// hands in what is ready, and calls client_step. One thread at a time.
#pragma once

#include "client/libkeyreeve/cache.h"
#include "client/libkeyreeve/keyreeve.h"
#include "client/libkeyreeve/link.h"

#define KR_CLIENT_BUCKET_MAX KR_BINARY_BUCKET_MAX
#define KR_CLIENT_NO_LINK KR_KEYREEVE_NODES_MAX
#define KR_TAG_LEASES UINT32_C(0xf0000000) // tags from here on: of requests for a lease

// A question under way. It goes to each node once, until all that have it are lost.
struct ask {
    struct ask *previous, *next; // of those under way, oldest first; next of the free list
    uint32_t tag;
    bool is_under_way;
    uint8_t key[KR_KEYREEVE_KEY_MAX];
    size_t key_size;
    char bucket[KR_CLIENT_BUCKET_MAX];
    struct binary_request request; // its keys and bucket lie above
    uint64_t deadline_ms, sent_ms; // boot clock; sent_ms of the first time
    uint64_t hedge_at_ns;          // when another node is to be asked beside these; 0: never
    uint64_t hedge_after_ns;       // how long that was from the one before
    unsigned tried, waiting;       // links, by bit: that have had it, that owe an answer
    uint64_t sent_ns[KR_KEYREEVE_NODES_MAX]; // to those
    enum keyreeve_code cannot_tell;          // what the last node said that could not
    keyreeve_done_fn *done;
    void *ctx;
};

struct keyreeve {
    struct link links[KR_KEYREEVE_NODES_MAX];
    size_t link_count;
    struct tls_context *tls; // of the links that have it; NULL where none has
    struct fault fault;      // why a link was lost, the latest time
    uint64_t timeout_ms;
    uint64_t stepped_ms; // boot clock: the latest client_step
    bool is_answering;   // inside of keyreeve_ask, which knew the answer
    bool is_closing;
    unsigned forks;  // that this process had come out of when it was opened
    bool is_holding; // a question waits until some node has its index
    struct ask asks[KR_KEYREEVE_OUTSTANDING_MAX];
    struct ask *free;
    struct ask *first, *last; // under way
    size_t under_way;
    struct cache *cache;                     // NULL: nothing is kept
    size_t home;                             // the link whose news keep the cache honest
    uint64_t lease_until_ms, lease_asked_ms; // boot clock; 0: none, not asked
    uint32_t lease_tag;                      // of the latest request for it
    bool is_lease_asked;                     // and not answered yet
    struct keyreeve_figures figures;
    struct buf body; // of keyreeve_verify
    // A loop that watches the sockets: something was asked, a socket is about to be closed, the
    // client ends. NULL without a loop.
    void (*changed)(void *loop);
    void (*closing)(void *loop, size_t link);
    void (*end)(void *loop);
    void *loop;
};

// Links that are ready: reads or connects, writes. Answers are called back from here.
void client_ready(struct keyreeve *client, size_t link, bool is_readable, bool is_writable);
// run.c: waits so long for sockets that are ready, and hands them to client_ready.
void client_look(struct keyreeve *client, unsigned most_ms);
// Whatever the time asks for: connects, probes, hedges, deadlines, leases; sends what is due. Looks
// at the sockets first when that was last done long ago.
void client_step(struct keyreeve *client);
// In how many ms, at the latest, client_step has something to do.
unsigned client_pause_ms(const struct keyreeve *client);
// kept.c: the nearest link that is up and not excluded by its bit; KR_CLIENT_NO_LINK: none.
size_t client_nearest(const struct keyreeve *client, unsigned excluded);
// kept.c: the home is lost; with a cache, chooses one and asks it for a lease, hears its news, and
// says whether what is kept is good now.
void client_leave_home(struct keyreeve *client);
void client_renew_lease(struct keyreeve *client, uint64_t now_ms);
void client_hear_news(struct keyreeve *client, const struct binary_answer *news);
bool client_has_lease(struct keyreeve *client, uint64_t now_ms);
// kept.c: keeps the home's answer; answers from what is kept, or not.
void client_keep(struct keyreeve *client, const struct ask *ask, const struct binary_answer *answer,
                 struct bytes body);
bool client_answer_from_kept(struct keyreeve *client, const struct keyreeve_question *question,
                             struct bytes bucket, keyreeve_done_fn *done, void *ctx);
// open.c: was it opened by another process, of which this one is a child? It is not to be run here.
bool client_is_inherited(const struct keyreeve *client);
// Answers what is under way UNAVAILABLE, and takes no more questions.
void client_abandon(struct keyreeve *client);
// nodes.c: the links of "HOST:PORT,tls://HOST:PORT,unix:/PATH". INVALID, UNKNOWN.
enum keyreeve_error client_resolve(struct keyreeve *client, const char *nodes, struct fault *fault);
// secure.c: what its links with TLS share. INVALID, UNUSABLE.
enum keyreeve_error client_secure(struct keyreeve *client, const struct keyreeve_options *options,
                                  struct fault *fault);
