// SPDX-License-Identifier: Apache-2.0
// Passing TCP connections on over the emulated links.
//
// A pipe: accepted → OPEN travels → the target is connected → OPENED travels back → both ends are
// read, DATA travels, then OVER each way. An end that breaks, or a target that refuses, sends
// BROKEN to the other. All of these are packets of the link, and name their pipe by a slot and a
// serial, since a pipe may be gone when they arrive.
#include "bench/streams.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"

enum {
    KR_STREAMS_EVENTS = 64,
    KR_STREAMS_DOORS = 1024,
    KR_STREAMS_PIPES = 4096,
    KR_STREAMS_READS = 4, // of one end a turn
    KR_STREAMS_PIECE_LEAST = 1024,
    KR_STREAMS_PIECE = 16384,
    KR_STREAMS_HELD = 8 << 20, // of one direction, read and not yet written: as TCP's own windows
    KR_STREAMS_RETRY_NS = 1000000
};
#define KR_STREAMS_PIECE_SHARE 12.5 // bytes an Mbit/s: what a path sends in 100 us

enum message { KR_STREAM_OPEN, KR_STREAM_OPENED, KR_STREAM_DATA, KR_STREAM_OVER, KR_STREAM_BROKEN };

struct head {
    uint32_t slot, serial;
    uint32_t what; // enum message
    uint32_t is_for_client;
};

// A packet that its end has not taken yet, or not all of it.
struct part {
    struct part *next;
    struct link_packet *packet;
    size_t at;
};

struct pipe;

// What an event is about begins with its kind.
enum kind { KR_STREAM_DOOR, KR_STREAM_END };

struct door {
    enum kind kind;
    int fd;
    struct streams_door is;
};

struct end {
    enum kind kind;
    int fd; // -1: not yet, or no more
    struct pipe *pipe;
    uint32_t interest; // what epoll is told; 0: it does not know the socket
    bool is_client, is_connecting;
    bool may_read;       // the other end is there, and this one knows
    bool is_over;        // it has closed its direction, and that has set out
    bool is_told;        // that the other end has closed its own
    bool waits_for_room; // on its path
    size_t held_bytes;   // read here, not yet written at the other end
    struct part *first, *last;
};

struct pipe {
    struct end client, server;
    const struct door *door;
    size_t from, to;
    uint32_t slot, serial;
    bool is_done;
};

struct streams {
    struct link *link;
    streams_origin_fn *origin;
    void *ctx;
    int epoll;
    struct door *doors[KR_STREAMS_DOORS];
    struct pipe *pipes[KR_STREAMS_PIPES];
    size_t door_count;
    uint32_t slot_count; // those above it have never been used
    uint32_t next_serial;
    bool waits_for_room, has_done;
    uint8_t piece[sizeof(struct head) + KR_STREAMS_PIECE];
};

// --- ends ----------------------------------------------------------------------------------------

static struct end *other_of(struct end *end)
{
    return end->is_client ? &end->pipe->server : &end->pipe->client;
}

static size_t place_of(const struct end *end)
{
    return end->is_client ? end->pipe->from : end->pipe->to;
}

static size_t place_beyond(const struct end *end)
{
    return end->is_client ? end->pipe->to : end->pipe->from;
}

// What one packet of the path takes, so that a slow path is shared finely.
static size_t piece_of(const struct streams *streams, const struct end *end)
{
    const struct link_shape *shape = link_get(streams->link, place_of(end), place_beyond(end));
    double bytes = shape->mbit * KR_STREAMS_PIECE_SHARE;
    if (bytes > KR_STREAMS_PIECE)
        return KR_STREAMS_PIECE;
    return bytes < KR_STREAMS_PIECE_LEAST ? KR_STREAMS_PIECE_LEAST : (size_t)bytes;
}

static bool has_room(const struct streams *streams, const struct end *end)
{
    return link_room_bytes(streams->link, place_of(end), place_beyond(end), clock_mono_ns()) >=
           KR_STREAMS_PIECE_LEAST;
}

