// SPDX-License-Identifier: Apache-2.0
// A small state in memory behind the verbs of apply, for tests.
//
// Rows stand in arrays inside the struct and texts in an arena that only grows, so that a copy of
// the struct is a snapshot: assigning it back is the rollback that the store makes of a failed
// entry. Lists (tags, scopes) are the tests' own static ones and not copied.
#pragma once

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/keys/apply.h"

enum { FAKE_FEW = 16, FAKE_SOME = 64, FAKE_MANY = 1024 };

struct fake_name {
    const char *scope, *name, *id; // scope: the bucket's id, "" for buckets
};

struct fake_count {
    char what;
    const char *id;
    uint64_t value;
};

struct fake {
    struct arena *texts;
    unsigned writes;
    struct bucket buckets[FAKE_FEW];
    struct consumer consumers[FAKE_SOME];
    struct fake_name names[FAKE_SOME];
    struct key keys[FAKE_SOME];
    struct manager managers[FAKE_SOME];
    struct sealed sealed[FAKE_SOME];
    struct sealed_versions sealed_versions;
    struct idempotency answers[FAKE_SOME];
    struct receipt receipts[FAKE_MANY];
    struct audit audits[FAKE_FEW]; // a ring
    struct apply_due_row due[FAKE_MANY];
    struct fake_count counts[FAKE_MANY];
    struct command_cluster_init cluster;
    struct member members[FAKE_MANY];
    struct leader leader; // member_id NULL: none
    size_t member_count, bucket_count, consumer_count, name_count, key_count, manager_count,
        sealed_count, answer_count, receipt_count, audit_count, due_count, count_count;
};

// The row at position (a variable), or a new one at the end.
#define FAKE_PLACE(rows, count, position)                                                          \
    (assert((position) < sizeof(rows) / sizeof((rows)[0])),                                        \
     (count) = (position) < (count) ? (count) : (position) + 1, &(rows)[position])
// Removes a row, keeping the order of the others.
#define FAKE_DROP(rows, count, position)                                                           \
    ((count)--, memmove(&(rows)[position], &(rows)[(position) + 1],                                \
                        ((count) - (position)) * sizeof((rows)[0])))

static inline const char *fake_text(struct fake *fake, const char *text)
{
    return arena_text(fake->texts, text);
}

static inline struct bytes fake_bytes(struct fake *fake, struct bytes bytes)
{
    return bytes_of(arena_text_of(fake->texts, bytes), bytes.size);
}

// --- positions: the count when there is no such row ----------------------------------------------
static inline size_t fake_bucket(const struct fake *fake, const char *id)
{
    size_t i = 0;
    while (i < fake->bucket_count && strcmp(fake->buckets[i].id, id) != 0)
        i++;
    return i;
}

static inline size_t fake_consumer(const struct fake *fake, const char *id)
{
    size_t i = 0;
    while (i < fake->consumer_count && strcmp(fake->consumers[i].id, id) != 0)
        i++;
    return i;
}

static inline size_t fake_name(const struct fake *fake, const char *scope, const char *name)
{
    size_t i = 0;
    while (i < fake->name_count &&
           (strcmp(fake->names[i].scope, scope) != 0 || strcmp(fake->names[i].name, name) != 0))
        i++;
    return i;
}

static inline size_t fake_key(const struct fake *fake, const uint8_t digest[KR_DIGEST_SIZE])
{
    size_t i = 0;
    while (i < fake->key_count && memcmp(fake->keys[i].digest, digest, KR_DIGEST_SIZE) != 0)
        i++;
    return i;
}

static inline size_t fake_key_id(const struct fake *fake, const char *id)
{
    size_t i = 0;
    while (i < fake->key_count && strcmp(fake->keys[i].id, id) != 0)
        i++;
    return i;
}

static inline size_t fake_manager(const struct fake *fake, const char *consumer_id, const char *id)
{
    size_t i = 0;
    while (i < fake->manager_count && (strcmp(fake->managers[i].consumer_id, consumer_id) != 0 ||
                                       strcmp(fake->managers[i].id, id) != 0))
        i++;
    return i;
}

