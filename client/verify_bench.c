// SPDX-License-Identifier: Apache-2.0
// A closed loop of questions through libkeyreeve: each answer asks the next one.
#include "client/verify_bench.h"

#include "client/libkeyreeve/keyreeve.h"
#include "client/view.h"
#include "core/base/clock.h"
#include "core/base/histogram.h"

enum { KR_BENCH_IN_FLIGHT = 64, KR_BENCH_TEXT = 4096 };
#define KR_BENCH_NODES "127.0.0.1:7401"

struct bench;

// One question after the other.
struct asker {
    struct bench *bench;
    uint64_t begin_ns;
};

struct bench {
    struct keyreeve *client;
    struct keyreeve_question question;
    uint64_t end_ns;
    uint64_t unanswered; // STALE, UNAVAILABLE
    enum keyreeve_code last;
    struct asker askers[KR_BENCH_IN_FLIGHT];
    struct histogram latency;
};

static const struct view_column columns[] = {
    {"answered", "answered", KR_VIEW_NUMBER, false},
    {"unanswered", "unanswered", KR_VIEW_NUMBER, false},
    {"answers/s", "perSecond", KR_VIEW_NUMBER, false},
    {"p50 us", "p50Us", KR_VIEW_NUMBER, false},
    {"p99 us", "p99Us", KR_VIEW_NUMBER, false},
    {"p99.9 us", "p999Us", KR_VIEW_NUMBER, false},
    {"max us", "maxUs", KR_VIEW_NUMBER, false},
    {"hedged", "hedged", KR_VIEW_NUMBER, false},
    {"failed over", "failedOver", KR_VIEW_NUMBER, false},
    {"nodes up", "nodesUp", KR_VIEW_NUMBER, false},
    {"verdict", "code", KR_VIEW_STATUS, false},
};

static enum keyreeve_error ask(struct asker *asker);

static bool can_tell(enum keyreeve_code code)
{
    return code != KR_KEYREEVE_STALE && code != KR_KEYREEVE_UNAVAILABLE;
}

static void answered(void *ctx, const struct keyreeve_answer *answer)
{
    struct asker *asker = ctx;
    struct bench *bench = asker->bench;
    uint64_t now_ns = clock_mono_ns();
    bench->last = answer->code;
    bench->unanswered += !can_tell(answer->code);
    if (can_tell(answer->code))
        histogram_record(&bench->latency, now_ns - asker->begin_ns);
    if (now_ns < bench->end_ns)
        (void)ask(asker); // there is room for so few, and the question was taken before
}

static enum keyreeve_error ask(struct asker *asker)
{
    asker->begin_ns = clock_mono_ns();
    return keyreeve_ask(asker->bench->client, &asker->bench->question, answered, asker);
}

static void add_us(struct json_writer *writer, const char *name, uint64_t ns)
{
    json_write_integer(writer, name, (int64_t)(ns / 1000));
}

static enum exit_code show(struct session *session, const struct bench *bench, uint64_t seconds)
{
    const struct histogram *latency = &bench->latency;
    struct keyreeve_figures figures;
    struct json_writer writer;
    struct json *report = NULL;
    struct fault fault = {0};
    struct buf text;
    keyreeve_figures(bench->client, &figures);
    buf_init(&text, KR_BENCH_TEXT);
    json_begin(&writer, &text);
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "answered", (int64_t)latency->count);
    json_write_integer(&writer, "unanswered", (int64_t)bench->unanswered);
    json_write_integer(&writer, "perSecond", (int64_t)(latency->count / seconds));
    add_us(&writer, "p50Us", histogram_percentile(latency, 0.5));
    add_us(&writer, "p99Us", histogram_percentile(latency, 0.99));
    add_us(&writer, "p999Us", histogram_percentile(latency, 0.999));
    add_us(&writer, "maxUs", latency->max_ns);
    json_write_integer(&writer, "hedged", (int64_t)figures.hedged);
    json_write_integer(&writer, "failedOver", (int64_t)figures.failed_over);
    json_write_integer(&writer, "nodesUp", figures.nodes_up);
    json_write_string(&writer, "code", keyreeve_code_text(bench->last));
    json_close(&writer, '}');
    enum exit_code code = KR_EXIT_FAILURE;
    if (json_parse(buf_bytes(&text), &report, &fault) == KR_ERR_OK)
        code = view_record(session, report, columns, KR_VIEW_COUNT(columns));
    json_free(&report);
    buf_fini(&text);
    return code;
}

static enum exit_code open_client(struct session *session, struct keyreeve **out)
{
    char why[KR_FAULT_TEXT_MAX];
    const char *nodes = session_setting(session, KR_OPT_NODES);
    struct keyreeve_options options = {.nodes = nodes != NULL ? nodes : KR_BENCH_NODES,
                                       .cert_file = parse_value(session->in, KR_OPT_CERT),
                                       .key_file = parse_value(session->in, KR_OPT_CERT_KEY),
                                       .why = why,
                                       .why_size = sizeof(why)};
    if (strstr(options.nodes, "tls://") != NULL) // else it is of the URL alone
        options.ca_file = session_setting(session, KR_OPT_CACERT);
    if (keyreeve_open(&options, out) == KR_KEYREEVE_OK)
        return KR_EXIT_OK;
    return session_fail(session, KR_EXIT_USAGE, NULL, "--nodes %s: %s", options.nodes, why);
}

enum exit_code verify_bench(struct session *session, const char *key)
{
    uint64_t seconds = parse_number(session->in, KR_OPT_BENCH, 1);
    struct bench *bench = mem_zalloc(sizeof(*bench));
    enum exit_code code = KR_EXIT_OK;
    if (strlen(key) > KR_KEYREEVE_KEY_MAX) { // answered without being asked, which measures nothing
        code = session_fail(session, KR_EXIT_NOT_VALID, NULL, "this is longer than a key may be");
        goto done;
    }
    bench->question = (struct keyreeve_question){
        .key = key, .key_size = strlen(key), .bucket = session->bucket, .max_staleness_ms = -1};
    code = open_client(session, &bench->client);
    if (code != KR_EXIT_OK)
        goto done;
    bench->end_ns = clock_mono_ns() + seconds * UINT64_C(1000000000);
    for (size_t i = 0; i < KR_BENCH_IN_FLIGHT; i++) {
        bench->askers[i].bench = bench;
        if (ask(&bench->askers[i]) == KR_KEYREEVE_OK)
            continue;
        code = session_fail(session, KR_EXIT_USAGE, NULL, "a bucket's name has 1 to 255 bytes");
        goto done;
    }
    while (keyreeve_run(bench->client, 100) > 0)
        continue;
    code = show(session, bench, seconds);
    // UNAVAILABLE is what the library says as well, when it reaches nobody.
    bool is_unreached = bench->latency.count == 0 && bench->last == KR_KEYREEVE_UNAVAILABLE;
    if (code == KR_EXIT_OK && is_unreached)
        code = session_fail(session, KR_EXIT_UNREACHABLE, NULL, "no node answered: %s",
                            keyreeve_why(bench->client));
    else if (code == KR_EXIT_OK && bench->last != KR_KEYREEVE_VALID)
        code = can_tell(bench->last) ? KR_EXIT_NOT_VALID : KR_EXIT_UNTOLD;
done:
    keyreeve_close(&bench->client);
    mem_free(bench);
    return code;
}
