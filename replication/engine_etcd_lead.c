// SPDX-License-Identifier: Apache-2.0
// Leadership in etcd: watching the leader's key, winning it, keeping it, giving it back.
//
// A standby asks for the key every 200 ms; reads are linearizable, so nothing depends on watch
// events. The key's absence starts a candidacy: a lease, then the key under it if it is still
// absent. Validity counts from the moment a keep-alive was *sent*. A keep-alive is answered by
// whichever member believes that it leads etcd, even one that was paused and overtaken; so it
// counts only when a linearizable read that came after it tells the same term of etcd's, and our
// key.
#include "replication/engine_etcd_internal.h"

#include <assert.h>
#include <stdio.h>

#include "core/base/json.h"
#include "core/base/log.h"

// How much faster than ours a member's clock may go, which times the lease: Go's is
// CLOCK_MONOTONIC, and what mends an offset may turn that by a tenth (clock_boot.h).
#define KR_ETCD_DRIFT_PPM 100000
#define KR_ETCD_KEEPALIVES_MAX 4
#define KR_ETCD_LEADER_VALUE_MAX 1024

static void watch_again_at(struct engine_etcd *self, uint64_t at_ms)
{
    engine_etcd_enter(self, KR_ETCD_WATCHING);
    self->watch_at_ms = at_ms;
}

// --- giving up -----------------------------------------------------------------------------------

void engine_etcd_step_down(struct engine_etcd *self, const char *why)
{
    bool was_leader = self->stage == KR_ETCD_LEADING;
    if (self->stage == KR_ETCD_RESIGNING || self->lease == 0)
        return;
    if (was_leader)
        LOG_WARN("leads no more", LOG_TEXT("why", why), LOG_NUMBER("epoch", self->epoch),
                 LOG_NUMBER("end", self->end_index));
    engine_etcd_enter(self, KR_ETCD_RESIGNING);
    if (self->role == KR_ENGINE_LEADER)
        engine_etcd_tell_role(self, KR_ENGINE_STANDBY);
    if (!self->flight.is_open)
        engine_etcd_fail_queue(self);
}

void engine_etcd_refuse(struct engine_etcd *self, const struct fault *fault)
{
    uint64_t longer_ms = 2 * self->refused_for_ms;
    self->refused_for_ms = longer_ms < KR_ETCD_REFUSED_MIN_MS   ? KR_ETCD_REFUSED_MIN_MS
                           : longer_ms > KR_ETCD_REFUSED_MAX_MS ? KR_ETCD_REFUSED_MAX_MS
                                                                : longer_ms;
    self->refused_until_ms = engine_etcd_now_ms(self) + self->refused_for_ms;
    self->figures.refusals++;
    LOG_ERROR("this node must not lead", LOG_TEXT("why", fault->text));
    if (self->options.refused != NULL)
        self->options.refused(self->options.ctx, fault);
    engine_etcd_step_down(self, fault->text);
}

void engine_etcd_accept(struct engine_etcd *self)
{
    self->refused_for_ms = 0;
}

static void on_revoked(struct engine_etcd *self, const struct etcd_result *result,
                       const struct etcd_request *request)
{
    (void)result; // what was not revoked expires
    (void)request;
    self->lease = 0;
    watch_again_at(self, engine_etcd_now_ms(self));
}

// The key goes with its lease, so this is the deletion of our own key and nobody else's. Appends
// come first: afterwards none of them could be settled. Our owner must know before that he leads no
// more: the next leader takes nothing that is answered from its beginning on for fresh.
static void revoke_when_settled(struct engine_etcd *self)
{
    if (self->is_revoking || self->flight.is_open || self->has_role_event)
        return;
    struct etcd_request request = {.path = KR_ETCD_REVOKE,
                                   .deadline_ms = KR_ETCD_CALL_MS,
                                   .endpoint = KR_ETCD_ANY_ENDPOINT,
                                   .step = on_revoked};
    self->is_revoking = true;
    buf_init(&request.body, 256);
    etcd_add_lease(&request.body, self->lease);
    engine_etcd_post(self, request);
}

