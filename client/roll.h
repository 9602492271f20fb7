// SPDX-License-Identifier: Apache-2.0
// Replacing a consumer's keys by a new one (roll-key).
#pragma once

#include "client/api.h"

// The new key's value goes to standard output when it is wanted.
must_use enum exit_code roll_keys(struct session *session, const char *consumer, bool wants_value);
