// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench serve: validations against a node, over HTTP, in the binary protocol and over
// gRPC, in turns with what they are compared with.
#include "bench/bench.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/grpc.h"
#include "bench/options.h"
#include "bench/program.h"
#include "bench/progress.h"
#include "bench/serve_internal.h"
#include "core/base/mem.h"

// --- options -------------------------------------------------------------------------------------

static const char about[] =
    "Asks a node for the verdict on keys, over keep-alive connections with one request in flight\n"
    "each, and measures in turns, within one run: the route, the same over a unix socket (--unix)\n"
    "and TLS (--https), the node's empty handler, a Redis GET of the same keys (--redis), and a\n"
    "process that receives, sends and does nothing else (--compare-bare), which shows the\n"
    "kernel's part: nobody is faster; with --binary the binary protocol, --depth frames in flight\n"
    "on a connection, beside a Redis with such a pipeline and that process in the same way; with\n"
    "--grpc Envoy's checks at --url, --streams of them in flight on a connection, beside the\n"
    "empty handler over HTTP/2 in the same way. Ratios are of one turn, by the server's processor\n"
    "time where that is known, so that they hold on a busy machine too. When the server's CPU is\n"
    "well below 100 %, it waited for the generator, or for a neighbour's work.\n"
    "\n"
    "--compare starts what is measured by itself: two nodes of --key-count keys, one of them with\n"
    "TLS, a Redis, and that process, all on core 0, and the generator on core 1. So do\n"
    "  --idle N      how much memory a node needs for each of so many idle connections\n"
    "  --writes RATE how much later the slowest validations (p99.9) are while so many keys are\n"
    "                made a second, at half of what the node can do; both in turns\n"
    "\n"
    "Closed loop: a connection asks again when it is answered. With --open, requests have a\n"
    "fixed schedule, latency counts from the intended time, and the generator spins. Give it\n"
    "a core of its own (--cpu), and the server another (taskset).\n";

static const char example[] =
    "  keyreeve-bench serve --compare\n"
    "  keyreeve-bench serve --idle 10000\n"
    "  keyreeve-bench serve --writes 10000\n"
    "  keyreeve-bench serve --keys keys.txt --path /authz/forward --zipf 0.99 \\\n"
    "      --server-pid $(cat data/keyreeved.pid) --redis 127.0.0.1:6379 --cpu 1\n"
    "  keyreeve-bench serve --keys keys.txt --path /v1/validate --open 50000 --unknown 0.05\n";

static bool has_rig(const struct serve_options *o)
{
    return o->is_compare || o->idle > 0 || o->writes > 0;
}

static enum option_outcome check(const struct serve_options *o)
{
    const char *wrong = NULL;
    if (o->path[0] != '/' || strlen(o->path) > KR_PROTOCOL_PATH_MAX)
        wrong = "--path must begin with /";
    else if (o->empty[0] != '/' || strlen(o->empty) > KR_PROTOCOL_PATH_MAX)
        wrong = "--compare-empty must begin with /";
    else if (!has_rig(o) && o->keys == NULL)
        wrong = "missing --keys (or --compare, --idle, --writes)";
    else if (o->is_compare + (o->idle > 0) + (o->writes > 0) > 1)
        wrong = "--compare, --idle and --writes exclude each other";
    else if ((o->https != NULL || o->binary_tls != NULL) && o->cacert == NULL)
        wrong = "--https and --binary-tls need --cacert";
    else if ((o->binary != NULL || o->has_grpc) && o->rate > 0)
        wrong = "--open excludes --binary and --grpc";
    if (wrong != NULL)
        fprintf(stderr, "keyreeve-bench serve: %s; see --help\n", wrong);
    return wrong != NULL ? KR_OPTIONS_USAGE : KR_OPTIONS_RUN;
}

