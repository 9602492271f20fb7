// SPDX-License-Identifier: Apache-2.0
// One TLS connection over two memory BIOs.
//
//   HANDSHAKE ──both are satisfied──▶ OPEN ──close_notify, either way──▶ CLOSED (a server: ours)
//       └──────────── bad bytes, a bad certificate, an alert, cut off ──▶ FAILED (from OPEN too)
#include "core/tls/tls_internal.h"

#include <assert.h>
#include <openssl/err.h>

#include "core/base/mem.h"

enum {
    KR_TLS_RECORD = 16384, // plaintext of one record (RFC 8446 §5.1)
    // Larger buffers are given back once they are empty: most connections are idle most of the
    // time.
    KR_TLS_KEPT = 2048,
    // Beyond KR_TLS_UNTAKEN_MAX: what records add, and answers that the other end asked for.
    KR_TLS_ANSWERS_MAX = 262144,
    // What may be asked of TLS itself without data between: see tls_watch.
    KR_TLS_OWN_MAX = 32,
};

static void init_plain(struct tls *tls)
{
    buf_init(&tls->plain, KR_TLS_UNREAD_MAX + KR_TLS_RECORD);
    tls->plain_read = 0;
}

// --- the ways it fails ---------------------------------------------------------------------------

static void say(struct tls *tls, enum kr_err err, const char *sentence)
{
    fault_set(&tls->fault, err, "%s", sentence);
}

static void explain(struct tls *tls, unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
        fault_set(&tls->fault, KR_ERR_FORBIDDEN, "the other end refuses this connection: %s",
                  SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        say(tls, KR_ERR_UNAUTHORIZED, "the other end showed no certificate");
    else if (reason == SSL_R_NO_APPLICATION_PROTOCOL)
        say(tls, KR_ERR_INVALID, "the other end offers no protocol that is spoken here (ALPN)");
    else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_VERSION_TOO_LOW)
        say(tls, KR_ERR_INVALID, "the other end's TLS is too old");
    else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
             reason == SSL_R_PACKET_LENGTH_TOO_LONG)
        say(tls, KR_ERR_INVALID, "the other end does not speak TLS");
    else
        fault_set(&tls->fault, KR_ERR_INVALID, "TLS: %s", tls_error_text(code));
}

// A sentence that the check of the certificate left says more than OpenSSL's code.
static void fail(struct tls *tls)
{
    unsigned long code = tls_error_pop();
    tls->state = KR_TLS_FAILED;
    if (tls->fault.err == KR_ERR_OK)
        explain(tls, code);
}

static bool wants_more(const struct tls *tls, int result)
{
    return SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_READ;
}

// --- its steps -----------------------------------------------------------------------------------

static void send_goodbye(struct tls *tls)
{
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

static void open_up(struct tls *tls)
{
    tls->state = KR_TLS_OPEN;
    tls->has_peer = tls->context->verifies_peers;
    if (tls->context->needs_alpn && tls_protocol(tls).size == 0)
        say(tls, KR_ERR_INVALID, "the other end names no protocol (ALPN)");
    else if (tls->context->server == NULL || tls_server_admits(tls))
        return;
    send_goodbye(tls);
    tls->state = KR_TLS_FAILED;
}

static void shake_hands(struct tls *tls)
{
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1)
        open_up(tls);
    else if (!wants_more(tls, result))
        fail(tls);
    ERR_clear_error();
}

// The other end has said goodbye. A node says it back at once; a listener answers first.
static void end(struct tls *tls)
{
    tls->has_ended = true;
    if (tls->context->server == NULL)
        tls_shutdown(tls);
}

// What asks for new keys (RFC 8446 §4.6.3) or for a new handshake is a handshake's message; not
// every OpenSSL shows the latter, but the alert by which we refuse it (RFC 5246 §7.2.2) they all
// show. Both cost the other end less than us.
void tls_watch(int is_written, int version, int type, const void *data, size_t size, SSL *ssl,
               void *user)
{
    struct tls *tls = SSL_get_app_data(ssl);
    (void)version, (void)data, (void)size, (void)user;
    bool is_asked = !is_written && type == SSL3_RT_HANDSHAKE;
    bool is_refused = is_written && type == SSL3_RT_ALERT;
    if (tls->state != KR_TLS_OPEN || !(is_asked || is_refused))
        return;
    // Else OpenSSL would go through all that has come before it returned.
    if (++tls->own_count > KR_TLS_OWN_MAX)
        BIO_reset(tls->in);
}

