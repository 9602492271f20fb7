// SPDX-License-Identifier: Apache-2.0
// Bare puts to etcd, and the size of what the engine puts.
//
// The engine's names are /CLUSTER/log/INDEX, one a batch. Ways it can fail: no connection, or etcd
// does not take the certificate; no log; an answer that is none of etcd's.
#include "bench/puts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/load_tls.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "replication/etcd_codec.h"

enum { KR_PUTS_BODY = 3500, KR_PUTS_VALUE = 2048, KR_PUTS_ANSWER = 1 << 16, KR_PUTS_IN = 16384 };
enum { KR_PUTS_CLUSTER = 128, KR_PUTS_PATIENCE_S = 30 };

// --- opening -------------------------------------------------------------------------------------

static enum kr_err take_endpoint(struct puts *puts, const struct puts_options *options,
                                 struct fault *fault)
{
    bool is_https = strncmp(options->endpoint, "https://", 8) == 0;
    if (!is_https && strncmp(options->endpoint, "http://", 7) != 0)
        return fault_set(fault, KR_ERR_INVALID,
                         "--etcd-endpoint %.100s: write https://HOST:PORT or http://HOST:PORT",
                         options->endpoint);
    if (is_https &&
        (options->ca_file == NULL || options->cert_file == NULL || options->key_file == NULL))
        return fault_set(fault, KR_ERR_INVALID,
                         "an https endpoint needs --etcd-ca-file, --etcd-cert-file and "
                         "--etcd-key-file");
    load_host(options->endpoint + is_https, puts->host);
    snprintf(puts->name, sizeof(puts->name), "%.*s", (int)(strrchr(puts->host, ':') - puts->host),
             puts->host);
    puts->target.request = (struct protocol_request){KR_PROTOCOL_POST, puts->host, "/v3/kv/put"};
    puts->target.tls_name = puts->name;
    enum kr_err err = load_resolve(puts->host, false, &puts->target, fault);
    const struct load_tls_files files = {options->ca_file, options->cert_file, options->key_file};
    return err == KR_ERR_OK && is_https ? load_tls_trust(&files, &puts->target.tls, fault) : err;
}

enum kr_err puts_open(struct puts *puts, const struct puts_options *options, struct fault *fault)
{
    *puts = (struct puts){.value_bytes = 0};
    buf_init(&puts->key, KR_PUTS_BODY);
    buf_init(&puts->text, KR_PUTS_BODY);
    return take_endpoint(puts, options, fault);
}

// --- one call ------------------------------------------------------------------------------------

static enum kr_err failed(const struct puts *puts, const char *what, struct fault *fault)
{
    return fault_set(fault, KR_ERR_IO, "etcd at %s: %s", puts->host, what);
}

// Adds what comes until the other end closes.
static bool receive_all(int fd, struct tls *tls, struct buf *out)
{
    uint8_t in[KR_PUTS_IN];
    ssize_t size;
    while ((size = recv(fd, in, sizeof(in), 0)) > 0) {
        if (tls == NULL)
            buf_add(out, in, (size_t)size);
        else if (tls_receive(tls, bytes_of(in, (size_t)size)) != KR_ERR_OK)
            return false;
        while (tls != NULL && tls_unread(tls) > 0 && tls_read(tls, out) > 0)
            continue;
    }
    return size == 0 && buf_result(out) == KR_ERR_OK;
}

// EPROTO is load_tls_open's.
static const char *why_not(int number)
{
    if (number == EPROTO)
        return "no TLS: it is not of --etcd-ca-file, or does not take --etcd-cert-file";
    return number != 0 && number != EAGAIN ? strerror(number) : "no answer";
}

