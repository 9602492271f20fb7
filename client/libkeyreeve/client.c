// SPDX-License-Identifier: Apache-2.0
// Questions on their way: to the nearest node, to another one when it is late, to the others when
// it is gone.
//
// Happy path: ask → (kept | nearest link) → answer → done. Ways it can fail: the link is lost (the
// next one is asked at once), the node cannot tell (the same), it is late (another one is asked
// beside it, and the first answer counts; where that is late, too, a further one, after twice as
// long each, so that nodes which are all slow are not asked all at once), nobody answers before the
// deadline (UNAVAILABLE, or what the last node said). A node that owes an answer for a whole
// time-out is taken for lost; only time in which somebody looks at its socket counts, for a
// blocking client is away most of the time.
//
// A question for an index is held back until a node has answered by it: a node would wait, and with
// it all that was asked behind on that connection. Meanwhile the nodes are asked how they stand.
#include "client/libkeyreeve/client.h"

#include "core/base/clock.h"
#include "core/base/mem.h"

enum {
    KR_PROBE_EVERY_MS = 1000,
    KR_HOLD_PROBE_MS = 5, // while a question is held back, or its hedge
    KR_HOLD_MOST_MS = 1000,
    KR_PAUSE_MOST_MS = 100,
    KR_HEDGE_LEAST_US = 1000,
    KR_TAG_SLOT_BITS = 10
};

#define KR_TAG_PROBE UINT32_MAX

_Static_assert(KR_KEYREEVE_OUTSTANDING_MAX == 1 << KR_TAG_SLOT_BITS, "a tag names a slot");

// --- a question's way ----------------------------------------------------------------------------

static bool is_with(const struct ask *ask, size_t link)
{
    return (ask->waiting & 1u << link) != 0;
}

static uint64_t hedge_after_ns(const struct keyreeve *client, const struct link *link)
{
    uint64_t after_us = link->p99_us > 0 ? link->p99_us : client->timeout_ms * 1000 / 4;
    return (after_us > KR_HEDGE_LEAST_US ? after_us : KR_HEDGE_LEAST_US) * 1000;
}

// Links that have not shown the index that it is for, by bit.
static unsigned links_behind(const struct keyreeve *client, const struct ask *ask)
{
    unsigned behind = 0;
    for (size_t i = 0; i < client->link_count; i++)
        behind |= client->links[i].index < ask->request.min_index ? 1u << i : 0;
    return behind;
}

// Is there one, be it down, that was not asked?
static bool has_untried(const struct keyreeve *client, const struct ask *ask)
{
    return ask->tried != (1u << client->link_count) - 1;
}

// A node that is up might have it soon, and was not asked.
static bool may_come_up(const struct keyreeve *client, const struct ask *ask)
{
    return client_nearest(client, ask->tried | ~links_behind(client, ask)) != KR_CLIENT_NO_LINK;
}

// The home before one that is nearer: what it answers can be kept. But not before it has answered.
static size_t next_link(const struct keyreeve *client, const struct ask *ask)
{
    unsigned excluded = ask->tried | links_behind(client, ask);
    size_t home = client->home;
    if (home != KR_CLIENT_NO_LINK && link_is_up(&client->links[home]) &&
        client->links[home].is_proven && (excluded & 1u << home) == 0)
        return home;
    return client_nearest(client, excluded);
}

// When another one is asked beside those that have it: after that time where nobody has it yet, and
// no sooner than after twice as long as the last time where somebody has.
static void hedge_next(struct ask *ask, uint64_t now_ns, uint64_t least_ns)
{
    uint64_t twice_ns = ask->waiting != 0 ? 2 * ask->hedge_after_ns : 0;
    ask->hedge_after_ns = twice_ns > least_ns ? twice_ns : least_ns;
    ask->hedge_at_ns = now_ns + ask->hedge_after_ns;
}

