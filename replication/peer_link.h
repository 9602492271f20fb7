// SPDX-License-Identifier: Apache-2.0
// One link to another node: a TCP socket, TLS on it, frames in both directions.
//
// Bounded: one frame being received, one batch of frames being sent; the next frames are asked for
// only when the socket has taken the last ones. The owner decides what frames mean. One loop.
#pragma once

#include "core/base/cidr.h"
#include "core/base/fault.h"
#include "core/tls/tls.h"
#include "proto/peer.h"

#define KR_PEER_LINK_OPENING_MS 3000 // name, connection and handshake together
#define KR_PEER_LINK_SILENCE_MS 1000 // without a byte
#define KR_PEER_LINK_BATCH_BYTES (128u << 10)

struct uv_loop_s;
struct sockaddr_storage;
struct peer_link;

// What a link tells and asks its owner; each gets the owner's ctx.
struct peer_link_events {
    // The handshake is over, the other end is known.
    void (*opened)(void *ctx);
    // A frame came, borrowed. An error closes the link.
    enum kr_err (*frame)(void *ctx, const struct peer_frame *frame, uint64_t now_ms,
                         struct fault *fault);
    // Appends the next frame to send. NOT_FOUND: none. Another error closes the link.
    enum kr_err (*next)(void *ctx, uint64_t now_ms, struct buf *out, struct fault *fault);
    // The link closes, by itself (err and fault say why; OK: the other end did) or by
    // peer_link_close. It is freed behind this call.
    void (*closed)(void *ctx, enum kr_err err, const struct fault *fault);
};

struct peer_link_options {
    struct uv_loop_s *loop;      // keeps
    struct tls_context *context; // borrows
    // Where an outgoing connection leaves from, its port 0; NULL: the system chooses. Borrows.
    const struct sockaddr_storage *source;
    struct peer_link_events events;
    void *ctx;
};

struct peer_link_figures {
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
};

// Begins to connect to HOST:PORT. Gives; `closed` comes for every link, never before this returns.
struct peer_link *peer_link_connect(const struct peer_link_options *options, const char *address);
// The other end of one: takes the socket that was accepted.
struct peer_link *peer_link_accept(const struct peer_link_options *options, int fd);
// Asks for frames and sends them, while the socket takes them.
void peer_link_pump(struct peer_link *link, uint64_t now_ms);
// Deadlines. is_fair: this loop had the time to read since the last tick.
void peer_link_tick(struct peer_link *link, bool is_fair, uint64_t now_ms);
// Closes; `closed` comes later, with this reason. Again: passed over. fault may be NULL.
void peer_link_close(struct peer_link *link, enum kr_err err, const struct fault *fault);

bool peer_link_is_open(const struct peer_link *link);
const struct tls_peer *peer_link_peer(const struct peer_link *link); // once open
// The other end's IP address; "" where there is none (any more).
void peer_link_host(const struct peer_link *link, char out[KR_CIDR_TEXT_SIZE]);
// Adds this link's figures since its beginning.
void peer_link_figures(const struct peer_link *link, struct peer_link_figures *sum);
