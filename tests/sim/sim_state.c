// SPDX-License-Identifier: Apache-2.0
// The state in memory, and the disk that it comes from.
#include "tests/sim/sim_state.h"

#include <stdio.h>

#include "proto/codec.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_check.h"

// --- applying ------------------------------------------------------------------------------------

static struct apply_result apply_one(struct sim_state *state, const struct entry *entry)
{
    static struct fake before;
    struct store_position position = state->position;
    before = state->fake;
    struct apply_state verbs = sim_state_apply_verbs(state);
    struct apply_result result = apply_entry(&verbs, entry, &state->texts);
    if (result.code != KR_APPLY_OK) {
        state->fake = before;
        state->position = position;
    }
    return result;
}

static void add_log(struct sim_state *state, const struct sim_log_row *row)
{
    if (state->log_count == state->log_capacity) {
        state->log_capacity = state->log_capacity * 2 + 64;
        state->log = mem_realloc(state->log, state->log_capacity * sizeof(*state->log));
    }
    struct sim_log_row *copy = &state->log[state->log_count++];
    *copy = *row;
    copy->entry = sim_rows_copy(row->entry);
    copy->checksum = hash_u64(row->entry, row->index);
    if (state->log_first == 0)
        state->log_first = row->index;
}

static void step_position(struct sim_state *state, uint64_t index, uint64_t epoch,
                          struct hash128 chain)
{
    state->position.index = index;
    state->position.epoch = epoch;
    state->position.chain = chain;
    sim_check_applied(state->node, index, epoch, chain, state->position.digest);
}

// A whole entry.
static enum kr_err apply_whole(struct sim_state *state, uint64_t index, struct bytes bytes,
                               struct apply_result *result, struct fault *fault)
{
    struct entry entry;
    bool is_origin = !sim.is_etcd && state->node == sim.appointed && state->is_open;
    enum kr_err err = codec_entry(bytes, &state->texts, &entry);
    if (err != KR_ERR_OK || entry.index != index || index != state->position.index + 1)
        return fault_set(fault, KR_ERR_CORRUPT, "entry %llu cannot be applied behind %llu",
                         (unsigned long long)index, (unsigned long long)state->position.index);
    if (is_origin)
        sim_check_committed(index, entry.epoch, bytes);
    *result = apply_one(state, &entry);
    for (size_t i = 0; i < entry.command.op_count && result->code == KR_APPLY_OK; i++)
        sim_check_effect(index, entry.epoch, &entry.command.ops[i]);
    struct sim_log_row row = {.index = index,
                              .epoch = entry.epoch,
                              .chain = hash_chain(state->position.chain, bytes),
                              .has_effect = result->code == KR_APPLY_OK,
                              .entry = bytes};
    add_log(state, &row);
    step_position(state, index, row.epoch, row.chain);
    return KR_ERR_OK;
}

// A follower's part of an entry.
static enum kr_err apply_part(struct sim_state *state, const struct store_stream_row *row,
                              struct fault *fault)
{
    struct entry entry;
    if (row->entry.size > 0) {
        enum kr_err err = codec_entry(row->entry, &state->texts, &entry);
        if (err != KR_ERR_OK || entry.index != row->index || entry.epoch != row->epoch)
            return fault_set(fault, KR_ERR_CORRUPT, "a part cannot be read");
        if (apply_one(state, &entry).code != KR_APPLY_OK)
            return fault_set(fault, KR_ERR_CORRUPT, "entry %llu has no effect here",
                             (unsigned long long)row->index);
    }
    add_log(state, &(struct sim_log_row){.index = row->index,
                                         .epoch = row->epoch,
                                         .chain = row->chain,
                                         .has_effect = row->entry.size > 0,
                                         .entry = row->entry});
    step_position(state, row->index, row->epoch, row->chain);
    return KR_ERR_OK;
}

// --- syncing -------------------------------------------------------------------------------------

