// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench beside: how fast a change is seen elsewhere, in Keyreeve and in what a team would
// build instead.
//
// In each round every system has its turn: a key is there and good at the replica, it is taken away
// at the primary, and one prober asks the replica over and over, without sleeping, until it shows.
// In between an echo measures what the way itself takes.
#include "bench/beside.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/interrupt.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "bench/table.h"
#include "bench/topology.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"

enum { KR_BESIDE_ROUNDS = 100000, KR_BESIDE_ECHOES = 5, KR_BESIDE_DEADLINE_MS = 30000 };
enum { KR_BESIDE_TTL_POINTS = 120, KR_BESIDE_PATH = 256 };

static const struct beside_system *const systems[] = {&beside_keyreeve, &beside_redis,
                                                      &beside_postgres, &beside_etcd};
enum { KR_BESIDE_SYSTEMS = sizeof(systems) / sizeof(systems[0]) };

struct beside_side {
    const struct beside_system *system;
    struct beside_state state;
    double *delays_us, *links_us, *excesses_us; // one a round
};

struct beside {
    const char *wanted, *leader, *node, *token_file, *engine, *near_region, *far_region;
    uint64_t rounds, ttl_seconds;
    bool is_in_world;
    struct world world;
    struct site near, far;
    char directory[KR_BESIDE_PATH];
    struct program_user user;
    struct beside_side sides[KR_BESIDE_SYSTEMS];
    size_t side_count;
    struct program echo;
    struct talk echo_talk;
    struct result_run results;
    struct fault fault;
};

static enum option_outcome parse(int argc, char **argv, struct beside *bench)
{
    const struct option_row rows[] = {
        {"--systems", "LIST", KR_OPTION_TEXT, &bench->wanted, 0, 0, false,
         "of keyreeve, redis, postgresql, etcd (default all but keyreeve)"},
        {"--leader", "ADDRESS:PORT", KR_OPTION_TEXT, &bench->leader, 0, 0, false,
         "a Keyreeve leader, for keyreeve"},
        {"--node", "ADDRESS:PORT", KR_OPTION_TEXT, &bench->node, 0, 0, false, "a follower of it"},
        {"--token-file", "FILE", KR_OPTION_TEXT, &bench->token_file, 0, 0, false,
         "a management token, 0600"},
        {"--engine", "NAME", KR_OPTION_TEXT, &bench->engine, 0, 0, false,
         "what the results call its log engine (default local)"},
        {"--rounds", "N", KR_OPTION_COUNT, &bench->rounds, 1, KR_BESIDE_ROUNDS, false,
         "changes of each system (default 300)"},
        {"--world", NULL, KR_OPTION_FLAG, &bench->is_in_world, 0, 0, false,
         "in an emulated world (root), without keyreeve: propagate --world"},
        {"--near", "REGION", KR_OPTION_TEXT, &bench->near_region, 0, 0, false,
         "of the primaries there (default us-east)"},
        {"--far", "REGION", KR_OPTION_TEXT, &bench->far_region, 0, 0, false,
         "of the replicas there (default ap-northeast)"},
        {"--ttl", "S", KR_OPTION_COUNT, &bench->ttl_seconds, 1, 86400, false,
         "of the cache that is computed (default 60)"},
        KR_RESULT_OPTIONS(&bench->results),
    };
    const struct option_spec spec = {
        "beside",
        "Starts Redis, PostgreSQL and etcd, each with its own replication and Debian's settings,\n"
        "in a directory of its own that is removed at the end (as root: by the user postgres or\n"
        "nobody), and measures in turns how long a change at the primary takes until the replica\n"
        "shows it, beyond what the way takes. With --leader Keyreeve has its turns as well. The\n"
        "prober spins: give it a core of its own (taskset).\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  keyreeve-bench beside --systems redis,postgresql,etcd --rounds 500\n"
        "  keyreeve-bench beside --systems keyreeve,redis --leader 127.0.77.1:7400 \\\n"
        "      --node 127.0.77.4:7400 --token-file local-cluster/owner-token\n"};
    return options_parse(&spec, argc, argv);
}

// --- the way -------------------------------------------------------------------------------------

__attribute__((noreturn)) static void echo(int listener)
{
    char bytes[64];
    int fd = accept(listener, NULL, NULL);
    for (ssize_t size = 1; size > 0;) {
        size = recv(fd, bytes, sizeof(bytes), 0);
        if (size > 0)
            size = send(fd, bytes, (size_t)size, MSG_NOSIGNAL);
    }
    _exit(0);
}

