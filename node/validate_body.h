// SPDX-License-Identifier: Apache-2.0
// The JSON body of a validation → a question (API §2.1). Pure but for jansson's heap.
//
// The body that gateways send, {"key":"…"} perhaps with a bucket, is scanned in place without
// allocation; everything else goes through the JSON library. Both refuse the same things.
#pragma once

#include "core/base/fault.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "node/validate.h"

// Fills question->ask (and the address) from the body; slices lie in it or in the arena. INVALID
// names the field. Expects validate_init to have been called.
must_use enum kr_err validate_body(struct bytes body, struct arena *arena,
                                   struct validate_question *question, struct fault *fault);
// The same from one element of a batch.
must_use enum kr_err validate_body_element(const struct json *element, struct arena *arena,
                                           struct validate_question *question, struct fault *fault);
// The in-place scan alone, for tests: false when the body is not of the simple form.
bool validate_body_scan(struct bytes body, struct validation_ask *ask);
// The address of ask.ip, once that is set. INVALID when it is none.
must_use enum kr_err validate_body_address(struct validate_question *question, struct fault *fault);
