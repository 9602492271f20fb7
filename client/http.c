// SPDX-License-Identifier: Apache-2.0
// HTTP through libcurl's multi interface.
//
// Happy path: http_start fills an easy handle and adds it; http_poll runs the transfers, takes the
// finished ones out and marks their calls done. It fails: no address, no connection, TLS, the
// deadline, an answer above the limit; each becomes the call's err and fault.
#include "client/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"

enum { KR_HTTP_CONNECT_MS = 5000, KR_HTTP_UPLOAD_BYTES = 1 << 19, KR_HTTP_POOL = 64 };

struct http {
    CURLM *multi;
    struct http_settings settings;
    char *authorization; // the field, or NULL
    CURL *spare[KR_HTTP_POOL];
    size_t spare_count;
};

struct http *http_new(const struct http_settings *settings)
{
    struct http *http = mem_zalloc(sizeof(*http));
    curl_global_init(CURL_GLOBAL_DEFAULT);
    http->multi = curl_multi_init();
    assert(http->multi != NULL);
    http->settings = *settings;
    if (settings->token != NULL) {
        struct buf field;
        buf_init(&field, (size_t)1 << 16);
        buf_printf(&field, "Authorization: Bearer %s", settings->token);
        buf_add_u8(&field, '\0');
        http->authorization = mem_text(field.has_failed ? "Authorization:" : (char *)field.data);
        buf_fini(&field);
    }
    return http;
}

void http_free(struct http **http)
{
    struct http *self = *http;
    *http = NULL;
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->spare_count; i++)
        curl_easy_cleanup(self->spare[i]);
    curl_multi_cleanup(self->multi);
    if (self->authorization != NULL)
        mem_zero(self->authorization, strlen(self->authorization));
    mem_free(self->authorization);
    mem_free(self);
    curl_global_cleanup();
}

void http_call_init(struct http_call *call)
{
    *call = (struct http_call){0};
    buf_init(&call->answer, KR_HTTP_ANSWER_MAX);
}

void http_call_fini(struct http_call *call)
{
    assert(call->state != KR_HTTP_SENT);
    buf_fini(&call->answer);
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct http_call *call = user;
    buf_add(&call->answer, data, size * count);
    return call->answer.has_failed ? 0 : size * count; // 0 makes curl give up
}

static struct bytes trimmed(struct bytes text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_of(text.data + 1, text.size - 1);
    while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) != NULL)
        text.size--;
    return text;
}

static size_t on_field(char *data, size_t size, size_t count, void *user)
{
    struct http_call *call = user;
    const char *colon = memchr(data, ':', size * count);
    uint64_t number = 0;
    if (colon == NULL)
        return size * count;
    struct bytes name = bytes_of(data, (size_t)(colon - data));
    struct bytes value = trimmed(bytes_of(colon + 1, size * count - name.size - 1));
    if (bytes_equal_text_nocase(name, "Keyreeve-Index") && text_decimal(value, UINT64_MAX, &number))
        call->index = number;
    if (bytes_equal_text_nocase(name, "Retry-After") && text_decimal(value, 3600, &number))
        call->retry_after_s = (unsigned)number;
    if (bytes_equal_text_nocase(name, "X-Request-Id") && value.size < sizeof(call->request_id)) {
        memcpy(call->request_id, value.data, value.size);
        call->request_id[value.size] = '\0';
    }
    return size * count;
}

static struct curl_slist *fields_of(const struct http *http, const struct http_call *call)
{
    struct curl_slist *list = NULL;
    char line[160];
    // An empty Expect keeps curl from waiting for "100 Continue" before a large body.
    list = curl_slist_append(list, "Expect:");
    list = curl_slist_append(list, "Accept: application/json");
    if (http->authorization != NULL)
        list = curl_slist_append(list, http->authorization);
    if (call->body.data != NULL)
        list = curl_slist_append(list, "Content-Type: application/json");
    if (call->idempotency_key != NULL) {
        snprintf(line, sizeof(line), "Idempotency-Key: %s", call->idempotency_key);
        list = curl_slist_append(list, line);
    }
    return list;
}

static void set_body(CURL *easy, const struct http_call *call)
{
    bool has_body = call->body.data != NULL;
    if (strcmp(call->method, "GET") == 0 && !has_body) {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        return;
    }
    if (has_body || strcmp(call->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, has_body ? (const char *)call->body.data : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static CURL *handle(struct http *http)
{
    if (http->spare_count > 0) {
        CURL *easy = http->spare[--http->spare_count];
        curl_easy_reset(easy);
        return easy;
    }
    CURL *easy = curl_easy_init();
    assert(easy != NULL);
    return easy;
}

static void set_transport(const struct http *http, CURL *easy, const char *url)
{
    char host[256];
    bool is_loopback = false;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)KR_HTTP_CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)http->settings.timeout_ms);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)KR_HTTP_UPLOAD_BYTES);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "keyreeve/" KR_VERSION);
    if (http->settings.cacert != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->settings.cacert);
    // A proxy cannot reach this machine's own addresses.
    if (http_check_url(url, host, sizeof(host), &is_loopback, NULL) == KR_ERR_OK && is_loopback)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

