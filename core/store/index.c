// SPDX-License-Identifier: Apache-2.0
// The index over RocksDB: the only file that includes rocksdb/c.h. See index.h.
//
// Choices: one write-ahead log for all families. Where every commit syncs it, its recovery mode is
// "tolerate corrupted tail records": a record that power loss cut short was never acknowledged and
// is dropped, but a record whose checksum is wrong was complete once, and stops the start; the mode
// that stops quietly before the damage ("point in time") would lose acknowledged writes silently,
// and "absolute consistency" would refuse to start after every crash. Where commits do not wait,
// power loss leaves holes as well, and "point in time" keeps what is before the first.
#include "core/store/index.h"

#include <assert.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/priority.h"

#define KR_INDEX_BLOCK_BYTES 8192
#define KR_INDEX_MEMTABLES_BYTES (96u << 20) // of all families together
#define KR_INDEX_WAL_BYTES (128u << 20)      // bounds what a restart has to replay
#define KR_INDEX_READAHEAD_BYTES (1u << 20)
#define KR_INDEX_MANIFEST_BYTES (16u << 20)
// A merge of level 0 rewrites much of the level below, so it should be worth it.
#define KR_INDEX_LEVEL0_FILES 8

enum { KR_INDEX_FLUSHERS = 1, KR_INDEX_COMPACTORS = 3 }; // threads of RocksDB

static const struct {
    const char *name;
    size_t memtable_bytes;
    bool has_filter, is_packed;
} families[KR_INDEX_FAMILY_COUNT] = {
#define X(name, text, memtable_kib, has_filter, is_packed)                                         \
    {text, (size_t)(memtable_kib) << 10, has_filter, is_packed},
    KR_INDEX_FAMILY_TABLE(X)
#undef X
};

// RocksDB insists on a family named "default", which stays empty.
#define KR_INDEX_HANDLES (KR_INDEX_FAMILY_COUNT + 1)

struct index {
    char *directory;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *default_handle;
    rocksdb_column_family_handle_t *handles[KR_INDEX_FAMILY_COUNT];
    rocksdb_options_t *options;
    rocksdb_options_t *family_options[KR_INDEX_FAMILY_COUNT];
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read_newest;
    rocksdb_writeoptions_t *write_synced, *write_unsynced;
};

struct index_snapshot {
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
};

struct index_cursor {
    const struct index *index;
    rocksdb_readoptions_t *read;
    rocksdb_iterator_t *iterator;
    uint8_t *bounds; // lower ‖ upper, which the read options keep
};

struct index_batch {
    rocksdb_writebatch_t *batch;
};

const char *index_family_name(enum index_family family)
{
    return families[family].name;
}

static const char *chars(struct bytes bytes)
{
    return (const char *)bytes.data;
}

// Turns off the counters that RocksDB keeps for the calling thread, which nobody asks for and which
// cost a tenth of an insertion, and of a step of a scan.
static void count_nothing(void)
{
    rocksdb_set_perf_level(1);
}

// Takes RocksDB's message and says what it means for us.
static enum kr_err translate(const char *directory, char *message, struct fault *fault)
{
    enum kr_err err = KR_ERR_IO;
    const char *mend = "";
    if (strstr(message, "lock file") || strstr(message, "lock hold")) {
        err = KR_ERR_LOCKED;
        mend = "; stop the process that uses it, or name another data directory";
    } else if (strstr(message, "No space left") || strstr(message, "quota exceeded")) {
        err = KR_ERR_DISK_FULL;
        mend = "; free space on this file system and restart";
    } else if (strncmp(message, "Corruption", 10) == 0) {
        err = KR_ERR_CORRUPT;
        mend = "; restore this directory from a backup, or empty it and let the node join again";
    }
    // Some messages name no file: that a checksum is wrong in the write-ahead log, for one.
    const char *where = strstr(message, directory) ? "" : directory;
    const char *what = "";
    if (*where && err == KR_ERR_CORRUPT && !strstr(message, "CURRENT")) {
        what = "/*.log (the write-ahead log)";
    }
    fault_set(fault, err, "%s%s%s%s%s", where, what, *where ? ": " : "", message, mend);
    rocksdb_free(message);
    return err;
}

