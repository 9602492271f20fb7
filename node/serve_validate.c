// SPDX-License-Identifier: Apache-2.0
// POST /v1/validate and /v1/validate/$batch: body → questions → answers, as JSON or protobuf.
#include "node/serve_internal.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "node/explain.h"
#include "node/validate_body.h"

#define KR_TYPE_JSON "application/json"
#define KR_TYPE_PROTOBUF "application/x-protobuf"
#define KR_FORMS_TEXT "Content-Type: application/json or application/x-protobuf"

static bool is_type(struct bytes value, const char *type)
{
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] == ';' || value.data[i] == ' ')
            value.size = i;
    }
    return bytes_equal_text_nocase(value, type);
}

// JSON unless the body says otherwise; curl's default form type passes, as the body decides anyway.
static enum kr_err choose_form(struct job *job)
{
    struct bytes type = http_request_value(&job->request, "content-type");
    job->wants_protobuf = false;
    if (bytes_equal_text_nocase(type, KR_TYPE_JSON))
        return KR_ERR_OK;
    job->wants_protobuf = is_type(type, KR_TYPE_PROTOBUF);
    if (job->wants_protobuf || type.size == 0 || is_type(type, KR_TYPE_JSON) ||
        is_type(type, "application/x-www-form-urlencoded"))
        return KR_ERR_OK;
    return KR_ERR_MEDIA_TYPE;
}

// Of the header: each question's own minIndex may be higher.
static enum kr_err read_min_index(const struct job *job, struct validate_question *questions,
                                  size_t count, struct fault *fault)
{
    struct bytes value = http_request_value(&job->request, "keyreeve-min-index");
    uint64_t least;
    if (value.size == 0)
        return KR_ERR_OK;
    if (!text_decimal(value, INT64_MAX, &least))
        return fault_set(fault, KR_ERR_INVALID, "Keyreeve-Min-Index: not a number");
    for (size_t i = 0; i < count; i++)
        if (questions[i].ask.min_index < least)
            questions[i].ask.min_index = least;
    return KR_ERR_OK;
}

static enum kr_err read_one(struct job *job, struct bytes body, struct fault *fault)
{
    struct serve *serve = job->connection->serve;
    struct validate_question *question = &job->question;
    if (!job->wants_protobuf)
        return validate_body(body, &serve->scratch, question, fault);
    if (codec_validation_ask(body, &serve->scratch, &question->ask) != KR_ERR_OK)
        return fault_set(fault, KR_ERR_INVALID, "body: not a keyreeve.v1.ValidateRequest");
    return validate_body_address(question, fault);
}

// An explanation tells more than the code does, so it is for holders of a management token.
static enum kr_err check_explain(struct job *job, struct fault *fault)
{
    struct access access;
    const char *reason = "its management token may read nothing";
    enum kr_err err = KR_ERR_UNAUTHORIZED;
    if (!serve_call_token(job->connection->serve, &job->request, &access))
        err = serve_call_unknown(job, &reason);
    else if (access_allows(&access, KR_RIGHT_READ))
        return KR_ERR_OK;
    return fault_set(fault, err, "explain: %s", reason);
}

// Fills the question; false when the job's fault says why it cannot be judged.
static bool read_question(struct job *job, struct bytes body)
{
    struct fault fault = {0};
    enum kr_err err = read_one(job, body, &fault);
    if (err == KR_ERR_OK)
        err = read_min_index(job, &job->question, 1, &fault);
    if (err == KR_ERR_OK && job->question.ask.wants_explanation)
        err = check_explain(job, &fault);
    job->fault = err;
    if (err != KR_ERR_OK)
        job->fault_text = arena_text(&job->connection->serve->scratch, fault.text);
    return err == KR_ERR_OK;
}

bool serve_validate_ask(struct job *job)
{
    validate_init(&job->question);
    job->fault = choose_form(job);
    job->fault_text = KR_FORMS_TEXT;
    return job->fault == KR_ERR_OK && read_question(job, job->request.body);
}

bool serve_validate_ask_message(struct job *job, struct bytes message)
{
    validate_init(&job->question);
    job->wants_protobuf = true;
    return read_question(job, message);
}

// --- answers -------------------------------------------------------------------------------------

static void render(struct serve *serve, const struct validate_question *question,
                   bool wants_protobuf)
{
    if (wants_protobuf) {
        struct validate_scratch scratch;
        struct validation_answer answer;
        validate_answer(serve->node, question, &scratch, &answer);
        codec_add_validation_answer(&serve->body, &answer);
        return;
    }
    validate_write_json(&serve->body, question, buf_bytes(&serve->node_json));
    if (question->ask.wants_explanation)
        explain_add(&serve->body, question, serve->now_ms);
}

static void reply(struct job *job, unsigned status)
{
    struct serve *serve = job->connection->serve;
    if (buf_result(&serve->body) != KR_ERR_OK) {
        serve_reply_problem(job, KR_ERR_TOO_LARGE, "the answer is too large; ask for fewer keys");
        return;
    }
    serve_reply_begin(job, status);
    if (status == 503)
        http_reply_field_text(&serve->out, "Retry-After", "1");
    http_reply_end(&serve->out, &job->request, status,
                   job->wants_protobuf ? KR_TYPE_PROTOBUF : KR_TYPE_JSON, buf_bytes(&serve->body));
    turn_count(job, status);
}

void serve_validate_reply(struct job *job)
{
    struct serve *serve = job->connection->serve;
    if (job->fault != KR_ERR_OK) {
        serve_reply_problem(job, job->fault, job->fault_text);
        return;
    }
    buf_clear(&serve->body);
    render(serve, &job->question, job->wants_protobuf);
    reply(job, validate_can_tell(job->question.code) ? 200 : 503);
}

