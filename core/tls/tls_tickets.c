// SPDX-License-Identifier: Apache-2.0
// Session tickets (RFC 5077, RFC 8446 §4.6.1): a few keys, of which the newest seals and all open.
//
// The keys live in this process alone: a ticket is of use at the node that gave it, and ends with
// it. A stolen key opens what was recorded for a day at most, and of TLS 1.2 only: 1.3 agrees on a
// new secret at each resumption.
#include "core/tls/tls_tickets.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/rand.h"

enum { KR_TLS_TICKET_KEYS = 3, KR_TLS_TICKET_NAME = 16, KR_TLS_TICKET_SECRET = 32 };

struct ticket_key {
    uint8_t name[KR_TLS_TICKET_NAME];
    uint8_t cipher[KR_TLS_TICKET_SECRET], mac[KR_TLS_TICKET_SECRET];
    uint64_t made_ms; // boot clock
};

struct tls_tickets {
    atomic_uint references;
    pthread_mutex_t lock;                       // of the keys
    struct ticket_key keys[KR_TLS_TICKET_KEYS]; // newest first
    size_t count;
};

static void rotate(struct tls_tickets *tickets)
{
    memmove(&tickets->keys[1], &tickets->keys[0], sizeof(tickets->keys) - sizeof(tickets->keys[0]));
    struct ticket_key *key = &tickets->keys[0];
    rand_bytes(key->name, sizeof(key->name));
    rand_bytes(key->cipher, sizeof(key->cipher));
    rand_bytes(key->mac, sizeof(key->mac));
    key->made_ms = clock_boot_ms();
    tickets->count += tickets->count < KR_TLS_TICKET_KEYS;
}

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = mem_zalloc(sizeof(*tickets));
    atomic_init(&tickets->references, 1);
    pthread_mutex_init(&tickets->lock, NULL);
    rotate(tickets);
    return tickets;
}

struct tls_tickets *tls_tickets_share(struct tls_tickets *tickets)
{
    atomic_fetch_add(&tickets->references, 1);
    return tickets;
}

void tls_tickets_free(struct tls_tickets **tickets)
{
    struct tls_tickets *freed = *tickets;
    *tickets = NULL;
    if (freed == NULL || atomic_fetch_sub(&freed->references, 1) > 1)
        return;
    pthread_mutex_destroy(&freed->lock);
    mem_zero(freed, sizeof(*freed));
    mem_free(freed);
}

void tls_tickets_rotate(struct tls_tickets *tickets)
{
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets);
    pthread_mutex_unlock(&tickets->lock);
}

static bool has_ended(const struct ticket_key *key)
{
    return clock_boot_ms() - key->made_ms >= (uint64_t)KR_TLS_TICKET_KEYS * KR_TLS_TICKET_MS;
}

// NULL: nobody's, or too old.
static const struct ticket_key *find(const struct tls_tickets *tickets, const uint8_t *name)
{
    for (size_t i = 0; i < tickets->count; i++) {
        const struct ticket_key *key = &tickets->keys[i];
        if (memcmp(key->name, name, sizeof(key->name)) == 0 && !has_ended(key))
            return key;
    }
    return NULL;
}

static bool take_up(const struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int is_encrypting)
{
    char digest[] = "SHA256";
    uint8_t secret[KR_TLS_TICKET_SECRET];
    memcpy(secret, key->mac, sizeof(secret)); // OSSL_PARAM is not const
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool is_taken =
        EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, is_encrypting) == 1 &&
        EVP_MAC_CTX_set_params(mac, params) == 1;
    mem_zero(secret, sizeof(secret));
    return is_taken;
}

static int seal(struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    if (clock_boot_ms() - tickets->keys[0].made_ms >= KR_TLS_TICKET_MS)
        rotate(tickets);
    const struct ticket_key *key = &tickets->keys[0];
    memcpy(name, key->name, sizeof(key->name));
    rand_bytes(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
    return take_up(key, iv, cipher, mac, 1) ? 1 : -1;
}

// 0: a full handshake instead. 2: opened, and the client gets a ticket of the newest key.
static int open_ticket(const struct tls_tickets *tickets, const unsigned char *name,
                       unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const struct ticket_key *key = find(tickets, name);
    if (key == NULL)
        return 0;
    if (!take_up(key, iv, cipher, mac, 0))
        return -1;
    return key == &tickets->keys[0] ? 1 : 2;
}

int tls_tickets_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int is_encrypting)
{
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    pthread_mutex_lock(&tickets->lock);
    int result = is_encrypting ? seal(tickets, name, iv, cipher, mac)
                               : open_ticket(tickets, name, iv, cipher, mac);
    pthread_mutex_unlock(&tickets->lock);
    return result;
}
