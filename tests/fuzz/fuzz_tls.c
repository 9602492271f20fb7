// SPDX-License-Identifier: Apache-2.0
// Fuzzes a connection between nodes: bytes in arbitrary pieces, from somebody who has no
// certificate, must never open it, and yield one end however they are split. links: kr_tls
#include "tests/unit/core/tls/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_context *make_context(void)
{
    struct buf bundle;
    rand_init();
    buf_init(&bundle, BUNDLE_MAX);
    struct authority *authority = make_authority(CLUSTER, NULL);
    issue(authority, "n1", -1, 30, &bundle);
    struct tls_context *context = peer_context(buf_bytes(&bundle));
    authority_close(&authority);
    buf_fini(&bundle);
    return context;
}

// The first byte says which end we are and how large the pieces are.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tls_context *context;
    context = context == NULL ? make_context() : context;
    size_t piece = size == 0 ? 1 : 1 + data[0] / 2;
    struct tls *pieces = tls_new(context, size > 0 && data[0] % 2 == 0);
    struct tls *whole = tls_new(context, size > 0 && data[0] % 2 == 0);
    enum kr_err err = size == 0 ? KR_ERR_OK : tls_receive(whole, bytes_of(data + 1, size - 1));
    for (size_t at = 1; at < size && err == KR_ERR_OK; at += piece)
        err = tls_receive(pieces, bytes_of(data + at, piece < size - at ? piece : size - at));
    assert(err == KR_ERR_OK && tls_state(whole) == tls_state(pieces));
    assert(tls_state(whole) == KR_TLS_HANDSHAKE || tls_state(whole) == KR_TLS_FAILED);
    assert((tls_state(whole) == KR_TLS_FAILED) == (tls_fault(whole)->text[0] != '\0'));
    assert(ERR_peek_error() == 0 && tls_untaken(whole) < 65536);
    tls_free(&pieces);
    tls_free(&whole);
    return 0;
}
