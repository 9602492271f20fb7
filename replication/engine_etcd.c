// SPDX-License-Identifier: Apache-2.0
// The etcd engine: its verbs, its calls, and the turn that drives its parts.
//
// Happy path: campaign → the leader key is watched → it is gone → lease, key, tail → LEADER →
// appends, each a transaction → close: appends are settled, the lease is revoked, another leads.
// Ways it can fail: etcd does not answer (validity ends by our own clock, appends fail at their
// deadline); somebody else leads (the transaction's guard fails); the log does not fit the node's
// state, or the owner cannot lead (it gives the leadership back); etcd is out of space (appends
// fail with DISK_FULL).
#include "replication/engine_etcd_internal.h"

#include <assert.h>
#include <stdio.h>

#include "core/base/text.h"

// --- keys ----------------------------------------------------------------------------------------

static struct etcd_key key_of(const struct engine_etcd *self, const char *rest)
{
    struct etcd_key key;
    int size = snprintf(key.text, sizeof(key.text), "/%s/%s", self->options.cluster_id, rest);
    assert(size > 0 && (size_t)size < sizeof(key.text));
    key.size = (size_t)size;
    return key;
}

struct etcd_key engine_etcd_leader_key(const struct engine_etcd *self)
{
    return key_of(self, "leader");
}

struct etcd_key engine_etcd_start_key(const struct engine_etcd *self)
{
    return key_of(self, "start");
}

struct etcd_key engine_etcd_log_key(const struct engine_etcd *self, uint64_t index)
{
    char rest[32];
    snprintf(rest, sizeof(rest), "log/%016llx", (unsigned long long)index);
    return key_of(self, rest);
}

// '0' follows '/' in the order of bytes.
struct etcd_key engine_etcd_log_end(const struct engine_etcd *self)
{
    return key_of(self, "log0");
}

struct etcd_key engine_etcd_parts_below(const struct engine_etcd *self, uint64_t index)
{
    char rest[32];
    snprintf(rest, sizeof(rest), "part/%016llx", (unsigned long long)index);
    return key_of(self, rest);
}

struct etcd_key engine_etcd_part_key(const struct engine_etcd *self, uint64_t index,
                                     const uint8_t nonce[16], size_t number)
{
    char rest[80], hex[33];
    text_hex(nonce, 16, hex);
    int size = snprintf(rest, sizeof(rest), "part/%016llx.%s", (unsigned long long)index, hex);
    if (number == SIZE_MAX)
        snprintf(rest + size, sizeof(rest) - (size_t)size, "/"); // follows '.'
    else
        snprintf(rest + size, sizeof(rest) - (size_t)size, ".%02x", (unsigned)number);
    return key_of(self, rest);
}

bool engine_etcd_key_index(const struct engine_etcd *self, struct bytes key, uint64_t *index)
{
    uint8_t number[8];
    struct etcd_key front = key_of(self, "log/");
    if (!bytes_starts_with(key, engine_etcd_bytes(&front)) || key.size != front.size + 16 ||
        !text_from_hex(bytes_of(key.data + front.size, 16), number, sizeof(number)))
        return false;
    *index = 0;
    for (size_t i = 0; i < sizeof(number); i++)
        *index = *index << 8 | number[i];
    return true;
}

// --- calls ---------------------------------------------------------------------------------------

uint64_t engine_etcd_now_ms(const struct engine_etcd *self)
{
    return self->port->now_ms(self->port->ctx);
}

// etcd's own texts (etcdserver/api/v3rpc/rpctypes/error.go); its codes do not tell them apart.
static void read_refusal(const struct etcd_answer *answer, struct etcd_result *result)
{
    etcd_read_error(answer->body, result->error, sizeof(result->error));
    result->has_no_space = strstr(result->error, "database space exceeded") != NULL;
    result->is_too_large = strstr(result->error, "request is too large") != NULL;
    result->is_without_effect = result->is_too_large;
    if (result->error[0] == '\0')
        snprintf(result->error, sizeof(result->error), "HTTP status %u", answer->status);
}