// --- keeping -------------------------------------------------------------------------------------

static uint64_t drift_of(uint64_t ms)
{
    return (ms * KR_ETCD_DRIFT_PPM + 999999) / 1000000;
}

static void extend(struct engine_etcd *self, uint64_t sent_at_ms)
{
    uint64_t until_ms = sent_at_ms + self->ttl_ms - drift_of(self->ttl_ms);
    if (until_ms > self->valid_until_ms)
        self->valid_until_ms = until_ms;
}

static void post_leader_range(struct engine_etcd *self, struct etcd_request request)
{
    struct etcd_key key = engine_etcd_leader_key(self);
    const struct etcd_range range = {.key = engine_etcd_bytes(&key)};
    request.path = KR_ETCD_RANGE;
    request.endpoint = KR_ETCD_ANY_ENDPOINT;
    buf_init(&request.body, 1024);
    etcd_add_range(&request.body, &range);
    engine_etcd_post(self, request);
}

static void on_confirmed(struct engine_etcd *self, const struct etcd_result *result,
                         const struct etcd_request *request)
{
    self->keepalives--;
    if (!result->is_answered)
        return;
    if (result->reply.count == 0 || result->reply.kvs[0].create_revision != self->epoch)
        engine_etcd_step_down(self, "another node has the leader's key, or nobody");
    else if (result->reply.raft_term == request->note[1] && result->reply.raft_term != 0)
        extend(self, request->note[0]);
}

static void on_kept(struct engine_etcd *self, const struct etcd_result *result,
                    const struct etcd_request *request)
{
    if (!result->is_answered || result->reply.lease != self->lease) {
        self->keepalives--;
        return;
    }
    if (result->reply.ttl_s * 1000 < self->ttl_ms) {
        self->keepalives--;
        if (result->reply.ttl_s == 0)
            engine_etcd_step_down(self, "the lease has expired in etcd");
        return;
    }
    post_leader_range(self,
                      (struct etcd_request){.deadline_ms = request->deadline_ms,
                                            .step = on_confirmed,
                                            .note = {result->sent_at_ms, result->reply.raft_term}});
}

// A call that hangs must not keep the next one, which may reach another member, from being sent.
static void keep(struct engine_etcd *self, uint64_t now_ms)
{
    if (now_ms >= self->valid_until_ms) {
        engine_etcd_step_down(self, "etcd did not answer within the lease's time");
        return;
    }
    if (now_ms < self->keepalive_at_ms || self->keepalives >= KR_ETCD_KEEPALIVES_MAX)
        return;
    struct etcd_request request = {.path = KR_ETCD_KEEPALIVE,
                                   .deadline_ms = (unsigned)(self->ttl_ms * 35 / 100),
                                   .endpoint = KR_ETCD_ANY_ENDPOINT,
                                   .step = on_kept};
    self->keepalive_at_ms = now_ms + self->ttl_ms / 5;
    self->keepalives++;
    buf_init(&request.body, 256);
    etcd_add_lease(&request.body, self->lease);
    engine_etcd_post(self, request);
}

void engine_etcd_lead(struct engine_etcd *self)
{
    engine_etcd_enter(self, KR_ETCD_LEADING);
    self->vacant_since_ms = 0;
    self->has_told_unfit = false;
    self->figures.elections++;
    self->round_at_ms = engine_etcd_now_ms(self);
    self->upkeep_at_ms = self->round_at_ms + 1000;
    self->leader_id[0] = self->leader_address[0] = '\0';
    self->has_leader_event = false;
    LOG_INFO("leads", LOG_NUMBER("epoch", self->epoch), LOG_NUMBER("end", self->end_index));
    engine_etcd_tell_role(self, KR_ENGINE_LEADER);
}

// --- winning -------------------------------------------------------------------------------------

