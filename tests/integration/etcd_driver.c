// SPDX-License-Identifier: Apache-2.0
// Drives the etcd engine over a real etcd for tests/integration/etcd.test.mjs: commands on standard
// input, one a line, events on standard output.
//
// usage: etcd-driver MEMBER CLUSTER ENDPOINTS QUOTA CA CERT KEY [INDEX CHAIN]; "-" is no file;
// INDEX and CHAIN as they are told behind "caught-up": where its state ends
// append COUNT SIZE    appends COUNT entries of SIZE bytes as one batch
// entry HEX            appends this one
// bench COUNT SIZE OUTSTANDING    appends one by one, so many at a time; tells how long each took
// put COUNT SIZE OUTSTANDING    the same as bare puts
// trim INDEX · figures · stop
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/base/text.h"
#include "replication/engine_etcd.h"
#include "replication/etcd_link.h"

struct driver {
    uv_loop_t loop;
    uv_check_t check;
    uv_timer_t tick;
    uv_poll_t input;
    struct etcd_link *link;
    struct engine *engine;
    struct buf lines;
    enum engine_role role;
    uint64_t index, epoch, leads_under;
    struct hash128 chain;
    bool is_catching_up, is_stopping;

    // a measurement
    uint64_t wanted, started, done, outstanding, began_ns;
    size_t size;
    bool is_put;
    uint64_t *took_ns;
};

struct job {
    struct driver *driver;
    struct store_row *rows;
    size_t count;
    uint64_t began_ns;
    bool is_measured;
};

static struct driver driver;
static uint64_t queued_index;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

// --- the state: a position -----------------------------------------------------------------------

static void apply(struct bytes entry)
{
    driver.index++;
    driver.chain = hash_chain(driver.chain, entry);
}

static void on_position(void *ctx, uint64_t *index, uint64_t *epoch, struct hash128 *chain)
{
    (void)ctx;
    *index = driver.index;
    *epoch = driver.epoch;
    *chain = driver.chain;
}

static void on_refused(void *ctx, const struct fault *fault)
{
    (void)ctx;
    say("refused %s", fault->text);
}

static void on_role(void *ctx, enum engine_role role, uint64_t epoch)
{
    static const char *const names[] = {"starting", "standby", "leader", "stopped"};
    (void)ctx;
    driver.role = role;
    driver.leads_under = epoch;
    driver.is_catching_up = role == KR_ENGINE_LEADER;
    say("role %s %llu", names[role], (unsigned long long)epoch);
}

static void on_leader(void *ctx, const char *member_id, const char *peer_address)
{
    (void)ctx;
    say("follows %s %s", member_id, peer_address);
}

static void catch_up(void)
{
    struct arena arena;
    struct bytes entry;
    struct fault fault;
    enum kr_err err = KR_ERR_OK;
    arena_init(&arena);
    while (err == KR_ERR_OK) {
        err = driver.engine->verbs->read(driver.engine, driver.index + 1, &arena, &entry, &fault);
        if (err == KR_ERR_OK)
            apply(entry);
        arena_reset(&arena);
    }
    arena_fini(&arena);
    if (err != KR_ERR_NOT_FOUND)
        return;
    driver.is_catching_up = false;
    driver.epoch = driver.leads_under;
    queued_index = driver.index;
    say("caught-up %llu %016llx%016llx", (unsigned long long)driver.index,
        (unsigned long long)driver.chain.high, (unsigned long long)driver.chain.low);
}

// --- appends -------------------------------------------------------------------------------------

static void free_job(struct job *job)
{
    for (size_t i = 0; i < job->count; i++)
        mem_free((void *)(uintptr_t)job->rows[i].entry.data);
    mem_free(job->rows);
    mem_free(job);
}

static void measure_on(void);

static void note(const struct job *job, enum kr_err err)
{
    if (err != KR_ERR_OK)
        say("failed %s", err_text(err));
    driver.took_ns[driver.done++] = clock_mono_ns() - job->began_ns;
    driver.outstanding--;
}

static void on_done(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct job *job = ctx;
    for (size_t i = 0; i < job->count && err == KR_ERR_OK; i++)
        apply(job->rows[i].entry);
    if (err != KR_ERR_OK)
        driver.is_catching_up = true;
    if (job->is_measured)
        note(job, err);
    else
        say("done %s %llu %zu%s%s", err == KR_ERR_OK ? "ok" : err_text(err),
            (unsigned long long)job->rows[0].index, job->count, err == KR_ERR_OK ? "" : ": ",
            err == KR_ERR_OK ? "" : fault->text);
    free_job(job);
}

static struct job *job_new(size_t count)
{
    struct job *job = mem_zalloc(sizeof(*job));
    job->rows = mem_alloc(count * sizeof(*job->rows));
    return job;
}

// Takes the bytes.
static void add_entry(struct job *job, uint8_t *bytes, size_t size)
{
    job->rows[job->count++] = (struct store_row){++queued_index, bytes_of(bytes, size)};
}

