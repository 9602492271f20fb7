// SPDX-License-Identifier: Apache-2.0
// The keyreeve command.
#include "client/cli.h"

#include <locale.h>
#include <signal.h>

#include "core/base/rand.h"
#include "core/base/standard.h"

int main(int argc, char *argv[])
{
    standard_hold();
    // For the width of characters alone; everything we print is UTF-8.
    setlocale(LC_CTYPE, "C.UTF-8");
    // A closed pipe is an error of the write that meets it.
    signal(SIGPIPE, SIG_IGN);
    rand_init();
    return cli_run(argc, argv);
}
