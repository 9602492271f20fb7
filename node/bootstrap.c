// SPDX-License-Identifier: Apache-2.0
// The first start of a node: what it makes, and what a later start reads back.
#include "node/bootstrap.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rand.h"
#include "core/base/text.h"

enum { KR_METADATA_LIMIT = 1024, KR_PATH_SIZE = 4096 };

// --- the master key ------------------------------------------------------------------------------

static enum kr_err make_master_key(const char *path, struct fault *fault)
{
    uint8_t master[KR_VAULT_MASTER_SIZE];
    char hex[2 * KR_VAULT_MASTER_SIZE + 2];
    rand_bytes(master, sizeof(master));
    text_hex(master, sizeof(master), hex);
    hex[sizeof(hex) - 2] = '\n';
    enum kr_err err = file_replace(path, bytes_of(hex, sizeof(hex) - 1), 0600, fault);
    mem_zero(master, sizeof(master));
    mem_zero(hex, sizeof(hex));
    return err;
}

static bool is_new(struct node *node)
{
    struct arena arena;
    struct store_cluster cluster;
    arena_init(&arena);
    struct store_view *view = store_view_open(node->store);
    bool is_known = store_get_cluster(view, &arena, &cluster);
    store_view_close(&view);
    arena_fini(&arena);
    return !is_known;
}

static enum kr_err read_master_key(struct node *node, const char *path, struct fault *fault)
{
    uint8_t master[KR_VAULT_MASTER_SIZE];
    struct buf content;
    buf_init(&content, 256);
    enum kr_err err = file_read_secret(path, &content, fault);
    if (err != KR_ERR_OK)
        goto done;
    while (content.size > 0 && content.data[content.size - 1] == '\n')
        content.size--;
    if (!text_from_hex(buf_bytes(&content), master, sizeof(master))) {
        err = fault_set(fault, KR_ERR_INVALID,
                        "%s: not a master key; it holds 64 hex digits. Restore it from your copy",
                        path);
        goto done;
    }
    node->vault = vault_new(master);
    mem_zero(master, sizeof(master));
done:
    buf_fini(&content);
    return err;
}

enum kr_err bootstrap_vault(struct node *node, struct fault *fault)
{
    char path[KR_PATH_SIZE];
    const char *given = node->config->master_key_file;
    if (given[0] != '\0')
        return read_master_key(node, given, fault);
    snprintf(path, sizeof(path), "%s/master-key", node->config->data);
    bool exists = access(path, F_OK) == 0;
    if (!exists && !is_new(node))
        return fault_set(fault, KR_ERR_NOT_FOUND,
                         "%s is missing, and the values of retrievable keys need it; restore it "
                         "from your copy, or name it with --master-key-file",
                         path);
    enum kr_err err = exists ? KR_ERR_OK : make_master_key(path, fault);
    return err == KR_ERR_OK ? read_master_key(node, path, fault) : err;
}

// --- the first entry -----------------------------------------------------------------------------

struct making {
    struct node *node;
    struct arena *arena;
    struct command command;
    int64_t now_ms;
    char token[KR_KEY_MINTED_SIZE];
    bool is_done;
    enum kr_err err;
};

static const char *new_id(struct making *making, const char *type)
{
    char random[25] = "";
    rand_base62(random, 24);
    return arena_printf(making->arena, "%s_%s", type, random);
}

static const char *add_bucket(struct making *making, const char *name, enum environment environment,
                              bool is_system)
{
    struct command_op *op = command_add(&making->command, KR_OP_BUCKET_PUT, making->arena);
    const char *id = new_id(making, "bckt");
    op->as.bucket_put.record = (struct bucket){
        .id = id,
        .name = name,
        .environment = environment,
        .key_prefix = is_system ? "kr_mgmt" : environment_prefix(environment),
        .is_system = is_system,
        .is_delete_protected = is_system,
        // A token must work on a node that is cut off, or nobody could look at it.
        .max_staleness_ms = is_system ? KR_UNBOUNDED : KR_MAX_STALENESS_DEFAULT_MS,
        .metadata_limit_bytes = KR_METADATA_LIMIT,
        .created_ms = making->now_ms,
        .updated_ms = making->now_ms,
    };
    return id;
}

static void add_token(struct making *making, const char *bucket_id)
{
    static const char *const scopes[] = {"role:owner"};
    struct command_op *op = command_add(&making->command, KR_OP_CONSUMER_PUT, making->arena);
    const char *consumer_id = new_id(making, "csmr");
    op->as.consumer_put.record = (struct consumer){
        .id = consumer_id,
        .bucket_id = bucket_id,
        .name = "management",
        .metadata = "{}",
        .created_ms = making->now_ms,
        .updated_ms = making->now_ms,
    };
    op = command_add(&making->command, KR_OP_KEY_PUT, making->arena);
    struct key *key = &op->as.key_put.record;
    char body[KR_KEY_BODY_SIZE + 1] = "";
    char masked[KR_KEY_MASKED_SIZE];
    rand_base62(body, KR_KEY_BODY_SIZE);
    format_mint("kr_mgmt", body, making->token);
    format_mask(bytes_text(making->token), masked);
    *key = (struct key){
        .id = new_id(making, "key"),
        .bucket_id = bucket_id,
        .consumer_id = consumer_id,
        .description = "owner token of the bootstrap",
        .metadata = "{}",
        .scopes = {scopes, 1},
        .masked = arena_text(making->arena, masked),
        .created_by = "system",
        .is_enabled = true,
        .created_ms = making->now_ms,
        .updated_ms = making->now_ms,
    };
    digest_sha256(bytes_text(making->token), key->digest);
    mem_zero(body, sizeof(body));
}

