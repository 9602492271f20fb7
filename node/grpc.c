// SPDX-License-Identifier: Apache-2.0
// gRPC's methods: keyreeve.v1.Validation, grpc.health.v1.Health, and Envoy's authorization, which
// grpc_check.c has.
#include "node/grpc.h"

#include "node/grpc_check.h"
#include "node/readiness.h"
#include "node/skin.h"
#include "proto/codec_grpc.h"

#define KR_GRPC_AUTHORIZATION "envoy.service.auth.v3.Authorization"
#define KR_GRPC_VALIDATION "keyreeve.v1.Validation"

struct grpc_end grpc_refuse(enum kr_err err, const char *text)
{
    enum grpc_status status = KR_GRPC_INTERNAL;
    if (err == KR_ERR_INVALID)
        status = KR_GRPC_INVALID_ARGUMENT;
    else if (err == KR_ERR_TOO_LARGE)
        status = KR_GRPC_RESOURCE_EXHAUSTED;
    else if (err == KR_ERR_HEADERS_TOO_LARGE || err == KR_ERR_LIMITED)
        status = KR_GRPC_RESOURCE_EXHAUSTED;
    else if (err == KR_ERR_UNAUTHORIZED)
        status = KR_GRPC_UNAUTHENTICATED;
    else if (err == KR_ERR_BUSY)
        status = KR_GRPC_UNAVAILABLE;
    return (struct grpc_end){status, text, err};
}

struct grpc_end grpc_cannot_tell(struct job *job)
{
    const char *text = arena_printf(&job->connection->serve->scratch, "%s: %s",
                                    verdict_text(job->question.code), skin_detail(503));
    return (struct grpc_end){.status = KR_GRPC_UNAVAILABLE, .text = text};
}

struct grpc_end grpc_written(const struct job *job)
{
    if (buf_result(&job->connection->serve->body) != KR_ERR_OK)
        return grpc_refuse(KR_ERR_TOO_LARGE, "the answer is too large");
    return (struct grpc_end){.status = KR_GRPC_OK};
}

// --- keyreeve.v1.Validation ----------------------------------------------------------------------

// An answer that says nothing of the key is none: who looks at `valid` alone would refuse the key.
static struct grpc_end validate(struct job *job, struct bytes message)
{
    (void)message;
    if (job->fault != KR_ERR_OK)
        return grpc_refuse(job->fault, job->fault_text);
    if (!validate_can_tell(job->question.code))
        return grpc_cannot_tell(job);
    serve_validate_message(job);
    return grpc_written(job);
}

static struct grpc_end validate_batch(struct job *job, struct bytes message)
{
    struct fault fault = {0};
    enum kr_err err = serve_validate_batch_message(job, message, &fault);
    if (err != KR_ERR_OK)
        return grpc_refuse(err, arena_text(&job->connection->serve->scratch, fault.text));
    return grpc_written(job);
}

// --- grpc.health.v1.Health -----------------------------------------------------------------------

static bool is_service(struct bytes name)
{
    return name.size == 0 || bytes_equal_text(name, KR_GRPC_AUTHORIZATION) ||
           bytes_equal_text(name, KR_GRPC_VALIDATION);
}

static struct grpc_end health(struct job *job, struct bytes message)
{
    struct serve *serve = job->connection->serve;
    struct bytes service;
    if (codec_health_question(message, &service) != KR_ERR_OK)
        return grpc_refuse(KR_ERR_INVALID, "not a grpc.health.v1.HealthCheckRequest");
    if (!is_service(service))
        return (struct grpc_end){.status = KR_GRPC_NOT_FOUND, .text = "no such service"};
    bool is_ready = readiness_of(serve->node) == KR_READINESS_SERVING;
    codec_add_health_answer(&serve->body, is_ready ? KR_HEALTH_SERVING : KR_HEALTH_NOT_SERVING);
    return grpc_written(job);
}

// --- the methods ---------------------------------------------------------------------------------

const struct grpc_method grpc_methods[] = {
    {"/" KR_GRPC_AUTHORIZATION "/Check", grpc_check_ask, grpc_check_reply, grpc_check_refuse},
    {"/" KR_GRPC_VALIDATION "/Validate", serve_validate_ask_message, validate, NULL},
    {"/" KR_GRPC_VALIDATION "/ValidateBatch", NULL, validate_batch, NULL},
    {"/grpc.health.v1.Health/Check", NULL, health, NULL},
};

const size_t grpc_method_count = sizeof(grpc_methods) / sizeof(grpc_methods[0]);
