// SPDX-License-Identifier: Apache-2.0
// keyreeve import: opens what an import needs, runs its loop, says what came of it.
#include "client/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/api.h"
#include "client/import.h"
#include "client/table.h"
#include "client/target.h"
#include "core/base/clock.h"
#include "core/keys/format.h"
#include "core/keys/model.h"

enum {
    KR_IMPORT_CONCURRENCY = 4,
    KR_IMPORT_BATCH = 2000,
    KR_IMPORT_AHEAD = 4, // segments read beyond those in flight
    KR_IMPORT_SAVE_MS = 1000,
    KR_IMPORT_DRAIN_MS = 10000, // for what is in flight when it is interrupted
    KR_IMPORT_POLL_MS = 50
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static void fail(struct import *import, const struct fault *fault)
{
    import->code = session_fail(
        import->session, fault->err == KR_ERR_NOT_FOUND ? KR_EXIT_NOT_FOUND : KR_EXIT_FAILURE, NULL,
        "%s", fault->text);
}

// What is written must not be what is read, nor both be one: the one would end the other.
static void refuse_same(struct import *import, const char *option, const char *what)
{
    import->code =
        session_fail(import->session, KR_EXIT_USAGE, "name another file", "%s is %s", option, what);
}

// What an earlier run has reported is neither made up nor thrown away.
static void check_report(struct import *import)
{
    struct stat status;
    const char *path = parse_value(import->session->in, KR_OPT_REPORT);
    if (path == NULL)
        return;
    uint64_t size = stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
    if (target_is_open(path, import->reader.fd))
        refuse_same(import, "--report", "the input");
    else if (size < import->state.report_bytes)
        import->code = session_fail(import->session, KR_EXIT_FAILURE,
                                    "name the report of the run before; --restart begins anew",
                                    "%s is not the report that this import goes on with: it is "
                                    "shorter",
                                    path);
    else if (import->is_rehearsal && size > 0)
        import->code = session_fail(import->session, KR_EXIT_FAILURE,
                                    "another --report for the dry run leaves that import its own",
                                    "an import of this file has not ended, and %s may be its "
                                    "report",
                                    path);
}

static void open_report(struct import *import, const char *state)
{
    const char *path = parse_value(import->session->in, KR_OPT_REPORT);
    if (path == NULL)
        return;
    if (state != NULL && target_is_same(path, state)) {
        refuse_same(import, "--report", "the file that progress is kept in");
        return;
    }
    import->report_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    // What an interrupted run wrote beyond its last saved state is written again.
    if (import->report_fd < 0 ||
        ftruncate(import->report_fd, (off_t)import->state.report_bytes) != 0 ||
        lseek(import->report_fd, 0, SEEK_END) < 0)
        import->code =
            session_fail(import->session, KR_EXIT_FAILURE, NULL, "%s: %s", path, strerror(errno));
}

// Where progress is kept: --state, else beside a file that can be read again.
static const char *state_path(struct import *import, const char *input)
{
    const char *path = parse_value(import->session->in, KR_OPT_STATE);
    if (path != NULL || !import->reader.is_regular || strcmp(input, "-") == 0)
        return path;
    return arena_printf(&import->session->arena, "%s.keyreeve-state", input);
}

static void resume(struct import *import, const struct import_state *found)
{
    struct fault fault = {0};
    char lines[KR_PROGRESS_NUMBER_SIZE];
    if (strcmp(found->target, import->state.target) != 0) {
        import->code = session_fail(import->session, KR_EXIT_FAILURE, "--restart begins anew, here",
                                    "an import of this file to %s has not ended", found->target);
        return;
    }
    enum kr_err err = import_reader_resume(&import->reader, found->offset, found->digest, &fault);
    if (err != KR_ERR_OK) {
        import->code = session_fail(import->session, KR_EXIT_FAILURE, "--restart begins anew", "%s",
                                    fault.text);
        return;
    }
    import->state = *found;
    import->lines_read = found->lines;
    import->first_line = found->lines;
    session_note(import->session, "going on after line %s", progress_number(found->lines, lines));
}

// Behind its links, so that what takes its place, or goes at the end, is no link. NULL: there is
// none, or it cannot be one.
static const char *find_state_file(struct import *import, const char *input)
{
    struct target target;
    struct fault fault = {0};
    const char *path = state_path(import, input);
    if (path == NULL)
        return NULL;
    enum kr_err err = target_find(&import->session->arena, path, &target, &fault);
    if (err == KR_ERR_OK && target.is_special)
        err =
            fault_set(&fault, KR_ERR_INVALID, "%s is no file, as the state of an import is", path);
    if (err != KR_ERR_OK)
        fail(import, &fault);
    else if (target_is_open(path, import->reader.fd))
        refuse_same(import, "--state", "the input");
    return import->code == KR_EXIT_OK ? target.path : NULL;
}

static void find_state(struct import *import, const char *path)
{
    struct fault fault = {0};
    struct import_state found;
    const struct session *session = import->session;
    import->state_path = import->is_dry ? NULL : path;
    snprintf(import->state.target, sizeof(import->state.target), "%s, account %s, bucket %s",
             session->url == NULL ? "-" : session->url, session->account,
             session->bucket == NULL ? "-" : session->bucket);
    if (path == NULL || parse_has(session->in, KR_OPT_RESTART))
        return;
    enum kr_err err = import_state_load(path, &found, &fault);
    if (import->is_dry)
        import->is_rehearsal = err == KR_ERR_OK && found.report_bytes > 0;
    else if (err == KR_ERR_OK && found.offset > 0)
        resume(import, &found);
    else if (err != KR_ERR_OK && err != KR_ERR_NOT_FOUND)
        fail(import, &fault);
}

// It goes into a URL as it is, and into a place that holds a name, as a row's own does.
static void check_bucket(struct import *import)
{
    const char *bucket = import->default_bucket;
    if (bucket != NULL && !model_is_bucket_name(bucket) && !format_is_id(bucket, "bckt"))
        import->code = session_fail(import->session, KR_EXIT_USAGE, NULL,
                                    "\"%.64s\" is no bucket: a name has 3 to 128 of a-z, 0-9, _ "
                                    "and -, and an id begins with bckt_",
                                    bucket);
    else
        import->code = api_check_names(import->session);
}

static void open_import(struct import *import, struct session *session)
{
    struct fault fault = {0};
    const char *input = session->in->arguments[0];
    *import = (struct import){
        .session = session,
        .reader = {.fd = -1},
        .report_fd = -1,
        .is_dry = parse_has(session->in, KR_OPT_DRY_RUN),
        .default_bucket = session->bucket,
        .concurrency = (size_t)parse_number(session->in, KR_OPT_CONCURRENCY, KR_IMPORT_CONCURRENCY),
        .batch = (size_t)parse_number(session->in, KR_OPT_BATCH, KR_IMPORT_BATCH),
        .started_ms = now_ms(),
    };
    import->saved_ms = import->started_ms;
    import->base = api_buckets(session);
    import->ring_size = import->concurrency + KR_IMPORT_AHEAD;
    import->segments = mem_zalloc(import->ring_size * sizeof(*import->segments));
    import_row_init(&import->row);
    import_seen_init(&import->seen);
    if (import->is_dry)
        import->row.now_ms = clock_unix_ms();
    progress_init(&import->progress, &session->err, import->is_dry ? "Checking" : "Importing",
                  import->started_ms);
    check_bucket(import);
    if (import->code != KR_EXIT_OK)
        return;
    if (import_reader_open(&import->reader, input, &fault) != KR_ERR_OK) {
        fail(import, &fault);
        return;
    }
    const char *state = find_state_file(import, input);
    if (import->code == KR_EXIT_OK)
        find_state(import, state);
    if (import->code == KR_EXIT_OK)
        check_report(import);
    // What cannot be kept now cannot be kept later: it is better known before the first row.
    if (import->code == KR_EXIT_OK)
        import_save(import, import->started_ms);
    if (import->code == KR_EXIT_OK)
        open_report(import, state);
}

static void close_import(struct import *import)
{
    import_cancel(import);
    for (; import->count > 0; import->count--) {
        import_segment_fini(&import->segments[import->first]);
        import->first = (import->first + 1) % import->ring_size;
    }
    mem_free(import->segments);
    import_row_fini(&import->row);
    import_seen_fini(&import->seen);
    import_reader_close(&import->reader);
    if (import->report_fd >= 0)
        close(import->report_fd);
}

static uint64_t rate_of(const struct import *import, uint64_t now)
{
    uint64_t elapsed_ms = now - import->started_ms;
    uint64_t lines = import->state.lines - import->first_line;
    return elapsed_ms == 0 ? 0 : lines * 1000 / elapsed_ms;
}

static void draw(struct import *import, uint64_t now)
{
    char detail[192], rows[KR_PROGRESS_NUMBER_SIZE], rate[KR_PROGRESS_NUMBER_SIZE];
    const struct import_state *state = &import->state;
    if (!progress_is_due(&import->progress, now))
        return;
    snprintf(detail, sizeof(detail), "%s rows, %s/s, %llu refused",
             progress_number(state->lines, rows), progress_number(rate_of(import, now), rate),
             (unsigned long long)state->refused);
    progress_draw(&import->progress,
                  (struct progress_now){state->offset, import->reader.size_bytes, detail}, now);
}

static bool has_more(const struct import *import)
{
    return import->code == KR_EXIT_OK && (import->count > 0 || !import->is_at_end);
}

// Until an answer has come or, where there is room for it, more of the input.
static void wait_for_more(struct import *import)
{
    bool wants_input = import_wants_input(import);
    struct pollfd input = {.fd = wants_input && import->is_quiet ? import->reader.fd : -1,
                           .events = POLLIN};
    int most_ms = wants_input && !import->is_quiet ? 0 : KR_IMPORT_POLL_MS;
    if (import->in_flight > 0)
        http_poll(import->session->http, input.fd, (unsigned)most_ms);
    else if (wants_input || !import->is_dry)
        (void)poll(&input, 1, most_ms);
}

static void run_loop(struct import *import)
{
    uint64_t stop_ms = UINT64_MAX;
    while (has_more(import)) {
        uint64_t now = now_ms();
        if (is_interrupted && stop_ms == UINT64_MAX) {
            stop_ms = now + KR_IMPORT_DRAIN_MS;
            import->is_at_end = true;
        }
        if (now >= stop_ms)
            break;
        import_read(import);
        if (!is_interrupted)
            import_send(import, now);
        wait_for_more(import);
        import_receive(import, now_ms());
        import_commit(import);
        if (is_interrupted && import->in_flight == 0)
            break;
        if (now - import->saved_ms >= KR_IMPORT_SAVE_MS)
            import_save(import, now);
        draw(import, now);
    }
}

// What is under way is answered for: rows that a node has taken are not to be called lost.
static void drain(struct import *import)
{
    uint64_t end_ms = now_ms() + KR_IMPORT_DRAIN_MS;
    while (import->code != KR_EXIT_OK && import->in_flight > 0 && now_ms() < end_ms) {
        http_poll(import->session->http, -1, KR_IMPORT_POLL_MS);
        import_receive_rest(import);
    }
}

static enum exit_code show_json(struct import *import, const struct import_state *state,
                                double seconds)
{
    struct json_writer writer;
    struct buf out;
    buf_init(&out, (size_t)1 << 16);
    json_begin(&writer, &out);
    json_open(&writer, NULL, '{');
    json_write_integer(&writer, "lines", (int64_t)state->lines);
    json_write_integer(&writer, import->is_dry ? "good" : "imported", (int64_t)state->imported);
    if (!import->is_dry)
        json_write_integer(&writer, "existing", (int64_t)state->existing);
    json_write_integer(&writer, "refused", (int64_t)state->refused);
    json_write_integer(&writer, "milliseconds", (int64_t)(seconds * 1000));
    json_write_bool(&writer, "complete", import->code == KR_EXIT_OK && !is_interrupted);
    json_close(&writer, '}');
    buf_add_u8(&out, '\n');
    enum exit_code code = session_flush(import->session, &out);
    buf_fini(&out);
    return code;
}

static enum exit_code show_summary(struct import *import)
{
    struct session *session = import->session;
    struct import_state sum = import->state;
    const struct import_state *state = &sum;
    const struct import_ahead ahead = import_count_ahead(import);
    uint64_t elapsed_ms = now_ms() - import->started_ms;
    char numbers[4][KR_PROGRESS_NUMBER_SIZE], time[64];
    struct buf out;
    sum.imported += ahead.imported;
    sum.existing += ahead.existing;
    if (session->is_json)
        return show_json(import, state, (double)elapsed_ms / 1000);
    snprintf(time, sizeof(time), "%.1f s", (double)elapsed_ms / 1000);
    struct table_field fields[] = {
        {"lines", progress_number(state->lines, numbers[0]), KR_STYLE_PLAIN},
        {import->is_dry ? "good" : "imported", progress_number(state->imported, numbers[1]),
         KR_STYLE_GREEN},
        {"existing", progress_number(state->existing, numbers[2]), KR_STYLE_PLAIN},
        {"refused", progress_number(state->refused, numbers[3]),
         state->refused > 0 ? KR_STYLE_RED : KR_STYLE_PLAIN},
        {"time", time, KR_STYLE_PLAIN},
    };
    buf_init(&out, (size_t)1 << 16);
    table_render_record(fields, sizeof(fields) / sizeof(fields[0]), &session->out, &out);
    enum exit_code code = session_flush(session, &out);
    buf_fini(&out);
    if (ahead.imported > 0 && !import->is_dry)
        session_note(session, "%s of them stand behind line %s: going on, they exist already",
                     progress_number(ahead.imported, numbers[0]),
                     progress_number(state->lines, numbers[1]));
    return code;
}

// Ends the run: the state is kept as long as there is something left to do.
static void settle(struct import *import)
{
    bool is_complete =
        import->code == KR_EXIT_OK && import->is_at_end && import->count == 0 && !is_interrupted;
    enum exit_code code = import->code;
    if (is_complete)
        import_end(import);
    else
        import_save(import, now_ms());
    progress_wipe(&import->progress);
    enum exit_code shown = show_summary(import);
    if (import->code == KR_EXIT_OK)
        import->code = code != KR_EXIT_OK ? code : shown;
    if (import->code == KR_EXIT_OK && is_interrupted)
        import->code =
            session_fail(import->session, KR_EXIT_FAILURE, import_hint(import), "interrupted");
    if (import->code == KR_EXIT_OK && import->state.refused > 0)
        import->code = session_fail(import->session, KR_EXIT_FAILURE,
                                    import->report_fd < 0 ? "--report FILE keeps the reasons"
                                                          : "the report says which, and why",
                                    "%llu rows were refused",
                                    (unsigned long long)import->state.refused);
}

enum exit_code run_import(struct session *session)
{
    struct import import;
    struct sigaction action = {.sa_handler = on_signal};
    open_import(&import, session);
    if (import.code == KR_EXIT_OK) {
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        run_loop(&import);
        drain(&import);
        settle(&import);
    }
    enum exit_code code = import.code;
    close_import(&import);
    return code;
}
