// SPDX-License-Identifier: Apache-2.0
// Subjects of the hot table: consumers as validations need them, rendered once.
#include "core/store/hot_internal.h"

#include <assert.h>

#include "core/base/text.h"

#define KR_HOT_NO_BUCKET UINT32_MAX // rendered outside the table

enum { KR_HOT_SUBJECT_GROUP = 16, KR_HOT_LINE_BYTES = 64 };

static const char *metadata_of(const struct consumer *record)
{
    return record->metadata == NULL ? "{}" : record->metadata;
}

static size_t base64url_size(size_t size)
{
    return (size * 4 + 2) / 3;
}

// The fragment of hot.h. Names, ids and environments need no escaping, metadata is JSON already.
static void write_json(struct buf *out, const struct consumer *record, const struct bucket *bucket)
{
    const char *parts[] = {"\"sub\":\"",
                           record->name,
                           "\",\"data\":",
                           metadata_of(record),
                           ",\"consumer\":{\"id\":\"",
                           record->id,
                           "\",\"name\":\"",
                           record->name,
                           "\"},\"bucket\":\"",
                           bucket->name,
                           "\",\"environment\":\"",
                           environment_text(bucket->environment),
                           "\""};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        buf_add_text(out, parts[i]);
}

// Where the slices of the fragment lie; the literals are those of write_json.
static void measure(const struct consumer *record, const struct bucket *bucket,
                    struct hot_subject *head)
{
    size_t name = strlen(record->name), id = strlen(record->id);
    size_t data = strlen(metadata_of(record));
    size_t name_at = strlen("\"sub\":\"");
    size_t data_at = name_at + name + strlen("\",\"data\":");
    size_t id_at = data_at + data + strlen(",\"consumer\":{\"id\":\"");
    size_t bucket_at = id_at + id + strlen("\",\"name\":\"") + name + strlen("\"},\"bucket\":\"");
    size_t size = bucket_at + strlen(bucket->name) + strlen("\",\"environment\":\"") +
                  strlen(environment_text(bucket->environment)) + strlen("\"");
    assert(id_at + id <= UINT16_MAX); // metadata is ≤ 16 KiB
    *head = (struct hot_subject){.revoked_before = record->revocation.last.before,
                                 .revision = record->revision,
                                 .bucket = KR_HOT_NO_BUCKET,
                                 .json_size = (uint32_t)size,
                                 .id_at = (uint16_t)id_at,
                                 .id_size = (uint16_t)id,
                                 .name_at = (uint16_t)name_at,
                                 .name_size = (uint16_t)name,
                                 .data_at = (uint32_t)data_at,
                                 .data_size = (uint32_t)data,
                                 .header_size = (uint32_t)base64url_size(data)};
}

static size_t subject_size(const struct hot_subject *subject)
{
    return sizeof(*subject) + subject->json_size + subject->header_size;
}

static struct hot_subject *render(void *memory, const struct hot_subject *head,
                                  const struct consumer *record, const struct bucket *bucket)
{
    struct hot_subject *subject = memory;
    struct buf texts;
    *subject = *head;
    buf_init_fixed(&texts, subject->texts, (size_t)head->json_size + head->header_size);
    write_json(&texts, record, bucket);
    text_add_base64url(&texts, bytes_text(metadata_of(record)));
    assert(buf_result(&texts) == KR_ERR_OK && texts.size == texts.capacity);
    return subject;
}

struct hot_subject *hot_render_subject(const struct consumer *record, const struct bucket *bucket,
                                       struct arena *arena)
{
    struct hot_subject head;
    measure(record, bucket, &head);
    return render(arena_alloc(arena, subject_size(&head)), &head, record, bucket);
}

// --- the table's ---------------------------------------------------------------------------------
// The lowest bit of a marker's address in its entry tells readers that they need not look at it.
#define KR_HOT_MARKED ((uintptr_t)1)

static const struct hot_subject *at(const struct hot *hot, uint32_t number)
{
    uintptr_t address = (uintptr_t)hot_numbers_at(&hot->subjects, number);
    return (const struct hot_subject *)(address & ~KR_HOT_MARKED);
}

// A subject without a fragment: its id in texts, kept while loading because it was removed.
static bool is_marker(const struct hot_subject *subject)
{
    return subject->json_size == 0;
}

