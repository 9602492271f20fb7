// SPDX-License-Identifier: Apache-2.0
// keyreeve status: is the node alive, does it serve, and what does the cluster look like.
#include "client/cluster_view.h"
#include "client/run.h"

// Each is asked once: a node that is not ready is to say so, and not to be waited for.

// One probe: the status, 0 when the node cannot be reached (and that is printed).
static unsigned probe(struct session *session, const char *path, bool is_quiet)
{
    const struct api_request request = {
        .method = "GET", .path = path, .is_quiet = is_quiet, .is_once = true, .is_probe = true};
    struct api_answer answer;
    enum exit_code code = api_send(session, &request, &answer);
    unsigned status = answer.status;
    api_answer_fini(&answer);
    return code == KR_EXIT_OK ? 200 : status;
}

// What the node says of its cluster, or NULL: that needs a token, and a node that knows it.
static const struct json *ask_cluster(struct session *session, struct api_answer *answer)
{
    const struct api_request request = {
        .method = "GET", .path = "/v1/cluster", .is_quiet = true, .is_once = true};
    bool is_told = session->token != NULL && api_send(session, &request, answer) == KR_EXIT_OK;
    return is_told ? answer->json : NULL;
}

static void tell_why_not(const struct session *session, const struct api_answer *answer)
{
    const char *detail = api_text(answer->json, "detail");
    if (session->token == NULL)
        session_note(session, "without a token the cluster's nodes are not shown");
    else
        session_note(session, "the cluster's nodes are not shown: %s (%u)",
                     detail == NULL ? "the node does not say why" : detail, answer->status);
}

static enum exit_code show_json(struct session *session, bool is_ready, const struct json *cluster)
{
    struct json_writer writer;
    struct buf out, inner;
    buf_init(&out, (size_t)16 << 20);
    buf_init(&inner, (size_t)16 << 20);
    json_begin(&writer, &out);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "url", session->url);
    json_write_bool(&writer, "alive", true);
    json_write_bool(&writer, "ready", is_ready);
    if (cluster != NULL)
        json_add(&inner, cluster);
    else
        buf_add_text(&inner, "null");
    json_write_raw(&writer, "cluster", buf_bytes(&inner));
    json_close(&writer, '}');
    buf_add_u8(&out, '\n');
    enum exit_code code = session_flush(session, &out);
    buf_fini(&inner);
    buf_fini(&out);
    return code;
}

static enum exit_code show_people(struct session *session, bool is_ready,
                                  const struct json *cluster)
{
    struct buf out;
    const char *ready = is_ready ? "serving" : "starting";
    struct table_field fields[] = {
        {"node", session->url, KR_STYLE_PLAIN},
        {"state", ready, is_ready ? KR_STYLE_GREEN : KR_STYLE_YELLOW},
    };
    buf_init(&out, (size_t)1 << 20);
    table_render_record(fields, 2, &session->out, &out);
    enum exit_code code = session_flush(session, &out);
    if (code == KR_EXIT_OK && cluster != NULL)
        code = cluster_view(session, cluster);
    buf_fini(&out);
    return code;
}

enum exit_code run_status(struct session *session)
{
    struct api_answer answer = {0};
    enum exit_code code;
    unsigned alive = probe(session, "/healthz", false);
    if (alive != 200)
        return api_exit_code(alive);
    bool is_ready = probe(session, "/readyz", true) == 200;
    const struct json *cluster = ask_cluster(session, &answer);
    code = session->is_json ? show_json(session, is_ready, cluster)
                            : show_people(session, is_ready, cluster);
    // Until it is ready, a node may know neither the cluster nor the token.
    if (cluster == NULL && (is_ready || session->token == NULL))
        tell_why_not(session, &answer);
    api_answer_fini(&answer);
    if (code == KR_EXIT_OK && !is_ready)
        code = KR_EXIT_FAILURE;
    return code;
}
