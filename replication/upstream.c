// SPDX-License-Identifier: Apache-2.0
// The choice of an upstream.
#include "replication/upstream.h"

#include <stdio.h>
#include <stdlib.h>

// A candidate's cost in µs of round trip. What weighs more than any distance comes in powers above.
#define KR_UPSTREAM_UNMEASURED_US 200000 // until it is known
#define KR_UPSTREAM_HOP_US 1000          // a follower passes on what a core node has first
#define KR_UPSTREAM_REGION_US 1000000000
#define KR_UPSTREAM_NOT_LEADER_US 10000000000
#define KR_UPSTREAM_LAST_RESORT_US 100000000000
#define KR_UPSTREAM_CLEARLY_US 2000 // better by less than this is no reason to move
#define KR_UPSTREAM_MEASURED_LEAST 3

// --- candidates ----------------------------------------------------------------------------------

void upstream_init(struct upstream *upstream, const struct upstream_options *options)
{
    *upstream = (struct upstream){.options = *options, .chance = options->seed | 1};
}

static struct upstream_candidate *find(struct upstream *upstream, const char *address)
{
    for (size_t i = 0; i < upstream->count; i++)
        if (strcmp(upstream->candidates[i].address, address) == 0)
            return &upstream->candidates[i];
    return NULL;
}

// The place of a candidate that a core node may take, where there are too many. NULL: there is
// none.
static struct upstream_candidate *find_dispensable(struct upstream *upstream)
{
    for (size_t i = upstream->count; i-- > 0;) {
        struct upstream_candidate *one = &upstream->candidates[i];
        if (!one->is_core && !one->is_configured && one != upstream->current)
            return one;
    }
    return NULL;
}

static struct upstream_candidate *find_or_add(struct upstream *upstream, const char *address,
                                              bool is_core)
{
    struct upstream_candidate *found = find(upstream, address);
    if (found != NULL)
        return found;
    if (upstream->count < KR_UPSTREAM_MAX)
        found = &upstream->candidates[upstream->count++];
    else if (is_core)
        found = find_dispensable(upstream);
    if (found == NULL)
        return NULL;
    *found = (struct upstream_candidate){0};
    snprintf(found->address, sizeof(found->address), "%s", address);
    return found;
}

// upstream NULL: it is looked at only.
static enum kr_err add_configured(struct upstream *upstream, struct bytes part, struct fault *fault)
{
    char address[KR_STATE_ADDRESS_SIZE];
    const char *colon = memrchr(part.data, ':', part.size);
    char *end = NULL;
    snprintf(address, sizeof(address), "%.*s", (int)part.size, (const char *)part.data);
    long port =
        colon != NULL ? strtol(address + (colon - (const char *)part.data) + 1, &end, 10) : 0;
    if (part.size >= sizeof(address) || colon == NULL || colon == (const char *)part.data ||
        port < 1 || port > 65535 || *end != '\0')
        return fault_set(fault, KR_ERR_INVALID,
                         "upstreams: \"%s\" is no address; write HOST:PORT, like 10.0.0.1:7402",
                         address);
    struct upstream_candidate *added =
        upstream == NULL ? NULL : find_or_add(upstream, address, true);
    if (added != NULL)
        added->is_configured = true;
    return KR_ERR_OK;
}

enum kr_err upstream_check(const char *addresses, struct fault *fault)
{
    return upstream_configure(NULL, addresses, fault);
}

enum kr_err upstream_configure(struct upstream *upstream, const char *addresses,
                               struct fault *fault)
{
    enum kr_err err = KR_ERR_OK;
    for (const char *at = addresses; *at != '\0' && err == KR_ERR_OK;) {
        at += strspn(at, " ,");
        size_t size = strcspn(at, " ,");
        if (size > 0)
            err = add_configured(upstream, bytes_of(at, size), fault);
        at += size;
    }
    return err;
}

void upstream_members_begin(struct upstream *upstream)
{
    for (size_t i = 0; i < upstream->count; i++)
        upstream->candidates[i].is_member = false;
}

static void identify(struct upstream_candidate *candidate, const struct state_member *node)
{
    snprintf(candidate->id, sizeof(candidate->id), "%s", node->id);
    snprintf(candidate->region, sizeof(candidate->region), "%s", node->region);
    candidate->is_core = node->is_core;
}

void upstream_member(struct upstream *upstream, const struct state_member *member)
{
    if (member->is_removed || member->peer_address[0] == '\0' ||
        strcmp(member->id, upstream->options.own_id) == 0)
        return;
    if (upstream->options.is_core && !member->is_core)
        return;
    struct upstream_candidate *candidate =
        find_or_add(upstream, member->peer_address, member->is_core);
    if (candidate == NULL)
        return;
    identify(candidate, member);
    candidate->is_member = true;
}

