// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench failover: what clients see when a cluster's leader is killed or stopped.
//
// Writers make keys at core nodes that live on, each again when it is answered; validators ask
// every node that lives on, each a thousand times a second. In the middle the leader gets its
// signal. All answers are noted with their time: the course, how long no write was accepted, and
// what validators were not answered, or wrongly.
#include "bench/bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/api.h"
#include "bench/interrupt.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

enum {
    KR_FAILOVER_CLIENTS = 64,
    KR_FAILOVER_WRITERS = 8, // all together
    KR_FAILOVER_STEP_MS = 100,
    KR_FAILOVER_STEPS = 1200,
    KR_FAILOVER_PATIENCE_MS = 3000, // a validation that takes longer has failed
    KR_FAILOVER_VALID_MS = 30000
};
#define KR_FAILOVER_MS UINT64_C(1000000)

struct client {
    struct talk talk;
    const char *place;
    bool is_writer, is_asking;
    uint64_t sent_ns, next_ns;
};

struct failover {
    const char *writers, *nodes, *token_file, *way;
    uint64_t leader_pid;
    double before_s, after_s, ttl_s;
    char token[KR_API_TOKEN], consumer[64];
    struct api_key key;
    struct site site;
    struct client clients[KR_FAILOVER_CLIENTS];
    size_t client_count;
    uint64_t begin_ns, kill_ns, end_ns;
    uint64_t last_write_ns, gap_ns; // the longest time without an accepted write, from the signal
    uint64_t accepted[KR_FAILOVER_STEPS], answered[KR_FAILOVER_STEPS];
    uint64_t validations, failed;
    char first_failure[KR_FAULT_TEXT_MAX];
    struct result_run results;
    struct fault fault, lost; // lost: of a connection that is opened again
};

static enum option_outcome parse(int argc, char **argv, struct failover *bench)
{
    const struct option_row rows[] = {
        {"--writers", "LIST", KR_OPTION_TEXT, &bench->writers, 0, 0, true,
         "ADDRESS:PORT,… of core nodes that live on"},
        {"--nodes", "LIST", KR_OPTION_TEXT, &bench->nodes, 0, 0, true,
         "ADDRESS:PORT,… of all nodes that live on"},
        {"--token-file", "FILE", KR_OPTION_TEXT, &bench->token_file, 0, 0, true,
         "a management token, 0600"},
        {"--leader-pid", "PID", KR_OPTION_COUNT, &bench->leader_pid, 1, 4194304, true,
         "the leader's process, which gets the signal"},
        {"--way", "kill|stop", KR_OPTION_TEXT, &bench->way, 0, 0, false,
         "SIGKILL, or SIGTERM: a clean hand-over (default kill)"},
        {"--before", "S", KR_OPTION_REAL, &bench->before_s, 0.5, 50, false, "default 3"},
        {"--after", "S", KR_OPTION_REAL, &bench->after_s, 1, 60, false, "default 9"},
        {"--ttl", "S", KR_OPTION_REAL, &bench->ttl_s, 0, 600, false,
         "what the results call the leader's lease (default 2)"},
        KR_RESULT_OPTIONS(&bench->results),
    };
    const struct option_spec spec = {
        "failover",
        "Ends the leader of a running cluster while keys are made and validated, and tells how\n"
        "long no write was accepted, and which validations failed at the nodes that live on.\n"
        "The nodes' rate_limit_per_token must be 0. The leader is not started again.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench failover --leader-pid $(cat local-cluster/core-1/pid) \\\n"
        "      --writers 127.0.77.2:7400,127.0.77.3:7400 \\\n"
        "      --nodes 127.0.77.2:7400,127.0.77.3:7400,127.0.77.4:7400 \\\n"
        "      --token-file local-cluster/owner-token\n"};
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (outcome == KR_OPTIONS_RUN && strcmp(bench->way, "kill") != 0 &&
        strcmp(bench->way, "stop") != 0) {
        fputs("keyreeve-bench failover: --way must be kill or stop; see --help\n", stderr);
        return KR_OPTIONS_USAGE;
    }
    return outcome;
}

