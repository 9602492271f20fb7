// SPDX-License-Identifier: Apache-2.0
// Options of a subcommand, from one table: the parser, its limits, the --help text and the manual
// page.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    KR_OPTION_FLAG,  // bool
    KR_OPTION_TEXT,  // const char *
    KR_OPTION_URL,   // const char *, http://HOST:PORT
    KR_OPTION_COUNT, // uint64_t, decimal
    KR_OPTION_REAL   // double
};

struct option_row {
    const char *name;  // "--connections"
    const char *value; // what --help calls its value; NULL for a flag
    enum option_kind kind;
    void *out;        // where the value goes; holds the default before
    double low, high; // bounds of numbers, inclusive
    bool is_required;
    const char *help; // with the default in words
};

struct option_spec {
    const char *subcommand;
    const char *about; // a paragraph, lines ≤ 80 characters
    const struct option_row *rows;
    size_t count;
    const char *example; // whole command lines, each "  …\n"
};

enum option_outcome { KR_OPTIONS_RUN, KR_OPTIONS_HELP, KR_OPTIONS_USAGE };

// Parses argv[1…]: "--name value" or "--name=value". Prints the help or the manual page (stdout),
// or one line that says what is wrong (stderr). Texts lend argv.
enum option_outcome options_parse(const struct option_spec *spec, int argc, char **argv);
