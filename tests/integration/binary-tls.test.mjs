// SPDX-License-Identifier: Apache-2.0
// The binary validation protocol over TLS: the same answers, and what goes wrong on the way there.
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { binary, frame, request } from './lib/binary.mjs';
import { Authority } from './lib/certificates.mjs';
import { client, expect, raw } from './lib/http.mjs';
import { sha256, strangerKey } from './lib/keys.mjs';
import { dataDirFor, refuseNode, startNode, until } from './lib/node.mjs';

const ALPN = 'keyreeve-validate/1';

let directory;
let authority; // of the nodes' certificates
let gateways; // of the gateways'
let main;
let node;
let api;
let good;

const tlsFlags = ({ cert, key }) => ['--http', 'http://127.0.0.1:0', '--tls-cert', cert, '--tls-key', key];

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyreeve-binary-tls-'));
  authority = new Authority(directory, 'ca');
  gateways = new Authority(directory, 'gateways');
  main = authority.issue('main');
  node = await startNode({ flags: [...tlsFlags(main), '--tls-client-ca', gateways.file('gateways.pem')] });
  api = client(node);
  await api.makeConsumer('caller', { metadata: { text: 'x'.repeat(200) } });
  good = await api.makeKey('caller');
});
after(async () => {
  await node.remove();
  rmSync(directory, { recursive: true, force: true });
});

const secure = (options) => ({ servername: 'localhost', ca: authority.pem, ...options });

function open(t, place = node.binary, options = {}) {
  const connection = binary(place, secure(options));
  t.after(() => connection.destroy());
  return connection;
}

const codes = (answer) => answer.results.map(({ code }) => code);
const portOf = (place) => Number(place.slice(place.lastIndexOf(':') + 1));

/** How a handshake ends: with an error in words, or the codes of one question's answer. */
async function visit(t, place, options) {
  const connection = open(t, place, options);
  let error;
  connection.socket.on('error', (it) => (error = it));
  return connection.ask([strangerKey()]).then(codes, () => `${error?.code}: ${error?.message}`);
}

test('TLS 1.2 and 1.3 bring the same answers, and ALPN names the protocol', async (t) => {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const connection = open(t, node.binary, { minVersion: version, maxVersion: version, ALPNProtocols: ['other/1', ALPN] });
    assert.deepEqual(codes(await connection.ask([good.key, strangerKey()])), ['VALID', 'NOT_FOUND']);
    assert.deepEqual([connection.socket.getProtocol(), connection.socket.alpnProtocol], [version, ALPN]);
  }
  assert.match(await visit(t, node.binary, { ALPNProtocols: ['http/1.1'] }), /no application protocol/i);
  assert.match(node.stderr, /"setting":"binary_listen".*"protocol":"binary over TLS"/);
});

test('thousands of frames at once pass whole and in order, whatever their size and pieces', async (t) => {
  const total = 6000;
  const bytes = Buffer.concat(Array.from({ length: total }, (_, i) => request(i, Array(i % 50 === 0 ? 100 : 1 + (i % 3)).fill(i % 2 ? good.key : strangerKey()))));
  for (const size of [bytes.length, 100_000, 16_000, 1021]) {
    const connection = open(t);
    for (let at = 0; at < bytes.length; at += size) {
      connection.write(bytes.subarray(at, at + size));
      if (at % (size * 50) === 0) await new Promise(setImmediate);
    }
    (await connection.some(total)).forEach((answer, i) => {
      assert.equal(answer.tag, i);
      assert.ok(codes(answer).every((code) => code === (i % 2 ? 'VALID' : 'NOT_FOUND')), `frame ${i} of pieces of ${size}`);
    });
  }
});

test('a peer that takes its answers late gets them all', async (t) => {
  const connection = open(t);
  const frames = 3000;
  await connection.ask([]);
  connection.socket.pause();
  connection.write(Buffer.concat(Array.from({ length: frames }, (_, i) => request(i, Array(32).fill(good.key)))));
  const answered = () => node.metric('requests_total{route="binary",status="200"}');
  const before = await answered();
  await until(async () => (await answered()) > before, { what: 'some answers' });
  connection.socket.resume();
  (await connection.some(frames)).forEach((answer, i) => assert.equal(answer.tag, i));
});