// --- clients -------------------------------------------------------------------------------------

static enum kr_err add_client(struct failover *bench, const char *place, bool is_writer)
{
    if (bench->client_count == KR_FAILOVER_CLIENTS)
        return fault_set(&bench->fault, KR_ERR_INVALID, "--nodes: more than there is room for");
    struct client *client = &bench->clients[bench->client_count++];
    *client = (struct client){.place = place, .is_writer = is_writer};
    talk_init(&client->talk, place, &bench->fault);
    return api_connect(&client->talk, &bench->site, place);
}

// The list is cut up, and lends.
static enum kr_err add_clients(struct failover *bench, char *list, bool is_writer)
{
    char *state = NULL;
    enum kr_err err = KR_ERR_OK;
    for (char *place = strtok_r(list, ",", &state); place != NULL && err == KR_ERR_OK;
         place = strtok_r(NULL, ",", &state))
        err = add_client(bench, place, is_writer);
    size_t named = bench->client_count;
    for (size_t i = 0; is_writer && err == KR_ERR_OK && bench->client_count < KR_FAILOVER_WRITERS;
         i++)
        err = add_client(bench, bench->clients[i % named].place, is_writer);
    return err;
}

static enum kr_err make_key(struct failover *bench)
{
    struct talk *talk = &bench->clients[0].talk;
    snprintf(bench->consumer, sizeof(bench->consumer), "failover-%llx",
             (unsigned long long)clock_mono_ns());
    enum kr_err err = api_make_consumer(talk, bench->token, KR_API_BUCKET, bench->consumer);
    return err == KR_ERR_OK
               ? api_make_key(talk, bench->token, KR_API_BUCKET, bench->consumer, &bench->key)
               : err;
}

// --- the course ----------------------------------------------------------------------------------

static void note(const struct failover *bench, uint64_t steps[KR_FAILOVER_STEPS], uint64_t now_ns)
{
    uint64_t step = (now_ns - bench->begin_ns) / (KR_FAILOVER_STEP_MS * KR_FAILOVER_MS);
    if (step < KR_FAILOVER_STEPS)
        steps[step]++;
}

static void note_failure(struct failover *bench, const char *place, const char *why)
{
    if (bench->failed++ == 0)
        snprintf(bench->first_failure, sizeof(bench->first_failure), "%.60s: %.200s, %.3f s %s",
                 place, why, (double)(clock_mono_ns() - bench->begin_ns) / 1e9 - bench->before_s,
                 "after the signal");
}

static void note_write(struct failover *bench, uint64_t now_ns)
{
    // What was accepted before the signal, or on its way then, begins the gap.
    uint64_t since_ns =
        bench->last_write_ns > bench->kill_ns ? bench->last_write_ns : bench->kill_ns;
    if (bench->kill_ns > 0 && now_ns - since_ns > bench->gap_ns)
        bench->gap_ns = now_ns - since_ns;
    bench->last_write_ns = now_ns;
    note(bench, bench->accepted, now_ns);
}

// A request's end: what the answer was, or why there is none.
static void take(struct failover *bench, struct client *client, enum kr_err err, const char *code)
{
    uint64_t now_ns = clock_mono_ns();
    client->is_asking = false;
    client->next_ns = now_ns + KR_FAILOVER_MS;
    if (client->is_writer && err == KR_ERR_OK) {
        note_write(bench, now_ns);
    } else if (client->is_writer) {
        client->next_ns = now_ns + 10 * KR_FAILOVER_MS;
    } else {
        bench->validations++;
        if (err == KR_ERR_OK && strcmp(code, "VALID") == 0)
            note(bench, bench->answered, now_ns);
        else
            note_failure(bench, client->place, err != KR_ERR_OK ? bench->lost.text : code);
    }
    // An answer that is not 200 leaves a good connection; what else fails does not.
    if (err != KR_ERR_OK && client->talk.in.size == 0 &&
        api_connect(&client->talk, &bench->site, client->place) != KR_ERR_OK)
        client->next_ns = now_ns + 50 * KR_FAILOVER_MS;
}

