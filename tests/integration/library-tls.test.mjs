// SPDX-License-Identifier: Apache-2.0
// libkeyreeve over TLS: whom it trusts, what it shows, and that nothing of it is in the clear.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer as createSecureServer } from 'node:tls';
import { answersTo } from './lib/binary.mjs';
import { Authority } from './lib/certificates.mjs';
import { client, expect } from './lib/http.mjs';
import { strangerKey } from './lib/keys.mjs';
import { askSeldom, buildExample, installLibrary, runExample, startExample } from './lib/library.mjs';
import { dataDirFor, keyreeve, run, startNode, until } from './lib/node.mjs';
import { openPassage } from './lib/passage.mjs';

let directory;
let authority; // of the nodes' certificates
let gateways; // of the gateways'
let main;
let gateway;
let node;
let api;
let good;
let library;
let verify;
const cleanups = [];
const tlsFlags = ({ cert, key }) => ['--http', 'http://127.0.0.1:0', '--tls-cert', cert, '--tls-key', key];

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyreeve-library-tls-'));
  authority = new Authority(directory, 'ca');
  gateways = new Authority(directory, 'gateways');
  main = authority.issue('main', 'DNS:localhost,DNS:nodes.example,IP:127.0.0.1');
  gateway = gateways.issue('gateway-1');
  library = await installLibrary({ after: (cleanup) => cleanups.push(cleanup) });
  verify = await buildExample(library, 'verify');
  node = await startNode({ flags: [...tlsFlags(main), '--tls-client-ca', gateways.file('gateways.pem')] });
  api = client(node);
  await api.makeConsumer('caller', { metadata: { text: 'x'.repeat(800) } });
  good = await api.makeKey('caller');
});
after(async () => {
  for (const cleanup of cleanups) await cleanup();
  await node.remove();
  rmSync(directory, { recursive: true, force: true });
});

const secure = (place) => `tls://${place}`;
const trusting = (more = {}) => ({ KEYREEVE_CA: authority.file('ca.pem'), ...more });
const start = (t, nodes, env = trusting(), more = []) => startExample(t, library, verify, [nodes, ...more], env);

/** A server of the test's own on a free port, gone with the test: "127.0.0.1:PORT". */
async function serve(t, server) {
  const sockets = new Set();
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  server.on('tlsClientError', () => {});
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => (sockets.forEach((socket) => socket.destroy()), server.close()));
  return `127.0.0.1:${server.address().port}`;
}

test('the example answers over TLS as in the clear, by address and by name', async (t) => {
  for (const place of [node.binary, node.binary.replace('127.0.0.1', 'localhost')]) {
    const example = start(t, secure(place));
    assert.equal(await example.ask(good.key), 'VALID');
    assert.equal(await example.ask(strangerKey()), 'NOT_FOUND');
    await example.end();
  }
});

test('a client that asks less often than its time-out keeps its connection', async (t) => {
  assert.equal(await askSeldom(t, library, verify, node.binary, good.key, { scheme: 'tls://', env: trusting() }), 1);
});

test('an answer that comes together with the goodbye of its node counts', async (t) => {
  const { certPem: cert, keyPem: key } = main;
  let asked = 0;
  const leaving = createSecureServer({ cert, key }, (socket) =>
    socket.on('error', () => {}).on('data', (bytes) => {
      const answers = answersTo(bytes, 'NOT_FOUND');
      asked += answers.keys;
      if (answers.keys === 0) return socket.write(answers.bytes);
      passage.holds = true;
      socket.end(answers.bytes);
    }));
  const passage = await openPassage(t, await serve(t, leaving));
  const example = start(t, secure(passage.place));
  assert.equal(await example.ask(strangerKey()), 'NOT_FOUND');
  await example.end();
  assert.equal(asked, 1);
});

test('what is kept is dropped with the news that come over TLS', async (t) => {
  const example = start(t, secure(node.binary), trusting(), ['keep']);
  const { key, id } = await api.makeKey('caller');
  await until(async () => (await example.ask(key)) === 'VALID kept', { what: 'an answer that was kept' });
  expect(await api.post(`${api.keys('caller')}/${id}/revoke`), 200);
  await until(async () => (await example.ask(key)) === 'REVOKED', { what: 'the news' });
  await example.end();
});

test('the libuv example asks all at once over TLS, and leaves its loop empty', async () => {
  const program = await buildExample(library, 'verify_uv', { more: ['libuv'] });
  const keys = Array.from({ length: 200 }, (_, i) => (i % 2 ? good.key : strangerKey()));
  const ended = await runExample(library, program, [secure(node.binary), ...keys], trusting({ KEYREEVE_CERT: gateway.cert, KEYREEVE_KEY: gateway.key }));
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(ended.stdout.trim().split('\n').sort(), keys.map((key, i) => `${key} ${i % 2 ? 'VALID' : 'NOT_FOUND'}`).sort());
  const alone = await runExample(library, program, [secure(node.binary), good.key], { KEYREEVE_CA: gateways.file('gateways.pem') });
  assert.deepEqual([alone.code, alone.stdout], [0, `${good.key} UNAVAILABLE\n`], alone.stderr);
});

