// SPDX-License-Identifier: Apache-2.0
// The shipped manifests, replayed: what a Gateway API implementation's ExternalAuth and Envoy
// Gateway's SecurityPolicy make it send, to a real node.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { envoy as proto, grpcClient } from '../integration/lib/grpc.mjs';
import { describeGateway } from './lib/contract.mjs';
import { extAuthz, extAuthzGrpc } from './lib/envoy.mjs';
import { identity, shipped } from './lib/gateway.mjs';
import { assertKeys, set, startReplay, valuesOf, without } from './lib/replay.mjs';
import { documents } from './lib/yaml.mjs';

const [service, grant] = documents('kubernetes/keyreeve.yaml');
const [route] = documents('kubernetes/httproute.yaml');
const policies = ['envoy-gateway.yaml', 'envoy-gateway-grpc.yaml'];
const [[policy], [grpcPolicy]] = policies.map((name) => documents(`kubernetes/${name}`));
const [traffic] = documents('kubernetes/envoy-gateway-traffic.yaml');

// What the Gateway API allows in a path.
const pathPattern = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$/;

/** A reference leads to the Service, and over the border of its namespace by leave. */
function assertReaches({ name, namespace, port }, { kind, namespace: from }) {
  assert.deepEqual([name, namespace], [service.metadata.name, service.metadata.namespace]);
  assert.ok(service.spec.ports.some((one) => one.port === port));
  assert.ok(grant.spec.from.some((one) => one.kind === kind && one.namespace === from), `${kind} of ${from}`);
  assert.equal(grant.metadata.namespace, namespace);
}

/** The setting of a rule's ExternalAuth; null: it has none. */
function settingOf(rule) {
  const filter = rule.filters?.find((one) => one.type === 'ExternalAuth');
  if (!filter) return null;
  const { externalAuth } = filter;
  assertKeys(externalAuth, ['protocol', 'backendRef', 'http', 'forwardBody'], 'externalAuth');
  assertKeys(externalAuth.http, ['path', 'allowedHeaders', 'allowedResponseHeaders'], 'externalAuth.http');
  assert.equal(externalAuth.protocol, 'HTTP');
  assert.match(externalAuth.http.path, pathPattern);
  assertReaches(externalAuth.backendRef, { kind: route.kind, namespace: route.metadata.namespace });
  // The API has no word for these: a refusal goes to the client as it is, and silence refuses.
  return { prefix: externalAuth.http.path, allowed: externalAuth.http.allowedHeaders, upstream: externalAuth.http.allowedResponseHeaders, toClient: [], failureModeAllow: false, statusOnError: 503, timeoutMs: 20_000 };
}

/** The most specific path wins: Exact, then the longest prefix, segment by segment. */
function ruleOf(path) {
  const matches = ({ type, value }) => (type === 'Exact' ? path === value : value === '/' || path === value || path.startsWith(`${value}/`));
  const weight = ({ type, value }) => (type === 'Exact' ? 10_000 : value.length);
  return route.spec.rules
    .flatMap((rule) => rule.matches.map((one) => ({ rule, path: one.path })))
    .filter((one) => matches(one.path))
    .sort((a, b) => weight(b.path) - weight(a.path))[0].rule;
}

/** The gateway appends the client's address, whatever stands in the header already. */
const withClient = (incoming, headers = incoming.headers) => ({ ...incoming, headers: set(headers, 'x-forwarded-for', [...valuesOf(headers, 'x-forwarded-for'), incoming.client].join(',')) });

/** What a rule removes before the request goes on. */
function removedBy(rule) {
  const modifiers = rule.filters.filter((one) => one.type === 'RequestHeaderModifier').map((one) => one.requestHeaderModifier);
  for (const modifier of modifiers) assertKeys(modifier, ['remove'], 'requestHeaderModifier');
  return modifiers.flatMap((modifier) => modifier.remove);
}

const startGatewayApi = ({ node, apiPort }) =>
  startReplay({
    apiPort,
    async judge(received, ask) {
      const rule = ruleOf(received.path.replace(/\?.*/, ''));
      const setting = settingOf(rule);
      const incoming = withClient(received, without(received.headers, ...removedBy(rule)));
      return setting ? extAuthz(setting, incoming, node.port, ask) : incoming;
    },
  });

