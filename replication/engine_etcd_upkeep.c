// SPDX-License-Identifier: Apache-2.0
// Upkeep of etcd, by the leader, every ten seconds: what every node has is deleted and compacted,
// the members' sizes are held against the quota, and space is given back.
//
// A round: the batch that holds the lowest index still needed → deletion of what is before it →
// compaction → each member's status → alarms → at most one member is defragmented, which stops it
// for that time → a NOSPACE alarm is disarmed when every member is below 80 % again. A step without
// an answer ends the round; the next one begins anew.
//
// Out of space, etcd is compacted once even where nothing is to be deleted: what fills it may be
// the history of somebody else's keys. And it grants no lease, so that nobody could lead who is to
// free some: while that is so, the standbys do the same, each as far as it was told as a leader
// what may go.
#include "replication/engine_etcd_internal.h"

#include "core/base/log.h"

enum { KR_UPKEEP_DEFRAGMENT_MS = 120000, KR_UPKEEP_DELETE_MS = 10000 };

#define KR_UPKEEP_DEFRAGMENT_EVERY_MS (3600u * 1000) // a member
#define KR_UPKEEP_FULL_EVERY_MS (60u * 1000)         // the same while nothing can be written
#define KR_UPKEEP_WARN_PERCENT 80
#define KR_UPKEEP_WORTH_PERCENT 40  // of the quota, before a file is worth it
#define KR_UPKEEP_URGENT_PERCENT 60 // and before it cannot wait until less is written
#define KR_UPKEEP_QUIET_PER_S 5     // appends, so that hardly one meets a member that stands still

static void begin(struct etcd_request *request, const char *path, unsigned deadline_ms,
                  etcd_step_fn *step)
{
    *request = (struct etcd_request){
        .path = path, .deadline_ms = deadline_ms, .endpoint = KR_ETCD_ANY_ENDPOINT, .step = step};
    buf_init(&request->body, 4096);
}

static void end_round(struct engine_etcd *self)
{
    self->upkeep = KR_UPKEEP_IDLE;
    self->upkeep_at_ms = engine_etcd_now_ms(self) +
                         (self->figures.is_out_of_space ? KR_ETCD_STARVED_MS : KR_ETCD_UPKEEP_MS);
}

static void end_badly(struct engine_etcd *self, const char *what, const struct etcd_result *result)
{
    LOG_WARN("etcd's upkeep was broken off", LOG_TEXT("at", what), LOG_TEXT("why", result->error));
    end_round(self);
}

// --- space ---------------------------------------------------------------------------------------

static uint64_t percent_of_quota(const struct engine_etcd *self, uint64_t bytes)
{
    uint64_t quota = self->options.quota_bytes / 100;
    return quota == 0 ? 0 : bytes / quota;
}

static bool is_below_quota(const struct engine_etcd *self)
{
    for (size_t i = 0; i < self->port->endpoint_count; i++)
        if (percent_of_quota(self, self->database_bytes[i]) >= KR_UPKEEP_WARN_PERCENT)
            return false;
    return true;
}

static void on_disarmed(struct engine_etcd *self, const struct etcd_result *result,
                        const struct etcd_request *request)
{
    (void)request;
    if (!result->is_answered) {
        end_badly(self, "alarm", result);
        return;
    }
    end_round(self);
    self->upkeep_at_ms = 0; // another member may have its own
}

static void on_alarms(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request);

static void ask_alarms(struct engine_etcd *self)
{
    struct etcd_request request;
    begin(&request, KR_ETCD_ALARM, KR_ETCD_CALL_MS, on_alarms);
    etcd_add_alarm_get(&request.body);
    engine_etcd_post(self, request);
}

static void disarm(struct engine_etcd *self, const char *member_id)
{
    struct etcd_request request;
    LOG_INFO("etcd has space again: its alarm is disarmed", LOG_TEXT("member", member_id));
    begin(&request, KR_ETCD_ALARM, KR_ETCD_CALL_MS, on_disarmed);
    etcd_add_alarm_off(&request.body, member_id);
    engine_etcd_post(self, request);
}

// Members that stand still cost whoever writes; so that waits for a quiet hour, as long as it can.
static bool is_time(const struct engine_etcd *self, uint64_t size_bytes)
{
    uint64_t percent = percent_of_quota(self, size_bytes);
    return percent >= KR_UPKEEP_URGENT_PERCENT ||
           (percent >= KR_UPKEEP_WORTH_PERCENT && self->is_quiet);
}

