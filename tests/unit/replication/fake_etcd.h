// SPDX-License-Identifier: Apache-2.0
// An etcd in memory on virtual time, as the engine sees it: linearizable transactions, leases that
// expire, compaction, a quota; and faults: calls lost before or after their effect, no majority.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/json.h"
#include "core/base/text.h"
#include "replication/etcd_codec.h"
#include "replication/etcd_port.h"

enum { KR_FAKE_KEYS = 512, KR_FAKE_CALLS = 64, KR_FAKE_LEASES = 64 };

enum fake_fault { KR_FAKE_NONE, KR_FAKE_LOSE_CALL, KR_FAKE_LOSE_ANSWER, KR_FAKE_UNSENT };

struct fake_kv {
    char key[160];
    struct buf value;
    uint64_t create_revision, version, lease;
};

struct fake_call {
    char path[64];
    struct buf body;
    uint64_t sent_at_ms, deadline_ms;
    etcd_answered_fn *answered;
    void *ctx;
};

struct fake_etcd {
    struct etcd_port port;
    uint64_t now_ms, revision, compacted_revision, raft_term, next_lease;
    struct fake_kv kvs[KR_FAKE_KEYS]; // in key order
    size_t count;
    struct {
        uint64_t id, ttl_ms, expires_ms;
    } leases[KR_FAKE_LEASES];
    struct fake_call calls[KR_FAKE_CALLS];
    size_t call_count;
    bool has_majority;
    bool is_full;  // the NOSPACE alarm
    bool fills_up; // with the next put: it is done, and refused all the same
    bool
        is_stale_primary; // keep-alives are answered by a member of an earlier term, without effect
    uint64_t database_bytes, used_bytes;
    uint64_t freed_by_compaction; // 0: nothing; else what is used behind it
    bool tells_old_use;           // what a compaction frees still counts as used
    // the next calls to this path meet this fault, so many times
    const char *fault_path;
    enum fake_fault fault;
    unsigned fault_count;
    unsigned posts, defragmentations, compactions, largest_body;
};

static inline void fake_free_kv(struct fake_etcd *fake, size_t at)
{
    buf_fini(&fake->kvs[at].value);
    memmove(&fake->kvs[at], &fake->kvs[at + 1], (--fake->count - at) * sizeof(fake->kvs[0]));
}

// --- requests' fields ----------------------------------------------------------------------------

static inline uint64_t fake_number(const struct json *object, const char *name)
{
    uint64_t number = 0;
    const struct json *value = json_member(object, name);
    if (value != NULL)
        assert_true(text_decimal(bytes_text(json_text(value)), UINT64_MAX, &number));
    return number;
}

static inline bool fake_text(const struct json *object, const char *name, char *out, size_t size)
{
    size_t used = 0;
    const struct json *value = json_member(object, name);
    out[0] = '\0';
    if (value == NULL)
        return false;
    assert_true(text_from_base64(bytes_text(json_text(value)), (uint8_t *)out, size - 1, &used));
    out[used] = '\0';
    return true;
}

// --- the store -----------------------------------------------------------------------------------

static inline size_t fake_place(const struct fake_etcd *fake, const char *key)
{
    size_t at = 0;
    while (at < fake->count && strcmp(fake->kvs[at].key, key) < 0)
        at++;
    return at;
}

static inline struct fake_kv *fake_find(struct fake_etcd *fake, const char *key)
{
    size_t at = fake_place(fake, key);
    return at < fake->count && strcmp(fake->kvs[at].key, key) == 0 ? &fake->kvs[at] : NULL;
}

static inline void fake_put(struct fake_etcd *fake, const struct json *op)
{
    char key[160];
    fake_text(op, "key", key, sizeof(key));
    struct fake_kv *kv = fake_find(fake, key);
    if (kv == NULL) {
        size_t at = fake_place(fake, key);
        assert_true(fake->count < KR_FAKE_KEYS);
        memmove(&fake->kvs[at + 1], &fake->kvs[at], (fake->count++ - at) * sizeof(*kv));
        kv = &fake->kvs[at];
        *kv = (struct fake_kv){.create_revision = fake->revision};
        snprintf(kv->key, sizeof(kv->key), "%s", key);
        buf_init(&kv->value, (size_t)4 << 20);
    }
    size_t used = 0;
    struct bytes text = bytes_text(json_text(json_member(op, "value")));
    buf_clear(&kv->value);
    assert_true(text_from_base64(text, buf_extend(&kv->value, text.size + 1), text.size, &used));
    kv->value.size = used;
    kv->version++;
    kv->lease = fake_number(op, "lease");
}

