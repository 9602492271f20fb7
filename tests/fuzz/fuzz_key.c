// SPDX-License-Identifier: Apache-2.0
// The form of a key, against a regular expression and a CRC-32 bit by bit; its mask hides the body.
#include <assert.h>
#include <regex.h>
#include <stdlib.h>

#include "core/keys/format.h"

static const char form[] =
    "^([a-z][a-z0-9]{1,15}(_[a-z0-9]{1,15}){0,2})_([0-9A-Za-z]{32,64})_[0-9a-f]{8}$";

static uint32_t slow_crc(const char *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t bit = 0; bit < size * 8; bit++) {
        uint32_t is_odd = (crc ^ (uint32_t)(uint8_t)data[bit / 8] >> bit % 8) & 1;
        crc = crc >> 1 ^ is_odd * 0xedb88320;
    }
    return ~crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static regex_t pattern;
    regmatch_t part[4];
    char text[KR_KEY_VALUE_MAX + 1] = "", masked[KR_KEY_MASKED_SIZE];
    enum format_result expected = KR_FORMAT_OTHER;
    if (pattern.re_nsub == 0 && regcomp(&pattern, form, REG_EXTENDED) != 0)
        abort();
    memcpy(text, data, size <= KR_KEY_VALUE_MAX ? size : 0);
    format_mask(bytes_of(data, size), masked);
    if (strlen(text) == size && regexec(&pattern, text, 4, part, 0) == 0) {
        uint32_t sum = slow_crc(text + part[3].rm_so, (size_t)(part[3].rm_eo - part[3].rm_so));
        bool is_right = strtoul(text + part[3].rm_eo + 1, NULL, 16) == sum;
        expected = is_right ? KR_FORMAT_OK : KR_FORMAT_CHECKSUM;
        assert(strlen(masked) == (size_t)part[1].rm_eo + strlen("_...0000"));
    }
    assert(strstr(masked, "...") != NULL && format_check(bytes_of(data, size)) == expected);
    return 0;
}
