// SPDX-License-Identifier: Apache-2.0
// The stream: nodes that hold all and nodes that hold a part stay the same in what they hold, for
// random entries, through a relay, across purges and reopening; and what does not fit is refused.
//
// KEYREEVE_TEST_SEED repeats a run; the seed is printed.
#include "store_fixture.h"

#include <inttypes.h>

#include "core/store/index.h"
#include "core/store/rows.h"

enum { RUNS = 3, ENTRIES = 200, BUCKETS = 3, CONSUMERS = 6, KEYS = 14, ROWS_MAX = 8 };
#define KR_DAY_MS INT64_C(86400000)

enum { LEADER, STANDBY, FOLLOWER, CHILD, NODES };

static struct {
    struct world nodes[NODES];
    uint64_t random;
    unsigned applied, refused, empty;
} run;

// SplitMix64 (Steele, Lea, Flood 2014).
static uint64_t next_random(void)
{
    uint64_t z = run.random += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(unsigned limit)
{
    return (unsigned)(next_random() % limit);
}

static unsigned one_of(unsigned count)
{
    return 1 + below(count);
}

// --- random entries ------------------------------------------------------------------------------
// Mostly the stored version, at times a wrong one.
static uint64_t expected(bool is_there, uint64_t version)
{
    return below(8) == 0 ? below(4) : is_there ? version : 0;
}

static void add_bucket_put(struct world *world, struct store_view *view, struct command *command)
{
    struct bucket stored = {.version = 0};
    unsigned number = one_of(BUCKETS);
    bool is_there = store_get_bucket(view, id_of(world, "bckt", number), &world->arena, &stored);
    add_bucket(world, command, number, arena_printf(&world->arena, "bucket-%u", number));
    struct command_bucket_put *put = &command->ops[command->op_count - 1].as.bucket_put;
    put->expected_version = expected(is_there, stored.version);
    put->record.environment = (enum environment)below(3);
}

static void add_consumer_put(struct world *world, struct store_view *view, struct command *command)
{
    struct consumer stored = {.version = 0};
    unsigned number = one_of(CONSUMERS);
    bool is_there = store_get_consumer(view, id_of(world, "csmr", number), &world->arena, &stored);
    add_consumer(world, command, number % BUCKETS + 1, number);
    struct command_consumer_put *put = &command->ops[command->op_count - 1].as.consumer_put;
    put->expected_version = expected(is_there, stored.version);
    put->is_if_absent = below(4) == 0;
}

static void add_key_put(struct world *world, struct store_view *view, struct command *command)
{
    struct key stored = {.version = 0};
    uint8_t digest[KR_DIGEST_SIZE];
    unsigned number = one_of(KEYS), consumer = number % CONSUMERS + 1;
    digest_of(number, digest);
    bool is_there = store_get_key(view, digest, &world->arena, &stored);
    struct key *key = add_key(world, command, consumer % BUCKETS + 1, consumer, number);
    key->is_sealed = below(2) == 0;
    key->is_enabled = below(8) > 0;
    command->ops[command->op_count - 1].as.key_put.expected_version =
        expected(is_there, stored.version);
    if (key->is_sealed)
        command_add(command, KR_OP_VAULT_PUT, &world->arena)->as.vault_put =
            (struct sealed){.key_id = key->id, .vault_version = 1, .box = bytes_text("box")};
}

static int64_t some_purge_ms(const struct world *world)
{
    return world->now_ms + (int64_t)below(20) * KR_DAY_MS;
}

static void add_revocation(struct world *world, struct command *command)
{
    static const enum command_kind kinds[] = {KR_OP_CONSUMER_REVOKE, KR_OP_CONSUMER_DELETE,
                                              KR_OP_CONSUMER_DELETE, KR_OP_BUCKET_REVOKE,
                                              KR_OP_BUCKET_DELETE};
    unsigned kind = below(20);
    if (kind >= 5) {
        struct command_op *op = command_add(command, KR_OP_KEY_REVOKE, &world->arena);
        digest_of(one_of(KEYS), op->as.key_revoke.digest);
        op->as.key_revoke.purge_ms = below(3) ? some_purge_ms(world) : 0;
        return;
    }
    const char *id =
        kind < 3 ? id_of(world, "csmr", one_of(CONSUMERS)) : id_of(world, "bckt", one_of(BUCKETS));
    command_add(command, kinds[kind], &world->arena)->as.target =
        (struct command_target){.id = id, .purge_ms = some_purge_ms(world)};
}

static void add_core(struct world *world, struct command *command)
{
    unsigned kind = below(4);
    const char *consumer_id = id_of(world, "csmr", one_of(CONSUMERS));
    const char *id = id_of(world, "eusr", one_of(3));
    const char *node = arena_printf(&world->arena, "node-%u", one_of(3));
    if (kind == 0)
        command_add(command, KR_OP_MANAGER_DELETE, &world->arena)->as.manager_delete =
            (struct command_manager_delete){consumer_id, id};
    else if (kind < 3)
        command_add(command, KR_OP_MANAGER_PUT, &world->arena)->as.manager_put =
            (struct manager){.id = id, .consumer_id = consumer_id, .email = "a@example.org"};
    else
        command_add(command, KR_OP_MEMBER_PUT, &world->arena)->as.member_put =
            (struct member){.id = node, .region = "eu", .added_ms = world->now_ms};
}

static void add_answer(struct world *world, struct command *command)
{
    struct idempotency *answer = arena_zalloc(&world->arena, sizeof *answer);
    answer->scope[0] = (uint8_t)below(12);
    answer->answer = bytes_text("answer");
    answer->expires_ms = world->now_ms + KR_DAY_MS;
    command->idempotency = answer;
}

static void build(struct world *world, struct command *command)
{
    struct store_view *view = store_view_open(world->store);
    *command = (struct command){.actor = "system", .request_id = "request"};
    for (unsigned ops = one_of(3); ops > 0; ops--) {
        unsigned kind = below(20);
        if (kind < 2)
            add_bucket_put(world, view, command);
        else if (kind < 6)
            add_consumer_put(world, view, command);
        else if (kind < 12)
            add_key_put(world, view, command);
        else if (kind < 16)
            add_revocation(world, command);
        else
            add_core(world, command);
    }
    if (below(8) == 0) {
        command->op_count = 0;
        command_add(command, KR_OP_PURGE, &world->arena)->as.purge =
            (struct command_purge){world->now_ms, below(6), world->now_ms - 2 * KR_DAY_MS};
    }
    if (below(2) == 0)
        add_audit(world, command, "some.action");
    if (below(2) == 0)
        add_answer(world, command);
    store_view_close(&view);
}

static void lead(void)
{
    struct world *leader = &run.nodes[LEADER];
    struct command command;
    leader->now_ms += (int64_t)below(3) * KR_DAY_MS / 2;
    leader->epoch += below(20) == 0;
    build(leader, &command);
    if (world_apply(leader, &command) == KR_APPLY_OK)
        run.applied++;
    else
        run.refused++;
}

// --- the stream ----------------------------------------------------------------------------------
// At most `limit` rows in one apply; returns how many there were.
static unsigned pull(struct world *from, struct world *to, unsigned limit)
{
    struct store_stream_row rows[ROWS_MAX];
    struct arena arena;
    unsigned count = 0;
    arena_init(&arena);
    for (uint64_t next = world_index(to) + 1; count < limit && next <= world_index(from); next++) {
        assert_int_equal(store_stream_read(from->store, next, to->options.holding, &arena,
                                           &rows[count], &from->fault),
                         KR_ERR_OK);
        run.empty += rows[count].entry.size == 0;
        count++;
    }
    if (store_stream_apply(to->store, rows, count, &to->fault) != KR_ERR_OK)
        fail_msg("stream: %s", to->fault.text);
    arena_fini(&arena);
    return count;
}

static void assert_same_answers(const struct world *a, const struct world *b)
{
    for (unsigned i = 1; i <= KEYS; i++) {
        struct store_found x = find_key(a, i), y = find_key(b, i);
        assert_int_equal(x.lookup, y.lookup);
        if (x.lookup != KR_STORE_FOUND)
            continue;
        assert_memory_equal(x.record->digest, y.record->digest, KR_HOT_DIGEST_BYTES);
        assert_int_equal(x.record->flags, y.record->flags);
        assert_int_equal(hot_record_u48(x.record->revision), hot_record_u48(y.record->revision));
        assert_int_equal(x.subject->revoked_before, y.subject->revoked_before);
        assert_int_equal(x.bucket->revoked_before, y.bucket->revoked_before);
        assert_int_equal(x.bucket->environment, y.bucket->environment);
        assert_string_equal(x.bucket->id, y.bucket->id);
    }
}

static void assert_holds_a_part(const struct world *whole, const struct world *part)
{
    struct store_position x, y;
    store_position(whole->store, &x);
    store_position(part->store, &y);
    assert_int_equal(x.index, y.index);
    assert_int_equal(x.epoch, y.epoch);
    assert_true(hash_equal(x.chain, y.chain));
    for (size_t i = 0; i < KR_CLASS_CORE; i++)
        assert_true(hash_equal(x.digest[i], y.digest[i]));
    assert_true(hash_equal(y.digest[KR_CLASS_CORE], (struct hash128){0}));
    assert_same_answers(whole, part);
}

// Every row of the families of core nodes, in a follower's directory: there are none.
static void assert_has_no_core_rows(struct world *world)
{
    static const enum index_family families[] = {
        KR_INDEX_VAULT,  KR_INDEX_USERS,       KR_INDEX_AUDIT,   KR_INDEX_RECEIPTS,
        KR_INDEX_COUNTS, KR_INDEX_IDEMPOTENCY, KR_INDEX_SESSIONS};
    struct index_options options = {.directory = world->directory, .block_cache_bytes = 1u << 20};
    struct index *index = NULL;
    struct bytes key, value;
    store_close(&world->store);
    assert_int_equal(index_open(&options, &index, &world->fault), KR_ERR_OK);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        struct index_cursor *cursor =
            index_cursor_open(index, &(struct index_range){.family = families[i]});
        index_cursor_first(cursor);
        assert_false(index_cursor_row(cursor, &key, &value));
        index_cursor_close(&cursor);
    }
    index_close(&index);
    world_open(world);
    world_load(world);
}

