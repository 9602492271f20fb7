// SPDX-License-Identifier: Apache-2.0
// The inside of start-up loading, shared by store_load.c (threads) and store_load_rows.c (rows).
#pragma once

#include "core/store/store_internal.h"

#include "proto/codec.h"

#define KR_LOAD_GROUP 256

enum load_phase { KR_LOAD_SUBJECTS, KR_LOAD_KEYS };

// The buckets, for rendering subjects: sorted by id, as the family is.
struct load_buckets {
    struct arena arena;
    struct bucket *items;
    size_t count, capacity;
    uint64_t environments; // store->environments when they were read
};

struct load_worker {
    struct store *store;
    struct store_load *load;
    pthread_t thread;
    enum load_phase phase;
    struct rows_key lower, upper; // upper of size 0: to the end
    struct arena arena;           // of a group
    struct buf scratch;
    struct hash128 sum; // of the rows read
    struct load_buckets buckets;
    size_t count;
    struct consumer consumers[KR_LOAD_GROUP];
    struct hot_put puts[KR_LOAD_GROUP];
    struct bytes consumer_ids[KR_LOAD_GROUP];
    uint32_t subjects[KR_LOAD_GROUP];
    enum kr_err err;
    struct fault fault;
};

// Reads all bucket records, and sums them up.
must_use enum kr_err store_load_read_buckets(struct store *store, struct load_buckets *buckets,
                                             struct hash128 *sum, struct fault *fault);
void store_load_fini_buckets(struct load_buckets *buckets);
// Decodes a row into the worker's group; key and value are lent by the cursor.
must_use enum kr_err store_load_decode(struct load_worker *worker, struct bytes key,
                                       struct bytes value);
// Puts the group into the hot table and empties it.
must_use enum kr_err store_load_put_group(struct load_worker *worker);
