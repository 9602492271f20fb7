// SPDX-License-Identifier: Apache-2.0
// The cluster that a seed makes, and what befalls it: each fault at its time, healed at its end.
#include "tests/sim/sim_faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim_alter.h"
#include "tests/sim/sim_asks.h"
#include "tests/sim/sim_check.h"
#include "tests/sim/sim_service.h"
#include "tests/sim/sim_writes.h"

enum sim_fault_kind {
    KR_SIM_DELAY,
    KR_SIM_LOSS,
    KR_SIM_CUT,
    KR_SIM_CUT_ONE_WAY,
    KR_SIM_ALONE,
    KR_SIM_ALONE_ONE_WAY,
    KR_SIM_SPLIT,
    KR_SIM_RESET,
    KR_SIM_PAUSE,
    KR_SIM_PAUSE_ASKED,
    KR_SIM_KILL,
    KR_SIM_POWER_CUT,
    KR_SIM_POWER_CUT_CORE,
    KR_SIM_DIES_WRITING,
    KR_SIM_WALL_JUMP,
    KR_SIM_SERVICE_CUT,
    KR_SIM_SERVICE_CUT_APPEND,
    KR_SIM_SERVICE_LOSS,
    KR_SIM_SLOW,
    KR_SIM_BEHIND,
    KR_SIM_WIPE,
    KR_SIM_REMOVE,
    KR_SIM_PROMOTE,
    KR_SIM_ROT_RECORD,
    KR_SIM_ROT_CHUNK,
    KR_SIM_DISK_FULL,
    KR_SIM_FAULT_COUNT
};

static const char *const texts[] = {"delay",
                                    "loss",
                                    "cut",
                                    "cut one way",
                                    "alone",
                                    "deaf",
                                    "split",
                                    "reset",
                                    "pause",
                                    "pause behind a look-up",
                                    "kill",
                                    "power cut",
                                    "power cut of all core nodes",
                                    "die writing",
                                    "wall jump",
                                    "cut from the service",
                                    "cut behind an append",
                                    "service loses",
                                    "slow",
                                    "away, then slow",
                                    "wipe",
                                    "remove",
                                    "promote",
                                    "rot a record",
                                    "rot a chunk",
                                    "disk full"};

// The slots and what else a fault needs.
static struct sim_planned {
    enum sim_fault_kind kind;
    unsigned a, b;
    uint64_t at_us, until_us, amount;
    bool was_cut[KR_SIM_NODES + 1][2];
} planned[64];
static unsigned planned_count;

// --- ways ----------------------------------------------------------------------------------------

static void set_way(unsigned a, unsigned b, uint32_t delay_us)
{
    struct sim_way way = {.delay_us = delay_us, .jitter_us = delay_us / 3 + 50};
    sim.ways[a][b] = sim.ways[b][a] = way;
}

static void make_ways(void)
{
    for (unsigned a = 0; a <= KR_SIM_NODES; a++)
        for (unsigned b = 0; b < a; b++) {
            bool is_near =
                a < sim.node_count && strcmp(sim.nodes[a].region, sim.nodes[b].region) == 0;
            bool is_service = a == KR_SIM_NODES;
            set_way(a, b,
                    (uint32_t)(is_service ? sim_between(300, 3000)
                               : is_near  ? sim_between(60, 400)
                                          : sim_between(2000, 60000)));
        }
}

static void cut(unsigned a, unsigned b, bool is_cut)
{
    sim.ways[a][b].is_cut = is_cut;
}

static void cut_off(unsigned a, bool is_cut, bool is_both)
{
    for (unsigned b = 0; b < sim.node_count; b++) {
        cut(b, a, is_cut);
        if (is_both)
            cut(a, b, is_cut);
    }
}

static void split(uint64_t side, bool is_cut)
{
    for (unsigned a = 0; a < sim.node_count; a++)
        for (unsigned b = 0; b < sim.node_count; b++)
            if (((side >> a) & 1) != ((side >> b) & 1))
                cut(a, b, is_cut);
}

