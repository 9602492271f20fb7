// SPDX-License-Identifier: Apache-2.0
// Keeping 0, 1 and 2 taken, and looking at what became of the output.
#include "core/base/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void standard_hold(void)
{
    // Of the wrong direction, so that who reads or writes there is told (EBADF). Messages
    // may be lost: nobody is there to be told so.
    static const int modes[] = {
        [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDWR};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (open("/dev/null", modes[fd]) != fd) // the lowest that is free, which is this one
            abort();
    }
}

static bool is_reader_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

// Which write has failed, and why, stdio does not keep.
bool standard_end(const char *program)
{
    bool has_failed = ferror(stdout) != 0;
    if (fflush(stdout) == 0 && !has_failed)
        return true;
    if (!is_reader_gone())
        fprintf(stderr, "%s: standard output did not take all that was written; is a disk full?\n",
                program);
    return false;
}
