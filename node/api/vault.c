// SPDX-License-Identifier: Apache-2.0
// Rotation of the vault key: a bounded step a call, so that the node serves meanwhile.
//
// The first call puts the newest version of this node's master keys into the state: new values are
// sealed under it from then on. The others seal the values of older versions again, some a call,
// behind the cursor that the call before has given. A call without one counts all that is left;
// when that is nothing, the older versions are forgotten, and their master keys may go. So it does
// not matter who makes these calls, nor how often, nor whether they break off.
#include "core/store/store_vault.h"
#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/node.h"

enum { KR_ROTATE_VALUES = 500, KR_ROTATE_BYTES = 1 << 18, KR_ROTATE_ROWS = 20000 };

struct rotation {
    struct call *call;
    uint32_t version;
    const char *after;  // NULL: all are looked at
    const char *cursor; // where the next call goes on; NULL: it looks at all
    const char *shut;   // a key whose value cannot be opened; NULL: none
    uint64_t resealed, remaining, rows;
    size_t bytes;
};

// --- the answer ----------------------------------------------------------------------------------

static enum kr_err answer(const struct rotation *rotation, bool is_done)
{
    struct json_writer writer;
    api_json_begin(rotation->call, &writer);
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "version", rotation->version);
    json_write_integer(&writer, "resealed", (int64_t)rotation->resealed);
    if (rotation->after == NULL)
        json_write_integer(&writer, "remaining", (int64_t)rotation->remaining);
    else
        json_write_null(&writer, "remaining");
    json_write_string(&writer, "cursor", rotation->cursor);
    json_write_bool(&writer, "isDone", is_done);
    json_close(&writer, '}');
    return api_json_end(rotation->call, &writer);
}

static const char *detail(struct call *call, uint32_t version)
{
    return arena_printf(&call->arena, "{\"version\":%u}", version);
}

// --- values --------------------------------------------------------------------------------------

static void reseal(struct rotation *rotation, const struct sealed *sealed)
{
    struct call *call = rotation->call;
    struct buf plain, box;
    buf_init(&plain, sealed->box.size);
    buf_init(&box, sealed->box.size);
    const char *key_id = arena_text(&call->arena, sealed->key_id);
    if (vault_open(call->node->vault, sealed, &plain) != KR_ERR_OK) {
        rotation->shut = key_id;
    } else {
        vault_seal(call->node->vault, rotation->version, key_id, buf_bytes(&plain), &box);
        api_op(call, KR_OP_VAULT_PUT)->as.vault_put =
            (struct sealed){.key_id = key_id,
                            .vault_version = rotation->version,
                            .box = arena_bytes_of(&call->arena, buf_bytes(&box))};
        rotation->resealed++;
        rotation->bytes += box.size;
        rotation->cursor = key_id;
    }
    buf_fini(&box);
    buf_fini(&plain);
}

static bool is_full(const struct rotation *rotation)
{
    return rotation->resealed >= KR_ROTATE_VALUES || rotation->bytes >= KR_ROTATE_BYTES;
}

// False: enough for this call.
static bool look_at(struct rotation *rotation, const struct sealed *sealed)
{
    bool is_old = sealed->vault_version < rotation->version;
    rotation->rows++;
    if (is_old && !is_full(rotation))
        reseal(rotation, sealed);
    else if (is_old)
        rotation->remaining++;
    if (rotation->after == NULL || (!is_full(rotation) && rotation->rows < KR_ROTATE_ROWS))
        return true;
    rotation->cursor = arena_text(&rotation->call->arena, sealed->key_id);
    return false;
}

static void walk(struct rotation *rotation)
{
    struct sealed sealed;
    struct arena arena;
    bool goes_on = true;
    arena_init(&arena);
    struct store_cursor *cursor = store_vault_values(rotation->call->view, rotation->after);
    while (goes_on && store_vault_next(cursor, &arena, &sealed)) {
        goes_on = look_at(rotation, &sealed);
        arena_reset(&arena);
    }
    bool is_end = rotation->after == NULL ? rotation->remaining == 0 : goes_on;
    if (is_end)
        rotation->cursor = NULL;
    store_cursor_close(&cursor);
    arena_fini(&arena);
}

// --- steps ---------------------------------------------------------------------------------------

