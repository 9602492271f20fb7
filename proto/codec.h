// SPDX-License-Identifier: Apache-2.0
// Records, log entries and validation messages ↔ protobuf bytes. The generated types stay inside.
//
// Encoders append to a buf; what no caller may leave out (ids, digests) is asserted. Decoders put
// texts into an arena and refuse bytes that are no message or lack such a field (CORRUPT), and an
// enum value or operation unknown to this version (VERSION). Unknown fields are tolerated. Nothing
// lent by a decoder points into its input, except where it says so. Encoding is canonical: the same
// record gives the same bytes everywhere, which the chain hash and the state digest rely on (fields
// in number order, unset numbers and texts left out, shortest varints). Any thread.
#pragma once

#include "core/base/buf.h"
#include "core/keys/command.h"

void codec_add_bucket(struct buf *out, const struct bucket *record);
must_use enum kr_err codec_bucket(struct bytes in, struct arena *arena, struct bucket *out);
void codec_add_consumer(struct buf *out, const struct consumer *record);
must_use enum kr_err codec_consumer(struct bytes in, struct arena *arena, struct consumer *out);
void codec_add_key(struct buf *out, const struct key *record);
must_use enum kr_err codec_key(struct bytes in, struct arena *arena, struct key *out);
void codec_add_manager(struct buf *out, const struct manager *record);
must_use enum kr_err codec_manager(struct bytes in, struct arena *arena, struct manager *out);
void codec_add_sealed(struct buf *out, const struct sealed *record);
must_use enum kr_err codec_sealed(struct bytes in, struct arena *arena, struct sealed *out);
void codec_add_sealed_versions(struct buf *out, const struct sealed_versions *record);
must_use enum kr_err codec_sealed_versions(struct bytes in, struct arena *arena,
                                           struct sealed_versions *out);
void codec_add_audit(struct buf *out, const struct audit *record);
must_use enum kr_err codec_audit(struct bytes in, struct arena *arena, struct audit *out);
void codec_add_idempotency(struct buf *out, const struct idempotency *record);
must_use enum kr_err codec_idempotency(struct bytes in, struct arena *arena,
                                       struct idempotency *out);
void codec_add_receipt(struct buf *out, const struct receipt *record);
must_use enum kr_err codec_receipt(struct bytes in, struct arena *arena, struct receipt *out);
void codec_add_member(struct buf *out, const struct member *record);
must_use enum kr_err codec_member(struct bytes in, struct arena *arena, struct member *out);
void codec_add_leader(struct buf *out, const struct leader *record);
must_use enum kr_err codec_leader(struct bytes in, struct arena *arena, struct leader *out);

// What a validation needs of a key, read in one pass over the bytes without allocating. Lends in.
struct codec_key_hot {
    uint8_t digest[KR_DIGEST_SIZE];
    struct bytes id; // the 24 characters behind "key_"
    struct bytes bucket_id, consumer_id;
    int64_t expires_ms, not_before_ms; // 0: unset
    uint64_t revision;
    bool is_enabled, is_revoked, is_custom;
    bool has_extra; // scopes or ip_allow: the whole record must be decoded for them
};

// For start-up, which reads millions. Accepts whatever codec_key accepts, with the same values, but
// does not look inside the fields that it does not give.
must_use enum kr_err codec_key_hot(struct bytes in, struct codec_key_hot *out);

// A log entry as it lies in the log and crosses the peer link.
void codec_add_entry(struct buf *out, const struct entry *entry);
must_use enum kr_err codec_entry(struct bytes in, struct arena *arena, struct entry *out);
// The part of an encoded entry that followers hold: its place and the operations on what
// validations need; not who asked, nor managers, sealed values, audit row and stored answer.
// Appends nothing when no such operation is in it. A part of a part is itself. CORRUPT, VERSION as
// codec_entry.
must_use enum kr_err codec_entry_filter(struct bytes entry, struct buf *out);

// The place of an entry, apart from its body: place ‖ body is the entry that codec_add_entry makes.
#define KR_CODEC_PLACE_MAX 33 // bytes
void codec_add_entry_place(struct buf *out, uint64_t index, uint64_t epoch, int64_t at_unix_us);
// An encoded entry without its place. Lends entry.
struct bytes codec_entry_body(struct bytes entry);

// --- validation messages -------------------------------------------------------------------------
// keyreeve.v1.ValidateRequest …, application/x-protobuf on /v1/validate. They come from outside, so
// that decoders answer INVALID (no message, no UTF-8, more than KR_VALIDATION_SCOPES_MAX scopes) or
// TOO_LARGE (more than KR_VALIDATION_BATCH_MAX questions), never CORRUPT.
#define KR_VALIDATION_BATCH_MAX 1000
#define KR_VALIDATION_SCOPES_MAX 32

// One question; texts are slices (not NUL-terminated), empty when unset.
struct validation_ask {
    struct bytes key, bucket, ip, method, path;
    struct bytes scopes[KR_VALIDATION_SCOPES_MAX];
    size_t scope_count;
    uint64_t min_index;       // 0: any
    int64_t max_staleness_ms; // KR_UNBOUNDED: the bucket's own bound
    bool wants_explanation;
};

// One answer, as the protobuf message holds it. Texts empty unless the code reveals them.
struct validation_answer {
    uint32_t code; // enum verdict_code
    const char *code_text;
    struct bytes key_id, sub, data, consumer_id, consumer_name, bucket, environment;
    const char *const *scopes;
    size_t scope_count;
    int64_t expires_ms;
    uint64_t index, age_ms;
    struct bytes node, region;
};

must_use enum kr_err codec_validation_ask(struct bytes in, struct arena *arena,
                                          struct validation_ask *out);
// At most KR_VALIDATION_BATCH_MAX questions, in the arena.
must_use enum kr_err codec_validation_batch(struct bytes in, struct arena *arena,
                                            struct validation_ask **out, size_t *count);
void codec_add_validation_answer(struct buf *out, const struct validation_answer *answer);
void codec_add_validation_answers(struct buf *out, const struct validation_answer *answers,
                                  size_t count);
