// SPDX-License-Identifier: Apache-2.0
// Foreign programs as child processes.
#include "bench/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/interrupt.h"
#include "core/base/clock.h"

enum { KR_PROGRAM_PATIENCE_MS = 30000, KR_PROGRAM_STOP_MS = 10000 };

enum kr_err program_directory(const char *name, char *out, size_t size, struct fault *fault)
{
    const char *set = getenv("TMPDIR"), *temporary = set != NULL ? set : "/tmp";
    int length = snprintf(out, size, "%s/keyreeve-%s-XXXXXX", temporary, name);
    if ((size_t)length >= size) {
        out[0] = '\0';
        return fault_set(fault, KR_ERR_INVALID,
                         "TMPDIR %.100s…: %zu bytes too long; name a shorter one", temporary,
                         (size_t)length + 1 - size);
    }
    if (mkdtemp(out) != NULL)
        return KR_ERR_OK;
    enum kr_err err = fault_set(fault, err_from_errno(errno), "%s: %s", out, strerror(errno));
    out[0] = '\0';
    return err;
}

const char *program_folder(char *out, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", out, size - 1);
    out[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash != NULL)
        *slash = '\0';
    return out;
}

void program_find_user(struct program_user *user)
{
    const struct passwd *found = getpwnam("postgres");
    *user = (struct program_user){0};
    if (geteuid() != 0)
        return;
    if (found == NULL)
        found = getpwnam("nobody");
    if (found != NULL)
        *user = (struct program_user){true, found->pw_uid, found->pw_gid};
}

static void pause_10ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

void program_leave_cores(void)
{
    cpu_set_t own, others;
    long count = sysconf(_SC_NPROCESSORS_CONF);
    if (sched_getaffinity(0, sizeof(own), &own) != 0 || CPU_COUNT(&own) >= count)
        return;
    CPU_ZERO(&others);
    for (long cpu = 0; cpu < count && cpu < CPU_SETSIZE; cpu++)
        if (!CPU_ISSET((size_t)cpu, &own))
            CPU_SET((size_t)cpu, &others);
    sched_setaffinity(0, sizeof(others), &others); // refused: it runs where we do
}

// A changed user clears what ends the child with its parent, so that it is asked for again. Ctrl-C
// is for the parent alone, which ends its children in order.
__attribute__((noreturn)) static void become(const struct program_plan *plan, int log)
{
    const struct program_user *user = plan->user;
    setsid();
    program_leave_cores();
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    umask(077);
    if (user != NULL && user->is_other &&
        (setgroups(0, NULL) != 0 || setgid(user->gid) != 0 || setuid(user->uid) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(plan->directory) != 0)
        _exit(126);
    execvp(plan->arguments[0], (char *const *)(uintptr_t)plan->arguments);
    dprintf(STDERR_FILENO, "%s: %s\n", plan->arguments[0], strerror(errno));
    _exit(127);
}

enum kr_err program_start(const struct program_plan *plan, struct program *program,
                          struct fault *fault)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.log", plan->directory, plan->name);
    *program = (struct program){plan->name, 0};
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0)
        return fault_set(fault, err_from_errno(errno), "%s: %s", path, strerror(errno));
    pid_t child = site_fork(plan->site);
    if (child == 0)
        become(plan, log);
    close(log);
    if (child < 0)
        return fault_set(fault, err_from_errno(errno), "%s: %s", plan->name, strerror(errno));
    program->pid = child;
    return KR_ERR_OK;
}

void program_last_line(const char *directory, const char *name, char *out, size_t size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.log", directory, name);
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    while (file != NULL && fgets(path, sizeof(path), file) != NULL)
        if (path[0] != '\n')
            snprintf(out, size, "%.*s", (int)strcspn(path, "\n"), path);
    if (file != NULL)
        fclose(file);
}

enum kr_err program_run(const struct program_plan *plan, struct fault *fault)
{
    struct program program;
    char said[200];
    int status = 0;
    enum kr_err err = program_start(plan, &program, fault);
    if (err != KR_ERR_OK)
        return err;
    while (waitpid(program.pid, &status, 0) < 0)
        if (errno != EINTR || interrupt_is_noted()) {
            program_stop(&program, SIGKILL);
            return fault_set(fault, KR_ERR_IO, "interrupted");
        }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return KR_ERR_OK;
    program_last_line(plan->directory, plan->name, said, sizeof(said));
    return fault_set(fault, KR_ERR_IO, "%s: %s", plan->arguments[0], said);
}

enum kr_err program_await(struct program *program, const struct site *site, uint16_t port,
                          struct fault *fault)
{
    uint64_t until_ms = clock_boot_ms() + KR_PROGRAM_PATIENCE_MS;
    for (;;) {
        int fd = site_connect(site, site->address, port);
        if (fd >= 0) {
            close(fd);
            return KR_ERR_OK;
        }
        if (waitpid(program->pid, NULL, WNOHANG) == program->pid) {
            program->pid = 0;
            return fault_set(fault, KR_ERR_IO, "%s has ended; is its package there?",
                             program->name);
        }
        if (interrupt_is_noted() || clock_boot_ms() > until_ms)
            return fault_set(fault, KR_ERR_TIMEOUT, "%s does not listen after %d s", program->name,
                             KR_PROGRAM_PATIENCE_MS / 1000);
        pause_10ms();
    }
}

void program_stop(struct program *program, int signal)
{
    uint64_t until_ms = clock_boot_ms() + KR_PROGRAM_STOP_MS;
    if (program->pid == 0)
        return;
    kill(program->pid, signal);
    while (waitpid(program->pid, NULL, WNOHANG) == 0) {
        if (clock_boot_ms() > until_ms)
            kill(program->pid, SIGKILL);
        pause_10ms();
    }
    program->pid = 0;
}
