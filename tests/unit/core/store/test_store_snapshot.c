// SPDX-License-Identifier: Apache-2.0
// Snapshots: whole and partial copies, resumed ones, damaged ones, and the switch cut short.
#include "store_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/store/index.h"
#include "core/store/rows.h"
#include "core/store/store_snapshot.h"
#include "core/store/store_switch.h"

enum { KEYS = 4000, ANY = 1000000 };

// A leader with every kind of record.
static void start_leader(struct world *world)
{
    struct command command = {0};
    world_start(world);
    command_add(&command, KR_OP_CLUSTER_INIT, &world->arena)->as.cluster_init =
        (struct command_cluster_init){"clst_1", "acct_1", "default"};
    command_add(&command, KR_OP_MEMBER_PUT, &world->arena)->as.member_put =
        (struct member){.id = "eu-1", .region = "eu"};
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
    put_keys(world, KEYS);
    command = (struct command){0};
    command_add(&command, KR_OP_VAULT_PUT, &world->arena)->as.vault_put =
        (struct sealed){id_of(world, "key", 1), 1, bytes_text("sealed-box")};
    command_add(&command, KR_OP_MANAGER_PUT, &world->arena)->as.manager_put = (struct manager){
        .id = "eusr_1", .consumer_id = id_of(world, "csmr", 1), .email = "a@example.org"};
    add_audit(world, &command, "key.seal");
    assert_int_equal(world_apply(world, &command), KR_APPLY_OK);
    revoke_key(world, 2, world->now_ms + 1000);
}

static void start_receiver(struct world *world, enum store_holding holding)
{
    world_init(world);
    world->options.holding = holding;
}

static struct store_export *open_export(struct world *leader, enum store_holding child)
{
    struct store_export *export = NULL;
    assert_int_equal(store_export_open(leader->store, child, &export, &leader->fault), KR_ERR_OK);
    return export;
}

static struct store_import *open_import(struct world *world, const struct store_export *export)
{
    struct store_import *import = NULL;
    struct store_position position;
    store_export_position(export, &position);
    if (store_import_open(&world->options, &position, &import, &world->fault) != KR_ERR_OK)
        fail_msg("import: %s", world->fault.text);
    return import;
}

// At most `limit` chunks; returns how many.
static unsigned copy_chunks(struct store_export *export, struct store_import *import,
                            unsigned limit)
{
    struct store_chunk chunk = {.is_last = false};
    struct fault fault;
    unsigned count = 0;
    for (; count < limit; count++) {
        enum kr_err err = store_export_next(export, &chunk, &fault);
        if (err == KR_ERR_NOT_FOUND)
            break;
        assert_int_equal(err, KR_ERR_OK);
        assert_true(chunk.rows.size <= KR_SNAPSHOT_CHUNK_BYTES || chunk.row_count == 1);
        if (store_import_add(import, &chunk, &fault) != KR_ERR_OK)
            fail_msg("add: %s", fault.text);
    }
    return count;
}

static void finish_import(struct world *world, struct store_import **import)
{
    if (store_import_finish(*import, &world->fault) != KR_ERR_OK)
        fail_msg("finish: %s", world->fault.text);
    store_import_close(import);
}

static void assert_is_copy(struct world *leader, struct world *copy)
{
    struct store_position x, y;
    struct loading loading;
    store_position(leader->store, &x);
    store_position(copy->store, &y);
    assert_int_equal(x.index, y.index);
    assert_int_equal(x.epoch, y.epoch);
    assert_true(hash_equal(x.chain, y.chain));
    for (size_t i = 0; i < KR_CLASS_CORE; i++)
        assert_true(hash_equal(x.digest[i], y.digest[i]));
    if (copy->options.holding == KR_HOLD_ALL)
        assert_true(hash_equal(x.digest[KR_CLASS_CORE], y.digest[KR_CLASS_CORE]));
    loading_begin(copy, &loading);
    assert_int_equal(loading_wait(&loading), KR_ERR_OK);
    for (unsigned i = 1; i <= KEYS; i += 97)
        assert_int_equal(find_key(copy, i).lookup, KR_STORE_FOUND);
}

