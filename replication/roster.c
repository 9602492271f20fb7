// SPDX-License-Identifier: Apache-2.0
// The roster's rules.
//
// A node's knowledge is as old as its lease says: known = lease end - L, and it answers VALID only
// while now - known ≤ the staleness allowed. A lease takes effect once the index in it is applied,
// and nobody grants less than he has applied (a leader: committed). Hence
//
//   INVARIANT. For an entry N: a node that has not applied N lives on a lease that descends from
//   one that the leader granted before N was committed; and no node that has applied N can make it
//   live longer. So if at some moment every member either has applied N, or its known + staleness
//   is over by a bound that holds for every lease it can have got from nodes without N, then no
//   node answers VALID without N, at that moment or later.
//
// Bounds of known, on our own clock:
//   - what we granted ourselves: the time of sending + remaining - L;
//   - an Ack is a statement for all N up to its covered index, true when sent and for ever: each
//     node listed has applied what is listed, or knows nothing younger than its age without N; the
//     same of every node not listed, by the age of the others. Arrival - age bounds it here;
//   - for an N beyond a child's covered index, the child may grant to anybody, but no more than its
//     own lease: our bound of the child counts for every node;
//   - what an earlier process of this node, or the leader before it, granted: the floor;
//   - on the leader, no lease without N is younger than the commit of N.
// A relay covers what every child that still renews has covered, so that one entry on its way does
// not make all look young; a silent child beyond that counts by its own bound.
//
// Of two processes of a node the later one counts (started_ms): the former is dead, and what it had
// applied may be lost. A wall clock that was ahead may make the former look later, so of who is
// attached here his own process counts. Nothing rests on that order: a process lives on nothing
// that was known before it began (lease_init), so what a former one had applied it has as well.
// Within one process (and state) the applied index only grows. A leader counts what was said in its
// own epoch alone: before, the node may have lost it elsewhere since, and only the floor bounds
// what it knows. Elapsed time is measured by two clocks, each wrong by KR_LEASE_DRIFT_PPM at most.
#include "replication/roster.h"

#include <assert.h>

#include "replication/lease.h"

#define KR_ROSTER_NEVER INT64_MIN

// One source's word on a node.
struct word {
    struct listed *member;
    uint64_t started_ms, epoch, applied_index, safe_index;
    int64_t known_ms;
};

struct listed {
    char id[64];
    bool is_self, is_removed;
    // As a child of ours; is_child stays when it leaves.
    bool is_child, is_attached;
    struct word own;        // known_ms: by what we granted
    uint64_t covered_index; // up to which its words below hold
    int64_t others_known_ms;
    struct word *words;
    size_t word_count;
    struct word sum; // of all words on it, while is_summed
    struct {
        uint64_t index, at_ms;
    } acks[KR_ROSTER_ACK_NOTES]; // ascending
    uint32_t ack_count;
};

struct note {
    uint64_t index;
    uint64_t first_ms, last_ms; // index was committed at last_ms; the note was begun at first_ms
};

struct roster {
    struct listed *self;
    struct listed **members; // by id
    size_t count, capacity;
    uint64_t epoch; // 0: does not lead
    bool is_summed; // nobody was heard, granted to, came or left since the members' sums were made
    int64_t floor_ms;
    struct note notes[KR_ROSTER_NOTES]; // a ring
    uint32_t note_first, note_count;
};

// --- members -------------------------------------------------------------------------------------

