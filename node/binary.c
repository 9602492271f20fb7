// SPDX-License-Identifier: Apache-2.0
// Rounds of the binary protocol: gather frames, look up together, answer in order.
//
//   ready connections → frames → questions → digests, look-ups → verdicts → answers → sockets
//
// A round takes frames until it has KR_ROUND_KEYS keys, whosever they are; a connection that has
// more stands in line again. Ways it can fail: a frame that breaks the rules (what came before it
// is answered, then an error frame, then the end), a peer that takes no answers (held; a subscriber
// is cut, as it would miss news), an index that the node does not reach within a second (STALE).
// What only the index on the disk could tell, while the table is being loaded, is UNAVAILABLE: a
// client asks the next node.
//
// Subscribers may keep VALID answers. A loss is noted behind the hot table's change, and told
// before the look-ups of a turn. So what a look-up does not know yet is told behind its answer, and
// a lease that is given in a turn covers all that was known when it was asked for.
#include "node/binary.h"

#include <stdatomic.h>

#include "core/base/clock.h"
#include "node/serve_internal.h"

enum {
    KR_ROUND_KEYS = 64,   // a round ends when it has as many,
    KR_ROUND_FRAMES = 64, // or so many frames
    KR_ROUND_QUESTIONS = KR_ROUND_KEYS - 1 + KR_BINARY_KEYS_MAX
};

struct frame {
    uint32_t tag;
    enum binary_op op;
    uint16_t first, count;   // its questions
    enum binary_fault fault; // it is answered with an error, and was the last
};

struct binary {
    struct serve *serve;
    uv_timer_t wait; // runs while connections wait for an index
    struct serve_line ready;
    struct connection *waiting; // by next_ready
    struct waits wait_bounds;   // of those
    struct connection *subscribers;
    atomic_size_t subscriber_count;
    uint64_t told; // position in the node's losses, while there are subscribers
    struct binary_lost lost[KR_BINARY_LOST_MAX];
    struct frame frames[KR_ROUND_FRAMES];
    size_t frame_count;
    struct validate_question questions[KR_ROUND_QUESTIONS];
    size_t question_count;
};

// --- life ----------------------------------------------------------------------------------------

struct binary *binary_new(struct serve *serve)
{
    struct binary *binary = mem_zalloc(sizeof(*binary));
    binary->serve = serve;
    serve_line_init(&binary->ready);
    waits_init(&binary->wait_bounds);
    uv_timer_init(&serve->loop, &binary->wait);
    binary->wait.data = binary;
    return binary;
}

void binary_close(struct binary *binary)
{
    uv_close((uv_handle_t *)&binary->wait, NULL);
}

void binary_free(struct binary **binary)
{
    mem_zero(*binary, sizeof(**binary));
    mem_free(*binary);
    *binary = NULL;
}

// --- the line of ready connections ---------------------------------------------------------------

struct serve_line *binary_line(struct binary *binary)
{
    return &binary->ready;
}

static bool has_news(const struct binary *binary)
{
    return binary->subscribers != NULL && losses_end(binary->serve->node->losses) != binary->told;
}

bool binary_is_due(const struct binary *binary)
{
    return binary->ready.first != NULL || has_news(binary);
}

// --- waiting for an index ------------------------------------------------------------------------

static bool is_ahead(const struct binary *binary, uint64_t min_index)
{
    return min_index > store_applied_index(binary->serve->node->store);
}

static void stop_waiting(struct binary *binary, struct connection *connection)
{
    struct connection **at = &binary->waiting;
    while (*at != NULL && *at != connection)
        at = &(*at)->next_ready;
    if (*at == NULL)
        return;
    *at = connection->next_ready;
    waits_remove(&binary->wait_bounds);
}

static void check_each(struct binary *binary, uint64_t applied)
{
    struct serve *serve = binary->serve;
    struct connection **at = &binary->waiting, *connection;
    waits_init(&binary->wait_bounds);
    while ((connection = *at) != NULL) {
        if (connection->wait_index > applied && !serve->is_stopping &&
            uv_now(&serve->loop) < connection->wait_until_ms) {
            waits_add(&binary->wait_bounds, connection->wait_index, connection->wait_until_ms);
            at = &connection->next_ready;
            continue;
        }
        *at = connection->next_ready;
        connection->state = KR_CONNECTION_OPEN;
        connection_resume(connection);
    }
}