// Decrypts one record's worth; false when there is no more for the moment.
static bool decrypt(struct tls *tls)
{
    size_t size = 0;
    uint8_t room[KR_TLS_RECORD];
    ERR_clear_error();
    int result = SSL_read_ex(tls->ssl, room, sizeof(room), &size);
    buf_add(&tls->plain, room, size);
    mem_zero(room, size);
    if (size > 0)
        tls->own_count = 0;
    assert(buf_result(&tls->plain) == KR_ERR_OK);
    if (result == 1)
        return true;
    int error = SSL_get_error(tls->ssl, result);
    if (error == SSL_ERROR_ZERO_RETURN)
        end(tls);
    else if (error != SSL_ERROR_WANT_READ)
        fail(tls);
    ERR_clear_error();
    return false;
}

static void give_up(struct tls *tls, const char *sentence)
{
    tls->state = KR_TLS_FAILED;
    say(tls, KR_ERR_INVALID, sentence);
}

static void advance(struct tls *tls)
{
    if (tls->state == KR_TLS_HANDSHAKE)
        shake_hands(tls);
    while (tls->state == KR_TLS_OPEN && decrypt(tls))
        continue;
    if (tls->state != KR_TLS_OPEN)
        return;
    if (tls->own_count > KR_TLS_OWN_MAX)
        give_up(tls, "the other end asks for new keys or handshakes, and sends nothing");
    else if (tls_untaken(tls) > KR_TLS_UNTAKEN_MAX + (size_t)KR_TLS_ANSWERS_MAX)
        give_up(tls, "the other end asks for more answers than it takes");
}

// --- its life ------------------------------------------------------------------------------------

struct tls *tls_make(struct tls_context *context)
{
    struct tls *tls = mem_zalloc(sizeof(*tls));
    atomic_fetch_add(&context->references, 1);
    tls->context = context;
    tls->ssl = SSL_new(context->ssl);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    assert(tls->ssl != NULL && tls->in != NULL && tls->out != NULL);
    SSL_set_bio(tls->ssl, tls->in, tls->out);
    SSL_set_app_data(tls->ssl, tls);
    init_plain(tls);
    return tls;
}

void tls_begin(struct tls *tls, bool is_server)
{
    if (is_server) {
        SSL_set_accept_state(tls->ssl);
    } else {
        SSL_set_connect_state(tls->ssl);
        shake_hands(tls);
    }
}

struct tls *tls_new(struct tls_context *context, bool is_server)
{
    struct tls *tls = tls_make(context);
    tls_begin(tls, is_server);
    return tls;
}

void tls_free(struct tls **tls)
{
    struct tls *freed = *tls;
    *tls = NULL;
    if (freed == NULL)
        return;
    SSL_free(freed->ssl);
    tls_context_free(&freed->context);
    buf_fini(&freed->plain);
    mem_free(freed);
}

enum tls_state tls_state(const struct tls *tls)
{
    return tls->state;
}

const struct fault *tls_fault(const struct tls *tls)
{
    return &tls->fault;
}

enum kr_err tls_peer(const struct tls *tls, struct tls_peer *out)
{
    if (!tls->has_peer)
        return KR_ERR_NOT_FOUND;
    *out = tls->peer;
    return KR_ERR_OK;
}

struct bytes tls_protocol(const struct tls *tls)
{
    const unsigned char *name = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(tls->ssl, &name, &size);
    return bytes_of(name, size);
}

const char *tls_client(const struct tls *tls)
{
    return tls->client;
}

bool tls_has_ended(const struct tls *tls)
{
    return tls->has_ended;
}

bool tls_is_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->ssl) == 1;
}

// --- bytes in ------------------------------------------------------------------------------------

static size_t count_unread(const struct tls *tls)
{
    return tls->plain.size - tls->plain_read + BIO_ctrl_pending(tls->in);
}

