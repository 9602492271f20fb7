// SPDX-License-Identifier: Apache-2.0
// What the tests of management handlers share: a node without sockets or loops, whose calls go
// through the executor and whose commands are applied to a real store at once.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/rand.h"
#include "node/api/receipt.h"
#include "node/dispatch.h"
#include "node/executor.h"
#include "node/node.h"
#include "proto/codec.h"

#define KR_API_NOW_MS INT64_C(1700000000000) // 2023-11-14T22:13:20.000Z
#define KR_API_BUCKETS "/v1/accounts/default/key-buckets"
#define KR_API_ACCOUNT "acct_000000000000000000000001"
#define KR_API_TOKEN "key_0000000000000000000owner"

struct api_world {
    char directory[256];
    struct config config;
    struct node node;
    struct arena arena; // of what outlives a call; freed at the end
    int64_t now_ms;     // of the next call
    unsigned roles;     // of the next call's token

    // Of the next call, then cleared.
    const char *if_match, *idempotency_key;
    // Called before the command of the next call is applied, once: what others do meanwhile.
    void (*meanwhile)(struct api_world *world);

    // Of the last call.
    struct call *call;
    struct json *json; // its answer, or NULL
    unsigned runs;     // of its handler
};

static inline int api_remove(const char *path, const struct stat *status, int type,
                             struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

// --- the state -----------------------------------------------------------------------------------

// Encodes the command as the next entry of the log and applies it.
static inline struct apply_result api_apply(struct api_world *world, const struct command *command)
{
    struct apply_result result = {.code = KR_APPLY_REFUSED};
    struct fault fault = {.err = KR_ERR_OK};
    struct entry entry = {.index = store_applied_index(world->node.store) + 1,
                          .epoch = 1,
                          .at_unix_us = world->now_ms * 1000,
                          .command = *command};
    struct buf bytes;
    buf_init(&bytes, KR_REPLICA_ENTRY_BYTES);
    codec_add_entry(&bytes, &entry);
    assert_int_equal(buf_result(&bytes), KR_ERR_OK);
    struct store_row row = {entry.index, buf_bytes(&bytes)};
    if (store_apply(world->node.store, &row, 1, &result, &fault) != KR_ERR_OK)
        fail_msg("apply: %s", fault.text);
    buf_fini(&bytes);
    return result;
}

static inline void api_add_bucket(struct api_world *world, struct command *command,
                                  const char *name, bool is_retrievable)
{
    static unsigned number;
    struct command_op *op = command_add(command, KR_OP_BUCKET_PUT, &world->arena);
    bool is_system = strcmp(name, KR_SYSTEM_BUCKET) == 0;
    op->as.bucket_put.record =
        (struct bucket){.id = arena_printf(&world->arena, "bckt_%024u", ++number),
                        .name = arena_text(&world->arena, name),
                        .key_prefix = is_system ? "kr_mgmt" : "kr_live",
                        .is_retrievable = is_retrievable,
                        .is_system = is_system,
                        .is_delete_protected = is_system,
                        .max_staleness_ms = KR_MAX_STALENESS_DEFAULT_MS,
                        .metadata_limit_bytes = 1024,
                        .created_ms = world->now_ms,
                        .updated_ms = world->now_ms};
}

// The account "default"; the buckets `production` (keeps no values), `vault` (keeps them) and the
// system's own.
static inline void api_init_state(struct api_world *world)
{
    struct command command = {.actor = "system", .requested_ms = world->now_ms};
    command_add(&command, KR_OP_CLUSTER_INIT, &world->arena)->as.cluster_init =
        (struct command_cluster_init){"clst_000000000000000000000001", KR_API_ACCOUNT, "default"};
    api_add_bucket(world, &command, "production", false);
    api_add_bucket(world, &command, "vault", true);
    api_add_bucket(world, &command, KR_SYSTEM_BUCKET, false);
    command_add(&command, KR_OP_VAULT_VERSION, &world->arena)->as.vault_version.current =
        vault_oldest(world->node.vault);
    assert_int_equal(api_apply(world, &command).code, KR_APPLY_OK);
}

static inline void api_defaults(struct api_world *world)
{
    struct config *config = &world->config;
#define TEXT(name, fallback, help) config->name = arena_text(&world->arena, fallback);
#define NUMBER(name, fallback, least, most, unit, help) config->name = fallback;
#define FLAG(name, fallback, help) config->name = fallback;
#define SECRET(name, help)
#include "node/config_table.h"
#undef TEXT
#undef NUMBER
#undef FLAG
#undef SECRET
}

static inline void api_start(struct api_world *world)
{
    static const struct vault_master masters[] = {{1, "a master key for the tests only"},
                                                  {2, "the one that comes after it...."}};
    struct fault fault = {.err = KR_ERR_OK};
    const char *parent = getenv("TMPDIR");
    rand_init();
    *world = (struct api_world){.now_ms = KR_API_NOW_MS, .roles = KR_ROLE_OWNER};
    arena_init(&world->arena);
    api_defaults(world);
    snprintf(world->directory, sizeof(world->directory), "%s/keyreeve-api-XXXXXX",
             parent != NULL && *parent != '\0' ? parent : "/tmp");
    assert_non_null(mkdtemp(world->directory));
    struct store_options options = {.directory = world->directory, .block_cache_bytes = 8u << 20};
    if (store_open(&options, &world->node.store, &fault) != KR_ERR_OK)
        fail_msg("open: %s", fault.text);
    world->node.config = &world->config;
    world->node.vault = vault_new(masters, 2);
    world->node.denials = denials_new();
    world->node.names = names_new();
    world->node.board = board_new();
    strcpy(world->node.cluster_id, "clst_000000000000000000000001");
    strcpy(world->node.identity.node_id, "node-1");
    strcpy(world->node.identity.region, "local");
    api_init_state(world);
}

// --- calls ---------------------------------------------------------------------------------------

static inline void api_end_call(struct api_world *world)
{
    if (world->json != NULL)
        json_free(&world->json);
    if (world->call == NULL)
        return;
    buf_fini(&world->call->answer.body);
    arena_fini(&world->call->arena);
    mem_free(world->call);
    world->call = NULL;
}

static inline void api_end(struct api_world *world)
{
    api_end_call(world);
    store_close(&world->node.store);
    vault_free(&world->node.vault);
    denials_free(&world->node.denials);
    names_free(&world->node.names);
    board_free(&world->node.board);
    arena_fini(&world->arena);
    nftw(world->directory, api_remove, 16, FTW_DEPTH | FTW_PHYS);
}

// The setup of a test, and its teardown: *state is the world.
static inline int api_setup(void **state)
{
    struct api_world *world = calloc(1, sizeof(*world));
    api_start(world);
    *state = world;
    return 0;
}

static inline int api_teardown(void **state)
{
    api_end(*state);
    free(*state);
    return 0;
}

static inline void api_place(struct call *call, const char *path)
{
    const char *segments[KR_URI_SEGMENTS_MAX], *template = call->route->path;
    size_t count = 0;
    assert_true(uri_split_path(bytes_text(path), &call->arena, segments, &count));
    for (size_t i = 0; i < count && *template == '/'; i++) {
        size_t size = strcspn(++template, "/");
        struct bytes name = bytes_of(template, size);
        if (bytes_equal_text(name, "{account}"))
            call->account = segments[i];
        else if (bytes_equal_text(name, "{bucket}"))
            call->bucket_name = segments[i];
        else if (bytes_equal_text(name, "{consumer}"))
            call->consumer_name = segments[i];
        else if (*template == '{')
            call->item = segments[i];
        template += size;
    }
}

// A call as the serving loop would make it; target is the path and the query.
static inline void api_make(struct api_world *world, const char *method, const char *target,
                            struct bytes body)
{
    static unsigned number;
    struct dispatch_match match;
    struct http_request request = {.method_name = bytes_text(method)};
    struct call *call = mem_zalloc(sizeof(*call));
    arena_init(&call->arena);
    buf_init(&call->answer.body, 64u << 20);
    char *path = arena_text(&call->arena, target), *query = strchr(path, '?');
    if (query != NULL)
        *query++ = '\0';
    request.method = strcmp(method, "GET") == 0 ? KR_HTTP_GET : KR_HTTP_OTHER;
    request.path = bytes_text(path);
    dispatch_find(&request, &match);
    if (match.route == NULL)
        fail_msg("no route for %s %s", method, target);
    call->node = &world->node;
    call->route = match.route;
    call->path = path;
    call->request_id = arena_printf(&call->arena, "req-%u", ++number);
    call->client_address = "192.0.2.1";
    call->now_ms = world->now_ms;
    call->token = bytes_text("kr_mgmt_the_value_of_a_token");
    call->if_match = world->if_match;
    call->idempotency_key = world->idempotency_key;
    call->body = bytes_of(arena_text_of(&call->arena, body), body.size);
    call->actor = (struct access){.roles = world->roles, .environment = -1};
    strcpy(call->actor.token_id, KR_API_TOKEN);
    api_place(call, path);
    if (query != NULL)
        assert_true(uri_split_query(bytes_text(query), &call->arena, call->parameters,
                                    KR_CALL_PARAMETERS_MAX, &call->parameter_count));
    world->call = call;
    world->if_match = world->idempotency_key = NULL;
}

static inline void api_meanwhile(struct api_world *world)
{
    void (*meanwhile)(struct api_world * world) = world->meanwhile;
    struct call *call = world->call;
    struct json *json = world->json;
    if (meanwhile == NULL)
        return;
    world->meanwhile = NULL;
    world->call = NULL;
    world->json = NULL;
    meanwhile(world);
    api_end_call(world);
    world->call = call;
    world->json = json;
}

static inline enum executor_next api_execute(struct api_world *world)
{
    struct store_view *view = store_view_open(world->node.store);
    enum executor_next next = executor_run(world->call, view);
    store_view_close(&view);
    return next;
}

// Runs the call to its end, as the control loop does.
static inline void api_run(struct api_world *world)
{
    enum executor_next next = KR_EXECUTOR_AGAIN;
    while (next == KR_EXECUTOR_AGAIN) {
        next = api_execute(world);
        if (next != KR_EXECUTOR_SUBMIT)
            break;
        api_meanwhile(world);
        struct replica_outcome outcome = {.result = api_apply(world, &world->call->command),
                                          .index = store_applied_index(world->node.store),
                                          .epoch = 1,
                                          .committed_ms = world->now_ms};
        next = executor_committed(world->call, &outcome);
    }
    if (next == KR_EXECUTOR_RECEIPT) {
        const struct receipt_node alone = {world->node.identity.node_id,
                                           world->node.identity.region, KR_RECEIPT_APPLIED,
                                           receipt_commit_ms(world->call)};
        (void)receipt_write(world->call, &alone, 1);
    }
    world->runs = world->call->attempts;
}

static inline unsigned api_send_bytes(struct api_world *world, const char *method,
                                      const char *target, struct bytes body)
{
    struct fault fault;
    api_end_call(world);
    api_make(world, method, target, body);
    api_run(world);
    const struct call_answer *answer = &world->call->answer;
    if (answer->body.size > 0 && answer->content_type != NULL &&
        strstr(answer->content_type, "json") != NULL &&
        json_parse(buf_bytes(&answer->body), &world->json, &fault) != KR_ERR_OK)
        fail_msg("the answer is no JSON: %s", fault.text);
    return answer->status;
}

// Sends a call and gives the status of its answer; body NULL: none.
static inline unsigned api_send(struct api_world *world, const char *method, const char *target,
                                const char *body)
{
    return api_send_bytes(world, method, target, bytes_text(body == NULL ? "" : body));
}

// --- answers -------------------------------------------------------------------------------------

// A value of the last answer by its path: "data.0.key"; NULL when it is not there.
static inline const struct json *api_value(const struct api_world *world, const char *path)
{
    const struct json *value = world->json;
    char name[64];
    while (value != NULL && *path != '\0') {
        size_t size = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)size, path);
        value = json_type_of(value) == KR_JSON_ARRAY ? json_at(value, (size_t)atol(name))
                                                     : json_member(value, name);
        path += path[size] == '.' ? size + 1 : size;
    }
    return value;
}

