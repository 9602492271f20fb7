// SPDX-License-Identifier: Apache-2.0
// The emulated links on virtual time: order, delay, loss, bandwidth, cuts, and what they may hold;
// and of streams, that nothing is lost.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/draw.h"
#include "bench/link.h"
#include "core/base/mem.h"

#define KR_MS UINT64_C(1000000)

static const struct link_shape plain = {.delay_ms = 30, .mbit = 1000, .queue_bytes = 1 << 20};

static struct link *new_kind(enum link_kind kind, const struct link_shape *shape)
{
    struct link *link = link_new(kind, 3, 7);
    for (size_t from = 0; from < 3; from++)
        for (size_t to = 0; to < 3; to++)
            link_set(link, from, to, shape);
    return link;
}

static struct link *new_link(const struct link_shape *shape)
{
    return new_kind(KR_LINK_PACKETS, shape);
}

static enum link_fate push_number(struct link *link, size_t from, size_t to, uint32_t number,
                                  uint64_t now_ns)
{
    uint8_t packet[100] = {0};
    memcpy(packet, &number, sizeof(number));
    return link_push(link, from, to, bytes_of(packet, sizeof(packet)), now_ns);
}

// The number in the next packet; UINT32_MAX: none is due.
static uint32_t pop_number(struct link *link, uint64_t now_ns)
{
    uint32_t number = UINT32_MAX;
    struct link_packet *packet = link_pop(link, now_ns);
    if (packet != NULL)
        memcpy(&number, packet->data, sizeof(number));
    mem_free(packet);
    return number;
}

static void a_packet_arrives_after_the_delay(void **state)
{
    (void)state;
    struct link *link = new_link(&plain);
    assert_int_equal(link_next_ns(link), UINT64_MAX);
    assert_int_equal(push_number(link, 0, 1, 5, 1000), KR_LINK_HELD);
    // 100 bytes at 1,000 Mbit/s take 800 ns.
    assert_int_equal(link_next_ns(link), 1000 + 800 + 30 * KR_MS);
    assert_int_equal(pop_number(link, 1000 + 799 + 30 * KR_MS), UINT32_MAX);
    assert_int_equal(pop_number(link, 1000 + 800 + 30 * KR_MS), 5);
    assert_int_equal(link_held_bytes(link, 0, 1), 0);
    assert_int_equal(link_counters(link, 0, 1)->passed, 1);
    link_free(&link);
}

static void jitter_keeps_the_order_and_its_bounds(void **state)
{
    (void)state;
    struct link_shape shape = plain;
    shape.jitter_ms = 10;
    struct link *link = new_link(&shape);
    struct draw draw = {3};
    uint64_t now_ns = 0, sent_ns[5000], least_ns = UINT64_MAX, most_ns = 0;
    uint32_t next = 0;
    for (uint32_t sent = 0; next < 5000;) {
        now_ns += 1 + draw_below(&draw, 8 * KR_MS);
        if (sent < 5000) {
            sent_ns[sent] = now_ns;
            push_number(link, 0, 1, sent++, now_ns);
        }
        for (uint64_t due_ns; (due_ns = link_next_ns(link)) <= now_ns; next++) {
            assert_int_equal(pop_number(link, due_ns), next);
            uint64_t took_ns = due_ns - sent_ns[next];
            least_ns = took_ns < least_ns ? took_ns : least_ns;
            most_ns = took_ns > most_ns ? took_ns : most_ns;
        }
    }
    assert_in_range(least_ns, 20 * KR_MS, 22 * KR_MS);
    assert_in_range(most_ns, 38 * KR_MS, 40 * KR_MS + 1000);
    link_free(&link);
}

static void only_reordering_lets_packets_overtake(void **state)
{
    (void)state;
    struct link_shape shape = plain;
    shape.reorder = 0.1;
    shape.reorder_ms = 3;
    struct link *link = new_link(&shape);
    size_t late = 0;
    uint32_t newest = 0;
    for (uint32_t i = 0; i < 10000; i++)
        push_number(link, 0, 1, i, i * KR_MS);
    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t number = pop_number(link, UINT64_MAX - 1);
        late += number < newest;
        newest = number > newest ? number : newest;
    }
    assert_in_range(late, 850, 1150);
    // One whose successors are held back as well, or have not been sent, is overtaken by nothing.
    assert_in_range(link_counters(link, 0, 1)->reordered, late, late + 40);
    link_free(&link);
}

