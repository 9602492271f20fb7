// SPDX-License-Identifier: Apache-2.0
// Tests of where a key is found in a gateway's request, and whose address counts.
#include "node/credential.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the three above.
#include <cmocka.h>

static struct cidr proxies[1];
static char header[] = "X-API-Key", scheme[] = "Bearer", empty[] = "", query[] = "apikey",
            cookie[] = "session";

static struct config plain(void)
{
    cidr_parse(bytes_text("10.0.0.0/8"), &proxies[0]);
    return (struct config){.credential_scheme = scheme,
                           .credential_header = header,
                           .credential_query = empty,
                           .credential_cookie = empty,
                           .trusted_proxy_list = proxies,
                           .trusted_proxy_count = 1};
}

static void add(struct http_request *request, const char *name, const char *value)
{
    request->fields[request->field_count++] =
        (struct http_field){bytes_text(name), bytes_text(value)};
}

static enum credential_result find(const struct http_request *request, const struct config *config,
                                   const char *original, const char *wanted)
{
    struct arena arena;
    struct credential found;
    arena_init(&arena);
    credential_find(request, config, bytes_text(original), &arena, &found);
    if (found.result == KR_CREDENTIAL_FOUND)
        assert_true(bytes_equal_text(found.key, wanted));
    arena_fini(&arena);
    return found.result;
}

static void finds_a_key_in_each_place(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } places[] = {
        {"Authorization", "Bearer K1"},
        {"authorization", "bearer  K1"},
        {"x-api-key", "K1"},
        {"Authorization", "Basic SzE6c2VjcmV0"}, // K1:secret
        {"Authorization", "Basic SzE="},         // K1
    };
    struct config config = plain();
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct http_request request = {0};
        add(&request, places[i].name, places[i].value);
        assert_int_equal(find(&request, &config, "", "K1"), KR_CREDENTIAL_FOUND);
    }
}

static void another_scheme_is_taken_beside_bearer_and_basic(void **state)
{
    (void)state;
    static char token[] = "Token";
    static const char *const values[] = {"Token K1", "TOKEN  K1", "Bearer K1", "Basic SzE="};
    static const char *const noise[] = {"Token", "Token ", "Tokens K1", "ApiKey K1", "K1"};
    struct config config = plain();
    struct http_request request = {.field_count = 1};
    config.credential_scheme = token;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        request.fields[0] = (struct http_field){bytes_text("Authorization"), bytes_text(values[i])};
        assert_int_equal(find(&request, &config, "", "K1"), KR_CREDENTIAL_FOUND);
    }
    for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++) {
        request.fields[0] = (struct http_field){bytes_text("Authorization"), bytes_text(noise[i])};
        assert_int_equal(find(&request, &config, "", ""), KR_CREDENTIAL_NONE);
    }
    config = plain();
    request.fields[0].value = bytes_text("Token K1");
    assert_int_equal(find(&request, &config, "", ""), KR_CREDENTIAL_NONE);
}

static void query_and_cookie_are_off_unless_configured(void **state)
{
    (void)state;
    struct config config = plain();
    struct http_request request = {0};
    add(&request, "Cookie", "a=b; session=K1; c=d");
    assert_int_equal(find(&request, &config, "apikey=K1", "K1"), KR_CREDENTIAL_NONE);
    config.credential_cookie = cookie;
    assert_int_equal(find(&request, &config, "", "K1"), KR_CREDENTIAL_FOUND);
    request.field_count = 0;
    config.credential_query = query;
    assert_int_equal(find(&request, &config, "x=1&apikey=K1", "K1"), KR_CREDENTIAL_FOUND);
}

static void a_key_in_the_query_is_decoded(void **state)
{
    (void)state;
    struct config config = plain();
    struct http_request request = {0};
    config.credential_query = query;
    assert_int_equal(find(&request, &config, "apikey=a%26b%3d%2B+%25", "a&b=++%"),
                     KR_CREDENTIAL_FOUND);
    assert_int_equal(find(&request, &config, "apikey=K1&x&apikey=%4B1", "K1"), KR_CREDENTIAL_FOUND);
    assert_int_equal(find(&request, &config, "apikey=K1&apikey=K2", ""), KR_CREDENTIAL_AMBIGUOUS);
    assert_int_equal(find(&request, &config, "apikey=&apikey", ""), KR_CREDENTIAL_NONE);
    assert_int_equal(find(&request, &config, "", ""), KR_CREDENTIAL_NONE);
    assert_int_equal(find(&request, &config, "apikey=K%", "K%"), KR_CREDENTIAL_FOUND);
    add(&request, "X-API-Key", "a&b");
    assert_int_equal(find(&request, &config, "apikey=a%26b", "a&b"), KR_CREDENTIAL_FOUND);
    assert_int_equal(find(&request, &config, "apikey=a&b", ""), KR_CREDENTIAL_AMBIGUOUS);
    assert_int_equal(find(&request, &config, "apikey=a%2", ""), KR_CREDENTIAL_AMBIGUOUS);
}

