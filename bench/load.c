// SPDX-License-Identifier: Apache-2.0
// The load generator's loop.
//
// Happy path: connect all → (draw a key, send) on every idle connection → epoll → read an answer,
// record it → send again, at once or when the schedule says so. Ways it can fail: no connection at
// the start; more broken connections than answers, which is a server that refuses us.
#include "bench/load.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/load_tls.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

enum { KR_LOAD_IN = 32768, KR_LOAD_OUT = 65536, KR_LOAD_EVENTS = 256, KR_LOAD_WAIT_MS = 100 };
#define KR_LOAD_SECOND_NS UINT64_C(1000000000)

struct connection {
    int fd;
    struct tls *tls; // NULL: in the clear
    size_t in_size, out_size, out_at;
    unsigned pending;  // answers that are still to come
    uint64_t begin_ns; // of the requests in flight: sent, or intended
    uint8_t in[KR_LOAD_IN];
    uint8_t out[KR_LOAD_OUT];
};

struct load {
    const struct load_target *target;
    const struct load_plan *plan;
    struct load_result *result;
    struct connection *connections;
    unsigned *idle; // numbers of the connections that wait for the schedule
    unsigned idle_count;
    int epoll;
    struct load_keys keys;
    struct load_span span;
    double interval_ns;                             // open loop
    double next_ns;                                 // when the next request is intended
    uint64_t answered;                              // warm-up included
    uint8_t plain[KR_LOAD_OUT], sealed[KR_LOAD_IN]; // of the connection at hand, with TLS
    enum kr_err err;
    struct fault *fault;
};

// --- sending -------------------------------------------------------------------------------------

static struct bytes draw_request_key(struct load *load)
{
    bool needs_none = load->target->request.kind == KR_PROTOCOL_EMPTY;
    return needs_none ? (struct bytes){0} : load_keys_draw(&load->keys);
}