// Sends it to a node that can answer and has not been asked: the home, or else the nearest; false:
// there is none.
static bool send_on(struct keyreeve *client, struct ask *ask)
{
    size_t number = next_link(client, ask);
    if (number == KR_CLIENT_NO_LINK) {
        client->is_holding |= ask->request.min_index > 0;
        return false;
    }
    struct link *link = &client->links[number];
    struct bytes key = bytes_of(ask->key, ask->key_size);
    uint64_t now_ns = clock_mono_ns();
    hedge_next(ask, now_ns, hedge_after_ns(client, link));
    ask->sent_ns[number] = now_ns;
    ask->tried |= 1u << number;
    ask->waiting |= 1u << number;
    link->is_broken |= binary_add_request(&link->out, &ask->request, &key) != KR_ERR_OK;
    link_expect(link, clock_boot_ms());
    return true;
}

static void finish(struct keyreeve *client, struct ask *ask, const struct keyreeve_answer *answer)
{
    keyreeve_done_fn *done = ask->done;
    void *ctx = ask->ctx;
    if (ask->previous != NULL)
        ask->previous->next = ask->next;
    else
        client->first = ask->next;
    if (ask->next != NULL)
        ask->next->previous = ask->previous;
    else
        client->last = ask->previous;
    ask->is_under_way = false;
    mem_zero(ask->key, ask->key_size);
    ask->next = client->free;
    client->free = ask;
    client->under_way--;
    done(ctx, answer);
}

static void give_up(struct keyreeve *client, struct ask *ask)
{
    client->figures.timed_out++;
    finish(client, ask, &(struct keyreeve_answer){.code = ask->cannot_tell, .body = ""});
}

// The node at this link has no answer to it. Who else has it may be as silent as it was before, so
// that another one is asked at once. False: nobody has it now.
static bool leave(struct keyreeve *client, struct ask *ask, size_t link)
{
    ask->waiting &= ~(1u << link);
    if (ask->waiting == 0)
        ask->hedge_at_ns = 0;
    client->figures.failed_over += send_on(client, ask);
    return ask->waiting != 0;
}

static void note_loss(struct keyreeve *client, const struct link *link)
{
    const char *why = link->fault.text;
    fault_set(&client->fault, KR_ERR_IO, "%s: %s", link->name,
              why[0] != '\0' ? why : "no answer, or none that makes sense");
}

static void lose(struct keyreeve *client, size_t number)
{
    note_loss(client, &client->links[number]);
    if (client->closing != NULL)
        client->closing(client->loop, number);
    link_close(&client->links[number], clock_boot_ms());
    if (client->home == number)
        client_leave_home(client);
    for (struct ask *at = client->first; at != NULL; at = at->next) {
        if (is_with(at, number) && !leave(client, at, number))
            at->tried = 0; // from the beginning, once one is up again
    }
}

// --- answers -------------------------------------------------------------------------------------

static void hear_result(struct keyreeve *client, size_t number, struct ask *ask,
                        const struct binary_answer *answer)
{
    const uint8_t *at = answer->results;
    struct binary_result result = binary_next_result(&at);
    enum keyreeve_code code = result.code;
    if (code == KR_KEYREEVE_STALE || code == KR_KEYREEVE_UNAVAILABLE) {
        ask->cannot_tell = code;
        if (leave(client, ask, number) || may_come_up(client, ask))
            return;
    }
    if (result.may_keep && number == client->home && client_has_lease(client, clock_boot_ms()))
        client_keep(client, ask, answer, result.body);
    finish(client, ask,
           &(struct keyreeve_answer){.code = code,
                                     .body = (const char *)result.body.data,
                                     .body_size = result.body.size,
                                     .index = answer->index,
                                     .age_ms = answer->age_ms});
}

static void hear_answer(struct keyreeve *client, size_t number, const struct binary_answer *answer)
{
    struct link *link = &client->links[number];
    uint64_t now_ns = clock_mono_ns();
    if (answer->tag == KR_TAG_PROBE) {
        if (!link->is_probe_late)
            link_sample(link, now_ns - link->probe_ns);
        link->probe_ns = 0;
        return;
    }
    struct ask *ask = &client->asks[answer->tag & (KR_KEYREEVE_OUTSTANDING_MAX - 1)];
    if (!ask->is_under_way || ask->tag != answer->tag || !is_with(ask, number))
        return; // another node was faster
    if (answer->count != 1) {
        link->is_broken = true;
        return;
    }
    for (size_t i = 0; i < client->link_count; i++) {
        // One that is overtaken took at least as long as this.
        if (is_with(ask, i))
            link_sample(&client->links[i], now_ns - ask->sent_ns[i]);
    }
    hear_result(client, number, ask, answer);
}

