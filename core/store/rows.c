// SPDX-License-Identifier: Apache-2.0
// The rows of the index: the encodings that rows.h lists.
#include "core/store/rows.h"

// --- keys ----------------------------------------------------------------------------------------
static struct buf begin(struct rows_key *key)
{
    struct buf out;
    buf_init_fixed(&out, key->data, sizeof key->data);
    return out;
}

static void end(struct rows_key *key, const struct buf *out)
{
    key->size = buf_result(out) == KR_ERR_OK ? out->size : 0;
}

// Order-preserving: times before 1970 sort before the others.
static void add_time(struct buf *out, int64_t at_ms)
{
    buf_add_u64(out, (uint64_t)at_ms ^ (UINT64_C(1) << 63));
}

void rows_text(struct rows_key *key, const char *text)
{
    struct buf out = begin(key);
    buf_add_text(&out, text);
    end(key, &out);
}

void rows_digest(struct rows_key *key, const uint8_t *digest, size_t size)
{
    struct buf out = begin(key);
    buf_add(&out, digest, size);
    end(key, &out);
}

void rows_index(struct rows_key *key, uint64_t index)
{
    struct buf out = begin(key);
    buf_add_u64(&out, index);
    end(key, &out);
}

void rows_tagged(struct rows_key *key, char tag, const char *text)
{
    struct buf out = begin(key);
    buf_add_u8(&out, (uint8_t)tag);
    buf_add_text(&out, text);
    end(key, &out);
}

void rows_tagged_pair(struct rows_key *key, char tag, const char *first, const char *second)
{
    struct buf out = begin(key);
    buf_add_u8(&out, (uint8_t)tag);
    buf_add_text(&out, first);
    buf_add_u8(&out, 0);
    buf_add_text(&out, second ? second : "");
    end(key, &out);
}

void rows_pair(struct rows_key *key, const char *first, const char *second)
{
    struct buf out = begin(key);
    buf_add_text(&out, first);
    buf_add_u8(&out, 0);
    buf_add_text(&out, second ? second : "");
    end(key, &out);
}

void rows_consumer_key(struct rows_key *key, const char *consumer_id, int64_t created_ms,
                       const char *key_id)
{
    struct buf out = begin(key);
    buf_add_text(&out, consumer_id);
    buf_add_u8(&out, 0);
    add_time(&out, created_ms);
    buf_add_text(&out, key_id);
    end(key, &out);
}

void rows_audit(struct rows_key *key, int64_t at_ms, uint64_t index)
{
    struct buf out = begin(key);
    add_time(&out, at_ms);
    buf_add_u64(&out, index);
    end(key, &out);
}

static const char due_groups[KR_DUE_GROUP_COUNT] = {
    [KR_DUE_OF_VALIDATION] = 'v', [KR_DUE_OF_CORE] = 'c'};

void rows_due_group(struct rows_key *key, enum apply_due_group group)
{
    struct buf out = begin(key);
    buf_add_u8(&out, (uint8_t)due_groups[group]);
    end(key, &out);
}

void rows_due_from(struct rows_key *key, enum apply_due_group group, int64_t at_ms)
{
    struct buf out = begin(key);
    buf_add_u8(&out, (uint8_t)due_groups[group]);
    add_time(&out, at_ms);
    end(key, &out);
}

void rows_due(struct rows_key *key, const struct apply_due_row *row)
{
    struct buf out = begin(key);
    buf_add_u8(&out, (uint8_t)due_groups[apply_due_group(row->kind)]);
    add_time(&out, row->at_ms);
    buf_add_u8(&out, (uint8_t)row->kind);
    buf_add_bytes(&out, row->id);
    end(key, &out);
}

void rows_time(struct rows_key *key, int64_t at_ms)
{
    struct buf out = begin(key);
    add_time(&out, at_ms);
    end(key, &out);
}

// What add_time has added.
static bool get_time(struct bytes eight, int64_t *at_ms)
{
    uint64_t at = 0;
    bool is_time = rows_get_u64(eight, &at);
    *at_ms = (int64_t)(at ^ (UINT64_C(1) << 63));
    return is_time;
}

bool rows_read_audit(struct bytes key, int64_t *at_ms, uint64_t *index)
{
    return key.size == 2 * KR_ROWS_U64_SIZE && get_time(bytes_of(key.data, 8), at_ms) &&
           rows_get_u64(bytes_of(key.data + 8, 8), index);
}

bool rows_read_due(struct bytes key, struct apply_due_row *out)
{
    if (key.size < KR_ROWS_U64_SIZE + 3 || !get_time(bytes_of(key.data + 1, 8), &out->at_ms)) {
        return false;
    }
    uint8_t kind = key.data[9];
    out->kind = (enum apply_due)kind;
    out->id = bytes_of(key.data + 10, key.size - 10);
    return kind >= KR_DUE_KEY && kind <= KR_DUE_MANAGERS &&
           key.data[0] == due_groups[apply_due_group(out->kind)];
}

void rows_member(struct rows_key *key, const char *id)
{
    struct buf out = begin(key);
    buf_add_text(&out, KR_ROWS_MEMBER);
    buf_add_text(&out, id);
    end(key, &out);
}

void rows_prefix_end(struct rows_key *key, struct bytes prefix)
{
    struct buf out = begin(key);
    size_t size = prefix.size;
    while (size > 0 && prefix.data[size - 1] == 0xff) {
        size--;
    }
    if (size > 0) {
        buf_add(&out, prefix.data, size - 1);
        buf_add_u8(&out, (uint8_t)(prefix.data[size - 1] + 1));
    }
    end(key, &out);
}

