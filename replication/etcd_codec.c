// SPDX-License-Identifier: Apache-2.0
// Requests to etcd's JSON gateway, and its answers.
#include "replication/etcd_codec.h"

#include <stdio.h>

#include "core/base/json.h"
#include "core/base/text.h"

// --- requests ------------------------------------------------------------------------------------

// Straight into the buffer: a value may be a megabyte.
static void write_base64(struct json_writer *writer, const char *name, struct bytes data)
{
    json_write_raw(writer, name, bytes_text("\""));
    text_add_base64(writer->out, data);
    buf_add_u8(writer->out, '"');
}

static void write_number(struct json_writer *writer, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    json_write_string(writer, name, text);
}

static void write_keys(struct json_writer *writer, struct bytes key, struct bytes end)
{
    write_base64(writer, "key", key);
    if (end.size > 0)
        write_base64(writer, "range_end", end);
}

void etcd_add_grant(struct buf *out, uint64_t ttl_s)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    write_number(&writer, "TTL", ttl_s);
    json_close(&writer, '}');
}

void etcd_add_lease(struct buf *out, uint64_t lease)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    write_number(&writer, "ID", lease);
    json_close(&writer, '}');
}

void etcd_add_range(struct buf *out, const struct etcd_range *range)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    write_keys(&writer, range->key, range->end);
    if (range->limit > 0)
        write_number(&writer, "limit", range->limit);
    json_write_string(&writer, "sort_target", "KEY");
    json_write_string(&writer, "sort_order", range->is_descending ? "DESCEND" : "ASCEND");
    if (range->is_keys_only)
        json_write_bool(&writer, "keys_only", true);
    json_close(&writer, '}');
}

static void write_compare(struct json_writer *writer, const struct etcd_compare *compare)
{
    bool is_version = compare->what == KR_ETCD_VERSION_IS;
    json_open(writer, NULL, '{');
    json_write_string(writer, "target", is_version ? "VERSION" : "CREATE");
    json_write_string(writer, "result", "EQUAL");
    write_base64(writer, "key", compare->key);
    write_number(writer, is_version ? "version" : "create_revision", compare->number);
    json_close(writer, '}');
}

static void write_op(struct json_writer *writer, const struct etcd_op *op)
{
    static const char *const names[] = {[KR_ETCD_OP_PUT] = "request_put",
                                        [KR_ETCD_OP_RANGE] = "request_range",
                                        [KR_ETCD_OP_DELETE] = "request_delete_range"};
    json_open(writer, NULL, '{');
    json_open(writer, names[op->kind], '{');
    write_keys(writer, op->key, op->end);
    if (op->kind == KR_ETCD_OP_PUT)
        write_base64(writer, "value", op->value);
    if (op->kind == KR_ETCD_OP_PUT && op->lease != 0)
        write_number(writer, "lease", op->lease);
    json_close(writer, '}');
    json_close(writer, '}');
}

static void write_ops(struct json_writer *writer, const char *name, const struct etcd_op *ops,
                      size_t count)
{
    json_open(writer, name, '[');
    for (size_t i = 0; i < count; i++)
        write_op(writer, &ops[i]);
    json_close(writer, ']');
}

void etcd_add_txn(struct buf *out, const struct etcd_txn *txn)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    json_open(&writer, "compare", '[');
    for (size_t i = 0; i < txn->compare_count; i++)
        write_compare(&writer, &txn->compares[i]);
    json_close(&writer, ']');
    write_ops(&writer, "success", txn->then, txn->then_count);
    write_ops(&writer, "failure", txn->otherwise, txn->otherwise_count);
    json_close(&writer, '}');
}

void etcd_add_compaction(struct buf *out, uint64_t revision)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    write_number(&writer, "revision", revision);
    json_write_bool(&writer, "physical", true);
    json_close(&writer, '}');
}

void etcd_add_nothing(struct buf *out)
{
    buf_add_text(out, "{}");
}

void etcd_add_alarm_get(struct buf *out)
{
    buf_add_text(out, "{\"action\":\"GET\"}");
}

