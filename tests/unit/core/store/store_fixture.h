// SPDX-License-Identifier: Apache-2.0
// What the store's tests share: a store in a directory of its own, and entries for it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/rand.h"
#include "core/store/store.h"
#include "core/store/store_switch.h"
#include "proto/codec.h"

#define KR_FIXTURE_NOW_MS INT64_C(1700000000000)

struct world {
    char directory[256];
    struct store_options options;
    struct store *store;
    struct arena arena; // of entries and records; reset by nobody, freed at the end
    int64_t now_ms;     // of the next entry
    uint64_t epoch;
    struct apply_result result; // of the last entry
    struct fault fault;         // of the last call that failed
};

// --- directories ---------------------------------------------------------------------------------
static inline int remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static inline void remove_directory(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// With what a snapshot has left beside it.
static inline void remove_state(const char *directory)
{
    for (enum store_place place = KR_PLACE_PARTS; place <= KR_PLACE_OLD; place++) {
        char *path = store_place_path(directory, place, NULL);
        remove_directory(path);
        mem_free(path);
    }
    remove_directory(directory);
}

static inline void make_directory(char out[256])
{
    const char *parent = getenv("TMPDIR");
    snprintf(out, 256, "%s/keyreeve-store-XXXXXX", parent && *parent ? parent : "/tmp");
    assert_non_null(mkdtemp(out));
}

// --- life ----------------------------------------------------------------------------------------
static inline void world_init(struct world *world)
{
    rand_init();
    *world = (struct world){.now_ms = KR_FIXTURE_NOW_MS, .epoch = 1};
    make_directory(world->directory);
    world->options = (struct store_options){
        .directory = world->directory, .block_cache_bytes = 8u << 20, .load_threads = 2};
    arena_init(&world->arena);
}

static inline enum kr_err world_try_open(struct world *world)
{
    world->fault = (struct fault){.err = KR_ERR_OK};
    return store_open(&world->options, &world->store, &world->fault);
}

static inline void world_open(struct world *world)
{
    enum kr_err err = world_try_open(world);
    if (err != KR_ERR_OK) {
        fail_msg("open: %s", world->fault.text);
    }
}

static inline void world_reopen(struct world *world)
{
    store_close(&world->store);
    world_open(world);
}

static inline void world_fini(struct world *world)
{
    store_close(&world->store);
    arena_fini(&world->arena);
    remove_state(world->directory);
}

static inline void world_start(struct world *world)
{
    world_init(world);
    world_open(world);
}

static inline uint64_t world_index(const struct world *world)
{
    return store_applied_index(world->store);
}

// --- ids and digests -----------------------------------------------------------------------------
static inline const char *id_of(struct world *world, const char *type, unsigned number)
{
    return arena_printf(&world->arena, "%s_%024u", type, number);
}

static inline void digest_of(unsigned number, uint8_t out[KR_DIGEST_SIZE])
{
    digest_sha256(bytes_of(&number, sizeof number), out);
}

// --- entries -------------------------------------------------------------------------------------
static inline struct store_row encode_entry(struct world *world, const struct command *command,
                                            uint64_t index)
{
    struct entry entry = {.index = index,
                          .epoch = world->epoch,
                          .at_unix_us = world->now_ms * 1000,
                          .command = *command};
    struct buf out;
    buf_init(&out, 64u << 20);
    codec_add_entry(&out, &entry);
    assert_int_equal(buf_result(&out), KR_ERR_OK);
    uint8_t *copy = arena_alloc(&world->arena, out.size);
    memcpy(copy, out.data, out.size);
    struct store_row row = {.index = index, .entry = bytes_of(copy, out.size)};
    buf_fini(&out);
    return row;
}

static inline enum kr_err world_try(struct world *world, const struct command *command)
{
    struct store_row row = encode_entry(world, command, world_index(world) + 1);
    world->fault = (struct fault){.err = KR_ERR_OK};
    return store_apply(world->store, &row, 1, &world->result, &world->fault);
}

static inline enum apply_code world_apply(struct world *world, const struct command *command)
{
    enum kr_err err = world_try(world, command);
    if (err != KR_ERR_OK) {
        fail_msg("apply: %s", world->fault.text);
    }
    return world->result.code;
}

static inline void add_bucket(struct world *world, struct command *command, unsigned number,
                              const char *name)
{
    struct command_op *op = command_add(command, KR_OP_BUCKET_PUT, &world->arena);
    op->as.bucket_put.record = (struct bucket){.id = id_of(world, "bckt", number),
                                               .name = name,
                                               .key_prefix = "kr_live",
                                               .max_staleness_ms = 60000,
                                               .created_ms = world->now_ms,
                                               .updated_ms = world->now_ms};
}

static inline void add_consumer(struct world *world, struct command *command, unsigned bucket,
                                unsigned number)
{
    struct command_op *op = command_add(command, KR_OP_CONSUMER_PUT, &world->arena);
    op->as.consumer_put.record =
        (struct consumer){.id = id_of(world, "csmr", number),
                          .bucket_id = id_of(world, "bckt", bucket),
                          .name = arena_printf(&world->arena, "consumer-%u", number),
                          .metadata = "{\"plan\":\"gold\"}",
                          .created_ms = world->now_ms,
                          .updated_ms = world->now_ms};
}

static inline struct key *add_key(struct world *world, struct command *command, unsigned bucket,
                                  unsigned consumer, unsigned number)
{
    struct command_op *op = command_add(command, KR_OP_KEY_PUT, &world->arena);
    struct key *key = &op->as.key_put.record;
    *key = (struct key){.id = id_of(world, "key", number),
                        .bucket_id = id_of(world, "bckt", bucket),
                        .consumer_id = id_of(world, "csmr", consumer),
                        .masked = "kr_live_...abcd",
                        .metadata = "{}",
                        .is_enabled = true,
                        .created_ms = world->now_ms + number,
                        .updated_ms = world->now_ms};
    digest_of(number, key->digest);
    return key;
}

static inline void add_audit(struct world *world, struct command *command, const char *action)
{
    struct audit *audit = arena_zalloc(&world->arena, sizeof *audit);
    *audit = (struct audit){.action = action,
                            .actor_id = "system",
                            .target = "target",
                            .request_id = "request",
                            .is_success = true};
    command->audit = audit;
}

static inline void put_bucket(struct world *world, unsigned number, const char *name)
{
    struct command command = {0};
    add_bucket(world, &command, number, name);
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

static inline void put_consumer(struct world *world, unsigned bucket, unsigned number)
{
    struct command command = {0};
    add_consumer(world, &command, bucket, number);
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

static inline void put_key(struct world *world, unsigned bucket, unsigned consumer, unsigned number)
{
    struct command command = {0};
    add_key(world, &command, bucket, consumer, number);
    add_audit(world, &command, "key.create");
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

// A bucket 1 named "production", a consumer 1 in it, and keys 1..count in one entry.
static inline void put_keys(struct world *world, unsigned count)
{
    struct command command = {0};
    put_bucket(world, 1, "production");
    put_consumer(world, 1, 1);
    for (unsigned i = 1; i <= count; i++) {
        add_key(world, &command, 1, 1, i);
    }
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

static inline void revoke_key(struct world *world, unsigned number, int64_t purge_ms)
{
    struct command command = {0};
    struct command_op *op = command_add(&command, KR_OP_KEY_REVOKE, &world->arena);
    digest_of(number, op->as.key_revoke.digest);
    op->as.key_revoke.purge_ms = purge_ms;
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

static inline void delete_target(struct world *world, enum command_kind kind, const char *id,
                                 int64_t purge_ms)
{
    struct command command = {0};
    struct command_op *op = command_add(&command, kind, &world->arena);
    op->as.target = (struct command_target){.id = id, .purge_ms = purge_ms};
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
}

static inline uint64_t purge_audits(struct world *world, int64_t now_ms, uint32_t limit,
                                    int64_t audit_until_ms)
{
    struct command command = {0};
    struct command_op *op = command_add(&command, KR_OP_PURGE, &world->arena);
    op->as.purge = (struct command_purge){now_ms, limit, audit_until_ms};
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
    return world->result.purged;
}

static inline uint64_t purge(struct world *world, int64_t now_ms, uint32_t limit)
{
    return purge_audits(world, now_ms, limit, 0);
}

// --- what the state says -------------------------------------------------------------------------
static inline void assert_same_position(const struct store *a, const struct store *b)
{
    struct store_position x, y;
    store_position(a, &x);
    store_position(b, &y);
    assert_int_equal(x.index, y.index);
    assert_int_equal(x.epoch, y.epoch);
    assert_true(hash_equal(x.chain, y.chain));
    for (size_t i = 0; i < KR_CLASS_COUNT; i++) {
        assert_true(hash_equal(x.digest[i], y.digest[i]));
    }
}

// This thread is a registered reader only for the look-up: tests have no writer beside it, so that
// what is found stays until the next change.
static inline struct store_found find_key(const struct world *world, unsigned number)
{
    uint8_t digests[1][KR_DIGEST_SIZE];
    struct store_found found;
    const struct bytes key = bytes_of(&number, sizeof number); // as digest_of has it
    hot_thread_register();
    store_find_many(world->store, &key, 1, digests, &found);
    hot_thread_unregister();
    return found;
}

// Feeds every log row of one store to another, which must be empty.
static inline void replay(struct world *from, struct world *to)
{
    for (uint64_t index = 1; index <= world_index(from); index++) {
        struct store_row row = {.index = index};
        struct hash128 chain;
        struct arena arena;
        arena_init(&arena);
        assert_int_equal(
            store_log_read(from->store, index, &arena, &row.entry, &chain, &from->fault),
            KR_ERR_OK);
        assert_int_equal(store_apply(to->store, &row, 1, &to->result, &to->fault), KR_ERR_OK);
        arena_fini(&arena);
    }
}

// --- loading -------------------------------------------------------------------------------------
struct loading {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
    enum kr_err err;
    struct fault fault;
};

static inline void loading_done(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct loading *loading = ctx;
    pthread_mutex_lock(&loading->lock);
    loading->err = err;
    loading->fault = *fault;
    loading->is_done = true;
    pthread_cond_signal(&loading->changed);
    pthread_mutex_unlock(&loading->lock);
}

static inline void loading_begin(struct world *world, struct loading *loading)
{
    *loading = (struct loading){.is_done = false};
    pthread_mutex_init(&loading->lock, NULL);
    pthread_cond_init(&loading->changed, NULL);
    store_load(world->store, loading_done, loading);
}

static inline enum kr_err loading_wait(struct loading *loading)
{
    pthread_mutex_lock(&loading->lock);
    while (!loading->is_done) {
        pthread_cond_wait(&loading->changed, &loading->lock);
    }
    pthread_mutex_unlock(&loading->lock);
    return loading->err;
}

static inline void world_load(struct world *world)
{
    struct loading loading;
    loading_begin(world, &loading);
    assert_int_equal(loading_wait(&loading), KR_ERR_OK);
}

// --- files ---------------------------------------------------------------------------------------
// The file in the directory whose name begins and ends so, the largest of several; "" when none.
static inline void find_file(const char *directory, const char *begin, const char *end,
                             char out[512])
{
    char command[1024];
    snprintf(command, sizeof command, "ls -S %s/%s*%s 2>/dev/null | head -n 1", directory, begin,
             end);
    out[0] = '\0';
    FILE *list = popen(command, "r");
    assert_non_null(list);
    if (fgets(out, 512, list)) {
        out[strcspn(out, "\n")] = '\0';
    }
    pclose(list);
}

static inline long file_size(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (long)status.st_size;
}

static inline void flip_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    fputc(byte ^ 0x40, file);
    fclose(file);
}

static inline void copy_directory(const char *from, const char *to)
{
    char command[1024];
    snprintf(command, sizeof command, "cp -r %s/. %s", from, to);
    assert_int_equal(system(command), 0);
}
