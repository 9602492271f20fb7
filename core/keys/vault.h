// SPDX-License-Identifier: Apache-2.0
// Sealing: key values of retrievable buckets, and idempotent answers. XChaCha20-Poly1305 (IETF).
//
// The vault key of a version is derived from that version's master key with crypto_kdf (BLAKE2b),
// context "krvault_", subkey id = version. The key id is the associated data, so that a box cannot
// be moved to another key. Pure but for the nonce (core/base/rand).
#pragma once

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/keys/model.h"

#define KR_VAULT_MASTER_SIZE 32

struct vault; // holds the vault keys in locked memory

struct vault_master {
    uint32_t version; // from 1
    uint8_t key[KR_VAULT_MASTER_SIZE];
};

// Gives. Copies 1 to KR_SEALED_VERSIONS_MAX masters, whose versions rise.
struct vault *vault_new(const struct vault_master *masters, size_t count);
void vault_free(struct vault **vault);
// A version and its check, which is crypto_kdf of the master key as well, context "krcheck_".
struct sealed_version vault_oldest(const struct vault *vault);
struct sealed_version vault_newest(const struct vault *vault);
// A number by which nodes tell whether their newest keys are the same; not 0.
uint64_t vault_mark(const struct vault *vault);
// What the vault has of a version.
enum vault_fit { KR_VAULT_FITS, KR_VAULT_MISSING, KR_VAULT_OTHER_KEY };
enum vault_fit vault_fits(const struct vault *vault, const struct sealed_version *version);

// Appends nonce ‖ ciphertext ‖ tag, under a version that the vault has.
void vault_seal(const struct vault *vault, uint32_t version, const char *key_id, struct bytes value,
                struct buf *box);
// Appends the value; CORRUPT when the box, its version or its key id do not fit.
must_use enum kr_err vault_open(const struct vault *vault, const struct sealed *sealed,
                                struct buf *value);

// Seals under a key derived from a secret that the caller holds (token value ‖ Idempotency-Key), so
// that the disk alone never yields the answer. context separates uses.
void vault_seal_for(struct bytes secret, const char *context, struct bytes plain, struct buf *box);
must_use enum kr_err vault_open_for(struct bytes secret, const char *context, struct bytes box,
                                    struct buf *plain);
