// SPDX-License-Identifier: Apache-2.0
// A run's settings, and its voice.
#include "client/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/json.h"

enum {
    KR_SESSION_SECRET_MAX = 4096,
    KR_SESSION_TEXT_MAX = 1024,
    KR_SESSION_TIMEOUT_S = 30,
    KR_SESSION_WAIT_MS = 10000 // what a node waits for the others when it is not told
};

void session_init(struct session *session, const struct invocation *in)
{
    *session = (struct session){.in = in, .is_json = parse_has(in, KR_OPT_JSON)};
    arena_init(&session->arena);
    contexts_init(&session->contexts);
    term_init(&session->out, stdout);
    term_init(&session->err, stderr);
}

void session_fini(struct session *session)
{
    http_free(&session->http);
    contexts_fini(&session->contexts);
    arena_fini(&session->arena);
}

static void print_json_error(const char *text, const char *hint)
{
    struct json_writer writer;
    struct buf line;
    buf_init(&line, (size_t)1 << 16);
    json_begin(&writer, &line);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "error", text);
    json_write_string(&writer, "hint", hint);
    json_close(&writer, '}');
    buf_add_u8(&line, '\n');
    fwrite(line.data, 1, line.size, stderr);
    buf_fini(&line);
}

static void print_error(const struct term *term, const char *text, const char *hint)
{
    struct buf line;
    buf_init(&line, (size_t)1 << 16);
    buf_printf(&line, "%skeyreeve:%s ", term_style(term, KR_STYLE_RED),
               term_style(term, KR_STYLE_PLAIN));
    term_add_safe(&line, text, SIZE_MAX);
    buf_add_u8(&line, '\n');
    if (hint != NULL) {
        buf_printf(&line, "  %shint:%s ", term_style(term, KR_STYLE_DIM),
                   term_style(term, KR_STYLE_PLAIN));
        term_add_safe(&line, hint, SIZE_MAX);
        buf_add_u8(&line, '\n');
    }
    fwrite(line.data, 1, line.size, stderr);
    buf_fini(&line);
}

