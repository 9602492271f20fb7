// SPDX-License-Identifier: Apache-2.0
// The binary validation protocol's frames ↔ bytes, for the node's listener and for its clients.
//
// Little-endian; length is of what follows it. A request: u32 length, u32 tag, u8 op, u8 flags,
// u16 count, count × {u16 size, key}, then what the flags name, in their order. An answer: u32
// length, u32 tag, u8 op, u8 flags, u16 count, u64 index, u32 age_ms, count × {u8 code, u8 keep,
// u16 size, body}. Readers bound everything before they believe it, allocate nothing, and lend from
// their input. Pure; any thread.
#pragma once

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/keys/digest.h"

#define KR_BINARY_ALPN "keyreeve-validate/1" // what it is called where it is spoken over TLS
#define KR_BINARY_FRAME_MAX 16384            // a request, its length included
#define KR_BINARY_KEYS_MAX 128               // of one request
#define KR_BINARY_BUCKET_MAX 255             // bytes of a bucket's name or id
#define KR_BINARY_BODY_MAX 65535
// An answer, its length included.
#define KR_BINARY_ANSWER_MAX (24 + KR_BINARY_KEYS_MAX * (4 + KR_BINARY_BODY_MAX))
#define KR_BINARY_REQUEST_HEAD 12 // bytes before the first key
#define KR_BINARY_ANSWER_HEAD 24  // bytes before the first result
#define KR_BINARY_AGE_UNKNOWN UINT32_MAX
#define KR_BINARY_KEEP_MS 60000 // how long a subscriber may go by a result that says so
#define KR_BINARY_LOST_MAX 256  // keys that one news frame tells of

// SUBSCRIBE: the client wants news of keys that stop being valid; asked again, it renews its lease.
enum binary_op { KR_BINARY_VALIDATE = 1, KR_BINARY_SUBSCRIBE = 2, KR_BINARY_ERROR = 255 };

// Of a request; the fields stand behind the keys in this order.
enum binary_flag {
    KR_BINARY_HAS_MIN_INDEX = 1,     // u64
    KR_BINARY_HAS_MAX_STALENESS = 2, // u32, ms
    KR_BINARY_HAS_BUCKET = 4         // u16 size, name or id
};

// Of a frame of op SUBSCRIBE from the node.
enum binary_news_flag {
    KR_BINARY_NEWS_LEASE = 1,   // answers the request with this tag
    KR_BINARY_NEWS_DROP_ALL = 2 // more keys than are told: nothing that was kept is good
};

// What is wrong with a request: name, number on the wire, sentence. It closes the connection.
#define KR_BINARY_FAULT_TABLE(X)                                                                   \
    X(LENGTH, 1, "a frame of this length is not taken")                                            \
    X(OP, 2, "no such op")                                                                         \
    X(FLAGS, 3, "a flag that this op does not have")                                               \
    X(COUNT, 4, "too many keys in one frame")                                                      \
    X(SHAPE, 5, "the parts do not fill the frame")

enum binary_fault {
    KR_BINARY_NO_FAULT = 0,
#define X(name, number, text) KR_BINARY_FAULT_##name = number,
    KR_BINARY_FAULT_TABLE(X)
#undef X
};

const char *binary_fault_text(enum binary_fault fault);

struct binary_request {
    uint32_t tag; // the asker's, given back with the answer
    enum binary_op op;
    uint16_t count;
    const uint8_t *keys;       // for binary_next_key
    uint64_t min_index;        // 0: any
    bool has_max_staleness;    // else the bucket's own bound
    uint32_t max_staleness_ms; //
    struct bytes bucket;       // empty: any
};

enum binary_read { KR_BINARY_MORE, KR_BINARY_FRAME, KR_BINARY_BROKEN };

// Reads the request at the start of in. FRAME: *consumed are its bytes, and every part of it lies
// within them. BROKEN: *fault, and the tag where it could be read.
enum binary_read binary_read_request(struct bytes in, struct binary_request *out, size_t *consumed,
                                     enum binary_fault *fault);

// The key at *at of a frame that was read; moves *at to the next.
static inline struct bytes binary_next_key(const uint8_t **at)
{
    uint16_t size = (uint16_t)((*at)[0] | (*at)[1] << 8);
    struct bytes key = bytes_of(*at + 2, size);
    *at += 2 + size;
    return key;
}

// Appends a request for keys[0..request->count); request->keys is passed over. TOO_LARGE when a
// limit does not take it, and out is as it was.
must_use enum kr_err binary_add_request(struct buf *out, const struct binary_request *request,
                                        const struct bytes *keys);

// --- answers -------------------------------------------------------------------------------------

struct binary_result {
    uint8_t code;  // enum verdict_code + 1; 0 is never sent
    bool may_keep; // VALID, and no expiry or removal is near: a subscriber may keep it; else broken
    struct bytes body;
};

struct binary_answer {
    uint32_t tag;
    enum binary_op op; // of the request, or ERROR
    uint16_t count;
    uint64_t index;         // log position that all results reflect
    uint32_t age_ms;        // how long ago that was known to be current; AGE_UNKNOWN: never
    const uint8_t *results; // for binary_next_result; of news for binary_next_lost
    uint32_t lease_ms;      // of news with a lease
    bool has_lease, drops_all;
    enum binary_fault fault;
    struct bytes fault_text; // of an ERROR
};

// Opens an answer and returns where it begins in out, for binary_end_answer; between them comes one
// binary_add_result for each key. index and age_ms are of the end, since they may be known only
// then.
size_t binary_begin_answer(struct buf *out, uint32_t tag, uint16_t count);
void binary_add_result(struct buf *out, const struct binary_result *result);
void binary_end_answer(struct buf *out, size_t begin, uint64_t index, uint32_t age_ms);

// A key that stopped being good as its record was, by the log entry `revision`.
struct binary_lost {
    uint8_t digest[KR_DIGEST_SIZE];
    uint64_t revision;
} __attribute__((packed));

// Appends a news frame: u32 length, u32 tag 0, u8 op 2, u8 flags, u16 count, u64 index, u32 0,
// count × {digest, u64 revision}. count ≤ KR_BINARY_LOST_MAX.
void binary_add_news(struct buf *out, const struct binary_lost *lost, uint16_t count,
                     bool drops_all, uint64_t index);
// Appends the answer to a SUBSCRIBE: as news, with the lease in ms where the 0 is.
void binary_add_lease(struct buf *out, uint32_t tag, uint64_t index, uint32_t lease_ms);

// Appends the error frame: u32 length, u32 tag, u8 op 255, u8 fault, u16 size, sentence.
void binary_add_error(struct buf *out, uint32_t tag, enum binary_fault fault);

// Reads the answer at the start of in, as binary_read_request does.
enum binary_read binary_read_answer(struct bytes in, struct binary_answer *out, size_t *consumed);
struct binary_result binary_next_result(const uint8_t **at);
struct binary_lost binary_next_lost(const uint8_t **at);