// Texts of the answer, copied so that they outlive it; NULL when null or not there.
static inline const char *api_text(struct api_world *world, const char *path)
{
    const struct json *value = api_value(world, path);
    if (value == NULL || json_type_of(value) != KR_JSON_STRING)
        return NULL;
    return arena_text(&world->arena, json_text(value));
}

static inline int64_t api_number(const struct api_world *world, const char *path)
{
    const struct json *value = api_value(world, path);
    return value == NULL || json_type_of(value) != KR_JSON_INTEGER ? INT64_MIN : json_int64(value);
}

static inline const char *api_answer_field(const struct api_world *world, const char *name)
{
    const struct call_answer *answer = &world->call->answer;
    for (size_t i = 0; i < answer->field_count; i++) {
        if (strcmp(answer->fields[i].name, name) == 0)
            return answer->fields[i].value;
    }
    return NULL;
}

static inline bool api_answer_has(const struct api_world *world, const char *text)
{
    const struct buf *body = &world->call->answer.body;
    return body->size > 0 && memmem(body->data, body->size, text, strlen(text)) != NULL;
}

// Fails with the answer in the message when its status is another.
static inline void api_expect(struct api_world *world, unsigned status, const char *method,
                              const char *target, const char *body)
{
    unsigned got = api_send(world, method, target, body);
    if (got != status)
        fail_msg("%s %s: %u instead of %u: %.*s", method, target, got, status,
                 (int)world->call->answer.body.size, (const char *)world->call->answer.body.data);
}

// A refusal whose detail names what is wrong.
static inline void api_expect_problem(struct api_world *world, unsigned status, const char *method,
                                      const char *target, const char *body, const char *part)
{
    api_expect(world, status, method, target, body);
    const char *detail = api_text(world, "detail");
    if (detail == NULL || strstr(detail, part) == NULL)
        fail_msg("%s %s: the detail \"%s\" does not name %s", method, target,
                 detail == NULL ? "" : detail, part);
}

// The newest audit row; texts in the world's arena.
static inline struct audit api_last_audit(struct api_world *world)
{
    struct audit audit = {0};
    struct store_view *view = store_view_open(world->node.store);
    struct store_cursor *cursor = store_audits(view, 0, INT64_MAX / 2);
    assert_true(store_next_audit(cursor, &world->arena, &audit));
    store_cursor_close(&cursor);
    store_view_close(&view);
    return audit;
}
