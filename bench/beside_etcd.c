// SPDX-License-Identifier: Apache-2.0
// etcd 3.4: a value is put, and a watch from the far side waits for it. Over its HTTP gateway.
#include "bench/beside.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"

static enum kr_err start_server(struct beside_state *state)
{
    char client[64], peer[64], cluster[96];
    uint16_t peer_port = site_free_port(&state->near);
    state->ports[0] = site_free_port(&state->near);
    snprintf(client, sizeof(client), "http://%s:%u", state->near.address, state->ports[0]);
    snprintf(peer, sizeof(peer), "http://%s:%u", state->near.address, peer_port);
    snprintf(cluster, sizeof(cluster), "one=%s", peer);
    const struct program_plan plan = {
        .site = &state->near,
        .directory = state->directory,
        .user = &state->user,
        .name = "etcd",
        .arguments = {"etcd", "--name", "one", "--data-dir", "etcd", "--listen-client-urls", client,
                      "--advertise-client-urls", client, "--listen-peer-urls", peer,
                      "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster}};
    enum kr_err err = program_start(&plan, &state->programs[0], state->fault);
    if (err == KR_ERR_OK)
        err = program_await(&state->programs[0], &state->near, state->ports[0], state->fault);
    return err;
}

static void add_post(struct talk *talk, const char *path, const char *body)
{
    buf_printf(&talk->out,
               "POST %s HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               path, strlen(body), body);
}

static void add_value(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\":\"", name);
    text_add_base64(out, bytes_text(text));
    buf_add_text(out, "\"");
}

// Values differ from round to round, so that none is taken for another's.
static void name_value(const struct beside_state *state, const char *what, char out[64])
{
    snprintf(out, 64, "%s-%llu.", what, (unsigned long long)state->round);
}

static void add_put(struct beside_state *state, const char *what)
{
    char value[64], memory[512];
    struct buf body;
    name_value(state, what, value);
    buf_init_fixed(&body, memory, sizeof(memory));
    buf_add_text(&body, "{");
    add_value(&body, "key", "key");
    buf_add_text(&body, ",");
    add_value(&body, "value", value);
    buf_add_text(&body, "}");
    buf_add_u8(&body, 0);
    add_post(&state->primary, "/v3/kv/put", memory);
}

static enum kr_err await_answer(struct talk *talk)
{
    struct protocol_answer answer;
    size_t used;
    for (;;) {
        switch (protocol_read(KR_PROTOCOL_EMPTY, buf_bytes(&talk->in), &used, &answer)) {
        case KR_PROTOCOL_DONE:
            return answer.status == 200
                       ? KR_ERR_OK
                       : fault_set(talk->fault, KR_ERR_IO, "etcd answers %u", answer.status);
        case KR_PROTOCOL_BROKEN:
            return fault_set(talk->fault, KR_ERR_IO, "etcd: the answer is no HTTP");
        case KR_PROTOCOL_MORE:
            break;
        }
        enum kr_err err = talk_wait(talk);
        if (err != KR_ERR_OK)
            return err;
    }
}

static bool has_event(struct beside_state *state, const char *what)
{
    char value[64], memory[128];
    struct buf wanted;
    name_value(state, what, value);
    buf_init_fixed(&wanted, memory, sizeof(memory));
    add_value(&wanted, "value", value);
    return talk_find(&state->replica, buf_bytes(&wanted)) != NULL;
}

// A member that has just started may not have a leader yet; puts are tried until one holds.
static enum kr_err await_leader(struct beside_state *state)
{
    enum kr_err err = KR_ERR_IO;
    for (int left = 50; left > 0 && err != KR_ERR_OK; left--) {
        add_put(state, "first");
        err = talk_send(&state->primary);
        if (err == KR_ERR_OK)
            err = await_answer(&state->primary);
    }
    return err;
}

static enum kr_err open_watch(struct beside_state *state)
{
    add_post(&state->replica, "/v3/watch", "{\"create_request\":{\"key\":\"a2V5\"}}");
    enum kr_err err = talk_send(&state->replica);
    while (err == KR_ERR_OK && talk_find(&state->replica, bytes_text("created")) == NULL)
        err = talk_wait(&state->replica);
    return err;
}

static enum kr_err start(struct beside_state *state)
{
    enum kr_err err = start_server(state);
    if (err == KR_ERR_OK)
        err = talk_open(&state->primary, &state->near, state->near.address, state->ports[0]);
    if (err == KR_ERR_OK)
        err = talk_reach(&state->replica, &state->far, &state->near, state->ports[0]);
    if (err == KR_ERR_OK)
        err = await_leader(state);
    return err == KR_ERR_OK ? open_watch(state) : err;
}

static enum kr_err ready(struct beside_state *state)
{
    buf_clear(&state->replica.in);
    add_put(state, "good");
    enum kr_err err = talk_send(&state->primary);
    if (err == KR_ERR_OK)
        err = await_answer(&state->primary);
    while (err == KR_ERR_OK && !has_event(state, "good"))
        err = talk_wait(&state->replica);
    buf_clear(&state->replica.in);
    return err;
}

static enum kr_err change(struct beside_state *state)
{
    add_put(state, "revoked");
    return talk_send(&state->primary);
}

static enum kr_err look(struct beside_state *state, bool *is_seen)
{
    enum kr_err err = talk_look(&state->replica);
    *is_seen = err == KR_ERR_OK && has_event(state, "revoked");
    return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
}

static enum kr_err settle(struct beside_state *state)
{
    return await_answer(&state->primary);
}

const struct beside_system beside_etcd = {
    .name = "etcd",
    .label = "etcd 3.4, a value put, a watch waiting for it",
    .settings = "one member, Debian's defaults: answers when it is flushed; HTTP gateway",
    .stop_signal = SIGTERM,
    .start = start,
    .ready = ready,
    .change = change,
    .look = look,
    .settle = settle,
};