static void tell_epoll(struct streams *streams, struct end *end, uint32_t wanted)
{
    struct epoll_event event = {.events = wanted, .data.ptr = end};
    if (wanted == end->interest)
        return;
    // Without a wish the socket is taken out, since errors would be told all the same.
    int action = wanted == 0 ? EPOLL_CTL_DEL : end->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    epoll_ctl(streams->epoll, action, end->fd, &event);
    end->interest = wanted;
}

static void update(struct streams *streams, struct end *end)
{
    uint32_t wanted = 0;
    if (end->fd < 0)
        return;
    bool is_read = end->may_read && !end->is_over && end->held_bytes < KR_STREAMS_HELD;
    end->waits_for_room = is_read && !has_room(streams, end);
    if (is_read && !end->waits_for_room)
        wanted |= EPOLLIN;
    if (end->is_connecting || end->first != NULL)
        wanted |= EPOLLOUT;
    tell_epoll(streams, end, wanted);
}

static void send_message(struct streams *streams, struct end *from, enum message what, size_t size)
{
    const struct pipe *pipe = from->pipe;
    const struct head head = {pipe->slot, pipe->serial, what, !from->is_client};
    memcpy(streams->piece, &head, sizeof(head));
    link_push(streams->link, place_of(from), place_beyond(from),
              bytes_of(streams->piece, sizeof(head) + size), clock_mono_ns());
}

static void close_end(struct end *end, bool is_reset)
{
    const struct linger at_once = {1, 0};
    while (end->first != NULL) {
        struct part *part = end->first;
        end->first = part->next;
        mem_free(part->packet);
        mem_free(part);
    }
    if (end->fd >= 0 && is_reset)
        setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    if (end->fd >= 0)
        close(end->fd); // which takes it out of epoll
    end->fd = -1;
    end->interest = 0;
}

// The pipe goes at the end of the turn: other events may name it.
static void finish(struct streams *streams, struct pipe *pipe, bool is_reset)
{
    close_end(&pipe->client, is_reset);
    close_end(&pipe->server, is_reset);
    pipe->is_done = true;
    streams->has_done = true;
}

static void break_end(struct streams *streams, struct end *end)
{
    close_end(end, false);
    send_message(streams, end, KR_STREAM_BROKEN, 0);
}

// --- data ----------------------------------------------------------------------------------------

