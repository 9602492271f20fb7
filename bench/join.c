// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench join: from the command that starts a node with an empty directory until it serves.
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/interrupt.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "bench/site.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

struct join {
    const char *command, *http;
    uint64_t key_count;
    double deadline_s, ready_ms;
    struct child node; // only its address: the command starts it
    struct result_run results;
    struct fault fault;
};

static enum option_outcome parse(int argc, char **argv, struct join *join)
{
    const struct option_row rows[] = {
        {"--command", "TEXT", KR_OPTION_TEXT, &join->command, 0, 0, true,
         "starts the node; /bin/sh reads it"},
        {"--http", "HOST:PORT", KR_OPTION_TEXT, &join->http, 0, 0, true, "where it will answer"},
        {"--key-count", "N", KR_OPTION_COUNT, &join->key_count, 1, 1e12, true,
         "keys of the cluster, for the results"},
        {"--deadline", "S", KR_OPTION_REAL, &join->deadline_s, 1, 3600, false,
         "gives up after this (default 300)"},
        KR_RESULT_OPTIONS(&join->results),
    };
    const struct option_spec spec = {
        "join",
        "Runs a command that starts a node of a cluster, whose directory is empty, and asks every\n"
        "millisecond until its /readyz answers 200: the state has come over the link, is checked\n"
        "and in memory, and the node serves.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  ./deploy/local-cluster.sh stop edge-us-east && rm -r local-cluster/edge-us-east/data\n"
        "  keyreeve-bench join --command './deploy/local-cluster.sh start edge-us-east' \\\n"
        "      --http 127.0.77.4:7400 --key-count 1000000\n"};
    return options_parse(&spec, argc, argv);
}

static pid_t start_command(const char *command)
{
    struct site here;
    site_init(&here);
    pid_t child = site_fork(&here);
    if (child != 0)
        return child;
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

// The command's end is fine when it succeeded: it may leave the node running, or become it.
static enum kr_err check_command(struct join *join, pid_t *command)
{
    int status = 0;
    if (*command == 0 || waitpid(*command, &status, WNOHANG) != *command)
        return KR_ERR_OK;
    *command = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return KR_ERR_OK;
    return fault_set(&join->fault, KR_ERR_IO, "the command has failed: %s", join->command);
}

static enum kr_err await_ready(struct join *join, pid_t *command)
{
    const struct bytes nothing = {0};
    uint64_t begin_ns = clock_mono_ns();
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && child_ask(&join->node, "/readyz", nothing) != 200) {
        double seconds = (double)(clock_mono_ns() - begin_ns) / 1e9;
        progress_say("%.1f s", seconds);
        err = check_command(join, command);
        if (err == KR_ERR_OK && (seconds > join->deadline_s || interrupt_is_noted()))
            err = fault_set(&join->fault, KR_ERR_TIMEOUT, "not ready after %.0f s", seconds);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    join->ready_ms = (double)(clock_mono_ns() - begin_ns) / 1e6;
    progress_say("%s", "");
    return err;
}

static enum kr_err measure(struct join *join)
{
    pid_t command = 0;
    enum kr_err err = load_resolve(join->http, false, &join->node.target, &join->fault);
    if (err != KR_ERR_OK)
        return err;
    if (child_ask(&join->node, "/healthz", (struct bytes){0}) != 0)
        return fault_set(&join->fault, KR_ERR_LOCKED, "something answers on %s already",
                         join->http);
    command = start_command(join->command);
    err = await_ready(join, &command);
    if (command > 0)
        waitpid(command, NULL, err == KR_ERR_OK ? 0 : WNOHANG);
    return err;
}

static enum kr_err run(struct join *join, int argc, char **argv)
{
    interrupt_watch();
    enum kr_err err = result_open(&join->results, argc, argv, &join->fault);
    if (err == KR_ERR_OK)
        err = measure(join);
    const struct result_row row = {.name = "join.ready",
                                   .label = "a follower from empty to serving",
                                   .unit = "ms",
                                   .conditions = {{"keys", (double)join->key_count, NULL}},
                                   .values = &join->ready_ms,
                                   .count = 1};
    if (err == KR_ERR_OK)
        result_write(&join->results, &row);
    if (err == KR_ERR_OK && !join->results.is_json)
        printf("ready after %.0f ms, %llu keys\n", join->ready_ms,
               (unsigned long long)join->key_count);
    return result_close(&join->results, err);
}

int bench_join(int argc, char **argv)
{
    struct join *join = mem_zalloc(sizeof(*join));
    int status = KR_BENCH_OK;
    join->deadline_s = 300;
    enum option_outcome outcome = parse(argc, argv, join);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run(join, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench join: %s\n", join->fault.text);
        status = KR_BENCH_FAILED;
    }
    mem_free(join);
    interrupt_pass_on();
    return status;
}