static void start_node(struct world *world, enum store_holding holding)
{
    world_init(world);
    world->options.holding = holding;
    world_open(world);
    world_load(world);
}

static void start(uint64_t seed)
{
    run.random = seed;
    for (unsigned i = 0; i < NODES; i++)
        start_node(&run.nodes[i], i < FOLLOWER ? KR_HOLD_ALL : KR_HOLD_VALIDATION);
}

static void finish(void)
{
    for (unsigned i = 0; i < NODES; i++)
        world_fini(&run.nodes[i]);
}

static void catch_up(void)
{
    while (pull(&run.nodes[LEADER], &run.nodes[STANDBY], 1 + below(ROWS_MAX)) > 0)
        continue;
    while (pull(&run.nodes[STANDBY], &run.nodes[FOLLOWER], 1 + below(ROWS_MAX)) > 0)
        assert_true(world_index(&run.nodes[FOLLOWER]) <= world_index(&run.nodes[LEADER]));
    while (pull(&run.nodes[FOLLOWER], &run.nodes[CHILD], 1 + below(ROWS_MAX)) > 0)
        continue;
    assert_same_position(run.nodes[LEADER].store, run.nodes[STANDBY].store);
    assert_holds_a_part(&run.nodes[LEADER], &run.nodes[FOLLOWER]);
    assert_holds_a_part(&run.nodes[LEADER], &run.nodes[CHILD]);
}

