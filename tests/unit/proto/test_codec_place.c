// SPDX-License-Identifier: Apache-2.0
// An entry's place apart from its body: together they are what the whole encoder writes.
#include "recode.h"

#include "samples.h"

static struct bytes encode(struct buf *out, const struct entry *entry)
{
    buf_clear(out);
    codec_add_entry(out, entry);
    return buf_bytes(out);
}

static void place_and_body_are_the_entry(void **state)
{
    (void)state;
    static const struct {
        uint64_t index, epoch;
        int64_t at_unix_us;
    } places[] = {{1, 1, 1},
                  {127, 128, 16383},
                  {16384, 7, 1700000000016017},
                  {UINT64_MAX, UINT64_MAX, INT64_MAX}};
    struct buf whole, body, joined;
    buf_init(&whole, KR_SAMPLE_MAX);
    buf_init(&body, KR_SAMPLE_MAX);
    buf_init(&joined, KR_SAMPLE_MAX);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct entry entry = {.command = {.audit = &sample_audit_minimal,
                                          .request_id = "req-1",
                                          .actor = "system",
                                          .requested_ms = 5}};
        struct bytes unplaced = codec_entry_body(encode(&body, &entry));
        entry.index = places[i].index;
        entry.epoch = places[i].epoch;
        entry.at_unix_us = places[i].at_unix_us;
        struct bytes expected = encode(&whole, &entry);
        buf_clear(&joined);
        codec_add_entry_place(&joined, entry.index, entry.epoch, entry.at_unix_us);
        assert_true(joined.size <= KR_CODEC_PLACE_MAX);
        buf_add_bytes(&joined, unplaced);
        assert_true(bytes_equal(buf_bytes(&joined), expected));
        assert_true(bytes_equal(codec_entry_body(expected), unplaced));
    }
    buf_fini(&joined);
    buf_fini(&body);
    buf_fini(&whole);
}

static void a_cut_or_foreign_start_is_left_alone(void **state)
{
    (void)state;
    static const uint8_t cut[] = {0x08, 0x80, 0x80}, foreign[] = {0x22, 0x01, 'a'};
    assert_int_equal(codec_entry_body(bytes_of(cut, sizeof(cut))).size, sizeof(cut));
    assert_int_equal(codec_entry_body(bytes_of(foreign, sizeof(foreign))).size, sizeof(foreign));
    assert_int_equal(codec_entry_body((struct bytes){0}).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place_and_body_are_the_entry),
        cmocka_unit_test(a_cut_or_foreign_start_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