static void two_different_keys_are_ambiguous(void **state)
{
    (void)state;
    struct config config = plain();
    struct http_request request = {0};
    add(&request, "Authorization", "Bearer K1");
    add(&request, "X-API-Key", "K1");
    assert_int_equal(find(&request, &config, "", "K1"), KR_CREDENTIAL_FOUND);
    add(&request, "Authorization", "Bearer K2");
    assert_int_equal(find(&request, &config, "", ""), KR_CREDENTIAL_AMBIGUOUS);
}

static void noise_is_no_key(void **state)
{
    (void)state;
    static const char *const values[] = {"",         "Bearer",    "Bearer ",
                                         "Digest x", "Basic !!!", "Basic "};
    struct config config = plain();
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct http_request request = {0};
        add(&request, "Authorization", values[i]);
        assert_int_equal(find(&request, &config, "", ""), KR_CREDENTIAL_NONE);
    }
}

static void expect_client(struct http_request *request, bool is_trusted, const char *wanted)
{
    struct config config = plain();
    struct cidr_address peer, client, expected;
    assert_true(cidr_parse_address(bytes_text("10.9.9.9"), &peer));
    bool is_known = credential_client(request, &config, is_trusted, &peer, &client);
    assert_true(is_known == (wanted != NULL));
    if (wanted == NULL)
        return;
    assert_true(cidr_parse_address(bytes_text(wanted), &expected));
    assert_memory_equal(&client, &expected, sizeof(client));
}

static void believes_forwarded_addresses_of_trusted_peers_only(void **state)
{
    (void)state;
    struct http_request request = {0};
    add(&request, "X-Forwarded-For", "1.1.1.1, 2.2.2.2, 10.1.1.1");
    expect_client(&request, false, "10.9.9.9");
    expect_client(&request, true, "2.2.2.2");
    add(&request, "X-Forwarded-For", "3.3.3.3");
    expect_client(&request, true, "3.3.3.3");
}

static void a_malformed_forwarded_address_is_no_address(void **state)
{
    (void)state;
    struct http_request request = {0};
    expect_client(&request, true, NULL);
    add(&request, "X-Forwarded-For", "1.1.1.1, unknown");
    expect_client(&request, true, NULL);
}

static void expect_carriers(const struct http_request *request, const char *first,
                            const char *second)
{
    const char *const wanted[] = {first, second};
    struct config config = plain();
    struct arena arena;
    struct credential found;
    struct bytes names[KR_CREDENTIAL_CARRIERS_MAX];
    arena_init(&arena);
    credential_find(request, &config, (struct bytes){0}, &arena, &found);
    size_t count = credential_carriers(&found, &config, names);
    assert_int_equal(count, (first != NULL) + (second != NULL));
    for (size_t i = 0; i < count; i++)
        assert_true(bytes_equal_text(names[i], wanted[i]));
    arena_fini(&arena);
}

static void names_the_headers_that_carry_a_key_and_no_others(void **state)
{
    (void)state;
    struct http_request request = {0};
    add(&request, "Authorization", "Digest x");
    add(&request, "X-API-Key", "");
    add(&request, "Cookie", "session=K1");
    expect_carriers(&request, NULL, NULL);
    add(&request, "x-api-key", "K1");
    expect_carriers(&request, "X-API-Key", NULL);
    add(&request, "x-api-key", "K1");
    expect_carriers(&request, "X-API-Key", NULL);
    add(&request, "Authorization", "Basic SzE=");
    expect_carriers(&request, "authorization", "X-API-Key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_key_in_each_place),
        cmocka_unit_test(another_scheme_is_taken_beside_bearer_and_basic),
        cmocka_unit_test(query_and_cookie_are_off_unless_configured),
        cmocka_unit_test(a_key_in_the_query_is_decoded),
        cmocka_unit_test(two_different_keys_are_ambiguous),
        cmocka_unit_test(noise_is_no_key),
        cmocka_unit_test(believes_forwarded_addresses_of_trusted_peers_only),
        cmocka_unit_test(a_malformed_forwarded_address_is_no_address),
        cmocka_unit_test(names_the_headers_that_carry_a_key_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
