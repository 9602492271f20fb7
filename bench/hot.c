// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench hot: digest, look-up, verdict and freshness in memory, without a server.
//
// Two ways in turns over freshly drawn keys: one at a time, where the next key's address depends on
// the last verdict, so that nothing overlaps; and in batches, as a serving loop does, through
// hot_find_many.
#include "bench/hot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/draw.h"
#include "bench/options.h"
#include "bench/progress.h"
#include "bench/result.h"
#include "bench/table.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/rand.h"
#include "core/keys/verdict.h"
#include "core/store/hot.h"

enum {
    KR_HOT_TURNS_MAX = 100,
    KR_HOT_BATCH_MAX = 256,
    KR_HOT_FILL_GROUP = 256,
    KR_HOT_ROW = 64, // a line a key's text
    KR_HOT_STALENESS_MS = 60000
};

static const char prefix[] = "kr_live";

struct hot_options {
    uint64_t keys, consumers, validations, batch, turns, seed;
    double unknown;
    struct result_run results;
};

struct sample_row {
    char text[KR_HOT_ROW];
};

struct hot_bench {
    struct hot_options options;
    struct hot *hot;
    struct sample_row *rows; // the keys of this turn
    size_t row_size;         // bytes of a key
    uint64_t expected_valid; // among them
    int64_t now_ms;
    uint64_t fresh_boot_ms; // when the node's knowledge was known to be current
    uint64_t one_mask;      // 0, which the compiler cannot know
    uint64_t resident_bytes;
    double puts_per_second;
    double one_ns[KR_HOT_TURNS_MAX], batch_ns[KR_HOT_TURNS_MAX]; // a validation
    struct fault fault;
};

static enum option_outcome parse(int argc, char **argv, struct hot_options *o)
{
    const struct option_row rows[] = {
        {"--keys", "N", KR_OPTION_COUNT, &o->keys, 1, 1e9, false,
         "keys in the table (default 10000000)"},
        {"--consumers", "M", KR_OPTION_COUNT, &o->consumers, 1, 1e9, false,
         "spread over so many (default: a tenth of --keys)"},
        {"--validations", "V", KR_OPTION_COUNT, &o->validations, 1000, 1e8, false,
         "a turn, for each of the two ways (default 1000000)"},
        {"--batch", "B", KR_OPTION_COUNT, &o->batch, 1, KR_HOT_BATCH_MAX, false,
         "keys a batch (default 16)"},
        {"--unknown", "SHARE", KR_OPTION_REAL, &o->unknown, 0, 1, false,
         "of keys the table does not hold (default 0.05)"},
        {"--turns", "T", KR_OPTION_COUNT, &o->turns, 1, KR_HOT_TURNS_MAX, false,
         "of which medians are taken (default 5)"},
        {"--seed", "S", KR_OPTION_COUNT, &o->seed, 0, 1.8e19, false,
         "the same seed gives the same keys (default 1)"},
        KR_RESULT_OPTIONS(&o->results),
    };
    const struct option_spec spec = {
        "hot",
        "Fills a hot table and validates keys drawn uniformly from it: SHA-256 of the key's text,\n"
        "look-up, verdict, freshness. One at a time each depends on the one before; in batches\n"
        "the memory accesses overlap. Pin it: taskset -c 0 keyreeve-bench hot\n",
        rows, sizeof(rows) / sizeof(rows[0]),
        "  taskset -c 0 keyreeve-bench hot --keys 10000000\n"};
    enum option_outcome outcome = options_parse(&spec, argc, argv);
    if (o->consumers == 0)
        o->consumers = o->keys > 10 ? o->keys / 10 : 1;
    return outcome;
}

// --- filling -------------------------------------------------------------------------------------
static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL && fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct bytes key_text(const struct hot_bench *bench, const struct sample_row *row)
{
    return bytes_of(row->text, bench->row_size);
}