// --- what befalls --------------------------------------------------------------------------------

static void start_again(struct sim_node *none, uint64_t slot)
{
    (void)none;
    sim_node_start(&sim.nodes[slot]);
}

static void kill_for(struct sim_node *node, uint64_t duration_us, bool is_power_cut)
{
    sim_node_kill(node, is_power_cut);
    sim_after(duration_us, NULL, start_again, node->slot);
}

// Its disk is lost; it joins anew, under its name or another one.
static void wipe(struct sim_node *node, bool is_renamed)
{
    sim_node_kill(node, true);
    if (is_renamed) {
        node->generation++;
        snprintf(node->id, sizeof(node->id), "%c%u-%u", node->is_core ? 'c' : 'f', node->slot + 1,
                 node->generation);
    }
    uint64_t retention = node->disk->retention;
    sim_state_free(&node->disk);
    sim_check_wiped(node);
    node->disk = sim_state_new(node, node->is_core ? KR_HOLD_ALL : KR_HOLD_VALIDATION);
    node->disk->retention = retention;
    sim_after(sim_between(100000, 2000000), NULL, start_again, node->slot);
}

// Another core node has all that it has, in a state that may lead: what the last one has lost,
// nobody can bring back.
static bool is_held_elsewhere(const struct sim_node *node)
{
    bool is_held = !node->is_core;
    for (unsigned i = 0; i < sim.core_count; i++)
        is_held |= &sim.nodes[i] != node && !sim.nodes[i].disk->is_rotten &&
                   !sim.nodes[i].disk->is_wrong &&
                   sim.nodes[i].disk->position.index >= node->disk->position.index;
    return is_held;
}

static void remove_node(struct sim_node *node)
{
    struct sim_node *leader = sim_node_leader();
    if (leader == NULL || node == leader || node->is_core || leader->is_paused)
        return;
    sim.running = leader;
    sim_writes_remove(leader, node->id);
    sim.running = NULL;
}

static void wipe_removed(struct sim_node *none, uint64_t slot)
{
    struct sim_node *node = &sim.nodes[slot];
    const struct sim_node *leader = sim_node_leader();
    struct member member;
    (void)none;
    if (leader != NULL && node->is_up && fake_get_member(&leader->disk->fake, node->id, &member) &&
        member.is_removed)
        wipe(node, true);
}

// The leader has died for the operator; of the standbys that followed it, the one that has most is
// to lead. One that never heard of it would lead under the same epoch again, as operations.md says.
static void promote(uint64_t down_us)
{
    struct sim_node *best = NULL, *old = sim.appointed;
    for (unsigned i = 0; i < sim.core_count; i++) {
        struct sim_node *node = &sim.nodes[i];
        if (node != old && node->is_up && !node->is_paused &&
            node->disk->position.epoch == old->disk->position.epoch &&
            peers_known_epoch(node->peers) >= sim.appointed_epoch &&
            (best == NULL || node->disk->position.index > best->disk->position.index))
            best = node;
    }
    if (sim.is_etcd || best == NULL)
        return;
    kill_for(old, down_us, sim_chance(50));
    sim_node_promote(best);
}

static void set_speed(unsigned to, uint32_t bytes_per_ms)
{
    for (unsigned i = 0; i < sim.node_count; i++)
        sim_net_set_speed(i, to, bytes_per_ms);
}

static void be_fast(struct sim_node *none, uint64_t slot)
{
    (void)none;
    if (!sim.is_quiet)
        set_speed((unsigned)slot, 0);
}

// Far behind, it catches up over a way that is slow.
static void come_back(const struct sim_planned *fault)
{
    if (sim.is_quiet)
        return;
    set_speed(fault->a, 6 + (uint32_t)fault->amount % 12);
    sim_after(6000000, NULL, be_fast, fault->a);
}

