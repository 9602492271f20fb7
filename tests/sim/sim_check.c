// SPDX-License-Identifier: Apache-2.0
// The omniscient check.
#include "tests/sim/sim_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "tests/sim/sim_writes.h"

enum {
    KR_SIM_HEAL_US = 40000000, // within this all nodes must be equal and fresh
    KR_SIM_SLACK_US = 6000,
    KR_SIM_SLOW_US = 4000000,
    KR_SIM_DELAYED_US = 1500000,
    KR_SIM_FULL_US = 8000000,
    KR_SIM_BOUNDS = 512,
};

// One index of the history.
struct sim_entry {
    uint64_t epoch, hash;
    uint64_t known_us; // when a node first applied it; nobody was told of it before; 0: not yet
    struct hash128 chain;
    char request_id[24];
    bool is_acked;
    // By who applied it first; zero: nobody yet.
    struct hash128 digest[KR_CLASS_COUNT];
    bool has_digest, has_core_digest;
};

struct sim_promise {
    uint64_t index, at_us; // at_us 0: none
};

// An entry gave a bucket this bound.
struct sim_bound {
    uint64_t index;
    unsigned bucket;
    int64_t max_staleness_ms;
};

struct sim_check {
    struct sim_entry history[KR_SIM_INDEXES];
    uint64_t last, last_known_us;
    uint64_t cut_index, cut_epoch; // `local`: what older epochs wrote behind it is void
    struct sim_promise promises[KR_SIM_KEYS];
    uint64_t created_index[KR_SIM_KEYS], revoked_index[KR_SIM_KEYS]; // 0: it was not
    // What the process holds, and the most that those before it over the same disk ever held.
    uint64_t holding[KR_SIM_NODES], held[KR_SIM_NODES];
    struct sim_bound bounds[KR_SIM_BOUNDS];
    size_t bound_count;
    uint64_t removed_us[KR_SIM_NODES];    // when it was known to be no member; 0: it is one
    uint64_t below_slow_us[KR_SIM_NODES]; // when it last followed, through others, the slow node
};

static struct sim_check *check(void)
{
    return sim.check;
}

struct sim_check *sim_check_new(void)
{
    return mem_zalloc(sizeof(struct sim_check));
}

void sim_check_free(struct sim_check **one)
{
    mem_free(*one);
    *one = NULL;
}

static uint64_t ull(uint64_t value)
{
    return value;
}
#define ULL(value) ((unsigned long long)ull(value))

// --- the history ---------------------------------------------------------------------------------

// An old leader's own tail: behind the last cut, or where a later epoch has written since.
static bool is_void(uint64_t index, uint64_t epoch)
{
    if (sim.is_etcd)
        return false;
    return (index > check()->cut_index && epoch < check()->cut_epoch) ||
           (index <= check()->last && epoch < check()->history[index].epoch);
}

static void note_revoked(unsigned key, uint64_t index)
{
    uint64_t created = check()->created_index[key];
    if (check()->revoked_index[key] == 0 && created != 0 && created < index)
        check()->revoked_index[key] = index;
}

static void note_bound(uint64_t index, const struct bucket *bucket)
{
    const struct sim_bound bound = {index, (unsigned)strtoul(bucket->id + 1, NULL, 10),
                                    bucket->max_staleness_ms};
    for (size_t i = 0; i < check()->bound_count; i++)
        if (check()->bounds[i].index == index && check()->bounds[i].bucket == bound.bucket)
            return; // by another node
    if (check()->bound_count < KR_SIM_BOUNDS)
        check()->bounds[check()->bound_count++] = bound;
}

static void note_removed(const char *id)
{
    const struct sim_node *node = sim_node_by_id(id);
    if (node != NULL && check()->removed_us[node->slot] == 0)
        check()->removed_us[node->slot] = sim.now_us;
}

void sim_check_effect(uint64_t index, uint64_t epoch, const struct command_op *op)
{
    const struct command_key_put *put = &op->as.key_put;
    if (is_void(index, epoch))
        return;
    if (op->kind == KR_OP_KEY_PUT && put->expected_version == 0)
        check()->created_index[put->record.digest[0] % KR_SIM_KEYS] = index;
    if (op->kind == KR_OP_KEY_REVOKE && op->as.key_revoke.digest[0] < KR_SIM_KEYS)
        note_revoked(op->as.key_revoke.digest[0], index);
    if (op->kind == KR_OP_BUCKET_PUT)
        note_bound(index, &op->as.bucket_put.record);
    if (op->kind == KR_OP_MEMBER_REMOVE)
        note_removed(op->as.member_remove.id);
    for (unsigned key = 0; key < KR_SIM_KEYS && op->kind == KR_OP_CONSUMER_REVOKE; key++)
        if (sim_writes_is_of(key, op->as.target.id))
            note_revoked(key, index);
}

