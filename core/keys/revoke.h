// SPDX-License-Identifier: Apache-2.0
// Why keys are revoked, and what revokes those of whole buckets and consumers: one number revokes
// all keys that were there.
#pragma once

#include <stddef.h>
#include <stdint.h>

// RFC 5280 §5.3.1's names, where they fit an API key.
enum revoke_reason {
    KR_REASON_UNSPECIFIED,
    KR_REASON_KEY_COMPROMISE,
    KR_REASON_SUPERSEDED,
    KR_REASON_CESSATION_OF_OPERATION,
    KR_REASON_AFFILIATION_CHANGED,
    KR_REASON_PRIVILEGE_WITHDRAWN
};

struct revoke_mark {
    uint64_t before; // every key whose revision is ≤ this is revoked; 0: none
    int64_t at_ms;
    enum revoke_reason reason;
};

// Lowest first.
#define KR_REVOKE_MARKS_MAX 8
struct revoke_marks {
    struct revoke_mark items[KR_REVOKE_MARKS_MAX];
    size_t count;
};

// Of a bucket or a consumer. The last mark decides whether a key is revoked. Those before it say
// when and why the keys that they covered ended.
struct revocation {
    struct revoke_mark last; // its before is 0: there was none
    struct revoke_marks earlier;
};

// Revokes all keys up to mark->before, which rises. Of more than KR_REVOKE_MARKS_MAX earlier marks
// the first ones stay, and keys that were made behind those show a later one.
void revocation_add(struct revocation *revocation, const struct revoke_mark *mark);
// The first mark that covers a key of this revision; its before is 0 where none does.
struct revoke_mark revocation_first(const struct revocation *revocation, uint64_t revision);
