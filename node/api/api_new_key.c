// SPDX-License-Identifier: Apache-2.0
// New keys: minted or given, their digest, their masked form, and the sealed value where the bucket
// keeps values.
#include "core/base/rand.h"
#include "node/api/api.h"
#include "node/node.h"
#include "node/sealing.h"

#define KR_DAY_MS ((int64_t)24 * 60 * 60 * 1000)

enum { KR_HASH_TEXT_MAX = 128, KR_LAST4_TEXT_MAX = 4 };

static void mint(struct call *call, const struct bucket *bucket, struct api_new_key *new_key)
{
    char body[KR_KEY_BODY_SIZE], value[KR_KEY_MINTED_SIZE];
    rand_base62(body, sizeof(body));
    format_mint(bucket->key_prefix, body, value);
    new_key->value = arena_text(&call->arena, value);
    mem_zero(body, sizeof(body));
    mem_zero(value, sizeof(value));
}

static enum kr_err take_given(struct call *call, struct api_new_key *new_key)
{
    struct bytes value = bytes_text(new_key->given);
    if (!format_is_custom(value))
        return api_problem(call, KR_ERR_INVALID,
                           "%skey: must be 16 to 512 printable ASCII characters without spaces",
                           new_key->where);
    enum format_result form = format_check(value);
    if (form == KR_FORMAT_CHECKSUM)
        return api_problem(call, KR_ERR_INVALID,
                           "%skey: has the form of a key but a wrong checksum", new_key->where);
    new_key->record.is_custom = form != KR_FORMAT_OK;
    new_key->value = new_key->given;
    return KR_ERR_OK;
}

static enum kr_err take_hash(struct call *call, struct api_new_key *new_key)
{
    const char *algorithm = NULL, *value = NULL, *last4 = NULL;
    const char *where = arena_printf(&call->arena, "%skeyHash", new_key->where);
    const struct api_member members[] = {
        {"algorithm", KR_MEMBER_TEXT, &algorithm, KR_HASH_TEXT_MAX, true, NULL},
        {"value", KR_MEMBER_TEXT, &value, KR_HASH_TEXT_MAX, true, NULL},
        {"last4", KR_MEMBER_TEXT, &last4, KR_LAST4_TEXT_MAX, false, NULL},
    };
    enum kr_err err = api_members(call, new_key->given_hash, where, members,
                                  sizeof(members) / sizeof(members[0]));
    if (err != KR_ERR_OK)
        return err;
    if (strcmp(algorithm, "sha256") != 0)
        return api_problem(call, KR_ERR_INVALID, "%s.algorithm: must be sha256", where);
    if (!digest_read(value, new_key->record.digest))
        return api_problem(call, KR_ERR_INVALID,
                           "%s.value: must be the 32 bytes of a SHA-256 in hex or base64", where);
    if (last4 != NULL && !rules_is_last4(last4))
        return api_problem(call, KR_ERR_INVALID,
                           "%s.last4: must be the value's last four characters", where);
    char masked[KR_KEY_MASKED_SIZE];
    format_mask_last4(last4 == NULL ? "" : last4, masked);
    new_key->record.masked = arena_text(&call->arena, masked);
    new_key->record.is_custom = true; // its form is not known
    return KR_ERR_OK;
}

static enum kr_err take_value(struct call *call, const struct bucket *bucket,
                              struct api_new_key *new_key)
{
    enum kr_err err = KR_ERR_OK;
    if (new_key->given != NULL)
        err = take_given(call, new_key);
    else
        mint(call, bucket, new_key);
    if (err != KR_ERR_OK)
        return err;
    char masked[KR_KEY_MASKED_SIZE];
    digest_sha256(bytes_text(new_key->value), new_key->record.digest);
    format_mask(bytes_text(new_key->value), masked);
    new_key->record.masked = arena_text(&call->arena, masked);
    return KR_ERR_OK;
}

// A hash that only begins like another key's counts as that: whoever gives hashes could choose it.
static enum kr_err check_unused(struct call *call, const struct api_new_key *new_key)
{
    if (!store_has_digest(call->view, new_key->record.digest))
        return KR_ERR_OK;
    return api_problem(call, KR_ERR_CONFLICT, "%s%s: the value is in use", new_key->where,
                       new_key->given_hash != NULL ? "keyHash" : "key");
}

// revision and version as apply will set them: a model written before the commit shows them.
static void complete(struct call *call, const struct bucket *bucket, struct api_new_key *new_key)
{
    struct key *record = &new_key->record;
    if (record->id == NULL)
        record->id = api_new_id(call, "key");
    record->bucket_id = bucket->id;
    if (record->metadata == NULL)
        record->metadata = "{}";
    if (record->created_by == NULL)
        record->created_by = arena_text(&call->arena, call->actor.token_id);
    if (record->created_ms == 0)
        record->created_ms = record->updated_ms = call->now_ms;
    if (record->expires_ms == 0 && !new_key->is_expiry_given && bucket->default_expiry_days > 0)
        record->expires_ms = record->created_ms + bucket->default_expiry_days * KR_DAY_MS;
    record->version = 1;
    record->revision = store_view_index(call->view) + 1;
    record->is_sealed = bucket->is_retrievable && new_key->value != NULL;
}

static enum kr_err put_sealed(struct call *call, const struct api_new_key *new_key)
{
    const struct vault *vault = call->node->vault;
    uint32_t version;
    struct buf box;
    if (!sealing_version(vault, call->view, &version))
        return api_problem(call, KR_ERR_BUSY,
                           "the value cannot be sealed: this node's master key is not the "
                           "cluster's");
    buf_init(&box, KR_KEY_VALUE_MAX + 256);
    vault_seal(vault, version, new_key->record.id, bytes_text(new_key->value), &box);
    api_op(call, KR_OP_VAULT_PUT)->as.vault_put =
        (struct sealed){.key_id = new_key->record.id,
                        .vault_version = version,
                        .box = arena_bytes_of(&call->arena, buf_bytes(&box))};
    buf_fini(&box);
    return KR_ERR_OK;
}

enum kr_err api_put_new_key(struct call *call, const struct bucket *bucket,
                            struct api_new_key *new_key)
{
    new_key->value = NULL;
    if (new_key->given != NULL && new_key->given_hash != NULL)
        return api_problem(call, KR_ERR_INVALID, "%skeyHash: excludes key", new_key->where);
    enum kr_err err =
        new_key->given_hash != NULL ? take_hash(call, new_key) : take_value(call, bucket, new_key);
    if (err == KR_ERR_OK)
        err = check_unused(call, new_key);
    if (err != KR_ERR_OK)
        return err;
    complete(call, bucket, new_key);
    err = api_check_life(call, new_key->where, &new_key->record);
    if (err != KR_ERR_OK)
        return err;
    api_op(call, KR_OP_KEY_PUT)->as.key_put.record = new_key->record;
    return new_key->record.is_sealed ? put_sealed(call, new_key) : KR_ERR_OK;
}