// What the leader does next arrives too.
static void follow(struct world *leader, struct world *copy)
{
    struct store_stream_row row;
    put_key(leader, 1, 1, KEYS + 1 + (unsigned)world_index(leader));
    assert_int_equal(store_stream_read(leader->store, world_index(leader), copy->options.holding,
                                       &leader->arena, &row, &leader->fault),
                     KR_ERR_OK);
    if (store_stream_apply(copy->store, &row, 1, &copy->fault) != KR_ERR_OK)
        fail_msg("follow: %s", copy->fault.text);
}

static void assert_copies(enum store_holding holding)
{
    struct world leader, copy;
    struct store_export_progress progress;
    start_leader(&leader);
    start_receiver(&copy, holding);
    struct store_export *export = open_export(&leader, holding);
    struct store_import *import = open_import(&copy, export);
    assert_true(copy_chunks(export, import, ANY) > 5);
    store_export_progress(export, &progress);
    assert_true(progress.done_rows > KEYS);
    assert_int_equal(progress.done_bytes, progress.total_bytes);
    finish_import(&copy, &import);
    store_export_close(&export);
    world_open(&copy);
    assert_is_copy(&leader, &copy);
    assert_int_equal(store_log_first(copy.store), 0);
    follow(&leader, &copy);
    world_reopen(&copy);
    assert_is_copy(&leader, &copy);
    world_fini(&copy);
    world_fini(&leader);
}

static void a_core_node_gets_everything(void **state)
{
    (void)state;
    assert_copies(KR_HOLD_ALL);
}

static void a_follower_gets_its_part(void **state)
{
    (void)state;
    assert_copies(KR_HOLD_VALIDATION);
}

static void a_followers_snapshot_has_no_row_of_the_core(void **state)
{
    struct world leader;
    struct store_chunk chunk;
    (void)state;
    start_leader(&leader);
    struct store_export *export = open_export(&leader, KR_HOLD_VALIDATION);
    while (store_export_next(export, &chunk, &leader.fault) == KR_ERR_OK) {
        assert_null(memmem(chunk.rows.data, chunk.rows.size, "sealed-box", 10));
        assert_null(memmem(chunk.rows.data, chunk.rows.size, "a@example.org", 13));
        assert_int_not_equal(chunk.family, KR_INDEX_VAULT);
        assert_int_not_equal(chunk.family, KR_INDEX_AUDIT);
        assert_int_not_equal(chunk.family, KR_INDEX_LOG);
    }
    store_export_close(&export);
    world_fini(&leader);
}

static void an_export_stays_as_it_was_while_the_store_goes_on(void **state)
{
    struct world leader, copy;
    struct store_position before, after;
    (void)state;
    start_leader(&leader);
    store_position(leader.store, &before);
    start_receiver(&copy, KR_HOLD_ALL);
    struct store_export *export = open_export(&leader, KR_HOLD_ALL);
    struct store_import *import = open_import(&copy, export);
    copy_chunks(export, import, 2);
    revoke_key(&leader, KEYS, 0);
    put_key(&leader, 1, 1, KEYS + 7);
    copy_chunks(export, import, ANY);
    finish_import(&copy, &import);
    store_export_close(&export);
    world_open(&copy);
    store_position(copy.store, &after);
    assert_int_equal(after.index, before.index);
    world_load(&copy);
    assert_int_equal(find_key(&copy, KEYS + 7).lookup, KR_STORE_ABSENT);
    world_fini(&copy);
    world_fini(&leader);
}

// Adds some chunks and dies without a word.
static void die_in_an_import(struct world *copy, struct store_export *export, unsigned chunks)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store_import *import = open_import(copy, export);
        copy_chunks(export, import, chunks);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void resume(struct world *copy, struct store_export *export, bool has_some)
{
    uint8_t family = 0;
    struct bytes last_key;
    struct store_position position, pending;
    store_export_position(export, &position);
    assert_true(store_import_pending(&copy->options, &pending));
    assert_int_equal(pending.index, position.index);
    struct store_import *import = open_import(copy, export);
    bool is_there = store_import_resume(import, &copy->arena, &family, &last_key);
    assert_int_equal(is_there, has_some);
    if (is_there)
        assert_int_equal(store_export_seek(export, family, last_key, &copy->fault), KR_ERR_OK);
    copy_chunks(export, import, ANY);
    finish_import(copy, &import);
}