static void a_cut_path_passes_nothing_and_the_others_go_on(void **state)
{
    (void)state;
    struct link *link = new_link(&plain);
    uint32_t expected[3] = {0};
    for (uint32_t i = 0; i < 300; i++)
        push_number(link, i % 3, (i + 1) % 3, i, i * 1000);
    link_cut(link, 0, 1, true);
    assert_true(link_is_cut(link, 0, 1));
    assert_false(link_is_cut(link, 1, 0));
    assert_int_equal(link_held_bytes(link, 0, 1), 0);
    assert_int_equal(push_number(link, 0, 1, 999, KR_MS), KR_LINK_CUT);
    assert_int_equal(push_number(link, 1, 0, 1000, KR_MS), KR_LINK_HELD);
    // What was under way on the two others, each in its order, and then the one packet behind it.
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t number = pop_number(link, 100 * KR_MS);
        assert_int_not_equal(number % 3, 0);
        assert_true(number > expected[number % 3] || expected[number % 3] == 0);
        expected[number % 3] = number;
    }
    assert_int_equal(pop_number(link, 100 * KR_MS), 1000);
    assert_int_equal(pop_number(link, UINT64_MAX - 1), UINT32_MAX);
    assert_int_equal(link_counters(link, 0, 1)->cut, 101);
    assert_int_equal(link_counters(link, 0, 1)->passed, 0);
    link_cut(link, 0, 1, false);
    assert_int_equal(push_number(link, 0, 1, 1001, 200 * KR_MS), KR_LINK_HELD);
    assert_int_equal(pop_number(link, 300 * KR_MS), 1001);
    link_free(&link);
}

// Two seconds of flooding 10 Mbit/s with more than ten times as much.
static void a_flood_is_held_within_the_bound(void **state)
{
    (void)state;
    const struct link_shape shape = {
        .delay_ms = 40, .jitter_ms = 5, .mbit = 10, .queue_bytes = 20000};
    const double bound = 10e6 / 8 * 0.045 + 20000 + 1500;
    struct link *link = new_link(&shape);
    uint8_t packet[1500] = {0};
    uint64_t most = 0, now_ns = 0;
    for (; now_ns < 2000 * KR_MS; now_ns += KR_MS / 2) {
        for (struct link_packet *out; (out = link_pop(link, now_ns)) != NULL;)
            mem_free(out);
        for (int i = 0; i < 5; i++)
            link_push(link, 0, 1, bytes_of(packet, sizeof(packet)), now_ns);
        uint64_t held = link_held_bytes(link, 0, 1);
        most = held > most ? held : most;
    }
    assert_true((double)most <= bound);
    assert_true((double)most > bound / 2); // the flood did fill it
    const struct link_counters *counters = link_counters(link, 0, 1);
    assert_true(counters->overflowed > counters->passed);
    // 2 s less the delay at 10 Mbit/s.
    assert_in_range(counters->passed_bytes, 1.95 * 1.25e6 * 0.98, 1.97 * 1.25e6 * 1.02);
    link_free(&link);
}

static void loss_has_its_share_and_follows_from_the_seed(void **state)
{
    (void)state;
    struct link_shape shape = plain;
    shape.loss = 0.01;
    struct link *link = new_link(&shape), *again = new_link(&shape);
    for (uint32_t i = 0; i < 100000; i++) {
        enum link_fate fate = push_number(link, 0, 1, i, i * KR_MS);
        assert_int_equal(fate, push_number(again, 0, 1, i, i * KR_MS));
        while (pop_number(link, i * KR_MS) != UINT32_MAX)
            ;
        while (pop_number(again, i * KR_MS) != UINT32_MAX)
            ;
    }
    assert_in_range(link_counters(link, 0, 1)->lost, 900, 1100);
    assert_int_equal(link_counters(link, 0, 1)->overflowed, 0);
    link_free(&again);
    link_free(&link);
}

static void a_shorter_delay_lets_nothing_overtake(void **state)
{
    (void)state;
    struct link_shape shape = plain;
    struct link *link = new_link(&shape);
    push_number(link, 0, 1, 0, 0);
    shape.delay_ms = 1;
    link_set(link, 0, 1, &shape);
    push_number(link, 0, 1, 1, KR_MS);
    assert_int_equal(pop_number(link, 20 * KR_MS), UINT32_MAX);
    assert_int_equal(pop_number(link, 31 * KR_MS), 0);
    assert_int_equal(pop_number(link, 31 * KR_MS), 1);
    push_number(link, 0, 1, 2, 40 * KR_MS);
    assert_int_equal(pop_number(link, 42 * KR_MS), 2);
    link_free(&link);
}

// --- streams -------------------------------------------------------------------------------------