static inline void fake_delete(struct fake_etcd *fake, const struct json *op)
{
    char key[160], end[160];
    fake_text(op, "key", key, sizeof(key));
    bool is_range = fake_text(op, "range_end", end, sizeof(end));
    for (size_t at = fake_place(fake, key); at < fake->count;) {
        int order = strcmp(fake->kvs[at].key, is_range ? end : key);
        if (is_range ? order >= 0 : order != 0)
            break;
        fake_free_kv(fake, at);
    }
}

static inline void fake_write_kv(struct json_writer *writer, const struct fake_kv *kv,
                                 bool is_keys_only)
{
    struct buf text;
    char number[24];
    buf_init(&text, (size_t)8 << 20);
    json_open(writer, NULL, '{');
    text_add_base64(&text, bytes_text(kv->key));
    buf_add_u8(&text, '\0');
    json_write_string(writer, "key", (const char *)text.data);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)kv->create_revision);
    json_write_string(writer, "create_revision", number);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)kv->version);
    json_write_string(writer, "version", number);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)kv->lease);
    json_write_string(writer, "lease", number);
    if (!is_keys_only) {
        buf_clear(&text);
        text_add_base64(&text, buf_bytes(&kv->value));
        buf_add_u8(&text, '\0');
        json_write_string(writer, "value", (const char *)text.data);
    }
    json_close(writer, '}');
    buf_fini(&text);
}

// The members of a range's answer.
static inline void fake_range(struct fake_etcd *fake, const struct json *op,
                              struct json_writer *writer)
{
    char key[160], end[160];
    fake_text(op, "key", key, sizeof(key));
    bool is_range = fake_text(op, "range_end", end, sizeof(end));
    uint64_t limit = fake_number(op, "limit");
    const struct json *order = json_member(op, "sort_order");
    bool is_descending = order != NULL && strcmp(json_text(order), "DESCEND") == 0;
    bool is_keys_only = json_member(op, "keys_only") != NULL;
    size_t from = fake_place(fake, key), to = from;
    while (to < fake->count &&
           (is_range ? strcmp(fake->kvs[to].key, end) < 0 : strcmp(fake->kvs[to].key, key) == 0))
        to++;
    size_t count = to - from, wanted = limit > 0 && limit < count ? (size_t)limit : count;
    if (wanted > 0) { // etcd leaves empty lists out
        json_open(writer, "kvs", '[');
        for (size_t i = 0; i < wanted; i++)
            fake_write_kv(writer, &fake->kvs[is_descending ? to - 1 - i : from + i], is_keys_only);
        json_close(writer, ']');
    }
    if (wanted < count)
        json_write_bool(writer, "more", true);
}

static inline bool fake_holds(struct fake_etcd *fake, const struct json *compare)
{
    char key[160];
    fake_text(compare, "key", key, sizeof(key));
    const struct fake_kv *kv = fake_find(fake, key);
    bool is_version = strcmp(json_text(json_member(compare, "target")), "VERSION") == 0;
    uint64_t wanted = fake_number(compare, is_version ? "version" : "create_revision");
    assert_string_equal(json_text(json_member(compare, "result")), "EQUAL");
    return wanted == (kv == NULL ? 0 : is_version ? kv->version : kv->create_revision);
}

static inline bool fake_has_lease(const struct fake_etcd *fake, uint64_t id)
{
    for (size_t i = 0; i < KR_FAKE_LEASES; i++)
        if (id != 0 && fake->leases[i].id == id)
            return true;
    return false;
}

