// SPDX-License-Identifier: Apache-2.0
// What the etcd engine's files share: its state, its calls, and the steps between the files.
//
//   WATCHING ─▶ GRANTING ─▶ ELECTING ─▶ TAKING_OVER ─▶ LEADING
//      ▲  ▲         │           │            │            │
//      │  └─────────┘           ▼            ▼            ▼
//      └───────────────────  RESIGNING  (appends in flight are settled, the lease is revoked)
//                               │
//   any ──────────────────────▶ CLOSING (the calls under way come back, then it frees itself)
#pragma once

#include "proto/codec_batch.h"
#include "replication/engine_etcd.h"
#include "replication/etcd_codec.h"

#define KR_ETCD_KEY_MAX 160
#define KR_ETCD_BATCH_BYTES (1u << 20)                         // of entries in one value
#define KR_ETCD_VALUE_BYTES (KR_ETCD_BATCH_BYTES + (1u << 17)) // an entry above it lies in parts
#define KR_ETCD_PART_BYTES (1u << 20)
#define KR_ETCD_TAIL_BYTES (32u << 20) // held for read, but always one page
#define KR_ETCD_ENDPOINTS_MAX 16

enum {
    KR_ETCD_POLL_MS = 200,     // how often a standby looks who leads
    KR_ETCD_CALL_MS = 1500,    // deadline of a call that nothing else bounds
    KR_ETCD_RETRY_MS = 50,     // between attempts of an append
    KR_ETCD_PAGE_BATCHES = 8,  // of the tail, a call
    KR_ETCD_PAGE_MS = 10000,   // deadline of such a call
    KR_ETCD_UPKEEP_MS = 10000, // between rounds of trimming and looking at the quota
    KR_ETCD_STARVED_MS = 1000, // the same while etcd is out of space
    KR_ETCD_REFUSED_MIN_MS = 1000,
    KR_ETCD_REFUSED_MAX_MS = 30000,
    KR_ETCD_LAST_RESORT_MS = 3000, // so long a last resort leaves the place to others
};

enum etcd_stage {
    KR_ETCD_WAITING, // nobody has called campaign
    KR_ETCD_WATCHING,
    KR_ETCD_GRANTING,
    KR_ETCD_ELECTING,
    KR_ETCD_TAKING_OVER,
    KR_ETCD_LEADING,
    KR_ETCD_RESIGNING,
    KR_ETCD_CLOSING
};

// A key's text.
struct etcd_key {
    char text[KR_ETCD_KEY_MAX];
    size_t size;
};

struct engine_etcd;
struct etcd_request;

// What came of a request. Lent for the step.
struct etcd_result {
    bool is_answered;       // reply holds what etcd said; else:
    bool is_without_effect; // etcd refused, or no byte has left
    bool has_no_space;      // as etcd says; that may be before or after the effect
    bool is_too_large;      // refused by etcd's --max-request-bytes
    char error[160];
    struct etcd_reply reply;
    uint64_t sent_at_ms;
};

typedef void etcd_step_fn(struct engine_etcd *self, const struct etcd_result *result,
                          const struct etcd_request *request);

// A call under way. Steps of an earlier term are not called, but for those of every term.
struct etcd_request {
    const char *path;
    struct buf body; // taken
    unsigned deadline_ms;
    size_t endpoint;
    bool stops_endpoint; // see etcd_port.h
    bool is_of_every_term;
    etcd_step_fn *step;
    uint64_t note[2]; // the step's own
    struct engine_etcd *self;
    uint64_t term;
};

struct etcd_append {
    struct etcd_append *next;
    const struct store_row *rows; // the owner's, until the callback
    size_t count, size_bytes;
    uint64_t deadline_ms;
    engine_done_fn *done;
    void *ctx;
    enum kr_err err;
    struct fault fault;
};

struct etcd_append_list {
    struct etcd_append *first, **last;
};

// The one transaction that appends. It takes all that waits, so that a second one in flight would
// win nothing, and might come first.
struct etcd_flight {
    bool is_open, is_called;
    bool is_unsettled; // an attempt got no answer: it may have had, or may yet have its effect
    bool is_doubtful;  // etcd has no space, and may have put the batch all the same
    struct etcd_append_list appends;
    struct codec_batch batch;
    struct bytes *entries;
    uint32_t parts_put;
    uint64_t deadline_ms, retry_at_ms;
};

// A batch of the tail that was read.
struct etcd_tail_batch {
    struct etcd_tail_batch *next;
    struct arena arena; // holds the entries
    uint64_t first_index;
    const struct bytes *entries;
    size_t count;
};

// The walk over the log in etcd, from the applied index on.
struct etcd_tail {
    struct etcd_tail_batch *first, **last;
    size_t held_bytes;
    bool is_walking, is_refill; // a refill ends when enough is held
    bool is_first;              // no batch was seen yet: the next one may reach back
    bool is_cut;                // what follows is verified and not held
    uint64_t next_index;        // the walk has verified what is before it
    struct hash128 chain;       // there
    uint64_t page_from;         // index of the next key to ask for
    uint64_t retry_at_ms;       // 0: a call is under way
    struct codec_batch parted;  // the batch whose parts are being read
};

enum etcd_upkeep { KR_UPKEEP_IDLE, KR_UPKEEP_AT_WORK };

