// SPDX-License-Identifier: Apache-2.0
// The hot table: every key of the node in memory, read without a lock, written by one thread.
//
// Open addressing over 64-byte buckets of four 16-byte slots (XXH3-64 of the digest under a secret
// per-process seed, and a record's address), ≤ 0.85 full, grown a few buckets at a time: readers
// look in the old table, then in the new one; the writer publishes in the new before it clears the
// old. Records are 64 bytes, immutable but for last_used, and retired through RCU (liburcu QSBR).
// An older revision never replaces a newer one. Two keys whose digests begin alike (nothing makes
// such a pair any more) have one record, which says so and stays.
//
// Threading: hot_find* by registered reader threads, results valid until that thread's next
// hot_quiescent or hot_offline. Everything under "writer" by one thread at a time (the caller's
// lock).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/bytes.h"
#include "core/base/cidr.h"
#include "core/keys/model.h"

#define KR_HOT_DIGEST_BYTES KR_DIGEST_UNIQUE_BYTES

enum hot_flag {
    KR_HOT_REVOKED = 1,
    KR_HOT_DISABLED = 2,
    KR_HOT_EXTRA = 4, // number names a hot_extra, which names the subject
    KR_HOT_CUSTOM = 8,
    KR_HOT_REMOVED = 16, // a deletion remembered while the table is being loaded
    KR_HOT_SHARED = 32   // of two keys, or one that is left of two: only the index tells them apart
};

struct hot_record {
    uint8_t digest[KR_HOT_DIGEST_BYTES];
    uint8_t id[18];         // text_pack24 of what stands behind "key_"
    uint16_t flags;         // enum hot_flag
    uint32_t number;        // of the subject, or of the extra
    uint32_t last_used_min; // Unix minutes, 0 never; relaxed atomic, the one mutable field
    uint8_t expires[6];     // little-endian Unix ms, 0 never
    uint8_t revision[6];    // little-endian log index
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct hot_record) == 64, "a record is one cache line");

// In two loads: six bytes copied into a word would be read back before they have left the store
// buffer in one piece, which stalls the processor for a dozen cycles.
static inline uint64_t hot_record_u48(const uint8_t in[6])
{
    uint32_t low = 0;
    uint16_t high = 0;
    memcpy(&low, in, sizeof(low));
    memcpy(&high, in + sizeof(low), sizeof(high));
    return low | (uint64_t)high << 32;
}

// A bucket as validations need it. Immutable; replaced as a whole.
struct hot_bucket {
    uint32_t number;
    char id[KR_ID_SIZE];
    const char *name;
    enum environment environment;
    bool is_system; // holds management tokens: never VALID to a gateway
    int64_t max_staleness_ms;
    uint64_t revoked_before;
    uint64_t revision;
};

// A consumer as validations need it, pre-rendered. Immutable; replaced as a whole. texts is one
// allocation that holds all the slices.
struct hot_subject {
    uint64_t revoked_before;
    uint64_t revision;
    uint32_t bucket; // number
    uint32_t json_size;
    uint16_t id_at, id_size, name_at, name_size; // inside json
    uint32_t data_at, data_size;                 // the metadata object inside json
    uint32_t header_size;                        // base64url of the metadata, behind json
    // `"sub":"NAME","data":{…},"consumer":{"id":"…","name":"…"},"bucket":"…","environment":"…"`
    char texts[];
};

// What only some keys have. Immutable.
struct hot_extra {
    uint32_t subject; // number
    int64_t not_before_ms;
    struct texts scopes;
    struct cidr *ip_allow;
    size_t ip_allow_count;
};

struct hot;

// --- life ----------------------------------------------------------------------------------------
struct hot *hot_new(size_t expected_keys); // gives; sized so that no growth happens up to there
void hot_free(struct hot **hot);           // no reader may be registered any more

// --- readers -------------------------------------------------------------------------------------
void hot_thread_register(void); // and is online from then on
void hot_thread_unregister(void);
void hot_quiescent(void); // nothing lent is held any more
void hot_offline(void);   // before sleeping …
void hot_online(void);    // … and after

