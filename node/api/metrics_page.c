// SPDX-License-Identifier: Apache-2.0
// GET /metrics: the loops' counters and the store's figures in Prometheus' text form.
#include "core/base/clock.h"
#include "node/api/api.h"
#include "node/api/handlers.h"
#include "node/figures.h"
#include "node/node.h"

enum kr_err api_metrics(struct call *call)
{
    const struct node *node = call->node;
    struct metrics_node facts = {
        .node_id = node->identity.node_id,
        .region = node->identity.region,
        .epoch = replica_epoch(node->replica),
        .calls_queued = control_queued(node->control),
        .uptime_s = (clock_boot_ms() - node->started_boot_ms) / 1000,
        .is_leader = replica_is_leader(node->replica),
    };
    struct board_facts board;
    board_read(node->board, &call->arena, &board);
    facts.links = board.links;
    facts.has_etcd = board.has_etcd;
    facts.etcd = board.etcd;
    const struct board_node *self = board_find(&board, node->identity.node_id);
    if (self != NULL) {
        facts.snapshot_done_bytes = self->snapshot_done_bytes;
        facts.snapshot_total_bytes = self->snapshot_total_bytes;
    }
    facts.age_ms = replica_age_ms(node->replica, clock_boot_ms());
    figures_read(node->figures, &facts.store);
    store_load_progress(node->store, &facts.load_done, &facts.load_total);
    facts.denials_left_out = denials_left_out(node->denials);
    control_reads(node->control, &facts.reads);
    secure_figures(node->secure, &facts.certificates);
    api_answer_status(call, 200);
    call->answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_render(&call->answer.body, node->metrics, node->serve_count, &facts);
    if (buf_result(&call->answer.body) != KR_ERR_OK)
        return api_problem(call, KR_ERR_INTERNAL, "the metrics do not fit");
    return KR_ERR_OK;
}
