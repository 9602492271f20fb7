// SPDX-License-Identifier: Apache-2.0
// Records with all fields set, no two alike, and with as few as they may have.
#pragma once

#include "proto/codec.h"

#define KR_SAMPLE_BUCKET_ID "bckt_0123456789abcdefghijABCD"
#define KR_SAMPLE_CONSUMER_ID "csmr_0123456789abcdefghijABCD"
#define KR_SAMPLE_KEY_ID "key_0123456789abcdefghijABCD"
#define KR_SAMPLE_MANAGER_ID "eusr_0123456789abcdefghijABCD"
#define KR_SAMPLE_TOKEN_ID "key_aaaaaaaaaaaaaaaaaaaaaaaa"
#define KR_SAMPLE_DIGEST                                                                           \
    {                                                                                              \
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,  \
            25, 26, 27, 28, 29, 30, 31                                                             \
    }
#define KR_SAMPLE_OTHER_DIGEST                                                                     \
    {                                                                                              \
        255, 254, 253, 252, 251, 250, 249, 248, 247, 246, 245, 244, 243, 242, 241, 240, 239, 238,  \
            237, 236, 235, 234, 233, 232, 231, 230, 229, 228, 227, 226, 225, 224                   \
    }

static const struct tag sample_tag_items[] = {{"team", "a"}, {"x", ""}};
#define KR_SAMPLE_TAGS                                                                             \
    {                                                                                              \
        .items = sample_tag_items, .count = 2                                                      \
    }

static const struct bucket sample_bucket = {
    .id = KR_SAMPLE_BUCKET_ID,
    .name = "production",
    .description = "",
    .tags = KR_SAMPLE_TAGS,
    .environment = KR_ENV_DEVELOPMENT,
    .key_prefix = "kr_dev",
    .is_retrievable = true,
    .is_system = true,
    .is_delete_protected = true,
    .is_deleted = true,
    .default_expiry_days = 90,
    .max_staleness_ms = KR_UNBOUNDED,
    .metadata_limit_bytes = 16384,
    .created_ms = 1700000000001,
    .updated_ms = 1700000000002,
    .version = 3,
    .revision = 300,
    .revocation = {.last = {299, 1700000000003, KR_REASON_PRIVILEGE_WITHDRAWN},
                   .earlier = {.items = {{7, 1600000000000, KR_REASON_SUPERSEDED}, {8, 0, 0}},
                               .count = 2}},
};
static const struct bucket sample_bucket_minimal = {.id = KR_SAMPLE_BUCKET_ID,
                                                    .name = "production"};

static const struct consumer sample_consumer = {
    .id = KR_SAMPLE_CONSUMER_ID,
    .bucket_id = KR_SAMPLE_BUCKET_ID,
    .name = "my-consumer",
    .description = "d",
    .tags = KR_SAMPLE_TAGS,
    .metadata = "{\"testId\":\"1234\"}",
    .is_deleted = true,
    .created_ms = 1700000000004,
    .updated_ms = 1700000000005,
    .version = 2,
    .revision = 301,
    .revocation = {.last = {298, 1700000000006, KR_REASON_SUPERSEDED},
                   .earlier = {.items = {{9, 1600000000001, KR_REASON_KEY_COMPROMISE}},
                               .count = 1}},
};
static const struct consumer sample_consumer_minimal = {
    .id = KR_SAMPLE_CONSUMER_ID,
    .bucket_id = KR_SAMPLE_BUCKET_ID,
    .name = "my-consumer",
    .metadata = "{}",
};

static const char *const sample_scopes[] = {"read", ""};
static const char *const sample_blocks[] = {"10.0.0.0/8", "2001:db8::/32"};

static const struct key sample_key = {
    .digest = KR_SAMPLE_DIGEST,
    .id = KR_SAMPLE_KEY_ID,
    .bucket_id = KR_SAMPLE_BUCKET_ID,
    .consumer_id = KR_SAMPLE_CONSUMER_ID,
    .description = "My first API Key",
    .tags = KR_SAMPLE_TAGS,
    .metadata = "{\"a\":1}",
    .scopes = {sample_scopes, 2},
    .ip_allow = {sample_blocks, 2},
    .masked = "kr_live_...3769",
    .created_by = KR_SAMPLE_TOKEN_ID,
    .rotated_from = "key_bbbbbbbbbbbbbbbbbbbbbbbb",
    .is_enabled = true,
    .is_custom = true,
    .is_sealed = true,
    .is_revoked = true,
    .created_ms = 1700000000008,
    .updated_ms = 1700000000009,
    .expires_ms = 1800000000000,
    .not_before_ms = 1700000000007,
    .revoked_ms = 1700000000010,
    .revoke_reason = KR_REASON_KEY_COMPROMISE,
    .version = 4,
    .revision = 302,
};
static const struct key sample_key_minimal = {
    .digest = KR_SAMPLE_DIGEST,
    .id = KR_SAMPLE_KEY_ID,
    .bucket_id = KR_SAMPLE_BUCKET_ID,
    .consumer_id = KR_SAMPLE_CONSUMER_ID,
};

static const struct manager sample_manager = {
    .id = KR_SAMPLE_MANAGER_ID,
    .consumer_id = KR_SAMPLE_CONSUMER_ID,
    .email = "a@example.org",
    .sub = "auth|1",
    .created_ms = 1700000000011,
    .revision = 303,
};
static const struct manager sample_manager_minimal = {
    .id = KR_SAMPLE_MANAGER_ID,
    .consumer_id = KR_SAMPLE_CONSUMER_ID,
    .email = "a@example.org",
};

static const uint8_t sample_box[] = {0, 1, 0, 255};
static const struct sealed sample_sealed = {
    .key_id = KR_SAMPLE_KEY_ID, .vault_version = 1, .box = {sample_box, sizeof(sample_box)}};
static const struct sealed sample_sealed_minimal = {.key_id = KR_SAMPLE_KEY_ID};
static const struct sealed_versions sample_sealed_versions = {
    2, {{1, KR_SAMPLE_DIGEST}, {300, KR_SAMPLE_OTHER_DIGEST}}};
static const struct sealed_versions sample_sealed_versions_minimal = {1, {{1, KR_SAMPLE_DIGEST}}};

static const struct audit sample_audit = {
    .action = "key.create",
    .actor_id = KR_SAMPLE_TOKEN_ID,
    .actor_label = "ci",
    .target = KR_SAMPLE_KEY_ID,
    .target_name = "My first API Key",
    .detail = "{}",
    .client_address = "192.0.2.1",
    .request_id = "req-1",
    .is_success = true,
    .at_ms = 1700000000012,
    .index = 304,
};
static const struct audit sample_audit_minimal = {.action = "access.denied"};

static const uint8_t sample_answer[] = {9, 0, 8};
static const struct idempotency sample_idempotency = {
    .scope = KR_SAMPLE_DIGEST,
    .body = KR_SAMPLE_OTHER_DIGEST,
    .answer = {sample_answer, sizeof(sample_answer)},
    .expires_ms = 1700000000013,
    .index = 307,
};
static const struct idempotency sample_idempotency_minimal = {
    .scope = KR_SAMPLE_DIGEST,
    .body = KR_SAMPLE_OTHER_DIGEST,
};

static const struct receipt sample_receipt = {
    .index = 305,
    .target = KR_SAMPLE_CONSUMER_ID,
    .requested_ms = 1700000000014,
    .committed_ms = 1700000000015,
    .keys = 10000000,
};
static const struct receipt sample_receipt_minimal = {.index = 1, .target = KR_SAMPLE_CONSUMER_ID};