enum exit_code session_fail(struct session *session, enum exit_code code, const char *hint,
                            const char *format, ...)
{
    char text[KR_SESSION_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fflush(stdout);
    if (session->is_json)
        print_json_error(text, hint);
    else
        print_error(&session->err, text, hint);
    return code;
}

void session_note(const struct session *session, const char *format, ...)
{
    char text[KR_SESSION_TEXT_MAX];
    struct buf line;
    va_list args;
    if (session->is_json)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fflush(stdout);
    buf_init(&line, (size_t)1 << 14);
    term_add_safe(&line, text, SIZE_MAX);
    buf_add_u8(&line, '\n');
    fwrite(line.data, 1, line.size, stderr);
    buf_fini(&line);
}

enum exit_code session_write(struct session *session, struct bytes text)
{
    if (text.size > 0 && fwrite(text.data, 1, text.size, stdout) != text.size)
        goto fail;
    if (fflush(stdout) != 0)
        goto fail;
    return KR_EXIT_OK;
fail:
    if (errno == EPIPE) // the reader has seen enough, as head has
        return KR_EXIT_FAILURE;
    return session_fail(session, KR_EXIT_FAILURE, NULL, "cannot write to standard output: %s",
                        strerror(errno));
}

enum exit_code session_flush(struct session *session, struct buf *text)
{
    if (buf_result(text) != KR_ERR_OK)
        return session_fail(session, KR_EXIT_FAILURE, NULL, "the output is too large");
    enum exit_code code = session_write(session, buf_bytes(text));
    if (text->size > 0)
        mem_zero(text->data, text->size);
    buf_clear(text);
    return code;
}

const char *session_setting(const struct session *session, enum spec_option_id option)
{
    const char *value = parse_value(session->in, option);
    if (value != NULL || spec_options[option].environment == NULL)
        return value;
    value = getenv(spec_options[option].environment);
    return value == NULL || *value == '\0' ? NULL : value;
}

static enum kr_err read_standard_input(struct buf *out, struct fault *fault)
{
    char chunk[512];
    size_t size;
    while ((size = fread(chunk, 1, sizeof(chunk), stdin)) > 0 && !out->has_failed)
        buf_add(out, chunk, size);
    mem_zero(chunk, sizeof(chunk));
    if (ferror(stdin))
        return fault_set(fault, KR_ERR_IO, "standard input: %s", strerror(errno));
    if (buf_result(out) != KR_ERR_OK)
        return fault_set(fault, KR_ERR_TOO_LARGE, "standard input is longer than %d bytes",
                         KR_SESSION_SECRET_MAX);
    return KR_ERR_OK;
}

enum exit_code session_read_secret(struct session *session, const char *path, const char **value)
{
    enum exit_code code = KR_EXIT_OK;
    struct fault fault = {0};
    struct buf text;
    bool is_input = strcmp(path, "-") == 0;
    buf_init(&text, KR_SESSION_SECRET_MAX);
    enum kr_err err =
        is_input ? read_standard_input(&text, &fault) : file_read_secret(path, &text, &fault);
    while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) != NULL)
        text.size--;
    if (err != KR_ERR_OK)
        code = session_fail(session, err == KR_ERR_FORBIDDEN ? KR_EXIT_REFUSED : KR_EXIT_FAILURE,
                            NULL, "%s", fault.text);
    else if (text.size == 0)
        code = session_fail(session, KR_EXIT_USAGE, NULL, "%s is empty",
                            is_input ? "standard input" : path);
    for (size_t i = 0; code == KR_EXIT_OK && i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            code = session_fail(session, KR_EXIT_USAGE, NULL,
                                "%s holds more than one line of printable characters",
                                is_input ? "standard input" : path);
    if (code == KR_EXIT_OK)
        *value = arena_text_of(&session->arena, buf_bytes(&text));
    buf_fini(&text);
    return code;
}

static const char *without_slash(struct session *session, const char *url)
{
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/')
        size--;
    return arena_text_of(&session->arena, bytes_of(url, size));
}

// A node that waits for all others answers when it has waited, and is given its time beyond that.
static uint64_t timeout_ms(const struct invocation *in)
{
    uint64_t own_ms = parse_number(in, KR_OPT_TIMEOUT, KR_SESSION_TIMEOUT_S) * 1000;
    if (!parse_has(in, KR_OPT_WAIT))
        return own_ms;
    return own_ms + parse_number(in, KR_OPT_WAIT_MS, KR_SESSION_WAIT_MS);
}

void session_connect(struct session *session, const char *url, const char *token)
{
    http_free(&session->http);
    session->url = without_slash(session, url);
    session->token = token;
    session->http = http_new(&(struct http_settings){
        .token = token,
        .cacert = session_setting(session, KR_OPT_CACERT),
        .timeout_ms = timeout_ms(session->in),
    });
}

static bool is_dry(const struct session *session) // the node is not asked
{
    return parse_has(session->in, KR_OPT_DRY_RUN);
}

static enum exit_code find_context(struct session *session)
{
    struct fault fault = {0};
    const char *name = session_setting(session, KR_OPT_CONTEXT);
    // A broken file is no obstacle when nothing is wanted of it.
    enum spec_option_id wanted = is_dry(session) ? KR_OPT_BUCKET : KR_OPT_URL;
    bool is_needed = session_setting(session, wanted) == NULL || name != NULL;
    enum kr_err err = contexts_load(&session->contexts, &fault);
    if (err != KR_ERR_OK && is_needed)
        return session_fail(session, err == KR_ERR_FORBIDDEN ? KR_EXIT_REFUSED : KR_EXIT_FAILURE,
                            NULL, "%s", fault.text);
    if (err == KR_ERR_OK)
        session->context = contexts_find(&session->contexts, name);
    if (name != NULL && session->context == NULL)
        return session_fail(session, KR_EXIT_NOT_FOUND, "keyreeve contexts list shows them all",
                            "there is no context \"%s\"", name);
    return KR_EXIT_OK;
}