static inline size_t fake_sealed(const struct fake *fake, const char *key_id)
{
    size_t i = 0;
    while (i < fake->sealed_count && strcmp(fake->sealed[i].key_id, key_id) != 0)
        i++;
    return i;
}

static inline size_t fake_answer(const struct fake *fake, const uint8_t scope[KR_DIGEST_SIZE])
{
    size_t i = 0;
    while (i < fake->answer_count && memcmp(fake->answers[i].scope, scope, KR_DIGEST_SIZE) != 0)
        i++;
    return i;
}

static inline size_t fake_receipt(const struct fake *fake, uint64_t index)
{
    size_t i = 0;
    while (i < fake->receipt_count && fake->receipts[i].index != index)
        i++;
    return i;
}

static inline int fake_compare_due(const struct apply_due_row *a, const struct apply_due_row *b)
{
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->id.size != b->id.size)
        return a->id.size < b->id.size ? -1 : 1;
    return memcmp(a->id.data, b->id.data, a->id.size);
}

static inline size_t fake_due(const struct fake *fake, const struct apply_due_row *row)
{
    size_t i = 0;
    while (i < fake->due_count && fake_compare_due(&fake->due[i], row) != 0)
        i++;
    return i;
}

static inline size_t fake_count(const struct fake *fake, char what, const char *id)
{
    size_t i = 0;
    while (i < fake->count_count &&
           (fake->counts[i].what != what || strcmp(fake->counts[i].id, id) != 0))
        i++;
    return i;
}

// --- names ---------------------------------------------------------------------------------------
static inline bool fake_get_name(void *ctx, const char *scope, const char *name, const char **id)
{
    const struct fake *fake = ctx;
    size_t at = fake_name(fake, scope, name);
    if (at == fake->name_count)
        return false;
    *id = fake->names[at].id;
    return true;
}

static inline void fake_put_name(struct fake *fake, const char *scope, const char *name,
                                 const char *id)
{
    size_t at = fake_name(fake, scope, name);
    struct fake_name *row = FAKE_PLACE(fake->names, fake->name_count, at);
    *row = (struct fake_name){fake_text(fake, scope), fake_text(fake, name), fake_text(fake, id)};
}

static inline void fake_free_name(struct fake *fake, const char *scope, const char *name,
                                  const char *id)
{
    size_t at = fake_name(fake, scope, name);
    if (at < fake->name_count && strcmp(fake->names[at].id, id) == 0)
        FAKE_DROP(fake->names, fake->name_count, at);
}

#include "fake_member.h"
#include "fake_sealed.h"

// --- the verbs -----------------------------------------------------------------------------------
static inline bool fake_get_bucket(void *ctx, const char *id, struct bucket *out)
{
    struct fake *fake = ctx;
    size_t at = fake_bucket(fake, id);
    if (at == fake->bucket_count)
        return false;
    *out = fake->buckets[at];
    return true;
}

static inline bool fake_get_bucket_id(void *ctx, const char *name, const char **id)
{
    return fake_get_name(ctx, "", name, id);
}

static inline void fake_put_bucket(void *ctx, const struct bucket *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct bucket copy = *record;
    copy.id = fake_text(fake, record->id);
    copy.name = fake_text(fake, record->name);
    copy.description = fake_text(fake, record->description);
    copy.key_prefix = fake_text(fake, record->key_prefix);
    size_t at = fake_bucket(fake, record->id);
    *FAKE_PLACE(fake->buckets, fake->bucket_count, at) = copy;
    if (!copy.is_deleted)
        fake_put_name(fake, "", copy.name, copy.id);
}

static inline void fake_free_bucket_name(void *ctx, const struct bucket *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    fake_free_name(fake, "", record->name, record->id);
}

static inline void fake_delete_bucket(void *ctx, const struct bucket *record)
{
    struct fake *fake = ctx;
    size_t at = fake_bucket(fake, record->id);
    fake_free_bucket_name(fake, record);
    assert(at < fake->bucket_count);
    FAKE_DROP(fake->buckets, fake->bucket_count, at);
}