struct hot_holder hot_record_holder(const struct hot *hot, const struct hot_record *record)
{
    const struct hot_extra *extra = hot_record_extra(hot, record);
    const struct hot_entry *entry =
        hot_numbers_entry(&hot->subjects, extra == NULL ? record->number : extra->subject);
    uintptr_t address =
        entry == NULL ? 0 : atomic_load_explicit(&entry->object, memory_order_acquire);
    if (address == 0 || (address & KR_HOT_MARKED) != 0)
        return (struct hot_holder){.subject = NULL};
    return (struct hot_holder){
        .subject = (const struct hot_subject *)address,
        .revoked_before = atomic_load_explicit(&entry->revoked_before, memory_order_relaxed),
        .bucket = atomic_load_explicit(&entry->bucket, memory_order_relaxed)};
}

static size_t allocated_size(const struct hot_subject *subject)
{
    return is_marker(subject) ? sizeof(*subject) + subject->id_size : subject_size(subject);
}

static bool has_id(const struct hot *hot, uint32_t number, struct bytes id)
{
    const struct hot_subject *subject = at(hot, number);
    return bytes_equal(bytes_of(subject->texts + subject->id_at, subject->id_size), id);
}

static struct hot_ids_query query_of(const struct hot *hot, struct bytes id)
{
    return (struct hot_ids_query){hot_hash(hot, id.data, id.size), id, has_id};
}

bool hot_subject_number(const struct hot *hot, struct bytes consumer_id, uint32_t *number)
{
    struct hot_ids_query query = query_of(hot, consumer_id);
    return hot_ids_find(hot, &hot->subject_ids, &query, number);
}

// Slots, then the pointers that they number, then the subjects themselves: each stage asks for what
// the next one reads.
static void find_group(const struct hot *hot, const struct bytes *ids, size_t count,
                       uint32_t numbers[])
{
    struct hot_ids_query queries[KR_HOT_SUBJECT_GROUP];
    for (size_t i = 0; i < count; i++) {
        queries[i] = query_of(hot, ids[i]);
        hot_ids_prefetch(&hot->subject_ids, queries[i].hash);
    }
    for (size_t i = 0; i < count; i++) {
        numbers[i] = KR_HOT_NO_SUBJECT;
        if (hot_ids_guess(&hot->subject_ids, queries[i].hash, &numbers[i]))
            __builtin_prefetch(hot_numbers_entry(&hot->subjects, numbers[i]));
    }
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == KR_HOT_NO_SUBJECT)
            continue;
        const char *subject = (const char *)at(hot, numbers[i]);
        __builtin_prefetch(subject);
        __builtin_prefetch(subject + KR_HOT_LINE_BYTES);
        __builtin_prefetch(subject + 2 * KR_HOT_LINE_BYTES);
    }
    for (size_t i = 0; i < count; i++)
        if (!hot_ids_find(hot, &hot->subject_ids, &queries[i], &numbers[i]))
            numbers[i] = KR_HOT_NO_SUBJECT;
}

void hot_subject_numbers(const struct hot *hot, const struct bytes *consumer_ids, size_t count,
                         uint32_t numbers[])
{
    for (size_t from = 0; from < count; from += KR_HOT_SUBJECT_GROUP) {
        size_t left = count - from;
        find_group(hot, consumer_ids + from,
                   left < KR_HOT_SUBJECT_GROUP ? left : KR_HOT_SUBJECT_GROUP, numbers + from);
    }
}

const struct hot_subject *hot_subject_of(const struct hot *hot, struct bytes consumer_id)
{
    uint32_t number = 0;
    const struct hot_subject *subject =
        hot_subject_number(hot, consumer_id, &number) ? at(hot, number) : NULL;
    return subject == NULL || is_marker(subject) ? NULL : subject;
}

// A consumer never leaves its bucket, and what is revoked stays so: a reader that pairs the old
// address with these sees nothing wrong.
static void publish(struct hot *hot, uint32_t number, const struct hot_subject *subject)
{
    struct hot_entry *entry = hot_numbers_entry(&hot->subjects, number);
    uintptr_t address = (uintptr_t)subject;
    if (subject != NULL && is_marker(subject)) {
        address |= KR_HOT_MARKED;
    } else if (subject != NULL) {
        atomic_store_explicit(&entry->revoked_before, subject->revoked_before,
                              memory_order_relaxed);
        atomic_store_explicit(&entry->bucket, subject->bucket, memory_order_relaxed);
    }
    atomic_store_explicit(&entry->object, address, memory_order_release);
}