static void begin_on_ways(const struct sim_planned *fault, bool is_on)
{
    unsigned a = fault->a, b = fault->b;
    switch (fault->kind) {
    case KR_SIM_DELAY:
        sim.ways[a][b].jitter_us += is_on ? (uint32_t)fault->amount : (uint32_t)-fault->amount;
        break;
    case KR_SIM_LOSS:
        sim.ways[a][b].loss_ppm = sim.ways[b][a].loss_ppm = is_on ? (uint32_t)fault->amount : 0;
        break;
    case KR_SIM_CUT:
        cut(a, b, is_on);
        cut(b, a, is_on);
        break;
    case KR_SIM_CUT_ONE_WAY:
        cut(a, b, is_on);
        break;
    case KR_SIM_ALONE:
        cut_off(a, is_on, true);
        break;
    case KR_SIM_ALONE_ONE_WAY:
        cut_off(a, is_on, false);
        break;
    case KR_SIM_SPLIT:
        split(fault->amount, is_on);
        break;
    case KR_SIM_SERVICE_CUT:
        cut(a, KR_SIM_NODES, is_on);
        cut(KR_SIM_NODES, a, is_on);
        break;
    case KR_SIM_SERVICE_LOSS:
        for (unsigned i = 0; i < sim.core_count; i++)
            sim.ways[i][KR_SIM_NODES].loss_ppm = sim.ways[KR_SIM_NODES][i].loss_ppm =
                is_on ? (uint32_t)fault->amount : 0;
        break;
    case KR_SIM_SLOW:
        set_speed(a, is_on ? 1 + (uint32_t)fault->amount % 16 : 0);
        break;
    case KR_SIM_BEHIND:
        cut_off(a, is_on, true);
        if (!is_on)
            come_back(fault);
        break;
    case KR_SIM_DISK_FULL:
        sim.nodes[a].disk->is_full = is_on;
        break;
    case KR_SIM_RESET:
    case KR_SIM_PAUSE:
    case KR_SIM_PAUSE_ASKED:
    case KR_SIM_KILL:
    case KR_SIM_POWER_CUT:
    case KR_SIM_POWER_CUT_CORE:
    case KR_SIM_DIES_WRITING:
    case KR_SIM_WALL_JUMP:
    case KR_SIM_SERVICE_CUT_APPEND:
    case KR_SIM_WIPE:
    case KR_SIM_REMOVE:
    case KR_SIM_PROMOTE:
    case KR_SIM_ROT_RECORD:
    case KR_SIM_ROT_CHUNK:
    case KR_SIM_FAULT_COUNT:
        break;
    }
}

// Of the core nodes one that does not lead, and never a majority: that would be the truth.
static bool may_rot(const struct sim_node *node)
{
    unsigned rotten = 1;
    if (!node->is_core)
        return true;
    for (unsigned i = 0; i < sim.core_count; i++)
        rotten += sim.nodes[i].disk->is_rotten;
    return sim.is_etcd && 2 * rotten < sim.core_count && node != sim_node_leader();
}

static void kill_leader(struct sim_node *none, uint64_t duration_us)
{
    struct sim_node *leader = sim_node_leader();
    (void)none;
    if (leader != NULL && !sim.is_quiet)
        kill_for(leader, duration_us, false);
}

void sim_faults_found(const struct sim_node *node)
{
    if (sim.is_etcd && node->is_core && sim_chance(60))
        sim_after(sim_below(200000), NULL, kill_leader, sim_between(500000, 4000000));
}

static void rot_record(struct sim_node *node)
{
    if (may_rot(node) && node->is_up && sim_state_rot(node->disk, sim_below(1000)))
        sim_say("a record of %s is damaged", node->id);
}

