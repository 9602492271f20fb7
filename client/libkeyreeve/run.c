// SPDX-License-Identifier: Apache-2.0
// Running a client by poll(2): for callers that wait, and for those with a loop of their own.
#include "client/libkeyreeve/client.h"

#include <poll.h>

#include "core/base/clock.h"
#include "core/keys/verdict.h"

void client_look(struct keyreeve *client, unsigned most_ms)
{
    struct pollfd sockets[KR_KEYREEVE_NODES_MAX];
    for (size_t i = 0; i < client->link_count; i++) {
        const struct link *link = &client->links[i];
        sockets[i] = (struct pollfd){
            .fd = link->fd, .events = (short)(POLLIN | (link_wants_write(link) ? POLLOUT : 0))};
    }
    if (poll(sockets, client->link_count, (int)most_ms) <= 0)
        return;
    for (size_t i = 0; i < client->link_count; i++) {
        short got = sockets[i].revents;
        if (got != 0)
            client_ready(client, i, (got & (POLLIN | POLLHUP | POLLERR)) != 0,
                         (got & POLLOUT) != 0);
    }
}

size_t keyreeve_run(struct keyreeve *client, unsigned wait_ms)
{
    if (client_is_inherited(client))
        return 0;
    client_step(client);
    unsigned pause_ms = client_pause_ms(client);
    client_look(client, pause_ms < wait_ms ? pause_ms : wait_ms);
    client_step(client);
    return client->under_way;
}

struct waiting {
    struct keyreeve *client;
    struct keyreeve_answer *answer;
    bool is_done;
};

static void take_answer(void *ctx, const struct keyreeve_answer *answer)
{
    struct waiting *waiting = ctx;
    struct buf *body = &waiting->client->body;
    buf_clear(body);
    buf_add(body, answer->body, answer->body_size);
    *waiting->answer = *answer;
    waiting->answer->body = body->size > 0 ? (const char *)body->data : "";
    waiting->is_done = true;
}

enum keyreeve_error keyreeve_verify(struct keyreeve *client,
                                    const struct keyreeve_question *question,
                                    struct keyreeve_answer *answer)
{
    struct waiting waiting = {client, answer, false};
    if (client->cache != NULL)
        (void)keyreeve_run(client, 0); // the news that have come
    enum keyreeve_error error = keyreeve_ask(client, question, take_answer, &waiting);
    while (error == KR_KEYREEVE_OK && !waiting.is_done)
        (void)keyreeve_run(client, (unsigned)client->timeout_ms);
    return error;
}

const char *keyreeve_code_text(enum keyreeve_code code)
{
    static const char *const texts[] = {
#define X(name, status) #name,
        KR_VERDICT_TABLE(X)
#undef X
    };
    return code > 0 && code <= sizeof(texts) / sizeof(texts[0]) ? texts[code - 1] : "UNKNOWN";
}
