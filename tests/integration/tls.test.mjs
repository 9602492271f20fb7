// SPDX-License-Identifier: Apache-2.0
// TLS on the listeners, with real clients: curl, openssl s_client and Node's own.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { connect as connectInTheClear } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'node:tls';
import { Authority } from './lib/certificates.mjs';
import { client, exchange, raw } from './lib/http.mjs';
import { dataDirFor, refuseNode, run, startNode, until } from './lib/node.mjs';
import { openRecords } from './lib/records.mjs';

let directory;
let authority; // of the servers' certificates
let gateways; // of the gateways'
let main; // the certificate for localhost
let other; // that for api.example
let gateway;
let node;
let ports; // of its listeners

const tlsFlags = (...pairs) => ['--tls-cert', pairs.map(({ cert }) => cert).join(','), '--tls-key', pairs.map(({ key }) => key).join(',')];

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyreeve-tls-'));
  authority = new Authority(directory, 'ca');
  gateways = new Authority(directory, 'gateways');
  main = authority.issue('main');
  other = authority.issue('other', 'DNS:api.example,DNS:*.api.example');
  gateway = gateways.issue('gateway-1', 'DNS:gateway-1.internal');
  node = await startNode({
    flags: ['--http', 'http://127.0.0.1:0', '--http-validation', '127.0.0.1:0', '--http-management', 'https://127.0.0.1:0', '--http-metrics', 'http://127.0.0.1:0',
      ...tlsFlags(main, other), '--tls-client-ca', gateways.file('gateways.pem')],
  });
  ports = Object.fromEntries(['validation', 'management', 'metrics'].map((name) => [name, node.portOf(`http-${name}`)]));
});
after(async () => {
  await node.remove();
  rmSync(directory, { recursive: true, force: true });
});

/** A handshake and, unless it failed, one GET: {socket, status, text} or {error}. */
function visit(port, options = {}) {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.pem, ...options });
    let text = '';
    socket.setTimeout(20_000, () => socket.destroy(new Error('no answer within 20 s')));
    socket.on('error', (error) => done({ error, socket }));
    socket.on('session', (session) => (socket.lastSession = session));
    socket.on('data', (bytes) => {
      text += bytes;
      if (/\r\n\r\nok\n$/.test(text)) {
        done({ socket, text, status: Number(text.split(' ')[1]), version: socket.getProtocol(), subject: socket.getPeerCertificate().subject?.CN, isResumed: socket.isSessionReused(), session: socket.lastSession });
        socket.end();
      }
    });
    socket.on('close', () => done({ error: new Error('closed'), socket }));
    socket.on('secureConnect', () => socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'));
  });
}

/** A GET over TLS with these headers, on an agent's connection or one of its own. */
function get(port, path, { headers = {}, agent = false, ...options } = {}) {
  return new Promise((done, fail) => {
    const sent = request({ host: '127.0.0.1', port, path, headers, agent, servername: 'localhost', ca: authority.pem, timeout: 20_000, ...options }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () => done({ status: answer.statusCode, headers: answer.headers, text }));
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer within 20 s')));
    sent.on('error', fail);
    sent.end();
  });
}

const curl = (...args) => run('curl', ['--silent', '--show-error', '--max-time', '20', '--cacert', authority.file('ca.pem'), ...args]);
const sClient = (port, args, input = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n') =>
  run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-CAfile', authority.file('ca.pem'), '-ign_eof', ...args], { input });

test('TLS 1.2 and 1.3 are spoken, what is older is refused', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const answer = await visit(ports.validation, { minVersion: version, maxVersion: version });
    assert.equal(answer.version, version, answer.error);
    assert.equal(answer.status, 200);
  }
  const old = await sClient(ports.validation, ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']);
  assert.notEqual(old.code, 0);
  assert.match(old.stderr, /protocol version|no protocols available/);
});