static void begin_on_node(const struct sim_planned *fault)
{
    struct sim_node *node = &sim.nodes[fault->a];
    uint64_t duration_us = fault->until_us - fault->at_us;
    switch (fault->kind) {
    case KR_SIM_RESET:
        sim_net_reset(node, &sim.nodes[fault->b]);
        break;
    case KR_SIM_PAUSE:
        sim_node_pause(node, duration_us);
        break;
    case KR_SIM_PAUSE_ASKED:
        sim_asks_pause_next(duration_us);
        break;
    case KR_SIM_KILL:
        kill_for(node, duration_us, false);
        break;
    case KR_SIM_POWER_CUT:
        kill_for(node, duration_us, true);
        break;
    case KR_SIM_POWER_CUT_CORE:
        for (unsigned i = 0; i < sim.core_count; i++)
            kill_for(&sim.nodes[i], sim_between(100000, duration_us), true);
        break;
    case KR_SIM_DIES_WRITING:
        node->disk->dies = 1 + (unsigned)sim_below(3);
        break;
    case KR_SIM_WALL_JUMP:
        node->wall_offset_us += (int64_t)sim_below(7200) * 1000000 - INT64_C(3600000000);
        break;
    case KR_SIM_SERVICE_CUT_APPEND:
        sim_service_cut_next(duration_us);
        break;
    case KR_SIM_WIPE:
        if (node != sim_node_leader() && node != sim.appointed &&
            (!node->is_core || sim.core_count > 2) && is_held_elsewhere(node))
            wipe(node, false);
        break;
    case KR_SIM_REMOVE:
        remove_node(node);
        sim_after(sim_between(200000, 3000000), NULL, wipe_removed, node->slot);
        break;
    case KR_SIM_PROMOTE:
        promote(duration_us);
        break;
    case KR_SIM_ROT_RECORD:
        rot_record(node);
        break;
    case KR_SIM_ROT_CHUNK:
        sim_alter_rot_chunk();
        break;
    case KR_SIM_DELAY:
    case KR_SIM_LOSS:
    case KR_SIM_CUT:
    case KR_SIM_CUT_ONE_WAY:
    case KR_SIM_ALONE:
    case KR_SIM_ALONE_ONE_WAY:
    case KR_SIM_SPLIT:
    case KR_SIM_SERVICE_CUT:
    case KR_SIM_SERVICE_LOSS:
    case KR_SIM_SLOW:
    case KR_SIM_BEHIND:
    case KR_SIM_DISK_FULL:
    case KR_SIM_FAULT_COUNT:
        break;
    }
}

static void heal(struct sim_node *none, uint64_t number)
{
    (void)none;
    begin_on_ways(&planned[number], false);
}

static void befall(struct sim_node *none, uint64_t number)
{
    const struct sim_planned *fault = &planned[number];
    (void)none;
    sim_say("FAULT %s", sim.plan[number]);
    sim.figures.faults++;
    begin_on_ways(fault, true);
    begin_on_node(fault);
    sim_at(fault->until_us, NULL, heal, number);
}

// --- the plan ------------------------------------------------------------------------------------

static uint64_t duration_us(enum sim_fault_kind kind)
{
    if (kind == KR_SIM_PAUSE || kind == KR_SIM_PAUSE_ASKED)
        return sim_chance(50) ? sim_between(50000, 900000) : sim_between(900000, 7000000);
    if (kind == KR_SIM_SERVICE_CUT_APPEND) // until another one leads, and not until it is given up
        return sim_between(1500000, 5000000);
    if (kind == KR_SIM_BEHIND)
        return sim_between(2000000, 6000000);
    return sim_chance(50) ? sim_between(100000, 1500000) : sim_between(1500000, 7000000);
}

static void plan_one(uint64_t end_us)
{
    struct sim_planned *fault = &planned[planned_count];
    do
        fault->kind = (enum sim_fault_kind)sim_below(KR_SIM_FAULT_COUNT);
    while (sim.is_etcd ? fault->kind == KR_SIM_PROMOTE
                       : fault->kind >= KR_SIM_SERVICE_CUT && fault->kind <= KR_SIM_SERVICE_LOSS);
    bool is_of_core = fault->kind == KR_SIM_SERVICE_CUT || sim_chance(30);
    fault->a = (unsigned)sim_below(is_of_core ? sim.core_count : sim.node_count);
    fault->b = (fault->a + 1 + (unsigned)sim_below(sim.node_count - 1)) % sim.node_count;
    fault->at_us = sim_between(1500000, end_us);
    fault->until_us = fault->at_us + duration_us(fault->kind);
    fault->amount = fault->kind == KR_SIM_SPLIT   ? sim_between(1, (1u << sim.node_count) - 2)
                    : fault->kind == KR_SIM_DELAY ? sim_between(5000, 600000)
                                                  : sim_between(20000, 500000);
    char line[96];
    snprintf(line, sizeof(line), "%7.3f s to %7.3f s: %s %s %s %llu", (double)fault->at_us / 1e6,
             (double)fault->until_us / 1e6, texts[fault->kind], sim.nodes[fault->a].id,
             sim.nodes[fault->b].id, (unsigned long long)fault->amount);
    memcpy(sim.plan[planned_count], line, sizeof(line));
    sim_at(fault->at_us, NULL, befall, planned_count);
    sim.plan_count = ++planned_count;
}