static void build(struct making *making)
{
    struct command_op *op = command_add(&making->command, KR_OP_CLUSTER_INIT, making->arena);
    op->as.cluster_init = (struct command_cluster_init){
        .cluster_id = new_id(making, "clst"),
        .account_id = new_id(making, "acct"),
        .account_name = making->node->config->account,
    };
    add_bucket(making, "production", KR_ENV_PRODUCTION, false);
    add_bucket(making, "preview", KR_ENV_PREVIEW, false);
    add_bucket(making, "development", KR_ENV_DEVELOPMENT, false);
    add_token(making, add_bucket(making, KR_SYSTEM_BUCKET, KR_ENV_PRODUCTION, true));
    struct audit *audit = arena_zalloc(making->arena, sizeof(*audit));
    *audit = (struct audit){.action = "cluster.init",
                            .actor_id = "system",
                            .actor_label = "bootstrap",
                            .target = "cluster",
                            .target_name = making->node->config->account,
                            .detail = "{}",
                            .client_address = "",
                            .request_id = "bootstrap",
                            .is_success = true};
    making->command.audit = audit;
    making->command.actor = "system";
    making->command.request_id = "bootstrap";
    making->command.requested_ms = making->now_ms;
}

static void made(void *ctx, const struct replica_outcome *outcome)
{
    struct making *making = ctx;
    making->is_done = true;
    making->err = outcome->err;
    if (outcome->err == KR_ERR_OK && outcome->result.code != KR_APPLY_OK)
        making->err = KR_ERR_INTERNAL;
}

// No loop runs yet: the turns are taken by hand.
static enum kr_err commit(struct making *making, struct fault *fault)
{
    struct node *node = making->node;
    engine_turn(node->engine); // tells the replica that it leads
    replica_turn(node->replica);
    enum kr_err err = replica_submit(node->replica, &making->command, made, making);
    while (err == KR_ERR_OK && !making->is_done) {
        replica_turn(node->replica);
        engine_turn(node->engine);
    }
    err = err == KR_ERR_OK ? making->err : err;
    if (err == KR_ERR_OK)
        return err;
    if (err == KR_ERR_DISK_FULL)
        return fault_set(fault, err,
                         "%s: the disk is too full for the first log entry; free space, or keep "
                         "less of it in reserve (--disk-reserve-bytes)",
                         node->config->data);
    return fault_set(fault, err, "the first log entry could not be written: %s", err_text(err));
}

static enum kr_err write_token(const struct making *making, struct fault *fault)
{
    char path[KR_PATH_SIZE];
    char line[KR_KEY_MINTED_SIZE + 1];
    snprintf(path, sizeof(path), "%s/owner-token", making->node->config->data);
    int size = snprintf(line, sizeof(line), "%s\n", making->token);
    enum kr_err err = file_replace(path, bytes_of(line, (size_t)size), 0600, fault);
    mem_zero(line, sizeof(line));
    return err;
}

static enum kr_err make_cluster(struct node *node, struct arena *arena, struct fault *fault)
{
    struct making making = {.node = node, .arena = arena, .now_ms = clock_unix_ms()};
    build(&making);
    enum kr_err err = write_token(&making, fault);
    if (err == KR_ERR_OK)
        err = commit(&making, fault);
    if (err == KR_ERR_OK && isatty(STDOUT_FILENO)) {
        printf("Owner token (also in %s/owner-token, shown only now):\n  %s\n", node->config->data,
               making.token);
        fflush(stdout);
    }
    mem_zero(making.token, sizeof(making.token));
    return err;
}

static bool read_cluster(struct node *node, struct arena *arena)
{
    struct store_cluster cluster;
    struct store_view *view = store_view_open(node->store);
    bool is_known = store_get_cluster(view, arena, &cluster);
    store_view_close(&view);
    if (is_known) {
        node->cluster_id = cluster.cluster_id;
        node->account_id = cluster.account_id;
        node->account_name = cluster.account_name;
    }
    return is_known;
}

enum kr_err bootstrap_cluster(struct node *node, struct arena *arena, struct fault *fault)
{
    const char *wanted = node->config->cluster_id;
    if (!read_cluster(node, arena)) {
        enum kr_err err = make_cluster(node, arena, fault);
        if (err != KR_ERR_OK)
            return err;
        if (!read_cluster(node, arena))
            return fault_set(fault, KR_ERR_INTERNAL, "the bootstrap left no cluster behind");
        LOG_INFO("bootstrapped", LOG_TEXT("cluster", node->cluster_id),
                 LOG_TEXT("account", node->account_name));
    }
    if (wanted[0] != '\0' && strcmp(wanted, node->cluster_id) != 0)
        return fault_set(fault, KR_ERR_CONFLICT,
                         "%s belongs to cluster %s, not to %s; correct --data or --cluster-id",
                         node->config->data, node->cluster_id, wanted);
    return KR_ERR_OK;
}
