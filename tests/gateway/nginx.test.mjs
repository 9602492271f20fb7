// SPDX-License-Identifier: Apache-2.0
// The shipped nginx configuration in a real nginx, in front of a real API, asking a real node.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { client, exchange, expect } from '../integration/lib/http.mjs';
import { claimPlace } from '../integration/lib/net.mjs';
import { startNode } from '../integration/lib/node.mjs';
import { assertPreflights, describeGateway } from './lib/contract.mjs';
import { blocksOf, http2Settings, identity, put, say, shipped, startApi, startProgram, startScene, startServer } from './lib/gateway.mjs';
import { describeTwoNodes } from './lib/nodes.mjs';

/**
 * nginx with the shipped files; only paths, ports, the node's address and patience are put in, and what
 * edit(text, directory) puts into the example.
 */
async function startNginx({ upstream, apiPort, isOpen = false, keepsCredential = false, snippets = {}, edit = (text) => text }) {
  const { host, port } = await claimPlace();
  const main = (directory) => {
    let text = put(shipped('nginx/nginx.conf'), 'server 127.0.0.1:7400;', `server ${upstream};`);
    text = put(text, '127.0.0.1:8080', `127.0.0.1:${apiPort}`);
    if (isOpen) text = put(text, 'include keyreeve-protect.conf;', 'include keyreeve-protect-open.conf;');
    if (keepsCredential) text = put(text, 'include keyreeve-protect.conf;', 'include keyreeve-protect.conf;\n            set $keyreeve_authorization "";\n            set $keyreeve_api_key "";');
    text = put(text, 'listen 8000', `listen ${host}:${port}`);
    text = put(text, '/run/nginx.pid', `${directory}/nginx.pid`);
    text = put(text, '/var/log/nginx/', `${directory}/`);
    text = put(text, 'worker_processes auto;', `worker_processes 1;${process.getuid() === 0 ? '\nuser root;' : ''}`);
    text = edit(text, directory);
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${directory}/${what};`);
    return put(text, 'http {', `http {\n    ${paths.join('\n    ')}`);
  };
  const nginx = await startProgram({
    program: '/usr/sbin/nginx', host, port, signal: 'SIGQUIT',
    files: (directory) => ({
      'nginx.conf': main(directory),
      'keyreeve.conf': put(shipped('nginx/keyreeve.conf'), 'proxy_read_timeout 2s', 'proxy_read_timeout 20s'),
      'keyreeve-protect.conf': shipped('nginx/keyreeve-protect.conf'),
      'keyreeve-protect-open.conf': shipped('nginx/keyreeve-protect-open.conf'),
      'keyreeve-public.conf': shipped('nginx/keyreeve-public.conf'),
      ...snippets,
    }),
    args: (directory) => ['-p', directory, '-c', join(directory, 'nginx.conf'), '-g', 'daemon off;'],
  });
  return { ...nginx, log: () => readFileSync(join(nginx.directory, 'access.log'), 'utf8') };
}

describeGateway('nginx over TCP', {
  start: ({ node, apiPort, isOpen }) => startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort, isOpen }),
  hasUpgrades: false,
});

const socket = join(mkdtempSync(join(tmpdir(), 'keyreeve-socket-')), 'http.sock');
after(() => rmSync(dirname(socket), { recursive: true, force: true }));
describeGateway('nginx over a unix socket', {
  flags: () => ['--http-unix', socket],
  hasUpgrades: false,
  start: ({ apiPort, isOpen }) => startNginx({ upstream: `unix:${socket}`, apiPort, isOpen }),
});

const [severalNodes, nextNode] = blocksOf('nginx/README.md', 'Several nodes');

/** As the README says, with shipped patience: a node that hangs shall cost it. */
function startTwo({ addresses: [first, second], apiPort }) {
  const upstream = put(put(severalNodes, 'node-1:7400', first), 'node-2:7400', second);
  return startNginx({
    upstream: first, apiPort, isOpen: true,
    snippets: { 'keyreeve.conf': put(shipped('nginx/keyreeve.conf'), '    internal;\n', `    internal;\n    ${nextNode}`) },
    edit: (text) => text.replace(/    upstream keyreeve \{[^}]*\}\n/, upstream),
  });
}

describeTwoNodes('nginx', startTwo);

describe('an answer that is larger than one of Keyreeve\'s', () => {
  let node, api;
  before(async () => {
    const head = { 'x-consumer-id': 'someone', 'x-consumer-name': 'acme', 'x-consumer-metadata': 'x'.repeat(100_000), 'x-key-id': 'k', 'x-key-scopes': 'all', 'content-length': 0 };
    node = await startServer((request, answer) => answer.writeHead(200, head).end());
    api = await startApi();
  });
  after(async () => {
    await api?.stop();
    await node?.stop();
  });

  for (const isOpen of [false, true]) {
    test(`is none: the client ${isOpen ? 'comes in as nobody, and not as half a person' : 'gets 503'}`, async (t) => {
      const nginx = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port, isOpen });
      t.after(() => nginx.stop());
      const answer = await fetch(nginx.url, { headers: { 'x-api-key': 'any' } });
      assert.equal(answer.status, isOpen ? 200 : 503);
      const told = await answer.json();
      for (const name of isOpen ? identity : []) assert.equal(told.headers[name] ?? '', '', name);
    });
  }
});

describe('nginx and what stands around the snippets', () => {
  let node, api, call, key, plain, stranger;
  before(async () => {
    node = await startNode();
    api = await startApi();
    call = client(node);
    await call.makeConsumer('acme');
    ({ key } = await call.makeKey('acme', { scopes: ['orders:read'] }));
    ({ key: plain } = await call.makeKey('acme'));
    await call.makeConsumer('other', {}, 'preview');
    ({ key: stranger } = await call.makeKey('other', {}, 'preview'));
  });
  after(async () => {
    await api?.stop();
    await node?.remove();
  });

  const startFor = async (t, edit) => {
    const nginx = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port, edit });
    t.after(() => nginx.stop());
    return nginx;
  };
  const statusOf = async (nginx, path, value) => (await exchange(nginx, { path, headers: value ? { 'x-api-key': value } : {} })).status;

  test('lets preflights pass where its README\'s lines say so', async (t) => {
    const [lines] = blocksOf('nginx/README.md', 'Preflights');
    const snippets = { 'keyreeve.conf': put(shipped('nginx/keyreeve.conf'), '    proxy_pass http://keyreeve/authz/nginx', `${lines}    proxy_pass http://keyreeve/authz/nginx`) };
    const nginx = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port, snippets });
    t.after(() => nginx.stop());
    await assertPreflights(nginx);
  });

  test('a location within a protected one lets nobody in before it includes the snippet as well', async (t) => {
    const within = ['location /orders/forgotten/ { proxy_pass http://api; }', 'location /orders/own/ { set $keyreeve_question "bucket=production&scopes=orders:read"; include keyreeve-protect.conf; proxy_pass http://api; }'];
    const nginx = await startFor(t, (text) => put(text, 'location /orders/ {', `location /orders/ { ${within.join(' ')}`));
    for (const value of [key, plain, stranger]) assert.equal(await statusOf(nginx, '/orders/forgotten/1', value), 403);
    assert.equal(await statusOf(nginx, '/orders/own/1', key), 200);
    for (const value of [plain, stranger]) assert.equal(await statusOf(nginx, '/orders/own/1', value), 403);
    assert.equal(await statusOf(nginx, '/orders/own/1'), 401);
  });

  test('a cache of the server keeps no answer of a node', async (t) => {
    const cache = 'include keyreeve.conf; proxy_cache all; proxy_cache_valid any 1h; proxy_ignore_headers Cache-Control Set-Cookie Expires;';
    const nginx = await startFor(t, (text, directory) => put(put(text, 'http {', `http {\n    proxy_cache_path ${directory}/cache keys_zone=all:1m;`), 'include keyreeve.conf;', cache));
    assert.equal(await statusOf(nginx, '/', key), 200);
    assert.equal(await statusOf(nginx, '/', stranger), 403);
    assert.equal(await statusOf(nginx, '/'), 401);
  });

  test('the README\'s lines for WebSocket pass that on and no other upgrade', async (t) => {
    const [maps, lines] = blocksOf('nginx/README.md', 'WebSocket');
    const nginx = await startFor(t, (text) => put(put(text, 'upstream api {', `${maps}\nupstream api {`), 'proxy_set_header Connection "";', lines));
    const upgraded = async (...upgrades) => {
      const { received } = await say(t, nginx, '/status', ['Connection: Upgrade, HTTP2-Settings', http2Settings, ...upgrades]);
      return /^HTTP\/1\.1 101 [^]*\r\nupgrade: (.*)\r\n/i.exec(received)?.[1];
    };
    assert.equal(await upgraded('Upgrade: WebSocket'), 'websocket');
    for (const upgrades of [['Upgrade: h2c'], ['Upgrade: websocket, h2c'], ['Upgrade: h2c', 'Upgrade: websocket'], []]) assert.equal(await upgraded(...upgrades), undefined, upgrades.join());
  });

  test('of two nodes, one that refuses is obeyed when the other is silent, where who is not judged is let in, too', async (t) => {
    const silent = await startNode();
    await silent.remove();
    const nginx = await startTwo({ addresses: [`127.0.0.1:${node.port}`, `127.0.0.1:${silent.port}`], apiPort: api.port });
    t.after(() => nginx.stop());
    for (let i = 0; i < 10; i++) {
      assert.equal(await statusOf(nginx, '/', stranger), 503);
      assert.equal(await statusOf(nginx, '/', 'nonsense'), 401);
      assert.equal(await statusOf(nginx, '/', key), 200);
    }
  });
});

