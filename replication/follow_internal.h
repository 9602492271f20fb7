// SPDX-License-Identifier: Apache-2.0
// What the files of the upstream session share.
#pragma once

#include "replication/follow.h"

enum {
    KR_FOLLOW_PENDING_ROWS = 4096,
    KR_FOLLOW_PENDING_BYTES = 4 << 20, // applied without waiting for the turn's end
};

struct follow_probe {
    uint64_t seq, due_ms;
};

struct follow {
    struct follow_options options;
    enum follow_state state;
    uint64_t since_ms;  // of the state
    struct arena frame; // of the frame being made

    // entries that wait for the end of the turn
    struct arena rows_arena;
    struct store_stream_row *rows;
    size_t row_count, rows_bytes;
    uint64_t next_index;
    struct buf large; // an entry in parts
    struct store_stream_row large_row;

    uint64_t commit_index, leaseless_since_ms;
    uint64_t renew_due_ms, usage_due_ms;
    struct follow_probe probe;
    bool owes_ack, owes_request;
    struct arena enlist_arena;
    struct peer_member enlist[KR_FOLLOW_ENLIST_MAX];
    size_t enlist_count;

    // snapshot
    struct state_import *import;
    struct store_position import_position;
    struct buf chunk; // one in parts
    uint64_t chunk_size;
    bool has_tried_pending;
    struct arena request_arena;
    struct peer_snapshot_request request;
    uint64_t snapshot_rows, snapshot_bytes, snapshot_total_bytes;

    struct peer_reject reject; // theirs: code; ours, when LEAVING
    char reason[256];
};

// --- follow.c ------------------------------------------------------------------------------------
void follow_enter(struct follow *follow, enum follow_state state, uint64_t now_ms);
// Tells the upstream why, then the link closes.
void follow_leave(struct follow *follow, enum peer_reject_code code, uint64_t now_ms,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

// --- follow_rows.c -------------------------------------------------------------------------------
void follow_rows_begin(struct follow *follow, uint64_t applied_index);
enum kr_err follow_take_entries(struct follow *follow, const struct peer_entries *entries,
                                uint64_t now_ms, struct fault *fault);
// Applies what has been gathered.
enum kr_err follow_apply(struct follow *follow, uint64_t now_ms, struct fault *fault);
enum kr_err follow_take_digests(struct follow *follow, const struct peer_index_digests *digests,
                                uint64_t now_ms, struct fault *fault);
void follow_rows_drop(struct follow *follow);

// --- follow_import.c -----------------------------------------------------------------------------
// The state is wrong: asks for another one.
void follow_rebuild(struct follow *follow, uint64_t now_ms, const struct fault *why);
// Goes on with an unfinished snapshot, or asks for a new one.
enum kr_err follow_request(struct follow *follow, uint64_t now_ms, struct fault *fault);
enum kr_err follow_take_offer(struct follow *follow, const struct peer_position *offer,
                              uint64_t now_ms, struct fault *fault);
enum kr_err follow_take_chunk(struct follow *follow, const struct peer_snapshot_chunk *chunk,
                              uint64_t now_ms, struct fault *fault);
enum kr_err follow_take_end(struct follow *follow, const struct peer_position *end, uint64_t now_ms,
                            struct fault *fault);
