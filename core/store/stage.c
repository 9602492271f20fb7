// SPDX-License-Identifier: Apache-2.0
// The stage: a hash table of touched rows, a list of undo steps, and walks over table and index.
#include "core/store/stage.h"

#include <stdlib.h>

#include "core/base/hash.h"
#include "core/keys/digest.h"

#define KR_STAGE_SLOTS_MIN 1024u
#define KR_STAGE_SLOTS_KEPT 65536u // a larger table is given back after the commit

enum stage_state { KR_STAGE_UNREAD, KR_STAGE_ABSENT, KR_STAGE_PRESENT };

struct stage_row {
    struct stage_row *next_of_family;
    struct bytes key, value;
    uint64_t hash;
    enum index_family family;
    enum stage_state state;
    bool is_changed; // differs from the index, as far as known
    bool was_absent; // the index is known not to hold it
    bool is_listed;  // among those that were put
};

struct stage_step {
    struct stage_row *row;
    struct bytes value;
    enum stage_state state;
    bool is_changed;
};

// Where a walk over the index stands: every row with this prefix before the cursor is deleted by
// the commit, so that a purge of n rows does not look at n²/2.
struct stage_walk {
    struct index_cursor *cursor;
    struct bytes prefix;
};

struct stage {
    struct index_reader reader;
    struct arena arena;
    struct stage_row **slots;
    size_t slot_count; // a power of two
    struct stage_row **rows;
    size_t row_count, row_capacity;
    struct stage_step *steps;
    size_t step_count, step_capacity;
    struct stage_row *put_of_family[KR_INDEX_FAMILY_COUNT]; // newest first; once each
    struct stage_walk walks[KR_INDEX_FAMILY_COUNT];
};

struct stage *stage_new(struct index *index)
{
    struct stage *stage = mem_zalloc(sizeof *stage);
    stage->reader.index = index;
    arena_init(&stage->arena);
    stage->slot_count = KR_STAGE_SLOTS_MIN;
    stage->slots = mem_zalloc(stage->slot_count * sizeof(struct stage_row *));
    return stage;
}

static void close_walks(struct stage *stage)
{
    for (size_t i = 0; i < KR_INDEX_FAMILY_COUNT; i++) {
        index_cursor_close(&stage->walks[i].cursor);
    }
}

void stage_free(struct stage **stage)
{
    struct stage *it = *stage;
    if (!it) {
        return;
    }
    close_walks(it);
    arena_fini(&it->arena);
    mem_free(it->slots);
    mem_free(it->rows);
    mem_free(it->steps);
    mem_free(it);
    *stage = NULL;
}

void stage_clear(struct stage *stage)
{
    close_walks(stage);
    arena_reset(&stage->arena);
    if (stage->slot_count > KR_STAGE_SLOTS_KEPT) {
        mem_free(stage->slots);
        stage->slot_count = KR_STAGE_SLOTS_MIN;
        stage->slots = mem_zalloc(stage->slot_count * sizeof(struct stage_row *));
    } else {
        memset(stage->slots, 0, stage->slot_count * sizeof(struct stage_row *));
    }
    memset(stage->put_of_family, 0, sizeof stage->put_of_family);
    stage->row_count = stage->step_count = 0;
    stage->reader.fault.err = KR_ERR_OK;
}

// --- the table -----------------------------------------------------------------------------------
static struct bytes keep(struct stage *stage, struct bytes bytes)
{
    uint8_t *copy = arena_alloc(&stage->arena, bytes.size + 1);
    if (bytes.size) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return bytes_of(copy, bytes.size);
}

// Rows of KEYS that begin alike lie on one way through the table, where stage_has_key finds them.
static uint64_t hash_of(enum index_family family, struct bytes key)
{
    if (family == KR_INDEX_KEYS && key.size > KR_DIGEST_UNIQUE_BYTES) {
        key.size = KR_DIGEST_UNIQUE_BYTES;
    }
    return hash_u64(key, (uint64_t)family);
}

static struct stage_row **slot_of(const struct stage *stage, enum index_family family,
                                  struct bytes key, uint64_t hash)
{
    size_t mask = stage->slot_count - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        const struct stage_row *row = stage->slots[at];
        if (!row || (row->hash == hash && row->family == family && bytes_equal(row->key, key))) {
            return &stage->slots[at];
        }
    }
}

static void grow_slots(struct stage *stage)
{
    struct stage_row **old = stage->slots;
    stage->slot_count *= 2;
    stage->slots = mem_zalloc(stage->slot_count * sizeof(struct stage_row *));
    for (size_t i = 0; i < stage->row_count; i++) {
        struct stage_row *row = stage->rows[i];
        *slot_of(stage, row->family, row->key, row->hash) = row;
    }
    mem_free(old);
}

