// SPDX-License-Identifier: Apache-2.0
// The shipped Traefik configuration, replayed: what its ForwardAuth middleware sends, to a real node.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeGateway } from './lib/contract.mjs';
import { identity } from './lib/gateway.mjs';
import { assertKeys, set, startReplay, valuesOf, without } from './lib/replay.mjs';
import { documents } from './lib/yaml.mjs';

const [{ http }] = documents('traefik/dynamic.yaml');
const [{ entryPoints }] = documents('traefik/traefik.yaml');

/** A rule of one matcher, as a test of a path. */
function matcher(rule) {
  const [, kind, value] = /^(PathPrefix|Path)\(`([^`]+)`\)$/.exec(rule) ?? assert.fail(`not understood: ${rule}`);
  return kind === 'Path' ? (path) => path === value : (path) => path.startsWith(value);
}

// The longest rule comes first, unless priorities say otherwise.
const routers = Object.entries(http.routers)
  .map(([name, router]) => {
    assertKeys(router, ['rule', 'entryPoints', 'middlewares', 'service'], `the router ${name}`);
    for (const one of router.entryPoints) assert.ok(entryPoints[one], `the entry point ${one}`);
    assert.ok(http.services[router.service], `the service ${router.service}`);
    return { ...router, matches: matcher(router.rule), middlewares: router.middlewares ?? [] };
  })
  .sort((a, b) => b.rule.length - a.rule.length);

const forwardAuths = Object.keys(http.middlewares).filter((name) => http.middlewares[name].forwardAuth);

/** What a Headers middleware removes: what has an empty value. */
function removedBy(name) {
  const { headers } = http.middlewares[name];
  assertKeys(headers, ['customRequestHeaders'], name);
  for (const [header, value] of Object.entries(headers.customRequestHeaders)) assert.equal(value, '', header);
  return Object.keys(headers.customRequestHeaders);
}

function forwardAuthOf(name) {
  const { forwardAuth } = http.middlewares[name];
  assertKeys(forwardAuth, ['address', 'trustForwardHeader', 'authResponseHeaders', 'authRequestHeaders'], name);
  return forwardAuth;
}

/** One ForwardAuth: GET with the client's headers, or those that are listed, and X-Forwarded-*. */
async function forwardAuth(setting, incoming, node, ask) {
  const listed = setting.authRequestHeaders?.map((name) => name.toLowerCase());
  let headers = without(incoming.headers, 'host', 'content-length', 'connection', 'transfer-encoding').filter(([name]) => !listed || listed.includes(name));
  const said = { 'x-forwarded-for': incoming.client, 'x-forwarded-method': incoming.method, 'x-forwarded-proto': 'http', 'x-forwarded-host': valuesOf(incoming.headers, 'host')[0], 'x-forwarded-uri': incoming.path };
  assert.equal(setting.trustForwardHeader, false, 'replayed only without trust');
  for (const [name, value] of Object.entries(said)) headers = set(headers, name, value);
  const { pathname, search, host } = new URL(setting.address);
  const answer = await ask({ port: node.port, method: 'GET', path: pathname + search, headers: [['host', host], ...headers] });
  if (answer === null) return { status: 500, headers: [], body: '' };
  if (answer.status < 200 || answer.status >= 300) return answer;
  let passed = incoming.headers;
  for (const name of setting.authResponseHeaders) passed = set(passed, name, ...valuesOf(answer.headers, name));
  return { headers: passed };
}

const startTraefik = ({ node, apiPort }) =>
  startReplay({
    apiPort,
    async judge(received, ask) {
      let incoming = received;
      const router = routers.find((one) => one.matches(incoming.path.replace(/\?.*/, '')));
      for (const name of router.middlewares) {
        if (!forwardAuths.includes(name)) {
          incoming = { ...incoming, headers: without(incoming.headers, ...removedBy(name)) };
          continue;
        }
        const outcome = await forwardAuth(forwardAuthOf(name), incoming, node, ask);
        if (outcome.status !== undefined) return outcome;
        incoming = { ...incoming, headers: outcome.headers };
      }
      return incoming;
    },
  });

test('each middleware hands on the whole identity', () => {
  for (const name of forwardAuths) assert.deepEqual(forwardAuthOf(name).authResponseHeaders.map((one) => one.toLowerCase()), identity);
});

test('what a client says of itself goes first, and what would let it speak HTTP/2 with the API', () => {
  for (const { middlewares: [first] } of routers) assert.deepEqual(removedBy(first).map((name) => name.toLowerCase()), ['upgrade', 'http2-settings', ...identity]);
});

test('what a rule leaves encoded does not reach the API, which would decode it', () => {
  for (const { http: { encodedCharacters } } of Object.values(entryPoints)) assert.deepEqual(encodedCharacters, { allowEncodedSlash: false, allowEncodedBackSlash: false });
});

describeGateway('Traefik, replayed', { start: startTraefik, hasOpen: false, silentStatus: 500, hasRetryAfter: false, hasPaths: false, hasUpgrades: false });