static void note_entry(struct sim_entry *one, struct bytes bytes)
{
    struct entry entry;
    struct arena arena;
    arena_init(&arena);
    if (codec_entry(bytes, &arena, &entry) == KR_ERR_OK && entry.command.request_id != NULL)
        snprintf(one->request_id, sizeof(one->request_id), "%s", entry.command.request_id);
    arena_fini(&arena);
}

void sim_check_committed(uint64_t index, uint64_t epoch, struct bytes entry)
{
    if (index >= KR_SIM_INDEXES || index == 0) {
        sim_violated('c', "entry %llu: the history is full, or has no beginning", ULL(index));
        return;
    }
    struct sim_entry *one = &check()->history[index];
    uint64_t hash = hash_u64(entry, 1);
    if (index <= check()->last) {
        if (one->hash != hash)
            sim_violated('c',
                         "entry %llu was committed as %s of epoch %llu%s, and again with other "
                         "content, of epoch %llu",
                         ULL(index), one->request_id, ULL(one->epoch),
                         one->is_acked ? " (acknowledged)" : "", ULL(epoch));
        return;
    }
    if (index != check()->last + 1)
        sim_violated('c', "the log has a hole: entry %llu behind %llu", ULL(index),
                     ULL(check()->last));
    if (epoch < check()->history[index - 1].epoch)
        sim_violated('c',
                     "entry %llu is of epoch %llu, behind one of epoch %llu: who wrote it led no "
                     "more",
                     ULL(index), ULL(epoch), ULL(check()->history[index - 1].epoch));
    struct hash128 before = check()->history[index - 1].chain;
    *one = (struct sim_entry){.epoch = epoch, .hash = hash, .chain = hash_chain(before, entry)};
    note_entry(one, entry);
    check()->last = index;
    sim.figures.entries++;
}

static void lower(uint64_t *held, uint64_t index)
{
    *held = *held < index ? *held : index;
}

static void forget_bounds(uint64_t index)
{
    size_t kept = 0;
    for (size_t i = 0; i < check()->bound_count; i++)
        if (check()->bounds[i].index <= index)
            check()->bounds[kept++] = check()->bounds[i];
    check()->bound_count = kept;
}

// What is behind this index never was.
static void forget_behind(uint64_t index)
{
    for (unsigned key = 0; key < KR_SIM_KEYS; key++) {
        if (check()->promises[key].index > index)
            check()->promises[key] = (struct sim_promise){0};
        if (check()->revoked_index[key] > index)
            check()->revoked_index[key] = 0;
        if (check()->created_index[key] > index)
            check()->created_index[key] = 0;
    }
    for (unsigned i = 0; i < sim.node_count; i++) {
        lower(&check()->holding[i], index);
        lower(&check()->held[i], index);
    }
    forget_bounds(index);
    check()->last = index;
}

void sim_check_cut(uint64_t index, uint64_t epoch)
{
    check()->cut_index = index;
    check()->cut_epoch = epoch;
    forget_behind(index);
}

void sim_check_acked(uint64_t index, const char *request_id)
{
    struct sim_entry *one = &check()->history[index];
    if (index > check()->last || strcmp(one->request_id, request_id) != 0)
        sim_violated('c', "%s was acknowledged at entry %llu, which is %s", request_id, ULL(index),
                     index > check()->last ? "not committed" : one->request_id);
    one->is_acked = true;
}

// --- nodes ---------------------------------------------------------------------------------------

static bool compare_digests(struct sim_entry *one, const struct hash128 digest[], bool is_core)
{
    size_t count = is_core ? KR_CLASS_COUNT : KR_CLASS_CORE;
    for (size_t class = 0; class < count; class ++) {
        bool is_known = class == KR_CLASS_CORE ? one->has_core_digest : one->has_digest;
        if (is_known && !hash_equal(one->digest[class], digest[class]))
            return false;
        one->digest[class] = digest[class];
    }
    one->has_digest = true;
    one->has_core_digest |= is_core;
    return true;
}

