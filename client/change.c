// SPDX-License-Identifier: Apache-2.0
// Shared writes.
#include "client/change.h"

#include <string.h>

#include "client/body.h"
#include "client/receipt.h"
#include "core/keys/format.h"

enum exit_code change_print_secret(struct session *session, const struct json *answer,
                                   const char *value)
{
    struct buf line;
    if (session->is_json)
        return view_json(session, answer);
    // Whatever else it is could act on the terminal.
    if (value == NULL || !format_is_custom(bytes_text(value)))
        return session_fail(session, KR_EXIT_FAILURE, NULL, "the node's answer holds no value");
    buf_init(&line, (size_t)1 << 12);
    buf_add_text(&line, value);
    buf_add_u8(&line, '\n');
    enum exit_code code = session_flush(session, &line);
    buf_fini(&line);
    return code;
}

enum exit_code change_send(struct session *session, const struct change *change)
{
    struct body body;
    struct api_answer answer = {0};
    body_begin(&body, session);
    if (change->name_member != NULL)
        body_add_text(&body, change->name_member, change->name);
    enum exit_code code = body_end(&body, change->wants_change);
    if (code == KR_EXIT_OK)
        code = api_send(session,
                        &(struct api_request){
                            .method = change->method, .path = change->path, .body = &body.text},
                        &answer);
    if (code == KR_EXIT_OK && change->secret == NULL) {
        code = view_record(session, answer.json, change->columns, change->column_count);
    } else if (code == KR_EXIT_OK) {
        view_aside(session, answer.json, change->columns, change->column_count);
        code = change_print_secret(session, answer.json, api_text(answer.json, change->secret));
    }
    api_answer_fini(&answer);
    body_fini(&body);
    return code;
}

enum exit_code change_delete(struct session *session, const char *path, const char *what,
                             const char *name)
{
    struct api_answer answer;
    char question[128];
    snprintf(question, sizeof(question), "delete the %s", what);
    if (!session_confirm(session, question, name))
        return KR_EXIT_USAGE;
    enum exit_code code =
        api_send(session,
                 &(struct api_request){
                     .method = "DELETE", .path = receipt_path(session, path), .label = "Deleting"},
                 &answer);
    if (code == KR_EXIT_OK)
        session_note(session, "%s %s deleted", what, name);
    if (code == KR_EXIT_OK && answer.json != NULL) // 202: not everywhere in the time that was given
        code = receipt_show(session, answer.json);
    api_answer_fini(&answer);
    return code;
}
