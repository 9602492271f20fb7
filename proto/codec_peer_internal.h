// SPDX-License-Identifier: Apache-2.0
// How a frame's struct and its protobuf message go together: one table a message.
#pragma once

#include "proto/codec_peer.h"

enum codec_peer_kind {
    KR_PEER_FIELD_NUMBER,  // uint64_t
    KR_PEER_FIELD_SMALL,   // uint32_t or an enum from 1
    KR_PEER_FIELD_FLAG,    // bool
    KR_PEER_FIELD_TEXT,    // const char *
    KR_PEER_FIELD_TEXTS,   // struct texts
    KR_PEER_FIELD_BYTES,   // struct bytes
    KR_PEER_FIELD_HASH,    // struct hash128
    KR_PEER_FIELD_RECORD,  // the struct of another table
    KR_PEER_FIELD_RECORDS, // a pointer to such structs, and size_t count behind it
};

struct codec_peer_field {
    const char *name;
    uint32_t number;
    enum codec_peer_kind kind;
    size_t offset;
    uint64_t limit;                       // the greatest number, or the most bytes of one text
    size_t count_limit;                   // of TEXTS and RECORDS
    const struct codec_peer_shape *shape; // of RECORD and RECORDS
    bool is_required;
};

#define KR_PEER_SHAPE_FIELDS 16
struct codec_peer_shape {
    const char *name;
    size_t size_bytes; // of the struct
    size_t field_count;
    struct codec_peer_field fields[KR_PEER_SHAPE_FIELDS];
};

// What stands in place of a pointer to items of some type, and its count.
struct codec_peer_list {
    const void *items;
    size_t count;
};

// NULL: no such type.
const struct codec_peer_shape *codec_peer_shape(unsigned type);

static inline const void *codec_peer_at(const void *record, const struct codec_peer_field *field)
{
    return (const uint8_t *)record + field->offset;
}

static inline struct bytes codec_peer_text(const char *text)
{
    return text == NULL ? bytes_of(NULL, 0) : bytes_text(text);
}

// Of a NUMBER, SMALL or FLAG.
uint64_t codec_peer_number_in(const void *record, const struct codec_peer_field *field);
// Of a TEXT, BYTES or HASH; a hash of zeros is empty.
struct bytes codec_peer_bytes_in(const void *record, const struct codec_peer_field *field);
// Of TEXTS or RECORDS.
struct codec_peer_list codec_peer_list_in(const void *record, const struct codec_peer_field *field);
// What is left out; a RECORD never is.
bool codec_peer_is_empty(const void *record, const struct codec_peer_field *field);

// A shape's field, for the fault.
struct codec_peer_place {
    const struct codec_peer_shape *shape;
    const struct codec_peer_field *field;
    struct fault *fault; // may be NULL
};

enum kr_err codec_peer_refuse(const struct codec_peer_place *place, enum kr_err err,
                              const char *what);
must_use enum kr_err codec_peer_check_number(const struct codec_peer_place *place, uint64_t value);
must_use enum kr_err codec_peer_check_bytes(const struct codec_peer_place *place,
                                            struct bytes value);
must_use enum kr_err codec_peer_check_text(const struct codec_peer_place *place,
                                           struct bytes value);
must_use enum kr_err codec_peer_check_count(const struct codec_peer_place *place, size_t count);
