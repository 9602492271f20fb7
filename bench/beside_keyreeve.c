// SPDX-License-Identifier: Apache-2.0
// Keyreeve in a cluster that runs already: a key is revoked at the leader, and validated at a node.
#include "bench/beside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/protocol.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/json.h"

static enum kr_err read_token(struct beside_state *state)
{
    struct buf content;
    buf_init_fixed(&content, state->token, sizeof(state->token) - 1);
    enum kr_err err = file_read_secret(state->token_file, &content, state->fault);
    state->token[content.size] = '\0';
    state->token[strcspn(state->token, "\r\n")] = '\0';
    return err;
}

static void add_post(struct beside_state *state, const char *tail, const char *body)
{
    buf_printf(&state->primary.out,
               "POST /v1/accounts/default/key-buckets/production/consumers%s HTTP/1.1\r\n"
               "Host: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               tail, state->leader, state->token, strlen(body), body);
}

// A whole answer, 200, of the talk; its verdict code.
static enum kr_err read_answer(struct talk *talk, struct protocol_answer *answer)
{
    size_t used;
    switch (protocol_read(KR_PROTOCOL_VALIDATE, buf_bytes(&talk->in), &used, answer)) {
    case KR_PROTOCOL_MORE:
        return KR_ERR_NOT_FOUND;
    case KR_PROTOCOL_BROKEN:
        return fault_set(talk->fault, KR_ERR_IO, "%s: the answer is no HTTP", talk->name);
    case KR_PROTOCOL_DONE:
        break;
    }
    if (answer->status == 200)
        return KR_ERR_OK;
    return fault_set(talk->fault, KR_ERR_IO, "%s answers %u", talk->name, answer->status);
}

static enum kr_err await(struct talk *talk, struct protocol_answer *answer)
{
    enum kr_err err = read_answer(talk, answer);
    while (err == KR_ERR_NOT_FOUND) {
        err = talk_wait(talk);
        if (err == KR_ERR_OK)
            err = read_answer(talk, answer);
    }
    return err;
}

static enum kr_err post(struct beside_state *state, const char *tail, const char *body)
{
    struct protocol_answer answer;
    add_post(state, tail, body);
    enum kr_err err = talk_send(&state->primary);
    return err == KR_ERR_OK ? await(&state->primary, &answer) : err;
}

static enum kr_err connect_to(struct talk *talk, const struct site *from, const char *place)
{
    char host[64];
    const char *colon = strrchr(place, ':');
    if (colon == NULL || (size_t)(colon - place) >= sizeof(host))
        return fault_set(talk->fault, KR_ERR_INVALID, "%s: not ADDRESS:PORT", place);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - place), place);
    talk->name = place;
    return talk_open(talk, from, host, (uint16_t)atoi(colon + 1));
}

static enum kr_err start(struct beside_state *state)
{
    char body[96];
    enum kr_err err = read_token(state);
    if (err == KR_ERR_OK)
        err = connect_to(&state->primary, &state->near, state->leader);
    if (err == KR_ERR_OK)
        err = connect_to(&state->replica, &state->far, state->node);
    snprintf(state->path, sizeof(state->path), "/beside-%llx", (unsigned long long)clock_mono_ns());
    snprintf(body, sizeof(body), "{\"name\":\"%s\"}", state->path + 1);
    return err == KR_ERR_OK ? post(state, "", body) : err;
}

static enum kr_err send_validate(struct beside_state *state)
{
    const struct protocol_request request = {KR_PROTOCOL_VALIDATE, state->node, "/v1/validate"};
    protocol_add(&request, bytes_text(state->key), &state->replica.out);
    return talk_send(&state->replica);
}

// The value of the key that was made, and its path in place of the consumer's.
static enum kr_err take_key(struct beside_state *state, char *tail, size_t size)
{
    const struct buf *in = &state->primary.in;
    struct json *json = NULL;
    const uint8_t *body = memmem(in->data, in->size, "\r\n\r\n", 4);
    size_t rest = in->size - (size_t)(body - in->data) - 4;
    enum kr_err err = json_parse(bytes_of(body + 4, rest), &json, state->fault);
    if (err != KR_ERR_OK)
        return err;
    snprintf(state->key, sizeof(state->key), "%s", json_text(json_member(json, "key")));
    snprintf(tail, size, "%.64s/keys/%.64s/revoke", state->path,
             json_text(json_member(json, "id")));
    json_free(&json);
    return KR_ERR_OK;
}

static enum kr_err ready(struct beside_state *state)
{
    char tail[128], revoke[KR_BESIDE_TEXT];
    struct protocol_answer answer = {0};
    snprintf(tail, sizeof(tail), "%.64s/keys", state->path);
    enum kr_err err = post(state, tail, "{}");
    if (err == KR_ERR_OK)
        err = take_key(state, revoke, sizeof(revoke));
    while (err == KR_ERR_OK && strcmp(answer.code, "VALID") != 0) {
        err = send_validate(state);
        if (err == KR_ERR_OK)
            err = await(&state->replica, &answer);
    }
    if (err == KR_ERR_OK)
        add_post(state, revoke, "{}");
    return err == KR_ERR_OK ? send_validate(state) : err;
}

static enum kr_err change(struct beside_state *state)
{
    return talk_send(&state->primary);
}

static enum kr_err look(struct beside_state *state, bool *is_seen)
{
    struct protocol_answer answer;
    enum kr_err err = talk_look(&state->replica);
    if (err == KR_ERR_OK)
        err = read_answer(&state->replica, &answer);
    if (err != KR_ERR_OK)
        return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
    *is_seen = strcmp(answer.code, "REVOKED") == 0;
    return *is_seen ? KR_ERR_OK : send_validate(state);
}

static enum kr_err settle(struct beside_state *state)
{
    struct protocol_answer answer;
    return await(&state->primary, &answer);
}

const struct beside_system beside_keyreeve = {
    .name = "keyreeve",
    .label = "Keyreeve, a key revoked, validated at a node",
    .settings = "answers when it is flushed",
    .start = start,
    .ready = ready,
    .change = change,
    .look = look,
    .settle = settle,
};
