// SPDX-License-Identifier: Apache-2.0
// The first start of a node: what it makes, and what a later start reads back.
#include "node/bootstrap.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rand.h"
#include "node/master_key.h"
#include "node/sealing.h"

enum { KR_METADATA_LIMIT = 1024, KR_PATH_SIZE = 4096 };

// --- the master key ------------------------------------------------------------------------------

bool bootstrap_is_ours(const struct node *node)
{
    return node->identity.is_core && node->config->upstreams[0] == '\0' &&
           strcmp(node->config->engine, "local") == 0;
}

enum kr_err bootstrap_vault(struct node *node, struct vault **vault, struct fault *fault)
{
    const struct config *config = node->config;
    enum kr_err err = KR_ERR_OK;
    if (*vault == NULL) {
        if (bootstrap_is_known(node) || !bootstrap_is_ours(node))
            return fault_set(fault, KR_ERR_NOT_FOUND,
                             "%s/master-key is missing, and the values of retrievable keys need "
                             "it; restore it from your copy (a core node's stands beside its "
                             "bundle), or name it with --master-key-file",
                             config->data);
        err = master_key_make(config, fault);
        if (err == KR_ERR_OK)
            err = master_key_read(config, vault, fault);
    }
    node->vault = *vault;
    if (err == KR_ERR_OK)
        err = sealing_check(node, fault);
    return err == KR_ERR_OK ? sealing_check_values(node, fault) : err;
}

// --- the first entry -----------------------------------------------------------------------------

struct bootstrap {
    struct node *node;
    struct arena arena;
    struct command command;
    int64_t now_ms;
    char token[KR_KEY_MINTED_SIZE];
    bootstrap_done_fn *done;
    void *ctx;
};

static const char *new_id(struct bootstrap *bootstrap, const char *type)
{
    char random[25] = "";
    rand_base62(random, 24);
    return arena_printf(&bootstrap->arena, "%s_%s", type, random);
}

static const char *add_bucket(struct bootstrap *bootstrap, const char *name,
                              enum environment environment, bool is_system)
{
    struct command_op *op = command_add(&bootstrap->command, KR_OP_BUCKET_PUT, &bootstrap->arena);
    const char *id = new_id(bootstrap, "bckt");
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
        .created_ms = bootstrap->now_ms,
        .updated_ms = bootstrap->now_ms,
    };
    return id;
}

static void add_token(struct bootstrap *bootstrap, const char *bucket_id)
{
    static const char *const scopes[] = {"role:owner"};
    struct command_op *op = command_add(&bootstrap->command, KR_OP_CONSUMER_PUT, &bootstrap->arena);
    const char *consumer_id = new_id(bootstrap, "csmr");
    op->as.consumer_put.record = (struct consumer){
        .id = consumer_id,
        .bucket_id = bucket_id,
        .name = "management",
        .metadata = "{}",
        .created_ms = bootstrap->now_ms,
        .updated_ms = bootstrap->now_ms,
    };
    op = command_add(&bootstrap->command, KR_OP_KEY_PUT, &bootstrap->arena);
    struct key *key = &op->as.key_put.record;
    char body[KR_KEY_BODY_SIZE + 1] = "";
    char masked[KR_KEY_MASKED_SIZE];
    rand_base62(body, KR_KEY_BODY_SIZE);
    format_mint("kr_mgmt", body, bootstrap->token);
    format_mask(bytes_text(bootstrap->token), masked);
    *key = (struct key){
        .id = new_id(bootstrap, "key"),
        .bucket_id = bucket_id,
        .consumer_id = consumer_id,
        .description = "owner token of the bootstrap",
        .metadata = "{}",
        .scopes = {scopes, 1},
        .masked = arena_text(&bootstrap->arena, masked),
        .created_by = "system",
        .is_enabled = true,
        .created_ms = bootstrap->now_ms,
        .updated_ms = bootstrap->now_ms,
    };
    digest_sha256(bytes_text(bootstrap->token), key->digest);
    mem_zero(body, sizeof(body));
}