// NULL, or the error that refuses the whole transaction.
static inline const char *fake_refusal(struct fake_etcd *fake, const struct json *ops)
{
    for (size_t i = 0; i < json_size(ops); i++) {
        const struct json *put = json_member(json_at(ops, i), "request_put");
        if (put != NULL && fake->is_full)
            return "etcdserver: mvcc: database space exceeded";
        uint64_t lease = put != NULL ? fake_number(put, "lease") : 0;
        if (lease != 0 && !fake_has_lease(fake, lease))
            return "etcdserver: requested lease not found";
    }
    return NULL;
}

static inline void fake_do(struct fake_etcd *fake, const struct json *op,
                           struct json_writer *writer)
{
    const struct json *put = json_member(op, "request_put");
    const struct json *range = json_member(op, "request_range");
    const struct json *deletion = json_member(op, "request_delete_range");
    json_open(writer, NULL, '{');
    json_open(writer, range != NULL ? "response_range" : "response_other", '{');
    if (put != NULL)
        fake_put(fake, put);
    else if (range != NULL)
        fake_range(fake, range, writer);
    else
        fake_delete(fake, deletion);
    json_close(writer, '}');
    json_close(writer, '}');
}

static inline const char *fake_txn(struct fake_etcd *fake, const struct json *txn,
                                   struct json_writer *writer)
{
    bool holds = true;
    const struct json *compares = json_member(txn, "compare");
    for (size_t i = 0; i < json_size(compares); i++)
        holds = holds && fake_holds(fake, json_at(compares, i));
    const struct json *ops = json_member(txn, holds ? "success" : "failure");
    const char *refusal = fake_refusal(fake, json_member(txn, "success"));
    if (refusal != NULL)
        return refusal;
    fake->revision += holds ? 1 : 0;
    if (holds)
        json_write_bool(writer, "succeeded", true);
    json_open(writer, "responses", '[');
    for (size_t i = 0; i < json_size(ops); i++)
        fake_do(fake, json_at(ops, i), writer);
    json_close(writer, ']');
    fake->is_full |= fake->fills_up;
    return fake->fills_up ? "etcdserver: mvcc: database space exceeded" : NULL;
}

// --- leases --------------------------------------------------------------------------------------

static inline void fake_end_lease(struct fake_etcd *fake, size_t at)
{
    uint64_t id = fake->leases[at].id;
    fake->leases[at].id = 0;
    fake->revision++;
    for (size_t i = fake->count; i-- > 0;)
        if (fake->kvs[i].lease == id)
            fake_free_kv(fake, i);
}

static inline const char *fake_grant(struct fake_etcd *fake, const struct json *body,
                                     struct json_writer *writer)
{
    char text[24];
    size_t at = 0;
    if (fake->is_full)
        return "etcdserver: mvcc: database space exceeded";
    while (fake->leases[at].id != 0)
        assert_true(++at < KR_FAKE_LEASES);
    uint64_t ttl_s = fake_number(body, "TTL");
    fake->leases[at].id = ++fake->next_lease;
    fake->leases[at].ttl_ms = ttl_s * 1000;
    fake->leases[at].expires_ms = fake->now_ms + ttl_s * 1000;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)fake->next_lease);
    json_write_string(writer, "ID", text);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)ttl_s);
    json_write_string(writer, "TTL", text);
    return NULL;
}

static inline void fake_keep(struct fake_etcd *fake, const struct json *body,
                             struct json_writer *writer)
{
    char text[24];
    uint64_t id = fake_number(body, "ID"), ttl_s = fake->is_stale_primary ? 2 : 0;
    for (size_t i = 0; i < KR_FAKE_LEASES && !fake->is_stale_primary; i++)
        if (fake->leases[i].id == id) {
            fake->leases[i].expires_ms = fake->now_ms + fake->leases[i].ttl_ms;
            ttl_s = fake->leases[i].ttl_ms / 1000;
        }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
    json_write_string(writer, "ID", text);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)ttl_s);
    if (ttl_s > 0)
        json_write_string(writer, "TTL", text);
}

static inline const char *fake_revoke(struct fake_etcd *fake, const struct json *body)
{
    for (size_t i = 0; i < KR_FAKE_LEASES; i++)
        if (fake->leases[i].id != 0 && fake->leases[i].id == fake_number(body, "ID")) {
            fake_end_lease(fake, i);
            return NULL;
        }
    return "etcdserver: requested lease not found";
}

