// SPDX-License-Identifier: Apache-2.0
// Tests of gRPC's methods: where a check finds its key and its address, and what the answers are.
#include "grpc_fixture.h"

#include <inttypes.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the three above.
#include <cmocka.h>

#define KR_CHECK "/envoy.service.auth.v3.Authorization/Check"
#define KR_VALIDATE "/keyreeve.v1.Validation/Validate"
#define KR_HEALTH "/grpc.health.v1.Health/Check"

// --- messages ------------------------------------------------------------------------------------

// A message under construction; each in memory of its own.
struct message {
    struct buf bytes;
    uint8_t memory[2048];
};

static void begin(struct message *message)
{
    buf_init_fixed(&message->bytes, message->memory, sizeof(message->memory));
}

static void add_text(struct message *message, unsigned number, const char *text)
{
    codec_wire_add_bytes(&message->bytes, number, bytes_text(text));
}

static void add_message(struct message *message, unsigned number, const struct message *inner)
{
    codec_wire_add_head(&message->bytes, number, inner->bytes.size);
    buf_add_bytes(&message->bytes, buf_bytes(&inner->bytes));
}

static void add_pair(struct message *message, unsigned number, const char *name, const char *value)
{
    struct message pair;
    begin(&pair);
    add_text(&pair, 1, name);
    add_text(&pair, 2, value);
    add_message(message, number, &pair);
}

// A check: of the request's parts first, then of the attributes', then closed.
struct check {
    struct message http, attributes, whole;
};

static void check_begin(struct check *check)
{
    begin(&check->http);
    begin(&check->attributes);
    begin(&check->whole);
}

static void check_header(struct check *check, const char *name, const char *value)
{
    add_pair(&check->http, 3, name, value);
}

static void check_raw_header(struct check *check, const char *name, const char *value)
{
    struct message header, map;
    begin(&header);
    begin(&map);
    add_text(&header, 1, name);
    add_text(&header, 3, value);
    add_message(&map, 1, &header);
    add_message(&check->http, 13, &map);
}

static void check_extension(struct check *check, const char *name, const char *value)
{
    add_pair(&check->attributes, 10, name, value);
}

static void check_source(struct check *check, const char *address)
{
    struct message socket, holder, peer;
    begin(&socket);
    begin(&holder);
    begin(&peer);
    add_text(&socket, 2, address);
    add_message(&holder, 1, &socket);
    add_message(&peer, 1, &holder);
    add_message(&check->attributes, 1, &peer);
}

static struct bytes check_end(struct check *check)
{
    struct message request;
    begin(&request);
    add_message(&request, 2, &check->http);
    add_message(&check->attributes, 4, &request);
    add_message(&check->whole, 1, &check->attributes);
    assert_int_equal(buf_result(&check->whole.bytes), KR_ERR_OK);
    return buf_bytes(&check->whole.bytes);
}

// --- the world -----------------------------------------------------------------------------------

static int set_up(void **state)
{
    *state = grpc_world_new();
    return 0;
}

static int tear_down(void **state)
{
    struct grpc_world *world = *state;
    grpc_world_free(&world);
    return 0;
}

static struct grpc_end call(struct grpc_world *world, const char *path, struct bytes message,
                            enum verdict_code code)
{
    const struct grpc_method *method = grpc_world_method(path);
    assert_non_null(method);
    return grpc_world_call(world, method, message, code);
}

static struct bytes answer_of(const struct grpc_world *world)
{
    return buf_bytes(&world->serve.body);
}

static uint64_t http_status(const struct grpc_world *world)
{
    struct bytes denied = grpc_world_field(answer_of(world), 2, 0);
    return grpc_world_number(grpc_world_field(denied, 1, 0), 1);
}

// Of a response, allowed (3) or denied (2); NULL data: there is none.
static struct bytes header_of(const struct grpc_world *world, uint32_t response, const char *name)
{
    struct bytes all = grpc_world_field(answer_of(world), response, 0);
    for (size_t i = 0; i < grpc_world_count(all, 2); i++) {
        struct bytes header = grpc_world_field(grpc_world_field(all, 2, i), 1, 0);
        if (bytes_equal_text(grpc_world_field(header, 1, 0), name)) {
            struct bytes value = grpc_world_field(header, 2, 0);
            return value.data == NULL ? bytes_text("") : value;
        }
    }
    return (struct bytes){0};
}

static void assert_header(const struct grpc_world *world, uint32_t response, const char *name,
                          const char *wanted)
{
    struct bytes value = header_of(world, response, name);
    if (value.data == NULL || !bytes_equal_text(value, wanted))
        fail_msg("%s is \"%.*s\"", name, (int)value.size, (const char *)value.data);
}

