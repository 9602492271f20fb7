// SPDX-License-Identifier: Apache-2.0
// Sorted tables through RocksDB's SstFileWriter. See checkpoint.h.
#include "core/store/checkpoint.h"

#include <rocksdb/c.h>

struct checkpoint {
    rocksdb_options_t *options;
    rocksdb_envoptions_t *env;
    rocksdb_sstfilewriter_t *writer;
    char *path;
};

static const struct {
    bool has_filter, is_packed;
} families[KR_INDEX_FAMILY_COUNT] = {
#define X(name, text, memtable_kib, has_filter, is_packed) {has_filter, is_packed},
    KR_INDEX_FAMILY_TABLE(X)
#undef X
};

// Takes RocksDB's message.
static enum kr_err translate(const struct checkpoint *checkpoint, char *message,
                             struct fault *fault)
{
    bool is_full = strstr(message, "No space left") || strstr(message, "quota exceeded");
    enum kr_err err = fault_set(fault, is_full ? KR_ERR_DISK_FULL : KR_ERR_IO, "%s: %s",
                                checkpoint->path, message);
    rocksdb_free(message);
    return err;
}

enum kr_err checkpoint_open(const char *path, enum index_family family, struct checkpoint **out,
                            struct fault *fault)
{
    struct checkpoint *checkpoint = mem_zalloc(sizeof *checkpoint);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    char *message = NULL;
    checkpoint->path = mem_text(path);
    checkpoint->options = rocksdb_options_create();
    checkpoint->env = rocksdb_envoptions_create();
    rocksdb_block_based_options_set_format_version(table, 5);
    if (families[family].has_filter) {
        rocksdb_block_based_options_set_filter_policy(
            table, rocksdb_filterpolicy_create_bloom_full(KR_INDEX_FILTER_BITS));
    }
    rocksdb_options_set_block_based_table_factory(checkpoint->options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_compression(checkpoint->options, families[family].is_packed
                                                             ? rocksdb_lz4_compression
                                                             : rocksdb_no_compression);
    checkpoint->writer = rocksdb_sstfilewriter_create(checkpoint->env, checkpoint->options);
    rocksdb_sstfilewriter_open(checkpoint->writer, path, &message);
    enum kr_err err = message ? translate(checkpoint, message, fault) : KR_ERR_OK;
    if (err != KR_ERR_OK) {
        checkpoint_close(&checkpoint);
    }
    *out = checkpoint;
    return err;
}

enum kr_err checkpoint_add(struct checkpoint *checkpoint, struct bytes key, struct bytes value,
                           struct fault *fault)
{
    char *message = NULL;
    rocksdb_sstfilewriter_put(checkpoint->writer, (const char *)key.data, key.size,
                              (const char *)value.data, value.size, &message);
    return message ? translate(checkpoint, message, fault) : KR_ERR_OK;
}

enum kr_err checkpoint_finish(struct checkpoint *checkpoint, struct fault *fault)
{
    char *message = NULL;
    rocksdb_sstfilewriter_finish(checkpoint->writer, &message);
    return message ? translate(checkpoint, message, fault) : KR_ERR_OK;
}

void checkpoint_close(struct checkpoint **checkpoint)
{
    struct checkpoint *it = *checkpoint;
    if (!it) {
        return;
    }
    rocksdb_sstfilewriter_destroy(it->writer);
    rocksdb_envoptions_destroy(it->env);
    rocksdb_options_destroy(it->options);
    mem_free(it->path);
    mem_free(it);
    *checkpoint = NULL;
}
