// SPDX-License-Identifier: Apache-2.0
// What the codec's files share: protobuf-c over an arena and a buf, and each record's message.
//
// `fill` makes a message that borrows the record's texts, `read` makes a record that borrows the
// message's. Included only by proto/codec*.c.
#pragma once

#include <assert.h>

#include "proto/codec.h"
#include "proto/codec_wire.h"
#include "proto/log.pb-c.h"
#include "proto/record.pb-c.h"

// Sets an optional number of a protobuf-c message; 0 stays unwritten.
#define KR_CODEC_SET(message, field, number)                                                       \
    ((message)->field = (number), (message)->has_##field = (message)->field != 0)

// protobuf-c's messages are not const, though packing only reads them.
static inline char *codec_lend(const char *text)
{
    return (char *)(uintptr_t)text;
}

// For what an encoder cannot do without.
static inline char *codec_lend_required(const char *text)
{
    assert(text != NULL);
    return codec_lend(text);
}

static inline ProtobufCBinaryData codec_lend_bytes(const uint8_t *data, size_t size_bytes)
{
    return (ProtobufCBinaryData){.len = size_bytes, .data = (uint8_t *)(uintptr_t)data};
}

// A message in the arena, its texts too; NULL when the bytes are no such message. Refuses what
// protobuf-c lets pass and our encoders never write: a NUL in a text (which would cut it), a single
// field or an operation that occurs twice, a field of the wrong wire type, a number that overflows.
ProtobufCMessage *codec_unpack(const ProtobufCMessageDescriptor *type, struct bytes in,
                               struct arena *arena);
void codec_pack(struct buf *out, const ProtobufCMessage *message);
// The same as a field of an enclosing message.
void codec_pack_field(struct buf *out, unsigned number, const ProtobufCMessage *message);

// Tags on their way into a message: here up to KR_CODEC_TAGS, on the heap beyond. Beside them what
// else a record repeats.
#define KR_CODEC_TAGS 64
struct codec_tags {
    Keyreeve__V1__Tag items[KR_CODEC_TAGS];
    Keyreeve__V1__Tag *pointers[KR_CODEC_TAGS];
    void *heap; // NULL: none
    Keyreeve__V1__RevokeMark earlier[KR_REVOKE_MARKS_MAX];
    Keyreeve__V1__RevokeMark *earlier_pointers[KR_REVOKE_MARKS_MAX];
};

static inline void codec_tags_init(struct codec_tags *list)
{
    list->heap = NULL;
}
void codec_tags_fini(struct codec_tags *list);
// Borrows tags; lends until fini. At most once between init and fini.
Keyreeve__V1__Tag **codec_tags_fill(struct codec_tags *list, struct tags tags);
must_use enum kr_err codec_tags_read(Keyreeve__V1__Tag *const *items, size_t count,
                                     struct arena *arena, struct tags *out);
// The same for the earlier marks of a bucket or consumer.
Keyreeve__V1__RevokeMark **codec_marks_fill(struct codec_tags *list,
                                            const struct revoke_marks *marks);
must_use enum kr_err codec_marks_read(Keyreeve__V1__RevokeMark *const *items, size_t count,
                                      struct revoke_marks *out);

// VERSION for a value that this version does not know.
must_use enum kr_err codec_read_reason(Keyreeve__V1__RevokeReason value, enum revoke_reason *out);

void codec_fill_bucket(Keyreeve__V1__BucketRecord *message, const struct bucket *record,
                       struct codec_tags *tags);
must_use enum kr_err codec_read_bucket(const Keyreeve__V1__BucketRecord *message,
                                       struct arena *arena, struct bucket *out);
void codec_fill_consumer(Keyreeve__V1__ConsumerRecord *message, const struct consumer *record,
                         struct codec_tags *tags);
must_use enum kr_err codec_read_consumer(const Keyreeve__V1__ConsumerRecord *message,
                                         struct arena *arena, struct consumer *out);
void codec_fill_key(Keyreeve__V1__KeyRecord *message, const struct key *record,
                    struct codec_tags *tags);
must_use enum kr_err codec_read_key(const Keyreeve__V1__KeyRecord *message, struct arena *arena,
                                    struct key *out);
void codec_fill_manager(Keyreeve__V1__ManagerRecord *message, const struct manager *record);
must_use enum kr_err codec_read_manager(const Keyreeve__V1__ManagerRecord *message,
                                        struct manager *out);
void codec_fill_sealed(Keyreeve__V1__SealedRecord *message, const struct sealed *record);
must_use enum kr_err codec_read_sealed(const Keyreeve__V1__SealedRecord *message,
                                       struct sealed *out);
void codec_fill_sealed_version(Keyreeve__V1__SealedVersion *message,
                               const struct sealed_version *record);
must_use enum kr_err codec_read_sealed_version(const Keyreeve__V1__SealedVersion *message,
                                               struct sealed_version *out);
void codec_fill_audit(Keyreeve__V1__AuditRecord *message, const struct audit *record);
must_use enum kr_err codec_read_audit(const Keyreeve__V1__AuditRecord *message, struct audit *out);
void codec_fill_idempotency(Keyreeve__V1__IdempotencyRecord *message,
                            const struct idempotency *record);
must_use enum kr_err codec_read_idempotency(const Keyreeve__V1__IdempotencyRecord *message,
                                            struct idempotency *out);
void codec_fill_member(Keyreeve__V1__MemberRecord *message, const struct member *record);
must_use enum kr_err codec_read_member(const Keyreeve__V1__MemberRecord *message,
                                       struct member *out);

// An operation as a field of an entry; VERSION for one that this version does not know.
void codec_add_op(struct buf *out, unsigned number, const struct command_op *op);
must_use enum kr_err codec_read_op(const Keyreeve__V1__Op *message, struct arena *arena,
                                   struct command_op *out);

// A JSON object is stored only when it is not the empty one.
static inline char *codec_lend_object(const char *json)
{
    return json == NULL || strcmp(json, "{}") == 0 ? NULL : codec_lend(json);
}

static inline const char *codec_read_object(const char *json)
{
    return json == NULL ? "{}" : json;
}