static inline bool fake_get_consumer(void *ctx, const char *id, struct consumer *out)
{
    struct fake *fake = ctx;
    size_t at = fake_consumer(fake, id);
    if (at == fake->consumer_count)
        return false;
    *out = fake->consumers[at];
    return true;
}

static inline bool fake_get_live_consumer_bucket(void *ctx, const char *id, const char **bucket_id)
{
    struct consumer consumer;
    if (!fake_get_consumer(ctx, id, &consumer) || consumer.is_deleted)
        return false;
    *bucket_id = consumer.bucket_id;
    return true;
}

static inline void fake_put_consumer(void *ctx, const struct consumer *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct consumer copy = *record;
    copy.id = fake_text(fake, record->id);
    copy.bucket_id = fake_text(fake, record->bucket_id);
    copy.name = fake_text(fake, record->name);
    copy.description = fake_text(fake, record->description);
    copy.metadata = fake_text(fake, record->metadata);
    size_t at = fake_consumer(fake, record->id);
    *FAKE_PLACE(fake->consumers, fake->consumer_count, at) = copy;
    if (!copy.is_deleted)
        fake_put_name(fake, copy.bucket_id, copy.name, copy.id);
}

static inline void fake_free_consumer_name(void *ctx, const struct consumer *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    fake_free_name(fake, record->bucket_id, record->name, record->id);
}

static inline void fake_delete_consumer(void *ctx, const struct consumer *record)
{
    struct fake *fake = ctx;
    size_t at = fake_consumer(fake, record->id);
    fake_free_consumer_name(fake, record);
    assert(at < fake->consumer_count);
    FAKE_DROP(fake->consumers, fake->consumer_count, at);
}

static inline bool fake_has_digest(void *ctx, const uint8_t digest[KR_DIGEST_SIZE])
{
    const struct fake *fake = ctx;
    for (size_t i = 0; i < fake->key_count; i++)
        if (memcmp(fake->keys[i].digest, digest, KR_DIGEST_UNIQUE_BYTES) == 0)
            return true;
    return false;
}

static inline bool fake_get_key(void *ctx, const uint8_t digest[KR_DIGEST_SIZE], struct key *out)
{
    struct fake *fake = ctx;
    size_t at = fake_key(fake, digest);
    if (at == fake->key_count)
        return false;
    *out = fake->keys[at];
    return true;
}

static inline bool fake_has_key_id(void *ctx, const char *id)
{
    struct fake *fake = ctx;
    return fake_key_id(fake, id) < fake->key_count;
}

static inline void fake_put_key(void *ctx, const struct key *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct key copy = *record;
    copy.id = fake_text(fake, record->id);
    copy.bucket_id = fake_text(fake, record->bucket_id);
    copy.consumer_id = fake_text(fake, record->consumer_id);
    copy.description = fake_text(fake, record->description);
    copy.metadata = fake_text(fake, record->metadata);
    copy.masked = fake_text(fake, record->masked);
    copy.created_by = fake_text(fake, record->created_by);
    copy.rotated_from = fake_text(fake, record->rotated_from);
    size_t at = fake_key(fake, record->digest);
    *FAKE_PLACE(fake->keys, fake->key_count, at) = copy;
}

static inline void fake_delete_key(void *ctx, const struct key *record)
{
    struct fake *fake = ctx;
    size_t at = fake_key(fake, record->digest), box = fake_sealed(fake, record->id);
    fake->writes++;
    assert(at < fake->key_count);
    FAKE_DROP(fake->keys, fake->key_count, at);
    if (box < fake->sealed_count)
        FAKE_DROP(fake->sealed, fake->sealed_count, box);
}

static inline bool fake_get_manager(void *ctx, const char *consumer_id, const char *manager_id,
                                    struct manager *out)
{
    struct fake *fake = ctx;
    size_t at = fake_manager(fake, consumer_id, manager_id);
    if (at == fake->manager_count)
        return false;
    *out = fake->managers[at];
    return true;
}