static void build(struct bootstrap *bootstrap)
{
    struct command_op *op = command_add(&bootstrap->command, KR_OP_CLUSTER_INIT, &bootstrap->arena);
    const char *certified = bootstrap->node->identity.cluster_id;
    op->as.cluster_init = (struct command_cluster_init){
        .cluster_id = certified[0] != '\0' ? certified : new_id(bootstrap, "clst"),
        .account_id = new_id(bootstrap, "acct"),
        .account_name = bootstrap->node->config->account,
    };
    add_bucket(bootstrap, "production", KR_ENV_PRODUCTION, false);
    add_bucket(bootstrap, "preview", KR_ENV_PREVIEW, false);
    add_bucket(bootstrap, "development", KR_ENV_DEVELOPMENT, false);
    add_token(bootstrap, add_bucket(bootstrap, KR_SYSTEM_BUCKET, KR_ENV_PRODUCTION, true));
    command_add(&bootstrap->command, KR_OP_VAULT_VERSION, &bootstrap->arena)
        ->as.vault_version.current = vault_oldest(bootstrap->node->vault);
    struct audit *audit = arena_zalloc(&bootstrap->arena, sizeof(*audit));
    *audit = (struct audit){.action = "cluster.init",
                            .actor_id = "system",
                            .actor_label = "bootstrap",
                            .target = "cluster",
                            .target_name = bootstrap->node->config->account,
                            .detail = "{}",
                            .client_address = "",
                            .request_id = "bootstrap",
                            .is_success = true};
    bootstrap->command.audit = audit;
    bootstrap->command.actor = "system";
    bootstrap->command.request_id = "bootstrap";
    bootstrap->command.requested_ms = bootstrap->now_ms;
}

static enum kr_err write_token(const struct bootstrap *bootstrap, struct fault *fault)
{
    char path[KR_PATH_SIZE];
    char line[KR_KEY_MINTED_SIZE + 1];
    snprintf(path, sizeof(path), "%s/owner-token", bootstrap->node->config->data);
    int size = snprintf(line, sizeof(line), "%s\n", bootstrap->token);
    enum kr_err err = file_replace(path, bytes_of(line, (size_t)size), 0600, fault);
    mem_zero(line, sizeof(line));
    return err;
}

static void remove_token(const struct node *node)
{
    char path[KR_PATH_SIZE];
    snprintf(path, sizeof(path), "%s/owner-token", node->config->data);
    unlink(path);
}

static void show_token(const struct bootstrap *bootstrap)
{
    if (!isatty(STDOUT_FILENO))
        return;
    printf("Owner token (also in %s/owner-token, shown only now):\n  %s\n",
           bootstrap->node->config->data, bootstrap->token);
    fflush(stdout);
}

static void bootstrap_free(struct bootstrap *bootstrap)
{
    mem_zero(bootstrap->token, sizeof(bootstrap->token));
    arena_fini(&bootstrap->arena);
    mem_free(bootstrap);
}

// An entry of unknown fate may be in the log all the same: its token is kept.
static void made(void *ctx, const struct replica_outcome *outcome)
{
    struct bootstrap *bootstrap = ctx;
    enum kr_err err = outcome->err;
    if (err == KR_ERR_OK && outcome->result.code != KR_APPLY_OK)
        err = KR_ERR_CONFLICT;
    if (err == KR_ERR_OK)
        show_token(bootstrap);
    else if (err != KR_ERR_TIMEOUT)
        remove_token(bootstrap->node);
    bootstrap->done(bootstrap->ctx, err);
    bootstrap_free(bootstrap);
}

enum kr_err bootstrap_begin(struct node *node, bootstrap_done_fn *done, void *ctx,
                            struct fault *fault)
{
    struct bootstrap *bootstrap = mem_zalloc(sizeof(*bootstrap));
    *bootstrap =
        (struct bootstrap){.node = node, .now_ms = clock_unix_ms(), .done = done, .ctx = ctx};
    arena_init(&bootstrap->arena);
    build(bootstrap);
    enum kr_err err = write_token(bootstrap, fault);
    if (err == KR_ERR_OK) {
        err = replica_submit(node->replica, &bootstrap->command, made, bootstrap);
        if (err != KR_ERR_OK)
            fault_set(fault, err, "the first log entry: %s", err_text(err));
    }
    if (err != KR_ERR_OK)
        bootstrap_free(bootstrap);
    return err;
}

// --- at a start ----------------------------------------------------------------------------------

struct outcome {
    bool is_done;
    enum kr_err err;
};

static void note_outcome(void *ctx, enum kr_err err)
{
    *(struct outcome *)ctx = (struct outcome){true, err};
}

