// SPDX-License-Identifier: Apache-2.0
// The master key of the values in retrievable buckets: where it is kept, and what stands there.
//
// It is 64 hex digits, which are version 1, or lines VERSION:64 hex digits, whose versions rise; a
// comma ends a line too. It stands in a file, in the variable KEYREEVE_MASTER_KEY, or comes from a
// descriptor; the last two yield it once.
#pragma once

#include "core/base/fault.h"
#include "core/keys/vault.h"
#include "node/config.h"

#define KR_MASTER_KEY_PLACE_SIZE 4096

// Is it named nowhere, and <data>/master-key not there?
bool master_key_is_missing(const struct config *config);
// Makes <data>/master-key, 0600, of random bytes.
must_use enum kr_err master_key_make(const struct config *config, struct fault *fault);
// Gives the vault of the place that is named, else of <data>/master-key. FORBIDDEN for wrong
// permissions, INVALID for other content; the fault names place, line and mend.
must_use enum kr_err master_key_read(const struct config *config, struct vault **out,
                                     struct fault *fault);
// Removes the variable, at a start that reads none: a follower may have it from its unit.
void master_key_forget(void);
// Where it is kept, for words.
void master_key_place(const struct config *config, char out[KR_MASTER_KEY_PLACE_SIZE]);
