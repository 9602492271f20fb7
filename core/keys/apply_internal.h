// SPDX-License-Identifier: Apache-2.0
// What the files of apply share: the application of one entry, and an operation a function.
//
// Every operation checks first and writes last, so that a code other than OK has written nothing.
#pragma once

#include "core/keys/apply.h"

// One entry being applied; lives on the stack of apply_entry.
struct apply {
    const struct apply_state *state;
    const struct entry *entry;
    struct arena *arena;
    int64_t at_ms; // the entry's time
    uint64_t keys, purged;
    const char *receipt_target; // NULL: no operation so far has revoked
};

// --- apply.c: shared by the operations -----------------------------------------------------------
// Remembers what the entry's one receipt says: the first target, and the keys of all.
void apply_note_revoked(struct apply *apply, const char *target, uint64_t keys);
// False when the record is missing or deleted; a consumer also when its bucket is.
bool apply_get_live_bucket(const struct apply *apply, const char *id, struct bucket *out);
bool apply_get_live_consumer(const struct apply *apply, const char *id, struct consumer *out,
                             struct bucket *bucket);
// A text that an update gives and that is not the stored one; NULL gives none.
bool apply_differs(const char *given, const char *stored);
void apply_put_due(const struct apply *apply, int64_t at_ms, enum apply_due kind, struct bytes id);

// --- apply_bucket.c ------------------------------------------------------------------------------
enum apply_code apply_bucket_put(struct apply *apply, const struct command_bucket_put *put);
enum apply_code apply_bucket_delete(struct apply *apply, const struct command_target *target);
enum apply_code apply_bucket_revoke(struct apply *apply, const struct command_target *target);

// --- apply_consumer.c ----------------------------------------------------------------------------
enum apply_code apply_consumer_put(struct apply *apply, const struct command_consumer_put *put);
enum apply_code apply_consumer_delete(struct apply *apply, const struct command_target *target);
enum apply_code apply_consumer_revoke(struct apply *apply, const struct command_target *target);
enum apply_code apply_manager_put(struct apply *apply, const struct manager *put);
enum apply_code apply_manager_delete(struct apply *apply,
                                     const struct command_manager_delete *target);

// --- apply_key.c ---------------------------------------------------------------------------------
enum apply_code apply_key_put(struct apply *apply, const struct command_key_put *put);
enum apply_code apply_key_revoke(struct apply *apply, const struct command_key_revoke *revoke);
enum apply_code apply_vault_put(struct apply *apply, const struct sealed *put);
enum apply_code apply_vault_version(struct apply *apply, const struct command_vault_version *put);
// By itself, or by its consumer or bucket.
bool apply_key_is_revoked(const struct apply *apply, const struct key *key);

// --- apply_member.c ------------------------------------------------------------------------------
enum apply_code apply_member_put(struct apply *apply, const struct member *put);
enum apply_code apply_member_remove(struct apply *apply,
                                    const struct command_member_remove *target);
enum apply_code apply_lead(struct apply *apply, const struct command_lead *lead);

// --- apply_purge.c -------------------------------------------------------------------------------
enum apply_code apply_purge(struct apply *apply, const struct command_purge *purge);