static void fill_subjects(struct hot_bench *bench)
{
    const struct bucket bucket = {.id = "bckt_000000000000000000000001",
                                  .name = "production",
                                  .environment = KR_ENV_PRODUCTION,
                                  .max_staleness_ms = KR_HOT_STALENESS_MS,
                                  .revision = 1};
    struct progress progress;
    hot_put_bucket(bench->hot, &bucket);
    progress_begin(&progress, "consumers", bench->options.consumers);
    for (uint64_t i = 0; i < bench->options.consumers; i++) {
        char id[KR_ID_SIZE], name[24];
        snprintf(id, sizeof(id), "csmr_%024" PRIu64, i);
        snprintf(name, sizeof(name), "c%06" PRIu64, i + 1);
        const struct consumer consumer = {
            .id = id, .name = name, .metadata = "{\"plan\":\"gold\"}", .revision = 2};
        hot_put_subject(bench->hot, &consumer, &bucket);
        progress_at(&progress, i);
    }
    progress_end(&progress);
}

static struct hot_put make_put(const struct hot_bench *bench, uint64_t number)
{
    char key[KR_KEY_MINTED_SIZE];
    struct hot_put put = {.subject = (uint32_t)(number % bench->options.consumers), .revision = 3};
    draw_key(bench->options.seed, number, prefix, key);
    digest_sha256(bytes_text(key), put.digest);
    memcpy(put.id, put.digest, sizeof(put.id));
    return put;
}

// Only hot_put_many is timed; making the keys takes longer.
static void fill_keys(struct hot_bench *bench)
{
    static struct hot_put puts[KR_HOT_FILL_GROUP];
    uint64_t spent_ns = 0;
    struct progress progress;
    progress_begin(&progress, "keys", bench->options.keys);
    for (uint64_t at = 0; at < bench->options.keys;) {
        size_t count = 0;
        while (count < KR_HOT_FILL_GROUP && at < bench->options.keys)
            puts[count++] = make_put(bench, at++);
        uint64_t begin_ns = clock_mono_ns();
        hot_put_many(bench->hot, puts, count);
        spent_ns += clock_mono_ns() - begin_ns;
        progress_at(&progress, at);
    }
    progress_end(&progress);
    bench->puts_per_second = (double)bench->options.keys * 1e9 / (double)(spent_ns + 1);
}

// --- validating ----------------------------------------------------------------------------------
static enum verdict_code judge(const struct hot_bench *bench, const struct hot_record *record,
                               uint64_t age_ms)
{
    if (record == NULL)
        return verdict_freshen(KR_VERDICT_NOT_FOUND, age_ms, KR_HOT_STALENESS_MS);
    struct hot_holder holder = hot_record_holder(bench->hot, record);
    const struct hot_bucket *bucket = hot_bucket_at(bench->hot, holder.bucket);
    uint64_t revoked_before = holder.revoked_before > bucket->revoked_before
                                  ? holder.revoked_before
                                  : bucket->revoked_before;
    const struct verdict_key key = {
        .revision = hot_record_u48(record->revision),
        .revoked_before = revoked_before,
        .expires_ms = (int64_t)hot_record_u48(record->expires),
        .is_revoked = (record->flags & KR_HOT_REVOKED) != 0,
        .is_enabled = (record->flags & KR_HOT_DISABLED) == 0,
        .bucket = bucket->number,
    };
    const struct verdict_request request = {.now_ms = bench->now_ms,
                                            .bucket = KR_VERDICT_ANY_BUCKET};
    return verdict_freshen(verdict_judge(&key, &request), age_ms, bucket->max_staleness_ms);
}

static uint64_t age_ms(const struct hot_bench *bench)
{
    return clock_boot_ms() - bench->fresh_boot_ms;
}

static uint64_t validate_one_by_one(const struct hot_bench *bench)
{
    uint64_t valid = 0, offset = 0;
    for (uint64_t i = 0; i < bench->options.validations; i++) {
        uint8_t digest[KR_DIGEST_SIZE];
        digest_sha256(key_text(bench, &bench->rows[i + offset]), digest);
        const struct hot_record *record = hot_find(bench->hot, digest);
        enum verdict_code code = judge(bench, record, age_ms(bench));
        valid += code == KR_VERDICT_VALID;
        offset = (uint64_t)code & bench->one_mask;
    }
    return valid;
}

