// SPDX-License-Identifier: Apache-2.0
// Log lines: one a write, well-formed whatever the values hold, and never too long.
#include "core/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/mem.h"

enum { KR_TEST_OUTPUT = 1 << 20 };

// What was written to stderr between begin and end.
struct capture {
    FILE *file;
    int saved;
    char text[KR_TEST_OUTPUT];
    size_t size;
};

static int set_up(void **state)
{
    struct capture *capture = mem_zalloc(sizeof(*capture));
    capture->file = tmpfile();
    capture->saved = dup(STDERR_FILENO);
    *state = capture;
    return capture->file == NULL || capture->saved < 0;
}

static int tear_down(void **state)
{
    struct capture *capture = *state;
    fclose(capture->file);
    close(capture->saved);
    mem_free(capture);
    return 0;
}

static void begin(struct capture *capture)
{
    dup2(fileno(capture->file), STDERR_FILENO);
}

static char *end(struct capture *capture)
{
    dup2(capture->saved, STDERR_FILENO);
    off_t size = lseek(fileno(capture->file), 0, SEEK_END);
    assert_in_range(size, 0, KR_TEST_OUTPUT - 1);
    capture->size = (size_t)pread(fileno(capture->file), capture->text, (size_t)size, 0);
    capture->text[capture->size] = '\0';
    return capture->text;
}

static struct json *parse_line(const char *line)
{
    struct json *document;
    struct fault fault;
    size_t size = strlen(line);
    assert_true(size > 0 && line[size - 1] == '\n');
    assert_null(memchr(line, '\n', size - 1));
    if (json_parse(bytes_text(line), &document, &fault) != KR_ERR_OK)
        fail_msg("%s: %s", fault.text, line);
    return document;
}

static const char *text_of(const struct json *document, const char *name)
{
    const struct json *member = json_member(document, name);
    assert_non_null(member);
    return json_text(member);
}

static void a_text_line_reads_well(void **state)
{
    struct capture *capture = *state;
    int64_t stamp_ms;
    begin(capture);
    log_configure(KR_LOG_INFO, KR_LOG_TEXT);
    LOG_WARN("standby is behind", LOG_TEXT("node", "eu-1"), LOG_NUMBER("entries", -12));
    char *line = end(capture);
    assert_int_equal(clock_parse(bytes_of(line, 24), &stamp_ms), 0);
    assert_true(clock_unix_ms() - stamp_ms < 60000);
    assert_string_equal(line + 24, " WARN  standby is behind node=eu-1 entries=-12\n");
}

static void text_values_are_quoted_where_they_would_mislead(void **state)
{
    struct capture *capture = *state;
    begin(capture);
    log_configure(KR_LOG_INFO, KR_LOG_TEXT);
    LOG_INFO("e", LOG_TEXT("a", ""), LOG_TEXT("b", "x y"), LOG_TEXT("c", "x=\"1\""),
             LOG_TEXT("d", "l1\nl2\x1b[31m\x7f"), LOG_TEXT("e", "\xc3\xa9\xc2\x9b"),
             LOG_TEXT("f", "\xff"), LOG_TEXT("g", "c:\\d"));
    char *line = end(capture);
    assert_string_equal(line + 24, " INFO  e a=\"\" b=\"x y\" c=\"x=\\\"1\\\"\" "
                                   "d=\"l1\\nl2\\u001b[31m\\u007f\" e=\"\xc3\xa9\\u009b\" "
                                   "f=\"\\ufffd\" g=\"c:\\\\d\"\n");
}

static void a_json_line_is_one_object(void **state)
{
    struct capture *capture = *state;
    begin(capture);
    log_configure(KR_LOG_DEBUG, KR_LOG_JSON);
    LOG_ERROR("disk \"full\"", LOG_TEXT("path", "/a\\b\n\x01\xc3\xa9"),
              LOG_NUMBER("bytes", INT64_MIN));
    struct json *line = parse_line(end(capture));
    int64_t stamp_ms;
    assert_int_equal(json_size(line), 5);
    assert_int_equal(clock_parse(bytes_text(text_of(line, "time")), &stamp_ms), 0);
    assert_string_equal(text_of(line, "level"), "error");
    assert_string_equal(text_of(line, "event"), "disk \"full\"");
    assert_string_equal(text_of(line, "path"), "/a\\b\n\x01\xc3\xa9");
    assert_true(json_int64(json_member(line, "bytes")) == INT64_MIN);
    json_free(&line);
}

static void bytes_that_are_not_utf8_do_not_break_the_object(void **state)
{
    struct capture *capture = *state;
    begin(capture);
    log_configure(KR_LOG_INFO, KR_LOG_JSON);
    LOG_INFO("bad", LOG_TEXT("v", "a\xffz"));
    struct json *line = parse_line(end(capture));
    assert_string_equal(text_of(line, "v"), "a\xef\xbf\xbdz");
    json_free(&line);
}

