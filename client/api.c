// SPDX-License-Identifier: Apache-2.0
// The node's API.
#include "client/api.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "client/progress.h"
#include "core/base/clock.h"
#include "core/base/rand.h"

enum { KR_API_TRIES = 5, KR_API_WAIT_MAX_S = 10, KR_API_KEY_SIZE = 24, KR_API_TICK_MS = 200 };

#define KR_API_PATH_MAX ((size_t)1 << 14)

static const char *finish_path(struct session *session, struct buf *path)
{
    // A path that is too long is sent cut short, and not found: no name comes near this size.
    const char *text = arena_text_of(&session->arena, buf_bytes(path));
    buf_fini(path);
    return text;
}

// Clients and proxies pass over such a segment or go up by it: the path would be another thing's.
static bool is_segment(const char *text)
{
    return *text != '\0' && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

const char *api_path(struct session *session, ...)
{
    struct buf path;
    const char *segment;
    va_list args;
    buf_init(&path, KR_API_PATH_MAX);
    va_start(args, session);
    while ((segment = va_arg(args, const char *)) != NULL) {
        if (!is_segment(segment))
            session->no_name = segment;
        buf_add_u8(&path, '/');
        http_add_encoded(&path, segment);
    }
    va_end(args);
    return finish_path(session, &path);
}

const char *api_buckets(struct session *session)
{
    return api_path(session, "v1", "accounts", session->account, "key-buckets", NULL);
}

const char *api_bucket(struct session *session, const char *bucket)
{
    return api_path(session, "v1", "accounts", session->account, "key-buckets", bucket, NULL);
}

const char *api_consumer(struct session *session, const char *consumer)
{
    return api_path(session, "v1", "accounts", session->account, "key-buckets", session->bucket,
                    "consumers", consumer, NULL);
}

const char *api_key(struct session *session, const char *consumer, const char *key_id)
{
    return api_path(session, "v1", "accounts", session->account, "key-buckets", session->bucket,
                    "consumers", consumer, "keys", key_id, NULL);
}

const char *api_under(struct session *session, const char *path, const char *tail)
{
    return arena_printf(&session->arena, "%s/%s", path, tail);
}

const char *api_with(struct session *session, const char *path, const char *name, const char *value)
{
    struct buf text;
    buf_init(&text, KR_API_PATH_MAX);
    buf_add_text(&text, path);
    buf_add_u8(&text, strchr(path, '?') == NULL ? '?' : '&');
    http_add_encoded(&text, name);
    buf_add_u8(&text, '=');
    http_add_encoded(&text, value);
    return finish_path(session, &text);
}

enum exit_code api_check_names(struct session *session)
{
    if (session->no_name == NULL)
        return KR_EXIT_OK;
    return session_fail(session, KR_EXIT_USAGE, NULL, "\"%s\" is no name and no id",
                        session->no_name);
}

enum exit_code api_exit_code(unsigned status)
{
    if (status == 0)
        return KR_EXIT_UNREACHABLE;
    if (status >= 200 && status < 300)
        return KR_EXIT_OK;
    if (status == 404)
        return KR_EXIT_NOT_FOUND;
    if (status == 401 || status == 403 || status == 409 || status == 412 || status == 429)
        return KR_EXIT_REFUSED;
    return KR_EXIT_FAILURE;
}

static const char *hint_of(unsigned status)
{
    switch (status) {
    case 401:
        return "keyreeve login stores another token; this one is unknown, expired or revoked";
    case 403:
        return "keyreeve whoami shows what this token may do";
    case 404:
        return "the list commands show what there is; --account and --bucket say where to look";
    case 405:
    case 501:
        return "the node may be of another version than this command; keyreeve status tells";
    case 409:
    case 412:
        return "look at the current state with the show or list command";
    case 429:
        return "wait a little, or raise the node's rate_limit_per_token";
    case 503:
        return "the node cannot write now; keyreeve status tells more";
    case 0:
        return "is the node running, and is --url right? keyreeve status asks it";
    }
    return NULL;
}

// Something answers there, but no node.
static bool is_foreign(const struct api_request *request, const struct http_call *call,
                       const struct json *json)
{
    bool is_object = json != NULL && json_type_of(json) == KR_JSON_OBJECT;
    return call->err == KR_ERR_OK && call->status >= 200 && call->status < 300 &&
           call->status != 204 && !request->is_probe && !is_object;
}

static void print_problem(struct session *session, const struct http_call *call,
                          const struct api_answer *answer)
{
    const struct json *json = answer->json;
    const char *detail = api_text(json, "detail"), *title = api_text(json, "title");
    const char *said = detail != NULL ? detail : title != NULL ? title : "no reason given";
    if (call->err == KR_ERR_TOO_LARGE)
        session_fail(session, KR_EXIT_FAILURE, "--limit asks for less", "%s", call->fault.text);
    else if (call->err != KR_ERR_OK)
        session_fail(session, KR_EXIT_UNREACHABLE, hint_of(0), "cannot reach %s: %s", session->url,
                     call->fault.text);
    else if (call->status < 300 && answer->is_too_large)
        session_fail(session, KR_EXIT_FAILURE, "--limit asks for less",
                     "the answer has too many values to be read");
    else if (call->status < 300)
        session_fail(session, KR_EXIT_FAILURE, "is --url right, and no proxy before it?",
                     "%s is no Keyreeve node: its answer (%u) is no JSON object", session->url,
                     call->status);
    else if (*call->request_id != '\0' && call->status >= 500)
        session_fail(session, KR_EXIT_FAILURE, hint_of(call->status), "%s (%u, request %s)", said,
                     call->status, call->request_id);
    else
        session_fail(session, KR_EXIT_FAILURE, hint_of(call->status), "%s (%u)", said,
                     call->status);
}

static void run(struct session *session, struct http_call *call, struct progress *progress)
{
    http_start(session->http, call);
    while (call->state == KR_HTTP_SENT) {
        http_poll(session->http, -1, KR_API_TICK_MS);
        progress_draw(progress, (struct progress_now){0}, clock_mono_ns() / 1000000);
    }
}

// STALE and UNAVAILABLE are verdicts, though a gateway is to see a 503.
static bool is_wanted(const struct api_request *request, const struct http_call *call,
                      const struct json *json)
{
    return request->is_verdict && call->err == KR_ERR_OK && call->status == 503 &&
           api_text(json, "code") != NULL;
}

// Too large for us, as bytes or as values, or for the node: of a list, a smaller page is not.
static bool is_too_large(const struct api_request *request, const struct http_call *call,
                         const struct json *json)
{
    if (call->err != KR_ERR_OK || strcmp(request->method, "GET") != 0)
        return call->err == KR_ERR_TOO_LARGE;
    return call->status == 413 || (json == NULL && json_is_excessive(buf_bytes(&call->answer)));
}

static bool is_worth_another(const struct api_request *request, const struct http_call *call)
{
    bool is_repeatable =
        strcmp(request->method, "POST") == 0 || strcmp(request->method, "GET") == 0;
    return is_repeatable && !request->is_verdict && !request->is_once && call->err == KR_ERR_OK &&
           (call->status == 429 || call->status == 503);
}

static void pause_s(unsigned seconds)
{
    struct timespec wait = {.tv_sec = seconds == 0                  ? 1
                                      : seconds > KR_API_WAIT_MAX_S ? KR_API_WAIT_MAX_S
                                                                    : seconds};
    nanosleep(&wait, NULL);
}

enum exit_code api_send(struct session *session, const struct api_request *request,
                        struct api_answer *answer)
{
    char key[KR_API_KEY_SIZE + 1] = "";
    struct progress progress;
    struct http_call call;
    *answer = (struct api_answer){0};
    enum exit_code code = api_check_names(session);
    if (code != KR_EXIT_OK)
        return code;
    http_call_init(&call);
    call.method = request->method;
    call.url = arena_printf(&session->arena, "%s%s", session->url, request->path);
    if (request->body != NULL)
        call.body = buf_bytes(request->body);
    if (strcmp(request->method, "POST") == 0) {
        rand_base62(key, KR_API_KEY_SIZE);
        call.idempotency_key = key;
    }
    progress_init(&progress, &session->err, request->label == NULL ? "Waiting" : request->label,
                  clock_mono_ns() / 1000000);
    for (unsigned tries = 1;; tries++) {
        run(session, &call, &progress);
        if (tries == KR_API_TRIES || !is_worth_another(request, &call))
            break;
        pause_s(call.retry_after_s);
    }
    progress_wipe(&progress);
    answer->status = call.err == KR_ERR_OK ? call.status : 0;
    answer->index = call.index;
    if (call.err == KR_ERR_OK && call.answer.size > 0 &&
        json_parse(buf_bytes(&call.answer), &answer->json, NULL) != KR_ERR_OK)
        answer->json = NULL; // a proxy's page, say: the status speaks for itself
    answer->is_too_large = is_too_large(request, &call, answer->json);
    code = api_exit_code(answer->status);
    if (answer->is_too_large || is_foreign(request, &call, answer->json))
        code = KR_EXIT_FAILURE;
    else if (is_wanted(request, &call, answer->json))
        code = KR_EXIT_OK;
    if (code != KR_EXIT_OK && !request->is_quiet &&
        !(answer->is_too_large && request->may_overflow))
        print_problem(session, &call, answer);
    http_call_fini(&call);
    return code;
}

void api_answer_fini(struct api_answer *answer)
{
    if (answer->json != NULL)
        json_free(&answer->json);
}

enum exit_code api_get(struct session *session, const char *path, struct api_answer *answer)
{
    return api_send(session, &(struct api_request){.method = "GET", .path = path}, answer);
}

static bool show_page(struct api_pages *pages, const struct json *list)
{
    for (size_t i = 0; i < json_size(list) && pages->shown < pages->limit; i++) {
        pages->shown++;
        if (!pages->each(pages->user, json_at(list, i)))
            return false;
    }
    return pages->shown < pages->limit;
}

static const char *page_path(struct session *session, const struct api_pages *pages,
                             const char *cursor)
{
    uint64_t left = pages->limit - pages->shown;
    char number[24];
    if (left == 0) // the least that a node takes
        left = 1;
    snprintf(number, sizeof(number), "%llu",
             (unsigned long long)(left < pages->page_size ? left : pages->page_size));
    const char *path = api_with(session, pages->path, "limit", number);
    if (cursor != NULL)
        return api_with(session, path, "cursor", cursor);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)(pages->offset + pages->shown));
    return api_with(session, path, "offset", number);
}