// --- maintenance ---------------------------------------------------------------------------------

static inline void fake_alarm(struct fake_etcd *fake, const struct json *body,
                              struct json_writer *writer)
{
    if (strcmp(json_text(json_member(body, "action")), "DEACTIVATE") == 0) {
        assert_string_equal(json_text(json_member(body, "memberID")), "77");
        fake->is_full = false;
    }
    if (!fake->is_full)
        return;
    json_open(writer, "alarms", '[');
    json_open(writer, NULL, '{');
    json_write_string(writer, "memberID", "77");
    json_write_string(writer, "alarm", "NOSPACE");
    json_close(writer, '}');
    json_close(writer, ']');
}

static inline void fake_status(struct fake_etcd *fake, struct json_writer *writer)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)fake->database_bytes);
    json_write_string(writer, "dbSize", text);
    snprintf(text, sizeof(text), "%llu",
             (unsigned long long)(fake->tells_old_use ? fake->database_bytes : fake->used_bytes));
    json_write_string(writer, "dbSizeInUse", text);
}

static inline const char *fake_compact(struct fake_etcd *fake, const struct json *body)
{
    uint64_t revision = fake_number(body, "revision");
    if (revision > fake->revision)
        return "etcdserver: mvcc: required revision is a future revision";
    assert_true(json_bool(json_member(body, "physical")));
    fake->compacted_revision = revision;
    if (fake->freed_by_compaction > 0)
        fake->used_bytes = fake->freed_by_compaction;
    fake->compactions++;
    return NULL;
}

static inline void fake_defragment(struct fake_etcd *fake)
{
    fake->defragmentations++;
    fake->database_bytes = fake->used_bytes;
}

// --- calls ---------------------------------------------------------------------------------------

static inline void fake_header(struct fake_etcd *fake, const char *path, struct json_writer *writer)
{
    char text[24];
    bool is_old = fake->is_stale_primary && strcmp(path, KR_ETCD_KEEPALIVE) == 0;
    json_open(writer, "header", '{');
    json_write_string(writer, "cluster_id", "13455796455940752355");
    snprintf(text, sizeof(text), "%llu", (unsigned long long)fake->revision);
    json_write_string(writer, "revision", text);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)(fake->raft_term - (is_old ? 1 : 0)));
    json_write_string(writer, "raft_term", text);
    json_close(writer, '}');
}

static inline const char *fake_route(struct fake_etcd *fake, const char *path,
                                     const struct json *body, struct json_writer *writer)
{
    if (strcmp(path, KR_ETCD_RANGE) == 0)
        fake_range(fake, body, writer);
    else if (strcmp(path, KR_ETCD_TXN) == 0)
        return fake_txn(fake, body, writer);
    else if (strcmp(path, KR_ETCD_GRANT) == 0)
        return fake_grant(fake, body, writer);
    else if (strcmp(path, KR_ETCD_KEEPALIVE) == 0)
        fake_keep(fake, body, writer);
    else if (strcmp(path, KR_ETCD_REVOKE) == 0)
        return fake_revoke(fake, body);
    else if (strcmp(path, KR_ETCD_COMPACTION) == 0)
        return fake_compact(fake, body);
    else if (strcmp(path, KR_ETCD_STATUS) == 0)
        fake_status(fake, writer);
    else if (strcmp(path, KR_ETCD_ALARM) == 0)
        fake_alarm(fake, body, writer);
    else if (strcmp(path, KR_ETCD_DEFRAGMENT) == 0)
        fake_defragment(fake);
    else
        return "Not Found";
    return NULL;
}

// The answer of a call that has reached etcd.
static inline unsigned fake_serve(struct fake_etcd *fake, const struct fake_call *call,
                                  struct buf *out)
{
    struct json *body = NULL;
    struct json_writer writer;
    struct buf content;
    bool is_stream = strcmp(call->path, KR_ETCD_KEEPALIVE) == 0;
    assert_int_equal(json_parse(buf_bytes(&call->body), &body, NULL), KR_ERR_OK);
    buf_init(&content, (size_t)64 << 20);
    json_begin(&writer, &content);
    json_open(&writer, NULL, '{');
    const char *error = fake_route(fake, call->path, body, &writer);
    fake_header(fake, call->path, &writer);
    json_close(&writer, '}');
    if (error != NULL)
        buf_printf(out, "{\"error\":\"%s\",\"message\":\"%s\",\"code\":8}", error, error);
    else
        buf_printf(out, "%s%.*s%s", is_stream ? "{\"result\":" : "", (int)content.size,
                   (const char *)content.data, is_stream ? "}\n" : "");
    buf_fini(&content);
    json_free(&body);
    return error != NULL ? 429 : 200;
}

