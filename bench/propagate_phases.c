// SPDX-License-Identifier: Apache-2.0
// The phases of propagate --world: quiet, in bursts, under validations, while a follower catches
// up, with packets lost, with a region cut off, and a whole bucket at once.
//
// A round: all nodes say VALID → the revocations are sent; the clock starts when the leader has
// them in its sockets → every node is asked until it refuses, and every answer is awaited.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/draw.h"
#include "bench/probes.h"
#include "bench/progress.h"
#include "bench/propagate_internal.h"
#include "bench/table.h"
#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/priority.h"

enum {
    KR_WORLD_MAKE = 500,     // keys a call
    KR_WORLD_IMPORT = 2000,  // rows a call
    KR_WORLD_SAMPLE = 100,   // of the keys that are revoked at once
    KR_WORLD_LOAD_KEYS = 64, // a frame
    KR_WORLD_BODY = 1 << 19,
    KR_WORLD_PATH = 256,
    KR_WORLD_PATIENCE_MS = 60000,
    KR_WORLD_AFTER_MS = 500 // a region that is cut off is watched so long behind a receipt
};
#define KR_WORLD_LOAD_SHARE 0.7

// A revocation, or several at the same time, and what came of it.
struct shot {
    size_t key_count, call_count;
    struct manage *calls[KR_PROPAGATE_BURST];
    char paths[KR_PROPAGATE_BURST][KR_WORLD_PATH];
    const char *body;
    uint64_t sent_ns[KR_PROPAGATE_BURST], answered_ns[KR_PROPAGATE_BURST]; // a call; 0: not yet
};

// --- keys ----------------------------------------------------------------------------------------

static enum kr_err take_made(struct propagate_bench *bench, struct bytes answer)
{
    struct json *json = NULL;
    enum kr_err err = json_parse(answer, &json, &bench->fault);
    if (err != KR_ERR_OK)
        return err;
    const struct json *data = json_member(json, "data");
    for (size_t i = 0; i < json_size(data); i++) {
        struct propagate_key *key = &bench->keys[bench->key_count++];
        const struct json *one = json_at(data, i);
        snprintf(key->value, sizeof(key->value), "%s", json_text(json_member(one, "key")));
        snprintf(key->id, sizeof(key->id), "%s", json_text(json_member(one, "id")));
    }
    json_free(&json);
    return KR_ERR_OK;
}

// Makes as many keys as a phase takes, in place of those before.
static enum kr_err make_keys(struct propagate_bench *bench, size_t count)
{
    enum kr_err err = KR_ERR_OK;
    bench->keys = mem_realloc(bench->keys, (count + KR_WORLD_MAKE) * sizeof(*bench->keys));
    bench->key_count = bench->key_next = 0;
    while (bench->key_count < count && err == KR_ERR_OK) {
        char body[3 * KR_WORLD_MAKE + 2] = "[";
        struct bytes answer;
        for (size_t i = 0; i < KR_WORLD_MAKE && bench->key_count + i < count; i++)
            memcpy(body + 3 * i, i == 0 ? "[{}" : ",{}", 4);
        strncat(body, "]", 2);
        err = manage_call(&bench->cluster.leader, "POST", KR_PROPAGATE_CONSUMER "/keys/$bulk", body,
                          &answer);
        if (err == KR_ERR_OK)
            err = take_made(bench, answer);
    }
    return err;
}

static enum kr_err import_some(struct propagate_bench *bench, uint64_t first, uint64_t count)
{
    char key[KR_KEY_MINTED_SIZE];
    struct bytes answer;
    struct buf body;
    buf_init(&body, KR_WORLD_BODY);
    for (uint64_t i = 0; i < count; i++) {
        draw_key(bench->seed, first + i, "kr_live", key);
        buf_printf(&body, "%s{\"consumer\":\"c%llu\",\"key\":\"%s\"}", i == 0 ? "{\"rows\":[" : ",",
                   (unsigned long long)(first + i) % 1000, key);
    }
    buf_add_text(&body, "]}");
    buf_add_u8(&body, 0);
    enum kr_err err = buf_result(&body);
    if (err == KR_ERR_OK)
        err = manage_call(&bench->cluster.leader, "POST", KR_PROPAGATE_BUCKETS "/bulk/$import",
                          (const char *)body.data, &answer);
    buf_fini(&body);
    return err;
}