static void assert_metadata(const struct grpc_world *world, const char *name, const char *wanted)
{
    struct bytes metadata = grpc_world_field(answer_of(world), 4, 0);
    for (size_t i = 0; i < grpc_world_count(metadata, 1); i++) {
        struct bytes entry = grpc_world_field(metadata, 1, i);
        if (!bytes_equal_text(grpc_world_field(entry, 1, 0), name))
            continue;
        struct bytes value = grpc_world_field(grpc_world_field(entry, 2, 0), 3, 0);
        if (!bytes_equal_text(value, wanted))
            fail_msg("%s is \"%.*s\"", name, (int)value.size, (const char *)value.data);
        return;
    }
    fail_msg("no %s in the metadata", name);
}

// --- asking --------------------------------------------------------------------------------------

static void a_check_finds_its_key_in_either_form_of_headers(void **state)
{
    struct grpc_world *world = *state;
    struct check check;
    check_begin(&check);
    check_header(&check, "authorization", "Bearer K1");
    call(world, KR_CHECK, check_end(&check), KR_VERDICT_VALID);
    assert_true(world->job.has_question);
    assert_true(bytes_equal_text(world->job.question.ask.key, "K1"));
    check_begin(&check);
    check_raw_header(&check, "x-api-key", "K2");
    call(world, KR_CHECK, check_end(&check), KR_VERDICT_VALID);
    assert_true(world->job.has_question);
    assert_true(bytes_equal_text(world->job.question.ask.key, "K2"));
}

static void a_check_finds_its_key_in_the_query_where_that_is_configured(void **state)
{
    struct grpc_world *world = *state;
    static char name[] = "apikey", off[] = ""; // the world keeps them
    struct check check;
    check_begin(&check);
    add_text(&check.http, 4, "/a?b=c&apikey=K1");
    struct bytes message = check_end(&check);
    call(world, KR_CHECK, message, KR_VERDICT_VALID);
    assert_false(world->job.has_question);
    world->config.credential_query = name;
    call(world, KR_CHECK, message, KR_VERDICT_VALID);
    assert_true(bytes_equal_text(world->job.question.ask.key, "K1"));
    world->config.credential_query = off;
}

static void no_key_and_two_keys_are_refused(void **state)
{
    struct grpc_world *world = *state;
    struct check check;
    assert_int_equal(call(world, KR_CHECK, (struct bytes){0}, KR_VERDICT_VALID).status, KR_GRPC_OK);
    assert_int_equal(http_status(world), 401);
    assert_header(world, 2, "www-authenticate", "Bearer realm=\"keyreeve\"");
    check_begin(&check);
    check_header(&check, "x-api-key", "K1");
    check_raw_header(&check, "x-api-key", "K2");
    call(world, KR_CHECK, check_end(&check), KR_VERDICT_VALID);
    assert_false(world->job.has_question);
    assert_int_equal(http_status(world), 401);
    assert_header(world, 2, "www-authenticate",
                  "Bearer realm=\"keyreeve\", error=\"invalid_token\"");
}

static void extensions_say_what_a_key_must_have(void **state)
{
    struct grpc_world *world = *state;
    const struct validation_ask *ask = &world->job.question.ask;
    struct check check;
    check_begin(&check);
    check_header(&check, "x-api-key", "K1");
    check_extension(&check, "virtual_host", "passed over");
    check_extension(&check, "bucket", "production");
    check_extension(&check, "scopes", "a,,b");
    call(world, KR_CHECK, check_end(&check), KR_VERDICT_VALID);
    assert_true(bytes_equal_text(ask->bucket, "production"));
    assert_int_equal(ask->scope_count, 2);
    assert_true(bytes_equal_text(ask->scopes[1], "b"));
}

static void extensions_that_nobody_understands_let_nobody_in(void **state)
{
    struct grpc_world *world = *state;
    static const char *const buckets[][2] = {{"", NULL}, {"a", "b"}};
    static const char *const nothing[] = {"", ","};
    char many[3 * KR_VALIDATION_SCOPES_MAX + 1] = "";
    for (size_t i = 0; i <= KR_VALIDATION_SCOPES_MAX; i++)
        strcat(many, "s,");
    for (size_t i = 0; i < 5; i++) {
        struct check check;
        check_begin(&check);
        check_header(&check, "x-api-key", "K1");
        if (i >= 2)
            check_extension(&check, "scopes", i == 2 ? many : nothing[i - 3]);
        for (size_t k = 0; i < 2 && k < 2 && buckets[i][k] != NULL; k++)
            check_extension(&check, "bucket", buckets[i][k]);
        struct grpc_end end = call(world, KR_CHECK, check_end(&check), KR_VERDICT_VALID);
        assert_false(world->job.has_question);
        assert_int_equal(end.status, KR_GRPC_UNAVAILABLE);
    }
}