static inline enum fake_fault fake_take_fault(struct fake_etcd *fake, const char *path)
{
    if (fake->fault_count == 0 || strcmp(fake->fault_path, path) != 0)
        return KR_FAKE_NONE;
    fake->fault_count--;
    return fake->fault;
}

static inline void fake_answer(struct fake_etcd *fake, struct fake_call *call, enum kr_err err)
{
    struct buf out;
    enum fake_fault fault = err == KR_ERR_OK ? fake_take_fault(fake, call->path) : KR_FAKE_NONE;
    struct etcd_answer answer = {.err = err, .text = "lost", .sent_at_ms = call->sent_at_ms};
    buf_init(&out, (size_t)64 << 20);
    if (err == KR_ERR_OK && (fault == KR_FAKE_NONE || fault == KR_FAKE_LOSE_ANSWER))
        answer.status = fake_serve(fake, call, &out);
    answer.err = fault != KR_FAKE_NONE ? KR_ERR_IO : err;
    answer.is_surely_unsent = fault == KR_FAKE_UNSENT;
    if (answer.err == KR_ERR_OK)
        answer.body = buf_bytes(&out);
    call->answered(call->ctx, &answer);
    buf_fini(&out);
    buf_fini(&call->body);
}

static inline void fake_post(void *ctx, const struct etcd_call *wanted)
{
    struct fake_etcd *fake = ctx;
    assert_true(fake->call_count < KR_FAKE_CALLS);
    struct fake_call *call = &fake->calls[fake->call_count++];
    *call = (struct fake_call){.body = *wanted->body,
                               .sent_at_ms = fake->now_ms,
                               .deadline_ms = fake->now_ms + wanted->deadline_ms,
                               .answered = wanted->answered,
                               .ctx = wanted->ctx};
    snprintf(call->path, sizeof(call->path), "%s", wanted->path);
    buf_init(wanted->body, 0);
    fake->posts++;
    if (call->body.size > fake->largest_body)
        fake->largest_body = (unsigned)call->body.size;
}

// Serves what is under way: at once, or, without a majority, not before its deadline.
static inline void fake_turn(struct fake_etcd *fake)
{
    struct fake_call calls[KR_FAKE_CALLS];
    size_t count = fake->call_count;
    memcpy(calls, fake->calls, count * sizeof(calls[0]));
    fake->call_count = 0;
    for (size_t i = 0; i < KR_FAKE_LEASES; i++)
        if (fake->leases[i].id != 0 && fake->now_ms >= fake->leases[i].expires_ms &&
            fake->has_majority)
            fake_end_lease(fake, i);
    for (size_t i = 0; i < count; i++) {
        if (fake->has_majority)
            fake_answer(fake, &calls[i], KR_ERR_OK);
        else if (fake->now_ms >= calls[i].deadline_ms)
            fake_answer(fake, &calls[i], KR_ERR_TIMEOUT);
        else
            fake->calls[fake->call_count++] = calls[i];
    }
}

static inline uint64_t fake_now_ms(void *ctx)
{
    return ((struct fake_etcd *)ctx)->now_ms;
}

static inline void fake_init(struct fake_etcd *fake)
{
    *fake = (struct fake_etcd){.now_ms = 100000, .revision = 1, .raft_term = 5};
    fake->next_lease = 40;
    fake->has_majority = true;
    fake->port = (struct etcd_port){
        .ctx = fake, .endpoint_count = 1, .post = fake_post, .now_ms = fake_now_ms};
}

static inline void fake_fini(struct fake_etcd *fake)
{
    while (fake->count > 0)
        fake_free_kv(fake, fake->count - 1);
}
