// SPDX-License-Identifier: Apache-2.0
// Links between nodes, in place of sockets and TLS: replication/peer_link.h over ways that delay,
// lose, are cut, and break.
//
// A wire is a connection: two ends, and in each direction a queue of segments in order. A segment
// that a cut or a loss holds back is sent again like TCP does, and all behind it wait. What has
// arrived waits in the kernel while the process is stopped. When a process ends, its ends do: the
// kernel says so to the other end, unless the power has gone.
#include <stdio.h>

#include "core/base/clock.h"
#include "proto/codec_peer.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_alter.h"

enum {
    KR_SIM_LINK_OUT_MAX = 4 << 20,
    KR_SIM_BATCH = 2 << 10,        // smaller than the real one, so that little data makes many
    KR_SIM_LINK_UNTAKEN = 4 << 10, // on their way, or not read: then the socket takes no more
    KR_SIM_PACKET = 700,
    KR_SIM_RESEND_US = 200000,
    KR_SIM_REFUSE_US = 500,
};

enum sim_link_state { KR_SIM_OPENING, KR_SIM_OPEN, KR_SIM_CLOSING };

struct peer_link {
    struct peer_link_options options;
    struct sim_node *node;
    uint64_t wire;
    unsigned side; // 0: it connected
    enum sim_link_state state;
    struct tls_peer peer;
    uint64_t opening_until_ms, heard_ms;
    struct buf in, plain;
    struct arena arena;
    bool is_pumping, is_blocked;
    enum kr_err err;
    struct fault fault;
    struct peer_link_figures figures;
};

enum sim_segment_kind { KR_SIM_SYN, KR_SIM_SYN_ACK, KR_SIM_DATA, KR_SIM_FIN };

struct sim_segment {
    struct sim_segment *next;
    enum sim_segment_kind kind;
    uint64_t arrives_us;
    unsigned tries;
    struct bytes bytes; // heap
};

struct sim_direction {
    struct sim_segment *sent, *arrived; // first
    size_t untaken_bytes;
};

struct sim_wire {
    struct sim_node *nodes[2];
    struct peer_link *ends[2];    // NULL: not there any more, or not yet
    struct sim_direction ways[2]; // from that end
    bool is_over[2];              // that end has been there and is not
};

static struct sim_wire *wire_of(uint64_t arg)
{
    return sim.wires[arg >> 1];
}

// --- ways ----------------------------------------------------------------------------------------

uint64_t sim_net_arrival(unsigned from, unsigned to, size_t size_bytes)
{
    struct sim_way *way = &sim.ways[from][to];
    if (way->is_cut)
        return UINT64_MAX;
    uint64_t at_us = sim.now_us + way->delay_us + sim_below(way->jitter_us + 1);
    if (way->bytes_per_ms > 0) {
        at_us = at_us > way->last_arrival_us ? at_us : way->last_arrival_us;
        at_us += size_bytes * 1000 / way->bytes_per_ms;
        way->last_arrival_us = at_us;
    }
    return at_us;
}

static bool is_lost(unsigned from, unsigned to)
{
    return sim_below(1000000) < sim.ways[from][to].loss_ppm;
}

// --- segments ------------------------------------------------------------------------------------

static void arrive(struct sim_node *none, uint64_t arg);
static void take_arrived(struct sim_node *node, uint64_t arg);

static void schedule_head(struct sim_wire *wire, uint64_t arg)
{
    const struct sim_segment *head = wire->ways[arg & 1].sent;
    if (head != NULL)
        sim_at(head->arrives_us, NULL, arrive, arg);
}

static uint64_t resend_us(const struct sim_segment *segment)
{
    unsigned shift = segment->tries < 3 ? segment->tries : 3;
    return ((uint64_t)KR_SIM_RESEND_US << shift) + sim_below(20000);
}

static void aim(struct sim_wire *wire, unsigned side, struct sim_segment *segment)
{
    unsigned from = wire->nodes[side]->slot, to = wire->nodes[1 - side]->slot;
    uint64_t at_us =
        is_lost(from, to) ? UINT64_MAX : sim_net_arrival(from, to, segment->bytes.size);
    if (at_us == UINT64_MAX) {
        at_us = sim.now_us + resend_us(segment);
        segment->tries++;
        segment->arrives_us = at_us;
        return;
    }
    segment->tries = UINT32_MAX; // it is on its way
    segment->arrives_us = at_us;
}

