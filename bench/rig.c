// SPDX-License-Identifier: Apache-2.0
// Setting up what is measured: keys are minted and imported into one node, the other gets a copy.
//
// Ways it can fail: a program that is missing or ends badly (named; its words go to stderr).
#include "bench/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/program.h"
#include "bench/progress.h"
#include "core/base/file.h"

enum { KR_RIG_ARGUMENTS = 24, KR_RIG_PATH = 512, KR_RIG_PATIENCE_S = 300, KR_RIG_TRIES = 1000 };

extern char **environ;

// --- programs ------------------------------------------------------------------------------------

// The arguments of a program: texts, ended by NULL.
struct command {
    char texts[KR_RIG_ARGUMENTS][KR_RIG_PATH];
    char *list[KR_RIG_ARGUMENTS + 1];
};

static void fill(struct command *command, va_list arguments)
{
    size_t count = 0;
    const char *text = va_arg(arguments, const char *);
    for (; text != NULL && count < KR_RIG_ARGUMENTS; text = va_arg(arguments, const char *)) {
        snprintf(command->texts[count], KR_RIG_PATH, "%s", text);
        command->list[count] = command->texts[count];
        count++;
    }
    command->list[count] = NULL;
}

static enum kr_err start(struct command *command, pid_t *pid, struct fault *fault)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int status = posix_spawnp(pid, command->list[0], &actions, NULL, command->list, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (status == 0)
        return KR_ERR_OK;
    *pid = 0;
    return fault_set(fault, KR_ERR_INVALID, "%s: %s", command->list[0], strerror(status));
}

// Runs a program (its name, its arguments, NULL) to its end.
static enum kr_err run(struct fault *fault, ...)
{
    struct command command;
    va_list arguments;
    pid_t pid;
    int status = 0;
    va_start(arguments, fault);
    fill(&command, arguments);
    va_end(arguments);
    enum kr_err err = start(&command, &pid, fault);
    if (err != KR_ERR_OK)
        return err;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_IO, "%s %s failed", command.list[0], command.list[1]);
}

// --- places --------------------------------------------------------------------------------------

// A port that nobody has at the moment.
static enum kr_err choose_address(char out[KR_RIG_TEXT], struct fault *fault)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, size) == 0 &&
                    getsockname(fd, (struct sockaddr *)&address, &size) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    snprintf(out, KR_RIG_TEXT, "127.0.0.1:%u", ntohs(address.sin_port));
    return is_bound ? KR_ERR_OK
                    : fault_set(fault, err_from_errno(number), "no port: %s", strerror(number));
}

static enum kr_err choose_places(struct rig *rig, struct fault *fault)
{
    char *const addresses[] = {rig->http, rig->https, rig->binary, rig->binary_tls,
                               rig->redis_address};
    enum kr_err err = program_directory("bench", rig->directory, sizeof(rig->directory), fault);
    if (err != KR_ERR_OK)
        return err;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]) && err == KR_ERR_OK; i++)
        err = choose_address(addresses[i], fault);
    snprintf(rig->url, sizeof(rig->url), "http://%.100s", rig->http);
    snprintf(rig->http_unix, sizeof(rig->http_unix), "%.130s/http.sock", rig->directory);
    snprintf(rig->binary_unix, sizeof(rig->binary_unix), "%.130s/binary.sock", rig->directory);
    snprintf(rig->keys, sizeof(rig->keys), "%.130s/keys", rig->directory);
    snprintf(rig->certificate, sizeof(rig->certificate), "%.130s/cert.pem", rig->directory);
    snprintf(rig->token, sizeof(rig->token), "%.130s/node/owner-token", rig->directory);
    snprintf(rig->consumer, sizeof(rig->consumer), "c000001");
    return err;
}

// --- the nodes -----------------------------------------------------------------------------------

static enum kr_err start_node(const struct rig_options *options, const struct rig *rig,
                              bool is_secure, struct child *node, struct fault *fault)
{
    char program[KR_RIG_PATH], data[KR_RIG_PATH], key[KR_RIG_PATH], scheme[KR_RIG_PATH],
        admin[KR_RIG_TEXT];
    uint64_t after_ns;
    const char *const clear[] = {"--serve-threads",
                                 "1",
                                 "--connections-per-address",
                                 "0",
                                 "--connections-max",
                                 "100000",
                                 "--rate-limit-per-token",
                                 "0",
                                 "--http-unix",
                                 rig->http_unix,
                                 "--binary-listen",
                                 rig->binary,
                                 "--binary-unix",
                                 rig->binary_unix,
                                 NULL};
    const char *const secure[] = {"--serve-threads",
                                  "1",
                                  "--connections-per-address",
                                  "0",
                                  "--connections-max",
                                  "100000",
                                  "--http",
                                  scheme,
                                  "--http-validation",
                                  rig->https,
                                  "--tls-cert",
                                  rig->certificate,
                                  "--tls-key",
                                  key,
                                  "--binary-listen",
                                  rig->binary_tls,
                                  NULL};
    enum kr_err err = choose_address(admin, fault);
    snprintf(program, sizeof(program), "%.400s/keyreeved", options->programs);
    snprintf(data, sizeof(data), "%s/%s", rig->directory, is_secure ? "secure" : "node");
    snprintf(key, sizeof(key), "%s/key.pem", rig->directory);
    snprintf(scheme, sizeof(scheme), "http://%s", admin);
    const struct child_options started = {.program = program,
                                          .data = data,
                                          .http = is_secure ? admin : rig->http,
                                          .settings = is_secure ? secure : clear,
                                          .cpu = options->server_cpu};
    if (err == KR_ERR_OK)
        err = child_start(&started, node, fault);
    return err == KR_ERR_OK ? child_await(node, "/readyz", (struct bytes){0}, KR_RIG_PATIENCE_S,
                                          &after_ns, fault)
                            : err;
}

