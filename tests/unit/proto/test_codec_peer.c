// SPDX-License-Identifier: Apache-2.0
// The peer link's frames: their bytes, what is cut, what is damaged, what is over a limit.
#include "recode.h"

#include "golden_peer.h"
#include "proto/codec_peer.h"

#define SUM                                                                                        \
    {                                                                                              \
        0x0807060504030201, 0x100f0e0d0c0b0a09                                                     \
    }

static const struct peer_digest sample_sums[] = {{1, SUM}, {2, SUM}};
#define DIGESTS                                                                                    \
    {                                                                                              \
        sample_sums, 2                                                                             \
    }
static const char *const sample_path[] = {"n2", "n3"};
static const struct peer_row sample_rows[] = {
    {301, 7, SUM, {(const uint8_t *)"abc", 3}, 0, 0},
    {302, 7, SUM, {NULL, 0}, 0, 0},
    {303, 7, SUM, {(const uint8_t *)"part", 4}, 9000000, 300},
};
static const struct peer_node_report sample_reports[] = {{"n4", 302, 1900, 1700000000000, 7, 1},
                                                         {"n5", 0, 0, 0, 0, 0}};
static const struct peer_header sample_fields[] = {{"content-type", {(const uint8_t *)"a", 1}},
                                                   {"x", {NULL, 0}}};
static const struct peer_header sample_answer_fields[] = {{"etag", {(const uint8_t *)"1", 1}}};
static const struct peer_node_usage sample_usage[] = {
    {"n1", "n2", "0.1.0", 303, 12, 1000, 250, 9, true},
    {"n4", NULL, NULL, 0, 0, 0, 0, 0, false},
};

// One of each type, in order, with every field set.
static const struct peer_frame sample_frames[] = {
    {KR_PEER_HELLO,
     .as.hello = {"clst_1",
                  {"n1", "eu", KR_PEER_FOLLOWER, "10.0.0.1:7402", "http://10.0.0.1:7400"},
                  1,
                  300,
                  7,
                  SUM,
                  KR_PEER_HOLDS_VALIDATION,
                  "0.1.0",
                  {sample_path, 2},
                  1700000000000}},
    {KR_PEER_WELCOME,
     .as.welcome = {"n2", "eu", KR_PEER_CORE, {sample_path + 1, 1}, 7, 301, "n3", "http://n3"}},
    {KR_PEER_NEED_SNAPSHOT, .as.position = {300, 7, SUM, DIGESTS}},
    {KR_PEER_REJECT, .as.reject = {KR_PEER_DIVERGED, "the chain differs at index 300", 8}},
    {KR_PEER_ENTRIES, .as.entries = {sample_rows, 3, 303}},
    {KR_PEER_ACK, .as.ack = {303, 301, 7, 2, sample_reports, 2, 50, DIGESTS}},
    {KR_PEER_RENEW, .as.seq = 9},
    {KR_PEER_LEASE, .as.lease = {9, 2000, 303, 7}},
    {KR_PEER_DIGESTS, .as.digests = {303, DIGESTS}},
    {KR_PEER_SNAPSHOT_REQUEST, .as.snapshot_request = {300, 3, {(const uint8_t *)"k", 1}}},
    {KR_PEER_SNAPSHOT_CHUNK,
     .as.snapshot_chunk =
         {3, {(const uint8_t *)"rows", 4}, {(const uint8_t *)"k", 1}, 2, 77, true, 1000, 9000, 4}},
    {KR_PEER_SNAPSHOT_END, .as.position = {300, 7, SUM, DIGESTS}},
    {KR_PEER_REGISTER, .as.member = {"n1", "eu", KR_PEER_FOLLOWER, "a", "h"}},
    {KR_PEER_FORWARD, .as.forward = {4,
                                     5000,
                                     4500,
                                     "POST",
                                     "/v1/buckets",
                                     {sample_fields, 2},
                                     {(const uint8_t *)"{}", 2},
                                     "192.0.2.1",
                                     "req-1",
                                     true}},
    {KR_PEER_ANSWER,
     .as.answer = {4, 201, {sample_answer_fields, 1}, {(const uint8_t *)"{}", 2}, true}},
    {KR_PEER_BODY, .as.body = {4, {(const uint8_t *)"more", 4}, true}},
    {KR_PEER_PROBE, .as.probe = {.seq = 11, .epoch = 6}},
    {KR_PEER_ECHO, .as.probe = {.seq = 11, .epoch = 7}},
    {KR_PEER_USAGE, .as.usage = {sample_usage, 2}},
};
enum { KR_SAMPLE_FRAMES = sizeof(sample_frames) / sizeof(sample_frames[0]) };

