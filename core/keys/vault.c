// SPDX-License-Identifier: Apache-2.0
// The vault: XChaCha20-Poly1305 boxes under keys derived from the master key or from a secret.
//
// A nonce is 24 random bytes, so that any number of boxes may be sealed under one key. The locked
// memory of the vault comes from libsodium (guard pages, mlock, no core dump), not from
// core/base/mem.
#include "core/keys/vault.h"

#include <assert.h>
#include <endian.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/base/rand.h"

enum {
    KR_KEY_SIZE = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    KR_NONCE_SIZE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    KR_TAG_SIZE = crypto_aead_xchacha20poly1305_ietf_ABYTES
};

// The master keys themselves are not needed again.
struct vault {
    size_t count;
    struct vault_key {
        struct sealed_version version;
        uint8_t key[KR_KEY_SIZE];
    } keys[KR_SEALED_VERSIONS_MAX];
};

static const char kdf_context[crypto_kdf_CONTEXTBYTES + 1] = "krvault_";
static const char check_context[crypto_kdf_CONTEXTBYTES + 1] = "krcheck_";

static void add_key(struct vault *vault, const struct vault_master *master)
{
    struct vault_key *key = &vault->keys[vault->count++];
    key->version.version = master->version;
    crypto_kdf_derive_from_key(key->key, sizeof(key->key), master->version, kdf_context,
                               master->key);
    crypto_kdf_derive_from_key(key->version.check, sizeof(key->version.check), master->version,
                               check_context, master->key);
}

struct vault *vault_new(const struct vault_master *masters, size_t count)
{
    _Static_assert(KR_VAULT_MASTER_SIZE == crypto_kdf_KEYBYTES, "crypto_kdf takes the master key");
    assert(count > 0 && count <= KR_SEALED_VERSIONS_MAX);
    struct vault *vault = sodium_malloc(sizeof(*vault));
    if (vault == NULL) {
        fputs("keyreeve: no locked memory for the vault key\n", stderr);
        abort();
    }
    vault->count = 0;
    for (size_t i = 0; i < count; i++)
        add_key(vault, &masters[i]);
    sodium_mprotect_readonly(vault);
    return vault;
}

void vault_free(struct vault **vault)
{
    sodium_free(*vault);
    *vault = NULL;
}

struct sealed_version vault_oldest(const struct vault *vault)
{
    return vault->keys[0].version;
}

struct sealed_version vault_newest(const struct vault *vault)
{
    return vault->keys[vault->count - 1].version;
}

uint64_t vault_mark(const struct vault *vault)
{
    const struct sealed_version newest = vault_newest(vault);
    uint64_t mark;
    memcpy(&mark, newest.check, sizeof(mark));
    return le64toh(mark) | 1;
}

static const struct vault_key *find(const struct vault *vault, uint32_t version)
{
    for (size_t i = 0; i < vault->count; i++)
        if (vault->keys[i].version.version == version)
            return &vault->keys[i];
    return NULL;
}

enum vault_fit vault_fits(const struct vault *vault, const struct sealed_version *version)
{
    const struct vault_key *key = find(vault, version->version);
    if (key == NULL)
        return KR_VAULT_MISSING;
    bool is_same = sodium_memcmp(key->version.check, version->check, sizeof(version->check)) == 0;
    return is_same ? KR_VAULT_FITS : KR_VAULT_OTHER_KEY;
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

void vault_seal(const struct vault *vault, uint32_t version, const char *key_id, struct bytes value,
                struct buf *box)
{
    const struct vault_key *key = find(vault, version);
    assert(key != NULL);
    seal(key->key, key_id, value, box);
}

enum kr_err vault_open(const struct vault *vault, const struct sealed *sealed, struct buf *value)
{
    const struct vault_key *key = find(vault, sealed->vault_version);
    if (key == NULL)
        return KR_ERR_CORRUPT;
    return open_box(key->key, sealed->key_id, sealed->box, value);
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
