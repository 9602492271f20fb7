// SPDX-License-Identifier: Apache-2.0
// Snapshots whose child has gone.
#include "replication/exports.h"

#include <stdio.h>

struct exports_row {
    struct state_export *export; // NULL: free
    char child_id[KR_STATE_NAME_SIZE];
    uint64_t until_ms;
};

struct exports {
    const struct state *state;
    struct exports_row rows[KR_EXPORTS_MAX];
};

struct exports *exports_new(const struct state *state)
{
    struct exports *exports = mem_zalloc(sizeof(*exports));
    exports->state = state;
    return exports;
}

static void drop(struct exports *exports, struct exports_row *row)
{
    if (row->export != NULL)
        exports->state->export_close(&row->export);
    *row = (struct exports_row){0};
}

void exports_free(struct exports **exports)
{
    for (size_t i = 0; i < KR_EXPORTS_MAX; i++)
        drop(*exports, &(*exports)->rows[i]);
    mem_free(*exports);
    *exports = NULL;
}

// A free row has the smallest time of all.
void exports_park(struct exports *exports, const char *child_id, struct state_export *export,
                  uint64_t now_ms)
{
    struct exports_row *row = &exports->rows[0];
    for (size_t i = 1; i < KR_EXPORTS_MAX; i++)
        if (exports->rows[i].until_ms < row->until_ms)
            row = &exports->rows[i];
    drop(exports, row);
    row->export = export;
    row->until_ms = now_ms + KR_EXPORTS_KEPT_MS;
    snprintf(row->child_id, sizeof(row->child_id), "%s", child_id);
}

static uint64_t index_of(const struct exports *exports, const struct exports_row *row)
{
    struct store_position position;
    exports->state->export_position(row->export, &position);
    return position.index;
}

struct state_export *exports_claim(struct exports *exports, const char *child_id, uint64_t index)
{
    for (size_t i = 0; i < KR_EXPORTS_MAX; i++) {
        struct exports_row *row = &exports->rows[i];
        if (row->export == NULL || strcmp(row->child_id, child_id) != 0 ||
            index_of(exports, row) != index)
            continue;
        struct state_export *export = row->export;
        *row = (struct exports_row){0};
        return export;
    }
    return NULL;
}

void exports_tick(struct exports *exports, uint64_t now_ms)
{
    for (size_t i = 0; i < KR_EXPORTS_MAX; i++)
        if (exports->rows[i].export != NULL && exports->rows[i].until_ms <= now_ms)
            drop(exports, &exports->rows[i]);
}