static void an_import_that_was_cut_goes_on_behind_its_last_row(void **state)
{
    struct world leader, copy;
    (void)state;
    start_leader(&leader);
    start_receiver(&copy, KR_HOLD_ALL);
    struct store_export *export = open_export(&leader, KR_HOLD_ALL);
    struct store_import *import = open_import(&copy, export);
    copy_chunks(export, import, 3);
    assert_int_equal(store_import_finish(import, &copy.fault), KR_ERR_INVALID);
    store_import_close(&import); // what was added is safe
    resume(&copy, export, true);
    assert_false(store_import_pending(&copy.options, &(struct store_position){0}));
    store_export_close(&export);
    world_open(&copy);
    assert_is_copy(&leader, &copy);
    world_fini(&copy);
    world_fini(&leader);
}

// Goes on where the import says that it stands.
static void go_on(struct store_import *import, struct world *leader, struct world *copy)
{
    uint8_t family;
    struct bytes last_key;
    struct store_export *export = open_export(leader, KR_HOLD_ALL);
    if (store_import_resume(import, &copy->arena, &family, &last_key))
        assert_int_equal(store_export_seek(export, family, last_key, &copy->fault), KR_ERR_OK);
    copy_chunks(export, import, ANY);
    store_export_close(&export);
}

static void go_on_to_the_end(struct store_import **import, struct world *leader, struct world *copy)
{
    go_on(*import, leader, copy);
    finish_import(copy, import);
    world_open(copy);
    assert_is_copy(leader, copy);
    world_fini(copy);
}

