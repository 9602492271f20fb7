// SPDX-License-Identifier: Apache-2.0
// What only some keys have: start, scopes, address lists. One allocation each, never changed;
// an extra lives as long as the record that names it.
#include "core/store/hot_internal.h"

struct box {
    uint32_t number;
    size_t size; // of the allocation
    struct hot_extra extra;
};

static size_t box_size(const struct hot_extra *extra)
{
    size_t size = sizeof(struct box) + extra->ip_allow_count * sizeof(struct cidr) +
                  extra->scopes.count * sizeof(char *);
    for (size_t i = 0; i < extra->scopes.count; i++)
        size += strlen(extra->scopes.items[i]) + 1;
    return size;
}

// Behind the box: the scopes' pointers, the address blocks, the scopes' texts.
static struct box *copy_box(struct hot_pool *pool, const struct hot_extra *from)
{
    struct box *box = hot_pool_alloc(pool, box_size(from));
    const char **items = (const char **)(box + 1);
    struct cidr *blocks = (struct cidr *)(items + from->scopes.count);
    char *texts = (char *)(blocks + from->ip_allow_count);
    for (size_t i = 0; i < from->scopes.count; i++) {
        size_t size = strlen(from->scopes.items[i]) + 1;
        items[i] = memcpy(texts, from->scopes.items[i], size);
        texts += size;
    }
    if (from->ip_allow_count > 0)
        memcpy(blocks, from->ip_allow, from->ip_allow_count * sizeof(*blocks));
    box->size = box_size(from);
    box->extra = *from;
    box->extra.scopes.items = items;
    box->extra.ip_allow = blocks;
    return box;
}

static uint32_t take_number(struct hot *hot)
{
    uint32_t number = 0;
    if (hot->free_extras.size == 0)
        return hot_numbers_add(&hot->extras, &hot->pool);
    hot->free_extras.size -= sizeof(number);
    memcpy(&number, hot->free_extras.data + hot->free_extras.size, sizeof(number));
    return number;
}

uint32_t hot_extra_add(struct hot *hot, const struct hot_put *put)
{
    struct box *box = copy_box(&hot->pool, put->extra);
    box->number = take_number(hot);
    box->extra.subject = put->subject;
    hot_numbers_set(&hot->extras, box->number, box);
    hot_count(&hot->subject_bytes, (int64_t)box->size);
    return box->number;
}

const struct hot_extra *hot_record_extra(const struct hot *hot, const struct hot_record *record)
{
    if ((record->flags & KR_HOT_EXTRA) == 0)
        return NULL;
    const struct box *box = hot_numbers_at(&hot->extras, record->number);
    return &box->extra;
}

// The number keeps its extra for readers that hold the record, until the grace period is over.
void hot_extra_retire(struct hot *hot, uint32_t number)
{
    hot_retire(hot, KR_HOT_RETIRED_EXTRA, hot_numbers_at(&hot->extras, number));
}

void hot_extra_free(struct hot *hot, const void *extra)
{
    struct box *box = (struct box *)(uintptr_t)extra;
    hot_numbers_set(&hot->extras, box->number, NULL);
    buf_add(&hot->free_extras, &box->number, sizeof(box->number));
    hot_count(&hot->subject_bytes, -(int64_t)box->size);
    hot_pool_free(&hot->pool, box, box->size);
}

void hot_extras_fini(struct hot *hot)
{
    for (uint32_t i = 0; i < hot->extras.count; i++)
        if (hot_numbers_at(&hot->extras, i) != NULL)
            hot_extra_free(hot, hot_numbers_at(&hot->extras, i));
    hot_numbers_fini(&hot->extras);
    buf_fini(&hot->free_extras);
}