test('a client that says goodbye behind its questions is answered to the last one', async (t) => {
  for (const [count, keys] of [[1, 1], [3000, 1], [300, 100]]) {
    const connection = open(t);
    connection.write(Buffer.concat(Array.from({ length: count }, (_, i) => request(i, Array(keys).fill(good.key)))));
    connection.end();
    await connection.closed();
    assert.deepEqual(connection.answers.map(({ tag }) => tag), Array.from({ length: count }, (_, i) => i));
  }
});

test('a frame that breaks the rules: what came before is answered, an error frame, the end', async (t) => {
  const connection = open(t);
  connection.write(Buffer.concat([request(1, [good.key]), frame({ tag: 9, op: 77 }), request(3, [good.key])]));
  const [first, error] = await connection.some(2);
  assert.deepEqual([first.tag, ...codes(first), error.op, error.fault], [1, 'VALID', 255, 2]);
  await connection.closed();
});

test('a client knows the node by its certificate alone', async (t) => {
  assert.deepEqual(await visit(t, node.binary), ['NOT_FOUND']);
  assert.match(await visit(t, node.binary, { ca: gateways.pem }), /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER/);
  assert.match(await visit(t, node.binary, { servername: 'elsewhere.example' }), /ERR_TLS_CERT_ALTNAME_INVALID/);
});

test('garbage, frames in the clear, HTTP and half a handshake are cut; others are served meanwhile', async (t) => {
  const slow = await startNode({ dataDir: dataDirFor(t), flags: [...tlsFlags(main), '--request-timeout-ms', '700', '--idle-timeout-ms', '1500'] });
  const place = { port: portOf(slow.binary) };
  const hello = Buffer.from('16030100fa010000f60303', 'hex');
  const all = ['\x00'.repeat(200), request(1, [good.key]), 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n', '\x16\x03\x01\x00\x05hello', hello, ''].map((bytes) => {
    const connection = raw(place);
    connection.write(bytes);
    return connection;
  });
  // On a slow machine a handshake may be cut, too.
  const shakeHands = async () => {
    const connection = open(t, slow.binary);
    return connection.ask([strangerKey()]).then((answer) => codes(answer)[0] === 'NOT_FOUND' && connection, () => false);
  };
  const idle = await until(shakeHands, { what: 'a handshake in time' });
  const half = await until(shakeHands, { what: 'another one' });
  half.write(request(1, [good.key]).subarray(0, 20));
  await Promise.all([...all.map((connection) => connection.until((_, closed) => closed)), idle.closed(), half.closed()]);
  assert.ok((await slow.metric('tls_failed_total')) >= 4);
  await until(async () => (await slow.metric('connections_open')) <= 1, { what: 'the connections to be gone' });
});

test('a session resumes, on every loop and with the client certificate of before', async () => {
  const visitOnce = (options) =>
    new Promise((done, fail) => {
      const socket = connect({ port: portOf(node.binary), host: '127.0.0.1', ...secure(options) });
      let session;
      socket.setTimeout(20_000, () => socket.destroy(new Error('no answer within 20 s')));
      socket.on('error', fail);
      socket.on('session', (it) => (session = it));
      socket.on('secureConnect', () => socket.write(request(1, [])));
      socket.on('data', () => (done({ session, isResumed: socket.isSessionReused() }), socket.end()));
    });
  const gateway = gateways.issue('gateway-1');
  for (const version of ['TLSv1.2', 'TLSv1.3'])
    for (const identity of [{}, { cert: gateway.certPem, key: gateway.keyPem }]) {
      const options = { minVersion: version, maxVersion: version, ...identity };
      let { session, isResumed } = await visitOnce(options);
      assert.equal(isResumed, false);
      for (let i = 0; i < 6; i++) {
        const again = await visitOnce({ ...options, session });
        assert.equal(again.isResumed, true, `${version}: visit ${i}`);
        session = again.session ?? session;
      }
    }
});

test('a listener may require a certificate of a listed name; whoever shows one is not counted by its address', async (t) => {
  const strict = await startNode({
    dataDir: dataDirFor(t),
    flags: [...tlsFlags(main), '--tls-client-ca', gateways.file('gateways.pem'), '--tls-client-required', 'binary_listen', '--tls-client-names', 'gateway-7, gateway-9',
      '--connections-per-address', '3'],
  });
  const issue = (authority, name) => {
    const { certPem, keyPem } = authority.issue(name);
    return { cert: certPem, key: keyPem };
  };
  const known = issue(gateways, 'gateway-7');
  assert.deepEqual(await visit(t, strict.binary, known), ['NOT_FOUND']);
  for (const identity of [{}, issue(gateways, 'gateway-8'), issue(authority, 'gateway-7')]) {
    const ended = await visit(t, strict.binary, identity);
    assert.ok(typeof ended === 'string', `let in: ${ended}`);
  }
  for (let i = 0; i < 8; i++) await open(t, strict.binary, known).ask([]);
});

