// SPDX-License-Identifier: Apache-2.0
// The rows of a snapshot: the records of the state in memory, in a fixed order, and back.
#include "tests/sim/sim_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/codec.h"

enum sim_family {
    KR_SIM_OF_BUCKET = 1,
    KR_SIM_OF_CONSUMER,
    KR_SIM_OF_KEY,
    KR_SIM_OF_MEMBER,
    KR_SIM_OF_LEADER,
    KR_SIM_OF_CLUSTER,
    KR_SIM_OF_DUE,
    // only where all is held
    KR_SIM_OF_CORE_DUE,
    KR_SIM_OF_RECEIPT,
    KR_SIM_OF_COUNT,
};

enum { KR_SIM_ROW_MAX = 4096 };

struct bytes sim_rows_copy(struct bytes bytes)
{
    uint8_t *copy = mem_alloc(bytes.size + 1);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return bytes_of(copy, bytes.size);
}

int sim_rows_compare(uint8_t family_a, struct bytes a, uint8_t family_b, struct bytes b)
{
    size_t least = a.size < b.size ? a.size : b.size;
    if (family_a != family_b)
        return family_a < family_b ? -1 : 1;
    int order = least > 0 ? memcmp(a.data, b.data, least) : 0;
    if (order != 0 || a.size == b.size)
        return order;
    return a.size < b.size ? -1 : 1;
}

void sim_rows_add(struct sim_rows *rows, uint8_t family, struct bytes key, struct bytes value)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity * 2 + 64;
        rows->items = mem_realloc(rows->items, rows->capacity * sizeof(*rows->items));
    }
    rows->items[rows->count++] = (struct sim_row){family, sim_rows_copy(key), sim_rows_copy(value)};
}

void sim_rows_fini(struct sim_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        mem_free((void *)(uintptr_t)rows->items[i].key.data);
        mem_free((void *)(uintptr_t)rows->items[i].value.data);
    }
    mem_free(rows->items);
    *rows = (struct sim_rows){0};
}

static int compare(const void *a, const void *b)
{
    const struct sim_row *one = a, *other = b;
    return sim_rows_compare(one->family, one->key, other->family, other->key);
}

// --- out -----------------------------------------------------------------------------------------

static void add(struct sim_rows *rows, uint8_t family, struct bytes key, struct buf *value)
{
    sim_rows_add(rows, family, key, buf_bytes(value));
    buf_clear(value);
}

static void save_due(struct sim_rows *rows, const struct apply_due_row *due, struct buf *value)
{
    bool is_core = apply_due_group(due->kind) == KR_DUE_OF_CORE;
    buf_add_u64(value, (uint64_t)due->at_ms);
    buf_add_u32(value, due->kind);
    buf_add_bytes(value, due->id);
    struct bytes key = buf_bytes(value);
    sim_rows_add(rows, is_core ? KR_SIM_OF_CORE_DUE : KR_SIM_OF_DUE, key, key);
    buf_clear(value);
}

static void save_core(struct sim_rows *rows, const struct fake *fake, struct buf *value)
{
    for (size_t i = 0; i < fake->receipt_count; i++) {
        char key[24];
        snprintf(key, sizeof(key), "%020llu", (unsigned long long)fake->receipts[i].index);
        codec_add_receipt(value, &fake->receipts[i]);
        add(rows, KR_SIM_OF_RECEIPT, bytes_text(key), value);
    }
    for (size_t i = 0; i < fake->count_count; i++) {
        char key[128];
        snprintf(key, sizeof(key), "%c%s", fake->counts[i].what, fake->counts[i].id);
        buf_add_u64(value, fake->counts[i].value);
        add(rows, KR_SIM_OF_COUNT, bytes_text(key), value);
    }
}

static void save_cluster(struct sim_rows *rows, const struct fake *fake, struct buf *value)
{
    for (size_t i = 0; i < fake->member_count; i++) {
        codec_add_member(value, &fake->members[i]);
        add(rows, KR_SIM_OF_MEMBER, bytes_text(fake->members[i].id), value);
    }
    if (fake->leader.member_id != NULL) {
        codec_add_leader(value, &fake->leader);
        add(rows, KR_SIM_OF_LEADER, bytes_text("leader"), value);
    }
    if (fake->cluster.cluster_id != NULL) {
        buf_add(value, fake->cluster.cluster_id, strlen(fake->cluster.cluster_id));
        add(rows, KR_SIM_OF_CLUSTER, bytes_text("cluster"), value);
    }
}

