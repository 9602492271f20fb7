// SPDX-License-Identifier: Apache-2.0
// What a key's and a consumer's settings may be, as far as they tell it themselves: for the node,
// which refuses what breaks them, and for whoever wants to know before.
//
// Pure. Lengths are of characters, as text_characters counts them.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KR_DESCRIPTION_MAX 1024
#define KR_TAGS_MAX 5
#define KR_CIDRS_MAX 64
#define KR_SCOPES_MAX 64
#define KR_SCOPE_MAX 128
#define KR_METADATA_LIMIT_MAX 16384 // bytes of compact JSON, which no bucket's limit exceeds

bool rules_is_tag_name(const char *name);   // 1 to 64 characters
bool rules_is_tag_value(const char *value); // at most 256
// RFC 6749 §3.3's scope-token, but without commas, which stand between scopes in X-Key-Scopes and
// in the gateways' URLs: "read,admin" would read as two.
bool rules_is_scope(const char *text);
// A value's last four characters, or "".
bool rules_is_last4(const char *text);
// Is there a time at which the key is good? 0: unset.
bool rules_is_life(int64_t not_before_ms, int64_t expires_ms);
