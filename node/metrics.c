// SPDX-License-Identifier: Apache-2.0
// Counting on the serving loops, and the Prometheus text of all of it.
#include "node/metrics.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "node/dispatch.h"

// Upper bounds of the latency buckets, from a look-up to a write on a slow disk.
static const uint64_t bounds_ns[KR_METRICS_BOUNDS] = {
    5000,    10000,   25000,    50000,    100000,   250000,    500000,    1000000,
    2500000, 5000000, 10000000, 25000000, 50000000, 100000000, 500000000, 2000000000,
};

// Successes first: they are looked for most often.
static const unsigned statuses[KR_METRICS_STATUSES - 1] = {
    200, 401, 403, 204, 202, 400, 404, 405, 409, 412, 413, 414, 415, 429, 431, 500, 501, 503,
};

struct metrics *metrics_new(void)
{
    assert(dispatch_route_count < KR_METRICS_BINARY);
    return mem_zalloc(sizeof(struct metrics));
}

void metrics_free(struct metrics **metrics)
{
    mem_free(*metrics);
    *metrics = NULL;
}

static size_t number_of_status(unsigned status)
{
    size_t at = 0;
    while (at < KR_METRICS_STATUSES - 1 && statuses[at] != status)
        at++;
    return at;
}

void metrics_requests(struct metrics *metrics, size_t route, unsigned status, uint64_t latency_ns,
                      uint64_t count)
{
    struct metrics_answers *answers = &metrics->answers[route][number_of_status(status)];
    size_t at = 0;
    while (at < KR_METRICS_BOUNDS && latency_ns > bounds_ns[at])
        at++;
    metrics_bump(&answers->latency[at], count);
    metrics_bump(&answers->latency_sum_ns, latency_ns * count);
}

// --- rendering -----------------------------------------------------------------------------------

struct render {
    struct buf *out;
    struct metrics *const *blocks;
    size_t count;
};

// The sum over the loops of the counter at this offset of struct metrics.
static uint64_t sum(const struct render *render, size_t offset)
{
    uint64_t total = 0;
    for (size_t i = 0; i < render->count; i++) {
        const uint8_t *block = (const uint8_t *)render->blocks[i];
        const atomic_uint_fast64_t *counter = (const void *)(block + offset);
        total += atomic_load_explicit(counter, memory_order_relaxed);
    }
    return total;
}

static void heading(const struct render *render, const char *name, const char *type,
                    const char *help)
{
    buf_printf(render->out, "# HELP keyreeve_%s %s\n# TYPE keyreeve_%s %s\n", name, help, name,
               type);
}

static void single(const struct render *render, const char *name, const char *type,
                   const char *help, uint64_t value)
{
    heading(render, name, type, help);
    buf_printf(render->out, "keyreeve_%s %llu\n", name, (unsigned long long)value);
}

static const char *route_name(size_t number)
{
    if (number == KR_METRICS_BINARY)
        return "binary";
    return number < dispatch_route_count ? dispatch_routes[number].name : "none";
}

static const char *status_name(size_t number, char out[16])
{
    if (number == KR_METRICS_STATUSES - 1)
        return "other";
    snprintf(out, 16, "%u", statuses[number]);
    return out;
}

// One route's answers with one status, summed over the loops.
struct sums {
    uint64_t below[KR_METRICS_BOUNDS + 1]; // cumulative
    uint64_t count, sum_ns;
};

static void sum_answers(const struct render *render, size_t route, size_t status, struct sums *out)
{
    size_t base = offsetof(struct metrics, answers) +
                  (route * KR_METRICS_STATUSES + status) * sizeof(struct metrics_answers);
    out->count = 0;
    for (size_t i = 0; i <= KR_METRICS_BOUNDS; i++) {
        out->count += sum(render, base + offsetof(struct metrics_answers, latency) +
                                      i * sizeof(atomic_uint_fast64_t));
        out->below[i] = out->count;
    }
    out->sum_ns = sum(render, base + offsetof(struct metrics_answers, latency_sum_ns));
}

