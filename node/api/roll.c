// SPDX-License-Identifier: Apache-2.0
// roll-key: the consumer's keys end soon, and a new one with the newest one's settings takes over.
//
// Every key that still lets somebody in gets an expiry no later than the one asked for, and each
// put names the version that was seen, so that a key changed meanwhile makes the call run again.
#include "node/api/handlers.h"
#include "node/api/key_answer.h"

#define KR_ROLL_DEFAULT_MS ((int64_t)7 * 24 * 60 * 60 * 1000)

enum { KR_ROLL_KEYS_MAX = 10000 };

struct roll {
    struct call *call;
    struct bucket bucket;
    struct consumer consumer;
    int64_t expires_ms;
    bool wants_key, is_at_once; // at once: what ends in the past is revoked
    size_t rolled;
    // The newest key that may live on, or else the newest: a revoked key's rights may be why it was
    // revoked, and an expired one's are those of long ago.
    char newest_id[KR_ID_SIZE];
    bool is_newest_dead, is_newest_revoked;
};

static enum kr_err read_request(struct roll *roll)
{
    struct call *call = roll->call;
    bool is_given = false;
    const struct api_member members[] = {
        {"expiresOn", KR_MEMBER_TIME, &roll->expires_ms, 0, false, &is_given},
    };
    const char *wanted = api_parameter(call, "return");
    enum kr_err err = api_body(call, members, sizeof(members) / sizeof(members[0]));
    if (err == KR_ERR_OK && wanted != NULL && strcmp(wanted, "key") != 0)
        err = api_problem(call, KR_ERR_INVALID, "parameter return: key");
    // Null is "never" elsewhere; read as the default, it would end keys that were to stay.
    if (err == KR_ERR_OK && is_given && roll->expires_ms == 0)
        err = api_problem(call, KR_ERR_INVALID, "expiresOn: needs a time");
    roll->wants_key = wanted != NULL;
    if (roll->expires_ms == 0)
        roll->expires_ms = call->now_ms + KR_ROLL_DEFAULT_MS;
    roll->is_at_once = roll->expires_ms <= call->now_ms;
    return err;
}

static void note_newest(struct roll *roll, const struct key *key, bool is_revoked, bool is_dead)
{
    if (roll->newest_id[0] != '\0' && is_dead && !roll->is_newest_dead)
        return;
    memcpy(roll->newest_id, key->id, strlen(key->id) + 1);
    roll->is_newest_dead = is_dead;
    roll->is_newest_revoked = is_revoked;
}

static void revoke(struct roll *roll, const struct key *key)
{
    struct command_op *op = api_op(roll->call, KR_OP_KEY_REVOKE);
    op->as.key_revoke = (struct command_key_revoke){.expected_version = key->version,
                                                    .reason = KR_REASON_SUPERSEDED,
                                                    .purge_ms = api_purge_ms(roll->call)};
    memcpy(op->as.key_revoke.digest, key->digest, KR_DIGEST_SIZE);
    roll->rolled++;
}

// Reads the key once more, now into memory that lives as long as the command.
static void expire(struct roll *roll, const struct key *key)
{
    struct call *call = roll->call;
    struct key record;
    if (!store_get_key(call->view, key->digest, &call->arena, &record))
        return; // damage, which the view remembers
    record.expires_ms = roll->expires_ms;
    record.updated_ms = call->now_ms;
    api_op(call, KR_OP_KEY_PUT)->as.key_put =
        (struct command_key_put){.record = record, .expected_version = record.version};
    roll->rolled++;
}

static void take(struct roll *roll, const struct key *key)
{
    enum key_status status = key_status_of(key, &roll->consumer, &roll->bucket, roll->call->now_ms);
    bool has_expired = key->expires_ms != 0 && key->expires_ms <= roll->call->now_ms;
    bool is_dead = status == KR_KEY_REVOKED || has_expired;
    note_newest(roll, key, status == KR_KEY_REVOKED, is_dead);
    if (is_dead)
        return;
    if (roll->is_at_once)
        revoke(roll, key);
    else if (key->expires_ms == 0 || key->expires_ms > roll->expires_ms)
        expire(roll, key);
}

