// SPDX-License-Identifier: Apache-2.0
// Every route, one row each; included with ROUTE defined. No guard: it is included several times.
//
// ROUTE(name, method, path, kind, right, body limit, handler). A literal segment stands before a
// parameter at the same place; {rest} at the end takes nothing, a path, or a ";" and what follows.
// The hot routes stand first: matching goes from top to bottom. GRPC(name, path) is a method of
// gRPC, which has its own way to be described.

#define KR_BODY_NONE 0
#define KR_BODY_USUAL (1u << 20)
#define KR_BODY_BULK (16u << 20)
#define GRPC(name, path) ROUTE(name, "POST", path, GRPC, NONE, KR_BODY_USUAL, NULL)
#define P "/v1/accounts/{account}/key-buckets"
#define B P "/{bucket}"
#define C B "/consumers/{consumer}"

ROUTE("authz.forward", "*", "/authz/forward", FORWARD, NONE, KR_BODY_USUAL, NULL)
ROUTE("authz.nginx", "*", "/authz/nginx", NGINX, NONE, KR_BODY_USUAL, NULL)
ROUTE("authz.haproxy", "*", "/authz/haproxy", HAPROXY, NONE, KR_BODY_USUAL, NULL)
ROUTE("authz.envoy", "*", "/authz/envoy{rest}", ENVOY, NONE, KR_BODY_USUAL, NULL)
ROUTE("validate", "POST", "/v1/validate", VALIDATE, NONE, 65536, NULL)
ROUTE("validate.batch", "POST", "/v1/validate/$batch", VALIDATE_BATCH, NONE, KR_BODY_USUAL, NULL)
GRPC("grpc.check", "/envoy.service.auth.v3.Authorization/Check")
GRPC("grpc.validate", "/keyreeve.v1.Validation/Validate")
GRPC("grpc.validate.batch", "/keyreeve.v1.Validation/ValidateBatch")
GRPC("grpc.health", "/grpc.health.v1.Health/Check")
ROUTE("health", "GET", "/healthz", PROBE, NONE, KR_BODY_NONE, NULL)
ROUTE("ready", "GET", "/readyz", PROBE, NONE, KR_BODY_NONE, NULL)
ROUTE("metrics", "GET", "/metrics", LOCAL, NONE, KR_BODY_NONE, api_metrics)
ROUTE("openapi", "GET", "/openapi", LOCAL, NONE, KR_BODY_NONE, api_openapi)

ROUTE("who-am-i", "GET", "/v1/who-am-i", CALL, ANY, KR_BODY_NONE, api_who_am_i)
ROUTE("cluster.show", "GET", "/v1/cluster", ANYWHERE, ANY, KR_BODY_NONE, api_cluster_show)
ROUTE("cluster.nearest", "GET", "/v1/nodes/nearest", LOCAL, NONE, KR_BODY_NONE, api_cluster_nearest)
ROUTE("cluster.promote", "POST", "/v1/cluster/promote", LOCAL, TOKENS, KR_BODY_USUAL,
      api_cluster_promote)
ROUTE("node.remove", "DELETE", "/v1/cluster/nodes/{id}", CALL, TOKENS, KR_BODY_USUAL,
      api_node_remove)
ROUTE("vault.rotate", "POST", "/v1/cluster/vault/rotate", CALL, TOKENS, KR_BODY_USUAL,
      api_vault_rotate)
ROUTE("receipt.show", "GET", "/v1/receipts/{index}", CALL, READ, KR_BODY_NONE, api_receipt_show)
ROUTE("audit.list", "GET", "/v1/accounts/{account}/audit-logs", CALL, AUDIT, KR_BODY_NONE,
      api_audit_list)
ROUTE("token.list", "GET", "/v1/accounts/{account}/tokens", CALL, TOKENS, KR_BODY_NONE,
      api_token_list)
ROUTE("token.create", "POST", "/v1/accounts/{account}/tokens", CALL, TOKENS, KR_BODY_USUAL,
      api_token_create)
ROUTE("token.delete", "DELETE", "/v1/accounts/{account}/tokens/{id}", CALL, TOKENS, KR_BODY_USUAL,
      api_token_delete)

ROUTE("bucket.list", "GET", P, CALL, READ, KR_BODY_NONE, api_bucket_list)
ROUTE("bucket.create", "POST", P, CALL, BUCKETS, KR_BODY_USUAL, api_bucket_create)
ROUTE("bucket.show", "GET", B, CALL, READ, KR_BODY_NONE, api_bucket_show)
ROUTE("bucket.update", "PATCH", B, CALL, BUCKETS, KR_BODY_USUAL, api_bucket_update)
ROUTE("bucket.delete", "DELETE", B, CALL, BUCKETS, KR_BODY_USUAL, api_bucket_delete)
ROUTE("bucket.revoke", "POST", B "/revoke", CHANGE, REVOKE, KR_BODY_USUAL, api_bucket_revoke)
ROUTE("bucket.import", "POST", B "/$import", CALL, WRITE, KR_BODY_BULK, api_import)

ROUTE("consumer.list", "GET", B "/consumers", CALL, READ, KR_BODY_NONE, api_consumer_list)
ROUTE("consumer.create", "POST", B "/consumers", CHANGE, WRITE, KR_BODY_USUAL, api_consumer_create)
ROUTE("consumer.show", "GET", C, CALL, READ, KR_BODY_NONE, api_consumer_show)
ROUTE("consumer.update", "PATCH", C, CALL, WRITE, KR_BODY_USUAL, api_consumer_update)
ROUTE("consumer.delete", "DELETE", C, CALL, WRITE, KR_BODY_USUAL, api_consumer_delete)
ROUTE("consumer.roll", "POST", C "/roll-key", CALL, ROLL, KR_BODY_USUAL, api_consumer_roll)
ROUTE("consumer.revoke", "POST", C "/revoke", CHANGE, REVOKE, KR_BODY_USUAL, api_consumer_revoke)

ROUTE("key.list", "GET", C "/keys", CALL, READ, KR_BODY_NONE, api_key_list)
ROUTE("key.create", "POST", C "/keys", CHANGE, WRITE, KR_BODY_USUAL, api_key_create)
ROUTE("key.bulk", "POST", C "/keys/$bulk", CALL, WRITE, KR_BODY_BULK, api_key_bulk)
ROUTE("key.show", "GET", C "/keys/{id}", CALL, READ, KR_BODY_NONE, api_key_show)
ROUTE("key.update", "PATCH", C "/keys/{id}", CHANGE, WRITE, KR_BODY_USUAL, api_key_update)
ROUTE("key.delete", "DELETE", C "/keys/{id}", CHANGE, WRITE, KR_BODY_USUAL, api_key_delete)
ROUTE("key.revoke", "POST", C "/keys/{id}/revoke", CHANGE, REVOKE, KR_BODY_USUAL, api_key_revoke)
ROUTE("key.reveal", "POST", C "/keys/{id}/reveal", CALL, REVEAL, KR_BODY_USUAL, api_key_reveal)

ROUTE("manager.list", "GET", C "/managers", CALL, READ, KR_BODY_NONE, api_manager_list)
ROUTE("manager.create", "POST", C "/managers", CALL, WRITE, KR_BODY_USUAL, api_manager_create)
ROUTE("manager.delete", "DELETE", C "/managers/{id}", CALL, WRITE, KR_BODY_USUAL,
      api_manager_delete)

#undef GRPC
#undef KR_BODY_NONE
#undef KR_BODY_USUAL
#undef KR_BODY_BULK
#undef P
#undef B
#undef C