void etcd_add_alarm_off(struct buf *out, const char *member_id)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "action", "DEACTIVATE");
    json_write_string(&writer, "memberID", member_id);
    json_write_string(&writer, "alarm", "NOSPACE");
    json_close(&writer, '}');
}

// --- answers -------------------------------------------------------------------------------------

// A reader of one answer: is_bad is sticky, so that fields are read one after the other.
struct reading {
    struct arena *arena;
    bool is_bad;
    struct etcd_reply *reply;
    struct etcd_kv *kvs; // KR_ETCD_REPLY_KVS_MAX of them at most
    size_t capacity;
};

static const struct json *member_of(struct reading *reading, const struct json *object,
                                    const char *name, enum json_type type)
{
    const struct json *value = object == NULL ? NULL : json_member(object, name);
    if (value == NULL || json_type_of(value) == type)
        return value;
    reading->is_bad = true;
    return NULL;
}

static uint64_t read_number(struct reading *reading, const struct json *object, const char *name)
{
    uint64_t number = 0;
    const struct json *value = member_of(reading, object, name, KR_JSON_STRING);
    if (value != NULL && !text_decimal(bytes_text(json_text(value)), UINT64_MAX, &number))
        reading->is_bad = true;
    return number;
}

static bool read_flag(struct reading *reading, const struct json *object, const char *name)
{
    const struct json *value = member_of(reading, object, name, KR_JSON_BOOL);
    return value != NULL && json_bool(value);
}

static struct bytes read_base64(struct reading *reading, const struct json *object,
                                const char *name)
{
    const struct json *value = member_of(reading, object, name, KR_JSON_STRING);
    if (value == NULL)
        return (struct bytes){0};
    struct bytes text = bytes_text(json_text(value));
    size_t size = 0;
    uint8_t *out = arena_alloc(reading->arena, text.size + 1);
    if (!text_from_base64(text, out, text.size, &size))
        reading->is_bad = true;
    return bytes_of(out, size);
}

static struct etcd_kv *add_kv(struct reading *reading)
{
    struct etcd_reply *reply = reading->reply;
    if (reply->count == reading->capacity) {
        size_t capacity = reading->capacity == 0 ? 16 : 2 * reading->capacity;
        struct etcd_kv *more = arena_alloc(reading->arena, capacity * sizeof(*more));
        if (reply->count > 0)
            memcpy(more, reading->kvs, reply->count * sizeof(*more));
        reading->kvs = more;
        reading->capacity = capacity;
    }
    return &reading->kvs[reply->count++];
}

static void read_kvs(struct reading *reading, const struct json *range)
{
    const struct json *list = member_of(reading, range, "kvs", KR_JSON_ARRAY);
    size_t count = list == NULL ? 0 : json_size(list);
    if (count > KR_ETCD_REPLY_KVS_MAX - reading->reply->count)
        reading->is_bad = true;
    for (size_t i = 0; i < count && !reading->is_bad; i++) {
        const struct json *item = json_at(list, i);
        if (json_type_of(item) != KR_JSON_OBJECT) {
            reading->is_bad = true;
            return;
        }
        *add_kv(reading) = (struct etcd_kv){
            .key = read_base64(reading, item, "key"),
            .value = read_base64(reading, item, "value"),
            .create_revision = read_number(reading, item, "create_revision"),
            .version = read_number(reading, item, "version"),
            .lease = read_number(reading, item, "lease"),
        };
    }
    reading->reply->has_more |= read_flag(reading, range, "more");
}

static void read_responses(struct reading *reading, const struct json *root)
{
    const struct json *list = member_of(reading, root, "responses", KR_JSON_ARRAY);
    size_t count = list == NULL ? 0 : json_size(list);
    for (size_t i = 0; i < count && !reading->is_bad; i++) {
        const struct json *item = json_at(list, i);
        if (json_type_of(item) != KR_JSON_OBJECT)
            reading->is_bad = true;
        else
            read_kvs(reading, member_of(reading, item, "response_range", KR_JSON_OBJECT));
    }
}