static uint64_t validate_in_batches(const struct hot_bench *bench)
{
    struct bytes keys[KR_HOT_BATCH_MAX];
    uint8_t digests[KR_HOT_BATCH_MAX][KR_DIGEST_SIZE];
    const struct hot_record *records[KR_HOT_BATCH_MAX];
    uint64_t valid = 0;
    for (uint64_t at = 0; at < bench->options.validations; at += bench->options.batch) {
        uint64_t left = bench->options.validations - at;
        size_t count = (size_t)(left < bench->options.batch ? left : bench->options.batch);
        for (size_t i = 0; i < count; i++)
            keys[i] = key_text(bench, &bench->rows[at + i]);
        hot_find_many(bench->hot, keys, count, digests, records);
        uint64_t age = age_ms(bench);
        for (size_t i = 0; i < count; i++)
            valid += judge(bench, records[i], age) == KR_VERDICT_VALID;
    }
    return valid;
}

// --- turns ---------------------------------------------------------------------------------------
static void draw_rows(struct hot_bench *bench, struct draw *draw)
{
    const struct hot_options *o = &bench->options;
    bench->expected_valid = 0;
    for (uint64_t i = 0; i < o->validations; i++) {
        char key[KR_KEY_MINTED_SIZE];
        bool is_unknown = draw_unit(draw) < o->unknown;
        uint64_t number = draw_below(draw, o->keys) + (is_unknown ? o->keys : 0);
        draw_key(o->seed, number, prefix, key);
        memcpy(bench->rows[i].text, key, bench->row_size);
        bench->expected_valid += !is_unknown;
    }
}

static enum kr_err measure(struct hot_bench *bench,
                           uint64_t (*validate)(const struct hot_bench *bench), double *out_ns)
{
    bench->now_ms = clock_unix_ms();
    bench->fresh_boot_ms = clock_boot_ms();
    uint64_t begin_ns = clock_mono_ns();
    uint64_t valid = validate(bench);
    *out_ns = (double)(clock_mono_ns() - begin_ns) / (double)bench->options.validations;
    hot_quiescent();
    if (valid == bench->expected_valid)
        return KR_ERR_OK;
    return fault_set(&bench->fault, KR_ERR_CORRUPT, "%" PRIu64 " valid keys, expected %" PRIu64,
                     valid, bench->expected_valid);
}

// The two ways see different keys: what one has brought into the caches would help the other.
static enum kr_err run_turns(struct hot_bench *bench)
{
    struct draw draw = {bench->options.seed ^ UINT64_C(0x5eed)};
    enum kr_err err = KR_ERR_OK;
    for (uint64_t turn = 0; turn < bench->options.turns && err == KR_ERR_OK; turn++) {
        progress_say("turn %" PRIu64 " of %" PRIu64, turn + 1, bench->options.turns);
        draw_rows(bench, &draw);
        err = measure(bench, validate_one_by_one, &bench->one_ns[turn]);
        draw_rows(bench, &draw);
        if (err == KR_ERR_OK)
            err = measure(bench, validate_in_batches, &bench->batch_ns[turn]);
    }
    progress_say("%s", "");
    return err;
}

// --- reporting -----------------------------------------------------------------------------------
struct spread {
    double median, low, high;
};

static struct spread spread_of(double *values, size_t count)
{
    double median = table_median(values, count); // sorts
    return (struct spread){median, values[0], values[count - 1]};
}

static void print_row(struct table *table, const char *name, struct spread ns)
{
    table_row(table, name);
    table_number(table, ns.median, 1);
    table_number(table, ns.low, 1);
    table_number(table, ns.high, 1);
    table_number(table, 1000.0 / ns.median, 2);
}

