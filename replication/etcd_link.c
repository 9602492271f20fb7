// SPDX-License-Identifier: Apache-2.0
// The link to etcd: libcurl's multi interface, moved by the sockets and the timer of a uv loop.
//
// Happy path: post fills an easy handle and adds it → libcurl says which sockets to watch and when
// to come back → uv does → finished transfers are taken out, their callers told.
// Ways it can fail: no connection, TLS, the deadline, an answer above the limit (each is the
// answer's err, and the next calls go to the next endpoint); closed (what is under way is told so
// first).
#include "replication/etcd_link.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"

#define KR_LINK_ENDPOINTS_MAX 16
#define KR_LINK_ANSWER_MAX ((size_t)48 << 20)
#define KR_LINK_SPARE_MAX 16

enum { KR_LINK_CONNECT_MS = 1000, KR_LINK_BUFFER_BYTES = 1 << 18 };

struct link_call {
    struct link_call *next, **back; // of those under way
    struct etcd_link *link;
    CURL *easy;
    size_t endpoint;
    struct buf body, answer;
    size_t body_sent;
    uint64_t sent_at_ms;
    etcd_answered_fn *answered;
    void *ctx;
};

struct etcd_link {
    struct etcd_port port;
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct curl_slist *fields;
    char *endpoints[KR_LINK_ENDPOINTS_MAX];
    size_t endpoint_count, current;
    char *ca_file, *cert_file, *key_file;
    struct link_call *calls;
    CURL *spare[KR_LINK_SPARE_MAX];
    size_t spare_count;
    size_t handles; // of uv, open
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct link_socket {
    uv_poll_t poll;
    struct etcd_link *link;
    curl_socket_t socket;
};

// --- calls ---------------------------------------------------------------------------------------

static size_t on_answer(char *data, size_t size, size_t count, void *user)
{
    struct link_call *call = user;
    buf_add(&call->answer, data, size * count);
    return call->answer.has_failed ? 0 : size * count; // 0 makes curl give up
}

// Without a function to rewind, curl cannot send a body again on a new connection of its own
// accord: that would be a second transaction.
static size_t on_send(char *out, size_t size, size_t count, void *user)
{
    struct link_call *call = user;
    size_t left = call->body.size - call->body_sent;
    size_t taken = left < size * count ? left : size * count;
    memcpy(out, call->body.data + call->body_sent, taken);
    call->body_sent += taken;
    return taken;
}

static CURL *take_handle(struct etcd_link *link)
{
    CURL *easy = link->spare_count > 0 ? link->spare[--link->spare_count] : curl_easy_init();
    assert(easy != NULL);
    curl_easy_reset(easy);
    return easy;
}

// The system's authorities vouch for nobody here.
static void set_tls(const struct etcd_link *link, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    if (link->ca_file[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, link->ca_file);
    if (link->cert_file[0] == '\0')
        return;
    curl_easy_setopt(easy, CURLOPT_SSLCERT, link->cert_file);
    curl_easy_setopt(easy, CURLOPT_SSLKEY, link->key_file);
}

static void set_transport(const struct etcd_link *link, CURL *easy, unsigned deadline_ms)
{
    unsigned connect_ms = deadline_ms < KR_LINK_CONNECT_MS ? deadline_ms : KR_LINK_CONNECT_MS;
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    // Names are looked up by a thread of libcurl's. Without this, a call that ends while its name
    // server is silent would wait for that thread, and with it the control loop.
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)deadline_ms);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)KR_LINK_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)KR_LINK_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "keyreeve/" KR_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, link->fields);
    set_tls(link, easy);
}

