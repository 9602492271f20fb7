// SPDX-License-Identifier: Apache-2.0
// The writes that the commands share: send a body made from the options, show what came of it.
#pragma once

#include "client/view.h"

struct change {
    const char *method, *path;
    const char *name_member, *name; // an own member of the body ("name", "acme"), or NULL
    bool wants_change;              // an empty body is an error
    const struct view_column *columns;
    size_t column_count;
    const char *secret; // member whose value goes to standard output alone, or NULL
};

// Shows the answer as a record. With a secret, that goes to standard output and the record to
// standard error.
must_use enum exit_code change_send(struct session *session, const struct change *change);
// DELETE, and a line that says so; behind a --wait that was in vain, the receipt.
must_use enum exit_code change_delete(struct session *session, const char *path, const char *what,
                                      const char *name);
// Prints the secret of an answer alone on standard output; with --json the whole answer.
must_use enum exit_code change_print_secret(struct session *session, const struct json *answer,
                                            const char *value);
