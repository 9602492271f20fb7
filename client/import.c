// SPDX-License-Identifier: Apache-2.0
// The steps of an import.
//
// Happy path: read → send → receive → commit → save. It fails: the input cannot be read, the token
// or a bucket is refused, the node stays away for too long, the report or state cannot be written.
// The first failure is printed and kept in `code`; what was committed stays committed.
#include "client/import.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/api.h"

enum {
    KR_IMPORT_BACKOFF_MS = 250,
    KR_IMPORT_BACKOFF_MAX_MS = 5000,
    KR_IMPORT_PATIENCE_MS = 60000, // since the first answer that was none
    KR_IMPORT_SHOWN_MAX = 10
};

#define KR_IMPORT_REPORT_MAX ((size_t)256 << 20)

const char *import_hint(const struct import *import)
{
    if (import->is_dry)
        return NULL; // there is nothing to go on with
    return import->state_path != NULL ? "the same command goes on from here"
                                      : "with --state FILE it could go on from here";
}

static struct import_segment *segment_at(struct import *import, size_t position)
{
    return &import->segments[(import->first + position) % import->ring_size];
}

// A row that is good by itself, of a dry run.
static void rehearse(struct import *import, struct import_segment *segment, const char *bucket)
{
    struct fault reason = {0};
    const struct import_row *row = &import->row;
    uint64_t before =
        import_seen_add(&import->seen, row->digest, bucket, row->consumer, import->lines_read);
    if (before == 0) {
        segment->imported++;
        return;
    }
    fault_set(&reason, KR_ERR_CONFLICT, "line %llu has the same value for another consumer",
              (unsigned long long)before);
    import_segment_refuse(segment, import->lines_read, reason.text);
}

static void take_line(struct import *import, struct import_segment *segment, struct bytes line)
{
    struct fault reason = {0};
    uint64_t number = import->lines_read;
    if (line.size == 0 || (line.size == 1 && line.data[0] == '\r'))
        return;
    if (import_row_take(&import->row, line, &reason) != KR_ERR_OK) {
        import_segment_refuse(segment, number, reason.text);
        return;
    }
    const char *bucket = *import->row.bucket != '\0' ? import->row.bucket : import->default_bucket;
    if (bucket == NULL)
        import_segment_refuse(segment, number, "the row names no bucket, and --bucket neither");
    else if (import->is_dry)
        rehearse(import, segment, bucket);
    else
        import_segment_add(segment, bucket, number, import->row.text);
}

static bool has_open_segment(const struct import *import)
{
    size_t last = import->first + import->count - 1;
    return import->count > 0 && !import->segments[last % import->ring_size].is_sealed;
}

bool import_wants_input(const struct import *import)
{
    return !import->is_at_end && (import->count < import->ring_size || has_open_segment(import));
}

static void read_line(struct import *import, struct import_segment *segment)
{
    struct fault fault = {0};
    struct bytes line = {0};
    enum import_reader_result result = import_reader_next(&import->reader, &line, &fault);
    import->is_quiet = result == KR_READER_QUIET;
    import->is_at_end = result == KR_READER_END || result == KR_READER_FAILED;
    if (result == KR_READER_FAILED)
        import->code =
            session_fail(import->session, KR_EXIT_FAILURE, import_hint(import), "%s", fault.text);
    if (import->is_quiet || import->is_at_end)
        return;
    import->lines_read++;
    segment->line_count++;
    if (result == KR_READER_TOO_LONG)
        import_segment_refuse(segment, import->lines_read, "the line is longer than 256 KiB");
    else
        take_line(import, segment, line);
}

void import_read(struct import *import)
{
    if (!import_wants_input(import) || import->code != KR_EXIT_OK)
        return;
    if (!has_open_segment(import))
        import_segment_init(segment_at(import, import->count++));
    struct import_segment *segment = segment_at(import, import->count - 1);
    import->is_quiet = false;
    while (!import->is_quiet && !import->is_at_end &&
           !import_segment_is_full(segment, import->batch))
        read_line(import, segment);
    if (import->is_quiet)
        return;
    segment->end_offset = import->reader.offset;
    import_segment_seal(segment);
}

static void start(struct import *import, struct import_group *group)
{
    struct session *session = import->session;
    // The arena of the segment, not of the session: there may be millions of requests.
    group->call.url = arena_printf(&group->segment->arena, "%s%s/%s/$import", session->url,
                                   import->base, group->bucket);
    group->call.method = "POST";
    group->call.body = buf_bytes(&group->body);
    group->state = KR_GROUP_SENT;
    group->tries++;
    import->in_flight++;
    http_start(session->http, &group->call);
}

