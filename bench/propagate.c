// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench propagate: from a revocation at the leader to the first refusal at every node.
//
// A round: a key is made and VALID everywhere; the revocation is sent; one prober a node asks over
// and over, without sleeping, until its node refuses. All times are this machine's CLOCK_MONOTONIC.
// The floor is what the two links alone cost, measured in the same round by requests that need no
// replication: half of the leader's round trip and half of the node's.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/load.h"
#include "bench/options.h"
#include "bench/probes.h"
#include "bench/progress.h"
#include "bench/propagate_world.h"
#include "bench/result.h"
#include "bench/table.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/priority.h"

enum {
    KR_PROPAGATE_NODES_MAX = 32,
    KR_PROPAGATE_ROUNDS_MAX = 100000,
    KR_PROPAGATE_IN = 1 << 16,
    KR_PROPAGATE_OUT = 1 << 14,
    KR_PROPAGATE_TEXT = 512,
    KR_PROPAGATE_DEADLINE_MS = 15000,
    KR_PROPAGATE_FLOORS = 5 // round trips measured a round
};

// A keep-alive connection with at most one request in flight.
struct wire {
    const char *host;
    int fd;
    struct buf out, in;
    uint64_t sent_ns;
};

struct node_probe {
    struct wire wire;
    bool is_refused;
    uint64_t answers, watched_ns; // to probes, and for how long it was asked, over all rounds
    double *delays_us, *floors_us, *excesses_us; // one a round
};

struct propagate {
    const char *leader, *nodes, *token_file, *bucket;
    uint64_t rounds;
    const char *engine;
    struct result_run results;
    struct wire control;
    struct node_probe probes[KR_PROPAGATE_NODES_MAX];
    size_t node_count;
    double *commits_us; // the leader's answer, one a round
    char token[KR_PROPAGATE_TEXT], consumer[64], key[KR_PROPAGATE_TEXT], key_id[64];
    struct fault fault;
};

// --- one connection ------------------------------------------------------------------------------

static enum kr_err wire_open(struct propagate *bench, struct wire *wire, const char *url)
{
    struct load_target target;
    wire->host = strncmp(url, "http://", 7) == 0 ? url + 7 : url;
    wire->fd = -1;
    buf_init(&wire->out, KR_PROPAGATE_OUT);
    buf_init(&wire->in, KR_PROPAGATE_IN);
    enum kr_err err = load_resolve(wire->host, false, &target, &bench->fault);
    if (err != KR_ERR_OK)
        return err;
    wire->fd = load_connect(&target);
    if (wire->fd < 0)
        return fault_set(&bench->fault, KR_ERR_IO, "cannot connect to %s: %s", wire->host,
                         strerror(errno));
    return KR_ERR_OK;
}

static void wire_close(struct wire *wire)
{
    if (wire->host == NULL)
        return;
    if (wire->fd >= 0)
        close(wire->fd);
    buf_fini(&wire->out);
    buf_fini(&wire->in);
}

static enum kr_err wire_send(struct propagate *bench, struct wire *wire)
{
    for (size_t at = 0; at < wire->out.size;) {
        ssize_t size = send(wire->fd, wire->out.data + at, wire->out.size - at, MSG_NOSIGNAL);
        if (size <= 0)
            return fault_set(&bench->fault, KR_ERR_IO, "%s: %s", wire->host, strerror(errno));
        at += (size_t)size;
    }
    wire->sent_ns = clock_mono_ns();
    buf_clear(&wire->out);
    return KR_ERR_OK;
}

