// SPDX-License-Identifier: Apache-2.0
// What Envoy's ext_authz filter does over HTTP and over gRPC, from its documentation (ext_authz.proto,
// external_auth.proto): the checks that Envoy, Envoy Gateway and most of the Gateway API's
// implementations make. And the parts of Envoy's configuration that stand around such a filter.
import assert from 'node:assert/strict';
import { assertKeys, set, valuesOf, without } from './replay.mjs';
import { documents } from './yaml.mjs';

// Sent in any case, besides the method, the path and the host.
const alwaysSent = ['authorization'];
// To the client in any case, where there is a list at all.
const alwaysToClient = ['www-authenticate', 'location', 'path', 'status'];

/**
 * One check. setting: {prefix, allowed, upstream, toClient, failureModeAllow, statusOnError, timeoutMs};
 * answers {headers} or {status, headers, body}.
 */
export async function extAuthz(setting, incoming, nodePort, ask) {
  const allowed = new Set([...alwaysSent, ...setting.allowed]);
  let headers = incoming.headers.filter(([name]) => allowed.has(name));
  // Envoy's own HTTP client says through whom the request came, and that it is an inner one.
  headers = set(headers, 'x-forwarded-for', [...valuesOf(headers, 'x-forwarded-for'), '127.0.0.1'].join(','));
  headers.push(['host', valuesOf(incoming.headers, 'host')[0]], ['content-length', '0'], ['x-envoy-internal', 'true'], ['x-envoy-expected-rq-timeout-ms', String(setting.timeoutMs)]);
  const answer = await ask({ port: nodePort, method: incoming.method, path: setting.prefix + incoming.path, headers, timeoutMs: setting.timeoutMs });
  if (answer === null || answer.status >= 500)
    return setting.failureModeAllow ? { headers: incoming.headers } : { status: setting.statusOnError, headers: [], body: '' };
  if (answer.status !== 200) {
    const kept = new Set([...setting.toClient, ...alwaysToClient]);
    return { status: answer.status, headers: setting.toClient.length > 0 ? answer.headers.filter(([name]) => kept.has(name)) : answer.headers, body: answer.body };
  }
  let passed = incoming.headers;
  for (const name of setting.upstream) {
    const values = valuesOf(answer.headers, name);
    if (values.length > 0) passed = set(passed, name, ...values);
  }
  const removed = valuesOf(answer.headers, 'x-envoy-auth-headers-to-remove').flatMap((value) => value.split(',')).map((name) => name.trim());
  return { headers: without(passed, ...removed.filter(Boolean)) };
}

/** Fields of one name become one, as in HttpRequest.headers. */
function joined(headers) {
  const all = new Map();
  for (const [name, value] of headers) all.set(name, all.has(name) ? `${all.get(name)},${value}` : value);
  return Object.fromEntries(all);
}

/** Without keep_empty_value, an empty one is passed over by newer Envoys. */
function overwrite(headers, options) {
  let passed = headers;
  for (const { header, append_action: action, keep_empty_value: keeps } of options) {
    assert.equal(action, 'OVERWRITE_IF_EXISTS_OR_ADD');
    if (header.value !== '' || keeps) passed = set(passed, header.key, header.value);
  }
  return passed;
}

/**
 * One check over gRPC. setting: {allowed, extensions, failureModeAllow, statusOnError, timeoutMs};
 * channel: of lib/grpc.mjs; answers as extAuthz.
 */
export async function extAuthzGrpc(setting, incoming, channel) {
  const headers = joined(incoming.headers.filter(([name]) => setting.allowed.includes(name)));
  const attributes = {
    source: { address: { socket_address: { address: incoming.client, port_value: 40_000 } } },
    destination: { address: { socket_address: { address: '127.0.0.1', port_value: 8000 } } },
    request: { http: { id: '1', method: incoming.method, headers, path: incoming.path, host: valuesOf(incoming.headers, 'host')[0], scheme: 'http', size: '-1', protocol: 'HTTP/1.1' } },
    context_extensions: setting.extensions,
    metadata_context: {},
  };
  const { error, answer } = await channel.call('Check', { attributes }, { deadlineMs: setting.timeoutMs });
  if (error) return setting.failureModeAllow ? { headers: incoming.headers } : { status: setting.statusOnError, headers: [], body: '' };
  if (answer.status.code !== 0) {
    const denied = answer.denied_response;
    return { status: denied.status.code, headers: overwrite([], denied.headers), body: denied.body };
  }
  const allowed = answer.ok_response;
  return { headers: without(overwrite(incoming.headers, allowed.headers), ...allowed.headers_to_remove) };
}

// --- the configuration around it -----------------------------------------------------------------

export const seconds = (text) => Number(/^([\d.]+)s$/.exec(text)[1]) * 1000;
const statuses = { ServiceUnavailable: 503 };

export const exact = (matcher = { patterns: [] }) =>
  matcher.patterns.map((pattern) => {
    assertKeys(pattern, ['exact'], 'a pattern');
    return pattern.exact;
  });

export const statusOf = (filter) => statuses[filter.status_on_error.code];

/** A shipped configuration: its ext_authz filters, its clusters, and what it does before them. */
export function readEnvoy(path) {
  const [{ static_resources: bootstrap }] = documents(path);
  const manager = bootstrap.listeners[0].filter_chains[0].filters[0].typed_config;
  const [host] = manager.route_config.virtual_hosts;
  return {
    clusters: bootstrap.clusters,
    paths: { normalizes: manager.normalize_path, merges: manager.merge_slashes, escaped: manager.path_with_escaped_slashes_action },
    filters: manager.http_filters.filter((one) => one.typed_config['@type'].endsWith('.ext_authz.v3.ExtAuthz')),
    /** What the route of a path, else its host, sets of this filter. */
    settingOf(path, filterName) {
      const bare = path.replace(/[?#].*$/, '');
      const route = host.routes.find(({ match }) => (match.path === undefined ? bare.startsWith(match.prefix) : bare === match.path));
      return route.typed_per_filter_config?.[filterName] ?? host.typed_per_filter_config?.[filterName] ?? {};
    },
    /** The request as it stands before the filters. */
    early(incoming) {
      const [{ typed_config: mutation }] = manager.early_header_mutation_extensions;
      let { headers } = incoming;
      if (manager.common_http_protocol_options.headers_with_underscores_action === 'DROP_HEADER') headers = headers.filter(([name]) => !name.includes('_'));
      headers = without(headers, ...mutation.mutations.map((one) => one.remove));
      if (manager.use_remote_address) headers = set(headers, 'x-forwarded-for', [...valuesOf(headers, 'x-forwarded-for'), incoming.client].join(','));
      return { ...incoming, headers };
    },
  };
}