// A member is worth it when half of its file is unused. Out of space, when that may be what keeps
// us from writing: after each compaction, whatever etcd says is in use, for it counts pages that
// are freed by its next write, and none comes.
static bool is_worth_defragmenting(const struct engine_etcd *self, size_t endpoint, bool is_full)
{
    uint64_t size = self->database_bytes[endpoint], used = self->used_bytes[endpoint];
    uint64_t at_ms = self->defragmented_at_ms[endpoint];
    uint64_t every_ms = is_full ? KR_UPKEEP_FULL_EVERY_MS : KR_UPKEEP_DEFRAGMENT_EVERY_MS;
    if (is_full && percent_of_quota(self, size) < KR_UPKEEP_WARN_PERCENT)
        return false;
    if (is_full && self->compacted_at_ms > at_ms)
        return true;
    if (at_ms != 0 && engine_etcd_now_ms(self) < at_ms + every_ms)
        return false;
    if (is_full)
        return used < size - size / 10;
    return is_time(self, size) && used < size / 2;
}

static void on_defragmented(struct engine_etcd *self, const struct etcd_result *result,
                            const struct etcd_request *request)
{
    (void)request;
    if (!result->is_answered) {
        end_badly(self, "defragment", result);
        return;
    }
    end_round(self);
    if (self->figures.is_out_of_space)
        self->upkeep_at_ms = engine_etcd_now_ms(self); // the next member, or the alarm
}

static void defragment(struct engine_etcd *self, size_t endpoint)
{
    struct etcd_request request;
    LOG_INFO("defragmenting a member of etcd", LOG_NUMBER("endpoint", endpoint),
             LOG_NUMBER("bytes", self->database_bytes[endpoint]),
             LOG_NUMBER("usedBytes", self->used_bytes[endpoint]));
    self->defragmented_at_ms[endpoint] = engine_etcd_now_ms(self);
    begin(&request, KR_ETCD_DEFRAGMENT, KR_UPKEEP_DEFRAGMENT_MS, on_defragmented);
    request.endpoint = endpoint;
    request.stops_endpoint = true;
    etcd_add_nothing(&request.body);
    engine_etcd_post(self, request);
}

static void note_space(struct engine_etcd *self, bool is_full)
{
    if (is_full && !self->figures.is_out_of_space)
        LOG_ERROR("etcd is out of space: writes are refused until its log is trimmed and it is "
                  "defragmented; or raise its --quota-backend-bytes",
                  LOG_TEXT("alarm", "NOSPACE"));
    self->owes_compaction = is_full && (self->owes_compaction || !self->figures.is_out_of_space);
    self->figures.is_out_of_space = is_full;
}

static void on_alarms(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request)
{
    (void)request;
    if (!result->is_answered) {
        end_badly(self, "alarms", result);
        return;
    }
    bool is_full = result->reply.full_count > 0;
    note_space(self, is_full);
    for (size_t i = 0; i < self->port->endpoint_count; i++)
        if (is_worth_defragmenting(self, i, is_full)) {
            defragment(self, i);
            return;
        }
    if (is_full && is_below_quota(self))
        disarm(self, result->reply.full_members[0]);
    else
        end_round(self);
}

static void warn_of_quota(struct engine_etcd *self)
{
    bool is_below = is_below_quota(self);
    if (!is_below && !self->has_warned_of_quota)
        LOG_WARN("etcd's database nears its quota", LOG_NUMBER("percent", KR_UPKEEP_WARN_PERCENT),
                 LOG_NUMBER("quotaBytes", self->options.quota_bytes));
    self->has_warned_of_quota = !is_below;
}

static void on_status(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request);

static void ask_status(struct engine_etcd *self, size_t endpoint)
{
    struct etcd_request request;
    begin(&request, KR_ETCD_STATUS, KR_ETCD_CALL_MS, on_status);
    request.endpoint = endpoint;
    request.note[0] = endpoint;
    etcd_add_nothing(&request.body);
    engine_etcd_post(self, request);
}

// A member that is down keeps its last known size.
static void on_status(struct engine_etcd *self, const struct etcd_result *result,
                      const struct etcd_request *request)
{
    size_t endpoint = (size_t)request->note[0];
    if (result->is_answered) {
        self->database_bytes[endpoint] = result->reply.database_bytes;
        self->used_bytes[endpoint] = result->reply.database_used_bytes;
    }
    if (endpoint + 1 < self->port->endpoint_count) {
        ask_status(self, endpoint + 1);
        return;
    }
    warn_of_quota(self);
    ask_alarms(self);
}

// --- trimming ------------------------------------------------------------------------------------

static void on_compacted(struct engine_etcd *self, const struct etcd_result *result,
                         const struct etcd_request *request)
{
    // That a later revision is compacted already is as good.
    bool is_done = result->is_answered || strstr(result->error, "has been compacted") != NULL;
    if (!is_done) {
        end_badly(self, "compaction", result);
        return;
    }
    self->trimmed_below = request->note[0];
    self->compacted_at_ms = engine_etcd_now_ms(self);
    self->owes_compaction = false;
    ask_status(self, 0);
}