// The core nodes that have told of another newest key, or not yet of any, would stop at the entry.
// Of one that has not been heard nobody knows; it is refused at its start.
static enum kr_err check_others(struct call *call)
{
    const struct node *node = call->node;
    struct board_facts facts;
    struct member member;
    enum kr_err err = KR_ERR_OK;
    board_read(node->board, &call->arena, &facts);
    struct store_cursor *cursor = store_members(call->view);
    while (err == KR_ERR_OK && store_next_member(cursor, &call->arena, &member)) {
        const struct board_node *seen = board_find(&facts, member.id);
        if (member.role != KR_MEMBER_CORE || member.is_removed || seen == NULL ||
            seen->state == KR_BOARD_UNHEARD || strcmp(member.id, node->identity.node_id) == 0)
            continue;
        if (seen->vault_mark != vault_mark(node->vault))
            err = api_problem(call, KR_ERR_CONFLICT,
                              "core node %s has another newest master key than this leader, or has "
                              "not told of it yet: give all core nodes the same master key with "
                              "version %u, restart them, and try again",
                              member.id, vault_newest(node->vault).version);
    }
    store_cursor_close(&cursor);
    return err;
}

static enum kr_err begin(struct rotation *rotation, const struct sealed_version *newest)
{
    struct call *call = rotation->call;
    struct sealed sealed;
    struct arena arena;
    enum kr_err err = check_others(call);
    if (err != KR_ERR_OK)
        return err;
    arena_init(&arena);
    struct store_cursor *cursor = store_vault_values(call->view, NULL);
    while (store_vault_next(cursor, &arena, &sealed)) {
        rotation->remaining++;
        arena_reset(&arena);
    }
    store_cursor_close(&cursor);
    arena_fini(&arena);
    api_op(call, KR_OP_VAULT_VERSION)->as.vault_version.current = *newest;
    api_audit(call, "vault.rotate", "vault", "vault", detail(call, newest->version));
    return answer(rotation, false);
}

// No value of an older version can come: apply refuses it since the newest one was put there.
static enum kr_err end(struct rotation *rotation, const struct sealed_versions *versions)
{
    struct call *call = rotation->call;
    if (rotation->shut != NULL)
        return api_problem(call, KR_ERR_CONFLICT,
                           "all values but those that no master key here opens are sealed under "
                           "version %u, the one of %s for instance: delete such keys, or put their "
                           "master key back, and rotate again",
                           rotation->version, rotation->shut);
    if (versions->count > 1) {
        api_op(call, KR_OP_VAULT_VERSION)->as.vault_version =
            (struct command_vault_version){versions->items[versions->count - 1], true};
        api_audit(call, "vault.rotated", "vault", "vault", detail(call, rotation->version));
    }
    return answer(rotation, true);
}

static enum kr_err go_on(struct rotation *rotation, const struct sealed_versions *versions)
{
    walk(rotation);
    bool is_end = rotation->after == NULL && rotation->resealed == 0;
    return is_end ? end(rotation, versions) : answer(rotation, false);
}

enum kr_err api_vault_rotate(struct call *call)
{
    struct rotation rotation = {.call = call};
    struct sealed_versions versions;
    const struct sealed_version newest = vault_newest(call->node->vault);
    const struct api_member members[] = {
        {"cursor", KR_MEMBER_TEXT, &rotation.after, KR_LABEL_MAX, false, NULL}};
    enum kr_err err =
        api_check_unlimited(call, "the token is limited; the vault is the whole account's");
    if (err == KR_ERR_OK)
        err = api_body(call, members, 1);
    if (err != KR_ERR_OK)
        return err;
    if (!store_vault_versions(call->view, &call->arena, &versions))
        return api_problem(call, KR_ERR_BUSY, "this leader has only begun; try again");
    const struct sealed_version *last = &versions.items[versions.count - 1];
    if (vault_fits(call->node->vault, last) != KR_VAULT_FITS)
        return api_problem(call, KR_ERR_BUSY, "this node's master key is not the cluster's");
    if (newest.version > last->version && versions.count == KR_SEALED_VERSIONS_MAX)
        return api_problem(call, KR_ERR_CONFLICT,
                           "the vault has %d versions; give no newer one "
                           "before their rotation is done",
                           KR_SEALED_VERSIONS_MAX);
    rotation.version = newest.version > last->version ? newest.version : last->version;
    return newest.version > last->version ? begin(&rotation, &newest) : go_on(&rotation, &versions);
}