void sim_check_applied(struct sim_node *node, uint64_t index, uint64_t epoch, struct hash128 chain,
                       const struct hash128 digest[KR_CLASS_COUNT])
{
    struct sim_entry *one = &check()->history[index < KR_SIM_INDEXES ? index : 0];
    bool is_own_disk = !sim.is_etcd && node == sim.appointed;
    if (is_void(index, epoch) || (index > check()->last && is_own_disk))
        return;
    if (index > check()->last) {
        sim_violated('e', "%s holds entry %llu, and only %llu are committed", node->id, ULL(index),
                     ULL(check()->last));
        return;
    }
    if (one->known_us == 0)
        one->known_us = check()->last_known_us = sim.now_us;
    if (!hash_equal(one->chain, chain) || one->epoch != epoch)
        sim_violated('e',
                     "%s has another entry %llu (epoch %llu) than what was committed (epoch "
                     "%llu)",
                     node->id, ULL(index), ULL(epoch), ULL(one->epoch));
    else if (!node->disk->is_rotten &&
             !compare_digests(one, digest, node->disk->holding == KR_HOLD_ALL))
        sim_violated('e', "%s has another state than others at entry %llu", node->id, ULL(index));
}

void sim_check_holds(const struct sim_node *node)
{
    const struct store_position *position = &node->disk->position;
    bool is_of_history =
        position->index <= check()->last && !is_void(position->index, position->epoch);
    if (is_of_history)
        check()->holding[node->slot] = position->index;
}

static void note_former(const struct sim_node *node)
{
    uint64_t *held = &check()->held[node->slot], *holding = &check()->holding[node->slot];
    *held = *held > *holding ? *held : *holding;
    *holding = 0;
    sim_check_holds(node);
}

void sim_check_wiped(const struct sim_node *node)
{
    check()->held[node->slot] = check()->holding[node->slot] = 0;
    check()->removed_us[node->slot] = 0;
}

// `local`: what the leader's disk has is the history.
static void start_local(struct sim_node *node)
{
    const struct sim_state *state = node->disk;
    uint64_t index = state->position.index;
    if (index < check()->last) {
        for (uint64_t i = index + 1; i <= check()->last; i++)
            if (check()->history[i].is_acked)
                sim_violated('c', "entry %llu was acknowledged (%s), and %s starts at %llu", ULL(i),
                             check()->history[i].request_id, node->id, ULL(index));
        forget_behind(index);
    }
}

void sim_check_started(struct sim_node *node)
{
    note_former(node);
    if (!sim.is_etcd && node == sim.appointed)
        start_local(node);
}

// --- promises and answers ------------------------------------------------------------------------

void sim_check_promised(unsigned key, uint64_t index)
{
    struct sim_promise *promise = &check()->promises[key];
    // Of a consumer's revocation: the keys that were there.
    bool was_there = check()->created_index[key] != 0 && check()->created_index[key] < index;
    if (was_there && promise->at_us == 0)
        *promise = (struct sim_promise){index, sim.now_us};
}

uint64_t sim_check_age_us(uint64_t applied_index)
{
    const struct sim_entry *missing = &check()->history[applied_index + 1];
    bool is_known = applied_index < check()->last && missing->known_us != 0;
    return is_known ? sim.now_us - missing->known_us : 0;
}

uint64_t sim_check_last_index(void)
{
    return check()->last;
}

// Neither a node that has applied the revocation lets the key in, nor one that has lost it since:
// with its power, or for a state that is older.
static void check_revoked(const struct sim_node *node, const struct sim_answer *answer)
{
    const struct store_position *position = &node->disk->position;
    uint64_t revoked = check()->revoked_index[answer->key], held = check()->held[node->slot];
    if (revoked == 0 || is_void(position->index, position->epoch))
        return;
    if (answer->looked_index >= revoked)
        sim_violated('d',
                     "%s says that key %u is VALID; it has applied entry %llu, and entry %llu "
                     "revoked the key",
                     node->id, answer->key, ULL(answer->looked_index), ULL(revoked));
    else if (held >= revoked)
        sim_violated('d',
                     "%s says that key %u is VALID by what it knows at entry %llu, age %llu ms; it "
                     "had applied entry %llu before, and entry %llu revoked the key",
                     node->id, answer->key, ULL(answer->looked_index), ULL(answer->age_ms),
                     ULL(held), ULL(revoked));
}

