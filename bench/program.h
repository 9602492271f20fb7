// SPDX-License-Identifier: Apache-2.0
// Foreign programs that the bench starts: in a directory, by a user, at a site, on the cores that
// are not this process's own, and ends.
#pragma once

#include <stdbool.h>

#include "bench/site.h"

#define KR_PROGRAM_ARGUMENTS 40

struct program_user {
    bool is_other; // than this process's own
    uid_t uid;
    gid_t gid;
};

struct program {
    const char *name;
    pid_t pid; // 0: not running
};

struct program_plan {
    const struct site *site;
    const char *directory;           // it runs there, and its output goes to DIRECTORY/NAME.log
    const struct program_user *user; // NULL: this process's own
    const char *name;                // keeps
    const char *arguments[KR_PROGRAM_ARGUMENTS]; // the first is what is run; ends with NULL
};

// A new directory below TMPDIR, or /tmp: "/tmp/keyreeve-NAME-…". On failure out is "".
must_use enum kr_err program_directory(const char *name, char *out, size_t size,
                                       struct fault *fault);
// The folder of this program, where keyreeved and keyreeve are as well; returns out.
const char *program_folder(char *out, size_t size);
// For root: a user without rights, postgres where there is one, else nobody.
void program_find_user(struct program_user *user);
must_use enum kr_err program_start(const struct program_plan *plan, struct program *program,
                                   struct fault *fault);
// Runs it to its end; IO when that is not exit code 0.
must_use enum kr_err program_run(const struct program_plan *plan, struct fault *fault);
// Until something listens there, for half a minute; IO when the program has ended.
must_use enum kr_err program_await(struct program *program, const struct site *site, uint16_t port,
                                   struct fault *fault);
// For a child of this process: where that is held to some cores (taskset), because it spins, the
// child runs on the others, so that it does not wait for a core behind whoever measures it.
void program_leave_cores(void);
// The last line of what a program of this name has said; empty: nothing.
void program_last_line(const char *directory, const char *name, char *out, size_t size);
// The signal, and waits; SIGKILL after ten seconds.
void program_stop(struct program *program, int signal);
