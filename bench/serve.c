// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench serve: validations against a running node, over HTTP and in the binary protocol,
// in turns with what they are compared with.
#include "bench/bench.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "bench/bare.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/redis.h"
#include "bench/serve_figures.h"
#include "core/base/mem.h"

struct serve_options {
    const char *url, *unix_path, *keys, *path, *empty, *redis, *binary, *binary_unix;
    const char *server_threads;
    uint64_t connections, binary_connections, depth, turns, seed, server_pid, redis_pid, cpu,
        bare_cpu;
    double seconds, zipf, unknown, rate;
    bool is_json;
};

struct serve {
    struct serve_options options;
    struct keyset keys;
    struct bare bare;
    struct serve_report http, binary; // the latter without contenders where it is not asked for
    char host[KR_PROTOCOL_HOST_MAX + 1];
    struct fault fault;
};

// --- options -------------------------------------------------------------------------------------

static const char about[] =
    "Asks a running node for the verdict on keys of a file, over keep-alive connections\n"
    "with one request in flight each, and measures in turns, within one run: the route, the\n"
    "same over a unix socket (--unix), the node's empty handler, a Redis GET of the same keys\n"
    "(--compare-redis), and a process that receives, sends and does nothing else, which shows\n"
    "the kernel's part (--compare-bare). Ratios are medians of the turns' ratios; per second of\n"
    "the server's processor time they hold on a busy machine too. When the server's CPU-s are\n"
    "well below a turn's seconds, it waited for the generator, or for a neighbour's work.\n"
    "\n"
    "With --binary the binary protocol is measured in the same run, by a table of its own: that\n"
    "many connections with --depth frames in flight each, and Redis with such a pipeline.\n"
    "\n"
    "Closed loop: a connection asks again when it is answered. With --open, requests have a\n"
    "fixed schedule, latency counts from the intended time, and the generator spins. Give it\n"
    "a core of its own (--cpu), and the server another (taskset).\n";

static const char example[] =
    "  keyreeve-bench serve --keys keys.txt --path /authz/forward --zipf 0.99 \\\n"
    "      --server-pid $(cat data/keyreeved.pid) --compare-redis 127.0.0.1:6379 --cpu 1\n"
    "  keyreeve-bench serve --keys keys.txt --binary 127.0.0.1:7401 \\\n"
    "      --server-pid $(cat data/keyreeved.pid) --compare-redis 127.0.0.1:6379 --cpu 1\n"
    "  keyreeve-bench serve --keys keys.txt --path /v1/validate --open 50000 --unknown 0.05\n";

static bool fits(const char *text, size_t most)
{
    return strlen(text) <= most;
}

static enum option_outcome check(const struct serve_options *o)
{
    const char *wrong = NULL;
    if (strncmp(o->url, "http://", 7) != 0 || !fits(o->url + 7, KR_PROTOCOL_HOST_MAX))
        wrong = "--url must be http://HOST:PORT";
    else if (o->path[0] != '/' || !fits(o->path, KR_PROTOCOL_PATH_MAX))
        wrong = "--path must begin with /";
    else if (o->empty[0] != '/' || !fits(o->empty, KR_PROTOCOL_PATH_MAX))
        wrong = "--compare-empty must begin with /";
    else if (o->binary_unix != NULL && o->binary == NULL)
        wrong = "--binary-unix needs --binary";
    else if (o->binary != NULL && o->rate > 0)
        wrong = "--open and --binary exclude each other";
    if (wrong != NULL)
        fprintf(stderr, "keyreeve-bench serve: %s; see --help\n", wrong);
    return wrong != NULL ? KR_OPTIONS_USAGE : KR_OPTIONS_RUN;
}