static void set_request(struct link_call *call, const char *path)
{
    char url[512];
    CURL *easy = call->easy;
    snprintf(url, sizeof(url), "%s%s", call->link->endpoints[call->endpoint], path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(easy, CURLOPT_READDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

static void next_endpoint(struct etcd_link *link, const struct link_call *call)
{
    if (call->endpoint == link->current)
        link->current = (link->current + 1) % link->endpoint_count;
}

static void post(void *ctx, const struct etcd_call *wanted)
{
    struct etcd_link *link = ctx;
    struct link_call *call = mem_zalloc(sizeof(*call));
    call->link = link;
    call->easy = take_handle(link);
    call->endpoint = wanted->endpoint < link->endpoint_count ? wanted->endpoint : link->current;
    if (wanted->stops_endpoint)
        next_endpoint(link, call);
    call->body = *wanted->body;
    buf_init(wanted->body, call->body.limit);
    buf_init(&call->answer, KR_LINK_ANSWER_MAX);
    call->answered = wanted->answered;
    call->ctx = wanted->ctx;
    call->next = link->calls;
    call->back = &link->calls;
    if (call->next != NULL)
        call->next->back = &call->next;
    link->calls = call;
    set_transport(link, call->easy, wanted->deadline_ms);
    set_request(call, wanted->path);
    call->sent_at_ms = clock_boot_ms();
    CURLMcode code = curl_multi_add_handle(link->multi, call->easy);
    assert(code == CURLM_OK);
    (void)code;
}

static uint64_t now_ms(void *ctx)
{
    (void)ctx;
    return clock_boot_ms();
}

// Takes the call out; its easy handle and buffers stay until free_call.
static void unlink_call(struct link_call *call)
{
    *call->back = call->next;
    if (call->next != NULL)
        call->next->back = call->back;
    curl_multi_remove_handle(call->link->multi, call->easy);
}

static void free_call(struct link_call *call)
{
    struct etcd_link *link = call->link;
    if (link->spare_count < KR_LINK_SPARE_MAX)
        link->spare[link->spare_count++] = call->easy;
    else
        curl_easy_cleanup(call->easy);
    buf_fini(&call->body);
    buf_fini(&call->answer);
    mem_free(call);
}

static enum kr_err translate(const struct link_call *call, CURLcode code)
{
    if (code == CURLE_OK)
        return KR_ERR_OK;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return KR_ERR_TIMEOUT;
    return code == CURLE_WRITE_ERROR && call->answer.has_failed ? KR_ERR_TOO_LARGE : KR_ERR_IO;
}

static void finish(struct link_call *call, CURLcode code)
{
    long status = 0, request_bytes = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    const struct etcd_answer answer = {
        .err = translate(call, code),
        .text = curl_easy_strerror(code),
        .status = (unsigned)status,
        .body = code == CURLE_OK ? buf_bytes(&call->answer) : (struct bytes){0},
        .sent_at_ms = call->sent_at_ms,
        .is_surely_unsent = code != CURLE_OK && request_bytes == 0,
    };
    if (answer.err != KR_ERR_OK || status >= 500)
        next_endpoint(call->link, call);
    unlink_call(call);
    call->answered(call->ctx, &answer);
    free_call(call);
}

// --- moving curl ---------------------------------------------------------------------------------

static void collect(struct etcd_link *link)
{
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(link->multi, &left)) != NULL) {
        char *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; // the message dies with its handle's removal
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        finish((struct link_call *)(void *)call, code);
    }
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct link_socket *watch = poll->data;
    struct etcd_link *link = watch->link;
    int running = 0, what = status < 0 ? CURL_CSELECT_ERR : 0;
    what |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    what |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(link->multi, watch->socket, what, &running);
    collect(link);
}

static void free_endpoints(struct etcd_link *link)
{
    for (size_t i = 0; i < link->endpoint_count; i++)
        mem_free(link->endpoints[i]);
}

static void end_if_closed(struct etcd_link *link)
{
    void (*closed)(void *ctx) = link->closed;
    void *ctx = link->closed_ctx;
    if (link->handles > 0)
        return;
    free_endpoints(link);
    curl_slist_free_all(link->fields);
    mem_free(link->ca_file);
    mem_free(link->cert_file);
    mem_free(link->key_file);
    mem_free(link);
    curl_global_cleanup();
    closed(ctx);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct link_socket *watch = handle->data;
    struct etcd_link *link = watch->link;
    mem_free(watch);
    link->handles--;
    end_if_closed(link);
}

static struct link_socket *watch_socket(struct etcd_link *link, curl_socket_t socket)
{
    struct link_socket *watch = mem_zalloc(sizeof(*watch));
    watch->link = link;
    watch->socket = socket;
    uv_poll_init_socket(link->loop, &watch->poll, socket);
    watch->poll.data = watch;
    link->handles++;
    curl_multi_assign(link->multi, socket, watch);
    return watch;
}

static int on_socket_wanted(CURL *easy, curl_socket_t socket, int what, void *user, void *own)
{
    struct etcd_link *link = user;
    struct link_socket *watch = own;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL)
            uv_close((uv_handle_t *)&watch->poll, on_socket_closed);
        curl_multi_assign(link->multi, socket, NULL);
        return 0;
    }
    if (watch == NULL)
        watch = watch_socket(link, socket);
    int events = (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    uv_poll_start(&watch->poll, events, on_socket_ready);
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct etcd_link *link = timer->data;
    int running = 0;
    curl_multi_socket_action(link->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(link);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *user)
{
    struct etcd_link *link = user;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&link->timer);
    else
        uv_timer_start(&link->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

// --- settings ------------------------------------------------------------------------------------

static bool is_this_machine(const char *host)
{
    bool is_v4 = strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0';
    return is_v4 || strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

static char *part_of(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool is_bare(CURLU *url)
{
    static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_QUERY, CURLUPART_FRAGMENT};
    char *path = part_of(url, CURLUPART_PATH);
    bool is_all = path == NULL || strcmp(path, "/") == 0;
    curl_free(path);
    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
        char *text = part_of(url, unwanted[i]);
        is_all = is_all && text == NULL;
        curl_free(text);
    }
    return is_all;
}

// Gives the endpoint as the front of every URL: no slash at the end.
static enum kr_err check_endpoint(const struct etcd_link_options *options, const char *text,
                                  char **out, struct fault *fault)
{
    enum kr_err err = KR_ERR_INVALID;
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL;
    size_t size = strlen(text);
    if (size < 256 && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK && is_bare(url)) {
        scheme = part_of(url, CURLUPART_SCHEME);
        host = part_of(url, CURLUPART_HOST);
    }
    bool is_https = scheme != NULL && strcmp(scheme, "https") == 0;
    if (host == NULL || scheme == NULL || (!is_https && strcmp(scheme, "http") != 0))
        fault_set(fault, err,
                  "etcd_endpoints: \"%.100s\" is no endpoint; one looks like https://etcd-1:2379",
                  text);
    else if (!is_https && !is_this_machine(host))
        fault_set(fault, err,
                  "etcd_endpoints: %.100s is not this machine, and without TLS everyone on the way "
                  "reads and writes the log; use https://",
                  text);
    else if (is_https && options->ca_file[0] == '\0')
        fault_set(fault, err,
                  "etcd_ca_file is empty, and %.100s cannot be verified without it; name the PEM "
                  "file of the authority that signed etcd's certificates",
                  text);
    else
        err = KR_ERR_OK;
    if (err == KR_ERR_OK) {
        *out = mem_text(text);
        if ((*out)[size - 1] == '/')
            (*out)[size - 1] = '\0';
    }
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(url);
    return err;
}

static enum kr_err check_endpoints(struct etcd_link *link, const struct etcd_link_options *options,
                                   struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    char *rest = NULL, *list = mem_text(options->endpoints);
    for (char *text = strtok_r(list, ", ", &rest); text != NULL && err == KR_ERR_OK;
         text = strtok_r(NULL, ", ", &rest)) {
        if (link->endpoint_count == KR_LINK_ENDPOINTS_MAX)
            err = fault_set(fault, KR_ERR_INVALID, "etcd_endpoints: more than %d endpoints",
                            KR_LINK_ENDPOINTS_MAX);
        else
            err = check_endpoint(options, text, &link->endpoints[link->endpoint_count], fault);
        if (err == KR_ERR_OK)
            link->endpoint_count++;
    }
    mem_free(list);
    if (err == KR_ERR_OK && link->endpoint_count == 0)
        err = fault_set(fault, KR_ERR_INVALID,
                        "etcd_endpoints is empty; the etcd engine needs at least one, such as "
                        "https://etcd-1:2379");
    return err;
}

static enum kr_err check_files(const struct etcd_link_options *options, struct fault *fault)
{
    struct buf secret;
    const char *const readable[] = {options->ca_file, options->cert_file};
    if ((options->cert_file[0] == '\0') != (options->key_file[0] == '\0'))
        return fault_set(fault, KR_ERR_INVALID,
                         "etcd_cert_file and etcd_key_file go together; one of them is empty");
    for (size_t i = 0; i < 2; i++)
        if (readable[i][0] != '\0' && access(readable[i], R_OK) != 0)
            return fault_set(fault, KR_ERR_INVALID, "%s: cannot be read", readable[i]);
    if (options->key_file[0] == '\0')
        return KR_ERR_OK;
    buf_init(&secret, (size_t)1 << 16);
    enum kr_err err = file_read_secret(options->key_file, &secret, fault);
    buf_fini(&secret);
    return err;
}

static enum kr_err take_settings(struct etcd_link *link, const struct etcd_link_options *options,
                                 struct fault *fault)
{
    enum kr_err err = check_files(options, fault);
    if (err == KR_ERR_OK)
        err = check_endpoints(link, options, fault);
    if (err != KR_ERR_OK)
        free_endpoints(link);
    return err;
}

enum kr_err etcd_link_check(const struct etcd_link_options *options, struct fault *fault)
{
    struct etcd_link link = {.endpoint_count = 0};
    enum kr_err err = take_settings(&link, options, fault);
    if (err == KR_ERR_OK)
        free_endpoints(&link);
    return err;
}

// --- life ----------------------------------------------------------------------------------------

static void open_multi(struct etcd_link *link)
{
    link->multi = curl_multi_init();
    assert(link->multi != NULL);
    curl_multi_setopt(link->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(link->multi, CURLMOPT_SOCKETDATA, link);
    curl_multi_setopt(link->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(link->multi, CURLMOPT_TIMERDATA, link);
    uv_timer_init(link->loop, &link->timer);
    link->timer.data = link;
    link->handles = 1;
}

enum kr_err etcd_link_new(const struct etcd_link_options *options, struct etcd_link **out,
                          struct fault *fault)
{
    struct etcd_link *link = mem_zalloc(sizeof(*link));
    enum kr_err err = take_settings(link, options, fault);
    if (err != KR_ERR_OK) {
        mem_free(link);
        return err;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    link->loop = options->loop;
    link->ca_file = mem_text(options->ca_file);
    link->cert_file = mem_text(options->cert_file);
    link->key_file = mem_text(options->key_file);
    // An empty Expect keeps curl from waiting for "100 Continue" before a large body.
    link->fields = curl_slist_append(NULL, "Expect:");
    link->fields = curl_slist_append(link->fields, "Content-Type: application/json");
    open_multi(link);
    link->port = (struct etcd_port){
        .ctx = link, .endpoint_count = link->endpoint_count, .post = post, .now_ms = now_ms};
    *out = link;
    return KR_ERR_OK;
}

const struct etcd_port *etcd_link_port(const struct etcd_link *link)
{
    return &link->port;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct etcd_link *link = handle->data;
    link->handles--;
    end_if_closed(link);
}

// On the loop, not in etcd_link_close: callbacks never come before the call has returned.
static void on_closing(uv_timer_t *timer)
{
    struct etcd_link *link = timer->data;
    while (link->calls != NULL)
        finish(link->calls, CURLE_ABORTED_BY_CALLBACK);
    for (size_t i = 0; i < link->spare_count; i++)
        curl_easy_cleanup(link->spare[i]);
    curl_multi_cleanup(link->multi);
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

void etcd_link_close(struct etcd_link *link, void (*closed)(void *ctx), void *ctx)
{
    assert(link->closed == NULL && closed != NULL);
    link->closed = closed;
    link->closed_ctx = ctx;
    curl_multi_setopt(link->multi, CURLMOPT_TIMERFUNCTION, NULL);
    uv_timer_start(&link->timer, on_closing, 0, 0);
}
