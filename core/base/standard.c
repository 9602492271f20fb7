// SPDX-License-Identifier: Apache-2.0
// Keeping 0, 1 and 2 taken.
#include "core/base/standard.h"

#include <errno.h>
#include <fcntl.h>
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
