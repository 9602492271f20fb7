// SPDX-License-Identifier: Apache-2.0
// keyreeve login and contexts …
#include "client/run.h"

#include <stdlib.h>
#include <unistd.h>

#include "client/api.h"
#include "client/table.h"

enum { KR_LOGIN_TEXT_MAX = 4096, KR_LOGIN_HOST_MAX = 256 };

#define KR_LOGIN_DEFAULT_URL "http://127.0.0.1:7400"

static enum exit_code ask_url(struct session *session, const char **url)
{
    struct fault fault = {0};
    struct buf typed;
    *url = session->in->argument_count > 0 ? session->in->arguments[0]
                                           : session_setting(session, KR_OPT_URL);
    if (*url != NULL)
        return KR_EXIT_OK;
    if (!term_can_ask())
        return session_fail(session, KR_EXIT_USAGE, "keyreeve login http://127.0.0.1:7400",
                            "which node? no URL is given");
    *url = KR_LOGIN_DEFAULT_URL;
    buf_init(&typed, KR_LOGIN_TEXT_MAX);
    if (term_ask("URL of the node [" KR_LOGIN_DEFAULT_URL "]: ", false, &typed, &fault) ==
        KR_ERR_OK)
        *url = arena_text_of(&session->arena, buf_bytes(&typed));
    buf_fini(&typed);
    return KR_EXIT_OK;
}

static enum exit_code ask_token(struct session *session, const char **token)
{
    struct fault fault = {0};
    struct buf typed;
    enum exit_code code = KR_EXIT_OK;
    const char *path = parse_value(session->in, KR_OPT_TOKEN_FILE);
    const char *variable = getenv("KEYREEVE_TOKEN");
    if (path != NULL)
        return session_read_secret(session, path, token);
    if (variable != NULL && *variable != '\0') {
        *token = variable;
        return KR_EXIT_OK;
    }
    if (isatty(STDIN_FILENO) != 1)
        return session_read_secret(session, "-", token);
    buf_init(&typed, KR_LOGIN_TEXT_MAX);
    if (term_ask("Token (not shown): ", true, &typed, &fault) == KR_ERR_OK)
        *token = arena_text_of(&session->arena, buf_bytes(&typed));
    else
        code = session_fail(session, KR_EXIT_USAGE, NULL, "%s", fault.text);
    buf_fini(&typed);
    return code;
}

// The URL behind its scheme: nodes on two ports of a host are two contexts.
static const char *default_name(const char *url)
{
    const char *end = strstr(url, "://");
    return end == NULL ? url : end + 3;
}

// What --bucket says; else the default that the same login had before.
static const char *bucket_of(const struct session *session, const struct context *before)
{
    const char *bucket = session_setting(session, KR_OPT_BUCKET);
    if (bucket == NULL && before != NULL && strcmp(before->url, session->url) == 0)
        return before->bucket;
    return bucket;
}

static enum exit_code store_login(struct session *session, const char *account)
{
    struct fault fault = {0};
    const char *name = parse_value(session->in, KR_OPT_NAME);
    const char *wanted = session_setting(session, KR_OPT_ACCOUNT);
    if (name == NULL)
        name = default_name(session->url);
    struct context context = {
        .name = name,
        .url = session->url,
        .token = session->token,
        .account = wanted == NULL ? account : wanted,
        .bucket = bucket_of(session, contexts_find(&session->contexts, name)),
    };
    enum kr_err err = contexts_put(&session->contexts, &context, &fault);
    if (err == KR_ERR_OK)
        err = contexts_store(&session->contexts, &fault);
    if (err != KR_ERR_OK)
        return session_fail(session, KR_EXIT_FAILURE, NULL, "%s", fault.text);
    session_note(session, "logged in to %s as context %s, stored in %s", session->url, context.name,
                 session->contexts.path);
    return KR_EXIT_OK;
}

enum exit_code run_login(struct session *session)
{
    struct fault fault = {0};
    struct api_answer answer;
    char host[KR_LOGIN_HOST_MAX];
    const char *url = NULL, *token = NULL;
    bool is_loopback = false;
    const char *name = parse_value(session->in, KR_OPT_NAME);
    if (name != NULL && *name == '\0')
        return session_fail(session, KR_EXIT_USAGE, "without --name it is the URL's host and port",
                            "--name is empty");
    enum exit_code code = ask_url(session, &url);
    if (code != KR_EXIT_OK)
        return code;
    if (http_check_url(url, host, sizeof(host), &is_loopback, &fault) != KR_ERR_OK)
        return session_fail(session, KR_EXIT_USAGE, NULL, "%s", fault.text);
    if (contexts_load(&session->contexts, &fault) != KR_ERR_OK)
        return session_fail(session,
                            fault.err == KR_ERR_FORBIDDEN ? KR_EXIT_REFUSED : KR_EXIT_FAILURE, NULL,
                            "%s", fault.text);
    if (!is_loopback && bytes_starts_with(bytes_text(url), bytes_text("http://")))
        session_note(session, "warning: the token will travel unencrypted to %s; prefer https",
                     host);
    code = ask_token(session, &token);
    if (code != KR_EXIT_OK)
        return code;
    session_connect(session, url, token);
    code = api_get(session, "/v1/who-am-i", &answer);
    if (code == KR_EXIT_OK)
        code = store_login(session, api_text(answer.json, "account"));
    api_answer_fini(&answer);
    return code;
}

