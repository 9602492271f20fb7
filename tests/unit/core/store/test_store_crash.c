// SPDX-License-Identifier: Apache-2.0
// What survives: a killed process leaves a prefix with every acknowledged entry in it; a
// write-ahead log that power loss cut leaves a prefix, with everything in it that was flushed;
// damaged files are refused by name, never half believed.
#include "store_fixture.h"

#include "core/store/boot_mark.h"
#include "core/store/index.h"
#include "core/store/store_flush.h"
#include "core/store/watermark.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define KR_CRASH_ROUNDS 4
#define KR_CRASH_ENTRIES 40 // a round, at least

// The prefix property: the state is what its own log makes of an empty store.
static void assert_state_is_its_log(struct world *world)
{
    struct world fresh;
    world_start(&fresh);
    replay(world, &fresh);
    assert_same_position(world->store, fresh.store);
    assert_int_equal(store_verify_log(world->store, &world->fault), KR_ERR_OK);
    world_fini(&fresh);
}

// --- kill -9 -------------------------------------------------------------------------------------
// Writes without end, three keys and a revocation an entry, several entries a commit; tells each
// acknowledged index.
static void write_until_killed(struct world *world, int pipe_fd)
{
    world_open(world);
    for (unsigned number = (unsigned)world_index(world) * 10;;) {
        struct store_row rows[3];
        struct apply_result results[3];
        for (unsigned i = 0; i < 3; i++) {
            struct command command = {0};
            for (unsigned j = 0; j < 3; j++) {
                add_key(world, &command, 1, 1, ++number);
            }
            struct command_op *op = command_add(&command, KR_OP_KEY_REVOKE, &world->arena);
            digest_of(number - 1, op->as.key_revoke.digest);
            add_audit(world, &command, "key.create");
            rows[i] = encode_entry(world, &command, world_index(world) + 1 + i);
        }
        if (store_apply(world->store, rows, 3, results, &world->fault) != KR_ERR_OK) {
            _exit(1);
        }
        uint64_t index = world_index(world);
        if (write(pipe_fd, &index, sizeof index) != sizeof index) {
            _exit(1);
        }
    }
}