// One look for the answer. NOT_FOUND: it is not whole yet.
static enum kr_err wire_look(struct propagate *bench, struct wire *wire, bool waits,
                             struct protocol_answer *answer, struct bytes *whole)
{
    uint8_t block[8192];
    size_t used = 0;
    ssize_t size = recv(wire->fd, block, sizeof(block), waits ? 0 : MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return KR_ERR_NOT_FOUND;
    if (size <= 0)
        return fault_set(&bench->fault, KR_ERR_IO, "%s: the connection has ended", wire->host);
    buf_add(&wire->in, block, (size_t)size);
    switch (protocol_read(KR_PROTOCOL_VALIDATE, buf_bytes(&wire->in), &used, answer)) {
    case KR_PROTOCOL_MORE:
        return KR_ERR_NOT_FOUND;
    case KR_PROTOCOL_DONE:
        *whole = bytes_of(wire->in.data, used);
        return KR_ERR_OK;
    case KR_PROTOCOL_BROKEN:
        break;
    }
    return fault_set(&bench->fault, KR_ERR_IO, "%s: the answer is no HTTP", wire->host);
}

static enum kr_err wire_ask(struct propagate *bench, struct wire *wire,
                            struct protocol_answer *answer, struct bytes *whole)
{
    enum kr_err err = wire_send(bench, wire);
    buf_clear(&wire->in);
    if (err != KR_ERR_OK)
        return err;
    do
        err = wire_look(bench, wire, true, answer, whole);
    while (err == KR_ERR_NOT_FOUND);
    return err;
}

// --- management ----------------------------------------------------------------------------------

static void add_post(struct propagate *bench, const char *tail, const char *body)
{
    struct buf *out = &bench->control.out;
    buf_clear(out);
    buf_printf(out,
               "POST /v1/accounts/default/key-buckets/%s/consumers%s HTTP/1.1\r\nHost: %s\r\n"
               "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               bench->bucket, tail, bench->control.host, bench->token, strlen(body), body);
}

static enum kr_err post(struct propagate *bench, const char *tail, const char *body,
                        struct bytes *json)
{
    struct protocol_answer answer;
    struct bytes whole;
    add_post(bench, tail, body);
    enum kr_err err = wire_ask(bench, &bench->control, &answer, &whole);
    if (err != KR_ERR_OK)
        return err;
    const uint8_t *end = memmem(whole.data, whole.size, "\r\n\r\n", 4);
    *json = bytes_of(end + 4, whole.size - (size_t)(end + 4 - whole.data));
    if (answer.status != 200)
        return fault_set(&bench->fault, KR_ERR_IO, "%s answers %u: %.200s", bench->control.host,
                         answer.status, json->size > 0 ? (const char *)json->data : "");
    return KR_ERR_OK;
}

static enum kr_err make_consumer(struct propagate *bench)
{
    char body[128];
    struct bytes json;
    snprintf(bench->consumer, sizeof(bench->consumer), "propagate-%" PRIx64, clock_mono_ns());
    snprintf(body, sizeof(body), "{\"name\":\"%s\"}", bench->consumer);
    return post(bench, "", body, &json);
}

static enum kr_err make_key(struct propagate *bench)
{
    char tail[128];
    struct bytes text;
    struct json *json = NULL;
    snprintf(tail, sizeof(tail), "/%s/keys", bench->consumer);
    enum kr_err err = post(bench, tail, "{}", &text);
    if (err == KR_ERR_OK)
        err = json_parse(text, &json, &bench->fault);
    if (err != KR_ERR_OK)
        return err;
    snprintf(bench->key, sizeof(bench->key), "%s", json_text(json_member(json, "key")));
    snprintf(bench->key_id, sizeof(bench->key_id), "%s", json_text(json_member(json, "id")));
    json_free(&json);
    return KR_ERR_OK;
}

// --- probing -------------------------------------------------------------------------------------

static enum kr_err send_probe(struct propagate *bench, struct node_probe *probe)
{
    const struct protocol_request request = {KR_PROTOCOL_VALIDATE, probe->wire.host,
                                             "/v1/validate"};
    buf_clear(&probe->wire.out);
    protocol_add(&request, bytes_text(bench->key), &probe->wire.out);
    buf_clear(&probe->wire.in);
    return wire_send(bench, &probe->wire);
}

// Until the node has the key: the round begins with VALID everywhere.
static enum kr_err await_valid(struct propagate *bench, struct node_probe *probe)
{
    struct protocol_answer answer = {0};
    struct bytes whole;
    uint64_t until_ms = clock_boot_ms() + KR_PROPAGATE_DEADLINE_MS;
    while (strcmp(answer.code, "VALID") != 0) {
        enum kr_err err = send_probe(bench, probe);
        while (err == KR_ERR_OK || err == KR_ERR_NOT_FOUND) {
            err = wire_look(bench, &probe->wire, true, &answer, &whole);
            if (err == KR_ERR_OK)
                break;
        }
        if (err != KR_ERR_OK)
            return err;
        if (clock_boot_ms() > until_ms)
            return fault_set(&bench->fault, KR_ERR_TIMEOUT, "%s: a new key is still %s after %d ms",
                             probe->wire.host, answer.code, KR_PROPAGATE_DEADLINE_MS);
    }
    return KR_ERR_OK;
}

static double round_trip_us(struct propagate *bench, struct wire *wire)
{
    double measured[KR_PROPAGATE_FLOORS];
    struct protocol_answer answer;
    struct bytes whole;
    const struct protocol_request request = {KR_PROTOCOL_EMPTY, wire->host, "/healthz"};
    for (size_t i = 0; i < KR_PROPAGATE_FLOORS; i++) {
        buf_clear(&wire->out);
        protocol_add(&request, (struct bytes){0}, &wire->out);
        uint64_t begin_ns = clock_mono_ns();
        if (wire_ask(bench, wire, &answer, &whole) != KR_ERR_OK)
            return -1;
        measured[i] = (double)(clock_mono_ns() - begin_ns) / 1e3;
    }
    return table_median(measured, KR_PROPAGATE_FLOORS);
}

static enum kr_err look_at(struct propagate *bench, struct node_probe *probe, uint64_t begin_ns,
                           size_t round)
{
    struct protocol_answer answer;
    struct bytes whole;
    enum kr_err err = wire_look(bench, &probe->wire, false, &answer, &whole);
    if (err != KR_ERR_OK)
        return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
    probe->answers++;
    if (strcmp(answer.code, "VALID") == 0)
        return send_probe(bench, probe);
    probe->is_refused = true;
    uint64_t took_ns = clock_mono_ns() - begin_ns;
    probe->watched_ns += took_ns;
    probe->delays_us[round] = (double)took_ns / 1e3;
    if (strcmp(answer.code, "REVOKED") == 0)
        return KR_ERR_OK;
    return fault_set(&bench->fault, KR_ERR_IO, "%s: %s in place of REVOKED", probe->wire.host,
                     answer.code);
}

static enum kr_err watch_round(struct propagate *bench, size_t round)
{
    struct protocol_answer answer;
    struct bytes whole;
    uint64_t begin_ns = bench->control.sent_ns;
    bool is_committed = false;
    size_t left = bench->node_count;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && (left > 0 || !is_committed)) {
        for (size_t i = 0; i < bench->node_count && err == KR_ERR_OK; i++) {
            struct node_probe *probe = &bench->probes[i];
            if (probe->is_refused)
                continue;
            err = look_at(bench, probe, begin_ns, round);
            left -= probe->is_refused;
        }
        if (err == KR_ERR_OK && !is_committed) {
            enum kr_err looked = wire_look(bench, &bench->control, false, &answer, &whole);
            is_committed = looked == KR_ERR_OK;
            if (is_committed)
                bench->commits_us[round] = (double)(clock_mono_ns() - begin_ns) / 1e3;
            err = looked == KR_ERR_NOT_FOUND ? KR_ERR_OK : looked;
        }
        if (err == KR_ERR_OK && clock_mono_ns() - begin_ns > KR_PROPAGATE_DEADLINE_MS * 1000000ULL)
            err = fault_set(&bench->fault, KR_ERR_TIMEOUT, "%zu nodes do not refuse after %d ms",
                            left, KR_PROPAGATE_DEADLINE_MS);
    }
    return err;
}

static enum kr_err run_round(struct propagate *bench, size_t round)
{
    char tail[256];
    enum kr_err err = make_key(bench);
    for (size_t i = 0; i < bench->node_count && err == KR_ERR_OK; i++)
        err = await_valid(bench, &bench->probes[i]);
    double leader_us = round_trip_us(bench, &bench->control);
    for (size_t i = 0; i < bench->node_count && err == KR_ERR_OK; i++) {
        struct node_probe *probe = &bench->probes[i];
        probe->floors_us[round] = (leader_us + round_trip_us(bench, &probe->wire)) / 2;
        probe->is_refused = false;
        err = send_probe(bench, probe);
    }
    if (err != KR_ERR_OK)
        return err;
    snprintf(tail, sizeof(tail), "/%s/keys/%s/revoke", bench->consumer, bench->key_id);
    add_post(bench, tail, "{}");
    buf_clear(&bench->control.in);
    err = wire_send(bench, &bench->control);
    if (err == KR_ERR_OK)
        err = watch_round(bench, round);
    for (size_t i = 0; i < bench->node_count; i++) {
        struct node_probe *probe = &bench->probes[i];
        double excess_us = probe->delays_us[round] - probe->floors_us[round];
        probe->excesses_us[round] = excess_us > 0 ? excess_us : 0;
    }
    return err;
}

// --- the run -------------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double *values, size_t count, double share)
{
    qsort(values, count, sizeof(*values), compare);
    size_t at = (size_t)(share * (double)count);
    return values[at < count ? at : count - 1];
}

static void print_row(struct table *table, const char *name, double *values, size_t count)
{
    table_row(table, name);
    table_number(table, percentile(values, count, 0.5), 0);
    table_number(table, percentile(values, count, 0.9), 0);
    table_number(table, percentile(values, count, 0.99), 0);
    table_number(table, percentile(values, count, 1), 0);
}

static void print_table(struct propagate *bench)
{
    static struct table table;
    char name[KR_TABLE_CELL];
    table_row(&table, "us from the request");
    table_text(&table, "p50");
    table_text(&table, "p90");
    table_text(&table, "p99");
    table_text(&table, "max");
    print_row(&table, "the leader's answer", bench->commits_us, bench->rounds);
    for (size_t i = 0; i < bench->node_count; i++) {
        struct node_probe *probe = &bench->probes[i];
        snprintf(name, sizeof(name), "%.40s refuses", probe->wire.host);
        print_row(&table, name, probe->delays_us, bench->rounds);
        print_row(&table, "  less the links", probe->excesses_us, bench->rounds);
        print_row(&table, "  the links", probe->floors_us, bench->rounds);
    }
    table_print(&table, stdout);
    printf("\n%" PRIu64 " revocations, %zu nodes\n", bench->rounds, bench->node_count);
}

static void write_node(struct propagate *bench, const struct node_probe *probe)
{
    const struct {
        const char *name, *label;
        const double *values;
    } figures[] = {
        {"propagate.delay", "from a revocation at the leader to the first refusal",
         probe->delays_us},
        {"propagate.link", "one-way delay of the ways to the leader and to the node",
         probe->floors_us},
        {"propagate.excess", "the delay less the links'", probe->excesses_us},
    };
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        const struct result_row row = {.name = figures[i].name,
                                       .label = figures[i].label,
                                       .unit = "us",
                                       .conditions = {{"world", 0, "loopback"},
                                                      {"engine", 0, bench->engine},
                                                      {"load", 0, "idle"},
                                                      {"way", 0, "single"},
                                                      {"node", 0, probe->wire.host}},
                                       .values = figures[i].values,
                                       .count = bench->rounds};
        result_write(&bench->results, &row);
    }
}

