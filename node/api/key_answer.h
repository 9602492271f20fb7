// SPDX-License-Identifier: Apache-2.0
// What the handlers of keys share: the answer that shows one key, and its audit detail.
#pragma once

#include "node/api/api.h"

// A key in its bucket and consumer, as the path names it.
struct key_place {
    struct bucket bucket;
    struct consumer consumer;
    struct key key;
};

// Shows the key with its ETag; value NULL: as format says. An answer that holds a value is not to
// be kept by anyone on the way.
enum kr_err key_answer(struct call *call, const struct key_place *place, enum api_key_format format,
                       const char *value);
// If-Match against the key as it is.
enum kr_err key_check_match(struct call *call, const struct key_place *place);
// The audit row of a change to the key: which consumer it belongs to, its masked form, and, where
// name is not NULL, one text more.
void key_audit(struct call *call, const char *action, const struct key_place *place,
               const char *name, const char *text);
