// SPDX-License-Identifier: Apache-2.0
// What happens to a management call on a pool thread: rights, idempotency, the handler; and what
// its commit makes of the answer.
//
// A call may run several times: when apply refused its command because the state had moved on, it
// runs again on a newer view, until it fits or its own checks say no.
#pragma once

#include "node/api/call.h"

#define KR_EXECUTOR_ATTEMPTS 64

enum executor_next {
    KR_EXECUTOR_ANSWERED, // the answer stands
    KR_EXECUTOR_SUBMIT,   // submit call->command, then executor_committed
    KR_EXECUTOR_AGAIN,    // run once more
    KR_EXECUTOR_ACT,      // call->action on the control loop, then executor_acted
    KR_EXECUTOR_RECEIPT   // the answer waits for what the other nodes know: receipt_write
};

// On a pool thread, from a view that was opened behind the call's arrival, and for another attempt
// behind the commit that refused the last.
enum executor_next executor_run(struct call *call, struct store_view *view);
// On the control loop, behind the action.
enum executor_next executor_acted(const struct call *call);
// On the control loop, with the outcome of the submit.
enum executor_next executor_committed(struct call *call, const struct replica_outcome *outcome);
// The answer to a call that never ran: 429, 503.
void executor_refuse(struct call *call, enum kr_err err, const char *detail);