// --- opening -------------------------------------------------------------------------------------
// RocksDB's threads are the process's, live as long as it, and keep the priority of whoever starts
// them: here a thread that stands back, since a flush of a memtable takes a core for a tenth of a
// second. Else it would be whoever opens the first index.
static void *start_workers(void *unused)
{
    priority_take(KR_PRIORITY_WORK);
    rocksdb_env_t *env = rocksdb_create_default_env();
    rocksdb_env_set_high_priority_background_threads(env, KR_INDEX_FLUSHERS);
    rocksdb_env_set_low_priority_background_threads(env, KR_INDEX_COMPACTORS);
    rocksdb_env_destroy(env);
    return unused;
}

static void begin_workers(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, start_workers, NULL) == 0) {
        pthread_join(thread, NULL);
    }
}

static rocksdb_options_t *database_options(bool is_unsynced)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_wal_recovery_mode(
        options, is_unsynced ? rocksdb_point_in_time_recovery
                             : rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_max_open_files(options, KR_INDEX_OPEN_FILES);
    rocksdb_options_set_db_write_buffer_size(options, KR_INDEX_MEMTABLES_BYTES);
    rocksdb_options_set_max_total_wal_size(options, KR_INDEX_WAL_BYTES);
    rocksdb_options_set_max_manifest_file_size(options, KR_INDEX_MANIFEST_BYTES);
    rocksdb_options_set_bytes_per_sync(options, 1u << 20);
    rocksdb_options_set_max_background_jobs(options, KR_INDEX_FLUSHERS + KR_INDEX_COMPACTORS);
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0); // there is one writer
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    rocksdb_options_set_info_log_level(options, 2); // warnings and worse
    rocksdb_options_set_max_log_file_size(options, 1u << 20);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    return options;
}

// A batch comes in order, so the place of a row is near that of the one before it: with a hint a
// memtable searches from there, and not from its head. One hint serves a whole memtable, which is
// what a prefix of no bytes asks for. A range deletion would go by the same hint into a list of its
// own, and spoil it: there must be none. The C interface has no function for it. Takes options,
// gives.
static rocksdb_options_t *with_insert_hint(rocksdb_options_t *options)
{
    static const char hint[] = "memtable_insert_with_hint_prefix_extractor=rocksdb.CappedPrefix.0";
    rocksdb_options_t *hinted = rocksdb_options_create();
    char *message = NULL;
    rocksdb_get_options_from_string(options, hint, hinted, &message);
    assert(!message);
    rocksdb_options_destroy(options);
    return hinted;
}

static rocksdb_options_t *make_family_options(const struct index *index, enum index_family family)
{
    rocksdb_options_t *options = rocksdb_options_create_copy(index->options);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, index->cache);
    rocksdb_block_based_options_set_block_size(table, KR_INDEX_BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 0);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    if (families[family].has_filter) {
        rocksdb_block_based_options_set_whole_key_filtering(table, 1);
        rocksdb_block_based_options_set_filter_policy(
            table, rocksdb_filterpolicy_create_bloom_full(KR_INDEX_FILTER_BITS));
        rocksdb_options_set_memtable_whole_key_filtering(options, 1);
        rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.02);
    }
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_write_buffer_size(options, families[family].memtable_bytes);
    rocksdb_options_set_compression(options, families[family].is_packed ? rocksdb_lz4_compression
                                                                        : rocksdb_no_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_level0_file_num_compaction_trigger(options, KR_INDEX_LEVEL0_FILES);
    return with_insert_hint(options);
}

