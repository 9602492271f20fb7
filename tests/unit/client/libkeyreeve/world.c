// SPDX-License-Identifier: Apache-2.0
// The linker puts the clocks and the resolver of here in the place of the real ones (--wrap).
#include "tests/unit/client/libkeyreeve/world.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "proto/binary.h"

#define NODE_BYTES ((size_t)1 << 16)
#define BODY "\"sub\":\"somebody\""

// --- clocks and names ----------------------------------------------------------------------------

static struct {
    uint64_t skipped_ms;
    const uint16_t *ports;
    size_t port_count;
} given;

uint64_t __real_clock_boot_ms(void);
uint64_t __wrap_clock_boot_ms(void);
uint64_t __real_clock_mono_ns(void);
uint64_t __wrap_clock_mono_ns(void);
int __real_getaddrinfo(const char *name, const char *service, const struct addrinfo *wanted,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *wanted,
                       struct addrinfo **out);

uint64_t __wrap_clock_boot_ms(void)
{
    return __real_clock_boot_ms() + given.skipped_ms;
}

uint64_t __wrap_clock_mono_ns(void)
{
    return __real_clock_mono_ns() + given.skipped_ms * 1000000;
}

int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *wanted,
                       struct addrinfo **out)
{
    char port[8];
    int status = 0;
    if (given.port_count == 0)
        return __real_getaddrinfo(name, service, wanted, out);
    for (size_t i = 0; i < given.port_count && status == 0; i++) {
        snprintf(port, sizeof(port), "%u", given.ports[i]);
        status = __real_getaddrinfo("127.0.0.1", port, wanted, out);
        out = &(*out)->ai_next;
    }
    return status;
}

void world_skip(uint64_t ms)
{
    given.skipped_ms += ms;
}

void world_resolve(const uint16_t *ports, size_t count)
{
    given.ports = ports;
    given.port_count = count;
}

// --- the node ------------------------------------------------------------------------------------

void node_init(struct node *node)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    *node = (struct node){.fd = -1, .index = 1};
    buf_init(&node->in, NODE_BYTES);
    node->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(node->listener, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(node->listener, (struct sockaddr *)&address, &size), 0);
    node->port = ntohs(address.sin_port);
}

void node_listen(struct node *node)
{
    assert_int_equal(listen(node->listener, 8), 0);
}

void node_hang_up(struct node *node)
{
    if (node->fd >= 0)
        close(node->fd);
    node->fd = -1;
    tls_free(&node->tls);
    buf_clear(&node->in);
}

void node_leave(struct node *node)
{
    node_hang_up(node);
    if (node->listener >= 0)
        close(node->listener);
    node->listener = -1;
}

void node_fini(struct node *node)
{
    node_leave(node);
    buf_fini(&node->in);
}

void node_accept(struct node *node)
{
    int fd = accept4(node->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    node_hang_up(node);
    node->fd = fd;
    node->accepted++;
    if (node->secure != NULL)
        node->tls = tls_new(node->secure, true);
}

static void answer(struct node *node, const struct binary_request *request, struct buf *out)
{
    const uint8_t *at = request->keys;
    node->answered++;
    assert_true(request->min_index <= node->index);
    if (request->op == KR_BINARY_SUBSCRIBE) {
        binary_add_lease(out, request->tag, node->index, 2000);
        return;
    }
    size_t begin = binary_begin_answer(out, request->tag, request->count);
    for (unsigned i = 0; i < request->count; i++) {
        bool is_key = binary_next_key(&at).size > 0, is_valid = is_key && !node->is_stale;
        binary_add_result(out, &(struct binary_result){.code = is_valid ? KR_KEYREEVE_VALID
                                                               : is_key ? KR_KEYREEVE_STALE
                                                                        : KR_KEYREEVE_MALFORMED,
                                                       .may_keep = is_valid || node->keeps_all,
                                                       .body = bytes_text(is_valid ? BODY : "")});
    }
    binary_end_answer(out, begin, node->index, 0);
}

static void receive(struct node *node)
{
    uint8_t bytes[4096];
    ssize_t size = recv(node->fd, bytes, sizeof(bytes), 0);
    if (size == 0)
        node_hang_up(node);
    else if (size > 0 && node->tls == NULL)
        buf_add(&node->in, bytes, (size_t)size);
    else if (size > 0)
        assert_int_equal(tls_receive(node->tls, bytes_of(bytes, (size_t)size)), KR_ERR_OK);
    if (node->tls != NULL)
        tls_read(node->tls, &node->in);
}

static void send_out(struct node *node, struct buf *plain)
{
    struct buf sealed;
    buf_init(&sealed, NODE_BYTES);
    if (node->tls != NULL) {
        if (plain->size > 0)
            assert_int_equal(tls_write(node->tls, buf_bytes(plain)), KR_ERR_OK);
        tls_take(node->tls, &sealed);
    }
    struct buf *wire = node->tls != NULL ? &sealed : plain;
    if (wire->size > 0)
        (void)send(node->fd, wire->data, wire->size, MSG_NOSIGNAL);
    buf_fini(&sealed);
}

void node_turn(struct node *node)
{
    struct binary_request request;
    enum binary_fault fault;
    struct buf out;
    size_t used;
    node_accept(node);
    if (node->fd < 0)
        return;
    receive(node);
    buf_init(&out, NODE_BYTES);
    while (binary_read_request(buf_bytes(&node->in), &request, &used, &fault) == KR_BINARY_FRAME) {
        answer(node, &request, &out);
        memmove(node->in.data, node->in.data + used, node->in.size - used);
        node->in.size -= used;
    }
    send_out(node, &out);
    buf_fini(&out);
}

// --- both ----------------------------------------------------------------------------------------

void world_init(struct world *world)
{
    *world = (struct world){.client = NULL};
    node_init(&world->node);
    node_listen(&world->node);
}

void world_fini(struct world *world)
{
    keyreeve_close(&world->client);
    node_fini(&world->node);
    world_resolve(NULL, 0);
}

void world_open(struct world *world, struct keyreeve_options options)
{
    char nodes[64], why[400];
    snprintf(nodes, sizeof(nodes), "%s127.0.0.1:%u", options.ca_file != NULL ? "tls://" : "",
             world->node.port);
    options.nodes = options.nodes != NULL ? options.nodes : nodes;
    options.why = why;
    options.why_size = sizeof(why);
    if (keyreeve_open(&options, &world->client) != KR_KEYREEVE_OK)
        fail_msg("%s", why);
}

void world_turn(struct world *world)
{
    (void)keyreeve_run(world->client, 1);
    node_turn(&world->node);
    keyreeve_figures(world->client, &world->figures);
}

struct keyreeve_question world_question(void)
{
    return (struct keyreeve_question){.key = "key", .key_size = 3, .max_staleness_ms = -1};
}

static void take_code(void *ctx, const struct keyreeve_answer *answer)
{
    enum keyreeve_code *code = ctx;
    *code = answer->code;
}

enum keyreeve_code world_ask(struct world *world)
{
    enum keyreeve_code code = 0;
    const struct keyreeve_question question = world_question();
    assert_int_equal(keyreeve_ask(world->client, &question, take_code, &code), KR_KEYREEVE_OK);
    UNTIL(code != 0, world_turn(world));
    return code;
}