void import_send(struct import *import, uint64_t now_ms)
{
    for (size_t i = 0; i < import->count && import->code == KR_EXIT_OK; i++)
        for (struct import_group *group = segment_at(import, i)->groups; group != NULL;
             group = group->next) {
            if (import->in_flight == import->concurrency)
                return;
            if (group->state == KR_GROUP_READY && group->retry_at_ms <= now_ms)
                start(import, group);
        }
}

// Once an outage, so that a pause explains itself.
static void tell_absence(struct import *import, const struct import_group *group)
{
    if (import->has_told_absence || group->call.status == 429)
        return;
    progress_wipe(&import->progress);
    session_note(import->session, "the node takes no rows at the moment; trying for %d s",
                 KR_IMPORT_PATIENCE_MS / 1000);
    import->has_told_absence = true;
}

static void try_later(struct import *import, struct import_group *group, uint64_t now_ms)
{
    uint64_t wait_ms = (uint64_t)KR_IMPORT_BACKOFF_MS << (group->tries < 5 ? group->tries : 5);
    if (group->call.retry_after_s > 0)
        wait_ms = group->call.retry_after_s * UINT64_C(1000);
    if (wait_ms > KR_IMPORT_BACKOFF_MAX_MS)
        wait_ms = KR_IMPORT_BACKOFF_MAX_MS;
    group->state = KR_GROUP_READY;
    group->retry_at_ms = now_ms + wait_ms;
    if (import->absent_ms == 0)
        import->absent_ms = now_ms;
    if (now_ms - import->absent_ms < KR_IMPORT_PATIENCE_MS) {
        tell_absence(import, group);
        return;
    }
    if (group->call.err != KR_ERR_OK)
        import->code =
            session_fail(import->session, KR_EXIT_UNREACHABLE, import_hint(import),
                         "cannot reach %s: %s", import->session->url, group->call.fault.text);
    else
        import->code = session_fail(import->session, KR_EXIT_FAILURE, import_hint(import),
                                    "the node takes no writes (%u)", group->call.status);
}

static const char *detail_of(const struct import_group *group, const struct json *json)
{
    const char *detail = api_text(json, "detail");
    return detail != NULL              ? detail
           : group->call.status == 404 ? "there is no such bucket"
                                       : "the node gave no reason";
}

// An answer other than 200, which the node means and repeating would not change.
static void refuse(struct import *import, struct import_group *group)
{
    unsigned status = group->call.status;
    struct json *json = NULL;
    if (group->call.answer.size > 0 &&
        json_parse(buf_bytes(&group->call.answer), &json, NULL) != KR_ERR_OK)
        json = NULL;
    // Of rows, a node says what is wrong with them; a proxy's 400 is about something else.
    bool is_told = api_text(json, "detail") != NULL;
    if (status == 413 || ((status == 400 || status == 422) && is_told)) {
        import_group_divide(group, detail_of(group, json));
    } else {
        group->state = KR_GROUP_READY;
        import->code = session_fail(
            import->session, api_exit_code(status),
            status == 404 ? "keyreeve bucket create makes it; then the same command goes on"
                          : import_hint(import),
            "bucket %s: %s (%u)", group->bucket, detail_of(group, json), status);
    }
    if (json != NULL)
        json_free(&json);
}

static void receive(struct import *import, struct import_group *group, uint64_t now_ms)
{
    struct http_call *call = &group->call;
    import->in_flight--;
    bool is_away = call->err != KR_ERR_OK || call->status == 429 || call->status >= 500;
    if (!is_away) {
        import->absent_ms = 0;
        import->has_told_absence = false;
    }
    if (is_away)
        try_later(import, group, now_ms);
    else if (call->status != 200)
        refuse(import, group);
    else if (!import_group_take(group, buf_bytes(&call->answer))) {
        group->state = KR_GROUP_READY; // left as sent, it would be counted as received once more
        import->code = session_fail(import->session, KR_EXIT_FAILURE,
                                    "the node may be of another version; keyreeve status tells",
                                    "the node's answer to an import does not add up");
    }
}

static bool is_sent(const struct import_group *group)
{
    return group->state == KR_GROUP_SENT;
}

void import_receive(struct import *import, uint64_t now_ms)
{
    for (size_t i = 0; i < import->count; i++)
        for (struct import_group *group = segment_at(import, i)->groups; group != NULL;
             group = group->next)
            if (is_sent(group) && group->call.state == KR_HTTP_DONE && import->code == KR_EXIT_OK)
                receive(import, group, now_ms);
}