// Every length around the limit, of characters of one to four bytes and of escaped ones.
static void a_line_that_is_too_long_is_cut_and_says_so(void **state)
{
    struct capture *capture = *state;
    static const char *const units[] = {"x", "\xc3\xa9", "\xf0\x9f\x98\x80", "\x01", "\"", "\xff"};
    static char text[8192];
    log_configure(KR_LOG_INFO, KR_LOG_JSON);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t unit = strlen(units[i]);
        for (size_t count = 4100 / 6 / unit; count < 4300 / unit; count += 1 + count / 50) {
            for (size_t j = 0; j < count; j++)
                memcpy(text + 1 + j * unit, units[i], unit);
            text[0] = 'x'; // so that no power of two falls between two characters
            text[1 + count * unit] = '\0';
            assert_int_equal(ftruncate(fileno(capture->file), 0), 0);
            lseek(fileno(capture->file), 0, SEEK_SET);
            begin(capture);
            LOG_INFO("long", LOG_TEXT("v", text), LOG_TEXT("w", text), LOG_NUMBER("n", 1));
            struct json *line = parse_line(end(capture));
            assert_true(capture->size <= 4096);
            bool is_cut = json_member(line, "cut") != NULL;
            assert_int_equal(is_cut, json_member(line, "n") == NULL);
            assert_true(is_cut || count * unit < 2048);
            json_free(&line);
        }
    }
}

static void many_fields_are_cut_too(void **state)
{
    struct capture *capture = *state;
    static struct log_field fields[1001];
    for (size_t i = 0; i < 1000; i++)
        fields[i] = LOG_NUMBER("number", INT64_MIN);
    begin(capture);
    log_configure(KR_LOG_INFO, KR_LOG_TEXT);
    log_write(KR_LOG_INFO, "many", fields);
    char *line = end(capture);
    assert_true(capture->size <= 4096);
    assert_string_equal(line + capture->size - strlen(" cut=true\n"), " cut=true\n");
}

static void lesser_levels_are_not_written(void **state)
{
    struct capture *capture = *state;
    begin(capture);
    log_configure(KR_LOG_WARN, KR_LOG_TEXT);
    log_write(KR_LOG_DEBUG, "d", NULL);
    log_write(KR_LOG_INFO, "i", NULL);
    log_write(KR_LOG_WARN, "w", NULL);
    log_write(KR_LOG_ERROR, "e", NULL);
    char *text = end(capture);
    char *second = strchr(text, '\n') + 1;
    assert_memory_equal(text + 24, " WARN  w\n", strlen(" WARN  w\n"));
    assert_string_equal(second + 24, " ERROR e\n");
}

static void auto_means_json_when_stderr_is_no_terminal(void **state)
{
    struct capture *capture = *state;
    begin(capture);
    log_configure(KR_LOG_INFO, KR_LOG_AUTO);
    log_write(KR_LOG_INFO, "plain", NULL);
    struct json *line = parse_line(end(capture));
    assert_int_equal(json_size(line), 3);
    json_free(&line);
}

static void errno_survives(void **state)
{
    struct capture *capture = *state;
    begin(capture);
    close(STDERR_FILENO);
    errno = ENOSPC;
    log_write(KR_LOG_ERROR, "nobody hears", NULL);
    int number = errno;
    end(capture);
    assert_int_equal(number, ENOSPC);
}

static void *write_many(void *unused)
{
    char text[1000] = "";
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 100; i++)
        LOG_INFO("parallel", LOG_TEXT("v", text));
    return unused;
}

static void lines_of_threads_do_not_mix(void **state)
{
    struct capture *capture = *state;
    pthread_t threads[4];
    log_configure(KR_LOG_INFO, KR_LOG_JSON);
    begin(capture);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    char *rest = end(capture);
    for (int lines = 0; lines < 400; lines++) {
        char *line = strsep(&rest, "\n");
        struct json *document;
        assert_non_null(rest);
        assert_int_equal(json_parse(bytes_text(line), &document, NULL), KR_ERR_OK);
        json_free(&document);
    }
    assert_string_equal(rest, "");
}

static void levels_are_known_by_name(void **state)
{
    (void)state;
    enum log_level level;
    assert_true(log_parse_level("debug", &level) && level == KR_LOG_DEBUG);
    assert_true(log_parse_level("info", &level) && level == KR_LOG_INFO);
    assert_true(log_parse_level("warn", &level) && level == KR_LOG_WARN);
    assert_true(log_parse_level("error", &level) && level == KR_LOG_ERROR);
    assert_false(log_parse_level("", &level));
    assert_false(log_parse_level("INFO", &level));
    assert_false(log_parse_level("warning", &level));
}

#define captured(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        captured(a_text_line_reads_well),
        captured(text_values_are_quoted_where_they_would_mislead),
        captured(a_json_line_is_one_object),
        captured(bytes_that_are_not_utf8_do_not_break_the_object),
        captured(a_line_that_is_too_long_is_cut_and_says_so),
        captured(many_fields_are_cut_too),
        captured(lesser_levels_are_not_written),
        captured(auto_means_json_when_stderr_is_no_terminal),
        captured(errno_survives),
        captured(lines_of_threads_do_not_mix),
        cmocka_unit_test(levels_are_known_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