static enum kr_err make_keys(const struct rig_options *options, const struct rig *rig,
                             struct fault *fault)
{
    char program[KR_RIG_PATH], rows[KR_RIG_PATH], keys[32], consumers[32];
    snprintf(rows, sizeof(rows), "%s.jsonl", rig->keys);
    snprintf(keys, sizeof(keys), "%llu", (unsigned long long)options->keys);
    snprintf(consumers, sizeof(consumers), "%llu", (unsigned long long)options->consumers);
    enum kr_err err = run(fault, "/proc/self/exe", "keys", "--count", keys, "--consumers",
                          consumers, "--out", rig->keys, "--jsonl", rows, NULL);
    progress_say("importing %s keys", keys);
    snprintf(program, sizeof(program), "%.400s/keyreeve", options->programs);
    if (err == KR_ERR_OK)
        err = run(fault, program, "import", rows, "--url", rig->url, "--token-file", rig->token,
                  NULL);
    unlink(rows);
    return err;
}

// Beside each other they would be two of a cluster's nodes; each is the only one it knows of.
static enum kr_err start_nodes(const struct rig_options *options, struct rig *rig,
                               struct fault *fault)
{
    char from[KR_RIG_PATH], to[KR_RIG_PATH], key[KR_RIG_PATH];
    snprintf(from, sizeof(from), "%s/node", rig->directory);
    snprintf(to, sizeof(to), "%s/secure", rig->directory);
    snprintf(key, sizeof(key), "%s/key.pem", rig->directory);
    enum kr_err err = run(fault, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                          "ec_paramgen_curve:P-256", "-out", key, NULL);
    if (err == KR_ERR_OK)
        err =
            run(fault, "openssl", "req", "-x509", "-key", key, "-out", rig->certificate, "-days",
                "2", "-subj", "/CN=keyreeve-bench", "-addext", "subjectAltName=IP:127.0.0.1", NULL);
    if (err == KR_ERR_OK)
        err = start_node(options, rig, false, &rig->node, fault);
    if (err == KR_ERR_OK)
        err = make_keys(options, rig, fault);
    child_stop(&rig->node);
    if (err == KR_ERR_OK)
        err = run(fault, "cp", "-r", from, to, NULL);
    if (err == KR_ERR_OK)
        err = start_node(options, rig, false, &rig->node, fault);
    if (err == KR_ERR_OK)
        err = start_node(options, rig, true, &rig->secure, fault);
    return err;
}

// --- Redis ---------------------------------------------------------------------------------------

static bool answers(const char *address)
{
    struct load_target target = {0};
    if (load_resolve(address, false, &target, NULL) != KR_ERR_OK)
        return false;
    int fd = load_connect(&target);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// Without a Redis the measurement goes on: what is beside it is left out.
static enum kr_err start_redis(const struct rig_options *options, struct rig *rig,
                               struct fault *fault)
{
    struct command command;
    char core[32];
    const char *port = strchr(rig->redis_address, ':') + 1;
    const char *const texts[] = {"taskset",      "-c",     core,        "redis-server", "--port",
                                 port,           "--bind", "127.0.0.1", "--save",       "",
                                 "--appendonly", "no",     "--dir",     rig->directory};
    size_t first = options->server_cpu > 0 ? 0 : 3, count = sizeof(texts) / sizeof(texts[0]);
    snprintf(core, sizeof(core), "%llu", (unsigned long long)options->server_cpu - 1);
    for (size_t i = first; i < count; i++) {
        snprintf(command.texts[i], KR_RIG_PATH, "%s", texts[i]);
        command.list[i - first] = command.texts[i];
    }
    command.list[count - first] = NULL;
    enum kr_err err = start(&command, &rig->redis, fault);
    for (int i = 0; err == KR_ERR_OK && i < KR_RIG_TRIES; i++) {
        if (answers(rig->redis_address))
            return KR_ERR_OK;
        if (waitpid(rig->redis, NULL, WNOHANG) != 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    rig->redis = 0;
    return fault_set(fault, KR_ERR_IO,
                     "redis-server does not start; install it, or leave it out "
                     "with --no-redis");
}

// --- its life ------------------------------------------------------------------------------------

enum kr_err rig_start(const struct rig_options *options, struct rig *rig, struct fault *fault)
{
    rig->options = *options;
    enum kr_err err = choose_places(rig, fault);
    if (err == KR_ERR_OK)
        err = start_nodes(options, rig, fault);
    if (err == KR_ERR_OK && options->wants_redis)
        err = start_redis(options, rig, fault);
    progress_say("%s", "");
    return err;
}

enum kr_err rig_restart(struct rig *rig, bool is_secure, struct fault *fault)
{
    struct child *node = is_secure ? &rig->secure : &rig->node;
    child_stop(node);
    return start_node(&rig->options, rig, is_secure, node, fault);
}

void rig_stop(struct rig *rig)
{
    if (rig->redis > 0) {
        kill(rig->redis, SIGKILL);
        waitpid(rig->redis, NULL, 0);
        rig->redis = 0;
    }
    child_stop(&rig->node);
    child_stop(&rig->secure);
    if (rig->directory[0] != '\0' &&
        file_remove_tree(rig->directory, &(struct fault){0}) != KR_ERR_OK)
        fprintf(stderr, "keyreeve-bench: %s is left behind\n", rig->directory);
    rig->directory[0] = '\0';
}
