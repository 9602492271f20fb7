// SPDX-License-Identifier: Apache-2.0
// An import and a node that stays away: how long it is waited for.
#include "client/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MINUTE_MS 60000

static struct invocation in;
static struct session session;
static struct import_segment segment;
static struct import import;

static int begin(void **state)
{
    (void)state;
    session_init(&session, &in);
    session.url = "http://127.0.0.1:9";
    import = (struct import){
        .session = &session, .report_fd = -1, .segments = &segment, .ring_size = 1, .count = 1};
    progress_init(&import.progress, &session.err, "Importing", 0);
    import_segment_init(&segment);
    import_segment_add(&segment, "bucket", 1, bytes_text("{}"));
    import_segment_seal(&segment);
    return 0;
}

static int end(void **state)
{
    (void)state;
    import_segment_fini(&segment);
    session_fini(&session);
    return 0;
}

// What came of the request that was sent: a status, or 0 for no answer.
static void receive(unsigned status, uint64_t now_ms)
{
    struct import_group *group = segment.groups;
    group->state = KR_GROUP_SENT;
    group->call.state = KR_HTTP_DONE;
    group->call.err = status == 0 ? KR_ERR_TIMEOUT : KR_ERR_OK;
    group->call.status = status;
    import.in_flight = 1;
    import_receive(&import, now_ms);
}

static void patience_begins_with_the_first_failure(void **state)
{
    uint64_t now_ms = 100 * MINUTE_MS; // since the last answer: the input was slow
    (void)state;
    receive(0, now_ms);
    receive(503, now_ms + MINUTE_MS - 1);
    assert_int_equal(import.code, KR_EXIT_OK);
    receive(0, now_ms + MINUTE_MS);
    assert_int_equal(import.code, KR_EXIT_UNREACHABLE);
}

static void an_answer_that_is_none_is_received_once(void **state)
{
    (void)state;
    receive(200, MINUTE_MS); // nothing came with it
    assert_int_equal(import.code, KR_EXIT_FAILURE);
    import_receive_rest(&import);
    assert_int_equal(import.in_flight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_that_is_none_is_received_once, begin, end),
        cmocka_unit_test_setup_teardown(patience_begins_with_the_first_failure, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
