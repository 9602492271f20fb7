// SPDX-License-Identifier: Apache-2.0
// Tests of the verdict: each check alone, every pair of faults against the order, the boundaries.
#include "core/keys/verdict.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW_MS 1000

static const char *const held_texts[] = {"read", "write"};
static const struct texts held = {held_texts, 2};

// One fault each, in the order in which they are judged.
enum fault_kind {
    IS_REVOKED,
    IS_REVOKED_BEFORE,
    IS_DISABLED,
    IS_EARLY,
    IS_LATE,
    IS_ELSEWHERE,
    IS_FOREIGN_ADDRESS,
    LACKS_SCOPE,
    FAULT_COUNT
};

static const enum verdict_code codes[FAULT_COUNT] = {
    KR_VERDICT_REVOKED, KR_VERDICT_REVOKED,   KR_VERDICT_DISABLED,  KR_VERDICT_NOT_YET_VALID,
    KR_VERDICT_EXPIRED, KR_VERDICT_FORBIDDEN, KR_VERDICT_FORBIDDEN, KR_VERDICT_INSUFFICIENT_SCOPE};

// A key and a request with exactly these faults, one bit each.
static enum verdict_code judge_with(unsigned faults)
{
    static const struct bytes good[] = {{(const uint8_t *)"write", 5}};
    static const struct bytes bad[] = {{(const uint8_t *)"write", 5}, {(const uint8_t *)"adm", 3}};
    struct cidr allowed;
    struct cidr_address inside, outside;
    assert_true(cidr_parse(bytes_text("10.0.0.0/8"), &allowed));
    assert_true(cidr_parse_address(bytes_text("10.1.2.3"), &inside));
    assert_true(cidr_parse_address(bytes_text("11.1.2.3"), &outside));
    struct verdict_key key = {.revision = 7,
                              .revoked_before = faults & 1u << IS_REVOKED_BEFORE ? 7 : 6,
                              .expires_ms = faults & 1u << IS_LATE ? NOW_MS : NOW_MS + 1,
                              .not_before_ms = faults & 1u << IS_EARLY ? NOW_MS + 1 : NOW_MS,
                              .is_revoked = faults & 1u << IS_REVOKED,
                              .is_enabled = !(faults & 1u << IS_DISABLED),
                              .bucket = 3,
                              .scopes = &held,
                              .ip_allow = &allowed,
                              .ip_allow_count = 1};
    struct verdict_request request = {.now_ms = NOW_MS,
                                      .bucket = faults & 1u << IS_ELSEWHERE ? 4 : 3,
                                      .address =
                                          faults & 1u << IS_FOREIGN_ADDRESS ? &outside : &inside,
                                      .scopes = faults & 1u << LACKS_SCOPE ? bad : good,
                                      .scope_count = faults & 1u << LACKS_SCOPE ? 2 : 1};
    return verdict_judge(&key, &request);
}

static void of_all_faults_the_first_in_order_is_told(void **state)
{
    (void)state;
    assert_int_equal(judge_with(0), KR_VERDICT_VALID);
    for (unsigned faults = 1; faults < 1u << FAULT_COUNT; faults++)
        assert_int_equal(judge_with(faults), codes[__builtin_ctz(faults)]);
}

static const struct verdict_key plain_key = {.revision = 1, .is_enabled = true};
static const struct verdict_request plain_request = {.now_ms = NOW_MS,
                                                     .bucket = KR_VERDICT_ANY_BUCKET};

static void unset_limits_limit_nothing(void **state)
{
    (void)state;
    assert_int_equal(verdict_judge(&plain_key, &plain_request), KR_VERDICT_VALID);
    struct verdict_request request = plain_request;
    request.now_ms = INT64_MAX;
    assert_int_equal(verdict_judge(&plain_key, &request), KR_VERDICT_VALID);
}