struct hash128 rows_term(struct buf *scratch, enum index_family family, struct bytes key,
                         struct bytes value)
{
    buf_clear(scratch);
    buf_add_u8(scratch, (uint8_t)family);
    buf_add_u32(scratch, (uint32_t)key.size);
    buf_add_bytes(scratch, key);
    buf_add_bytes(scratch, value);
    return hash_u128(buf_bytes(scratch));
}

// --- numbers -------------------------------------------------------------------------------------
void rows_put_u64(uint8_t out[KR_ROWS_U64_SIZE], uint64_t value)
{
    for (size_t i = 0; i < KR_ROWS_U64_SIZE; i++) {
        out[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

bool rows_get_u64(struct bytes in, uint64_t *value)
{
    if (in.size != KR_ROWS_U64_SIZE) {
        return false;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < KR_ROWS_U64_SIZE; i++) {
        sum = sum << 8 | in.data[i];
    }
    *value = sum;
    return true;
}

void rows_put_u32(uint8_t out[4], uint32_t value)
{
    for (size_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

bool rows_get_u32(struct bytes in, uint32_t *value)
{
    if (in.size != 4) {
        return false;
    }
    *value = (uint32_t)in.data[0] << 24 | (uint32_t)in.data[1] << 16 | (uint32_t)in.data[2] << 8 |
             in.data[3];
    return true;
}

// --- meta ----------------------------------------------------------------------------------------
static void add_hash(struct buf *out, struct hash128 hash)
{
    buf_add_u64(out, hash.high);
    buf_add_u64(out, hash.low);
}

// A step through a value whose size was checked before.
static uint64_t take_u64(const uint8_t **at)
{
    uint64_t value = 0;
    (void)rows_get_u64(bytes_of(*at, KR_ROWS_U64_SIZE), &value);
    *at += KR_ROWS_U64_SIZE;
    return value;
}

static struct hash128 take_hash(const uint8_t **at)
{
    uint64_t high = take_u64(at);
    return (struct hash128){.high = high, .low = take_u64(at)};
}

void rows_put_applied(uint8_t out[KR_ROWS_APPLIED_SIZE], const struct rows_applied *applied)
{
    struct buf buf;
    buf_init_fixed(&buf, out, KR_ROWS_APPLIED_SIZE);
    buf_add_u64(&buf, applied->position.index);
    buf_add_u64(&buf, applied->position.epoch);
    add_hash(&buf, applied->position.chain);
    for (size_t i = 0; i < KR_CLASS_COUNT; i++) {
        add_hash(&buf, applied->position.digest[i]);
    }
    buf_add_u64(&buf, applied->log_first);
    buf_add_u64(&buf, applied->log_bytes);
    buf_add_u64(&buf, hash_u64(buf_bytes(&buf), 0));
}

bool rows_get_applied(struct bytes in, struct rows_applied *out)
{
    if (in.size != KR_ROWS_APPLIED_SIZE) {
        return false;
    }
    const uint8_t *at = in.data;
    out->position.index = take_u64(&at);
    out->position.epoch = take_u64(&at);
    out->position.chain = take_hash(&at);
    for (size_t i = 0; i < KR_CLASS_COUNT; i++) {
        out->position.digest[i] = take_hash(&at);
    }
    out->log_first = take_u64(&at);
    out->log_bytes = take_u64(&at);
    size_t covered = (size_t)(at - in.data);
    return take_u64(&at) == hash_u64(bytes_of(in.data, covered), 0);
}

static void add_text(struct buf *out, const char *text)
{
    size_t size = text ? strlen(text) : 0;
    buf_add_u32(out, (uint32_t)size);
    buf_add(out, text, size);
}

void rows_add_cluster(struct buf *out, const struct command_cluster_init *record)
{
    add_text(out, record->cluster_id);
    add_text(out, record->account_id);
    add_text(out, record->account_name);
}

bool rows_get_cluster(struct bytes in, struct arena *arena, struct store_cluster *out)
{
    const char **texts[] = {&out->cluster_id, &out->account_id, &out->account_name};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint32_t size = 0;
        if (in.size < 4 || !rows_get_u32(bytes_of(in.data, 4), &size) || size > in.size - 4) {
            return false;
        }
        *texts[i] = arena_text_of(arena, bytes_of(in.data + 4, size));
        in = bytes_of(in.data + 4 + size, in.size - 4 - size);
    }
    return in.size == 0;
}

// --- log -----------------------------------------------------------------------------------------
// Of head ‖ entry, where the entry's part comes first as a number: large entries are hashed in
// place, not copied behind the head.
static uint64_t log_checksum(uint64_t index, const uint8_t *head, struct bytes entry)
{
    return hash_u64(bytes_of(head, KR_ROWS_LOG_HEAD - 8), hash_u64(entry, index));
}

void rows_put_log_head(uint8_t out[KR_ROWS_LOG_HEAD], uint64_t index, const struct rows_log *row)
{
    rows_put_u64(out + 8, row->chain.high);
    rows_put_u64(out + 16, row->chain.low);
    rows_put_u64(out + 24, row->epoch);
    rows_put_u64(out + 32, (uint64_t)row->at_ms);
    out[40] = row->has_effect;
    rows_put_u64(out, log_checksum(index, out + 8, row->entry));
}

bool rows_get_log(struct bytes in, uint64_t index, struct rows_log *out)
{
    if (in.size < KR_ROWS_LOG_HEAD) {
        return false;
    }
    const uint8_t *at = in.data;
    uint64_t checksum = take_u64(&at);
    out->chain = take_hash(&at);
    out->epoch = take_u64(&at);
    out->at_ms = (int64_t)take_u64(&at);
    out->has_effect = *at++ != 0;
    out->entry = bytes_of(at, in.size - KR_ROWS_LOG_HEAD);
    return checksum == log_checksum(index, in.data + 8, out->entry);
}
