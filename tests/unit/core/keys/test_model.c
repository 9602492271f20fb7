// SPDX-License-Identifier: Apache-2.0
// Tests of the enums' texts, of names, and of a key's status.
#include "core/keys/model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void every_enum_text_reads_back(void **state)
{
    (void)state;
    for (int i = KR_ENV_PRODUCTION; i <= KR_ENV_DEVELOPMENT; i++) {
        enum environment out;
        assert_true(environment_parse(environment_text((enum environment)i), &out));
        assert_int_equal(out, i);
        assert_true(format_is_prefix(environment_prefix(out)));
    }
    for (int i = KR_REASON_UNSPECIFIED; i <= KR_REASON_PRIVILEGE_WITHDRAWN; i++) {
        enum revoke_reason out;
        assert_true(revoke_reason_parse(revoke_reason_text((enum revoke_reason)i), &out));
        assert_int_equal(out, i);
    }
    for (int i = KR_KEY_ACTIVE; i <= KR_KEY_DISABLED; i++) {
        enum key_status out;
        assert_true(key_status_parse(key_status_text((enum key_status)i), &out));
        assert_int_equal(out, i);
    }
}

static void unknown_texts_are_refused(void **state)
{
    (void)state;
    enum environment environment;
    enum revoke_reason reason;
    enum key_status status;
    assert_false(environment_parse("Production", &environment));
    assert_false(environment_parse("", &environment));
    assert_false(revoke_reason_parse("keycompromise", &reason));
    assert_false(key_status_parse("activ", &status));
}

static void names_keep_to_their_form(void **state)
{
    (void)state;
    char name[130];
    memset(name, 'a', sizeof(name));
    name[128] = '\0';
    assert_true(model_is_bucket_name(name));
    assert_true(model_is_consumer_name(name));
    name[128] = 'a';
    name[129] = '\0';
    assert_false(model_is_bucket_name(name));
    assert_false(model_is_consumer_name(name));
    assert_true(model_is_bucket_name("a-b"));
    assert_true(model_is_bucket_name("_0-"));
    assert_false(model_is_bucket_name("ab"));
    assert_true(model_is_consumer_name("a"));
    assert_true(model_is_consumer_name("--"));
    assert_false(model_is_consumer_name("-"));
    assert_true(model_is_consumer_prefix("-"));
    assert_true(model_is_account_name("-"));
    assert_false(model_is_account_name(""));
    assert_false(model_is_consumer_prefix("/"));
    assert_false(model_is_consumer_name(""));
    assert_false(model_is_consumer_name("A"));
    assert_false(model_is_consumer_name("a b"));
    assert_false(model_is_consumer_name("a/b"));
    assert_false(model_is_consumer_name("\xc3\xa9"));
    assert_true(model_is_bucket_name(KR_SYSTEM_BUCKET));
}

static void status_follows_the_order_of_the_verdict(void **state)
{
    (void)state;
    static const struct {
        struct key key;
        uint64_t consumer_before, bucket_before;
        enum key_status status;
    } cases[] = {
        {{.is_enabled = true, .revision = 5}, 0, 0, KR_KEY_ACTIVE},
        {{.is_enabled = true, .revision = 5, .expires_ms = 101}, 0, 0, KR_KEY_EXPIRING},
        {{.is_enabled = true, .revision = 5, .expires_ms = 100}, 0, 0, KR_KEY_EXPIRED},
        {{.is_enabled = false, .revision = 5, .expires_ms = 100}, 0, 0, KR_KEY_DISABLED},
        {{.is_enabled = false, .revision = 5, .is_revoked = true}, 0, 0, KR_KEY_REVOKED},
        {{.is_enabled = true, .revision = 5}, 5, 0, KR_KEY_REVOKED},
        {{.is_enabled = true, .revision = 5}, 0, 5, KR_KEY_REVOKED},
        {{.is_enabled = true, .revision = 5}, 4, 4, KR_KEY_ACTIVE},
        {{.is_enabled = true, .revision = 5, .not_before_ms = 200}, 0, 0, KR_KEY_ACTIVE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct consumer consumer = {.revocation.last.before = cases[i].consumer_before};
        struct bucket bucket = {.revocation.last.before = cases[i].bucket_before};
        assert_int_equal(key_status_of(&cases[i].key, &consumer, &bucket, 100), cases[i].status);
    }
}

static void expect_revocation(const struct key *key, const struct consumer *consumer,
                              const struct bucket *bucket, int64_t at_ms, enum revoke_reason reason)
{
    struct revoke_mark mark;
    assert_true(key_revocation_of(key, consumer, bucket, &mark));
    assert_int_equal(mark.at_ms, at_ms);
    assert_int_equal(mark.reason, reason);
}

static void a_key_shows_what_revoked_it_first(void **state)
{
    (void)state;
    struct revoke_mark mark;
    struct consumer consumer = {
        .revocation.last = {10, 100, KR_REASON_PRIVILEGE_WITHDRAWN},
    };
    struct bucket bucket = {.revocation.last = {20, 200, KR_REASON_KEY_COMPROMISE}};
    const struct revoke_mark second = {30, 300, KR_REASON_SUPERSEDED};
    revocation_add(&consumer.revocation, &second);
    struct key key = {.revision = 10};
    expect_revocation(&key, &consumer, &bucket, 100, KR_REASON_PRIVILEGE_WITHDRAWN);
    key.revision = 11;
    expect_revocation(&key, &consumer, &bucket, 200, KR_REASON_KEY_COMPROMISE);
    key.revision = 21;
    expect_revocation(&key, &consumer, &bucket, 300, KR_REASON_SUPERSEDED);
    key.revision = 31;
    assert_false(key_revocation_of(&key, &consumer, &bucket, &mark));
    key = (struct key){.revision = 5,
                       .is_revoked = true,
                       .revoked_ms = 50,
                       .revoke_reason = KR_REASON_AFFILIATION_CHANGED};
    expect_revocation(&key, &consumer, &bucket, 50, KR_REASON_AFFILIATION_CHANGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_enum_text_reads_back),
        cmocka_unit_test(unknown_texts_are_refused),
        cmocka_unit_test(names_keep_to_their_form),
        cmocka_unit_test(status_follows_the_order_of_the_verdict),
        cmocka_unit_test(a_key_shows_what_revoked_it_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
