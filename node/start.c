// SPDX-License-Identifier: Apache-2.0
// The order of a start and of a stop.
//
// Start: directory → lock → a look at ports and sockets → store → vault → engine and replica →
// bootstrap → listeners → loops → loading → ready (readiness.c). Everything that can be refused is
// refused before the first listener opens, with one line. Stop: the reverse; the control loop has
// ended the serving loops and closed the replica.
#include "node/start.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/priority.h"
#include "core/base/rand.h"
#include "core/store/store_flush.h"
#include "node/bootstrap.h"
#include "node/config_row.h"
#include "node/descriptors.h"
#include "node/engines.h"
#include "node/listen.h"
#include "node/master_key.h"
#include "node/notify.h"
#include "node/serve.h"
#include "node/signals.h"
#include "replication/state_store.h"
#include "replication/upstream.h"

enum { KR_PATH_SIZE = 4096, KR_POOL_THREADS_MIN = 4, KR_ADDRESS_FILE_SIZE = 80 };

// --- what cannot be survived ---------------------------------------------------------------------

// What is durable is durable, and nothing else may be acknowledged.
void node_die(const struct fault *fault)
{
    LOG_ERROR("stopped: cannot go on", LOG_TEXT("why", fault->text));
    notify_status(fault->text);
    _exit(1);
}

static void on_fatal(void *ctx, enum kr_err err, const struct fault *fault)
{
    (void)ctx;
    (void)err;
    node_die(fault);
}

static void on_leader(void *ctx, const char *member_id, const char *peer_address)
{
    const struct node *node = ctx;
    control_leader_is(node->control, member_id, peer_address);
}

// On a loading thread. The log below its tail is checked behind that: no answer depends on it.
static void on_loaded(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct node *node = ctx;
    struct fault damage = {0};
    if (err == KR_ERR_BUSY) // closed before it was done
        return;
    if (err != KR_ERR_OK)
        node_die(fault);
    atomic_store(&node->is_loaded, true);
    if (store_verify_log(node->store, &damage) == KR_ERR_CORRUPT)
        node_die(&damage);
}

// --- process-wide --------------------------------------------------------------------------------

static void configure_log(const struct config *config)
{
    enum log_level level = KR_LOG_INFO;
    enum log_format format = KR_LOG_AUTO;
    bool is_known = log_parse_level(config->log_level, &level);
    if (strcmp(config->log_format, "text") == 0)
        format = KR_LOG_TEXT;
    else if (strcmp(config->log_format, "json") == 0)
        format = KR_LOG_JSON;
    if (is_known)
        log_configure(level, format);
}

static size_t core_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (size_t)cores : 1;
}

// How many libuv will start: at its first piece of work, once for the process.
static size_t pool_threads(void)
{
    const char *given = getenv("UV_THREADPOOL_SIZE");
    return given == NULL ? KR_POOL_THREADS_MIN : (size_t)strtoul(given, NULL, 10);
}

static void size_thread_pool(void)
{
    char text[24];
    size_t threads = core_count();
    if (threads < KR_POOL_THREADS_MIN)
        threads = KR_POOL_THREADS_MIN;
    snprintf(text, sizeof(text), "%zu", threads);
    setenv("UV_THREADPOOL_SIZE", text, 0);
}

static void on_first_work(uv_work_t *work)
{
    (void)work;
}