// Of those who have many requests in flight on a connection.
#define KR_FLIGHT_OPTIONS(o)                                                                       \
    {"--binary-connections",  "N",   KR_OPTION_COUNT, &(o)->binary_connections, 1,                 \
     KR_LOAD_CONNECTIONS_MAX, false, "default 16"},                                                \
        {"--depth",                                                                                \
         "N",                                                                                      \
         KR_OPTION_COUNT,                                                                          \
         &(o)->depth,                                                                              \
         1,                                                                                        \
         KR_LOAD_DEPTH_MAX,                                                                        \
         false,                                                                                    \
         "frames in flight on each of those (default 16)"},                                        \
        {"--grpc", NULL, KR_OPTION_FLAG, &(o)->has_grpc,                                           \
         0,        0,    false,          "Envoy's checks over gRPC as well (--compare: always)"},  \
        {"--grpc-connections",    "N",   KR_OPTION_COUNT, &(o)->grpc_connections, 1,               \
         KR_LOAD_CONNECTIONS_MAX, false, "default 4"},                                             \
    {                                                                                              \
        "--streams", "N", KR_OPTION_COUNT, &(o)->streams, 1, KR_GRPC_STREAMS_MAX, false,           \
            "calls in flight on each of those (default 100)"                                       \
    }

static enum option_outcome parse(int argc, char **argv, struct serve *serve)
{
    struct serve_options *o = &serve->options;
    const struct option_row rows[] = {
        {"--compare", NULL, KR_OPTION_FLAG, &o->is_compare, 0, 0, false,
         "starts nodes and a Redis, and measures everything"},
        {"--idle", "N", KR_OPTION_COUNT, &o->idle, 1, KR_LOAD_CONNECTIONS_MAX, false,
         "memory of so many idle connections"},
        {"--writes", "RATE", KR_OPTION_REAL, &o->writes, 1, 1e6, false,
         "latency while so many keys are made a second"},
        {"--programs", "DIR", KR_OPTION_TEXT, &o->programs, 0, 0, false,
         "of keyreeved and keyreeve (default: this program's)"},
        {"--key-count", "N", KR_OPTION_COUNT, &o->key_count, 1, 1e9, false,
         "keys of those nodes (default 1000000)"},
        {"--no-redis", NULL, KR_OPTION_FLAG, &o->has_no_redis, 0, 0, false,
         "starts no Redis with --compare"},
        {"--keys", "FILE", KR_OPTION_TEXT, &o->keys, 0, 0, false,
         "one key a line, of a node that runs"},
        {"--url", "URL", KR_OPTION_URL, &o->url, 0, 0, false,
         "the node (default http://127.0.0.1:7400)"},
        {"--path", "PATH", KR_OPTION_TEXT, &o->path, 0, 0, false,
         "POST for /v1/validate, else GET (default /authz/forward)"},
        {"--unix", "PATH", KR_OPTION_TEXT, &o->http_unix, 0, 0, false, "its unix socket"},
        {"--https", "IP:PORT", KR_OPTION_TEXT, &o->https, 0, 0, false,
         "its listener with TLS, whose certificate is of 127.0.0.1"},
        {"--binary", "HOST:PORT", KR_OPTION_TEXT, &o->binary, 0, 0, false, "its binary listener"},
        {"--binary-unix", "PATH", KR_OPTION_TEXT, &o->binary_unix, 0, 0, false,
         "that one's unix socket"},
        {"--binary-tls", "IP:PORT", KR_OPTION_TEXT, &o->binary_tls, 0, 0, false,
         "a binary listener with TLS"},
        {"--cacert", "FILE", KR_OPTION_TEXT, &o->cacert, 0, 0, false,
         "PEM of who signs those certificates"},
        {"--redis", "HOST:PORT", KR_OPTION_TEXT, &o->redis, 0, 0, false,
         "a Redis for this alone: the keys are put in and stay"},
        {"--compare-empty", "PATH", KR_OPTION_TEXT, &o->empty, 0, 0, false,
         "the node's empty handler (default /healthz)"},
        {"--compare-bare", "CPU", KR_OPTION_COUNT, &o->bare_cpu, 0, CPU_SETSIZE - 1, false,
         "a bare epoll responder on this core: the node's"},
        {"--connections", "N", KR_OPTION_COUNT, &o->connections, 1, KR_LOAD_CONNECTIONS_MAX, false,
         "default 64"},
        KR_FLIGHT_OPTIONS(o),
        {"--seconds", "S", KR_OPTION_REAL, &o->seconds, 0.1, 3600, false,
         "each turn, after a warm-up of a tenth of it (default 5)"},
        {"--turns", "N", KR_OPTION_COUNT, &o->turns, 1, KR_SERVE_TURNS, false, "default 5"},
        {"--zipf", "E", KR_OPTION_REAL, &o->zipf, 0, 4, false,
         "exponent of the keys' popularity; 0: uniform (default; --compare: 0.99)"},
        {"--unknown", "SHARE", KR_OPTION_REAL, &o->unknown, 0, 1, false,
         "of well-formed keys that do not exist (default 0)"},
        {"--open", "RATE", KR_OPTION_REAL, &o->rate, 1, 1e7, false,
         "requests/s on a fixed schedule (default: closed loop)"},
        {"--server-pid", "PID", KR_OPTION_COUNT, &o->server_pid, 1, 4194304, false,
         "counts the node's processor time, all threads"},
        {"--server-threads", "NAME", KR_OPTION_TEXT, &o->server_threads, 0, 0, false,
         "of those alone whose name begins so: kr-serve is what answers"},
        {"--redis-pid", "PID", KR_OPTION_COUNT, &o->redis_pid, 1, 4194304, false,
         "the same for the Redis"},
        {"--cpu", "N", KR_OPTION_COUNT, &o->cpu, 0, CPU_SETSIZE - 1, false,
         "pins the generator to this core (default: anywhere)"},
        {"--seed", "S", KR_OPTION_COUNT, &serve->results.seed, 0, 1.8e19, false,
         "of the drawing of keys (default 1)"},
        KR_RESULT_OPTIONS(&serve->results),
    };
    const struct option_spec spec = {"serve", about, rows, sizeof(rows) / sizeof(rows[0]), example};
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    return outcome == KR_OPTIONS_RUN ? check(o) : outcome;
}