static bool waits_for_disk(const struct sim_state *state)
{
    return state->holding == KR_HOLD_ALL && !sim.is_etcd;
}

// The rows behind `before` are written, and synced where commits wait for that. A process that dies
// at this point goes on like a ghost to the end of its event: nothing that it does is seen
// (is_dying).
static void write_down(struct sim_state *state, size_t before)
{
    size_t added = state->log_count - before;
    if (state->node->is_dying)
        return;
    state->written_count = state->log_count;
    if (state->dies == 1)
        state->written_count = before;
    else if (state->dies == 2)
        state->written_count = before + (size_t)sim_below(added + 1);
    if (sim_is_broken(KR_SIM_ACK_BEFORE_SYNC) && state->dies == 0)
        state->written_us = sim.now_us;
    else if (waits_for_disk(state))
        state->synced_count = state->written_count;
    if (state->dies != 0) {
        sim_say("dies while it writes: %zu of %zu rows are there", state->written_count - before,
                added);
        state->node->is_dying = state->node->has_failed = true;
        state->dies = 0;
        return;
    }
    sim_check_holds(state->node);
}

static enum kr_err apply(void *ctx, const struct store_row *rows, size_t count,
                         struct apply_result results[], struct fault *fault)
{
    struct sim_state *state = ctx;
    enum kr_err err = KR_ERR_OK;
    size_t before = state->log_count;
    if (state->is_full)
        return sim_state_check_room(ctx, count, fault);
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++)
        err = apply_whole(state, rows[i].index, rows[i].entry, &results[i], fault);
    write_down(state, before);
    return state->node->is_dying ? KR_ERR_IO : err;
}

static enum kr_err differs(const struct store_stream_row *row, struct fault *fault)
{
    return fault_set(fault, KR_ERR_CONFLICT, "entry %llu of epoch %llu does not fit",
                     (unsigned long long)row->index, (unsigned long long)row->epoch);
}

static enum kr_err apply_row(struct sim_state *state, const struct store_stream_row *row,
                             struct fault *fault)
{
    struct apply_result result;
    if (row->index != state->position.index + 1)
        return fault_set(fault, KR_ERR_CORRUPT, "entry %llu is not the next",
                         (unsigned long long)row->index);
    if (row->epoch < state->position.epoch)
        return differs(row, fault);
    if (state->holding != KR_HOLD_ALL)
        return apply_part(state, row, fault);
    struct hash128 chain = hash_chain(state->position.chain, row->entry);
    if (!hash_equal(chain, row->chain) && !sim_is_broken(KR_SIM_CHAIN_UNCHECKED))
        return differs(row, fault);
    return apply_whole(state, row->index, row->entry, &result, fault);
}

static enum kr_err stream_apply(void *ctx, const struct store_stream_row *rows, size_t count,
                                struct fault *fault)
{
    struct sim_state *state = ctx;
    enum kr_err err = KR_ERR_OK;
    size_t before = state->log_count;
    if (state->is_full)
        return sim_state_check_room(ctx, count, fault);
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++)
        err = apply_row(state, &rows[i], fault);
    write_down(state, before);
    return state->node->is_dying ? KR_ERR_IO : err;
}

// --- reading -------------------------------------------------------------------------------------

static uint64_t safe_index(void *ctx)
{
    const struct sim_state *state = ctx;
    if (state->holding != KR_HOLD_ALL)
        return 0;
    return sim_is_broken(KR_SIM_TRIM_UNFLUSHED) ? state->position.index
                                                : state->base_position.index + state->synced_count;
}

static void get_position(void *ctx, struct store_position *out)
{
    *out = ((struct sim_state *)ctx)->position;
}

static uint64_t applied_index(void *ctx)
{
    return ((struct sim_state *)ctx)->position.index;
}

static uint64_t log_first(void *ctx)
{
    return ((struct sim_state *)ctx)->log_first;
}

