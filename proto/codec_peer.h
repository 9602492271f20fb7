// SPDX-License-Identifier: Apache-2.0
// The peer link's frames ↔ bytes: u32 length (little-endian, of what follows), u8 type, protobuf.
//
// What is sent and what is accepted obey the same table (codec_peer_shapes.c), so that no node can
// be made to send a frame that its peer refuses. Unknown fields are tolerated, unknown types are
// not. Texts are UTF-8 without control characters. Any thread.
#pragma once

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/mem.h"
#include "proto/peer.h"

// Far beyond what is ever reached, and far from where the next one would wrap.
#define KR_PEER_EPOCH_MAX (UINT64_MAX >> 2)

// Appends the whole frame, or nothing: INVALID (a field is missing or not allowed) and TOO_LARGE
// (over a limit, or out has no room) with a fault that names the field.
must_use enum kr_err codec_peer_add(struct buf *out, const struct peer_frame *frame,
                                    struct fault *fault);

enum peer_read {
    KR_PEER_READ_MORE,  // no whole frame yet
    KR_PEER_READ_FRAME, // out and consumed are set
    KR_PEER_READ_BROKEN // the fault says what is wrong; close the link
};

// The first frame of in. Lists and texts go to the arena; byte fields (entries, rows, keys, bodies,
// header values) lend in. A length beyond KR_PEER_FRAME_MAX and an unknown type are found before
// the rest has arrived.
must_use enum peer_read codec_peer_read(struct bytes in, struct arena *arena,
                                        struct peer_frame *out, size_t *consumed,
                                        struct fault *fault);

const char *codec_peer_name(enum peer_frame_type type); // "Hello", …; NULL: no such type
