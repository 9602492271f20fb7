// SPDX-License-Identifier: Apache-2.0
// $import: many keys of many consumers into one bucket, each row by itself, in one entry.
//
// A row is taken on trial: its operations go into the command, and out again when something speaks
// against it. So a refused row leaves nothing behind, not even the consumer it would have made, and
// the common row is looked up once. A row whose value its consumer has already counts as existing,
// which makes a repeated import harmless. Imports run side by side and make the same consumers:
// whichever is applied first makes them, and the keys of the others find them by name.
#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/api/seen.h"

enum {
    KR_IMPORT_ROWS_MAX = 2000,
    KR_NAME_TEXT_MAX = 128,
    KR_OWN_MEMBERS = 4,
    KR_ROW_MEMBERS = KR_OWN_MEMBERS + KR_NEW_KEY_MEMBERS
};

// A consumer that rows name.
struct owner {
    const char *id, *name;
    bool is_new; // not in the view
    bool is_put; // the command makes it
};

// A row's members; the table of members points into it, so that each row fills it anew.
struct row {
    struct api_new_key key;
    const char *consumer; // name or id
    struct consumer settings;
};

struct refusal {
    size_t row;
    const char *detail;
};

struct import {
    struct call *call;
    struct bucket bucket;
    struct row row;
    struct api_member members[KR_ROW_MEMBERS];
    const char *actor;   // of every new key
    char **ids;          // of new keys, in order
    struct seen names;   // → owners
    struct seen digests; // of the rows that stand, whole and by what must differ → owners
    struct owner *owners;
    struct refusal *refusals;
    size_t owner_count, imported, existing, refused; // each at most the count of rows
};

static void init(struct import *import, size_t rows)
{
    struct arena *arena = &import->call->arena;
    struct row *row = &import->row;
    const struct api_member own[KR_OWN_MEMBERS] = {
        {"consumer", KR_MEMBER_TEXT, &row->consumer, KR_NAME_TEXT_MAX, true, NULL},
        {"consumerDescription", KR_MEMBER_TEXT, &row->settings.description, KR_DESCRIPTION_MAX,
         false, NULL},
        {"consumerTags", KR_MEMBER_TAGS, &row->settings.tags, KR_TAGS_MAX, false, NULL},
        {"consumerMetadata", KR_MEMBER_METADATA, &row->settings.metadata,
         import->bucket.metadata_limit_bytes, false, NULL},
    };
    memcpy(import->members, own, sizeof(own));
    api_new_key_table(&import->bucket, &row->key, import->members + KR_OWN_MEMBERS);
    import->actor = arena_text(arena, import->call->actor.token_id);
    import->ids = api_new_ids(import->call, "key", rows);
    import->owners = arena_alloc(arena, rows * sizeof(*import->owners));
    import->refusals = arena_alloc(arena, rows * sizeof(*import->refusals));
    seen_init(&import->names, arena, rows);
    seen_init(&import->digests, arena, 2 * rows);
}

// --- one row -------------------------------------------------------------------------------------

static enum kr_err read_row(struct import *import, const struct json *item)
{
    struct call *call = import->call;
    struct row *row = &import->row;
    *row = (struct row){.settings = {.metadata = "{}"}};
    api_new_key_defaults(&row->key);
    enum kr_err err = api_members(call, item, "", import->members, KR_ROW_MEMBERS);
    if (err == KR_ERR_OK)
        err = api_new_key_check(call, &row->key);
    if (err == KR_ERR_OK && row->key.given == NULL && row->key.given_hash == NULL)
        err = api_problem(call, KR_ERR_INVALID, "key: is required, or keyHash");
    return err;
}