static void hear(struct keyreeve *client, size_t number)
{
    struct link *link = &client->links[number];
    struct binary_answer answer;
    while (!link->is_broken && link_next(link, &answer)) {
        bool is_news = answer.op == KR_BINARY_SUBSCRIBE;
        if (!is_news || answer.has_lease)
            link_heard(link, answer.index);
        if (answer.op == KR_BINARY_ERROR)
            link->is_broken = true;
        else if (!is_news)
            hear_answer(client, number, &answer);
        else if (number == client->home)
            client_hear_news(client, &answer);
    }
}

void client_ready(struct keyreeve *client, size_t number, bool is_readable, bool is_writable)
{
    struct link *link = &client->links[number];
    uint64_t now_ms = clock_boot_ms();
    bool comes_back = !link_is_up(link) && link->failures > 0;
    if (link->state == KR_LINK_CONNECTING && (is_writable || is_readable))
        link_connected(link, now_ms);
    while (is_readable && link->state >= KR_LINK_SECURING && !link->is_broken &&
           link_receive(link, now_ms))
        hear(client, number);
    client->figures.reconnected += comes_back && link_is_up(link);
}

// --- the time ------------------------------------------------------------------------------------

// While a node owes something, steps are not further apart than this.
static uint64_t step_most_ms(const struct keyreeve *client)
{
    uint64_t most_ms = client->timeout_ms / 8 + 1;
    return most_ms < KR_PAUSE_MOST_MS ? most_ms : KR_PAUSE_MOST_MS;
}

// Of the time before a late step, only as much counts against the nodes as two in time may take.
static void catch_up(struct keyreeve *client, uint64_t now_ms)
{
    uint64_t most_ms = 2 * step_most_ms(client), gap_ms = now_ms - client->stepped_ms;
    client->stepped_ms = now_ms;
    if (gap_ms <= most_ms)
        return;
    for (size_t i = 0; i < client->link_count; i++)
        link_forgive(&client->links[i], gap_ms - most_ms, now_ms);
    client_look(client, 0);
}

static uint64_t probe_every_ms(const struct keyreeve *client)
{
    return client->is_holding ? KR_HOLD_PROBE_MS : KR_PROBE_EVERY_MS;
}

static void step_link(struct keyreeve *client, size_t number, uint64_t now_ms)
{
    struct link *link = &client->links[number];
    switch (link->state) {
    case KR_LINK_DOWN:
        if (now_ms >= link->retry_at_ms)
            link_open(link, now_ms);
        return;
    case KR_LINK_CONNECTING:
    case KR_LINK_SECURING:
        link->is_broken |= now_ms >= link->since_ms + client->timeout_ms;
        return;
    case KR_LINK_UP:
        link->is_broken |= link->pending > 0 && now_ms >= link->heard_ms + client->timeout_ms;
        if (link->probe_ns > 0 || now_ms < link->probed_ms + probe_every_ms(client))
            return;
        link->probed_ms = now_ms;
        link->probe_ns = clock_mono_ns();
        link->is_probe_late = false;
        link_ask(link, KR_BINARY_VALIDATE, KR_TAG_PROBE, now_ms);
        return;
    }
}

static bool is_any_proven(const struct keyreeve *client)
{
    for (size_t i = 0; i < client->link_count; i++) {
        if (link_is_up(&client->links[i]) && client->links[i].is_proven)
            return true;
    }
    return false;
}