enum kr_err propagate_import(struct propagate_bench *bench)
{
    struct progress progress;
    enum kr_err err = KR_ERR_OK;
    progress_begin(&progress, "imported keys", bench->bulk_keys);
    for (uint64_t i = 0; i < bench->bulk_keys && err == KR_ERR_OK; i += KR_WORLD_IMPORT) {
        uint64_t rest = bench->bulk_keys - i;
        err = import_some(bench, i, rest < KR_WORLD_IMPORT ? rest : KR_WORLD_IMPORT);
        progress_at(&progress, i);
    }
    progress_end(&progress);
    return err;
}

// Imported keys, spread over all of them.
static void sample_keys(const struct propagate_bench *bench, size_t count,
                        char values[][KR_KEY_MINTED_SIZE], struct bytes *keys)
{
    for (size_t i = 0; i < count; i++) {
        draw_key(bench->seed, bench->bulk_keys * i / count, "kr_live", values[i]);
        keys[i] = bytes_text(values[i]);
    }
}

// --- a revocation --------------------------------------------------------------------------------

static enum kr_err fire(struct shot *shot)
{
    enum kr_err err = KR_ERR_OK;
    for (size_t i = 0; i < shot->call_count && err == KR_ERR_OK; i++) {
        shot->sent_ns[i] = clock_mono_ns();
        shot->answered_ns[i] = 0;
        err = manage_send(shot->calls[i], "POST", shot->paths[i], bytes_text(shot->body));
    }
    return err;
}

// OK, also when answers are still missing.
static enum kr_err hear_answers(struct propagate_bench *bench, struct shot *shot, size_t *missing)
{
    *missing = 0;
    for (size_t i = 0; i < shot->call_count; i++) {
        unsigned status = 0;
        struct bytes body;
        if (shot->answered_ns[i] != 0)
            continue;
        enum kr_err err = manage_look(shot->calls[i], &status, &body);
        if (err == KR_ERR_OK && status != 200)
            return fault_set(&bench->fault, KR_ERR_IO, "a revocation is answered %u: %.*s", status,
                             (int)(body.size < 200 ? body.size : 200), (const char *)body.data);
        if (err == KR_ERR_OK)
            shot->answered_ns[i] = clock_mono_ns();
        else if (err != KR_ERR_NOT_FOUND)
            return err;
        *missing += err != KR_ERR_OK;
    }
    return KR_ERR_OK;
}

static enum kr_err watch(struct propagate_bench *bench, struct shot *shot)
{
    uint64_t until_ms = clock_boot_ms() + KR_WORLD_PATIENCE_MS;
    size_t missing = 1;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && (missing > 0 || prober_left(&bench->prober) > 0)) {
        err = prober_turn(&bench->prober);
        if (err == KR_ERR_OK)
            err = hear_answers(bench, shot, &missing);
        if (err == KR_ERR_OK && clock_boot_ms() > until_ms)
            err = fault_set(&bench->fault, KR_ERR_TIMEOUT,
                            "%zu nodes do not refuse after %d s, %zu answers are missing",
                            prober_left(&bench->prober), KR_WORLD_PATIENCE_MS / 1000, missing);
    }
    return err;
}