static enum kr_err add_result(const struct peer_frame *frame, struct fault *fault)
{
    struct buf out;
    buf_init(&out, 2 * KR_PEER_FRAME_MAX);
    enum kr_err err = codec_peer_add(&out, frame, fault);
    assert_true(err == KR_ERR_OK ? out.size > KR_PEER_HEAD_SIZE : out.size == 0);
    buf_fini(&out);
    return err;
}

// Decodes from a copy of exactly that size; what was read is written to out, if it is a frame.
static enum peer_read recode_frame(struct bytes in, struct buf *out, struct fault *fault)
{
    struct arena arena;
    struct peer_frame frame;
    size_t consumed = 0;
    arena_init(&arena);
    uint8_t *copy = mem_alloc(in.size + 1);
    if (in.size > 0)
        memcpy(copy, in.data, in.size);
    copy = mem_realloc(copy, in.size > 0 ? in.size : 1);
    enum peer_read read =
        codec_peer_read(bytes_of(copy, in.size), &arena, &frame, &consumed, fault);
    if (read == KR_PEER_READ_FRAME) {
        assert_true(consumed > KR_PEER_HEAD_SIZE - 1 && consumed <= in.size);
        assert_int_equal(codec_peer_add(out, &frame, fault), KR_ERR_OK);
    }
    mem_free(copy);
    arena_fini(&arena);
    return read;
}

static enum peer_read read_hex(const char *hex, struct fault *fault)
{
    uint8_t memory[KR_SAMPLE_MAX];
    struct buf out;
    buf_init(&out, KR_SAMPLE_MAX);
    enum peer_read read = recode_frame(unhex(hex, memory), &out, fault);
    buf_fini(&out);
    return read;
}

static void assert_broken(const char *hex, const char *what)
{
    struct fault fault = {0};
    assert_int_equal(read_hex(hex, &fault), KR_PEER_READ_BROKEN);
    if (strstr(fault.text, what) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", hex, fault.text, what);
}

static void every_frame_has_the_golden_bytes(void **state)
{
    (void)state;
    assert_int_equal(KR_SAMPLE_FRAMES, KR_PEER_USAGE);
    for (size_t i = 0; i < KR_SAMPLE_FRAMES; i++) {
        struct buf out;
        struct fault fault = {0};
        assert_int_equal(sample_frames[i].type, i + 1);
        assert_non_null(codec_peer_name(sample_frames[i].type));
        buf_init(&out, KR_SAMPLE_MAX);
        assert_int_equal(codec_peer_add(&out, &sample_frames[i], &fault), KR_ERR_OK);
        assert_hex(buf_bytes(&out), golden_peer[i]);
        buf_fini(&out);
    }
}

static void every_frame_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_SAMPLE_FRAMES; i++) {
        uint8_t memory[KR_SAMPLE_MAX];
        struct buf out;
        struct fault fault = {0};
        buf_init(&out, KR_SAMPLE_MAX);
        struct bytes in = unhex(golden_peer[i], memory);
        assert_int_equal(recode_frame(in, &out, &fault), KR_PEER_READ_FRAME);
        assert_hex(buf_bytes(&out), golden_peer[i]);
        buf_fini(&out);
    }
}