static const char *next_cursor(struct session *session, const struct json *json)
{
    const char *cursor = api_text(json, "cursor");
    if (cursor == NULL) // the audit trail's place for it
        cursor = api_text(json_member(json, "pagination"), "cursor");
    return cursor == NULL ? NULL : arena_text(&session->arena, cursor);
}

static void take_total(struct api_pages *pages, const struct json *json)
{
    const struct json *inner = json_member(json, "pagination");
    bool is_inner = inner != NULL && json_type_of(inner) == KR_JSON_OBJECT;
    int64_t total = api_number(is_inner ? inner : json, "total");
    pages->total = total > 0 ? (uint64_t)total : 0;
}

// One page; *has_more says whether to go on, *cursor from where.
static enum exit_code fetch_page(struct session *session, struct api_pages *pages,
                                 const char **cursor, bool *has_more)
{
    struct api_answer answer;
    uint64_t before = pages->shown;
    enum exit_code code = api_send(session,
                                   &(struct api_request){.method = "GET",
                                                         .path = page_path(session, pages, *cursor),
                                                         .may_overflow = pages->page_size > 1},
                                   &answer);
    const struct json *list = api_array(answer.json, "data");
    if (answer.is_too_large && pages->page_size > 1) {
        pages->page_size = pages->page_size / 4 > 0 ? pages->page_size / 4 : 1;
        code = KR_EXIT_OK;
    } else if (code == KR_EXIT_OK && list == NULL) {
        code = session_fail(session, KR_EXIT_FAILURE, hint_of(405), "the node's answer is no list");
    } else if (code == KR_EXIT_OK) {
        take_total(pages, answer.json);
        *has_more = show_page(pages, list);
        *cursor = next_cursor(session, answer.json);
        // Without a cursor, the total says whether there is more.
        if (pages->shown == before ||
            (*cursor == NULL && pages->offset + pages->shown >= pages->total))
            *has_more = false;
    }
    api_answer_fini(&answer);
    return code;
}