test('no key is sent to whoever does not show who it is, and the complaint says why', async (t) => {
  let received = '';
  const listen = (options) =>
    serve(t, createSecureServer(options, (socket) => socket.on('data', (bytes) => (received += bytes.toString('latin1'))).on('error', () => {})));
  const pair = ({ certPem, keyPem }) => ({ cert: certPem, key: keyPem });
  const clear = await startNode({ dataDir: dataDirFor(t) });
  const cases = [
    [await listen(pair(gateways.issue('impostor'))), /server's certificate is refused: (unable to get local issuer|self.signed)/],
    [await listen(pair(authority.issue('elsewhere', 'DNS:elsewhere.example,IP:127.0.0.2'))), /server's certificate is refused: IP address mismatch/],
    [await listen(pair(authority.issue('expired', undefined, { days: 0 }))), /server's certificate is refused: certificate has expired/],
    [clear.binary, /closed the connection|does not speak TLS/],
    ['127.0.0.1:9', /Connection refused/],
  ];
  for (const [place, complaint] of cases) {
    const example = start(t, secure(place));
    assert.equal(await example.ask(good.key), 'UNAVAILABLE', place);
    await until(() => complaint.test(example.complaints()), { what: () => `${complaint} in ${example.complaints()}` });
    await example.end();
  }
  assert.equal(received, '');
  // Nor does a client that was not told to speak TLS get anywhere with a node that does.
  const open = start(t, node.binary, {});
  assert.equal(await open.ask(good.key), 'UNAVAILABLE');
  await open.end();
});

test('a node that asks for a certificate lets in whoever shows one of its gateways', async (t) => {
  const strict = await startNode({
    dataDir: dataDirFor(t),
    flags: [...tlsFlags(main), '--tls-client-ca', gateways.file('gateways.pem'), '--tls-client-required', 'binary_listen'],
  });
  const stranger = authority.issue('stranger');
  const known = start(t, secure(strict.binary), trusting({ KEYREEVE_CERT: gateway.cert, KEYREEVE_KEY: gateway.key }));
  assert.equal(await known.ask(strangerKey()), 'NOT_FOUND');
  await known.end();
  for (const env of [{}, { KEYREEVE_CERT: stranger.cert, KEYREEVE_KEY: stranger.key }]) {
    const refused = start(t, secure(strict.binary), trusting(env));
    assert.equal(await refused.ask(strangerKey()), 'UNAVAILABLE');
    const complaint = /refuses this connection|closed the connection|reset by peer/i;
    await until(() => complaint.test(refused.complaints()), { what: () => `${complaint} in ${refused.complaints()}` });
    await refused.end();
  }
});

test('files that cannot be used, or that no node needs, are refused in words', async () => {
  const open = join(directory, 'open-key.pem');
  copyFileSync(gateway.key, open);
  chmodSync(open, 0o644);
  const shown = (cert, key) => trusting({ KEYREEVE_CERT: cert, KEYREEVE_KEY: key });
  const expired = gateways.issue('old', undefined, { days: 0 });
  const cases = [
    [node.binary, trusting(), /no node with tls:\/\//],
    [secure(node.binary), { KEYREEVE_CA: join(directory, 'nowhere.pem') }, /nowhere\.pem.*No such file/],
    [secure(node.binary), { KEYREEVE_CA: main.key }, /main-key\.pem holds no certificate/],
    [secure(node.binary), trusting({ KEYREEVE_CERT: gateway.cert }), /needs its key/],
    [secure(node.binary), shown(gateway.cert, main.key), /main-key\.pem does not belong to the certificate/],
    [secure(node.binary), shown(gateway.cert, open), /open-key\.pem holds a secret/],
    [secure(node.binary), shown(expired.cert, expired.key), /old\.pem: the certificate has expired/],
    ['tls://', trusting(), /"tls:\/\/" is no node/],
  ];
  for (const [nodes, env, complaint] of cases) {
    const refused = await runExample(library, verify, [nodes], env);
    assert.equal(refused.code, 2, nodes);
    assert.match(refused.stderr, complaint);
  }
});

test('a node that is killed, or that stands still in its handshake, hands its questions to the next one', async (t) => {
  const dataDir = dataDirFor(t);
  const other = await startNode({ dataDir, flags: tlsFlags(main) });
  const silent = await serve(t, createServer());
  const example = start(t, [silent, other.binary, node.binary].map(secure).join());
  const asks = async (count) => {
    for (let i = 0; i < count; i++) assert.equal(await example.ask(strangerKey()), 'NOT_FOUND');
  };
  await asks(100);
  await other.kill9();
  await asks(100);
  await startNode({ dataDir, flags: [...tlsFlags(main), '--binary-listen', other.binary] });
  await asks(100);
  await example.end();
  // And one alone is connected to again.
  const alone = start(t, secure(other.binary));
  assert.equal(await alone.ask(strangerKey()), 'NOT_FOUND');
  await alone.end();
});

test('keyreeve key verify --bench measures over TLS', async () => {
  const bench = (nodes, more = [], key = good.key) =>
    run(keyreeve, ['key', 'verify', '--url', node.url, '--bench', '1', '--nodes', nodes, ...more], { input: `${key}\n` });
  const shown = ['--cert', gateway.cert, '--cert-key', gateway.key];
  const measured = await bench(secure(node.binary), ['--cacert', authority.file('ca.pem'), ...shown, '--json']);
  assert.equal(measured.code, 0, measured.stderr);
  const figures = JSON.parse(measured.stdout);
  assert.ok(figures.answered > 100 && figures.unanswered === 0 && figures.code === 'VALID', measured.stdout);
  const lost = await bench(secure(node.binary), ['--cacert', gateways.file('gateways.pem')]);
  assert.equal(lost.code, 5);
  assert.match(lost.stderr, /no node answered: tls:\/\/.*certificate is refused/);
  const wrong = await bench(node.binary, shown);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /no node with tls:\/\//);
});