// Without a bound nothing ends what a removed node says, so no receipt waits for it.
static bool is_waited_for_no_more(const struct sim_node *node, const struct sim_answer *answer,
                                  const struct sim_promise *promise)
{
    uint64_t removed_us = check()->removed_us[node->slot];
    return answer->max_staleness_ms == KR_UNBOUNDED && removed_us != 0 &&
           removed_us <= promise->at_us;
}

// `local`: it goes by a bound that was raised in entries which a promotion has made void, before it
// has heard of that. Whoever leads now cannot know of it: docs/operations.md.
static bool has_void_bound(const struct sim_node *node, const struct sim_answer *answer)
{
    const struct store_position *position = &node->disk->position;
    uint64_t greatest_ms = 0; // none: UINT64_MAX
    for (size_t i = 0; i < check()->bound_count; i++) {
        uint64_t bound_ms = (uint64_t)check()->bounds[i].max_staleness_ms;
        if (check()->bounds[i].bucket == answer->key % KR_SIM_BUCKETS && bound_ms > greatest_ms)
            greatest_ms = bound_ms;
    }
    return is_void(position->index, position->epoch) &&
           (uint64_t)answer->max_staleness_ms > greatest_ms;
}

static void check_promise(const struct sim_node *node, const struct sim_answer *answer)
{
    const struct sim_promise *promise = &check()->promises[answer->key];
    if (promise->at_us == 0 || answer->asked_us < promise->at_us ||
        is_waited_for_no_more(node, answer, promise) || has_void_bound(node, answer))
        return;
    sim_violated('a',
                 "%s was asked for key %u and says VALID by what it knew at entry %llu, age %llu "
                 "ms of %lld; entry %llu had revoked it everywhere %llu ms before",
                 node->id, answer->key, ULL(answer->looked_index), ULL(answer->age_ms),
                 (long long)answer->max_staleness_ms, ULL(promise->index),
                 ULL((answer->asked_us - promise->at_us) / 1000));
}

void sim_check_answer(struct sim_node *node, const struct sim_answer *answer)
{
    if (!answer->is_valid)
        return;
    check_revoked(node, answer);
    check_promise(node, answer);
    if (answer->max_staleness_ms == KR_UNBOUNDED)
        return;
    uint64_t age_us = sim_check_age_us(answer->looked_index);
    uint64_t bound_us = (uint64_t)answer->max_staleness_ms * 1001 + KR_SIM_SLACK_US;
    if (age_us > bound_us)
        sim_violated('b',
                     "%s says VALID by what it knew at entry %llu, %llu ms after the next one "
                     "took effect; allowed are %lld ms, and it took itself to be %llu ms old",
                     node->id, ULL(answer->looked_index), ULL(age_us / 1000),
                     (long long)answer->max_staleness_ms, ULL(answer->age_ms));
}

// --- the end -------------------------------------------------------------------------------------

static const char *unfit(struct sim_node *node, const struct sim_node *leader)
{
    struct hash128 sums[KR_CLASS_COUNT];
    uint64_t now_ms = sim_clock_boot_us(node, sim.now_us) / 1000;
    if (!node->is_up)
        return "is not up";
    if (node->disk->position.index != leader->disk->position.index)
        return "is not at the leader's index";
    if (!hash_equal(node->disk->position.chain, leader->disk->position.chain))
        return "has another chain";
    if (replica_age_ms(node->replica, now_ms) > 1000)
        return "is not fresh";
    if (node->disk->is_rotten && !sim.has_spread)
        return "has another state";
    sim_state_sums(node->disk, sums);
    for (size_t class = 0; class < KR_CLASS_CORE; class ++)
        if (!hash_equal(sums[class], leader->disk->position.digest[class]))
            return "has another state";
    return NULL;
}

// A process that has just ended, to start with a snapshot, is below nobody.
static bool is_below(const struct sim_node *node, const struct sim_node *above)
{
    if (node->peers == NULL)
        return false;
    for (size_t i = 0; i < node->peers->path.count; i++)
        if (strcmp(node->peers->path.items[i], above->id) == 0)
            return true;
    return false;
}

// Who follows the slow node leaves it once it has no lease to lend, and may then catch up.
static bool is_slow_itself(const struct sim_node *node, const struct sim_node *slow)
{
    uint64_t *below_us = &check()->below_slow_us[node->slot];
    if (is_below(node, slow))
        *below_us = sim.now_us;
    return node == slow || (*below_us != 0 && sim.now_us < *below_us + KR_SIM_DELAYED_US);
}

