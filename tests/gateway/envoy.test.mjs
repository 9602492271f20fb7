// SPDX-License-Identifier: Apache-2.0
// The shipped Envoy configurations, replayed: what they make Envoy send, to a real node.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { envoy as proto, grpcClient } from '../integration/lib/grpc.mjs';
import { describeGateway } from './lib/contract.mjs';
import { exact, extAuthz, extAuthzGrpc, readEnvoy, seconds, statusOf } from './lib/envoy.mjs';
import { identity, shipped } from './lib/gateway.mjs';
import { assertKeys, startReplay } from './lib/replay.mjs';

const patience = 20; // times the shipped timeout: the node is a sanitized one
const common = ['@type', 'failure_mode_allow', 'status_on_error', 'allowed_headers'];

// --- over HTTP -----------------------------------------------------------------------------------

const overHttp = readEnvoy('envoy/envoy.yaml');

/** The setting of one filter of the configuration. */
function settingOf({ name, typed_config: filter }) {
  assertKeys(filter, [...common, 'http_service'], name);
  assertKeys(filter.http_service, ['server_uri', 'path_prefix', 'authorization_request', 'authorization_response'], name);
  assert.ok(filter.http_service.path_prefix.startsWith('/'));
  assert.ok(overHttp.clusters.some((cluster) => cluster.name === filter.http_service.server_uri.cluster));
  return {
    name,
    prefix: filter.http_service.path_prefix,
    allowed: exact(filter.allowed_headers),
    upstream: exact(filter.http_service.authorization_response.allowed_upstream_headers),
    toClient: exact(filter.http_service.authorization_response.allowed_client_headers),
    failureModeAllow: filter.failure_mode_allow,
    statusOnError: statusOf(filter),
    timeoutMs: patience * seconds(filter.http_service.server_uri.timeout),
  };
}

const filters = overHttp.filters.map(settingOf);

const startEnvoy = ({ node, apiPort, isOpen }) =>
  startReplay({
    apiPort,
    async judge(received, ask) {
      let incoming = overHttp.early(received);
      for (const filter of filters) {
        if (overHttp.settingOf(incoming.path, filter.name).disabled) continue;
        const outcome = await extAuthz({ ...filter, failureModeAllow: isOpen || filter.failureModeAllow }, incoming, node.port, ask);
        if (outcome.status !== undefined) return outcome;
        incoming = { ...incoming, headers: outcome.headers };
      }
      return incoming;
    },
  });

test('each filter lets the API see the whole identity, and nobody lets in who is not judged', () => {
  assert.equal(filters.length, 2);
  for (const filter of filters) {
    assert.deepEqual(filter.upstream, identity);
    assert.equal(filter.failureModeAllow, false);
  }
});

describeGateway('Envoy, replayed', { start: startEnvoy, removesCredential: true, hasRetryAfter: false, hasPaths: false, hasUpgrades: false });

test('a route sees a path as the API does, whatever its spelling', () => {
  for (const { paths } of [overHttp, readEnvoy('envoy/envoy-grpc.yaml')])
    assert.deepEqual(paths, { normalizes: true, merges: true, escaped: 'REJECT_REQUEST' });
});

// --- over gRPC -----------------------------------------------------------------------------------

const overGrpc = readEnvoy('envoy/envoy-grpc.yaml');
const [{ name, typed_config: filter }] = overGrpc.filters;

function grpcSetting(path, isOpen) {
  const own = overGrpc.settingOf(path, name);
  return own.disabled ? null : {
    extensions: own.check_settings.context_extensions,
    allowed: exact(filter.allowed_headers),
    failureModeAllow: isOpen || filter.failure_mode_allow,
    statusOnError: statusOf(filter),
    timeoutMs: patience * seconds(filter.grpc_service.timeout),
  };
}

async function startGrpcEnvoy({ node, apiPort, isOpen }) {
  const channel = grpcClient(proto.Authorization, `127.0.0.1:${node.port}`);
  const replay = await startReplay({
    apiPort,
    judge(received) {
      const incoming = overGrpc.early(received);
      const setting = grpcSetting(incoming.path, isOpen);
      return setting ? extAuthzGrpc(setting, incoming, channel) : incoming;
    },
  });
  return { ...replay, stop: () => (channel.close(), replay.stop()) };
}

test('the filter over gRPC asks a cluster that speaks HTTP/2, and lets nobody in who is not judged', () => {
  assertKeys(filter, [...common, 'transport_api_version', 'grpc_service'], name);
  assert.equal(overGrpc.filters.length, 1);
  assert.equal(filter.transport_api_version, 'V3');
  assert.equal(filter.failure_mode_allow, false);
  const cluster = overGrpc.clusters.find((one) => one.name === filter.grpc_service.envoy_grpc.cluster_name);
  const [options] = Object.values(cluster.typed_extension_protocol_options);
  assert.deepEqual(options.explicit_http_config, { http2_protocol_options: {} });
  assert.equal(cluster.health_checks[0].grpc_health_check.service_name, 'envoy.service.auth.v3.Authorization');
  for (const path of ['/', '/orders/1']) assert.equal(grpcSetting(path, false).extensions.bucket, 'production');
});

test('a connection to a node is given up before the node closes it', () => {
  const [, nodeMs] = /^#idle_timeout_ms: (\d+)$/m.exec(shipped('keyreeve.yaml'));
  for (const { clusters } of [overHttp, overGrpc]) {
    const [options] = Object.values(clusters.find((one) => one.name === 'keyreeve').typed_extension_protocol_options);
    assert.ok(seconds(options.common_http_protocol_options.idle_timeout) < Number(nodeMs));
  }
});

describeGateway('Envoy over gRPC, replayed', { start: startGrpcEnvoy, removesCredential: true, hasRetryAfter: false, hasPaths: false, hasUpgrades: false });
