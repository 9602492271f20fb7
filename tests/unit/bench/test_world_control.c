// SPDX-License-Identifier: Apache-2.0
// Topologies, and what a running world is told: what is wrong is named and changes nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/world_control.h"
#include "core/base/json.h"

struct told {
    struct topology topology;
    struct link *link;
    struct fault fault;
};

static void begin_kind(struct told *told, enum link_kind kind)
{
    *told = (struct told){.link = NULL};
    assert_int_equal(topology_load(NULL, &told->topology, &told->fault), KR_ERR_OK);
    told->link = link_new(kind, told->topology.region_count, 1);
    for (size_t a = 0; a < told->topology.region_count; a++)
        for (size_t b = 0; b < told->topology.region_count; b++)
            link_set(told->link, a, b, &told->topology.shapes[a][b]);
}

static void begin(struct told *told)
{
    begin_kind(told, KR_LINK_PACKETS);
}

static enum kr_err tell(struct told *told, const char *request)
{
    char text[256];
    struct buf answer;
    snprintf(text, sizeof(text), "%s", request);
    buf_init(&answer, 65536);
    enum kr_err err = world_control(&told->topology, told->link, text, &answer, &told->fault);
    buf_fini(&answer);
    return err;
}

static void the_default_topology_is_a_world(void **state)
{
    (void)state;
    struct told told;
    begin(&told);
    const struct topology *topology = &told.topology;
    size_t east = topology_region(topology, "us-east"), west = topology_region(topology, "us-west");
    size_t tokyo = topology_region(topology, "ap-northeast");
    size_t cores = 0;
    assert_int_equal(topology->region_count, 5);
    assert_true(topology->shapes[east][west].delay_ms == 32);
    assert_true(topology->shapes[west][east].delay_ms == 32);
    assert_true(topology->shapes[tokyo][east].delay_ms == 78);
    for (size_t i = 0; i < topology->node_count; i++)
        cores += topology->nodes[i].is_core;
    assert_int_equal(cores, 3);
    assert_string_equal(topology->nodes[0].name, "core-1");
    assert_string_equal(topology->nodes[0].address, "10.84.1.11");
    assert_int_equal(topology_region(topology, "mars"), topology->region_count);
    link_free(&told.link);
}

static void links_are_set_one_way_and_both(void **state)
{
    (void)state;
    struct told told;
    begin(&told);
    assert_int_equal(tell(&told, "set us-east eu-west delay_ms=45 loss_percent=1"), KR_ERR_OK);
    assert_true(link_get(told.link, 0, 2)->delay_ms == 45);
    assert_true(link_get(told.link, 2, 0)->delay_ms == 45);
    assert_true(link_get(told.link, 2, 0)->loss == 0.01);
    assert_true(link_get(told.link, 0, 1)->delay_ms == 32);
    assert_int_equal(tell(&told, "set us-east us-west one-way jitter_ms=3"), KR_ERR_OK);
    assert_true(link_get(told.link, 0, 1)->jitter_ms == 3);
    assert_true(link_get(told.link, 1, 0)->jitter_ms == 0);
    assert_int_equal(tell(&told, "set all all loss_percent=0 queue_kib=64"), KR_ERR_OK);
    assert_true(link_get(told.link, 2, 0)->loss == 0);
    assert_int_equal(link_get(told.link, 4, 3)->queue_bytes, 65536);
    assert_true(link_get(told.link, 2, 0)->delay_ms == 45);
    link_free(&told.link);
}

static void links_are_cut_and_healed(void **state)
{
    (void)state;
    struct told told;
    begin(&told);
    assert_int_equal(tell(&told, "cut us-east us-west one-way"), KR_ERR_OK);
    assert_true(link_is_cut(told.link, 0, 1));
    assert_false(link_is_cut(told.link, 1, 0));
    assert_int_equal(tell(&told, "cut eu-west all"), KR_ERR_OK);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(link_is_cut(told.link, 2, i), i != 2);
        assert_int_equal(link_is_cut(told.link, i, 2), i != 2);
    }
    assert_false(link_is_cut(told.link, 3, 4));
    assert_int_equal(tell(&told, "heal all all"), KR_ERR_OK);
    for (size_t a = 0; a < 5; a++)
        for (size_t b = 0; b < 5; b++)
            assert_false(link_is_cut(told.link, a, b));
    link_free(&told.link);
}

static void what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "explode",
        "set us-east",
        "set us-east mars delay_ms=1",
        "set us-east us-west delay_ms=1 delay=2",
        "set us-east us-west delay_ms=1 loss_percent=101",
        "set us-east us-west delay_ms=1 mbit=0",
        "set us-east us-west delay_ms=1 queue_kib=-1",
        "set us-east us-west delay_ms=nan",
        "set us-east us-west delay_ms=1x",
        "cut mars all",
    };
    struct told told;
    begin(&told);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(tell(&told, wrong[i]), KR_ERR_INVALID);
        assert_true(told.fault.text[0] != '\0');
        assert_true(link_get(told.link, 0, 1)->delay_ms == 32);
        assert_false(link_is_cut(told.link, 0, 1));
    }
    link_free(&told.link);
}

