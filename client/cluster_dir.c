// SPDX-License-Identifier: Apache-2.0
// Making a cluster's secrets, and a node's share of them.
#include "client/cluster_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/base/text.h"
#include "core/keys/format.h"

#define KR_DAY_MS INT64_C(86400000)

enum {
    KR_CLUSTER_CA_DAYS = 3650,
    KR_CLUSTER_MASTER_SIZE = 32, // bytes, as hex in the file
    KR_CLUSTER_FILE_MAX = 1 << 16,
};

// A clock that is a little behind the one that issues must not refuse a fresh certificate.
#define KR_CLUSTER_BACKDATE_MS INT64_C(3600000)

static must_use enum kr_err join(char out[KR_CLUSTER_DIR_PATH_SIZE], const char *path,
                                 const char *name, struct fault *fault)
{
    int size = snprintf(out, KR_CLUSTER_DIR_PATH_SIZE, "%s/%s", path, name);
    if (size < KR_CLUSTER_DIR_PATH_SIZE)
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID, "the directory's path is too long");
}

static enum kr_err write_file(const char *path, const char *name, struct bytes content, mode_t mode,
                              struct fault *fault)
{
    char file[KR_CLUSTER_DIR_PATH_SIZE];
    enum kr_err err = join(file, path, name, fault);
    return err == KR_ERR_OK ? file_replace(file, content, mode, fault) : err;
}

static enum kr_err read_file(const char *path, const char *name, bool is_secret, struct buf *out,
                             struct fault *fault)
{
    char file[KR_CLUSTER_DIR_PATH_SIZE];
    enum kr_err err = join(file, path, name, fault);
    if (err != KR_ERR_OK)
        return err;
    return is_secret ? file_read_secret(file, out, fault) : file_read(file, out, fault);
}

// --- a new cluster -------------------------------------------------------------------------------

