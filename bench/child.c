// SPDX-License-Identifier: Apache-2.0
// A keyreeved as a child process.
#include "bench/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"

enum { KR_CHILD_ANSWER = 65536, KR_CHILD_STOP_MS = 60000, KR_CHILD_ARGUMENTS = 48 };

static void pause_1ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

// execv(3) takes texts that it does not change as if it did.
static char *lend(const char *text)
{
    union {
        const char *in;
        char *out;
    } lent = {.in = text};
    return lent.out;
}

static void fill_arguments(const struct child_options *options, char *out[KR_CHILD_ARGUMENTS + 1])
{
    const char *const first[] = {
        options->program,  "--data", options->data, "--http", options->http,
        "--binary-listen", "",       "--log-level", "error"};
    size_t count = 0;
    for (; count < sizeof(first) / sizeof(first[0]); count++)
        out[count] = lend(first[count]);
    for (const char *const *more = options->settings; more != NULL && *more != NULL; more++) {
        assert(count < KR_CHILD_ARGUMENTS);
        out[count++] = lend(*more);
    }
    out[count] = NULL;
}

// Between fork and exec: system calls alone.
static void become(const struct child_options *options)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(nowhere, STDIN_FILENO);
    dup2(nowhere, STDOUT_FILENO);
    if (options->is_quiet)
        dup2(nowhere, STDERR_FILENO);
    char *arguments[KR_CHILD_ARGUMENTS + 1];
    fill_arguments(options, arguments);
    if (options->cpu > 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)options->cpu - 1, &set);
        sched_setaffinity(0, sizeof(set), &set);
    }
    execv(options->program, arguments);
    _exit(127);
}

enum kr_err child_start(const struct child_options *options, struct child *child,
                        struct fault *fault)
{
    *child = (struct child){0};
    enum kr_err err = load_resolve(options->http, false, &child->target, fault);
    if (err != KR_ERR_OK)
        return err;
    if (access(options->program, X_OK) != 0)
        return fault_set(fault, KR_ERR_INVALID, "%s: %s", options->program, strerror(errno));
    if (child_ask(child, "/healthz", (struct bytes){0}) != 0)
        return fault_set(fault, KR_ERR_LOCKED,
                         "something answers on %s already; choose another "
                         "--http",
                         options->http);
    child->begin_ns = clock_mono_ns();
    child->pid = fork();
    if (child->pid == 0)
        become(options);
    if (child->pid > 0)
        return KR_ERR_OK;
    child->pid = 0;
    return fault_set(fault, err_from_errno(errno), "fork: %s", strerror(errno));
}

static unsigned read_status(int fd)
{
    uint8_t in[KR_CHILD_ANSWER];
    struct protocol_answer answer;
    size_t size = 0, used;
    while (size < sizeof(in)) {
        ssize_t more = recv(fd, in + size, sizeof(in) - size, 0);
        if (more <= 0)
            return 0;
        size += (size_t)more;
        switch (protocol_read(KR_PROTOCOL_BEARER, bytes_of(in, size), &used, &answer)) {
        case KR_PROTOCOL_DONE:
            return answer.status;
        case KR_PROTOCOL_BROKEN:
            return 0;
        case KR_PROTOCOL_MORE:
            break;
        }
    }
    return 0;
}

unsigned child_ask(const struct child *child, const char *path, struct bytes key)
{
    const struct protocol_request request = {key.size > 0 ? KR_PROTOCOL_BEARER : KR_PROTOCOL_EMPTY,
                                             "localhost", path};
    const struct timeval patience = {.tv_sec = 1};
    uint8_t memory[KR_PROTOCOL_REQUEST_MAX];
    struct buf out;
    unsigned status = 0;
    int fd = load_connect(&child->target);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    buf_init_fixed(&out, memory, sizeof(memory));
    protocol_add(&request, key, &out);
    if (send(fd, out.data, out.size, MSG_NOSIGNAL) == (ssize_t)out.size)
        status = read_status(fd);
    close(fd);
    return status;
}

enum kr_err child_await(struct child *child, const char *path, struct bytes key, double deadline_s,
                        uint64_t *after_ns, struct fault *fault)
{
    while (child_ask(child, path, key) != 200) {
        int status;
        if (waitpid(child->pid, &status, WNOHANG) == child->pid) {
            child->pid = 0;
            return fault_set(fault, KR_ERR_IO, "the node ended with %s %d before %s was 200",
                             WIFSIGNALED(status) ? "signal" : "code",
                             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), path);
        }
        if ((double)(clock_mono_ns() - child->begin_ns) / 1e9 > deadline_s)
            return fault_set(fault, KR_ERR_TIMEOUT, "%s was not 200 within %.0f s", path,
                             deadline_s);
        pause_1ms();
    }
    *after_ns = clock_mono_ns() - child->begin_ns;
    return KR_ERR_OK;
}

uint64_t child_stop(struct child *child)
{
    uint64_t begin_ns = clock_mono_ns();
    if (child->pid == 0)
        return 0;
    kill(child->pid, SIGTERM);
    for (unsigned ms = 0; waitpid(child->pid, NULL, WNOHANG) == 0; ms++) {
        if (ms == KR_CHILD_STOP_MS)
            kill(child->pid, SIGKILL);
        pause_1ms();
    }
    child->pid = 0;
    return clock_mono_ns() - begin_ns;
}