static void read_answer(const struct etcd_answer *answer, struct arena *arena,
                        struct etcd_result *result)
{
    result->sent_at_ms = answer->sent_at_ms;
    if (answer->err != KR_ERR_OK) {
        result->is_without_effect = answer->is_surely_unsent;
        snprintf(result->error, sizeof(result->error), "%s", answer->text);
    } else if (answer->status != 200) {
        read_refusal(answer, result);
    } else {
        result->is_answered = etcd_read_reply(answer->body, arena, &result->reply) == KR_ERR_OK;
        if (!result->is_answered)
            snprintf(result->error, sizeof(result->error), "an answer that is none of etcd's");
    }
}

static void on_answer(void *ctx, const struct etcd_answer *answer)
{
    struct etcd_request *request = ctx;
    struct engine_etcd *self = request->self;
    struct etcd_result result = {0};
    struct arena arena;
    self->calls--;
    if (request->is_of_every_term || request->term == self->term) {
        arena_init(&arena);
        read_answer(answer, &arena, &result);
        request->step(self, &result, request);
        arena_fini(&arena);
    }
    mem_free(request);
}

void engine_etcd_post(struct engine_etcd *self, struct etcd_request request)
{
    struct etcd_request *kept = mem_alloc(sizeof(*kept));
    assert(buf_result(&request.body) == KR_ERR_OK);
    request.self = self;
    request.term = self->term;
    *kept = request;
    const struct etcd_call call = {.path = request.path,
                                   .body = &kept->body,
                                   .deadline_ms = request.deadline_ms,
                                   .endpoint = request.endpoint,
                                   .stops_endpoint = request.stops_endpoint,
                                   .answered = on_answer,
                                   .ctx = kept};
    self->calls++;
    self->port->post(self->port->ctx, &call);
}

// --- states --------------------------------------------------------------------------------------

void engine_etcd_enter(struct engine_etcd *self, enum etcd_stage stage)
{
    assert(self->stage != KR_ETCD_CLOSING);
    self->stage = stage;
    if (stage == KR_ETCD_LEADING)
        return;
    self->term++;
    self->is_watching = self->is_revoking = false;
    self->keepalives = 0;
    self->upkeep = KR_UPKEEP_IDLE;
    engine_etcd_tail_drop(self);
}

void engine_etcd_tell_role(struct engine_etcd *self, enum engine_role role)
{
    if (self->role == role)
        return;
    self->role = role;
    self->has_role_event = true;
}

void engine_etcd_append_to(struct etcd_append_list *list, struct etcd_append *append)
{
    append->next = NULL;
    *list->last = append;
    list->last = &append->next;
}

static struct engine_etcd *etcd_of(struct engine *engine)
{
    return (struct engine_etcd *)engine;
}

static void etcd_campaign(struct engine *engine)
{
    struct engine_etcd *self = etcd_of(engine);
    if (self->stage != KR_ETCD_WAITING)
        return;
    engine_etcd_tell_role(self, KR_ENGINE_STANDBY);
    engine_etcd_enter(self, KR_ETCD_WATCHING);
}

static void etcd_resign(struct engine *engine, const struct fault *why)
{
    struct engine_etcd *self = etcd_of(engine);
    if (self->stage == KR_ETCD_LEADING)
        engine_etcd_refuse(self, why);
}

static uint64_t etcd_valid_until_ms(const struct engine *engine)
{
    const struct engine_etcd *self = (const struct engine_etcd *)engine;
    return self->stage == KR_ETCD_LEADING ? self->valid_until_ms : 0;
}

static void etcd_close(struct engine *engine, void (*closed)(void *ctx), void *ctx)
{
    struct engine_etcd *self = etcd_of(engine);
    assert(self->closed == NULL && closed != NULL);
    self->closed = closed;
    self->closed_ctx = ctx;
    self->is_closing = true;
    if (self->lease != 0 && self->stage != KR_ETCD_RESIGNING)
        engine_etcd_step_down(self, "the node stops");
    engine_etcd_tell_role(self, KR_ENGINE_STOPPED);
}

