// SPDX-License-Identifier: Apache-2.0
// SHA-256 through OpenSSL's low-level calls.
//
// OpenSSL 3 marks them deprecated in favour of EVP, but they are its only path without a look-up of
// the algorithm and a context on the heap, and the only one that lets the blocks of several texts
// take turns. The state is on the stack, so there is nothing to free at a thread's end.
//
// A round waits for the one before it. A block is short enough for a processor to begin the next
// before it is through with this one, if that is another text's; a key of two blocks is not. So
// keys are padded here, and all first blocks are compressed before all second ones.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/keys/digest.h"

#include <assert.h>
#include <endian.h>
#include <openssl/sha.h>

#include "core/base/mem.h"
#include "core/base/text.h"

enum {
    KR_DIGEST_BLOCKS = 2, // of a text that is padded here
    KR_DIGEST_PADDED_BYTES = KR_DIGEST_BLOCKS * SHA256_CBLOCK,
    KR_DIGEST_SHORT_MAX = KR_DIGEST_PADDED_BYTES - 9 // a byte and the length stand behind it
};

static_assert(SHA256_DIGEST_LENGTH == KR_DIGEST_SIZE, "the digest is SHA-256's");

// FIPS 180-4 §5.1.1: the text, a bit, zeros, and the text's length in bits. Gives the bytes to be
// hashed: one block or two.
static size_t pad(struct bytes text, uint8_t out[KR_DIGEST_PADDED_BYTES])
{
    uint64_t bits = htobe64((uint64_t)text.size * 8);
    size_t size = text.size + 9 <= SHA256_CBLOCK ? SHA256_CBLOCK : KR_DIGEST_PADDED_BYTES;
    if (text.size > 0)
        memcpy(out, text.data, text.size);
    memset(out + text.size, 0, size - text.size);
    out[text.size] = 0x80;
    memcpy(out + size - sizeof(bits), &bits, sizeof(bits));
    return size;
}

// By eight bytes, as the hot table reads them: what was stored by four would stall it.
static void give(const SHA256_CTX *state, uint8_t out[KR_DIGEST_SIZE])
{
    for (size_t i = 0; i < KR_DIGEST_SIZE / sizeof(uint64_t); i++) {
        uint64_t word = htobe64((uint64_t)state->h[2 * i] << 32 | state->h[2 * i + 1]);
        memcpy(out + i * sizeof(word), &word, sizeof(word));
    }
}

// These calls fail only when handed NULL, which the types rule out.
static void digest_long(struct bytes text, uint8_t out[KR_DIGEST_SIZE])
{
    SHA256_CTX state;
    SHA256_Init(&state);
    SHA256_Update(&state, text.data, text.size);
    SHA256_Final(out, &state);
}

void digest_sha256(struct bytes text, uint8_t out[KR_DIGEST_SIZE])
{
    SHA256_CTX state;
    uint8_t padded[KR_DIGEST_PADDED_BYTES];
    if (text.size > KR_DIGEST_SHORT_MAX) {
        digest_long(text, out);
        return;
    }
    SHA256_Init(&state);
    SHA256_Update(&state, padded, pad(text, padded));
    give(&state, out);
    mem_zero(padded, sizeof(padded));
}

static void digest_group(const struct bytes *texts, size_t count, uint8_t (*out)[KR_DIGEST_SIZE])
{
    SHA256_CTX first, states[KR_DIGEST_TOGETHER];
    uint8_t padded[KR_DIGEST_TOGETHER][KR_DIGEST_PADDED_BYTES];
    size_t sizes[KR_DIGEST_TOGETHER];
    for (size_t i = 0; i < count; i++) {
        bool is_short = texts[i].size <= KR_DIGEST_SHORT_MAX;
        sizes[i] = pad(is_short ? texts[i] : (struct bytes){0}, padded[i]);
    }
    SHA256_Init(&first);
    for (size_t i = 0; i < count; i++) {
        memcpy(states[i].h, first.h, sizeof(first.h)); // all that the compression reads
        SHA256_Transform(&states[i], padded[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] > SHA256_CBLOCK)
            SHA256_Transform(&states[i], padded[i] + SHA256_CBLOCK);
        give(&states[i], out[i]);
        if (texts[i].size > KR_DIGEST_SHORT_MAX)
            digest_long(texts[i], out[i]);
    }
    mem_zero(padded, count * sizeof(padded[0]));
}

void digest_sha256_many(const struct bytes *texts, size_t count, uint8_t (*out)[KR_DIGEST_SIZE])
{
    if (count == 1) {
        digest_sha256(texts[0], out[0]);
        return;
    }
    for (size_t at = 0; at < count; at += KR_DIGEST_TOGETHER)
        digest_group(texts + at, count - at < KR_DIGEST_TOGETHER ? count - at : KR_DIGEST_TOGETHER,
                     out + at);
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

bool digest_read(const char *text, uint8_t out[KR_DIGEST_SIZE])
{
    size_t size = 0;
    if (strlen(text) == 2 * (size_t)KR_DIGEST_SIZE)
        return text_from_hex(bytes_text(text), out, KR_DIGEST_SIZE);
    return text_from_base64(bytes_text(text), out, KR_DIGEST_SIZE, &size) && size == KR_DIGEST_SIZE;
}
