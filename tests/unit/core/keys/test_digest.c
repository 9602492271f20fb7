// SPDX-License-Identifier: Apache-2.0
// Tests of the digest: FIPS 180-4's examples, and that parts cannot be shifted into one another.
#include "core/keys/digest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "core/base/text.h"

static void assert_digest(struct bytes data, const char *expected)
{
    uint8_t digest[KR_DIGEST_SIZE];
    char hex[2 * KR_DIGEST_SIZE + 1];
    digest_sha256(data, digest);
    text_hex(digest, sizeof(digest), hex);
    assert_string_equal(hex, expected);
}

static void sha256_gives_the_standards_examples(void **state)
{
    (void)state;
    assert_digest(bytes_text("abc"),
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest(bytes_of(NULL, 0),
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(bytes_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// The digests of texts of 0 … SIZES - 1 bytes, one after the other, cross every limit of padding.
// Their own digest was computed by another implementation (Python's hashlib).
static void sha256_pads_texts_of_every_size(void **state)
{
    (void)state;
    enum { SIZES = 260 };
    static uint8_t text[SIZES], digests[SIZES][KR_DIGEST_SIZE];
    for (size_t i = 0; i < SIZES; i++)
        text[i] = (uint8_t)(i * 7 + 1);
    for (size_t size = 0; size < SIZES; size++)
        digest_sha256(bytes_of(text, size), digests[size]);
    assert_digest(bytes_of(digests, sizeof(digests)),
                  "d24849fd92218f35ab2141f41bd9abe59bf9cd94442a74485f071d584c4d985c");
}

static void many_digests_are_the_single_ones(void **state)
{
    (void)state;
    enum { MOST = 70 };
    static uint8_t text[260], many[MOST + 1][KR_DIGEST_SIZE];
    struct bytes texts[MOST];
    memset(text, 'k', sizeof(text));
    for (size_t count = 0; count <= MOST; count++) {
        for (size_t i = 0; i < count; i++)
            texts[i] = bytes_of(text + i % 3, (count * 37 + i * 31) % 250);
        memset(many, 0xaa, sizeof(many));
        digest_sha256_many(texts, count, many);
        for (size_t i = 0; i < count; i++) {
            uint8_t one[KR_DIGEST_SIZE];
            digest_sha256(texts[i], one);
            assert_memory_equal(many[i], one, sizeof(one));
        }
        for (size_t i = 0; i < KR_DIGEST_SIZE; i++)
            assert_int_equal(many[count][i], 0xaa);
    }
}

static void parts_are_hashed_with_their_lengths(void **state)
{
    (void)state;
    const struct bytes one[] = {bytes_text("ab"), bytes_text("c")};
    const struct bytes other[] = {bytes_text("a"), bytes_text("bc")};
    const struct bytes longer[] = {bytes_text("ab"), bytes_text("c"), bytes_of(NULL, 0)};
    uint8_t first[KR_DIGEST_SIZE], second[KR_DIGEST_SIZE], flat[KR_DIGEST_SIZE];
    digest_parts(one, 2, first);
    digest_parts(other, 2, second);
    assert_memory_not_equal(first, second, KR_DIGEST_SIZE);
    digest_parts(longer, 3, second);
    assert_memory_not_equal(first, second, KR_DIGEST_SIZE);
    digest_sha256(bytes_of("\0\0\0\0\0\0\0\2ab\0\0\0\0\0\0\0\1c", 19), flat);
    assert_memory_equal(first, flat, KR_DIGEST_SIZE);
}

static void a_digest_is_read_from_hex_and_from_base64(void **state)
{
    uint8_t empty[KR_DIGEST_SIZE], digest[KR_DIGEST_SIZE];
    (void)state;
    digest_sha256(bytes_of(NULL, 0), empty);
    assert_true(
        digest_read("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", digest));
    assert_memory_equal(digest, empty, KR_DIGEST_SIZE);
    assert_true(digest_read("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", digest));
    assert_memory_equal(digest, empty, KR_DIGEST_SIZE);
    assert_false(digest_read("", digest));
    assert_false(digest_read("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==", digest));
    assert_false(
        digest_read("g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_standards_examples),
        cmocka_unit_test(sha256_pads_texts_of_every_size),
        cmocka_unit_test(many_digests_are_the_single_ones),
        cmocka_unit_test(parts_are_hashed_with_their_lengths),
        cmocka_unit_test(a_digest_is_read_from_hex_and_from_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
