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

static void etcds_figures_are_there_with_that_engine(void **state)
{
    struct metrics_node node = {.node_id = "n",
                                .region = "r",
                                .has_etcd = true,
                                .etcd = {.transactions = 11,
                                         .retries = 12,
                                         .elections = 13,
                                         .refusals = 14,
                                         .database_bytes = 15,
                                         .database_used_bytes = 16,
                                         .quota_bytes = 17,
                                         .is_out_of_space = true}};
    static const char *const lines[] = {
        "\n# TYPE keyreeve_etcd_transactions_total counter\n",
        "\nkeyreeve_etcd_transactions_total 11\n",
        "\nkeyreeve_etcd_retries_total 12\n",
        "\nkeyreeve_etcd_elections_total 13\n",
        "\nkeyreeve_etcd_refusals_total 14\n",
        "\nkeyreeve_etcd_database_bytes 15\n",
        "\nkeyreeve_etcd_database_used_bytes 16\n",
        "\nkeyreeve_etcd_quota_bytes 17\n",
        "\n# TYPE keyreeve_etcd_out_of_space gauge\n",
        "\nkeyreeve_etcd_out_of_space 1\n",
    };
    struct buf out;
    (void)state;
    const char *text = render(&out, &node);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("%s is missing", lines[i]);
    buf_fini(&out);
    node.has_etcd = false;
    assert_null(strstr(render(&out, &node), "etcd"));
    buf_fini(&out);
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
        cmocka_unit_test(etcds_figures_are_there_with_that_engine),
        cmocka_unit_test(loading_shows_how_far_it_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