void sim_rows_save(struct sim_rows *rows, const struct fake *fake, enum store_holding holding)
{
    struct buf value;
    buf_init(&value, KR_SIM_ROW_MAX);
    for (size_t i = 0; i < fake->bucket_count; i++) {
        codec_add_bucket(&value, &fake->buckets[i]);
        add(rows, KR_SIM_OF_BUCKET, bytes_text(fake->buckets[i].id), &value);
    }
    for (size_t i = 0; i < fake->consumer_count; i++) {
        codec_add_consumer(&value, &fake->consumers[i]);
        add(rows, KR_SIM_OF_CONSUMER, bytes_text(fake->consumers[i].id), &value);
    }
    for (size_t i = 0; i < fake->key_count; i++) {
        codec_add_key(&value, &fake->keys[i]);
        add(rows, KR_SIM_OF_KEY, bytes_of(fake->keys[i].digest, KR_DIGEST_SIZE), &value);
    }
    save_cluster(rows, fake, &value);
    for (size_t i = 0; i < fake->due_count; i++) {
        if (holding == KR_HOLD_ALL || apply_due_group(fake->due[i].kind) != KR_DUE_OF_CORE)
            save_due(rows, &fake->due[i], &value);
    }
    if (holding == KR_HOLD_ALL)
        save_core(rows, fake, &value);
    buf_fini(&value);
    if (rows->count > 0)
        qsort(rows->items, rows->count, sizeof(*rows->items), compare);
}

// --- in ------------------------------------------------------------------------------------------

static uint64_t read_u64(const uint8_t *data)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | data[i];
    return value;
}

static bool load_due(struct fake *fake, struct bytes value)
{
    if (value.size < 12)
        return false;
    struct apply_due_row due = {.at_ms = (int64_t)read_u64(value.data),
                                .kind = (enum apply_due)value.data[11],
                                .id = bytes_of(value.data + 12, value.size - 12)};
    fake_put_due(fake, &due);
    return true;
}

static void load_count(struct fake *fake, const struct sim_row *row)
{
    const char *key = arena_text_of(fake->texts, row->key);
    if (fake_count(fake, key[0], key + 1) == fake->count_count)
        fake_add_count(fake, key[0], key + 1, (int64_t)read_u64(row->value.data));
}

// Each record by its codec, then by apply's verb.
#define LOAD(type, codec, put)                                                                     \
    {                                                                                              \
        struct type record;                                                                        \
        if (codec(row->value, fake->texts, &record) != KR_ERR_OK)                                  \
            return false;                                                                          \
        put(fake, &record);                                                                        \
        return true;                                                                               \
    }

static bool load(struct fake *fake, const struct sim_row *row)
{
    switch ((enum sim_family)row->family) {
    case KR_SIM_OF_BUCKET:
        LOAD(bucket, codec_bucket, fake_put_bucket)
    case KR_SIM_OF_CONSUMER:
        LOAD(consumer, codec_consumer, fake_put_consumer)
    case KR_SIM_OF_KEY:
        LOAD(key, codec_key, fake_put_key)
    case KR_SIM_OF_MEMBER:
        LOAD(member, codec_member, fake_put_member)
    case KR_SIM_OF_LEADER:
        LOAD(leader, codec_leader, fake_put_leader)
    case KR_SIM_OF_RECEIPT:
        LOAD(receipt, codec_receipt, fake_put_receipt)
    case KR_SIM_OF_CLUSTER: {
        const char *id = arena_text_of(fake->texts, row->value);
        fake_put_cluster(fake, &(struct command_cluster_init){id, "acct", "sim"});
        return true;
    }
    case KR_SIM_OF_DUE:
    case KR_SIM_OF_CORE_DUE:
        return load_due(fake, row->value);
    case KR_SIM_OF_COUNT:
        load_count(fake, row);
        return true;
    }
    return false;
}

bool sim_rows_load(const struct sim_rows *rows, struct fake *fake)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (!load(fake, &rows->items[i]))
            return false;
    }
    return true;
}
