// SPDX-License-Identifier: Apache-2.0
// Links that only measure the way to another node, and ask it what epoch it knows.
//
// Where leadership is the operator's word, two nodes may both hold that word: an old leader that
// comes back, and the standby that was promoted meanwhile. So whoever led when it stopped leads
// again only when every other core node has said that it knows no higher epoch; one that does not
// answer is waited for KR_PEERS_ASK_MS, and each is tried once at least. A leader goes on asking
// those that have not answered since it leads: its question carries its own epoch, so an older
// leader that can be reached at last steps down.
//
//   KNOWS (at a start: it did not lead)
//   ASKING ── a higher epoch ──▶ KNOWS, as a standby
//      │ └──── promoted ───────▶ KNOWS
//      ▼ all have answered, or the time is over
//   UNOPPOSED ── it leads ─────▶ KNOWS
#include "replication/peers_internal.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "proto/codec_peer.h"

void peers_identify(struct peers *peers, const char *address, const struct tls_peer *peer)
{
    struct state_member node = {.is_core = peer->role == KR_TLS_ROLE_CORE};
    snprintf(node.id, sizeof(node.id), "%s", peer->node_id);
    snprintf(node.region, sizeof(node.region), "%s", peer->region);
    upstream_identified(&peers->upstream, address, &node);
}

// --- what is known here --------------------------------------------------------------------------

// What this node leads by, or would lead by.
static uint64_t own_epoch(const struct peers *peers)
{
    const struct state *state = peers->options.state;
    struct store_position position;
    if (peers_leads(peers))
        return replica_epoch(peers->options.replica);
    state->position(state->ctx, &position);
    return position.epoch;
}

static bool asks(const struct peers *peers)
{
    return peers->asking == KR_PEERS_ASKING || (peers->options.leads_by_word && peers_leads(peers));
}

// Anybody with a certificate may answer at a member's address: another node since, or one that was
// removed. The word of a core node is asked for, and no other counts.
static bool has_word(const struct peers *peers, const char *id)
{
    const struct state *state = peers->options.state;
    struct state_member member;
    return state->member(state->ctx, id, &member) && member.is_core && !member.is_removed;
}

static void take_word(struct peers *peers, const char *address, uint64_t epoch)
{
    if (!has_word(peers, peer_link_peer(peers->measure.link)->node_id))
        return;
    upstream_heard(&peers->upstream, address);
    if (asks(peers) && epoch > own_epoch(peers))
        peers_outranked(peers, epoch);
}

// What was heard while this node did not lead counts again when it does.
void peers_outranked(struct peers *peers, uint64_t epoch)
{
    bool is_news = epoch > peers->carry.known_epoch;
    if (is_news)
        peers->carry.known_epoch = epoch;
    if (is_news || (peers_leads(peers) && epoch > own_epoch(peers)))
        peers->options.owner.outranked(peers->options.owner.ctx, epoch);
}

// --- one link ------------------------------------------------------------------------------------

static void measure_opened(void *ctx)
{
    struct peers *peers = ctx;
    peers_identify(peers, peers->measure.address, peer_link_peer(peers->measure.link));
}

static enum kr_err measure_take(void *ctx, const struct peer_frame *frame, uint64_t now_ms,
                                struct fault *fault)
{
    struct peers *peers = ctx;
    struct peers_measure *measure = &peers->measure;
    (void)now_ms;
    if (frame->type != KR_PEER_ECHO || !measure->is_waiting || frame->as.probe.seq != measure->seq)
        return fault_set(fault, KR_ERR_INVALID, "peer frame: not the Echo that was waited for");
    uint64_t took_us = (clock_mono_ns() - measure->sent_ns) / 1000;
    if (measure->best_us == 0 || took_us < measure->best_us)
        measure->best_us = took_us > 0 ? took_us : 1;
    measure->is_waiting = false;
    take_word(peers, measure->address, frame->as.probe.epoch);
    return KR_ERR_OK;
}

static enum kr_err measure_next(void *ctx, uint64_t now_ms, struct buf *out, struct fault *fault)
{
    struct peers *peers = ctx;
    struct peers_measure *measure = &peers->measure;
    (void)now_ms;
    if (measure->is_waiting || measure->seq == KR_PEERS_PROBES)
        return KR_ERR_NOT_FOUND;
    const struct peer_frame frame = {
        .type = KR_PEER_PROBE, .as.probe = {.seq = ++measure->seq, .epoch = own_epoch(peers)}};
    measure->is_waiting = true;
    measure->sent_ns = clock_mono_ns();
    return codec_peer_add(out, &frame, fault);
}