static void relays_take_no_loss_and_no_reordering(void **state)
{
    (void)state;
    struct told told;
    begin_kind(&told, KR_LINK_STREAMS);
    assert_int_equal(topology_check_kind(&told.topology, KR_LINK_STREAMS, &told.fault), KR_ERR_OK);
    assert_int_equal(tell(&told, "set all all loss_percent=1"), KR_ERR_INVALID);
    assert_non_null(strstr(told.fault.text, "no packets to lose"));
    assert_int_equal(tell(&told, "set all all reorder_percent=1 reorder_ms=5"), KR_ERR_INVALID);
    assert_int_equal(tell(&told, "set all all loss_percent=0 jitter_ms=2 mbit=50"), KR_ERR_OK);
    assert_true(link_get(told.link, 0, 1)->mbit == 50);
    told.topology.shapes[1][3].loss = 0.01;
    assert_int_equal(topology_check_kind(&told.topology, KR_LINK_PACKETS, &told.fault), KR_ERR_OK);
    assert_int_equal(topology_check_kind(&told.topology, KR_LINK_STREAMS, &told.fault),
                     KR_ERR_INVALID);
    assert_non_null(strstr(told.fault.text, "between us-west and ap-northeast"));
    link_free(&told.link);
}

static void a_world_may_have_another_network(void **state)
{
    (void)state;
    static const uint8_t net[2] = {127, 84};
    struct told told;
    char address[KR_TOPOLOGY_ADDRESS];
    begin(&told);
    topology_move(&told.topology, net);
    assert_string_equal(told.topology.nodes[0].address, "127.84.1.11");
    topology_address(&told.topology, 4, 1, address);
    assert_string_equal(address, "127.84.5.1");
    link_free(&told.link);
}

static void a_description_tells_every_link(void **state)
{
    (void)state;
    struct told told;
    char request[] = "describe";
    struct buf answer;
    struct json *description = NULL;
    begin(&told);
    assert_int_equal(tell(&told, "cut us-east us-west one-way"), KR_ERR_OK);
    buf_init(&answer, 65536);
    assert_int_equal(world_control(&told.topology, told.link, request, &answer, &told.fault),
                     KR_ERR_OK);
    assert_int_equal(json_parse(buf_bytes(&answer), &description, &told.fault), KR_ERR_OK);
    const struct json *links = json_member(description, "links");
    assert_string_equal(json_text(json_member(description, "form")), "tun");
    assert_int_equal(json_size(links), 20);
    assert_int_equal(json_size(json_member(description, "regions")), 5);
    assert_true(json_bool(json_member(json_at(links, 0), "cut")));
    assert_false(json_bool(json_member(json_at(links, 1), "cut")));
    json_free(&description);
    buf_fini(&answer);
    link_free(&told.link);
}

static void assert_refused(const char *text, const char *reason)
{
    char path[] = "/tmp/keyreeve-topology-XXXXXX";
    static struct topology topology;
    struct fault fault = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(topology_load(path, &topology, &fault), KR_ERR_INVALID);
    unlink(path);
    if (strstr(fault.text, reason) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", fault.text, reason);
    if (strstr(fault.text, ":0:") != NULL)
        fail_msg("\"%s\" names a line that is none", fault.text);
}

#define KR_HEAD "mbit: 10\nqueue_kib: 64\nregions: [a, b]\n"
#define KR_LINKS KR_HEAD "links: [{between: [a, b], delay_ms: 1}]\n"

static void a_wrong_topology_is_refused_with_its_reason(void **state)
{
    (void)state;
    assert_refused("", ": it is empty; a topology has mbit");
    assert_refused("# nothing yet\n", ": it is empty; a topology has mbit");
    assert_refused("regions\n", ": Expecting MAPPING");
    assert_refused("mbit: 10\n", "queue_kib");
    assert_refused(KR_LINKS "colour: red\n", "colour");
    assert_refused(KR_HEAD "links: [{between: [a, c], delay_ms: 1}]\n", "no such two regions");
    assert_refused(KR_HEAD "links: [{between: [a, b], delay_ms: -1}]\n", "the delay");
    assert_refused(KR_HEAD "links:\n - {between: [a, b], delay_ms: 1}\n - {between: [b, a], "
                           "delay_ms: 2}\n",
                   "stands twice");
    assert_refused("mbit: 10\nqueue_kib: 64\nregions: [a, b, c]\nlinks: [{between: [a, b], "
                   "delay_ms: 1}]\n",
                   "no link between a and c");
    assert_refused("mbit: 10\nqueue_kib: 64\nregions: [a, all]\nlinks: [{between: [a, b], "
                   "delay_ms: 1}]\n",
                   "all regions");
    assert_refused(KR_LINKS "nodes: [{name: n, region: c, role: core}]\n", "no region c");
    assert_refused(KR_LINKS "nodes: [{name: n, region: a, role: king}]\n", "core or follower");
    assert_refused(KR_LINKS "nodes: [{name: n, region: a, role: follower, upstreams: [m]}]\n",
                   "upstream m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_topology_is_a_world),
        cmocka_unit_test(links_are_set_one_way_and_both),
        cmocka_unit_test(links_are_cut_and_healed),
        cmocka_unit_test(what_is_wrong_changes_nothing),
        cmocka_unit_test(relays_take_no_loss_and_no_reordering),
        cmocka_unit_test(a_world_may_have_another_network),
        cmocka_unit_test(a_description_tells_every_link),
        cmocka_unit_test(a_wrong_topology_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests_name("bench/world_control", tests, NULL, NULL);
}
