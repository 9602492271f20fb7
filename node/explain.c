// SPDX-License-Identifier: Apache-2.0
// The explanation of a verdict.
#include "node/explain.h"

#include <assert.h>

#include "core/base/clock.h"
#include "core/base/json.h"

// The checks in the order in which they are made, and the code of each one's failure.
static const struct explain_check {
    const char *name;
    enum verdict_code failure;
    const char *detail;
} checks[] = {
    {"structure", KR_VERDICT_MALFORMED, "prefix, body or checksum is wrong"},
    {"lookup", KR_VERDICT_NOT_FOUND, "no key has this digest"},
    {"available", KR_VERDICT_UNAVAILABLE, "the node cannot tell at the moment"},
    {"revoked", KR_VERDICT_REVOKED, "revoked: the key, its consumer or its bucket"},
    {"enabled", KR_VERDICT_DISABLED, "the key is disabled"},
    {"notBefore", KR_VERDICT_NOT_YET_VALID, "its notBefore lies in the future"},
    {"expiry", KR_VERDICT_EXPIRED, "its expiresOn has passed"},
    {"bucketAndAddress", KR_VERDICT_FORBIDDEN,
     "another bucket was asked for, or the address is not in ipAllow"},
    {"scopes", KR_VERDICT_INSUFFICIENT_SCOPE, "a required scope is missing"},
    {"rate", KR_VERDICT_RATE_LIMITED, "its rate limit is reached"},
    {"quota", KR_VERDICT_QUOTA_EXCEEDED, "its quota is used up"},
    {"freshness", KR_VERDICT_STALE, "the node's knowledge is older than allowed"},
};

static void add_check(struct json_writer *writer, const struct explain_check *check,
                      bool has_failed)
{
    json_open(writer, NULL, '{');
    json_write_string(writer, "check", check->name);
    json_write_bool(writer, "ok", !has_failed);
    if (has_failed)
        json_write_string(writer, "detail", check->detail);
    json_close(writer, '}');
}

void explain_add(struct buf *out, const struct validate_question *question, int64_t now_ms)
{
    assert(out->size > 0 && out->data[out->size - 1] == '}');
    out->size--;
    char masked[KR_KEY_MASKED_SIZE];
    format_mask(question->ask.key, masked);
    struct json_writer writer;
    json_begin(&writer, out);
    writer.needs_comma = true;
    json_open(&writer, "explain", '{');
    json_write_string(&writer, "masked", masked);
    json_write_stamp(&writer, "at", now_ms);
    json_open(&writer, "checks", '[');
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        bool has_failed = checks[i].failure == question->code;
        // Where nobody can tell, nothing is known of the others.
        if (has_failed || validate_can_tell(question->code))
            add_check(&writer, &checks[i], has_failed);
        if (has_failed)
            break;
    }
    json_close(&writer, ']');
    json_close(&writer, '}');
    buf_add_text(out, "}");
}