// False: the connection is broken.
static bool flush(struct load *load, struct connection *connection)
{
    while (connection->out_at < connection->out_size) {
        ssize_t sent = send(connection->fd, connection->out + connection->out_at,
                            connection->out_size - connection->out_at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            load_watch(load->epoll, connection->fd, connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return true;
        }
        if (sent < 0)
            return false;
        connection->out_at += (size_t)sent;
    }
    return true;
}

static bool send_request(struct load *load, struct connection *connection, uint64_t begin_ns)
{
    struct buf out, plain;
    buf_init_fixed(&out, connection->out, sizeof(connection->out));
    buf_init_fixed(&plain, load->plain, sizeof(load->plain));
    struct buf *asked = connection->tls != NULL ? &plain : &out;
    for (unsigned i = 0; i < load->plan->depth; i++)
        protocol_add(&load->target->request, draw_request_key(load), asked);
    out.has_failed |= plain.has_failed;
    if (connection->tls != NULL && !load_tls_seal(connection->tls, buf_bytes(&plain), &out))
        return false;
    if (buf_result(&out) != KR_ERR_OK) {
        load->err = fault_set(load->fault, KR_ERR_TOO_LARGE,
                              "%u such requests are more than %d bytes; ask for a smaller depth",
                              load->plan->depth, KR_LOAD_OUT);
        return true;
    }
    connection->out_size = out.size;
    connection->out_at = 0;
    connection->pending = load->plan->depth;
    connection->begin_ns = begin_ns;
    return flush(load, connection);
}

static bool ask_again(struct load *load, struct connection *connection)
{
    if (load->plan->rate <= 0)
        return send_request(load, connection, clock_mono_ns());
    load->idle[load->idle_count++] = (unsigned)(connection - load->connections);
    return true;
}

// --- connections ---------------------------------------------------------------------------------

static bool open_connection(struct load *load, struct connection *connection)
{
    connection->in_size = connection->out_size = connection->out_at = 0;
    connection->pending = 0;
    connection->fd = load_connect(load->target);
    if (connection->fd < 0)
        return false;
    if (load->target->tls != NULL &&
        (connection->tls = load_tls_open(load->target, connection->fd)) == NULL)
        return false;
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    load_watch(load->epoll, connection->fd, connection, EPOLL_CTL_ADD, EPOLLIN);
    return true;
}

static void close_connection(struct connection *connection)
{
    tls_free(&connection->tls);
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}

static void reopen(struct load *load, struct connection *connection)
{
    close_connection(connection);
    load->result->broken++;
    if (load->result->broken > load->plan->connections + load->answered) {
        load->err =
            fault_set(load->fault, KR_ERR_IO, "the server breaks connections instead of answering");
    } else if (!open_connection(load, connection)) {
        load->err = fault_set(load->fault, KR_ERR_IO, "cannot connect: %s", strerror(errno));
    } else if (!ask_again(load, connection)) {
        load->err = fault_set(load->fault, KR_ERR_IO, "cannot send: %s", strerror(errno));
    }
}

// --- answers -------------------------------------------------------------------------------------

// A closed loop counts what is answered in the measured time, an open one what is intended in it.
static void record(struct load *load, const struct connection *connection, uint64_t now_ns,
                   const struct protocol_answer *answer)
{
    uint64_t counts_ns = load->plan->rate > 0 ? connection->begin_ns : now_ns;
    load->answered++;
    if (counts_ns >= load->span.begin_ns && counts_ns < load->span.end_ns)
        load_record(load->result, now_ns - connection->begin_ns, answer);
}

// Records the whole answers that have arrived. False: the connection is broken.
static bool take_answers(struct load *load, struct connection *connection)
{
    struct protocol_answer answer;
    size_t at = 0, used = 0;
    uint64_t now_ns = clock_mono_ns();
    enum protocol_outcome outcome = KR_PROTOCOL_DONE;
    while (connection->pending > 0 && outcome == KR_PROTOCOL_DONE) {
        struct bytes in = bytes_of(connection->in + at, connection->in_size - at);
        outcome = protocol_read(load->target->request.kind, in, &used, &answer);
        if (outcome != KR_PROTOCOL_DONE)
            break;
        at += used;
        connection->pending--;
        record(load, connection, now_ns, &answer);
    }
    connection->in_size -= at;
    memmove(connection->in, connection->in + at, connection->in_size);
    // Bytes behind the last answer belong to nothing.
    return outcome != KR_PROTOCOL_BROKEN && connection->in_size < KR_LOAD_IN &&
           (connection->pending > 0 || connection->in_size == 0);
}

// The same of what TLS brought. False: the connection is broken.
static bool take_sealed(struct load *load, struct connection *connection, size_t size)
{
    struct tls *tls = connection->tls;
    if (tls_receive(tls, bytes_of(load->sealed, size)) != KR_ERR_OK ||
        tls_state(tls) != KR_TLS_OPEN)
        return false;
    while (tls_unread(tls) > 0) {
        struct buf plain;
        buf_init_fixed(&plain, connection->in + connection->in_size,
                       KR_LOAD_IN - connection->in_size);
        connection->in_size += tls_read(tls, &plain);
        if (!take_answers(load, connection))
            return false;
    }
    return true;
}

// False: the connection is broken.
static bool on_readable(struct load *load, struct connection *connection)
{
    bool is_sealed = connection->tls != NULL;
    uint8_t *space = is_sealed ? load->sealed : connection->in + connection->in_size;
    size_t room = is_sealed ? sizeof(load->sealed) : KR_LOAD_IN - connection->in_size;
    unsigned pending = connection->pending;
    ssize_t size = recv(connection->fd, space, room, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (size <= 0)
        return false;
    connection->in_size += is_sealed ? 0 : (size_t)size;
    if (is_sealed ? !take_sealed(load, connection, (size_t)size) : !take_answers(load, connection))
        return false;
    return connection->pending > 0 || pending == 0 || ask_again(load, connection);
}

static bool on_event(struct load *load, struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT) {
        load_watch(load->epoll, connection->fd, connection, EPOLL_CTL_MOD, EPOLLIN);
        if (!flush(load, connection))
            return false;
    }
    return !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || on_readable(load, connection);
}

static void turn(struct load *load, int wait_ms)
{
    struct epoll_event events[KR_LOAD_EVENTS];
    int count = epoll_wait(load->epoll, events, KR_LOAD_EVENTS, wait_ms);
    for (int i = 0; i < count && load->err == KR_ERR_OK; i++) {
        struct connection *connection = events[i].data.ptr;
        if (!on_event(load, connection, events[i].events))
            reopen(load, connection);
    }
}

// --- the two loops -------------------------------------------------------------------------------

static void run_closed(struct load *load)
{
    while (load->err == KR_ERR_OK && clock_mono_ns() < load->span.end_ns) {
        load_span_enter(&load->span, load->target, load->result);
        turn(load, KR_LOAD_WAIT_MS);
    }
    load_span_leave(&load->span, load->target, load->result);
}

static void send_due(struct load *load)
{
    double now_ns = (double)clock_mono_ns();
    while (load->idle_count > 0 && load->next_ns <= now_ns && load->err == KR_ERR_OK &&
           load->next_ns < (double)load->span.end_ns) {
        struct connection *connection = &load->connections[load->idle[--load->idle_count]];
        uint64_t intended_ns = (uint64_t)load->next_ns;
        load->next_ns += load->interval_ns;
        if (!send_request(load, connection, intended_ns))
            reopen(load, connection);
    }
}

// False: it is over.
static bool step_open(struct load *load)
{
    uint64_t now_ns = clock_mono_ns();
    load_span_enter(&load->span, load->target, load->result);
    if (now_ns >= load->span.end_ns)
        load_span_leave(&load->span, load->target, load->result);
    bool is_all_sent = load->next_ns >= (double)load->span.end_ns;
    if (load->err != KR_ERR_OK || now_ns >= load->span.end_ns + KR_LOAD_SECOND_NS ||
        (load->span.is_over && is_all_sent && load->idle_count == load->plan->connections))
        return false;
    send_due(load);
    turn(load, 0);
    return true;
}

static void run_open(struct load *loads, size_t count)
{
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        for (size_t i = 0; i < count; i++)
            goes_on = step_open(&loads[i]) || goes_on;
    }
    for (size_t i = 0; i < count; i++) {
        const struct load_plan *plan = loads[i].plan;
        uint64_t intended = (uint64_t)(plan->rate * plan->seconds);
        uint64_t answered = loads[i].result->latency.count;
        load_span_leave(&loads[i].span, loads[i].target, loads[i].result);
        loads[i].result->unanswered = intended > answered ? intended - answered : 0;
    }
}

