// SPDX-License-Identifier: Apache-2.0
// Running a command in a region of a world.
//
// In a world of packets the kernel ends what runs there. In one of relays this process does: it
// hears of the world's end over the tie, and whatever the command has started becomes its own child
// when its parent ends.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/wan.h"

enum { KR_EXEC_NO_COMMAND = 127, KR_EXEC_SIGNALLED = 128 };

// The first of the children that this process has; 0: none.
static pid_t any_child(void)
{
    int pid = 0;
    FILE *file = fopen("/proc/thread-self/children", "re");
    bool has_one = file != NULL && fscanf(file, "%d", &pid) == 1;
    if (file != NULL)
        fclose(file);
    return has_one ? (pid_t)pid : 0;
}

// Ends all children; theirs become ours one after the other.
static void end_all(void)
{
    for (pid_t child = any_child(); child > 0; child = any_child()) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
}

// As a shell tells it: the exit code, or 128 and the signal's number.
static int await(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : KR_EXEC_SIGNALLED + WTERMSIG(status);
}

// Until the command, the world, or this process's own time has ended; then nothing of it is left.
static int await_tied(pid_t child, int tie, const sigset_t *signals)
{
    struct pollfd awaited[] = {{.fd = pidfd_open(child, 0), .events = POLLIN},
                               {.fd = tie, .events = POLLIN},
                               {.fd = signalfd(-1, signals, SFD_CLOEXEC), .events = POLLIN}};
    struct signalfd_siginfo signal = {.ssi_signo = SIGKILL};
    while (poll(awaited, 3, -1) < 0 && errno == EINTR)
        ;
    int status = KR_EXEC_SIGNALLED + SIGKILL;
    if (awaited[0].revents != 0)
        status = await(child);
    else if (awaited[2].revents != 0 &&
             read(awaited[2].fd, &signal, sizeof(signal)) == sizeof(signal))
        status = KR_EXEC_SIGNALLED + (int)signal.ssi_signo;
    end_all();
    return status;
}

__attribute__((noreturn)) static void become(char **command, const sigset_t *signals)
{
    sigprocmask(SIG_UNBLOCK, signals, NULL);
    signal(SIGPIPE, SIG_DFL);
    execvp(command[0], command);
    fprintf(stderr, "keyreeve-bench wan exec: %s: %s\n", command[0], strerror(errno));
    _exit(KR_EXEC_NO_COMMAND);
}

enum kr_err wan_run(const struct world_place *place, char **command, int *status,
                    struct fault *fault)
{
    bool is_tied = place->form == KR_LINK_STREAMS;
    sigset_t signals;
    sigemptyset(&signals);
    if (is_tied) {
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGHUP);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    sigprocmask(SIG_BLOCK, &signals, NULL);
    pid_t child = world_fork(place);
    if (child < 0)
        return fault_set(fault, KR_ERR_IO, "a process in the world: %s", strerror(errno));
    if (child == 0)
        become(command, &signals);
    signal(SIGINT, SIG_IGN); // the command's business; when it has ended, so have we
    *status = is_tied ? await_tied(child, place->tie, &signals) : await(child);
    return KR_ERR_OK;
}
