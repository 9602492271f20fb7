// SPDX-License-Identifier: Apache-2.0
// The command line's parser.
#include "client/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static struct invocation in;
static struct fault fault;

#define PARSE(...) parse((char *[]){(char *)(uintptr_t) "keyreeve", __VA_ARGS__, NULL})
#define W(text) (char *)(uintptr_t)(text)

static enum kr_err parse(char *argv[])
{
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    fault = (struct fault){0};
    return parse_invocation(argc, argv, &in, &fault);
}

static void options_may_stand_anywhere(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("--bucket"), W("b1"), W("key"), W("--json"), W("create"), W("acme"),
                           W("--description=x y"), W("-sread"), W("-s"), W("write")),
                     KR_ERR_OK);
    assert_ptr_equal(in.command, spec_find("key", "create"));
    assert_string_equal(parse_value(&in, KR_OPT_BUCKET), "b1");
    assert_string_equal(parse_value(&in, KR_OPT_DESCRIPTION), "x y");
    assert_int_equal(in.options[KR_OPT_SCOPE].count, 2);
    assert_string_equal(in.options[KR_OPT_SCOPE].values[0], "read");
    assert_true(parse_has(&in, KR_OPT_JSON));
    assert_int_equal(in.argument_count, 1);
    assert_string_equal(in.arguments[0], "acme");
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("consumer"), W("show"), W("--"), W("--name")), KR_ERR_OK);
    assert_string_equal(in.arguments[0], "--name");
}

static void a_lone_dash_is_an_argument(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("import"), W("-")), KR_ERR_OK);
    assert_string_equal(in.arguments[0], "-");
}

static void the_last_of_a_single_option_counts(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("bucket"), W("list"), W("-n"), W("5"), W("--limit"), W("7")),
                     KR_ERR_OK);
    assert_int_equal(parse_number(&in, KR_OPT_LIMIT, 1), 7);
    assert_int_equal(parse_number(&in, KR_OPT_OFFSET, 3), 3);
}

static void wait_takes_the_next_word_only_when_it_is_a_choice(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("key"), W("revoke"), W("--wait"), W("acme"), W("key_1")), KR_ERR_OK);
    assert_string_equal(parse_value(&in, KR_OPT_WAIT), "");
    assert_int_equal(in.argument_count, 2);
    assert_int_equal(
        PARSE(W("key"), W("revoke"), W("--wait"), W("committed"), W("acme"), W("key_1")),
        KR_ERR_OK);
    assert_string_equal(parse_value(&in, KR_OPT_WAIT), "committed");
    assert_int_equal(in.argument_count, 2);
    assert_int_equal(PARSE(W("key"), W("revoke"), W("--wait=soon"), W("acme"), W("key_1")),
                     KR_ERR_INVALID);
}

static void what_is_wrong_is_refused_with_a_way_out(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("kei")), KR_ERR_INVALID);
    assert_non_null(strstr(fault.text, "did you mean key?"));
    assert_int_equal(PARSE(W("key"), W("lst"), W("acme")), KR_ERR_INVALID);
    assert_non_null(strstr(fault.text, "did you mean list?"));
    assert_int_equal(PARSE(W("key"), W("list"), W("acme"), W("--limt=3")), KR_ERR_INVALID);
    assert_non_null(strstr(fault.text, "--limit"));
    assert_int_equal(PARSE(W("key"), W("list")), KR_ERR_INVALID);
    assert_non_null(strstr(fault.text, "CONSUMER"));
    assert_int_equal(PARSE(W("key"), W("list"), W("a"), W("b")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("key"), W("list"), W("a"), W("--limit")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("key"), W("list"), W("a"), W("--limit=0")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("key"), W("list"), W("a"), W("--limit=007")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("key"), W("list"), W("a"), W("--json=yes")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("key"), W("list"), W("a"), W("--status=gone")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("key"), W("list"), W("a"), W("--batch=3")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("token"), W("create"), W("ci"), W("--role=king")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("key")), KR_ERR_INVALID);
    assert_int_equal(PARSE(W("-q")), KR_ERR_INVALID);
}

static void a_key_on_the_command_line_is_refused_without_repeating_it(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("key"), W("verify"), W("kr_live_secret")), KR_ERR_INVALID);
    assert_null(strstr(fault.text, "kr_live_secret"));
    assert_non_null(strstr(fault.text, "standard input"));
}

static void help_needs_no_arguments(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("key"), W("create"), W("-h")), KR_ERR_OK);
    assert_true(in.wants_help);
    assert_int_equal(PARSE(W("key"), W("--help")), KR_ERR_OK);
    assert_ptr_equal(in.group, spec_find_group("key"));
    assert_int_equal(PARSE(W("--help")), KR_ERR_OK);
}

// token create and node add both have --role, with other choices.
static void an_option_is_the_one_of_its_command(void **state)
{
    (void)state;
    assert_int_equal(
        PARSE(W("node"), W("add"), W("n1"), W("--role"), W("core"), W("--role"), W("follower")),
        KR_ERR_OK);
    assert_string_equal(parse_value(&in, KR_OPT_NODE_ROLE), "follower");
    assert_false(parse_has(&in, KR_OPT_ROLE));
    assert_int_equal(
        PARSE(W("--role"), W("owner"), W("token"), W("create"), W("ci"), W("--role"), W("viewer")),
        KR_ERR_OK);
    assert_int_equal(in.options[KR_OPT_ROLE].count, 2);
    assert_false(parse_has(&in, KR_OPT_NODE_ROLE));
    assert_int_equal(PARSE(W("node"), W("add"), W("n1"), W("--role"), W("viewer")), KR_ERR_INVALID);
    assert_non_null(strstr(fault.text, "core|follower"));
}

// What the node refuses whatever its value is, the command does not offer.
static void a_bucket_keeps_its_environment_and_some_metadata(void **state)
{
    (void)state;
    assert_int_equal(PARSE(W("bucket"), W("create"), W("b"), W("--environment"), W("preview"),
                           W("--metadata-limit"), W("1")),
                     KR_ERR_OK);
    assert_int_equal(PARSE(W("bucket"), W("update"), W("b"), W("--environment"), W("preview")),
                     KR_ERR_INVALID);
    assert_int_equal(PARSE(W("bucket"), W("update"), W("b"), W("--metadata-limit"), W("0")),
                     KR_ERR_INVALID);
}

static void too_many_values_are_refused(void **state)
{
    (void)state;
    char *argv[KR_PARSE_VALUES_MAX + 6] = {W("keyreeve"), W("key"), W("create"), W("acme")};
    for (size_t i = 0; i <= KR_PARSE_VALUES_MAX; i++)
        argv[4 + i] = W("--scope=a");
    assert_int_equal(parse(argv), KR_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(a_lone_dash_is_an_argument),
        cmocka_unit_test(the_last_of_a_single_option_counts),
        cmocka_unit_test(wait_takes_the_next_word_only_when_it_is_a_choice),
        cmocka_unit_test(what_is_wrong_is_refused_with_a_way_out),
        cmocka_unit_test(a_key_on_the_command_line_is_refused_without_repeating_it),
        cmocka_unit_test(help_needs_no_arguments),
        cmocka_unit_test(an_option_is_the_one_of_its_command),
        cmocka_unit_test(a_bucket_keeps_its_environment_and_some_metadata),
        cmocka_unit_test(too_many_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