static void write_rows(struct propagate *bench)
{
    double *worsts_us = mem_zalloc(bench->rounds * sizeof(double));
    const struct result_row row = {.name = "propagate.worst",
                                   .label =
                                       "from a revocation to the refusal at the last of all nodes",
                                   .unit = "us",
                                   .conditions = {{"world", 0, "loopback"},
                                                  {"engine", 0, bench->engine},
                                                  {"load", 0, "idle"},
                                                  {"way", 0, "single"}},
                                   .values = worsts_us,
                                   .count = bench->rounds};
    for (size_t i = 0; i < bench->node_count; i++) {
        write_node(bench, &bench->probes[i]);
        for (size_t round = 0; round < bench->rounds; round++)
            worsts_us[round] = fmax(worsts_us[round], bench->probes[i].delays_us[round]);
    }
    result_write(&bench->results, &row);
    mem_free(worsts_us);
}

static void write_probes(struct propagate *bench)
{
    double rates[KR_PROPAGATE_NODES_MAX];
    for (size_t i = 0; i < bench->node_count; i++)
        rates[i] = (double)bench->probes[i].answers * 1e9 / (double)bench->probes[i].watched_ns;
    const struct probes probes = {"loopback", bench->engine, "idle",
                                  NULL,       rates,         bench->node_count};
    probes_write(&bench->results, &probes);
}

