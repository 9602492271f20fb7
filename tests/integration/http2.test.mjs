// SPDX-License-Identifier: Apache-2.0
// HTTP/2 as clients use it: Node's own, curl, h2load; in the clear and over TLS; many streams, long
// answers, streams that wait, and a node that stops.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, constants, sensitiveHeaders } from 'node:http2';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Authority } from './lib/certificates.mjs';
import { ACK, CODE, END_HEADERS, END_STREAM, Frames, PREFACE, TYPE, frame, head, headers, ping, settings, windowUpdate } from './lib/frames.mjs';
import { client, exchange } from './lib/http.mjs';
import { strangerKey } from './lib/keys.mjs';
import { run, startNode, until } from './lib/node.mjs';

let directory;
let authority;
let node;
let hasty; // with short deadlines
let api;
let key;
before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyreeve-http2-'));
  authority = new Authority(directory, 'ca');
  const { cert, key: certKey } = authority.issue('main');
  node = await startNode({
    flags: ['--http', 'http://127.0.0.1:0', '--http-validation', 'https://127.0.0.1:0', '--tls-cert', cert, '--tls-key', certKey, '--http-unix', join(directory, 'http.sock')],
  });
  hasty = await startNode({ flags: ['--request-timeout-ms', '1500', '--idle-timeout-ms', '2500'] });
  api = client(node);
  await api.makeConsumer('c');
  key = await api.makeKey('c');
});
after(async () => {
  await node.remove();
  await hasty.remove();
  rmSync(directory, { recursive: true, force: true });
});

/** A client's session that ends with the test. */
function session(t, url = node.url, options = {}) {
  const made = connect(url, options);
  made.on('error', () => {});
  t.after(() => made.destroy());
  return made;
}

/** One request: {status, headers, text}. */
function ask(over, fields = {}, body) {
  return new Promise((done, fail) => {
    const stream = over.request({ ':path': '/healthz', ...fields }, { endStream: body === undefined });
    const parts = [];
    let answer;
    stream.setTimeout(30_000, () => fail(new Error(`${fields[':path']}: no answer within 30 s`)));
    stream.on('response', (received) => (answer = received));
    stream.on('data', (part) => parts.push(part));
    stream.on('error', fail);
    stream.on('end', () => answer && done({ status: answer[':status'], headers: answer, text: Buffer.concat(parts).toString() }));
    stream.on('close', () => answer || fail(new Error(`${fields[':path']}: closed without an answer`)));
    if (body !== undefined) stream.end(body);
  });
}

const post = (over, path, body, fields = {}) => ask(over, { ':method': 'POST', ':path': path, 'content-type': 'application/json', ...fields }, typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body));
const token = () => ({ authorization: `Bearer ${node.token}` });

// --- the same answers ----------------------------------------------------------------------------

test('every kind of answer is the same as over HTTP/1.1', async (t) => {
  const over = session(t);
  const validation = { 'content-type': 'application/json' };
  for (const [method, path, fields, body] of [
    ['GET', '/healthz', {}],
    ['HEAD', '/healthz', {}],
    ['GET', '/nothing', {}],
    ['HEAD', '/nothing', {}],
    ['DELETE', '/healthz', {}],
    ['GET', '/openapi', {}],
    ['POST', '/v1/validate', validation, JSON.stringify({ key: key.key })],
    ['POST', '/v1/validate', validation, '{'],
    ['POST', '/v1/validate/$batch', validation, JSON.stringify([{ key: key.key }, { key: strangerKey() }])],
    ['GET', '/authz/forward', { authorization: `Bearer ${key.key}` }],
    ['GET', '/authz/forward', { 'x-api-key': strangerKey() }],
    ['HEAD', '/authz/haproxy', { 'x-api-key': key.key }],
    ['GET', '/authz/nginx', { 'x-api-key': key.key }],
    ['GET', '/authz/envoy/any/path?with=query', { 'x-api-key': key.key }],
    ['GET', '/v1/who-am-i', {}],
    ['GET', '/v1/who-am-i', token()],
    ['GET', api.keys('c'), token()],
    ['GET', `${api.buckets}/none`, token()],
  ]) {
    const first = await exchange(node, { method, path, headers: fields, body, agent: false });
    const second = await ask(over, { ':method': method, ':path': path, ...fields }, body);
    const steady = (text) => text.replace(/"(timestamp|requestId|ageMs)":("[^"]*"|\d+)/g, '').replace(/"lastUsed[^,}]*/g, '');
    assert.equal(second.status, first.status, path);
    assert.equal(steady(second.text), steady(first.text), path);
    const { date, 'x-request-id': id, connection, ...expected } = first.headers.all;
    const { ':status': status, date: sentAt, 'x-request-id': otherId, [sensitiveHeaders]: sensitive, ...found } = second.headers;
    assert.ok(sensitive.includes('x-request-id'), 'what changes from answer to answer is not indexed');
    assert.deepEqual({ ...found }, { ...expected }, path);
    assert.ok(date && sentAt && id && otherId && id !== otherId && status && !found.connection);
  }
});

