// SPDX-License-Identifier: Apache-2.0
// Tests of the route table: what matches, what is refused with Allow, and that the table is sound.
#include "node/dispatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the three above.
#include <cmocka.h>

static struct dispatch_match find(const char *method, const char *path)
{
    struct http_request request = {
        .method_name = bytes_text(method), .path = bytes_text(path), .method = KR_HTTP_OTHER};
    if (strcmp(method, "HEAD") == 0)
        request.method = KR_HTTP_HEAD;
    struct dispatch_match match;
    dispatch_find(&request, &match);
    return match;
}

static void expect(const char *method, const char *path, const char *name)
{
    struct dispatch_match match = find(method, path);
    assert_non_null(match.route);
    assert_string_equal(match.route->name, name);
}

static void finds_routes_by_method_and_path(void **state)
{
    (void)state;
    expect("GET", "/healthz", "health");
    expect("POST", "/v1/validate", "validate");
    expect("PROPFIND", "/authz/forward", "authz.forward");
    expect("HEAD", "/authz/haproxy", "authz.haproxy");
    expect("GET", "/v1/accounts/default/key-buckets", "bucket.list");
    expect("GET", "/v1/accounts/default/key-buckets/", "bucket.list");
    expect("DELETE", "/v1/accounts/a/key-buckets/b/consumers/c/keys/key_1", "key.delete");
    expect("HEAD", "/v1/who-am-i", "who-am-i");
}

static void prefers_a_literal_to_a_parameter(void **state)
{
    (void)state;
    expect("POST", "/v1/accounts/a/key-buckets/b/consumers/c/keys/$bulk", "key.bulk");
    expect("POST", "/v1/accounts/a/key-buckets/b/consumers/c/keys/%24bulk", "key.bulk");
    expect("POST", "/v1/accounts/a/key-buckets/b/$import", "bucket.import");
}

static void takes_any_path_for_a_rest(void **state)
{
    (void)state;
    expect("GET", "/authz/envoy", "authz.envoy");
    expect("DELETE", "/authz/envoy/", "authz.envoy");
    expect("POST", "/authz/envoy/v1/validate", "authz.envoy");
    expect("GET", "/authz/envoy;bucket=b/a//b/../c", "authz.envoy");
    struct dispatch_match match = find("GET", "/authz/envoy;bucket=b/a");
    struct bytes rest = dispatch_rest(match.route, bytes_text("/authz/envoy;bucket=b/a"));
    assert_true(bytes_equal_text(rest, ";bucket=b/a"));
    assert_null(find("GET", "/authz/envoys").route);
    assert_null(find("GET", "/authz/envo").route);
}

static void names_the_allowed_methods(void **state)
{
    (void)state;
    struct dispatch_match match = find("PUT", "/v1/accounts/a/key-buckets/b");
    assert_null(match.route);
    assert_string_equal(match.allow, "GET, HEAD, PATCH, DELETE");
}

static void refuses_what_is_no_route(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "/",
                                        "/v1",
                                        "/healthz/x",
                                        "/healthzz",
                                        "v1/who-am-i",
                                        "//v1/who-am-i",
                                        "/v1/accounts//key-buckets",
                                        "/authz/forward/x"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct dispatch_match match = find("GET", paths[i]);
        assert_null(match.route);
        assert_string_equal(match.allow, "");
    }
}

static void every_row_finds_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < dispatch_route_count; i++) {
        const struct route *route = &dispatch_routes[i];
        const char *method = route->method[0] == '*' ? "GET" : route->method;
        struct dispatch_match match = find(method, route->path);
        assert_ptr_equal(match.route, route);
        assert_true(route_is_call(route) == (route->handler != NULL));
        const char *rest = strstr(route->path, "{rest}");
        assert_int_equal(route->rest_at, rest != NULL ? (size_t)(rest - route->path) : 0);
    }
}

static void what_needs_no_more_than_reading_is_known_as_such(void **state)
{
    (void)state;
    for (size_t i = 0; i < dispatch_route_count; i++) {
        const struct route *route = &dispatch_routes[i];
        if (route->right == KR_RIGHT_READ || route->right == KR_RIGHT_AUDIT)
            assert_true(route_is_reading(route));
        if (strcmp(route->method, "GET") != 0)
            assert_false(route_is_reading(route));
    }
    assert_false(route_is_reading(find("GET", "/metrics").route)); // who looks must not wait
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_routes_by_method_and_path),
        cmocka_unit_test(prefers_a_literal_to_a_parameter),
        cmocka_unit_test(takes_any_path_for_a_rest),
        cmocka_unit_test(names_the_allowed_methods),
        cmocka_unit_test(refuses_what_is_no_route),
        cmocka_unit_test(every_row_finds_itself),
        cmocka_unit_test(what_needs_no_more_than_reading_is_known_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