static enum kr_err read_token(struct propagate *bench)
{
    struct buf content;
    buf_init(&content, sizeof(bench->token) - 1);
    enum kr_err err = file_read_secret(bench->token_file, &content, &bench->fault);
    size_t size = strcspn((const char *)memcpy(bench->token, content.data, content.size), "\r\n");
    bench->token[size] = '\0';
    buf_fini(&content);
    return err;
}

static enum kr_err open_nodes(struct propagate *bench, char *list)
{
    char *state = NULL;
    enum kr_err err = KR_ERR_OK;
    for (char *url = strtok_r(list, ",", &state); url != NULL && err == KR_ERR_OK;
         url = strtok_r(NULL, ",", &state)) {
        if (bench->node_count == KR_PROPAGATE_NODES_MAX)
            return fault_set(&bench->fault, KR_ERR_INVALID, "--nodes: more than %d",
                             KR_PROPAGATE_NODES_MAX);
        struct node_probe *probe = &bench->probes[bench->node_count++];
        probe->delays_us = mem_zalloc(bench->rounds * sizeof(double));
        probe->floors_us = mem_zalloc(bench->rounds * sizeof(double));
        probe->excesses_us = mem_zalloc(bench->rounds * sizeof(double));
        err = wire_open(bench, &probe->wire, url);
    }
    return err;
}

