// SPDX-License-Identifier: Apache-2.0
// The peers' handles on the loop: the listener, the tick, the thread that checks a snapshot; and
// the order of a start and of a stop.
//
// Start: bundle → who we are → upstreams → socket. Each can be refused, and then nothing is left.
// Stop: calls fail, links close, handles close, a check that runs is waited for; then `closed`.
#include "replication/peers_link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rand.h"
#include "replication/acceptor.h"
#include "replication/peers_internal.h"

enum {
    KR_PEERS_BACKLOG = 128,
    KR_PEERS_BUNDLE_MAX = 1 << 20,
    KR_PEERS_RELOAD_TICKS = 500, // how often the bundle's file is looked at: 10 s
};

struct peers_port {
    struct peers *peers;
    struct acceptor *acceptor; // NULL: not open
    uv_timer_t tick;
    uv_work_t work;
    struct state_import *import; // being checked; NULL: none
    enum kr_err finish_err;
    struct fault finish_fault;
    unsigned handles; // open
    uint64_t ticks;
    struct file_stamp bundle;
    char complaint[KR_FAULT_TEXT_MAX]; // about the bundle that was read last; "": it is used
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct uv_loop_s *peers_port_loop(const struct peers *peers)
{
    return peers->options.loop;
}

// --- the bundle ----------------------------------------------------------------------------------

static enum kr_err read_bundle(const struct peers *peers, struct tls_context **out,
                               struct tls_peer *own, struct fault *fault)
{
    struct buf content;
    buf_init(&content, KR_PEERS_BUNDLE_MAX);
    enum kr_err err = file_read_secret(peers->options.bundle_path, &content, fault);
    if (err != KR_ERR_OK)
        goto done;
    struct tls_options options = tls_peer_options(buf_bytes(&content));
    err = tls_context_new(&options, out, fault);
    if (err == KR_ERR_OK)
        err = tls_context_own(*out, own);
done:
    buf_fini(&content);
    return err;
}

// Another node's bundle would make this one a stranger to itself.
static bool is_same_node(const struct tls_peer *a, const struct tls_peer *b)
{
    return strcmp(a->node_id, b->node_id) == 0 && strcmp(a->cluster_id, b->cluster_id) == 0 &&
           strcmp(a->region, b->region) == 0 && a->role == b->role;
}

// The same complaint is not repeated.
static void refuse_bundle(struct peers_port *port, const char *why)
{
    if (strcmp(port->complaint, why) != 0)
        LOG_ERROR("the renewed bundle is not used; the old one stays", LOG_TEXT("why", why));
    snprintf(port->complaint, sizeof(port->complaint), "%s", why);
}

static void renew(struct peers *peers)
{
    struct tls_context *context = NULL;
    struct tls_peer own;
    struct fault fault = {0};
    peers->port->bundle = file_look(peers->options.bundle_path);
    enum kr_err err = read_bundle(peers, &context, &own, &fault);
    if (err == KR_ERR_OK && !is_same_node(&own, &peers->own))
        err = fault_set(&fault, KR_ERR_CONFLICT,
                        "%s is of node %s (%s) now; a node keeps its name, region and role",
                        peers->options.bundle_path, own.node_id, own.region);
    if (err != KR_ERR_OK) {
        refuse_bundle(peers->port, fault.text);
        if (context != NULL)
            tls_context_free(&context);
        return;
    }
    peers->port->complaint[0] = '\0';
    tls_context_free(&peers->context);
    peers->context = context;
    peers->own = own;
    LOG_INFO("the bundle was read again", LOG_TEXT("path", peers->options.bundle_path),
             LOG_NUMBER("holdsForHours", (own.not_after_ms - clock_unix_ms()) / 3600000));
}

void peers_reload(struct peers *peers)
{
    peers->port->complaint[0] = '\0';
    renew(peers);
}

// What could not be used is tried again though it has not changed: the reason may lie elsewhere, as
// a want of descriptors does.
void peers_port_watch(struct peers *peers)
{
    struct file_stamp now = file_look(peers->options.bundle_path);
    if (now.number == 0)
        return;
    if (!file_is_same(&now, &peers->port->bundle))
        peers_reload(peers);
    else if (peers->port->complaint[0] != '\0')
        renew(peers);
}

// --- the snapshot's check ------------------------------------------------------------------------

static void run_finish(uv_work_t *work)
{
    struct peers_port *port = work->data;
    port->finish_err = port->peers->options.state->import_finish(port->import, &port->finish_fault);
}

static void on_finished(uv_work_t *work, int status)
{
    struct peers_port *port = work->data;
    (void)status; // never cancelled
    port->import = NULL;
    peers_session_finished(port->peers, port->finish_err, &port->finish_fault);
    peers_port_step(port->peers);
}

void peers_port_finish(struct peers *peers, struct state_import *import)
{
    struct peers_port *port = peers->port;
    assert(port->import == NULL);
    port->import = import;
    port->work.data = port;
    uv_queue_work(peers->options.loop, &port->work, run_finish, on_finished);
}

// --- turns ---------------------------------------------------------------------------------------

static void on_tick(uv_timer_t *tick)
{
    struct peers_port *port = tick->data;
    acceptor_tick(port->acceptor);
    if (++port->ticks % KR_PEERS_RELOAD_TICKS == 0)
        peers_port_watch(port->peers);
    peers_tick(port->peers);
}

// --- the listener --------------------------------------------------------------------------------

static void on_connection(void *ctx, int fd)
{
    struct peers *peers = ((struct peers_port *)ctx)->peers;
    struct peers_child *child = peers_child_add(peers);
    struct peer_link_options options = peers_child_options(peers, child);
    child->link = peer_link_accept(&options, fd);
    peers_child_arrived(child);
}

static enum kr_err refuse_listen(const struct peers *peers, int status, struct fault *fault)
{
    if (status == UV_EADDRINUSE)
        return fault_set(fault, KR_ERR_LOCKED,
                         "peer_listen: %s is in use by another process; stop it (ss -ltnp shows "
                         "which), or choose another port with --peer-listen",
                         peers->options.listen);
    return fault_set(fault, KR_ERR_INVALID,
                     "peer_listen: cannot bind %s: %s; write an IP address of this machine and a "
                     "port, like 10.0.0.1:7402",
                     peers->options.listen, uv_strerror(status));
}

static int parse_address(const char *text, struct sockaddr_storage *out)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    char *end = NULL;
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    long port = colon != NULL ? strtol(colon + 1, &end, 10) : -1;
    bool is_bracketed = size > 2 && text[0] == '[' && text[size - 1] == ']';
    if (size == 0 || size >= sizeof(host) || port < 0 || port > 65535 || *end != '\0')
        return UV_EINVAL;
    snprintf(host, sizeof(host), "%.*s", (int)(is_bracketed ? size - 2 : size),
             text + is_bracketed);
    int status = uv_ip4_addr(host, (int)port, (struct sockaddr_in *)(void *)out);
    return status == 0 ? 0 : uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)(void *)out);
}

