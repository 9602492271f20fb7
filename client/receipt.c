// SPDX-License-Identifier: Apache-2.0
// Revocation receipts.
#include "client/receipt.h"

#include <string.h>

#include "client/body.h"
#include "client/run.h"
#include "client/view.h"

static const struct view_column fields[] = {
    {"index", "index", KR_VIEW_TEXT, false},
    {"level", "level", KR_VIEW_TEXT, false},
    {"keys met", "keys", KR_VIEW_NUMBER, false},
    {"requested", "requestedOn", KR_VIEW_TIME, false},
    {"committed", "committedOn", KR_VIEW_TIME, false},
    {"slowest node (ms)", "slowestMs", KR_VIEW_NUMBER, false},
};

static const struct view_column nodes[] = {
    {"NODE", "node", KR_VIEW_TEXT, false},
    {"REGION", "region", KR_VIEW_TEXT, false},
    {"STATE", "state", KR_VIEW_STATUS, false},
    {"AFTER MS", "afterMs", KR_VIEW_NUMBER, false},
};

const char *receipt_path(struct session *session, const char *path)
{
    const char *wait = parse_value(session->in, KR_OPT_WAIT);
    const char *wait_ms = parse_value(session->in, KR_OPT_WAIT_MS);
    if (wait != NULL)
        path = api_with(session, path, "wait", *wait == '\0' ? "everywhere" : wait);
    if (wait_ms != NULL)
        path = api_with(session, path, "timeoutMs", wait_ms);
    return path;
}

// Nodes that may still let the keys in.
static size_t pending_of(const struct json *list)
{
    size_t count = 0;
    for (size_t i = 0; list != NULL && i < json_size(list); i++) {
        const char *state = api_text(json_at(list, i), "state");
        count +=
            state != NULL && (strcmp(state, "pending") == 0 || strcmp(state, "unbounded") == 0);
    }
    return count;
}

static enum exit_code show_nodes(struct session *session, const struct json *list)
{
    enum exit_code code = KR_EXIT_OK;
    if (list != NULL && json_size(list) > 0 && !session->is_json) {
        code = session_write(session, bytes_text("\n"));
        if (code == KR_EXIT_OK)
            code = view_rows(session, list, nodes, KR_VIEW_COUNT(nodes));
    }
    size_t pending = pending_of(list);
    if (code != KR_EXIT_OK || pending == 0)
        return code;
    return session_fail(session, KR_EXIT_FAILURE,
                        "keyreeve receipt INDEX asks again; the revocation itself is durable",
                        "%zu of %zu nodes have not confirmed yet", pending, json_size(list));
}

// Any other service's JSON would do for view_record.
static enum exit_code show_fields(struct session *session, const struct json *receipt)
{
    if (api_number(receipt, "index") <= 0)
        return session_fail(session, KR_EXIT_FAILURE, "is --url right, and no proxy before it?",
                            "the answer is no receipt");
    return view_record(session, receipt, fields, KR_VIEW_COUNT(fields));
}

static bool wants_everywhere(const struct session *session)
{
    const char *wait = parse_value(session->in, KR_OPT_WAIT);
    return wait != NULL && strcmp(wait, "committed") != 0;
}

enum exit_code receipt_show(struct session *session, const struct json *receipt)
{
    const char *level = api_text(receipt, "level");
    const struct json *list = api_array(receipt, "nodes");
    bool is_everywhere = level != NULL && strcmp(level, "everywhere") == 0 && list != NULL;
    enum exit_code code = show_fields(session, receipt);
    if (code == KR_EXIT_OK && wants_everywhere(session) && !is_everywhere)
        return session_fail(session, KR_EXIT_FAILURE, "keyreeve receipt INDEX asks again",
                            "the receipt does not say that it holds everywhere");
    // Of what was to be committed alone, the others cannot know yet.
    return code == KR_EXIT_OK && is_everywhere ? show_nodes(session, list) : code;
}

enum exit_code receipt_revoke(struct session *session, const char *path, const char *confirm)
{
    struct body body;
    struct api_answer answer = {0};
    body_begin(&body, session);
    if (confirm != NULL)
        body_add_text(&body, "confirm", confirm);
    enum exit_code code = body_end(&body, false);
    if (code == KR_EXIT_OK)
        code = api_send(session,
                        &(struct api_request){.method = "POST",
                                              .path = receipt_path(session, path),
                                              .body = &body.text,
                                              .label = "Revoking"},
                        &answer);
    if (code == KR_EXIT_OK)
        code = receipt_show(session, answer.json);
    api_answer_fini(&answer);
    body_fini(&body);
    return code;
}

enum exit_code run_receipt(struct session *session)
{
    struct api_answer answer;
    const char *path = api_path(session, "v1", "receipts", session->in->arguments[0], NULL);
    enum exit_code code = api_get(session, path, &answer);
    if (code == KR_EXIT_OK)
        code = show_fields(session, answer.json);
    if (code == KR_EXIT_OK)
        code = show_nodes(session, api_array(answer.json, "nodes"));
    api_answer_fini(&answer);
    return code;
}