test('news of keys that stop being good come over TLS, and a lease', async (t) => {
  const connection = open(t);
  connection.write(frame({ tag: 77, op: 2 }));
  const lease = await connection.next();
  assert.deepEqual([lease.tag, lease.dropsAll], [77, false]);
  assert.ok(lease.leaseMs > 0);
  const keys = await Promise.all(Array.from({ length: 3 }, () => api.makeKey('caller')));
  for (const { key, id } of keys) {
    assert.equal(await connection.code(key), 'VALID');
    expect(await api.post(`${api.keys('caller')}/${id}/revoke`), 200);
    assert.deepEqual((await connection.next()).lost.map(({ digest }) => digest), [sha256(key, 'hex')]);
    assert.equal(await connection.code(key), 'REVOKED');
  }
});

test('certificates are renewed under traffic: no connection is dropped, new ones meet the new one', async (t) => {
  const live = authority.issue('live', undefined, { serial: 2001 });
  const renewed = await startNode({ dataDir: dataDirFor(t), flags: [...tlsFlags(live), '--tls-check-ms', '100'] });
  const kept = Array.from({ length: 4 }, () => open(t, renewed.binary));
  const key = strangerKey();
  let isOver = false;
  let asked = 0;
  const traffic = kept.map(async (connection) => {
    while (!isOver) {
      assert.equal(await connection.code(key), 'NOT_FOUND');
      asked++;
    }
  });
  const serial = async () => {
    const connection = open(t, renewed.binary);
    await connection.ask([]);
    const number = parseInt(connection.socket.getPeerCertificate().serialNumber, 16);
    connection.destroy();
    return number;
  };
  assert.equal(await serial(), 2001);
  for (const [next, signal] of [[2002, null], [2003, 'SIGHUP']]) {
    const made = authority.issue(`live-${next}`, undefined, { serial: next });
    renameSync(made.key, live.key);
    renameSync(made.cert, live.cert);
    if (signal) renewed.process.kill(signal);
    await until(async () => (await serial()) === next, { what: `the certificate ${next}` });
  }
  const before = asked;
  await until(() => asked > before + 50, { what: 'traffic behind the renewal' });
  isOver = true;
  await Promise.all(traffic);
  assert.ok(kept.every(({ socket }) => !socket.destroyed));
});

test('a stop ends idle connections, and answers what is under way', async (t) => {
  const other = await startNode({ dataDir: dataDirFor(t), flags: tlsFlags(main) });
  const idle = open(t, other.binary);
  const waiting = open(t, other.binary);
  const { index } = await idle.ask([]);
  await waiting.ask([]);
  waiting.write(request(7, [strangerKey()], { minIndex: index + 1_000_000 }));
  await other.stop();
  await Promise.all([idle.closed(), waiting.closed()]);
  assert.deepEqual(codes(waiting.answers[0]), ['STALE']);
});

test('tcp:// keeps it in the clear beside a certificate; what has no certificate, or is open to all, ends the start', async (t) => {
  const clear = await startNode({ dataDir: dataDirFor(t), flags: [...tlsFlags(main), '--binary-listen', 'tcp://127.0.0.1:0'] });
  const connection = binary(clear.binary);
  t.after(() => connection.destroy());
  assert.equal(await connection.code(strangerKey()), 'NOT_FOUND');
  const cases = [
    [['--binary-listen', 'tls://127.0.0.1:0'], /binary_listen: tls needs a certificate/],
    [['--binary-listen', 'https://127.0.0.1:0'], /binary_listen: https:/],
    [[...tlsFlags(main), '--binary-listen', 'tcp://0.0.0.0:0'], /binary_listen: 0\.0\.0\.0:0 is not a loopback address/],
    [[...tlsFlags(main), '--tls-client-ca', gateways.file('gateways.pem'), '--binary-listen', 'tcp://127.0.0.1:0', '--tls-client-required', 'binary_listen'], /"binary_listen" is no listener with TLS/],
  ];
  for (const [flags, pattern] of cases) {
    const refused = await refuseNode({ dataDir: dataDirFor(t), flags });
    assert.equal(refused.code, 2, flags.join(' '));
    assert.match(refused.stderr, pattern);
  }
});
