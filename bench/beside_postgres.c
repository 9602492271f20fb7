// SPDX-License-Identifier: Apache-2.0
// PostgreSQL 15: a primary and a hot standby; a row is updated, and selected at the standby.
//
// The frontend's side of the protocol (PostgreSQL 15, chapter 55): a start without a password, then
// one prepared statement a connection, bound and executed again and again.
#include "bench/beside.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { KR_POSTGRES_PATH = 512, KR_POSTGRES_VERSION = 196608, KR_POSTGRES_TRIES = 200 };

// --- the servers ---------------------------------------------------------------------------------

// Debian keeps each version's programs in a directory of its own; the last is the newest.
static enum kr_err find_program(struct beside_state *state, const char *name,
                                char out[KR_POSTGRES_PATH])
{
    char pattern[KR_POSTGRES_PATH];
    glob_t found = {0};
    snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", name);
    bool is_there = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0;
    if (is_there)
        snprintf(out, KR_POSTGRES_PATH, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    if (is_there)
        return KR_ERR_OK;
    return fault_set(state->fault, KR_ERR_NOT_FOUND,
                     "%s is not there; deploy/packages.sh bench installs PostgreSQL", name);
}

static enum kr_err run(struct beside_state *state, struct program_plan *plan, const char *name)
{
    char path[KR_POSTGRES_PATH];
    enum kr_err err = find_program(state, name, path);
    plan->directory = state->directory;
    plan->user = &state->user;
    plan->name = name;
    plan->arguments[0] = path;
    return err == KR_ERR_OK ? program_run(plan, state->fault) : err;
}

static enum kr_err make_primary(struct beside_state *state)
{
    static const char access_rules[] = "local all all trust\nhost all all 0.0.0.0/0 trust\n"
                                       "host replication all 0.0.0.0/0 trust\n";
    char path[KR_POSTGRES_PATH];
    struct program_plan plan = {.site = &state->near,
                                .arguments = {"", "-D", "primary", "-U", "bench", "-A", "trust",
                                              "-E", "UTF8", "--no-locale", "--no-sync"}};
    enum kr_err err = run(state, &plan, "initdb");
    if (err != KR_ERR_OK)
        return err;
    // In place, so that it stays its user's.
    snprintf(path, sizeof(path), "%s/primary/pg_hba.conf", state->directory);
    FILE *file = fopen(path, "we");
    bool is_written = file != NULL && fputs(access_rules, file) >= 0;
    if (file != NULL && fclose(file) == 0 && is_written)
        return KR_ERR_OK;
    return fault_set(state->fault, KR_ERR_IO, "%s: cannot be written", path);
}

static enum kr_err make_standby(struct beside_state *state)
{
    char port[8], primary[INET_ADDRSTRLEN];
    enum kr_err err = site_reach(&state->far, &state->near, state->ports[0], primary, state->fault);
    snprintf(port, sizeof(port), "%u", state->ports[0]);
    struct program_plan plan = {.site = &state->far,
                                .arguments = {"", "-h", primary, "-p", port, "-U", "bench", "-D",
                                              "standby", "-R", "-X", "stream", "-c", "fast",
                                              "--no-sync"}};
    return err == KR_ERR_OK ? run(state, &plan, "pg_basebackup") : err;
}

static enum kr_err start_server(struct beside_state *state, size_t which)
{
    const struct site *site = which == 0 ? &state->near : &state->far;
    char path[KR_POSTGRES_PATH], port[8];
    state->ports[which] = site_free_port(site);
    snprintf(port, sizeof(port), "%u", state->ports[which]);
    struct program_plan plan = {.site = site,
                                .directory = state->directory,
                                .user = &state->user,
                                .name = which == 0 ? "postgres" : "postgres-standby",
                                .arguments = {"", "-D", which == 0 ? "primary" : "standby", "-h",
                                              site->address, "-p", port, "-k", ""}};
    enum kr_err err = find_program(state, "postgres", path);
    plan.arguments[0] = path;
    if (err == KR_ERR_OK)
        err = program_start(&plan, &state->programs[which], state->fault);
    if (err == KR_ERR_OK)
        err = program_await(&state->programs[which], site, state->ports[which], state->fault);
    return err;
}

// --- messages ------------------------------------------------------------------------------------

static void add_zero_ended(struct buf *out, const char *text)
{
    buf_add(out, text, strlen(text) + 1);
}

// A message's length counts itself; its type does not.
static size_t begin_message(struct buf *out, char type)
{
    buf_add_u8(out, (uint8_t)type);
    buf_add_u32(out, 0);
    return out->size - 4;
}

static void end_message(struct buf *out, size_t at)
{
    uint32_t size = (uint32_t)(out->size - at);
    for (size_t i = 0; i < 4 && !out->has_failed; i++)
        out->data[at + i] = (uint8_t)(size >> (24 - 8 * i));
}

static void add_sync(struct buf *out)
{
    end_message(out, begin_message(out, 'S'));
}

static void add_hello(struct buf *out)
{
    static const char settings[] = "user\0bench\0database\0postgres\0";
    buf_add_u32(out, sizeof(settings) + 8);
    buf_add_u32(out, KR_POSTGRES_VERSION);
    buf_add(out, settings, sizeof(settings));
}

static void add_parse(struct buf *out, const char *name, const char *query)
{
    size_t at = begin_message(out, 'P');
    add_zero_ended(out, name);
    add_zero_ended(out, query);
    buf_add(out, "\0", 2); // no types are told
    end_message(out, at);
    add_sync(out);
}

// Binds the round's number as the only parameter, as text.
static void add_execute(struct buf *out, const char *name, uint64_t round)
{
    char number[24];
    int size = snprintf(number, sizeof(number), "%llu", (unsigned long long)round);
    size_t at = begin_message(out, 'B');
    add_zero_ended(out, "");
    add_zero_ended(out, name);
    buf_add(out, "\0\0\0\1", 4); // formats: text; one parameter
    buf_add_u32(out, (uint32_t)size);
    buf_add(out, number, (size_t)size);
    buf_add(out, "\0", 2); // results: text
    end_message(out, at);
    at = begin_message(out, 'E');
    add_zero_ended(out, "");
    buf_add_u32(out, 0);
    end_message(out, at);
    add_sync(out);
}

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct answer {
    bool is_whole, has_failed;
    char value;       // the first letter of the first row's first column; 0: no row
    const char *what; // of an error
};

// Messages: type, length, body. 'Z' ends an answer.
static struct answer read_answer(const struct buf *in)
{
    struct answer answer = {0};
    for (size_t at = 0; at + 5 <= in->size;) {
        const uint8_t *message = in->data + at;
        size_t size = 1 + (size_t)read_u32(message + 1);
        if (at + size > in->size)
            break;
        if (message[0] == 'E') {
            answer.has_failed = true;
            answer.what = (const char *)memmem(message, size, "\0M", 2);
        }
        if (message[0] == 'D' && size > 11 && answer.value == 0)
            answer.value = (char)message[11];
        answer.is_whole = message[0] == 'Z';
        at += size;
    }
    return answer;
}

static enum kr_err check(const struct talk *talk, const struct answer *answer)
{
    if (!answer->has_failed)
        return KR_ERR_OK;
    return fault_set(talk->fault, KR_ERR_IO, "%s: %s", talk->name,
                     answer->what != NULL ? answer->what + 2 : "an error");
}

static enum kr_err await(struct talk *talk, struct answer *answer)
{
    enum kr_err err = KR_ERR_OK;
    *answer = read_answer(&talk->in);
    while (err == KR_ERR_OK && !answer->is_whole && !answer->has_failed) {
        err = talk_wait(talk);
        *answer = read_answer(&talk->in);
    }
    return err == KR_ERR_OK ? check(talk, answer) : err;
}

static enum kr_err ask(struct talk *talk, struct answer *answer)
{
    enum kr_err err = talk_send(talk);
    return err == KR_ERR_OK ? await(talk, answer) : err;
}

// --- rounds --------------------------------------------------------------------------------------

static enum kr_err open_talk(struct talk *talk, const struct site *site, uint16_t port)
{
    struct answer answer;
    enum kr_err err = KR_ERR_IO;
    // A server that listens may not take connections yet ("is starting up").
    for (int left = KR_POSTGRES_TRIES; left > 0 && err != KR_ERR_OK; left--) {
        err = talk_open(talk, site, site->address, port);
        add_hello(&talk->out);
        if (err == KR_ERR_OK)
            err = ask(talk, &answer);
        if (err != KR_ERR_OK)
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return err;
}

static enum kr_err prepare(struct talk *talk, const char *name, const char *query)
{
    struct answer answer;
    add_parse(&talk->out, name, query);
    return ask(talk, &answer);
}

static enum kr_err make_table(struct beside_state *state)
{
    struct answer answer;
    struct talk *talk = &state->primary;
    size_t at = begin_message(&talk->out, 'Q');
    add_zero_ended(&talk->out, "CREATE TABLE keys (id int PRIMARY KEY, revoked bool NOT NULL)");
    end_message(&talk->out, at);
    enum kr_err err = ask(talk, &answer);
    if (err == KR_ERR_OK)
        err = prepare(talk, "insert", "INSERT INTO keys VALUES ($1::int, false)");
    if (err == KR_ERR_OK)
        err = prepare(talk, "update", "UPDATE keys SET revoked = true WHERE id = $1::int");
    return err;
}

static enum kr_err start(struct beside_state *state)
{
    enum kr_err err = make_primary(state);
    if (err == KR_ERR_OK)
        err = start_server(state, 0);
    if (err == KR_ERR_OK)
        err = open_talk(&state->primary, &state->near, state->ports[0]);
    if (err == KR_ERR_OK)
        err = make_table(state);
    if (err == KR_ERR_OK)
        err = make_standby(state);
    if (err == KR_ERR_OK)
        err = start_server(state, 1);
    if (err == KR_ERR_OK)
        err = open_talk(&state->replica, &state->far, state->ports[1]);
    if (err == KR_ERR_OK)
        err = prepare(&state->replica, "select", "SELECT revoked FROM keys WHERE id = $1::int");
    return err;
}

static enum kr_err send_select(struct beside_state *state)
{
    add_execute(&state->replica.out, "select", state->round);
    return talk_send(&state->replica);
}

static enum kr_err ready(struct beside_state *state)
{
    struct answer answer = {0};
    add_execute(&state->primary.out, "insert", state->round);
    enum kr_err err = ask(&state->primary, &answer);
    while (err == KR_ERR_OK && answer.value != 'f') {
        add_execute(&state->replica.out, "select", state->round);
        err = ask(&state->replica, &answer);
    }
    return err == KR_ERR_OK ? send_select(state) : err;
}

static enum kr_err change(struct beside_state *state)
{
    add_execute(&state->primary.out, "update", state->round);
    return talk_send(&state->primary);
}

static enum kr_err look(struct beside_state *state, bool *is_seen)
{
    enum kr_err err = talk_look(&state->replica);
    if (err != KR_ERR_OK)
        return err == KR_ERR_NOT_FOUND ? KR_ERR_OK : err;
    const struct answer answer = read_answer(&state->replica.in);
    *is_seen = answer.is_whole && answer.value == 't';
    err = check(&state->replica, &answer);
    return err == KR_ERR_OK && answer.is_whole && !*is_seen ? send_select(state) : err;
}

static enum kr_err settle(struct beside_state *state)
{
    struct answer answer;
    return await(&state->primary, &answer);
}

const struct beside_system beside_postgres = {
    .name = "postgresql",
    .label = "PostgreSQL 15, a row updated, selected at a hot standby",
    .settings =
        "defaults: synchronous_commit on, answers when it is flushed; streaming, hot standby",
    .stop_signal = SIGINT,
    .start = start,
    .ready = ready,
    .change = change,
    .look = look,
    .settle = settle,
};
