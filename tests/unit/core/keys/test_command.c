// SPDX-License-Identifier: Apache-2.0
// Tests of building a command.
#include "core/keys/command.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void operations_keep_their_order_and_content_while_the_list_grows(void **state)
{
    (void)state;
    struct arena arena;
    struct command command = {0};
    arena_init(&arena);
    for (uint32_t i = 0; i < 1000; i++) {
        struct command_op *op = command_add(&command, KR_OP_PURGE, &arena);
        assert_int_equal(op->as.purge.limit, 0); // zeroed
        op->as.purge.limit = i;
    }
    assert_int_equal(command.op_count, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(command.ops[i].kind, KR_OP_PURGE);
        assert_int_equal(command.ops[i].as.purge.limit, i);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_keep_their_order_and_content_while_the_list_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
