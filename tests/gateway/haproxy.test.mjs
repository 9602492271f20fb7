// SPDX-License-Identifier: Apache-2.0
// The shipped HAProxy configuration in a real HAProxy, in front of a real API, asking a real node.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { client, exchange, raw } from '../integration/lib/http.mjs';
import { claimPlace } from '../integration/lib/net.mjs';
import { startNode, whileStopped } from '../integration/lib/node.mjs';
import { assertPreflights, describeGateway } from './lib/contract.mjs';
import { blocksOf, http2Settings, identity, put, say, shipped, startApi, startProgram, startScene, startServer } from './lib/gateway.mjs';
import { describeTwoNodes } from './lib/nodes.mjs';

/** HAProxy with the shipped files; only paths, ports, the node's address and patience are put in. */
async function startHaproxy({ upstream, apiPort, isOpen = false, isPatient = true, lua = shipped('haproxy/keyreeve.lua'), edit = (text) => text }) {
  const { host, port } = await claimPlace();
  let text = put(edit(shipped('haproxy/haproxy.cfg')), 'server node-1 127.0.0.1:7400', `server node-1 ${upstream}`);
  text = put(text, '/etc/haproxy/', './');
  text = put(text, 'abns@keyreeve', `abns@keyreeve-test-${host}-${port}`);
  text = put(text, 'bind :8000', `bind ${host}:${port}`);
  text = put(text, '127.0.0.1:8080', `127.0.0.1:${apiPort}`);
  // A busy machine is no dead node.
  if (isPatient) text = put(put(text, 'timeout server 2s', 'timeout server 20s'), 'fall 2', 'fall 30');
  if (isOpen) text = put(text, 'lua.keyreeve closed', 'lua.keyreeve open');
  return startProgram({
    program: '/usr/sbin/haproxy', host, port,
    files: () => ({ 'haproxy.cfg': text, 'keyreeve.lua': lua }),
    args: () => ['-f', 'haproxy.cfg'],
  });
}

describeGateway('HAProxy over TCP', {
  start: ({ node, ...rest }) => startHaproxy({ upstream: `127.0.0.1:${node.port}`, ...rest }),
});

// With shipped patience: a node that hangs shall cost it.
describeTwoNodes('HAProxy', ({ addresses: [first, second], apiPort }) =>
  startHaproxy({ upstream: `${first}\n    server node-2 ${second}`, apiPort, isOpen: true, isPatient: false }),
);

