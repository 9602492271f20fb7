// SPDX-License-Identifier: Apache-2.0
// IP addresses and CIDR blocks.
#include "core/base/cidr.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/base/text.h"

enum { KR_CIDR_IPV4_OFFSET = 12, KR_CIDR_IPV4_BITS = 96, KR_CIDR_BITS = 128 };

static const uint8_t ipv4_prefix[KR_CIDR_IPV4_OFFSET] = {[10] = 0xff, [11] = 0xff};

struct cidr_address cidr_of_ipv4(const uint8_t bytes[4])
{
    struct cidr_address address;
    memcpy(address.bytes, ipv4_prefix, sizeof(ipv4_prefix));
    memcpy(address.bytes + KR_CIDR_IPV4_OFFSET, bytes, 4);
    return address;
}

bool cidr_is_ipv4(const struct cidr_address *address)
{
    return memcmp(address->bytes, ipv4_prefix, sizeof(ipv4_prefix)) == 0;
}

// inet_pton wants a NUL-terminated text, and would take one that ends early for the whole.
static bool parse_plain(struct bytes text, struct cidr_address *out, bool *is_ipv4)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.size == 0 || text.size >= sizeof(copy) || memchr(text.data, '\0', text.size) != NULL)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    *is_ipv4 = strchr(copy, ':') == NULL;
    if (!*is_ipv4)
        return inet_pton(AF_INET6, copy, out->bytes) == 1;
    memcpy(out->bytes, ipv4_prefix, sizeof(ipv4_prefix));
    return inet_pton(AF_INET, copy, out->bytes + KR_CIDR_IPV4_OFFSET) == 1;
}

bool cidr_parse_address(struct bytes text, struct cidr_address *out)
{
    bool is_ipv4;
    if (text.size < 2 || text.data[0] != '[')
        return parse_plain(text, out, &is_ipv4);
    if (text.data[text.size - 1] != ']')
        return false;
    return parse_plain(bytes_of(text.data + 1, text.size - 2), out, &is_ipv4) && !is_ipv4;
}

// The bits of byte number `at` that belong to the network.
static uint8_t network_mask(unsigned prefix_bits, unsigned at)
{
    if (prefix_bits >= 8 * (at + 1))
        return 0xff;
    if (prefix_bits <= 8 * at)
        return 0;
    return (uint8_t)(0xff00u >> (prefix_bits - 8 * at));
}

static bool has_host_bits(const struct cidr *cidr)
{
    for (unsigned i = 0; i < sizeof(cidr->network.bytes); i++)
        if ((cidr->network.bytes[i] & ~network_mask(cidr->prefix_bits, i)) != 0)
            return true;
    return false;
}

bool cidr_parse(struct bytes text, struct cidr *out)
{
    bool is_ipv4;
    const uint8_t *slash = text.size > 0 ? memchr(text.data, '/', text.size) : NULL;
    size_t address_size = slash != NULL ? (size_t)(slash - text.data) : text.size;
    if (!parse_plain(bytes_of(text.data, address_size), &out->network, &is_ipv4))
        return false;
    unsigned offset_bits = is_ipv4 ? KR_CIDR_IPV4_BITS : 0;
    uint64_t bits = KR_CIDR_BITS - offset_bits;
    if (slash != NULL &&
        !text_decimal(bytes_of(slash + 1, text.size - address_size - 1), bits, &bits))
        return false;
    out->prefix_bits = (uint8_t)(offset_bits + bits);
    return !has_host_bits(out);
}

bool cidr_contains(const struct cidr *cidr, const struct cidr_address *address)
{
    for (unsigned i = 0; i < sizeof(address->bytes); i++) {
        uint8_t mask = network_mask(cidr->prefix_bits, i);
        if (((address->bytes[i] ^ cidr->network.bytes[i]) & mask) != 0)
            return false;
    }
    return true;
}

bool cidr_any_contains(const struct cidr *list, size_t count, const struct cidr_address *address)
{
    for (size_t i = 0; i < count; i++)
        if (cidr_contains(&list[i], address))
            return true;
    return false;
}

static char *put_bits(char *out, unsigned bits)
{
    *out++ = '/';
    if (bits >= 100)
        *out++ = (char)('0' + bits / 100);
    if (bits >= 10)
        *out++ = (char)('0' + bits / 10 % 10);
    *out++ = (char)('0' + bits % 10);
    return out;
}

void cidr_text(const struct cidr *cidr, char out[KR_CIDR_TEXT_SIZE])
{
    const uint8_t *bytes = cidr->network.bytes;
    bool is_ipv4 = cidr->prefix_bits >= KR_CIDR_IPV4_BITS && cidr_is_ipv4(&cidr->network);
    if (is_ipv4)
        inet_ntop(AF_INET, bytes + KR_CIDR_IPV4_OFFSET, out, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN);
    unsigned bits = is_ipv4 ? cidr->prefix_bits - KR_CIDR_IPV4_BITS : cidr->prefix_bits;
    *put_bits(out + strlen(out), bits) = '\0';
}