static enum kr_err start_echo(struct beside *bench)
{
    uint16_t port = 0;
    int listener = site_listen(&bench->near, &port);
    bench->echo.name = "echo";
    pid_t child = listener >= 0 ? site_fork(&bench->near) : -1;
    if (child == 0)
        echo(listener);
    if (listener >= 0)
        close(listener);
    if (child < 0)
        return fault_set(&bench->fault, err_from_errno(errno), "echo: %s", strerror(errno));
    bench->echo.pid = child;
    return talk_open(&bench->echo_talk, &bench->far, bench->near.address, port);
}

// Half a round trip of 64 bytes, the median of a few.
static enum kr_err measure_way(struct beside *bench, double *out_us)
{
    static const char bytes[64] = "echo";
    double trips[KR_BESIDE_ECHOES];
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < KR_BESIDE_ECHOES && err == KR_ERR_OK; i++) {
        buf_add(&bench->echo_talk.out, bytes, sizeof(bytes));
        uint64_t begin_ns = clock_mono_ns();
        err = talk_send(&bench->echo_talk);
        while (err == KR_ERR_OK && bench->echo_talk.in.size < sizeof(bytes))
            err = talk_wait(&bench->echo_talk);
        trips[i] = (double)(clock_mono_ns() - begin_ns) / 2e3;
    }
    *out_us = table_median(trips, KR_BESIDE_ECHOES);
    return err;
}

// --- systems -------------------------------------------------------------------------------------

static enum kr_err make_directory(struct beside *bench, struct beside_side *side)
{
    struct beside_state *state = &side->state;
    snprintf(state->directory, sizeof(state->directory), "%.200s/%s", bench->directory,
             side->system->name);
    bool is_made = mkdir(state->directory, 0700) == 0;
    if (is_made && bench->user.is_other)
        is_made = chown(state->directory, bench->user.uid, bench->user.gid) == 0;
    if (is_made)
        return KR_ERR_OK;
    return fault_set(&bench->fault, err_from_errno(errno), "%s: %s", state->directory,
                     strerror(errno));
}

static enum kr_err start_side(struct beside *bench, const struct beside_system *system)
{
    struct beside_side *side = &bench->sides[bench->side_count++];
    struct beside_state *state = &side->state;
    side->system = system;
    state->near = bench->near;
    state->far = bench->far;
    state->user = bench->user;
    state->leader = bench->leader;
    state->node = bench->node;
    state->token_file = bench->token_file;
    state->fault = &bench->fault;
    talk_init(&state->primary, system->name, &bench->fault);
    talk_init(&state->replica, system->name, &bench->fault);
    side->delays_us = mem_zalloc(bench->rounds * sizeof(double));
    side->links_us = mem_zalloc(bench->rounds * sizeof(double));
    side->excesses_us = mem_zalloc(bench->rounds * sizeof(double));
    progress_say("starting %s", system->name);
    enum kr_err err = make_directory(bench, side);
    return err == KR_ERR_OK ? system->start(state) : err;
}

static void stop_side(struct beside_side *side)
{
    struct beside_state *state = &side->state;
    talk_close(&state->replica);
    talk_close(&state->primary);
    for (size_t i = 2; i-- > 0;)
        program_stop(&state->programs[i], side->system->stop_signal);
    mem_zero(state->token, sizeof(state->token));
    mem_free(side->delays_us);
    mem_free(side->links_us);
    mem_free(side->excesses_us);
}

static bool is_listed(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += size)
        if ((at == list || at[-1] == ',') && (at[size] == ',' || at[size] == '\0'))
            return true;
    return false;
}

static enum kr_err check_list(struct beside *bench)
{
    size_t known = 0, names = 1;
    for (const char *at = bench->wanted; *at != '\0'; at++)
        names += *at == ',';
    for (size_t i = 0; i < KR_BESIDE_SYSTEMS; i++)
        known += is_listed(bench->wanted, systems[i]->name);
    if (known != names)
        return fault_set(&bench->fault, KR_ERR_INVALID,
                         "--systems %s: there are keyreeve, redis, postgresql, etcd",
                         bench->wanted);
    bool has_cluster = bench->leader != NULL && bench->node != NULL && bench->token_file != NULL;
    if (is_listed(bench->wanted, "keyreeve") && bench->is_in_world)
        return fault_set(&bench->fault, KR_ERR_INVALID,
                         "in a world Keyreeve is measured by propagate --world");
    if (is_listed(bench->wanted, "keyreeve") && !has_cluster)
        return fault_set(&bench->fault, KR_ERR_INVALID,
                         "keyreeve needs --leader, --node and --token-file");
    return KR_ERR_OK;
}