static void learn_address(struct peers *peers, int fd)
{
    struct sockaddr_storage name = {.ss_family = AF_INET};
    socklen_t size = sizeof(name);
    char host[64];
    getsockname(fd, (struct sockaddr *)&name, &size);
    if (name.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&name;
        uv_ip6_name(in6, host, sizeof(host));
        snprintf(peers->address, sizeof(peers->address), "[%s]:%u", host, ntohs(in6->sin6_port));
        return;
    }
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)&name;
    uv_ip4_name(in4, host, sizeof(host));
    snprintf(peers->address, sizeof(peers->address), "%s:%u", host, ntohs(in4->sin_port));
}

// Links to others leave from the address that they reach this node at, unless it is every address.
static void learn_source(struct peers *peers, const struct sockaddr_storage *address)
{
    static const struct in6_addr any = IN6ADDR_ANY_INIT;
    peers->source = *address;
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)&peers->source;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&peers->source;
    bool is_four = address->ss_family == AF_INET;
    bool is_any = is_four ? in4->sin_addr.s_addr == INADDR_ANY
                          : memcmp(&in6->sin6_addr, &any, sizeof(any)) == 0;
    if (is_any)
        peers->source.ss_family = AF_UNSPEC;
    else if (is_four)
        in4->sin_port = 0;
    else
        in6->sin6_port = 0;
}

