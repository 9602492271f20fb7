// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench beside: how fast a change is seen elsewhere, in Keyreeve and in what a team would
// build instead.
//
// In each round every system has its turn: a key is there and good at the replica, it is taken away
// at the primary, and one prober asks the replica over and over, without sleeping, until it shows.
// Once a round an echo measures what the way itself takes, and a flush what the disk does.
#include "bench/beside_internal.h"

#include <assert.h>
#include <errno.h>
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
#include "bench/table.h"
#include "bench/topology.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/priority.h"

enum { KR_BESIDE_ROUNDS = 100000, KR_BESIDE_ECHOES = 5, KR_BESIDE_DEADLINE_MS = 30000 };

static const struct beside_system *const systems[] = {&beside_keyreeve, &beside_redis,
                                                      &beside_postgres, &beside_etcd};
static_assert(sizeof(systems) / sizeof(systems[0]) == KR_BESIDE_SYSTEMS, "one side each");

static enum option_outcome parse(int argc, char **argv, struct beside *bench)
{
    const struct option_row rows[] = {
        {"--systems", "LIST", KR_OPTION_TEXT, &bench->wanted, 0, 0, false,
         "of keyreeve, redis, postgresql, etcd (default all)"},
        {"--bin", "DIR", KR_OPTION_TEXT, &bench->programs, 0, 0, false,
         "of keyreeved and keyreeve (default: where this program is)"},
        {"--rounds", "N", KR_OPTION_COUNT, &bench->rounds, 1, KR_BESIDE_ROUNDS, false,
         "changes of each system (default 300)"},
        {"--world", NULL, KR_OPTION_FLAG, &bench->is_in_world, 0, 0, false, "in an emulated world"},
        {"--relay", NULL, KR_OPTION_FLAG, &bench->is_relay, 0, 0, false,
         "one whose links are TCP relays: as they are where root or TUN is missing"},
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
        "Starts Keyreeve (a leader and a follower, engine local), Redis and PostgreSQL (a primary\n"
        "and a replica each) and etcd (a member, watched), each with its defaults, in a directory\n"
        "of its own that is removed at the end (as root: the others by the user postgres or\n"
        "nobody), and measures in turns how long a change at the primary takes until the replica\n"
        "shows it, beyond what the way takes; and in between what the disk needs to flush. The\n"
        "prober spins: give it a core of its own (taskset), and all that is measured runs on the\n"
        "others.\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  taskset -c 1 keyreeve-bench beside --rounds 500\n"
        "  sudo keyreeve-bench beside --world --systems keyreeve,postgresql\n"};
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
    return talk_reach(&bench->echo_talk, &bench->far, &bench->near, port);
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
    state->world = bench->is_in_world ? bench->world.name : NULL;
    state->near_region = bench->near_region;
    state->far_region = bench->far_region;
    state->folder = bench->programs;
    state->fault = &bench->fault;
    talk_init(&state->primary, system->name, &bench->fault);
    talk_init(&state->replica, system->name, &bench->fault);
    side->delays_us = mem_zalloc(bench->rounds * sizeof(double));
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
    if (bench->is_relay && !bench->is_in_world)
        return fault_set(&bench->fault, KR_ERR_INVALID, "--relay goes with --world");
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
    bench->links_us = mem_zalloc(bench->rounds * sizeof(double));
    bench->flushes_us = mem_zalloc(bench->rounds * sizeof(double));
    if (bench->programs == NULL)
        bench->programs = program_folder(bench->own_programs, sizeof(bench->own_programs));
    err = flush_open(&bench->flush, bench->directory, &bench->fault);
    if (err == KR_ERR_OK)
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
    flush_close(&bench->flush);
    mem_free(bench->flushes_us);
    mem_free(bench->links_us);
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
    enum kr_err err = side->system->ready(&side->state);
    uint64_t begin_ns = clock_mono_ns();
    if (err == KR_ERR_OK)
        err = side->system->change(&side->state);
    if (err == KR_ERR_OK)
        err = watch(bench, side, begin_ns);
    side->delays_us[round] = (double)(clock_mono_ns() - begin_ns) / 1e3;
    double excess_us = side->delays_us[round] - bench->links_us[round];
    side->excesses_us[round] = excess_us > 0 ? excess_us : 0;
    return err == KR_ERR_OK ? side->system->settle(&side->state) : err;
}

static enum kr_err measure_flush(struct beside *bench, uint64_t round)
{
    uint64_t took_ns = 0;
    enum kr_err err = flush_once(&bench->flush, &took_ns, &bench->fault);
    bench->flushes_us[round] = (double)took_ns / 1e3;
    return err;
}

static enum kr_err run_rounds(struct beside *bench)
{
    struct progress progress;
    enum kr_err err = KR_ERR_OK;
    priority_take(KR_PRIORITY_SPIN);
    progress_begin(&progress, "rounds", bench->rounds);
    for (uint64_t round = 0; round < bench->rounds && err == KR_ERR_OK; round++) {
        err = measure_way(bench, &bench->links_us[round]);
        for (size_t i = 0; i < bench->side_count && err == KR_ERR_OK; i++)
            err = run_round(bench, &bench->sides[i], round);
        if (err == KR_ERR_OK)
            err = measure_flush(bench, round);
        if (err == KR_ERR_OK && interrupt_is_noted())
            err = fault_set(&bench->fault, KR_ERR_IO, "interrupted");
        progress_at(&progress, round);
    }
    progress_end(&progress);
    return err;
}

// --- all of it -----------------------------------------------------------------------------------

static enum kr_err enter(struct beside *bench, const struct topology *topology, const char *region,
                         struct site *site)
{
    char address[KR_TOPOLOGY_ADDRESS];
    size_t number = topology_region(topology, region);
    if (number == topology->region_count)
        return fault_set(&bench->fault, KR_ERR_INVALID, "%s: no region of the world", region);
    topology_address(topology, number, 1, address);
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
        const struct world_plan plan = {name, topology, 1, bench->is_relay};
        err = topology_load(NULL, topology, &bench->fault);
        if (err == KR_ERR_OK)
            err = world_start(&plan, &bench->world, &bench->fault);
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
    bench->world.tie = bench->flush.fd = -1;
    talk_init(&bench->echo_talk, "echo", &bench->fault);
    interrupt_watch();
    enum kr_err err = result_open(&bench->results, argc, argv, &bench->fault);
    if (err == KR_ERR_OK)
        err = choose_sites(bench);
    if (err == KR_ERR_OK)
        err = start_all(bench);
    if (err == KR_ERR_OK)
        err = run_rounds(bench);
    if (err == KR_ERR_OK)
        beside_results(bench);
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
    bench->wanted = "keyreeve,redis,postgresql,etcd";
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