static void random_entries_leave_every_node_with_the_same(void **state)
{
    (void)state;
    const char *given = getenv("KEYREEVE_TEST_SEED");
    rand_init();
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : rand_u64();
    print_message("KEYREEVE_TEST_SEED=0x%" PRIx64 "\n", seed);
    run.applied = run.refused = run.empty = 0;
    for (uint64_t i = 0; i < RUNS; i++) {
        start(seed + i);
        for (unsigned entry = 0; entry < ENTRIES; entry++) {
            lead();
            if (below(3) == 0)
                pull(&run.nodes[LEADER], &run.nodes[FOLLOWER], ROWS_MAX);
            if (below(6) == 0)
                catch_up();
            if (below(60) == 0) {
                struct world *node = &run.nodes[below(NODES)];
                world_reopen(node);
                world_load(node);
            }
        }
        catch_up();
        assert_has_no_core_rows(&run.nodes[FOLLOWER]);
        assert_has_no_core_rows(&run.nodes[CHILD]);
        catch_up();
        assert_int_equal(store_verify_log(run.nodes[CHILD].store, NULL), KR_ERR_OK);
        finish();
    }
    print_message("%u entries applied, %u refused, %u empty rows\n", run.applied, run.refused,
                  run.empty);
    assert_true(run.applied > 80 && run.refused > 80 && run.empty > 80);
}

