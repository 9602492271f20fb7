// SPDX-License-Identifier: Apache-2.0
// Addresses and blocks: what is read, what is refused, and who lies inside.
#include "core/base/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct cidr block(const char *text)
{
    struct cidr cidr;
    if (!cidr_parse(bytes_text(text), &cidr))
        fail_msg("refused: %s", text);
    return cidr;
}

static struct cidr_address address(const char *text)
{
    struct cidr_address parsed;
    if (!cidr_parse_address(bytes_text(text), &parsed))
        fail_msg("refused: %s", text);
    return parsed;
}

static bool lies_in(const char *host, const char *network)
{
    struct cidr cidr = block(network);
    struct cidr_address parsed = address(host);
    return cidr_contains(&cidr, &parsed);
}

static void blocks_have_a_canonical_text(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"192.0.2.1", "192.0.2.1/32"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"2001:DB8:0:0::/32", "2001:db8::/32"},
        {"::", "::/128"},
        {"::/0", "::/0"},
        {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
        {"::ffff:0:0/96", "0.0.0.0/0"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
        {"8000::/1", "8000::/1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[KR_CIDR_TEXT_SIZE];
        struct cidr cidr = block(cases[i][0]);
        cidr_text(&cidr, text);
        assert_string_equal(text, cases[i][1]);
    }
}

static void malformed_blocks_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/ 8",
        " 10.0.0.0/8",
        "10.0.0.0/8 ",
        "10.0.0/8",
        "10.0.0.256",
        "010.0.0.0/8",
        "10.0.0.1/8",
        "0x0a.0.0.0",
        "2001:db8::/129",
        "2001:db8::1/64",
        "::1::",
        ":::",
        "fe80::1%eth0",
        "[2001:db8::]/32",
        "10.0.0.0/255.0.0.0",
        "::ffff:0:0/95",
        "1.2.3.4.5",
        "localhost",
        "99999999999999999999999999999999999999999999999",
        "10.0.0.0/18446744073709551624",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct cidr cidr;
        if (cidr_parse(bytes_text(wrong[i]), &cidr))
            fail_msg("accepted: %s", wrong[i]);
    }
}

static void a_nul_does_not_end_an_address_early(void **state)
{
    (void)state;
    struct cidr_address parsed;
    struct cidr cidr;
    assert_false(cidr_parse_address(bytes_of("10.0.0.1\0", 9), &parsed));
    assert_false(cidr_parse_address(bytes_of("10.0.0.1\0.evil", 14), &parsed));
    assert_false(cidr_parse(bytes_of("10.0.0.1\0/8", 11), &cidr));
    assert_false(cidr_parse_address(bytes_of(NULL, 0), &parsed));
    assert_false(cidr_parse(bytes_of(NULL, 0), &cidr));
}

static void addresses_come_with_or_without_brackets(void **state)
{
    (void)state;
    struct cidr_address plain = address("2001:db8::1"), bracketed = address("[2001:db8::1]");
    assert_memory_equal(&plain, &bracketed, sizeof(plain));
    static const char *const wrong[] = {"",        "[",           "]",           "[]",
                                        "[::1",    "::1]",        "[::1]:80",    "[10.0.0.1]",
                                        "[[::1]]", "10.0.0.1:80", "10.0.0.1/32", "fe80::1%1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct cidr_address parsed;
        if (cidr_parse_address(bytes_text(wrong[i]), &parsed))
            fail_msg("accepted: %s", wrong[i]);
    }
}

static void ipv4_is_the_same_address_when_mapped(void **state)
{
    (void)state;
    struct cidr_address plain = address("192.0.2.1"), mapped = address("::ffff:192.0.2.1");
    assert_memory_equal(&plain, &mapped, sizeof(plain));
    assert_true(lies_in("::ffff:10.1.2.3", "10.0.0.0/8"));
}

static void containment_is_exact_to_the_bit(void **state)
{
    (void)state;
    assert_true(lies_in("10.255.255.255", "10.0.0.0/8"));
    assert_false(lies_in("11.0.0.0", "10.0.0.0/8"));
    assert_true(lies_in("172.16.15.255", "172.16.0.0/20"));
    assert_false(lies_in("172.16.16.0", "172.16.0.0/20"));
    assert_true(lies_in("192.0.2.1", "192.0.2.1"));
    assert_false(lies_in("192.0.2.0", "192.0.2.1"));
    assert_true(lies_in("192.0.2.1", "192.0.2.0/31"));
    assert_true(lies_in("2001:db8:ffff::1", "2001:db8::/32"));
    assert_false(lies_in("2001:db9::", "2001:db8::/32"));
    assert_true(lies_in("2001:db8::7fff", "2001:db8::/113"));
    assert_false(lies_in("2001:db8::8000", "2001:db8::/113"));
}

static void each_family_has_its_own_everything(void **state)
{
    (void)state;
    assert_true(lies_in("255.255.255.255", "0.0.0.0/0"));
    assert_false(lies_in("2001:db8::1", "0.0.0.0/0"));
    assert_false(lies_in("::1", "0.0.0.0/0"));
    assert_true(lies_in("2001:db8::1", "::/0"));
    assert_true(lies_in("10.0.0.1", "::/0"));
}

// The slow way, bit by bit, against every prefix length.
static void every_prefix_length_masks_its_own_bits(void **state)
{
    (void)state;
    struct cidr cidr = {.prefix_bits = 0};
    for (unsigned bits = 0; bits <= 128; bits++) {
        cidr.prefix_bits = (uint8_t)bits;
        for (unsigned flipped = 0; flipped < 128; flipped++) {
            struct cidr_address other = {{0}};
            other.bytes[flipped / 8] = (uint8_t)(0x80 >> flipped % 8);
            assert_int_equal(cidr_contains(&cidr, &other), flipped >= bits);
        }
    }
}

static void a_list_contains_what_any_of_it_contains(void **state)
{
    (void)state;
    struct cidr list[] = {block("10.0.0.0/8"), block("2001:db8::/32")};
    struct cidr_address first = address("10.1.1.1"), second = address("2001:db8::1"),
                        none = address("192.0.2.1");
    assert_true(cidr_any_contains(list, 2, &first));
    assert_true(cidr_any_contains(list, 2, &second));
    assert_false(cidr_any_contains(list, 2, &none));
    assert_false(cidr_any_contains(list, 1, &second));
    assert_false(cidr_any_contains(NULL, 0, &first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_have_a_canonical_text),
        cmocka_unit_test(malformed_blocks_are_refused),
        cmocka_unit_test(a_nul_does_not_end_an_address_early),
        cmocka_unit_test(addresses_come_with_or_without_brackets),
        cmocka_unit_test(ipv4_is_the_same_address_when_mapped),
        cmocka_unit_test(containment_is_exact_to_the_bit),
        cmocka_unit_test(each_family_has_its_own_everything),
        cmocka_unit_test(every_prefix_length_masks_its_own_bits),
        cmocka_unit_test(a_list_contains_what_any_of_it_contains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