static void record(struct propagate_bench *bench, const struct shot *shot,
                   struct propagate_samples *samples)
{
    for (size_t k = 0; k < shot->key_count && samples->count < samples->capacity; k++) {
        size_t call = k < shot->call_count ? k : 0, row = samples->count++;
        double worst_us = NAN;
        for (size_t i = 0; i < bench->prober.count; i++) {
            struct prober_node *node = &bench->prober.nodes[i];
            if (!node->is_watched || node->keys[k].refused_ns == 0)
                continue;
            double us = (double)(int64_t)(node->keys[k].refused_ns - shot->sent_ns[call]) / 1e3;
            samples->delays_us[i][row] = us;
            samples->ways_us[i][row] = prober_way_us(&bench->prober, node->at->at->region);
            worst_us = fmax(worst_us, us);
        }
        samples->worsts_us[row] = worst_us;
        samples->answers_us[row] = (double)(shot->answered_ns[call] - shot->sent_ns[call]) / 1e3;
    }
}

// Revokes keys that were made, each by a call of its own, and watches.
static enum kr_err aim(struct propagate_bench *bench, size_t count, const char *query,
                       struct shot *shot)
{
    struct bytes keys[KR_PROPAGATE_BURST];
    *shot = (struct shot){.key_count = count, .call_count = count, .body = "{}"};
    for (size_t i = 0; i < count; i++) {
        const struct propagate_key *key = &bench->keys[bench->key_next++];
        keys[i] = bytes_text(key->value);
        shot->calls[i] = &bench->calls[i];
        snprintf(shot->paths[i], KR_WORLD_PATH, KR_PROPAGATE_CONSUMER "/keys/%s/revoke%s", key->id,
                 query);
    }
    return prober_begin(&bench->prober, keys, count);
}

static enum kr_err run_round(struct propagate_bench *bench, size_t keys,
                             struct propagate_samples *samples)
{
    struct shot shot;
    enum kr_err err = aim(bench, keys, "", &shot);
    if (err == KR_ERR_OK)
        err = fire(&shot);
    if (err == KR_ERR_OK)
        err = watch(bench, &shot);
    if (err == KR_ERR_OK)
        record(bench, &shot, samples);
    return err;
}

// --- phases --------------------------------------------------------------------------------------

static struct propagate_frame frame_of(struct propagate_bench *bench)
{
    return (struct propagate_frame){&bench->cluster, bench->world_name, &bench->results};
}

typedef enum kr_err between_fn(struct propagate_bench *bench);

// between: what is done before each round; NULL: nothing.
static enum kr_err run_phase(struct propagate_bench *bench, const char *load, size_t keys,
                             uint64_t rounds, between_fn *between)
{
    const struct propagate_frame frame = frame_of(bench);
    struct propagate_samples samples;
    struct progress progress;
    enum kr_err err = make_keys(bench, keys * rounds);
    propagate_samples_init(&samples, load, keys > 1 ? "burst" : "single", bench->prober.count,
                           keys * rounds);
    progress_begin(&progress, load, rounds);
    for (uint64_t i = 0; i < rounds && err == KR_ERR_OK; i++) {
        if (between != NULL)
            err = between(bench);
        if (err == KR_ERR_OK)
            err = run_round(bench, keys, &samples);
        progress_at(&progress, i);
    }
    progress_end(&progress);
    if (err == KR_ERR_OK)
        propagate_samples_write(&frame, &samples);
    propagate_samples_fini(&samples);
    return err;
}

static uint64_t load_keys_of(const struct propagate_bench *bench)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bench->prober.count; i++)
        sum += bench->prober.nodes[i].load_keys;
    return sum;
}