// A node that was removed is set up anew, under another name.
static void mend_removed(struct sim_node *none, uint64_t arg)
{
    for (unsigned i = sim.core_count; i < sim.node_count; i++)
        wipe_removed(none, i);
    sim_after(1000000, NULL, mend_removed, arg);
}

static void heal_all(struct sim_node *none, uint64_t arg)
{
    (void)none;
    (void)arg;
    sim_say("everything is healed");
    sim.is_quiet = true;
    sim.healed_us = sim.now_us;
    for (unsigned a = 0; a <= KR_SIM_NODES; a++)
        for (unsigned b = 0; b <= KR_SIM_NODES; b++) {
            sim.ways[a][b].is_cut = false;
            sim.ways[a][b].loss_ppm = 0;
            sim_net_set_speed(a, b, 0);
        }
    for (unsigned i = 0; i < sim.node_count; i++) {
        sim.nodes[i].disk->dies = 0;
        sim.nodes[i].disk->is_full = false;
        sim_node_start(&sim.nodes[i]);
    }
    sim_after(500000, NULL, mend_removed, 0);
    sim_check_end();
}

// --- the cluster ---------------------------------------------------------------------------------

static void make_node(unsigned slot)
{
    static const char *const regions[] = {"eu", "us", "ap"};
    struct sim_node *node = &sim.nodes[slot];
    *node = (struct sim_node){.slot = slot, .is_core = slot < sim.core_count, .incarnation = 1};
    snprintf(node->id, sizeof(node->id), "%c%u", node->is_core ? 'c' : 'f', slot + 1);
    snprintf(node->region, sizeof(node->region), "%s", regions[sim_below(3)]);
    snprintf(node->address, sizeof(node->address), "127.0.%u.1:7402", slot + 1);
    node->rate_ppm_up = sim_chance(30) ? (sim_chance(50) ? 0 : 1000) : sim_below(1001);
    node->boot_base_us = sim_below(5000000000);
    node->wall_offset_us = (int64_t)sim_below(4000000) - 2000000;
    node->disk = sim_state_new(node, node->is_core ? KR_HOLD_ALL : KR_HOLD_VALIDATION);
    node->disk->retention = sim_chance(50) ? sim_between(8, 40) : 1000000;
}

void sim_faults_begin(void)
{
    uint64_t end_us = sim_between(6000000, 16000000);
    planned_count = 0;
    sim.is_etcd = sim_chance(65);
    sim.core_count = sim.is_etcd ? (sim_chance(80) ? 3 : 1) : (unsigned)sim_between(1, 3);
    sim.node_count = sim.core_count + (unsigned)sim_between(sim.core_count == 1 ? 2 : 1,
                                                            KR_SIM_NODES - sim.core_count);
    sim.appointed = sim.is_etcd ? NULL : &sim.nodes[0];
    for (unsigned i = 0; i < sim.node_count; i++)
        make_node(i);
    make_ways();
    for (uint64_t count = sim_between(2, 16); count > 0; count--)
        plan_one(end_us);
    for (unsigned i = 0; i < sim.node_count; i++)
        sim_after(sim_below(400000), NULL, start_again, i);
    sim_at(end_us + 2000000, NULL, heal_all, 0);
}
