// SPDX-License-Identifier: Apache-2.0
// keyreeve vault rotate: step after step at the leader, until nothing is left under an older key.
#include "client/progress.h"
#include "client/run.h"
#include "client/view.h"
#include "core/base/clock.h"

struct rotation {
    struct session *session;
    struct progress progress;
    const char *cursor; // of the next step, or NULL
    uint64_t resealed, total;
    int64_t version;
    bool is_done;
};

static enum exit_code send_step(const struct rotation *rotation, struct api_answer *answer)
{
    struct buf body;
    struct json_writer writer;
    buf_init(&body, 1024);
    json_begin(&writer, &body);
    json_open(&writer, NULL, '{');
    if (rotation->cursor != NULL)
        json_write_string(&writer, "cursor", rotation->cursor);
    json_close(&writer, '}');
    enum exit_code code = api_send(rotation->session,
                                   &(struct api_request){.method = "POST",
                                                         .path = "/v1/cluster/vault/rotate",
                                                         .body = &body,
                                                         .label = "Rotating"},
                                   answer);
    buf_fini(&body);
    return code;
}

// What is left is only known of the steps that look at all.
static void take_step(struct rotation *rotation, const struct json *step)
{
    const struct json *remaining = json_member(step, "remaining");
    rotation->resealed += (uint64_t)api_number(step, "resealed");
    if (remaining != NULL && json_type_of(remaining) == KR_JSON_INTEGER)
        rotation->total = rotation->resealed + (uint64_t)json_int64(remaining);
    rotation->version = api_number(step, "version");
    rotation->is_done = api_flag(step, "isDone");
    rotation->cursor = arena_text(&rotation->session->arena, api_text(step, "cursor"));
}

static enum exit_code make_step(struct rotation *rotation)
{
    struct session *session = rotation->session;
    struct api_answer answer = {0};
    enum exit_code code = send_step(rotation, &answer);
    if (code == KR_EXIT_OK) {
        take_step(rotation, answer.json);
        progress_draw(&rotation->progress,
                      (struct progress_now){.done = rotation->resealed, .total = rotation->total},
                      clock_mono_ns() / 1000000);
    }
    if (code == KR_EXIT_OK && session->is_json)
        code = view_json(session, answer.json);
    api_answer_fini(&answer);
    return code;
}

enum exit_code run_vault_rotate(struct session *session)
{
    struct rotation rotation = {.session = session};
    enum exit_code code = KR_EXIT_OK;
    progress_init(&rotation.progress, &session->err, "Rotating", clock_mono_ns() / 1000000);
    while (code == KR_EXIT_OK && !rotation.is_done)
        code = make_step(&rotation);
    progress_wipe(&rotation.progress);
    if (code == KR_EXIT_OK)
        session_note(session,
                     "%llu values were sealed again; all are under version %lld of the master key "
                     "now. The lines of older versions may go from the nodes' master keys.",
                     (unsigned long long)rotation.resealed, (long long)rotation.version);
    else if (rotation.version > 0)
        session_note(session, "%llu values were sealed again so far; the same command goes on",
                     (unsigned long long)rotation.resealed);
    return code;
}