// Where the id is, or belongs.
static size_t place_of(const struct roster *roster, const char *id)
{
    size_t low = 0, high = roster->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(roster->members[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct listed *find(const struct roster *roster, const char *id)
{
    size_t at = place_of(roster, id);
    bool is_there = at < roster->count && strcmp(roster->members[at]->id, id) == 0;
    return is_there ? roster->members[at] : NULL;
}

static void silence(struct listed *member)
{
    member->own = (struct word){.member = member, .known_ms = KR_ROSTER_NEVER};
    member->sum = member->own;
    member->covered_index = 0;
    member->others_known_ms = KR_ROSTER_NEVER;
    mem_free(member->words);
    member->words = NULL;
    member->word_count = 0;
    member->ack_count = 0;
}

// NULL: no room for another one, or no id.
static struct listed *find_or_add(struct roster *roster, const char *id)
{
    struct listed *member = find(roster, id);
    if (member != NULL)
        return member;
    if (roster->count > KR_PEER_NODES_MAX || strlen(id) >= sizeof(member->id))
        return NULL;
    if (roster->count == roster->capacity) {
        roster->capacity = roster->capacity == 0 ? 16 : roster->capacity * 2;
        roster->members = mem_realloc(roster->members, roster->capacity * sizeof(struct listed *));
    }
    size_t at = place_of(roster, id);
    memmove(roster->members + at + 1, roster->members + at,
            (roster->count - at) * sizeof(struct listed *));
    member = roster->members[at] = mem_zalloc(sizeof(*member));
    roster->count++;
    roster->is_summed = false;
    memcpy(member->id, id, strlen(id));
    silence(member);
    return member;
}

struct roster *roster_new(const char *self, uint64_t now_ms)
{
    struct roster *roster = mem_zalloc(sizeof(*roster));
    roster->floor_ms = (int64_t)now_ms;
    roster->self = find_or_add(roster, self);
    assert(roster->self != NULL);
    roster->self->is_self = true;
    return roster;
}

void roster_free(struct roster **roster)
{
    struct roster *old = *roster;
    *roster = NULL;
    if (old == NULL)
        return;
    for (size_t i = 0; i < old->count; i++) {
        mem_free(old->members[i]->words);
        mem_free(old->members[i]);
    }
    mem_free(old->members);
    mem_free(old);
}

enum kr_err roster_member(struct roster *roster, const char *id, bool is_removed)
{
    struct listed *member = find_or_add(roster, id);
    if (member == NULL)
        return KR_ERR_TOO_LARGE;
    member->is_removed = is_removed;
    return KR_ERR_OK;
}

// --- commits -------------------------------------------------------------------------------------

static struct note *note_at(struct roster *roster, uint32_t i)
{
    return &roster->notes[(roster->note_first + i) % KR_ROSTER_NOTES];
}

// A note that goes on moves its time along, so that it says too late rather than too early.
void roster_committed(struct roster *roster, uint64_t index, uint64_t now_ms)
{
    struct note *last = roster->note_count > 0 ? note_at(roster, roster->note_count - 1) : NULL;
    if (last != NULL && index <= last->index)
        return;
    if (last == NULL || now_ms - last->first_ms >= KR_ROSTER_NOTE_MS) {
        if (roster->note_count == KR_ROSTER_NOTES)
            roster->note_first = (roster->note_first + 1) % KR_ROSTER_NOTES;
        else
            roster->note_count++;
        last = note_at(roster, roster->note_count - 1);
        last->first_ms = now_ms;
    }
    last->index = index;
    last->last_ms = now_ms;
}

// When N was committed, or later; INT64_MAX when it is not known to be.
static int64_t committed_ms(struct roster *roster, uint64_t index)
{
    uint32_t low = 0, high = roster->note_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (note_at(roster, middle)->index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < roster->note_count ? (int64_t)note_at(roster, low)->last_ms : INT64_MAX;
}

void roster_take_over(struct roster *roster, uint64_t epoch, uint64_t index, uint64_t now_ms)
{
    roster->epoch = epoch;
    roster->is_summed = false;
    for (size_t i = 0; i < roster->count; i++) {
        uint64_t started_ms = roster->members[i]->own.started_ms;
        silence(roster->members[i]);
        roster->members[i]->own.started_ms = started_ms;
    }
    roster->floor_ms = (int64_t)now_ms;
    roster->note_first = roster->note_count = 0;
    roster_committed(roster, index, now_ms);
}

// --- children ------------------------------------------------------------------------------------

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void note_ack(struct listed *member, uint64_t index, uint64_t now_ms)
{
    uint32_t count = member->ack_count;
    if (count > 0 && index <= member->acks[count - 1].index)
        return;
    if (count == KR_ROSTER_ACK_NOTES) {
        count--;
        memmove(member->acks, member->acks + 1, count * sizeof(*member->acks));
    }
    member->acks[count].index = index;
    member->acks[count].at_ms = now_ms;
    member->ack_count = count + 1;
}

void roster_attached(struct roster *roster, const char *id, uint64_t started_ms,
                     uint64_t applied_index)
{
    struct listed *child = find_or_add(roster, id);
    if (child == NULL)
        return;
    child->is_child = child->is_attached = true;
    roster->is_summed = false;
    // Another process knows nothing of what its forerunner heard, but its first Ack has a floor.
    if (started_ms != child->own.started_ms) {
        child->own.started_ms = started_ms;
        child->own.epoch = child->own.applied_index = child->own.safe_index = 0;
        child->covered_index = 0;
        child->ack_count = 0;
    }
    if (applied_index > child->own.applied_index)
        child->own.applied_index = applied_index;
}

static uint64_t safe_of(uint64_t applied_index, uint64_t unflushed)
{
    return applied_index > unflushed ? applied_index - unflushed : 0;
}

void roster_detached(struct roster *roster, const char *id)
{
    struct listed *child = find(roster, id);
    if (child == NULL)
        return;
    child->is_attached = false;
    roster->is_summed = false;
}

void roster_granted(struct roster *roster, const char *id, uint64_t remaining_ms, uint64_t now_ms)
{
    struct listed *child = find_or_add(roster, id);
    assert(child != NULL && remaining_ms <= KR_LEASE_WINDOW_MS);
    child->is_child = true;
    roster->is_summed = false;
    child->own.known_ms =
        later(child->own.known_ms, (int64_t)(now_ms + remaining_ms) - KR_LEASE_WINDOW_MS);
}

// The latest moment that lies that long back, by a clock that is not ours.
static int64_t moment_of(uint64_t age_ms, uint64_t now_ms)
{
    if (age_ms > INT64_MAX / 4)
        return KR_ROSTER_NEVER;
    int64_t at_ms = (int64_t)now_ms - (int64_t)age_ms + (int64_t)(2 * lease_drift_ms(age_ms));
    return at_ms < (int64_t)now_ms ? at_ms : (int64_t)now_ms;
}

static void take_words(struct roster *roster, struct listed *child, const struct peer_ack *ack,
                       uint64_t now_ms)
{
    mem_free(child->words);
    child->words = ack->count > 0 ? mem_alloc(ack->count * sizeof(*child->words)) : NULL;
    child->word_count = 0;
    for (size_t i = 0; i < ack->count; i++) {
        const struct peer_node_report *report = &ack->items[i];
        struct word word = {.member = find(roster, report->id),
                            .started_ms = report->started_ms,
                            .epoch = report->epoch,
                            .applied_index = report->applied_index,
                            .safe_index = safe_of(report->applied_index, report->unflushed),
                            .known_ms = moment_of(report->age_ms, now_ms)};
        if (word.member != NULL)
            child->words[child->word_count++] = word;
        else
            child->others_known_ms = later(child->others_known_ms, word.known_ms);
        if (word.member != NULL && !word.member->is_attached)
            note_ack(word.member, report->applied_index, now_ms);
    }
}

bool roster_has(const struct roster *roster, const char *id)
{
    return find(roster, id) != NULL;
}

void roster_heard(struct roster *roster, const char *id, const struct peer_ack *ack,
                  uint64_t now_ms)
{
    struct listed *child = find_or_add(roster, id);
    if (child == NULL)
        return;
    child->is_child = true;
    uint64_t safe_index = safe_of(ack->applied_index, ack->unflushed);
    if (ack->applied_index > child->own.applied_index)
        child->own.applied_index = ack->applied_index;
    if (safe_index > child->own.safe_index)
        child->own.safe_index = safe_index;
    if (ack->epoch > child->own.epoch)
        child->own.epoch = ack->epoch;
    child->covered_index = ack->covered_index;
    child->others_known_ms = moment_of(ack->others_age_ms, now_ms);
    note_ack(child, ack->applied_index, now_ms);
    take_words(roster, child, ack, now_ms);
    roster->is_summed = false;
}

// --- the sums ------------------------------------------------------------------------------------

static void add_word(struct listed *member, const struct word *word)
{
    struct word *sum = &member->sum;
    if (member->is_attached && word->started_ms != member->own.started_ms) {
        sum->known_ms = later(sum->known_ms, word->known_ms);
        return;
    }
    if (word->started_ms < sum->started_ms)
        return;
    if (word->started_ms > sum->started_ms)
        *sum = *word;
    if (word->epoch > sum->epoch) {
        sum->epoch = word->epoch;
        sum->applied_index = sum->safe_index = 0;
    }
    if (word->epoch == sum->epoch && word->applied_index > sum->applied_index)
        sum->applied_index = word->applied_index;
    if (word->epoch == sum->epoch && word->safe_index > sum->safe_index)
        sum->safe_index = word->safe_index;
    sum->known_ms = later(sum->known_ms, word->known_ms);
}

// All words together: once for all questions until something is heard or granted again.
static void sum_up(struct roster *roster)
{
    if (roster->is_summed)
        return;
    roster->is_summed = true;
    for (size_t i = 0; i < roster->count; i++)
        roster->members[i]->sum = (struct word){.known_ms = KR_ROSTER_NEVER};
    for (size_t i = 0; i < roster->count; i++) {
        struct listed *child = roster->members[i];
        if (!child->is_child)
            continue;
        add_word(child, &child->own);
        for (size_t j = 0; j < child->word_count; j++)
            add_word(child->words[j].member, &child->words[j]);
    }
}

// The bound that holds for every node, listed or not.
static int64_t anyone_ms(const struct roster *roster, uint64_t index)
{
    int64_t known_ms = roster->floor_ms;
    for (size_t i = 0; i < roster->count; i++) {
        const struct listed *child = roster->members[i];
        if (!child->is_child)
            continue;
        known_ms = later(known_ms, child->others_known_ms);
        if (child->covered_index < index)
            known_ms = later(known_ms, child->own.known_ms);
    }
    return known_ms;
}

// --- the report upwards --------------------------------------------------------------------------

// What every child that may still be alive has covered.
static uint64_t covered_index(const struct roster *roster, uint64_t applied_index, uint64_t now_ms)
{
    uint64_t covered = applied_index;
    for (size_t i = 0; i < roster->count; i++) {
        const struct listed *child = roster->members[i];
        if (child->is_attached && child->covered_index < covered &&
            child->own.known_ms > (int64_t)now_ms - KR_LEASE_WINDOW_MS)
            covered = child->covered_index;
    }
    return covered;
}

static uint64_t age_of(int64_t known_ms, uint64_t now_ms)
{
    if (known_ms == KR_ROSTER_NEVER)
        return INT64_MAX;
    return (int64_t)now_ms > known_ms ? (uint64_t)((int64_t)now_ms - known_ms) : 0;
}

void roster_report(struct roster *roster, const struct roster_own *own, uint64_t now_ms,
                   struct arena *arena, struct peer_ack *out)
{
    struct peer_node_report *items = arena_alloc(arena, roster->count * sizeof(*items));
    *out = (struct peer_ack){.applied_index = own->applied_index,
                             .epoch = own->epoch,
                             .unflushed = own->unflushed,
                             .items = items};
    out->covered_index = covered_index(roster, own->applied_index, now_ms);
    sum_up(roster);
    int64_t others_ms = anyone_ms(roster, out->covered_index);
    out->others_age_ms = age_of(others_ms, now_ms);
    for (size_t i = 0; i < roster->count; i++) {
        const struct listed *member = roster->members[i];
        if (member->is_self || member->sum.member == NULL)
            continue;
        items[out->count++] = (struct peer_node_report){
            .id = member->id,
            .applied_index = member->sum.applied_index,
            .age_ms = age_of(later(member->sum.known_ms, others_ms), now_ms),
            .started_ms = member->sum.started_ms,
            .epoch = member->sum.epoch,
            .unflushed = member->sum.applied_index - member->sum.safe_index};
    }
}

// --- the questions -------------------------------------------------------------------------------

// From when on a node that knows nothing younger answers no more, by its clock and by ours.
static uint64_t end_of(int64_t known_ms, int64_t staleness_ms)
{
    if (known_ms == KR_ROSTER_NEVER)
        return 0;
    uint64_t drift_ms = 2 * lease_drift_ms((uint64_t)staleness_ms + KR_LEASE_WINDOW_MS) + 2;
    int64_t end_ms = known_ms + staleness_ms + (int64_t)drift_ms;
    return end_ms > 0 ? (uint64_t)end_ms : 0;
}

static uint64_t acked_ms(const struct listed *member, uint64_t index)
{
    for (uint32_t i = 0; i < member->ack_count; i++) {
        if (member->acks[i].index >= index)
            return i > 0 || member->ack_count < KR_ROSTER_ACK_NOTES ? member->acks[i].at_ms : 0;
    }
    return 0;
}

// A look at the members for one question; bound is what holds for every node.
struct look {
    const struct roster_demand *demand;
    int64_t anyone_ms, committed_ms;
    uint64_t now_ms, epoch;
};

static struct look look_of(struct roster *roster, const struct roster_demand *demand,
                           uint64_t now_ms)
{
    sum_up(roster);
    return (struct look){demand, anyone_ms(roster, demand->index),
                         committed_ms(roster, demand->index), now_ms, roster->epoch};
}

static struct roster_view view_of(const struct look *look, const struct listed *member)
{
    const struct roster_demand *demand = look->demand;
    bool is_of_epoch = member->sum.epoch == look->epoch;
    struct roster_view view = {.id = member->id,
                               .state = KR_ROSTER_APPLIED,
                               .is_attached = member->is_attached,
                               .is_removed = member->is_removed,
                               .applied_index = is_of_epoch ? member->sum.applied_index : 0,
                               .said_index = member->sum.applied_index,
                               .safe_index = member->sum.safe_index,
                               .applied_ms = acked_ms(member, demand->index)};
    if (member->sum.applied_index >= demand->index && is_of_epoch)
        return view;
    view.state = member->is_removed ? KR_ROSTER_EXPIRED : KR_ROSTER_UNBOUNDED;
    if (demand->max_staleness_ms == KR_UNBOUNDED)
        return view;
    int64_t known_ms = later(member->sum.known_ms, look->anyone_ms);
    if (known_ms > look->committed_ms)
        known_ms = look->committed_ms;
    view.expires_ms = end_of(known_ms, demand->max_staleness_ms);
    view.state = look->now_ms >= view.expires_ms ? KR_ROSTER_EXPIRED : KR_ROSTER_PENDING;
    return view;
}

void roster_each(struct roster *roster, const struct roster_demand *demand, uint64_t now_ms,
                 roster_visit_fn *visit, void *ctx)
{
    const struct look look = look_of(roster, demand, now_ms);
    for (size_t i = 0; i < roster->count; i++) {
        if (roster->members[i]->is_self)
            continue;
        const struct roster_view view = view_of(&look, roster->members[i]);
        if (!view.is_removed || view.state == KR_ROSTER_PENDING)
            visit(ctx, &view);
    }
}

enum roster_outcome roster_wait(struct roster *roster, const struct roster_demand *demand,
                                uint64_t deadline_ms, uint64_t now_ms)
{
    const struct look look = look_of(roster, demand, now_ms);
    for (size_t i = 0; i < roster->count; i++) {
        if (roster->members[i]->is_self)
            continue;
        enum roster_state state = view_of(&look, roster->members[i]).state;
        if (state == KR_ROSTER_PENDING || state == KR_ROSTER_UNBOUNDED)
            return now_ms >= deadline_ms ? KR_ROSTER_LATE : KR_ROSTER_WAITING;
    }
    return KR_ROSTER_COMPLETE;
}