describe('the credential', () => {
  let scene, node, api, call, key, other;
  before(async () => {
    scene = await startScene();
    ({ node, api, call, key } = scene);
    ({ key: other } = await call.makeKey('acme'));
  });
  after(() => scene?.stop());

  test('that reaches the API is the one that was asked about, whatever else the client sends', async (t) => {
    const nginx = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port });
    t.after(() => nginx.stop());
    for (const name of ['x-api-key', 'authorization']) {
      const values = [key, other].map((one) => (name === 'authorization' ? `Bearer ${one}` : one));
      const answer = await exchange(nginx, { path: '/', headers: { [name]: values } });
      if (answer.status === 200) assert.equal(JSON.parse(answer.text).headers[name], values[0]);
      else assert.ok([400, 401].includes(answer.status), `${name}: ${answer.status}`);
    }
  });

  test('that makes the question no request is 503, where everybody is let in who is not judged, too', async (t) => {
    for (const isOpen of [false, true]) {
      const nginx = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port, isOpen });
      t.after(() => nginx.stop());
      const long = 'x'.repeat(7000); // of which nginx takes three, and the node not
      const ask = async (headers) => (await exchange(nginx, { path: '/', headers: { cookie: `a=${long}`, ...headers } })).status;
      assert.equal(await ask({ 'x-api-key': long, authorization: `Bearer ${long}` }), 503, `open: ${isOpen}`);
      assert.equal(await ask({ 'x-api-key': key }), 200);
    }
  });

  test('stays with nginx where the location says so', async (t) => {
    const nginx = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port, keepsCredential: true });
    t.after(() => nginx.stop());
    for (const headers of [{ 'x-api-key': key }, { authorization: `Bearer ${key}` }]) {
      const told = JSON.parse(expect(await exchange(nginx, { path: '/', headers }), 200).text).headers;
      assert.deepEqual([told['x-api-key'], told.authorization], [undefined, undefined]);
    }
  });
});