// By its id or its name, as api_find_consumer, but for a name without reading the record.
static bool find_in_view(struct import *import, struct owner *owner)
{
    struct call *call = import->call;
    const char *bucket_id = import->bucket.id;
    struct consumer record;
    if (format_is_id(owner->name, "csmr") &&
        store_get_consumer(call->view, owner->name, &call->arena, &record) && !record.is_deleted &&
        strcmp(record.bucket_id, bucket_id) == 0) {
        owner->id = record.id;
        return true;
    }
    return store_get_consumer_id(call->view, bucket_id, owner->name, &call->arena, &owner->id);
}

// The row's consumer: met in this call before, or in the view, or yet to be made.
static enum kr_err find_owner(struct import *import, uint32_t *position)
{
    struct call *call = import->call;
    const char *name = import->row.consumer;
    bool is_id = format_is_id(name, "csmr");
    if (seen_find(&import->names, bytes_text(name), position))
        return KR_ERR_OK;
    struct owner *owner = &import->owners[import->owner_count];
    *owner = (struct owner){.name = name};
    // One that is there already may have the name that none could be given today.
    if (!(is_id || model_is_consumer_prefix(name)) || !find_in_view(import, owner)) {
        if (!model_is_consumer_name(name))
            return api_problem(
                call, KR_ERR_INVALID,
                is_id ? "consumer: there is no consumer of this id"
                      : "consumer: must be 1 to 128 characters of a-z, 0-9, '_' and '-', and not "
                        "'-' alone");
        owner->is_new = true;
        owner->id = api_new_id(call, "csmr");
    }
    *position = (uint32_t)import->owner_count++;
    seen_add(&import->names, bytes_text(name), *position);
    return KR_ERR_OK;
}

static void put_owner(struct import *import, const struct owner *owner)
{
    struct call *call = import->call;
    struct consumer record = import->row.settings;
    record.id = owner->id;
    record.bucket_id = import->bucket.id;
    record.name = owner->name;
    record.created_ms = record.updated_ms = call->now_ms;
    api_op(call, KR_OP_CONSUMER_PUT)->as.consumer_put =
        (struct command_consumer_put){.record = record, .is_if_absent = true};
}

// Is the value one that this consumer has in the view?
static bool find_existing(struct import *import, const struct owner *owner, struct key *key)
{
    return store_get_key(import->call->view, import->row.key.record.digest, &import->call->arena,
                         key) &&
           strcmp(key->consumer_id, owner->id) == 0;
}

static bool is_revoked(struct import *import, const struct key *key)
{
    struct call *call = import->call;
    struct consumer consumer;
    return store_get_consumer(call->view, key->consumer_id, &call->arena, &consumer) &&
           key_status_of(key, &consumer, &import->bucket, call->now_ms) == KR_KEY_REVOKED;
}

// Says whether the row's key is in the command; otherwise, with OK, it exists already.
static enum kr_err put_key(struct import *import, uint32_t position, bool *is_put)
{
    struct call *call = import->call;
    struct api_new_key *key = &import->row.key;
    const struct owner *owner = &import->owners[position];
    struct key other;
    size_t op = call->command.op_count;
    uint32_t before;
    key->record.id = import->ids[import->imported];
    key->record.consumer_id = owner->id;
    key->record.created_by = import->actor;
    enum kr_err err = api_put_new_key(call, &import->bucket, key);
    *is_put = err == KR_ERR_OK;
    if (*is_put && owner->is_new)
        call->command.ops[op].as.key_put.consumer_name = owner->name;
    if (err == KR_ERR_CONFLICT && find_existing(import, owner, &other)) {
        if (is_revoked(import, &other))
            return api_problem(call, err, "key: the consumer's key of this value is revoked");
        return KR_ERR_OK;
    }
    if (err != KR_ERR_OK)
        return err;
    if (!seen_find(&import->digests, bytes_of(key->record.digest, KR_DIGEST_UNIQUE_BYTES),
                   &before)) {
        uint8_t *digest = arena_alloc(&call->arena, KR_DIGEST_SIZE);
        memcpy(digest, key->record.digest, KR_DIGEST_SIZE);
        seen_add(&import->digests, bytes_of(digest, KR_DIGEST_UNIQUE_BYTES), position);
        seen_add(&import->digests, bytes_of(digest, KR_DIGEST_SIZE), position);
        return KR_ERR_OK;
    }
    *is_put = false;
    if (seen_find(&import->digests, bytes_of(key->record.digest, KR_DIGEST_SIZE), &before) &&
        strcmp(import->owners[before].id, owner->id) == 0)
        return KR_ERR_OK;
    return api_problem(call, KR_ERR_CONFLICT, "key: another row has the same value");
}