// The row in the table, added as unread when it was not there.
static struct stage_row *touch(struct stage *stage, enum index_family family, struct bytes key)
{
    uint64_t hash = hash_of(family, key);
    struct stage_row **slot = slot_of(stage, family, key, hash);
    if (*slot) {
        return *slot;
    }
    if (key.size == 0 && stage->reader.fault.err == KR_ERR_OK) {
        fault_set(&stage->reader.fault, KR_ERR_CORRUPT, "a record's id or name is too long");
    }
    struct stage_row *row = arena_zalloc(&stage->arena, sizeof *row);
    row->key = keep(stage, key);
    row->hash = hash;
    row->family = family;
    *slot = row;
    if (stage->row_count == stage->row_capacity) {
        stage->row_capacity = stage->row_capacity ? 2 * stage->row_capacity : 1024;
        stage->rows = mem_realloc(stage->rows, stage->row_capacity * sizeof(struct stage_row *));
    }
    stage->rows[stage->row_count++] = row;
    if (stage->row_count * 2 > stage->slot_count) {
        grow_slots(stage);
    }
    return row;
}

bool stage_get(struct stage *stage, enum index_family family, struct bytes key, struct bytes *value)
{
    struct stage_row *row = touch(stage, family, key);
    if (row->state == KR_STAGE_UNREAD) {
        bool is_there = index_read(&stage->reader, family, row->key, &stage->arena, &row->value);
        row->state = is_there ? KR_STAGE_PRESENT : KR_STAGE_ABSENT;
        row->was_absent = !is_there;
    }
    *value = row->value;
    return row->state == KR_STAGE_PRESENT && stage->reader.fault.err == KR_ERR_OK;
}

void stage_assume_absent(struct stage *stage, enum index_family family, struct bytes key)
{
    struct stage_row *row = touch(stage, family, key);
    if (row->state == KR_STAGE_UNREAD) {
        row->state = KR_STAGE_ABSENT;
        row->was_absent = true;
    }
}

bool stage_is_changed(const struct stage *stage, enum index_family family, struct bytes key)
{
    const struct stage_row *row = *slot_of(stage, family, key, hash_of(family, key));
    return row && row->is_changed;
}

// --- changes -------------------------------------------------------------------------------------
static void change(struct stage *stage, struct stage_row *row, enum stage_state state,
                   struct bytes value)
{
    if (stage->step_count == stage->step_capacity) {
        stage->step_capacity = stage->step_capacity ? 2 * stage->step_capacity : 1024;
        stage->steps = mem_realloc(stage->steps, stage->step_capacity * sizeof *stage->steps);
    }
    stage->steps[stage->step_count++] =
        (struct stage_step){row, row->value, row->state, row->is_changed};
    row->state = state;
    row->value = value;
    row->is_changed = true;
}

void stage_put(struct stage *stage, enum index_family family, struct bytes key, struct bytes value)
{
    struct stage_row *row = touch(stage, family, key);
    if (!row->is_listed) {
        row->is_listed = true;
        row->next_of_family = stage->put_of_family[family];
        stage->put_of_family[family] = row;
    }
    change(stage, row, KR_STAGE_PRESENT, keep(stage, value));
}

void stage_delete(struct stage *stage, enum index_family family, struct bytes key)
{
    struct stage_row *row = touch(stage, family, key);
    change(stage, row, KR_STAGE_ABSENT, (struct bytes){0});
}

size_t stage_mark(const struct stage *stage)
{
    return stage->step_count;
}

void stage_undo(struct stage *stage, size_t mark)
{
    if (stage->step_count > mark) {
        close_walks(stage); // a deletion that they passed is taken back
    }
    while (stage->step_count > mark) {
        const struct stage_step *step = &stage->steps[--stage->step_count];
        step->row->state = step->state;
        step->row->value = step->value;
        step->row->is_changed = step->is_changed;
    }
}

