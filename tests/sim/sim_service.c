// SPDX-License-Identifier: Apache-2.0
// The register service.
#include "tests/sim/sim_service.h"

#include "core/base/clock.h"
#include "tests/sim/sim_check.h"

struct sim_asked {
    struct sim_call call;
    sim_call_fn *done;
};

struct sim_service {
    struct sim_node *leader; // NULL: nobody
    uint64_t epoch, expires_us, revision;
    uint64_t rate_ppm; // of its clock, 500: right
    struct bytes log[KR_SIM_INDEXES];
    uint64_t first, last;
    uint64_t cut_us; // how long whoever appends next is cut off; 0: it is not
    uint64_t held;   // an append that is on its way until the next leadership; UINT64_MAX: none
    struct sim_asked **asked;
    size_t asked_count, asked_capacity;
};

static struct sim_service *service(void)
{
    return sim.service;
}

void sim_service_new(void)
{
    sim.service = mem_zalloc(sizeof(struct sim_service));
    service()->rate_ppm = sim_below(1001);
    service()->first = 1;
    service()->held = UINT64_MAX;
    service()->revision = sim_below(5);
}

void sim_service_free(void)
{
    for (size_t i = 0; i < service()->asked_count; i++) {
        struct sim_call *call = &service()->asked[i]->call;
        for (size_t j = 0; j < call->count; j++)
            mem_free((void *)(uintptr_t)call->rows[j].data);
        mem_free(call->rows);
        mem_free(service()->asked[i]);
    }
    for (uint64_t i = 0; i < KR_SIM_INDEXES; i++)
        mem_free((void *)(uintptr_t)service()->log[i].data);
    mem_free(service()->asked);
    mem_free(sim.service);
    sim.service = NULL;
}

static void set_lease(void)
{
    service()->expires_us =
        sim.now_us + (uint64_t)KR_SIM_TTL_MS * (1000000 - 500 + service()->rate_ppm) / 1000;
}

static void expire(void)
{
    if (service()->leader != NULL && sim.now_us >= service()->expires_us) {
        sim_say("service: the lease of %s is over", service()->leader->id);
        service()->leader = NULL;
    }
}

// --- transactions --------------------------------------------------------------------------------

static void arrive(struct sim_node *none, uint64_t number);

// What a leader sent before it was cut off arrives when another one has just won.
static void let_held_arrive(void)
{
    if (service()->held != UINT64_MAX)
        sim_after(sim_below(5000), NULL, arrive, service()->held);
    service()->held = UINT64_MAX;
}

static void campaign(struct sim_call *call)
{
    call->leader = service()->leader;
    call->result = KR_SIM_REFUSED;
    if (service()->leader != NULL)
        return;
    service()->leader = call->leader = call->node;
    call->epoch = service()->epoch = ++service()->revision;
    set_lease();
    call->result = KR_SIM_DONE;
    let_held_arrive();
    sim_say("service: %s leads, epoch %llu", call->node->id, (unsigned long long)call->epoch);
}

static bool is_leader(const struct sim_call *call)
{
    return service()->leader == call->node && service()->epoch == call->epoch;
}

static void keep_alive(struct sim_call *call)
{
    call->result = is_leader(call) ? KR_SIM_DONE : KR_SIM_REFUSED;
    if (call->result == KR_SIM_DONE)
        set_lease();
}

static void store(uint64_t index, uint64_t epoch, struct bytes row)
{
    if (index >= KR_SIM_INDEXES)
        return;
    mem_free((void *)(uintptr_t)service()->log[index].data);
    service()->log[index] = sim_rows_copy(row);
    sim_check_committed(index, epoch, row);
}

static void append(struct sim_call *call)
{
    call->result = KR_SIM_REFUSED;
    if (!is_leader(call) && !sim_is_broken(KR_SIM_NO_EPOCH_GUARD))
        return;
    call->result = KR_SIM_TAKEN;
    bool is_deposed = !is_leader(call);
    if (call->index <= service()->last && !sim_is_broken(KR_SIM_NO_ABSENCE_GUARD))
        return;
    for (size_t i = 0; i < call->count; i++)
        store(call->index + i, call->epoch, call->rows[i]);
    if (call->index + call->count - 1 > service()->last)
        service()->last = call->index + call->count - 1;
    service()->revision++;
    call->result = KR_SIM_DONE;
    if (is_deposed)
        sim_violated('c', "%s wrote entry %llu under epoch %llu, which was over", call->node->id,
                     (unsigned long long)call->index, (unsigned long long)call->epoch);
    sim_say("service: %s has entries %llu to %llu in", call->node->id,
            (unsigned long long)call->index, (unsigned long long)service()->last);
}

static void read_tail(struct sim_call *call)
{
    call->first = service()->first;
    call->last = service()->last;
    call->result = KR_SIM_DONE;
    if (call->index < call->first || call->index > call->last)
        return;
    call->count = (size_t)(call->last - call->index + 1);
    call->rows = mem_alloc(call->count * sizeof(*call->rows));
    for (size_t i = 0; i < call->count; i++)
        call->rows[i] = sim_rows_copy(service()->log[call->index + i]);
}

