// SPDX-License-Identifier: Apache-2.0
// The inside of a view, shared by store_view.c and store_cursor.c. One thread at a time.
#pragma once

#include "core/store/store_internal.h"

#define KR_VIEW_KEPT 16

// A row that the next caller of the view will ask for as well.
struct store_kept {
    enum index_family family;
    struct bytes key, value; // in the view's arena
};

struct store_view {
    struct store *store;
    struct index_snapshot *snapshot;
    struct index_reader reader;
    const _Atomic bool *is_given_up; // NULL: never
    bool is_reused;
    uint64_t index; // applied; UINT64_MAX: not looked at yet
    struct arena arena;
    struct store_kept kept[KR_VIEW_KEPT];
    size_t kept_count;
};

// Remembers that a row of the family is damaged, unless the view has met damage before.
void store_view_damage(struct store_view *view, enum index_family family);
// err of a decoder → whether there is a record, with the damage remembered.
bool store_view_decoded(struct store_view *view, enum index_family family, enum kr_err err);
