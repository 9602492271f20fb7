// SPDX-License-Identifier: Apache-2.0
// The verify core: questions about keys → verdicts, from memory. Every skin asks through it.
//
// A question goes through validate_look_up (digest and look-up, many at once; structure) and
// validate_judge (verdict, freshness), each on a serving loop. What it found is lent until the
// loop's next quiescent state. A question that memory cannot answer yet says so in found.lookup.
#pragma once

#include "core/keys/verdict.h"
#include "core/store/store.h"
#include "node/node.h"
#include "proto/codec.h"
#include "replication/replica.h"

struct validate_question {
    // what is asked; slices lent by the request
    struct validation_ask ask;
    struct cidr_address address;
    bool has_address;

    // what came of it
    bool needs_look_up;             // it may be a key, and has not been judged
    uint8_t digest[KR_DIGEST_SIZE]; // from its look-up on
    struct store_found found;
    enum verdict_code code;
    struct replica_known known; // by which the look-up's finding is as old as it is
    uint64_t index;             // log position that the answer reflects
    uint64_t age_ms;            // how long ago that was known to be current
};

// A question with nothing asked for but the key.
void validate_init(struct validate_question *question);

// Digests and looks up, in batches, and looks at the structure of what was not found. Afterwards
// the code is MALFORMED, or needs_look_up is set. Their keys are still lent.
void validate_look_up(const struct node *node, struct validate_question *const *questions,
                      size_t count);

// What the index has told of a question. What was found is a key, whatever it looks like; what was
// not has to have the form of one, else it is MALFORMED.
void validate_take(const struct node *node, struct validate_question *question,
                   const struct store_found *found);

// The verdict, with freshness judged by the boot clock, which must have been read behind the
// look-ups. A question whose found.lookup is ASK_INDEX becomes UNAVAILABLE.
void validate_judge(const struct node *node, struct validate_question *question, int64_t now_ms,
                    uint64_t boot_ms);

// The verdict on a found key with nothing asked of it, freshness left out: for management tokens.
enum verdict_code validate_found(const struct store_found *found, int64_t now_ms);

// STALE and UNAVAILABLE say nothing of the key.
static inline bool validate_can_tell(enum verdict_code code)
{
    return code != KR_VERDICT_STALE && code != KR_VERDICT_UNAVAILABLE;
}

// Was it looked up before the node had reached ask.min_index? However far the node is by now, what
// was found may be older than that.
static inline bool validate_is_ahead(const struct validate_question *question)
{
    return question->ask.min_index > question->index;
}
// Ends a question that is ahead: STALE, and nothing is said of what was found.
void validate_give_up(struct validate_question *question);

// The JSON answer of API §2.1. node_json is `"node":"…","region":"…"`, rendered once.
void validate_write_json(struct buf *out, const struct validate_question *question,
                         struct bytes node_json);
// The protobuf answer; scratch must outlive the encoding.
struct validate_scratch {
    char key_id[KR_ID_SIZE];
};
void validate_answer(const struct node *node, const struct validate_question *question,
                     struct validate_scratch *scratch, struct validation_answer *answer);

// "key_…" of a record.
void validate_key_id(const struct hot_record *record, char out[KR_ID_SIZE]);