static enum kr_err roll_keys(struct roll *roll)
{
    struct arena scratch;
    struct key key;
    arena_init(&scratch);
    struct store_cursor *cursor = store_keys(roll->call->view, roll->consumer.id, NULL);
    while (roll->rolled <= KR_ROLL_KEYS_MAX && store_next_key(cursor, &scratch, &key)) {
        take(roll, &key);
        arena_reset(&scratch);
    }
    store_cursor_close(&cursor);
    arena_fini(&scratch);
    enum kr_err err = api_check_view(roll->call);
    if (err == KR_ERR_OK && roll->rolled > KR_ROLL_KEYS_MAX)
        err = api_problem(roll->call, KR_ERR_CONFLICT,
                          "the consumer has more than %d live keys, too many to roll at once; "
                          "revoke or delete some, or revoke the consumer's keys as a whole",
                          KR_ROLL_KEYS_MAX);
    if (err == KR_ERR_OK && roll->newest_id[0] == '\0')
        err = api_problem(roll->call, KR_ERR_CONFLICT, "the consumer %s has no key to roll",
                          roll->consumer.name);
    return err;
}

// created_by and times are the new key's own; it has no expiry.
static enum kr_err put_successor(struct roll *roll, struct api_new_key *new_key)
{
    struct call *call = roll->call;
    struct key newest;
    if (!store_get_key_by_id(call->view, roll->newest_id, &call->arena, &newest)) {
        enum kr_err err = api_check_view(call);
        return err != KR_ERR_OK ? err : api_problem(call, KR_ERR_INTERNAL, "a key has vanished");
    }
    api_new_key_defaults(new_key);
    new_key->is_expiry_given = true;
    new_key->record.consumer_id = roll->consumer.id;
    new_key->record.description = newest.description;
    new_key->record.scopes = newest.scopes;
    new_key->record.ip_allow = newest.ip_allow;
    new_key->record.tags = newest.tags;
    new_key->record.metadata = newest.metadata;
    new_key->record.is_enabled = newest.is_enabled;
    if (newest.not_before_ms > call->now_ms)
        new_key->record.not_before_ms = newest.not_before_ms;
    new_key->record.rotated_from = newest.id;
    return api_put_new_key(call, &roll->bucket, new_key);
}

// Where no key may live on and the newest is revoked, a new one lets in again whom somebody has
// shut out.
static enum kr_err check_revival(struct roll *roll)
{
    struct call *call = roll->call;
    if (!roll->is_newest_revoked || access_allows(&call->actor, KR_RIGHT_WRITE))
        return KR_ERR_OK;
    return api_deny(call, roll->consumer.id, roll->consumer.name,
                    "the consumer's newest key is revoked and no other is good, and the token may "
                    "not write");
}

static void audit(struct roll *roll, const struct key *successor)
{
    struct call *call = roll->call;
    struct buf detail;
    struct json_writer writer;
    buf_init(&detail, 1024);
    json_begin(&writer, &detail);
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "keys", (int64_t)roll->rolled);
    json_write_stamp(&writer, "expiresOn", roll->expires_ms);
    json_write_string(&writer, "newKey", successor->id);
    json_write_string(&writer, "rotatedFrom", successor->rotated_from);
    json_close(&writer, '}');
    api_audit(call, "consumer.roll", roll->consumer.id, roll->consumer.name,
              detail.has_failed ? NULL : arena_text_of(&call->arena, buf_bytes(&detail)));
    buf_fini(&detail);
}

enum kr_err api_consumer_roll(struct call *call)
{
    struct roll roll = {.call = call};
    struct api_new_key new_key;
    enum kr_err err = api_consumer(call, &roll.bucket, &roll.consumer);
    if (err == KR_ERR_OK)
        err = read_request(&roll);
    if (err == KR_ERR_OK)
        err = roll_keys(&roll);
    if (err == KR_ERR_OK)
        err = check_revival(&roll);
    if (err == KR_ERR_OK)
        err = put_successor(&roll, &new_key);
    if (err != KR_ERR_OK)
        return err;
    audit(&roll, &new_key.record);
    if (!roll.wants_key) {
        api_answer_status(call, 204);
        return KR_ERR_OK;
    }
    struct key_place place = {roll.bucket, roll.consumer, new_key.record};
    return key_answer(call, &place, KR_KEY_MASKED, new_key.value);
}