static enum option_outcome parse(int argc, char **argv, struct serve_options *o)
{
    const struct option_row rows[] = {
        {"--keys", "FILE", KR_OPTION_TEXT, &o->keys, 0, 0, true, "one key a line"},
        {"--url", "URL", KR_OPTION_TEXT, &o->url, 0, 0, false,
         "the node (default http://127.0.0.1:7400)"},
        {"--path", "PATH", KR_OPTION_TEXT, &o->path, 0, 0, false,
         "POST for /v1/validate, else GET (default /authz/forward)"},
        {"--unix", "PATH", KR_OPTION_TEXT, &o->unix_path, 0, 0, false,
         "the node's unix socket, as one more to compare"},
        {"--binary", "HOST:PORT", KR_OPTION_TEXT, &o->binary, 0, 0, false,
         "the node's binary listener, to measure that as well"},
        {"--binary-unix", "PATH", KR_OPTION_TEXT, &o->binary_unix, 0, 0, false,
         "its unix socket, as one more to compare"},
        {"--binary-connections", "N", KR_OPTION_COUNT, &o->binary_connections, 1,
         KR_LOAD_CONNECTIONS_MAX, false, "default 16"},
        {"--depth", "N", KR_OPTION_COUNT, &o->depth, 1, KR_LOAD_DEPTH_MAX, false,
         "frames in flight on each of those (default 16)"},
        {"--connections", "N", KR_OPTION_COUNT, &o->connections, 1, KR_LOAD_CONNECTIONS_MAX, false,
         "default 64"},
        {"--seconds", "S", KR_OPTION_REAL, &o->seconds, 0.1, 3600, false,
         "each turn, after a warm-up of a tenth of it (default 5)"},
        {"--turns", "N", KR_OPTION_COUNT, &o->turns, 1, KR_SERVE_TURNS, false, "default 5"},
        {"--zipf", "E", KR_OPTION_REAL, &o->zipf, 0, 4, false,
         "exponent of the keys' popularity; 0 is uniform, the default"},
        {"--unknown", "SHARE", KR_OPTION_REAL, &o->unknown, 0, 1, false,
         "of well-formed keys that do not exist (default 0)"},
        {"--open", "RATE", KR_OPTION_REAL, &o->rate, 1, 1e7, false,
         "requests/s on a fixed schedule (default: closed loop)"},
        {"--compare-empty", "PATH", KR_OPTION_TEXT, &o->empty, 0, 0, false,
         "the node's empty handler (default /healthz)"},
        {"--compare-redis", "HOST:PORT", KR_OPTION_TEXT, &o->redis, 0, 0, false,
         "a Redis for this alone: the keys are put in and stay"},
        {"--compare-bare", "CPU", KR_OPTION_COUNT, &o->bare_cpu, 0, CPU_SETSIZE - 1, false,
         "a bare epoll responder on this core: the node's"},
        {"--server-pid", "PID", KR_OPTION_COUNT, &o->server_pid, 1, 4194304, false,
         "counts the node's processor time, all threads"},
        {"--server-threads", "NAME", KR_OPTION_TEXT, &o->server_threads, 0, 0, false,
         "of those alone whose name begins so: kr-serve is what answers"},
        {"--redis-pid", "PID", KR_OPTION_COUNT, &o->redis_pid, 1, 4194304, false,
         "the same for the Redis"},
        {"--cpu", "N", KR_OPTION_COUNT, &o->cpu, 0, CPU_SETSIZE - 1, false,
         "pins the generator to this core (default: anywhere)"},
        {"--seed", "S", KR_OPTION_COUNT, &o->seed, 0, 1.8e19, false,
         "of the drawing of keys (default 1)"},
        {"--json", NULL, KR_OPTION_FLAG, &o->is_json, 0, 0, false,
         "a JSON object a table, one a line"},
    };
    const struct option_spec spec = {"serve", about, rows, sizeof(rows) / sizeof(rows[0]), example};
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    return outcome == KR_OPTIONS_RUN ? check(o) : outcome;
}

// --- contenders ----------------------------------------------------------------------------------

// "http://HOST:PORT" or with a slash behind it → "HOST:PORT"; port 80 where none is given.
static void host_of(const char *url, char host[KR_PROTOCOL_HOST_MAX + 1])
{
    int size = (int)strcspn(url + 7, "/");
    snprintf(host, KR_PROTOCOL_HOST_MAX + 1, "%.*s", size, url + 7);
    const char *colon = strrchr(host, ':');
    if (colon == NULL || strchr(colon, ']') != NULL)
        snprintf(host, KR_PROTOCOL_HOST_MAX + 1, "%.*s:80", size > 250 ? 250 : size, url + 7);
}

// Where a contender answers.
struct place {
    const char *text; // HOST:PORT, or a path
    bool is_unix;
};

static enum kr_err add_contender(struct serve *serve, struct serve_report *report,
                                 struct place place, struct protocol_request request,
                                 const char *name)
{
    struct serve_contender *contender = &report->contenders[report->count];
    bool is_redis = request.kind == KR_PROTOCOL_REDIS;
    snprintf(contender->name, sizeof(contender->name), "%s%s", name,
             place.is_unix ? " (unix)" : "");
    contender->target.request = request;
    contender->target.pid =
        (pid_t)(is_redis ? serve->options.redis_pid : serve->options.server_pid);
    contender->target.threads = is_redis ? NULL : serve->options.server_threads;
    report->count++;
    return load_resolve(place.text, place.is_unix, &contender->target, &serve->fault);
}

static enum kr_err add_bare(struct serve *serve, struct protocol_request request)
{
    struct serve_contender *contender = &serve->http.contenders[serve->http.count];
    enum kr_err err = bare_start(serve->options.bare_cpu, &serve->bare, &serve->fault);
    if (err != KR_ERR_OK)
        return err;
    snprintf(contender->name, sizeof(contender->name), "bare responder");
    contender->target = serve->bare.target;
    contender->target.request = request;
    serve->http.count++;
    return KR_ERR_OK;
}

static enum kr_err add_redis(struct serve *serve, struct serve_report *report, const char *name)
{
    const struct place place = {serve->options.redis, false};
    const struct protocol_request request = {.kind = KR_PROTOCOL_REDIS};
    return place.text == NULL ? KR_ERR_OK : add_contender(serve, report, place, request, name);
}

