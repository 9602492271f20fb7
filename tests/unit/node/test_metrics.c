// SPDX-License-Identifier: Apache-2.0
// Tests of what the node adds to the loops' counters in /metrics.
#include "node/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *render(struct buf *out, const struct metrics_node *node)
{
    buf_init(out, 1 << 20);
    metrics_render(out, NULL, 0, node);
    buf_add_u8(out, '\0');
    assert_int_equal(buf_result(out), KR_ERR_OK);
    return (const char *)out->data;
}

static void loading_shows_how_far_it_has_come(void **state)
{
    const struct metrics_node node = {
        .node_id = "n", .region = "r", .load_done = 300, .load_total = 1000};
    struct buf out;
    (void)state;
    const char *text = render(&out, &node);
    assert_non_null(strstr(text, "\nkeyreeve_table_loaded 0\n"));
    assert_non_null(strstr(text, "\nkeyreeve_table_loaded_keys 300\n"));
    assert_non_null(strstr(text, "\nkeyreeve_table_expected_keys 1000\n"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading_shows_how_far_it_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
