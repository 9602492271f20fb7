// SPDX-License-Identifier: Apache-2.0
// A ring of commit times, one slot an index modulo its size.
//
// A slot is written behind a cleared index, so that a reader who sees the same index before and
// after has read its time.
#include "node/commits.h"

#include <stdatomic.h>

#include "core/base/mem.h"

#define KR_COMMITS_SLOTS 4096

struct commits_slot {
    atomic_uint_fast64_t index; // 0: empty, or being written
    atomic_int_fast64_t committed_ms;
};

struct commits {
    struct commits_slot slots[KR_COMMITS_SLOTS];
};

struct commits *commits_new(void)
{
    return mem_zalloc(sizeof(struct commits));
}

void commits_free(struct commits **commits)
{
    mem_free(*commits);
    *commits = NULL;
}

void commits_note(struct commits *commits, uint64_t index, int64_t committed_ms)
{
    if (commits == NULL)
        return;
    struct commits_slot *slot = &commits->slots[index % KR_COMMITS_SLOTS];
    atomic_store(&slot->index, 0);
    atomic_store(&slot->committed_ms, committed_ms);
    atomic_store(&slot->index, index);
}

bool commits_find(const struct commits *commits, uint64_t index, int64_t *committed_ms)
{
    if (commits == NULL || index == 0)
        return false;
    const struct commits_slot *slot = &commits->slots[index % KR_COMMITS_SLOTS];
    if (atomic_load(&slot->index) != index)
        return false;
    *committed_ms = atomic_load(&slot->committed_ms);
    return atomic_load(&slot->index) == index;
}