// What a closed loop gets out of all nodes is the measure of what they can do beside the prober and
// the link on this machine.
static enum kr_err run_validations(struct propagate_bench *bench)
{
    char values[KR_WORLD_LOAD_KEYS][KR_KEY_MINTED_SIZE];
    struct bytes keys[KR_WORLD_LOAD_KEYS];
    const struct propagate_frame frame = frame_of(bench);
    double capacity = 0;
    sample_keys(bench, KR_WORLD_LOAD_KEYS, values, keys);
    enum kr_err err =
        prober_measure_capacity(&bench->prober, keys, KR_WORLD_LOAD_KEYS, 2, &capacity);
    uint64_t begin_ns = clock_mono_ns(), before = load_keys_of(bench);
    prober_load(&bench->prober, keys, KR_WORLD_LOAD_KEYS,
                KR_WORLD_LOAD_SHARE * capacity / (double)bench->prober.count);
    if (err == KR_ERR_OK)
        err = run_phase(bench, "validations", 1, bench->rounds, NULL);
    double got =
        (double)(load_keys_of(bench) - before) * 1e9 / (double)(clock_mono_ns() - begin_ns);
    prober_load(&bench->prober, keys, KR_WORLD_LOAD_KEYS, 0);
    if (err != KR_ERR_OK)
        return err;
    propagate_figure_write(&frame, "propagate.capacity", "validations a second in a closed loop",
                           "validations", "1/s", &capacity, 1);
    propagate_figure_write(&frame, "propagate.validations",
                           "validations a second beside the probes", "validations", "1/s", &got, 1);
    return KR_ERR_OK;
}

// The last follower that feeds nobody.
static size_t newcomer_of(const struct propagate_bench *bench)
{
    const struct topology *topology = &bench->topology;
    for (size_t i = topology->node_count; i > 1; i--) {
        bool is_upstream = topology->nodes[i - 1].is_core;
        for (size_t k = 0; k < topology->node_count; k++)
            for (size_t u = 0; u < topology->nodes[k].upstream_count; u++)
                is_upstream = is_upstream || topology->nodes[k].upstreams[u] == i - 1;
        if (!is_upstream)
            return i - 1;
    }
    return 0;
}

static void note_join(struct propagate_bench *bench)
{
    double took_ms = (double)(clock_mono_ns() - bench->join_began_ns) / 1e6;
    if (bench->join_began_ns != 0)
        bench->joins_ms[bench->join_count++] = took_ms;
}

static enum kr_err restart_newcomer(struct propagate_bench *bench)
{
    size_t newcomer = newcomer_of(bench);
    if (bench->join_began_ns != 0 && !cluster_is_ready(&bench->cluster, newcomer))
        return KR_ERR_OK; // it is still at it
    note_join(bench);
    bench->join_began_ns = clock_mono_ns();
    return cluster_restart_empty(&bench->cluster, newcomer);
}

// It was looked after between the rounds, so that a time is too long by up to one of them.
static void write_joins(struct propagate_bench *bench)
{
    const struct propagate_frame frame = frame_of(bench);
    propagate_figure_write(&frame, "propagate.newcomer", "a follower from empty until it is ready",
                           "catching up", "ms", bench->joins_ms, bench->join_count);
    if (!bench->results.is_json)
        printf("a follower from empty, %llu keys: ready after %.1f s (median of %zu)\n\n",
               (unsigned long long)bench->bulk_keys,
               table_median(bench->joins_ms, bench->join_count) / 1e3, bench->join_count);
}

static enum kr_err run_catching_up(struct propagate_bench *bench)
{
    size_t newcomer = newcomer_of(bench);
    if (newcomer == 0)
        return KR_ERR_OK;
    prober_leave(&bench->prober, newcomer);
    bench->joins_ms = mem_zalloc((bench->rounds + 1) * sizeof(*bench->joins_ms));
    enum kr_err err = run_phase(bench, "catching up", 1, bench->rounds, restart_newcomer);
    if (err == KR_ERR_OK)
        err = cluster_await_ready(&bench->cluster, newcomer);
    if (err == KR_ERR_OK) {
        note_join(bench);
        write_joins(bench);
    }
    return err == KR_ERR_OK ? prober_rejoin(&bench->prober, newcomer) : err;
}

static enum kr_err tell_world(struct propagate_bench *bench, const char *request)
{
    struct buf answer;
    buf_init(&answer, KR_WORLD_ANSWER);
    enum kr_err err = world_ask(bench->name, request, &answer, &bench->fault);
    buf_fini(&answer);
    return err;
}