static enum kr_err try_row(struct import *import, const struct json *item, bool *is_put)
{
    struct command *command = &import->call->command;
    size_t ops = command->op_count;
    uint32_t position = 0;
    *is_put = false;
    enum kr_err err = read_row(import, item);
    if (err == KR_ERR_OK)
        err = find_owner(import, &position);
    if (err != KR_ERR_OK)
        return err;
    struct owner *owner = &import->owners[position];
    if (owner->is_new && !owner->is_put)
        put_owner(import, owner);
    err = put_key(import, position, is_put);
    if (*is_put)
        owner->is_put = true;
    else
        command->op_count = ops;
    return err;
}

// What is wrong with the row refuses the row; anything else ends the call.
static enum kr_err take_row(struct import *import, const struct json *item, size_t row)
{
    bool is_put;
    enum kr_err err = try_row(import, item, &is_put);
    if (err == KR_ERR_INVALID || err == KR_ERR_CONFLICT) {
        import->refusals[import->refused++] = (struct refusal){row, import->call->answer.problem};
        return KR_ERR_OK;
    }
    if (is_put)
        import->imported++;
    else
        import->existing++;
    return err;
}

// --- the call ------------------------------------------------------------------------------------

static enum kr_err read_rows(struct call *call, const struct json **rows)
{
    const struct api_member members[] = {{"rows", KR_MEMBER_JSON, rows, 0, true, NULL}};
    enum kr_err err = api_body(call, members, 1);
    if (err != KR_ERR_OK)
        return err;
    if (json_type_of(*rows) != KR_JSON_ARRAY)
        return api_problem(call, KR_ERR_INVALID, "rows: must be an array, is %s",
                           json_type_name(json_type_of(*rows)));
    if (json_size(*rows) > KR_IMPORT_ROWS_MAX)
        return api_problem(call, KR_ERR_INVALID, "rows: at most %d, has %zu", KR_IMPORT_ROWS_MAX,
                           json_size(*rows));
    return KR_ERR_OK;
}

static enum kr_err answer(const struct import *import)
{
    struct call *call = import->call;
    struct json_writer writer;
    api_json_begin(call, &writer);
    api_audit(call, "bucket.import", import->bucket.id, import->bucket.name,
              arena_printf(&call->arena, "{\"imported\":%zu,\"existing\":%zu,\"refused\":%zu}",
                           import->imported, import->existing, import->refused));
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "imported", (int64_t)import->imported);
    json_write_integer(&writer, "existing", (int64_t)import->existing);
    json_open(&writer, "refused", '[');
    for (size_t i = 0; i < import->refused; i++) {
        json_open(&writer, NULL, '{');
        json_write_integer(&writer, "row", (int64_t)import->refusals[i].row);
        json_write_string(&writer, "detail", import->refusals[i].detail);
        json_close(&writer, '}');
    }
    json_close(&writer, ']');
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}

enum kr_err api_import(struct call *call)
{
    struct import import = {.call = call};
    const struct json *rows = NULL;
    enum kr_err err = api_bucket(call, &import.bucket);
    if (err == KR_ERR_OK)
        err = read_rows(call, &rows);
    if (err != KR_ERR_OK)
        return err;
    size_t count = json_size(rows);
    init(&import, count);
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++)
        err = take_row(&import, json_at(rows, i), i);
    return err == KR_ERR_OK ? answer(&import) : err;
}