test('a body without END_HEADERS at once, an empty one, and 100-continue', async (t) => {
  const over = session(t);
  assert.equal((await post(over, '/v1/validate', '')).status, 400);
  const stream = over.request({ ':method': 'POST', ':path': '/v1/validate', 'content-type': 'application/json', expect: '100-continue' });
  await new Promise((done) => stream.once('continue', done));
  stream.end(JSON.stringify({ key: key.key }));
  const [answer] = await new Promise((done) => stream.once('response', (...all) => done(all)));
  assert.equal(answer[':status'], 200);
});

test('cookies in several fields are one, and the key is found in it', async (t) => {
  const baker = await startNode({ flags: ['--credential-cookie', 'session'] });
  t.after(() => baker.remove());
  const owner = client(baker);
  await owner.makeConsumer('c');
  const { key: value } = await owner.makeKey('c');
  const frames = new Frames(baker.port);
  t.after(() => frames.destroy());
  frames.send(headers(1, [...head('GET', '/authz/forward'), ['cookie', 'a=1'], ['cookie', `session=${value}`]]));
  const { payload } = await frames.expect(TYPE.HEADERS);
  assert.equal(payload[0], 0x88); // :status: 200 (RFC 7541, appendix A)
});

test('a refused request ends its stream alone, and its rest is not waited for', async (t) => {
  const over = session(t);
  assert.equal((await ask(over, { ':path': '/a#b' })).status, 400);
  assert.equal((await post(over, '/v1/validate', 'x'.repeat(70_000))).status, 413);
  assert.equal((await ask(over, { ':path': '/healthz', ...Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`x-${i}`, 'v'.repeat(250)])) })).status, 431);
  assert.equal((await post(over, `${api.keys('c')}/$bulk`, 'x'.repeat(200_000))).status, 401);
  assert.equal((await ask(over)).status, 200);
  assert.equal(over.destroyed, false);
});

// --- many at once --------------------------------------------------------------------------------

// Enough to use every stream's place several times, and the connection's window of 64 KiB a dozen
// times; the number of requests is the next test's.
test('800 requests of a kilobyte on one connection, 100 at a time', async (t) => {
  const over = session(t);
  let left = 800;
  const bad = [];
  const path = `/${'p'.repeat(1000)}`;
  const worker = async (i) => {
    while (left-- > 0) {
      const answer = await post(over, '/v1/validate', { key: i % 2 ? key.key : strangerKey(), path });
      if (answer.status !== 200 || JSON.parse(answer.text).valid !== (i % 2 === 1)) bad.push(answer.text);
    }
  };
  await Promise.all(Array.from({ length: 100 }, (_, i) => worker(i)));
  assert.deepEqual(bad, []);
});

test('h2load: 20,000 validations over 4 connections of 100 streams', async () => {
  const { code, stdout } = await run('h2load', ['-n', '20000', '-c', '4', '-m', '100', '-H', `x-api-key: ${key.key}`, `${node.url}/authz/forward`]);
  assert.equal(code, 0);
  assert.match(stdout, /20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout/);
});

test('a stream that waits holds up no other one, and is answered', async (t) => {
  const over = session(t);
  const names = Array.from({ length: 20 }, (_, i) => `h2-${i}`);
  const writes = names.map((name) => post(over, api.consumers(), { name }, token()));
  // On a busy machine the second of the wait may pass before anything else is done; where streams
  // hold each other up, it always does.
  await until(
    async () => {
      const order = [];
      const waits = post(over, '/v1/validate', { key: key.key, minIndex: 1e9 }).then((answer) => (order.push('waits'), answer));
      const reads = Array.from({ length: 30 }, () => post(over, '/v1/validate', { key: key.key }));
      for (const { status, text } of await Promise.all(reads)) assert.equal(`${status} ${JSON.parse(text).code}`, '200 VALID');
      order.push('reads');
      assert.equal(JSON.parse((await waits).text).code, 'STALE');
      return order[0] === 'reads';
    },
    { what: 'answers before that of a stream that waits', deadlineMs: 60_000 },
  );
  for (const { status, text } of await Promise.all(writes)) assert.equal(status, 200, text);
  for (const name of names) assert.equal((await api.get(`${api.consumers()}/${name}`)).status, 200);
});

