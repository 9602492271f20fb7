// SPDX-License-Identifier: Apache-2.0
// keyreeve manager …, token …, whoami and audit: who may do what, and who did.
#include "client/run.h"

#include "client/body.h"
#include "client/change.h"
#include "core/base/clock.h"

enum { KR_PEOPLE_PAGE = 1000, KR_AUDIT_PAGE = 100 };

#define KR_DAY_MS INT64_C(86400000)
#define KR_AUDIT_SPAN_MS (30 * KR_DAY_MS) // what the node looks through at once
#define KR_NO_TIME INT64_MIN

static const struct view_column manager_columns[] = {
    {"ID", "id", KR_VIEW_TEXT, false},
    {"EMAIL", "email", KR_VIEW_TEXT, true},
    {"SUB", "sub", KR_VIEW_TEXT, true},
    {"CREATED", "createdOn", KR_VIEW_TIME, false},
};

static const struct view_column token_columns[] = {
    {"ID", "id", KR_VIEW_TEXT, false},
    {"LABEL", "label", KR_VIEW_TEXT, true},
    {"ROLES", "roles", KR_VIEW_TEXTS, false},
    {"BUCKETS", "buckets", KR_VIEW_TEXTS, true},
    {"STATUS", "status", KR_VIEW_STATUS, false},
    {"CREATED", "createdOn", KR_VIEW_TIME, false},
    {"EXPIRES", "expiresOn", KR_VIEW_TIME, false},
};

static const struct view_column token_fields[] = {
    {"id", "id", KR_VIEW_TEXT, false},
    {"label", "label", KR_VIEW_TEXT, false},
    {"roles", "roles", KR_VIEW_TEXTS, false},
    {"buckets", "buckets", KR_VIEW_TEXTS, false},
    {"environment", "environment", KR_VIEW_TEXT, false},
    {"created", "createdOn", KR_VIEW_TIME, false},
    {"expires", "expiresOn", KR_VIEW_TIME, false},
};

static const struct view_column who_fields[] = {
    {"subject", "sub", KR_VIEW_TEXT, false},
    {"label", "label", KR_VIEW_TEXT, false},
    {"account", "account", KR_VIEW_TEXT, false},
    {"roles", "roles", KR_VIEW_TEXTS, false},
    {"buckets", "buckets", KR_VIEW_TEXTS, false},
    {"environment", "environment", KR_VIEW_TEXT, false},
    {"expires", "expiresOn", KR_VIEW_TIME, false},
    {"email", "email", KR_VIEW_TEXT, false},
};

static const struct view_column audit_columns[] = {
    {"TIME", "timestamp", KR_VIEW_TIME, false},        {"ACTION", "action", KR_VIEW_TEXT, false},
    {"ACTOR", "actorLabel", KR_VIEW_TEXT, true},       {"TARGET", "targetName", KR_VIEW_TEXT, true},
    {"TARGET ID", "target", KR_VIEW_TEXT, false},      {"SUCCESS", "success", KR_VIEW_BOOL, false},
    {"ADDRESS", "clientAddress", KR_VIEW_TEXT, false},
};

static const char *managers(struct session *session)
{
    return api_under(session, api_consumer(session, session->in->arguments[0]), "managers");
}

static const char *tokens(struct session *session)
{
    return api_path(session, "v1", "accounts", session->account, "tokens", NULL);
}

enum exit_code run_manager_list(struct session *session)
{
    return view_list(session, managers(session), KR_PEOPLE_PAGE, manager_columns,
                     KR_VIEW_COUNT(manager_columns));
}

enum exit_code run_manager_add(struct session *session)
{
    return change_send(session, &(struct change){.method = "POST",
                                                 .path = managers(session),
                                                 .name_member = "email",
                                                 .name = session->in->arguments[1],
                                                 .columns = manager_columns,
                                                 .column_count = KR_VIEW_COUNT(manager_columns)});
}

enum exit_code run_manager_remove(struct session *session)
{
    const char *id = session->in->arguments[1];
    const char *path =
        api_path(session, "v1", "accounts", session->account, "key-buckets", session->bucket,
                 "consumers", session->in->arguments[0], "managers", id, NULL);
    return change_delete(session, path, "manager", id);
}

enum exit_code run_token_list(struct session *session)
{
    return view_list(session, tokens(session), KR_PEOPLE_PAGE, token_columns,
                     KR_VIEW_COUNT(token_columns));
}

