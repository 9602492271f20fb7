// SPDX-License-Identifier: Apache-2.0
// Frames, header blocks and messages of the gRPC load.
#include "bench/grpc_wire.h"

#include <string.h>

#include "proto/codec_wire.h"

// --- frames --------------------------------------------------------------------------------------

static void add_u24(struct buf *out, size_t value)
{
    const uint8_t bytes[] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    buf_add(out, bytes, sizeof(bytes));
}

static void add_frame_head(struct buf *out, size_t size, enum grpc_frame_type type, uint8_t flags,
                           uint32_t stream)
{
    add_u24(out, size);
    buf_add_u8(out, (uint8_t)type);
    buf_add_u8(out, flags);
    buf_add_u32(out, stream);
}

void grpc_add_frame(struct buf *out, enum grpc_frame_type type, uint8_t flags, uint32_t stream,
                    struct bytes payload)
{
    add_frame_head(out, payload.size, type, flags, stream);
    buf_add_bytes(out, payload);
}

void grpc_add_window(struct buf *out, uint32_t size_bytes)
{
    add_frame_head(out, 4, KR_FRAME_WINDOW_UPDATE, 0, 0);
    buf_add_u32(out, size_bytes);
}

void grpc_add_hello(struct buf *out)
{
    // ENABLE_PUSH 0
    static const uint8_t settings[] = {0, 2, 0, 0, 0, 0};
    buf_add_text(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    grpc_add_frame(out, KR_FRAME_SETTINGS, 0, 0, bytes_of(settings, sizeof(settings)));
    grpc_add_window(out, INT32_MAX - KR_FRAME_WINDOW);
}

uint32_t grpc_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

bool grpc_read_frame(struct bytes in, struct grpc_frame *out)
{
    if (in.size < KR_FRAME_HEAD)
        return false;
    size_t size = (size_t)in.data[0] << 16 | (size_t)in.data[1] << 8 | in.data[2];
    out->type = in.data[3];
    out->flags = in.data[4];
    out->stream = grpc_u32(in.data + 5) & INT32_MAX;
    out->payload = bytes_of(in.data + KR_FRAME_HEAD, size);
    return in.size - KR_FRAME_HEAD >= size;
}

// --- header blocks -------------------------------------------------------------------------------

// ":path" and "content-type" by their place in the static table, the others by name.
enum {
    KR_STATIC_GET = 2,
    KR_STATIC_POST = 3,
    KR_STATIC_HTTP = 6,
    KR_STATIC_PATH = 4,
    KR_STATIC_AUTHORITY = 1
};
enum { KR_STATIC_CONTENT_TYPE = 31, KR_STATIC_USER_AGENT = 58, KR_DYNAMIC_FIRST = 62 };
enum { KR_FIELDS = 5, KR_GET_FIELDS = 3 }; // in the dynamic table, the last one first

static void add_string(struct buf *out, const char *text)
{
    size_t size = strlen(text);
    // Without Huffman's code (RFC 7541 §5.1, §5.2).
    buf_add_u8(out, (uint8_t)(size < 127 ? size : 127));
    if (size >= 127) {
        size_t rest = size - 127;
        for (; rest >= 128; rest /= 128)
            buf_add_u8(out, (uint8_t)(128 | rest % 128));
        buf_add_u8(out, (uint8_t)rest);
    }
    buf_add(out, text, size);
}

static void add_indexed(struct buf *out, unsigned index)
{
    buf_add_u8(out, (uint8_t)(0x80 | index));
}

// With incremental indexing; index 0: a name that stands in no table.
static void add_literal(struct buf *out, unsigned index, const char *name, const char *value)
{
    buf_add_u8(out, (uint8_t)(0x40 | index));
    if (index == 0)
        add_string(out, name);
    add_string(out, value);
}

// What the first header block of a connection has put into the table, in that order.
static void add_known(struct buf *out, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        add_indexed(out, KR_DYNAMIC_FIRST + count - 1 - i);
}

static void add_block(struct buf *out, const char *authority, bool is_first)
{
    add_indexed(out, KR_STATIC_POST);
    add_indexed(out, KR_STATIC_HTTP);
    if (!is_first) {
        add_known(out, KR_FIELDS);
        return;
    }
    add_literal(out, KR_STATIC_PATH, NULL, "/envoy.service.auth.v3.Authorization/Check");
    add_literal(out, KR_STATIC_AUTHORITY, NULL, authority);
    add_literal(out, 0, "te", "trailers");
    add_literal(out, KR_STATIC_CONTENT_TYPE, NULL, "application/grpc");
    add_literal(out, KR_STATIC_USER_AGENT, NULL, "keyreeve-bench");
}

// --- messages ------------------------------------------------------------------------------------

// A message under construction; what lies deeper is made first.
struct part {
    struct buf bytes;
    uint8_t memory[1536];
};

static struct buf *begin(struct part *part)
{
    buf_init_fixed(&part->bytes, part->memory, sizeof(part->memory));
    return &part->bytes;
}

static void add_text(struct buf *out, unsigned number, const char *text)
{
    codec_wire_add_bytes(out, number, bytes_text(text));
}

static void add_pair(struct buf *out, unsigned number, const char *name, struct bytes value)
{
    struct part pair;
    struct buf *in = begin(&pair);
    add_text(in, 1, name);
    codec_wire_add_bytes(in, 2, value);
    codec_wire_add_bytes(out, number, buf_bytes(in));
}

static void add_peer(struct buf *out, unsigned number, const char *address, uint64_t port)
{
    struct part socket, holder, peer;
    struct buf *in = begin(&socket);
    add_text(in, 2, address);
    codec_wire_add_number(in, 3, port);
    codec_wire_add_bytes(begin(&holder), 1, buf_bytes(in));
    codec_wire_add_bytes(begin(&peer), 1, buf_bytes(&holder.bytes));
    codec_wire_add_bytes(out, number, buf_bytes(&peer.bytes));
}

// The HttpRequest, with the headers that deploy/envoy/envoy-grpc.yaml lets through.
static void add_http(struct buf *out, struct bytes key)
{
    char bearer[KR_PROTOCOL_REQUEST_MAX];
    struct buf value;
    buf_init_fixed(&value, bearer, sizeof(bearer));
    buf_add_text(&value, "Bearer ");
    buf_add_bytes(&value, key);
    add_text(out, 1, "9246117408245361172");
    add_text(out, 2, "GET");
    add_pair(out, 3, "authorization", buf_bytes(&value));
    add_pair(out, 3, "x-forwarded-for", bytes_text("192.0.2.1"));
    add_text(out, 4, "/orders/12345?page=1");
    add_text(out, 5, "api.example.com");
    add_text(out, 6, "https");
    codec_wire_add_number(out, 9, UINT64_MAX); // a size of -1: unknown
    add_text(out, 10, "HTTP/2");
}

static void add_message(struct buf *out, struct bytes key)
{
    struct part http, time, request, attributes;
    add_http(begin(&http), key);
    codec_wire_add_number(begin(&time), 1, 1700000000);
    codec_wire_add_bytes(begin(&request), 1, buf_bytes(&time.bytes));
    codec_wire_add_bytes(&request.bytes, 2, buf_bytes(&http.bytes));
    struct buf *all = begin(&attributes);
    add_peer(all, 1, "192.0.2.1", 51234);
    add_peer(all, 2, "198.51.100.1", 443);
    codec_wire_add_bytes(all, 4, buf_bytes(&request.bytes));
    add_pair(all, 10, "bucket", bytes_text("production"));
    codec_wire_add_bytes(out, 1, buf_bytes(all));
}

size_t grpc_add_check(struct buf *out, uint32_t stream, const char *authority, bool is_first,
                      struct bytes key)
{
    struct part block, message;
    add_block(begin(&block), authority, is_first);
    add_message(begin(&message), key);
    grpc_add_frame(out, KR_FRAME_HEADERS, KR_FRAME_END_HEADERS, stream, buf_bytes(&block.bytes));
    add_frame_head(out, 5 + message.bytes.size, KR_FRAME_DATA, KR_FRAME_END_STREAM, stream);
    buf_add_u8(out, 0); // not compressed
    buf_add_u32(out, (uint32_t)message.bytes.size);
    buf_add_bytes(out, buf_bytes(&message.bytes));
    if (block.bytes.has_failed || message.bytes.has_failed)
        out->has_failed = true;
    return 5 + message.bytes.size;
}

void grpc_add_get(struct buf *out, uint32_t stream, const struct protocol_request *request,
                  bool is_first)
{
    struct part block;
    struct buf *in = begin(&block);
    add_indexed(in, KR_STATIC_GET);
    add_indexed(in, KR_STATIC_HTTP);
    if (is_first) {
        add_literal(in, KR_STATIC_PATH, NULL, request->path);
        add_literal(in, KR_STATIC_AUTHORITY, NULL, request->host);
        add_literal(in, KR_STATIC_USER_AGENT, NULL, "keyreeve-bench");
    } else {
        add_known(in, KR_GET_FIELDS);
    }
    out->has_failed |= in->has_failed;
    grpc_add_frame(out, KR_FRAME_HEADERS, KR_FRAME_END_HEADERS | KR_FRAME_END_STREAM, stream,
                   buf_bytes(in));
}

static uint64_t number_of(struct bytes in, uint32_t number)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    uint64_t value = 0;
    while (codec_wire_next(&wire, &field)) {
        if (field.number == number && field.type == KR_WIRE_VARINT)
            value = field.value;
    }
    return value;
}

static struct bytes content_of(struct bytes in, uint32_t number)
{
    struct codec_wire wire = codec_wire_of(in);
    struct codec_field field;
    struct bytes content = {0};
    while (codec_wire_next(&wire, &field)) {
        if (field.number == number && field.type == KR_WIRE_BYTES)
            content = field.bytes;
    }
    return content;
}

bool grpc_read_answer(struct bytes data, struct protocol_answer *out)
{
    if (data.size < 5 || data.data[0] != 0 || grpc_u32(data.data + 1) != data.size - 5)
        return false;
    struct bytes answer = bytes_of(data.data + 5, data.size - 5);
    struct bytes status = content_of(answer, 1), code = content_of(status, 2);
    struct bytes denied = content_of(answer, 2);
    size_t size = code.size < sizeof(out->code) ? code.size : sizeof(out->code) - 1;
    out->status = denied.size > 0 ? (unsigned)number_of(content_of(denied, 1), 1) : 200;
    if (size > 0)
        memcpy(out->code, code.data, size);
    out->code[size] = '\0';
    return answer.size > 0;
}
