// SPDX-License-Identifier: Apache-2.0
// The revocation receipt (API §3): which nodes no longer let the key in, and how long each took.
#pragma once

#include "node/api/call.h"

// Reads `wait` (committed, the default, or everywhere) and timeoutMs; marks the answer to become a
// receipt at its commit. 400 for anything else.
enum kr_err receipt_expect(struct call *call);
// Answers with the stored receipt of this index; 404 when there is none (any more).
enum kr_err receipt_again(struct call *call, uint64_t index);
// Writes the receipt as the answer's body.
enum kr_err receipt_write(struct call *call, const struct receipt *receipt, bool everywhere);
// Writes the receipt of a commit as the call's answer. On one node it is complete at once: applied
// here is applied everywhere.
void receipt_answer(struct call *call, const struct replica_outcome *outcome);
