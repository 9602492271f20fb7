// SPDX-License-Identifier: Apache-2.0
// Addresses and blocks: what is accepted prints canonically, and contains itself.
#include <assert.h>
#include <string.h>

#include "core/base/cidr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_of(data, size);
    struct cidr_address address;
    struct cidr block, again, host;
    char canonical[KR_CIDR_TEXT_SIZE], repeated[KR_CIDR_TEXT_SIZE];

    if (cidr_parse(text, &block)) {
        assert(block.prefix_bits <= 128);
        assert(cidr_contains(&block, &block.network));
        cidr_text(&block, canonical);
        assert(cidr_parse(bytes_text(canonical), &again));
        assert(memcmp(&block.network, &again.network, sizeof(block.network)) == 0);
        assert(block.prefix_bits == again.prefix_bits);
        cidr_text(&again, repeated);
        assert(strcmp(canonical, repeated) == 0);
    }
    if (cidr_parse_address(text, &address)) {
        host = (struct cidr){.network = address, .prefix_bits = 128};
        assert(cidr_any_contains(&host, 1, &address));
        address.bytes[15] ^= 1;
        assert(!cidr_contains(&host, &address));
    }
    return 0;
}