static void send_segment(uint64_t arg, enum sim_segment_kind kind, struct bytes bytes)
{
    struct sim_wire *wire = wire_of(arg);
    struct sim_direction *way = &wire->ways[arg & 1];
    struct sim_segment *segment = mem_zalloc(sizeof(*segment)), **at = &way->sent;
    uint64_t before_us = 0;
    segment->kind = kind;
    segment->bytes = sim_rows_copy(bytes);
    for (; *at != NULL; at = &(*at)->next)
        before_us = (*at)->arrives_us;
    *at = segment;
    way->untaken_bytes += bytes.size;
    aim(wire, arg & 1, segment);
    if (segment->arrives_us < before_us)
        segment->arrives_us = before_us;
    if (way->sent == segment)
        schedule_head(wire, arg);
}

static void free_segment(struct sim_segment *segment)
{
    mem_free((void *)(uintptr_t)segment->bytes.data);
    mem_free(segment);
}

static void free_segments(struct sim_segment **first)
{
    while (*first != NULL) {
        struct sim_segment *gone = *first;
        *first = gone->next;
        free_segment(gone);
    }
}

// Nobody is there to take it: a machine that runs says so.
static void refuse_back(struct sim_wire *wire, uint64_t arg, enum sim_segment_kind kind)
{
    unsigned side = arg & 1;
    if (!wire->nodes[1 - side]->is_up && kind != KR_SIM_SYN)
        return;
    wire->is_over[1 - side] = true;
    if (wire->ends[side] != NULL)
        sim_at(sim.now_us + KR_SIM_REFUSE_US, wire->nodes[side], take_arrived, arg ^ 1);
}

// A way that was cut while the segment was on it has swallowed it.
static void arrive(struct sim_node *none, uint64_t arg)
{
    struct sim_wire *wire = wire_of(arg);
    unsigned side = arg & 1;
    struct sim_direction *way = &wire->ways[side];
    struct sim_segment *segment = way->sent, **at = &way->arrived;
    struct sim_node *to = wire->nodes[1 - side];
    (void)none;
    if (segment == NULL || segment->arrives_us > sim.now_us)
        return;
    bool is_cut = sim.ways[wire->nodes[side]->slot][to->slot].is_cut;
    if (segment->tries != UINT32_MAX || is_cut) {
        if (segment->tries == UINT32_MAX)
            segment->tries = 1;
        aim(wire, side, segment);
        schedule_head(wire, arg);
        return;
    }
    way->sent = segment->next;
    segment->next = NULL;
    if (way->sent != NULL && way->sent->arrives_us < sim.now_us)
        way->sent->arrives_us = sim.now_us;
    schedule_head(wire, arg);
    while (*at != NULL)
        at = &(*at)->next;
    *at = segment;
    if (!to->is_up || wire->is_over[1 - side]) {
        refuse_back(wire, arg, segment->kind);
        free_segments(&way->arrived);
        return;
    }
    sim_at(sim.now_us, to, take_arrived, arg);
}

// What is on a way that was slow comes at once when it is fast again: nothing in between holds it
// back any more.
void sim_net_set_speed(unsigned from, unsigned to, uint32_t bytes_per_ms)
{
    struct sim_way *way = &sim.ways[from][to];
    bool is_faster = way->bytes_per_ms > 0 && bytes_per_ms == 0;
    way->bytes_per_ms = bytes_per_ms;
    if (!is_faster)
        return;
    way->last_arrival_us = 0;
    for (uint64_t arg = 0; arg < 2 * sim.wire_count; arg++) {
        struct sim_wire *wire = wire_of(arg);
        uint64_t at_us = sim.now_us + way->delay_us;
        if (wire->nodes[arg & 1]->slot != from || wire->nodes[1 - (arg & 1)]->slot != to)
            continue;
        for (struct sim_segment *at = wire->ways[arg & 1].sent; at != NULL; at = at->next)
            if (at->tries == UINT32_MAX && at->arrives_us > at_us)
                at->arrives_us = at_us;
        schedule_head(wire, arg);
    }
}

// --- links ---------------------------------------------------------------------------------------

static void tell_closed(struct sim_node *node, uint64_t arg)
{
    struct sim_wire *wire = wire_of(arg);
    struct peer_link *link = wire->ends[arg & 1];
    (void)node;
    if (link == NULL)
        return;
    wire->ends[arg & 1] = NULL;
    wire->is_over[arg & 1] = true;
    link->options.events.closed(link->options.ctx, link->err,
                                link->fault.err != KR_ERR_OK ? &link->fault : NULL);
    buf_fini(&link->in);
    buf_fini(&link->plain);
    arena_fini(&link->arena);
    mem_free(link);
}