struct engine_etcd {
    struct engine base;
    struct engine_etcd_options options;
    const struct etcd_port *port;
    enum etcd_stage stage;
    uint64_t term; // of the stage: requests of an earlier one are void
    size_t calls;  // under way
    bool is_closing;
    void (*closed)(void *ctx);
    void *closed_ctx;

    // leadership
    uint64_t lease, epoch, ttl_ms;
    uint64_t valid_until_ms;
    uint64_t watch_at_ms, keepalive_at_ms;
    bool is_watching, is_revoking;
    unsigned keepalives; // under way
    uint64_t refused_until_ms, refused_for_ms;
    uint64_t vacant_since_ms; // as far as this node has seen; 0: somebody leads
    bool has_told_unfit;      // since it was fit, or somebody led

    // what the owner is told on the next turn
    enum engine_role role;
    bool has_role_event, has_leader_event;
    char leader_id[64], leader_address[128];
    struct etcd_append_list completions;

    // appends
    uint64_t end_index; // committed
    struct hash128 end_chain;
    uint64_t queued_index; // handed to append
    struct etcd_append_list queue;
    struct etcd_flight flight;
    struct etcd_tail tail;

    // upkeep
    enum etcd_upkeep upkeep;
    uint64_t upkeep_at_ms, trim_below, trimmed_below;
    uint64_t database_bytes[KR_ETCD_ENDPOINTS_MAX], used_bytes[KR_ETCD_ENDPOINTS_MAX];
    uint64_t defragmented_at_ms[KR_ETCD_ENDPOINTS_MAX]; // 0: never
    uint64_t compacted_at_ms;
    bool owes_compaction;                    // out of space, and not compacted since that began
    uint64_t round_at_ms, seen_transactions; // of the last round
    bool has_warned_of_quota, is_quiet;
    bool is_starved; // nobody can lead, for a lease needs space too

    struct engine_etcd_figures figures;
};

// --- keys (engine_etcd.c) ------------------------------------------------------------------------
struct etcd_key engine_etcd_leader_key(const struct engine_etcd *self);
// Where an operator says at which index a new log begins.
struct etcd_key engine_etcd_start_key(const struct engine_etcd *self);
struct etcd_key engine_etcd_log_key(const struct engine_etcd *self, uint64_t index);
// The front of the keys of an entry's parts; with number SIZE_MAX the end of their range.
struct etcd_key engine_etcd_part_key(const struct engine_etcd *self, uint64_t index,
                                     const uint8_t nonce[16], size_t number);
// The end of all keys of the log, or of the parts below an index.
struct etcd_key engine_etcd_log_end(const struct engine_etcd *self);
struct etcd_key engine_etcd_parts_below(const struct engine_etcd *self, uint64_t index);
// The index in a key of the log; false: it is none.
bool engine_etcd_key_index(const struct engine_etcd *self, struct bytes key, uint64_t *index);

static inline struct bytes engine_etcd_bytes(const struct etcd_key *key)
{
    return bytes_of(key->text, key->size);
}

// --- calls and states (engine_etcd.c) ------------------------------------------------------------
uint64_t engine_etcd_now_ms(const struct engine_etcd *self);
void engine_etcd_post(struct engine_etcd *self, struct etcd_request request);
// Voids what the stage before had asked for, but not from TAKING_OVER to LEADING.
void engine_etcd_enter(struct engine_etcd *self, enum etcd_stage stage);
void engine_etcd_tell_role(struct engine_etcd *self, enum engine_role role);
void engine_etcd_append_to(struct etcd_append_list *list, struct etcd_append *append);

// --- leadership (engine_etcd_lead.c) -------------------------------------------------------------
void engine_etcd_lead_turn(struct engine_etcd *self, uint64_t now_ms);
// Ends the own leadership or candidacy.
void engine_etcd_step_down(struct engine_etcd *self, const char *why);
// The same, when this node must not lead: it tells why and tries again later.
void engine_etcd_refuse(struct engine_etcd *self, const struct fault *fault);
// An append was committed: what it was refused for is over.
void engine_etcd_accept(struct engine_etcd *self);
// Opens for appends behind the tail that was verified.
void engine_etcd_lead(struct engine_etcd *self);

// --- appends (engine_etcd_append.c) --------------------------------------------------------------
enum kr_err engine_etcd_append(struct engine *engine, const struct engine_batch *batch,
                               engine_done_fn *done, void *ctx);
void engine_etcd_append_turn(struct engine_etcd *self, uint64_t now_ms);
// Fails what no transaction has taken.
void engine_etcd_fail_queue(struct engine_etcd *self);
bool engine_etcd_tell_completions(struct engine_etcd *self);

// --- the tail (engine_etcd_tail.c) ---------------------------------------------------------------
void engine_etcd_take_over(struct engine_etcd *self);
void engine_etcd_tail_turn(struct engine_etcd *self, uint64_t now_ms);
void engine_etcd_tail_drop(struct engine_etcd *self);
enum kr_err engine_etcd_read(struct engine *engine, uint64_t index, struct arena *arena,
                             struct bytes *entry, struct fault *fault);

// --- upkeep (engine_etcd_upkeep.c) ---------------------------------------------------------------
void engine_etcd_trim(struct engine *engine, uint64_t below_index);
void engine_etcd_upkeep_turn(struct engine_etcd *self, uint64_t now_ms);
// etcd has refused something for want of space: that comes first now.
void engine_etcd_starve(struct engine_etcd *self);
