// SPDX-License-Identifier: Apache-2.0
// Keys: revoke with a receipt, reveal the value that the vault keeps.
#include "node/api/handlers.h"
#include "node/api/key_answer.h"
#include "node/api/receipt.h"

// A key that is revoked already is revoked once more: the caller gets a receipt that says so, with
// 0 keys, and the first time and reason stay.
enum kr_err api_key_revoke(struct call *call)
{
    struct key_place place;
    enum revoke_reason reason;
    enum kr_err err = api_key(call, &place.bucket, &place.consumer, &place.key);
    if (err == KR_ERR_OK)
        err = api_revoke_body(call, NULL, &reason);
    if (err == KR_ERR_OK)
        err = receipt_expect(call, &place.bucket);
    if (err != KR_ERR_OK)
        return err;
    struct command_op *op = api_op(call, KR_OP_KEY_REVOKE);
    op->as.key_revoke =
        (struct command_key_revoke){.reason = reason, .purge_ms = api_purge_ms(call)};
    memcpy(op->as.key_revoke.digest, place.key.digest, KR_DIGEST_SIZE);
    key_audit(call, "key.revoke", &place, "reason", revoke_reason_text(reason));
    return KR_ERR_OK;
}

static enum kr_err check_kept(struct call *call, const struct key_place *place)
{
    if (!place->bucket.is_retrievable)
        return api_problem(call, KR_ERR_CONFLICT,
                           "the bucket %s keeps no values (isRetrievable is false)",
                           place->bucket.name);
    if (!place->key.is_sealed)
        return api_problem(call, KR_ERR_CONFLICT,
                           "the key was imported as a hash; its value is not known");
    return KR_ERR_OK;
}

// The audit row is committed before the value leaves: nobody sees one without a trace.
enum kr_err api_key_reveal(struct call *call)
{
    struct key_place place;
    struct json_writer writer;
    const char *value = NULL;
    enum kr_err err = api_key(call, &place.bucket, &place.consumer, &place.key);
    if (err == KR_ERR_OK)
        err = api_body(call, NULL, 0);
    if (err == KR_ERR_OK)
        err = check_kept(call, &place);
    if (err != KR_ERR_OK)
        return err;
    err = api_open_value(call, &place.key, &value);
    if (err != KR_ERR_OK)
        return api_problem(call, err, "the stored value cannot be opened");
    key_audit(call, "key.reveal", &place, NULL, NULL);
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "key", value);
    json_close(&writer, '}');
    api_field(call, "Cache-Control", "no-store");
    return api_json_end(call, &writer);
}