// A directory of another format may have other families; opening must not add ours to it. Families
// may be missing, because their creation was cut short.
static enum kr_err check_families(const struct index *index, struct fault *fault)
{
    char current[4096];
    struct stat status;
    snprintf(current, sizeof current, "%s/CURRENT", index->directory);
    if (stat(current, &status) != 0) {
        return KR_ERR_OK; // a new directory
    }
    size_t count = 0;
    char *message = NULL;
    char **names = rocksdb_list_column_families(index->options, index->directory, &count, &message);
    enum kr_err err = message ? translate(index->directory, message, fault) : KR_ERR_OK;
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++) {
        bool is_known = strcmp(names[i], "default") == 0;
        for (size_t j = 0; j < KR_INDEX_FAMILY_COUNT && !is_known; j++) {
            is_known = strcmp(names[i], families[j].name) == 0;
        }
        if (!is_known) {
            err = fault_set(fault, KR_ERR_VERSION,
                            "%s was written by another version: this one does not know its family "
                            "%s; use that version, or name another data directory",
                            index->directory, names[i]);
        }
    }
    rocksdb_list_column_families_destroy(names, count);
    return err;
}

static enum kr_err open_database(struct index *index, struct fault *fault)
{
    const char *names[KR_INDEX_HANDLES] = {"default"};
    const rocksdb_options_t *options[KR_INDEX_HANDLES] = {index->options};
    rocksdb_column_family_handle_t *handles[KR_INDEX_HANDLES] = {NULL};
    for (size_t i = 0; i < KR_INDEX_FAMILY_COUNT; i++) {
        names[i + 1] = families[i].name;
        options[i + 1] = index->family_options[i];
    }
    char *message = NULL;
    index->db = rocksdb_open_column_families(index->options, index->directory, KR_INDEX_HANDLES,
                                             names, options, handles, &message);
    if (message) {
        return translate(index->directory, message, fault);
    }
    index->default_handle = handles[0];
    memcpy(index->handles, handles + 1, sizeof index->handles);
    return KR_ERR_OK;
}

enum kr_err index_open(const struct index_options *options, struct index **out, struct fault *fault)
{
    struct index *index = mem_zalloc(sizeof *index);
    index->directory = mem_text(options->directory);
    index->cache = rocksdb_cache_create_lru(options->block_cache_bytes);
    index->options = database_options(options->is_unsynced);
    for (size_t i = 0; i < KR_INDEX_FAMILY_COUNT; i++) {
        index->family_options[i] = make_family_options(index, (enum index_family)i);
    }
    index->read_newest = rocksdb_readoptions_create();
    index->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(index->write_synced, 1);
    index->write_unsynced = rocksdb_writeoptions_create();
    begin_workers();
    enum kr_err err = check_families(index, fault);
    if (err == KR_ERR_OK) {
        err = open_database(index, fault);
    }
    if (err != KR_ERR_OK) {
        index_close(&index);
    }
    *out = index;
    return err;
}

void index_close(struct index **index)
{
    struct index *it = *index;
    if (!it) {
        return;
    }
    if (it->db) {
        for (size_t i = 0; i < KR_INDEX_FAMILY_COUNT; i++) {
            rocksdb_column_family_handle_destroy(it->handles[i]);
        }
        rocksdb_column_family_handle_destroy(it->default_handle);
        rocksdb_close(it->db);
    }
    for (size_t i = 0; i < KR_INDEX_FAMILY_COUNT; i++) {
        rocksdb_options_destroy(it->family_options[i]);
    }
    rocksdb_writeoptions_destroy(it->write_unsynced);
    rocksdb_writeoptions_destroy(it->write_synced);
    rocksdb_readoptions_destroy(it->read_newest);
    rocksdb_options_destroy(it->options);
    rocksdb_cache_destroy(it->cache);
    mem_free(it->directory);
    mem_free(it);
    *index = NULL;
}

// --- reading -------------------------------------------------------------------------------------
struct index_snapshot *index_snapshot_open(struct index *index)
{
    struct index_snapshot *snapshot = mem_alloc(sizeof *snapshot);
    snapshot->snapshot = rocksdb_create_snapshot(index->db);
    snapshot->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(snapshot->read, snapshot->snapshot);
    return snapshot;
}