void import_receive_rest(struct import *import)
{
    for (size_t i = 0; i < import->count; i++)
        for (struct import_group *group = segment_at(import, i)->groups; group != NULL;
             group = group->next) {
            if (!is_sent(group) || group->call.state != KR_HTTP_DONE)
                continue;
            import->in_flight--;
            bool is_good = group->call.err == KR_ERR_OK && group->call.status == 200;
            if (!is_good || !import_group_take(group, buf_bytes(&group->call.answer)))
                group->state = KR_GROUP_READY;
        }
}

struct import_ahead import_count_ahead(struct import *import)
{
    struct import_ahead ahead = {0};
    for (size_t i = 0; i < import->count; i++) {
        ahead.imported += segment_at(import, i)->imported;
        ahead.existing += segment_at(import, i)->existing;
    }
    return ahead;
}

static bool write_all(int fd, struct bytes text)
{
    while (text.size > 0) {
        ssize_t size = write(fd, text.data, text.size);
        if (size < 0 && errno != EINTR)
            return false;
        if (size > 0)
            text = bytes_of(text.data + size, text.size - (size_t)size);
    }
    return true;
}

static void show_refusals(struct import *import, const struct import_segment *segment)
{
    for (size_t i = 0; i < segment->refusal_count && import->shown_refusals < KR_IMPORT_SHOWN_MAX;
         i++) {
        progress_wipe(&import->progress);
        session_note(import->session, "line %llu: %s",
                     (unsigned long long)segment->refusals[i].line, segment->refusals[i].detail);
        if (++import->shown_refusals == KR_IMPORT_SHOWN_MAX)
            session_note(import->session, "(more are not shown; --report FILE keeps them all)");
    }
}

// False, and printed: it could not be written.
static bool report(struct import *import, struct import_segment *segment)
{
    struct buf text;
    bool is_good = true;
    if (segment->refusal_count == 0)
        return true;
    buf_init(&text, KR_IMPORT_REPORT_MAX);
    import_segment_add_report(segment, &text);
    if (import->report_fd < 0)
        show_refusals(import, segment);
    else if (buf_result(&text) != KR_ERR_OK || !write_all(import->report_fd, buf_bytes(&text)))
        is_good = false;
    else
        import->state.report_bytes += text.size;
    if (!is_good)
        import->code = session_fail(import->session, KR_EXIT_FAILURE, import_hint(import),
                                    "cannot write the report: %s", strerror(errno));
    buf_fini(&text);
    return is_good;
}

void import_commit(struct import *import)
{
    while (import->count > 0 && import_segment_is_done(segment_at(import, 0))) {
        struct import_segment *segment = segment_at(import, 0);
        // What it lacks is read and refused once more when the import goes on.
        if (!report(import, segment))
            return;
        import->state.offset = segment->end_offset;
        import->state.lines += segment->line_count;
        import->state.imported += segment->imported;
        import->state.existing += segment->existing;
        import->state.refused += segment->refusal_count;
        import_segment_fini(segment);
        import->first = (import->first + 1) % import->ring_size;
        import->count--;
    }
}

// False, and printed: it may not be on the disk.
static bool sync_report(struct import *import)
{
    if (import->report_fd < 0 || fsync(import->report_fd) == 0 || errno == EINVAL)
        return true;
    import->code = session_fail(import->session, KR_EXIT_FAILURE, import_hint(import),
                                "cannot write the report: %s", strerror(errno));
    return false;
}

void import_save(struct import *import, uint64_t now_ms)
{
    struct fault fault = {0};
    import->saved_ms = now_ms;
    if (!sync_report(import) || import->state_path == NULL)
        return;
    import_reader_digest(&import->reader, import->state.offset, import->state.digest);
    if (import_state_store(import->state_path, &import->state, &fault) != KR_ERR_OK)
        import->code = session_fail(import->session, KR_EXIT_FAILURE,
                                    "--state FILE names another place", "%s", fault.text);
}

void import_end(struct import *import)
{
    if (sync_report(import) && import->state_path != NULL)
        unlink(import->state_path);
}

void import_cancel(struct import *import)
{
    for (size_t i = 0; i < import->count; i++)
        for (struct import_group *group = segment_at(import, i)->groups; group != NULL;
             group = group->next)
            if (is_sent(group)) {
                http_cancel(import->session->http, &group->call);
                group->state = KR_GROUP_READY;
            }
    import->in_flight = 0;
}