static void send_next(struct failover *bench, struct client *client)
{
    char tail[KR_API_PATH];
    snprintf(tail, sizeof(tail), "/%.64s/keys", bench->consumer);
    if (client->is_writer)
        api_add_post(&client->talk, bench->token, KR_API_BUCKET, tail, "{}");
    else
        api_add_validate(&client->talk, bench->key.value);
    client->sent_ns = clock_mono_ns();
    client->is_asking = true;
    enum kr_err err = talk_send(&client->talk);
    if (err != KR_ERR_OK)
        take(bench, client, err, "");
}

static void step_client(struct failover *bench, struct client *client)
{
    struct protocol_answer answer = {0};
    uint64_t now_ns = clock_mono_ns();
    if (!client->is_asking) {
        if (now_ns >= client->next_ns)
            send_next(bench, client);
        return;
    }
    enum kr_err err = api_look(&client->talk, &answer);
    bool is_late = now_ns - client->sent_ns > KR_FAILOVER_PATIENCE_MS * KR_FAILOVER_MS;
    if (err == KR_ERR_NOT_FOUND && is_late && !client->is_writer)
        err = fault_set(&bench->lost, KR_ERR_TIMEOUT, "no answer");
    if (err != KR_ERR_NOT_FOUND)
        take(bench, client, err, answer.code);
}

static void wait_a_little(struct failover *bench)
{
    struct pollfd polls[KR_FAILOVER_CLIENTS];
    nfds_t count = 0;
    for (size_t i = 0; i < bench->client_count; i++)
        if (bench->clients[i].is_asking)
            polls[count++] = (struct pollfd){bench->clients[i].talk.fd, POLLIN, 0};
    poll(polls, count, 1);
}

static enum kr_err send_signal(struct failover *bench)
{
    int number = strcmp(bench->way, "kill") == 0 ? SIGKILL : SIGTERM;
    bench->kill_ns = clock_mono_ns();
    if (kill((pid_t)bench->leader_pid, number) == 0)
        return KR_ERR_OK;
    return fault_set(&bench->fault, err_from_errno(errno), "--leader-pid %llu: %s",
                     (unsigned long long)bench->leader_pid, strerror(errno));
}

static enum kr_err run_course(struct failover *bench)
{
    enum kr_err err = KR_ERR_OK;
    struct progress progress;
    for (size_t i = 0; i < bench->client_count; i++)
        bench->clients[i].talk.fault = &bench->lost;
    bench->begin_ns = clock_mono_ns();
    uint64_t due_ns = bench->begin_ns + (uint64_t)(bench->before_s * 1e9);
    bench->end_ns = due_ns + (uint64_t)(bench->after_s * 1e9);
    progress_begin(&progress, "milliseconds", (bench->end_ns - bench->begin_ns) / KR_FAILOVER_MS);
    for (uint64_t now_ns = bench->begin_ns; now_ns < bench->end_ns && err == KR_ERR_OK;
         now_ns = clock_mono_ns()) {
        if (bench->kill_ns == 0 && now_ns >= due_ns)
            err = send_signal(bench);
        for (size_t i = 0; i < bench->client_count; i++)
            step_client(bench, &bench->clients[i]);
        wait_a_little(bench);
        progress_at(&progress, (now_ns - bench->begin_ns) / KR_FAILOVER_MS);
        if (interrupt_is_noted())
            err = fault_set(&bench->fault, KR_ERR_IO, "interrupted");
    }
    progress_end(&progress);
    if (err == KR_ERR_OK && bench->last_write_ns <= bench->kill_ns)
        err = fault_set(&bench->fault, KR_ERR_TIMEOUT, "no write was accepted within %.0f s",
                        bench->after_s);
    return err;
}

// --- results -------------------------------------------------------------------------------------

