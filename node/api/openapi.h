// SPDX-License-Identifier: Apache-2.0
// The served description of the HTTP API: openapi.yaml, embedded, and its JSON form.
#pragma once

#include "core/base/buf.h"

// The file as it is in the source tree; always there.
struct bytes openapi_yaml(void);
// Appends the YAML document as JSON. INVALID when it is no YAML, has aliases, or is nested deeper
// than 64: only what we can get wrong, since the file is ours.
must_use enum kr_err openapi_json(struct bytes yaml, struct buf *out);
