// SPDX-License-Identifier: Apache-2.0
// argv → which command, with which arguments and options.
//
// Pure: no environment, no output. Options may stand anywhere after the program's name; "--" ends
// them. Everything in an invocation points into argv.
#pragma once

#include "client/spec.h"
#include "core/base/fault.h"

#define KR_PARSE_ARGUMENTS_MAX 64
#define KR_PARSE_VALUES_MAX 64 // of one repeated option

struct parse_option {
    size_t count; // times given
    const char *values[KR_PARSE_VALUES_MAX];
};

struct invocation {
    const struct spec_command *command; // NULL: none named (then group may be set)
    const struct spec_group *group;
    bool wants_help;
    size_t argument_count;
    const char *arguments[KR_PARSE_ARGUMENTS_MAX];
    struct parse_option options[KR_OPT_COUNT];
};

// INVALID with a sentence that says what to type instead. With --help or --version, missing
// arguments are no error.
must_use enum kr_err parse_invocation(int argc, char *const argv[], struct invocation *out,
                                      struct fault *fault);

// The last value given, or NULL. A flag's value is "", and so is that of an OPTIONAL_CHOICE which
// stands alone.
const char *parse_value(const struct invocation *in, enum spec_option_id option);
bool parse_has(const struct invocation *in, enum spec_option_id option);
// Of a NUMBER, which the parser has checked; otherwise the fallback.
uint64_t parse_number(const struct invocation *in, enum spec_option_id option, uint64_t otherwise);
