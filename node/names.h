// SPDX-License-Identifier: Apache-2.0
// Names that never change once they are there, so that a call need not read them from the index:
// the account's, and the label of each token.
//
// Bounded: a label makes room for another one. Any thread.
#pragma once

#include <stdbool.h>

#include "core/base/mem.h"

struct names;
struct store_view;

struct names *names_new(void); // gives
void names_free(struct names **names);
// Is this the account, by its name or its id? False while there is none.
bool names_is_account(struct names *names, struct store_view *view, const char *name_or_id);
// In the arena; NULL: it has none, or there is no such token.
const char *names_label(struct names *names, struct store_view *view, const char *token_id,
                        struct arena *arena);