void index_snapshot_close(struct index *index, struct index_snapshot **snapshot)
{
    if (!*snapshot) {
        return;
    }
    rocksdb_readoptions_destroy((*snapshot)->read);
    rocksdb_release_snapshot(index->db, (*snapshot)->snapshot);
    mem_free(*snapshot);
    *snapshot = NULL;
}

bool index_read(struct index_reader *reader, enum index_family family, struct bytes key,
                struct arena *arena, struct bytes *value)
{
    if (reader->fault.err != KR_ERR_OK) {
        return false;
    }
    const struct index *index = reader->index;
    const rocksdb_readoptions_t *read =
        reader->snapshot ? reader->snapshot->read : index->read_newest;
    char *message = NULL;
    rocksdb_pinnableslice_t *pinned = rocksdb_get_pinned_cf(index->db, read, index->handles[family],
                                                            chars(key), key.size, &message);
    if (message) {
        translate(index->directory, message, &reader->fault);
        return false;
    }
    if (!pinned) {
        return false;
    }
    size_t size = 0;
    const char *data = rocksdb_pinnableslice_value(pinned, &size);
    uint8_t *copy = arena_alloc(arena, size + 1); // never of size 0, which arenas may refuse
    memcpy(copy, data, size);
    *value = bytes_of(copy, size);
    rocksdb_pinnableslice_destroy(pinned);
    return true;
}

struct index_cursor *index_cursor_open(struct index *index, const struct index_range *range)
{
    struct index_cursor *cursor = mem_zalloc(sizeof *cursor);
    cursor->index = index;
    cursor->bounds = mem_alloc(range->lower.size + range->upper.size + 1);
    cursor->read = rocksdb_readoptions_create();
    char *lower = (char *)cursor->bounds, *upper = lower + range->lower.size;
    if (range->lower.size) {
        memcpy(lower, range->lower.data, range->lower.size);
        rocksdb_readoptions_set_iterate_lower_bound(cursor->read, lower, range->lower.size);
    }
    if (range->upper.size) {
        memcpy(upper, range->upper.data, range->upper.size);
        rocksdb_readoptions_set_iterate_upper_bound(cursor->read, upper, range->upper.size);
    }
    if (range->snapshot) {
        rocksdb_readoptions_set_snapshot(cursor->read, range->snapshot->snapshot);
    }
    if (range->is_scan) {
        count_nothing();
        rocksdb_readoptions_set_fill_cache(cursor->read, 0);
        rocksdb_readoptions_set_readahead_size(cursor->read, KR_INDEX_READAHEAD_BYTES);
    }
    cursor->iterator =
        rocksdb_create_iterator_cf(index->db, cursor->read, index->handles[range->family]);
    return cursor;
}

void index_cursor_close(struct index_cursor **cursor)
{
    if (!*cursor) {
        return;
    }
    rocksdb_iter_destroy((*cursor)->iterator);
    rocksdb_readoptions_destroy((*cursor)->read);
    mem_free((*cursor)->bounds);
    mem_free(*cursor);
    *cursor = NULL;
}

void index_cursor_first(struct index_cursor *cursor)
{
    rocksdb_iter_seek_to_first(cursor->iterator);
}

void index_cursor_last(struct index_cursor *cursor)
{
    rocksdb_iter_seek_to_last(cursor->iterator);
}

void index_cursor_seek(struct index_cursor *cursor, struct bytes key)
{
    rocksdb_iter_seek(cursor->iterator, chars(key), key.size);
}

void index_cursor_next(struct index_cursor *cursor)
{
    rocksdb_iter_next(cursor->iterator);
}

void index_cursor_previous(struct index_cursor *cursor)
{
    rocksdb_iter_prev(cursor->iterator);
}