static void *begin_thread_pool(void *unused)
{
    uv_loop_t loop;
    uv_work_t work;
    pthread_setname_np(pthread_self(), "kr-pool");
    priority_take(KR_PRIORITY_ORDERS);
    uv_loop_init(&loop);
    uv_queue_work(&loop, &work, on_first_work, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return unused;
}

// libuv starts all of it when it is first asked for anything, and its threads take after the one
// that asks: its name, its priority, the signals that it holds back.
static void start_thread_pool(void)
{
    pthread_t thread;
    size_thread_pool();
    if (pthread_create(&thread, NULL, begin_thread_pool, NULL) != 0)
        abort();
    pthread_join(thread, NULL);
}

static enum kr_err write_small(const struct node *node, const char *name, const char *text,
                               struct fault *fault)
{
    char path[KR_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/%s", node->config->data, name);
    return file_replace(path, bytes_text(text), 0644, fault);
}

static void remove_small(const struct node *node, const char *name)
{
    char path[KR_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/%s", node->config->data, name);
    unlink(path);
}

// --- the parts -----------------------------------------------------------------------------------

static enum kr_err open_store(struct node *node, struct fault *fault)
{
    const struct config *config = node->config;
    char path[KR_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/db", config->data);
    struct store_options options = {
        .directory = path,
        .block_cache_bytes = (size_t)config->block_cache_bytes,
        .disk_reserve_bytes = (uint64_t)config->disk_reserve_bytes,
        .log_retention_bytes = (uint64_t)config->log_retention_bytes,
        .log_retention_ms = config->log_retention_hours * 3600000,
        .load_threads = (unsigned)config->load_threads,
        .holding = node->identity.is_core ? KR_HOLD_ALL : KR_HOLD_VALIDATION,
        .is_log_elsewhere = config_wants_etcd(config),
    };
    return store_open(&options, &node->store, fault);
}

static void on_lost(void *ctx, const uint8_t digest[KR_DIGEST_SIZE], uint64_t revision)
{
    struct node *node = ctx;
    losses_note(node->losses, digest, revision);
    for (size_t i = 0; i < node->serve_count; i++) {
        if (node->serves[i] != NULL)
            serve_tell_losses(node->serves[i]);
    }
}

static void open_replica(struct node *node)
{
    state_store_init(&node->state, node->store);
    struct replica_options options = {.state = &node->state,
                                      .engine = node->engine,
                                      .fatal = on_fatal,
                                      .leader = on_leader,
                                      .fitness = control_fitness,
                                      .ctx = node};
    node->replica = replica_new(&options);
    if (!store_may_lack(node->store))
        return;
    replica_note_doubt(node->replica, true);
    LOG_WARN("the machine stopped without this node, which may hold less than it has acknowledged: "
             "it answers STALE until it has caught up",
             LOG_NUMBER("index", store_applied_index(node->store)));
}

static void bound_connections(struct node *node)
{
    char mend[128];
    const struct config *config = node->config;
    uint64_t limit = descriptors_raise();
    node->connections_max = descriptors_connections(config, node->serve_count, limit);
    if (node->connections_max == (uint64_t)config->connections_max)
        return;
    unsigned long long wanted = descriptors_wanted(config, node->serve_count);
    snprintf(mend, sizeof(mend), "LimitNOFILE=%llu in the unit, or ulimit -n %llu before the start",
             wanted, wanted);
    LOG_WARN("fewer connections than connections_max: the limit of descriptors is too low",
             LOG_NUMBER("connections", node->connections_max), LOG_NUMBER("descriptors", limit),
             LOG_TEXT("mend", mend));
}

static enum kr_err open_serves(struct node *node, struct fault *fault)
{
    size_t wanted = (size_t)node->config->serve_threads;
    node->serve_count = wanted > 0 ? wanted : core_count();
    if (node->serve_count > KR_NODE_LOOPS_MAX)
        node->serve_count = KR_NODE_LOOPS_MAX;
    bound_connections(node);
    for (size_t i = 0; i < node->serve_count; i++)
        node->metrics[i] = metrics_new();
    for (size_t i = 0; i < node->serve_count; i++) {
        enum kr_err err = serve_new(node, i, &node->serves[i], fault);
        if (err != KR_ERR_OK)
            return err;
    }
    return KR_ERR_OK;
}

// "http_validation" → "http-validation-address", "binary_listen" → "binary-address".
static void address_file(const struct listen_plan *plan, char out[KR_ADDRESS_FILE_SIZE])
{
    char dashes[KR_CONFIG_NAME_SIZE];
    config_dashes(plan->setting, dashes);
    char *end = strstr(dashes, "-listen");
    if (end != NULL)
        *end = '\0';
    snprintf(out, KR_ADDRESS_FILE_SIZE, "%s-address", dashes);
}

static const char *protocol_of(const struct listen_plan *plan, enum listen_number number)
{
    if (number == KR_LISTEN_BINARY)
        return plan->is_tls ? "binary over TLS" : "binary";
    return plan->is_tls ? "https" : "http";
}

// Says where a listener is and what it serves, in the log and in a file.
static enum kr_err announce_one(const struct node *node, const struct listen_plan *plan,
                                enum listen_number number, struct fault *fault)
{
    char address[128], line[136], serves[64], file[KR_ADDRESS_FILE_SIZE];
    listen_tcp_address(plan, number, address, sizeof(address));
    snprintf(line, sizeof(line), "%s\n", address);
    address_file(plan, file);
    enum kr_err err = write_small(node, file, line, fault);
    listen_serves_text(plan->serves, serves, sizeof(serves));
    LOG_INFO("listening", LOG_TEXT("setting", plan->setting), LOG_TEXT("address", address),
             LOG_TEXT("protocol", protocol_of(plan, number)), LOG_TEXT("serves", serves),
             LOG_TEXT("clients", plan->needs_client ? "with a certificate" : "any"));
    return err;
}

static enum kr_err announce(const struct node *node, struct fault *fault)
{
    char pid[32];
    struct listen_plan plans[KR_LISTEN_COUNT];
    enum kr_err err = listen_plan(node->config, plans, fault);
    for (size_t i = KR_LISTEN_COUNT; i-- > 0 && err == KR_ERR_OK;)
        if (plans[i].address[0] != '\0')
            err = announce_one(node, &plans[i], (enum listen_number)i, fault);
    snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (err == KR_ERR_OK)
        err = write_small(node, "keyreeved.pid", pid, fault);
    LOG_INFO("serving", LOG_TEXT("unix", node->config->http_unix),
             LOG_TEXT("binaryUnix", node->config->binary_unix),
             LOG_TEXT("node", node->identity.node_id), LOG_TEXT("cluster", node->cluster_id),
             LOG_NUMBER("loops", node->serve_count));
    return err;
}

static void retract(const struct node *node)
{
    char file[KR_ADDRESS_FILE_SIZE];
    struct fault fault;
    struct listen_plan plans[KR_LISTEN_COUNT];
    if (listen_plan(node->config, plans, &fault) != KR_ERR_OK)
        return;
    for (size_t i = 0; i < KR_LISTEN_COUNT; i++) {
        address_file(&plans[i], file);
        remove_small(node, file);
    }
    remove_small(node, "keyreeved.pid");
}

static void take_apart(struct node *node)
{
    for (size_t i = 0; i < node->serve_count; i++) {
        if (node->serves[i] != NULL)
            serve_join(&node->serves[i]);
    }
    if (node->control != NULL)
        control_free(&node->control);
    if (node->store != NULL)
        store_close(&node->store);
    for (size_t i = 0; i < node->serve_count; i++)
        metrics_free(&node->metrics[i]);
    secure_free(&node->secure);
    listen_unix_end(node->config);
    retract(node);
}

static enum kr_err build(struct node *node, struct vault **vault, struct fault *fault)
{
    enum kr_err err = secure_new(node->config, &node->secure, fault);
    if (err == KR_ERR_OK)
        err = listen_probe(node->config, fault);
    if (err == KR_ERR_OK)
        err = open_store(node, fault);
    if (err == KR_ERR_OK)
        err = bootstrap_check(node, fault);
    if (err == KR_ERR_OK && node->identity.is_core)
        err = bootstrap_vault(node, vault, fault);
    if (err != KR_ERR_OK)
        return err;
    store_watch(node->store, on_lost, node);
    node->control = control_new(node);
    err = control_open_engine(node->control, fault);
    if (err != KR_ERR_OK)
        return err;
    open_replica(node);
    err = bootstrap_cluster(node, fault);
    if (err == KR_ERR_OK)
        err = control_open_peers(node->control, fault);
    if (err == KR_ERR_OK)
        err = open_serves(node, fault);
    if (err == KR_ERR_OK)
        err = announce(node, fault);
    return err;
}

static void *run_control(void *ctx)
{
    struct node *node = ctx;
    pthread_setname_np(pthread_self(), "kr-control");
    priority_take(KR_PRIORITY_ORDERS);
    signals_hear();
    control_run(node->control);
    return NULL;
}

// On a thread of its own, because a thread cannot take its priority back, and this one may start
// another node.
static void await_control(struct node *node)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_control, node) != 0)
        abort();
    pthread_join(thread, NULL);
}

static void run(struct node *node)
{
    for (size_t i = 0; i < node->serve_count; i++)
        serve_start(node->serves[i]);
    store_load(node->store, on_loaded, node);
    await_control(node);
    if (node->must_restart)
        return;
    signals_ignore();
    notify_stopping();
}

// Closes what a start that failed has opened: that needs turns of the loop.
static void run_down(struct node *node)
{
    if (node->control == NULL)
        return;
    control_stop(node->control);
    control_run(node->control);
}

// Where there is none yet, the bootstrap makes it.
static enum kr_err read_master_key(const struct config *config, struct vault **vault,
                                   struct fault *fault)
{
    return master_key_is_missing(config) ? KR_ERR_OK : master_key_read(config, vault, fault);
}

// It is for people to read; nothing here does.
static enum kr_err check_owner_token(const struct config *config, struct fault *fault)
{
    char path[KR_PATH_SIZE];
    struct buf content;
    snprintf(path, sizeof(path), "%s/owner-token", config->data);
    if (access(path, F_OK) != 0)
        return KR_ERR_OK;
    buf_init(&content, KR_PATH_SIZE);
    enum kr_err err = file_read_secret(path, &content, fault);
    buf_fini(&content);
    return err;
}

enum kr_err start_check(const struct config *config, struct vault **vault, struct fault *fault)
{
    struct identity identity;
    struct secure *secure = NULL;
    enum kr_err err = secure_new(config, &secure, fault);
    secure_free(&secure);
    if (err == KR_ERR_OK)
        err = listen_check(config, fault);
    if (err == KR_ERR_OK)
        err = identity_read(config, &identity, fault);
    if (err == KR_ERR_OK)
        err = upstream_check(config->upstreams, fault);
    if (err == KR_ERR_OK && identity.is_core)
        err = engines_check(config, fault);
    if (err == KR_ERR_OK)
        err = check_owner_token(config, fault);
    if (err == KR_ERR_OK && identity.is_core)
        err = read_master_key(config, vault, fault);
    else
        master_key_forget();
    return err;
}

void start_prepare(const struct config *config)
{
    umask(0077); // digests, e-mails and the audit trail are nobody else's to read
    configure_log(config);
    signal(SIGPIPE, SIG_IGN);
    (void)descriptors_raise(); // the database is opened with it
    signals_hold();
    start_thread_pool();
    rand_init();
}

static struct node *new_node(const struct config *config)
{
    struct node *node = mem_zalloc(sizeof(*node));
    node->config = config;
    node->started_boot_ms = clock_boot_ms();
    node->pool_threads = pool_threads();
    node->figures = figures_new();
    node->commits = commits_new();
    node->losses = losses_new();
    node->ceilings = ceilings_new((uint64_t)node->config->connections_per_address,
                                  (uint64_t)node->config->auth_failures_per_minute);
    node->denials = denials_new();
    node->names = names_new();
    node->board = board_new();
    return node;
}

static void free_node(struct node *node)
{
    figures_free(&node->figures);
    ceilings_free(&node->ceilings);
    commits_free(&node->commits);
    losses_free(&node->losses);
    denials_free(&node->denials);
    names_free(&node->names);
    board_free(&node->board);
    mem_free(node);
}

// One life of the node on its locked directory; *again: it wants another, with a new state.
static enum kr_err run_once(const struct config *config, struct vault **vault, bool *again,
                            struct fault *fault)
{
    struct node *node = new_node(config);
    enum kr_err err = identity_read(config, &node->identity, fault);
    if (err == KR_ERR_OK)
        err = build(node, vault, fault);
    if (err == KR_ERR_OK)
        run(node);
    else
        run_down(node);
    *again = err == KR_ERR_OK && node->must_restart;
    take_apart(node);
    if (err == KR_ERR_OK)
        LOG_INFO("stopped", LOG_NUMBER("afterMs", clock_boot_ms() - node->started_boot_ms));
    free_node(node);
    return err;
}

// One that was made under a wider umask is open to whoever may enter <data>.
static enum kr_err shut_database(const struct config *config, struct fault *fault)
{
    char path[KR_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/db", config->data);
    if (chmod(path, 0700) == 0 || errno == ENOENT)
        return KR_ERR_OK;
    int number = errno;
    return fault_set(fault, err_from_errno(number),
                     "%s: cannot be shut to others (%s); chmod 700 it as its owner", path,
                     strerror(number));
}

enum kr_err start_run(const struct config *config, struct vault **vault, struct fault *fault)
{
    char path[KR_PATH_SIZE];
    int lock = -1;
    bool again = true;
    enum kr_err err = file_make_directory(config->data, 0700, fault);
    snprintf(path, sizeof(path), "%s/lock", config->data);
    if (err == KR_ERR_OK)
        err = file_lock(path, &lock, fault);
    if (err != KR_ERR_OK)
        return err;
    err = shut_database(config, fault);
    while (err == KR_ERR_OK && again)
        err = run_once(config, vault, &again, fault);
    file_unlock(&lock);
    return err;
}