// Relays pass streams on, of which nothing can be missing.
static enum kr_err run_loss(struct propagate_bench *bench)
{
    if (bench->world.form == KR_LINK_STREAMS) {
        progress_say("loss: not measured, the links are relays");
        return KR_ERR_OK;
    }
    enum kr_err err = tell_world(bench, "set all all loss_percent=1");
    if (err == KR_ERR_OK)
        err = run_phase(bench, "loss", 1, bench->rounds, NULL);
    return err == KR_ERR_OK ? tell_world(bench, "set all all loss_percent=0") : err;
}

// --- a region cut off ----------------------------------------------------------------------------

// The last region with followers alone; region_count: there is none.
static size_t region_to_cut(const struct topology *topology)
{
    bool has_core[KR_TOPOLOGY_REGIONS] = {false}, has_node[KR_TOPOLOGY_REGIONS] = {false};
    size_t found = topology->region_count;
    for (size_t i = 0; i < topology->node_count; i++) {
        has_node[topology->nodes[i].region] = true;
        has_core[topology->nodes[i].region] |= topology->nodes[i].is_core;
    }
    for (size_t i = 0; i < topology->region_count; i++)
        if (has_node[i] && !has_core[i])
            found = i;
    return found;
}

// When a node of the region let the key in for the last time.
static uint64_t last_valid_ns(const struct prober *prober, size_t region)
{
    uint64_t last_ns = 0;
    for (size_t i = 0; i < prober->count; i++)
        if (prober->nodes[i].at->at->region == region && prober->nodes[i].is_watched &&
            prober->nodes[i].keys[0].valid_ns > last_ns)
            last_ns = prober->nodes[i].keys[0].valid_ns;
    return last_ns;
}

static enum kr_err await_receipt(struct propagate_bench *bench, struct shot *shot)
{
    size_t missing = 1;
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && missing > 0) {
        err = prober_turn(&bench->prober);
        if (err == KR_ERR_OK)
            err = hear_answers(bench, shot, &missing);
    }
    uint64_t until_ms = clock_boot_ms() + KR_WORLD_AFTER_MS;
    while (err == KR_ERR_OK && clock_boot_ms() < until_ms)
        err = prober_turn(&bench->prober);
    return err;
}

// The promise: after the receipt no node lets the key in, and the one that is cut off least of all.
static enum kr_err run_cut_round(struct propagate_bench *bench, size_t region,
                                 struct propagate_samples *samples, double *receipt_us,
                                 double *margin_us)
{
    char request[64];
    struct shot shot;
    snprintf(request, sizeof(request), "cut %s all", bench->topology.regions[region]);
    enum kr_err err = aim(bench, 1, "?wait=everywhere&timeoutMs=60000", &shot);
    if (err == KR_ERR_OK)
        err = tell_world(bench, request);
    if (err == KR_ERR_OK)
        err = fire(&shot);
    if (err == KR_ERR_OK)
        err = await_receipt(bench, &shot);
    if (err != KR_ERR_OK)
        return err;
    *receipt_us = (double)(shot.answered_ns[0] - shot.sent_ns[0]) / 1e3;
    *margin_us =
        (double)(int64_t)(shot.answered_ns[0] - last_valid_ns(&bench->prober, region)) / 1e3;
    record(bench, &shot, samples);
    if (*margin_us < 0)
        return fault_set(&bench->fault, KR_ERR_IO,
                         "the promise is broken: %s let a key in %.1f ms after its receipt",
                         bench->topology.regions[region], -*margin_us / 1e3);
    err = tell_world(bench, "heal all all");
    return err == KR_ERR_OK ? watch(bench, &shot) : err;
}