static void check_waits(uv_timer_t *timer)
{
    struct binary *binary = timer->data;
    struct serve *serve = binary->serve;
    uint64_t applied = store_applied_index(serve->node->store);
    if (serve->is_stopping || waits_are_due(&binary->wait_bounds, applied, uv_now(&serve->loop)))
        check_each(binary, applied);
    if (binary->waiting == NULL)
        uv_timer_stop(&binary->wait);
}

// Must the frame at the connection's front wait? Its clock starts at the first time of asking.
static bool must_wait(struct binary *binary, struct connection *connection, uint64_t min_index)
{
    struct serve *serve = binary->serve;
    if (!is_ahead(binary, min_index) || serve->is_stopping)
        return false;
    if (connection->wait_until_ms == 0)
        connection->wait_until_ms = uv_now(&serve->loop) + KR_WAITS_MS;
    return uv_now(&serve->loop) < connection->wait_until_ms;
}

// False: too many wait already.
static bool wait(struct binary *binary, struct connection *connection, uint64_t min_index)
{
    if (!waits_add(&binary->wait_bounds, min_index, connection->wait_until_ms))
        return false;
    connection->state = KR_CONNECTION_SUSPENDED;
    connection->wait_index = min_index;
    connection->next_ready = binary->waiting;
    binary->waiting = connection;
    if (!uv_is_active((uv_handle_t *)&binary->wait))
        uv_timer_start(&binary->wait, check_waits, KR_WAITS_POLL_MS, KR_WAITS_POLL_MS);
    return true;
}

// --- subscribers ---------------------------------------------------------------------------------

static void subscribe(struct binary *binary, struct connection *connection)
{
    if (connection->is_subscribed)
        return;
    if (binary->subscribers == NULL)
        binary->told = losses_end(binary->serve->node->losses);
    connection->is_subscribed = true;
    connection->next_subscriber = binary->subscribers;
    binary->subscribers = connection;
    atomic_fetch_add(&binary->subscriber_count, 1);
}

static void unsubscribe(struct binary *binary, struct connection *connection)
{
    struct connection **at = &binary->subscribers;
    while (*at != connection)
        at = &(*at)->next_subscriber;
    *at = connection->next_subscriber;
    connection->is_subscribed = false;
    atomic_fetch_sub(&binary->subscriber_count, 1);
}

bool binary_has_subscribers(const struct binary *binary)
{
    return atomic_load(&binary->subscriber_count) > 0;
}

void binary_forget(struct binary *binary, struct connection *connection)
{
    if (connection->state == KR_CONNECTION_SUSPENDED)
        stop_waiting(binary, connection);
    if (connection->is_subscribed)
        unsubscribe(binary, connection);
}

// One that does not take its news must not go on as if it had them.
static void tell(struct connection *connection, const struct binary_lost *lost, size_t count,
                 bool drops_all)
{
    struct serve *serve = connection->serve;
    if (connection->state != KR_CONNECTION_OPEN && connection->state != KR_CONNECTION_SUSPENDED)
        return;
    if (connection->writing_bytes > KR_CONNECTION_WRITING_BYTES) {
        connection_close(connection);
        return;
    }
    binary_add_news(&serve->out, lost, (uint16_t)count, drops_all,
                    store_applied_index(serve->node->store));
    connection_flush(connection);
}

static void tell_news(struct binary *binary)
{
    while (has_news(binary)) {
        bool drops_all = false;
        size_t count = losses_read(binary->serve->node->losses, &binary->told, binary->lost,
                                   KR_BINARY_LOST_MAX, &drops_all);
        struct connection *next;
        for (struct connection *at = binary->subscribers; at != NULL; at = next) {
            next = at->next_subscriber;
            tell(at, binary->lost, count, drops_all);
        }
    }
}

// --- gathering -----------------------------------------------------------------------------------

static struct frame *add_frame(struct binary *binary, const struct binary_request *request)
{
    struct frame *frame = &binary->frames[binary->frame_count++];
    *frame = (struct frame){.tag = request->tag,
                            .op = request->op,
                            .first = (uint16_t)binary->question_count,
                            .count = request->count};
    return frame;
}