test('curl and openssl s_client verify the certificate and are answered', async () => {
  const answer = await curl('--write-out', '%{http_code} %{ssl_verify_result}', `https://localhost:${ports.validation}/healthz`);
  assert.equal(answer.stdout, 'ok\n200 0', answer.stderr);
  const shown = await sClient(ports.validation, ['-alpn', 'http/1.1']);
  assert.match(shown.stdout, /Verification: OK/);
  assert.match(shown.stdout, /ALPN protocol: http\/1\.1/);
  assert.match(shown.stdout, /\r\n\r\nok\n/);
});

test('ALPN: ours is agreed on, a list without it is refused', async () => {
  const agreed = await visit(ports.validation, { ALPNProtocols: ['spdy/1', 'http/1.1'] });
  assert.equal(agreed.socket.alpnProtocol, 'http/1.1');
  const refused = await visit(ports.validation, { ALPNProtocols: ['smtp'] });
  assert.match(refused.error?.code ?? '', /NO_APPLICATION_PROTOCOL/);
});

test('SNI picks the certificate, the first one is for everybody else', async () => {
  for (const [servername, subject] of [['localhost', 'main'], ['api.example', 'other'], ['eu.api.example', 'other'], ['unknown.example', 'main'], ['', 'main']]) {
    const answer = await visit(ports.validation, { servername, checkServerIdentity: () => undefined });
    assert.equal(answer.subject, subject, servername);
  }
});

test('a session really resumes, in both versions and on every loop', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const options = { minVersion: version, maxVersion: version };
    let { session, isResumed } = await visit(ports.validation, options);
    assert.equal(isResumed, false);
    const before = await node.metric('tls_resumed_total');
    for (let i = 0; i < 8; i++) {
      const again = await visit(ports.validation, { ...options, session });
      assert.equal(again.isResumed, true, `${version}: visit ${i}`);
      assert.equal(again.status, 200);
      session = again.session ?? session;
    }
    assert.equal(await node.metric('tls_resumed_total'), before + 8);
  }
});

test('each listener serves its part alone, the probes everywhere', async () => {
  const key = 'kr_live_nobody';
  for (const [listener, served, others] of [
    ['validation', ['/authz/forward', '/v1/nodes/nearest'], ['/metrics', '/v1/who-am-i', '/openapi']],
    ['management', ['/v1/who-am-i', '/openapi', '/v1/nodes/nearest'], ['/metrics', '/authz/forward', '/authz/nginx']],
  ]) {
    for (const path of served) assert.notEqual((await get(ports[listener], path, { headers: { authorization: `Bearer ${key}` } })).status, 404, `${listener} ${path}`);
    for (const path of others) {
      const answer = await get(ports[listener], path, { headers: { authorization: `Bearer ${node.token}` } });
      assert.equal(answer.status, 404, `${listener} ${path}`);
      assert.match(answer.text, /this listener/);
    }
    for (const path of ['/healthz', '/readyz']) assert.equal((await get(ports[listener], path)).status, 200, `${listener} ${path}`);
  }
  const metrics = { port: ports.metrics };
  assert.equal((await exchange(metrics, { path: '/metrics' })).status, 200);
  assert.equal((await exchange(metrics, { path: '/authz/forward' })).status, 404);
  assert.equal((await exchange(metrics, { path: '/v1/who-am-i' })).status, 404);
  assert.match(node.stderr, /"setting":"http_validation".*"protocol":"https","serves":"validation"/);
});

test('a body that passes its limit while it moves to larger memory is 413, and its head is not looked for where it was', async () => {
  for (const first of [0x1000, 0x4000, 0x8000, 0xf000]) {
    const socket = connect({ port: ports.validation, host: '127.0.0.1', servername: 'localhost', ca: authority.pem });
    let received = '';
    socket.on('data', (bytes) => (received += bytes)).on('error', () => {});
    const closed = new Promise((done) => socket.once('close', done));
    socket.write(`POST /v1/validate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${first.toString(16)}\r\n${'x'.repeat(first)}\r\nffff\r\n`);
    await closed;
    assert.match(received, /^HTTP\/1\.1 413 /, `a first chunk of ${first}`);
  }
  assert.equal((await get(ports.validation, '/healthz')).status, 200);
});