static void write_course(struct failover *bench, const uint64_t *steps, const char *series,
                         const char *label)
{
    static struct result_point points[KR_FAILOVER_STEPS];
    size_t count =
        (size_t)((bench->end_ns - bench->begin_ns) / (KR_FAILOVER_STEP_MS * KR_FAILOVER_MS));
    double kill_ms = (double)(bench->kill_ns - bench->begin_ns) / 1e6;
    for (size_t i = 0; i < count && i < KR_FAILOVER_STEPS; i++)
        points[i] = (struct result_point){(double)(i * KR_FAILOVER_STEP_MS) - kill_ms,
                                          (double)steps[i] * 1000 / KR_FAILOVER_STEP_MS};
    const struct result_row row = {
        .name = "failover.timeline",
        .label = label,
        .unit = "1/s",
        .conditions = {{"way", 0, bench->way}, {"ttl", bench->ttl_s, NULL}, {"series", 0, series}},
        .points = points,
        .count = count < KR_FAILOVER_STEPS ? count : KR_FAILOVER_STEPS};
    result_write(&bench->results, &row);
}

static void write_rows(struct failover *bench)
{
    const double gap_ms = (double)bench->gap_ns / 1e6, failed = (double)bench->failed;
    struct result_row row = {.name = "failover.writes",
                             .label = "without an accepted write",
                             .unit = "ms",
                             .conditions = {{"way", 0, bench->way}, {"ttl", bench->ttl_s, NULL}},
                             .values = &gap_ms,
                             .count = 1};
    result_write(&bench->results, &row);
    row.name = "failover.failed";
    row.label = "validations that failed at the nodes that live";
    row.unit = "count";
    row.values = &failed;
    row.conditions[2] = (struct result_condition){"validations", (double)bench->validations, NULL};
    result_write(&bench->results, &row);
    write_course(bench, bench->accepted, "writes accepted",
                 "Keys made at the core nodes that live on, all writers together");
    write_course(bench, bench->answered, "validations answered",
                 "Validations at all nodes that live on, a thousand a second asked of each");
}

static void print(const struct failover *bench)
{
    printf("no write accepted for %.0f ms; %llu of %llu validations failed\n",
           (double)bench->gap_ns / 1e6, (unsigned long long)bench->failed,
           (unsigned long long)bench->validations);
    if (bench->failed > 0)
        printf("the first: %s\n", bench->first_failure);
}

static enum kr_err run(struct failover *bench, char *writers, char *nodes)
{
    site_init(&bench->site);
    interrupt_watch();
    enum kr_err err = api_read_token(bench->token_file, bench->token, &bench->fault);
    if (err == KR_ERR_OK)
        err = add_clients(bench, writers, true);
    if (err == KR_ERR_OK)
        err = make_key(bench);
    if (err == KR_ERR_OK)
        err = add_clients(bench, nodes, false);
    for (size_t i = 0; i < bench->client_count && err == KR_ERR_OK; i++)
        if (!bench->clients[i].is_writer)
            err = api_await_valid(&bench->clients[i].talk, bench->key.value, KR_FAILOVER_VALID_MS);
    if (err == KR_ERR_OK)
        err = run_course(bench);
    if (err == KR_ERR_OK)
        write_rows(bench);
    if (err == KR_ERR_OK && !bench->results.is_json)
        print(bench);
    return err;
}

static enum kr_err run_all(struct failover *bench, int argc, char **argv)
{
    char *writers = mem_text(bench->writers), *nodes = mem_text(bench->nodes);
    enum kr_err err = result_open(&bench->results, argc, argv, &bench->fault);
    if (err == KR_ERR_OK)
        err = run(bench, writers, nodes);
    for (size_t i = 0; i < bench->client_count; i++)
        talk_close(&bench->clients[i].talk);
    mem_free(writers);
    mem_free(nodes);
    mem_zero(bench->token, sizeof(bench->token));
    return result_close(&bench->results, err);
}

int bench_failover(int argc, char **argv)
{
    struct failover *bench = mem_zalloc(sizeof(*bench));
    int status = KR_BENCH_OK;
    bench->way = "kill";
    bench->before_s = 3;
    bench->after_s = 9;
    bench->ttl_s = 2;
    enum option_outcome outcome = parse(argc, argv, bench);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run_all(bench, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench failover: %s\n", bench->fault.text);
        status = KR_BENCH_FAILED;
    }
    mem_free(bench);
    interrupt_pass_on();
    return status;
}