static void end(struct peer_link *link, enum kr_err err, const struct fault *fault)
{
    uint64_t arg = link->wire << 1 | link->side;
    if (link->state == KR_SIM_CLOSING)
        return;
    link->state = KR_SIM_CLOSING;
    link->err = err;
    if (fault != NULL)
        link->fault = *fault;
    if (!link->node->is_dying)
        send_segment(arg, KR_SIM_FIN, (struct bytes){0});
    sim_at(sim.now_us, link->node, tell_closed, arg);
}

void peer_link_close(struct peer_link *link, enum kr_err err, const struct fault *fault)
{
    end(link, err, fault);
}

static struct peer_link *make(const struct peer_link_options *options, struct sim_node *node,
                              uint64_t wire, unsigned side)
{
    struct peer_link *link = mem_zalloc(sizeof(*link));
    const struct sim_node *other = sim.wires[wire]->nodes[1 - side];
    link->options = *options;
    link->node = node;
    link->wire = wire;
    link->side = side;
    link->opening_until_ms = clock_boot_ms() + KR_PEER_LINK_OPENING_MS;
    link->heard_ms = clock_boot_ms();
    buf_init(&link->in, KR_SIM_LINK_OUT_MAX);
    buf_init(&link->plain, KR_SIM_LINK_OUT_MAX);
    arena_init(&link->arena);
    snprintf(link->peer.node_id, sizeof(link->peer.node_id), "%s", other->id);
    snprintf(link->peer.region, sizeof(link->peer.region), "%s", other->region);
    snprintf(link->peer.cluster_id, sizeof(link->peer.cluster_id), "clst_sim");
    link->peer.role = other->is_core ? KR_TLS_ROLE_CORE : KR_TLS_ROLE_FOLLOWER;
    sim.wires[wire]->ends[side] = link;
    return link;
}

static uint64_t add_wire(struct sim_node *from, struct sim_node *to)
{
    if (sim.wire_count == sim.wire_capacity) {
        sim.wire_capacity = sim.wire_capacity * 2 + 64;
        sim.wires = mem_realloc(sim.wires, sim.wire_capacity * sizeof(*sim.wires));
    }
    struct sim_wire *wire = mem_zalloc(sizeof(*wire));
    wire->nodes[0] = from;
    wire->nodes[1] = to;
    sim.wires[sim.wire_count] = wire;
    return sim.wire_count++;
}

static void refuse(struct sim_node *node, uint64_t arg)
{
    struct peer_link *link = wire_of(arg)->ends[arg & 1];
    struct fault fault = {0};
    (void)node;
    fault_set(&fault, KR_ERR_IO, "connection refused");
    if (link != NULL)
        end(link, KR_ERR_IO, &fault);
}

struct peer_link *peer_link_connect(const struct peer_link_options *options, const char *address)
{
    struct sim_node *to = sim_node_by_address(address);
    struct sim_node *from = sim.running;
    uint64_t wire = add_wire(from, to != NULL ? to : from);
    struct peer_link *link = make(options, from, wire, 0);
    if (to == NULL || to == from ||
        (sim_is_broken(KR_SIM_NO_RETRY) && sim.now_us > from->up_since_us + 4000000))
        sim_at(sim.now_us + KR_SIM_REFUSE_US, from, refuse, wire << 1);
    else
        send_segment(wire << 1, KR_SIM_SYN, (struct bytes){0});
    return link;
}

static void accept_wire(struct sim_node *node, uint64_t arg)
{
    struct sim_wire *wire = wire_of(arg);
    struct peers_child *child = peers_child_add(node->peers);
    struct peer_link_options options = peers_child_options(node->peers, child);
    struct peer_link *link = make(&options, node, arg >> 1, 1);
    child->link = link;
    link->state = KR_SIM_OPEN;
    send_segment((arg & ~1ull) | 1, KR_SIM_SYN_ACK, (struct bytes){0});
    (void)wire;
    options.events.opened(options.ctx);
}

// --- frames --------------------------------------------------------------------------------------

// A slow way brings the bytes bit by bit.
static void send_bytes(const struct peer_link *link, struct bytes bytes)
{
    const struct sim_wire *wire = sim.wires[link->wire];
    unsigned to = wire->nodes[1 - link->side]->slot;
    size_t most = sim.ways[link->node->slot][to].bytes_per_ms > 0 ? KR_SIM_PACKET : bytes.size;
    for (size_t at = 0; at < bytes.size; at += most) {
        size_t left = bytes.size - at;
        send_segment(link->wire << 1 | link->side, KR_SIM_DATA,
                     bytes_of(bytes.data + at, left < most ? left : most));
    }
}

