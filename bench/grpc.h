// SPDX-License-Identifier: Apache-2.0
// The load generator for gRPC: Envoy's checks over HTTP/2 connections with many streams each. And
// for what they stand beside: GETs of one path, in the same way.
//
// Closed loop: a stream that is answered makes way for the next at once. One thread.
#pragma once

#include "bench/load.h"

#define KR_GRPC_STREAMS_MAX 128

// As load_run; plan->depth are the streams of a connection, at most KR_GRPC_STREAMS_MAX, and
// target->request.host is the authority. Of KR_PROTOCOL_EMPTY it is GETs of its path, which must be
// answered 200; else checks.
must_use enum kr_err grpc_run(const struct load_target *target, const struct load_plan *plan,
                              struct load_result *result, struct fault *fault);
