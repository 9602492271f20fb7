// SPDX-License-Identifier: Apache-2.0
// Fuzzes gRPC's methods, message in and message out: whatever is asked, an answer that lets in
// overwrites the whole identity, and a refusal tells none of it. The first byte chooses the method,
// the second the verdict and whether the gateway is trusted.
#include "tests/unit/node/grpc_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_headers(struct bytes answer, bool is_allowed)
{
    size_t count = grpc_world_count(answer, 2), told = 0;
    for (size_t i = 0; i < count; i++) {
        struct bytes option = grpc_world_field(answer, 2, i);
        struct bytes header = grpc_world_field(option, 1, 0);
        struct bytes name = grpc_world_field(header, 1, 0);
        struct bytes value = grpc_world_field(header, 2, 0);
        assert(grpc_world_number(option, 3) == 2 && syntax_control_at(value) == value.size);
        assert(grpc_world_number(option, 4) == (value.size == 0));
        told += bytes_starts_with(name, bytes_text("x-"));
    }
    assert(told == (is_allowed ? 7 : 0));
}

static void check_answer(const struct grpc_world *world)
{
    struct bytes answer = buf_bytes(&world->serve.body);
    struct bytes allowed = grpc_world_field(answer, 3, 0);
    struct bytes denied = grpc_world_field(answer, 2, 0);
    bool is_allowed = grpc_world_number(grpc_world_field(answer, 1, 0), 1) == 0;
    bool is_good = world->job.has_question && world->job.question.code == KR_VERDICT_VALID;
    assert(is_allowed == is_good && (allowed.size > 0) == is_good && (denied.size > 0) == !is_good);
    assert(grpc_world_count(answer, 4) == 1);
    check_headers(is_good ? allowed : denied, is_good);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct grpc_world *world;
    if (world == NULL)
        world = grpc_world_new();
    if (size < 2)
        return 0;
    const struct grpc_method *method = &grpc_methods[data[0] % grpc_method_count];
    bool is_check = method == grpc_world_method("/envoy.service.auth.v3.Authorization/Check");
    if (method == grpc_world_method("/keyreeve.v1.Validation/ValidateBatch"))
        return 0; // looks up by itself, which takes a store; fuzz_validation reads its messages
    world->connection.is_trusted = data[1] >= 128;
    world->found.extra = (data[1] & 64) != 0 ? &world->extra : NULL;
    struct grpc_end end = grpc_world_call(world, method, bytes_of(data + 2, size - 2),
                                          (enum verdict_code)(data[1] % KR_VERDICT_COUNT));
    assert((end.status == KR_GRPC_OK) == (end.text == NULL));
    assert((end.status == KR_GRPC_OK) == (world->serve.body.size > 0));
    if (end.status == KR_GRPC_OK && is_check)
        check_answer(world);
    return 0;
}