static void print_table(const struct hot_bench *bench, struct spread one, struct spread batch)
{
    static const char *const heading[] = {"ns median", "min", "max", "M/s"};
    static struct table table;
    struct hot_figures figures;
    char name[64];
    hot_figures(bench->hot, &figures);
    table_row(&table, "full validation");
    for (size_t i = 0; i < sizeof(heading) / sizeof(heading[0]); i++)
        table_text(&table, heading[i]);
    print_row(&table, "one at a time, dependent", one);
    snprintf(name, sizeof(name), "batches of %" PRIu64, bench->options.batch);
    print_row(&table, name, batch);
    table_print(&table, stdout);
    double keys = (double)bench->options.keys;
    printf("\n%" PRIu64 " keys of %" PRIu64 " consumers: %.1f bytes a key resident (records %.1f, "
           "slots %.1f, subjects %.1f); put at %.1f M/s\n",
           figures.keys, figures.subjects, (double)bench->resident_bytes / keys,
           (double)figures.record_bytes / keys, (double)figures.slot_bytes / keys,
           (double)figures.subject_bytes / keys, bench->puts_per_second / 1e6);
}

static void write_rows(struct hot_bench *bench)
{
    struct hot_options *o = &bench->options;
    double rates[KR_HOT_TURNS_MAX];
    const double bytes = (double)bench->resident_bytes / (double)o->keys;
    struct result_row row = {.name = "hot.one",
                             .label = "a validation, one at a time",
                             .unit = "ns",
                             .conditions = {{"keys", (double)o->keys, NULL},
                                            {"consumers", (double)o->consumers, NULL},
                                            {"unknown", o->unknown, NULL}},
                             .values = bench->one_ns,
                             .count = o->turns};
    result_write(&o->results, &row);
    for (size_t i = 0; i < o->turns; i++)
        rates[i] = 1e9 / bench->batch_ns[i];
    row.conditions[3] = (struct result_condition){"batch", (double)o->batch, NULL};
    row.name = "hot.batch";
    row.label = "validations in batches";
    row.unit = "1/s";
    row.values = rates;
    result_write(&o->results, &row);
    row.name = "hot.memory";
    row.label = "resident memory a key, of the table";
    row.unit = "bytes";
    row.values = &bytes;
    row.count = 1;
    result_write(&o->results, &row);
}

static void print(struct hot_bench *bench)
{
    struct spread one = spread_of(bench->one_ns, bench->options.turns);
    struct spread batch = spread_of(bench->batch_ns, bench->options.turns);
    print_table(bench, one, batch);
}

static enum kr_err measure_all(struct hot_bench *bench)
{
    struct hot_options *o = &bench->options;
    char key[KR_KEY_MINTED_SIZE];
    uint64_t before = resident_bytes();
    bench->hot = hot_new(o->keys);
    draw_key(o->seed, 0, prefix, key);
    bench->row_size = strlen(key);
    fill_subjects(bench);
    fill_keys(bench);
    bench->resident_bytes = resident_bytes() - before;
    bench->rows = mem_zalloc((o->validations + 1) * sizeof(bench->rows[0]));
    hot_thread_register();
    enum kr_err err = run_turns(bench);
    hot_thread_unregister();
    if (err == KR_ERR_OK)
        write_rows(bench);
    if (err == KR_ERR_OK && !o->results.is_json)
        print(bench);
    mem_free(bench->rows);
    hot_free(&bench->hot);
    return err;
}

static enum kr_err run(struct hot_bench *bench, int argc, char **argv)
{
    bench->options.results.seed = bench->options.seed;
    enum kr_err err = result_open(&bench->options.results, argc, argv, &bench->fault);
    if (err == KR_ERR_OK)
        err = measure_all(bench);
    return result_close(&bench->options.results, err);
}

int bench_hot(int argc, char **argv)
{
    static volatile uint64_t zero;
    static struct hot_bench bench;
    bench.options = (struct hot_options){.keys = 10000000,
                                         .validations = 1000000,
                                         .batch = 16,
                                         .turns = 5,
                                         .seed = 1,
                                         .unknown = 0.05};
    bench.one_mask = zero;
    enum option_outcome outcome = parse(argc, argv, &bench.options);
    if (outcome != KR_OPTIONS_RUN)
        return outcome == KR_OPTIONS_HELP ? KR_BENCH_OK : KR_BENCH_USAGE;
    rand_init();
    if (run(&bench, argc, argv) == KR_ERR_OK)
        return KR_BENCH_OK;
    fprintf(stderr, "keyreeve-bench hot: %s\n", bench.fault.text);
    return KR_BENCH_FAILED;
}