static void write_member(const struct engine_etcd *self, struct buf *out)
{
    struct json_writer writer;
    json_begin(&writer, out);
    json_open(&writer, NULL, '{');
    json_write_string(&writer, "member", self->options.member_id);
    json_write_string(&writer, "address", self->options.peer_address);
    json_close(&writer, '}');
}

static void on_elected(struct engine_etcd *self, const struct etcd_result *result,
                       const struct etcd_request *request)
{
    const struct etcd_reply *reply = &result->reply;
    bool has_won = result->is_answered && reply->is_succeeded;
    (void)request;
    if (!has_won) {
        engine_etcd_step_down(self, "another candidate was faster");
        return;
    }
    self->epoch = reply->revision;
    engine_etcd_enter(self, KR_ETCD_TAKING_OVER);
    self->keepalive_at_ms = engine_etcd_now_ms(self);
    engine_etcd_take_over(self);
}

// An attempt without an answer is undone by revoking the lease: with it goes the key, or the
// transaction that would still put it fails.
static void elect(struct engine_etcd *self)
{
    struct buf value;
    struct etcd_key key = engine_etcd_leader_key(self);
    struct etcd_request request = {.path = KR_ETCD_TXN,
                                   .deadline_ms = KR_ETCD_CALL_MS,
                                   .endpoint = KR_ETCD_ANY_ENDPOINT,
                                   .step = on_elected};
    buf_init(&value, KR_ETCD_LEADER_VALUE_MAX);
    buf_init(&request.body, 4096);
    write_member(self, &value);
    const struct etcd_compare is_absent = {KR_ETCD_VERSION_IS, engine_etcd_bytes(&key), 0};
    const struct etcd_op put = {.kind = KR_ETCD_OP_PUT,
                                .key = engine_etcd_bytes(&key),
                                .value = buf_bytes(&value),
                                .lease = self->lease};
    etcd_add_txn(&request.body,
                 &(struct etcd_txn){
                     .compares = &is_absent, .compare_count = 1, .then = &put, .then_count = 1});
    buf_fini(&value);
    engine_etcd_enter(self, KR_ETCD_ELECTING);
    engine_etcd_post(self, request);
}

static void on_granted(struct engine_etcd *self, const struct etcd_result *result,
                       const struct etcd_request *request)
{
    (void)request;
    if (!result->is_answered || result->reply.lease == 0 || result->reply.ttl_s == 0) {
        if (result->has_no_space) {
            if (!self->is_starved)
                LOG_ERROR("nobody can lead: etcd is out of space; raise its --quota-backend-bytes, "
                          "or free some, defragment its members, and disarm the alarm",
                          LOG_TEXT("answer", result->error));
            self->is_starved = true;
            engine_etcd_starve(self);
        }
        watch_again_at(self, engine_etcd_now_ms(self) + KR_ETCD_POLL_MS);
        return;
    }
    self->is_starved = false;
    self->lease = result->reply.lease;
    uint64_t granted_ms = 1000 * result->reply.ttl_s;
    self->ttl_ms =
        granted_ms < self->options.leader_ttl_ms ? granted_ms : self->options.leader_ttl_ms;
    self->valid_until_ms = 0;
    extend(self, result->sent_at_ms);
    elect(self);
}

static void ask_for_lease(struct engine_etcd *self)
{
    struct etcd_request request = {.path = KR_ETCD_GRANT,
                                   .deadline_ms = KR_ETCD_CALL_MS,
                                   .endpoint = KR_ETCD_ANY_ENDPOINT,
                                   .step = on_granted};
    engine_etcd_enter(self, KR_ETCD_GRANTING);
    buf_init(&request.body, 256);
    etcd_add_grant(&request.body, (self->options.leader_ttl_ms + 999) / 1000);
    engine_etcd_post(self, request);
}

// --- watching ------------------------------------------------------------------------------------