static enum exit_code find_token(struct session *session, const char *url, const char **token)
{
    const char *path = parse_value(session->in, KR_OPT_TOKEN_FILE);
    const char *variable = getenv("KEYREEVE_TOKEN");
    const struct context *context = session->context;
    *token = NULL;
    if (path != NULL)
        return session_read_secret(session, path, token);
    if (variable != NULL && *variable != '\0')
        *token = variable;
    else if (context != NULL && strcmp(context->url, without_slash(session, url)) == 0)
        *token = context->token;
    if (*token != NULL || session->in->command->need == KR_NEED_URL)
        return KR_EXIT_OK;
    return session_fail(session, KR_EXIT_REFUSED,
                        "keyreeve login stores a token; KEYREEVE_TOKEN or --token-file gives one",
                        "there is no token for %s", url);
}

static enum exit_code find_place(struct session *session)
{
    const struct context *context = session->context;
    const char *account = session_setting(session, KR_OPT_ACCOUNT);
    session->bucket = session_setting(session, KR_OPT_BUCKET);
    if (account == NULL && context != NULL)
        account = context->account;
    session->account = account == NULL ? "default" : account;
    if (session->bucket == NULL && context != NULL)
        session->bucket = context->bucket;
    if (session->bucket != NULL || session->in->command->need != KR_NEED_BUCKET)
        return KR_EXIT_OK;
    return session_fail(session, KR_EXIT_USAGE,
                        "--bucket NAME or KEYREEVE_BUCKET names one; keyreeve bucket list shows "
                        "them all",
                        "which bucket?");
}

enum exit_code session_open(struct session *session)
{
    struct fault fault = {0};
    const char *token, *url = session_setting(session, KR_OPT_URL);
    char host[256];
    bool is_loopback;
    enum exit_code code;
    if (session->in->command->need == KR_NEED_NOTHING)
        return KR_EXIT_OK;
    code = find_context(session);
    if (code != KR_EXIT_OK)
        return code;
    if (is_dry(session))
        return find_place(session);
    if (url == NULL && session->context != NULL)
        url = session->context->url;
    if (url == NULL)
        return session_fail(session, KR_EXIT_USAGE,
                            "keyreeve login stores one; --url or KEYREEVE_URL gives one",
                            "which node? there is no URL");
    if (http_check_url(url, host, sizeof(host), &is_loopback, &fault) != KR_ERR_OK)
        return session_fail(session, KR_EXIT_USAGE, NULL, "%s", fault.text);
    code = find_token(session, url, &token);
    if (code == KR_EXIT_OK)
        code = find_place(session);
    if (code == KR_EXIT_OK)
        session_connect(session, url, token);
    return code;
}

bool session_confirm(struct session *session, const char *what, const char *name)
{
    struct fault fault = {0};
    struct buf question, typed;
    bool is_meant = parse_has(session->in, KR_OPT_YES);
    if (is_meant)
        return true;
    if (!session->err.is_terminal || !term_can_ask()) {
        session_fail(session, KR_EXIT_USAGE, "--yes says so where nobody can be asked",
                     "not done: this would %s \"%s\"", what, name);
        return false;
    }
    buf_init(&question, KR_SESSION_TEXT_MAX);
    buf_init(&typed, KR_SESSION_TEXT_MAX);
    buf_printf(&question, "This will %s. Type \"%s\" to go on: ", what, name);
    buf_add_u8(&question, '\0');
    if (buf_result(&question) == KR_ERR_OK &&
        term_ask((const char *)question.data, false, &typed, &fault) == KR_ERR_OK)
        is_meant = bytes_equal_text(buf_bytes(&typed), name);
    if (!is_meant)
        session_fail(session, KR_EXIT_USAGE, NULL, "not done");
    buf_fini(&question);
    buf_fini(&typed);
    return is_meant;
}