// No loop runs yet: the turns are taken by hand.
static void begin_leading(struct node *node)
{
    engine_turn(node->engine); // tells the replica that it leads
    replica_turn(node->replica);
}

static void await_outcome(struct node *node, const struct outcome *outcome)
{
    while (!outcome->is_done) {
        replica_turn(node->replica);
        engine_turn(node->engine);
    }
}

static enum kr_err make_cluster(struct node *node, struct fault *fault)
{
    struct outcome outcome = {0};
    begin_leading(node);
    enum kr_err err = bootstrap_begin(node, note_outcome, &outcome, fault);
    if (err != KR_ERR_OK)
        return err;
    await_outcome(node, &outcome);
    if (outcome.err == KR_ERR_OK)
        return KR_ERR_OK;
    if (outcome.err == KR_ERR_DISK_FULL)
        return fault_set(fault, outcome.err,
                         "%s: the disk is too full for the first log entry; free space, or keep "
                         "less of it in reserve (--disk-reserve-bytes)",
                         node->config->data);
    return fault_set(fault, outcome.err, "the first log entry could not be written: %s",
                     err_text(outcome.err));
}

static void note_version(void *ctx, const struct replica_outcome *outcome)
{
    note_outcome(ctx, outcome->err);
}

// A directory from before the state knew the vault's versions. What cannot be written now is
// written by a later start, whose master key is tried on the values again.
static void take_over_vault(struct node *node)
{
    struct outcome outcome = {0};
    struct command_op op;
    const struct command command = {
        .ops = &op, .op_count = 1, .actor = "system", .requested_ms = clock_unix_ms()};
    if (node->identity.has_peers || !bootstrap_is_ours(node) || !sealing_first(node, &op))
        return; // a leader among others does it when it begins (node/leading)
    begin_leading(node);
    outcome.err = replica_submit(node->replica, &command, note_version, &outcome);
    if (outcome.err == KR_ERR_OK)
        await_outcome(node, &outcome);
    if (outcome.err != KR_ERR_OK)
        LOG_WARN("the master key's check could not be written yet",
                 LOG_TEXT("why", err_text(outcome.err)));
}

bool bootstrap_is_known(struct node *node)
{
    struct store_cluster cluster;
    struct arena arena;
    arena_init(&arena);
    struct store_view *view = store_view_open(node->store);
    bool is_known = store_get_cluster(view, &arena, &cluster);
    if (is_known)
        snprintf(node->cluster_id, sizeof(node->cluster_id), "%s", cluster.cluster_id);
    store_view_close(&view);
    arena_fini(&arena);
    return is_known;
}

enum kr_err bootstrap_check(struct node *node, struct fault *fault)
{
    const struct config *config = node->config;
    const char *certified = node->identity.cluster_id;
    const char *wanted = certified[0] != '\0' ? certified : config->cluster_id;
    if (wanted[0] == '\0')
        return KR_ERR_OK;
    if (bootstrap_is_known(node)) {
        if (strcmp(wanted, node->cluster_id) == 0)
            return KR_ERR_OK;
        return fault_set(fault, KR_ERR_CONFLICT,
                         "%s belongs to cluster %s, not to %s; correct --data or --cluster-id, or"
                         " --peer-bundle",
                         config->data, node->cluster_id, wanted);
    }
    bool joins = !bootstrap_is_ours(node);
    if (certified[0] != '\0' && (joins || config->cluster_id[0] == '\0'))
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_CONFLICT,
                     "%s holds no cluster, and cluster_id says %s: correct --data, or mount what "
                     "belongs there; without --cluster-id a new cluster is made",
                     config->data, wanted);
}

enum kr_err bootstrap_cluster(struct node *node, struct fault *fault)
{
    if (bootstrap_is_known(node)) {
        take_over_vault(node);
        return KR_ERR_OK;
    }
    if (!bootstrap_is_ours(node)) {
        strcpy(node->cluster_id, node->identity.cluster_id);
        return KR_ERR_OK;
    }
    enum kr_err err = make_cluster(node, fault);
    if (err != KR_ERR_OK)
        return err;
    if (!bootstrap_is_known(node))
        return fault_set(fault, KR_ERR_INTERNAL, "the bootstrap left no cluster behind");
    LOG_INFO("bootstrapped", LOG_TEXT("cluster", node->cluster_id),
             LOG_TEXT("account", node->config->account));
    return KR_ERR_OK;
}
