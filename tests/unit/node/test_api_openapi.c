// SPDX-License-Identifier: Apache-2.0
// Tests that the served description and the route table say the same, and of the YAML conversion.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/base/json.h"
#include "node/api/openapi.h"
#include "node/dispatch.h"

static struct json *description(void)
{
    struct fault fault = {0};
    struct json *json = NULL;
    struct buf text;
    buf_init(&text, 1u << 24);
    assert_int_equal(openapi_json(openapi_yaml(), &text), KR_ERR_OK);
    if (json_parse(buf_bytes(&text), &json, &fault) != KR_ERR_OK)
        fail_msg("the description is no JSON: %s", fault.text);
    buf_fini(&text);
    return json;
}

static const struct json *member(const struct json *object, const char *name)
{
    const struct json *value = object == NULL ? NULL : json_member(object, name);
    if (value == NULL)
        fail_msg("%s is missing", name);
    return value;
}

// "GET" → "get"; any method stands as "get".
static const char *lower(const char *method, char out[16])
{
    if (method[0] == '*')
        return "get";
    size_t size = strlen(method);
    for (size_t i = 0; i <= size; i++)
        out[i] = (char)tolower((unsigned char)method[i]);
    return out;
}

// What gRPC serves is described by its .proto files.
static bool is_described(const struct route *route)
{
    return route->kind != KR_ROUTE_GRPC;
}

static const struct json *operation_of(const struct json *paths, const struct route *route)
{
    char method[16];
    const struct json *path = json_member(paths, route->path);
    const struct json *operation =
        path == NULL ? NULL : json_member(path, lower(route->method, method));
    if (operation == NULL)
        fail_msg("%s %s is not described", route->method, route->path);
    return operation;
}

static void every_route_is_described_under_its_name(void **state)
{
    (void)state;
    struct json *json = description();
    const struct json *paths = member(json, "paths");
    for (size_t i = 0; i < dispatch_route_count; i++) {
        if (!is_described(&dispatch_routes[i]))
            continue;
        const struct json *operation = operation_of(paths, &dispatch_routes[i]);
        assert_string_equal(json_text(member(operation, "operationId")), dispatch_routes[i].name);
        assert_non_null(json_member(operation, "summary"));
        assert_non_null(json_member(operation, "responses"));
    }
    json_free(&json);
}

static bool is_route(const char *path, const char *method)
{
    char text[16];
    for (size_t i = 0; i < dispatch_route_count; i++) {
        if (strcmp(dispatch_routes[i].path, path) == 0 &&
            strcmp(lower(dispatch_routes[i].method, text), method) == 0)
            return true;
    }
    return false;
}

static void nothing_else_is_described(void **state)
{
    (void)state;
    struct json *json = description();
    void *at_path = NULL;
    const char *path, *method;
    const struct json *item, *operation;
    while (json_next(member(json, "paths"), &at_path, &path, &item)) {
        void *at_method = NULL;
        while (json_next(item, &at_method, &method, &operation)) {
            if (!is_route(path, method))
                fail_msg("%s %s is described but not served", method, path);
        }
    }
    json_free(&json);
}

static void only_open_routes_need_no_token(void **state)
{
    (void)state;
    struct json *json = description();
    const struct json *paths = member(json, "paths");
    for (size_t i = 0; i < dispatch_route_count; i++) {
        const struct route *route = &dispatch_routes[i];
        if (!is_described(route))
            continue;
        const struct json *security = json_member(operation_of(paths, route), "security");
        bool is_open = security != NULL;
        if (is_open != (route->right == KR_RIGHT_NONE))
            fail_msg("%s: security is not as in the route table", route->name);
    }
    json_free(&json);
}

static void every_parameter_of_a_path_is_described(void **state)
{
    (void)state;
    struct json *json = description();
    const struct json *shared = member(member(json, "components"), "parameters");
    for (size_t i = 0; i < dispatch_route_count; i++) {
        const struct route *route = &dispatch_routes[i];
        if (!is_described(route))
            continue;
        const struct json *list =
            json_member(operation_of(member(json, "paths"), route), "parameters");
        for (const char *at = strchr(route->path, '{'); at != NULL; at = strchr(at + 1, '{')) {
            bool is_found = false;
            for (size_t j = 0; list != NULL && j < json_size(list); j++) {
                const struct json *parameter = json_at(list, j);
                const struct json *reference = json_member(parameter, "$ref");
                if (reference != NULL)
                    parameter = member(shared, strrchr(json_text(reference), '/') + 1);
                const char *name = json_text(member(parameter, "name"));
                is_found = is_found || (strncmp(at + 1, name, strlen(name)) == 0 &&
                                        at[strlen(name) + 1] == '}' &&
                                        strcmp(json_text(member(parameter, "in")), "path") == 0);
            }
            if (!is_found)
                fail_msg("%s: a parameter of its path is not described", route->name);
        }
    }
    json_free(&json);
}

// Follows every $ref of the document.
static void check_references(const struct json *root, const struct json *value)
{
    void *cursor = NULL;
    const char *name;
    const struct json *inner;
    if (json_type_of(value) == KR_JSON_ARRAY) {
        for (size_t i = 0; i < json_size(value); i++)
            check_references(root, json_at(value, i));
    }
    if (json_type_of(value) != KR_JSON_OBJECT)
        return;
    while (json_next(value, &cursor, &name, &inner)) {
        char section[32], target[64];
        check_references(root, inner);
        if (strcmp(name, "$ref") != 0)
            continue;
        assert_int_equal(sscanf(json_text(inner), "#/components/%31[^/]/%63s", section, target), 2);
        member(member(member(root, "components"), section), target);
    }
}

static void every_reference_leads_somewhere(void **state)
{
    (void)state;
    struct json *json = description();
    assert_string_equal(json_text(member(json, "openapi")), "3.1.0");
    check_references(json, json);
    json_free(&json);
}

static void convert(const char *yaml, const char *wanted)
{
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(openapi_json(bytes_text(yaml), &out), KR_ERR_OK);
    buf_add_u8(&out, '\0');
    assert_string_equal((const char *)out.data, wanted);
    buf_fini(&out);
}

static void scalars_get_the_types_of_the_core_schema(void **state)
{
    (void)state;
    convert(
        "a: 1\nb: '1'\nc: true\nd: null\ne: text\nf: 007\ng: 'true'\nh:\n",
        "{\"a\":1,\"b\":\"1\",\"c\":true,\"d\":null,\"e\":\"text\",\"f\":\"007\",\"g\":\"true\","
        "\"h\":null}");
    convert("- [1, {x: y}]\n- |-\n  two\n  lines\n", "[[1,{\"x\":\"y\"}],\"two\\nlines\"]");
}

static void what_is_no_plain_document_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {"a: [", "&x a: *x\n", "a: &x 1\nb: *x\n",
                                          "{? {b: c} : d}"};
    struct buf out;
    buf_init(&out, 1u << 16);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        buf_clear(&out);
        assert_int_equal(openapi_json(bytes_text(refused[i]), &out), KR_ERR_INVALID);
    }
    char deep[201];
    memset(deep, '[', 200);
    deep[200] = '\0';
    assert_int_equal(openapi_json(bytes_text(deep), &out), KR_ERR_INVALID);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described_under_its_name),
        cmocka_unit_test(nothing_else_is_described),
        cmocka_unit_test(only_open_routes_need_no_token),
        cmocka_unit_test(every_parameter_of_a_path_is_described),
        cmocka_unit_test(every_reference_leads_somewhere),
        cmocka_unit_test(scalars_get_the_types_of_the_core_schema),
        cmocka_unit_test(what_is_no_plain_document_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