// One frame may hold a thousand entries, each of them a purge of a thousand keys.
static void rows_that_change_very_much_are_written_in_parts(void **state)
{
    enum { MANY = 9000, PUTS = 3, LIMIT = 1000 };
    (void)state;
    start(1);
    struct world *leader = &run.nodes[LEADER], *follower = &run.nodes[FOLLOWER];
    put_bucket(leader, 1, "production");
    put_consumer(leader, 1, 1);
    for (unsigned i = 0; i < PUTS; i++) {
        struct command command = {0};
        for (unsigned j = 0; j < MANY; j++)
            add_key(leader, &command, 1, 1, i * MANY + j);
        assert_int_equal(world_apply(leader, &command), KR_APPLY_OK);
    }
    while (pull(leader, follower, ROWS_MAX) > 0)
        continue;
    struct command removal = {0};
    command_add(&removal, KR_OP_CONSUMER_DELETE, &leader->arena)->as.target =
        (struct command_target){.id = id_of(leader, "csmr", 1), .purge_ms = leader->now_ms};
    assert_int_equal(world_apply(leader, &removal), KR_APPLY_OK);
    for (unsigned i = 0; i <= PUTS * MANY / LIMIT; i++)
        purge(leader, leader->now_ms, LIMIT);
    while (pull(leader, follower, ROWS_MAX) > 0)
        continue;
    assert_holds_a_part(leader, follower);
    for (unsigned i = 0; i < PUTS * MANY; i += MANY / 3)
        assert_int_equal(find_key(follower, i).lookup, KR_STORE_ABSENT);
    finish();
}

// --- what a row holds ----------------------------------------------------------------------------
static struct store_stream_row read_row(struct world *world, uint64_t index,
                                        enum store_holding child)
{
    struct store_stream_row row;
    assert_int_equal(
        store_stream_read(world->store, index, child, &world->arena, &row, &world->fault),
        KR_ERR_OK);
    return row;
}

static void a_followers_rows_hold_what_it_needs_alone(void **state)
{
    struct world leader;
    struct command command = {.actor = "some-token"};
    struct store_stream_row row;
    (void)state;
    world_start(&leader);
    put_keys(&leader, 1);
    struct command_op *op = command_add(&command, KR_OP_VAULT_PUT, &leader.arena);
    op->as.vault_put = (struct sealed){id_of(&leader, "key", 1), 1, bytes_text("sealed-box")};
    add_audit(&leader, &command, "key.seal");
    assert_int_equal(world_apply(&leader, &command), KR_APPLY_OK); // nothing for a follower
    assert_int_equal(world_apply(&leader, &command), KR_APPLY_OK);
    command = (struct command){0};
    add_bucket(&leader, &command, 1, "production");
    assert_int_equal(world_apply(&leader, &command), KR_APPLY_EXISTS); // no effect
    assert_true(read_row(&leader, 3, KR_HOLD_VALIDATION).entry.size > 0);
    assert_int_equal(read_row(&leader, 4, KR_HOLD_VALIDATION).entry.size, 0);
    assert_int_equal(read_row(&leader, 6, KR_HOLD_VALIDATION).entry.size, 0);
    row = read_row(&leader, 6, KR_HOLD_ALL);
    assert_true(row.entry.size > 0);
    assert_int_equal(row.epoch, 1);
    assert_true(hash_equal(read_row(&leader, 2, KR_HOLD_VALIDATION).chain,
                           read_row(&leader, 2, KR_HOLD_ALL).chain));
    assert_int_equal(store_stream_read(leader.store, 7, KR_HOLD_ALL, &leader.arena, &row, NULL),
                     KR_ERR_NOT_FOUND);
    assert_int_equal(store_stream_read(leader.store, 0, KR_HOLD_ALL, &leader.arena, &row, NULL),
                     KR_ERR_NOT_FOUND);
    world_fini(&leader);
}

static void a_follower_feeds_no_core_node(void **state)
{
    struct store_stream_row row;
    (void)state;
    start(1);
    put_keys(&run.nodes[LEADER], 2);
    pull(&run.nodes[LEADER], &run.nodes[FOLLOWER], 3);
    struct world *follower = &run.nodes[FOLLOWER];
    assert_int_equal(store_stream_read(follower->store, 1, KR_HOLD_ALL, &follower->arena, &row,
                                       &follower->fault),
                     KR_ERR_UNSUPPORTED);
    finish();
}

