// SPDX-License-Identifier: Apache-2.0
// IP addresses and CIDR blocks (RFC 4632, RFC 4291 §2.3), IPv4 held as IPv4-mapped IPv6.
//
// So 192.0.2.1 and ::ffff:192.0.2.1 are the same address, and ::/0 contains every address of both
// families.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/bytes.h"

struct cidr_address {
    uint8_t bytes[16]; // network order; IPv4 as ::ffff:a.b.c.d
};

struct cidr {
    struct cidr_address network; // host bits zero
    uint8_t prefix_bits;         // 0..128, counted on the 16 bytes
};

#define KR_CIDR_TEXT_SIZE 50

struct cidr_address cidr_of_ipv4(const uint8_t bytes[4]);
bool cidr_is_ipv4(const struct cidr_address *address);
// An address: IPv4 or IPv6, the latter also in brackets; an optional port and zone are not
// accepted.
bool cidr_parse_address(struct bytes text, struct cidr_address *out);
// "10.0.0.0/8", "2001:db8::/32", or a bare address (one host). Host bits must be zero.
bool cidr_parse(struct bytes text, struct cidr *out);
bool cidr_contains(const struct cidr *cidr, const struct cidr_address *address);
bool cidr_any_contains(const struct cidr *list, size_t count, const struct cidr_address *address);
// The canonical text (RFC 5952), always with its prefix length, and a NUL.
void cidr_text(const struct cidr *cidr, char out[KR_CIDR_TEXT_SIZE]);
