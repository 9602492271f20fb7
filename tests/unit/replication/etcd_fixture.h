// SPDX-License-Identifier: Apache-2.0
// What the etcd engine's tests share: two nodes over one etcd in memory, time that the test moves,
// and appends whose entries say their place.
#pragma once

#include "fake_etcd.h"

#include "core/base/rand.h"
#include "replication/engine_etcd.h"

enum { KR_STEP_MS = 10, KR_ENTRIES = 300 };

// A node: the engine, and a state that is nothing but a position.
struct peer {
    struct engine *engine;
    uint64_t index, epoch;
    struct hash128 chain;
    enum engine_role role;
    bool is_closed;
    enum engine_fitness fitness;
    char leader[64], refusal[KR_FAULT_TEXT_MAX];
    char done[1024]; // what the appends' callbacks said
};

struct etcd_fixture {
    struct fake_etcd fake;
    struct peer a, b;
    struct store_row rows[KR_ENTRIES];
    char entries[KR_ENTRIES][32];
};

static inline void tell_position(void *ctx, uint64_t *index, uint64_t *epoch, struct hash128 *chain)
{
    const struct peer *peer = ctx;
    *index = peer->index;
    *epoch = peer->epoch;
    *chain = peer->chain;
}

static inline void on_refused(void *ctx, const struct fault *fault)
{
    snprintf(((struct peer *)ctx)->refusal, KR_FAULT_TEXT_MAX, "%s", fault->text);
}

static inline enum engine_fitness tell_fitness(void *ctx, struct fault *why)
{
    const struct peer *peer = ctx;
    if (peer->fitness != KR_ENGINE_FIT)
        fault_set(why, KR_ERR_DISK_FULL, "as the test says");
    return peer->fitness;
}

static inline void on_role(void *ctx, enum engine_role role, uint64_t epoch)
{
    struct peer *peer = ctx;
    peer->role = role;
    if (role == KR_ENGINE_LEADER)
        peer->epoch = epoch;
}

static inline void on_leader(void *ctx, const char *member_id, const char *peer_address)
{
    struct peer *peer = ctx;
    snprintf(peer->leader, sizeof(peer->leader), "%s%s%s", member_id, member_id[0] ? " " : "",
             peer_address);
}

static inline void on_closed(void *ctx)
{
    ((struct peer *)ctx)->is_closed = true;
}

static inline void start(struct etcd_fixture *fixture, struct peer *peer, const char *name)
{
    const struct engine_etcd_options options = {.port = &fixture->fake.port,
                                                .cluster_id = "clst_test",
                                                .member_id = name,
                                                .peer_address = "host:7402",
                                                .leader_ttl_ms = 2000,
                                                .quota_bytes = 1000000,
                                                .position = tell_position,
                                                .refused = on_refused,
                                                .fitness = tell_fitness,
                                                .ctx = peer};
    peer->engine = engine_etcd_new(&options);
    peer->is_closed = false;
    peer->engine->events =
        (struct engine_events){.ctx = peer, .role = on_role, .leader = on_leader};
    peer->engine->verbs->campaign(peer->engine);
}

static inline void turn(struct peer *peer)
{
    if (peer->engine != NULL && !peer->is_closed)
        while (engine_turn(peer->engine) && !peer->is_closed)
            continue;
}

static inline void run(struct etcd_fixture *fixture, uint64_t ms)
{
    for (uint64_t end_ms = fixture->fake.now_ms + ms; fixture->fake.now_ms < end_ms;) {
        fixture->fake.now_ms += KR_STEP_MS;
        fake_turn(&fixture->fake);
        turn(&fixture->a);
        turn(&fixture->b);
    }
}

static inline void stop(struct etcd_fixture *fixture, struct peer *peer)
{
    if (peer->engine == NULL)
        return;
    peer->engine->verbs->close(peer->engine, on_closed, peer);
    assert_false(peer->is_closed);
    for (unsigned i = 0; i < 2000 && !peer->is_closed; i++)
        run(fixture, KR_STEP_MS);
    assert_true(peer->is_closed);
    peer->engine = NULL;
}

static inline int setup(void **state)
{
    struct etcd_fixture *fixture = calloc(1, sizeof(*fixture));
    rand_init();
    fake_init(&fixture->fake);
    *state = fixture;
    return 0;
}

static inline int teardown(void **state)
{
    struct etcd_fixture *fixture = *state;
    fixture->fake.has_majority = true;
    stop(fixture, &fixture->a);
    stop(fixture, &fixture->b);
    fake_fini(&fixture->fake);
    free(fixture);
    return 0;
}

static inline void lead(struct etcd_fixture *fixture)
{
    start(fixture, &fixture->a, "node-a");
    run(fixture, 500);
    assert_int_equal(fixture->a.role, KR_ENGINE_LEADER);
}

// --- appends -------------------------------------------------------------------------------------

static inline void on_done(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct peer *peer = ctx;
    size_t used = strlen(peer->done);
    assert_true(err == KR_ERR_OK || fault->text[0] != '\0');
    snprintf(peer->done + used, sizeof(peer->done) - used, "%s;", err_text(err));
}

static inline enum kr_err append(struct etcd_fixture *fixture, struct peer *peer, uint64_t first,
                                 size_t count)
{
    for (uint64_t index = first; index < first + count; index++) {
        char *entry = fixture->entries[index];
        int size = snprintf(entry, sizeof(fixture->entries[0]), "entry %llu of %llu",
                            (unsigned long long)index, (unsigned long long)peer->epoch);
        fixture->rows[index] = (struct store_row){index, bytes_of(entry, (size_t)size)};
    }
    const struct engine_batch batch = {&fixture->rows[first], count, peer->epoch};
    return peer->engine->verbs->append(peer->engine, &batch, on_done, peer);
}

// What the owner does once an append is committed.
static inline void apply(struct etcd_fixture *fixture, struct peer *peer, uint64_t last)
{
    while (peer->index < last) {
        peer->index++;
        peer->chain = hash_chain(peer->chain, fixture->rows[peer->index].entry);
    }
}

static inline void append_and_apply(struct etcd_fixture *fixture, uint64_t first, size_t count)
{
    fixture->a.done[0] = '\0';
    assert_int_equal(append(fixture, &fixture->a, first, count), KR_ERR_OK);
    run(fixture, 100);
    assert_string_equal(fixture->a.done, "ok;");
    apply(fixture, &fixture->a, first + count - 1);
}

// Reads until the log ends, waiting where it is fetched; gives how many entries came.
static inline size_t read_all(struct etcd_fixture *fixture, struct peer *peer)
{
    size_t count = 0;
    struct arena arena;
    struct bytes entry;
    struct fault fault;
    enum kr_err err = KR_ERR_OK;
    arena_init(&arena);
    while (err == KR_ERR_OK || err == KR_ERR_BUSY) {
        err = peer->engine->verbs->read(peer->engine, peer->index + 1, &arena, &entry, &fault);
        if (err == KR_ERR_BUSY)
            run(fixture, KR_STEP_MS);
        if (err != KR_ERR_OK)
            continue;
        peer->index++;
        peer->chain = hash_chain(peer->chain, entry);
        count++;
    }
    assert_int_equal(err, KR_ERR_NOT_FOUND);
    arena_fini(&arena);
    return count;
}

static const char log_1[] = "/clst_test/log/0000000000000001";

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
