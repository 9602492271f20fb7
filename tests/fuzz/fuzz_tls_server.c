// SPDX-License-Identifier: Apache-2.0
// Fuzzes a listener's end of TLS: bytes instead of a handshake, in the middle of one, or behind
// one, from a client that has no keys, open nothing and are never read. links: kr_tls
#include "tests/unit/core/tls/browser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The first byte says how far a good client goes before them, and how large the pieces are.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tls_context *context;
    context = context == NULL ? listener_context("http/1.1") : context;
    size_t piece = size == 0 ? 1 : 1 + data[0] / 4;
    SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
    struct visit visit = {0};
    SSL *client = new_client(client_context, &visit);
    struct tls *server = tls_new(context, true);
    for (int steps = size == 0 ? 0 : data[0] % 4; steps > 0; steps--) {
        SSL_do_handshake(client);
        carry_both_ways(client, server);
    }
    bool was_open = tls_state(server) == KR_TLS_OPEN;
    enum kr_err err = KR_ERR_OK;
    for (size_t at = 1; at < size && err == KR_ERR_OK; at += piece)
        err = tls_receive(server, bytes_of(data + at, piece < size - at ? piece : size - at));
    assert(err == KR_ERR_OK && tls_unread(server) == 0 && tls_untaken(server) < 65536);
    assert(was_open || tls_state(server) != KR_TLS_OPEN);
    assert((tls_state(server) == KR_TLS_FAILED) == (tls_fault(server)->text[0] != '\0'));
    ERR_clear_error();
    tls_free(&server);
    SSL_SESSION_free(visit.session);
    SSL_free(client);
    SSL_CTX_free(client_context);
    return 0;
}