test('questions behind as many as may wait for an index are not waited for', async (t) => {
  const busy = await startNode({ flags: ['--serve-threads', '1'] });
  t.after(() => busy.remove());
  const body = JSON.stringify({ key: strangerKey(), minIndex: 1e9 });
  const question = (id) => Buffer.concat([headers(id, head('POST', '/v1/validate'), END_HEADERS), frame(TYPE.DATA, END_STREAM, id, body)]);
  // On a busy machine a second may pass before all of them wait: then again.
  await until(
    async () => {
      const waiting = Array.from({ length: 8 }, () => new Frames(busy.port));
      const late = new Frames(busy.port);
      for (const frames of waiting) frames.send(...Array.from({ length: 128 }, (_, i) => question(2 * i + 1)));
      await Promise.all(waiting.map((frames) => frames.isAlive()));
      late.send(question(1));
      const { payload } = await late.expect(TYPE.DATA, ({ flags }) => flags === END_STREAM);
      assert.equal(JSON.parse(payload).code, 'STALE');
      const answered = waiting.reduce((sum, frames) => sum + frames.of(TYPE.HEADERS).length, 0);
      for (const frames of [...waiting, late]) frames.destroy();
      return answered === 0;
    },
    { what: 'an answer before those of 1024 questions that wait', deadlineMs: 60_000 },
  );
});

test('a stream that is given up while it waits takes its change with it to the end', async (t) => {
  const over = session(t);
  const names = Array.from({ length: 40 }, (_, i) => `gone-${i}`);
  for (const name of names) {
    const stream = over.request({ ':method': 'POST', ':path': api.consumers(), 'content-type': 'application/json', ...token() });
    stream.on('error', () => {});
    stream.end(JSON.stringify({ name }), () => setImmediate(() => stream.close(constants.NGHTTP2_CANCEL)));
  }
  const waits = over.request({ ':method': 'POST', ':path': '/v1/validate', 'content-type': 'application/json' });
  waits.on('error', () => {});
  waits.end(JSON.stringify({ key: key.key, minIndex: 1e9 }));
  assert.equal((await ask(over)).status, 200);
  over.destroy(); // with a stream that waits
  assert.equal((await exchange(node, { path: '/healthz', agent: false })).status, 200);
});

// --- long bodies, slow readers -------------------------------------------------------------------

test('a body of megabytes comes through the windows', async (t) => {
  const over = session(t);
  await api.makeConsumer('bulk');
  const keys = Array.from({ length: 2000 }, (_, i) => ({ description: `${i} ${'m'.repeat(1000)}` }));
  const answer = await post(over, `${api.keys('bulk')}/$bulk`, keys, token());
  assert.equal(answer.status, 200, answer.text.slice(0, 500));
  assert.equal((await api.get(api.keys('bulk'))).body.total, 2000);
});

test('a long answer goes out as its window allows', async (t) => {
  const { text } = await exchange(node, { path: '/openapi', agent: false });
  const frames = new Frames(node.port, { settings: [[4, 100]] });
  t.after(() => frames.destroy());
  frames.send(headers(1, head('GET', '/openapi')));
  const size = () => frames.of(TYPE.DATA, 1).reduce((sum, { payload }) => sum + payload.length, 0);
  await frames.until(() => size() === 100, 'the first window');
  await frames.isAlive();
  assert.equal(size(), 100);
  frames.send(windowUpdate(1, 1000));
  await frames.until(() => size() === 1100, 'the second window');
  frames.send(windowUpdate(0, 1 << 24), settings([4, 1 << 24]));
  await frames.expect(TYPE.DATA, ({ flags }) => flags === END_STREAM);
  assert.equal(Buffer.concat(frames.of(TYPE.DATA, 1).map(({ payload }) => payload)).toString(), text);
});