bool index_cursor_row(const struct index_cursor *cursor, struct bytes *key, struct bytes *value)
{
    if (!rocksdb_iter_valid(cursor->iterator)) {
        return false;
    }
    size_t size = 0;
    const char *data = rocksdb_iter_key(cursor->iterator, &size);
    *key = bytes_of(data, size);
    data = rocksdb_iter_value(cursor->iterator, &size);
    *value = bytes_of(data, size);
    return true;
}

enum kr_err index_cursor_result(const struct index_cursor *cursor, struct fault *fault)
{
    char *message = NULL;
    rocksdb_iter_get_error(cursor->iterator, &message);
    return message ? translate(cursor->index->directory, message, fault) : KR_ERR_OK;
}

// --- writing -------------------------------------------------------------------------------------
struct index_batch *index_batch_new(void)
{
    struct index_batch *batch = mem_alloc(sizeof *batch);
    batch->batch = rocksdb_writebatch_create();
    return batch;
}

void index_batch_free(struct index_batch **batch)
{
    if (!*batch) {
        return;
    }
    rocksdb_writebatch_destroy((*batch)->batch);
    mem_free(*batch);
    *batch = NULL;
}

void index_batch_put(struct index *index, struct index_batch *batch, enum index_family family,
                     struct bytes key, struct bytes value)
{
    rocksdb_writebatch_put_cf(batch->batch, index->handles[family], chars(key), key.size,
                              chars(value), value.size);
}

void index_batch_delete(struct index *index, struct index_batch *batch, enum index_family family,
                        struct bytes key)
{
    rocksdb_writebatch_delete_cf(batch->batch, index->handles[family], chars(key), key.size);
}

void index_batch_clear(struct index_batch *batch)
{
    rocksdb_writebatch_clear(batch->batch);
}

size_t index_batch_bytes(const struct index_batch *batch)
{
    size_t size = 0;
    (void)rocksdb_writebatch_data(batch->batch, &size);
    return size;
}

enum kr_err index_write(struct index *index, struct index_batch *batch, bool is_synced,
                        struct fault *fault)
{
    char *message = NULL;
    count_nothing();
    rocksdb_write(index->db, is_synced ? index->write_synced : index->write_unsynced, batch->batch,
                  &message);
    return message ? translate(index->directory, message, fault) : KR_ERR_OK;
}

enum kr_err index_sync(struct index *index, struct fault *fault)
{
    char *message = NULL;
    rocksdb_flush_wal(index->db, 1, &message);
    return message ? translate(index->directory, message, fault) : KR_ERR_OK;
}

enum kr_err index_ingest(struct index *index, enum index_family family, const char *const paths[],
                         size_t count, struct fault *fault)
{
    char *message = NULL;
    rocksdb_ingestexternalfileoptions_t *options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
    rocksdb_ingest_external_file_cf(index->db, index->handles[family], paths, count, options,
                                    &message);
    rocksdb_ingestexternalfileoptions_destroy(options);
    return message ? translate(index->directory, message, fault) : KR_ERR_OK;
}

// --- figures -------------------------------------------------------------------------------------
static uint64_t property(const struct index *index, enum index_family family, const char *name)
{
    uint64_t value = 0;
    return rocksdb_property_int_cf(index->db, index->handles[family], name, &value) == 0 ? value
                                                                                         : 0;
}

void index_figures(struct index *index, struct index_figures *out)
{
    *out = (struct index_figures){0};
    for (size_t i = 0; i < KR_INDEX_FAMILY_COUNT; i++) {
        enum index_family family = (enum index_family)i;
        out->memtable_bytes += property(index, family, "rocksdb.size-all-mem-tables");
        out->disk_bytes += property(index, family, "rocksdb.total-sst-files-size");
    }
    out->block_cache_bytes = rocksdb_cache_get_usage(index->cache);
}

uint64_t index_estimate_rows(struct index *index, enum index_family family)
{
    return property(index, family, "rocksdb.estimate-num-keys");
}

uint64_t index_disk_free(const struct index *index)
{
    return file_disk_free(index->directory);
}

const char *index_directory(const struct index *index)
{
    return index->directory;
}