void serve_validate_message(struct job *job)
{
    render(job->connection->serve, &job->question, true);
}

// --- batches -------------------------------------------------------------------------------------

static enum kr_err read_json_batch(struct serve *serve, const struct json *root, size_t *count,
                                   struct fault *fault)
{
    if (json_type_of(root) != KR_JSON_ARRAY)
        return fault_set(fault, KR_ERR_INVALID, "body: expected an array of questions, found %s",
                         json_type_name(json_type_of(root)));
    if (json_size(root) > KR_VALIDATION_BATCH_MAX)
        return fault_set(fault, KR_ERR_INVALID, "body: at most %d questions",
                         KR_VALIDATION_BATCH_MAX);
    *count = json_size(root);
    for (size_t i = 0; i < *count; i++) {
        struct fault inner = {0};
        validate_init(&serve->batch[i]);
        enum kr_err err =
            validate_body_element(json_at(root, i), &serve->scratch, &serve->batch[i], &inner);
        if (err != KR_ERR_OK)
            return fault_set(fault, err, "[%zu].%s", i, inner.text);
    }
    return KR_ERR_OK;
}

static enum kr_err read_protobuf_batch(struct serve *serve, struct bytes body, size_t *count,
                                       struct fault *fault)
{
    struct validation_ask *asks = NULL;
    if (codec_validation_batch(body, &serve->scratch, &asks, count) != KR_ERR_OK)
        return fault_set(fault, KR_ERR_INVALID, "body: not a keyreeve.v1.ValidateBatchRequest");
    for (size_t i = 0; i < *count; i++) {
        validate_init(&serve->batch[i]);
        serve->batch[i].ask = asks[i];
        enum kr_err err = validate_body_address(&serve->batch[i], fault);
        if (err != KR_ERR_OK)
            return err;
    }
    return KR_ERR_OK;
}

static enum kr_err read_batch(struct job *job, struct bytes body, size_t *count,
                              struct fault *fault)
{
    struct serve *serve = job->connection->serve;
    if (job->wants_protobuf)
        return read_protobuf_batch(serve, body, count, fault);
    struct json *root = NULL;
    enum kr_err err = json_parse(body, &root, fault);
    if (err == KR_ERR_OK)
        err = read_json_batch(serve, root, count, fault);
    json_free(&root);
    return err;
}

static void judge_batch(struct serve *serve, size_t count)
{
    struct validate_question *some[KR_SERVE_JOBS];
    for (size_t done = 0; done < count; done += KR_SERVE_JOBS) {
        size_t part = count - done < KR_SERVE_JOBS ? count - done : KR_SERVE_JOBS;
        for (size_t i = 0; i < part; i++)
            some[i] = &serve->batch[done + i];
        validate_look_up(serve->node, some, part);
        serve->boot_ms = clock_boot_ms();
        for (size_t i = 0; i < part; i++) {
            if (validate_is_ahead(some[i]))
                validate_give_up(some[i]);
            validate_judge(serve->node, some[i], serve->now_ms, serve->boot_ms);
            metrics_bump(&serve->metrics->verdicts[some[i]->code], 1);
        }
    }
}

static void render_batch(struct serve *serve, size_t count, bool wants_protobuf)
{
    if (!wants_protobuf)
        buf_add_text(&serve->body, "{\"results\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && !wants_protobuf)
            buf_add_text(&serve->body, ",");
        if (!wants_protobuf)
            render(serve, &serve->batch[i], false);
    }
    if (!wants_protobuf) {
        buf_add_text(&serve->body, "]}");
        return;
    }
    struct validate_scratch *scratch = arena_alloc(&serve->scratch, count * sizeof(*scratch));
    struct validation_answer *answers = arena_alloc(&serve->scratch, count * sizeof(*answers));
    for (size_t i = 0; i < count; i++)
        validate_answer(serve->node, &serve->batch[i], &scratch[i], &answers[i]);
    codec_add_validation_answers(&serve->body, answers, count);
}

// A batch is answered within its turn: what the index alone could tell is UNAVAILABLE, an index
// that the node has not reached is STALE, each for itself.
static enum kr_err answer_batch(struct job *job, struct bytes body, struct fault *fault)
{
    struct serve *serve = job->connection->serve;
    size_t count = 0;
    if (serve_call_owes(serve, false))
        return fault_set(fault, KR_ERR_BUSY, KR_UNTAKEN_TEXT);
    enum kr_err err = read_batch(job, body, &count, fault);
    if (err == KR_ERR_OK)
        err = read_min_index(job, serve->batch, count, fault);
    bool wants_explanation = false;
    for (size_t i = 0; i < count && err == KR_ERR_OK; i++)
        wants_explanation |= serve->batch[i].ask.wants_explanation;
    if (wants_explanation)
        err = check_explain(job, fault);
    if (err != KR_ERR_OK)
        return err;
    judge_batch(serve, count);
    buf_clear(&serve->body);
    render_batch(serve, count, job->wants_protobuf);
    return KR_ERR_OK;
}

void serve_validate_batch(struct job *job)
{
    struct fault fault = {0};
    enum kr_err err = choose_form(job);
    if (err == KR_ERR_OK)
        err = answer_batch(job, job->request.body, &fault);
    else
        fault_set(&fault, err, KR_FORMS_TEXT);
    if (err != KR_ERR_OK)
        serve_reply_problem(job, err, fault.text);
    else
        reply(job, 200);
}

enum kr_err serve_validate_batch_message(struct job *job, struct bytes message, struct fault *fault)
{
    job->wants_protobuf = true;
    return answer_batch(job, message, fault);
}
