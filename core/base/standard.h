// SPDX-License-Identifier: Apache-2.0
// The three standard descriptors, which whoever starts a program may have closed.
#pragma once

#include <stdbool.h>

// First thing in main, before anything is opened: a file or a socket that came to stand at 0, 1 or
// 2 would be read, or written into, as if it were the user's. What is closed becomes one of
// /dev/null: input cannot be read, output cannot be written (so that a value which nobody gets is
// not taken for delivered), and messages go nowhere. Aborts where there is no /dev/null.
void standard_hold(void);
// Last thing in main: false, and said on standard error in the program's name, when not everything
// that was printed has been taken (a full disk). A reader who went away is not told so.
bool standard_end(const char *program);
