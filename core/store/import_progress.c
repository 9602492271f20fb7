// SPDX-License-Identifier: Apache-2.0
// How far an import has come, written to its file, so that one that broke off goes on where it
// stood. The file: holding (4) | position row | is_whole (1) | key's size (4), key | parts (4), a
// family each | XXH3-64 of it all.
#include "core/store/import_progress.h"

#include "core/base/file.h"
#include "core/store/store_switch.h"

#define KR_PROGRESS_MAX                                                                            \
    (4 + KR_ROWS_APPLIED_SIZE + 1 + 4 + KR_ROWS_KEY_MAX + 4 + KR_IMPORT_PARTS_MAX + 8)
#define KR_PROGRESS_SEED 0x696d706f7274

void import_progress_add(struct buf *out, const struct import_progress *progress)
{
    struct rows_applied applied = {.position = progress->position};
    uint8_t position[KR_ROWS_APPLIED_SIZE];
    rows_put_applied(position, &applied);
    buf_add_u32(out, progress->holding);
    buf_add(out, position, sizeof position);
    buf_add_u8(out, progress->is_whole);
    buf_add_u32(out, (uint32_t)progress->last_key.size);
    buf_add_bytes(out, rows_key_bytes(&progress->last_key));
    buf_add_u32(out, (uint32_t)progress->part_count);
    buf_add(out, progress->families, progress->part_count);
    buf_add_u64(out, hash_u64(buf_bytes(out), KR_PROGRESS_SEED));
}

// Takes size bytes off the front.
static bool take(struct bytes *in, size_t size, struct bytes *out)
{
    if (in->size < size) {
        return false;
    }
    *out = bytes_of(in->data, size);
    *in = bytes_of(in->data + size, in->size - size);
    return true;
}

static bool take_u32(struct bytes *in, uint32_t *out)
{
    struct bytes bytes;
    return take(in, 4, &bytes) && rows_get_u32(bytes, out);
}

static bool get_fields(struct bytes in, struct import_progress *out)
{
    struct rows_applied applied;
    struct bytes position, whole, key, families;
    uint32_t holding = 0, key_size = 0, parts = 0;
    // What the encoder does not write is no progress, whatever its checksum.
    if (!take_u32(&in, &holding) || holding > KR_HOLD_VALIDATION ||
        !take(&in, KR_ROWS_APPLIED_SIZE, &position) || !rows_get_applied(position, &applied) ||
        applied.log_first != 0 || applied.log_bytes != 0 || !take(&in, 1, &whole) ||
        whole.data[0] > 1 || !take_u32(&in, &key_size) || key_size > KR_ROWS_KEY_MAX ||
        !take(&in, key_size, &key) || !take_u32(&in, &parts) || parts > KR_IMPORT_PARTS_MAX ||
        !take(&in, parts, &families) || in.size != 0) {
        return false;
    }
    out->holding = (enum store_holding)holding;
    out->position = applied.position;
    out->is_whole = whole.data[0] != 0;
    rows_digest(&out->last_key, key.data, key.size);
    out->part_count = parts;
    bool is_known = true;
    for (size_t i = 0; i < parts; i++) {
        out->families[i] = families.data[i];
        is_known &= families.data[i] < KR_INDEX_FAMILY_COUNT;
    }
    return is_known;
}

bool import_progress_get(struct bytes in, struct import_progress *out)
{
    uint64_t checksum = 0;
    if (in.size < 8) {
        return false;
    }
    struct bytes covered = bytes_of(in.data, in.size - 8);
    return rows_get_u64(bytes_of(in.data + covered.size, 8), &checksum) &&
           checksum == hash_u64(covered, KR_PROGRESS_SEED) && get_fields(covered, out);
}

bool import_progress_read(const char *directory, struct import_progress *out)
{
    struct buf content;
    char *path = store_place_path(directory, KR_PLACE_PARTS, "progress");
    buf_init(&content, KR_PROGRESS_MAX);
    bool is_read = file_read(path, &content, NULL) == KR_ERR_OK &&
                   import_progress_get(buf_bytes(&content), out);
    buf_fini(&content);
    mem_free(path);
    return is_read;
}

enum kr_err import_progress_write(const char *directory, const struct import_progress *progress,
                                  struct fault *fault)
{
    struct buf content;
    char *path = store_place_path(directory, KR_PLACE_PARTS, "progress");
    buf_init(&content, KR_PROGRESS_MAX);
    import_progress_add(&content, progress);
    enum kr_err err = file_replace(path, buf_bytes(&content), 0600, fault);
    buf_fini(&content);
    mem_free(path);
    return err;
}

bool import_progress_is_same(const struct import_progress *a, const struct import_progress *b)
{
    bool is_same = a->holding == b->holding && a->position.index == b->position.index &&
                   a->position.epoch == b->position.epoch &&
                   hash_equal(a->position.chain, b->position.chain);
    for (size_t i = 0; i < KR_CLASS_COUNT; i++) {
        is_same = is_same && hash_equal(a->position.digest[i], b->position.digest[i]);
    }
    return is_same;
}
