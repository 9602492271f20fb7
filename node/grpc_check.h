// SPDX-License-Identifier: Apache-2.0
// The skin for envoy.service.auth.v3.Authorization/Check, as Envoy, Istio and gateways of
// Kubernetes call it.
//
// See grpc.h for the order of calls. Serving loops.
#pragma once

#include "node/grpc.h"

bool grpc_check_ask(struct job *job, struct bytes message);
struct grpc_end grpc_check_reply(struct job *job, struct bytes message);
struct grpc_end grpc_check_refuse(struct job *job);