// Nobody takes it now. Where that is for its index, the nodes have said as much as they would say,
// but for one that was asked and could not tell.
static void hold(struct keyreeve *client, struct ask *ask, uint64_t now_ms)
{
    if (ask->request.min_index == 0 || !is_any_proven(client))
        return;
    if (ask->tried == 0)
        ask->cannot_tell = KR_KEYREEVE_STALE;
    if (now_ms >= ask->sent_ms + KR_HOLD_MOST_MS)
        give_up(client, ask);
}

// It is late where it is. Who is down now, or behind, may be there for it soon.
static void hedge(struct keyreeve *client, struct ask *ask, uint64_t now_ns)
{
    bool is_sent = send_on(client, ask);
    client->figures.hedged += is_sent;
    if (is_sent)
        return;
    if (may_come_up(client, ask))
        ask->hedge_at_ns = now_ns + KR_HOLD_PROBE_MS * UINT64_C(1000000);
    else if (has_untried(client, ask))
        hedge_next(ask, now_ns, 0);
    else
        ask->hedge_at_ns = 0;
}

static void step_asks(struct keyreeve *client, uint64_t now_ms)
{
    uint64_t now_ns = clock_mono_ns();
    client->is_holding = false;
    while (client->first != NULL && now_ms >= client->first->deadline_ms)
        give_up(client, client->first);
    for (struct ask *at = client->first, *next; at != NULL; at = next) {
        next = at->next;
        if (at->waiting == 0) {
            if (!send_on(client, at))
                hold(client, at, now_ms);
        } else if (at->hedge_at_ns > 0 && now_ns >= at->hedge_at_ns) {
            hedge(client, at, now_ns);
        }
    }
}

static bool lose_broken(struct keyreeve *client)
{
    bool is_any = false;
    for (size_t i = 0; i < client->link_count; i++) {
        if (!client->links[i].is_broken)
            continue;
        lose(client, i);
        is_any = true;
    }
    return is_any;
}

void client_step(struct keyreeve *client)
{
    uint64_t now_ms = clock_boot_ms();
    catch_up(client, now_ms);
    for (size_t i = 0; i < client->link_count; i++)
        step_link(client, i, now_ms);
    (void)lose_broken(client);
    step_asks(client, now_ms);
    client_renew_lease(client, now_ms);
    do {
        for (size_t i = 0; i < client->link_count; i++)
            link_flush(&client->links[i]);
    } while (lose_broken(client));
}

unsigned client_pause_ms(const struct keyreeve *client)
{
    uint64_t pause_ms = KR_PAUSE_MOST_MS, now_ms = clock_boot_ms(), now_ns = clock_mono_ns();
    for (size_t i = 0; i < client->link_count; i++) {
        const struct link *link = &client->links[i];
        uint64_t left_ms = link->retry_at_ms > now_ms ? link->retry_at_ms - now_ms : 0;
        if (link->state != KR_LINK_DOWN)
            left_ms = link->pending > 0 || !link_is_up(link) ? step_most_ms(client) : pause_ms;
        if (client->is_holding && link_is_up(link) && link->probe_ns == 0)
            left_ms = KR_HOLD_PROBE_MS;
        pause_ms = left_ms < pause_ms ? left_ms : pause_ms;
    }
    for (const struct ask *at = client->first; at != NULL; at = at->next) {
        uint64_t left_ms = at->deadline_ms > now_ms ? at->deadline_ms - now_ms : 0;
        uint64_t hedge_ms =
            at->hedge_at_ns > now_ns ? (at->hedge_at_ns - now_ns + 999999) / 1000000 : 0;
        if (at->hedge_at_ns > 0 && hedge_ms < left_ms)
            left_ms = hedge_ms;
        pause_ms = left_ms < pause_ms ? left_ms : pause_ms;
    }
    return (unsigned)pause_ms;
}

// --- what is offered -----------------------------------------------------------------------------

static bool is_good_question(const struct keyreeve_question *question)
{
    size_t bucket_size = question->bucket != NULL ? strlen(question->bucket) : 1;
    return question->key != NULL && question->max_staleness_ms <= UINT32_MAX && bucket_size > 0 &&
           bucket_size <= KR_CLIENT_BUCKET_MAX;
}

