// SPDX-License-Identifier: Apache-2.0
// One place for a chunk between the thread and the loop: the thread fills it when it is empty, the
// loop takes what is in it and leaves its own buffer there.
#include "replication/export_reader.h"

#include <pthread.h>

#include "core/base/buf.h"
#include "core/base/mem.h"

// What the thread has read; its bytes lie beside it.
struct export_slot {
    enum kr_err err; // of store_export_next; OK: chunk
    struct fault fault;
    struct store_chunk chunk;
    uint64_t total_bytes; // as the export knew it then
    struct buf rows, last_key;
};

//              asked for           read
//   EMPTY ───────────────▶ WANTED ──────▶ FULL
//     ▲ (seek)                ▲             │ taken
//     └───────────────────────┴─────────────┘
enum export_slot_state { KR_SLOT_EMPTY, KR_SLOT_WANTED, KR_SLOT_FULL };

struct export_reader {
    struct store_export *export; // the thread's while the slot is wanted
    struct store_position position;
    struct store_export_progress progress; // of what was given
    struct export_slot lent;
    void (*wake)(void *ctx);
    void *ctx;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; // of what follows
    pthread_cond_t changed;
    enum export_slot_state state;
    bool is_closing;
    struct export_slot slot;
};

// The export bounds what it gives.
static void init_slot(struct export_slot *slot)
{
    buf_init(&slot->rows, SIZE_MAX);
    buf_init(&slot->last_key, SIZE_MAX);
}

static void fini_slot(struct export_slot *slot)
{
    buf_fini(&slot->rows);
    buf_fini(&slot->last_key);
}

static void read_into(struct store_export *export, struct export_slot *slot)
{
    struct store_export_progress progress;
    slot->fault = (struct fault){0};
    slot->err = store_export_next(export, &slot->chunk, &slot->fault);
    store_export_progress(export, &progress);
    slot->total_bytes = progress.total_bytes;
    if (slot->err != KR_ERR_OK)
        return;
    buf_clear(&slot->rows);
    buf_clear(&slot->last_key);
    buf_add_bytes(&slot->rows, slot->chunk.rows);
    buf_add_bytes(&slot->last_key, slot->chunk.last_key);
    slot->chunk.rows = buf_bytes(&slot->rows);
    slot->chunk.last_key = buf_bytes(&slot->last_key);
    slot->err = buf_result(&slot->rows);
}

static void *run(void *ctx)
{
    struct export_reader *reader = ctx;
    pthread_mutex_lock(&reader->lock);
    while (!reader->is_closing) {
        if (reader->state != KR_SLOT_WANTED) {
            pthread_cond_wait(&reader->changed, &reader->lock);
            continue;
        }
        pthread_mutex_unlock(&reader->lock);
        read_into(reader->export, &reader->slot);
        pthread_mutex_lock(&reader->lock);
        reader->state = KR_SLOT_FULL;
        pthread_cond_signal(&reader->changed);
        reader->wake(reader->ctx);
    }
    pthread_mutex_unlock(&reader->lock);
    return NULL;
}

struct export_reader *export_reader_new(struct store_export *export, void (*wake)(void *ctx),
                                        void *ctx)
{
    struct export_reader *reader = mem_zalloc(sizeof(*reader));
    reader->export = export;
    reader->wake = wake;
    reader->ctx = ctx;
    store_export_position(export, &reader->position);
    store_export_progress(export, &reader->progress);
    init_slot(&reader->lent);
    init_slot(&reader->slot);
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->changed, NULL);
    return reader;
}

void export_reader_position(const struct export_reader *reader, struct store_position *out)
{
    *out = reader->position;
}

// A thread that cannot be begun is done without.
static bool has_thread(struct export_reader *reader)
{
    if (!reader->has_thread && reader->wake != NULL)
        reader->has_thread = pthread_create(&reader->thread, NULL, run, reader) == 0;
    return reader->has_thread;
}

// The chunk that is there comes to lent, and the next one is asked for.
static enum kr_err take(struct export_reader *reader)
{
    enum kr_err err = KR_ERR_BUSY;
    pthread_mutex_lock(&reader->lock);
    if (reader->state == KR_SLOT_FULL) {
        struct export_slot given = reader->slot;
        reader->slot = reader->lent;
        reader->lent = given;
        err = given.err;
    }
    if (reader->state != KR_SLOT_WANTED) {
        reader->state = KR_SLOT_WANTED;
        pthread_cond_signal(&reader->changed);
    }
    pthread_mutex_unlock(&reader->lock);
    return err;
}

enum kr_err export_reader_next(struct export_reader *reader, struct store_chunk *out,
                               struct fault *fault)
{
    struct export_slot *lent = &reader->lent;
    if (has_thread(reader) && take(reader) == KR_ERR_BUSY)
        return KR_ERR_BUSY;
    if (!reader->has_thread)
        read_into(reader->export, lent);
    if (lent->err != KR_ERR_OK) {
        if (fault != NULL)
            *fault = lent->fault;
        return lent->err;
    }
    *out = lent->chunk;
    reader->progress.done_rows += out->row_count;
    reader->progress.done_bytes += out->rows.size;
    reader->progress.total_bytes = lent->total_bytes;
    return KR_ERR_OK;
}

// The thread reads nothing when this has returned.
static void forget_ahead(struct export_reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    while (reader->state == KR_SLOT_WANTED)
        pthread_cond_wait(&reader->changed, &reader->lock);
    reader->state = KR_SLOT_EMPTY;
    pthread_mutex_unlock(&reader->lock);
}

enum kr_err export_reader_seek(struct export_reader *reader, uint8_t family, struct bytes last_key,
                               struct fault *fault)
{
    forget_ahead(reader);
    return store_export_seek(reader->export, family, last_key, fault);
}

void export_reader_progress(const struct export_reader *reader, struct store_export_progress *out)
{
    *out = reader->progress;
    if (out->total_bytes < out->done_bytes)
        out->total_bytes = out->done_bytes;
}

void export_reader_free(struct export_reader **reader)
{
    struct export_reader *gone = *reader;
    if (gone->has_thread) {
        pthread_mutex_lock(&gone->lock);
        gone->is_closing = true;
        pthread_cond_signal(&gone->changed);
        pthread_mutex_unlock(&gone->lock);
        pthread_join(gone->thread, NULL);
    }
    store_export_close(&gone->export);
    fini_slot(&gone->lent);
    fini_slot(&gone->slot);
    pthread_cond_destroy(&gone->changed);
    pthread_mutex_destroy(&gone->lock);
    mem_free(gone);
    *reader = NULL;
}
