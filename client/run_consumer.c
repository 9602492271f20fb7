// SPDX-License-Identifier: Apache-2.0
// keyreeve consumer …
#include "client/run.h"

#include <string.h>

#include "client/body.h"
#include "client/change.h"
#include "client/receipt.h"
#include "client/roll.h"

enum { KR_CONSUMER_PAGE = 1000 };

static const struct view_column list_columns[] = {
    {"NAME", "name", KR_VIEW_TEXT, false},
    {"ID", "id", KR_VIEW_TEXT, false},
    {"CREATED", "createdOn", KR_VIEW_TIME, false},
    {"TAGS", "tags", KR_VIEW_TAGS, true},
    {"METADATA", "metadata", KR_VIEW_JSON, true},
    {"DESCRIPTION", "description", KR_VIEW_TEXT, true},
};

static const struct view_column fields[] = {
    {"name", "name", KR_VIEW_TEXT, false},
    {"id", "id", KR_VIEW_TEXT, false},
    {"description", "description", KR_VIEW_TEXT, false},
    {"tags", "tags", KR_VIEW_TAGS, false},
    {"metadata", "metadata", KR_VIEW_JSON, false},
    {"created", "createdOn", KR_VIEW_TIME, false},
    {"updated", "updatedOn", KR_VIEW_TIME, false},
};

static const char *consumers(struct session *session)
{
    return api_under(session, api_bucket(session, session->bucket), "consumers");
}

enum exit_code run_consumer_list(struct session *session)
{
    const char *path = consumers(session);
    const char *prefix = parse_value(session->in, KR_OPT_PREFIX);
    const struct parse_option *tags = &session->in->options[KR_OPT_TAG];
    if (prefix != NULL)
        path = api_with(session, path, "q", prefix);
    for (size_t i = 0; i < tags->count; i++) {
        const char *equals = strchr(tags->values[i], '=');
        if (equals == NULL)
            return session_fail(session, KR_EXIT_USAGE, NULL, "--tag is NAME=VALUE");
        path = api_with(session, path,
                        arena_printf(&session->arena, "tag.%.*s", (int)(equals - tags->values[i]),
                                     tags->values[i]),
                        equals + 1);
    }
    return view_list(session, path, KR_CONSUMER_PAGE, list_columns, KR_VIEW_COUNT(list_columns));
}

enum exit_code run_consumer_show(struct session *session)
{
    return view_fetched(session, api_consumer(session, session->in->arguments[0]), fields,
                        KR_VIEW_COUNT(fields));
}

static enum exit_code create_with_key(struct session *session)
{
    struct body body;
    struct api_answer answer = {0};
    body_begin(&body, session);
    body_add_text(&body, "name", session->in->arguments[0]);
    enum exit_code code = body_end(&body, false);
    if (code == KR_EXIT_OK)
        code = api_send(session,
                        &(struct api_request){
                            .method = "POST",
                            .path = api_with(session, consumers(session), "with-api-key", "true"),
                            .body = &body.text},
                        &answer);
    if (code == KR_EXIT_OK) {
        const struct json *keys = api_array(answer.json, "apiKeys");
        const struct json *key = keys == NULL ? NULL : json_at(keys, 0);
        view_aside(session, answer.json, fields, KR_VIEW_COUNT(fields));
        code = change_print_secret(session, answer.json, api_text(key, "key"));
    }
    api_answer_fini(&answer);
    body_fini(&body);
    return code;
}

enum exit_code run_consumer_create(struct session *session)
{
    if (parse_has(session->in, KR_OPT_WITH_KEY))
        return create_with_key(session);
    return change_send(session, &(struct change){.method = "POST",
                                                 .path = consumers(session),
                                                 .name_member = "name",
                                                 .name = session->in->arguments[0],
                                                 .columns = fields,
                                                 .column_count = KR_VIEW_COUNT(fields)});
}

enum exit_code run_consumer_update(struct session *session)
{
    return change_send(session,
                       &(struct change){.method = "PATCH",
                                        .path = api_consumer(session, session->in->arguments[0]),
                                        .wants_change = true,
                                        .columns = fields,
                                        .column_count = KR_VIEW_COUNT(fields)});
}

enum exit_code run_consumer_delete(struct session *session)
{
    const char *name = session->in->arguments[0];
    return change_delete(session, api_consumer(session, name), "consumer", name);
}

enum exit_code run_consumer_revoke(struct session *session)
{
    const char *name = session->in->arguments[0];
    if (!session_confirm(session, "revoke every key of the consumer", name))
        return KR_EXIT_USAGE;
    return receipt_revoke(session, api_under(session, api_consumer(session, name), "revoke"), name);
}

enum exit_code run_consumer_roll(struct session *session)
{
    return roll_keys(session, session->in->arguments[0], parse_has(session->in, KR_OPT_PRINT_KEY));
}