static enum kr_err start_all(struct beside *bench)
{
    enum kr_err err = check_list(bench);
    if (err == KR_ERR_OK)
        err =
            program_directory("beside", bench->directory, sizeof(bench->directory), &bench->fault);
    if (err != KR_ERR_OK)
        return err;
    program_find_user(&bench->user);
    if (chmod(bench->directory, 0711) != 0)
        return fault_set(&bench->fault, err_from_errno(errno), "chmod: %s", strerror(errno));
    bench->results.disk = bench->directory;
    err = start_echo(bench);
    for (size_t i = 0; i < KR_BESIDE_SYSTEMS && err == KR_ERR_OK; i++)
        if (is_listed(bench->wanted, systems[i]->name))
            err = start_side(bench, systems[i]);
    return err;
}

static void stop_all(struct beside *bench)
{
    struct fault ignored;
    progress_say("%s", "stopping");
    for (size_t i = bench->side_count; i-- > 0;)
        stop_side(&bench->sides[i]);
    talk_close(&bench->echo_talk);
    program_stop(&bench->echo, SIGKILL);
    if (bench->directory[0] != '\0' && file_remove_tree(bench->directory, &ignored) != KR_ERR_OK)
        fprintf(stderr, "keyreeve-bench beside: %s\n", ignored.text);
    progress_say("%s", "");
}

// --- rounds --------------------------------------------------------------------------------------

static enum kr_err watch(struct beside *bench, struct beside_side *side, uint64_t begin_ns)
{
    bool is_seen = false;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && !is_seen) {
        err = side->system->look(&side->state, &is_seen);
        if (err == KR_ERR_OK && clock_mono_ns() - begin_ns > KR_BESIDE_DEADLINE_MS * 1000000ULL)
            err = fault_set(&bench->fault, KR_ERR_TIMEOUT, "%s: not seen after %d s",
                            side->system->name, KR_BESIDE_DEADLINE_MS / 1000);
    }
    return err;
}

static enum kr_err run_round(struct beside *bench, struct beside_side *side, uint64_t round)
{
    side->state.round = round + 1;
    enum kr_err err = measure_way(bench, &side->links_us[round]);
    if (err == KR_ERR_OK)
        err = side->system->ready(&side->state);
    uint64_t begin_ns = clock_mono_ns();
    if (err == KR_ERR_OK)
        err = side->system->change(&side->state);
    if (err == KR_ERR_OK)
        err = watch(bench, side, begin_ns);
    side->delays_us[round] = (double)(clock_mono_ns() - begin_ns) / 1e3;
    double excess_us = side->delays_us[round] - side->links_us[round];
    side->excesses_us[round] = excess_us > 0 ? excess_us : 0;
    return err == KR_ERR_OK ? side->system->settle(&side->state) : err;
}

static enum kr_err run_rounds(struct beside *bench)
{
    struct progress progress;
    enum kr_err err = KR_ERR_OK;
    progress_begin(&progress, "rounds", bench->rounds);
    for (uint64_t round = 0; round < bench->rounds && err == KR_ERR_OK; round++) {
        for (size_t i = 0; i < bench->side_count && err == KR_ERR_OK; i++)
            err = run_round(bench, &bench->sides[i], round);
        if (err == KR_ERR_OK && interrupt_is_noted())
            err = fault_set(&bench->fault, KR_ERR_IO, "interrupted");
        progress_at(&progress, round);
    }
    progress_end(&progress);
    return err;
}

// --- results -------------------------------------------------------------------------------------

static void write_side(struct beside *bench, struct beside_side *side)
{
    const struct {
        const char *name;
        const double *values;
    } figures[] = {{"propagate.delay", side->delays_us},
                   {"propagate.link", side->links_us},
                   {"propagate.excess", side->excesses_us}};
    bool is_ours = side->system == &beside_keyreeve;
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        const struct result_row row = {
            .name = figures[i].name,
            .label = side->system->label,
            .system = side->system->name,
            .region = bench->is_in_world ? bench->far_region : NULL,
            .unit = "us",
            .conditions = {{"world", 0, bench->is_in_world ? "five-regions" : "loopback"},
                           {"load", 0, "idle"},
                           {"way", 0, "single"},
                           {"node", 0, "replica"},
                           {"settings", 0, side->system->settings},
                           {is_ours ? "engine" : NULL, 0, bench->engine}},
            .values = figures[i].values,
            .count = bench->rounds};
        result_write(&bench->results, &row);
    }
}

// A key is looked up at a random moment of its entry's life, so what is left of it is uniform.
static void write_ttl(struct beside *bench)
{
    struct result_point points[KR_BESIDE_TTL_POINTS];
    const double whole_us = (double)bench->ttl_seconds * 1e6;
    for (int i = 0; i < KR_BESIDE_TTL_POINTS; i++) {
        double us = whole_us * pow(10, (double)(i + 1 - KR_BESIDE_TTL_POINTS) / 16);
        points[i] = (struct result_point){us, us / whole_us};
    }
    const struct result_row row = {.name = "propagate.ttl",
                                   .label = "a cache in front of a database, computed",
                                   .system = "ttl",
                                   .unit = "us",
                                   .conditions = {{"seconds", (double)bench->ttl_seconds, NULL}},
                                   .points = points,
                                   .count = KR_BESIDE_TTL_POINTS};
    result_write(&bench->results, &row);
}