static inline void fake_put_manager(void *ctx, const struct manager *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct manager copy = *record;
    copy.id = fake_text(fake, record->id);
    copy.consumer_id = fake_text(fake, record->consumer_id);
    copy.email = fake_text(fake, record->email);
    copy.sub = fake_text(fake, record->sub);
    size_t at = fake_manager(fake, record->consumer_id, record->id);
    *FAKE_PLACE(fake->managers, fake->manager_count, at) = copy;
}

static inline void fake_delete_manager(void *ctx, const struct manager *record)
{
    struct fake *fake = ctx;
    size_t at = fake_manager(fake, record->consumer_id, record->id);
    fake->writes++;
    assert(at < fake->manager_count);
    FAKE_DROP(fake->managers, fake->manager_count, at);
}

static inline bool fake_get_idempotency(void *ctx, const uint8_t scope[KR_DIGEST_SIZE],
                                        struct idempotency *out)
{
    struct fake *fake = ctx;
    size_t at = fake_answer(fake, scope);
    if (at == fake->answer_count)
        return false;
    *out = fake->answers[at];
    return true;
}

static inline void fake_put_idempotency(void *ctx, const struct idempotency *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct idempotency copy = *record;
    copy.answer = fake_bytes(fake, record->answer);
    size_t at = fake_answer(fake, record->scope);
    *FAKE_PLACE(fake->answers, fake->answer_count, at) = copy;
}

static inline void fake_delete_idempotency(void *ctx, const uint8_t scope[KR_DIGEST_SIZE])
{
    struct fake *fake = ctx;
    size_t at = fake_answer(fake, scope);
    fake->writes++;
    assert(at < fake->answer_count);
    FAKE_DROP(fake->answers, fake->answer_count, at);
}

static inline void fake_put_receipt(void *ctx, const struct receipt *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct receipt copy = *record;
    copy.target = fake_text(fake, record->target);
    size_t at = fake_receipt(fake, record->index);
    *FAKE_PLACE(fake->receipts, fake->receipt_count, at) = copy;
}

static inline void fake_delete_receipt(void *ctx, uint64_t index)
{
    struct fake *fake = ctx;
    size_t at = fake_receipt(fake, index);
    fake->writes++;
    assert(at < fake->receipt_count);
    FAKE_DROP(fake->receipts, fake->receipt_count, at);
}

static inline void fake_put_audit(void *ctx, const struct audit *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    fake->audits[fake->audit_count++ % FAKE_FEW] = *record;
}

static inline void fake_put_cluster(void *ctx, const struct command_cluster_init *record)
{
    struct fake *fake = ctx;
    fake->writes++;
    fake->cluster.cluster_id = fake_text(fake, record->cluster_id);
    fake->cluster.account_id = fake_text(fake, record->account_id);
    fake->cluster.account_name = fake_text(fake, record->account_name);
}

static inline void fake_put_due(void *ctx, const struct apply_due_row *row)
{
    struct fake *fake = ctx;
    fake->writes++;
    struct apply_due_row copy = *row;
    copy.id = fake_bytes(fake, row->id);
    size_t at = fake_due(fake, row);
    *FAKE_PLACE(fake->due, fake->due_count, at) = copy;
}

static inline void fake_delete_due(void *ctx, const struct apply_due_row *row)
{
    struct fake *fake = ctx;
    size_t at = fake_due(fake, row);
    fake->writes++;
    assert(at < fake->due_count);
    FAKE_DROP(fake->due, fake->due_count, at);
}

static inline bool fake_first_due(void *ctx, enum apply_due_group group, int64_t until_ms,
                                  struct apply_due_row *out)
{
    struct fake *fake = ctx;
    bool is_found = false;
    for (size_t i = 0; i < fake->due_count; i++) {
        if (fake->due[i].at_ms > until_ms || apply_due_group(fake->due[i].kind) != group ||
            (is_found && fake_compare_due(&fake->due[i], out) > 0))
            continue;
        *out = fake->due[i];
        is_found = true;
    }
    return is_found;
}

