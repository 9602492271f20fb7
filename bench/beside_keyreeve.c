// SPDX-License-Identifier: Apache-2.0
// Keyreeve in a cluster that runs already: a key is revoked at the leader, and validated at a node.
#include "bench/beside.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"

static enum kr_err start(struct beside_state *state)
{
    char body[96];
    struct protocol_answer answer;
    enum kr_err err = api_read_token(state->token_file, state->token, state->fault);
    if (err == KR_ERR_OK)
        err = api_connect(&state->primary, &state->near, state->leader);
    if (err == KR_ERR_OK)
        err = api_connect(&state->replica, &state->far, state->node);
    snprintf(state->consumer, sizeof(state->consumer), "beside-%llx",
             (unsigned long long)clock_mono_ns());
    snprintf(body, sizeof(body), "{\"name\":\"%s\"}", state->consumer);
    if (err == KR_ERR_OK)
        api_add_post(&state->primary, state->token, "", body);
    return err == KR_ERR_OK ? api_ask(&state->primary, &answer) : err;
}

static enum kr_err send_validate(struct beside_state *state)
{
    api_add_validate(&state->replica, state->key.value);
    return talk_send(&state->replica);
}

static enum kr_err ready(struct beside_state *state)
{
    struct protocol_answer answer = {0};
    enum kr_err err = api_make_key(&state->primary, state->token, state->consumer, &state->key);
    while (err == KR_ERR_OK && strcmp(answer.code, "VALID") != 0) {
        api_add_validate(&state->replica, state->key.value);
        err = api_ask(&state->replica, &answer);
    }
    if (err == KR_ERR_OK)
        api_add_post(&state->primary, state->token, state->key.revoke, "{}");
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
        err = api_read(&state->replica, &answer);
    if (err != KR_ERR_OK)
        return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
    *is_seen = strcmp(answer.code, "REVOKED") == 0;
    return *is_seen ? KR_ERR_OK : send_validate(state);
}

static enum kr_err settle(struct beside_state *state)
{
    struct protocol_answer answer;
    return api_await(&state->primary, &answer);
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
