// SPDX-License-Identifier: Apache-2.0
// serve --idle: resident memory that a connection costs which has asked once and is kept open.
//
// A fresh node for each measurement, as an allocator gives to later connections what earlier ones
// have left.
#include "bench/serve_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/load_tls.h"
#include "bench/process.h"
#include "bench/progress.h"
#include "bench/table.h"
#include "core/base/mem.h"

enum { KR_IDLE_IN = 8192, KR_IDLE_REST_MS = 500 };

static const enum serve_who kinds[] = {KR_SERVE_HTTP, KR_SERVE_HTTPS, KR_SERVE_BINARY,
                                       KR_SERVE_BINARY_TLS};

enum { KR_IDLE_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct idle {
    struct serve *serve;
    int *fds;
    struct tls **ends; // of those with TLS
    size_t count;      // open
    double bytes[KR_IDLE_KINDS][KR_SERVE_TURNS];
};

static bool send_question(const struct load_target *target, struct tls *tls, int fd,
                          struct bytes key)
{
    uint8_t memory[KR_PROTOCOL_REQUEST_MAX], sealed[2 * KR_PROTOCOL_REQUEST_MAX];
    struct buf plain, wire;
    buf_init_fixed(&plain, memory, sizeof(memory));
    buf_init_fixed(&wire, sealed, sizeof(sealed));
    protocol_add(&target->request, key, &plain);
    struct bytes out = buf_bytes(&plain);
    if (tls != NULL) {
        if (!load_tls_seal(tls, out, &wire))
            return false;
        out = buf_bytes(&wire);
    }
    return send(fd, out.data, out.size, MSG_NOSIGNAL) == (ssize_t)out.size;
}

static bool take(struct tls *tls, int fd, struct buf *out)
{
    uint8_t in[KR_IDLE_IN];
    ssize_t size = recv(fd, in, sizeof(in), 0);
    if (size <= 0)
        return false;
    if (tls == NULL)
        buf_add(out, in, (size_t)size);
    else if (tls_receive(tls, bytes_of(in, (size_t)size)) != KR_ERR_OK)
        return false;
    else
        tls_read(tls, out);
    return buf_result(out) == KR_ERR_OK;
}

// One question and its answer, as a gateway's connection has had many.
static bool ask(const struct load_target *target, struct tls *tls, int fd, struct bytes key)
{
    uint8_t memory[KR_IDLE_IN];
    struct buf in;
    size_t used;
    struct protocol_answer answer;
    enum protocol_outcome outcome = KR_PROTOCOL_MORE;
    buf_init_fixed(&in, memory, sizeof(memory));
    if (!send_question(target, tls, fd, key))
        return false;
    while (outcome == KR_PROTOCOL_MORE && take(tls, fd, &in))
        outcome = protocol_read(target->request.kind, buf_bytes(&in), &used, &answer);
    return outcome == KR_PROTOCOL_DONE && answer.status == 200;
}

static enum kr_err open_one(struct idle *idle, const struct load_target *target)
{
    struct fault *fault = &idle->serve->fault;
    int fd = load_connect(target);
    if (fd < 0)
        return fault_set(fault, KR_ERR_IO, "connection %zu: %s", idle->count + 1, strerror(errno));
    idle->fds[idle->count] = fd;
    struct tls **tls = &idle->ends[idle->count++];
    if (target->tls != NULL)
        *tls = load_tls_open(target, fd);
    if ((target->tls != NULL && *tls == NULL) ||
        !ask(target, *tls, fd, keyset_at(&idle->serve->keys, 0)))
        return fault_set(fault, KR_ERR_IO, "connection %zu has got no good answer", idle->count);
    return KR_ERR_OK;
}

// By a reset, which leaves no port behind that nobody could use for a minute.
static void close_all(struct idle *idle)
{
    const struct linger at_once = {.l_onoff = 1};
    for (size_t i = 0; i < idle->count; i++) {
        setsockopt(idle->fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(idle->fds[i]);
        tls_free(&idle->ends[i]);
    }
    idle->count = 0;
}

static enum kr_err measure(struct idle *idle, size_t kind, size_t turn)
{
    struct serve *serve = idle->serve;
    const struct load_target *target = &serve->report.contenders[kinds[kind]].target;
    bool is_secure = target->tls != NULL;
    const struct child *node = is_secure ? &serve->rig.secure : &serve->rig.node;
    uint64_t before = 0;
    progress_say("turn %zu of %llu  %s", turn + 1, (unsigned long long)serve->options.turns,
                 serve->report.contenders[kinds[kind]].name);
    enum kr_err err = rig_restart(&serve->rig, is_secure, &serve->fault);
    // What only the first connection costs is not counted.
    for (uint64_t i = 0; i <= serve->options.idle && err == KR_ERR_OK; i++) {
        err = open_one(idle, target);
        before = i == 0 ? process_resident_bytes(node->pid) : before;
    }
    nanosleep(&(struct timespec){.tv_nsec = KR_IDLE_REST_MS * 1000000L}, NULL);
    idle->bytes[kind][turn] =
        ((double)process_resident_bytes(node->pid) - (double)before) / (double)serve->options.idle;
    close_all(idle);
    return err;
}

static void report(struct idle *idle)
{
    struct serve *serve = idle->serve;
    struct table *table = mem_zalloc(sizeof(*table));
    const char *const headings[] = {"bytes each", "min", "max", "target"};
    table_row(table, "idle connections");
    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_text(table, headings[i]);
    for (size_t kind = 0; kind < KR_IDLE_KINDS; kind++) {
        char target[KR_TABLE_CELL];
        const struct serve_contender *contender = &serve->report.contenders[kinds[kind]];
        const struct result_row row = {
            .name = "idle.memory",
            .label = contender->name,
            .unit = "bytes",
            .conditions = {{"connections", (double)serve->options.idle, NULL},
                           {"protocol", 0, contender->protocol}},
            .values = idle->bytes[kind],
            .count = serve->options.turns};
        result_write(&serve->results, &row);
        result_target(&serve->results, &row, target, sizeof(target));
        table_row(table, contender->name);
        table_number(table, table_median(idle->bytes[kind], serve->options.turns), 0); // sorts
        table_number(table, idle->bytes[kind][0], 0);
        table_number(table, idle->bytes[kind][serve->options.turns - 1], 0);
        table_text(table, target);
    }
    if (!serve->results.is_json)
        table_print(table, stdout);
    mem_free(table);
}

enum kr_err serve_idle(struct serve *serve)
{
    struct rlimit limit;
    struct idle *idle = mem_zalloc(sizeof(*idle));
    idle->serve = serve;
    idle->fds = mem_zalloc((serve->options.idle + 1) * sizeof(*idle->fds));
    idle->ends = mem_zalloc((serve->options.idle + 1) * sizeof(struct tls *));
    enum kr_err err = serve_add_contenders(serve);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    for (size_t turn = 0; turn < serve->options.turns; turn++)
        for (size_t kind = 0; kind < KR_IDLE_KINDS && err == KR_ERR_OK; kind++)
            err = measure(idle, kind, turn);
    progress_say("%s", "");
    if (err == KR_ERR_OK)
        report(idle);
    mem_free(idle->fds);
    mem_free(idle->ends);
    mem_free(idle);
    return err;
}
