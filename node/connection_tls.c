// SPDX-License-Identifier: Apache-2.0
// TLS on a connection: what the socket brought becomes HTTP or frames, what answers it is sealed.
//
// Happy path: accepted → handshake → open → received, read → sealed, sent → goodbye. A goodbye of
// the peer ends its sending alone: what it asked before is answered (RFC 8446 §6.1).
// Failures: no TLS at all (HTTP is told so in the clear; closed), a handshake that fails (the alert
// is sent, closed) or takes too long (swept), bytes that were tampered with (closed).
#include "node/serve_internal.h"

#include "core/base/log.h"
#include "node/ceilings.h"
#include "node/secure.h"

enum { KR_SEAL_BYTES = 1 << 20 };

void connection_tls_begin(struct connection *connection)
{
    connection->tls =
        secure_connection(connection->serve->node->secure,
                          connection->binary != NULL ? KR_SECURE_BINARY : KR_SECURE_HTTP,
                          connection->listener->needs_client);
}

bool connection_tls_is_shaking_hands(const struct connection *connection)
{
    return connection->tls != NULL && tls_state(connection->tls) == KR_TLS_HANDSHAKE;
}

// --- reading -------------------------------------------------------------------------------------

// The first byte of a handshake's record is 22 (RFC 8446 §5.1); a method's is a capital letter.
static bool is_in_the_clear(const struct connection *connection)
{
    uint8_t first = connection->serve->sealed_in[0];
    return connection->http != NULL && !connection->has_said_hello && first >= 'A' && first <= 'Z';
}

static void refuse_plaintext(struct connection *connection)
{
    tls_free(&connection->tls);
    mem_zero(connection->serve->sealed_in, sizeof(connection->serve->sealed_in)); // a key, perhaps
    metrics_bump(&connection->serve->metrics->tls_failed, 1);
    http_conn_refuse(connection->http, KR_ERR_INVALID,
                     "this port speaks TLS; send the request to https://");
}

bool connection_tls_has_more(const struct connection *connection)
{
    return connection->tls != NULL && tls_unread(connection->tls) > 0;
}

void connection_tls_unseal(struct connection *connection)
{
    while (connection_tls_has_more(connection)) {
        size_t room = 0;
        struct buf plain;
        uint8_t *space = connection_space(connection, &room);
        buf_init_fixed(&plain, space, room);
        size_t size = tls_read(connection->tls, &plain);
        connection_filled(connection, size);
        if (size == 0)
            return; // a block of frames, or of requests, is there: parse first
    }
}

// What TLS itself has to say: the handshake's answers, alerts, tickets, new keys.
static bool send_waiting(struct connection *connection)
{
    struct buf *sealed = &connection->serve->sealed_out;
    buf_clear(sealed);
    if (tls_untaken(connection->tls) == 0)
        return true;
    tls_take(connection->tls, sealed);
    bool has_owed = connection->writing_bytes > 0;
    if (buf_result(sealed) != KR_ERR_OK || !connection_send(connection, buf_bytes(sealed)))
        return false;
    if (!has_owed && connection->writing_bytes > 0)
        connection_hurry(connection);
    return true;
}

// A gateway that shows a certificate is one of ours, wherever it comes from, and stands for many.
static void trust(struct connection *connection)
{
    connection->is_trusted = true;
    if (connection->is_counted)
        ceilings_leave(connection->serve->node->ceilings, &connection->peer);
    connection->is_counted = false;
}

// Whose connection it is shall be known before anything that came on it is looked at.
static void shook_hands(struct connection *connection)
{
    struct metrics *metrics = connection->serve->metrics;
    metrics_bump(&metrics->tls_handshakes, 1);
    metrics_bump(&metrics->tls_resumed, tls_is_resumed(connection->tls));
    if (tls_client(connection->tls)[0] != '\0')
        trust(connection);
    if (bytes_equal_text(tls_protocol(connection->tls), "h2"))
        connection_http2_begin(connection);
}

static void failed(struct connection *connection, bool was_shaking_hands)
{
    const struct fault *fault = tls_fault(connection->tls);
    metrics_bump(&connection->serve->metrics->tls_failed, was_shaking_hands);
    log_write(KR_LOG_DEBUG, "a TLS connection failed",
              (const struct log_field[]){LOG_TEXT("why", fault->text), {0}});
    connection_close(connection);
}

bool connection_tls_received(struct connection *connection, size_t size)
{
    struct serve *serve = connection->serve;
    bool was_shaking_hands = connection_tls_is_shaking_hands(connection);
    if (was_shaking_hands && is_in_the_clear(connection)) {
        refuse_plaintext(connection);
        return true;
    }
    connection->has_said_hello = true;
    enum kr_err err = tls_receive(connection->tls, bytes_of(serve->sealed_in, size));
    bool has_shaken = was_shaking_hands && tls_state(connection->tls) == KR_TLS_OPEN;
    if (has_shaken)
        shook_hands(connection);
    if (err == KR_ERR_OK)
        connection_tls_unseal(connection);
    bool is_sent = send_waiting(connection);
    if (connection->state == KR_CONNECTION_CLOSING)
        return false;
    if (err != KR_ERR_OK || !is_sent || tls_state(connection->tls) == KR_TLS_FAILED) {
        failed(connection, was_shaking_hands && !has_shaken);
        return false;
    }
    if (tls_has_ended(connection->tls))
        connection_ended(connection);
    if (has_shaken)
        connection_deadline(connection);
    connection_hold(connection); // these answers come without a request behind which it would be
    return true;
}

// --- writing -------------------------------------------------------------------------------------

// Piece by piece, as what waits in a connection is bounded.
bool connection_tls_seal(struct connection *connection, struct bytes *wire)
{
    const struct buf *out = &connection->serve->out;
    struct buf *sealed = &connection->serve->sealed_out;
    buf_clear(sealed);
    for (size_t at = 0; at < out->size;) {
        size_t size = out->size - at < KR_SEAL_BYTES ? out->size - at : KR_SEAL_BYTES;
        if (tls_write(connection->tls, bytes_of(out->data + at, size)) != KR_ERR_OK)
            return false;
        tls_take(connection->tls, sealed);
        at += size;
    }
    *wire = buf_bytes(sealed);
    return buf_result(sealed) == KR_ERR_OK;
}

void connection_tls_goodbye(struct connection *connection)
{
    if (connection->tls == NULL)
        return;
    tls_shutdown(connection->tls);
    send_waiting(connection);
}
