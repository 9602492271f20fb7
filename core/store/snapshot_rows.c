// SPDX-License-Identifier: Apache-2.0
// A snapshot's rows and chunks. What a chunk holds comes from outside and is checked here.
#include "core/store/snapshot_rows.h"

#define KR_SNAPSHOT_VALUE_MAX (64u << 20) // bytes

static bool is_cluster_row(struct bytes key)
{
    return bytes_equal_text(key, KR_ROWS_CLUSTER) || bytes_equal_text(key, KR_ROWS_LEADER) ||
           bytes_starts_with(key, bytes_text(KR_ROWS_MEMBER));
}

bool snapshot_holds(enum store_holding holding, enum index_family family, struct bytes key)
{
    switch (family) {
    case KR_INDEX_META:
        return is_cluster_row(key);
    case KR_INDEX_KEYS:
    case KR_INDEX_KEY_IDS:
    case KR_INDEX_SUBJECTS:
    case KR_INDEX_CONSUMER_KEYS:
    case KR_INDEX_BUCKETS:
        return true;
    case KR_INDEX_DUE:
        return holding == KR_HOLD_ALL || bytes_starts_with(key, bytes_text("v"));
    case KR_INDEX_VAULT:
    case KR_INDEX_USERS:
    case KR_INDEX_RECEIPTS:
    case KR_INDEX_AUDIT:
    case KR_INDEX_USAGE:
    case KR_INDEX_IDEMPOTENCY:
    case KR_INDEX_COUNTS:
        return holding == KR_HOLD_ALL;
    case KR_INDEX_LOG:
    case KR_INDEX_SESSIONS:
    case KR_INDEX_OUTBOX:
    case KR_INDEX_FAMILY_COUNT:
        break;
    }
    return false;
}

bool snapshot_class(enum index_family family, struct bytes key, enum store_class *out)
{
    bool is_record = bytes_starts_with(key, bytes_text("i"));
    switch (family) {
    case KR_INDEX_META:
        *out = KR_CLASS_MEMBER;
        return is_cluster_row(key);
    case KR_INDEX_KEYS:
        *out = KR_CLASS_KEY;
        return true;
    case KR_INDEX_SUBJECTS:
        *out = KR_CLASS_CONSUMER;
        return is_record;
    case KR_INDEX_BUCKETS:
        *out = KR_CLASS_BUCKET;
        return is_record;
    case KR_INDEX_DUE:
        *out = bytes_starts_with(key, bytes_text("v")) ? KR_CLASS_DUE : KR_CLASS_CORE;
        return true;
    case KR_INDEX_VAULT:
    case KR_INDEX_USERS:
    case KR_INDEX_RECEIPTS:
    case KR_INDEX_AUDIT:
    case KR_INDEX_IDEMPOTENCY:
        *out = KR_CLASS_CORE;
        return true;
    case KR_INDEX_KEY_IDS:
    case KR_INDEX_CONSUMER_KEYS:
    case KR_INDEX_USAGE:
    case KR_INDEX_COUNTS:
    case KR_INDEX_LOG:
    case KR_INDEX_SESSIONS:
    case KR_INDEX_OUTBOX:
    case KR_INDEX_FAMILY_COUNT:
        break;
    }
    return false;
}

// --- chunks --------------------------------------------------------------------------------------
static void put_size(uint8_t out[4], size_t size)
{
    for (size_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(size >> (8 * i));
    }
}

static size_t get_size(const uint8_t *in)
{
    return (size_t)in[0] | (size_t)in[1] << 8 | (size_t)in[2] << 16 | (size_t)in[3] << 24;
}

void snapshot_add_row(struct buf *chunk, struct bytes key, struct bytes value)
{
    uint8_t head[8];
    put_size(head, key.size);
    put_size(head + 4, value.size);
    buf_add(chunk, head, sizeof head);
    buf_add_bytes(chunk, key);
    buf_add_bytes(chunk, value);
}

bool snapshot_take_row(struct bytes *rows, struct bytes *key, struct bytes *value)
{
    if (rows->size < 8) {
        return false;
    }
    size_t key_size = get_size(rows->data), value_size = get_size(rows->data + 4);
    if (key_size == 0 || key_size > KR_ROWS_KEY_MAX || value_size > KR_SNAPSHOT_VALUE_MAX ||
        key_size + value_size > rows->size - 8) {
        return false;
    }
    size_t size = 8 + key_size + value_size;
    *key = bytes_of(rows->data + 8, key_size);
    *value = bytes_of(rows->data + 8 + key_size, value_size);
    *rows = bytes_of(rows->data + size, rows->size - size);
    return true;
}

int snapshot_compare(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool snapshot_is_sound(const struct store_chunk *chunk, enum store_holding holding,
                       struct bytes after)
{
    struct bytes rows = chunk->rows, key, value, last = after;
    uint64_t count = 0;
    if (chunk->family >= KR_INDEX_FAMILY_COUNT || chunk->checksum != hash_u64(chunk->rows, 0)) {
        return false;
    }
    for (; snapshot_take_row(&rows, &key, &value); count++) {
        if (!snapshot_holds(holding, (enum index_family)chunk->family, key) ||
            (last.data && snapshot_compare(last, key) >= 0)) {
            return false;
        }
        last = key;
    }
    return rows.size == 0 && count > 0 && count == chunk->row_count &&
           bytes_equal(last, chunk->last_key);
}