describe('the statuses that auth_request cannot say', () => {
  let node, api, nginx, open;

  // A node behind nginx answers these only under limits or staleness; here they are said outright.
  before(async () => {
    const says = { limited: ['429', '7'], stale: ['503', '1'] };
    node = await startServer((request, answer) => {
      const [status, retryAfter] = says[request.headers['x-api-key']] ?? [];
      answer.writeHead(status ? 403 : 401, status ? { 'x-error-status': status, 'retry-after': retryAfter, 'content-length': 0 } : { 'content-length': 0 });
      answer.end();
    });
    api = await startApi();
    nginx = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port });
    open = await startNginx({ upstream: `127.0.0.1:${node.port}`, apiPort: api.port, isOpen: true });
  });

  after(async () => {
    await nginx?.stop();
    await open?.stop();
    await api?.stop();
    await node?.stop();
  });

  for (const [key, status, retryAfter] of [['limited', 429, '7'], ['stale', 503, '1']]) {
    test(`X-Error-Status ${status} becomes ${status} with its Retry-After`, async () => {
      // What a node has said is obeyed, also where everybody is let in when none says anything.
      for (const { url } of [nginx, open]) {
        const answer = await fetch(url, { headers: { 'x-api-key': key } });
        assert.equal(answer.status, status);
        assert.equal(answer.headers.get('retry-after'), retryAfter);
        assert.equal((await answer.json()).status, status);
      }
    });
  }
});
