// SPDX-License-Identifier: Apache-2.0
// Readers beside the writer: what the contract of hot.c promises, while the table grows, shrinks,
// fills with tombstones, and memory is used again. Meant to run under ThreadSanitizer too.
//
// Key numbers: those below STABLE are there from the start and change, never go; those below
// REVOCABLE also turn revoked once, at any time; the others come, which makes the table grow, and
// go.
#include "core/store/hot.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/core/store/hot_sample.h"

enum {
    READERS = 2,
    STABLE = 1500,
    REVOCABLE = STABLE + 1500,
    SUBJECTS = 64,
    ROUNDS = 10,
    CHANGES = 28000,
    WAVE = 20000, // that many come, then they go
    KEYS = REVOCABLE + CHANGES,
    GROUP = 40
};

struct run {
    struct hot *hot;
    uint64_t seed;
    pthread_barrier_t start;
    _Atomic bool is_over;
    _Atomic uint64_t newest; // keys that come and go are about here
};

struct reader {
    struct run *run;
    pthread_t thread;
    uint64_t random;
    uint64_t revisions[REVOCABLE]; // the latest seen of each
    bool revoked[REVOCABLE];
    uint64_t found, rounds;
    const char *failure;
};

static void require(struct reader *reader, bool holds, const char *what)
{
    if (!holds && reader->failure == NULL)
        reader->failure = what;
}

// --- what a reader checks ------------------------------------------------------------------------
static void check_extra(struct reader *reader, const struct hot_record *record)
{
    const struct hot_extra *extra = hot_record_extra(reader->run->hot, record);
    if ((record->flags & KR_HOT_EXTRA) == 0) {
        require(reader, extra == NULL, "an extra without its flag");
        return;
    }
    uint64_t revision = hot_record_u48(record->revision);
    require(reader, extra->not_before_ms == (int64_t)revision, "an extra of another revision");
    require(reader, strcmp(extra->scopes.items[0], "scope") == 0, "a scope that has changed");
}

static void check_subject(struct reader *reader, const struct hot_record *record)
{
    const struct hot *hot = reader->run->hot;
    struct hot_holder holder = hot_record_holder(hot, record);
    const struct hot_subject *subject = holder.subject;
    require(reader, subject != NULL, "no subject");
    if (subject == NULL)
        return;
    char data[32];
    int size = snprintf(data, sizeof(data), "{\"r\":%llu}", (unsigned long long)subject->revision);
    require(reader, subject->data_size == (size_t)size, "a subject of another revision");
    require(reader, memcmp(subject->texts + subject->data_at, data, (size_t)size) == 0,
            "a subject of another revision");
    require(reader, holder.revoked_before >= subject->revoked_before, "a revocation forgotten");
    const struct hot_bucket *bucket = hot_bucket_at(hot, holder.bucket);
    require(reader, bucket != NULL && bucket->revoked_before == bucket->revision,
            "a bucket of two revisions");
}

static void check_history(struct reader *reader, uint64_t number, const struct hot_record *record)
{
    uint64_t revision = hot_record_u48(record->revision);
    require(reader, revision >= reader->revisions[number], "an older record after a newer one");
    reader->revisions[number] = revision;
    bool is_revoked = (record->flags & KR_HOT_REVOKED) != 0;
    require(reader, is_revoked || !reader->revoked[number], "revoked, then not");
    reader->revoked[number] = is_revoked;
}

static void check(struct reader *reader, uint64_t number, const uint8_t *digest,
                  const struct hot_record *record)
{
    require(reader, record != NULL || number >= REVOCABLE, "a key that is there was not found");
    if (record == NULL)
        return;
    reader->found++;
    require(reader, sample_is_sound(record, digest), "a record that is not one");
    check_extra(reader, record);
    check_subject(reader, record);
    if (number < REVOCABLE)
        check_history(reader, number, record);
    hot_note_used(record, (uint32_t)reader->rounds);
}