static void a_stream_waits_where_packets_are_dropped(void **state)
{
    (void)state;
    const struct link_shape shape = {.delay_ms = 40, .mbit = 8, .queue_bytes = 1000};
    struct link *link = new_kind(KR_LINK_STREAMS, &shape);
    // At a byte a microsecond 100 bytes leave the queue in 100 us.
    assert_int_equal(link_room_bytes(link, 0, 1, 0), 1000);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(push_number(link, 0, 1, i, 0), KR_LINK_HELD);
    assert_int_equal(link_room_bytes(link, 0, 1, 0), 0);
    assert_int_equal(link_room_bytes(link, 0, 1, 300000), 100);
    assert_int_equal(link_room_bytes(link, 1, 0, 0), 1000);
    for (uint32_t i = 0; i < 12; i++) {
        assert_int_equal(pop_number(link, 40 * KR_MS + (i + 1) * 100000 - 1), UINT32_MAX);
        assert_int_equal(pop_number(link, 40 * KR_MS + (i + 1) * 100000), i);
    }
    assert_int_equal(link_counters(link, 0, 1)->overflowed, 0);
    assert_int_equal(link_room_bytes(link, 0, 1, 100 * KR_MS), 1000);
    link_free(&link);
}

static void what_a_cut_stops_of_a_stream_sets_out_behind_the_heal(void **state)
{
    (void)state;
    struct link *link = new_kind(KR_LINK_STREAMS, &plain);
    for (uint32_t i = 0; i < 200; i++) // every second one the other way
        push_number(link, i % 2, (i + 1) % 2, i, i * 1000);
    link_cut(link, 0, 1, true);
    assert_int_equal(link_room_bytes(link, 0, 1, KR_MS), 0);
    assert_int_equal(push_number(link, 0, 1, 200, KR_MS), KR_LINK_HELD);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(pop_number(link, 500 * KR_MS), 2 * i + 1);
    assert_int_equal(link_next_ns(link), UINT64_MAX);
    assert_int_equal(pop_number(link, 500 * KR_MS), UINT32_MAX);
    assert_int_equal(link_held_bytes(link, 0, 1), 101 * 100);

    link_cut(link, 0, 1, false);
    assert_int_equal(push_number(link, 0, 1, 202, 600 * KR_MS), KR_LINK_HELD);
    assert_true(link_next_ns(link) <= 600 * KR_MS); // so that its caller comes
    assert_int_equal(pop_number(link, 600 * KR_MS), UINT32_MAX);
    for (uint32_t i = 0; i < 102; i++) { // 800 ns each
        uint64_t due_ns = 630 * KR_MS + (i + 1) * UINT64_C(800);
        assert_int_equal(link_next_ns(link), due_ns);
        assert_int_equal(pop_number(link, due_ns), 2 * i);
    }
    assert_int_equal(link_held_bytes(link, 0, 1), 0);
    assert_int_equal(link_counters(link, 0, 1)->passed, 102);
    link_free(&link);
}

// Healed and cut again before anybody looked, and cut while that is under way once more.
static void a_stream_survives_cuts_upon_cuts(void **state)
{
    (void)state;
    struct link *link = new_kind(KR_LINK_STREAMS, &plain);
    push_number(link, 0, 1, 0, 0);
    link_cut(link, 0, 1, true);
    push_number(link, 0, 1, 1, KR_MS);
    link_cut(link, 0, 1, false);
    link_cut(link, 0, 1, true);
    assert_int_equal(pop_number(link, 100 * KR_MS), UINT32_MAX);
    link_cut(link, 0, 1, false);
    assert_int_equal(pop_number(link, 200 * KR_MS), UINT32_MAX); // they set out now
    link_cut(link, 0, 1, true);
    push_number(link, 0, 1, 2, 300 * KR_MS);
    assert_int_equal(pop_number(link, 300 * KR_MS), UINT32_MAX);
    link_cut(link, 0, 1, false);
    assert_int_equal(pop_number(link, 400 * KR_MS), UINT32_MAX);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(pop_number(link, 431 * KR_MS), i);
    link_cut(link, 0, 1, true);
    push_number(link, 0, 1, 3, 500 * KR_MS);
    link_free(&link); // with what is stopped
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_arrives_after_the_delay),
        cmocka_unit_test(jitter_keeps_the_order_and_its_bounds),
        cmocka_unit_test(only_reordering_lets_packets_overtake),
        cmocka_unit_test(a_cut_path_passes_nothing_and_the_others_go_on),
        cmocka_unit_test(a_flood_is_held_within_the_bound),
        cmocka_unit_test(loss_has_its_share_and_follows_from_the_seed),
        cmocka_unit_test(a_shorter_delay_lets_nothing_overtake),
        cmocka_unit_test(a_stream_waits_where_packets_are_dropped),
        cmocka_unit_test(what_a_cut_stops_of_a_stream_sets_out_behind_the_heal),
        cmocka_unit_test(a_stream_survives_cuts_upon_cuts),
    };
    return cmocka_run_group_tests_name("bench/link", tests, NULL, NULL);
}