static void expect_client(struct grpc_world *world, const char *source, const char *forwarded,
                          const char *wanted)
{
    struct cidr_address expected;
    struct check check;
    check_begin(&check);
    check_header(&check, "x-api-key", "K1");
    if (forwarded != NULL)
        check_header(&check, "x-forwarded-for", forwarded);
    if (source != NULL)
        check_source(&check, source);
    call(world, KR_CHECK, check_end(&check), KR_VERDICT_VALID);
    const struct validate_question *question = &world->job.question;
    assert_true(question->has_address == (wanted != NULL));
    if (wanted == NULL)
        return;
    assert_true(cidr_parse_address(bytes_text(wanted), &expected));
    assert_memory_equal(&question->address, &expected, sizeof(expected));
}

static void the_source_is_believed_of_a_trusted_gateway_alone(void **state)
{
    struct grpc_world *world = *state;
    world->connection.is_trusted = false;
    world->connection.has_peer = true;
    assert_true(cidr_parse_address(bytes_text("203.0.113.9"), &world->connection.peer));
    expect_client(world, "192.0.2.7", "192.0.2.8", "203.0.113.9");
    world->connection.is_trusted = true;
    expect_client(world, "192.0.2.7", "192.0.2.8", "192.0.2.7");
    expect_client(world, "10.1.1.1", "192.0.2.8, 10.2.2.2", "192.0.2.8");
    expect_client(world, "10.1.1.1", NULL, NULL);
    expect_client(world, "/run/envoy.sock", "192.0.2.8", NULL);
    expect_client(world, NULL, "192.0.2.8", NULL);
}