static void read_group(struct reader *reader)
{
    uint64_t numbers[GROUP];
    struct bytes keys[GROUP];
    uint8_t digests[GROUP][KR_DIGEST_SIZE];
    const struct hot_record *records[GROUP];
    uint64_t newest = atomic_load_explicit(&reader->run->newest, memory_order_relaxed);
    for (size_t i = 0; i < GROUP; i++) {
        numbers[i] = sample_below(&reader->random, REVOCABLE);
        if (i % 2 == 1)
            numbers[i] =
                newest - sample_below(&reader->random, 2 * WAVE) % (newest - REVOCABLE + 1);
        keys[i] = sample_key(&numbers[i]);
    }
    hot_find_many(reader->run->hot, keys, GROUP, digests, records);
    for (size_t i = 0; i < GROUP; i++)
        check(reader, numbers[i], digests[i], records[i]);
    for (size_t i = 0; i < GROUP; i++)
        check(reader, numbers[i], digests[i], hot_find(reader->run->hot, digests[i]));
    const struct hot_bucket *bucket = hot_bucket_named(reader->run->hot, bytes_text("bucket-b"));
    require(reader, bucket != NULL && strcmp(bucket->name, "bucket-b") == 0, "no bucket");
}

static void *read_all(void *argument)
{
    struct reader *reader = argument;
    hot_thread_register();
    hot_offline();
    pthread_barrier_wait(&reader->run->start);
    hot_online();
    while (!atomic_load_explicit(&reader->run->is_over, memory_order_relaxed)) {
        read_group(reader);
        if (++reader->rounds % 16 == 0) {
            hot_offline();
            hot_online();
        }
        hot_quiescent();
    }
    hot_thread_unregister();
    return NULL;
}

// --- what the writer does ------------------------------------------------------------------------
struct writer {
    struct hot *hot;
    uint64_t random, revision;
    uint32_t bucket_b;
    uint32_t subjects[SUBJECTS];
    bool revoked[KEYS];
};

static const struct bucket bucket_a = {.id = "bckt_00000000000000000000000a", .name = "bucket-a"};

static void put_bucket(struct writer *writer)
{
    struct bucket bucket = {.id = "bckt_00000000000000000000000b", .name = "bucket-b"};
    bucket.revision = bucket.revocation.last.before = ++writer->revision;
    hot_put_bucket(writer->hot, &bucket);
    char id[KR_ID_SIZE], name[16];
    unsigned other = (unsigned)sample_below(&writer->random, 1000);
    snprintf(id, sizeof(id), "bckt_%024u", other);
    snprintf(name, sizeof(name), "other-%u", other);
    bucket.id = id;
    bucket.name = name;
    bucket.revision = bucket.revocation.last.before = ++writer->revision;
    hot_put_bucket(writer->hot, &bucket);
    if (sample_below(&writer->random, 2) == 0)
        hot_remove_bucket(writer->hot, id, ++writer->revision);
}

static void put_subject(struct writer *writer, unsigned subject)
{
    char id[KR_ID_SIZE], data[32];
    struct consumer consumer = {.id = id, .name = "name", .metadata = data};
    consumer.revision = ++writer->revision;
    snprintf(id, sizeof(id), "csmr_%024u", subject);
    snprintf(data, sizeof(data), "{\"r\":%llu}", (unsigned long long)consumer.revision);
    writer->subjects[subject] = hot_put_subject(writer->hot, &consumer, &bucket_a);
}

static void put_key(struct writer *writer, uint64_t number)
{
    static const char *const scopes[] = {"scope"};
    struct hot_put put = sample_put(number, ++writer->revision);
    struct hot_extra extra = {.not_before_ms = (int64_t)put.revision, .scopes = {scopes, 1}};
    put.subject = writer->subjects[number % SUBJECTS];
    put.flags = writer->revoked[number] ? KR_HOT_REVOKED : 0;
    put.extra = sample_below(&writer->random, 3) == 0 ? &extra : NULL;
    hot_put(writer->hot, &put);
}