// HTTP/1.0: the answer is whole when the connection ends, however large it is.
static bool exchange(const struct puts *puts, const char *path, struct bytes body, struct buf *out)
{
    const struct timeval patience = {.tv_sec = KR_PUTS_PATIENCE_S};
    struct buf plain, sealed;
    int fd = load_connect(&puts->target);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    struct tls *tls = fd >= 0 && puts->target.tls != NULL ? load_tls_open(&puts->target, fd) : NULL;
    bool is_open = fd >= 0 && (puts->target.tls == NULL || tls != NULL);
    buf_init(&plain, 2 * KR_PUTS_BODY);
    buf_init(&sealed, 4 * KR_PUTS_BODY);
    buf_printf(&plain, "POST %s HTTP/1.0\r\nHost: %s\r\nContent-Type: application/json\r\n", path,
               puts->host);
    buf_printf(&plain, "Content-Length: %zu\r\n\r\n", body.size);
    buf_add_bytes(&plain, body);
    if (is_open && tls != NULL)
        is_open = load_tls_seal(tls, buf_bytes(&plain), &sealed);
    const struct buf *sent = tls != NULL ? &sealed : &plain;
    bool is_done = is_open && buf_result(sent) == KR_ERR_OK &&
                   send(fd, sent->data, sent->size, MSG_NOSIGNAL) == (ssize_t)sent->size &&
                   receive_all(fd, tls, out);
    tls_free(&tls);
    buf_fini(&plain);
    buf_fini(&sealed);
    if (fd >= 0)
        close(fd);
    return is_done;
}

static enum kr_err ask(const struct puts *puts, const char *path, struct bytes body,
                       struct arena *arena, struct etcd_reply *reply, struct fault *fault)
{
    struct buf in;
    buf_init(&in, KR_PUTS_ANSWER);
    enum kr_err err = KR_ERR_OK;
    const char *text = NULL;
    errno = 0;
    if (!exchange(puts, path, body, &in))
        err = failed(puts, why_not(errno), fault);
    else if (in.size < 12 || (text = memmem(in.data, in.size, "\r\n\r\n", 4)) == NULL ||
             memcmp(in.data + 9, "200", 3) != 0)
        err = failed(puts, "the answer is not 200", fault);
    if (err == KR_ERR_OK) {
        size_t head = (size_t)(text + 4 - (const char *)in.data);
        err = etcd_read_reply(bytes_of(in.data + head, in.size - head), arena, reply);
        if (err != KR_ERR_OK)
            failed(puts, "the answer is none of etcd's", fault);
    }
    buf_fini(&in);
    return err;
}

static enum kr_err find(const struct puts *puts, const struct etcd_range *range,
                        struct arena *arena, struct etcd_reply *reply, struct fault *fault)
{
    struct buf body;
    buf_init(&body, KR_PUTS_BODY);
    etcd_add_range(&body, range);
    enum kr_err err = ask(puts, KR_ETCD_RANGE, buf_bytes(&body), arena, reply, fault);
    if (err == KR_ERR_OK && reply->count == 0)
        err = fault_set(fault, KR_ERR_NOT_FOUND, "etcd at %s: no log of a cluster is there",
                        puts->host);
    buf_fini(&body);
    return err;
}

// --- the size ------------------------------------------------------------------------------------

static void add_member(struct buf *out, const char *before, struct bytes bytes, const char *after)
{
    buf_add_text(out, before);
    text_add_base64(out, bytes);
    buf_add_text(out, after);
}

static enum kr_err make_body(struct puts *puts, const struct etcd_kv *row, struct fault *fault)
{
    static const char name[] = "/keyreeve-bench/";
    if (row->value.size > KR_PUTS_VALUE)
        return fault_set(fault, KR_ERR_TOO_LARGE,
                         "etcd at %s: the log's newest row has %zu bytes, too many for one write",
                         puts->host, row->value.size);
    buf_clear(&puts->key);
    buf_clear(&puts->text);
    buf_add_text(&puts->key, name);
    while (puts->key.size < row->key.size)
        buf_add_u8(&puts->key, '-');
    add_member(&puts->text, "{\"key\":\"", buf_bytes(&puts->key), "\"");
    add_member(&puts->text, ",\"value\":\"", row->value, "\"}");
    buf_add_u8(&puts->text, '\n');
    puts->body = (struct keyset){.data = puts->text.data,
                                 .size_bytes = puts->text.size,
                                 .count = 1,
                                 .stride = puts->text.size};
    puts->value_bytes = row->value.size;
    return buf_result(&puts->text);
}