static void add_questions(struct binary *binary, const struct binary_request *request)
{
    const uint8_t *at = request->keys;
    for (unsigned i = 0; i < request->count; i++) {
        struct validate_question *question = &binary->questions[binary->question_count++];
        validate_init(question);
        question->ask.key = binary_next_key(&at);
        question->ask.bucket = request->bucket;
        question->ask.min_index = request->min_index;
        if (request->has_max_staleness)
            question->ask.max_staleness_ms = request->max_staleness_ms;
    }
}

enum gathered { KR_GATHERED_ALL, KR_GATHERED_PART, KR_GATHERED_LAST };

// Takes the connection's whole frames, as far as the round has room for them.
static enum gathered gather(struct binary *binary, struct connection *connection)
{
    struct binary_request request;
    enum binary_fault fault;
    size_t size = 0;
    connection_tls_unseal(connection);
    while (binary->question_count < KR_ROUND_KEYS && binary->frame_count < KR_ROUND_FRAMES) {
        switch (binary_conn_next(connection->binary, &request, &size, &fault)) {
        case KR_BINARY_MORE:
            if (connection_tls_has_more(connection))
                return KR_GATHERED_PART; // it finds space behind this round
            return connection->has_ended ? KR_GATHERED_LAST : KR_GATHERED_ALL;
        case KR_BINARY_BROKEN:
            request.count = 0;
            add_frame(binary, &request)->fault = fault;
            return KR_GATHERED_LAST;
        case KR_BINARY_FRAME:
            break;
        }
        if (must_wait(binary, connection, request.min_index) &&
            wait(binary, connection, request.min_index))
            return KR_GATHERED_ALL;
        connection->wait_until_ms = 0;
        if (request.op == KR_BINARY_SUBSCRIBE)
            subscribe(binary, connection);
        add_frame(binary, &request);
        add_questions(binary, &request);
        binary_conn_take(connection->binary, size);
    }
    return KR_GATHERED_PART;
}

// --- answering -----------------------------------------------------------------------------------

static void look_up(struct binary *binary)
{
    struct validate_question *asked[KR_ROUND_QUESTIONS];
    struct serve *serve = binary->serve;
    for (size_t i = 0; i < binary->question_count; i++)
        asked[i] = &binary->questions[i];
    if (binary->question_count > 0)
        validate_look_up(serve->node, asked, binary->question_count);
    serve->boot_ms = clock_boot_ms();
}

static uint32_t wire_age(uint64_t age_ms)
{
    return age_ms < KR_BINARY_AGE_UNKNOWN ? (uint32_t)age_ms : KR_BINARY_AGE_UNKNOWN;
}

// An answer that a subscriber keeps must not outlive its key's expiry, nor the age that its bucket
// allows: news come of neither.
static bool may_keep(const struct validate_question *question, int64_t now_ms)
{
    const struct store_found *found = &question->found;
    int64_t expires_ms = (int64_t)hot_record_u48(found->record->expires);
    int64_t most_ms = found->bucket->max_staleness_ms;
    return (expires_ms == 0 || expires_ms > now_ms + KR_BINARY_KEEP_MS) &&
           (most_ms == KR_UNBOUNDED || most_ms >= KR_REPLICA_WINDOW_MS);
}

static void add_verdict(struct serve *serve, const struct validate_question *question)
{
    struct binary_result result = {.code = (uint8_t)(question->code + 1)};
    const struct hot_subject *subject = question->found.subject;
    if (question->code == KR_VERDICT_VALID) {
        result.body = bytes_of(subject->texts, subject->json_size);
        result.may_keep = may_keep(question, serve->now_ms);
    }
    binary_add_result(&serve->out, &result);
    metrics_bump(&serve->metrics->verdicts[question->code], 1);
}

static void add_lease(struct serve *serve, uint32_t tag)
{
    const struct node *node = serve->node;
    uint64_t index = store_applied_index(node->store);
    uint64_t age_ms = replica_age_ms(node->replica, serve->boot_ms);
    uint64_t left_ms = age_ms < KR_REPLICA_WINDOW_MS ? KR_REPLICA_WINDOW_MS - age_ms : 0;
    binary_add_lease(&serve->out, tag, index, (uint32_t)left_ms);
}

