// SPDX-License-Identifier: Apache-2.0
// Accepting: a socket becomes a connection of its loop.
//
// Happy path: accepted → within the ceilings → its protocol begins → it is read.
// Failures: the node stops, or has as many connections as it may, or their address has (closed at
// once), no descriptor is left (they wait, replication/acceptor.h).
#include "node/serve_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/ceilings.h"
#include "replication/acceptor.h"

enum {
    KR_ACCEPT_BACKLOG = 1024,
    KR_ACCEPT_KEPT = 8 // one place of so many is kept from strangers
};

// --- one connection ------------------------------------------------------------------------------

static struct connection *new_connection(const struct listener *listener, int fd)
{
    struct connection *connection = mem_zalloc(sizeof(*connection));
    connection->serve = listener->serve;
    connection->listener = listener;
    connection->fd = fd;
    // Whoever may open the unix socket is on this host and permitted.
    connection->is_trusted = listener->is_unix;
    return connection;
}

// A connection that was reset before it is accepted has no peer any more. What came on it is not
// taken: nobody could say of whom it was.
static bool learn_peer(struct connection *connection)
{
    const struct config *config = connection->serve->node->config;
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    if (getpeername(connection->fd, (struct sockaddr *)&name, &size) != 0)
        return false;
    if (name.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&name;
        connection->peer = cidr_of_ipv4((const uint8_t *)&in->sin_addr);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&name;
        memcpy(connection->peer.bytes, &in6->sin6_addr, 16);
    }
    connection->has_peer = true;
    connection->is_trusted = cidr_any_contains(config->trusted_proxy_list,
                                               config->trusted_proxy_count, &connection->peer);
    return true;
}

// The address has room for one more; a trusted proxy's stands for many.
static bool has_room_of_address(struct connection *connection)
{
    if (!connection->has_peer || connection->is_trusted)
        return true;
    connection->is_counted = ceilings_enter(connection->serve->node->ceilings, &connection->peer);
    return connection->is_counted;
}

static bool is_this_host(const struct cidr_address *peer)
{
    static const uint8_t ipv4[4] = {127, 0, 0, 1};
    static const struct cidr_address ipv6 = {.bytes[15] = 1};
    const struct cidr_address mapped = cidr_of_ipv4(ipv4);
    return memcmp(peer, &mapped, sizeof(mapped)) == 0 || memcmp(peer, &ipv6, sizeof(ipv6)) == 0;
}

// Of connections that one like this may come to. Strangers, however many their addresses, leave
// room for whom the operator trusts and for the operator on this host: to revoke a key, say.
static uint64_t places_for(const struct connection *connection)
{
    uint64_t all = connection->serve->node->connections_max;
    return connection->is_trusted || is_this_host(&connection->peer) ? all
                                                                     : all - all / KR_ACCEPT_KEPT;
}

// And the node has, whichever of its loops the kernel gives it to. It has its place until it is
// closed.
static bool may_enter(struct connection *connection)
{
    struct node *node = connection->serve->node;
    if (connection->serve->is_stopping)
        return false;
    bool has_room = atomic_fetch_add_explicit(&node->connections, 1, memory_order_relaxed) <
                    places_for(connection);
    if (has_room && has_room_of_address(connection))
        return true;
    atomic_fetch_sub_explicit(&node->connections, 1, memory_order_relaxed);
    return false;
}

static void refuse(struct connection *connection)
{
    metrics_bump(&connection->serve->metrics->connections_refused, 1);
    close(connection->fd);
    mem_free(connection);
}

static void choose_protocol(struct connection *connection)
{
    struct serve *serve = connection->serve;
    if (connection->listener->is_binary)
        connection->binary = binary_conn_new(serve->pool);
    else
        connection->http = http_conn_new(&serve->http_options);
    if (connection->listener->is_tls)
        connection_tls_begin(connection);
    connection->is_fresh = connection->http != NULL && connection->tls == NULL;
}

static void accepted(void *ctx, int fd)
{
    const struct listener *listener = ctx;
    struct connection *connection = new_connection(listener, fd);
    bool is_known = listener->is_unix || learn_peer(connection);
    if (!is_known || !may_enter(connection)) {
        refuse(connection);
        return;
    }
    choose_protocol(connection);
    connection_begin(connection);
}

// --- listeners -----------------------------------------------------------------------------------

enum kr_err accept_open(struct listener *listener, int fd)
{
    const struct acceptor_options options = {.loop = &listener->serve->loop,
                                             .fd = fd,
                                             .backlog = KR_ACCEPT_BACKLOG,
                                             .accepted = accepted,
                                             .ctx = listener};
    listener->acceptor = acceptor_new(&options);
    return listener->acceptor != NULL ? KR_ERR_OK : KR_ERR_IO;
}

void accept_tick(struct listener *listener)
{
    if (listener->acceptor != NULL && acceptor_tick(listener->acceptor))
        metrics_bump(&listener->serve->metrics->accept_pauses, 1);
}

void accept_close(struct listener *listener)
{
    if (listener->acceptor != NULL)
        acceptor_close(&listener->acceptor, NULL);
}
