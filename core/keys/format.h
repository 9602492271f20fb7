// SPDX-License-Identifier: Apache-2.0
// The form of a key: <prefix>_<body>_<checksum>, and its masked form. Pure; never logs a value.
//
// prefix ^[a-z][a-z0-9]{1,15}(_[a-z0-9]{1,15}){0,2}$, body 32..64 of [0-9A-Za-z] (43 when minted),
// checksum = CRC-32 (IEEE 802.3) of the body alone, 8 lower-case hex digits.
#pragma once

#include <stdbool.h>

#include "core/base/bytes.h"

#define KR_KEY_VALUE_MAX 512 // longest presented key that is looked at
#define KR_KEY_CUSTOM_MIN 16
#define KR_KEY_BODY_SIZE 43
#define KR_KEY_PREFIX_MAX 48 // 16 + 2 × 16
#define KR_KEY_MINTED_SIZE (KR_KEY_PREFIX_MAX + 1 + KR_KEY_BODY_SIZE + 1 + 8 + 1)
#define KR_KEY_MASKED_SIZE (KR_KEY_PREFIX_MAX + 4 + 4 + 1)

enum format_result {
    KR_FORMAT_OK,       // well-formed, checksum right
    KR_FORMAT_CHECKSUM, // well-formed, checksum wrong: a typo, or noise
    KR_FORMAT_OTHER     // not of this form: perhaps an imported value
};

enum format_result format_check(struct bytes key);

bool format_is_prefix(const char *prefix);
// A caller-supplied value: printable ASCII without spaces, KR_KEY_CUSTOM_MIN..KR_KEY_VALUE_MAX
// long.
bool format_is_custom(struct bytes key);

// Writes prefix_body_checksum and a NUL; prefix is valid, body is KR_KEY_BODY_SIZE base62
// characters.
void format_mint(const char *prefix, const char body[KR_KEY_BODY_SIZE],
                 char out[KR_KEY_MINTED_SIZE]);

// "kr_live_...3769": prefix, "_...", the last four; "...3769" where the value has no such form.
void format_mask(struct bytes key, char out[KR_KEY_MASKED_SIZE]);
// The same where only the last four characters are known (imported digests); last4 may be "".
void format_mask_last4(const char *last4, char out[KR_KEY_MASKED_SIZE]);

// May a text from outside be repeated in an answer or a report, though nobody knows that it is no
// key's value? A word may, 1 to 24 of [A-Za-z0-9_.$-]; so may an id, and what has no capitals, as
// names have none, up to 128, unless it has the form of a key.
bool format_is_word(struct bytes text);
bool format_may_repeat(struct bytes text);

// A base62 identifier with its type's prefix: "key_" + 24 characters and a NUL.
#define KR_ID_SIZE 30
bool format_is_id(const char *text, const char *type); // type: "key", "csmr", "bckt", …
