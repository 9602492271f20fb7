// SPDX-License-Identifier: Apache-2.0
// What Envoy's ext_authz filter does over HTTP, from its documentation (ext_authz.proto, HttpService):
// the one check that Envoy, Envoy Gateway and most of the Gateway API's implementations make.
import { set, valuesOf, without } from './replay.mjs';

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