static void transact(struct sim_call *call)
{
    expire();
    switch (call->kind) {
    case KR_SIM_CAMPAIGN:
        campaign(call);
        break;
    case KR_SIM_LOOK:
        call->leader = service()->leader;
        call->result = call->leader != NULL ? KR_SIM_REFUSED : KR_SIM_DONE;
        break;
    case KR_SIM_KEEP_ALIVE:
        keep_alive(call);
        break;
    case KR_SIM_APPEND:
        append(call);
        break;
    case KR_SIM_READ:
        read_tail(call);
        break;
    case KR_SIM_RESIGN:
        if (is_leader(call))
            service()->leader = NULL;
        call->result = KR_SIM_DONE;
        break;
    }
}

// --- calls ---------------------------------------------------------------------------------------

static void answer(struct sim_node *node, uint64_t number)
{
    struct sim_asked *asked = service()->asked[number];
    if (asked->call.is_answered)
        return;
    asked->call.is_answered = true;
    asked->done(node, &asked->call);
    sim_node_turn_soon(node);
}

static void give_up(struct sim_node *node, uint64_t number)
{
    struct sim_asked *asked = service()->asked[number];
    if (!asked->call.is_answered)
        asked->call.result = KR_SIM_UNKNOWN;
    answer(node, number);
}

static void set_cut(const struct sim_node *node, bool is_cut)
{
    sim.ways[node->slot][KR_SIM_NODES].is_cut = sim.ways[KR_SIM_NODES][node->slot].is_cut = is_cut;
}

static void heal(struct sim_node *none, uint64_t slot)
{
    (void)none;
    set_cut(&sim.nodes[slot], false);
}

void sim_service_cut_next(uint64_t duration_us)
{
    service()->cut_us = duration_us;
}

static void cut_off(const struct sim_call *call)
{
    bool is_due = call->kind == KR_SIM_APPEND && call->result == KR_SIM_DONE && !sim.is_quiet;
    if (!is_due || service()->cut_us == 0)
        return;
    sim_say("service: %s is cut off", call->node->id);
    set_cut(call->node, true);
    sim_after(service()->cut_us, NULL, heal, call->node->slot);
    service()->cut_us = 0;
}

static void arrive(struct sim_node *none, uint64_t number)
{
    struct sim_call *call = &service()->asked[number]->call;
    (void)none;
    transact(call);
    cut_off(call);
    bool is_lost = sim_below(1000000) < sim.ways[KR_SIM_NODES][call->node->slot].loss_ppm;
    uint64_t at_us = sim_net_arrival(KR_SIM_NODES, call->node->slot, 64);
    if (is_lost || at_us == UINT64_MAX || call->node->incarnation != call->incarnation) {
        sim_say("service: an answer to %s is lost behind its effect", call->node->id);
        return;
    }
    sim_at(at_us, call->node, answer, number);
}

void sim_service_ask(struct sim_node *node, const struct sim_call *call, sim_call_fn *done)
{
    if (service()->asked_count == service()->asked_capacity) {
        service()->asked_capacity = service()->asked_capacity * 2 + 64;
        service()->asked =
            mem_realloc(service()->asked, service()->asked_capacity * sizeof(*service()->asked));
    }
    struct sim_asked *asked = mem_zalloc(sizeof(*asked));
    uint64_t number = service()->asked_count++;
    service()->asked[number] = asked;
    asked->call = *call;
    asked->done = done;
    asked->call.node = node;
    asked->call.incarnation = node->incarnation;
    asked->call.number = number;
    asked->call.sent_ms = clock_boot_ms();
    asked->call.rows = call->count > 0 ? mem_alloc(call->count * sizeof(struct bytes)) : NULL;
    for (size_t i = 0; i < call->count; i++)
        asked->call.rows[i] = sim_rows_copy(call->rows[i]);
    bool is_lost = sim_below(1000000) < sim.ways[node->slot][KR_SIM_NODES].loss_ppm;
    uint64_t at_us = sim_net_arrival(node->slot, KR_SIM_NODES, 64);
    if (is_lost && at_us != UINT64_MAX && sim_chance(50)) // sent again on its way, far too late
        at_us += sim_between(400000, 6000000);
    else if (is_lost)
        at_us = UINT64_MAX;
    if (at_us != UINT64_MAX && !node->is_dying)
        sim_at(at_us, NULL, arrive, number);
    else if (call->kind == KR_SIM_APPEND)
        service()->held = number;
    sim_after(KR_SIM_CALL_MS * 1000, node, give_up, number);
}

void sim_service_trim(uint64_t below_index)
{
    if (below_index > service()->first && below_index <= service()->last)
        service()->first = below_index;
}

uint64_t sim_service_count(void)
{
    return service()->last + 1 - service()->first;
}

uint64_t sim_service_last(void)
{
    return service()->last;
}