static bool fill(struct peer_link *link, uint64_t now_ms)
{
    struct fault fault = {0};
    enum kr_err err = KR_ERR_OK;
    while (link->plain.size < KR_SIM_BATCH && err == KR_ERR_OK) {
        size_t before = link->plain.size;
        err = link->options.events.next(link->options.ctx, now_ms, &link->plain, &fault);
        link->figures.frames_out += err == KR_ERR_OK;
        if (err == KR_ERR_OK)
            sim_alter_out(link->node, &link->plain, before);
    }
    bool has_some = link->plain.size > 0;
    if (has_some && !link->node->is_dying)
        send_bytes(link, buf_bytes(&link->plain));
    link->figures.bytes_out += link->plain.size;
    buf_clear(&link->plain);
    if (err != KR_ERR_OK && err != KR_ERR_NOT_FOUND)
        end(link, err, &fault);
    return has_some && link->state == KR_SIM_OPEN;
}

static bool is_blocked(const struct peer_link *link)
{
    return sim.wires[link->wire]->ways[link->side].untaken_bytes >= KR_SIM_LINK_UNTAKEN;
}

void peer_link_pump(struct peer_link *link, uint64_t now_ms)
{
    if (link->is_pumping)
        return;
    link->is_pumping = true;
    while (link->state == KR_SIM_OPEN && !is_blocked(link) && fill(link, now_ms))
        ;
    link->is_blocked = is_blocked(link);
    if (link->is_blocked && sim_is_broken(KR_SIM_SLOW_BLOCKS))
        sim_node_pause(link->node, 400000);
    link->is_pumping = false;
}

static void writable(struct sim_node *node, uint64_t arg)
{
    struct peer_link *link = wire_of(arg)->ends[arg & 1];
    (void)node;
    if (link != NULL && link->state == KR_SIM_OPEN)
        peer_link_pump(link, clock_boot_ms());
}

static enum kr_err take_frames(struct peer_link *link, uint64_t now_ms, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    size_t at = 0;
    while (err == KR_ERR_OK && link->state == KR_SIM_OPEN) {
        struct peer_frame frame;
        size_t consumed = 0;
        arena_reset(&link->arena);
        enum peer_read read = codec_peer_read(bytes_of(link->in.data + at, link->in.size - at),
                                              &link->arena, &frame, &consumed, fault);
        if (read == KR_PEER_READ_MORE)
            break;
        if (read == KR_PEER_READ_BROKEN) {
            err = KR_ERR_INVALID;
            break;
        }
        at += consumed;
        link->figures.frames_in++;
        if (sim_alter_in(link->node, &frame))
            err = link->options.events.frame(link->options.ctx, &frame, now_ms, fault);
    }
    if (at > 0) {
        memmove(link->in.data, link->in.data + at, link->in.size - at);
        link->in.size -= at;
    }
    return err;
}

static void take_data(struct peer_link *link, struct bytes bytes)
{
    struct fault fault = {0};
    uint64_t now_ms = clock_boot_ms();
    if (link->state != KR_SIM_OPEN)
        return;
    link->heard_ms = now_ms;
    link->figures.bytes_in += bytes.size;
    buf_add_bytes(&link->in, bytes);
    enum kr_err err = take_frames(link, now_ms, &fault);
    if (err != KR_ERR_OK)
        end(link, err, &fault);
    else
        peer_link_pump(link, now_ms);
}

static void take_segment(struct sim_node *node, uint64_t arg, const struct sim_segment *segment)
{
    struct peer_link *link = wire_of(arg)->ends[1 - (arg & 1)];
    if (segment->kind == KR_SIM_SYN) {
        accept_wire(node, arg);
        return;
    }
    if (link == NULL)
        return;
    if (segment->kind == KR_SIM_DATA) {
        take_data(link, segment->bytes);
    } else if (segment->kind == KR_SIM_FIN) {
        end(link, KR_ERR_OK, NULL);
    } else if (link->state == KR_SIM_OPENING) {
        link->state = KR_SIM_OPEN;
        link->heard_ms = clock_boot_ms();
        link->options.events.opened(link->options.ctx);
        if (link->state == KR_SIM_OPEN)
            peer_link_pump(link, clock_boot_ms());
    }
}