static uint64_t run_and_kill(struct world *world)
{
    int fds[2];
    uint64_t acknowledged = 0, index;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        write_until_killed(world, fds[1]);
    }
    close(fds[1]);
    for (unsigned i = 0; i < KR_CRASH_ENTRIES / 3; i++) {
        assert_int_equal(read(fds[0], &index, sizeof index), sizeof index);
        acknowledged = index;
    }
    kill(child, SIGKILL);
    while (read(fds[0], &index, sizeof index) == sizeof index) {
        acknowledged = index; // told before it died
    }
    close(fds[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return acknowledged;
}

static void a_killed_writer_leaves_every_acknowledged_entry_and_no_half_one(void **state)
{
    struct world world;
    (void)state;
    world_start(&world);
    put_bucket(&world, 1, "production");
    put_consumer(&world, 1, 1);
    store_close(&world.store);
    for (unsigned i = 0; i < KR_CRASH_ROUNDS; i++) {
        uint64_t acknowledged = run_and_kill(&world);
        world_open(&world);
        assert_true(world_index(&world) >= acknowledged);
        assert_int_equal((world_index(&world) - 2) % 3, 0); // commits are whole
        assert_state_is_its_log(&world);
        store_close(&world.store);
    }
    world_fini(&world);
}

// --- files ---------------------------------------------------------------------------------------
static void start_filled(struct world *world, unsigned entries)
{
    world_start(world);
    put_keys(world, 50);
    for (unsigned i = 0; i < entries; i++) {
        put_key(world, 1, 1, 1000 + i);
    }
}

// A copy of the closed store's directory.
static void copy_world(const struct world *from, struct world *to)
{
    world_init(to);
    copy_directory(from->directory, to->directory);
}

static void path_in(const struct world *world, const char *path, char out[1024])
{
    snprintf(out, 1024, "%s%s", world->directory, strrchr(path, '/'));
}

static void a_cut_write_ahead_log_leaves_a_prefix_or_is_refused(void **state)
{
    struct world world, copy;
    char log[512], path[1024];
    (void)state;
    start_filled(&world, 30);
    uint64_t last = world_index(&world);
    store_close(&world.store);
    find_file(world.directory, "", ".log", log);
    long size = file_size(log);
    for (unsigned i = 0; i < 12; i++) {
        copy_world(&world, &copy);
        path_in(&copy, log, path);
        assert_int_equal(truncate(path, size - 1 - (size / 14) * (long)i), 0);
        // The watermark knows of what is missing: a file was cut that had been whole.
        assert_int_equal(world_try_open(&copy), KR_ERR_CORRUPT);
        assert_non_null(strstr(copy.fault.text, "*.log"));
        // Power loss: the watermark, never synced, did not reach the disk either.
        snprintf(path, sizeof path, "%s/watermark", copy.directory);
        assert_int_equal(unlink(path), 0);
        world_open(&copy);
        assert_true(world_index(&copy) < last);
        assert_state_is_its_log(&copy);
        world_fini(&copy);
    }
    world_fini(&world);
}

static void a_flipped_bit_in_the_write_ahead_log_is_refused(void **state)
{
    struct world world, copy;
    char log[512], path[1024];
    (void)state;
    start_filled(&world, 10);
    store_close(&world.store);
    find_file(world.directory, "", ".log", log);
    long size = file_size(log);
    for (unsigned i = 0; i < 8; i++) {
        copy_world(&world, &copy);
        path_in(&copy, log, path);
        flip_byte(path, size / 8 * (long)i);
        assert_int_equal(world_try_open(&copy), KR_ERR_CORRUPT);
        assert_non_null(strstr(copy.fault.text, ".log"));
        assert_non_null(strstr(copy.fault.text, "restore"));
        world_fini(&copy);
    }
    world_fini(&world);
}

// --- commits that do not wait --------------------------------------------------------------------
static void flush(struct world *world)
{
    struct store_flush flush;
    assert_true(store_flush_begin(world->store, &flush));
    store_flush_run(world->store, &flush);
    assert_int_equal(store_flush_end(world->store, &flush, &world->fault), KR_ERR_OK);
    assert_int_equal(store_safe_index(world->store), world_index(world));
}

// A copy of the directory as it is, whose write-ahead log a power cut has left so long.
static void cut_world(const struct world *from, long log_size, struct world *to)
{
    char log[512];
    copy_world(from, to);
    to->options.is_log_elsewhere = true;
    find_file(to->directory, "", ".log", log);
    assert_int_equal(truncate(log, log_size), 0);
}

static void what_was_flushed_survives_a_power_cut(void **state)
{
    struct world world, copy;
    char log[512];
    (void)state;
    world_init(&world);
    world.options.is_log_elsewhere = true;
    world_open(&world);
    put_keys(&world, 50);
    flush(&world);
    find_file(world.directory, "", ".log", log);
    uint64_t safe = world_index(&world);
    long safe_size = file_size(log);
    for (unsigned i = 0; i < 30; i++) {
        put_key(&world, 1, 1, 1000 + i);
    }
    assert_int_equal(store_safe_index(world.store), safe);
    long size = file_size(log);
    for (unsigned i = 0; i < 12; i++) {
        cut_world(&world, size - 1 - (size - 1 - safe_size) / 11 * (long)i, &copy);
        world_open(&copy);
        assert_in_range(world_index(&copy), safe, world_index(&world) - 1);
        assert_int_equal(store_safe_index(copy.store), world_index(&copy));
        assert_state_is_its_log(&copy);
        world_fini(&copy);
    }
    cut_world(&world, safe_size - 1, &copy);
    assert_int_equal(world_try_open(&copy), KR_ERR_CORRUPT);
    assert_non_null(strstr(copy.fault.text, "*.log"));
    world_fini(&copy);
    world_fini(&world);
}

static void copy_run(const struct world *from, struct world *to)
{
    copy_world(from, to);
    to->options.is_log_elsewhere = from->options.is_log_elsewhere;
    to->options.holding = from->options.holding;
}

// The machine of that world has been started again since.
static void boot_again(const struct world *world)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/boot", world->directory);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fputc('?', file), '?');
    fclose(file);
}

static void who_may_lack_what_a_power_cut_took_knows_until_it_has_caught_up(void **state)
{
    struct world world, killed, cut;
    (void)state;
    for (int holding = KR_HOLD_ALL; holding <= KR_HOLD_VALIDATION; holding++) {
        world_init(&world);
        world.options.is_log_elsewhere = true;
        world.options.holding = (enum store_holding)holding;
        world_open(&world);
        assert_false(store_may_lack(world.store));
        copy_run(&world, &killed);
        copy_run(&world, &cut);
        world_open(&killed);
        assert_false(store_may_lack(killed.store));
        boot_again(&cut);
        world_open(&cut);
        assert_true(store_may_lack(cut.store));
        world_reopen(&cut);
        assert_true(store_may_lack(cut.store));
        store_caught_up(cut.store);
        assert_false(store_may_lack(cut.store));
        boot_again(&cut);
        world_reopen(&cut); // it was stopped, and left nothing to the kernel
        assert_false(store_may_lack(cut.store));
        world_fini(&cut);
        world_fini(&killed);
        world_fini(&world);
    }
}