// The current one stays while it serves.
void upstream_members_end(struct upstream *upstream)
{
    size_t kept = 0;
    struct upstream_candidate *current = upstream->current;
    for (size_t i = 0; i < upstream->count; i++) {
        struct upstream_candidate *one = &upstream->candidates[i];
        bool is_current = one == current;
        if (!one->is_member && !one->is_configured && !is_current)
            continue;
        if (is_current)
            upstream->current = &upstream->candidates[kept];
        if (kept != i)
            upstream->candidates[kept] = *one;
        kept++;
    }
    upstream->count = kept;
}

void upstream_leader_is(struct upstream *upstream, const char *id, const char *address)
{
    snprintf(upstream->leader_id, sizeof(upstream->leader_id), "%s", id);
    snprintf(upstream->leader_address, sizeof(upstream->leader_address), "%s", address);
    if (address[0] == '\0' || strcmp(id, upstream->options.own_id) == 0)
        return;
    struct upstream_candidate *leader = find_or_add(upstream, address, true);
    if (leader == NULL || leader->id[0] != '\0')
        return;
    snprintf(leader->id, sizeof(leader->id), "%s", id);
    leader->is_core = true;
    leader->is_configured = true; // until the members say more
}

// --- cost ----------------------------------------------------------------------------------------

static bool is_eligible(const struct upstream *upstream, const struct upstream_candidate *one)
{
    const struct upstream_options *options = &upstream->options;
    if (strcmp(one->address, options->own_address) == 0 || strcmp(one->id, options->own_id) == 0)
        return false;
    if (options->is_core && one->id[0] != '\0' && !one->is_core)
        return false;
    return one->id[0] == '\0' || options->is_below == NULL ||
           !options->is_below(options->ctx, one->id);
}

static bool is_leader(const struct upstream *upstream, const struct upstream_candidate *one)
{
    return one->id[0] != '\0' && strcmp(one->id, upstream->leader_id) == 0;
}

static uint64_t cost_us(const struct upstream *upstream, const struct upstream_candidate *one)
{
    const struct upstream_options *options = &upstream->options;
    uint64_t cost = one->measured > 0 ? one->round_trip_us : KR_UPSTREAM_UNMEASURED_US;
    if (options->is_core)
        return cost + (is_leader(upstream, one) ? 0 : KR_UPSTREAM_NOT_LEADER_US);
    if (strcmp(one->region, options->own_region) != 0)
        cost += KR_UPSTREAM_REGION_US;
    if (one->id[0] != '\0' && !one->is_core)
        cost +=
            strcmp(one->id, options->own_id) < 0 ? KR_UPSTREAM_HOP_US : KR_UPSTREAM_LAST_RESORT_US;
    return cost;
}

static bool is_before(const struct upstream *upstream, const struct upstream_candidate *a,
                      const struct upstream_candidate *b)
{
    return a->silences != b->silences ? a->silences < b->silences
                                      : cost_us(upstream, a) < cost_us(upstream, b);
}

struct upstream_candidate *upstream_pick(struct upstream *upstream, uint64_t now_ms)
{
    struct upstream_candidate *best = NULL;
    for (size_t i = 0; i < upstream->count; i++) {
        struct upstream_candidate *one = &upstream->candidates[i];
        if (one->next_try_ms <= now_ms && is_eligible(upstream, one) &&
            (best == NULL || is_before(upstream, one, best)))
            best = one;
    }
    return best;
}

struct upstream_candidate *upstream_better(struct upstream *upstream, uint64_t now_ms)
{
    struct upstream_candidate *current = upstream->current;
    struct upstream_candidate *best = upstream_pick(upstream, now_ms);
    if (current == NULL || best == NULL || best == current ||
        now_ms < upstream->attached_ms + KR_UPSTREAM_SETTLE_MS)
        return NULL;
    if (upstream->options.is_core) // the leader is better at once, and nothing else is
        return is_leader(upstream, best) && !is_leader(upstream, current) ? best : NULL;
    uint64_t cost = cost_us(upstream, best);
    if (best->measured < KR_UPSTREAM_MEASURED_LEAST || best->failures > 0)
        return NULL;
    return cost + cost / 4 + KR_UPSTREAM_CLEARLY_US < cost_us(upstream, current) ? best : NULL;
}

static uint64_t back_off_ms(uint32_t failures)
{
    uint64_t wait_ms = (uint64_t)KR_UPSTREAM_BACKOFF_LEAST_MS << (failures < 7 ? failures : 7);
    return wait_ms < KR_UPSTREAM_BACKOFF_MOST_MS ? wait_ms : KR_UPSTREAM_BACKOFF_MOST_MS;
}

static uint64_t spoilt_ms(uint32_t before)
{
    return (uint64_t)KR_UPSTREAM_BACKOFF_MOST_MS << (before < 4 ? before : 4);
}

// --- measuring -----------------------------------------------------------------------------------

// xorshift64: jitter needs no secret.
static uint64_t draw(struct upstream *upstream, uint64_t below)
{
    upstream->chance ^= upstream->chance << 13;
    upstream->chance ^= upstream->chance >> 7;
    upstream->chance ^= upstream->chance << 17;
    return below > 0 ? upstream->chance % below : 0;
}

