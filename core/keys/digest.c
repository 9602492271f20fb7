// SPDX-License-Identifier: Apache-2.0
// SHA-256 through OpenSSL's low-level calls.
//
// OpenSSL 3 marks them deprecated in favour of EVP, but they are its only path without a look-up of
// the algorithm and a context on the heap: 67 ns for 48 bytes against 108 ns with a fetched EVP_MD
// and a reused context. The state is on the stack, so there is nothing to free at a thread's end.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/keys/digest.h"

#include <assert.h>
#include <endian.h>
#include <openssl/sha.h>

static_assert(SHA256_DIGEST_LENGTH == KR_DIGEST_SIZE, "the digest is SHA-256's");

// These calls fail only when handed NULL, which the types rule out.
void digest_sha256(struct bytes data, uint8_t out[KR_DIGEST_SIZE])
{
    SHA256_CTX state;
    SHA256_Init(&state);
    SHA256_Update(&state, data.data, data.size);
    SHA256_Final(out, &state);
}

void digest_parts(const struct bytes *parts, size_t count, uint8_t out[KR_DIGEST_SIZE])
{
    SHA256_CTX state;
    SHA256_Init(&state);
    for (size_t i = 0; i < count; i++) {
        uint64_t size = htobe64(parts[i].size);
        SHA256_Update(&state, &size, sizeof(size));
        SHA256_Update(&state, parts[i].data, parts[i].size);
    }
    SHA256_Final(out, &state);
}
