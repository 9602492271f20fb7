// SPDX-License-Identifier: Apache-2.0
// Managers: the people who may look after a consumer's keys in the portal; without `sub`, invited.
#include "node/api/consumer_parts.h"
#include "node/api/handlers.h"
#include "node/api/manager_body.h"

enum { KR_LIST_LIMIT = 1000, KR_EMAIL_MAX = 254, KR_SUB_MAX = 255, KR_MANAGERS_MAX = 1000 };

// One '@' with something on both sides and nothing that could end a header or a line: mail servers
// judge the rest.
static bool is_email(const char *text)
{
    const char *at = strchr(text, '@');
    if (at == NULL || at == text || at[1] == '\0' || strchr(at + 1, '@') != NULL)
        return false;
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte <= ' ' || byte == 0x7f || strchr("<>\"(),:;\\[]", *text) != NULL)
            return false;
    }
    return true;
}

enum kr_err manager_body(struct call *call, const struct json *object, const char *where,
                         const char *consumer_id, struct manager *manager)
{
    *manager = (struct manager){
        .id = api_new_id(call, "eusr"), .consumer_id = consumer_id, .created_ms = call->now_ms};
    const struct api_member members[] = {
        {"email", KR_MEMBER_TEXT, &manager->email, KR_EMAIL_MAX, true, NULL},
        {"sub", KR_MEMBER_TEXT, &manager->sub, KR_SUB_MAX, false, NULL},
    };
    enum kr_err err =
        object == NULL ? api_body(call, members, 2) : api_members(call, object, where, members, 2);
    if (err != KR_ERR_OK)
        return err;
    const char *dot = object == NULL ? "" : ".";
    if (!is_email(manager->email))
        return api_problem(call, KR_ERR_INVALID, "%s%semail: must be an e-mail address", where,
                           dot);
    if (manager->sub != NULL && manager->sub[0] == '\0')
        return api_problem(call, KR_ERR_INVALID, "%s%ssub: must not be empty", where, dot);
    return KR_ERR_OK;
}

static uint64_t count(struct call *call, const char *consumer_id)
{
    struct store_cursor *cursor = store_managers(call->view, consumer_id);
    uint64_t managers = store_cursor_skip(cursor, UINT64_MAX);
    store_cursor_close(&cursor);
    return managers;
}

enum kr_err api_manager_list(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    struct api_page page;
    enum kr_err err = api_consumer(call, &bucket, &consumer);
    if (err == KR_ERR_OK)
        err = api_page(call, KR_LIST_LIMIT, KR_LIST_LIMIT, &page);
    if (err != KR_ERR_OK)
        return err;
    struct json_writer writer;
    struct manager manager;
    const char *last = NULL;
    uint64_t behind = 0, shown = 0;
    struct store_cursor *cursor = store_managers(call->view, consumer.id);
    api_json_begin(call, &writer);
    json_open(&writer, NULL, '{');
    json_open(&writer, "data", '[');
    while (store_next_manager(cursor, &call->arena, &manager)) {
        if (page.after != NULL && strcmp(manager.id, page.after) <= 0)
            continue;
        if (++behind <= page.offset || shown == page.limit)
            continue;
        api_write_manager(&writer, &manager);
        last = manager.id;
        shown++;
    }
    store_cursor_close(&cursor);
    json_close(&writer, ']');
    api_write_page(&writer, &page, count(call, consumer.id),
                   behind > page.offset + shown ? last : NULL);
    json_close(&writer, '}');
    return api_json_end(call, &writer);
}

// An invited address that comes with a subject is an acceptance: the invite becomes the manager.
// What another call adds meanwhile is in no view yet: whoever comes second runs again.
static enum kr_err merge(struct call *call, const char *consumer_id, struct manager *manager)
{
    struct manager stored;
    if (!consumer_has_manager(call, consumer_id, manager->email, &call->arena, &stored)) {
        if (count(call, consumer_id) < KR_MANAGERS_MAX)
            return KR_ERR_OK;
        return api_problem(call, KR_ERR_CONFLICT, "the consumer has %d managers, the most allowed",
                           KR_MANAGERS_MAX);
    }
    if (stored.sub != NULL || manager->sub == NULL)
        return api_problem(call, KR_ERR_CONFLICT, "email: is a manager of the consumer already");
    manager->id = stored.id;
    manager->created_ms = stored.created_ms;
    return KR_ERR_OK;
}

enum kr_err api_manager_create(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    struct manager manager;
    enum kr_err err = api_consumer(call, &bucket, &consumer);
    if (err == KR_ERR_OK)
        err = manager_body(call, NULL, "", consumer.id, &manager);
    if (err == KR_ERR_OK)
        err = merge(call, consumer.id, &manager);
    if (err != KR_ERR_OK)
        return err;
    api_one_at_a_time(call, &consumer);
    api_op(call, KR_OP_MANAGER_PUT)->as.manager_put = manager;
    api_audit(call, "manager.create", manager.id, manager.email,
              api_detail(call, "consumer", consumer.id));
    struct json_writer writer;
    api_json_begin(call, &writer);
    api_write_manager(&writer, &manager);
    return api_json_end(call, &writer);
}

static bool find(struct call *call, const char *consumer_id, struct manager *manager)
{
    bool is_found = false;
    struct store_cursor *cursor = store_managers(call->view, consumer_id);
    while (!is_found && store_next_manager(cursor, &call->arena, manager))
        is_found = strcmp(manager->id, call->item) == 0;
    store_cursor_close(&cursor);
    return is_found;
}

enum kr_err api_manager_delete(struct call *call)
{
    struct bucket bucket;
    struct consumer consumer;
    struct manager manager;
    enum kr_err err = api_consumer(call, &bucket, &consumer);
    if (err != KR_ERR_OK)
        return err;
    if (!find(call, consumer.id, &manager))
        return api_not_found(call, "manager", call->item);
    api_one_at_a_time(call, &consumer);
    api_op(call, KR_OP_MANAGER_DELETE)->as.manager_delete =
        (struct command_manager_delete){.consumer_id = consumer.id, .manager_id = manager.id};
    api_answer_status(call, 204);
    api_audit(call, "manager.delete", manager.id, manager.email,
              api_detail(call, "consumer", consumer.id));
    return KR_ERR_OK;
}