static enum kr_err stream_read(void *ctx, uint64_t index, enum store_holding child,
                               struct arena *arena, struct store_stream_row *out,
                               struct fault *fault)
{
    struct sim_state *state = ctx;
    struct buf part;
    if (child == KR_HOLD_ALL && state->holding != KR_HOLD_ALL)
        return fault_set(fault, KR_ERR_UNSUPPORTED, "a follower cannot feed a core node");
    if (state->log_first == 0 || index < state->log_first || index > state->position.index)
        return KR_ERR_NOT_FOUND;
    const struct sim_log_row *row = &state->log[index - state->base_position.index - 1];
    *out = (struct store_stream_row){.index = index, .epoch = row->epoch, .chain = row->chain};
    if (child == state->holding) {
        out->entry = row->entry;
        return KR_ERR_OK;
    }
    if (!row->has_effect)
        return KR_ERR_OK;
    buf_init_fixed(&part, arena_alloc(arena, row->entry.size), row->entry.size);
    enum kr_err err = codec_entry_filter(row->entry, &part);
    out->entry = buf_bytes(&part);
    return err;
}

static void fill_member(const struct member *member, struct state_member *out)
{
    *out = (struct state_member){.is_core = member->role == KR_MEMBER_CORE,
                                 .is_removed = member->is_removed,
                                 .added_ms = member->added_ms};
    snprintf(out->id, sizeof(out->id), "%s", member->id);
    snprintf(out->region, sizeof(out->region), "%s", member->region);
    snprintf(out->peer_address, sizeof(out->peer_address), "%s", member->peer_address);
    snprintf(out->http_address, sizeof(out->http_address), "%s",
             member->http_address != NULL ? member->http_address : "");
}

static bool find_member(void *ctx, const char *id, struct state_member *out)
{
    struct member member;
    if (!fake_get_member(ctx, id, &member))
        return false;
    fill_member(&member, out);
    return true;
}

static void each_member(void *ctx, state_member_fn *visit, void *visit_ctx)
{
    const struct sim_state *state = ctx;
    for (size_t i = 0; i < state->fake.member_count; i++) {
        struct state_member member;
        fill_member(&state->fake.members[i], &member);
        visit(visit_ctx, &member);
    }
}

void sim_state_trim(struct sim_state *state)
{
    uint64_t index = state->position.index;
    if (state->log_first != 0 && index >= state->log_first + state->retention)
        state->log_first = index - state->retention + 1;
}

bool sim_state_flush(struct sim_state *state)
{
    if (state->flushing_count > 0 || state->synced_count == state->written_count)
        return false;
    state->flushing_count = state->written_count;
    return true;
}

void sim_state_flushed(struct sim_state *state)
{
    state->synced_count = state->flushing_count;
    state->flushing_count = 0;
}

void sim_state_snapshots(struct state *out); // sim_snapshot.c

void sim_state_verbs(struct sim_state *state, struct state *out)
{
    *out = (struct state){.ctx = state,
                          .holding = state->holding,
                          .position = get_position,
                          .safe_index = safe_index,
                          .applied_index = applied_index,
                          .apply = apply,
                          .log_first = log_first,
                          .stream_read = stream_read,
                          .stream_apply = stream_apply,
                          .member = find_member,
                          .each_member = each_member};
    sim_state_snapshots(out);
    sim_state_health(out);
}

// --- the disk ------------------------------------------------------------------------------------

struct sim_state *sim_state_new(struct sim_node *node, enum store_holding holding)
{
    struct sim_state *state = mem_zalloc(sizeof(*state));
    state->node = node;
    state->holding = holding;
    state->retention = UINT64_MAX / 2;
    arena_init(&state->texts);
    return state;
}

static void cut_log(struct sim_state *state, size_t count)
{
    while (state->log_count > count)
        mem_free((void *)(uintptr_t)state->log[--state->log_count].entry.data);
}

void sim_state_free(struct sim_state **state)
{
    struct sim_state *gone = *state;
    cut_log(gone, 0);
    mem_free(gone->log);
    sim_rows_fini(&gone->base);
    sim_rows_fini(&gone->incoming);
    sim_rows_fini(&gone->next);
    arena_fini(&gone->texts);
    mem_free(gone);
    *state = NULL;
}

