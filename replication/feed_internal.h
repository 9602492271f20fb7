// SPDX-License-Identifier: Apache-2.0
// What the files of the feed share: its state, and the parts that make one frame each.
#pragma once

#include "core/base/fault.h"
#include "core/base/mem.h"
#include "replication/feed.h"

enum { KR_FEED_MARKS = 1024 };

// Entries up to this index, and how many bytes of them are on their way.
struct feed_mark {
    uint64_t index;
    size_t size_bytes;
};

struct feed {
    struct feed_options options;
    enum feed_state state;
    struct arena names;  // what the child is called
    struct arena hellos; // of the last Hello
    struct arena frame;  // of the frame being made
    struct peer_member child;
    const char *version;
    struct peer_hello hello;
    enum store_holding holding;
    uint64_t since_ms; // of the state

    // stream
    uint64_t next_index, acked_index;
    struct feed_mark marks[KR_FEED_MARKS]; // a ring: first, count
    size_t mark_first, mark_count, unacked_bytes;
    struct arena large; // holds an entry that goes in parts
    struct store_stream_row large_row;
    uint64_t large_sent;
    uint64_t digested_index, digest_due_ms;

    // owed to the child
    bool owes_welcome, owes_lease, owes_echo, owes_offer;
    uint64_t renew_seq, probe_seq;
    size_t probes; // before the Hello
    uint64_t welcomed_path_hash;
    struct peer_reject reject;
    char reason[256];

    // snapshot
    struct state_export *export;
    struct store_position offered;
    bool is_export_at_end;
    struct store_chunk chunk; // lent by the export
    size_t chunk_sent;        // of its rows; 0: the next one is to be read

    struct forward_serve serve;
};

// --- feed.c --------------------------------------------------------------------------------------
void feed_enter(struct feed *feed, enum feed_state state, uint64_t now_ms);
// The child is told why, then the link closes.
void feed_refuse(struct feed *feed, enum peer_reject_code code, uint64_t epoch, uint64_t now_ms,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
void feed_standing_now(struct feed *feed, uint64_t now_ms, struct feed_standing *out);
enum kr_err feed_add(struct buf *out, const struct peer_frame *frame, struct fault *fault);

// --- feed_hello.c --------------------------------------------------------------------------------
enum kr_err feed_take_hello(struct feed *feed, const struct peer_hello *hello, uint64_t now_ms,
                            struct fault *fault);
bool feed_is_removed(const struct feed *feed); // its node, from the cluster
// What is asked of a child whose Hello was good: a member or not yet, log or snapshot.
enum kr_err feed_admit(struct feed *feed, uint64_t now_ms, struct fault *fault);
bool feed_path_has(struct texts path, const char *id);

// --- feed_stream.c -------------------------------------------------------------------------------
void feed_stream_begin(struct feed *feed, uint64_t applied_index);
enum kr_err feed_take_ack(struct feed *feed, const struct peer_ack *ack, uint64_t now_ms,
                          struct fault *fault);
// NOT_FOUND: nothing to send, or the window is full.
enum kr_err feed_next_entries(struct feed *feed, uint64_t now_ms, struct buf *out,
                              struct fault *fault);
enum kr_err feed_next_digests(struct feed *feed, uint64_t now_ms, struct buf *out,
                              struct fault *fault);
// The digests of the classes that the child holds, in the frame's arena.
struct peer_digests feed_digests(struct feed *feed, const struct store_position *position);

// --- feed_export.c -------------------------------------------------------------------------------
// Opens a snapshot and offers it.
enum kr_err feed_offer(struct feed *feed, uint64_t now_ms, struct fault *fault);
enum kr_err feed_next_offer(struct feed *feed, struct buf *out, struct fault *fault);
enum kr_err feed_take_request(struct feed *feed, const struct peer_snapshot_request *request,
                              uint64_t now_ms, struct fault *fault);
enum kr_err feed_next_chunk(struct feed *feed, uint64_t now_ms, struct buf *out,
                            struct fault *fault);
void feed_export_drop(struct feed *feed, uint64_t now_ms);
