// SPDX-License-Identifier: Apache-2.0
// Fuzzes a listener's end of TLS behind a finished handshake: what a client with real keys says,
// with new keys, goodbyes, records in parts and bytes of somebody else between. links: kr_tls
#include "tests/unit/core/tls/browser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { SAY, ANSWER, NEW_KEYS, GOODBYE, CARRY, FOREIGN, HANG_UP, STEPS };

enum { ROOM = 1 << 20, NEW_KEYS_MOST = 32 };

struct session {
    SSL *client;
    struct tls *server;
    struct buf said, understood; // by the client; of it by the server
    struct buf answered, heard;  // by the server; of it by the client
    bool has_parted;             // the client has said goodbye
    bool is_disturbed;           // by bytes that are not the client's, or by our end that hangs up
    unsigned new_keys;           // that the client has asked for, since it last said something
    bool has_pestered;           // by more of them than our end bears
};

static void read_some(struct session *session)
{
    struct buf some;
    buf_init(&some, 100);
    tls_read(session->server, &some);
    buf_add_bytes(&session->understood, buf_bytes(&some));
    buf_fini(&some);
}

static void receive(struct session *session, struct bytes wire)
{
    enum kr_err err = tls_receive(session->server, wire);
    assert(err == KR_ERR_OK);
    read_some(session);
}

// So many bytes of the client's, and all of the server's.
static void carry(struct session *session, size_t most)
{
    uint8_t bytes[4096];
    struct buf out;
    int size = BIO_read(SSL_get_wbio(session->client), bytes,
                        (int)(most < sizeof(bytes) ? most : sizeof(bytes)));
    receive(session, bytes_of(bytes, size > 0 ? (size_t)size : 0));
    buf_init(&out, ROOM);
    if (tls_take(session->server, &out) > 0)
        BIO_write(SSL_get_rbio(session->client), out.data, (int)out.size);
    while ((size = SSL_read(session->client, bytes, sizeof(bytes))) > 0)
        buf_add(&session->heard, bytes, (size_t)size);
    buf_fini(&out);
}

static void carry_all(struct session *session)
{
    do
        carry(session, SIZE_MAX);
    while (BIO_ctrl_pending(SSL_get_wbio(session->client)) > 0);
    while (tls_unread(session->server) > 0)
        read_some(session);
}

static void take_step(struct session *session, enum step step, struct bytes text)
{
    switch (step) {
    case SAY:
        if (text.size > 0 && SSL_write(session->client, text.data, (int)text.size) > 0) {
            buf_add_bytes(&session->said, text);
            session->new_keys = 0;
        }
        break;
    case ANSWER:
        if (tls_write(session->server, text) == KR_ERR_OK)
            buf_add_bytes(&session->answered, text);
        break;
    case NEW_KEYS: // of TLS 1.2 the client gets none
        if (SSL_key_update(session->client, text.size % 2) == 1 &&
            SSL_do_handshake(session->client) == 1)
            session->has_pestered |= ++session->new_keys > NEW_KEYS_MOST;
        break;
    case GOODBYE:
        SSL_shutdown(session->client);
        session->has_parted = true;
        break;
    case CARRY:
        carry(session, text.size);
        break;
    case FOREIGN:
        session->is_disturbed |= text.size > 0;
        receive(session, text);
        break;
    case HANG_UP:
        session->is_disturbed = true;
        tls_shutdown(session->server);
        break;
    case STEPS:
        break;
    }
    ERR_clear_error();
}

static bool begins_with(const struct buf *whole, const struct buf *part)
{
    return part->size <= whole->size &&
           (part->size == 0 || memcmp(whole->data, part->data, part->size) == 0);
}

// Nothing is understood but what was said, nor an end that nobody has put; all of it where nobody
// came between. Who pesters is cut, if nothing else has ended it before.
static void check(const struct session *session)
{
    enum tls_state state = tls_state(session->server);
    assert(begins_with(&session->said, &session->understood));
    assert(begins_with(&session->answered, &session->heard));
    assert(session->has_parted || !tls_has_ended(session->server));
    assert((state == KR_TLS_FAILED) == (tls_fault(session->server)->text[0] != '\0'));
    if (session->is_disturbed)
        return;
    assert(!session->has_pestered || session->has_parted || state == KR_TLS_FAILED);
    if (session->has_pestered)
        return;
    assert(state == KR_TLS_OPEN);
    assert(session->understood.size == session->said.size);
    assert(session->heard.size == session->answered.size);
}

// The first byte picks the version; then each step is a byte, and another that is its text's size.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tls_context *context;
    context = context == NULL ? listener_context(NULL) : context;
    SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
    struct visit visit = {.version = size > 0 && data[0] % 2 == 1 ? TLS1_2_VERSION : 0};
    struct session session = {.client = new_client(client_context, &visit),
                              .server = tls_new(context, true)};
    struct buf *texts[] = {&session.said, &session.understood, &session.answered, &session.heard};
    for (size_t i = 0; i < 4; i++)
        buf_init(texts[i], ROOM);
    while (SSL_do_handshake(session.client) != 1 || tls_state(session.server) != KR_TLS_OPEN)
        carry_both_ways(session.client, session.server);
    ERR_clear_error();
    for (size_t at = 1; at + 2 <= size;) {
        size_t text = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
        take_step(&session, data[at] % STEPS, bytes_of(data + at + 2, text));
        at += 2 + text;
    }
    carry_all(&session);
    check(&session);
    ERR_clear_error();
    for (size_t i = 0; i < 4; i++)
        buf_fini(texts[i]);
    tls_free(&session.server);
    SSL_SESSION_free(visit.session);
    SSL_free(session.client);
    SSL_CTX_free(client_context);
    return 0;
}
