// SPDX-License-Identifier: Apache-2.0
// The stored logins: $XDG_CONFIG_HOME/keyreeve/contexts.json (or ~/.config/…), mode 0600.
//
// A file to which others than its owner have access is refused, with the mend. Texts live in the
// set's arena.
#pragma once

#include <stdbool.h>

#include "core/base/fault.h"
#include "core/base/mem.h"

#define KR_CONTEXTS_MAX 64

struct context {
    const char *name, *url, *token;
    const char *account, *bucket; // NULL: none stored
};

struct contexts {
    struct arena arena;
    char *path;
    const char *current; // a context's name, or NULL
    size_t count;
    struct context items[KR_CONTEXTS_MAX];
};

void contexts_init(struct contexts *contexts);
void contexts_fini(struct contexts *contexts);

// Finds the path from the environment and reads the file; one that does not exist is an empty set.
// FORBIDDEN when others may read it, INVALID when it is not such a file.
must_use enum kr_err contexts_load(struct contexts *contexts, struct fault *fault);
// Writes it back atomically, creating the directory (0700).
must_use enum kr_err contexts_store(const struct contexts *contexts, struct fault *fault);

// By name; NULL name means the current one. NULL when there is none. Lends until the next change.
struct context *contexts_find(struct contexts *contexts, const char *name);
// Adds or replaces by name, and makes it the current one. Borrows. TOO_LARGE beyond the limit.
must_use enum kr_err contexts_put(struct contexts *contexts, const struct context *context,
                                  struct fault *fault);
bool contexts_remove(struct contexts *contexts, const char *name);