// Puts a row that is no bucket's among the buckets, or takes it away.
static void damage_buckets(struct world *world, bool is_damaged)
{
    struct index *index = NULL;
    const struct bytes key = bytes_text("i: no bucket");
    struct index_options options = {
        .directory = world->directory, .block_cache_bytes = 1u << 20, .is_unsynced = true};
    assert_int_equal(index_open(&options, &index, &world->fault), KR_ERR_OK);
    struct index_batch *batch = index_batch_new();
    if (is_damaged) {
        index_batch_put(index, batch, KR_INDEX_BUCKETS, key, key);
    } else {
        index_batch_delete(index, batch, KR_INDEX_BUCKETS, key);
    }
    assert_int_equal(index_write(index, batch, true, &world->fault), KR_ERR_OK);
    index_batch_free(&batch);
    index_close(&index);
}

// Whoever puts things right starts it again, and it still knows what it may lack.
static void a_start_that_fails_forgets_no_power_cut(void **state)
{
    struct world world, cut;
    (void)state;
    world_init(&world);
    world.options.is_log_elsewhere = true;
    world_open(&world);
    copy_run(&world, &cut);
    boot_again(&cut);
    damage_buckets(&cut, true);
    assert_int_equal(world_try_open(&cut), KR_ERR_CORRUPT);
    assert_true(boot_mark_is_of_another(cut.directory));
    damage_buckets(&cut, false);
    world_open(&cut);
    assert_true(store_may_lack(cut.store));
    world_fini(&cut);
    world_fini(&world);
}

// --- a disk that takes no mark
// ---------------------------------------------------------------------
static bool takes_no_mark;
static unsigned syncs;

// POSIX's way from what dlsym gives to a function.
static void find_next(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    assert_non_null(found);
    memcpy(function, &found, sizeof found);
}

// What the boot mark is written with, and how RocksDB waits for the disk.
int mkostemp(char *path, int flags)
{
    int (*real)(char *, int);
    find_next(&real, "mkostemp");
    if (takes_no_mark && strstr(path, "/boot.") != NULL) {
        errno = ENOSPC;
        return -1;
    }
    return real(path, flags);
}

int fdatasync(int fd)
{
    int (*real)(int);
    find_next(&real, "fdatasync");
    syncs++;
    return real(fd);
}

static unsigned syncs_of_a_commit(struct world *world, unsigned number)
{
    unsigned before = syncs;
    put_key(world, 1, 1, number);
    return syncs - before;
}

static void without_a_mark_commits_wait_for_the_disk(void **state)
{
    struct world world, killed;
    (void)state;
    world_init(&world);
    world.options.is_log_elsewhere = true;
    takes_no_mark = true;
    world_open(&world);
    assert_false(store_may_lack(world.store));
    put_keys(&world, 1);
    assert_int_equal(syncs_of_a_commit(&world, 7), 1);
    copy_run(&world, &killed);
    world_open(&killed); // after a power cut, for all that anybody knows
    assert_false(store_may_lack(killed.store));
    assert_int_equal(world_index(&killed), world_index(&world));
    takes_no_mark = false;
    assert_int_equal(syncs_of_a_commit(&world, 8), 0);
    world_fini(&killed);
    copy_run(&world, &killed);
    boot_again(&killed);
    world_open(&killed);
    assert_true(store_may_lack(killed.store));
    world_fini(&killed);
    world_fini(&world);
}

static void a_store_whose_commits_wait_for_the_disk_lacks_nothing(void **state)
{
    struct world world;
    char path[1024];
    (void)state;
    world_init(&world);
    world_open(&world);
    snprintf(path, sizeof path, "%s/boot", world.directory);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_false(store_may_lack(world.store));
    world_fini(&world);
}

static void a_store_that_is_closed_has_flushed(void **state)
{
    struct world world;
    struct store_flush flush;
    (void)state;
    world_init(&world);
    world.options.is_log_elsewhere = true;
    world_open(&world);
    put_keys(&world, 3);
    uint64_t last = world_index(&world);
    store_close(&world.store);
    struct watermark *watermark = NULL;
    assert_int_equal(watermark_open(world.directory, &watermark, &world.fault), KR_ERR_OK);
    assert_int_equal(watermark_index(watermark), last);
    watermark_close(&watermark);
    world_open(&world);
    assert_int_equal(store_safe_index(world.store), world_index(&world));
    assert_false(store_flush_begin(world.store, &flush));
    world_fini(&world);
}

