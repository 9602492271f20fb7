// SPDX-License-Identifier: Apache-2.0
// The bytes of the gRPC load: frames of HTTP/2 as a client sends them, a check as Envoy makes it,
// and what is read of an answer.
//
// RFC 9113, RFC 7541. Header fields are put into the dynamic table once a connection, as HTTP/2
// libraries do it, and named by their index from then on. Answers' header fields are not read:
// where there is a message, the call went well, and of a GET the status comes first.
#pragma once

#include "bench/protocol.h"

#define KR_FRAME_HEAD 9
#define KR_FRAME_WINDOW 65535    // until the peer gives more
#define KR_FRAME_STATUS_200 0x88 // ":status: 200" as a header block begins with it

enum grpc_frame_type {
    KR_FRAME_DATA = 0,
    KR_FRAME_HEADERS = 1,
    KR_FRAME_RST_STREAM = 3,
    KR_FRAME_SETTINGS = 4,
    KR_FRAME_PING = 6,
    KR_FRAME_GOAWAY = 7,
    KR_FRAME_WINDOW_UPDATE = 8
};

enum { KR_FRAME_END_STREAM = 1, KR_FRAME_ACK = 1, KR_FRAME_END_HEADERS = 4 };

struct grpc_frame {
    uint8_t type, flags;
    uint32_t stream;
    struct bytes payload;
};

// The preface, settings, and as much window as there can be.
void grpc_add_hello(struct buf *out);
void grpc_add_frame(struct buf *out, enum grpc_frame_type type, uint8_t flags, uint32_t stream,
                    struct bytes payload);
void grpc_add_window(struct buf *out, uint32_t size_bytes); // of the connection
// One call; is_first on its connection. Returns what it takes of the peer's window.
size_t grpc_add_check(struct buf *out, uint32_t stream, const char *authority, bool is_first,
                      struct bytes key);
// One GET, without content; is_first on its connection.
void grpc_add_get(struct buf *out, uint32_t stream, const struct protocol_request *request,
                  bool is_first);

// The frame at the start of in; false: it is not whole yet.
bool grpc_read_frame(struct bytes in, struct grpc_frame *out);
uint32_t grpc_u32(const uint8_t *at);
// A length-prefixed CheckResponse. False: it is none.
bool grpc_read_answer(struct bytes data, struct protocol_answer *out);