// Adds chunks while no file may grow beyond `most` bytes, until one cannot be kept.
static void add_without_room(struct store_import *import, struct store_export *export, rlim_t most)
{
    struct store_chunk chunk;
    struct fault fault;
    struct rlimit unlimited, small;
    enum kr_err err = KR_ERR_OK;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
    small = (struct rlimit){.rlim_cur = most, .rlim_max = unlimited.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    while (err == KR_ERR_OK && store_export_next(export, &chunk, &fault) == KR_ERR_OK)
        err = store_import_add(import, &chunk, &fault);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    assert_int_equal(err, KR_ERR_IO);
}

static void an_import_that_had_no_room_goes_on_when_there_is_some(void **state)
{
    struct world leader, copy;
    (void)state;
    start_leader(&leader);
    for (unsigned round = 0; round < 6; round++) {
        start_receiver(&copy, KR_HOLD_ALL);
        struct store_export *export = open_export(&leader, KR_HOLD_ALL);
        struct store_import *import = open_import(&copy, export);
        copy_chunks(export, import, round / 2);
        add_without_room(import, export, round / 2 * 8192);
        if (round % 2 == 0) { // as a new session does
            store_import_close(&import);
            import = open_import(&copy, export);
        }
        store_export_close(&export);
        go_on_to_the_end(&import, &leader, &copy);
    }
    world_fini(&leader);
}

static void an_import_leaves_the_reserve_alone(void **state)
{
    struct world leader, copy;
    struct store_chunk chunk;
    (void)state;
    start_leader(&leader);
    start_receiver(&copy, KR_HOLD_ALL);
    struct store_export *export = open_export(&leader, KR_HOLD_ALL);
    const uint64_t reserve = copy.options.disk_reserve_bytes;
    copy.options.disk_reserve_bytes = UINT64_MAX - 1;
    struct store_import *import = open_import(&copy, export);
    assert_int_equal(store_export_next(export, &chunk, &copy.fault), KR_ERR_OK);
    assert_int_equal(store_import_add(import, &chunk, &copy.fault), KR_ERR_DISK_FULL);
    assert_non_null(strstr(copy.fault.text, "free space, and the snapshot goes on by itself"));
    store_import_close(&import);
    copy.options.disk_reserve_bytes = reserve;
    import = open_import(&copy, export);
    store_export_close(&export);
    go_on_to_the_end(&import, &leader, &copy);
    world_fini(&leader);
}

static void an_import_that_the_state_has_passed_is_removed_at_the_start(void **state)
{
    struct world leader, copy;
    struct store_position pending;
    (void)state;
    start_leader(&leader);
    struct store_export *export = open_export(&leader, KR_HOLD_ALL);
    world_start(&copy);
    struct store_import *import = open_import(&copy, export);
    copy_chunks(export, import, 3);
    store_import_close(&import);
    store_close(&copy.store);
    world_open(&copy);
    assert_true(store_import_pending(&copy.options, &pending));
    put_keys(&copy, 20);
    for (unsigned i = 1; world_index(&copy) < pending.index; i++)
        revoke_key(&copy, i, copy.now_ms + 1000);
    store_close(&copy.store);
    world_open(&copy);
    assert_false(store_import_pending(&copy.options, &pending));
    store_export_close(&export);
    world_fini(&copy);
    world_fini(&leader);
}

static void an_import_survives_a_crash(void **state)
{
    struct world leader, copy;
    (void)state;
    start_leader(&leader);
    for (unsigned chunks = 0; chunks < 6; chunks++) {
        start_receiver(&copy, KR_HOLD_VALIDATION);
        struct store_export *export = open_export(&leader, KR_HOLD_VALIDATION);
        die_in_an_import(&copy, export, chunks);
        resume(&copy, export, chunks > 1); // a part ends when the next family begins
        store_export_close(&export);
        world_open(&copy);
        assert_is_copy(&leader, &copy);
        world_fini(&copy);
    }
    world_fini(&leader);
}

static void parts_of_another_position_are_dropped(void **state)
{
    struct world leader, copy;
    uint8_t family;
    struct bytes last_key;
    (void)state;
    start_leader(&leader);
    start_receiver(&copy, KR_HOLD_ALL);
    struct store_export *export = open_export(&leader, KR_HOLD_ALL);
    struct store_import *import = open_import(&copy, export);
    copy_chunks(export, import, 3);
    store_import_close(&import);
    store_export_close(&export);
    revoke_key(&leader, 3, 0);
    export = open_export(&leader, KR_HOLD_ALL);
    import = open_import(&copy, export);
    assert_false(store_import_resume(import, &copy.arena, &family, &last_key));
    copy_chunks(export, import, ANY);
    finish_import(&copy, &import);
    store_export_close(&export);
    world_open(&copy);
    assert_is_copy(&leader, &copy);
    world_fini(&copy);
    world_fini(&leader);
}

// --- what is wrong -------------------------------------------------------------------------------
static void a_chunk_that_is_wrong_is_refused_and_the_right_one_taken(void **state)
{
    struct world leader, copy;
    struct store_chunk chunk, wrong;
    (void)state;
    start_leader(&leader);
    start_receiver(&copy, KR_HOLD_VALIDATION);
    struct store_export *export = open_export(&leader, KR_HOLD_VALIDATION);
    struct store_import *import = open_import(&copy, export);
    while (store_export_next(export, &chunk, &leader.fault) == KR_ERR_OK) {
        wrong = chunk;
        wrong.checksum ^= 1;
        assert_int_equal(store_import_add(import, &wrong, &copy.fault), KR_ERR_CORRUPT);
        wrong = chunk;
        wrong.family = KR_INDEX_VAULT;
        assert_int_equal(store_import_add(import, &wrong, &copy.fault), KR_ERR_CORRUPT);
        wrong = chunk;
        wrong.rows.size--;
        wrong.checksum = hash_u64(wrong.rows, 0);
        assert_int_equal(store_import_add(import, &wrong, &copy.fault), KR_ERR_CORRUPT);
        assert_int_equal(store_import_add(import, &chunk, &copy.fault), KR_ERR_OK);
        assert_int_equal(store_import_add(import, &chunk, &copy.fault), KR_ERR_CORRUPT); // twice
    }
    finish_import(&copy, &import);
    store_export_close(&export);
    world_open(&copy);
    assert_is_copy(&leader, &copy);
    world_fini(&copy);
    world_fini(&leader);
}

static void a_snapshot_with_another_digest_changes_nothing(void **state)
{
    struct world leader, copy;
    struct store_chunk chunk;
    struct store_position position;
    struct store_import *import = NULL;
    (void)state;
    start_leader(&leader);
    world_start(&copy);
    put_keys(&copy, 3);
    store_close(&copy.store);
    struct store_export *export = open_export(&leader, KR_HOLD_ALL);
    store_export_position(export, &position);
    assert_int_equal(store_import_open(&copy.options, &position, &import, &copy.fault), KR_ERR_OK);
    for (bool is_changed = false; store_export_next(export, &chunk, &leader.fault) == KR_ERR_OK;) {
        if (chunk.family == KR_INDEX_KEYS && !is_changed) {
            ((uint8_t *)(uintptr_t)chunk.rows.data)[chunk.rows.size - 1] ^= 1;
            chunk.checksum = hash_u64(chunk.rows, 0);
            is_changed = true;
        }
        assert_int_equal(store_import_add(import, &chunk, &copy.fault), KR_ERR_OK);
    }
    assert_int_equal(store_import_finish(import, &copy.fault), KR_ERR_CORRUPT);
    store_import_close(&import);
    store_export_close(&export);
    assert_false(store_import_pending(&copy.options, &position));
    world_open(&copy);
    assert_int_equal(world_index(&copy), 3);
    world_fini(&copy);
    world_fini(&leader);
}

// --- the switch ----------------------------------------------------------------------------------
static void move(struct world *world, enum store_place from, bool is_from_place, bool is_to_old)
{
    char *place = store_place_path(world->directory, from, NULL);
    char *old = store_place_path(world->directory, KR_PLACE_OLD, NULL);
    const char *source = is_from_place ? place : world->directory;
    assert_int_equal(rename(source, is_to_old ? old : world->directory), 0);
    mem_free(old);
    mem_free(place);
}

// A node with a state of its own and a finished snapshot beside it.
static void start_ready(struct world *leader, struct world *copy)
{
    start_leader(leader);
    world_start(copy);
    put_keys(copy, 3);
    store_close(&copy->store);
    struct store_export *export = open_export(leader, KR_HOLD_ALL);
    struct store_import *import = open_import(copy, export);
    copy_chunks(export, import, ANY);
    finish_import(copy, &import);
    store_export_close(&export);
}

static void a_switch_cut_short_anywhere_leaves_the_new_state(void **state)
{
    (void)state;
    for (unsigned step = 0; step < 4; step++) {
        struct world leader, copy;
        start_ready(&leader, &copy);
        char *old = store_place_path(copy.directory, KR_PLACE_OLD, NULL);
        char current[512];
        snprintf(current, sizeof current, "%s/CURRENT", old);
        if (step > 0)
            move(&copy, KR_PLACE_NEXT, false, true); // directory → old
        if (step > 1)
            move(&copy, KR_PLACE_NEXT, true, false); // next → directory
        if (step > 2)
            assert_int_equal(unlink(current), 0); // old is half gone
        world_open(&copy);
        assert_is_copy(&leader, &copy);
        assert_int_not_equal(access(old, F_OK), 0);
        world_reopen(&copy);
        assert_is_copy(&leader, &copy);
        mem_free(old);
        world_fini(&copy);
        world_fini(&leader);
    }
}

static void a_database_that_was_not_finished_is_removed(void **state)
{
    struct world leader, copy;
    (void)state;
    start_ready(&leader, &copy);
    char *next = store_place_path(copy.directory, KR_PLACE_NEXT, NULL);
    char *mark = store_place_path(copy.directory, KR_PLACE_NEXT, "ready");
    assert_int_equal(unlink(mark), 0);
    world_open(&copy);
    assert_int_equal(world_index(&copy), 3);
    assert_int_not_equal(access(next, F_OK), 0);
    mem_free(mark);
    mem_free(next);
    world_fini(&copy);
    world_fini(&leader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_core_node_gets_everything),
        cmocka_unit_test(a_follower_gets_its_part),
        cmocka_unit_test(a_followers_snapshot_has_no_row_of_the_core),
        cmocka_unit_test(an_export_stays_as_it_was_while_the_store_goes_on),
        cmocka_unit_test(an_import_that_was_cut_goes_on_behind_its_last_row),
        cmocka_unit_test(an_import_that_had_no_room_goes_on_when_there_is_some),
        cmocka_unit_test(an_import_leaves_the_reserve_alone),
        cmocka_unit_test(an_import_that_the_state_has_passed_is_removed_at_the_start),
        cmocka_unit_test(an_import_survives_a_crash),
        cmocka_unit_test(parts_of_another_position_are_dropped),
        cmocka_unit_test(a_chunk_that_is_wrong_is_refused_and_the_right_one_taken),
        cmocka_unit_test(a_snapshot_with_another_digest_changes_nothing),
        cmocka_unit_test(a_switch_cut_short_anywhere_leaves_the_new_state),
        cmocka_unit_test(a_database_that_was_not_finished_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