static void remove_key(struct writer *writer, uint64_t number)
{
    uint8_t digest[KR_DIGEST_SIZE];
    sample_digest(number, digest);
    hot_remove(writer->hot, digest, ++writer->revision);
}

static uint64_t come_or_go(struct writer *writer, unsigned step)
{
    uint64_t newest = REVOCABLE + step;
    if (step < WAVE)
        put_key(writer, newest);
    else if (sample_below(&writer->random, 16) != 0)
        remove_key(writer, newest - WAVE);
    return newest;
}

static void change(struct writer *writer, unsigned step)
{
    uint64_t number = sample_below(&writer->random, REVOCABLE);
    if (number >= STABLE)
        writer->revoked[number] |= sample_below(&writer->random, CHANGES) < step;
    if (step % 2 == 0)
        put_key(writer, number);
    if (step % 16 == 0)
        put_subject(writer, (unsigned)sample_below(&writer->random, SUBJECTS));
    if (step % 128 == 0)
        put_bucket(writer);
    if (step % 4096 == 0) // seldom: a table is to be between two sizes most of the time
        hot_maintain(writer->hot);
}

static void start_state(struct writer *writer)
{
    struct bucket bucket = bucket_a;
    bucket.revision = bucket.revocation.last.before = ++writer->revision;
    hot_put_bucket(writer->hot, &bucket);
    put_bucket(writer);
    for (unsigned i = 0; i < SUBJECTS; i++)
        put_subject(writer, i);
    for (uint64_t i = 0; i < REVOCABLE; i++)
        put_key(writer, i);
}

static unsigned write_all(struct run *run, struct writer *writer)
{
    unsigned growths = 0;
    bool was_growing = false;
    for (unsigned i = 0; i < CHANGES; i++) {
        struct hot_figures figures;
        change(writer, i);
        uint64_t newest = come_or_go(writer, i);
        atomic_store_explicit(&run->newest, newest, memory_order_relaxed);
        hot_figures(writer->hot, &figures);
        growths += figures.is_growing && !was_growing;
        was_growing = figures.is_growing;
    }
    return growths;
}

static void start_readers(struct run *run, struct reader *readers)
{
    pthread_barrier_init(&run->start, NULL, READERS + 1);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.run = run, .random = run->seed + 1 + i};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
    }
    pthread_barrier_wait(&run->start);
}

static void stop_readers(struct run *run, struct reader *readers)
{
    atomic_store_explicit(&run->is_over, true, memory_order_relaxed);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    pthread_barrier_destroy(&run->start);
    for (unsigned i = 0; i < READERS; i++)
        if (readers[i].failure != NULL)
            fail_msg("reader %u: %s", i, readers[i].failure);
}

static void readers_see_what_the_contract_promises(void **state)
{
    (void)state;
    static struct reader readers[READERS];
    static struct writer writer;
    uint64_t seed = sample_seed(), found = 0;
    unsigned growths = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct run run = {.hot = hot_new(0), .seed = seed + round * 1000, .newest = REVOCABLE};
        writer = (struct writer){.hot = run.hot, .random = run.seed};
        start_state(&writer);
        start_readers(&run, readers);
        growths += write_all(&run, &writer);
        stop_readers(&run, readers);
        for (unsigned i = 0; i < READERS; i++)
            found += readers[i].found;
        hot_free(&run.hot);
    }
    printf("%u growths, %llu keys found beside them\n", growths, (unsigned long long)found);
    assert_true(growths > ROUNDS);
}

static int set_up(void **state)
{
    (void)state;
    rand_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_what_the_contract_promises),
    };
    return cmocka_run_group_tests_name("core/store/hot_threads", tests, set_up, NULL);
}