static void drop_read(struct tls *tls)
{
    if (tls->plain_read == 0)
        return;
    size_t left = tls->plain.size - tls->plain_read;
    memmove(tls->plain.data, tls->plain.data + tls->plain_read, left);
    mem_zero(tls->plain.data + left, tls->plain_read);
    tls->plain.size = left;
    tls->plain_read = 0;
}

// A memory BIO keeps as much as it ever held.
static void give_back(BIO *bio)
{
    BUF_MEM *memory = NULL;
    BIO_get_mem_ptr(bio, &memory);
    if (BIO_ctrl_pending(bio) == 0 && memory->max > KR_TLS_KEPT)
        BIO_set_mem_buf(bio, BUF_MEM_new(), BIO_CLOSE);
}

enum kr_err tls_receive(struct tls *tls, struct bytes ciphertext)
{
    bool is_dropped = tls->has_ended || tls->state == KR_TLS_CLOSED || tls->state == KR_TLS_FAILED;
    if (is_dropped || ciphertext.size == 0)
        return KR_ERR_OK;
    if (ciphertext.size > KR_TLS_UNREAD_MAX ||
        count_unread(tls) > KR_TLS_UNREAD_MAX - ciphertext.size)
        return KR_ERR_BUSY;
    drop_read(tls);
    int size = BIO_write(tls->in, ciphertext.data, (int)ciphertext.size);
    assert((size_t)size == ciphertext.size);
    advance(tls);
    give_back(tls->in);
    return KR_ERR_OK;
}

void tls_receive_end(struct tls *tls)
{
    if (tls->state == KR_TLS_CLOSED || tls->state == KR_TLS_FAILED)
        return;
    say(tls, KR_ERR_IO,
        tls->state == KR_TLS_HANDSHAKE ? "the connection ended during the handshake"
                                       : "the connection ended without a goodbye");
    tls->state = KR_TLS_FAILED;
}

static size_t room_of(const struct buf *out, size_t wanted)
{
    size_t room = out->has_failed ? 0 : out->limit - out->size;
    return room < wanted ? room : wanted;
}

size_t tls_unread(const struct tls *tls)
{
    return tls->plain.size - tls->plain_read;
}

size_t tls_read(struct tls *tls, struct buf *out)
{
    size_t size = room_of(out, tls->plain.size - tls->plain_read);
    if (size == 0)
        return 0;
    buf_add(out, tls->plain.data + tls->plain_read, size);
    tls->plain_read += size;
    if (tls->plain_read < tls->plain.size)
        return size;
    if (tls->plain.capacity > KR_TLS_KEPT) {
        buf_fini(&tls->plain);
        init_plain(tls);
    }
    drop_read(tls);
    return size;
}

// --- bytes out -----------------------------------------------------------------------------------

enum kr_err tls_write(struct tls *tls, struct bytes plaintext)
{
    size_t size = 0;
    if (tls->state != KR_TLS_OPEN)
        return KR_ERR_INVALID;
    if (plaintext.size > KR_TLS_UNTAKEN_MAX)
        return KR_ERR_TOO_LARGE;
    if (tls_untaken(tls) > KR_TLS_UNTAKEN_MAX - plaintext.size)
        return KR_ERR_BUSY;
    if (plaintext.size == 0)
        return KR_ERR_OK;
    ERR_clear_error();
    // A memory BIO takes everything, so a write is whole or the connection is broken.
    if (SSL_write_ex(tls->ssl, plaintext.data, plaintext.size, &size) != 1) {
        fail(tls);
        return KR_ERR_INVALID;
    }
    assert(size == plaintext.size);
    return KR_ERR_OK;
}

void tls_shutdown(struct tls *tls)
{
    if (tls->state == KR_TLS_OPEN)
        send_goodbye(tls);
    if (tls->state != KR_TLS_FAILED)
        tls->state = KR_TLS_CLOSED;
}

size_t tls_untaken(const struct tls *tls)
{
    return BIO_ctrl_pending(tls->out);
}

size_t tls_take(struct tls *tls, struct buf *out)
{
    size_t size = room_of(out, tls_untaken(tls));
    if (size == 0)
        return 0;
    uint8_t *room = buf_extend(out, size);
    int taken = BIO_read(tls->out, room, (int)size);
    assert(room != NULL && (size_t)taken == size);
    give_back(tls->out);
    return size;
}