static const char *text_member(const struct json *object, const char *name)
{
    const struct json *value =
        json_type_of(object) == KR_JSON_OBJECT ? json_member(object, name) : NULL;
    return value != NULL && json_type_of(value) == KR_JSON_STRING ? json_text(value) : "";
}

static void note_leader(struct engine_etcd *self, const char *id, const char *address)
{
    if (strcmp(self->leader_id, id) == 0 && strcmp(self->leader_address, address) == 0)
        return;
    snprintf(self->leader_id, sizeof(self->leader_id), "%s", id);
    snprintf(self->leader_address, sizeof(self->leader_address), "%s", address);
    self->has_leader_event = true;
}

// A key of our own is one of an earlier process of this node: nobody leads until it expires.
static void read_leader(struct engine_etcd *self, struct bytes value)
{
    struct json *document = NULL;
    const char *id = "", *address = "";
    if (value.size <= KR_ETCD_LEADER_VALUE_MAX && json_parse(value, &document, NULL) == KR_ERR_OK) {
        id = text_member(document, "member");
        address = text_member(document, "address");
    }
    bool is_other = id[0] != '\0' && strcmp(id, self->options.member_id) != 0;
    note_leader(self, is_other ? id : "", is_other ? address : "");
    json_free(&document);
}

// A last resort waits for the others to be faster. What keeps a node back is told once.
static bool is_to_stand(struct engine_etcd *self, uint64_t now_ms)
{
    struct fault why = {0};
    if (self->options.fitness == NULL)
        return true;
    enum engine_fitness fitness = self->options.fitness(self->options.ctx, &why);
    bool is_unfit = fitness != KR_ENGINE_FIT;
    if (is_unfit && !self->has_told_unfit)
        LOG_WARN("nobody leads, and this node stands back", LOG_TEXT("why", why.text));
    self->has_told_unfit = is_unfit;
    return !is_unfit || (fitness == KR_ENGINE_LAST_RESORT &&
                         now_ms >= self->vacant_since_ms + KR_ETCD_LAST_RESORT_MS);
}

// Nobody leads.
static void consider_standing(struct engine_etcd *self, uint64_t now_ms)
{
    if (self->vacant_since_ms == 0)
        self->vacant_since_ms = now_ms;
    if (now_ms >= self->refused_until_ms && !self->is_closing &&
        self->upkeep != KR_UPKEEP_AT_WORK && is_to_stand(self, now_ms))
        ask_for_lease(self);
}

static void on_watched(struct engine_etcd *self, const struct etcd_result *result,
                       const struct etcd_request *request)
{
    uint64_t now_ms = engine_etcd_now_ms(self);
    (void)request;
    self->is_watching = false;
    self->watch_at_ms = now_ms + KR_ETCD_POLL_MS;
    if (!result->is_answered)
        return;
    if (result->reply.count > 0) {
        self->is_starved = self->has_told_unfit = false;
        self->vacant_since_ms = 0;
        read_leader(self, result->reply.kvs[0].value);
        return;
    }
    note_leader(self, "", "");
    consider_standing(self, now_ms);
}

static void watch(struct engine_etcd *self, uint64_t now_ms)
{
    if (self->is_watching || self->is_closing || now_ms < self->watch_at_ms)
        return;
    self->is_watching = true;
    post_leader_range(self,
                      (struct etcd_request){.deadline_ms = KR_ETCD_CALL_MS, .step = on_watched});
}

void engine_etcd_lead_turn(struct engine_etcd *self, uint64_t now_ms)
{
    switch (self->stage) {
    case KR_ETCD_WATCHING:
        watch(self, now_ms);
        break;
    case KR_ETCD_TAKING_OVER:
    case KR_ETCD_LEADING:
        keep(self, now_ms);
        break;
    case KR_ETCD_RESIGNING:
        revoke_when_settled(self);
        break;
    case KR_ETCD_WAITING:
    case KR_ETCD_GRANTING:
    case KR_ETCD_ELECTING:
    case KR_ETCD_CLOSING:
        break;
    }
}
