// SPDX-License-Identifier: Apache-2.0
// keyreeve cluster init and node add: a cluster's secrets, made where no node is.
#include "client/run.h"

#include "client/cluster_dir.h"
#include "client/session.h"
#include "client/table.h"
#include "core/base/clock.h"
#include "core/base/json.h"

enum { KR_CLUSTER_DAYS = 365, KR_CLUSTER_FIELDS_MAX = 8, KR_CLUSTER_OUT_MAX = 1 << 16 };

// What was made: the same rows for people and, with --json, for programs.
struct outcome {
    const char *titles[KR_CLUSTER_FIELDS_MAX], *members[KR_CLUSTER_FIELDS_MAX];
    const char *values[KR_CLUSTER_FIELDS_MAX];
    size_t count;
};

static void add_row(struct outcome *outcome, const char *title, const char *member,
                    const char *value)
{
    outcome->titles[outcome->count] = title;
    outcome->members[outcome->count] = member;
    outcome->values[outcome->count++] = value;
}

static void add_json(const struct outcome *outcome, struct buf *out)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    for (size_t i = 0; i < outcome->count; i++)
        json_write_string(&writer, outcome->members[i], outcome->values[i]);
    json_close(&writer, '}');
    buf_add_u8(out, '\n');
}

static enum exit_code show(struct session *session, const struct outcome *outcome)
{
    struct buf out;
    struct table_field fields[KR_CLUSTER_FIELDS_MAX];
    buf_init(&out, KR_CLUSTER_OUT_MAX);
    for (size_t i = 0; i < outcome->count; i++)
        fields[i] = (struct table_field){outcome->titles[i], outcome->values[i], KR_STYLE_PLAIN};
    if (session->is_json)
        add_json(outcome, &out);
    else
        table_render_record(fields, outcome->count, &session->out, &out);
    enum exit_code code = session_flush(session, &out);
    buf_fini(&out);
    return code;
}

static enum exit_code refuse(struct session *session, const struct fault *fault)
{
    bool is_refused = fault->err == KR_ERR_CONFLICT || fault->err == KR_ERR_FORBIDDEN;
    enum exit_code code = fault->err == KR_ERR_NOT_FOUND ? KR_EXIT_NOT_FOUND
                          : is_refused                   ? KR_EXIT_REFUSED
                                                         : KR_EXIT_FAILURE;
    return session_fail(session, code, NULL, "%s", fault->text);
}

enum exit_code run_cluster_init(struct session *session)
{
    struct fault fault = {0};
    struct cluster_dir_made made;
    struct outcome outcome = {0};
    char stamp[KR_STAMP_SIZE];
    const char *path = parse_value(session->in, KR_OPT_OUT);
    const char *cluster_id = session->in->argument_count > 0 ? session->in->arguments[0] : NULL;
    if (path == NULL || *path == '\0')
        return session_fail(session, KR_EXIT_USAGE, "keyreeve cluster init --out cluster",
                            "where to? --out names the directory to make");
    if (cluster_dir_check_id(cluster_id, &fault) != KR_ERR_OK)
        return session_fail(session, KR_EXIT_USAGE, NULL, "%s", fault.text);
    if (cluster_dir_make(path, cluster_id, clock_unix_ms(), &made, &fault) != KR_ERR_OK)
        return refuse(session, &fault);
    clock_stamp(made.not_after_ms, stamp);
    add_row(&outcome, "cluster", "clusterId", made.cluster_id);
    add_row(&outcome, "directory", "directory", path);
    add_row(&outcome, "CA valid until", "notAfter", stamp);
    enum exit_code code = show(session, &outcome);
    if (cluster_id != NULL)
        session_note(session, "Put the cluster's master key there, as %s/master-key (0600).", path);
    session_note(session, "Keep %s away from the nodes, and a copy of it elsewhere. Next:", path);
    session_note(session, "  keyreeve node add NAME --dir %s --region REGION --role core", path);
    return code;
}

static void advise(const struct session *session, const char *folder, enum tls_role role,
                   bool is_renewal)
{
    if (is_renewal) {
        session_note(session, "Put %s/node.pem in the old one's place.", folder);
        return;
    }
    session_note(session,
                 "Copy %s to the node's machine as /etc/keyreeve, readable by its user alone, and "
                 "set there:",
                 folder);
    session_note(session, "  peer_bundle: /etc/keyreeve/node.pem");
    if (role == KR_TLS_ROLE_CORE)
        session_note(session, "  master_key_file: /etc/keyreeve/master-key");
    session_note(session, "  peer_listen: 0.0.0.0:7402");
    session_note(session, "  peer_advertise: ADDRESS:7402   # how other nodes reach it");
    session_note(session,
                 "  upstreams: ADDRESS:7402        # of nodes that run; none for the first");
}

static enum exit_code show_node(struct session *session, const struct tls_peer *peer,
                                const char *folder)
{
    struct outcome outcome = {0};
    char stamp[KR_STAMP_SIZE];
    clock_stamp(peer->not_after_ms, stamp);
    add_row(&outcome, "node", "nodeId", peer->node_id);
    add_row(&outcome, "cluster", "clusterId", peer->cluster_id);
    add_row(&outcome, "region", "region", peer->region);
    add_row(&outcome, "role", "role", tls_role_text(peer->role));
    add_row(&outcome, "valid until", "notAfter", stamp);
    add_row(&outcome, "bundle", "bundle", arena_printf(&session->arena, "%s/node.pem", folder));
    if (peer->role == KR_TLS_ROLE_CORE)
        add_row(&outcome, "master key", "masterKey",
                arena_printf(&session->arena, "%s/master-key", folder));
    return show(session, &outcome);
}

enum exit_code run_node_add(struct session *session)
{
    struct fault fault = {0};
    struct tls_peer peer;
    const struct invocation *in = session->in;
    const char *path = parse_value(in, KR_OPT_DIR);
    struct cluster_dir_node node = {
        .name = in->arguments[0],
        .region = parse_value(in, KR_OPT_REGION),
        .role = parse_value(in, KR_OPT_NODE_ROLE),
        .days = (unsigned)parse_number(in, KR_OPT_DAYS, KR_CLUSTER_DAYS),
        .is_renewal = parse_has(in, KR_OPT_RENEW),
    };
    bool is_complete = node.is_renewal || (node.region != NULL && node.role != NULL);
    if (path == NULL || *path == '\0' || !is_complete)
        return session_fail(session, KR_EXIT_USAGE,
                            "keyreeve node add fra-1 --dir cluster --region fra --role core",
                            "node add needs %s",
                            is_complete ? "--dir" : "--dir, --region and --role");
    if (cluster_dir_check_node(&node, &fault) != KR_ERR_OK)
        return session_fail(session, KR_EXIT_USAGE, NULL, "%s", fault.text);
    if (cluster_dir_add(path, &node, clock_unix_ms(), &peer, &fault) != KR_ERR_OK)
        return refuse(session, &fault);
    const char *folder = arena_printf(&session->arena, "%s/%s", path, node.name);
    enum exit_code code = show_node(session, &peer, folder);
    advise(session, folder, peer.role, node.is_renewal);
    return code;
}
