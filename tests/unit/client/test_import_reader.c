// SPDX-License-Identifier: Apache-2.0
// The input of an import: lines, offsets, going on in the middle.
#include "client/import_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/import_row.h"
#include "core/base/mem.h"

static char path[64];
static struct import_reader reader;
static struct fault fault;

static void put(const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static void open_again(void)
{
    import_reader_close(&reader);
    assert_int_equal(import_reader_open(&reader, path, &fault), KR_ERR_OK);
}

static void assert_line(const char *text, uint64_t offset)
{
    struct bytes line;
    assert_int_equal(import_reader_next(&reader, &line, &fault), KR_READER_LINE);
    assert_true(bytes_equal_text(line, text));
    assert_int_equal(reader.offset, offset);
}

static void assert_end(void)
{
    struct bytes line;
    assert_int_equal(import_reader_next(&reader, &line, &fault), KR_READER_END);
}

static void lines_come_with_the_offset_behind_them(void **state)
{
    (void)state;
    put("one\n\nthree\r\nfour", 16);
    open_again();
    assert_line("one", 4);
    assert_line("", 5);
    assert_line("three\r", 12);
    assert_line("four", 16);
    assert_end();
}

static void an_empty_input_has_no_line(void **state)
{
    (void)state;
    put("", 0);
    open_again();
    assert_end();
}

// One line of 9 MiB, more than the buffer, between two short ones.
static void a_line_that_is_too_long_is_passed_over(void **state)
{
    size_t size = (size_t)9 << 20;
    char *text = mem_alloc(size);
    struct bytes line;
    (void)state;
    memset(text, 'x', size);
    memcpy(text, "a\n", 2);
    memcpy(text + size - 3, "\nb\n", 3);
    put(text, size);
    mem_free(text);
    open_again();
    assert_line("a", 2);
    assert_int_equal(import_reader_next(&reader, &line, &fault), KR_READER_TOO_LONG);
    assert_int_equal(reader.offset, size - 2);
    assert_line("b", size);
    assert_end();
}

static void many_lines_cross_the_buffer_unharmed(void **state)
{
    enum { LINES = 300000 };
    char line[40];
    FILE *file = fopen(path, "w");
    uint64_t offset = 0;
    (void)state;
    for (unsigned i = 0; i < LINES; i++)
        fprintf(file, "line %u of a long file\n", i);
    fclose(file);
    open_again();
    for (unsigned i = 0; i < LINES; i++) {
        offset += (uint64_t)snprintf(line, sizeof(line), "line %u of a long file", i) + 1;
        assert_line(line, offset);
    }
    assert_end();
}

static void it_goes_on_in_the_middle(void **state)
{
    uint8_t digest[KR_DIGEST_SIZE];
    (void)state;
    put("one\ntwo\nthree\n", 14);
    open_again();
    assert_line("one", 4);
    import_reader_digest(&reader, 4, digest);
    open_again();
    assert_int_equal(import_reader_resume(&reader, 4, digest, &fault), KR_ERR_OK);
    assert_line("two", 8);
    put("one\nother\nmore\n", 15); // what is behind the offset may change
    open_again();
    assert_int_equal(import_reader_resume(&reader, 4, digest, &fault), KR_ERR_OK);
    assert_line("other", 10);
}

static void it_goes_on_far_behind_the_first_bytes(void **state)
{
    enum { LINES = 400000, AT = 399999 };
    uint8_t digest[KR_DIGEST_SIZE];
    FILE *file = fopen(path, "w");
    (void)state;
    for (unsigned i = 0; i < LINES; i++)
        fprintf(file, "%015u\n", i);
    fclose(file);
    open_again();
    assert_line("000000000000000", 16);
    import_reader_digest(&reader, AT * 16, digest);
    open_again();
    assert_int_equal(import_reader_resume(&reader, AT * 16, digest, &fault), KR_ERR_OK);
    assert_line("000000000399999", LINES * 16);
    assert_end();
}

static void another_or_a_shorter_input_is_refused(void **state)
{
    uint8_t digest[KR_DIGEST_SIZE];
    (void)state;
    put("one\ntwo\n", 8);
    open_again();
    assert_line("one", 4);
    assert_line("two", 8);
    import_reader_digest(&reader, 8, digest);
    put("one\ntwX\n", 8);
    open_again();
    assert_int_equal(import_reader_resume(&reader, 8, digest, &fault), KR_ERR_CONFLICT);
    put("one\n", 4);
    open_again();
    assert_int_equal(import_reader_resume(&reader, 8, digest, &fault), KR_ERR_CONFLICT);
}

static void a_pipe_goes_on_by_reading_what_is_done(void **state)
{
    uint8_t digest[KR_DIGEST_SIZE];
    int ends[2];
    (void)state;
    put("one\ntwo\n", 8);
    open_again();
    assert_line("one", 4);
    import_reader_digest(&reader, 4, digest);
    import_reader_close(&reader);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "one\ntwo\n", 8), 8);
    close(ends[1]);
    int saved = dup(STDIN_FILENO);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    assert_int_equal(import_reader_open(&reader, "-", &fault), KR_ERR_OK);
    assert_int_equal(import_reader_resume(&reader, 4, digest, &fault), KR_ERR_OK);
    assert_line("two", 8);
    assert_end();
    import_reader_close(&reader);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "/tmp/keyreeve-reader-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    reader = (struct import_reader){.fd = -1};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    import_reader_close(&reader);
    unlink(path);
    return 0;
}

// As a pipe, of which more is written between the calls.
static int open_pipe(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    open_again();
    close(reader.fd);
    reader.fd = ends[0];
    reader.is_regular = false;
    return ends[1];
}

static void send_text(int fd, const char *text, size_t size)
{
    assert_int_equal(write(fd, text, size), size);
}

static void assert_quiet(void)
{
    struct bytes line;
    assert_int_equal(import_reader_next(&reader, &line, &fault), KR_READER_QUIET);
}

static void a_pipe_is_not_waited_for(void **state)
{
    (void)state;
    put("", 0);
    int fd = open_pipe();
    assert_quiet();
    send_text(fd, "one\nt", 5);
    assert_line("one", 4);
    assert_quiet();
    assert_quiet();
    send_text(fd, "wo\n", 3);
    assert_line("two", 8);
    send_text(fd, "end", 3);
    assert_quiet();
    close(fd);
    assert_line("end", 11);
    assert_end();
}

static void a_line_that_is_too_long_may_come_in_pieces(void **state)
{
    static char piece[32768];
    struct bytes line;
    size_t size = 0;
    (void)state;
    put("", 0);
    int fd = open_pipe();
    memset(piece, 'x', sizeof(piece));
    for (; size <= KR_IMPORT_LINE_MAX; size += sizeof(piece)) {
        send_text(fd, piece, sizeof(piece));
        assert_quiet();
    }
    assert_quiet();
    send_text(fd, "\nb\n", 3);
    assert_int_equal(import_reader_next(&reader, &line, &fault), KR_READER_TOO_LONG);
    assert_line("b", size + 3);
    close(fd);
    assert_end();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lines_come_with_the_offset_behind_them),
        T(an_empty_input_has_no_line),
        T(a_line_that_is_too_long_is_passed_over),
        T(many_lines_cross_the_buffer_unharmed),
        T(it_goes_on_in_the_middle),
        T(it_goes_on_far_behind_the_first_bytes),
        T(another_or_a_shorter_input_is_refused),
        T(a_pipe_goes_on_by_reading_what_is_done),
        T(a_pipe_is_not_waited_for),
        T(a_line_that_is_too_long_may_come_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