static inline bool fake_first_consumer(void *ctx, const char *bucket_id, struct consumer *out)
{
    struct fake *fake = ctx;
    for (size_t i = 0; i < fake->consumer_count; i++) {
        *out = fake->consumers[i];
        if (strcmp(out->bucket_id, bucket_id) == 0)
            return true;
    }
    return false;
}

static inline bool fake_first_key(void *ctx, const char *consumer_id, struct key *out)
{
    struct fake *fake = ctx;
    for (size_t i = 0; i < fake->key_count; i++) {
        *out = fake->keys[i];
        if (strcmp(out->consumer_id, consumer_id) == 0)
            return true;
    }
    return false;
}

static inline bool fake_first_manager(void *ctx, const char *consumer_id, struct manager *out)
{
    struct fake *fake = ctx;
    for (size_t i = 0; i < fake->manager_count; i++) {
        *out = fake->managers[i];
        if (strcmp(out->consumer_id, consumer_id) == 0)
            return true;
    }
    return false;
}

static inline uint64_t fake_get_count(void *ctx, char what, const char *id)
{
    struct fake *fake = ctx;
    size_t at = fake_count(fake, what, id);
    return at < fake->count_count ? fake->counts[at].value : 0;
}

static inline void fake_add_count(void *ctx, char what, const char *id, int64_t by)
{
    struct fake *fake = ctx;
    size_t at = fake_count(fake, what, id);
    fake->writes++;
    uint64_t value = fake_get_count(fake, what, id) + (uint64_t)by;
    assert(value <= INT64_MAX); // never below zero
    *FAKE_PLACE(fake->counts, fake->count_count, at) =
        (struct fake_count){what, fake_text(fake, id), value};
}

static inline struct apply_state fake_verbs(struct fake *fake)
{
    return (struct apply_state){.ctx = fake,
                                .get_bucket = fake_get_bucket,
                                .get_bucket_id = fake_get_bucket_id,
                                .put_bucket = fake_put_bucket,
                                .delete_bucket = fake_delete_bucket,
                                .free_bucket_name = fake_free_bucket_name,
                                .get_consumer = fake_get_consumer,
                                .get_consumer_id = fake_get_name,
                                .get_live_consumer_bucket = fake_get_live_consumer_bucket,
                                .put_consumer = fake_put_consumer,
                                .delete_consumer = fake_delete_consumer,
                                .free_consumer_name = fake_free_consumer_name,
                                .has_digest = fake_has_digest,
                                .get_key = fake_get_key,
                                .has_key_id = fake_has_key_id,
                                .put_key = fake_put_key,
                                .delete_key = fake_delete_key,
                                .get_manager = fake_get_manager,
                                .put_manager = fake_put_manager,
                                .delete_manager = fake_delete_manager,
                                .put_sealed = fake_put_sealed,
                                .get_sealed_versions = fake_get_sealed_versions,
                                .put_sealed_versions = fake_put_sealed_versions,
                                .get_idempotency = fake_get_idempotency,
                                .put_idempotency = fake_put_idempotency,
                                .delete_idempotency = fake_delete_idempotency,
                                .put_receipt = fake_put_receipt,
                                .delete_receipt = fake_delete_receipt,
                                .put_audit = fake_put_audit,
                                .put_cluster = fake_put_cluster,
                                .get_member = fake_get_member,
                                .put_member = fake_put_member,
                                .get_leader = fake_get_leader,
                                .put_leader = fake_put_leader,
                                .put_due = fake_put_due,
                                .delete_due = fake_delete_due,
                                .first_due = fake_first_due,
                                .first_consumer = fake_first_consumer,
                                .first_key = fake_first_key,
                                .first_manager = fake_first_manager,
                                .get_count = fake_get_count,
                                .add_count = fake_add_count};
}

// Applies, and rolls back what a failed entry wrote.
static inline struct apply_result fake_apply(struct fake *fake, const struct entry *entry)
{
    static struct fake before;
    before = *fake;
    struct apply_state verbs = fake_verbs(fake);
    struct apply_result result = apply_entry(&verbs, entry, fake->texts);
    if (result.code != KR_APPLY_OK)
        *fake = before;
    return result;
}
