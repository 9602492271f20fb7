// SPDX-License-Identifier: Apache-2.0
// What readers may still hold: collected, and recycled in batches when a grace period is over.
//
// The packaged liburcu has no polled grace periods, so one callback stands for a whole batch and
// only raises a flag; the writer recycles at its next step. One batch is under way at a time.
#include "core/store/hot_internal.h"

#define KR_HOT_KIND_MASK ((uintptr_t)7)

void hot_retire(struct hot *hot, enum hot_retired kind, const void *object)
{
    if (object == NULL)
        return;
    struct hot_retired_list *list = &hot->pending;
    const size_t room = sizeof(list->last->items) / sizeof(list->last->items[0]);
    if (list->last == NULL || list->last->count == room) {
        struct hot_retired_block *block = mem_alloc(sizeof(*block));
        block->next = NULL;
        block->count = 0;
        if (list->last == NULL)
            list->first = block;
        else
            list->last->next = block;
        list->last = block;
    }
    list->last->items[list->last->count++] = (uintptr_t)object | kind;
    if (list->last->count == room)
        hot_reclaim(hot, 2 * room); // a loader that never maintains must not hoard
}

static void recycle(struct hot *hot, uintptr_t item)
{
    void *object = (void *)(item & ~KR_HOT_KIND_MASK);
    switch ((enum hot_retired)(item & KR_HOT_KIND_MASK)) {
    case KR_HOT_RETIRED_RECORD:
        hot_slab_free(&hot->slab, object);
        break;
    case KR_HOT_RETIRED_EXTRA:
        hot_extra_free(hot, object);
        break;
    case KR_HOT_RETIRED_SUBJECT:
        hot_subject_free(hot, object);
        break;
    case KR_HOT_RETIRED_HEAP:
        mem_free(object);
        break;
    case KR_HOT_RETIRED_TABLE:
        hot_table_free(object);
        break;
    }
}

static bool recycle_some(struct hot *hot, struct hot_retired_list *list, size_t budget)
{
    while (list->first != NULL && budget > 0) {
        struct hot_retired_block *block = list->first;
        for (; block->count > 0 && budget > 0; budget--)
            recycle(hot, block->items[--block->count]);
        if (block->count > 0)
            break;
        list->first = block->next;
        mem_free(block);
    }
    if (list->first == NULL)
        list->last = NULL;
    return list->first != NULL;
}

bool hot_reclaim(struct hot *hot, size_t budget)
{
    if (hot->has_grace && !hot_grace_is_over(hot->grace))
        return false;
    hot->has_grace = false;
    bool has_more = recycle_some(hot, &hot->waiting, budget);
    if (has_more || hot->pending.first == NULL)
        return has_more;
    hot->waiting = hot->pending;
    hot->pending = (struct hot_retired_list){0};
    hot->has_grace = true;
    hot_grace_start(hot->grace);
    return false;
}

void hot_retired_free(struct hot *hot)
{
    recycle_some(hot, &hot->waiting, SIZE_MAX);
    recycle_some(hot, &hot->pending, SIZE_MAX);
}