static void what_is_no_check_is_an_invalid_argument(void **state)
{
    struct grpc_world *world = *state;
    struct grpc_end end = call(world, KR_CHECK, bytes_text("\x0a\x05"), KR_VERDICT_VALID);
    assert_int_equal(end.status, KR_GRPC_INVALID_ARGUMENT);
    assert_non_null(strstr(end.text, "CheckRequest"));
    struct check check;
    check_begin(&check);
    for (size_t i = 0; i <= KR_CHECK_EXTENSIONS_MAX; i++)
        check_extension(&check, "a", "b");
    end = call(world, KR_CHECK, check_end(&check), KR_VERDICT_VALID);
    assert_int_equal(end.status, KR_GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(answer_of(world).size, 0);
}

static void more_than_a_client_may_send_is_refused_and_does_not_fail(void **state)
{
    struct grpc_world *world = *state;
    struct check check;
    check_begin(&check);
    for (size_t i = 0; i <= KR_CHECK_HEADERS_MAX; i++)
        check_header(&check, "cookie", "a=b");
    struct grpc_end end = call(world, KR_CHECK, check_end(&check), KR_VERDICT_VALID);
    assert_int_equal(end.status, KR_GRPC_OK);
    assert_false(world->job.has_question);
    assert_int_equal(http_status(world), 431);
    buf_clear(&world->serve.body);
    end = grpc_world_method(KR_CHECK)->refuse(&world->job);
    assert_int_equal(end.status, KR_GRPC_OK);
    assert_int_equal(http_status(world), 413);
}

// --- answering -----------------------------------------------------------------------------------

static struct grpc_end judge(struct grpc_world *world, enum verdict_code code)
{
    static struct check check;
    check_begin(&check);
    check_header(&check, "x-api-key", "the-key-itself");
    check_header(&check, "authorization", "Digest of-another-kind");
    return call(world, KR_CHECK, check_end(&check), code);
}

static void who_is_let_in_has_the_whole_identity_overwritten(void **state)
{
    struct grpc_world *world = *state;
    world->found.extra = &world->extra;
    assert_int_equal(judge(world, KR_VERDICT_VALID).status, KR_GRPC_OK);
    struct bytes allowed = grpc_world_field(answer_of(world), 3, 0);
    assert_int_equal(grpc_world_count(allowed, 2), 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(grpc_world_number(grpc_world_field(allowed, 2, i), 3), 2);
    assert_header(world, 3, "x-consumer-id", "csmr_000000000000000000000001");
    assert_header(world, 3, "x-consumer-name", "acme  x-key-scopes: all"); // no line of its own
    assert_header(world, 3, "x-consumer-metadata", "eyJwbGFuIjoiZ29sZCJ9");
    assert_header(world, 3, "x-key-scopes", "orders:read,odd scope");
    assert_header(world, 3, "x-key-expires", "");
    assert_header(world, 3, "x-environment", "production");
    assert_metadata(world, "code", "VALID");
    assert_metadata(world, "consumerName", "acme\r\nx-key-scopes: all");
    assert_metadata(world, "bucket", "production");
    world->found.extra = NULL;
}

static void the_header_with_the_key_is_removed_and_no_other(void **state)
{
    struct grpc_world *world = *state;
    judge(world, KR_VERDICT_VALID);
    struct bytes allowed = grpc_world_field(answer_of(world), 3, 0);
    assert_int_equal(grpc_world_count(allowed, 5), 1);
    assert_true(bytes_equal_text(grpc_world_field(allowed, 5, 0), "X-API-Key"));
}

static void refusals_are_real_ones_and_tell_no_identity(void **state)
{
    static const struct {
        enum verdict_code code;
        uint64_t status, http;
    } rows[] = {
        {KR_VERDICT_MALFORMED, 16, 401},   {KR_VERDICT_NOT_FOUND, 16, 401},
        {KR_VERDICT_REVOKED, 16, 401},     {KR_VERDICT_DISABLED, 16, 401},
        {KR_VERDICT_EXPIRED, 16, 401},     {KR_VERDICT_NOT_YET_VALID, 16, 401},
        {KR_VERDICT_FORBIDDEN, 7, 403},    {KR_VERDICT_INSUFFICIENT_SCOPE, 7, 403},
        {KR_VERDICT_RATE_LIMITED, 8, 429}, {KR_VERDICT_QUOTA_EXCEEDED, 8, 429},
    };
    struct grpc_world *world = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(judge(world, rows[i].code).status, KR_GRPC_OK);
        struct bytes answer = answer_of(world);
        struct bytes denied = grpc_world_field(answer, 2, 0);
        assert_int_equal(grpc_world_number(grpc_world_field(answer, 1, 0), 1), rows[i].status);
        assert_int_equal(http_status(world), rows[i].http);
        assert_true(
            bytes_equal(grpc_world_field(denied, 3, 0), skin_problem((unsigned)rows[i].http)));
        assert_metadata(world, "code", verdict_text(rows[i].code));
        assert_null(memmem(answer.data, answer.size, "acme", 4));
        assert_null(memmem(answer.data, answer.size, "the-key-itself", 14));
        assert_true((header_of(world, 2, "retry-after").data != NULL) == (rows[i].http == 429));
        assert_true((header_of(world, 2, "www-authenticate").data != NULL) ==
                    (rows[i].http == 401));
        assert_header(world, 2, "content-type", "application/problem+json");
    }
}

static void who_cannot_be_judged_ends_the_call(void **state)
{
    struct grpc_world *world = *state;
    static const enum verdict_code codes[] = {KR_VERDICT_STALE, KR_VERDICT_UNAVAILABLE};
    for (size_t i = 0; i < 2; i++) {
        struct grpc_end end = judge(world, codes[i]);
        assert_int_equal(end.status, KR_GRPC_UNAVAILABLE);
        assert_non_null(strstr(end.text, verdict_text(codes[i])));
        assert_int_equal(answer_of(world).size, 0);
    }
}

// --- Validation, Health --------------------------------------------------------------------------

static void a_validation_is_asked_and_answered(void **state)
{
    struct grpc_world *world = *state;
    struct message ask;
    begin(&ask);
    add_text(&ask, 1, "K1");
    add_text(&ask, 2, "production");
    assert_int_equal(call(world, KR_VALIDATE, buf_bytes(&ask.bytes), KR_VERDICT_VALID).status,
                     KR_GRPC_OK);
    assert_true(bytes_equal_text(world->job.question.ask.key, "K1"));
    assert_int_equal(grpc_world_number(answer_of(world), 1), 1);
    assert_true(bytes_equal_text(grpc_world_field(answer_of(world), 3, 0), "VALID"));
    call(world, KR_VALIDATE, buf_bytes(&ask.bytes), KR_VERDICT_REVOKED);
    assert_int_equal(grpc_world_number(answer_of(world), 1), 0);
    assert_true(bytes_equal_text(grpc_world_field(answer_of(world), 3, 0), "REVOKED"));
}

static void a_validation_that_cannot_be_taken_says_why(void **state)
{
    struct grpc_world *world = *state;
    struct message ask;
    struct grpc_end end = call(world, KR_VALIDATE, bytes_text("\x08\x01"), KR_VERDICT_VALID);
    assert_int_equal(end.status, KR_GRPC_INVALID_ARGUMENT);
    begin(&ask);
    add_text(&ask, 4, "nowhere");
    end = call(world, KR_VALIDATE, buf_bytes(&ask.bytes), KR_VERDICT_VALID);
    assert_int_equal(end.status, KR_GRPC_INVALID_ARGUMENT);
    assert_non_null(strstr(end.text, "ip"));
    begin(&ask);
    codec_wire_add_number(&ask.bytes, 9, 1);
    end = call(world, KR_VALIDATE, buf_bytes(&ask.bytes), KR_VERDICT_VALID);
    assert_int_equal(end.status, KR_GRPC_UNAUTHENTICATED);
    begin(&ask);
    add_text(&ask, 1, "K1");
    end = call(world, KR_VALIDATE, buf_bytes(&ask.bytes), KR_VERDICT_STALE);
    assert_int_equal(end.status, KR_GRPC_UNAVAILABLE);
}

static void health_knows_the_services_and_says_that_the_node_is_not_ready(void **state)
{
    static const char *const services[] = {"", "envoy.service.auth.v3.Authorization",
                                           "keyreeve.v1.Validation"};
    struct grpc_world *world = *state;
    struct message ask;
    for (size_t i = 0; i < 3; i++) {
        begin(&ask);
        add_text(&ask, 1, services[i]);
        struct grpc_end end = call(world, KR_HEALTH, buf_bytes(&ask.bytes), KR_VERDICT_VALID);
        assert_int_equal(end.status, KR_GRPC_OK);
        assert_int_equal(grpc_world_number(answer_of(world), 1), KR_HEALTH_NOT_SERVING);
    }
    begin(&ask);
    add_text(&ask, 1, "keyreeve.v1.Other");
    assert_int_equal(call(world, KR_HEALTH, buf_bytes(&ask.bytes), KR_VERDICT_VALID).status,
                     KR_GRPC_NOT_FOUND);
    assert_int_equal(call(world, KR_HEALTH, bytes_text("\x08"), KR_VERDICT_VALID).status,
                     KR_GRPC_INVALID_ARGUMENT);
}

static void a_deadline_is_as_far_away_as_its_digits_and_unit_say(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } deadlines[] = {
        {"0n", 0},
        {"1n", 1},
        {"1000001n", 2},
        {"1001u", 2},
        {"60000m", 60000},
        {"60S", 60000},
        {"1M", 60000},
        {"99999999M", UINT64_C(99999999) * 60000},
        {"1H", 3600000},
        {"5124095H", UINT64_C(5124095) * 3600000},
        {"5124096H", UINT64_C(5124096) * 3600000}, // in nanoseconds, more than 64 bits
        {"99999999H", UINT64_C(99999999) * 3600000},
    };
    struct grpc_world *world = *state;
    struct job *job = &world->job;
    job->is_grpc = true;
    job->request.field_count = 1;
    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
        job->request.fields[0] =
            (struct http_field){bytes_text("grpc-timeout"), bytes_text(deadlines[i].text)};
        assert_false(serve_grpc_ask(job)); // there is no message
        if (job->deadline_ms != uv_now(&world->serve.loop) + deadlines[i].ms)
            fail_msg("%s is %" PRIu64 " ms", deadlines[i].text, job->deadline_ms);
    }
    job->request.field_count = 0;
    job->is_grpc = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_finds_its_key_in_either_form_of_headers),
        cmocka_unit_test(a_check_finds_its_key_in_the_query_where_that_is_configured),
        cmocka_unit_test(no_key_and_two_keys_are_refused),
        cmocka_unit_test(extensions_say_what_a_key_must_have),
        cmocka_unit_test(extensions_that_nobody_understands_let_nobody_in),
        cmocka_unit_test(the_source_is_believed_of_a_trusted_gateway_alone),
        cmocka_unit_test(what_is_no_check_is_an_invalid_argument),
        cmocka_unit_test(more_than_a_client_may_send_is_refused_and_does_not_fail),
        cmocka_unit_test(who_is_let_in_has_the_whole_identity_overwritten),
        cmocka_unit_test(the_header_with_the_key_is_removed_and_no_other),
        cmocka_unit_test(refusals_are_real_ones_and_tell_no_identity),
        cmocka_unit_test(who_cannot_be_judged_ends_the_call),
        cmocka_unit_test(a_validation_is_asked_and_answered),
        cmocka_unit_test(a_validation_that_cannot_be_taken_says_why),
        cmocka_unit_test(health_knows_the_services_and_says_that_the_node_is_not_ready),
        cmocka_unit_test(a_deadline_is_as_far_away_as_its_digits_and_unit_say),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
