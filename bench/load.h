// SPDX-License-Identifier: Apache-2.0
// The load generator: one thread, epoll, keep-alive connections with one request, or one pipeline
// of them, in flight each.
//
// Closed loop: a connection asks again when all that it asked is answered. Open loop: requests have
// a fixed schedule, latency counts from the intended time, and the thread spins, since a sleep is
// coarser than the schedule.
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "bench/draw.h"
#include "bench/keyset.h"
#include "bench/protocol.h"
#include "core/base/histogram.h"
#include "core/tls/tls_client.h"

#define KR_LOAD_CODES 32
#define KR_LOAD_CONNECTIONS_MAX 10000
#define KR_LOAD_DEPTH_MAX 64

struct load_target {
    struct sockaddr_storage address;
    socklen_t address_size;
    struct tls_context *tls; // NULL: in the clear
    const char *tls_name;    // that the server's certificate is of; NULL: 127.0.0.1
    struct protocol_request request;
    pid_t pid;           // whose processor time is counted; 0: nobody's
    const char *threads; // of those whose name begins so; NULL: all
};

// Where connections go: "HOST:PORT", or the path of a unix socket. INVALID names the reason.
must_use enum kr_err load_resolve(const char *place, bool is_unix, struct load_target *out,
                                  struct fault *fault);
// "http://HOST:PORT" or with a slash behind it → "HOST:PORT"; port 80 where none is given.
void load_host(const char *url, char host[KR_PROTOCOL_HOST_MAX + 1]);
// A blocking socket, connected. -1 with errno.
int load_connect(const struct load_target *target);

struct load_plan {
    const struct keyset *keys; // NULL: only where the target needs none
    double zipf;               // exponent; 0: uniform
    double unknown;            // share of well-formed keys that nobody has, 0..1
    uint64_t seed;
    unsigned connections;
    unsigned depth; // requests that a connection sends at once; 1 in an open loop
    double seconds;
    double rate; // requests a second on a fixed schedule; 0: closed loop
};

struct load_code {
    struct protocol_answer answer;
    uint64_t count;
};

struct load_result {
    struct histogram latency;
    double seconds;      // measured
    uint64_t unanswered; // open loop: intended in time, not answered a second after the end
    uint64_t broken;     // connections that ended or spoke nonsense
    uint64_t server_cpu_ns;
    uint64_t own_cpu_ns; // the generator's
    struct load_code codes[KR_LOAD_CODES];
    size_t code_count;
};

// A plan for a target, and what came of it.
struct load_part {
    const struct load_target *target;
    const struct load_plan *plan;
    struct load_result *result;
};

typedef enum kr_err load_fn(const struct load_target *target, const struct load_plan *plan,
                            struct load_result *result, struct fault *fault);

// Runs the plan once after a warm-up of a tenth of it (at most a second), which is not counted.
must_use enum kr_err load_run(const struct load_target *target, const struct load_plan *plan,
                              struct load_result *result, struct fault *fault);
// Runs two open loops side by side, on one thread, so that neither waits for the other's.
must_use enum kr_err load_run_both(const struct load_part parts[2], struct fault *fault);

// --- what load generators share ------------------------------------------------------------------
// Keys as a plan wants them.
struct load_keys {
    const struct load_plan *plan; // keeps
    struct draw draw;
    struct zipf zipf;
    char unknown[KR_KEY_MINTED_SIZE];
};

void load_keys_init(struct load_keys *keys, const struct load_plan *plan);
struct bytes load_keys_draw(struct load_keys *keys); // lends until the next

// The time that is measured, behind a warm-up that begins now.
struct load_span {
    uint64_t begin_ns, end_ns;
    bool is_begun, is_over;
};

void load_span_init(struct load_span *span, const struct load_plan *plan);
// Notes the processor times at its begin, and the difference at its end; each once.
void load_span_enter(struct load_span *span, const struct load_target *target,
                     struct load_result *result);
void load_span_leave(struct load_span *span, const struct load_target *target,
                     struct load_result *result);
// Tells an epoll of a connection, which its events lend as data.ptr.
void load_watch(int epoll, int fd, void *connection, int operation, uint32_t events);
// One answer that counts.
void load_record(struct load_result *result, uint64_t latency_ns,
                 const struct protocol_answer *answer);
