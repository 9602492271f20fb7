// SPDX-License-Identifier: Apache-2.0
// The vault: XChaCha20-Poly1305 boxes under keys derived from the master key or from a secret.
//
// A nonce is 24 random bytes, so that any number of boxes may be sealed under one key. The locked
// memory of the vault comes from libsodium (guard pages, mlock, no core dump), not from
// core/base/mem.
#include "core/keys/vault.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/base/rand.h"

enum {
    KR_VAULT_VERSION = 1,
    KR_KEY_SIZE = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    KR_NONCE_SIZE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    KR_TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES
};

struct vault {
    uint8_t key[KR_KEY_SIZE]; // of KR_VAULT_VERSION; the master key itself is not needed again
};

static const char kdf_context[crypto_kdf_CONTEXTBYTES + 1] = "krvault_";

struct vault *vault_new(const uint8_t master[KR_VAULT_MASTER_SIZE])
{
    _Static_assert(KR_VAULT_MASTER_SIZE == crypto_kdf_KEYBYTES, "crypto_kdf takes the master key");
    struct vault *vault = sodium_malloc(sizeof(*vault));
    if (vault == NULL) {
        fputs("keyreeve: no locked memory for the vault key\n", stderr);
        abort();
    }
    crypto_kdf_derive_from_key(vault->key, sizeof(vault->key), KR_VAULT_VERSION, kdf_context,
                               master);
    sodium_mprotect_readonly(vault);
    return vault;
}

void vault_free(struct vault **vault)
{
    sodium_free(*vault);
    *vault = NULL;
}

uint32_t vault_version(const struct vault *vault)
{
    (void)vault;
    return KR_VAULT_VERSION;
}

static void seal(const uint8_t key[KR_KEY_SIZE], const char *context, struct bytes plain,
                 struct buf *box)
{
    uint8_t *place = buf_extend(box, KR_NONCE_SIZE + plain.size + KR_TAG_SIZE);
    if (place == NULL)
        return;
    rand_bytes(place, KR_NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(place + KR_NONCE_SIZE, NULL, plain.data, plain.size,
                                               (const uint8_t *)context, strlen(context), NULL,
                                               place, key);
}

// On failure plain is as it was.
static enum kr_err open_box(const uint8_t key[KR_KEY_SIZE], const char *context, struct bytes box,
                            struct buf *plain)
{
    if (box.size < KR_NONCE_SIZE + KR_TAG_SIZE)
        return KR_ERR_CORRUPT;
    size_t size = box.size - KR_NONCE_SIZE - KR_TAG_SIZE;
    uint8_t *place = buf_extend(plain, size);
    enum kr_err err = buf_result(plain); // place may well be NULL for an empty text
    if (err != KR_ERR_OK)
        return err;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            place, NULL, NULL, box.data + KR_NONCE_SIZE, box.size - KR_NONCE_SIZE,
            (const uint8_t *)context, strlen(context), box.data, key) == 0)
        return KR_ERR_OK;
    plain->size -= size;
    return KR_ERR_CORRUPT;
}

void vault_seal(const struct vault *vault, const char *key_id, struct bytes value, struct buf *box)
{
    seal(vault->key, key_id, value, box);
}

enum kr_err vault_open(const struct vault *vault, const struct sealed *sealed, struct buf *value)
{
    if (sealed->vault_version != KR_VAULT_VERSION)
        return KR_ERR_CORRUPT;
    return open_box(vault->key, sealed->key_id, sealed->box, value);
}

// BLAKE2b of (length of context ‖ context ‖ secret). The secret holds a token's value, which has
// 256 random bits, so that a fast hash is enough.
static void derive(struct bytes secret, const char *context, uint8_t key[KR_KEY_SIZE])
{
    crypto_generichash_state state;
    uint8_t size[8];
    for (size_t i = 0; i < sizeof(size); i++)
        size[i] = (uint8_t)((uint64_t)strlen(context) >> (8 * (sizeof(size) - 1 - i)));
    crypto_generichash_init(&state, NULL, 0, KR_KEY_SIZE);
    crypto_generichash_update(&state, size, sizeof(size));
    crypto_generichash_update(&state, (const uint8_t *)context, strlen(context));
    crypto_generichash_update(&state, secret.data, secret.size);
    crypto_generichash_final(&state, key, KR_KEY_SIZE);
    mem_zero(&state, sizeof(state));
}

void vault_seal_for(struct bytes secret, const char *context, struct bytes plain, struct buf *box)
{
    uint8_t key[KR_KEY_SIZE];
    derive(secret, context, key);
    seal(key, context, plain, box);
    mem_zero(key, sizeof(key));
}

enum kr_err vault_open_for(struct bytes secret, const char *context, struct bytes box,
                           struct buf *plain)
{
    uint8_t key[KR_KEY_SIZE];
    derive(secret, context, key);
    enum kr_err err = open_box(key, context, box, plain);
    mem_zero(key, sizeof(key));
    return err;
}
