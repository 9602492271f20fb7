// SPDX-License-Identifier: Apache-2.0
// A manager's fields in a body.
#pragma once

#include "node/api/api.h"

// email*, sub? of an object (NULL: the call's body) into a new record with an id; where names the
// object in details.
enum kr_err manager_body(struct call *call, const struct json *object, const char *where,
                         const char *consumer_id, struct manager *manager);
