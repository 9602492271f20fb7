// SPDX-License-Identifier: Apache-2.0
// The verify core: digest, look-up, structure, verdict, freshness, and the answer's bytes.
#include "node/validate.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/text.h"

enum { KR_VALIDATE_BATCH = 64 };

void validate_init(struct validate_question *question)
{
    question->ask.bucket = question->ask.ip = (struct bytes){0};
    question->ask.method = question->ask.path = (struct bytes){0};
    question->ask.scope_count = 0;
    question->ask.min_index = 0;
    question->ask.max_staleness_ms = KR_UNBOUNDED;
    question->ask.wants_explanation = false;
    question->has_address = false;
    question->needs_look_up = false;
    question->found = (struct store_found){.lookup = KR_STORE_ABSENT};
    question->index = 0;
    question->age_ms = 0;
}

// May the table hold it? Nothing that lacks these bounds was ever taken in.
static bool may_be_held(struct bytes key)
{
    return key.size >= KR_KEY_CUSTOM_MIN && key.size <= KR_KEY_VALUE_MAX;
}

// Without the form of a key it can only be an imported value; whether there are any is not known
// while the table is being loaded.
static bool is_well_formed(const struct node *node, struct bytes key)
{
    enum format_result form = format_check(key);
    if (form != KR_FORMAT_OTHER)
        return form == KR_FORMAT_OK;
    return format_is_custom(key) &&
           (hot_has_custom(store_hot(node->store)) || !store_is_loaded(node->store));
}

void validate_take(const struct node *node, struct validate_question *question,
                   const struct store_found *found)
{
    question->found = *found;
    if (question->found.lookup == KR_STORE_ABSENT && !is_well_formed(node, question->ask.key))
        question->needs_look_up = false;
}

static void look_up_batch(const struct node *node, struct validate_question *const *questions,
                          size_t count)
{
    struct validate_question *asked[KR_VALIDATE_BATCH];
    struct bytes keys[KR_VALIDATE_BATCH];
    uint8_t digests[KR_VALIDATE_BATCH][KR_DIGEST_SIZE];
    struct store_found found[KR_VALIDATE_BATCH];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (!questions[i]->needs_look_up)
            continue;
        asked[used] = questions[i];
        keys[used++] = questions[i]->ask.key;
    }
    if (used == 0)
        return;
    store_find_many(node->store, keys, used, digests, found);
    for (size_t i = 0; i < used; i++) {
        memcpy(asked[i]->digest, digests[i], KR_DIGEST_SIZE);
        validate_take(node, asked[i], &found[i]);
    }
}

void validate_look_up(const struct node *node, struct validate_question *const *questions,
                      size_t count)
{
    // Read before anything else: the answer reflects at least this position, and is no younger.
    uint64_t index = store_applied_index(node->store);
    const struct replica_known known = replica_known(node->replica);
    for (size_t i = 0; i < count; i++) {
        questions[i]->index = index;
        questions[i]->known = known;
        questions[i]->code = KR_VERDICT_MALFORMED;
        questions[i]->needs_look_up = may_be_held(questions[i]->ask.key);
    }
    for (size_t done = 0; done < count; done += KR_VALIDATE_BATCH) {
        size_t left = count - done;
        look_up_batch(node, questions + done, left < KR_VALIDATE_BATCH ? left : KR_VALIDATE_BATCH);
    }
}

void validate_give_up(struct validate_question *question)
{
    question->needs_look_up = false;
    question->found.lookup = KR_STORE_ABSENT;
    question->code = KR_VERDICT_STALE;
}