// The more there are, the more seldom each is measured: a cluster of many is not to be kept busy
// with itself. The first measures come soon, so that a choice has its grounds.
static uint64_t measure_interval_ms(struct upstream *upstream,
                                    const struct upstream_candidate *candidate)
{
    uint64_t base_ms = KR_UPSTREAM_MEASURE_MS * (1 + upstream->count / 16);
    if (candidate->measured < KR_UPSTREAM_MEASURED_LEAST)
        base_ms /= 6;
    return base_ms / 2 + draw(upstream, base_ms);
}

struct upstream_candidate *upstream_pick_measure(struct upstream *upstream, uint64_t now_ms)
{
    struct upstream_candidate *due = NULL;
    for (size_t i = 0; i < upstream->count; i++) {
        struct upstream_candidate *one = &upstream->candidates[i];
        if (one != upstream->current && one->next_measure_ms <= now_ms &&
            is_eligible(upstream, one) &&
            (due == NULL || one->next_measure_ms < due->next_measure_ms))
            due = one;
    }
    if (due != NULL)
        due->next_measure_ms = now_ms + measure_interval_ms(upstream, due);
    return due;
}

// --- asking --------------------------------------------------------------------------------------

static bool is_to_be_asked(const struct upstream_candidate *one)
{
    return one->is_member && one->is_core && !one->is_heard;
}

void upstream_ask_all(struct upstream *upstream)
{
    for (size_t i = 0; i < upstream->count; i++) {
        upstream->candidates[i].is_heard = false;
        upstream->candidates[i].asked = 0;
        upstream->candidates[i].next_ask_ms = 0;
    }
}

struct upstream_candidate *upstream_pick_ask(struct upstream *upstream, uint64_t now_ms)
{
    struct upstream_candidate *due = NULL;
    for (size_t i = 0; i < upstream->count; i++) {
        struct upstream_candidate *one = &upstream->candidates[i];
        if (is_to_be_asked(one) && one->next_ask_ms <= now_ms &&
            (due == NULL || one->asked < due->asked))
            due = one;
    }
    if (due == NULL)
        return NULL;
    due->next_ask_ms = now_ms + back_off_ms(due->asked++);
    return due;
}

enum upstream_hearing upstream_hearing(const struct upstream *upstream)
{
    enum upstream_hearing hearing = KR_UPSTREAM_ALL_HEARD;
    for (size_t i = 0; i < upstream->count; i++) {
        const struct upstream_candidate *one = &upstream->candidates[i];
        if (is_to_be_asked(one) && one->asked == 0)
            return KR_UPSTREAM_SOME_UNASKED;
        if (is_to_be_asked(one))
            hearing = KR_UPSTREAM_ALL_ASKED;
    }
    return hearing;
}

// --- what came of it -----------------------------------------------------------------------------

void upstream_identified(struct upstream *upstream, const char *address,
                         const struct state_member *node)
{
    struct upstream_candidate *one = find(upstream, address);
    if (one != NULL)
        identify(one, node);
}

void upstream_heard(struct upstream *upstream, const char *address)
{
    struct upstream_candidate *one = find(upstream, address);
    if (one != NULL)
        one->is_heard = true;
}

// Smoothed as TCP does it (RFC 6298 §2: an eighth of the new one).
void upstream_measured(struct upstream *upstream, const char *address, uint64_t round_trip_us)
{
    struct upstream_candidate *one = find(upstream, address);
    if (one == NULL)
        return;
    if (round_trip_us == 0)
        round_trip_us = 1;
    one->round_trip_us =
        one->measured == 0 ? round_trip_us : (7 * one->round_trip_us + round_trip_us + 7) / 8;
    one->measured++;
    one->is_missed = false;
    if (one->silences > 0)
        one->failures = one->silences = 0;
}

void upstream_missed(struct upstream *upstream, const char *address)
{
    struct upstream_candidate *one = find(upstream, address);
    if (one != NULL)
        one->is_missed = true;
}

void upstream_attached(struct upstream *upstream, const char *address, uint64_t now_ms)
{
    upstream->current = find(upstream, address);
    upstream->attached_ms = now_ms;
    if (upstream->current != NULL)
        upstream->current->failures = upstream->current->silences = 0;
}

void upstream_failed(struct upstream *upstream, const char *address, enum upstream_failure how,
                     uint64_t now_ms)
{
    struct upstream_candidate *one = find(upstream, address);
    if (one == NULL)
        return;
    if (upstream->current == one)
        upstream->current = NULL;
    uint64_t wait_ms =
        how == KR_UPSTREAM_REFUSED ? KR_UPSTREAM_BACKOFF_MOST_MS : back_off_ms(one->failures);
    if (how == KR_UPSTREAM_SPOILT)
        wait_ms = spoilt_ms(one->spoilt++);
    one->failures++;
    one->silences += how == KR_UPSTREAM_SILENT;
    one->next_try_ms = now_ms + wait_ms - draw(upstream, wait_ms / 2);
}
