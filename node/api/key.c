// SPDX-License-Identifier: Apache-2.0
// Keys: create, show, change, delete.
#include "node/api/handlers.h"
#include "node/api/key_answer.h"
#include "node/api/receipt.h"

static enum kr_err find(struct call *call, struct key_place *place)
{
    return api_key(call, &place->bucket, &place->consumer, &place->key);
}

enum kr_err api_key_create(struct call *call)
{
    struct key_place place;
    struct api_new_key new_key;
    enum kr_err err = api_consumer(call, &place.bucket, &place.consumer);
    if (err == KR_ERR_OK)
        err = api_new_key_members(call, &place.bucket, NULL, "", &new_key);
    if (err != KR_ERR_OK)
        return err;
    new_key.record.consumer_id = place.consumer.id;
    err = api_put_new_key(call, &place.bucket, &new_key);
    if (err != KR_ERR_OK)
        return err;
    place.key = new_key.record;
    key_audit(call, "key.create", &place, NULL, NULL);
    return key_answer(call, &place, KR_KEY_MASKED, new_key.value);
}

enum kr_err api_key_show(struct call *call)
{
    struct key_place place;
    enum api_key_format format = KR_KEY_MASKED;
    enum kr_err err = find(call, &place);
    if (err == KR_ERR_OK)
        err = api_key_format(call, &place.bucket, &format);
    return err == KR_ERR_OK ? key_answer(call, &place, format, NULL) : err;
}

// --- change --------------------------------------------------------------------------------------

// What a PATCH gives of what is checked against the rest of the key.
struct given {
    bool expiry, enabled, not_before;
};

// A revocation is for ever; a change that pretends to undo it would mislead.
static enum kr_err check_revoked(struct call *call, const struct key_place *before,
                                 const struct key *after, const struct given *given)
{
    if (key_status_of(&before->key, &before->consumer, &before->bucket, call->now_ms) !=
        KR_KEY_REVOKED)
        return KR_ERR_OK;
    int64_t was = before->key.expires_ms, is = after->expires_ms;
    if (given->enabled && after->is_enabled)
        return api_problem(call, KR_ERR_CONFLICT,
                           "enabled: the key is revoked and cannot be enabled again");
    if (given->expiry && was != 0 && (is == 0 || is > was))
        return api_problem(call, KR_ERR_CONFLICT,
                           "expiresOn: the key is revoked and cannot be extended");
    return KR_ERR_OK;
}

// A roll may have let a key end before it begins; that must keep nobody from disabling it.
static enum kr_err take_changes(struct call *call, const struct key_place *place, struct key *key)
{
    struct given given = {0};
    const struct api_member members[] = {
        {"description", KR_MEMBER_TEXT, &key->description, KR_DESCRIPTION_MAX, false, NULL},
        {"expiresOn", KR_MEMBER_TIME, &key->expires_ms, 0, false, &given.expiry},
        {"enabled", KR_MEMBER_BOOL, &key->is_enabled, 0, false, &given.enabled},
        {"notBefore", KR_MEMBER_TIME, &key->not_before_ms, 0, false, &given.not_before},
        {"ipAllow", KR_MEMBER_TEXTS, &key->ip_allow, KR_CIDRS_MAX, false, NULL},
        {"tags", KR_MEMBER_TAGS, &key->tags, KR_TAGS_MAX, false, NULL},
        {"metadata", KR_MEMBER_METADATA, &key->metadata, place->bucket.metadata_limit_bytes, false,
         NULL},
        {"scopes", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"id", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"key", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"keyHash", KR_MEMBER_FIXED, NULL, 0, false, NULL},
    };
    enum kr_err err = api_body(call, members, sizeof(members) / sizeof(members[0]));
    if (err == KR_ERR_OK)
        err = api_canonical_cidrs(call, "", &key->ip_allow);
    if (err == KR_ERR_OK && (given.expiry || given.not_before))
        err = api_check_life(call, "", key);
    return err == KR_ERR_OK ? check_revoked(call, place, key, &given) : err;
}

enum kr_err api_key_update(struct call *call)
{
    struct key_place place;
    enum api_key_format format = KR_KEY_MASKED;
    enum kr_err err = find(call, &place);
    if (err == KR_ERR_OK)
        err = key_check_match(call, &place);
    if (err != KR_ERR_OK)
        return err;
    struct key changed = place.key;
    err = take_changes(call, &place, &changed);
    if (err == KR_ERR_OK)
        err = api_key_format(call, &place.bucket, &format);
    if (err != KR_ERR_OK)
        return err;
    changed.updated_ms = call->now_ms;
    api_op(call, KR_OP_KEY_PUT)->as.key_put =
        (struct command_key_put){.record = changed, .expected_version = changed.version};
    // The revision stays as it is here: what revoked the key still shows in its status.
    changed.version++;
    place.key = changed;
    api_audit(call, "key.update", changed.id, changed.description, api_detail_changed(call));
    return key_answer(call, &place, format, NULL);
}

// --- delete --------------------------------------------------------------------------------------

// The key is revoked at once and leaves the lists after the retention period. Waiting for a receipt
// is as with a revocation, but the answer has no body to show it in.
enum kr_err api_key_delete(struct call *call)
{
    struct key_place place;
    enum kr_err err = find(call, &place);
    if (err == KR_ERR_OK)
        err = key_check_match(call, &place);
    if (err == KR_ERR_OK)
        err = receipt_expect(call, &place.bucket);
    if (err != KR_ERR_OK)
        return err;
    struct command_op *op = api_op(call, KR_OP_KEY_REVOKE);
    op->as.key_revoke = (struct command_key_revoke){
        .expected_version = call->if_match != NULL ? place.key.version : 0,
        .reason = KR_REASON_UNSPECIFIED,
        .purge_ms = api_purge_ms(call)};
    memcpy(op->as.key_revoke.digest, place.key.digest, KR_DIGEST_SIZE);
    key_audit(call, "key.delete", &place, NULL, NULL);
    call->receipt.is_bodiless = true;
    api_answer_status(call, 204);
    return KR_ERR_OK;
}
