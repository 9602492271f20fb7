// SPDX-License-Identifier: Apache-2.0
// What every gateway in front of an API must do, whatever it is: the same questions to each of them.
//
// The shipped configurations agree on three places: /status asks for no key, /orders/ for the scope
// orders:read, everything else for a key of the bucket "production".
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { client, exchange, expect } from '../../integration/lib/http.mjs';
import { startNode, until } from '../../integration/lib/node.mjs';
import { http2Settings, identity, say, startApi } from './gateway.mjs';

const bearer = (key) => ({ authorization: `Bearer ${key}` });
const forged = Object.fromEntries(identity.map((name) => [name, 'forged']));

// Of a path, what gateways and applications read in more than one way.
const nearOrders = ['/x/../orders/1', '/./orders/1', '//orders/1', '/x/%2e%2E/orders/1', '/%6Frders/1', '/orders%2F1', '/orders%2f..%2forders%2F1', '/orders/../x', '/orders/%2e%2e/x', '/orders/..', '/orders/..#', '/orders/.%2E%2Fx', '/orders\\1', '/orders%5C1', '/x\\..\\orders/1', '/x%5c..%5Corders/1', '/%zz/../orders/1', '/%/%2e%2e/orders/1', '/orders/1%', '/%//orders/1', '/orders#', '/orders#/1', '/orders%00', 'http://api/orders/1', 'http://api/x/../orders/1', 'http:/orders/1', 'http:///orders/1'];
const nearStatus = ['/orders/1/../../status', '/x/../status', '/orders/%2e%2e/status', '/orders/1%2F..%2F..%2Fstatus', '//status', '/./status', '/%2Fstatus', '/orders\\..\\status', '/%5cstatus', 'http://api/orders/1/../../status', 'http:/x/../status'];
// What is no path, of which a gateway may see an empty one, and ask or pass on the whole.
const noPaths = ['http:http://api/healthz', 'x:http://api/authz/envoy/../../orders/1', 'x:http://api/authz/envoy;bucket=production/status', 'http:orders/1', 'http:', 'orders/1', '*'];
const plainPaths = ['/?u=http://a/../b', '/?u=%2F..%2F\\', '/x.y/..z', '/.../x..', '/.well-known', '/a%20b', '/%C3%A9', '/a%25b', '/', '/orders/1?..', '/x%2Fy'];

// What asks for HTTP/2 on a connection; some of it says WebSocket as well.
const toHttp2 = [
  ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c'],
  ['Connection: Upgrade', 'Upgrade: h2c'],
  ['Connection: Upgrade', 'Upgrade: websocket, h2c'],
  ['Connection: Upgrade', 'Upgrade: websocket', 'Upgrade: h2c'],
  ['Connection: Upgrade', 'Upgrade: h2c', 'Upgrade: websocket'],
].map((lines) => [...lines, http2Settings]);

/** gateway has its README's lines about preflights: OPTIONS passes as nobody, and nothing else does. */
export async function assertPreflights(gateway) {
  const ask = (method, path) => exchange(gateway, { method, path, headers: { ...forged, origin: 'https://elsewhere.example', 'access-control-request-method': 'POST' } });
  for (const path of ['/', '/orders/1']) {
    const { method, headers } = JSON.parse(expect(await ask('OPTIONS', path), 200).text);
    assert.equal(method, 'OPTIONS');
    for (const one of identity) assert.equal(headers[one] ?? '', '', one);
    for (const other of ['GET', 'POST']) assert.notEqual((await ask(other, path)).status, 200, `${other} ${path}`);
  }
}

/** One connection of a client, kept; how many it has really opened. */
function keptConnection() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const create = agent.createConnection.bind(agent);
  agent.opened = 0;
  agent.createConnection = (...args) => {
    agent.opened++;
    return create(...args);
  };
  return agent;
}

/**
 * A gateway before a node and an API. start({node, apiPort, isOpen}) starts it and answers
 * {url, port, log?, stop}; isOpen: who cannot be judged is let in. flags are the node's; the others
 * say what the gateway cannot do, or does besides. hasPaths, hasUpgrades: it knows more than one
 * spelling of a path, and hands upgrades on, as those do not that are replayed.
 */