static void take_next(struct sim_state *state)
{
    if (!state->has_next)
        return;
    cut_log(state, 0);
    state->written_count = state->synced_count = 0;
    sim_rows_fini(&state->base);
    state->base = state->next;
    state->base_position = state->next_position;
    state->next = (struct sim_rows){0};
    state->has_next = state->is_wrong = state->may_lack = false;
    state->log_first = 0;
    sim_say("starts with the snapshot at entry %llu",
            (unsigned long long)state->base_position.index);
}

static bool replay(struct sim_state *state, const struct sim_log_row *row)
{
    struct entry entry;
    if (row->checksum != hash_u64(row->entry, row->index))
        return false;
    if (state->holding == KR_HOLD_ALL &&
        !hash_equal(hash_chain(state->position.chain, row->entry), row->chain))
        return false;
    if (row->entry.size > 0) {
        if (codec_entry(row->entry, &state->texts, &entry) != KR_ERR_OK)
            return false;
        if ((apply_one(state, &entry).code == KR_APPLY_OK) != row->has_effect)
            return false;
    }
    step_position(state, row->index, row->epoch, row->chain);
    return true;
}

bool sim_state_open(struct sim_state *state)
{
    state->is_rotten = false;
    take_next(state);
    arena_fini(&state->texts);
    arena_init(&state->texts);
    memset(&state->fake, 0, sizeof(state->fake));
    state->fake.texts = &state->texts;
    state->position = state->base_position;
    if (!sim_rows_load(&state->base, &state->fake))
        return false;
    // A snapshot may have come from a node whose damage was not found yet.
    for (size_t i = 0; i < state->fake.key_count; i++)
        state->is_rotten |= state->fake.keys[i].created_ms != KR_SIM_KEY_CREATED_MS;
    if (state->base_position.index > 0) {
        struct hash128 sums[KR_CLASS_COUNT];
        sim_state_sums(state, sums);
        memcpy(state->position.digest, sums, sizeof(sums));
        sim_check_applied(state->node, state->position.index, state->position.epoch,
                          state->position.chain, state->position.digest);
    }
    for (size_t i = 0; i < state->log_count; i++) {
        if (!replay(state, &state->log[i]))
            return false;
    }
    state->is_open = true;
    return true;
}

// As node/housekeeping.c.
void sim_state_caught_up(struct sim_state *state)
{
    state->may_lack &= state->node->is_dying;
}

// Of what was not synced a power cut leaves what it likes, from the front.
static size_t left_by_power_cut(const struct sim_state *state)
{
    if (sim_is_broken(KR_SIM_ACK_BEFORE_SYNC) && waits_for_disk(state))
        return sim.now_us > state->written_us + 300000 ? state->written_count : state->synced_count;
    if (sim_is_broken(KR_SIM_TRIM_UNFLUSHED)) // all core nodes have to lose enough
        return state->synced_count;
    return state->synced_count + (size_t)sim_below(state->written_count - state->synced_count + 1);
}

void sim_state_shut(struct sim_state *state, bool is_power_cut)
{
    state->is_open = false;
    state->dies = 0;
    state->may_lack |= is_power_cut && !waits_for_disk(state);
    cut_log(state, is_power_cut ? left_by_power_cut(state) : state->written_count);
    state->written_count = state->synced_count = state->log_count; // the next start makes tables
    state->flushing_count = 0;
    if (is_power_cut && state->has_incoming && state->incoming.count > state->incoming_safe) {
        for (size_t i = state->incoming_safe; i < state->incoming.count; i++) {
            mem_free((void *)(uintptr_t)state->incoming.items[i].key.data);
            mem_free((void *)(uintptr_t)state->incoming.items[i].value.data);
        }
        state->incoming.count = state->incoming_safe;
    }
}
