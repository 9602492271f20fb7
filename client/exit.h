// SPDX-License-Identifier: Apache-2.0
// The exit codes of the keyreeve command, in one table with the words that help and manual print.
#pragma once

#define KR_EXIT_TABLE(X)                                                                           \
    X(OK, 0, "ok")                                                                                 \
    X(FAILURE, 1, "failure: the node refused the values, or something broke on the way")           \
    X(USAGE, 2, "usage: no such command or option, or an argument is missing or is no name")       \
    X(NOT_FOUND, 3, "not found")                                                                   \
    X(REFUSED, 4, "refused: no valid token, no right, a conflict, or too many requests")           \
    X(UNREACHABLE, 5, "cannot reach the node")                                                     \
    X(NOT_VALID, 6, "the key is not valid (key verify)")                                           \
    X(UNTOLD, 7, "the node cannot tell whether the key is valid: STALE, UNAVAILABLE (key verify)")

enum exit_code {
#define X(name, code, text) KR_EXIT_##name = code,
    KR_EXIT_TABLE(X)
#undef X
};
