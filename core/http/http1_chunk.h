// SPDX-License-Identifier: Apache-2.0
// Chunked bodies (RFC 9112 §7.1): takes the framing out, joining the data in place.
//
// Private to core/http. Pure.
#pragma once

#include "core/http/http1.h"

// Reads on as far as input goes. OK with chunk_step LAST: the body is whole, from head_end to
// body_end, and scanned is behind the message. *reason is set on refusal.
must_use enum kr_err http1_chunk_read(struct http1 *parser, size_t body_limit_bytes, uint8_t *input,
                                      size_t size, const char **reason);
