// SPDX-License-Identifier: Apache-2.0
// What revocations and deletions share: their body, and when the remains go.
#include "node/api/api.h"
#include "node/node.h"

#define KR_DAY_MS ((int64_t)24 * 60 * 60 * 1000)

enum { KR_REASON_TEXT_MAX = 64, KR_NAME_TEXT_MAX = 128 };

// A revocation by one record cannot be taken back, so the caller says the name once more.
enum kr_err api_revoke_body(struct call *call, const char *name, enum revoke_reason *reason)
{
    const char *text = NULL, *confirm = NULL;
    const struct api_member members[] = {
        {"reason", KR_MEMBER_TEXT, &text, KR_REASON_TEXT_MAX, false, NULL},
        {"confirm", KR_MEMBER_TEXT, &confirm, KR_NAME_TEXT_MAX, true, NULL},
    };
    *reason = KR_REASON_UNSPECIFIED;
    enum kr_err err = api_body(call, members, name == NULL ? 1 : 2);
    if (err != KR_ERR_OK)
        return err;
    if (text != NULL && !revoke_reason_parse(text, reason))
        return api_problem(call, KR_ERR_INVALID,
                           "reason: must be unspecified, keyCompromise, superseded, "
                           "cessationOfOperation, affiliationChanged or privilegeWithdrawn");
    if (name != NULL && strcmp(confirm, name) != 0)
        return api_problem(call, KR_ERR_INVALID, "confirm: must be the name %s", name);
    return KR_ERR_OK;
}

int64_t api_purge_ms(const struct call *call)
{
    return call->now_ms + call->node->config->retention_days * KR_DAY_MS;
}
