// SPDX-License-Identifier: Apache-2.0
// Why a verdict came out as it did: each check of API §2.1 in its order, for holders of a token.
#pragma once

#include "node/validate.h"

// Reopens the JSON object that ends out and adds "explain":{masked, checks:[{check, ok, detail?}]}.
// Checks behind the first that failed are left out: they were not made.
void explain_add(struct buf *out, const struct validate_question *question, int64_t now_ms);