// --- walks ---------------------------------------------------------------------------------------
static int compare(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static bool is_deleted(const struct stage *stage, enum index_family family, struct bytes key)
{
    const struct stage_row *row = *slot_of(stage, family, key, hash_of(family, key));
    return row && row->is_changed && row->state == KR_STAGE_ABSENT;
}

// The index's first row with the prefix that the commit does not delete.
static bool first_of_index(struct stage *stage, enum index_family family, struct bytes prefix,
                           struct bytes from, struct bytes *key)
{
    struct stage_walk *walk = &stage->walks[family];
    if (!walk->cursor) {
        walk->cursor =
            index_cursor_open(stage->reader.index, &(struct index_range){.family = family});
        walk->prefix = (struct bytes){0};
    }
    struct bytes value;
    bool is_here = walk->prefix.data && bytes_equal(walk->prefix, prefix) &&
                   (!index_cursor_row(walk->cursor, key, &value) || compare(*key, from) >= 0);
    if (!is_here) {
        walk->prefix = keep(stage, prefix);
        index_cursor_seek(walk->cursor, compare(from, prefix) > 0 ? from : prefix);
    }
    while (index_cursor_row(walk->cursor, key, &value)) {
        if (!bytes_starts_with(*key, prefix)) {
            return false;
        }
        if (!is_deleted(stage, family, *key)) {
            return true;
        }
        index_cursor_next(walk->cursor);
    }
    enum kr_err err = index_cursor_result(walk->cursor, &stage->reader.fault);
    (void)err; // the reader's fault remembers it
    return false;
}

static bool is_staged(const struct stage *stage, enum index_family family, struct bytes start)
{
    uint64_t hash = hash_of(family, start);
    size_t mask = stage->slot_count - 1;
    for (size_t at = hash & mask; stage->slots[at]; at = (at + 1) & mask) {
        const struct stage_row *row = stage->slots[at];
        if (row->hash == hash && row->family == family && row->state == KR_STAGE_PRESENT &&
            bytes_starts_with(row->key, start)) {
            return true;
        }
    }
    return false;
}

bool stage_has_key(struct stage *stage, struct bytes start, bool may_be_in_index)
{
    struct bytes key;
    if (stage->reader.fault.err != KR_ERR_OK) {
        return false;
    }
    return is_staged(stage, KR_INDEX_KEYS, start) ||
           (may_be_in_index && first_of_index(stage, KR_INDEX_KEYS, start, start, &key));
}

bool stage_first(struct stage *stage, enum index_family family, struct bytes prefix,
                 struct bytes from, struct bytes *key)
{
    if (stage->reader.fault.err != KR_ERR_OK) {
        return false;
    }
    struct bytes best = {0};
    bool is_there = first_of_index(stage, family, prefix, from, &best);
    for (const struct stage_row *row = stage->put_of_family[family]; row;
         row = row->next_of_family) {
        if (row->is_changed && row->state == KR_STAGE_PRESENT &&
            bytes_starts_with(row->key, prefix) && compare(row->key, from) >= 0 &&
            (!is_there || compare(row->key, best) < 0)) {
            best = row->key;
            is_there = true;
        }
    }
    if (stage->reader.fault.err != KR_ERR_OK || !is_there) {
        return false;
    }
    *key = keep(stage, best);
    return true;
}

// --- the end -------------------------------------------------------------------------------------
enum kr_err stage_result(const struct stage *stage, struct fault *fault)
{
    if (stage->reader.fault.err != KR_ERR_OK && fault) {
        *fault = stage->reader.fault;
    }
    return stage->reader.fault.err;
}

// A row in the order of writing: by family, then key, the first bytes of which are at hand.
struct stage_order {
    uint64_t start;
    struct stage_row *row;
};

static int by_place(const void *a, const void *b)
{
    const struct stage_order *x = a, *y = b;
    if (x->row->family != y->row->family) {
        return x->row->family < y->row->family ? -1 : 1;
    }
    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    return compare(x->row->key, y->row->key);
}

static uint64_t start_of(struct bytes key)
{
    uint64_t start = 0;
    for (size_t i = 0; i < sizeof start; i++) {
        start = start << 8 | (i < key.size ? key.data[i] : 0);
    }
    return start;
}

// In order, since neighbours share the way to their place in RocksDB's sorted memory.
static struct stage_order *sorted(struct stage *stage, size_t *count)
{
    struct stage_order *order = arena_alloc(&stage->arena, (stage->row_count + 1) * sizeof *order);
    size_t changed = 0;
    for (size_t i = 0; i < stage->row_count; i++) {
        struct stage_row *row = stage->rows[i];
        if (row->is_changed) {
            order[changed++] = (struct stage_order){start_of(row->key), row};
        }
    }
    qsort(order, changed, sizeof *order, by_place);
    *count = changed;
    return order;
}

void stage_write(struct stage *stage, struct index_batch *batch)
{
    struct index *index = stage->reader.index;
    size_t count = 0;
    const struct stage_order *order = sorted(stage, &count);
    for (size_t i = 0; i < count; i++) {
        const struct stage_row *row = order[i].row;
        if (row->state == KR_STAGE_PRESENT) {
            index_batch_put(index, batch, row->family, row->key, row->value);
        } else if (!row->was_absent) {
            index_batch_delete(index, batch, row->family, row->key);
        }
    }
}