// Gives the socket. A libuv error: there is none.
static int bind_to(const struct sockaddr_storage *address, int *fd)
{
    int yes = 1;
    *fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return uv_translate_sys_error(errno);
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(*fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return 0;
    int status = uv_translate_sys_error(errno);
    close(*fd);
    return status;
}

static int open_acceptor(struct peers *peers, int fd)
{
    struct peers_port *port = peers->port;
    const struct acceptor_options options = {.loop = peers->options.loop,
                                             .fd = fd,
                                             .backlog = KR_PEERS_BACKLOG,
                                             .accepted = on_connection,
                                             .ctx = port};
    learn_address(peers, fd);
    port->acceptor = acceptor_new(&options);
    if (port->acceptor == NULL)
        return uv_translate_sys_error(errno);
    port->handles++;
    return 0;
}

static enum kr_err listen_on(struct peers *peers, struct fault *fault)
{
    int fd = -1;
    struct sockaddr_storage address;
    int status = parse_address(peers->options.listen, &address);
    if (status == 0)
        status = bind_to(&address, &fd);
    if (status == 0)
        status = open_acceptor(peers, fd);
    if (status != 0)
        return refuse_listen(peers, status, fault);
    learn_source(peers, &address);
    const char *advertise = peers->options.advertise;
    snprintf(peers->advertised, sizeof(peers->advertised), "%s",
             advertise != NULL && advertise[0] != '\0' ? advertise : peers->address);
    return KR_ERR_OK;
}

// --- life ----------------------------------------------------------------------------------------

static void open_port(struct peers *peers)
{
    struct peers_port *port = mem_zalloc(sizeof(*port));
    peers->port = port;
    port->peers = peers;
    port->handles = 1;
    uv_timer_init(peers->options.loop, &port->tick);
    port->tick.data = port;
    port->bundle = file_look(peers->options.bundle_path);
}

static void finish_closing(struct peers *peers)
{
    struct peers_port *port = peers->port;
    void (*closed)(void *ctx) = port->closed;
    void *ctx = port->closed_ctx;
    if (peers->context != NULL)
        tls_context_free(&peers->context);
    mem_free(port);
    peers_free(peers);
    if (closed != NULL)
        closed(ctx);
}

static void on_acceptor_closed(void *ctx)
{
    struct peers_port *port = ctx;
    port->handles--;
    peers_port_step(port->peers);
}

static void on_tick_closed(uv_handle_t *tick)
{
    on_acceptor_closed(tick->data);
}

// A session whose link went while its snapshot was checked is freed by that check's end.
void peers_port_step(struct peers *peers)
{
    struct peers_port *port = peers->port;
    if (port->handles == 0 && port->import == NULL && peers_is_shut(peers))
        finish_closing(peers);
}

void peers_close(struct peers *peers, void (*closed)(void *ctx), void *ctx)
{
    struct peers_port *port = peers->port;
    port->closed = closed;
    port->closed_ctx = ctx;
    peers_shut(peers);
    if (port->acceptor != NULL)
        acceptor_close(&port->acceptor, on_acceptor_closed);
    uv_close((uv_handle_t *)&port->tick, on_tick_closed);
}

static enum kr_err configure(struct peers *peers, struct fault *fault)
{
    enum kr_err err = read_bundle(peers, &peers->context, &peers->own, fault);
    if (err != KR_ERR_OK)
        return err;
    err = listen_on(peers, fault);
    if (err != KR_ERR_OK)
        return err;
    return peers_choose(peers, rand_u64(), fault);
}

enum kr_err peers_new(const struct peers_options *options, struct peers **out, struct fault *fault)
{
    struct peers *peers = peers_make(options);
    open_port(peers);
    enum kr_err err = configure(peers, fault);
    if (err != KR_ERR_OK) {
        peers_close(peers, NULL, NULL);
        return err;
    }
    uv_timer_start(&peers->port->tick, on_tick, KR_PEERS_TICK_MS, KR_PEERS_TICK_MS);
    *out = peers;
    return KR_ERR_OK;
}
