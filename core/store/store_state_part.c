// SPDX-License-Identifier: Apache-2.0
// The state of a follower as apply sees it: what only core nodes hold is not there, and stays away.
#include "core/store/store_state.h"

static bool get_manager(void *ctx, const char *consumer_id, const char *manager_id,
                        struct manager *out)
{
    (void)ctx, (void)consumer_id, (void)manager_id, (void)out;
    return false;
}

static void put_manager(void *ctx, const struct manager *record)
{
    (void)ctx, (void)record;
}

static bool first_manager(void *ctx, const char *consumer_id, struct manager *out)
{
    (void)ctx, (void)consumer_id, (void)out;
    return false;
}

static void put_sealed(void *ctx, const struct sealed *record)
{
    (void)ctx, (void)record;
}

static void get_sealed_versions(void *ctx, struct sealed_versions *out)
{
    (void)ctx;
    *out = (struct sealed_versions){0};
}

static void put_sealed_versions(void *ctx, const struct sealed_versions *record)
{
    (void)ctx, (void)record;
}

static bool get_idempotency(void *ctx, const uint8_t scope[KR_DIGEST_SIZE], struct idempotency *out)
{
    (void)ctx, (void)scope, (void)out;
    return false;
}

static void put_idempotency(void *ctx, const struct idempotency *record)
{
    (void)ctx, (void)record;
}

static void delete_idempotency(void *ctx, const uint8_t scope[KR_DIGEST_SIZE])
{
    (void)ctx, (void)scope;
}

static void put_receipt(void *ctx, const struct receipt *record)
{
    (void)ctx, (void)record;
}

static void delete_receipt(void *ctx, uint64_t index)
{
    (void)ctx, (void)index;
}

static void put_audit(void *ctx, const struct audit *record)
{
    (void)ctx, (void)record;
}

static void delete_audit(void *ctx, int64_t at_ms, uint64_t index)
{
    (void)ctx, (void)at_ms, (void)index;
}

static bool first_audit(void *ctx, int64_t until_ms, int64_t *at_ms, uint64_t *index)
{
    (void)ctx, (void)until_ms, (void)at_ms, (void)index;
    return false;
}

// Counts are for management requests, which a follower passes on.
static uint64_t get_count(void *ctx, char what, const char *id)
{
    (void)ctx, (void)what, (void)id;
    return 0;
}

static void add_count(void *ctx, char what, const char *id, int64_t by)
{
    (void)ctx, (void)what, (void)id, (void)by;
}

void store_state_keep_part(struct apply_state *verbs)
{
    verbs->get_manager = get_manager;
    verbs->put_manager = verbs->delete_manager = put_manager;
    verbs->first_manager = first_manager;
    verbs->put_sealed = put_sealed;
    verbs->get_sealed_versions = get_sealed_versions;
    verbs->put_sealed_versions = put_sealed_versions;
    verbs->get_idempotency = get_idempotency;
    verbs->put_idempotency = put_idempotency;
    verbs->delete_idempotency = delete_idempotency;
    verbs->put_receipt = put_receipt;
    verbs->delete_receipt = delete_receipt;
    verbs->put_audit = put_audit;
    verbs->delete_audit = delete_audit;
    verbs->first_audit = first_audit;
    verbs->get_count = get_count;
    verbs->add_count = add_count;
}