static uint32_t asked_bucket(const struct node *node, const struct store_found *found,
                             struct bytes asked)
{
    if (asked.size == 0)
        return KR_VERDICT_ANY_BUCKET;
    if (bytes_equal_text(asked, found->bucket->name) || bytes_equal_text(asked, found->bucket->id))
        return found->bucket->number;
    const struct hot_bucket *other = hot_bucket_named(store_hot(node->store), asked);
    // A bucket that nobody knows is never the key's.
    return other != NULL ? other->number : KR_VERDICT_ANY_BUCKET - 1;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void know(const struct store_found *found, struct verdict_key *key)
{
    const struct hot_record *record = found->record;
    *key = (struct verdict_key){
        .revision = hot_record_u48(record->revision),
        .revoked_before = later(found->bucket->revoked_before, found->revoked_before),
        .expires_ms = (int64_t)hot_record_u48(record->expires),
        .is_revoked = (record->flags & KR_HOT_REVOKED) != 0,
        .is_enabled = (record->flags & KR_HOT_DISABLED) == 0,
        .bucket = found->bucket->number,
    };
    if (found->extra == NULL)
        return;
    key->not_before_ms = found->extra->not_before_ms;
    key->scopes = &found->extra->scopes;
    key->ip_allow = found->extra->ip_allow;
    key->ip_allow_count = found->extra->ip_allow_count;
}

enum verdict_code validate_found(const struct store_found *found, int64_t now_ms)
{
    struct verdict_key key;
    struct verdict_request request = {.now_ms = now_ms, .bucket = KR_VERDICT_ANY_BUCKET};
    know(found, &key);
    return verdict_judge(&key, &request);
}

static enum verdict_code judge_found(const struct node *node,
                                     const struct validate_question *question, int64_t now_ms)
{
    struct verdict_key key;
    struct verdict_request request = {
        .now_ms = now_ms,
        .bucket = asked_bucket(node, &question->found, question->ask.bucket),
        .address = question->has_address ? &question->address : NULL,
        .scopes = question->ask.scopes,
        .scope_count = question->ask.scope_count,
    };
    know(&question->found, &key);
    return verdict_judge(&key, &request);
}

// The bound of the key's bucket; of an unknown key, of the bucket that is asked for.
static int64_t staleness_of_bucket(const struct node *node,
                                   const struct validate_question *question)
{
    struct bytes asked = question->ask.bucket;
    const struct hot_bucket *bucket = NULL;
    if (question->found.lookup == KR_STORE_FOUND)
        bucket = question->found.bucket;
    else if (asked.size > 0)
        bucket = hot_bucket_named(store_hot(node->store), asked);
    return bucket != NULL ? bucket->max_staleness_ms : KR_MAX_STALENESS_DEFAULT_MS;
}

static int64_t allowed_staleness(const struct node *node, const struct validate_question *question)
{
    if (question->known.is_doubtful)
        return KR_NEVER_FRESH;
    int64_t asked = question->ask.max_staleness_ms;
    int64_t own = staleness_of_bucket(node, question);
    if (asked == KR_UNBOUNDED)
        return own;
    return own == KR_UNBOUNDED || asked < own ? asked : own;
}

void validate_judge(const struct node *node, struct validate_question *question, int64_t now_ms,
                    uint64_t boot_ms)
{
    question->age_ms = replica_known_age_ms(&question->known, boot_ms);
    if (!question->needs_look_up)
        return;
    question->needs_look_up = false;
    struct store_found *found = &question->found;
    switch (found->lookup) {
    case KR_STORE_ASK_INDEX:
        question->code = KR_VERDICT_UNAVAILABLE;
        return;
    case KR_STORE_ABSENT:
        question->code = KR_VERDICT_NOT_FOUND;
        break;
    case KR_STORE_FOUND:
        // Management tokens open no gateway.
        if (found->bucket->is_system) {
            found->lookup = KR_STORE_ABSENT;
            question->code = KR_VERDICT_NOT_FOUND;
            break;
        }
        question->code = judge_found(node, question, now_ms);
        break;
    }
    question->code =
        verdict_freshen(question->code, question->age_ms, allowed_staleness(node, question));
    if (question->code == KR_VERDICT_VALID)
        hot_note_used(found->record, (uint32_t)(now_ms / 60000));
}

void validate_key_id(const struct hot_record *record, char out[KR_ID_SIZE])
{
    memcpy(out, "key_", 4);
    text_unpack24(record->id, out + 4);
    out[28] = '\0';
}

// --- the JSON answer -----------------------------------------------------------------------------

#define ADD(out, literal) buf_add((out), (literal), sizeof(literal) - 1)

static void write_scopes(struct buf *out, const struct hot_extra *extra)
{
    ADD(out, ",\"scopes\":");
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '[');
    for (size_t i = 0; extra != NULL && i < extra->scopes.count; i++)
        json_write_string(&writer, NULL, extra->scopes.items[i]);
    json_close(&writer, ']');
}