// Behind so many answers that are not taken nothing more is asked, until one write opens all windows
// at once: then no further frame comes that could be a reason to look at what waits.
test('a request that waited behind a backlog is answered once that has drained', async (t) => {
  const { bytes } = await exchange(node, { path: '/openapi', agent: false });
  const frames = new Frames(node.port, { settings: [[4, 0]] });
  t.after(() => frames.destroy());
  const count = Math.floor((1 << 18) / bytes.length) + 1;
  const ids = Array.from({ length: count }, (_, i) => 2 * i + 1);
  frames.send(...ids.map((id) => headers(id, head('GET', '/openapi'))));
  for (const id of ids) await frames.expect(TYPE.HEADERS, (one) => one.id === id);
  const last = 2 * count + 1;
  frames.send(headers(last));
  await frames.isAlive();
  assert.equal(frames.of(TYPE.HEADERS, last).length, 0, 'it waits');
  frames.send(settings([4, 1 << 24]), windowUpdate(0, 1 << 24));
  await frames.expect(TYPE.DATA, ({ id, flags }) => id === last && flags === END_STREAM, 'the answer that waited');
  for (const id of ids) assert.equal(frames.of(TYPE.DATA, id).reduce((sum, { payload }) => sum + payload.length, 0), bytes.length);
});

// What is answered lies in memory until a window opens; so only some calls at a time are begun.
test('of 128 calls without a window few are answered before one opens, then all', async (t) => {
  const frames = new Frames(node.port, { settings: [[4, 0]] });
  t.after(() => frames.destroy());
  const ids = Array.from({ length: 128 }, (_, i) => 2 * i + 1);
  frames.send(...ids.map((id) => headers(id, head('GET', '/openapi'))));
  await frames.expect(TYPE.HEADERS);
  // The question itself is one of those under way.
  await until(async () => (await node.metric('calls_under_way')) <= 1, { what: 'the calls that were begun to end' });
  await frames.isAlive();
  const taken = frames.of(TYPE.HEADERS).length;
  assert.ok(taken >= 3 && taken <= 24, `${taken} of 128`);
  frames.send(settings([4, 1 << 24]), windowUpdate(0, 1 << 26));
  for (const id of ids) await frames.expect(TYPE.DATA, (one) => one.id === id && one.flags === END_STREAM, `the answer to ${id}`);
});

test('a change passes by the calls of its connection that wait', async (t) => {
  const frames = new Frames(node.port, { settings: [[4, 0]] });
  t.after(() => frames.destroy());
  const ids = Array.from({ length: 60 }, (_, i) => 2 * i + 1);
  const body = JSON.stringify({ name: 'passes-by' });
  const change = [...head('POST', api.consumers()), ['authorization', `Bearer ${node.token}`], ['content-type', 'application/json']];
  // In one piece: the change is whole before any answer is owed.
  frames.send(...ids.map((id) => headers(id, [...head('GET', '/v1/who-am-i'), ['authorization', `Bearer ${node.token}`]])), headers(121, change, END_HEADERS), frame(TYPE.DATA, END_STREAM, 121, body));
  await frames.expect(TYPE.HEADERS, ({ id }) => id === 121, 'the answer to the change');
  assert.equal((await api.get(`${api.consumers()}/passes-by`)).status, 200);
});

// Requests that are answered beside it, and PINGs, give it no more time; and none of them ends for it.
test('a stream that opens no window, or stops within a request, is ended, whatever else is asked', async (t) => {
  for (const [name, send] of [
    ['no window', (frames) => frames.send(headers(1, head('GET', '/openapi')))],
    ['half a body', (frames) => frames.send(headers(1, head('POST', '/v1/validate'), END_HEADERS), frame(TYPE.DATA, 0, 1, '{'))],
  ]) {
    const frames = new Frames(hasty.port, { settings: [[4, 0]] });
    t.after(() => frames.destroy());
    send(frames);
    let last = 1;
    const others = setInterval(() => frames.closed || frames.send(ping(), headers((last += 2), head('HEAD'))), 100);
    t.after(() => clearInterval(others));
    const { code } = await frames.expect(TYPE.RST_STREAM, ({ id }) => id === 1, `${name}: the end of the stream`);
    assert.equal(code, CODE.CANCEL, name);
    clearInterval(others);
    await frames.isAlive();
    for (let id = 3; id <= last; id += 2) await frames.expect(TYPE.HEADERS, (one) => one.id === id && one.flags & END_STREAM, `${name}: ${id}`);
    assert.equal((await frames.expect(TYPE.GOAWAY)).code, CODE.NONE, `${name}: then it is idle`);
  }
});