static void append_job(struct job *job)
{
    size_t count = job->count;
    job->began_ns = clock_mono_ns();
    const struct engine_batch batch = {job->rows, count, driver.leads_under};
    enum kr_err err = driver.engine->verbs->append(driver.engine, &batch, on_done, job);
    if (err == KR_ERR_OK)
        return;
    queued_index -= count;
    say("done %s %llu %zu: at once", err_text(err), (unsigned long long)job->rows[0].index, count);
    free_job(job);
}

static void append(size_t count, size_t size, bool is_measured)
{
    struct job *job = job_new(count);
    job->is_measured = is_measured;
    for (size_t i = 0; i < count; i++) {
        uint8_t *bytes = mem_alloc(size);
        rand_bytes(bytes, size);
        add_entry(job, bytes, size);
    }
    append_job(job);
}

static void append_entry(const char *hex)
{
    struct job *job = job_new(1);
    size_t size = strlen(hex) / 2;
    uint8_t *bytes = mem_alloc(size);
    add_entry(job, bytes, size);
    if (text_from_hex(bytes_text(hex), bytes, size)) {
        append_job(job);
        return;
    }
    queued_index--;
    say("what? %s", hex);
    free_job(job);
}

// --- measuring -----------------------------------------------------------------------------------

static void on_put(void *ctx, const struct etcd_answer *answer)
{
    struct job *job = ctx;
    note(job, answer->err == KR_ERR_OK && answer->status == 200 ? KR_ERR_OK : KR_ERR_IO);
    free_job(job);
    measure_on();
}

static void put(size_t size)
{
    struct buf body;
    uint8_t value[4096];
    char key[32];
    struct job *job = mem_zalloc(sizeof(*job));
    int key_size = snprintf(key, sizeof(key), "/bare/%016llx", (unsigned long long)driver.started);
    rand_bytes(value, size);
    buf_init(&body, 16384);
    buf_add_text(&body, "{\"key\":\"");
    text_add_base64(&body, bytes_of(key, (size_t)key_size));
    buf_add_text(&body, "\",\"value\":\"");
    text_add_base64(&body, bytes_of(value, size));
    buf_add_text(&body, "\"}");
    const struct etcd_port *port = etcd_link_port(driver.link);
    const struct etcd_call call = {.path = "/v3/kv/put",
                                   .body = &body,
                                   .deadline_ms = 5000,
                                   .endpoint = KR_ETCD_ANY_ENDPOINT,
                                   .answered = on_put,
                                   .ctx = job};
    job->began_ns = clock_mono_ns();
    port->post(port->ctx, &call);
}