static void an_address_list_refuses_an_unknown_address(void **state)
{
    (void)state;
    struct cidr everywhere;
    assert_true(cidr_parse(bytes_text("::/0"), &everywhere));
    struct verdict_key key = plain_key;
    key.ip_allow = &everywhere;
    key.ip_allow_count = 1;
    assert_int_equal(verdict_judge(&key, &plain_request), KR_VERDICT_FORBIDDEN);
}

static enum verdict_code judge_scopes(const struct texts *has, const char *first,
                                      const char *second)
{
    struct bytes scopes[2] = {bytes_text(first), bytes_text(second != NULL ? second : "")};
    struct verdict_key key = plain_key;
    struct verdict_request request = plain_request;
    key.scopes = has;
    request.scopes = scopes;
    request.scope_count = second != NULL ? 2 : 1;
    return verdict_judge(&key, &request);
}

static void every_scope_that_is_asked_must_be_held_exactly(void **state)
{
    (void)state;
    assert_int_equal(judge_scopes(&held, "read", NULL), KR_VERDICT_VALID);
    assert_int_equal(judge_scopes(&held, "write", "read"), KR_VERDICT_VALID);
    assert_int_equal(judge_scopes(&held, "read", "admin"), KR_VERDICT_INSUFFICIENT_SCOPE);
    assert_int_equal(judge_scopes(&held, "rea", NULL), KR_VERDICT_INSUFFICIENT_SCOPE);
    assert_int_equal(judge_scopes(&held, "reads", NULL), KR_VERDICT_INSUFFICIENT_SCOPE);
    assert_int_equal(judge_scopes(&held, "", NULL), KR_VERDICT_INSUFFICIENT_SCOPE);
    assert_int_equal(judge_scopes(NULL, "read", NULL), KR_VERDICT_INSUFFICIENT_SCOPE);
}

static void only_what_may_become_wrong_turns_stale(void **state)
{
    (void)state;
    for (int i = 0; i < KR_VERDICT_COUNT; i++) {
        enum verdict_code code = (enum verdict_code)i;
        bool may_change = code == KR_VERDICT_VALID || code == KR_VERDICT_NOT_FOUND;
        assert_int_equal(verdict_freshen(code, 60000, 60000), code);
        assert_int_equal(verdict_freshen(code, 60001, 60000), may_change ? KR_VERDICT_STALE : code);
        assert_int_equal(verdict_freshen(code, UINT64_MAX, KR_UNBOUNDED), code);
        assert_int_equal(verdict_freshen(code, 1, 0), may_change ? KR_VERDICT_STALE : code);
        assert_int_equal(verdict_freshen(code, 0, 0), code);
        assert_int_equal(verdict_freshen(code, 0, -2), may_change ? KR_VERDICT_STALE : code);
        assert_int_equal(verdict_freshen(code, 0, KR_NEVER_FRESH),
                         may_change ? KR_VERDICT_STALE : code);
    }
}

static void codes_have_the_texts_and_statuses_of_the_api(void **state)
{
    (void)state;
    assert_string_equal(verdict_text(KR_VERDICT_VALID), "VALID");
    assert_string_equal(verdict_text(KR_VERDICT_NOT_YET_VALID), "NOT_YET_VALID");
    assert_int_equal(verdict_http_status(KR_VERDICT_VALID), 200);
    assert_int_equal(verdict_http_status(KR_VERDICT_REVOKED), 401);
    assert_int_equal(verdict_http_status(KR_VERDICT_FORBIDDEN), 403);
    assert_int_equal(verdict_http_status(KR_VERDICT_RATE_LIMITED), 429);
    assert_int_equal(verdict_http_status(KR_VERDICT_STALE), 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_all_faults_the_first_in_order_is_told),
        cmocka_unit_test(unset_limits_limit_nothing),
        cmocka_unit_test(an_address_list_refuses_an_unknown_address),
        cmocka_unit_test(every_scope_that_is_asked_must_be_held_exactly),
        cmocka_unit_test(only_what_may_become_wrong_turns_stale),
        cmocka_unit_test(codes_have_the_texts_and_statuses_of_the_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