function policySetting(isOpen) {
  const { extAuth } = policy.spec;
  assertKeys(extAuth, ['failOpen', 'headersToExtAuth', 'http', 'statusOnError', 'timeout'], 'extAuth');
  assertKeys(extAuth.http, ['backendRefs', 'path', 'headersToBackend'], 'extAuth.http');
  assertReaches(extAuth.http.backendRefs[0], { kind: policy.kind, namespace: policy.metadata.namespace });
  return { prefix: extAuth.http.path, allowed: extAuth.headersToExtAuth, upstream: extAuth.http.headersToBackend, toClient: [], failureModeAllow: isOpen || extAuth.failOpen, statusOnError: 403, timeoutMs: 20_000 };
}

function early(received) {
  const kept = received.headers.filter(([name]) => !name.includes('_'));
  return withClient(received, without(kept, ...traffic.spec.headers.earlyRequestHeaders.remove));
}

// The policy holds for a whole route; the example's other rules have routes of their own.
const startEnvoyGateway = ({ node, apiPort, isOpen }) =>
  startReplay({
    apiPort,
    async judge(received, ask) {
      const incoming = early(received);
      return received.path === '/status' ? incoming : extAuthz(policySetting(isOpen), incoming, node.port, ask);
    },
  });

function grpcSetting(isOpen) {
  const { extAuth } = grpcPolicy.spec;
  assertKeys(extAuth, ['failOpen', 'headersToExtAuth', 'contextExtensions', 'grpc', 'statusOnError', 'timeout'], 'extAuth');
  assertKeys(extAuth.grpc, ['backendRefs'], 'extAuth.grpc');
  assertReaches(extAuth.grpc.backendRefs[0], { kind: grpcPolicy.kind, namespace: grpcPolicy.metadata.namespace });
  const extensions = extAuth.contextExtensions.map((one) => (assert.equal(one.type, 'Value'), [one.name, one.value]));
  return { extensions: Object.fromEntries(extensions), allowed: extAuth.headersToExtAuth, failureModeAllow: isOpen || extAuth.failOpen, statusOnError: extAuth.statusOnError, timeoutMs: 20_000 };
}

async function startGrpcGateway({ node, apiPort, isOpen }) {
  const channel = grpcClient(proto.Authorization, `127.0.0.1:${node.port}`);
  const replay = await startReplay({
    apiPort,
    judge: (received) => (received.path === '/status' ? early(received) : extAuthzGrpc(grpcSetting(isOpen), early(received), channel)),
  });
  return { ...replay, stop: () => (channel.close(), replay.stop()) };
}

test('a path with more than one spelling is resolved or refused before a rule is picked', () => {
  assertKeys(traffic.spec, ['targetRefs', 'path', 'headers'], 'the ClientTrafficPolicy');
  assert.deepEqual(traffic.spec.path, { escapedSlashesAction: 'RejectRequest', disableMergeSlashes: false });
});

test('the manifests hand on the whole identity, and take it off the client first', () => {
  for (const rule of route.spec.rules.map(settingOf).filter(Boolean)) assert.deepEqual(rule.upstream, identity);
  assert.deepEqual(policySetting(false).upstream, identity);
  assert.deepEqual(traffic.spec.headers.earlyRequestHeaders.remove, identity);
  assert.equal(policySetting(false).failureModeAllow, false);
  // Of the policies one takes the other's place, and what they have in common stays where it is.
  assert.deepEqual(grpcPolicy.spec.targetRefs, policy.spec.targetRefs);
  for (const name of policies) {
    assert.deepEqual(documents(`kubernetes/${name}`).map(({ kind }) => kind), ['SecurityPolicy']);
    assert.ok(shipped(`kubernetes/${name}`).includes('envoy-gateway-traffic.yaml'), name);
  }
  assert.deepEqual([grpcSetting(false).failureModeAllow, grpcSetting(false).extensions], [false, { bucket: 'production' }]);
});

describeGateway('the Gateway API, replayed', { start: startGatewayApi, hasOpen: false, removesCredential: true, hasRetryAfter: false, hasPaths: false, hasUpgrades: false });
describeGateway('Envoy Gateway, replayed', { start: startEnvoyGateway, hasScopes: false, silentStatus: 403, removesCredential: true, hasRetryAfter: false, hasPaths: false, hasUpgrades: false });
describeGateway('Envoy Gateway over gRPC, replayed', { start: startGrpcGateway, hasScopes: false, removesCredential: true, hasRetryAfter: false, hasPaths: false, hasUpgrades: false });
