// SPDX-License-Identifier: Apache-2.0
// Sealing: key values of retrievable buckets, and idempotent answers. XChaCha20-Poly1305 (IETF).
//
// The vault key of a version is derived from the cluster's master key with crypto_kdf (BLAKE2b),
// context "krvault_", subkey id = version. The key id is the associated data, so that a box cannot
// be moved to another key. Pure but for the nonce (core/base/rand).
#pragma once

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/keys/model.h"

#define KR_VAULT_MASTER_SIZE 32

struct vault; // holds the master key in locked memory

struct vault *vault_new(const uint8_t master[KR_VAULT_MASTER_SIZE]); // gives; copies master
void vault_free(struct vault **vault);
uint32_t vault_version(const struct vault *vault); // under which new values are sealed: 1

// Appends nonce ‖ ciphertext ‖ tag.
void vault_seal(const struct vault *vault, const char *key_id, struct bytes value, struct buf *box);
// Appends the value; CORRUPT when the box, its version or its key id do not fit.
must_use enum kr_err vault_open(const struct vault *vault, const struct sealed *sealed,
                                struct buf *value);

// Seals under a key derived from a secret that the caller holds (token value ‖ Idempotency-Key), so
// that the disk alone never yields the answer. context separates uses.
void vault_seal_for(struct bytes secret, const char *context, struct bytes plain, struct buf *box);
must_use enum kr_err vault_open_for(struct bytes secret, const char *context, struct bytes box,
                                    struct buf *plain);