static double spread_at(const double *values, uint64_t count, double share)
{
    double *sorted = mem_alloc(count * sizeof(*sorted));
    memcpy(sorted, values, count * sizeof(*sorted));
    (void)table_median(sorted, count); // sorts
    double value = sorted[(uint64_t)(share * (double)(count - 1))];
    mem_free(sorted);
    return value;
}

static void print(const struct beside *bench)
{
    static const double shares[] = {0.5, 0.9, 0.99, 1};
    struct table *table = mem_zalloc(sizeof(*table));
    table_row(table, "us beyond the way");
    table_text(table, "p50");
    table_text(table, "p90");
    table_text(table, "p99");
    table_text(table, "max");
    table_text(table, "the way p50");
    for (size_t i = 0; i < bench->side_count; i++) {
        const struct beside_side *side = &bench->sides[i];
        table_row(table, side->system->label);
        for (size_t j = 0; j < sizeof(shares) / sizeof(shares[0]); j++)
            table_number(table, spread_at(side->excesses_us, bench->rounds, shares[j]), 0);
        table_number(table, spread_at(side->links_us, bench->rounds, 0.5), 1);
    }
    table_print(table, stdout);
    printf("\n%llu changes of each, in turns\n", (unsigned long long)bench->rounds);
    mem_free(table);
}

static enum kr_err enter(struct beside *bench, const struct topology *topology, const char *region,
                         struct site *site)
{
    char address[KR_TOPOLOGY_ADDRESS];
    size_t number = topology_region(topology, region);
    if (number == topology->region_count)
        return fault_set(&bench->fault, KR_ERR_INVALID, "%s: no region of the world", region);
    topology_address(number, 1, address);
    return site_enter(site, bench->world.name, region, address, &bench->fault);
}

// The regions of a world that ends with this process, or the loopback.
static enum kr_err choose_sites(struct beside *bench)
{
    char name[KR_WORLD_NAME];
    struct topology *topology = mem_zalloc(sizeof(*topology));
    enum kr_err err = KR_ERR_OK;
    site_init(&bench->near);
    site_init(&bench->far);
    snprintf(name, sizeof(name), "beside-%d", (int)getpid());
    if (bench->is_in_world) {
        err = topology_load(NULL, topology, &bench->fault);
        if (err == KR_ERR_OK)
            err = world_start(name, topology, 1, &bench->world, &bench->fault);
        if (err == KR_ERR_OK)
            err = enter(bench, topology, bench->near_region, &bench->near);
        if (err == KR_ERR_OK)
            err = enter(bench, topology, bench->far_region, &bench->far);
    }
    mem_free(topology);
    return err;
}

static enum kr_err run(struct beside *bench, int argc, char **argv)
{
    bench->world.tie = -1;
    talk_init(&bench->echo_talk, "echo", &bench->fault);
    interrupt_watch();
    enum kr_err err = result_open(&bench->results, argc, argv, &bench->fault);
    if (err == KR_ERR_OK)
        err = choose_sites(bench);
    if (err == KR_ERR_OK)
        err = start_all(bench);
    if (err == KR_ERR_OK)
        err = run_rounds(bench);
    for (size_t i = 0; i < bench->side_count && err == KR_ERR_OK; i++)
        write_side(bench, &bench->sides[i]);
    if (err == KR_ERR_OK)
        write_ttl(bench);
    if (err == KR_ERR_OK && !bench->results.is_json)
        print(bench);
    stop_all(bench);
    site_leave(&bench->near);
    site_leave(&bench->far);
    world_stop(&bench->world);
    return result_close(&bench->results, err);
}

int bench_beside(int argc, char **argv)
{
    struct beside *bench = mem_zalloc(sizeof(*bench));
    int status = KR_BENCH_OK;
    bench->wanted = "redis,postgresql,etcd";
    bench->engine = "local";
    bench->near_region = "us-east";
    bench->far_region = "ap-northeast";
    bench->rounds = 300;
    bench->ttl_seconds = 60;
    enum option_outcome outcome = parse(argc, argv, bench);
    if (outcome != KR_OPTIONS_RUN) {
        status = outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    } else if (run(bench, argc, argv) != KR_ERR_OK) {
        fprintf(stderr, "keyreeve-bench beside: %s\n", bench->fault.text);
        status = KR_BENCH_FAILED;
    }
    mem_free(bench);
    interrupt_pass_on();
    return status;
}