void http_start(struct http *http, struct http_call *call)
{
    assert(call->state != KR_HTTP_SENT);
    CURL *easy = handle(http);
    call->fields = fields_of(http, call);
    call->easy = easy;
    call->err = KR_ERR_OK;
    call->fault = (struct fault){0};
    call->status = 0;
    call->index = 0;
    call->retry_after_s = 0;
    call->request_id[0] = '\0';
    buf_clear(&call->answer);
    set_transport(http, easy, call->url);
    set_body(easy, call);
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, (struct curl_slist *)call->fields);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    call->state = KR_HTTP_SENT;
    CURLMcode code = curl_multi_add_handle(http->multi, easy);
    assert(code == CURLM_OK);
    (void)code;
}

static void release(struct http *http, struct http_call *call)
{
    curl_multi_remove_handle(http->multi, call->easy);
    curl_slist_free_all(call->fields);
    if (http->spare_count < KR_HTTP_POOL)
        http->spare[http->spare_count++] = call->easy;
    else
        curl_easy_cleanup(call->easy);
    call->easy = call->fields = NULL;
    call->state = KR_HTTP_DONE;
}

static enum kr_err translate(const struct http_call *call, CURLcode code)
{
    if (code == CURLE_OK)
        return KR_ERR_OK;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return KR_ERR_TIMEOUT;
    if (code == CURLE_WRITE_ERROR && call->answer.has_failed)
        return KR_ERR_TOO_LARGE;
    return KR_ERR_IO;
}

static void finish(struct http *http, struct http_call *call, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    call->status = (unsigned)status;
    call->err = translate(call, code);
    if (call->err == KR_ERR_TOO_LARGE)
        fault_set(&call->fault, call->err, "the answer is larger than %zu bytes",
                  KR_HTTP_ANSWER_MAX);
    else if (call->err != KR_ERR_OK)
        fault_set(&call->fault, call->err, "%s", curl_easy_strerror(code));
    release(http, call);
}

static unsigned collect(struct http *http)
{
    int left = 0;
    unsigned count = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        char *owner = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; // the message dies with its handle's removal
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
        finish(http, (struct http_call *)(void *)owner, code);
        count++;
    }
    return count;
}

void http_poll(struct http *http, int input, unsigned timeout_ms)
{
    struct curl_waitfd other = {.fd = input, .events = CURL_WAIT_POLLIN};
    int running = 0;
    curl_multi_perform(http->multi, &running);
    if (collect(http) > 0 || running == 0 || timeout_ms == 0)
        return;
    curl_multi_poll(http->multi, &other, input >= 0 ? 1 : 0, (int)timeout_ms, NULL);
    curl_multi_perform(http->multi, &running);
    collect(http);
}

void http_cancel(struct http *http, struct http_call *call)
{
    if (call->state != KR_HTTP_SENT)
        return;
    release(http, call);
    call->err = fault_set(&call->fault, KR_ERR_TIMEOUT, "cancelled");
}

static bool is_unreserved(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

void http_add_encoded(struct buf *out, const char *text)
{
    for (const uint8_t *at = (const uint8_t *)text; *at != '\0'; at++) {
        if (is_unreserved(*at))
            buf_add_u8(out, *at);
        else
            buf_printf(out, "%%%02X", *at);
    }
}

static bool is_this_machine(const char *host)
{
    // "127.evil.example" is a name, and no address.
    bool is_v4 = strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0';
    return is_v4 || strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

enum kr_err http_check_url(const char *url, char *host, size_t size, bool *is_loopback,
                           struct fault *fault)
{
    enum kr_err err = KR_ERR_INVALID;
    char *scheme = NULL, *name = NULL, *user = NULL, *query = NULL, *fragment = NULL;
    CURLU *parts = curl_url();
    if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &name, 0) != CURLUE_OK)
        goto done;
    curl_url_get(parts, CURLUPART_USER, &user, 0);
    curl_url_get(parts, CURLUPART_QUERY, &query, 0);
    curl_url_get(parts, CURLUPART_FRAGMENT, &fragment, 0);
    if (user != NULL || query != NULL || fragment != NULL)
        goto done;
    if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        goto done;
    snprintf(host, size, "%s", name);
    *is_loopback = is_this_machine(host);
    err = KR_ERR_OK;
done:
    if (err != KR_ERR_OK)
        fault_set(fault, err,
                  "\"%.200s\" is not the URL of a node, which looks like https://keys.example:7400",
                  url);
    curl_free(scheme);
    curl_free(name);
    curl_free(user);
    curl_free(query);
    curl_free(fragment);
    curl_url_cleanup(parts);
    return err;
}