// --- what is started -----------------------------------------------------------------------------

static void measure_rig(struct serve_options *o, const struct rig *rig)
{
    o->url = rig->url;
    o->keys = rig->keys;
    o->http_unix = rig->http_unix;
    o->https = rig->https;
    o->binary = rig->binary;
    o->binary_unix = rig->binary_unix;
    o->binary_tls = rig->binary_tls;
    o->cacert = rig->certificate;
    o->redis = rig->redis > 0 ? rig->redis_address : NULL;
    o->server_pid = (uint64_t)rig->node.pid;
    o->secure_pid = (uint64_t)rig->secure.pid;
    o->redis_pid = (uint64_t)rig->redis;
    o->server_threads = "kr-serve";
    o->has_grpc = true;
}

static enum kr_err start_rig(struct serve *serve)
{
    struct serve_options *o = &serve->options;
    bool has_cores = sysconf(_SC_NPROCESSORS_ONLN) > 1;
    const struct rig_options wanted = {
        .programs = o->programs != NULL ? o->programs
                                        : program_folder(serve->folder, sizeof(serve->folder)),
        .keys = o->key_count,
        .consumers = o->key_count > 10 ? o->key_count / 10 : 1,
        .server_cpu = has_cores ? 1 : 0,
        .wants_redis = o->is_compare && !o->has_no_redis,
    };
    enum kr_err err = rig_start(&wanted, &serve->rig, &serve->fault);
    measure_rig(o, &serve->rig);
    if (has_cores && o->cpu == UINT64_MAX)
        o->cpu = 1;
    if (has_cores && o->is_compare && o->bare_cpu == UINT64_MAX)
        o->bare_cpu = 0;
    return err;
}

// --- the run -------------------------------------------------------------------------------------