static enum kr_err check_empty(const char *path, struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    char reason[64];
    struct dirent *entry;
    DIR *directory = opendir(path);
    if (directory == NULL && errno == ENOENT)
        return KR_ERR_OK;
    if (directory == NULL) {
        int number = errno;
        return fault_set(fault, err_from_errno(number), "%s: cannot open the directory: %s", path,
                         strerror_r(number, reason, sizeof(reason)));
    }
    while (err == KR_ERR_OK && (entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = fault_set(fault, KR_ERR_CONFLICT,
                            "%s is not empty (it holds %s); name a new directory", path,
                            entry->d_name);
    closedir(directory);
    return err;
}

static enum kr_err write_master_key(const char *path, struct fault *fault)
{
    uint8_t master[KR_CLUSTER_MASTER_SIZE];
    char hex[2 * KR_CLUSTER_MASTER_SIZE + 2];
    rand_bytes(master, sizeof(master));
    text_hex(master, sizeof(master), hex);
    hex[sizeof(hex) - 2] = '\n';
    enum kr_err err = write_file(path, "master-key", bytes_of(hex, sizeof(hex) - 1), 0600, fault);
    mem_zero(master, sizeof(master));
    mem_zero(hex, sizeof(hex));
    return err;
}

static void remove_files(const char *path)
{
    const char *names[] = {"ca.pem", "ca-key.pem", "master-key"};
    char file[KR_CLUSTER_DIR_PATH_SIZE];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (join(file, path, names[i], NULL) == KR_ERR_OK)
            unlink(file);
}

static enum kr_err write_cluster(const char *path, bool is_new, struct bytes certificate,
                                 struct bytes key, struct fault *fault)
{
    enum kr_err err = file_make_directory(path, 0700, fault);
    if (err != KR_ERR_OK)
        return err;
    if (is_new)
        err = write_master_key(path, fault);
    if (err == KR_ERR_OK)
        err = write_file(path, "ca-key.pem", key, 0600, fault);
    if (err == KR_ERR_OK)
        err = write_file(path, "ca.pem", certificate, 0644, fault);
    if (err != KR_ERR_OK)
        remove_files(path);
    return err;
}

enum kr_err cluster_dir_check_id(const char *cluster_id, struct fault *fault)
{
    if (cluster_id == NULL || format_is_id(cluster_id, "clst"))
        return KR_ERR_OK;
    return fault_set(fault, KR_ERR_INVALID,
                     "\"%.64s\" is no cluster's id, clst_ and 24 letters and digits; keyreeve "
                     "status shows it",
                     cluster_id);
}

static void settle_id(const char *given, struct cluster_dir_made *out)
{
    char random[25] = "";
    if (given == NULL) {
        rand_base62(random, 24);
        snprintf(out->cluster_id, sizeof(out->cluster_id), "clst_%s", random);
        return;
    }
    snprintf(out->cluster_id, sizeof(out->cluster_id), "%s", given);
}

enum kr_err cluster_dir_make(const char *path, const char *cluster_id, int64_t now_ms,
                             struct cluster_dir_made *out, struct fault *fault)
{
    struct buf certificate, key;
    enum kr_err err = cluster_dir_check_id(cluster_id, fault);
    if (err == KR_ERR_OK)
        err = check_empty(path, fault);
    if (err != KR_ERR_OK)
        return err;
    settle_id(cluster_id, out);
    buf_init(&certificate, KR_CLUSTER_FILE_MAX);
    buf_init(&key, KR_CLUSTER_FILE_MAX);
    out->not_after_ms = now_ms + KR_CLUSTER_CA_DAYS * KR_DAY_MS;
    err = authority_make(out->cluster_id, now_ms - KR_CLUSTER_BACKDATE_MS, out->not_after_ms,
                         &certificate, &key, fault);
    if (err == KR_ERR_OK)
        err = write_cluster(path, cluster_id == NULL, buf_bytes(&certificate), buf_bytes(&key),
                            fault);
    buf_fini(&certificate);
    buf_fini(&key);
    return err;
}

// --- a node --------------------------------------------------------------------------------------

static enum kr_err open_authority(const char *path, struct authority **out, struct fault *fault)
{
    struct buf certificate, key;
    *out = NULL;
    buf_init(&certificate, KR_CLUSTER_FILE_MAX);
    buf_init(&key, KR_CLUSTER_FILE_MAX);
    enum kr_err err = read_file(path, "ca.pem", false, &certificate, fault);
    if (err == KR_ERR_NOT_FOUND)
        fault_set(fault, err, "%s/ca.pem is missing; keyreeve cluster init makes the directory",
                  path);
    if (err == KR_ERR_OK)
        err = read_file(path, "ca-key.pem", true, &key, fault);
    if (err == KR_ERR_OK)
        err = authority_open(buf_bytes(&certificate), buf_bytes(&key), out, fault);
    buf_fini(&certificate);
    buf_fini(&key);
    return err;
}

static enum kr_err read_node(const char *path, struct tls_peer *out, struct fault *fault)
{
    struct buf bundle;
    buf_init(&bundle, KR_CLUSTER_FILE_MAX);
    enum kr_err err = read_file(path, "node.pem", true, &bundle, fault);
    if (err == KR_ERR_OK)
        err = authority_read(buf_bytes(&bundle), out, fault);
    buf_fini(&bundle);
    return err;
}

// A certificate that is there and not in the way is what a renewal starts from.
static enum kr_err check_present(const char *path, const struct cluster_dir_node *node,
                                 const char *cluster_id, struct tls_peer *present,
                                 struct fault *fault)
{
    enum kr_err err = read_node(path, present, fault);
    if (err != KR_ERR_OK && !(err == KR_ERR_NOT_FOUND && !node->is_renewal))
        return err;
    if (err == KR_ERR_NOT_FOUND)
        return KR_ERR_OK;
    if (!node->is_renewal)
        return fault_set(fault, KR_ERR_CONFLICT,
                         "%s/node.pem is there already; --renew issues a new certificate", path);
    if (strcmp(present->cluster_id, cluster_id) != 0 || strcmp(present->node_id, node->name) != 0)
        return fault_set(fault, KR_ERR_CONFLICT, "%s/node.pem is of %s in the cluster %s", path,
                         present->node_id, present->cluster_id);
    if ((node->region != NULL && strcmp(node->region, present->region) != 0) ||
        (node->role != NULL && strcmp(node->role, tls_role_text(present->role)) != 0))
        return fault_set(fault, KR_ERR_CONFLICT,
                         "%s is a %s node in %s, and a renewal leaves that as it is", node->name,
                         tls_role_text(present->role), present->region);
    return KR_ERR_OK;
}

static enum kr_err settle_request(const struct cluster_dir_node *node,
                                  const struct tls_peer *present, int64_t now_ms,
                                  struct authority_request *out, struct fault *fault)
{
    if (!node->is_renewal && (node->region == NULL || node->role == NULL))
        return fault_set(fault, KR_ERR_INVALID, "a new node needs --region and --role");
    *out = (struct authority_request){
        .node_id = node->name,
        .region = node->is_renewal ? present->region : node->region,
        .role = present->role,
        .not_before_ms = now_ms - KR_CLUSTER_BACKDATE_MS,
        .not_after_ms = now_ms + (int64_t)node->days * KR_DAY_MS,
    };
    if (!node->is_renewal && !tls_role_parse(node->role, &out->role))
        return fault_set(fault, KR_ERR_INVALID, "\"%s\" is no role: core or follower", node->role);
    return KR_ERR_OK;
}

static enum kr_err read_master_key(const char *path, struct buf *out, struct fault *fault)
{
    enum kr_err err = read_file(path, "master-key", true, out, fault);
    if (err == KR_ERR_NOT_FOUND)
        fault_set(fault, err, "%s/master-key is missing: put the cluster's master key there", path);
    return err;
}

// The master key is read first, so that nothing is written where it is missing.
static enum kr_err write_node(const char *cluster, const char *path, enum tls_role role,
                              struct bytes bundle, struct fault *fault)
{
    struct buf master;
    enum kr_err err = KR_ERR_OK;
    buf_init(&master, KR_CLUSTER_FILE_MAX);
    if (role == KR_TLS_ROLE_CORE)
        err = read_master_key(cluster, &master, fault);
    if (err == KR_ERR_OK)
        err = file_make_directory(path, 0700, fault);
    if (err == KR_ERR_OK && role == KR_TLS_ROLE_CORE)
        err = write_file(path, "master-key", buf_bytes(&master), 0600, fault);
    if (err == KR_ERR_OK)
        err = write_file(path, "node.pem", bundle, 0600, fault);
    buf_fini(&master);
    return err;
}

static enum kr_err issue(const struct authority *authority, const char *cluster, const char *path,
                         const struct authority_request *request, struct fault *fault)
{
    struct buf bundle;
    buf_init(&bundle, KR_CLUSTER_FILE_MAX);
    enum kr_err err = authority_issue(authority, request, &bundle, fault);
    if (err == KR_ERR_OK)
        err = write_node(cluster, path, request->role, buf_bytes(&bundle), fault);
    buf_fini(&bundle);
    return err;
}

enum kr_err cluster_dir_check_node(const struct cluster_dir_node *node, struct fault *fault)
{
    static const char rule[] = "has 1 to 63 of a-z, 0-9 and -, and does not begin with -";
    if (!tls_is_name(node->name))
        return fault_set(fault, KR_ERR_INVALID, "\"%.64s\" is no node's name: a name %s",
                         node->name, rule);
    if (node->region != NULL && !tls_is_name(node->region))
        return fault_set(fault, KR_ERR_INVALID, "\"%.64s\" is no region: a region %s", node->region,
                         rule);
    return KR_ERR_OK;
}

enum kr_err cluster_dir_add(const char *path, const struct cluster_dir_node *node, int64_t now_ms,
                            struct tls_peer *out, struct fault *fault)
{
    char folder[KR_CLUSTER_DIR_PATH_SIZE];
    struct authority *authority = NULL;
    struct authority_request request;
    struct tls_peer present = {0};
    enum kr_err err = cluster_dir_check_node(node, fault); // before it becomes part of a path
    if (err == KR_ERR_OK)
        err = join(folder, path, node->name, fault);
    if (err == KR_ERR_OK)
        err = open_authority(path, &authority, fault);
    if (err == KR_ERR_OK)
        err = check_present(folder, node, authority_cluster_id(authority), &present, fault);
    if (err == KR_ERR_OK)
        err = settle_request(node, &present, now_ms, &request, fault);
    if (err == KR_ERR_OK)
        err = issue(authority, path, folder, &request, fault);
    if (err == KR_ERR_OK)
        err = read_node(folder, out, fault);
    authority_close(&authority);
    return err;
}