static void answer(struct binary *binary, const struct frame *frame)
{
    struct serve *serve = binary->serve;
    uint64_t index = 0, age_ms = 0;
    if (frame->fault != KR_BINARY_NO_FAULT) {
        binary_add_error(&serve->out, frame->tag, frame->fault);
        return;
    }
    if (frame->op == KR_BINARY_SUBSCRIBE) {
        add_lease(serve, frame->tag);
        return;
    }
    if (frame->count == 0) { // asks how the node stands
        index = store_applied_index(serve->node->store);
        age_ms = replica_age_ms(serve->node->replica, serve->boot_ms);
    }
    size_t begin = binary_begin_answer(&serve->out, frame->tag, frame->count);
    for (size_t i = 0; i < frame->count; i++) {
        struct validate_question *question = &binary->questions[frame->first + i];
        if (validate_is_ahead(question))
            validate_give_up(question);
        validate_judge(serve->node, question, serve->now_ms, serve->boot_ms);
        add_verdict(serve, question);
        index = question->index;
        if (question->age_ms > age_ms)
            age_ms = question->age_ms;
    }
    binary_end_answer(&serve->out, begin, index, wire_age(age_ms));
}

// Its frames of this round are answered in serve->out. Crumbs of a frame move no deadline.
static void settle(struct connection *connection, enum gathered gathered, bool has_frames)
{
    binary_conn_release(connection->binary);
    bool is_open = connection->state == KR_CONNECTION_OPEN;
    if (!is_open || gathered == KR_GATHERED_LAST)
        uv_read_stop(&connection->uv.stream);
    if (is_open && gathered == KR_GATHERED_LAST)
        connection->state = KR_CONNECTION_DRAINING;
    connection_flush(connection);
    if (connection->state != KR_CONNECTION_OPEN)
        return;
    if (has_frames)
        connection_deadline(connection);
    if (gathered == KR_GATHERED_PART || connection_owes(connection))
        connection_go_on(connection);
}

static void count(struct binary *binary, uint64_t begin_ns)
{
    size_t refused = 0;
    uint64_t taken_ns = clock_mono_ns() - begin_ns;
    struct metrics *metrics = binary->serve->metrics;
    for (size_t i = 0; i < binary->frame_count; i++)
        refused += binary->frames[i].fault != KR_BINARY_NO_FAULT;
    metrics_requests(metrics, KR_METRICS_BINARY, 200, taken_ns, binary->frame_count - refused);
    metrics_requests(metrics, KR_METRICS_BINARY, 400, taken_ns, refused);
    metrics_bump(&metrics->requests_refused, refused);
}

struct party {
    struct connection *connection;
    enum gathered gathered;
    size_t frames; // of this round, up to and with its own
};

static void run_round(struct binary *binary)
{
    struct party parties[KR_ROUND_FRAMES];
    size_t party_count = 0, at = 0;
    uint64_t begin_ns = clock_mono_ns();
    binary->frame_count = binary->question_count = 0;
    while (binary->ready.first != NULL && party_count < KR_ROUND_FRAMES &&
           binary->question_count < KR_ROUND_KEYS && binary->frame_count < KR_ROUND_FRAMES) {
        struct connection *connection = serve_line_take(&binary->ready);
        if (connection->state != KR_CONNECTION_OPEN)
            continue;
        enum gathered gathered = gather(binary, connection);
        parties[party_count++] = (struct party){connection, gathered, binary->frame_count};
    }
    look_up(binary);
    for (size_t i = 0; i < party_count; i++) {
        bool has_frames = at < parties[i].frames;
        while (at < parties[i].frames)
            answer(binary, &binary->frames[at++]);
        settle(parties[i].connection, parties[i].gathered, has_frames);
    }
    count(binary, begin_ns);
}

void binary_run(struct binary *binary)
{
    tell_news(binary);
    if (binary->ready.first == NULL)
        return;
    binary->serve->now_ms = clock_unix_ms();
    while (binary->ready.first != NULL)
        run_round(binary);
}