// The alarm of a member: its id, when it is NOSPACE.
static void read_alarm(struct reading *reading, const struct json *item)
{
    uint64_t number;
    const struct json *kind = member_of(reading, item, "alarm", KR_JSON_STRING);
    const struct json *id = member_of(reading, item, "memberID", KR_JSON_STRING);
    if (kind == NULL || strcmp(json_text(kind), "NOSPACE") != 0)
        return;
    if (id == NULL || !text_decimal(bytes_text(json_text(id)), UINT64_MAX, &number)) {
        reading->is_bad = true;
        return;
    }
    reading->reply->full_members[reading->reply->full_count++] =
        arena_text(reading->arena, json_text(id));
}

static void read_alarms(struct reading *reading, const struct json *root)
{
    const struct json *list = member_of(reading, root, "alarms", KR_JSON_ARRAY);
    size_t count = list == NULL ? 0 : json_size(list);
    if (count > KR_ETCD_REPLY_ALARMS_MAX)
        reading->is_bad = true;
    if (count == 0 || reading->is_bad)
        return;
    reading->reply->full_members =
        arena_zalloc(reading->arena, count * sizeof(*reading->reply->full_members));
    for (size_t i = 0; i < count && !reading->is_bad; i++) {
        const struct json *item = json_at(list, i);
        if (json_type_of(item) == KR_JSON_OBJECT)
            read_alarm(reading, item);
        else
            reading->is_bad = true;
    }
}

// A stream's answer (KEEPALIVE) is wrapped in "result".
static const struct json *unwrap(struct reading *reading, const struct json *root)
{
    if (json_type_of(root) != KR_JSON_OBJECT) {
        reading->is_bad = true;
        return NULL;
    }
    const struct json *result = member_of(reading, root, "result", KR_JSON_OBJECT);
    return result != NULL ? result : root;
}

static void read_all(struct reading *reading, const struct json *root)
{
    struct etcd_reply *reply = reading->reply;
    const struct json *header = member_of(reading, root, "header", KR_JSON_OBJECT);
    reply->revision = read_number(reading, header, "revision");
    reply->raft_term = read_number(reading, header, "raft_term");
    reply->is_succeeded = read_flag(reading, root, "succeeded");
    reply->lease = read_number(reading, root, "ID");
    reply->ttl_s = read_number(reading, root, "TTL");
    reply->database_bytes = read_number(reading, root, "dbSize");
    reply->database_used_bytes = read_number(reading, root, "dbSizeInUse");
    reply->quota_bytes = read_number(reading, root, "dbSizeQuota");
    read_kvs(reading, root);
    read_responses(reading, root);
    read_alarms(reading, root);
    reply->kvs = reading->kvs;
}

enum kr_err etcd_read_reply(struct bytes in, struct arena *arena, struct etcd_reply *out)
{
    struct reading reading = {.arena = arena, .reply = out};
    struct json *document = NULL;
    *out = (struct etcd_reply){0};
    if (json_parse(in, &document, NULL) != KR_ERR_OK)
        return KR_ERR_CORRUPT;
    const struct json *root = unwrap(&reading, document);
    if (root != NULL)
        read_all(&reading, root);
    json_free(&document);
    if (reading.is_bad)
        *out = (struct etcd_reply){0};
    return reading.is_bad ? KR_ERR_CORRUPT : KR_ERR_OK;
}

void etcd_read_error(struct bytes in, char *out, size_t size)
{
    struct json *document = NULL;
    out[0] = '\0';
    if (json_parse(in, &document, NULL) != KR_ERR_OK)
        return;
    const struct json *text =
        json_type_of(document) == KR_JSON_OBJECT ? json_member(document, "error") : NULL;
    if (text != NULL && json_type_of(text) == KR_JSON_STRING)
        snprintf(out, size, "%s", json_text(text));
    for (char *at = out; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            *at = '?';
    json_free(&document);
}