// A node that cannot be reached is no upstream, which trying would tell as well.
static void measure_closed(void *ctx, enum kr_err err, const struct fault *fault)
{
    struct peers *peers = ctx;
    struct peers_measure *measure = &peers->measure;
    (void)err;
    (void)fault;
    if (measure->best_us > 0)
        upstream_measured(&peers->upstream, measure->address, measure->best_us);
    else
        upstream_missed(&peers->upstream, measure->address);
    *measure = (struct peers_measure){0};
    peers_port_step(peers);
}

static const struct upstream_candidate *pick(struct peers *peers, uint64_t now_ms)
{
    if (asks(peers))
        return upstream_pick_ask(&peers->upstream, now_ms);
    return peers_leads(peers) ? NULL : upstream_pick_measure(&peers->upstream, now_ms);
}

static void begin(struct peers *peers, uint64_t now_ms)
{
    const struct upstream_candidate *due = pick(peers, now_ms);
    struct peers_measure *measure = &peers->measure;
    const struct peer_link_options options = {.loop = peers_port_loop(peers),
                                              .context = peers->context,
                                              .source = &peers->source,
                                              .events = {.opened = measure_opened,
                                                         .frame = measure_take,
                                                         .next = measure_next,
                                                         .closed = measure_closed},
                                              .ctx = peers};
    if (due == NULL)
        return;
    *measure = (struct peers_measure){.until_ms = now_ms + KR_PEERS_MEASURE_MS};
    snprintf(measure->address, sizeof(measure->address), "%s", due->address);
    measure->link = peer_link_connect(&options, due->address);
}

// --- whether this node leads again ---------------------------------------------------------------

void peers_ask(struct peers *peers, uint64_t now_ms)
{
    upstream_ask_all(&peers->upstream);
    if (peers->measure.link != NULL) // its question bore the epoch before
        peer_link_close(peers->measure.link, KR_ERR_OK, NULL);
    peers->ask_until_ms = now_ms + KR_PEERS_ASK_MS;
}

// With a link under way somebody may be about to answer.
static bool is_unopposed(const struct peers *peers, uint64_t now_ms)
{
    switch (upstream_hearing(&peers->upstream)) {
    case KR_UPSTREAM_ALL_HEARD:
        return true;
    case KR_UPSTREAM_ALL_ASKED:
        return now_ms >= peers->ask_until_ms && peers->measure.link == NULL;
    case KR_UPSTREAM_SOME_UNASKED:
        return false;
    }
    return false;
}

static void decide(struct peers *peers, uint64_t now_ms)
{
    bool have_all_answered = upstream_hearing(&peers->upstream) == KR_UPSTREAM_ALL_HEARD;
    if (peers->asking == KR_PEERS_KNOWS)
        return;
    if (peers_leads(peers)) {
        peers->asking = KR_PEERS_KNOWS;
    } else if (peers->carry.known_epoch > own_epoch(peers)) {
        peers->asking = KR_PEERS_KNOWS;
        LOG_WARN("this node led when it stopped, and another leads now: it stands by",
                 LOG_NUMBER("ownEpoch", own_epoch(peers)),
                 LOG_NUMBER("epoch", peers->carry.known_epoch));
    } else if (peers->asking == KR_PEERS_ASKING && is_unopposed(peers, now_ms)) {
        peers->asking = KR_PEERS_UNOPPOSED;
        LOG_WITH(have_all_answered ? KR_LOG_INFO : KR_LOG_WARN,
                 have_all_answered
                     ? "leading again: no core node knows a higher epoch"
                     : "leading again, though not every core node could be asked for its epoch",
                 LOG_NUMBER("epoch", own_epoch(peers)));
        peers->options.owner.unopposed(peers->options.owner.ctx);
    }
}

void peers_measure_tick(struct peers *peers, uint64_t now_ms)
{
    struct peers_measure *measure = &peers->measure;
    bool is_done = measure->seq == KR_PEERS_PROBES && !measure->is_waiting;
    decide(peers, now_ms);
    if (measure->link == NULL)
        begin(peers, now_ms);
    else if (is_done || now_ms >= measure->until_ms)
        peer_link_close(measure->link, KR_ERR_OK, NULL);
    else
        peer_link_pump(measure->link, now_ms);
}