static void write_identity(struct buf *out, const struct validate_question *question)
{
    const struct store_found *found = &question->found;
    if (question->code == KR_VERDICT_VALID) {
        ADD(out, ",");
        buf_add(out, found->subject->texts, found->subject->json_size);
        if (found->extra == NULL)
            ADD(out, ",\"scopes\":[]");
        else
            write_scopes(out, found->extra);
        return;
    }
    ADD(out, ",\"sub\":null,\"data\":null,\"consumer\":null,\"bucket\":");
    if (found->lookup != KR_STORE_FOUND) {
        ADD(out, "null,\"environment\":null,\"scopes\":null");
        return;
    }
    ADD(out, "\"");
    buf_add_text(out, found->bucket->name);
    ADD(out, "\",\"environment\":\"");
    buf_add_text(out, environment_text(found->bucket->environment));
    ADD(out, "\",\"scopes\":null");
}

static void write_expiry(struct buf *out, const struct store_found *found)
{
    uint64_t expires_ms =
        found->lookup == KR_STORE_FOUND ? hot_record_u48(found->record->expires) : 0;
    if (expires_ms == 0) {
        ADD(out, ",\"expiresOn\":null");
        return;
    }
    char stamp[KR_STAMP_SIZE];
    clock_stamp((int64_t)expires_ms, stamp);
    ADD(out, ",\"expiresOn\":\"");
    buf_add_text(out, stamp);
    ADD(out, "\"");
}

void validate_write_json(struct buf *out, const struct validate_question *question,
                         struct bytes node_json)
{
    if (question->code == KR_VERDICT_VALID) {
        ADD(out, "{\"valid\":true,\"code\":\"VALID\",\"keyId\":");
    } else {
        ADD(out, "{\"valid\":false,\"code\":\"");
        buf_add_text(out, verdict_text(question->code));
        ADD(out, "\",\"keyId\":");
    }
    if (question->found.lookup == KR_STORE_FOUND) {
        char id[KR_ID_SIZE];
        validate_key_id(question->found.record, id);
        ADD(out, "\"");
        buf_add(out, id, 28);
        ADD(out, "\"");
    } else {
        ADD(out, "null");
    }
    write_identity(out, question);
    write_expiry(out, &question->found);
    ADD(out, ",\"index\":");
    buf_add_decimal(out, question->index);
    ADD(out, ",\"ageMs\":");
    if (question->age_ms == UINT64_MAX)
        ADD(out, "null");
    else
        buf_add_decimal(out, question->age_ms);
    ADD(out, ",");
    buf_add_bytes(out, node_json);
    ADD(out, "}");
}

// --- the protobuf answer -------------------------------------------------------------------------

static void answer_identity(const struct store_found *found, struct validation_answer *answer)
{
    const struct hot_subject *subject = found->subject;
    const char *texts = subject->texts;
    answer->sub = bytes_of(texts + subject->name_at, subject->name_size);
    answer->data = bytes_of(texts + subject->data_at, subject->data_size);
    answer->consumer_id = bytes_of(texts + subject->id_at, subject->id_size);
    answer->consumer_name = answer->sub;
    if (found->extra != NULL) {
        answer->scopes = found->extra->scopes.items;
        answer->scope_count = found->extra->scopes.count;
    }
}

void validate_answer(const struct node *node, const struct validate_question *question,
                     struct validate_scratch *scratch, struct validation_answer *answer)
{
    const struct store_found *found = &question->found;
    *answer = (struct validation_answer){
        .code = question->code,
        .code_text = verdict_text(question->code),
        .index = question->index,
        .age_ms = question->age_ms,
        .node = bytes_text(node->identity.node_id),
        .region = bytes_text(node->identity.region),
    };
    if (found->lookup != KR_STORE_FOUND)
        return;
    validate_key_id(found->record, scratch->key_id);
    answer->key_id = bytes_text(scratch->key_id);
    answer->bucket = bytes_text(found->bucket->name);
    answer->environment = bytes_text(environment_text(found->bucket->environment));
    answer->expires_ms = (int64_t)hot_record_u48(found->record->expires);
    if (question->code == KR_VERDICT_VALID)
        answer_identity(found, answer);
}
