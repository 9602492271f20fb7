// SPDX-License-Identifier: Apache-2.0
// Consumers: show, change, delete, revoke whole.
#include "node/api/consumer_parts.h"
#include "node/api/handlers.h"
#include "node/api/receipt.h"

static enum kr_err answer(struct call *call, const struct bucket *bucket,
                          const struct consumer *consumer)
{
    struct consumer_parts parts;
    struct json_writer writer;
    enum kr_err err = consumer_parts_read(call, bucket, &parts);
    if (err != KR_ERR_OK)
        return err;
    api_json_begin(call, &writer);
    consumer_parts_write(call, &writer, bucket, consumer, &parts, &call->arena);
    api_etag(call, consumer->id, consumer->version);
    return api_json_end(call, &writer);
}

enum kr_err api_consumer_show(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    enum kr_err err = api_consumer(call, &bucket, &consumer);
    return err == KR_ERR_OK ? answer(call, &bucket, &consumer) : err;
}

static enum kr_err find_to_change(struct call *call, struct bucket *bucket,
                                  struct consumer *consumer)
{
    enum kr_err err = api_consumer(call, bucket, consumer);
    return err == KR_ERR_OK ? api_check_match(call, consumer->id, consumer->version) : err;
}

enum kr_err api_consumer_update(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    enum kr_err err = find_to_change(call, &bucket, &consumer);
    if (err != KR_ERR_OK)
        return err;
    const struct api_member members[] = {
        {"name", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"id", KR_MEMBER_FIXED, NULL, 0, false, NULL},
        {"description", KR_MEMBER_TEXT, &consumer.description, KR_DESCRIPTION_MAX, false, NULL},
        {"tags", KR_MEMBER_TAGS, &consumer.tags, KR_TAGS_MAX, false, NULL},
        {"metadata", KR_MEMBER_METADATA, &consumer.metadata, bucket.metadata_limit_bytes, false,
         NULL},
    };
    err = api_body(call, members, sizeof(members) / sizeof(members[0]));
    if (err != KR_ERR_OK)
        return err;
    consumer.updated_ms = call->now_ms;
    struct command_op *op = api_op(call, KR_OP_CONSUMER_PUT);
    op->as.consumer_put =
        (struct command_consumer_put){.record = consumer, .expected_version = consumer.version};
    consumer.version++;
    err = answer(call, &bucket, &consumer);
    api_audit(call, "consumer.update", consumer.id, consumer.name, api_detail_changed(call));
    return err;
}

enum kr_err api_consumer_delete(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    enum kr_err err = find_to_change(call, &bucket, &consumer);
    if (err != KR_ERR_OK)
        return err;
    api_op(call, KR_OP_CONSUMER_DELETE)->as.target =
        (struct command_target){.id = consumer.id,
                                .expected_version = consumer.version,
                                .reason = KR_REASON_CESSATION_OF_OPERATION,
                                .purge_ms = api_purge_ms(call)};
    api_answer_status(call, 204);
    api_audit(call, "consumer.delete", consumer.id, consumer.name, NULL);
    return KR_ERR_OK;
}

enum kr_err api_consumer_revoke(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    enum revoke_reason reason;
    enum kr_err err = api_consumer(call, &bucket, &consumer);
    if (err == KR_ERR_OK)
        err = api_revoke_body(call, consumer.name, &reason);
    if (err == KR_ERR_OK)
        err = receipt_expect(call, &bucket);
    if (err != KR_ERR_OK)
        return err;
    // Whatever else changes: a revocation is not kept waiting by other writers.
    api_op(call, KR_OP_CONSUMER_REVOKE)->as.target =
        (struct command_target){.id = consumer.id, .reason = reason};
    api_audit(call, "consumer.revoke", consumer.id, consumer.name,
              api_detail(call, "reason", revoke_reason_text(reason)));
    return KR_ERR_OK;
}
