// SPDX-License-Identifier: Apache-2.0
// Answers that every route shares: the opening with Date and X-Request-Id, problems, the probes.
#include "node/serve_internal.h"

#include <stdio.h>

#include "core/base/json.h"
#include "node/instance.h"
#include "node/readiness.h"

void serve_reply_begin(struct job *job, unsigned status)
{
    struct serve *serve = job->connection->serve;
    struct buf *out = &serve->out;
    char count[KR_REQUEST_ID_COUNT];
    turn_request_count(serve, count);
    http_reply_begin(out, &job->request, status, NULL);
    buf_add(out, serve->opening, sizeof(serve->opening));
    buf_add(out, count, sizeof(count));
    KR_REPLY_LINES(out, "\r\nCache-Control: no-store\r\n");
}

static void write_problem(struct job *job, enum kr_err err, const char *detail, const char *id)
{
    struct serve *serve = job->connection->serve;
    unsigned status = err_http_status(err);
    char type[64];
    snprintf(type, sizeof(type), "https://httpproblems.com/http-status/%u", status);
    struct json_writer writer;
    json_begin(&writer, &serve->body);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "type", type);
    json_write_string(&writer, "title", http_status_text(status));
    json_write_integer(&writer, "status", status);
    json_write_string(&writer, "detail", detail);
    json_write_string(&writer, "instance", instance_of(job->request.path, &serve->scratch));
    json_open(&writer, "trace", '{');
    json_write_stamp(&writer, "timestamp", serve->now_ms);
    json_write_string(&writer, "requestId", id);
    json_close(&writer, '}');
    json_close(&writer, '}');
}

void serve_reply_problem(struct job *job, enum kr_err err, const char *detail)
{
    struct serve *serve = job->connection->serve;
    if (job->refusal != KR_ERR_OK)
        job->request.is_keep_alive = false;
    unsigned status = err_http_status(err);
    char id[KR_REQUEST_ID_SIZE];
    turn_request_id(serve, id);
    buf_clear(&serve->body);
    write_problem(job, err, detail, id);
    http_reply_begin(&serve->out, &job->request, status, serve->date);
    http_reply_field_text(&serve->out, "X-Request-Id", id);
    if (err == KR_ERR_METHOD)
        http_reply_field_text(&serve->out, "Allow", job->match.allow);
    if (err == KR_ERR_UNAUTHORIZED) {
        http_reply_field_text(
            &serve->out, "WWW-Authenticate",
            arena_printf(&serve->scratch, "Bearer realm=\"%s\"", serve->node->config->realm));
    }
    if (status == 503 || status == 429)
        http_reply_field_text(
            &serve->out, "Retry-After",
            arena_printf(&serve->scratch, "%llu", (unsigned long long)(job->retry_ms / 1000 + 1)));
    http_reply_end(&serve->out, &job->request, status, "application/problem+json",
                   buf_bytes(&serve->body));
    turn_count(job, status);
}

// Why the node is not ready; in the scratch where it is not a constant.
static const char *why_not(const struct node *node, enum readiness readiness, struct arena *scratch)
{
    uint64_t done, total;
    switch (readiness) {
    case KR_READINESS_SERVING:
        break;
    case KR_READINESS_LOADING:
        store_load_progress(node->store, &done, &total);
        return arena_printf(scratch, "not ready: %llu of about %llu keys are in memory\n",
                            (unsigned long long)done, (unsigned long long)total);
    case KR_READINESS_WAITING:
        return "not ready: out of touch with the cluster\n";
    case KR_READINESS_STOPPING:
        return "not ready: it stops\n";
    }
    return "ready\n";
}

// /healthz says that the process lives, /readyz that it serves.
void serve_reply_probe(struct job *job)
{
    struct serve *serve = job->connection->serve;
    const struct node *node = serve->node;
    bool is_health = bytes_equal_text(job->request.path, "/healthz");
    enum readiness readiness = readiness_of(node);
    unsigned status = is_health || readiness == KR_READINESS_SERVING ? 200 : 503;
    const char *word = is_health ? "ok\n" : why_not(node, readiness, &serve->scratch);
    serve_reply_begin(job, status);
    if (status == 503)
        http_reply_field_text(&serve->out, "Retry-After", "1");
    http_reply_end(&serve->out, &job->request, status, "text/plain", bytes_text(word));
    turn_count(job, status);
}