// The cluster's name is the first part of every key.
static enum kr_err find_cluster(const struct puts *puts, struct arena *arena,
                                char out[KR_PUTS_CLUSTER], struct fault *fault)
{
    struct etcd_reply reply;
    const struct etcd_range all = {
        .key = bytes_text("/"), .end = bytes_text("0"), .limit = 1, .is_keys_only = true};
    enum kr_err err = find(puts, &all, arena, &reply, fault);
    if (err != KR_ERR_OK)
        return err;
    struct bytes key = reply.kvs[0].key;
    const uint8_t *slash = memchr(key.data + 1, '/', key.size - 1);
    size_t size = slash != NULL ? (size_t)(slash - key.data) : 0;
    if (size == 0 || size >= KR_PUTS_CLUSTER)
        return failed(puts, "its first key is none of a cluster's", fault);
    snprintf(out, KR_PUTS_CLUSTER, "%.*s", (int)size, (const char *)key.data);
    return KR_ERR_OK;
}

enum kr_err puts_like_log(struct puts *puts, struct fault *fault)
{
    char cluster[KR_PUTS_CLUSTER], first[KR_PUTS_CLUSTER + 8], end[KR_PUTS_CLUSTER + 8];
    struct arena arena;
    struct etcd_reply reply;
    arena_init(&arena);
    enum kr_err err = find_cluster(puts, &arena, cluster, fault);
    if (err == KR_ERR_OK) {
        snprintf(first, sizeof(first), "%s/log/", cluster);
        snprintf(end, sizeof(end), "%s/log0", cluster); // behind all of them: '0' follows '/'
        const struct etcd_range newest = {
            .key = bytes_text(first), .end = bytes_text(end), .limit = 1, .is_descending = true};
        err = find(puts, &newest, &arena, &reply, fault);
    }
    if (err == KR_ERR_OK)
        err = make_body(puts, &reply.kvs[0], fault);
    arena_fini(&arena);
    return err;
}

// --- puts ----------------------------------------------------------------------------------------

enum kr_err puts_run(struct puts *puts, double seconds, struct load_result *result,
                     struct fault *fault)
{
    const struct load_plan plan = {
        .keys = &puts->body, .connections = 1, .depth = 1, .seconds = seconds};
    enum kr_err err = load_run(&puts->target, &plan, result, fault);
    if (err == KR_ERR_OK && result->latency.count == 0)
        return failed(puts, "answers nothing", fault);
    for (size_t i = 0; i < result->code_count && err == KR_ERR_OK; i++)
        if (result->codes[i].answer.status != 200)
            err = fault_set(fault, KR_ERR_IO, "etcd at %s answers %u to a put", puts->host,
                            result->codes[i].answer.status);
    return err;
}

void puts_close(struct puts *puts)
{
    struct fault ignored;
    struct arena arena;
    struct etcd_reply reply;
    struct buf body;
    arena_init(&arena);
    buf_init(&body, KR_PUTS_BODY);
    add_member(&body, "{\"key\":\"", buf_bytes(&puts->key), "\"}");
    if (puts->value_bytes > 0 &&
        ask(puts, "/v3/kv/deleterange", buf_bytes(&body), &arena, &reply, &ignored) != KR_ERR_OK)
        fprintf(stderr, "keyreeve-bench: %s; a key of /keyreeve-bench/ is left behind\n",
                ignored.text);
    buf_fini(&body);
    arena_fini(&arena);
    buf_fini(&puts->key);
    buf_fini(&puts->text);
    tls_context_free(&puts->target.tls);
}
