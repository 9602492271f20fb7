// SPDX-License-Identifier: Apache-2.0
// The shipped APISIX configuration, replayed: what its forward-auth plugin sends, to a real node.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeGateway } from './lib/contract.mjs';
import { identity, shipped } from './lib/gateway.mjs';
import { assertKeys, set, startReplay, valuesOf, without } from './lib/replay.mjs';
import { documents } from './lib/yaml.mjs';

const [{ global_rules: globalRules, routes, upstreams }] = documents('apisix/apisix.yaml');

const known = ['uri', 'allow_degradation', 'status_on_error', 'request_method', 'request_headers', 'upstream_headers', 'client_headers', 'timeout', 'keepalive', 'keepalive_timeout', 'keepalive_pool'];
for (const route of routes) {
  assert.ok(upstreams.some((one) => one.id === route.upstream_id), route.id);
  assertKeys(route.plugins, ['serverless-pre-function', 'forward-auth'], route.id);
  if (route.plugins['forward-auth']) assertKeys(route.plugins['forward-auth'], known, route.id);
}

/** The most exact uri wins: a whole path, then the longest prefix. */
function routeOf(path) {
  const candidates = routes.flatMap((route) => (route.uris ?? [route.uri]).map((uri) => ({ uri, route })));
  const matching = candidates.filter(({ uri }) => (uri.endsWith('*') ? path.startsWith(uri.slice(0, -1)) : path === uri));
  const weight = ({ uri }) => (uri.endsWith('*') ? uri.length : 10_000);
  return matching.sort((a, b) => weight(b) - weight(a))[0].route;
}

/** The headers that the function of a rewrite phase clears. */
function clearedBy({ phase, functions }) {
  assert.equal(phase, 'rewrite', 'before forward-auth, of whatever version');
  assert.equal(functions.length, 1);
  const [, list] = /^return function\(\)\s+for _, name in ipairs\(\{([^}]*)\}\) do\s+ngx\.req\.clear_header\(name\)\s+end\s+end\s*$/.exec(functions[0]) ?? assert.fail(functions[0]);
  return [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name);
}

/** The global rule's function: the paths that it refuses, and what it leaves of a request's upgrade. */
function readRule([{ plugins: { 'serverless-pre-function': { phase, functions } } }]) {
  assert.equal(phase, 'rewrite');
  const code = functions[0].replace(/^ *--.*\n/gm, '');
  const refusal = String.raw`if ngx\.re\.find\(ngx\.var\.request_uri, \[\[(.*)\]\], "ijo"\) then\s+return ngx\.exit\(400\)\s+end`;
  const upgrade = String.raw`local upgrade = ngx\.req\.get_headers\((\d*)\)\["Upgrade"\]\s+if type\(upgrade\) == "string" and upgrade:lower\(\) == "websocket" then\s+ngx\.req\.set_header\("Upgrade", "websocket"\)\s+else\s+ngx\.req\.clear_header\("Upgrade"\)\s+end\s+ngx\.req\.clear_header\("HTTP2-Settings"\)`;
  const [, pattern, limit] = new RegExp(String.raw`^return function\(\)\s+${refusal}\s+${upgrade}\s+end\s*$`).exec(code) ?? assert.fail(code);
  const seen = limit === '' ? 100 : Number(limit) || Infinity; // lua-nginx-module's own limit; 0: none
  return {
    refuses: (path) => new RegExp(pattern, 'i').test(path),
    upgrades(headers) {
      const values = valuesOf(headers.slice(0, seen), 'upgrade');
      return values.length === 1 && values[0].toLowerCase() === 'websocket' ? set(headers, 'upgrade', 'websocket') : without(headers, 'upgrade');
    },
  };
}

const rule = readRule(globalRules);

/** A path as nginx compares it: decoded; null where nginx refuses it by itself. What needs cleaning was refused before. */
function read(path) {
  if (!path.startsWith('/')) return null;
  try {
    const decoded = decodeURIComponent(path.replace(/\?.*/, ''));
    return decoded.includes('\0') ? null : decoded;
  } catch {
    return null;
  }
}

/** One question: GET with the listed headers of the client, one value each, and X-Forwarded-*. */
async function forwardAuth(setting, incoming, node, ask) {
  let headers = [];
  for (const name of setting.request_headers) {
    const [value] = valuesOf(incoming.headers, name);
    if (value !== undefined) headers.push([name.toLowerCase(), value]);
  }
  const said = { 'x-forwarded-proto': 'http', 'x-forwarded-method': incoming.method, 'x-forwarded-host': valuesOf(incoming.headers, 'host')[0], 'x-forwarded-uri': incoming.path, 'x-forwarded-for': incoming.client };
  for (const [name, value] of Object.entries(said)) headers = set(headers, name, value);
  const { pathname, search, host } = new URL(setting.uri);
  const answer = await ask({ port: node.port, method: 'GET', path: pathname + search, headers: [['host', host], ...headers], timeoutMs: 10 * setting.timeout });
  if (answer === null) return setting.allow_degradation ? { headers: incoming.headers } : { status: setting.status_on_error, headers: [], body: '' };
  if (answer.status >= 300) return { ...answer, headers: answer.headers.filter(([name]) => setting.client_headers.some((one) => one.toLowerCase() === name)) };
  let passed = incoming.headers;
  for (const name of setting.upstream_headers) passed = set(passed, name, ...valuesOf(answer.headers, name));
  return { headers: passed };
}

const startApisix = ({ node, apiPort, isOpen }) =>
  startReplay({
    apiPort,
    async judge(incoming, ask) {
      const path = read(incoming.path);
      if (path === null || rule.refuses(incoming.path)) return { status: 400, headers: [], body: '' };
      const { plugins } = routeOf(path);
      const headers = without(incoming.headers, ...clearedBy(plugins['serverless-pre-function']));
      const setting = plugins['forward-auth'];
      if (!setting) return { headers };
      return forwardAuth({ ...setting, allow_degradation: isOpen || setting.allow_degradation }, { ...incoming, headers }, node, ask);
    },
  });

test('each route clears, asks for and hands on the whole identity, and fails closed', () => {
  for (const { plugins } of routes) assert.deepEqual(clearedBy(plugins['serverless-pre-function']).map((one) => one.toLowerCase()), identity);
  for (const { plugins } of routes.filter((route) => route.plugins['forward-auth'])) {
    assert.deepEqual(plugins['forward-auth'].upstream_headers.map((one) => one.toLowerCase()), identity);
    assert.equal(plugins['forward-auth'].allow_degradation, false);
  }
  assert.match(shipped('apisix/apisix.yaml'), /\n#END\n$/, 'APISIX reads a file only with its end mark');
});

test('the global rule passes on an upgrade to WebSocket alone, however many headers stand before another', () => {
  const others = Array.from({ length: 99 }, (_, i) => [`x-${i}`, '']);
  const left = (...values) => {
    const [first, ...rest] = values.map((value) => ['upgrade', value]);
    return valuesOf(rule.upgrades([first, ...others, ...rest]), 'upgrade');
  };
  assert.deepEqual(left('WebSocket'), ['websocket']);
  for (const values of [['websocket', 'h2c'], ['h2c', 'websocket'], ['websocket, h2c'], ['h2c']]) assert.deepEqual(left(...values), [], values.join());
});

describeGateway('APISIX, replayed', { start: startApisix, hasRetryAfter: false, hasUpgrades: false });