static void render_count(const struct render *render, const char *labels, const struct sums *sums)
{
    buf_printf(render->out, "keyreeve_requests_total{%s} %llu\n", labels,
               (unsigned long long)sums->count);
}

static void render_latency(const struct render *render, const char *labels, const struct sums *sums)
{
    for (size_t i = 0; i < KR_METRICS_BOUNDS; i++)
        buf_printf(render->out, "keyreeve_request_seconds_bucket{%s,le=\"%g\"} %llu\n", labels,
                   (double)bounds_ns[i] / 1e9, (unsigned long long)sums->below[i]);
    buf_printf(render->out,
               "keyreeve_request_seconds_bucket{%s,le=\"+Inf\"} %llu\n"
               "keyreeve_request_seconds_sum{%s} %.9f\n"
               "keyreeve_request_seconds_count{%s} %llu\n",
               labels, (unsigned long long)sums->count, labels, (double)sums->sum_ns / 1e9, labels,
               (unsigned long long)sums->count);
}

typedef void render_answers_fn(const struct render *render, const char *labels,
                               const struct sums *sums);

// Calls render_one for each route and status that has been answered.
static void render_answers(const struct render *render, render_answers_fn *render_one)
{
    for (size_t route = 0; route < KR_METRICS_ROUTES_MAX; route++) {
        for (size_t status = 0; status < KR_METRICS_STATUSES; status++) {
            struct sums sums;
            char labels[128], number[16];
            sum_answers(render, route, status, &sums);
            snprintf(labels, sizeof(labels), "route=\"%s\",status=\"%s\"", route_name(route),
                     status_name(status, number));
            if (sums.count > 0)
                render_one(render, labels, &sums);
        }
    }
}

static void render_verdicts(const struct render *render)
{
    heading(render, "validations_total", "counter", "Validations by code.");
    for (size_t i = 0; i < KR_VERDICT_COUNT; i++)
        buf_printf(render->out, "keyreeve_validations_total{code=\"%s\"} %llu\n",
                   verdict_text((enum verdict_code)i),
                   (unsigned long long)sum(render, offsetof(struct metrics, verdicts) +
                                                       i * sizeof(atomic_uint_fast64_t)));
}

static void render_connections(const struct render *render)
{
    single(render, "connections_accepted_total", "counter", "Connections accepted.",
           sum(render, offsetof(struct metrics, connections_accepted)));
    single(render, "connections_open", "gauge", "Connections open.",
           sum(render, offsetof(struct metrics, connections_open)));
    single(render, "connections_refused_total", "counter",
           "Connections refused: over the ceiling, or stopping.",
           sum(render, offsetof(struct metrics, connections_refused)));
    single(render, "accept_pauses_total", "counter",
           "Times that a listener waited for a descriptor, or for memory.",
           sum(render, offsetof(struct metrics, accept_pauses)));
    single(render, "http2_connections_total", "counter", "Of them, those that spoke HTTP/2.",
           sum(render, offsetof(struct metrics, http2_connections)));
    single(render, "requests_refused_total", "counter",
           "Requests refused before routing: malformed, too large, too slow.",
           sum(render, offsetof(struct metrics, requests_refused)));
    single(render, "auth_failures_total", "counter", "Requests with a wrong management token.",
           sum(render, offsetof(struct metrics, auth_failures)));
    single(render, "auth_limited_total", "counter",
           "Of those, the ones that were answered 429 for their number.",
           sum(render, offsetof(struct metrics, auth_limited)));
    single(render, "received_bytes_total", "counter", "Bytes received.",
           sum(render, offsetof(struct metrics, bytes_in)));
    single(render, "sent_bytes_total", "counter", "Bytes sent.",
           sum(render, offsetof(struct metrics, bytes_out)));
}