// The length says how much belongs to a frame: what is short of it waits, and a body that is cut
// although the length fits is broken or another frame, never read beyond its end.
static void a_cut_frame_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_SAMPLE_FRAMES; i++) {
        uint8_t memory[KR_SAMPLE_MAX];
        struct buf out;
        struct fault fault = {0};
        buf_init(&out, KR_SAMPLE_MAX);
        struct bytes in = unhex(golden_peer[i], memory);
        for (size_t size = 0; size < in.size; size++)
            assert_int_equal(recode_frame(bytes_of(memory, size), &out, &fault), KR_PEER_READ_MORE);
        for (uint32_t length = 1; length + 4 < in.size; length++) {
            buf_clear(&out);
            memcpy(memory, &length, sizeof(length));
            assert_int_not_equal(recode_frame(bytes_of(memory, length + 4), &out, &fault),
                                 KR_PEER_READ_MORE);
        }
        buf_fini(&out);
    }
}

static void a_damaged_frame_settles(void **state)
{
    (void)state;
    for (size_t i = 0; i < KR_SAMPLE_FRAMES; i++) {
        uint8_t memory[KR_SAMPLE_MAX];
        struct bytes in = unhex(golden_peer[i], memory);
        for (size_t bit = 0; bit < in.size * 8; bit++) {
            struct buf once, twice;
            struct fault fault = {0};
            buf_init(&once, KR_SAMPLE_MAX);
            buf_init(&twice, KR_SAMPLE_MAX);
            memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
            enum peer_read read = recode_frame(in, &once, &fault);
            assert_int_equal(read == KR_PEER_READ_BROKEN, fault.err != KR_ERR_OK);
            if (read == KR_PEER_READ_FRAME) {
                assert_int_equal(recode_frame(buf_bytes(&once), &twice, &fault),
                                 KR_PEER_READ_FRAME);
                assert_true(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
            }
            memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
            buf_fini(&once);
            buf_fini(&twice);
        }
    }
}

static void frames_follow_one_another(void **state)
{
    (void)state;
    struct arena arena;
    struct buf out;
    struct fault fault = {0};
    struct peer_frame frame;
    arena_init(&arena);
    buf_init(&out, KR_SAMPLE_MAX);
    for (size_t i = 0; i < KR_SAMPLE_FRAMES; i++)
        assert_int_equal(codec_peer_add(&out, &sample_frames[i], &fault), KR_ERR_OK);
    struct bytes left = buf_bytes(&out);
    for (size_t i = 0; i < KR_SAMPLE_FRAMES; i++) {
        size_t consumed;
        assert_int_equal(codec_peer_read(left, &arena, &frame, &consumed, &fault),
                         KR_PEER_READ_FRAME);
        assert_int_equal(frame.type, i + 1);
        left = bytes_of(left.data + consumed, left.size - consumed);
    }
    assert_int_equal(left.size, 0);
    buf_fini(&out);
    arena_fini(&arena);
}

static void unset_texts_are_empty_when_read(void **state)
{
    (void)state;
    uint8_t memory[KR_SAMPLE_MAX];
    struct arena arena;
    struct peer_frame frame;
    struct fault fault = {0};
    size_t consumed;
    arena_init(&arena);
    struct bytes in = unhex(golden_peer[KR_PEER_USAGE - 1], memory);
    assert_int_equal(codec_peer_read(in, &arena, &frame, &consumed, &fault), KR_PEER_READ_FRAME);
    assert_string_equal(frame.as.usage.items[0].version, "0.1.0");
    assert_string_equal(frame.as.usage.items[1].upstream_id, "");
    in = unhex("02000000"
               "06"
               "08"
               "00000000",
               memory); // an Ack cut in its first field
    assert_int_equal(codec_peer_read(in, &arena, &frame, &consumed, &fault), KR_PEER_READ_BROKEN);
    in = unhex("01000000"
               "06",
               memory);
    assert_int_equal(codec_peer_read(in, &arena, &frame, &consumed, &fault), KR_PEER_READ_FRAME);
    assert_int_equal(frame.as.ack.count + frame.as.ack.digests.count, 0);
    arena_fini(&arena);
}

static void broken_frames_are_named(void **state)
{
    (void)state;
    assert_broken("00000000", "a length of 0");
    assert_broken("01001200", "a length of 1179649");
    assert_broken("ffffffff", "a length of 4294967295");
    assert_broken("0100000000", "unknown type 0");
    assert_broken("0000110014", "unknown type 20"); // before the rest has come
    assert_broken("0100000007", "Renew.seq is missing");
    assert_broken("03000000070800", "Renew.seq is missing");
    assert_broken("050000000708090809", "Renew.seq occurs twice");
    assert_broken("04000000070a0161", "Renew.seq has another type");
    assert_broken("030000000708ff", "Renew is no message");
    assert_broken("0100000003", "NeedSnapshot.position is missing");
    assert_broken("08000000050a0508011a0100", "Row.chain is not 16 bytes long");
    assert_broken("040000000d0a010a", "Register.id holds a control character");
    assert_broken("040000000d0a0100", "Register.id holds a control character");
    assert_broken("040000000d0a01ff", "Register.id is no UTF-8");
    assert_broken("070000000d0a0161120162", "Register.role is missing");
    assert_broken("090000000d0a01611201621803", "Register.role is over 2");
    assert_broken("09000000061206080118021803", "NodeReport.id has another type");
}

static void later_fields_are_passed_over(void **state)
{
    (void)state;
    struct fault fault = {0};
    assert_int_equal(read_hex("06000000070809a80601", &fault), KR_PEER_READ_FRAME);
    assert_int_equal(read_hex("0800000007080982060301020a", &fault), KR_PEER_READ_BROKEN);
    assert_int_equal(read_hex("080000000708098206020102", &fault), KR_PEER_READ_FRAME);
}

// --- limits --------------------------------------------------------------------------------------

static char *text_of_size(struct arena *arena, size_t size)
{
    char *text = arena_alloc(arena, size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    return text;
}

static void assert_refused(const struct peer_frame *frame, enum kr_err err, const char *what)
{
    struct fault fault = {0};
    assert_int_equal(add_result(frame, &fault), err);
    assert_non_null(strstr(fault.text, what));
}

static void an_epoch_leaves_room_for_the_next(void **state)
{
    (void)state;
    static const struct {
        enum peer_frame_type type;
        size_t at;
    } epochs[] = {
        {KR_PEER_HELLO, offsetof(struct peer_frame, as.hello.epoch)},
        {KR_PEER_WELCOME, offsetof(struct peer_frame, as.welcome.epoch)},
        {KR_PEER_NEED_SNAPSHOT, offsetof(struct peer_frame, as.position.epoch)},
        {KR_PEER_REJECT, offsetof(struct peer_frame, as.reject.epoch)},
        {KR_PEER_ACK, offsetof(struct peer_frame, as.ack.epoch)},
        {KR_PEER_LEASE, offsetof(struct peer_frame, as.lease.epoch)},
        {KR_PEER_SNAPSHOT_END, offsetof(struct peer_frame, as.position.epoch)},
        {KR_PEER_PROBE, offsetof(struct peer_frame, as.probe.epoch)},
        {KR_PEER_ECHO, offsetof(struct peer_frame, as.probe.epoch)},
    };
    const struct peer_row row = {.index = 1, .epoch = KR_PEER_EPOCH_MAX + 1};
    const struct peer_node_report report = {.id = "a", .epoch = KR_PEER_EPOCH_MAX + 1};
    struct fault fault = {0};
    for (size_t i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
        struct peer_frame frame = sample_frames[epochs[i].type - 1];
        uint64_t *epoch = (uint64_t *)(void *)((char *)&frame + epochs[i].at);
        *epoch = KR_PEER_EPOCH_MAX;
        assert_int_equal(add_result(&frame, &fault), KR_ERR_OK);
        *epoch = KR_PEER_EPOCH_MAX + 1;
        assert_refused(&frame, KR_ERR_TOO_LARGE, ".epoch is over 4611686018427387903");
    }
    const struct peer_frame entries = {.type = KR_PEER_ENTRIES, .as.entries = {&row, 1, 1}};
    assert_refused(&entries, KR_ERR_TOO_LARGE, "Row.epoch is over");
    const struct peer_frame ack = {.type = KR_PEER_ACK, .as.ack = {.items = &report, .count = 1}};
    assert_refused(&ack, KR_ERR_TOO_LARGE, "NodeReport.epoch is over");
    assert_int_equal(read_hex("0d00000012080110ffffffffffffffff3f", &fault), KR_PEER_READ_FRAME);
    assert_broken("0d00000012080110808080808080808040", "Echo.epoch is over");
}

static void texts_are_bounded(void **state)
{
    (void)state;
    struct arena arena;
    struct fault fault = {0};
    arena_init(&arena);
    struct peer_frame frame = sample_frames[KR_PEER_REGISTER - 1];
    frame.as.member.id = text_of_size(&arena, 63);
    assert_int_equal(add_result(&frame, &fault), KR_ERR_OK);
    frame.as.member.id = text_of_size(&arena, 64);
    assert_refused(&frame, KR_ERR_TOO_LARGE, "Register.id is over 63 bytes");
    frame.as.member.id = "a\nb";
    assert_refused(&frame, KR_ERR_INVALID, "Register.id holds a control character");
    frame.as.member.id = NULL;
    assert_refused(&frame, KR_ERR_INVALID, "Register.id is missing");
    frame = sample_frames[KR_PEER_REJECT - 1];
    frame.as.reject.reason = text_of_size(&arena, 1025);
    assert_refused(&frame, KR_ERR_TOO_LARGE, "Reject.reason is over 1024 bytes");
    frame = sample_frames[KR_PEER_FORWARD - 1];
    frame.as.forward.target = text_of_size(&arena, 16385);
    assert_refused(&frame, KR_ERR_TOO_LARGE, "Forward.target is over 16384 bytes");
    arena_fini(&arena);
}

static void lists_are_bounded(void **state)
{
    (void)state;
    struct arena arena;
    struct fault fault = {0};
    arena_init(&arena);
    struct peer_node_report *reports =
        arena_zalloc(&arena, (KR_PEER_NODES_MAX + 1) * sizeof(*reports));
    struct peer_row *rows = arena_zalloc(&arena, (KR_PEER_ROWS_MAX + 1) * sizeof(*rows));
    for (size_t i = 0; i <= KR_PEER_NODES_MAX; i++)
        reports[i] = (struct peer_node_report){"n",        UINT64_MAX,        UINT64_MAX,
                                               UINT64_MAX, KR_PEER_EPOCH_MAX, UINT64_MAX};
    for (size_t i = 0; i <= KR_PEER_ROWS_MAX; i++)
        rows[i] = (struct peer_row){.index = UINT64_MAX, .epoch = KR_PEER_EPOCH_MAX, .chain = SUM};
    struct peer_frame frame = {KR_PEER_ACK,
                               .as.ack = {1, 1, 1, 0, reports, KR_PEER_NODES_MAX, 0, {0}}};
    assert_int_equal(add_result(&frame, &fault), KR_ERR_OK);
    frame.as.ack.count++;
    assert_refused(&frame, KR_ERR_TOO_LARGE, "Ack.nodes is over 4096 elements");
    frame = (struct peer_frame){KR_PEER_ENTRIES, .as.entries = {rows, KR_PEER_ROWS_MAX, 0}};
    assert_int_equal(add_result(&frame, &fault), KR_ERR_OK);
    frame.as.entries.count++;
    assert_refused(&frame, KR_ERR_TOO_LARGE, "Entries.rows is over 1000 elements");
    arena_fini(&arena);
}

// What fits by itself may still be too much together; a full frame goes through.
static void frames_are_bounded(void **state)
{
    (void)state;
    struct arena arena;
    struct fault fault = {0};
    struct buf out, again;
    arena_init(&arena);
    const uint8_t *content = arena_zalloc(&arena, KR_PEER_BODY_MAX + 1);
    struct peer_row rows[2] = {{.index = 1, .entry = {content, KR_PEER_BODY_MAX}},
                               {.index = 2, .entry = {content, 131072}}};
    struct peer_frame frame = {KR_PEER_ENTRIES, .as.entries = {rows, 1, 1}};
    buf_init(&out, KR_PEER_FRAME_MAX + 4);
    buf_init(&again, KR_PEER_FRAME_MAX + 4);
    assert_int_equal(codec_peer_add(&out, &frame, &fault), KR_ERR_OK);
    assert_int_equal(recode_frame(buf_bytes(&out), &again, &fault), KR_PEER_READ_FRAME);
    assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&again)));
    assert_int_equal(codec_peer_add(&out, &frame, &fault), KR_ERR_TOO_LARGE); // no room
    assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&again)));
    frame.as.entries.count = 2;
    assert_refused(&frame, KR_ERR_TOO_LARGE, "Entries is over 1179648 bytes");
    rows[0].entry.size++;
    assert_refused(&frame, KR_ERR_TOO_LARGE, "Row.entry is over 1048576 bytes");
    buf_fini(&out);
    buf_fini(&again);
    arena_fini(&arena);
}