// It has everything to catch up with: it was removed at last, and set up anew.
static bool is_new(const struct sim_node *node)
{
    return !node->is_up || sim.now_us < node->up_since_us + KR_SIM_DELAYED_US;
}

// One node that nobody follows is slow; the others must not notice.
static void look_at_slow(struct sim_node *none, uint64_t began_us)
{
    const struct sim_node *leader = sim_node_leader(), *slow = &sim.nodes[sim.slow_slot];
    (void)none;
    uint64_t idle_us = sim.now_us - check()->last_known_us;
    if (leader == NULL ||
        (sim.now_us > began_us + KR_SIM_DELAYED_US && idle_us > KR_SIM_DELAYED_US))
        sim_violated('h', "%s is slow, and no write took effect for %llu ms", slow->id,
                     ULL(idle_us / 1000));
    for (unsigned i = 0; i < sim.node_count; i++) {
        const struct sim_node *node = &sim.nodes[i];
        uint64_t age_us = sim_check_age_us(node->disk->position.index);
        if (!is_slow_itself(node, slow) && !is_new(node) && age_us > KR_SIM_DELAYED_US)
            sim_violated('h', "%s is slow, and %s is %llu ms behind", slow->id, node->id,
                         ULL(age_us / 1000));
    }
    if (sim.now_us > began_us + KR_SIM_SLOW_US)
        sim.end_us = sim.now_us;
    else
        sim_after(100000, NULL, look_at_slow, began_us);
}

static void begin_slow(void)
{
    unsigned slot = sim.node_count - 1;
    for (unsigned i = sim.node_count; i-- > 0;)
        if (sim.nodes[i].peers->children == NULL && &sim.nodes[i] != sim_node_leader())
            slot = i;
    sim.slow_slot = slot;
    for (unsigned i = 0; i < sim.node_count; i++)
        sim_net_set_speed(i, slot, 1);
    sim_say("%s is slow now", sim.nodes[slot].id);
    sim_writes_again();
    look_at_slow(NULL, sim.now_us);
}

// The leader's disk is full; another one must lead, and be written to.
static void look_at_full(struct sim_node *none, uint64_t slot)
{
    const struct sim_node *leader = sim_node_leader(), *full = &sim.nodes[slot];
    (void)none;
    uint64_t idle_us = sim.now_us - check()->last_known_us;
    if (leader == NULL || leader == full || idle_us > KR_SIM_DELAYED_US)
        sim_violated('h', "the disk of %s is full, and %s leads; no write took effect for %llu ms",
                     full->id, leader != NULL ? leader->id : "nobody", ULL(idle_us / 1000));
    sim.end_us = sim.now_us;
}

static void begin_full(struct sim_node *leader)
{
    leader->disk->is_full = true;
    sim_say("the disk of %s is full now", leader->id);
    sim_writes_again();
    sim_after(KR_SIM_FULL_US, NULL, look_at_full, leader->slot);
}

static void look_at_end(struct sim_node *none, uint64_t began_us)
{
    struct sim_node *leader = sim_node_leader();
    const char *why = leader == NULL ? "leads" : NULL;
    const char *who = "nobody";
    (void)none;
    for (unsigned i = 0; i < sim.node_count && why == NULL; i++) {
        why = unfit(&sim.nodes[i], leader);
        who = sim.nodes[i].id;
    }
    if (why == NULL && leader->disk->position.index == check()->last) {
        sim_say("all nodes are equal, %llu ms after the last fault",
                ULL((sim.now_us - began_us) / 1000));
        if (sim.is_etcd && sim.core_count > 1 && sim_chance(30))
            begin_full(leader);
        else
            begin_slow();
    } else if (sim.now_us > began_us + KR_SIM_HEAL_US) {
        const char *state = why != NULL && strcmp(why, "has another state") == 0 ? "ef" : "g";
        sim_violated(state[0], "%d s after everything was healed, %s %s", KR_SIM_HEAL_US / 1000000,
                     who, why != NULL ? why : "leads with all that was committed");
    } else {
        sim_after(200000, NULL, look_at_end, began_us);
    }
}

void sim_check_end(void)
{
    sim_after(500000, NULL, look_at_end, sim.now_us);
}