describe('HAProxy', () => {
  let scene, node, api, directory, socket, key;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'keyreeve-socket-'));
    socket = join(directory, 'http.sock');
    scene = await startScene({ flags: ['--http-unix', socket] });
    ({ node, api, key } = scene);
  });

  after(async () => {
    await scene?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const startFor = async (t, more = {}) => {
    const gateway = await startHaproxy({ upstream: `unix@${socket}`, apiPort: api.port, ...more });
    t.after(() => gateway.stop());
    return (path = '/', headers = { 'x-api-key': key }) => exchange(gateway, { path, headers });
  };

  test('asks over a unix socket, where no address needs to be trusted', async (t) => {
    const ask = await startFor(t);
    assert.equal((await ask()).status, 200);
    assert.equal((await ask('/', {})).status, 401);
  });

  test('lets preflights pass where its README\'s line says so', async (t) => {
    const [line] = blocksOf('haproxy/README.md', 'Preflights');
    const gateway = await startHaproxy({ upstream: `unix@${socket}`, apiPort: api.port, edit: (text) => put(text, 'acl is_public path /status\n', `acl is_public path /status\n${line}`) });
    t.after(() => gateway.stop());
    await assertPreflights(gateway);
  });

  test('takes an identity header in CGI spelling for what it is', async (t) => {
    const ask = await startFor(t);
    const { headers } = JSON.parse((await ask('/', { 'x-api-key': key, X_Key_Id: 'forged', 'x_consumer-name': 'forged' })).text);
    assert.ok(!JSON.stringify(headers).includes('forged'), JSON.stringify(headers));
  });

  test('takes another spelling of a path that asks for no key for another path', async (t) => {
    const ask = await startFor(t);
    for (const path of ['/status', '/status?x']) assert.equal((await ask(path, {})).status, 200, path);
    for (const path of ['/%73tatus', '/status/', '/status%2F1']) assert.equal((await ask(path, {})).status, 401, path);
    assert.equal((await ask('/x/..')).status, 400);
  });

  test('keeps room for the questions, however many clients there are', async (t) => {
    const edit = (text) => put(put(text, 'maxconn 8000', 'maxconn 20'), 'maxconn 3500', 'maxconn 9');
    const gateway = await startHaproxy({ upstream: `unix@${socket}`, apiPort: api.port, isOpen: true, edit });
    t.after(() => gateway.stop());
    // All are there before anybody asks for anything.
    const clients = Array.from({ length: 40 }, () => raw(gateway));
    t.after(() => clients.forEach((one) => one.destroy()));
    await new Promise((done) => setTimeout(done, 500));
    const answers = await Promise.all(clients.map(async (one) => {
      one.write('GET / HTTP/1.1\r\nHost: api\r\nX-API-Key: nonsense\r\n\r\n');
      const answer = await one.until((received) => received.includes('\r\n\r\n'));
      one.destroy(); // another one has its place
      return answer;
    }));
    for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 401 /);
  });

  test('leaves a WebSocket alone that is silent for longer than a client may be', async (t) => {
    const edit = (text) => put(put(text, 'timeout client 60s', 'timeout client 1s'), 'timeout server 60s', 'timeout server 1s');
    const gateway = await startHaproxy({ upstream: `unix@${socket}`, apiPort: api.port, edit });
    t.after(() => gateway.stop());
    const { connection } = await say(t, gateway, '/', ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', `X-API-Key: ${key}`], (received) => received.includes('}\n'));
    await new Promise((done) => setTimeout(done, 2500));
    connection.write('still here');
    await connection.until((received) => received.endsWith('still here'));
  });

  test('lets nobody in when the action itself fails', async (t) => {
    const broken = put(shipped('haproxy/keyreeve.lua'), 'remove_forged(txn, headers)\n    local answer', 'error("broken")\n    local answer');
    const ask = await startFor(t, { lua: broken });
    assert.equal((await ask()).status, 503);
    assert.equal((await ask('/status', {})).status, 200);
  });

  test('lets nobody in because of an answer that is not Keyreeve\'s', async (t) => {
    for (const [status, headers] of [[200, {}], [200, { 'x-key-id': '' }], [204, {}], [302, { location: '/' }], [404, {}]]) {
      const stranger = await startServer((request, answer) => answer.writeHead(request.url === '/readyz' ? 200 : status, headers).end());
      t.after(() => stranger.stop());
      for (const isOpen of [false, true]) {
        const ask = await startFor(t, { upstream: `127.0.0.1:${stranger.port}`, isOpen });
        assert.equal((await ask()).status, 503, `${status} ${JSON.stringify(headers)}`);
      }
    }
  });

  test('lets nobody in whose credential makes the question no request', async (t) => {
    for (const isOpen of [false, true]) {
      const ask = await startFor(t, { isOpen });
      assert.equal((await ask('/', { 'x-api-key': 'x'.repeat(20_000) })).status, 503, `open: ${isOpen}`);
      assert.equal((await ask('/', { 'x-api-key': 'x'.repeat(1000) })).status, 401);
    }
  });

  test('obeys a node that says that it cannot tell, even if it shall let in who is not judged', async (t) => {
    const ask = await startFor(t, { isOpen: true, lua: put(shipped('haproxy/keyreeve.lua'), '"http://keyreeve/authz/haproxy?" .. question', '"http://keyreeve/authz/haproxy?bucket="') });
    const answer = await ask();
    assert.equal(answer.status, 503);
    assert.equal(JSON.parse(answer.text).status, 503);
  });
});