// arg: the wire and the end that sent.
static void take_arrived(struct sim_node *node, uint64_t arg)
{
    struct sim_wire *wire = wire_of(arg);
    struct sim_direction *way = &wire->ways[arg & 1];
    struct sim_segment *segment;
    unsigned other = arg & 1;
    if (wire->is_over[other] && way->arrived == NULL && way->sent == NULL)
        refuse(node, arg ^ 1);
    while ((segment = way->arrived) != NULL) {
        bool was_blocked = way->untaken_bytes >= KR_SIM_LINK_UNTAKEN;
        way->arrived = segment->next;
        way->untaken_bytes -= segment->bytes.size;
        take_segment(node, arg, segment);
        free_segment(segment);
        if (was_blocked && way->untaken_bytes < KR_SIM_LINK_UNTAKEN)
            sim_after(1000, wire->nodes[other], writable, arg);
    }
    sim_node_turn_soon(node);
}

// --- the rest of the face ------------------------------------------------------------------------

void peer_link_tick(struct peer_link *link, bool is_fair, uint64_t now_ms)
{
    struct fault fault = {0};
    if (link->state == KR_SIM_OPENING && now_ms >= link->opening_until_ms)
        fault_set(&fault, KR_ERR_TIMEOUT, "no connection in time");
    if (link->state == KR_SIM_OPEN && is_fair && now_ms >= link->heard_ms + KR_PEER_LINK_SILENCE_MS)
        fault_set(&fault, KR_ERR_TIMEOUT, "silent for %d ms", KR_PEER_LINK_SILENCE_MS);
    if (fault.err != KR_ERR_OK)
        end(link, KR_ERR_TIMEOUT, &fault);
}

bool peer_link_is_open(const struct peer_link *link)
{
    return link->state == KR_SIM_OPEN;
}

const struct tls_peer *peer_link_peer(const struct peer_link *link)
{
    return &link->peer;
}

void peer_link_host(const struct peer_link *link, char out[KR_CIDR_TEXT_SIZE])
{
    (void)link;
    out[0] = '\0';
}

void peer_link_figures(const struct peer_link *link, struct peer_link_figures *sum)
{
    sum->frames_in += link->figures.frames_in;
    sum->frames_out += link->figures.frames_out;
    sum->bytes_in += link->figures.bytes_in;
    sum->bytes_out += link->figures.bytes_out;
}

// --- what happens to them ------------------------------------------------------------------------

static void close_end(struct sim_wire *wire, uint64_t arg, bool is_silent)
{
    unsigned side = arg & 1;
    if (wire->ends[side] != NULL) {
        end(wire->ends[side], KR_ERR_OK, NULL);
        tell_closed(wire->nodes[side], arg);
    }
    if (!wire->is_over[side])
        wire->is_over[side] = true;
    if (!is_silent && !wire->is_over[1 - side])
        send_segment(arg, KR_SIM_FIN, (struct bytes){0});
}

// The ends of a process that has ended; its callbacks run to their end and are not heard.
void sim_net_drop(struct sim_node *node, bool is_silent)
{
    for (size_t i = 0; i < sim.wire_count; i++) {
        struct sim_wire *wire = sim.wires[i];
        for (unsigned side = 0; side < 2; side++) {
            if (wire->nodes[side] == node && (wire->ends[side] != NULL || !wire->is_over[side]))
                close_end(wire, i << 1 | side, is_silent);
        }
    }
}

static void broken(struct sim_node *node, uint64_t arg)
{
    refuse(node, arg);
    sim_node_turn_soon(node);
}

// Both ends find their connection broken.
void sim_net_reset(struct sim_node *a, struct sim_node *b)
{
    for (size_t i = 0; i < sim.wire_count; i++) {
        struct sim_wire *wire = sim.wires[i];
        bool is_it = (wire->nodes[0] == a && wire->nodes[1] == b) ||
                     (wire->nodes[0] == b && wire->nodes[1] == a);
        for (unsigned side = 0; side < 2 && is_it; side++)
            if (wire->ends[side] != NULL)
                sim_after(sim_below(2000), wire->nodes[side], broken, i << 1 | side);
    }
}

void sim_net_fini(void)
{
    for (size_t i = 0; i < sim.wire_count; i++) {
        for (unsigned side = 0; side < 2; side++) {
            free_segments(&sim.wires[i]->ways[side].sent);
            free_segments(&sim.wires[i]->ways[side].arrived);
        }
        mem_free(sim.wires[i]);
    }
    mem_free(sim.wires);
}