static int by_size(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void tell_measured(void)
{
    double seconds = (double)(clock_mono_ns() - driver.began_ns) / 1e9;
    qsort(driver.took_ns, driver.done, sizeof(uint64_t), by_size);
    say("measured p50 %.0f us p99 %.0f us, %.0f a second",
        (double)driver.took_ns[driver.done / 2] / 1e3,
        (double)driver.took_ns[driver.done * 99 / 100] / 1e3, (double)driver.done / seconds);
    mem_free(driver.took_ns);
    driver.took_ns = NULL;
    driver.wanted = 0;
}

static uint64_t outstanding_max;

static void measure_on(void)
{
    if (driver.wanted > 0 && driver.done == driver.wanted)
        tell_measured();
    while (driver.started < driver.wanted && driver.outstanding < outstanding_max) {
        driver.started++;
        driver.outstanding++;
        if (driver.is_put)
            put(driver.size);
        else
            append(1, driver.size, true);
    }
}

static void measure(uint64_t count, size_t size, uint64_t outstanding, bool is_put)
{
    driver.wanted = count;
    driver.started = driver.done = driver.outstanding = 0;
    driver.size = size;
    driver.is_put = is_put;
    driver.took_ns = mem_alloc(count * sizeof(uint64_t));
    driver.began_ns = clock_mono_ns();
    outstanding_max = outstanding;
    measure_on();
}

// --- commands ------------------------------------------------------------------------------------

static void on_closed(void *ctx)
{
    (void)ctx;
    say("closed");
    uv_close((uv_handle_t *)&driver.check, NULL);
    uv_close((uv_handle_t *)&driver.tick, NULL);
    uv_close((uv_handle_t *)&driver.input, NULL);
}

static void on_engine_closed(void *ctx)
{
    (void)ctx;
    driver.engine = NULL;
    etcd_link_close(driver.link, on_closed, NULL);
}

static void stop(void)
{
    if (driver.is_stopping)
        return;
    driver.is_stopping = true;
    uv_poll_stop(&driver.input);
    driver.engine->verbs->close(driver.engine, on_engine_closed, NULL);
}

static void tell_figures(void)
{
    struct engine_etcd_figures figures;
    engine_etcd_figures(driver.engine, &figures);
    say("figures {\"epoch\":%llu,\"end\":%llu,\"transactions\":%llu,\"retries\":%llu,"
        "\"databaseBytes\":%llu,\"isOutOfSpace\":%s}",
        (unsigned long long)figures.epoch, (unsigned long long)figures.end_index,
        (unsigned long long)figures.transactions, (unsigned long long)figures.retries,
        (unsigned long long)figures.database_bytes, figures.is_out_of_space ? "true" : "false");
}

static void obey(const char *line)
{
    unsigned long long a = 0, b = 0, c = 0;
    if (sscanf(line, "append %llu %llu", &a, &b) == 2)
        append((size_t)a, (size_t)b, false);
    else if (strncmp(line, "entry ", 6) == 0)
        append_entry(line + 6);
    else if (sscanf(line, "bench %llu %llu %llu", &a, &b, &c) == 3)
        measure(a, (size_t)b, c, false);
    else if (sscanf(line, "put %llu %llu %llu", &a, &b, &c) == 3)
        measure(a, (size_t)b, c, true);
    else if (sscanf(line, "trim %llu", &a) == 1)
        driver.engine->verbs->trim(driver.engine, a);
    else if (strcmp(line, "figures") == 0)
        tell_figures();
    else if (strcmp(line, "stop") == 0)
        stop();
    else
        say("what? %s", line);
}

static void on_input(uv_poll_t *input, int status, int events)
{
    char piece[4096];
    (void)input;
    (void)status;
    (void)events;
    ssize_t size = read(STDIN_FILENO, piece, sizeof(piece));
    if (size <= 0) {
        stop();
        return;
    }
    for (ssize_t i = 0; i < size; i++) {
        buf_add_u8(&driver.lines, piece[i] == '\n' ? '\0' : (uint8_t)piece[i]);
        if (piece[i] != '\n')
            continue;
        obey((const char *)driver.lines.data);
        buf_clear(&driver.lines);
    }
}

static void on_check(uv_check_t *check)
{
    (void)check;
    while (driver.engine != NULL && engine_turn(driver.engine))
        continue;
    if (driver.engine != NULL && driver.is_catching_up && !driver.is_stopping)
        catch_up();
    if (driver.wanted > 0 && !driver.is_put)
        measure_on();
}

static void on_tick(uv_timer_t *tick)
{
    (void)tick; // it wakes the loop
}

static const char *file_of(const char *argument)
{
    return strcmp(argument, "-") == 0 ? "" : argument;
}

static bool begin_at(const char *index, const char *chain)
{
    unsigned long long high, low;
    driver.index = strtoull(index, NULL, 10);
    bool is_chain = sscanf(chain, "%16llx%16llx", &high, &low) == 2;
    if (is_chain)
        driver.chain = (struct hash128){.high = high, .low = low};
    return is_chain;
}

int main(int count, char **arguments)
{
    struct fault fault = {0};
    if ((count != 8 && count != 10) || (count == 10 && !begin_at(arguments[8], arguments[9]))) {
        fprintf(stderr,
                "usage: etcd-driver MEMBER CLUSTER ENDPOINTS QUOTA CA CERT KEY [INDEX CHAIN]\n");
        return 2;
    }
    rand_init();
    uv_loop_init(&driver.loop);
    const struct etcd_link_options link = {.loop = &driver.loop,
                                           .endpoints = arguments[3],
                                           .ca_file = file_of(arguments[5]),
                                           .cert_file = file_of(arguments[6]),
                                           .key_file = file_of(arguments[7])};
    if (etcd_link_new(&link, &driver.link, &fault) != KR_ERR_OK) {
        say("fault %s", fault.text);
        return 1;
    }
    const struct engine_etcd_options options = {.port = etcd_link_port(driver.link),
                                                .cluster_id = arguments[2],
                                                .member_id = arguments[1],
                                                .peer_address = "127.0.0.1:7402",
                                                .leader_ttl_ms = 2000,
                                                .quota_bytes = strtoull(arguments[4], NULL, 10),
                                                .position = on_position,
                                                .refused = on_refused};
    driver.engine = engine_etcd_new(&options);
    driver.engine->events = (struct engine_events){.role = on_role, .leader = on_leader};
    buf_init(&driver.lines, 4096);
    uv_check_init(&driver.loop, &driver.check);
    uv_check_start(&driver.check, on_check);
    uv_timer_init(&driver.loop, &driver.tick);
    uv_timer_start(&driver.tick, on_tick, 50, 50);
    uv_poll_init(&driver.loop, &driver.input, STDIN_FILENO);
    uv_poll_start(&driver.input, UV_READABLE, on_input);
    driver.engine->verbs->campaign(driver.engine);
    uv_run(&driver.loop, UV_RUN_DEFAULT);
    uv_loop_close(&driver.loop);
    buf_fini(&driver.lines);
    return 0;
}