// NULL where absent; a KR_HOT_REMOVED record is absent too.
const struct hot_record *hot_find(const struct hot *hot, const uint8_t digest[KR_DIGEST_SIZE]);
// Digests, hashes, prefetches and resolves count keys in stages, and asks for their holders too:
// digests[i] is of keys[i], and out[i] as hot_find of it. Any count.
void hot_find_many(const struct hot *hot, const struct bytes *keys, size_t count,
                   uint8_t (*digests)[KR_DIGEST_SIZE], const struct hot_record *out[]);

const struct hot_extra *hot_record_extra(const struct hot *hot, const struct hot_record *record);
// A consumer as verdicts need it; subject is NULL where it is gone. revoked_before may be newer.
struct hot_holder {
    const struct hot_subject *subject;
    uint64_t revoked_before;
    uint32_t bucket; // number
};
struct hot_holder hot_record_holder(const struct hot *hot, const struct hot_record *record);
const struct hot_bucket *hot_bucket_at(const struct hot *hot, uint32_t number); // NULL: unknown
// A deleted bucket is found by its number alone.
const struct hot_bucket *hot_bucket_named(const struct hot *hot, struct bytes name_or_id);
// Notes a use, at most one store a key and minute.
void hot_note_used(const struct hot_record *record, uint32_t now_min);

struct hot_figures {
    uint64_t keys, custom_keys, subjects, buckets, slots, tombstones;
    uint64_t record_bytes, slot_bytes, subject_bytes; // about what is resident
    bool is_growing;
};
void hot_figures(const struct hot *hot, struct hot_figures *out); // any thread, relaxed
bool hot_has_custom(const struct hot *hot);                       // any thread, relaxed

// --- writer --------------------------------------------------------------------------------------
struct hot_put {
    uint8_t digest[KR_DIGEST_SIZE];
    uint8_t id[18];
    uint16_t flags; // without KR_HOT_EXTRA
    uint32_t subject;
    int64_t expires_ms;
    uint64_t revision;
    const struct hot_extra *extra; // NULL, or copied; its subject is ignored
};

void hot_put(struct hot *hot, const struct hot_put *put);
void hot_put_many(struct hot *hot, const struct hot_put *puts, size_t count); // prefetches; loading
// Any thread, and better without the lock: makes the memory ready that the next puts will touch.
void hot_prepare(struct hot *hot);
void hot_remove(struct hot *hot, const uint8_t digest[KR_DIGEST_SIZE], uint64_t revision);
// While loading, removals leave a KR_HOT_REMOVED record, so that a late put cannot resurrect a key.
void hot_loading_begin(struct hot *hot);
void hot_loading_end(struct hot *hot);

// Returns the number; the record is copied. Numbers are never reused while the process lives.
uint32_t hot_put_bucket(struct hot *hot, const struct bucket *record);
void hot_remove_bucket(struct hot *hot, const char *id, uint64_t revision);
// Puts a bucket that the table does not know as well.
uint32_t hot_put_subject(struct hot *hot, const struct consumer *record,
                         const struct bucket *bucket);
void hot_remove_subject(struct hot *hot, const char *id, uint64_t revision);
bool hot_subject_number(const struct hot *hot, struct bytes consumer_id, uint32_t *number);
// The same for count ids, any count, looking for them in stages that overlap; KR_HOT_NO_SUBJECT
// where there is none.
#define KR_HOT_NO_SUBJECT UINT32_MAX
void hot_subject_numbers(const struct hot *hot, const struct bytes *consumer_ids, size_t count,
                         uint32_t numbers[]);
// NULL: unknown, or removed. Lends until the writer's next change.
const struct hot_subject *hot_subject_of(const struct hot *hot, struct bytes consumer_id);

// A bounded step of growth and reclamation; the owner calls it each turn. True: more to do.
bool hot_maintain(struct hot *hot);
// Visits records from *position (0 at first) for at most budget places; false at the end. A record
// that is there from the first call to the last is visited once; a key that is changed meanwhile
// may be missed, or come twice.
typedef void hot_visit_fn(void *ctx, const struct hot_record *record);
bool hot_visit(const struct hot *hot, uint64_t *position, size_t budget, hot_visit_fn *visit,
               void *ctx);

// A subject outside the table, for answers from the index: in the arena, its bucket UINT32_MAX.
struct arena;
struct hot_subject *hot_render_subject(const struct consumer *record, const struct bucket *bucket,
                                       struct arena *arena);