// --- the turn ------------------------------------------------------------------------------------

static bool tell_roles(struct engine_etcd *self)
{
    const struct engine_events events = self->base.events;
    bool were_any = self->has_role_event || self->has_leader_event;
    bool has_role = self->has_role_event, has_leader = self->has_leader_event;
    self->has_role_event = self->has_leader_event = false;
    if (has_role && events.role != NULL)
        events.role(events.ctx, self->role, self->epoch);
    if (has_leader && events.leader != NULL)
        events.leader(events.ctx, self->leader_id, self->leader_address);
    return were_any;
}

static bool end_if_closed(struct engine_etcd *self)
{
    void (*closed)(void *ctx) = self->closed;
    void *ctx = self->closed_ctx;
    bool is_idle = self->lease == 0 && !self->flight.is_open && self->completions.first == NULL;
    if (self->is_closing && is_idle && self->stage != KR_ETCD_CLOSING)
        engine_etcd_enter(self, KR_ETCD_CLOSING);
    if (self->stage != KR_ETCD_CLOSING || self->calls > 0)
        return false;
    mem_free((void *)(uintptr_t)self->options.cluster_id);
    mem_free((void *)(uintptr_t)self->options.member_id);
    mem_free((void *)(uintptr_t)self->options.peer_address);
    mem_free(self);
    closed(ctx);
    return true;
}

static bool etcd_turn(struct engine *engine)
{
    struct engine_etcd *self = etcd_of(engine);
    uint64_t now_ms = engine_etcd_now_ms(self);
    engine_etcd_lead_turn(self, now_ms);
    engine_etcd_append_turn(self, now_ms);
    engine_etcd_tail_turn(self, now_ms);
    engine_etcd_upkeep_turn(self, now_ms);
    bool were_any = engine_etcd_tell_completions(self);
    were_any |= tell_roles(self);
    return end_if_closed(self) || were_any;
}

static const struct engine_verbs etcd_verbs = {
    .name = "etcd",
    .campaign = etcd_campaign,
    .append = engine_etcd_append,
    .read = engine_etcd_read,
    .trim = engine_etcd_trim,
    .resign = etcd_resign,
    .valid_until_ms = etcd_valid_until_ms,
    .turn = etcd_turn,
    .close = etcd_close,
};

struct engine *engine_etcd_new(const struct engine_etcd_options *options)
{
    struct engine_etcd *self = mem_zalloc(sizeof(*self));
    assert(options->position != NULL && options->port->endpoint_count > 0);
    assert(options->port->endpoint_count <= KR_ETCD_ENDPOINTS_MAX);
    assert(strlen(options->cluster_id) < KR_ETCD_KEY_MAX - 80);
    self->base.verbs = &etcd_verbs;
    self->options = *options;
    self->options.cluster_id = mem_text(options->cluster_id);
    self->options.member_id = mem_text(options->member_id);
    self->options.peer_address = mem_text(options->peer_address);
    self->port = options->port;
    self->role = KR_ENGINE_STARTING;
    self->queue.last = &self->queue.first;
    self->completions.last = &self->completions.first;
    self->tail.last = &self->tail.first;
    return &self->base;
}

void engine_etcd_figures(const struct engine *engine, struct engine_etcd_figures *out)
{
    const struct engine_etcd *self = (const struct engine_etcd *)engine;
    *out = self->figures;
    out->role = self->role;
    out->epoch = self->stage == KR_ETCD_LEADING ? self->epoch : 0;
    out->end_index = self->end_index;
    out->quota_bytes = self->options.quota_bytes;
    for (size_t i = 0; i < self->port->endpoint_count; i++) {
        if (self->database_bytes[i] <= out->database_bytes)
            continue;
        out->database_bytes = self->database_bytes[i];
        out->database_used_bytes = self->used_bytes[i];
    }
}
