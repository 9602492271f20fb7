// SPDX-License-Identifier: Apache-2.0
// The shipped Envoy configuration, replayed: what it makes Envoy send, to a real node.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeGateway } from './lib/contract.mjs';
import { extAuthz } from './lib/envoy.mjs';
import { assertKeys, set, startReplay, valuesOf, without } from './lib/replay.mjs';
import { documents } from './lib/yaml.mjs';
import { identity } from './lib/gateway.mjs';

const [{ static_resources: bootstrap }] = documents('envoy/envoy.yaml');
const manager = bootstrap.listeners[0].filter_chains[0].filters[0].typed_config;
const exact = (matcher = { patterns: [] }) =>
  matcher.patterns.map((pattern) => {
    assertKeys(pattern, ['exact'], 'a pattern');
    return pattern.exact;
  });
const seconds = (text) => Number(/^([\d.]+)s$/.exec(text)[1]) * 1000;
const statuses = { ServiceUnavailable: 503 };

/** The setting of one filter of the configuration. */
function settingOf({ name, typed_config: filter }) {
  assertKeys(filter, ['@type', 'failure_mode_allow', 'status_on_error', 'allowed_headers', 'http_service'], name);
  assertKeys(filter.http_service, ['server_uri', 'path_prefix', 'authorization_request', 'authorization_response'], name);
  assert.ok(filter.http_service.path_prefix.startsWith('/'));
  assert.ok(bootstrap.clusters.some((cluster) => cluster.name === filter.http_service.server_uri.cluster));
  return {
    name,
    prefix: filter.http_service.path_prefix,
    allowed: exact(filter.allowed_headers),
    upstream: exact(filter.http_service.authorization_response.allowed_upstream_headers),
    toClient: exact(filter.http_service.authorization_response.allowed_client_headers),
    failureModeAllow: filter.failure_mode_allow,
    statusOnError: statuses[filter.status_on_error.code],
    timeoutMs: 20 * seconds(filter.http_service.server_uri.timeout), // the sanitized node's
  };
}

const filters = manager.http_filters.filter((one) => one.typed_config['@type'].endsWith('.ext_authz.v3.ExtAuthz')).map(settingOf);

function routeOf(path) {
  const bare = path.replace(/[?#].*$/, '');
  return manager.route_config.virtual_hosts[0].routes.find(({ match }) => (match.path === undefined ? bare.startsWith(match.prefix) : bare === match.path));
}

/** The request as it stands before the filters. */
function early(incoming) {
  const [{ typed_config: mutation }] = manager.early_header_mutation_extensions;
  let { headers } = incoming;
  if (manager.common_http_protocol_options.headers_with_underscores_action === 'DROP_HEADER') headers = headers.filter(([name]) => !name.includes('_'));
  headers = without(headers, ...mutation.mutations.map((one) => one.remove));
  if (manager.use_remote_address) headers = set(headers, 'x-forwarded-for', [...valuesOf(headers, 'x-forwarded-for'), incoming.client].join(','));
  return { ...incoming, headers };
}

const startEnvoy = ({ node, apiPort, isOpen }) =>
  startReplay({
    apiPort,
    async judge(received, ask) {
      let incoming = early(received);
      const turnedOff = routeOf(incoming.path).typed_per_filter_config ?? {};
      for (const filter of filters) {
        if (turnedOff[filter.name]?.disabled) continue;
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

describeGateway('Envoy, replayed', { start: startEnvoy, removesCredential: true, hasRetryAfter: false });
