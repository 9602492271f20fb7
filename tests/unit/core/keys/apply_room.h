// SPDX-License-Identifier: Apache-2.0
// A room with a small state, and short words to add operations and apply them, for tests of apply.
#pragma once

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fake_state.h"

#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)
#define START_MS ((int64_t)1767225600000)

struct room {
    struct fake fake;
    struct arena texts;
    struct entry entry; // the next one
    struct apply_result result;
};

static struct room room;

static inline struct command_op *add(enum command_kind kind)
{
    return command_add(&room.entry.command, kind, &room.texts);
}

// Applies what was added as the next entry, and begins another, a second later.
static inline enum apply_code commit(void)
{
    room.result = fake_apply(&room.fake, &room.entry);
    room.entry.command = (struct command){0};
    room.entry.index++;
    room.entry.at_unix_us += 1000 * 1000;
    return room.result.code;
}

static inline int64_t last_ms(void)
{
    return room.entry.at_unix_us / 1000 - 1000;
}

static inline uint64_t last_index(void)
{
    return room.entry.index - 1;
}

static inline void add_bucket(const char *id, const char *name, uint64_t expected_version)
{
    add(KR_OP_BUCKET_PUT)->as.bucket_put = (struct command_bucket_put){
        {.id = id, .name = name, .created_ms = 11, .updated_ms = 12}, expected_version};
}

static inline void add_consumer(const char *bucket_id, const char *id, const char *name,
                                uint64_t expected_version)
{
    add(KR_OP_CONSUMER_PUT)->as.consumer_put = (struct command_consumer_put){
        {.id = id, .bucket_id = bucket_id, .name = name, .created_ms = 21},
        .expected_version = expected_version};
}

static inline struct key key_of(const char *consumer_id, const char *id, uint8_t digest)
{
    return (struct key){.digest = {digest},
                        .id = id,
                        .bucket_id = "b1",
                        .consumer_id = consumer_id,
                        .is_enabled = true,
                        .created_ms = 31};
}

static inline void add_key(struct key key, uint64_t expected_version)
{
    add(KR_OP_KEY_PUT)->as.key_put =
        (struct command_key_put){key, .expected_version = expected_version};
}

static inline void add_target(enum command_kind kind, const char *id, uint64_t expected_version)
{
    add(kind)->as.target = (struct command_target){.id = id,
                                                   .expected_version = expected_version,
                                                   .reason = KR_REASON_KEY_COMPROMISE,
                                                   .purge_ms = START_MS + 30 * DAY_MS};
}

static inline void add_key_revoke(uint8_t digest, uint64_t expected_version, int64_t purge_ms)
{
    add(KR_OP_KEY_REVOKE)->as.key_revoke =
        (struct command_key_revoke){.digest = {digest},
                                    .expected_version = expected_version,
                                    .reason = KR_REASON_SUPERSEDED,
                                    .purge_ms = purge_ms};
}

static inline enum apply_code purge(int64_t now_ms, uint32_t limit)
{
    add(KR_OP_PURGE)->as.purge = (struct command_purge){.now_ms = now_ms, .limit = limit};
    return commit();
}

static inline struct bucket bucket(const char *id)
{
    struct bucket record;
    assert_true(fake_get_bucket(&room.fake, id, &record));
    return record;
}

static inline struct consumer consumer(const char *id)
{
    struct consumer record;
    assert_true(fake_get_consumer(&room.fake, id, &record));
    return record;
}

static inline struct key key(uint8_t digest)
{
    struct key record;
    assert_true(fake_get_key(&room.fake, (uint8_t[KR_DIGEST_SIZE]){digest}, &record));
    return record;
}

static inline bool has_key(uint8_t digest)
{
    return fake_has_digest(&room.fake, (uint8_t[KR_DIGEST_SIZE]){digest});
}

static inline uint64_t count(char what, const char *id)
{
    return fake_get_count(&room.fake, what, id);
}

// Bucket b1 with consumers c1 (keys 1 and 2) and c2 (key 3).
static inline int set_up(void **state)
{
    (void)state;
    memset(&room, 0, sizeof(room));
    arena_init(&room.texts);
    room.fake.texts = &room.texts;
    room.entry = (struct entry){.index = 1, .epoch = 1, .at_unix_us = START_MS * 1000};
    add_bucket("b1", "bucket-1", 0);
    add_consumer("b1", "c1", "one", 0);
    add_consumer("b1", "c2", "two", 0);
    add_key(key_of("c1", "k1", 1), 0);
    add_key(key_of("c1", "k2", 2), 0);
    add_key(key_of("c2", "k3", 3), 0);
    return commit() == KR_APPLY_OK ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    arena_fini(&room.texts);
    return 0;
}