static void start(struct load *load)
{
    for (unsigned i = 0; i < load->plan->connections && load->err == KR_ERR_OK; i++)
        if (!open_connection(load, &load->connections[i]))
            load->err = fault_set(load->fault, KR_ERR_IO, "cannot connect: %s", strerror(errno));
    load_span_init(&load->span, load->plan);
    load->next_ns = (double)clock_mono_ns();
    for (unsigned i = 0; i < load->plan->connections && load->err == KR_ERR_OK; i++)
        if (!ask_again(load, &load->connections[i]))
            reopen(load, &load->connections[i]);
}

// --- its life ------------------------------------------------------------------------------------

static void begin(struct load *load, const struct load_part *part, struct fault *fault)
{
    const struct load_plan *plan = part->plan;
    load->target = part->target;
    load->plan = plan;
    load->result = part->result;
    load->fault = fault;
    memset(load->result, 0, sizeof(*load->result));
    load->result->seconds = plan->seconds;
    load_keys_init(&load->keys, plan);
    load->connections = mem_zalloc(plan->connections * sizeof(*load->connections));
    load->idle = mem_alloc(plan->connections * sizeof(*load->idle));
    for (unsigned i = 0; i < plan->connections; i++)
        load->connections[i].fd = -1;
    if (plan->rate > 0)
        load->interval_ns = 1e9 / plan->rate;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll < 0)
        load->err = fault_set(fault, err_from_errno(errno), "epoll: %s", strerror(errno));
    else
        start(load);
}

static void end(struct load *load)
{
    for (unsigned i = 0; i < load->plan->connections; i++)
        close_connection(&load->connections[i]);
    mem_free(load->idle);
    mem_free(load->connections);
    if (load->epoll >= 0)
        close(load->epoll);
}

static enum kr_err run_all(const struct load_part *parts, size_t count, struct fault *fault)
{
    struct load *loads = mem_zalloc(count * sizeof(*loads));
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < count; i++)
        begin(&loads[i], &parts[i], fault);
    if (parts[0].plan->rate > 0)
        run_open(loads, count);
    else
        run_closed(&loads[0]);
    for (size_t i = 0; i < count; i++) {
        err = err == KR_ERR_OK ? loads[i].err : err;
        end(&loads[i]);
    }
    mem_free(loads);
    return err;
}

enum kr_err load_run(const struct load_target *target, const struct load_plan *plan,
                     struct load_result *result, struct fault *fault)
{
    return run_all(&(struct load_part){target, plan, result}, 1, fault);
}

enum kr_err load_run_both(const struct load_part parts[2], struct fault *fault)
{
    assert(parts[0].plan->rate > 0 && parts[1].plan->rate > 0);
    return run_all(parts, 2, fault);
}
