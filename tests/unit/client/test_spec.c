// SPDX-License-Identifier: Apache-2.0
// The command table, and what is made from it: every command in every form.
#include "client/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "client/completion.h"
#include "client/help.h"
#include "client/manual.h"
#include "client/parse.h"

static struct buf out;

static const char *text(void)
{
    buf_add_u8(&out, '\0');
    assert_int_equal(buf_result(&out), KR_ERR_OK);
    return (const char *)out.data;
}

static void begin(void)
{
    buf_init(&out, (size_t)1 << 20);
}

static void every_command_has_help_with_its_options_and_an_example(void **state)
{
    (void)state;
    for (size_t i = 0; i < spec_command_count; i++) {
        const struct spec_command *command = &spec_commands[i];
        begin();
        help_add_command(&out, command);
        const char *help = text();
        assert_non_null(command->run);
        assert_non_null(strstr(help, command->summary));
        assert_non_null(strstr(help, "\nexample:\n  keyreeve "));
        assert_non_null(strstr(help, "exit codes:"));
        for (size_t option = 0; option < KR_OPT_COUNT; option++) {
            char form[64];
            snprintf(form, sizeof(form), "--%s", spec_options[option].name);
            if ((command->options | KR_OPT_GLOBAL_BITS) >> option & 1)
                assert_non_null(strstr(help, form));
        }
        buf_fini(&out);
    }
}

// Splits an example at spaces outside quotes, up to a shell operator.
static int split(char *line, char *argv[], int max)
{
    int argc = 0;
    while (*line != '\0' && argc < max && strchr("|<>", *line) == NULL) {
        argv[argc++] = line;
        char quote = '\0';
        for (; *line != '\0' && (*line != ' ' || quote != '\0'); line++)
            if (quote == *line)
                quote = '\0';
            else if (quote == '\0' && (*line == '"' || *line == '\''))
                quote = *line;
        if (*line != '\0')
            *line++ = '\0';
    }
    argv[argc] = NULL;
    return argc;
}

static void every_example_is_accepted_by_the_parser(void **state)
{
    (void)state;
    for (size_t i = 0; i < spec_command_count; i++) {
        static struct invocation in;
        struct fault fault = {0};
        char line[256], *argv[32];
        snprintf(line, sizeof(line), "%s", spec_commands[i].example);
        int argc = split(line, argv, 31);
        if (parse_invocation(argc, argv, &in, &fault) != KR_ERR_OK)
            fail_msg("%s: %s", spec_commands[i].example, fault.text);
        assert_ptr_equal(in.command, &spec_commands[i]);
    }
}

static void no_example_shows_a_token_as_an_argument(void **state)
{
    (void)state;
    for (size_t i = 0; i < spec_command_count; i++) {
        assert_null(strstr(spec_commands[i].example, "--token "));
        assert_null(strstr(spec_commands[i].example, "kr_mgmt"));
    }
}

static void every_command_has_a_manual_page_and_stands_in_the_overview(void **state)
{
    (void)state;
    for (size_t i = 0; i < spec_command_count; i++) {
        begin();
        manual_add_command(&out, &spec_commands[i]);
        assert_int_equal(strncmp(text(), ".TH \"KEYREEVE-", 14), 0);
        assert_non_null(strstr((const char *)out.data, ".SH EXIT STATUS"));
        buf_fini(&out);
        begin();
        manual_add_overview(&out);
        // Dashes are escaped in troff.
        if (strchr(spec_commands[i].summary, '-') == NULL &&
            strchr(spec_commands[i].summary, '\'') == NULL)
            assert_non_null(strstr(text(), spec_commands[i].summary));
        buf_fini(&out);
    }
}

static void every_completion_knows_every_command_and_option(void **state)
{
    void (*const shells[])(struct buf *) = {completion_add_bash, completion_add_zsh,
                                            completion_add_fish};
    (void)state;
    for (size_t shell = 0; shell < 3; shell++) {
        begin();
        shells[shell](&out);
        const char *script = text();
        for (size_t i = 0; i < spec_command_count; i++)
            assert_non_null(strstr(script, spec_commands[i].name));
        for (size_t i = 0; i < KR_OPT_COUNT; i++)
            assert_non_null(strstr(script, spec_options[i].name));
        assert_non_null(strstr(script, "keyCompromise"));
        buf_fini(&out);
    }
}

// Two options of one name would be taken for each other if a command had both, or if only one of
// them took a value.
static void assert_do_not_meet(size_t one, size_t other)
{
    assert_true((spec_options[one].kind == KR_OPTION_FLAG) ==
                (spec_options[other].kind == KR_OPTION_FLAG));
    for (size_t i = 0; i < spec_command_count; i++) {
        spec_bits options = spec_commands[i].options | KR_OPT_GLOBAL_BITS;
        assert_false((options >> one & 1) && (options >> other & 1));
    }
}

static void names_and_letters_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_OPT_COUNT; i++)
        for (size_t j = 0; j < i; j++) {
            if (strcmp(spec_options[i].name, spec_options[j].name) == 0)
                assert_do_not_meet(i, j);
            if (spec_options[i].letter != '\0')
                assert_int_not_equal(spec_options[i].letter, spec_options[j].letter);
        }
    for (size_t i = 0; i < spec_command_count; i++)
        assert_ptr_equal(spec_find(spec_commands[i].group, spec_commands[i].name),
                         &spec_commands[i]);
}

static void arguments_are_counted(void **state)
{
    (void)state;
    size_t least, most;
    spec_argument_range(spec_find("manager", "add"), &least, &most);
    assert_int_equal(least, 2);
    assert_int_equal(most, 2);
    spec_argument_range(spec_find("key", "show"), &least, &most);
    assert_int_equal(least, 1);
    assert_int_equal(most, 2);
    spec_argument_range(spec_find(NULL, "login"), &least, &most);
    assert_int_equal(least, 0);
    assert_int_equal(most, 1);
    spec_argument_range(spec_find(NULL, "export"), &least, &most);
    assert_int_equal(least, 0);
    assert_true(most == SIZE_MAX);
}

static void long_texts_are_wrapped_at_spaces(void **state)
{
    (void)state;
    begin();
    help_add_wrapped(&out, "one two three four\nfive", 2, 11);
    assert_string_equal(text(), "one two\n  three\n  four\n\n  five\n");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_has_help_with_its_options_and_an_example),
        cmocka_unit_test(every_example_is_accepted_by_the_parser),
        cmocka_unit_test(no_example_shows_a_token_as_an_argument),
        cmocka_unit_test(every_command_has_a_manual_page_and_stands_in_the_overview),
        cmocka_unit_test(every_completion_knows_every_command_and_option),
        cmocka_unit_test(names_and_letters_are_unique),
        cmocka_unit_test(arguments_are_counted),
        cmocka_unit_test(long_texts_are_wrapped_at_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
