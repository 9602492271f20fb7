// SPDX-License-Identifier: Apache-2.0
// The board: one copy of the facts behind a lock that is held for a memcpy.
#include "node/board.h"

#include <pthread.h>

struct board {
    pthread_mutex_t lock;
    struct board_facts facts; // its arrays are ours
};

const char *board_state_text(enum board_state state)
{
    switch (state) {
    case KR_BOARD_SERVING:
        return "serving";
    case KR_BOARD_LOADING:
        return "loading";
    case KR_BOARD_STALE:
        return "stale";
    case KR_BOARD_FETCHING:
        return "fetching";
    case KR_BOARD_UNHEARD:
        return "unheard";
    }
    return "unheard";
}

struct board *board_new(void)
{
    struct board *board = mem_zalloc(sizeof(*board));
    pthread_mutex_init(&board->lock, NULL);
    return board;
}

static void free_arrays(const struct board_facts *facts)
{
    mem_free((void *)(uintptr_t)facts->nodes);
    mem_free((void *)(uintptr_t)facts->distances);
}

void board_free(struct board **board)
{
    pthread_mutex_destroy(&(*board)->lock);
    free_arrays(&(*board)->facts);
    mem_free(*board);
    *board = NULL;
}

static void *copy_array(const void *array, size_t size)
{
    void *copy = size > 0 ? mem_alloc(size) : NULL;
    if (copy != NULL)
        memcpy(copy, array, size);
    return copy;
}

void board_put(struct board *board, const struct board_facts *facts)
{
    struct board_facts copy = *facts;
    copy.nodes = copy_array(facts->nodes, facts->count * sizeof(*facts->nodes));
    copy.distances =
        copy_array(facts->distances, facts->distance_count * sizeof(*facts->distances));
    pthread_mutex_lock(&board->lock);
    struct board_facts old = board->facts;
    board->facts = copy;
    pthread_mutex_unlock(&board->lock);
    free_arrays(&old);
}

static const void *lend_array(struct arena *arena, const void *array, size_t size)
{
    if (size == 0)
        return NULL;
    void *copy = arena_alloc(arena, size);
    memcpy(copy, array, size);
    return copy;
}

void board_read(struct board *board, struct arena *arena, struct board_facts *out)
{
    pthread_mutex_lock(&board->lock);
    *out = board->facts;
    out->nodes = lend_array(arena, out->nodes, out->count * sizeof(*out->nodes));
    out->distances =
        lend_array(arena, out->distances, out->distance_count * sizeof(*out->distances));
    pthread_mutex_unlock(&board->lock);
}

const struct board_node *board_find(const struct board_facts *facts, const char *id)
{
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->nodes[i].id, id) == 0)
            return &facts->nodes[i];
    return NULL;
}

uint64_t board_distance_us(const struct board_facts *facts, const char *id)
{
    uint64_t least_us = KR_BOARD_UNKNOWN;
    for (size_t i = 0; i < facts->distance_count; i++) {
        const struct board_distance *one = &facts->distances[i];
        if (one->round_trip_us < least_us && strcmp(one->id, id) == 0)
            least_us = one->round_trip_us;
    }
    return least_us;
}
