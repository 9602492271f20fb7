// SPDX-License-Identifier: Apache-2.0
// A management token's roles and limits as JSON, for tokens and for who-am-i.
#pragma once

#include "node/api/api.h"

// Members roles, buckets (names; the id of one that is gone) and environment (null: every one).
void token_write_access(struct call *call, struct json_writer *writer, const struct access *access);