export function describeGateway(name, { start, flags = () => ['--trusted-proxies', '127.0.0.1/32'], hasOpen = true, hasScopes = true, hasPaths = true, hasUpgrades = true, silentStatus = 503, hasRetryAfter = true, removesCredential = false }) {
  describe(name, () => {
    let node, api, gateway, call, key, keyId;
    const gateways = [];
    const launch = async (isOpen) => {
      const one = await start({ node, apiPort: api.port, isOpen });
      gateways.push(one);
      return one;
    };
    const get = (path = '/', headers = {}, more = {}) => exchange(gateway, { path, headers, ...more });
    /** Each of these paths is refused; those that are not are shown. */
    const refusesAll = async (paths, headers) => {
      const passed = [];
      for (const path of paths) {
        const { status } = await get(path, headers);
        if (![400, 401, 403].includes(status)) passed.push(`${path}: ${status}`);
      }
      assert.deepEqual(passed, []);
    };
    const reached = async (...args) => JSON.parse(expect(await get(...args), 200).text);

    before(async () => {
      node = await startNode({ flags: flags() });
      api = await startApi();
      gateway = await launch(false);
      call = client(node);
      await call.makeConsumer('acme', { metadata: { plan: 'gold' } });
      ({ key, id: keyId } = await call.makeKey('acme', { scopes: ['orders:read'] }));
    });

    after(async () => {
      for (const one of gateways) await one.stop();
      await api?.stop();
      await node?.remove();
    });

    test('lets a good key in and tells the API who it is', async () => {
      const { method, url, headers, body } = await reached('/x?y=1&bucket=preview', { ...bearer(key), 'content-type': 'text/plain' }, { method: 'POST', body: 'hello' });
      assert.deepEqual([method, url, body], ['POST', '/x?y=1&bucket=preview', 'hello']);
      assert.equal(headers['x-consumer-name'], 'acme');
      assert.equal(headers['x-key-id'], keyId);
      assert.equal(headers['x-environment'], 'production');
      assert.equal(headers['x-key-scopes'], 'orders:read');
      assert.deepEqual(JSON.parse(Buffer.from(headers['x-consumer-metadata'], 'base64url')), { plan: 'gold' });
      assert.equal(headers.authorization, removesCredential ? undefined : `Bearer ${key}`);
    });

    test('takes every method and every body, whole where the key is good, and not where it is none', async () => {
      const large = 'large body '.repeat(200_000); // over 2 MiB
      const chunks = async function* () {
        for (let i = 0; i < 8; i++) yield `chunk ${i};`.repeat(1000);
      };
      const wanted = { 'content-type': 'text/plain' };
      for (const [name, method, body, sent] of [
        ['HEAD', 'HEAD'],
        ['OPTIONS', 'OPTIONS'],
        ['a body in chunks', 'PUT', chunks, Array.from({ length: 8 }, (_, i) => `chunk ${i};`.repeat(1000)).join('')],
        ['a large body', 'POST', () => large, large],
      ]) {
        const allowed = expect(await get('/up', { ...wanted, ...bearer(key) }, { method, body: body?.() }), 200);
        if (method === 'HEAD') assert.equal(allowed.text, '', name);
        else assert.deepEqual([JSON.parse(allowed.text).method, JSON.parse(allowed.text).body], [method, sent ?? ''], name);
        const before = api.taken();
        const refused = await get('/up', { ...wanted, ...bearer('nonsense') }, { method, body: body?.() }).catch(({ code }) => code);
        // Who goes on sending a body may find its connection closed before it reads the refusal.
        assert.ok(refused.status === 401 || (body && ['EPIPE', 'ECONNRESET'].includes(refused)), `${name}: ${refused.status ?? refused}`);
        assert.equal(api.taken(), before, `${name} has reached the API`);
      }
    });

    test('tells of who has all that a consumer and a key may have', async () => {
      const metadataLimit = 16384;
      expect(await call.patch(`${call.buckets}/production`, { metadataLimit }), 200);
      const metadata = { text: 'x'.repeat(metadataLimit - JSON.stringify({ text: '' }).length) };
      const scopes = Array.from({ length: 64 }, (_, i) => `orders:${i}:`.padEnd(128, 'x'));
      await call.makeConsumer('large', { metadata });
      const large = await call.makeKey('large', { scopes });
      const { headers } = await reached('/', { 'x-api-key': large.key });
      assert.deepEqual(JSON.parse(Buffer.from(headers['x-consumer-metadata'], 'base64url')), metadata);
      assert.deepEqual(headers['x-key-scopes'].split(','), scopes);
      assert.equal(headers['x-key-id'], large.id);
      assert.equal(headers['x-environment'], 'production');
    });

    test('takes the key from X-API-Key and Basic, too, and only one', async () => {
      assert.equal((await get('/', { 'x-api-key': key })).status, 200);
      assert.equal((await get('/', { authorization: `Basic ${Buffer.from(`${key}:`).toString('base64')}` })).status, 200);
      assert.equal((await get('/', { ...bearer(key), 'x-api-key': 'another' })).status, 401);
    });

    test('asks for no key where none is wanted, and believes no forged identity there', async () => {
      assert.equal((await get('/status')).status, 200);
      const { headers } = await reached('/status', forged);
      for (const one of identity) assert.equal(headers[one] ?? '', '', one);
    });

    if (hasScopes) test('lets a key with the scope of a place in, and refuses one without', async () => {
      assert.equal((await get('/orders/1', { 'x-api-key': key })).status, 200);
      const plain = await call.makeKey('acme');
      assert.equal((await get('/', { 'x-api-key': plain.key })).status, 200);
      const refused = await get('/orders/1', { 'x-api-key': plain.key });
      assert.equal(refused.status, 403);
      assert.equal(JSON.parse(refused.text).status, 403);
    });

    if (hasScopes && hasPaths) test('lets nobody around the rule of a place by another spelling of the path', async () => {
      const plain = await call.makeKey('acme');
      assert.equal((await get('/orders/1', { 'x-api-key': plain.key })).status, 403);
      await refusesAll(nearOrders, { 'x-api-key': plain.key });
    });

    if (hasPaths) test('lets nobody past without a key by another spelling of a path that asks for none', async () => {
      await refusesAll([...nearStatus, ...nearOrders], {});
    });

    if (hasPaths) test('hands nothing on that is no path, whoever sends it', async (t) => {
      const before = api.taken();
      const passed = [];
      for (const method of ['GET', 'DELETE', 'OPTIONS'])
        for (const target of noPaths)
          for (const lines of [[], [`X-API-Key: ${key}`]]) {
            const { received } = await say(t, gateway, target, lines, undefined, method);
            const [line] = received.split('\r\n');
            // A gateway may itself say that it is there (RFC 9110 §9.3.7).
            if (!/^HTTP\/1\.[01] 4/.test(line) && `${method} ${target}` !== 'OPTIONS *') passed.push(`${method} ${target} ${lines}: ${line}`);
          }
      assert.deepEqual(passed, []);
      assert.equal(api.taken(), before);
    });

    if (hasPaths) test('hands a path on as it came', async () => {
      for (const path of plainPaths) assert.equal((await reached(path, { 'x-api-key': key })).url, path);
      assert.equal((await reached('/status?u=/../x')).url, '/status?u=/../x');
    });

    test('lets nobody speak HTTP/2 with the API behind its back', async (t) => {
      for (const lines of toHttp2)
        for (const [path, more] of [['/status', []], ['/orders/1', [`X-API-Key: ${key}`]]]) {
          const { received } = await say(t, gateway, path, [...lines, ...more]);
          const [head] = received.split('\r\n\r\n');
          assert.match(head, /^HTTP\/1\.1 ([245]|101 [^]*\r\nupgrade: websocket(\r\n|$))/i, `${path} ${lines}: ${head}`);
        }
    });

    if (hasUpgrades) test('hands an upgrade to WebSocket on, and tells the API who it is', async (t) => {
      const lines = ['Connection: keep-alive, Upgrade, X-Consumer-Name', 'Upgrade: WebSocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='];
      assert.match((await say(t, gateway, '/', lines)).received, /^HTTP\/1\.1 401 /);
      const { connection, received } = await say(t, gateway, '/', [...lines, `X-API-Key: ${key}`, 'X-Consumer-Name: forged'], (text) => /\r\n\r\n.*\n/.test(text));
      assert.match(received, /^HTTP\/1\.1 101 /);
      assert.equal(JSON.parse(received.split('\r\n\r\n')[1]).headers['x-consumer-name'], 'acme');
      connection.write('to and fro');
      await connection.until((text) => text.endsWith('to and fro'));
    });

    test('tells the API who it is, whatever the client says of the connection', async () => {
      const { headers } = await reached('/', { ...bearer(key), connection: ['keep-alive', ...identity].join(', ') });
      assert.doesNotMatch(headers.connection ?? '', /x-/i, 'another proxy would take these away');
      assert.deepEqual([headers['x-consumer-name'], headers['x-key-id'], headers['x-environment']], ['acme', keyId, 'production']);
      for (const one of identity.filter((name) => name !== 'x-key-expires')) assert.ok(headers[one], one);
    });

    test('answers one and the same 401 to every key that is not good', async () => {
      const bodies = new Set();
      const misspelt = `${key.slice(0, -1)}${key.at(-1) === '0' ? '1' : '0'}`;
      for (const headers of [{}, bearer('nonsense'), { 'x-api-key': misspelt }, forged]) {
        const answer = await get('/', headers);
        assert.equal(answer.status, 401);
        assert.match(answer.headers.get('www-authenticate'), /^Bearer realm="keyreeve"/);
        assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
        assert.equal(answer.headers.get('x-auth-reason'), null);
        for (const one of identity) assert.equal(answer.headers.get(one), null);
        bodies.add(answer.text);
      }
      assert.equal(bodies.size, 1);
      assert.equal(JSON.parse([...bodies][0]).status, 401);
    });

    test('overwrites identity headers that the client has forged', async () => {
      const plain = await call.makeKey('acme');
      const { headers } = await reached('/', { ...forged, ...bearer(plain.key) });
      for (const one of identity) assert.notEqual(headers[one], 'forged', one);
      assert.equal(headers['x-key-scopes'] ?? '', '');
      assert.equal(headers['x-key-expires'] ?? '', '');
      assert.equal(headers['x-consumer-name'], 'acme');
    });

    test('refuses a key of another bucket with 403 and a body that says so', async () => {
      await call.makeConsumer('other', {}, 'preview');
      const other = await call.makeKey('other', {}, 'preview');
      const answer = await get('/?bucket=preview', { 'x-api-key': other.key });
      assert.equal(answer.status, 403);
      assert.equal(JSON.parse(answer.text).status, 403);
    });

    test('compares ipAllow with the address that the gateway saw', async () => {
      const near = await call.makeKey('acme', { ipAllow: ['127.0.0.2'] });
      const far = await call.makeKey('acme', { ipAllow: ['192.0.2.0/24'] });
      // From an address that the node does not take for a proxy's.
      const agent = new Agent({ localAddress: '127.0.0.2' });
      assert.equal((await get('/', { 'x-api-key': near.key }, { agent })).status, 200);
      assert.equal((await get('/', { 'x-api-key': far.key, 'x-forwarded-for': '192.0.2.1' }, { agent })).status, 403);
      assert.equal((await get('/', { 'x-api-key': near.key, connection: 'x-forwarded-for' }, { agent })).status, 200);
    });

    test('keeps its connections to the node', async () => {
      const [accepted, started] = [await node.metric('connections_accepted_total'), Date.now()];
      for (let i = 0; i < 100; i++) assert.equal((await get('/', { 'x-api-key': i % 2 ? key : 'nonsense' })).status, i % 2 ? 200 : 401);
      const opened = (await node.metric('connections_accepted_total')) - accepted;
      const checks = (Date.now() - started) / 1000; // a health check each second has one of its own
      assert.ok(opened <= 10 + checks, `${opened} connections for 100 questions`);
    });

    test('refuses a revoked key at the next request, on a connection that is open', async (t) => {
      const agent = keptConnection();
      t.after(() => agent.destroy());
      const doomed = await call.makeKey('acme');
      const ask = () => get('/', { 'x-api-key': doomed.key }, { agent });
      assert.equal((await ask()).status, 200);
      expect(await call.post(`${call.keys('acme')}/${doomed.id}/revoke`, {}), 200);
      assert.equal((await ask()).status, 401);
      assert.equal(agent.opened, 1, 'the connection was kept');
      if (!gateway.log) return;
      await until(() => gateway.log().includes('REVOKED'), { what: 'the reason in the log' });
      assert.ok(!gateway.log().includes(doomed.key), 'the key is in the log');
    });

    test('lets nobody in when the node is gone', async () => {
      await node.stop();
      const answer = await get('/', { 'x-api-key': key });
      assert.equal(answer.status, silentStatus, answer.text);
      if (hasRetryAfter) assert.equal(answer.headers.get('retry-after'), '1');
      assert.equal((await get('/status')).status, 200);
    });

    if (hasOpen) test('lets everybody in when the node is gone, where it is told to, but as nobody', async () => {
      gateway = await launch(true);
      const { headers, method, body } = await reached('/x', { ...forged, 'x-api-key': 'nonsense', 'content-type': 'text/plain' }, { method: 'POST', body: 'hello' });
      assert.deepEqual([method, body], ['POST', 'hello']);
      for (const one of identity) assert.equal(headers[one] ?? '', '', one);
    });
  });
}