static void render_tls(const struct render *render, const struct secure_figures *certificates)
{
    single(render, "tls_handshakes_total", "counter", "TLS handshakes of the listeners.",
           sum(render, offsetof(struct metrics, tls_handshakes)));
    single(render, "tls_resumed_total", "counter", "Of them, resumed by a ticket.",
           sum(render, offsetof(struct metrics, tls_resumed)));
    single(render, "tls_failed_total", "counter", "TLS handshakes that failed.",
           sum(render, offsetof(struct metrics, tls_failed)));
    if (certificates->not_after_ms == 0)
        return;
    single(render, "certificate_expiry_seconds", "gauge",
           "When the first of the listeners' certificates ends, Unix time.",
           (uint64_t)(certificates->not_after_ms / 1000));
    single(render, "certificate_loads_total", "counter", "Times that they were read.",
           certificates->loads);
    single(render, "certificate_failures_total", "counter",
           "Times that what was read could not be used.", certificates->failures);
}

static uint64_t resident_bytes(void)
{
    unsigned long long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void render_store(const struct render *render, const struct store_figures *store)
{
    single(render, "keys", "gauge", "Keys in the hot table.", store->hot.keys);
    single(render, "custom_keys", "gauge", "Keys whose value or digest was imported.",
           store->hot.custom_keys);
    single(render, "consumers", "gauge", "Consumers in memory.", store->hot.subjects);
    single(render, "buckets", "gauge", "Buckets in memory.", store->hot.buckets);
    single(render, "hot_record_bytes", "gauge", "Memory of key records.", store->hot.record_bytes);
    single(render, "hot_slot_bytes", "gauge", "Memory of the table's slots.",
           store->hot.slot_bytes);
    single(render, "hot_subject_bytes", "gauge", "Memory of rendered consumers.",
           store->hot.subject_bytes);
    single(render, "table_loaded", "gauge", "1 when every key is in memory.", store->is_loaded);
    single(render, "log_index", "gauge", "Last applied log index.", store->applied_index);
    single(render, "log_first_index", "gauge", "Oldest log index kept.", store->log_first_index);
    single(render, "log_bytes", "gauge", "Bytes of log kept.", store->log_bytes);
    single(render, "rocksdb_memtable_bytes", "gauge", "RocksDB's memtables.",
           store->memtable_bytes);
    single(render, "rocksdb_block_cache_bytes", "gauge", "RocksDB's block cache in use.",
           store->block_cache_bytes);
    single(render, "rocksdb_disk_bytes", "gauge", "RocksDB's table files.", store->disk_bytes);
    single(render, "disk_free_bytes", "gauge", "Free bytes of the data directory's disk.",
           store->disk_free_bytes);
}

static void render_loading(const struct render *render, const struct metrics_node *node)
{
    single(render, "table_loaded_keys", "gauge", "Keys read into memory at the start.",
           node->load_done);
    single(render, "table_expected_keys", "gauge", "How many there are to read, about.",
           node->load_total);
}

static void render_node(const struct render *render, const struct metrics_node *node)
{
    heading(render, "info", "gauge", "Version, node and region.");
    buf_printf(render->out,
               "keyreeve_info{version=\"" KR_VERSION "\",node=\"%s\",region=\"%s\"} 1\n",
               node->node_id, node->region);
    single(render, "is_leader", "gauge", "1 when this node accepts writes.", node->is_leader);
    single(render, "epoch", "gauge", "Epoch of the leadership.", node->epoch);
    single(render, "calls_under_way", "gauge", "Management calls under way.", node->calls_queued);
    single(render, "reads_running", "gauge", "Of them, those that read on a thread of the pool.",
           node->reads.running);
    single(render, "reads_waiting", "gauge", "Of them, those that wait to read.",
           node->reads.waiting);
    single(render, "reads_refused_total", "counter", "Calls that read, refused for their number.",
           node->reads.refused);
    single(render, "reads_given_up_total", "counter",
           "Calls that read, and that nobody waited for.", node->reads.given_up);
    single(render, "denials_left_out_total", "counter",
           "Denials without an audit row of their own.", node->denials_left_out);
    single(render, "uptime_seconds", "gauge", "Seconds since the start.", node->uptime_s);
    single(render, "resident_bytes", "gauge", "Resident memory of the process.", resident_bytes());
}

static void render_links(const struct render *render, const struct metrics_node *node)
{
    const struct peers_figures *links = &node->links;
    heading(render, "knowledge_age_seconds", "gauge",
            "Age of what this node knows; +Inf when it knows nothing yet.");
    if (node->age_ms == UINT64_MAX)
        buf_add_text(render->out, "keyreeve_knowledge_age_seconds +Inf\n");
    else
        buf_printf(render->out, "keyreeve_knowledge_age_seconds %.3f\n",
                   (double)node->age_ms / 1000);
    single(render, "children", "gauge", "Nodes that this one feeds.", links->children);
    single(render, "links_opened_total", "counter", "Links to other nodes.", links->opened);
    heading(render, "links_closed_total", "counter", "Links that ended, by reason.");
    for (size_t i = 0; i < KR_PEERS_REASON_COUNT; i++)
        buf_printf(render->out, "keyreeve_links_closed_total{reason=\"%s\"} %llu\n",
                   peers_reason_text((enum peers_reason)i), (unsigned long long)links->closed[i]);
    single(render, "link_received_bytes_total", "counter", "From other nodes.", links->bytes_in);
    single(render, "link_sent_bytes_total", "counter", "To other nodes.", links->bytes_out);
    single(render, "snapshots_sent_total", "counter", "Whole snapshots.", links->snapshots_sent);
    single(render, "snapshots_received_total", "counter", "Whole snapshots.",
           links->snapshots_received);
    single(render, "snapshot_received_bytes", "gauge",
           "Of the snapshot that comes in, over this link; 0 when none does.",
           node->snapshot_done_bytes);
    single(render, "snapshot_expected_bytes", "gauge", "Its size, about.",
           node->snapshot_total_bytes);
    single(render, "differences_total", "counter",
           "Times that this node's state was not the leader's.", links->differences);
}

static void render_etcd(const struct render *render, const struct engine_etcd_figures *etcd)
{
    single(render, "etcd_transactions_total", "counter", "Transactions that append.",
           etcd->transactions);
    single(render, "etcd_retries_total", "counter", "Of those without an answer, sent again.",
           etcd->retries);
    single(render, "etcd_elections_total", "counter", "Elections that this node has won.",
           etcd->elections);
    single(render, "etcd_refusals_total", "counter", "Leaderships that this node has given up.",
           etcd->refusals);
    single(render, "etcd_database_bytes", "gauge",
           "The largest member's database; 0 when it is not known.", etcd->database_bytes);
    single(render, "etcd_database_used_bytes", "gauge",
           "What of it is in use; 0 when it is not known.", etcd->database_used_bytes);
    single(render, "etcd_quota_bytes", "gauge", "What etcd_quota_bytes says.", etcd->quota_bytes);
    single(render, "etcd_out_of_space", "gauge", "1 while etcd's NOSPACE alarm is on.",
           etcd->is_out_of_space);
}

void metrics_render(struct buf *out, struct metrics *const *blocks, size_t count,
                    const struct metrics_node *node)
{
    struct render render = {out, blocks, count};
    render_node(&render, node);
    render_links(&render, node);
    if (node->has_etcd)
        render_etcd(&render, &node->etcd);
    render_store(&render, &node->store);
    render_loading(&render, node);
    heading(&render, "requests_total", "counter",
            "Requests by route and status; a binary frame counts as one.");
    render_answers(&render, render_count);
    heading(&render, "request_seconds", "histogram",
            "From a request's arrival to its answer, by route and status.");
    render_answers(&render, render_latency);
    render_verdicts(&render);
    render_connections(&render);
    render_tls(&render, &node->certificates);
}
