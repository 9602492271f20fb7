// SPDX-License-Identifier: Apache-2.0
// The shipped nginx configuration in a real nginx, in front of a real API, asking a real node.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { client } from '../integration/lib/http.mjs';
import { startNode, until } from '../integration/lib/node.mjs';

const shipped = new URL('../../deploy/nginx/', import.meta.url).pathname;
const identity = ['x-consumer-id', 'x-consumer-name', 'x-consumer-metadata', 'x-key-id', 'x-key-scopes', 'x-key-expires', 'x-environment'];

async function freePort() {
  const socket = createSocket();
  await new Promise((done) => socket.listen(0, '127.0.0.1', done));
  const { port } = socket.address();
  await new Promise((done) => socket.close(done));
  return port;
}

/** The API behind the gateway: answers with the headers that it was sent. */
async function startApi() {
  const server = createServer((request, answer) => {
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ url: request.url, headers: request.headers }));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { port: server.address().port, stop: () => new Promise((done) => (server.closeAllConnections?.(), server.close(done))) };
}

/** nginx with the shipped files; only paths, ports and the node's address are put in. */
async function startNginx({ upstream, apiPort }) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-nginx-'));
  chmodSync(directory, 0o755);
  const port = await freePort();
  for (const name of ['keyreeve.conf', 'keyreeve-protect.conf']) copyFileSync(join(shipped, name), join(directory, name));
  const example = readFileSync(join(shipped, 'nginx.conf'), 'utf8');
  const put = (text, from, to) => {
    assert.ok(text.includes(from), `the example has no "${from}"`);
    return text.replaceAll(from, to);
  };
  let text = put(example, 'server 127.0.0.1:7400 ', `server ${upstream} `);
  text = put(text, '127.0.0.1:8080', `127.0.0.1:${apiPort}`);
  text = put(text, 'listen 8000', `listen 127.0.0.1:${port}`);
  text = put(text, '/run/nginx.pid', `${directory}/nginx.pid`);
  text = put(text, '/var/log/nginx/', `${directory}/`);
  text = put(text, 'worker_processes auto;', 'worker_processes 1;\nuser root;');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${directory}/${what};`);
  text = put(text, 'http {', `http {\n    ${paths.join('\n    ')}`);
  if (process.getuid() !== 0) text = text.replace('user root;\n', '');
  writeFileSync(join(directory, 'nginx.conf'), text);
  const nginx = spawn('/usr/sbin/nginx', ['-p', directory, '-c', join(directory, 'nginx.conf'), '-g', 'daemon off;'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  nginx.stderr.on('data', (bytes) => (stderr += bytes));
  const ended = new Promise((done) => nginx.on('close', done));
  const url = `http://127.0.0.1:${port}`;
  await until(
    async () => {
      if (nginx.exitCode !== null) throw new Error(`nginx ended: ${stderr}`);
      return fetch(`${url}/status`).then((answer) => answer.status === 200, () => false);
    },
    { what: 'nginx' },
  );
  return {
    url,
    log: () => readFileSync(join(directory, 'access.log'), 'utf8'),
    async stop() {
      nginx.kill('SIGQUIT');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

for (const form of ['TCP', 'a unix socket']) {
  describe(`nginx over ${form}`, () => {
    let node, api, nginx, call, key, keyId;
    const get = (path = '/', headers = {}) => fetch(nginx.url + path, { headers });

    before(async () => {
      const socket = join(mkdtempSync(join(tmpdir(), 'keyreeve-socket-')), 'http.sock');
      const flags = form === 'TCP' ? ['--trusted-proxies', '127.0.0.1/32'] : ['--http-unix', socket];
      node = await startNode({ flags });
      api = await startApi();
      nginx = await startNginx({ upstream: form === 'TCP' ? `127.0.0.1:${node.port}` : `unix:${socket}`, apiPort: api.port });
      call = client(node);
      await call.post(call.consumers(), { name: 'acme', metadata: { plan: 'gold' } });
      const created = await call.post(call.keys('acme'), { scopes: ['orders:read'] });
      assert.equal(created.status, 200);
      ({ key, id: keyId } = created.body);
    });

    after(async () => {
      await nginx?.stop();
      await api?.stop();
      await node?.remove();
    });

    test('lets a good key in and tells the API who it is', async () => {
      const answer = await get('/x?y=1', { authorization: `Bearer ${key}` });
      assert.equal(answer.status, 200);
      const { url, headers } = await answer.json();
      assert.equal(url, '/x?y=1');
      assert.equal(headers['x-consumer-name'], 'acme');
      assert.equal(headers['x-key-id'], keyId);
      assert.equal(headers['x-environment'], 'production');
      assert.equal(headers['x-key-scopes'], 'orders:read');
      assert.deepEqual(JSON.parse(Buffer.from(headers['x-consumer-metadata'], 'base64url')), { plan: 'gold' });
    });

    test('lets a key with the scope of a location in, and refuses one without', async () => {
      assert.equal((await get('/orders/1', { 'x-api-key': key })).status, 200);
      const plain = await call.post(call.keys('acme'), {});
      const refused = await get('/orders/1', { 'x-api-key': plain.body.key });
      assert.equal(refused.status, 403);
      assert.equal((await refused.json()).status, 403);
    });

    test('answers one and the same 401 to every key that is not good', async () => {
      const bodies = new Set();
      for (const headers of [{}, { authorization: 'Bearer nonsense' }, { 'x-api-key': `${key.slice(0, -1)}${key.at(-1) === '0' ? '1' : '0'}` }]) {
        const answer = await get('/', headers);
        assert.equal(answer.status, 401);
        assert.match(answer.headers.get('www-authenticate'), /^Bearer realm="keyreeve"/);
        assert.equal(answer.headers.get('x-auth-reason'), null);
        bodies.add(await answer.text());
      }
      assert.equal(bodies.size, 1);
    });

    test('overwrites identity headers that the client has forged', async () => {
      const forged = Object.fromEntries(identity.map((name) => [name, 'forged']));
      const { headers } = await (await get('/', { ...forged, authorization: `Bearer ${key}` })).json();
      for (const name of identity) assert.notEqual(headers[name], 'forged', name);
      assert.equal(headers['x-key-expires'], undefined);
    });

    test('refuses a key of another bucket with 403', async () => {
      await call.post(call.consumers('preview'), { name: 'other' });
      const created = await call.post(call.keys('other', 'preview'), {});
      assert.equal((await get('/', { 'x-api-key': created.body.key })).status, 403);
    });

    test('compares ipAllow with the address that nginx saw', async () => {
      const near = await call.post(call.keys('acme'), { ipAllow: ['127.0.0.0/8'] });
      const far = await call.post(call.keys('acme'), { ipAllow: ['192.0.2.0/24'] });
      assert.equal((await get('/', { 'x-api-key': near.body.key })).status, 200);
      assert.equal((await get('/', { 'x-api-key': far.body.key, 'x-forwarded-for': '192.0.2.1' })).status, 403);
    });

    test('keeps its connections to the node', async () => {
      const before = await node.metric('connections_accepted_total');
      for (let i = 0; i < 200; i++) assert.equal((await get('/', { 'x-api-key': key })).status, 200);
      const opened = (await node.metric('connections_accepted_total')) - before;
      assert.ok(opened <= 5, `${opened} connections for 200 questions`);
    });

    test('refuses a revoked key at the next request, on a connection that is open', async () => {
      const created = await call.post(call.keys('acme'), {});
      const value = created.body.key;
      assert.equal((await get('/', { 'x-api-key': value })).status, 200);
      await call.post(`${call.keys('acme')}/${created.body.id}/revoke`, {});
      assert.equal((await get('/', { 'x-api-key': value })).status, 401);
      await until(() => nginx.log().includes('REVOKED'), { what: 'the reason in the log' });
      assert.ok(!nginx.log().includes(value));
    });

    test('says 503, with Retry-After, when the node is gone', async () => {
      await node.stop();
      const answer = await get('/', { 'x-api-key': key });
      assert.equal(answer.status, 503);
      assert.equal(answer.headers.get('retry-after'), '1');
      assert.equal((await get('/status')).status, 200);
    });
  });
}

describe('the statuses that auth_request cannot say', () => {
  let node, api, nginx;

  // A node behind nginx answers these only under limits or staleness; here they are said outright.
  before(async () => {
    const says = { limited: ['429', '7'], stale: ['503', '1'] };
    const server = createServer((request, answer) => {
      const [status, retryAfter] = says[request.headers['x-api-key']] ?? [];
      answer.writeHead(status ? 403 : 401, status ? { 'x-error-status': status, 'retry-after': retryAfter, 'content-length': 0 } : { 'content-length': 0 });
      answer.end();
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    node = { port: server.address().port, stop: () => new Promise((done) => (server.closeAllConnections?.(), server.close(done))) };
    api = await startApi();
    nginx = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port });
  });

  after(async () => {
    await nginx?.stop();
    await api?.stop();
    await node?.stop();
  });

  for (const [key, status, retryAfter] of [['limited', 429, '7'], ['stale', 503, '1']]) {
    test(`X-Error-Status ${status} becomes ${status} with its Retry-After`, async () => {
      const answer = await fetch(nginx.url, { headers: { 'x-api-key': key } });
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get('retry-after'), retryAfter);
      assert.equal((await answer.json()).status, status);
    });
  }
});