static enum kr_err run_cuts(struct propagate_bench *bench)
{
    const struct propagate_frame frame = frame_of(bench);
    size_t region = region_to_cut(&bench->topology);
    double receipts_us[1000], margins_us[1000];
    struct propagate_samples samples;
    struct progress progress;
    if (region == bench->topology.region_count || bench->cuts == 0)
        return KR_ERR_OK;
    enum kr_err err = make_keys(bench, bench->cuts);
    propagate_samples_init(&samples, "cut", "single", bench->prober.count, bench->cuts);
    progress_begin(&progress, "cut", bench->cuts);
    for (uint64_t i = 0; i < bench->cuts && err == KR_ERR_OK; i++) {
        err = run_cut_round(bench, region, &samples, &receipts_us[i], &margins_us[i]);
        progress_at(&progress, i);
    }
    progress_end(&progress);
    if (err == KR_ERR_OK) {
        propagate_samples_write(&frame, &samples);
        propagate_figure_write(&frame, "propagate.receipt",
                               "until the receipt that no node anywhere lets the key in", "cut",
                               "us", receipts_us, bench->cuts);
        propagate_figure_write(&frame, "propagate.receipt_margin",
                               "the receipt less the last VALID in the region that is cut off",
                               "cut", "us", margins_us, bench->cuts);
    }
    propagate_samples_fini(&samples);
    return err;
}

// --- a bucket at once ----------------------------------------------------------------------------

static enum kr_err run_bulk(struct propagate_bench *bench)
{
    char values[KR_WORLD_SAMPLE][KR_KEY_MINTED_SIZE];
    struct bytes keys[KR_WORLD_SAMPLE];
    const struct propagate_frame frame = frame_of(bench);
    struct propagate_samples samples;
    struct shot shot = {.key_count = KR_WORLD_SAMPLE,
                        .call_count = 1,
                        .calls = {&bench->calls[0]},
                        .paths = {KR_PROPAGATE_BUCKETS "/bulk/revoke"},
                        .body = "{\"confirm\":\"bulk\"}"};
    sample_keys(bench, KR_WORLD_SAMPLE, values, keys);
    propagate_samples_init(&samples, "idle", "bulk", bench->prober.count, KR_WORLD_SAMPLE);
    progress_say("%llu keys at once", (unsigned long long)bench->bulk_keys);
    enum kr_err err = prober_begin(&bench->prober, keys, KR_WORLD_SAMPLE);
    if (err == KR_ERR_OK)
        err = fire(&shot);
    if (err == KR_ERR_OK)
        err = watch(bench, &shot);
    if (err == KR_ERR_OK) {
        record(bench, &shot, &samples);
        propagate_samples_write(&frame, &samples);
    }
    propagate_samples_fini(&samples);
    progress_say("%s", "");
    return err;
}

// --- all of them ---------------------------------------------------------------------------------

// Every node's rate over all that it was watched.
static void write_probes(struct propagate_bench *bench)
{
    double rates[KR_TOPOLOGY_NODES];
    for (size_t i = 0; i < bench->prober.count; i++) {
        const struct prober_node *node = &bench->prober.nodes[i];
        rates[i] = (double)node->probes_sent * 1e9 / (double)node->watched_ns;
    }
    const struct probes probes = {
        bench->world_name,  bench->engine, "all", world_form(bench->world.form), rates,
        bench->prober.count};
    probes_write(&bench->results, &probes);
}

enum kr_err propagate_phases(struct propagate_bench *bench)
{
    priority_take(KR_PRIORITY_SPIN);
    enum kr_err err = run_phase(bench, "idle", 1, bench->rounds, NULL);
    if (err == KR_ERR_OK && bench->bursts > 0)
        err = run_phase(bench, "idle", KR_PROPAGATE_BURST, bench->bursts, NULL);
    if (err == KR_ERR_OK)
        err = run_validations(bench);
    if (err == KR_ERR_OK)
        err = run_catching_up(bench);
    if (err == KR_ERR_OK)
        err = run_loss(bench);
    if (err == KR_ERR_OK)
        err = run_bulk(bench);
    // The last: who was cut off may follow a farther node for half a minute.
    if (err == KR_ERR_OK)
        err = run_cuts(bench);
    if (err == KR_ERR_OK)
        write_probes(bench);
    return err;
}
