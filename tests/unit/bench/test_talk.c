// SPDX-License-Identifier: Apache-2.0
// Tests of a talk: how long it waits, and what an answer that is not 200 says.
#include "bench/talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/api.h"
#include "core/base/clock.h"

enum { PATIENCE_MS = 20 };

struct two {
    struct talk talk;
    int other;
    struct fault fault;
};

static void begin(struct two *two)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    talk_init(&two->talk, "the other", &two->fault);
    talk_take(&two->talk, ends[0], PATIENCE_MS);
    two->other = ends[1];
}

static void end(struct two *two)
{
    talk_close(&two->talk);
    close(two->other);
}

static void answer(struct two *two, const char *text)
{
    assert_int_equal(send(two->other, text, strlen(text), 0), strlen(text));
}

static void who_does_not_answer_is_waited_for_no_longer_than_told(void **state)
{
    (void)state;
    struct two two;
    begin(&two);
    uint64_t begin_ms = clock_boot_ms();
    assert_int_equal(talk_look(&two.talk), KR_ERR_NOT_FOUND);
    assert_int_equal(talk_wait(&two.talk), KR_ERR_TIMEOUT);
    assert_true(clock_boot_ms() - begin_ms >= PATIENCE_MS - 1);
    assert_int_equal(api_await_valid(&two.talk, "key", PATIENCE_MS), KR_ERR_TIMEOUT);
    end(&two);
}

static void a_request_tells_when_it_left(void **state)
{
    (void)state;
    struct two two;
    char got[8];
    begin(&two);
    uint64_t begin_ns = clock_mono_ns();
    buf_printf(&two.talk.out, "hello");
    assert_int_equal(talk_send(&two.talk), KR_ERR_OK);
    assert_true(two.talk.sent_ns >= begin_ns && two.talk.sent_ns <= clock_mono_ns());
    assert_int_equal(recv(two.other, got, sizeof(got), 0), 5);
    end(&two);
}

static void an_answer_is_read_when_it_is_whole(void **state)
{
    (void)state;
    struct two two;
    struct protocol_answer got;
    begin(&two);
    answer(&two, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"code\":");
    assert_int_equal(api_look(&two.talk, &got), KR_ERR_NOT_FOUND);
    answer(&two, "\"VALID\"}");
    assert_int_equal(api_look(&two.talk, &got), KR_ERR_OK);
    assert_string_equal(got.code, "VALID");
    end(&two);
}

static void another_status_is_an_error_that_shows_the_answer(void **state)
{
    (void)state;
    struct two two;
    struct protocol_answer got;
    begin(&two);
    answer(&two, "HTTP/1.1 409 Conflict\r\nContent-Length: 8\r\n\r\nit is so");
    assert_int_equal(api_look(&two.talk, &got), KR_ERR_IO);
    assert_string_equal(two.fault.text, "the other answers 409: it is so");
    end(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_answer_is_waited_for_no_longer_than_told),
        cmocka_unit_test(a_request_tells_when_it_left),
        cmocka_unit_test(an_answer_is_read_when_it_is_whole),
        cmocka_unit_test(another_status_is_an_error_that_shows_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