test('who stops within a head or the preface is cut off', async (t) => {
  const frames = new Frames(hasty.port);
  t.after(() => frames.destroy());
  frames.send(frame(TYPE.HEADERS, END_STREAM, 1, [0x82]));
  assert.equal((await frames.expect(TYPE.GOAWAY)).code, CODE.CALM);
  await frames.until(({ closed }) => closed, 'half a head: the end of the connection');
  const silent = new Frames(hasty.port, { greets: false });
  t.after(() => silent.destroy());
  silent.send(PREFACE.subarray(0, 20));
  await silent.until(({ closed }) => closed, 'half a preface: the end of the connection');
});

/** Takes an answer in six parts, with pauses. {isWhole, longestMs: between two parts}. */
async function takeSlowly(t, { length }) {
  const frames = new Frames(hasty.port, { settings: [[4, 0]] });
  t.after(() => frames.destroy());
  frames.send(headers(1, head('GET', '/openapi')));
  const size = () => frames.of(TYPE.DATA, 1).reduce((sum, { payload }) => sum + payload.length, 0);
  const step = Math.ceil(length / 6);
  assert.ok(step > 16384, 'each step is one that counts as progress');
  let longestMs = 0;
  let last = Date.now();
  for (let wanted = 0; wanted < length && !frames.closed; ) {
    wanted = Math.min(wanted + step, length);
    await new Promise((done) => setTimeout(done, 400)); // a slow reader: that is what is tested
    longestMs = Math.max(longestMs, Date.now() - last);
    last = Date.now();
    frames.send(windowUpdate(1, step), windowUpdate(0, step));
    await frames.until(({ closed }) => closed || size() === wanted, 'a part of the answer');
  }
  return { isWhole: frames.of(TYPE.DATA, 1).some(({ flags }) => flags === END_STREAM), longestMs };
}

test('an answer that is taken slowly is sent to its end, past any deadline', async (t) => {
  const { bytes } = await exchange(hasty, { path: '/openapi', agent: false });
  // Where this machine made a pause longer than meant, the node was right to end it.
  await until(
    async () => {
      const { isWhole, longestMs } = await takeSlowly(t, bytes);
      assert.ok(isWhole || longestMs > 1000, `cut off after pauses of ${longestMs} ms`);
      return isWhole;
    },
    { what: 'a whole answer', deadlineMs: 60_000 },
  );
});

test('an idle connection is told so before it ends', async (t) => {
  const frames = new Frames(hasty.port);
  t.after(() => frames.destroy());
  frames.send(headers(1));
  await frames.expect(TYPE.HEADERS);
  assert.equal((await frames.expect(TYPE.GOAWAY)).code, CODE.NONE);
  await frames.until(({ closed }) => closed, 'the end of the connection');
});

test('who ends his side is answered', async (t) => {
  const frames = new Frames(node.port);
  t.after(() => frames.destroy());
  frames.send(headers(1), headers(3, head('POST', '/v1/validate'), END_HEADERS), frame(TYPE.DATA, END_STREAM, 3, JSON.stringify({ key: key.key, minIndex: 1e9 })));
  frames.socket.end();
  await frames.expect(TYPE.HEADERS, ({ id }) => id === 1);
  await frames.expect(TYPE.DATA, ({ id, flags }) => id === 3 && flags === END_STREAM);
  await frames.until(({ closed }) => closed, 'the end of the connection');
});

test('who ends his side without a window for what he asked is not waited for', async (t) => {
  const frames = new Frames(node.port, { settings: [[4, 0]] });
  t.after(() => frames.destroy());
  for (let i = 0; i < 60; i++) frames.send(headers(2 * i + 1, head('GET', '/openapi')));
  frames.socket.end();
  await frames.until(({ closed }) => closed, 'the end of the connection', 8000); // request_timeout_ms is 10 s
});

// --- a stop --------------------------------------------------------------------------------------

test('a node that stops says goodbye, and answers what has begun', async (t) => {
  const leaving = await startNode();
  t.after(() => leaving.remove());
  const owner = client(leaving);
  await owner.makeConsumer('c');
  const { key: value } = await owner.makeKey('c');
  const frames = new Frames(leaving.port);
  t.after(() => frames.destroy());
  frames.send(headers(1, head('POST', '/v1/validate'), END_HEADERS));
  await frames.isAlive();
  leaving.process.kill('SIGTERM');
  const announced = await frames.expect(TYPE.GOAWAY);
  assert.deepEqual([announced.code, announced.last], [CODE.NONE, 2 ** 31 - 1]);
  const said = await frames.expect(TYPE.GOAWAY, ({ last }) => last !== 2 ** 31 - 1);
  assert.deepEqual([said.code, said.last], [CODE.NONE, 1]);
  frames.send(frame(TYPE.DATA, END_STREAM, 1, JSON.stringify({ key: value })));
  const answer = await frames.expect(TYPE.DATA, ({ id, flags }) => id === 1 && flags === END_STREAM);
  assert.match(answer.payload.toString(), /"valid":true/);
  await frames.until(({ closed }) => closed, 'the end of the connection');
  await until(() => leaving.exit, { what: 'the end of the node' });
});

