// SPDX-License-Identifier: Apache-2.0
// What one address may take of this node: open connections, and tokens that are not good.
//
// Any thread. An IPv6 address stands for its /64, which one host may have to itself (RFC 6177).
// Connections are counted exactly; of failures a bounded table is kept, in which the address that
// failed longest ago makes room.
#pragma once

#include "core/base/cidr.h"

struct ceilings;

// Gives. 0: no ceiling.
struct ceilings *ceilings_new(uint64_t connections, uint64_t failures_per_minute);
void ceilings_free(struct ceilings **ceilings);
// Counts one more connection of the address. False: it has as many as it may; nothing was counted.
bool ceilings_enter(struct ceilings *ceilings, const struct cidr_address *address);
void ceilings_leave(struct ceilings *ceilings, const struct cidr_address *address);
// Counts a failure at that time (boot clock). False: there were too many, and *wait_ms says how
// long it is until one more is let pass.
bool ceilings_fail(struct ceilings *ceilings, const struct cidr_address *address, uint64_t now_ms,
                   uint64_t *wait_ms);