enum exit_code api_list(struct session *session, struct api_pages *pages)
{
    enum exit_code code = KR_EXIT_OK;
    const char *cursor = NULL;
    bool has_more = true;
    pages->shown = pages->total = 0;
    while (code == KR_EXIT_OK && has_more)
        code = fetch_page(session, pages, &cursor, &has_more);
    return code;
}

static const struct json *member(const struct json *object, const char *name, enum json_type type)
{
    if (object == NULL || json_type_of(object) != KR_JSON_OBJECT)
        return NULL;
    const struct json *value = json_member(object, name);
    return value != NULL && json_type_of(value) == type ? value : NULL;
}

const char *api_text(const struct json *object, const char *name)
{
    const struct json *value = member(object, name, KR_JSON_STRING);
    return value == NULL ? NULL : json_text(value);
}

int64_t api_number(const struct json *object, const char *name)
{
    const struct json *value = member(object, name, KR_JSON_INTEGER);
    return value == NULL ? 0 : json_int64(value);
}

bool api_flag(const struct json *object, const char *name)
{
    const struct json *value = member(object, name, KR_JSON_BOOL);
    return value != NULL && json_bool(value);
}

const struct json *api_array(const struct json *object, const char *name)
{
    return member(object, name, KR_JSON_ARRAY);
}
