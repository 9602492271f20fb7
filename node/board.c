// SPDX-License-Identifier: Apache-2.0
// The board: one copy of the facts behind a lock that is held for a memcpy.
#include "node/board.h"

#include <pthread.h>

struct board {
    pthread_mutex_t lock;
    struct board_facts facts; // nodes are ours
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

void board_free(struct board **board)
{
    pthread_mutex_destroy(&(*board)->lock);
    mem_free((void *)(uintptr_t)(*board)->facts.nodes);
    mem_free(*board);
    *board = NULL;
}

void board_put(struct board *board, const struct board_facts *facts)
{
    size_t size = facts->count * sizeof(facts->nodes[0]);
    struct board_node *copy = size > 0 ? mem_alloc(size) : NULL;
    if (copy != NULL)
        memcpy(copy, facts->nodes, size);
    pthread_mutex_lock(&board->lock);
    const struct board_node *old = board->facts.nodes;
    board->facts = *facts;
    board->facts.nodes = copy;
    pthread_mutex_unlock(&board->lock);
    mem_free((void *)(uintptr_t)old);
}

void board_read(struct board *board, struct arena *arena, struct board_facts *out)
{
    pthread_mutex_lock(&board->lock);
    *out = board->facts;
    if (out->count > 0) {
        struct board_node *copy = arena_zalloc(arena, out->count * sizeof(*copy));
        memcpy(copy, board->facts.nodes, out->count * sizeof(*copy));
        out->nodes = copy;
    }
    pthread_mutex_unlock(&board->lock);
}

const struct board_node *board_find(const struct board_facts *facts, const char *id)
{
    for (size_t i = 0; i < facts->count; i++)
        if (strcmp(facts->nodes[i].id, id) == 0)
            return &facts->nodes[i];
    return NULL;
}