// Opens and loads. OK only if nothing at all is missing.
static enum kr_err open_and_load(struct world *world, uint64_t index)
{
    struct loading loading;
    enum kr_err err = world_try_open(world);
    if (err != KR_ERR_OK) {
        return err;
    }
    loading_begin(world, &loading);
    err = loading_wait(&loading);
    world->fault = loading.fault;
    if (err == KR_ERR_OK) {
        assert_int_equal(world_index(world), index);
        for (unsigned i = 1; i <= 50; i++) {
            assert_int_equal(find_key(world, i).lookup, KR_STORE_FOUND);
        }
    }
    store_close(&world->store);
    return err;
}

static void a_flipped_bit_in_a_manifest_is_refused(void **state)
{
    struct world world, copy;
    char manifest[512], path[1024];
    (void)state;
    start_filled(&world, 5);
    uint64_t index = world_index(&world);
    world_reopen(&world); // the write-ahead log becomes tables
    store_close(&world.store);
    find_file(world.directory, "MANIFEST", "", manifest);
    long size = file_size(manifest);
    for (unsigned i = 0; i < 24; i++) {
        copy_world(&world, &copy);
        path_in(&copy, manifest, path);
        flip_byte(path, size / 24 * (long)i + 5); // lengths and checksums among them
        assert_int_equal(open_and_load(&copy, index), KR_ERR_CORRUPT);
        assert_non_null(strstr(copy.fault.text, "MANIFEST"));
        world_fini(&copy);
    }
    world_fini(&world);
}

static void a_flipped_bit_in_any_table_is_refused_or_harmless(void **state)
{
    struct world world, copy;
    char command[1024], path[1024], name[512];
    unsigned refused = 0;
    (void)state;
    start_filled(&world, 5);
    uint64_t index = world_index(&world);
    world_reopen(&world);
    store_close(&world.store);
    snprintf(command, sizeof command, "ls %s/*.sst", world.directory);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    while (fgets(name, sizeof name, list)) {
        name[strcspn(name, "\n")] = '\0';
        copy_world(&world, &copy);
        path_in(&copy, name, path);
        flip_byte(path, file_size(path) / 8); // among the rows, which come first
        if (open_and_load(&copy, index) != KR_ERR_OK) {
            assert_int_equal(copy.fault.err, KR_ERR_CORRUPT);
            assert_non_null(strstr(copy.fault.text, strrchr(name, '/')));
            refused++;
        }
        world_fini(&copy);
    }
    pclose(list);
    assert_true(refused >= 4); // meta, log, subjects, keys at least
    world_fini(&world);
}

static void a_missing_table_is_refused_by_name(void **state)
{
    struct world world;
    char table[512];
    (void)state;
    start_filled(&world, 5);
    world_reopen(&world);
    store_close(&world.store);
    find_file(world.directory, "", ".sst", table);
    assert_int_equal(unlink(table), 0);
    assert_int_equal(world_try_open(&world), KR_ERR_CORRUPT);
    *strrchr(table, '.') = '\0'; // RocksDB also tries an older suffix
    assert_non_null(strstr(world.fault.text, strrchr(table, '/')));
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_writer_leaves_every_acknowledged_entry_and_no_half_one),
        cmocka_unit_test(a_cut_write_ahead_log_leaves_a_prefix_or_is_refused),
        cmocka_unit_test(a_flipped_bit_in_the_write_ahead_log_is_refused),
        cmocka_unit_test(what_was_flushed_survives_a_power_cut),
        cmocka_unit_test(who_may_lack_what_a_power_cut_took_knows_until_it_has_caught_up),
        cmocka_unit_test(without_a_mark_commits_wait_for_the_disk),
        cmocka_unit_test(a_start_that_fails_forgets_no_power_cut),
        cmocka_unit_test(a_store_whose_commits_wait_for_the_disk_lacks_nothing),
        cmocka_unit_test(a_store_that_is_closed_has_flushed),
        cmocka_unit_test(a_flipped_bit_in_a_manifest_is_refused),
        cmocka_unit_test(a_flipped_bit_in_any_table_is_refused_or_harmless),
        cmocka_unit_test(a_missing_table_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