static enum exit_code load(struct session *session)
{
    struct fault fault = {0};
    enum kr_err err = contexts_load(&session->contexts, &fault);
    if (err == KR_ERR_OK)
        return KR_EXIT_OK;
    return session_fail(session, err == KR_ERR_FORBIDDEN ? KR_EXIT_REFUSED : KR_EXIT_FAILURE, NULL,
                        "%s", fault.text);
}

static enum exit_code store(struct session *session)
{
    struct fault fault = {0};
    if (contexts_store(&session->contexts, &fault) != KR_ERR_OK)
        return session_fail(session, KR_EXIT_FAILURE, NULL, "%s", fault.text);
    return KR_EXIT_OK;
}

static bool is_current(const struct contexts *contexts, const struct context *item)
{
    return contexts->current != NULL && strcmp(contexts->current, item->name) == 0;
}

static void add_json(const struct contexts *contexts, struct buf *out)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    json_open(&writer, "data", '[');
    for (size_t i = 0; i < contexts->count; i++) {
        const struct context *item = &contexts->items[i];
        json_open(&writer, NULL, '{');
        json_write_string(&writer, "name", item->name);
        json_write_string(&writer, "url", item->url);
        json_write_string(&writer, "account", item->account);
        json_write_string(&writer, "bucket", item->bucket);
        json_write_bool(&writer, "current", is_current(contexts, item));
        json_close(&writer, '}');
    }
    json_close(&writer, ']');
    json_close(&writer, '}');
    buf_add_u8(out, '\n');
}

static void add_table(struct session *session, struct buf *out)
{
    static const struct table_column columns[] = {{"CURRENT", false, false},
                                                  {"NAME", false, false},
                                                  {"URL", false, true},
                                                  {"ACCOUNT", false, false},
                                                  {"BUCKET", false, false}};
    struct table table;
    table_init(&table, columns, sizeof(columns) / sizeof(columns[0]));
    for (size_t i = 0; i < session->contexts.count; i++) {
        const struct context *item = &session->contexts.items[i];
        table_add(&table, is_current(&session->contexts, item) ? "*" : " ", KR_STYLE_GREEN);
        table_add(&table, item->name, KR_STYLE_PLAIN);
        table_add(&table, item->url, KR_STYLE_PLAIN);
        table_add(&table, item->account, KR_STYLE_PLAIN);
        table_add(&table, item->bucket, KR_STYLE_PLAIN);
    }
    table_render(&table, &session->out, out);
    table_fini(&table);
}

enum exit_code run_contexts_list(struct session *session)
{
    struct buf out;
    enum exit_code code = load(session);
    if (code != KR_EXIT_OK)
        return code;
    buf_init(&out, (size_t)1 << 20);
    if (session->is_json)
        add_json(&session->contexts, &out);
    else
        add_table(session, &out);
    code = session_flush(session, &out);
    buf_fini(&out);
    return code;
}

static enum exit_code fail_unknown(struct session *session)
{
    return session_fail(session, KR_EXIT_NOT_FOUND, "keyreeve contexts list shows them all",
                        "there is no context \"%s\"", session->in->arguments[0]);
}

enum exit_code run_contexts_use(struct session *session)
{
    const char *bucket = parse_value(session->in, KR_OPT_BUCKET);
    const char *account = parse_value(session->in, KR_OPT_ACCOUNT);
    enum exit_code code = load(session);
    if (code != KR_EXIT_OK)
        return code;
    struct context *item = contexts_find(&session->contexts, session->in->arguments[0]);
    if (item == NULL)
        return fail_unknown(session);
    session->contexts.current = item->name;
    if (bucket != NULL)
        item->bucket = arena_text(&session->contexts.arena, bucket);
    if (account != NULL)
        item->account = arena_text(&session->contexts.arena, account);
    code = store(session);
    if (code == KR_EXIT_OK)
        session_note(session, "the current context is %s", item->name);
    return code;
}

enum exit_code run_contexts_remove(struct session *session)
{
    enum exit_code code = load(session);
    if (code != KR_EXIT_OK)
        return code;
    if (!contexts_remove(&session->contexts, session->in->arguments[0]))
        return fail_unknown(session);
    code = store(session);
    if (code == KR_EXIT_OK)
        session_note(session, "context %s removed", session->in->arguments[0]);
    return code;
}
