// SPDX-License-Identifier: Apache-2.0
// What the replication tests share: a store in a directory of its own, small commands, and a
// transcript of what happened.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ftw.h>

#include "core/base/buf.h"
#include "core/base/rand.h"
#include "replication/replica.h"
#include "replication/state_store.h"

#define KR_FIXTURE_TRANSCRIPT (1 << 20)

struct fixture {
    char directory[64];
    struct store *store;
    struct state state; // its verbs
    struct buf transcript;
    struct replica *replica; // of the test that uses one
};

static inline void fixture_open_store(struct fixture *fixture, uint64_t disk_reserve_bytes)
{
    char path[80];
    struct fault fault = {0};
    snprintf(path, sizeof(path), "%s/db", fixture->directory);
    const struct store_options options = {.directory = path,
                                          .block_cache_bytes = 8u << 20,
                                          .disk_reserve_bytes = disk_reserve_bytes,
                                          .log_retention_bytes = 1u << 30,
                                          .log_retention_ms = 86400000};
    enum kr_err err = store_open(&options, &fixture->store, &fault);
    if (err != KR_ERR_OK)
        print_error("%s\n", fault.text);
    assert_int_equal(err, KR_ERR_OK);
    state_store_init(&fixture->state, fixture->store);
}

static inline void fixture_init(struct fixture *fixture)
{
    rand_init();
    *fixture = (struct fixture){.directory = "/tmp/keyreeve-test-XXXXXX"};
    assert_non_null(mkdtemp(fixture->directory));
    buf_init(&fixture->transcript, KR_FIXTURE_TRANSCRIPT);
    fixture_open_store(fixture, 0);
}

static inline int fixture_remove(const char *path, const struct stat *about, int kind,
                                 struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline void fixture_fini(struct fixture *fixture)
{
    store_close(&fixture->store);
    nftw(fixture->directory, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    buf_fini(&fixture->transcript);
}

// The transcript since the last call.
static inline void assert_happened(struct fixture *fixture, const char *expected)
{
    buf_add_u8(&fixture->transcript, '\0');
    assert_string_equal((const char *)fixture->transcript.data, expected);
    buf_clear(&fixture->transcript);
}

// A command that creates a bucket of this name (at most 24 characters), and a description of so
// many characters; lends until the next call.
static inline const struct command *fixture_command(const char *name, size_t description_size)
{
    static struct command command;
    static struct command_op op;
    static char id[KR_ID_SIZE], *description;
    free(description);
    description = malloc(description_size + 1);
    memset(description, 'd', description_size);
    description[description_size] = '\0';
    memcpy(id, "bckt_000000000000000000000000", KR_ID_SIZE);
    memcpy(id + KR_ID_SIZE - 1 - strlen(name), name, strlen(name));
    op = (struct command_op){.kind = KR_OP_BUCKET_PUT,
                             .as.bucket_put.record = {.id = id,
                                                      .name = name,
                                                      .description = description,
                                                      .key_prefix = "kr_live",
                                                      .metadata_limit_bytes = 1024}};
    command = (struct command){
        .ops = &op, .op_count = 1, .op_capacity = 1, .request_id = "req", .actor = "system"};
    return &command;
}