test('plain HTTP on a TLS port is told so, and TLS on a plain port is refused', async () => {
  const plain = raw({ port: ports.validation });
  plain.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  await plain.until((_, closed) => closed);
  assert.match(plain.received, /^HTTP\/1\.1 400 /);
  assert.match(plain.received, /this port speaks TLS; send the request to https:\/\//);
  const sealed = await visit(node.port);
  assert.ok(sealed.error, 'a handshake with a port in the clear');
});

test('garbage, and a handshake that stands still, are cut; others are served meanwhile', async (t) => {
  const slow = await startNode({
    dataDir: dataDirFor(t),
    flags: ['--http', 'http://127.0.0.1:0', '--http-validation', '127.0.0.1:0', '--request-timeout-ms', '700', '--idle-timeout-ms', '1500', ...tlsFlags(main)],
  });
  const port = slow.portOf('http-validation');
  const garbage = raw({ port });
  garbage.write('\x16\x03\x01\x00\x05hello and much more that is no handshake at all');
  await garbage.until((_, closed) => closed);
  const silent = raw({ port });
  const crumbs = raw({ port });
  const hello = [...'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'];
  const drip = setInterval(() => crumbs.write(hello.shift() ?? '\x00'), 100);
  t.after(() => clearInterval(drip));
  await until(async () => (await visit(port)).status === 200, { what: 'a good client to be served' });
  // An idle connection may not be kept by crumbs of a record either. On a slow machine a handshake may be cut, too.
  const shakeHands = async () => {
    const connection = raw({ port });
    const secured = connect({ socket: connection.socket, servername: 'localhost', ca: authority.pem }).on('error', () => {});
    return (await new Promise((done) => secured.once('secureConnect', () => done(true)).once('close', () => done(false)))) && connection;
  };
  const idle = await until(shakeHands, { what: 'a handshake in time' });
  const later = setInterval(() => idle.socket.writable && idle.write('\x17'), 100);
  t.after(() => clearInterval(later));
  await idle.until((_, closed) => closed);
  await Promise.all([silent, crumbs].map((connection) => connection.until((_, closed) => closed)));
  await until(async () => (await slow.metric('connections_open')) <= 1, { what: 'the connections to be gone' });
  assert.ok((await slow.metric('tls_failed_total')) >= 1);
});

test('handshakes count against the ceiling of connections', async (t) => {
  const small = await startNode({
    dataDir: dataDirFor(t),
    flags: ['--http', 'http://127.0.0.1:0', '--http-validation', '127.0.0.1:0', '--connections-max', '8', '--serve-threads', '1', ...tlsFlags(main)],
  });
  const port = small.portOf('http-validation');
  const stuck = Array.from({ length: 12 }, () => connectInTheClear(port, '127.0.0.1').on('error', () => {}));
  t.after(() => stuck.forEach((socket) => socket.destroy()));
  await until(() => stuck.filter((socket) => socket.destroyed || socket.readyState === 'closed').length >= 3, { what: 'the ones above the ceiling to be closed' });
  stuck.forEach((socket) => socket.destroy());
  await until(async () => (await visit(port)).status === 200, { what: 'room again' });
  assert.ok((await small.metric('connections_refused_total')) >= 3);
});

test('a client certificate makes a gateway: X-Forwarded-For is believed of it alone', async () => {
  const api = client(node);
  await api.makeConsumer('limited');
  const { key } = await api.makeKey('limited', { ipAllow: ['198.51.100.0/24'] });
  const headers = { authorization: `Bearer ${key}`, 'x-forwarded-for': '198.51.100.7' };
  const identity = { cert: gateway.certPem, key: gateway.keyPem };
  assert.equal((await get(ports.validation, '/authz/forward', { headers })).status, 403);
  assert.equal((await get(ports.validation, '/authz/forward', { headers, ...identity })).status, 200);
  assert.equal((await get(ports.validation, '/authz/forward', { headers: { ...headers, 'x-forwarded-for': '192.0.2.1' }, ...identity })).status, 403);
  const stranger = authority.issue('stranger');
  const refused = await visit(ports.validation, { cert: stranger.certPem, key: stranger.keyPem });
  assert.ok(refused.error, 'a certificate that the CA of the gateways has not signed');
});

test('a listener may require a certificate, of a name that is listed', async (t) => {
  const strict = await startNode({
    dataDir: dataDirFor(t),
    flags: ['--http', 'http://127.0.0.1:0', '--http-validation', '127.0.0.1:0', '--http-management', '127.0.0.1:0', ...tlsFlags(main),
      '--tls-client-ca', gateways.file('gateways.pem'), '--tls-client-required', 'http_validation', '--tls-client-names', 'gateway-1.internal, gateway-9'],
  });
  const port = strict.portOf('http-validation');
  const second = gateways.issue('gateway-2', 'DNS:gateway-2.internal');
  assert.ok((await visit(port)).error, 'without a certificate');
  assert.equal((await visit(port, { cert: gateway.certPem, key: gateway.keyPem })).status, 200);
  assert.ok((await visit(port, { cert: second.certPem, key: second.keyPem })).error, 'a name that is not listed');
  assert.equal((await visit(strict.portOf('http-management'))).status, 200);
  const shown = await curl('--cert', gateway.cert, '--key', gateway.key, `https://localhost:${port}/healthz`);
  assert.equal(shown.stdout, 'ok\n', shown.stderr);
});

/** Puts a fresh certificate of the same name where the node reads it, by renaming, as renewal programs do. */
function renew(paths, name, serial) {
  const made = authority.issue(name, undefined, { serial });
  renameSync(made.key, paths.key);
  renameSync(made.cert, paths.cert);
}

test('certificates are renewed under traffic: by a change, by SIGHUP, without a failed request', async (t) => {
  const live = authority.issue('live', undefined, { serial: 1001 });
  const renewed = await startNode({
    dataDir: dataDirFor(t),
    flags: ['--http', 'http://127.0.0.1:0', '--http-validation', '127.0.0.1:0', '--tls-check-ms', '100', ...tlsFlags(live)],
  });
  const port = renewed.portOf('http-validation');
  const serial = async () => parseInt((await visit(port)).socket.getPeerCertificate().serialNumber, 16);
  const kept = new Agent({ keepAlive: true, maxSockets: 4 });
  t.after(() => kept.destroy());
  let isOver = false;
  let requests = 0;
  const failures = [];
  const traffic = Array.from({ length: 8 }, async (_, i) => {
    while (!isOver) {
      try {
        const { status } = await get(port, '/healthz', { agent: i < 4 ? kept : false });
        if (status !== 200) failures.push(status);
        requests++;
      } catch (error) {
        failures.push(error);
      }
    }
  });
  assert.equal(await serial(), 1001);
  const { session } = await visit(port);
  for (const [next, signal] of [[1002, null], [1003, 'SIGHUP'], [1004, null]]) {
    renew(live, `live-${next}`, next);
    if (signal) renewed.process.kill(signal);
    await until(async () => (await serial()) === next, { what: `the certificate ${next}` });
  }
  assert.equal((await visit(port, { session })).isResumed, true, 'a ticket of before');
  const before = requests;
  await until(() => requests > before + 50, { what: 'traffic behind the renewal' });
  isOver = true;
  await Promise.all(traffic);
  assert.deepEqual(failures, []);
  // What cannot be used is said, and changes nothing.
  writeFileSync(live.key, 'no key');
  await until(() => renewed.stderr.includes('the certificates cannot be used, the old ones stay'), { what: 'the complaint' });
  assert.equal(await serial(), 1004);
  assert.ok((await renewed.metric('certificate_failures_total')) >= 1);
});

test('what is wrong with certificate, key or listener ends the start with one line that names it', async (t) => {
  const copy = (from, name, mode = 0o600) => {
    const to = join(directory, name);
    copyFileSync(from, to);
    chmodSync(to, mode);
    return to;
  };
  const cert = ['--tls-cert', main.cert];
  const open = copy(main.key, 'open-key.pem', 0o644);
  const expired = authority.issue('expired', undefined, { days: 0 });
  const cases = [
    [['--tls-cert', join(directory, 'nowhere.pem'), '--tls-key', main.key], [/tls_cert: .*nowhere\.pem.*No such file/]],
    [[...cert, '--tls-key', join(directory, 'nowhere.pem')], [/tls_key: .*nowhere\.pem.*No such file/]],
    [cert, [/tls_key: the key of .*main\.pem is missing/]],
    [['--tls-key', main.key], [/tls_cert: missing/]],
    [[...cert, '--tls-key', open], [/tls_key: .*open-key\.pem holds a secret/, /chmod 600/]],
    [[...cert, '--tls-key', other.key], [/other-key\.pem does not belong to the certificate .*main\.pem/]],
    [['--tls-cert', main.key, '--tls-key', main.key], [/main-key\.pem holds no certificate/]],
    [tlsFlags(expired), [/expired\.pem: the certificate has expired on/, /renew/]],
    [[...tlsFlags(main), '--tls-min-version', '1.1'], [/tls_min_version/, /neither 1\.2 nor 1\.3/]],
    [[...tlsFlags(main), '--tls-client-required', 'http'], [/tls_client_required/, /tls_client_ca/]],
    [[...tlsFlags(main), '--tls-client-ca', gateways.file('gateways.pem'), '--tls-client-required', 'http_metrics'], [/"http_metrics" is no listener with TLS/]],
    [['--http', 'https://127.0.0.1:0'], [/http: https needs a certificate/, /tls_cert/]],
    [['--http-validation', '0.0.0.0:0'], [/http_validation: 0\.0\.0\.0:0 is not a loopback address/, /tls_cert/, /--insecure/]],
    [[...tlsFlags(main), '--http-metrics', 'http://0.0.0.0:0'], [/http_metrics: 0\.0\.0\.0:0 is not a loopback address/]],
    [['--http-serves', 'everything'], [/http_serves: "everything" is none of/]],
    [['--http-management', 'localhost'], [/http_management: "localhost" is no address/]],
  ];
  for (const [flags, patterns] of cases) {
    const refused = await refuseNode({ dataDir: dataDirFor(t), flags });
    assert.equal(refused.code, 2, flags.join(' '));
    assert.equal(refused.stderr.trim().split('\n').length, 1, refused.stderr);
    for (const pattern of patterns) assert.match(refused.stderr, pattern);
  }
});

test('with a certificate, an address that is not loopback needs no --insecure', async (t) => {
  const wide = await startNode({ dataDir: dataDirFor(t), flags: ['--http', 'http://127.0.0.1:0', '--http-validation', '0.0.0.0:0', ...tlsFlags(main)] });
  assert.equal((await visit(wide.portOf('http-validation'))).status, 200);
});

test('a client that says goodbye, or ends its side, behind its request is answered still', async () => {
  const ask = (version, end) =>
    new Promise((done, fail) => {
      const clear = connectInTheClear(ports.management, '127.0.0.1');
      const socket = connect({ socket: clear, servername: 'localhost', ca: authority.pem, minVersion: version, maxVersion: version });
      let text = '';
      socket.setTimeout(20_000, () => fail(new Error(`no end within 20 s; ${JSON.stringify(text)}`)));
      socket.on('error', fail).on('data', (bytes) => (text += bytes)).on('close', () => done(text));
      socket.on('secureConnect', () => {
        // The second one is answered by another thread, when the goodbye has long been read.
        socket.write(`GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/who-am-i HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${node.token}\r\n\r\n`, () => end(socket, clear));
      });
    });
  for (const version of ['TLSv1.2', 'TLSv1.3'])
    for (const end of [(socket) => socket.end(), (_, clear) => clear.end()]) {
      const text = await ask(version, end);
      assert.match(text, /^HTTP\/1\.1 200 [^]*\r\n\r\nok\nHTTP\/1\.1 200 [^]*"roles"/, `${version}: ${text}`);
    }
});

test('a large answer and a large body pass whole, pipelined requests in order', async () => {
  const large = 'x'.repeat(60_000);
  const answer = await new Promise((done, fail) => {
    const sent = request({ host: '127.0.0.1', port: ports.validation, method: 'POST', path: '/v1/validate', ca: authority.pem, servername: 'localhost', agent: false }, (got) => {
      let text = '';
      got.on('data', (part) => (text += part)).on('end', () => done({ status: got.statusCode, text }));
    });
    sent.on('error', fail);
    sent.end(JSON.stringify({ key: large }));
  });
  assert.equal(answer.status, 200);
  assert.equal(JSON.parse(answer.text).code, 'MALFORMED');
  const page = await get(ports.management, '/openapi');
  assert.equal(page.status, 200);
  assert.equal(Buffer.byteLength(page.text), Number(page.headers['content-length']));
  let text = '';
  const statuses = () => Array.from(text.matchAll(/HTTP\/1\.1 (\d+) /g), ([, status]) => status);
  const socket = connect({ port: ports.validation, host: '127.0.0.1', servername: 'localhost', ca: authority.pem });
  socket.setEncoding('latin1').on('data', (part) => (text += part));
  socket.write(Array.from({ length: 2000 }, (_, i) => `GET /${i % 2 ? 'healthz' : 'nowhere'} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
  await until(() => statuses().length === 2000, { what: '2,000 answers' });
  socket.destroy();
  assert.deepEqual(statuses(), Array.from({ length: 2000 }, (_, i) => (i % 2 ? '200' : '404')));
});

const questions = (records, count) => Buffer.concat(Array.from({ length: count }, () => records.question()));

test('who asks TLS itself for answers, and for nothing else, is cut', async (t) => {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const records = await openRecords(t, { port: ports.validation, ca: authority.pem, version });
    const probes = async () => (await node.metric('requests_total{route="health",status="200"}')) ?? 0;
    const before = await probes();
    records.socket.resume();
    for (let i = 0; i < 3; i++) records.socket.write(Buffer.concat([questions(records, 15), records.data('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')]));
    await until(async () => (await probes()) === before + 3, { what: `${version}: answers behind some new keys` });
    assert.equal(records.socket.closed, false);
    records.socket.write(questions(records, 50));
    await until(() => records.socket.closed, { what: `${version}: the end of a connection that asks on` });
  }
});

test('who takes no answers of TLS itself is held', async (t) => {
  const held = await startNode({ flags: ['--http', 'http://127.0.0.1:0', '--http-validation', '127.0.0.1:0', '--serve-threads', '1', '--request-timeout-ms', '600000', ...tlsFlags(main)] });
  t.after(() => held.remove());
  const most = 20 << 20; // the kernel keeps up to 10 MiB, of both ways together
  const { socket, ...records } = await openRecords(t, { port: held.portOf('http-validation'), ca: authority.pem, version: 'TLSv1.2' });
  const before = await held.metric('received_bytes_total');
  socket.write(records.data('POST /v1/validate HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n'));
  // A byte now and then, so that it is not cut for sending nothing.
  const more = () => socket.write(Buffer.concat(Array.from({ length: 100 }, () => Buffer.concat([questions(records, 15), records.data('x')]))));
  let taken = 0;
  for (let quiet = 0; quiet < 10 && taken < most; ) {
    while (socket.writableLength < 1 << 18 && !socket.destroyed) more();
    await pause(100);
    const now = (await held.metric('received_bytes_total')) - before;
    quiet = now < taken + 1000 ? quiet + 1 : 0; // it is asked for its metrics
    taken = now;
  }
  assert.ok(taken < most, `${taken} bytes of questions were taken`);
  socket.resume();
  await until(async () => (await held.metric('received_bytes_total')) - before > taken + 65536, { what: 'more to be taken, now that the answers are' });
});
