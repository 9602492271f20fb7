// SPDX-License-Identifier: Apache-2.0
// Redis 7: a primary and a replica; the key is deleted, and asked for at the replica.
#include "bench/beside.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static enum kr_err start_server(struct beside_state *state, size_t which)
{
    const struct site *site = which == 0 ? &state->near : &state->far;
    char port[8], primary_port[8], primary[INET_ADDRSTRLEN];
    state->ports[which] = site_free_port(site);
    snprintf(port, sizeof(port), "%u", state->ports[which]);
    snprintf(primary_port, sizeof(primary_port), "%u", state->ports[0]);
    struct program_plan plan = {
        .site = site,
        .directory = state->directory,
        .user = &state->user,
        .name = which == 0 ? "redis" : "redis-replica",
        .arguments = {"redis-server", "--bind", site->address, "--port", port, "--dbfilename",
                      which == 0 ? "primary.rdb" : "replica.rdb", "--protected-mode", "no"}};
    size_t count = 9;
    enum kr_err err = KR_ERR_OK;
    if (which == 1) {
        err = site_reach(site, &state->near, state->ports[0], primary, state->fault);
        plan.arguments[count++] = "--replicaof";
        plan.arguments[count++] = primary;
        plan.arguments[count++] = primary_port;
    }
    if (err == KR_ERR_OK)
        err = program_start(&plan, &state->programs[which], state->fault);
    if (err == KR_ERR_OK)
        err = program_await(&state->programs[which], site, state->ports[which], state->fault);
    return err;
}

static enum kr_err start(struct beside_state *state)
{
    enum kr_err err = start_server(state, 0);
    if (err == KR_ERR_OK)
        err = start_server(state, 1);
    if (err == KR_ERR_OK)
        err = talk_open(&state->primary, &state->near, state->near.address, state->ports[0]);
    if (err == KR_ERR_OK)
        err = talk_open(&state->replica, &state->far, state->far.address, state->ports[1]);
    return err;
}

// A whole answer (RESP2): a line, and the value behind "$N".
static bool is_whole(const struct buf *in)
{
    const char *text = (const char *)in->data;
    if (in->size < 4 || text[in->size - 1] != '\n')
        return false;
    bool has_value = text[0] == '$' && text[1] != '-';
    return !has_value || memchr(text, '\n', in->size) != text + in->size - 1;
}

static enum kr_err send_get(struct beside_state *state)
{
    buf_printf(&state->replica.out, "GET key-%llu\r\n", (unsigned long long)state->round);
    return talk_send(&state->replica);
}

static enum kr_err await(struct talk *talk)
{
    enum kr_err err = KR_ERR_OK;
    while (err == KR_ERR_OK && !is_whole(&talk->in))
        err = talk_wait(talk);
    if (err == KR_ERR_OK && talk->in.data[0] == '-' && talk->in.data[1] != 'M' &&
        talk->in.data[1] != 'L')
        return fault_set(talk->fault, KR_ERR_IO, "redis: %.*s", (int)talk->in.size - 2,
                         (const char *)talk->in.data + 1);
    return err;
}

// "-MASTERDOWN" and "-LOADING", while the replica is being filled, are no value either.
static enum kr_err ready(struct beside_state *state)
{
    buf_printf(&state->primary.out, "SET key-%llu good\r\n", (unsigned long long)state->round);
    enum kr_err err = talk_send(&state->primary);
    if (err == KR_ERR_OK)
        err = await(&state->primary);
    do {
        if (err == KR_ERR_OK)
            err = send_get(state);
        if (err == KR_ERR_OK)
            err = await(&state->replica);
    } while (err == KR_ERR_OK && memcmp(state->replica.in.data, "$4", 2) != 0);
    return err == KR_ERR_OK ? send_get(state) : err;
}

static enum kr_err change(struct beside_state *state)
{
    buf_printf(&state->primary.out, "DEL key-%llu\r\n", (unsigned long long)state->round);
    return talk_send(&state->primary);
}

static enum kr_err look(struct beside_state *state, bool *is_seen)
{
    enum kr_err err = talk_look(&state->replica);
    if (err == KR_ERR_NOT_FOUND)
        return KR_ERR_OK;
    if (err != KR_ERR_OK || !is_whole(&state->replica.in))
        return err;
    *is_seen = memcmp(state->replica.in.data, "$-1", 3) == 0;
    return *is_seen ? KR_ERR_OK : send_get(state);
}

static enum kr_err settle(struct beside_state *state)
{
    return await(&state->primary);
}

const struct beside_system beside_redis = {
    .name = "redis",
    .label = "Redis 7, a key deleted, asked for at a replica",
    .settings = "Debian's defaults: answers before anything is on a disk",
    .stop_signal = SIGTERM,
    .start = start,
    .ready = ready,
    .change = change,
    .look = look,
    .settle = settle,
};