// What a sender cannot make can still come: a list and a text over their limits.
static void limits_hold_for_what_comes(void **state)
{
    (void)state;
    struct arena arena;
    struct peer_frame frame;
    struct fault fault = {0};
    struct buf in;
    size_t consumed;
    arena_init(&arena);
    buf_init(&in, KR_PEER_FRAME_MAX);
    uint32_t length = 1 + 2 * 33;
    buf_add(&in, &length, sizeof(length));
    buf_add_u8(&in, KR_PEER_WELCOME);
    for (int i = 0; i < 33; i++)
        buf_add(&in, "\x22\x00", 2);
    assert_int_equal(codec_peer_read(buf_bytes(&in), &arena, &frame, &consumed, &fault),
                     KR_PEER_READ_BROKEN);
    assert_non_null(strstr(fault.text, "Welcome.path is over 32 elements"));
    buf_clear(&in);
    length = 1 + 2 + 64;
    buf_add(&in, &length, sizeof(length));
    buf_add_u8(&in, KR_PEER_WELCOME);
    buf_add(&in, "\x0a\x40", 2);
    buf_add_text(&in, text_of_size(&arena, 64));
    assert_int_equal(codec_peer_read(buf_bytes(&in), &arena, &frame, &consumed, &fault),
                     KR_PEER_READ_BROKEN);
    assert_non_null(strstr(fault.text, "Welcome.node_id is over 63 bytes"));
    buf_fini(&in);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_has_the_golden_bytes),
        cmocka_unit_test(every_frame_comes_back),
        cmocka_unit_test(a_cut_frame_waits),
        cmocka_unit_test(a_damaged_frame_settles),
        cmocka_unit_test(frames_follow_one_another),
        cmocka_unit_test(unset_texts_are_empty_when_read),
        cmocka_unit_test(broken_frames_are_named),
        cmocka_unit_test(later_fields_are_passed_over),
        cmocka_unit_test(an_epoch_leaves_room_for_the_next),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(frames_are_bounded),
        cmocka_unit_test(limits_hold_for_what_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
