// SPDX-License-Identifier: Apache-2.0
// The cluster as apply sees it: its name, its members, and who leads. Rows of meta.
#include "core/store/store_state.h"

#include "proto/codec.h"

static void put_cluster(void *ctx, const struct command_cluster_init *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    rows_add_cluster(out, record);
    rows_text(&key, KR_ROWS_CLUSTER);
    store_state_put_record(ctx, KR_CLASS_MEMBER, KR_INDEX_META, &key, buf_bytes(out));
}

static bool get_member(void *ctx, const char *id, struct member *out)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes value;
    rows_member(&key, id);
    if (!store_state_get(state, KR_INDEX_META, &key, &value)) {
        return false;
    }
    enum kr_err err = codec_member(value, &state->store->arena, out);
    store_state_note(state, KR_INDEX_META, err);
    return err == KR_ERR_OK;
}

static void put_member(void *ctx, const struct member *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    codec_add_member(out, record);
    rows_member(&key, record->id);
    store_state_put_record(ctx, KR_CLASS_MEMBER, KR_INDEX_META, &key, buf_bytes(out));
}

static bool get_leader(void *ctx, struct leader *out)
{
    struct store_state *state = ctx;
    struct rows_key key;
    struct bytes value;
    rows_text(&key, KR_ROWS_LEADER);
    if (!store_state_get(state, KR_INDEX_META, &key, &value)) {
        return false;
    }
    enum kr_err err = codec_leader(value, &state->store->arena, out);
    store_state_note(state, KR_INDEX_META, err);
    return err == KR_ERR_OK;
}

static void put_leader(void *ctx, const struct leader *record)
{
    struct rows_key key;
    struct buf *out = store_state_record(ctx);
    codec_add_leader(out, record);
    rows_text(&key, KR_ROWS_LEADER);
    store_state_put_record(ctx, KR_CLASS_MEMBER, KR_INDEX_META, &key, buf_bytes(out));
}

void store_state_add_member(struct apply_state *verbs)
{
    verbs->put_cluster = put_cluster;
    verbs->get_member = get_member;
    verbs->put_member = put_member;
    verbs->get_leader = get_leader;
    verbs->put_leader = put_leader;
}