static enum kr_err add_http(struct serve *serve)
{
    const struct serve_options *o = &serve->options;
    bool is_validate = strncmp(o->path, "/v1/validate", 12) == 0;
    const struct place tcp = {serve->host, false}, local = {o->unix_path, true};
    const struct protocol_request route = {is_validate ? KR_PROTOCOL_VALIDATE : KR_PROTOCOL_BEARER,
                                           serve->host, o->path};
    const struct protocol_request empty = {KR_PROTOCOL_EMPTY, serve->host, o->empty};
    enum kr_err err = add_contender(serve, &serve->http, tcp, route, o->path);
    if (err == KR_ERR_OK && o->unix_path != NULL)
        err = add_contender(serve, &serve->http, local, route, o->path);
    if (err == KR_ERR_OK)
        err = add_contender(serve, &serve->http, tcp, empty, o->empty);
    if (err == KR_ERR_OK)
        err = add_redis(serve, &serve->http, "Redis GET");
    if (err == KR_ERR_OK && o->redis != NULL)
        err = redis_fill(&serve->http.contenders[serve->http.count - 1].target, &serve->keys,
                         &serve->fault);
    if (err == KR_ERR_OK && o->bare_cpu != UINT64_MAX)
        err = add_bare(serve, empty);
    return err;
}

static enum kr_err add_binary(struct serve *serve)
{
    const struct serve_options *o = &serve->options;
    const struct place tcp = {o->binary, false}, local = {o->binary_unix, true};
    const struct protocol_request request = {.kind = KR_PROTOCOL_BINARY};
    if (o->binary == NULL)
        return KR_ERR_OK;
    enum kr_err err = add_contender(serve, &serve->binary, tcp, request, "binary protocol");
    if (err == KR_ERR_OK && o->binary_unix != NULL)
        err = add_contender(serve, &serve->binary, local, request, "binary protocol");
    if (err == KR_ERR_OK)
        err = add_redis(serve, &serve->binary, "Redis GET pipeline");
    return err;
}

// --- the run -------------------------------------------------------------------------------------

// Every second turn goes backwards, so that a drift of the machine favours nobody.
static enum kr_err run_turn(struct serve *serve, struct serve_report *report,
                            struct load_result *result)
{
    size_t turn = report->turns;
    report->plan.seed = serve->options.seed + turn;
    for (size_t i = 0; i < report->count; i++) {
        struct serve_contender *contender =
            &report->contenders[turn % 2 == 0 ? i : report->count - 1 - i];
        progress_say("turn %zu of %llu  %s", turn + 1, (unsigned long long)serve->options.turns,
                     contender->name);
        enum kr_err err = load_run(&contender->target, &report->plan, result, &serve->fault);
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
    for (uint64_t turn = 0; turn < serve->options.turns && err == KR_ERR_OK; turn++) {
        err = run_turn(serve, &serve->http, result);
        if (err == KR_ERR_OK)
            err = run_turn(serve, &serve->binary, result);
    }
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

static void make_plans(struct serve *serve)
{
    const struct serve_options *o = &serve->options;
    serve->http.plan = (struct load_plan){.keys = &serve->keys,
                                          .zipf = o->zipf,
                                          .unknown = o->unknown,
                                          .connections = (unsigned)o->connections,
                                          .depth = 1,
                                          .seconds = o->seconds,
                                          .rate = o->rate};
    serve->binary.plan = serve->http.plan;
    serve->binary.plan.connections = (unsigned)o->binary_connections;
    serve->binary.plan.depth = (unsigned)o->depth;
}

static enum kr_err run(struct serve *serve)
{
    const struct serve_options *o = &serve->options;
    make_plans(serve);
    host_of(o->url, serve->host);
    enum kr_err err = pin(serve);
    if (err == KR_ERR_OK)
        err = keyset_open(o->keys, &serve->keys, &serve->fault);
    if (err == KR_ERR_OK)
        err = add_http(serve);
    if (err == KR_ERR_OK)
        err = add_binary(serve);
    if (err == KR_ERR_OK)
        err = run_turns(serve);
    return err;
}

static void print(const struct serve *serve)
{
    const struct serve_report *reports[] = {&serve->http, &serve->binary};
    for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
        if (reports[i]->count == 0)
            continue;
        if (serve->options.is_json) {
            serve_print_json(reports[i], stdout);
            continue;
        }
        if (i > 0)
            fputc('\n', stdout);
        serve_print(reports[i], stdout);
    }
}

int bench_serve(int argc, char **argv)
{
    struct serve *serve = mem_zalloc(sizeof(*serve));
    serve->options = (struct serve_options){.url = "http://127.0.0.1:7400",
                                            .path = "/authz/forward",
                                            .empty = "/healthz",
                                            .connections = 64,
                                            .binary_connections = 16,
                                            .depth = 16,
                                            .turns = 5,
                                            .seed = 1,
                                            .seconds = 5,
                                            .cpu = UINT64_MAX,
                                            .bare_cpu = UINT64_MAX};
    int status = KR_BENCH_OK;
    enum option_outcome outcome = parse(argc, argv, &serve->options);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run(serve) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench serve: %s\n", serve->fault.text);
        status = KR_BENCH_FAILED;
    } else {
        print(serve);
    }
    bare_stop(&serve->bare);
    keyset_close(&serve->keys);
    mem_free(serve);
    return status;
}