// Publishes a subject, or NULL, at a number, and retires what was there.
static void replace(struct hot *hot, uint32_t number, const struct hot_subject *subject)
{
    const struct hot_subject *old = at(hot, number);
    publish(hot, number, subject);
    if (subject != NULL) {
        hot_count(&hot->subject_bytes, (int64_t)allocated_size(subject));
        hot_count(&hot->subject_count, is_marker(subject) ? 0 : 1);
    }
    if (old == NULL)
        return;
    hot_count(&hot->subject_bytes, -(int64_t)allocated_size(old));
    hot_count(&hot->subject_count, is_marker(old) ? 0 : -1);
    hot_retire(hot, KR_HOT_RETIRED_SUBJECT, old);
}

static void add(struct hot *hot, const struct hot_ids_query *query, uint32_t *number)
{
    size_t before = hot->subject_ids.bytes;
    *number = hot_numbers_add(&hot->subjects, &hot->pool);
    hot_ids_add(&hot->subject_ids, query->hash, *number);
    hot_count(&hot->subject_bytes,
              (int64_t)(hot->subject_ids.bytes - before + sizeof(struct hot_entry)));
}

uint32_t hot_put_subject(struct hot *hot, const struct consumer *record,
                         const struct bucket *bucket)
{
    uint32_t number = 0;
    struct hot_ids_query query = query_of(hot, bytes_text(record->id));
    bool is_known = hot_ids_find(hot, &hot->subject_ids, &query, &number);
    if (is_known && record->revision < at(hot, number)->revision)
        return number;
    struct hot_subject head;
    measure(record, bucket, &head);
    head.bucket = hot_bucket_number(hot, bucket);
    if (!is_known)
        add(hot, &query, &number);
    replace(hot, number,
            render(hot_pool_alloc(&hot->pool, subject_size(&head)), &head, record, bucket));
    return number;
}

static const struct hot_subject *new_marker(struct hot_pool *pool, struct bytes id,
                                            uint64_t revision)
{
    struct hot_subject *marker = hot_pool_alloc(pool, sizeof(*marker) + id.size);
    *marker = (struct hot_subject){.revision = revision, .id_size = (uint16_t)id.size};
    memcpy(marker->texts, id.data, id.size);
    return marker;
}

static void forget(struct hot *hot, uint32_t number)
{
    const struct hot_subject *subject = at(hot, number);
    hot_ids_remove(&hot->subject_ids,
                   hot_hash(hot, subject->texts + subject->id_at, subject->id_size), number);
    replace(hot, number, NULL);
}

void hot_remove_subject(struct hot *hot, const char *id, uint64_t revision)
{
    uint32_t number = 0;
    struct hot_ids_query query = query_of(hot, bytes_text(id));
    bool is_known = hot_ids_find(hot, &hot->subject_ids, &query, &number);
    if (is_known && revision < at(hot, number)->revision)
        return;
    if (!hot->is_loading) {
        if (is_known)
            forget(hot, number);
        return;
    }
    assert(query.id.size < KR_ID_SIZE);
    if (!is_known)
        add(hot, &query, &number);
    replace(hot, number, new_marker(&hot->pool, query.id, revision));
    buf_add(&hot->removed_subjects.items, &number, sizeof(number));
}

void hot_forget_subject(struct hot *hot, const uint8_t *item)
{
    uint32_t number = 0;
    memcpy(&number, item, sizeof(number));
    const struct hot_subject *subject = at(hot, number);
    if (subject != NULL && is_marker(subject))
        forget(hot, number);
}

void hot_subject_free(struct hot *hot, const void *subject)
{
    struct hot_subject *old = (struct hot_subject *)(uintptr_t)subject;
    hot_pool_free(&hot->pool, old, allocated_size(old));
}

void hot_subjects_fini(struct hot *hot)
{
    for (uint32_t i = 0; i < hot->subjects.count; i++)
        if (at(hot, i) != NULL)
            hot_subject_free(hot, at(hot, i));
    hot_numbers_fini(&hot->subjects);
    hot_ids_fini(&hot->subject_ids);
}