enum exit_code run_token_create(struct session *session)
{
    struct body body;
    struct api_answer answer = {0};
    body_begin(&body, session);
    body_add_text(&body, "label", session->in->arguments[0]);
    if (!parse_has(session->in, KR_OPT_ROLE))
        json_write_raw(&body.writer, "roles", bytes_text("[\"viewer\"]"));
    enum exit_code code = body_end(&body, false);
    if (code == KR_EXIT_OK)
        code = api_send(
            session,
            &(struct api_request){.method = "POST", .path = tokens(session), .body = &body.text},
            &answer);
    if (code == KR_EXIT_OK) {
        const char *value = api_text(answer.json, "token");
        if (value == NULL)
            value = api_text(answer.json, "key");
        view_aside(session, answer.json, token_fields, KR_VIEW_COUNT(token_fields));
        code = change_print_secret(session, answer.json, value);
    }
    api_answer_fini(&answer);
    body_fini(&body);
    return code;
}

enum exit_code run_token_delete(struct session *session)
{
    const char *id = session->in->arguments[0];
    return change_delete(session,
                         api_path(session, "v1", "accounts", session->account, "tokens", id, NULL),
                         "token", id);
}

enum exit_code run_whoami(struct session *session)
{
    return view_fetched(session, "/v1/who-am-i", who_fields, KR_VIEW_COUNT(who_fields));
}

// Reads a time option, as one between 1970 and tomorrow, outside of which the trail has nothing;
// KR_NO_TIME where it is not given. False after an error.
static bool take_time(struct session *session, enum spec_option_id option, int64_t *unix_ms)
{
    const char *value = parse_value(session->in, option);
    int64_t now_ms = clock_unix_ms();
    *unix_ms = KR_NO_TIME;
    if (value == NULL)
        return true;
    if (body_parse_time(value, now_ms, -1, unix_ms)) {
        if (*unix_ms < 0)
            *unix_ms = 0;
        if (*unix_ms > now_ms + KR_DAY_MS)
            *unix_ms = now_ms + KR_DAY_MS;
        return true;
    }
    session_fail(session, KR_EXIT_USAGE, NULL,
                 "--%s is a time like 2027-01-31, 2027-01-31T12:00:00Z, or 7d ago",
                 spec_options[option].name);
    return false;
}

static const char *with_time(struct session *session, const char *path, const char *name,
                             int64_t unix_ms)
{
    char stamp[KR_STAMP_SIZE];
    if (unix_ms == KR_NO_TIME)
        return path;
    clock_stamp(unix_ms, stamp);
    return api_with(session, path, name, stamp);
}

static const char *between(struct session *session, const char *path, int64_t start_ms,
                           int64_t end_ms)
{
    path = with_time(session, path, "startDate", start_ms);
    return with_time(session, path, "endDate", end_ms);
}

// The paths of the spans that the times are made of, newest first, both ends of each included.
// The trail grows while it is read, by the node's clock: without --until the newest span has no
// end, and begins late enough for the two clocks to differ by a day.
static const char **spans(struct session *session, const char *path, int64_t since_ms,
                          int64_t until_ms)
{
    int64_t latest_ms = clock_unix_ms() + KR_DAY_MS;
    int64_t end_ms = until_ms == KR_NO_TIME ? latest_ms : until_ms;
    bool is_one = since_ms == KR_NO_TIME || since_ms > end_ms;
    size_t count = 0, most = is_one ? 1 : (size_t)((end_ms - since_ms) / KR_AUDIT_SPAN_MS) + 1;
    const char **paths = arena_zalloc(&session->arena, (most + 1) * sizeof(*paths));
    if (is_one)
        paths[count++] = between(session, path, since_ms, until_ms);
    while (!is_one && end_ms >= since_ms) {
        int64_t start_ms = since_ms;
        if (end_ms - since_ms > KR_AUDIT_SPAN_MS)
            start_ms = end_ms - KR_AUDIT_SPAN_MS;
        paths[count] = between(session, path, start_ms, count == 0 ? until_ms : end_ms);
        end_ms = start_ms - 1;
        count++;
    }
    return paths;
}

enum exit_code run_audit(struct session *session)
{
    static const struct {
        enum spec_option_id option;
        const char *name;
    } filters[] = {{KR_OPT_ACTION, "action"}, {KR_OPT_ACTOR, "actor"}, {KR_OPT_SUCCESS, "success"}};
    int64_t since_ms, until_ms;
    const char *path = api_path(session, "v1", "accounts", session->account, "audit-logs", NULL);
    if (!take_time(session, KR_OPT_SINCE, &since_ms) ||
        !take_time(session, KR_OPT_UNTIL, &until_ms))
        return KR_EXIT_USAGE;
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        const char *value = parse_value(session->in, filters[i].option);
        if (value != NULL)
            path = api_with(session, path, filters[i].name, value);
    }
    return view_lists(session, spans(session, path, since_ms, until_ms), KR_AUDIT_PAGE,
                      audit_columns, KR_VIEW_COUNT(audit_columns));
}
