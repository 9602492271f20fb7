// SPDX-License-Identifier: Apache-2.0
// The hot table's pages: mapped, asked for as huge ones, and one kept ready.
//
// The kernel zeroes a huge page at its first touch, which takes as long as hundreds of puts. While
// the table is loaded the puts are what the threads wait for, so that is done beforehand, by
// whoever is about to wait.
#include "core/store/hot_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static void *map_pages(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        fputs("keyreeve: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *hot_map(size_t size)
{
    if (size < KR_HOT_HUGE_BYTES)
        return map_pages(size);
    uint8_t *memory = map_pages(size + KR_HOT_HUGE_BYTES);
    size_t before = -(uintptr_t)memory & (KR_HOT_HUGE_BYTES - 1);
    if (before > 0)
        munmap(memory, before);
    munmap(memory + before + size, KR_HOT_HUGE_BYTES - before);
    madvise(memory + before, size, MADV_HUGEPAGE); // a wish: without it only the speed differs
    return memory + before;
}

void hot_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}

void hot_pages_init(struct hot_pages *pages, const struct hot_table *first)
{
    pages->slots = (uint8_t *)first->slots;
    pages->slots_bytes = first->mapped_bytes < KR_HOT_HUGE_BYTES ? 0 : first->mapped_bytes;
}

static void populate(void *page)
{
    madvise(page, KR_HOT_HUGE_BYTES, MADV_POPULATE_WRITE); // a wish as well: Linux 5.14
}

// The slots are filled in no order, so their pages are due at once. Only addresses are named: if
// the slots have been replaced meanwhile, nothing is done, or too much.
static void prepare_slots(struct hot_pages *pages)
{
    if (atomic_load_explicit(&pages->slots_prepared, memory_order_relaxed) >= pages->slots_bytes)
        return;
    size_t at =
        atomic_fetch_add_explicit(&pages->slots_prepared, KR_HOT_HUGE_BYTES, memory_order_relaxed);
    if (at < pages->slots_bytes)
        populate(pages->slots + at);
}

static void prepare_spare(struct hot_pages *pages)
{
    if (atomic_load_explicit(&pages->spare, memory_order_relaxed) != NULL ||
        atomic_exchange_explicit(&pages->is_preparing, true, memory_order_acquire))
        return;
    // Another thread may have been through since the look above.
    if (atomic_load_explicit(&pages->spare, memory_order_relaxed) == NULL) {
        void *page = hot_map(KR_HOT_HUGE_BYTES);
        populate(page);
        atomic_store_explicit(&pages->spare, page, memory_order_release);
    }
    atomic_store_explicit(&pages->is_preparing, false, memory_order_release);
}

void hot_pages_prepare(struct hot_pages *pages)
{
    prepare_slots(pages);
    prepare_spare(pages);
}

void *hot_pages_take(struct hot_pages *pages)
{
    void *page = atomic_exchange_explicit(&pages->spare, NULL, memory_order_acquire);
    return page != NULL ? page : hot_map(KR_HOT_HUGE_BYTES);
}

void hot_pages_fini(struct hot_pages *pages)
{
    void *page = atomic_exchange_explicit(&pages->spare, NULL, memory_order_acquire);
    if (page != NULL)
        hot_unmap(page, KR_HOT_HUGE_BYTES);
}