// Every second turn goes backwards, so that a drift of the machine favours nobody.
static enum kr_err run_turn(struct serve *serve, struct load_result *result)
{
    struct serve_report *report = &serve->report;
    size_t turn = report->turns;
    for (size_t i = 0; i < KR_SERVE_COUNT; i++) {
        struct serve_contender *contender =
            &report->contenders[turn % 2 == 0 ? i : KR_SERVE_COUNT - 1 - i];
        struct load_plan plan = report->plan;
        if (!contender->is_there)
            continue;
        plan.seed = serve->results.seed + turn;
        plan.connections = contender->connections;
        plan.depth = contender->depth;
        progress_say("turn %zu of %llu  %s", turn + 1, (unsigned long long)serve->options.turns,
                     contender->name);
        enum kr_err err = contender->run(&contender->target, &plan, result, &serve->fault);
        if (err != KR_ERR_OK)
            return err;
        serve_note(contender, turn, result);
    }
    report->turns++;
    return KR_ERR_OK;
}

static enum kr_err run_turns(struct serve *serve)
{
    struct load_result *result = mem_alloc(sizeof(*result));
    enum kr_err err = KR_ERR_OK;
    for (uint64_t turn = 0; turn < serve->options.turns && err == KR_ERR_OK; turn++)
        err = run_turn(serve, result);
    progress_say("%s", "");
    mem_free(result);
    return err;
}

static enum kr_err pin(struct serve *serve)
{
    cpu_set_t set;
    if (serve->options.cpu == UINT64_MAX)
        return KR_ERR_OK;
    CPU_ZERO(&set);
    CPU_SET((size_t)serve->options.cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) == 0)
        return KR_ERR_OK;
    return fault_set(&serve->fault, KR_ERR_INVALID, "--cpu %llu: this machine has no such core",
                     (unsigned long long)serve->options.cpu);
}

static enum kr_err compare(struct serve *serve)
{
    enum kr_err err = serve_add_contenders(serve);
    if (err == KR_ERR_OK)
        err = run_turns(serve);
    if (err != KR_ERR_OK)
        return err;
    serve_write_rows(&serve->report, &serve->results);
    if (!serve->results.is_json)
        serve_print(&serve->report, &serve->results, stdout);
    return KR_ERR_OK;
}

static enum kr_err measure(struct serve *serve)
{
    struct serve_options *o = &serve->options;
    enum kr_err err = has_rig(o) ? start_rig(serve) : KR_ERR_OK;
    if (o->zipf < 0)
        o->zipf = o->is_compare || o->writes > 0 ? 0.99 : 0;
    load_host(o->url, serve->host);
    if (err == KR_ERR_OK)
        err = pin(serve);
    if (err == KR_ERR_OK)
        err = keyset_open(o->keys, &serve->keys, &serve->fault);
    serve->report.plan = (struct load_plan){.keys = &serve->keys,
                                            .zipf = o->zipf,
                                            .unknown = o->unknown,
                                            .seconds = o->seconds,
                                            .rate = o->rate};
    if (err != KR_ERR_OK)
        return err;
    if (o->idle > 0)
        return serve_idle(serve);
    return o->writes > 0 ? serve_under_writes(serve) : compare(serve);
}

static enum kr_err run(struct serve *serve, int argc, char **argv)
{
    enum kr_err err = result_open(&serve->results, argc, argv, &serve->fault);
    if (err == KR_ERR_OK)
        err = measure(serve);
    return result_close(&serve->results, err);
}

int bench_serve(int argc, char **argv)
{
    struct serve *serve = mem_zalloc(sizeof(*serve));
    serve->options = (struct serve_options){.url = "http://127.0.0.1:7400",
                                            .path = "/authz/forward",
                                            .empty = "/healthz",
                                            .key_count = 1000000,
                                            .connections = 64,
                                            .binary_connections = 16,
                                            .depth = 16,
                                            .grpc_connections = 4,
                                            .streams = 100,
                                            .turns = 5,
                                            .seconds = 5,
                                            .zipf = -1,
                                            .cpu = UINT64_MAX,
                                            .bare_cpu = UINT64_MAX};
    serve->results.seed = 1;
    int status = KR_BENCH_OK;
    enum option_outcome outcome = parse(argc, argv, serve);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run(serve, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench serve: %s\n", serve->fault.text);
        status = KR_BENCH_FAILED;
    }
    bare_stop(&serve->bare);
    keyset_close(&serve->keys);
    rig_stop(&serve->rig);
    if (serve->tls != NULL)
        tls_context_free(&serve->tls);
    mem_free(serve);
    return status;
}