// --- TLS, other sockets, other clients -----------------------------------------------------------

test('TLS: h2 is agreed on by ALPN, and HTTP/1.1 with whoever asks for it or for nothing', async (t) => {
  const port = node.portOf('http-validation');
  for (const [ALPNProtocols, agreed] of [[['h2', 'http/1.1'], 'h2'], [['http/1.1', 'h2'], 'h2'], [['h2'], 'h2'], [['http/1.1'], 'http/1.1'], [undefined, false]]) {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.pem, ALPNProtocols });
    t.after(() => socket.destroy());
    await new Promise((done, fail) => socket.once('secureConnect', done).once('error', fail));
    assert.equal(socket.alpnProtocol, agreed);
    if (agreed === 'h2') {
      const frames = new Frames(0, { socket });
      frames.send(headers(1));
      await frames.expect(TYPE.HEADERS);
    } else {
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      assert.match(String(await new Promise((done) => socket.once('data', done))), /^HTTP\/1\.1 200 /);
    }
  }
});

test('TLS: who agreed on h2 and speaks HTTP/1.1 is sent away, and the reverse', async (t) => {
  const port = node.portOf('http-validation');
  const open = async (protocol) => {
    const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.pem, ALPNProtocols: [protocol] });
    t.after(() => socket.destroy());
    await new Promise((done, fail) => socket.once('secureConnect', done).once('error', fail));
    return socket;
  };
  const frames = new Frames(0, { socket: await open('h2'), greets: false });
  frames.send(Buffer.from('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'));
  assert.equal((await frames.expect(TYPE.GOAWAY)).code, CODE.PROTOCOL);
  await frames.until(({ closed }) => closed, 'the end of the connection');
  const other = await open('http/1.1');
  other.write(PREFACE);
  assert.match(String(await new Promise((done) => other.once('data', done))), /^HTTP\/1\.1 501 /);
});

test('TLS: many streams, a long answer, and the routes of its listener alone', async (t) => {
  const over = session(t, `https://localhost:${node.portOf('http-validation')}`, { ca: authority.pem });
  const answers = await Promise.all(Array.from({ length: 500 }, () => post(over, '/v1/validate', { key: key.key })));
  for (const { status, text } of answers) assert.equal(`${status} ${JSON.parse(text).code}`, '200 VALID');
  const batch = JSON.stringify(Array.from({ length: 256 }, () => ({ key: key.key })));
  const long = await post(over, '/v1/validate/$batch', batch);
  assert.equal(long.status, 200, long.text);
  assert.equal(JSON.parse(long.text).results.length, 256);
  assert.equal((await ask(over, { ':path': '/openapi' })).status, 404);
});

test('over the unix socket, and with curl', async (t) => {
  const path = join(directory, 'http.sock');
  const over = session(t, 'http://localhost', { createConnection: () => connectPlain(path) });
  assert.equal((await post(over, '/v1/validate', { key: key.key })).status, 200);
  for (const args of [['--http2-prior-knowledge', `${node.url}/healthz`], ['--http2', '--cacert', authority.file('ca.pem'), `https://localhost:${node.portOf('http-validation')}/healthz`]]) {
    const { stdout, stderr } = await run('curl', ['-sS', '-w', ' %{http_version} %{http_code}', ...args]);
    assert.equal(stdout, 'ok\n 2 200', stderr);
  }
  assert.ok((await node.metric('http2_connections_total')) > 3);
});

test('SETTINGS say what is allowed', async (t) => {
  const over = session(t);
  const told = await new Promise((done) => over.once('remoteSettings', done));
  assert.equal(told.maxConcurrentStreams, 128);
  assert.equal(told.maxHeaderListSize, 16384);
  assert.equal(told.initialWindowSize, 1 << 20);
  const frames = new Frames(node.port);
  t.after(() => frames.destroy());
  await frames.expect(TYPE.SETTINGS, ({ flags }) => flags !== ACK);
});
