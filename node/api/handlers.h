// SPDX-License-Identifier: Apache-2.0
// The management handlers, declared from the route table; each lives in the file of its resource.
#pragma once

#include "node/dispatch.h"

#define ROUTE(name, method, path, kind, right, limit, handler) KR_DECLARE_##kind(handler)
#define KR_DECLARE_CALL(handler) enum kr_err handler(struct call *call);
#define KR_DECLARE_CHANGE(handler) KR_DECLARE_CALL(handler)
#define KR_DECLARE_LOCAL(handler) KR_DECLARE_CALL(handler)
#define KR_DECLARE_ANYWHERE(handler) KR_DECLARE_CALL(handler)
#define KR_DECLARE_PROBE(handler)
#define KR_DECLARE_VALIDATE(handler)
#define KR_DECLARE_VALIDATE_BATCH(handler)
#define KR_DECLARE_FORWARD(handler)
#define KR_DECLARE_NGINX(handler)
#define KR_DECLARE_HAPROXY(handler)
#define KR_DECLARE_ENVOY(handler)
#define KR_DECLARE_GRPC(handler)
#include "node/dispatch_table.h"
#undef ROUTE
#undef KR_DECLARE_CALL
#undef KR_DECLARE_CHANGE
#undef KR_DECLARE_LOCAL
#undef KR_DECLARE_ANYWHERE
#undef KR_DECLARE_PROBE
#undef KR_DECLARE_VALIDATE
#undef KR_DECLARE_VALIDATE_BATCH
#undef KR_DECLARE_FORWARD
#undef KR_DECLARE_NGINX
#undef KR_DECLARE_HAPROXY
#undef KR_DECLARE_ENVOY
#undef KR_DECLARE_GRPC
