// SPDX-License-Identifier: Apache-2.0
// Idempotency-Key on POST: the same answer again for 24 hours, one effect.
//
// The stored answer is sealed under a key derived from the caller's token and Idempotency-Key, so
// it may hold a created key's value and yet tells nobody who reads the disk.
#pragma once

#include "node/api/call.h"

// The call has a key, and is of those that it makes repeatable.
bool idempotency_applies(const struct call *call);
// Looks for a stored answer of this call. *is_replayed: the answer has been restored. CONFLICT
// (409, answered) when the key was used with another method, path or body. A key that is no visible
// ASCII of 1..255 characters is 400.
enum kr_err idempotency_begin(struct call *call, bool *is_replayed);
// Adds the answer as it stands to the command.
enum kr_err idempotency_keep(struct call *call);