static enum kr_err run(struct propagate *bench, char *nodes)
{
    struct progress progress;
    bench->commits_us = mem_zalloc(bench->rounds * sizeof(double));
    enum kr_err err = read_token(bench);
    if (err == KR_ERR_OK)
        err = wire_open(bench, &bench->control, bench->leader);
    if (err == KR_ERR_OK)
        err = open_nodes(bench, nodes);
    if (err == KR_ERR_OK)
        err = make_consumer(bench);
    priority_take(KR_PRIORITY_SPIN);
    progress_begin(&progress, "revocations", bench->rounds);
    for (size_t round = 0; round < bench->rounds && err == KR_ERR_OK; round++) {
        err = run_round(bench, round);
        progress_at(&progress, round);
    }
    progress_end(&progress);
    return err;
}

// The rows keep the rounds' order, which the table's percentiles do not.
static enum kr_err measure(struct propagate *bench, char *nodes, int argc, char **argv)
{
    enum kr_err err = result_open(&bench->results, argc, argv, &bench->fault);
    if (err == KR_ERR_OK)
        err = run(bench, nodes);
    if (err == KR_ERR_OK)
        write_rows(bench);
    if (err == KR_ERR_OK && !bench->results.is_json)
        print_table(bench);
    if (err == KR_ERR_OK)
        write_probes(bench);
    return result_close(&bench->results, err);
}

static void close_all(struct propagate *bench)
{
    wire_close(&bench->control);
    for (size_t i = 0; i < bench->node_count; i++) {
        wire_close(&bench->probes[i].wire);
        mem_free(bench->probes[i].delays_us);
        mem_free(bench->probes[i].floors_us);
        mem_free(bench->probes[i].excesses_us);
    }
    mem_free(bench->commits_us);
}

int bench_propagate(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--world") == 0)
        return propagate_world(argc - 1, argv + 1);
    struct propagate *bench = mem_zalloc(sizeof(*bench));
    bench->rounds = 200;
    bench->bucket = "production";
    bench->engine = "local";
    const struct option_row rows[] = {
        {"--leader", "URL", KR_OPTION_TEXT, &bench->leader, 0, 0, true,
         "where keys are made and revoked"},
        {"--nodes", "URLS", KR_OPTION_TEXT, &bench->nodes, 0, 0, true,
         "the nodes to watch, comma-separated"},
        {"--token-file", "FILE", KR_OPTION_TEXT, &bench->token_file, 0, 0, true,
         "a management token, 0600"},
        {"--bucket", "NAME", KR_OPTION_TEXT, &bench->bucket, 0, 0, false,
         "of the keys (default production)"},
        {"--rounds", "N", KR_OPTION_COUNT, &bench->rounds, 1, KR_PROPAGATE_ROUNDS_MAX, false,
         "revocations (default 200)"},
        {"--engine", "NAME", KR_OPTION_TEXT, &bench->engine, 0, 0, false,
         "what the results call the log engine (default local)"},
        KR_RESULT_OPTIONS(&bench->results),
    };
    const struct option_spec spec = {
        "propagate",
        "Revokes key after key at the leader and asks every node, over and over, until it "
        "refuses:\n"
        "the time from the request to the first refusal, and the same less what the links alone\n"
        "cost. The prober spins: give it a core of its own (taskset).\n"
        "With --world as its first option it starts a cluster in an emulated world by itself:\n"
        "propagate --world --help.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench propagate --leader http://127.0.77.1:7400 \\\n"
        "      --nodes http://127.0.77.2:7400,http://127.0.77.3:7400 \\\n"
        "      --token-file local-cluster/owner-token\n"};
    int status = KR_BENCH_OK;
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    char *nodes = bench->nodes != NULL ? mem_text(bench->nodes) : NULL;
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (measure(bench, nodes, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench propagate: %s\n", bench->fault.text);
        status = KR_BENCH_FAILED;
    }
    close_all(bench);
    mem_free(nodes);
    mem_zero(bench->token, sizeof(bench->token));
    mem_free(bench);
    return status;
}
