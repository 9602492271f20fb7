// SPDX-License-Identifier: Apache-2.0
// What the tests and the fuzz target of gRPC's methods share: a job on a loop that never ran, a
// holder who is found, and a look into the answers.
#pragma once

#include <assert.h>

#include "core/http/syntax.h"
#include "node/grpc.h"
#include "node/skin.h"
#include "proto/codec_grpc.h"
#include "proto/codec_wire.h"

#define KR_GRPC_WORLD_LIMIT (1u << 20)

struct grpc_world {
    struct config config;
    struct cidr proxies[1];
    struct node node;
    struct serve serve;
    struct connection connection;
    struct job job;
    struct arena arena;
    struct hot_record record;
    struct hot_bucket bucket;
    struct hot_extra extra;
    struct store_found found;
};

static inline void grpc_world_holder(struct grpc_world *world)
{
    static const char *scopes[] = {"orders:read", "odd\rscope"};
    struct bucket bucket = {.id = "bckt_1", .name = "production"};
    struct consumer consumer = {.id = "csmr_000000000000000000000001",
                                .bucket_id = "bckt_1",
                                .name = "acme\r\nx-key-scopes: all",
                                .metadata = "{\"plan\":\"gold\"}"};
    world->bucket = (struct hot_bucket){.name = "production"};
    world->extra.scopes = (struct texts){.items = scopes, .count = 2};
    world->found = (struct store_found){
        .lookup = KR_STORE_FOUND,
        .record = &world->record,
        .subject = hot_render_subject(&consumer, &bucket, &world->arena),
        .bucket = &world->bucket,
    };
}

// Gives.
static inline struct grpc_world *grpc_world_new(void)
{
    static char scheme[] = "Bearer", header[] = "X-API-Key", empty[] = "", realm[] = "keyreeve";
    struct grpc_world *world = mem_zalloc(sizeof(*world));
    bool is_block = cidr_parse(bytes_text("10.0.0.0/8"), &world->proxies[0]);
    assert(is_block);
    (void)is_block;
    world->config = (struct config){.credential_scheme = scheme,
                                    .credential_header = header,
                                    .credential_query = empty,
                                    .credential_cookie = empty,
                                    .realm = realm,
                                    .trusted_proxy_list = world->proxies,
                                    .trusted_proxy_count = 1};
    world->node.config = &world->config;
    world->serve.node = &world->node;
    world->connection.serve = &world->serve;
    world->job.connection = &world->connection;
    arena_init(&world->arena);
    arena_init(&world->serve.scratch);
    buf_init(&world->serve.body, KR_GRPC_WORLD_LIMIT);
    grpc_world_holder(world);
    return world;
}

static inline void grpc_world_free(struct grpc_world **world)
{
    buf_fini(&(*world)->serve.body);
    arena_fini(&(*world)->serve.scratch);
    arena_fini(&(*world)->arena);
    mem_free(*world);
    *world = NULL;
}

static inline const struct grpc_method *grpc_world_method(const char *path)
{
    for (size_t i = 0; i < grpc_method_count; i++) {
        if (strcmp(grpc_methods[i].path, path) == 0)
            return &grpc_methods[i];
    }
    return NULL;
}

// As the loop does it: asks, and when there is something to look up, code is what came of it.
static inline struct grpc_end grpc_world_call(struct grpc_world *world,
                                              const struct grpc_method *method,
                                              struct bytes message, enum verdict_code code)
{
    struct job *job = &world->job;
    arena_reset(&world->serve.scratch);
    buf_clear(&world->serve.body);
    job->fault = KR_ERR_OK;
    job->has_question = method->ask != NULL && method->ask(job, message);
    if (job->has_question) {
        job->question.code = code;
        job->question.found = world->found;
        if (code == KR_VERDICT_NOT_FOUND || code == KR_VERDICT_MALFORMED)
            job->question.found.lookup = KR_STORE_ABSENT;
    }
    return method->reply(job, message);
}

// The content of the n-th field of this number; empty when there is none. The message is whole.
static inline struct bytes grpc_world_field(struct bytes message, uint32_t number, size_t n)
{
    struct codec_wire wire = codec_wire_of(message);
    struct codec_field field;
    struct bytes found = {0};
    bool is_found = false;
    while (codec_wire_next(&wire, &field)) {
        if (field.number == number && field.type == KR_WIRE_BYTES && n-- == 0) {
            found = field.bytes;
            is_found = true;
        }
    }
    assert(!wire.is_bad);
    return is_found ? found : (struct bytes){0};
}

static inline size_t grpc_world_count(struct bytes message, uint32_t number)
{
    struct codec_wire wire = codec_wire_of(message);
    struct codec_field field;
    size_t count = 0;
    while (codec_wire_next(&wire, &field))
        count += field.number == number;
    assert(!wire.is_bad);
    return count;
}

static inline uint64_t grpc_world_number(struct bytes message, uint32_t number)
{
    struct codec_wire wire = codec_wire_of(message);
    struct codec_field field;
    uint64_t found = 0;
    while (codec_wire_next(&wire, &field)) {
        if (field.number == number && field.type == KR_WIRE_VARINT)
            found = field.value;
    }
    assert(!wire.is_bad);
    return found;
}