static void read_end(struct streams *streams, struct end *end)
{
    for (int i = 0; i < KR_STREAMS_READS; i++) {
        if (end->is_over || end->held_bytes >= KR_STREAMS_HELD || !has_room(streams, end))
            break;
        ssize_t size = recv(end->fd, streams->piece + sizeof(struct head), piece_of(streams, end),
                            MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (size < 0) {
            break_end(streams, end);
            return;
        }
        end->is_over = size == 0;
        end->held_bytes += (size_t)size;
        send_message(streams, end, size == 0 ? KR_STREAM_OVER : KR_STREAM_DATA, (size_t)size);
    }
    update(streams, end);
}

// False: the end takes no more now, or has broken.
static bool write_part(struct streams *streams, struct end *end, struct part *part)
{
    struct head head;
    memcpy(&head, part->packet->data, sizeof(head));
    if (head.what == KR_STREAM_OVER) {
        shutdown(end->fd, SHUT_WR);
        end->is_told = true;
        return true;
    }
    size_t rest = part->packet->size_bytes - part->at;
    ssize_t size = send(end->fd, part->packet->data + part->at, rest, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        break_end(streams, end);
        return false;
    }
    size_t written = size > 0 ? (size_t)size : 0;
    part->at += written;
    other_of(end)->held_bytes -= written;
    return written == rest;
}

static void write_end(struct streams *streams, struct end *end)
{
    while (end->first != NULL && write_part(streams, end, end->first)) {
        struct part *written = end->first;
        end->first = written->next;
        mem_free(written->packet);
        mem_free(written);
    }
    update(streams, end);
    update(streams, other_of(end));
    if (end->is_told && other_of(end)->is_told)
        finish(streams, end->pipe, false);
}

static void add_part(struct end *end, struct link_packet *packet)
{
    struct part *part = mem_alloc(sizeof(*part));
    *part = (struct part){NULL, packet, sizeof(struct head)};
    if (end->first == NULL)
        end->first = part;
    else
        end->last->next = part;
    end->last = part;
}

// --- opening -------------------------------------------------------------------------------------

static void set_fast(int fd)
{
    const int on = 1; // refused by a unix socket, which needs no such thing
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static uint32_t free_slot(const struct streams *streams)
{
    uint32_t slot = 0;
    while (slot < streams->slot_count && streams->pipes[slot] != NULL)
        slot++;
    return slot;
}

static void begin_pipe(struct streams *streams, const struct door *door, int fd, size_t from)
{
    struct pipe *pipe = mem_zalloc(sizeof(*pipe));
    pipe->client = (struct end){
        .kind = KR_STREAM_END, .fd = fd, .pipe = pipe, .is_client = true, .interest = 0};
    pipe->server = (struct end){.kind = KR_STREAM_END, .fd = -1, .pipe = pipe};
    pipe->door = door;
    pipe->from = from;
    pipe->to = door->is.to;
    pipe->slot = free_slot(streams);
    streams->slot_count += pipe->slot == streams->slot_count;
    pipe->serial = streams->next_serial++;
    streams->pipes[pipe->slot] = pipe;
    set_fast(fd);
    send_message(streams, &pipe->client, KR_STREAM_OPEN, 0);
}

static void accept_all(struct streams *streams, const struct door *door)
{
    for (;;) {
        struct sockaddr_storage peer = {0};
        socklen_t size = sizeof(peer);
        int fd = accept4(door->fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        size_t from = door->is.from;
        if (from == KR_STREAMS_BY_ADDRESS)
            from = streams->origin(streams->ctx, &peer);
        if (from == KR_STREAMS_NOWHERE || free_slot(streams) == KR_STREAMS_PIPES)
            close(fd);
        else
            begin_pipe(streams, door, fd, from);
    }
}

static void connected(struct streams *streams, struct end *server)
{
    server->is_connecting = false;
    server->may_read = true;
    send_message(streams, server, KR_STREAM_OPENED, 0);
    write_end(streams, server);
}

static void connect_target(struct streams *streams, struct end *server)
{
    const struct streams_address *target = &server->pipe->door->is.target;
    server->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->fd >= 0)
        set_fast(server->fd);
    int result = server->fd < 0
                     ? -1
                     : connect(server->fd, (const struct sockaddr *)&target->address, target->size);
    server->is_connecting = result != 0 && server->fd >= 0 && errno == EINPROGRESS;
    if (result == 0)
        connected(streams, server);
    else if (server->is_connecting)
        update(streams, server);
    else
        break_end(streams, server);
}

static void finish_connect(struct streams *streams, struct end *server)
{
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (getsockopt(server->fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && failure == 0)
        connected(streams, server);
    else
        break_end(streams, server);
}

// --- events and packets --------------------------------------------------------------------------

static void take_event(struct streams *streams, const struct epoll_event *event)
{
    struct end *end = event->data.ptr;
    if (end->kind == KR_STREAM_DOOR) {
        accept_all(streams, event->data.ptr);
        return;
    }
    // Whatever is told: a socket that has broken says so to who reads or writes it.
    if (end->fd >= 0 && end->is_connecting) {
        finish_connect(streams, end);
        return;
    }
    if (end->fd >= 0 && (end->interest & EPOLLIN) != 0)
        read_end(streams, end);
    if (end->fd >= 0 && end->first != NULL)
        write_end(streams, end);
}

static void arrive(struct streams *streams, struct end *end, enum message what,
                   struct link_packet *packet)
{
    switch (what) {
    case KR_STREAM_OPEN:
        connect_target(streams, end);
        break;
    case KR_STREAM_OPENED:
        end->may_read = true;
        update(streams, end);
        break;
    case KR_STREAM_DATA:
    case KR_STREAM_OVER:
        if (end->fd < 0)
            break;
        add_part(end, packet);
        if (end->first == end->last && !end->is_connecting)
            write_end(streams, end);
        return;
    case KR_STREAM_BROKEN:
        finish(streams, end->pipe, true);
        break;
    }
    mem_free(packet);
}

static void deliver(struct streams *streams, struct link_packet *packet)
{
    struct head head;
    memcpy(&head, packet->data, sizeof(head));
    struct pipe *pipe = streams->pipes[head.slot];
    if (pipe != NULL && pipe->serial == head.serial && !pipe->is_done)
        arrive(streams, head.is_for_client ? &pipe->client : &pipe->server, (enum message)head.what,
               packet);
    else
        mem_free(packet);
}

// Those who found their path full or cut look again.
static void look_for_room(struct streams *streams)
{
    streams->waits_for_room = false;
    for (size_t i = 0; i < streams->slot_count; i++) {
        struct pipe *pipe = streams->pipes[i];
        for (int k = 0; k < 2 && pipe != NULL; k++) {
            struct end *end = k == 0 ? &pipe->client : &pipe->server;
            if (end->waits_for_room)
                update(streams, end);
            streams->waits_for_room |=
                end->waits_for_room &&
                !link_is_cut(streams->link, place_of(end), place_beyond(end));
        }
    }
}

static void reap(struct streams *streams)
{
    for (size_t i = 0; i < streams->slot_count && streams->has_done; i++)
        if (streams->pipes[i] != NULL && streams->pipes[i]->is_done) {
            mem_free(streams->pipes[i]);
            streams->pipes[i] = NULL;
        }
    streams->has_done = false;
}

void streams_turn(struct streams *streams)
{
    struct epoll_event events[KR_STREAMS_EVENTS];
    struct link_packet *packet;
    int count = epoll_wait(streams->epoll, events, KR_STREAMS_EVENTS, 0);
    for (int i = 0; i < count; i++)
        take_event(streams, &events[i]);
    while ((packet = link_pop(streams->link, clock_mono_ns())) != NULL)
        deliver(streams, packet);
    look_for_room(streams);
    reap(streams);
}

uint64_t streams_next_ns(const struct streams *streams)
{
    uint64_t next_ns = link_next_ns(streams->link), retry_ns = clock_mono_ns();
    if (!streams->waits_for_room)
        return next_ns;
    retry_ns += KR_STREAMS_RETRY_NS;
    return next_ns < retry_ns ? next_ns : retry_ns;
}

int streams_fd(const struct streams *streams)
{
    return streams->epoll;
}

// --- their life ----------------------------------------------------------------------------------

struct streams *streams_new(struct link *link, streams_origin_fn *origin, void *ctx)
{
    struct streams *streams = mem_zalloc(sizeof(*streams));
    assert(link_kind(link) == KR_LINK_STREAMS);
    streams->link = link;
    streams->origin = origin;
    streams->ctx = ctx;
    streams->epoll = epoll_create1(EPOLL_CLOEXEC);
    return streams;
}

enum kr_err streams_open(struct streams *streams, const struct streams_door *door,
                         struct fault *fault)
{
    const int on = 1;
    if (streams->door_count == KR_STREAMS_DOORS)
        return fault_set(fault, KR_ERR_TOO_LARGE, "more than %d links", KR_STREAMS_DOORS);
    int fd = socket(door->at.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct door *made = mem_zalloc(sizeof(*made));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = made};
    *made = (struct door){KR_STREAM_DOOR, fd, *door};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&door->at.address, door->at.size) == 0 &&
        listen(fd, SOMAXCONN) == 0 && epoll_ctl(streams->epoll, EPOLL_CTL_ADD, fd, &event) == 0) {
        streams->doors[streams->door_count++] = made;
        return KR_ERR_OK;
    }
    int number = errno;
    if (fd >= 0)
        close(fd);
    mem_free(made);
    return fault_set(fault, KR_ERR_LOCKED, "%s", strerror(number));
}

void streams_free(struct streams **streams)
{
    if (*streams == NULL)
        return;
    for (size_t i = 0; i < (*streams)->slot_count; i++)
        if ((*streams)->pipes[i] != NULL)
            finish(*streams, (*streams)->pipes[i], true);
    reap(*streams);
    for (size_t i = 0; i < (*streams)->door_count; i++) {
        close((*streams)->doors[i]->fd);
        mem_free((*streams)->doors[i]);
    }
    close((*streams)->epoll);
    mem_free(*streams);
    *streams = NULL;
}
