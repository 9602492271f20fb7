// SPDX-License-Identifier: Apache-2.0
// What replication needs of the state, as verbs: the node hands in its store (state_store.h), the
// simulation what it likes.
//
// The structs that a verb fills are the caller's; bytes lie in the arena given. Control loop only,
// but for import_finish and wake.
#pragma once

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/mem.h"
#include "core/store/store.h"
#include "core/store/store_stream.h"

#define KR_STATE_NAME_SIZE 64     // of a node's id or region; with the NUL
#define KR_STATE_ADDRESS_SIZE 256 // HOST:PORT, or a URL

// A registered node.
struct state_member {
    char id[KR_STATE_NAME_SIZE], region[KR_STATE_NAME_SIZE];
    bool is_core;
    bool is_removed; // its id is not admitted again
    char peer_address[KR_STATE_ADDRESS_SIZE], http_address[KR_STATE_ADDRESS_SIZE];
    int64_t added_ms;
};

typedef void state_member_fn(void *ctx, const struct state_member *member);

// How far an export has come; the total is an estimate.
struct state_export_progress {
    uint64_t done_rows, done_bytes, total_bytes;
};

struct state_export; // a snapshot being read; the implementer's
struct state_import; // a snapshot being written; the implementer's

struct state {
    void *ctx;
    enum store_holding holding;
    // The node's: brings about a turn of the control loop, from any thread, for a chunk that was
    // waited for. NULL: chunks are read when they are asked for.
    void (*wake)(void *wake_ctx);
    void *wake_ctx;

    void (*position)(void *ctx, struct store_position *out);
    uint64_t (*applied_index)(void *ctx);
    // Of a core node: the last index that a power cut leaves here. Of a follower 0.
    uint64_t (*safe_index)(void *ctx);
    // DISK_FULL: there is no room for an entry of that size, or none is left of what is kept free.
    enum kr_err (*check_room)(void *ctx, uint64_t size_bytes, struct fault *fault);
    // This state is known to differ from the leader's, by mark_wrong of this process or an earlier
    // one; until a snapshot takes its place.
    bool (*is_wrong)(void *ctx);
    enum kr_err (*mark_wrong)(void *ctx, const char *why, struct fault *fault);
    // As store_apply.
    enum kr_err (*apply)(void *ctx, const struct store_row *rows, size_t count,
                         struct apply_result results[], struct fault *fault);

    // The oldest index that stream_read knows; 0: none.
    uint64_t (*log_first)(void *ctx);
    // The row at an index as a child of that holding gets it. NOT_FOUND outside what is retained.
    enum kr_err (*stream_read)(void *ctx, uint64_t index, enum store_holding child,
                               struct arena *arena, struct store_stream_row *out,
                               struct fault *fault);
    // Applies rows that continue the applied index. CONFLICT: chain or epoch do not fit; CORRUPT:
    // they do not do here what they did at the leader. Nothing was written then. VERSION: all are
    // applied before the one that this version cannot read.
    enum kr_err (*stream_apply)(void *ctx, const struct store_stream_row *rows, size_t count,
                                struct fault *fault);

    bool (*member)(void *ctx, const char *id, struct state_member *out); // false: never registered
    void (*each_member)(void *ctx, state_member_fn *visit, void *visit_ctx); // removed ones too

    // A consistent snapshot for a child of that holding. Gives.
    enum kr_err (*export_open)(const struct state *state, enum store_holding child,
                               struct state_export **out, struct fault *fault);
    void (*export_position)(struct state_export *export, struct store_position *out);
    // The next chunk, lent until the next call. NOT_FOUND behind the last one. BUSY: it is being
    // read, ask again on a later turn; wake comes.
    enum kr_err (*export_next)(struct state_export *export, struct store_chunk *out,
                               struct fault *fault);
    // Goes on behind this row.
    enum kr_err (*export_seek)(struct state_export *export, uint8_t family, struct bytes last_key,
                               struct fault *fault);
    void (*export_progress)(struct state_export *export, struct state_export_progress *out);
    void (*export_close)(struct state_export **export); // takes

    // Begins, or takes up again, the snapshot at this position, beside the state in use; what was
    // written of another position is dropped. Gives.
    enum kr_err (*import_open)(void *ctx, const struct store_position *position,
                               struct state_import **out, struct fault *fault);
    // The last row that is safe; false: none yet. last_key lies in the arena.
    bool (*import_resume)(struct state_import *import, struct arena *arena, uint8_t *family,
                          struct bytes *last_key);
    // The position of an unfinished snapshot that lies there; false: none.
    bool (*import_pending)(void *ctx, struct store_position *out);
    // CORRUPT: the checksum or the order does not fit.
    enum kr_err (*import_add)(struct state_import *import, const struct store_chunk *chunk,
                              struct fault *fault);
    // Checks the whole against the position's digests and marks it as what the next start opens.
    // Slow; any thread, alone. CORRUPT: what was received is wrong, and was dropped. INVALID: the
    // last chunk is missing.
    enum kr_err (*import_finish)(struct state_import *import, struct fault *fault);
    // Drops a finished snapshot: the next start goes on with the state in use.
    enum kr_err (*import_drop)(void *ctx, struct fault *fault);
    void (*import_close)(struct state_import **import); // takes; keeps what was written
};
