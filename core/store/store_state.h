// SPDX-License-Identifier: Apache-2.0
// The state of one commit under way: core/keys/apply's verbs over the stage, shared by
// store_state*.c and store_apply.c.
#pragma once

#include "core/store/store_internal.h"

struct store_state {
    struct store *store;
    struct fault fault; // the first damage
    struct store_position position;
    uint64_t index; // of the entry under way
    struct store_change *changes;
    size_t change_count, change_capacity;
    // The last records that were decoded, since many keys of one consumer come together.
    const uint8_t *bucket_at, *consumer_at;
    struct bucket bucket;
    struct consumer consumer;
};

void store_state_init(struct store_state *state, struct store *store);
void store_state_fini(struct store_state *state);
struct apply_state store_state_verbs(struct store_state *state); // keeps state

// --- shared by the verbs -------------------------------------------------------------------------
// Remembers that a row of the family is damaged; err OK: it is not.
void store_state_note(struct store_state *state, enum index_family family, enum kr_err err);
// An empty buffer for a record's encoding.
struct buf *store_state_record(struct store_state *state);
bool store_state_get(struct store_state *state, enum index_family family,
                     const struct rows_key *key, struct bytes *value);
// Rows that are in no sum.
void store_state_put(struct store_state *state, enum index_family family,
                     const struct rows_key *key, struct bytes value);
void store_state_delete(struct store_state *state, enum index_family family,
                        const struct rows_key *key);
// Records, which are in their class's sum; "new": there is no such row.
void store_state_put_new_record(struct store_state *state, enum store_class class,
                                enum index_family family, const struct rows_key *key,
                                struct bytes value);
void store_state_put_record(struct store_state *state, enum store_class class,
                            enum index_family family, const struct rows_key *key,
                            struct bytes value);
void store_state_delete_record(struct store_state *state, enum store_class class,
                               enum index_family family, const struct rows_key *key);
// Fill in the verbs of store_state_core.c and of store_state_member.c.
void store_state_add_core(struct apply_state *verbs);
void store_state_add_member(struct apply_state *verbs);
// Takes out what a follower does not hold; due rows look for themselves.
void store_state_keep_part(struct apply_state *verbs);
static inline bool store_state_holds_core(const struct store_state *state)
{
    return state->store->options.holding == KR_HOLD_ALL;
}
