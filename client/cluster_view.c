// SPDX-License-Identifier: Apache-2.0
// The columns of a cluster and of its nodes.
#include "client/cluster_view.h"

static const struct view_column cluster_fields[] = {
    {"cluster", "clusterId", KR_VIEW_TEXT, false}, {"engine", "engine", KR_VIEW_TEXT, false},
    {"leader", "leader", KR_VIEW_TEXT, false},     {"epoch", "epoch", KR_VIEW_TEXT, false},
    {"index", "index", KR_VIEW_TEXT, false},       {"seen by", "seenBy", KR_VIEW_TEXT, false},
};

static const struct view_column node_columns[] = {
    {"NODE", "id", KR_VIEW_TEXT, false},
    {"REGION", "region", KR_VIEW_TEXT, false},
    {"ROLE", "role", KR_VIEW_TEXT, false},
    {"STATE", "state", KR_VIEW_STATUS, false},
    {"SNAPSHOT", "snapshot", KR_VIEW_PROGRESS, false},
    {"UPSTREAM", "upstream", KR_VIEW_TEXT, false},
    {"INDEX", "index", KR_VIEW_TEXT, false},
    {"LAG MS", "lagMs", KR_VIEW_NUMBER, false},
    {"LEASE MS", "leaseMs", KR_VIEW_NUMBER, false},
    {"RTT US", "roundTripUs", KR_VIEW_NUMBER, false},
    {"VALID/S", "validationsPerSecond", KR_VIEW_NUMBER, false},
    {"VERSION", "version", KR_VIEW_TEXT, false},
    {"HTTP", "http", KR_VIEW_TEXT, true},
};

enum exit_code cluster_view_nodes(struct session *session, const struct json *cluster)
{
    const struct json *nodes = api_array(cluster, "nodes");
    if (nodes == NULL)
        return session_fail(session, KR_EXIT_FAILURE, "is --url right, and no proxy before it?",
                            "the answer has no list of nodes");
    if (session->is_json)
        return view_json(session, nodes);
    return view_rows(session, nodes, node_columns, KR_VIEW_COUNT(node_columns));
}

enum exit_code cluster_view(struct session *session, const struct json *cluster)
{
    if (session->is_json && api_array(cluster, "nodes") != NULL)
        return view_json(session, cluster);
    enum exit_code code =
        view_record(session, cluster, cluster_fields, KR_VIEW_COUNT(cluster_fields));
    if (code == KR_EXIT_OK)
        code = session_write(session, bytes_text("\n"));
    return code == KR_EXIT_OK ? cluster_view_nodes(session, cluster) : code;
}