// --- what does not fit ---------------------------------------------------------------------------
static enum kr_err try_row(struct world *world, struct store_stream_row row)
{
    uint64_t before = world_index(world);
    enum kr_err err = store_stream_apply(world->store, &row, 1, &world->fault);
    if (err != KR_ERR_OK)
        assert_int_equal(world_index(world), before);
    return err;
}

static void another_history_is_a_conflict_and_writes_nothing(void **state)
{
    (void)state;
    start(2);
    struct world *leader = &run.nodes[LEADER], *standby = &run.nodes[STANDBY];
    struct world *follower = &run.nodes[FOLLOWER];
    leader->epoch = 3;
    put_keys(leader, 2);
    pull(leader, standby, 2);
    pull(leader, follower, 2);
    struct store_stream_row row = read_row(leader, 3, KR_HOLD_ALL);
    row.chain.low ^= 1;
    assert_int_equal(try_row(standby, row), KR_ERR_CONFLICT);
    row = read_row(leader, 3, KR_HOLD_ALL);
    row.epoch++;
    assert_int_equal(try_row(standby, row), KR_ERR_CONFLICT);
    row = read_row(leader, 3, KR_HOLD_VALIDATION);
    row.epoch = 4;
    assert_int_equal(try_row(follower, row), KR_ERR_CONFLICT);
    row = (struct store_stream_row){.index = 3, .epoch = 2};
    assert_int_equal(try_row(follower, row), KR_ERR_CONFLICT); // an older leadership
    assert_int_equal(try_row(standby, read_row(leader, 3, KR_HOLD_ALL)), KR_ERR_OK);
    assert_int_equal(try_row(follower, read_row(leader, 3, KR_HOLD_VALIDATION)), KR_ERR_OK);
    assert_same_position(leader->store, standby->store);
    assert_holds_a_part(leader, follower);
    finish();
}

static void rows_out_of_order_or_without_their_effect_are_damage(void **state)
{
    (void)state;
    start(3);
    struct world *leader = &run.nodes[LEADER], *follower = &run.nodes[FOLLOWER];
    put_keys(leader, 2);
    put_key(leader, 1, 1, 7);
    assert_int_equal(try_row(follower, read_row(leader, 2, KR_HOLD_VALIDATION)), KR_ERR_CORRUPT);
    pull(leader, follower, 1);
    assert_int_equal(try_row(follower, read_row(leader, 1, KR_HOLD_VALIDATION)), KR_ERR_CORRUPT);
    // The consumer is not created here, so its keys cannot be.
    struct store_stream_row row = {
        .index = 2, .epoch = 1, .chain = read_row(leader, 2, KR_HOLD_ALL).chain};
    assert_int_equal(try_row(follower, row), KR_ERR_OK);
    assert_int_equal(try_row(follower, read_row(leader, 3, KR_HOLD_VALIDATION)), KR_ERR_CORRUPT);
    assert_non_null(strstr(follower->fault.text, "entry 3"));
    row = read_row(leader, 3, KR_HOLD_VALIDATION);
    row.entry.size--;
    assert_int_equal(try_row(follower, row), KR_ERR_CORRUPT);
    finish();
}

// A node of an older version: it has whatever that can read, and not a row more.
static void an_entry_of_a_later_version_ends_what_is_applied(void **state)
{
    static const uint8_t unknown_op[] = {0x3a, 0x03, 0x92, 0x01, 0x00};
    (void)state;
    start(5);
    struct world *leader = &run.nodes[LEADER];
    put_keys(leader, 2);
    put_key(leader, 1, 1, 7);
    for (unsigned i = STANDBY; i <= FOLLOWER; i++) {
        struct world *node = &run.nodes[i];
        enum store_holding holding = i == STANDBY ? KR_HOLD_ALL : KR_HOLD_VALIDATION;
        struct store_stream_row rows[4];
        for (uint64_t at = 0; at < 4; at++)
            rows[at] = read_row(leader, at + 1, holding);
        struct bytes entry = rows[2].entry;
        uint8_t *later = arena_alloc(&leader->arena, entry.size + sizeof unknown_op);
        memcpy(later, entry.data, entry.size);
        memcpy(later + entry.size, unknown_op, sizeof unknown_op);
        rows[2].entry = bytes_of(later, entry.size + sizeof unknown_op);
        rows[2].chain = hash_chain(rows[1].chain, rows[2].entry);
        assert_int_equal(store_stream_apply(node->store, rows, 4, &node->fault), KR_ERR_VERSION);
        assert_non_null(strstr(node->fault.text, "entry 3 cannot be read"));
        assert_int_equal(world_index(node), 2);
        assert_int_equal(store_stream_apply(node->store, rows + 2, 1, &node->fault),
                         KR_ERR_VERSION);
        assert_int_equal(world_index(node), 2);
        rows[2] = read_row(leader, 3, holding);
        assert_int_equal(store_stream_apply(node->store, rows + 2, 2, &node->fault), KR_ERR_OK);
        assert_int_equal(find_key(node, 7).lookup, KR_STORE_FOUND);
    }
    finish();
}