static void on_deleted(struct engine_etcd *self, const struct etcd_result *result,
                       const struct etcd_request *request)
{
    struct etcd_request next;
    if (!result->is_answered) {
        end_badly(self, "deletion", result);
        return;
    }
    if (!result->reply.is_succeeded) {
        end_round(self); // deposed: a keep-alive will tell; or another leads now
        return;
    }
    begin(&next, KR_ETCD_COMPACTION, KR_UPKEEP_DELETE_MS, on_compacted);
    next.note[0] = request->note[0];
    etcd_add_compaction(&next.body, result->reply.revision);
    engine_etcd_post(self, next);
}

// The batch stays, so that the log always says where it ends and what its chain is there.
static void delete_before(struct engine_etcd *self, uint64_t index)
{
    struct etcd_request request;
    struct etcd_key leader = engine_etcd_leader_key(self);
    struct etcd_key from = engine_etcd_log_key(self, 0), end = engine_etcd_log_key(self, index);
    struct etcd_key part = engine_etcd_parts_below(self, 0);
    struct etcd_key part_end = engine_etcd_parts_below(self, index);
    const struct etcd_compare leads = {KR_ETCD_CREATE_REVISION_IS, engine_etcd_bytes(&leader),
                                       self->epoch};
    const struct etcd_compare none_leads = {KR_ETCD_VERSION_IS, engine_etcd_bytes(&leader), 0};
    const struct etcd_op deletions[] = {{.kind = KR_ETCD_OP_DELETE,
                                         .key = engine_etcd_bytes(&from),
                                         .end = engine_etcd_bytes(&end)},
                                        {.kind = KR_ETCD_OP_DELETE,
                                         .key = engine_etcd_bytes(&part),
                                         .end = engine_etcd_bytes(&part_end)}};
    begin(&request, KR_ETCD_TXN, KR_UPKEEP_DELETE_MS, on_deleted);
    request.note[0] = self->trim_below;
    etcd_add_txn(&request.body,
                 &(struct etcd_txn){.compares = self->is_starved ? &none_leads : &leads,
                                    .compare_count = 1,
                                    .then = deletions,
                                    .then_count = 2});
    engine_etcd_post(self, request);
}

static void on_found(struct engine_etcd *self, const struct etcd_result *result,
                     const struct etcd_request *request)
{
    uint64_t index = 0;
    (void)request;
    if (!result->is_answered)
        end_badly(self, "search", result);
    else if (result->reply.count == 0 ||
             !engine_etcd_key_index(self, result->reply.kvs[0].key, &index))
        ask_status(self, 0);
    else
        delete_before(self, index);
}

// The last batch that begins at or before the lowest index still needed.
static void find_batch(struct engine_etcd *self)
{
    struct etcd_request request;
    struct etcd_key from = engine_etcd_log_key(self, 0);
    struct etcd_key end = engine_etcd_log_key(self, self->trim_below + 1);
    begin(&request, KR_ETCD_RANGE, KR_UPKEEP_DELETE_MS, on_found);
    etcd_add_range(&request.body, &(struct etcd_range){.key = engine_etcd_bytes(&from),
                                                       .end = engine_etcd_bytes(&end),
                                                       .limit = 1,
                                                       .is_descending = true,
                                                       .is_keys_only = true});
    engine_etcd_post(self, request);
}

void engine_etcd_trim(struct engine *engine, uint64_t below_index)
{
    struct engine_etcd *self = (struct engine_etcd *)engine;
    if (below_index <= self->trim_below)
        return;
    self->trim_below = below_index;
    if (self->figures.is_out_of_space)
        self->upkeep_at_ms = 0;
}

void engine_etcd_starve(struct engine_etcd *self)
{
    if (!self->figures.is_out_of_space)
        self->upkeep_at_ms = 0;
    note_space(self, true);
}

// Since the last round.
static void note_quiet(struct engine_etcd *self, uint64_t now_ms)
{
    uint64_t appended = self->figures.transactions - self->seen_transactions;
    uint64_t elapsed_ms = now_ms - self->round_at_ms;
    self->is_quiet = appended * 1000 <= elapsed_ms * KR_UPKEEP_QUIET_PER_S;
    self->seen_transactions = self->figures.transactions;
    self->round_at_ms = now_ms;
}

void engine_etcd_upkeep_turn(struct engine_etcd *self, uint64_t now_ms)
{
    bool is_ours =
        self->stage == KR_ETCD_LEADING || (self->stage == KR_ETCD_WATCHING && self->is_starved);
    if (!is_ours || self->upkeep == KR_UPKEEP_AT_WORK || now_ms < self->upkeep_at_ms)
        return;
    self->upkeep = KR_UPKEEP_AT_WORK;
    note_quiet(self, now_ms);
    if (self->trim_below > self->trimmed_below || (self->owes_compaction && self->trim_below > 0))
        find_batch(self);
    else
        ask_status(self, 0);
}
