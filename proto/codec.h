// SPDX-License-Identifier: Apache-2.0
// Records, log entries and validation messages ↔ protobuf bytes. The generated types stay inside.
//
// Encoders append to a buf; decoders put texts into an arena and refuse (CORRUPT) bytes that are no
// message, lack a required field, or hold an enum value or operation unknown to this version
// (VERSION for the latter). Encoding is canonical: the same record gives the same bytes everywhere,
// which the chain hash and the state digest rely on (protobuf-c writes fields in number order).
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
void codec_add_audit(struct buf *out, const struct audit *record);
must_use enum kr_err codec_audit(struct bytes in, struct arena *arena, struct audit *out);
void codec_add_idempotency(struct buf *out, const struct idempotency *record);
must_use enum kr_err codec_idempotency(struct bytes in, struct arena *arena,
                                       struct idempotency *out);
void codec_add_receipt(struct buf *out, const struct receipt *record);
must_use enum kr_err codec_receipt(struct bytes in, struct arena *arena, struct receipt *out);

// A log entry as it lies in the log and crosses the peer link.
void codec_add_entry(struct buf *out, const struct entry *entry);
must_use enum kr_err codec_entry(struct bytes in, struct arena *arena, struct entry *out);

// --- validation messages (keyreeve.v1, application/x-protobuf on /v1/validate)
// ---------------------
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