static void a_followers_log_is_trimmed_by_the_entries_times(void **state)
{
    (void)state;
    start(4);
    struct world *leader = &run.nodes[LEADER], *follower = &run.nodes[FOLLOWER];
    struct command command = {0};
    put_keys(leader, 2);
    leader->now_ms += KR_DAY_MS;
    add_audit(leader, &command, "some.action");
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(world_apply(leader, &command), KR_APPLY_OK); // rows 4 to 7: empty
    leader->now_ms += KR_DAY_MS;
    put_key(leader, 1, 1, 9); // row 8
    store_close(&follower->store);
    follower->options.log_retention_ms = KR_DAY_MS;
    world_open(follower);
    pull(leader, follower, ROWS_MAX);
    while (store_maintain(follower->store, KR_FIXTURE_NOW_MS + KR_DAY_MS))
        continue;
    assert_int_equal(store_log_first(follower->store), 1);
    while (store_maintain(follower->store, KR_FIXTURE_NOW_MS + KR_DAY_MS + 1))
        continue;
    assert_int_equal(store_log_first(follower->store), 8);
    world_reopen(follower);
    assert_int_equal(store_log_first(follower->store), 8);
    finish();
}

// A node's directory as a power loss may leave it: the write-ahead log damaged halfway.
static enum kr_err open_damaged(const struct world *world, uint64_t *index)
{
    char path[512];
    struct world copy = {.options = world->options, .now_ms = world->now_ms};
    make_directory(copy.directory);
    copy_directory(world->directory, copy.directory);
    find_file(copy.directory, "", ".log", path);
    flip_byte(path, file_size(path) / 2);
    copy.options.directory = copy.directory;
    enum kr_err err = world_try_open(&copy);
    if (err == KR_ERR_OK) {
        *index = store_applied_index(copy.store);
        store_close(&copy.store);
    }
    remove_directory(copy.directory);
    return err;
}

// A core node's commits are on the disk, so a hole among them is damage; a follower's lie at its
// upstream, and it goes on from what is whole.
static void a_hole_in_the_write_ahead_log_costs_a_follower_its_tail(void **state)
{
    (void)state;
    start(5);
    struct world *leader = &run.nodes[LEADER], *follower = &run.nodes[FOLLOWER];
    uint64_t index = 0;
    put_keys(leader, 2);
    for (unsigned i = 1; i <= 20; i++)
        put_key(leader, 1, 1, 100 + i);
    while (pull(leader, follower, 1) > 0)
        continue;
    assert_int_equal(open_damaged(leader, &index), KR_ERR_CORRUPT);
    assert_int_equal(open_damaged(follower, &index), KR_ERR_OK);
    assert_in_range(index, 1, world_index(leader) - 1);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_entries_leave_every_node_with_the_same),
        cmocka_unit_test(rows_that_change_very_much_are_written_in_parts),
        cmocka_unit_test(a_followers_rows_hold_what_it_needs_alone),
        cmocka_unit_test(a_follower_feeds_no_core_node),
        cmocka_unit_test(another_history_is_a_conflict_and_writes_nothing),
        cmocka_unit_test(rows_out_of_order_or_without_their_effect_are_damage),
        cmocka_unit_test(an_entry_of_a_later_version_ends_what_is_applied),
        cmocka_unit_test(a_followers_log_is_trimmed_by_the_entries_times),
        cmocka_unit_test(a_hole_in_the_write_ahead_log_costs_a_follower_its_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
