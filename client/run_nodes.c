// SPDX-License-Identifier: Apache-2.0
// keyreeve cluster status, node list and remove, promote: a cluster that runs.
#include "client/cluster_view.h"
#include "client/run.h"

#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

enum { KR_WATCH_S = 1 };

static enum exit_code fetch(struct session *session, struct api_answer *answer)
{
    return api_get(session, "/v1/cluster", answer);
}

static enum exit_code show_once(struct session *session)
{
    struct api_answer answer;
    enum exit_code code = fetch(session, &answer);
    if (code == KR_EXIT_OK)
        code = cluster_view(session, answer.json);
    api_answer_fini(&answer);
    return code;
}

// On a terminal each view takes the place of the one before.
static enum exit_code begin_view(struct session *session)
{
    char stamp[KR_STAMP_SIZE];
    struct buf line;
    if (session->is_json)
        return KR_EXIT_OK;
    clock_stamp(clock_unix_ms(), stamp);
    buf_init(&line, 256);
    buf_printf(&line, "%s%s\n\n", session->out.is_terminal ? "\033[H\033[2J" : "", stamp);
    enum exit_code code = session_flush(session, &line);
    buf_fini(&line);
    return code;
}

// A node that cannot be reached for a moment does not end the watching.
static enum exit_code watch(struct session *session)
{
    for (;;) {
        enum exit_code code = begin_view(session);
        if (code == KR_EXIT_OK)
            code = show_once(session);
        if (code != KR_EXIT_OK && code != KR_EXIT_UNREACHABLE)
            return code;
        sleep(KR_WATCH_S);
    }
}

enum exit_code run_cluster_status(struct session *session)
{
    return parse_has(session->in, KR_OPT_WATCH) ? watch(session) : show_once(session);
}

enum exit_code run_node_list(struct session *session)
{
    struct api_answer answer;
    enum exit_code code = fetch(session, &answer);
    if (code == KR_EXIT_OK)
        code = cluster_view_nodes(session, answer.json);
    api_answer_fini(&answer);
    return code;
}

enum exit_code run_node_remove(struct session *session)
{
    struct api_answer answer = {0};
    const char *name = session->in->arguments[0];
    if (!session_confirm(session, "remove the node", name))
        return KR_EXIT_USAGE;
    enum exit_code code = api_send(
        session,
        &(struct api_request){.method = "DELETE",
                              .path = api_path(session, "v1", "cluster", "nodes", name, NULL)},
        &answer);
    api_answer_fini(&answer);
    if (code == KR_EXIT_OK)
        session_note(session, "%s was removed: its certificate is refused from now on", name);
    return code;
}

static bool has_the_word(struct session *session)
{
    static const char words[] = "the old leader is down";
    struct buf line;
    struct fault fault;
    if (parse_has(session->in, KR_OPT_OLD_LEADER_IS_DOWN))
        return true;
    buf_init(&line, 256);
    bool is_said = term_can_ask() &&
                   term_ask("If the old leader still runs, writes are lost. Type \"the old leader "
                            "is down\": ",
                            false, &line, &fault) == KR_ERR_OK &&
                   bytes_equal_text(buf_bytes(&line), words);
    buf_fini(&line);
    return is_said;
}

enum exit_code run_promote(struct session *session)
{
    struct api_answer answer = {0};
    struct buf body;
    if (!has_the_word(session))
        return session_fail(session, KR_EXIT_REFUSED,
                            "stop the old leader, then give --old-leader-is-down",
                            "nobody was promoted");
    buf_init(&body, 256);
    buf_add_text(&body, "{\"oldLeaderIsDown\":true}");
    enum exit_code code = api_send(
        session,
        &(struct api_request){.method = "POST", .path = "/v1/cluster/promote", .body = &body},
        &answer);
    const char *leader = api_text(answer.json, "leader");
    if (code == KR_EXIT_OK && leader == NULL)
        code = session_fail(session, KR_EXIT_FAILURE, "keyreeve cluster status tells who leads",
                            "the answer names no leader");
    else if (code == KR_EXIT_OK && session->is_json)
        code = view_json(session, answer.json);
    if (code == KR_EXIT_OK)
        session_note(session, "%s leads", leader);
    api_answer_fini(&answer);
    buf_fini(&body);
    return code;
}
