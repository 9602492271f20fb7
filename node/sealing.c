// SPDX-License-Identifier: Apache-2.0
// The vault against the state.
#include "node/sealing.h"

#include "core/store/store_vault.h"
#include "node/master_key.h"

static enum kr_err check_one(const struct node *node, const struct sealed_version *version,
                             struct fault *fault)
{
    char place[KR_MASTER_KEY_PLACE_SIZE];
    master_key_place(node->config, place);
    switch (vault_fits(node->vault, version)) {
    case KR_VAULT_FITS:
        return KR_ERR_OK;
    case KR_VAULT_MISSING:
        return fault_set(fault, KR_ERR_NOT_FOUND,
                         "%s: lacks the master key of version %u, under which values are sealed; "
                         "put back its line %u:64 hex digits",
                         place, version->version, version->version);
    case KR_VAULT_OTHER_KEY:
        return fault_set(fault, KR_ERR_CONFLICT,
                         "%s: the master key of version %u is not the cluster's, and would open no "
                         "value; restore the right one from your copy",
                         place, version->version);
    }
    return KR_ERR_INTERNAL;
}

// count 0: the state knows none, or cannot be read.
static enum kr_err read_versions(const struct node *node, struct sealed_versions *out,
                                 struct fault *fault)
{
    struct arena arena;
    arena_init(&arena);
    struct store_view *view = store_view_open(node->store);
    store_vault_versions(view, &arena, out);
    enum kr_err err = store_view_error(view, fault);
    store_view_close(&view);
    arena_fini(&arena);
    return err;
}

enum kr_err sealing_check(const struct node *node, struct fault *fault)
{
    struct sealed_versions versions;
    enum kr_err err = read_versions(node, &versions, fault);
    for (size_t i = 0; i < versions.count && err == KR_ERR_OK; i++)
        err = check_one(node, &versions.items[i], fault);
    return err;
}

void sealing_insist(const struct node *node)
{
    struct fault fault;
    if (sealing_check(node, &fault) != KR_ERR_OK)
        node_die(&fault);
}

static bool opens(const struct vault *vault, const struct sealed *sealed)
{
    struct buf plain;
    buf_init(&plain, sealed->box.size);
    bool is_open = vault_open(vault, sealed, &plain) == KR_ERR_OK;
    buf_fini(&plain);
    return is_open;
}

enum kr_err sealing_check_values(const struct node *node, struct fault *fault)
{
    char place[KR_MASTER_KEY_PLACE_SIZE];
    struct command_op op;
    struct sealed sealed;
    struct arena arena;
    bool has_any = false, has_opened = false;
    if (!sealing_first(node, &op))
        return KR_ERR_OK;
    arena_init(&arena);
    struct store_view *view = store_view_open(node->store);
    struct store_cursor *cursor = store_vault_values(view, NULL);
    while (!has_opened && store_vault_next(cursor, &arena, &sealed)) {
        has_any = true;
        has_opened = opens(node->vault, &sealed);
        arena_reset(&arena);
    }
    store_cursor_close(&cursor);
    enum kr_err err = store_view_error(view, fault);
    store_view_close(&view);
    arena_fini(&arena);
    if (err != KR_ERR_OK || !has_any || has_opened)
        return err;
    master_key_place(node->config, place);
    return fault_set(fault, KR_ERR_CONFLICT,
                     "%s: the master key opens none of the values that are kept; restore the one "
                     "that has sealed them from your copy",
                     place);
}

bool sealing_first(const struct node *node, struct command_op *op)
{
    struct sealed_versions versions;
    (void)read_versions(node, &versions, NULL);
    *op = (struct command_op){.kind = KR_OP_VAULT_VERSION,
                              .as.vault_version.current = vault_oldest(node->vault)};
    return versions.count == 0;
}

bool sealing_version(const struct vault *vault, struct store_view *view, uint32_t *version)
{
    struct sealed_versions versions;
    struct arena arena;
    arena_init(&arena);
    struct sealed_version current = vault_oldest(vault);
    if (store_vault_versions(view, &arena, &versions))
        current = versions.items[versions.count - 1];
    arena_fini(&arena);
    *version = current.version;
    return vault_fits(vault, &current) == KR_VAULT_FITS;
}