static void begin(struct keyreeve *client, const struct keyreeve_question *question,
                  struct bytes bucket, struct ask *ask)
{
    uint64_t now_ms = clock_boot_ms();
    client->free = ask->next;
    ask->tag += KR_KEYREEVE_OUTSTANDING_MAX; // of a new question, in the same slot
    if (ask->tag >= KR_TAG_LEASES)
        ask->tag &= KR_KEYREEVE_OUTSTANDING_MAX - 1;
    ask->is_under_way = true;
    // An empty key is MALFORMED as well; with a node or without.
    bool is_too_long = question->key_size > KR_KEYREEVE_KEY_MAX;
    ask->key_size = is_too_long ? 0 : question->key_size;
    ask->cannot_tell = is_too_long ? KR_KEYREEVE_MALFORMED : KR_KEYREEVE_UNAVAILABLE;
    memcpy(ask->key, question->key, ask->key_size);
    if (bucket.size > 0)
        memcpy(ask->bucket, bucket.data, bucket.size);
    ask->request = (struct binary_request){
        .tag = ask->tag,
        .op = KR_BINARY_VALIDATE,
        .count = 1,
        .min_index = is_too_long ? 0 : question->min_index,
        .has_max_staleness = question->max_staleness_ms >= 0,
        .max_staleness_ms =
            question->max_staleness_ms >= 0 ? (uint32_t)question->max_staleness_ms : 0,
        .bucket = bytes_of(ask->bucket, bucket.size)};
    ask->sent_ms = now_ms;
    ask->deadline_ms = now_ms + client->timeout_ms;
    ask->tried = ask->waiting = 0;
    ask->hedge_at_ns = 0;
    ask->previous = client->last;
    ask->next = NULL;
    *(client->last != NULL ? &client->last->next : &client->first) = ask;
    client->last = ask;
    client->under_way++;
}

// Not from inside such an answer: what it lends must stay, and a chain of answers that ask would
// end with the stack.
static bool answer_at_once(struct keyreeve *client, const struct keyreeve_question *question,
                           struct bytes bucket, keyreeve_done_fn *done, void *ctx)
{
    bool is_answered = true;
    if (client->is_answering)
        return false;
    client->is_answering = true;
    if (question->key_size > KR_KEYREEVE_KEY_MAX)
        done(ctx, &(struct keyreeve_answer){.code = KR_KEYREEVE_MALFORMED, .body = ""});
    else
        is_answered = client_answer_from_kept(client, question, bucket, done, ctx);
    client->is_answering = false;
    return is_answered;
}

enum keyreeve_error keyreeve_ask(struct keyreeve *client, const struct keyreeve_question *question,
                                 keyreeve_done_fn *done, void *ctx)
{
    if (client->is_closing || client_is_inherited(client) || !is_good_question(question))
        return KR_KEYREEVE_INVALID;
    struct bytes bucket = bytes_text(question->bucket != NULL ? question->bucket : "");
    client->figures.asked++;
    if (answer_at_once(client, question, bucket, done, ctx))
        return KR_KEYREEVE_OK;
    struct ask *ask = client->free;
    if (ask == NULL)
        return KR_KEYREEVE_BUSY;
    begin(client, question, bucket, ask);
    ask->done = done;
    ask->ctx = ctx;
    (void)send_on(client, ask);
    if (client->changed != NULL)
        client->changed(client->loop);
    return KR_KEYREEVE_OK;
}

void client_abandon(struct keyreeve *client)
{
    client->is_closing = true;
    while (client->first != NULL)
        finish(client, client->first,
               &(struct keyreeve_answer){.code = KR_KEYREEVE_UNAVAILABLE, .body = ""});
}

const char *keyreeve_why(const struct keyreeve *client)
{
    return client->fault.text;
}

void keyreeve_figures(const struct keyreeve *client, struct keyreeve_figures *out)
{
    *out = client->figures;
    out->nodes = (unsigned)client->link_count;
    for (size_t i = 0; i < client->link_count; i++)
        out->nodes_up += link_is_up(&client->links[i]);
}