/** What the public action is known to do, over HAProxy's own HTTP client: HEAD with all of the client's headers, and two variables. */
const publicAction = (node) => `
core.register_action("auth-request", { "http-req" }, function(txn, _, path)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        headers[name] = {}
        for i = 0, #values do
            headers[name][i + 1] = values[i]
        end
    end
    txn:set_var("txn.auth_response_successful", false)
    local answer = core.httpclient():head({ url = "http://127.0.0.1:${node.port}" .. path, headers = headers, timeout = 1000 })
    txn:set_var("txn.auth_response_code", answer.status)
    txn:set_var("txn.auth_response_successful", answer.status >= 200 and answer.status < 300)
end, 2)
`;

/** HAProxy with nothing but the lines that its README gives for that action. */
async function startPublic({ node, apiPort }) {
  const { host, port } = await claimPlace();
  const [lines] = blocksOf('haproxy/README.md', 'The public auth-request action');
  const text = [
    'global', 'lua-load-per-thread ./action.lua',
    'defaults', 'mode http', 'timeout connect 5s', 'timeout client 60s', 'timeout server 60s',
    'frontend gateway', `bind ${host}:${port}`, 'http-request return status 200 if { path /status }', lines, 'default_backend api',
    'backend keyreeve', `server node-1 127.0.0.1:${node.port}`,
    'backend api', `server api 127.0.0.1:${apiPort}`, '',
  ].join('\n');
  return startProgram({
    program: '/usr/sbin/haproxy', host, port,
    files: () => ({ 'haproxy.cfg': text, 'action.lua': publicAction(node) }),
    args: () => ['-f', 'haproxy.cfg'],
  });
}

describe('what the public auth-request action expects', () => {
  let node, key;
  before(async () => {
    node = await startNode();
    const call = client(node);
    await call.makeConsumer('acme');
    ({ key } = await call.makeKey('acme'));
  });
  after(() => node.remove());

  // It sends HEAD with all of the client's headers but Content-Length; 2xx allows.
  const ask = (headers, path = '/authz/haproxy?bucket=production') =>
    exchange(node, { method: 'HEAD', path, headers: { host: 'api.example.com', 'user-agent': 'curl/8', accept: '*/*', 'content-type': 'application/json', cookie: 'a=b', ...headers } });

  test('HEAD: 200 with the identity, 401 and 403 without, never a body', async () => {
    const allowed = await ask({ authorization: `Bearer ${key}` });
    assert.equal(allowed.status, 200);
    for (const name of identity) assert.notEqual(allowed.headers.get(name), null, name);
    for (const [answer, status, reason] of [[await ask({}), 401, 'MALFORMED'], [await ask({ 'x-api-key': key }, '/authz/haproxy?bucket=preview'), 403, 'FORBIDDEN']]) {
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get('x-auth-reason'), reason);
      assert.equal(answer.text, '');
      for (const name of identity) assert.equal(answer.headers.get(name), null, name);
    }
  });

  test('its lines in a real HAProxy: in with a key, 401 and 403 without, 503 where nobody can tell', async (t) => {
    const api = await startApi();
    t.after(() => api.stop());
    const gateway = await startPublic({ node, apiPort: api.port });
    t.after(() => gateway.stop());
    const call = client(node);
    await call.makeConsumer('elsewhere', {}, 'preview');
    const other = await call.makeKey('elsewhere', {}, 'preview');
    const through = (headers) => exchange(gateway, { path: '/orders', headers });
    const allowed = await through({ 'x-api-key': key, 'x-key-id': 'forged', X_Consumer_Id: 'forged' });
    assert.equal(allowed.status, 200, allowed.text);
    assert.ok(!allowed.text.includes('forged'), allowed.text);
    assert.equal((await through({})).status, 401);
    assert.equal((await through({ 'x-api-key': other.key })).status, 403);
    const { received } = await say(t, gateway, '/orders', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', http2Settings, `X-API-Key: ${key}`]);
    assert.match(received, /^HTTP\/1\.1 200 /);
    await whileStopped(node.pid, async () => assert.equal((await through({ 'x-api-key': key })).status, 503));
    assert.equal((await through({ 'x-api-key': key })).status, 200);
  });
});
