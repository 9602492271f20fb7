// SPDX-License-Identifier: Apache-2.0
// Tests of how descriptors are shared out.
#include "node/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka needs the three above.
#include <cmocka.h>

static char none[] = "", bundle[] = "node.pem";

static uint64_t connections(int64_t most, char *peer_bundle, uint64_t limit)
{
    const struct config config = {.connections_max = most, .peer_bundle = peer_bundle};
    return descriptors_connections(&config, 2, limit);
}

static void there_are_as_many_connections_as_are_set_where_the_limit_allows(void **state)
{
    (void)state;
    const struct config config = {.connections_max = 20000, .peer_bundle = none};
    uint64_t wanted = descriptors_wanted(&config, 2);
    assert_true(wanted > 20000 && wanted < 21000);
    assert_int_equal(connections(20000, none, UINT64_MAX), 20000);
    assert_int_equal(connections(20000, none, wanted), 20000);
    assert_int_equal(connections(20000, none, wanted - 1), 19999);
}

static void links_to_other_nodes_have_their_own(void **state)
{
    (void)state;
    assert_int_equal(connections(20000, none, 10000) - connections(20000, bundle, 10000), 1152);
}

static void a_low_limit_is_halved(void **state)
{
    (void)state;
    assert_int_equal(connections(20000, none, 256), 128);
    assert_int_equal(connections(20000, bundle, 1024), 512);
    assert_int_equal(connections(100, none, 256), 100);
    for (uint64_t limit = 1; limit < 10000; limit++)
        assert_true(connections(20000, none, limit) >= connections(20000, none, limit - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_as_many_connections_as_are_set_where_the_limit_allows),
        cmocka_unit_test(links_to_other_nodes_have_their_own),
        cmocka_unit_test(a_low_limit_is_halved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
