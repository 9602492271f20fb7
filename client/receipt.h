// SPDX-License-Identifier: Apache-2.0
// Revocations and their receipts: asking for one, showing one.
#pragma once

#include "client/api.h"

// POSTs the revocation to path with --wait, --wait-ms and --reason, and shows its receipt.
// confirm: the name that the route wants repeated, or NULL.
must_use enum exit_code receipt_revoke(struct session *session, const char *path,
                                       const char *confirm);
// path with the query that --wait and --wait-ms mean.
const char *receipt_path(struct session *session, const char *path);
// Prints the receipt of a change. Of one that was to be everywhere, a row for each node, and
// FAILURE when nodes may still let the keys in, or when it does not say that it is one.
must_use enum exit_code receipt_show(struct session *session, const struct json *receipt);
