// SPDX-License-Identifier: Apache-2.0
// The binary validation protocol over real sockets: verdicts, order, bounds, and what breaks it.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FAULTS, binary, frame, request } from './lib/binary.mjs';
import { client, expect } from './lib/http.mjs';
import { foreignValue, misspelled, strangerKey } from './lib/keys.mjs';
import { dataDirFor, startNode, until } from './lib/node.mjs';

let node;
let api;
let good;
before(async () => {
  node = await startNode();
  api = client(node);
  await api.makeConsumer('caller', { metadata: { plan: 'gold', text: 'Zoë "q"' } });
  good = await api.makeKey('caller');
});
after(() => node.remove());

/** A connection that goes with the test. */
function open(t, place = node.binary) {
  const connection = binary(place);
  t.after(() => connection.destroy());
  return connection;
}

const codes = (answer) => answer.results.map(({ code }) => code);

test('a VALID answer brings the consumer as /v1/validate does, any other nothing', async (t) => {
  const connection = open(t);
  const answer = await connection.ask([good.key, strangerKey()]);
  assert.deepEqual(codes(answer), ['VALID', 'NOT_FOUND']);
  assert.equal(answer.results[1].body, '');
  const { body } = expect(await api.validate(good.key), 200);
  const { sub, data, consumer, bucket, environment } = body;
  assert.deepEqual(JSON.parse(`{${answer.results[0].body}}`), { sub, data, consumer, bucket, environment });
  assert.equal(answer.index, body.index);
  assert.equal(answer.ageMs, 0);
});

test('the codes are those of /v1/validate', async (t) => {
  const connection = open(t);
  const disabled = await api.makeKey('caller', { enabled: false });
  const late = await api.makeKey('caller', { notBefore: '2098-01-01T00:00:00Z' });
  const over = await api.makeKey('caller');
  expect(await api.patch(`${api.keys('caller')}/${over.id}`, { expiresOn: '2020-01-01T00:00:00Z' }), 200);
  const bound = await api.makeKey('caller', { ipAllow: ['192.0.2.0/24'] });
  const keys = [good.key, disabled.key, late.key, over.key, bound.key, node.token, strangerKey(), misspelled(), '', 'x', 'ключ', 'x'.repeat(2000)];
  const answer = await connection.ask(keys);
  const expected = [];
  for (const key of keys) expected.push(await api.code(key));
  assert.deepEqual(codes(answer), expected);
  assert.deepEqual(expected.slice(0, 8), ['VALID', 'DISABLED', 'NOT_YET_VALID', 'EXPIRED', 'FORBIDDEN', 'NOT_FOUND', 'NOT_FOUND', 'MALFORMED']);
});

test('an imported value is found', async (t) => {
  const value = foreignValue();
  await api.makeKey('caller', { key: value });
  assert.equal(await open(t).code(value), 'VALID');
});

test('a bucket is a name or an id; another one is FORBIDDEN', async (t) => {
  const connection = open(t);
  const { id } = expect(await api.get(`${api.buckets}/production`), 200).body;
  await api.makeBucket('other');
  for (const bucket of ['production', id]) assert.equal(await connection.code(good.key, { bucket }), 'VALID');
  for (const bucket of ['other', 'nobody']) assert.equal(await connection.code(good.key, { bucket }), 'FORBIDDEN');
  assert.equal(await connection.code(good.key, { bucket: 'production', maxStalenessMs: 0, minIndex: 1 }), 'VALID');
});

test('a frame without keys tells how the node stands', async (t) => {
  const answer = await open(t).ask([]);
  assert.deepEqual(answer.results, []);
  assert.ok(answer.index > 0);
  assert.equal(answer.ageMs, 0);
});

test('128 keys fit a frame; all are answered in order', async (t) => {
  const connection = open(t);
  const keys = Array.from({ length: 128 }, (_, i) => (i % 3 === 0 ? good.key : i % 3 === 1 ? strangerKey() : misspelled()));
  const answer = await connection.ask(keys);
  assert.deepEqual(codes(answer), keys.map((_, i) => ['VALID', 'NOT_FOUND', 'MALFORMED'][i % 3]));
});

test('pipelined frames are answered in order, however the bytes arrive', async (t) => {
  const kinds = [[good.key], [], [strangerKey(), good.key], [misspelled()]];
  const expected = [['VALID'], [], ['NOT_FOUND', 'VALID'], ['MALFORMED']];
  const total = 2000;
  const bytes = Buffer.concat(Array.from({ length: total }, (_, i) => request(i, kinds[i % 4])));
  const check = (answers) =>
    answers.forEach((answer, i) => {
      assert.equal(answer.tag, i);
      assert.deepEqual(codes(answer), expected[i % 4]);
    });
  const whole = open(t);
  whole.write(bytes);
  check(await whole.some(total));
  for (const size of [1, 7, 1000, 16_384]) {
    const connection = open(t);
    connection.socket.setNoDelay(true);
    const part = bytes.subarray(0, size === 1 ? 4000 : bytes.length);
    for (let at = 0; at < part.length; at += size) {
      connection.write(part.subarray(at, at + size));
      if (at % (size * 50) === 0) await new Promise(setImmediate);
    }
    let frames = 0;
    for (let at = 0; at + 4 <= part.length && at + 4 + part.readUInt32LE(at) <= part.length; at += 4 + part.readUInt32LE(at)) frames++;
    check(await connection.some(frames));
  }
});

test('many connections at once, each with its own order', async (t) => {
  const connections = Array.from({ length: 50 }, () => open(t));
  const each = 40;
  connections.forEach((one, n) => one.write(Buffer.concat(Array.from({ length: each }, (_, i) => request(n * 1000 + i, [i % 2 ? good.key : strangerKey()])))));
  for (const [n, one] of connections.entries())
    (await one.some(each)).forEach((answer, i) => {
      assert.equal(answer.tag, n * 1000 + i);
      assert.deepEqual(codes(answer), [i % 2 ? 'VALID' : 'NOT_FOUND']);
    });
});

test('a frame that breaks the rules: what came before is answered, an error frame says why, the end', async (t) => {
  const key = Buffer.concat([Buffer.from([good.key.length, 0]), Buffer.from(good.key)]);
  const cases = [
    ['LENGTH', Buffer.from([0, 0, 0, 0])],
    ['LENGTH', Buffer.from([0xff, 0xff, 0xff, 0xff])],
    ['LENGTH', frame({ tag: 9, length: 16_381 })],
    ['LENGTH', Buffer.from('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')],
    ['LENGTH', Buffer.from('160301020001000001fc0303', 'hex')],
    ['OP', frame({ tag: 9, op: 77 })],
    ['FLAGS', frame({ tag: 9, flags: 8 })],
    ['COUNT', frame({ tag: 9, count: 129 })],
    ['COUNT', frame({ tag: 9, count: 65_535 }, key)],
    ['SHAPE', frame({ tag: 9, count: 2 }, key)],
    ['SHAPE', frame({ tag: 9, count: 1 }, key, Buffer.from([0]))],
    ['SHAPE', frame({ tag: 9, count: 1 }, Buffer.from([0xff, 0xff]), Buffer.from('x'))],
    ['SHAPE', frame({ tag: 9, flags: 1 }, Buffer.alloc(7))],
    ['SHAPE', frame({ tag: 9, flags: 4 }, Buffer.from([44, 1]), Buffer.alloc(300))],
  ];
  for (const [fault, bytes] of cases) {
    const connection = open(t);
    connection.write(Buffer.concat([request(1, [good.key]), bytes, request(3, [good.key])]));
    const [first, error] = await connection.some(2);
    assert.deepEqual([first.tag, ...codes(first)], [1, 'VALID']);
    assert.deepEqual([error.op, error.fault], [255, FAULTS[fault]], bytes.toString('hex'));
    assert.match(error.text, /\w/);
    connection.end();
    await connection.closed();
    assert.deepEqual(connection.answers, [], 'nothing behind the error is answered');
  }
  assert.ok((await node.metric('requests_total{route="binary",status="400"}')) >= cases.length);
  assert.ok((await node.metric('requests_total{route="binary",status="200"}')) > cases.length);
});

test('a half-closed connection is answered to its last whole frame', async (t) => {
  const connection = open(t);
  connection.write(Buffer.concat([request(1, [good.key]), request(2, [strangerKey()]), request(3, [good.key]).subarray(0, 20)]));
  connection.end();
  await connection.closed();
  assert.deepEqual(connection.answers.map(({ tag }) => tag), [1, 2]);
});

test('a connection that sends half a frame and no more is closed', async (t) => {
  const slow = await startNode({ dataDir: dataDirFor(t), flags: ['--request-timeout-ms', '500'] });
  const connection = open(t, slow.binary);
  connection.write(request(1, [good.key]).subarray(0, 20));
  await connection.closed();
  await slow.stop();
});

test('a key that is revoked while its connection is open is refused from then on', async (t) => {
  const connection = open(t);
  const key = await api.makeKey('caller');
  assert.equal(await connection.code(key.key), 'VALID');
  expect(await api.post(`${api.keys('caller')}/${key.id}/revoke`), 200);
  assert.equal(await connection.code(key.key), 'REVOKED');
});

test('minIndex waits for the node to get there, a second at most; what is behind it waits too', async (t) => {
  const connection = open(t);
  const { index } = await connection.ask([]);
  connection.write(Buffer.concat([request(101, [good.key], { minIndex: index + 1 }), request(102, [good.key])]));
  const written = await api.makeKey('caller');
  const [first, second] = await connection.some(2);
  assert.deepEqual([first.tag, ...codes(first), second.tag, ...codes(second)], [101, 'VALID', 102, 'VALID']);
  assert.ok(first.index >= index + 1);
  assert.equal(await connection.code(written.key, { minIndex: first.index }), 'VALID');

  connection.write(Buffer.concat([request(103, [good.key, misspelled()], { minIndex: first.index + 1_000_000 }), request(104, [good.key])]));
  const [late, next] = await connection.some(2);
  assert.deepEqual([late.tag, ...codes(late), next.tag, ...codes(next)], [103, 'STALE', 'STALE', 104, 'VALID']);
});

test('a connection that waits for an index may go away', async () => {
  const connection = binary(node.binary);
  const { index } = await connection.ask([]);
  connection.write(request(1, [good.key], { minIndex: index + 1_000_000 }));
  connection.socket.resetAndDestroy();
  await until(async () => (await node.metric('connections_open')) <= 1, { what: 'the connection to be gone' });
});

test('the unix socket speaks the same, and is closed to others', async (t) => {
  const dataDir = dataDirFor(t);
  const path = join(dataDir, 'binary.sock');
  const other = await startNode({ dataDir, flags: ['--binary-unix', path, '--binary-listen', ''] });
  const its = client(other);
  await its.makeConsumer('caller');
  const { key } = await its.makeKey('caller');
  const connection = open(t, path);
  assert.deepEqual(codes(await connection.ask([key, strangerKey()])), ['VALID', 'NOT_FOUND']);
  assert.equal(other.binary, undefined, 'no TCP listener was asked for');
  assert.equal(statSync(path).mode & 0o007, 0);
});

test('a stop ends idle connections, and answers what is under way', async (t) => {
  const other = await startNode({ dataDir: dataDirFor(t) });
  const idle = open(t, other.binary);
  const waiting = open(t, other.binary);
  assert.equal(await idle.code(strangerKey()), 'NOT_FOUND');
  const { index } = await waiting.ask([]);
  waiting.write(request(7, [strangerKey()], { minIndex: index + 1_000_000 }));
  await other.stop();
  await Promise.all([idle.closed(), waiting.closed()]);
  assert.deepEqual(codes(waiting.answers[0]), ['STALE']);
});

test('a peer that asks and takes no answers is held, and cut when it goes on like that', async (t) => {
  const other = await startNode({ dataDir: dataDirFor(t), flags: ['--serve-threads', '1', '--request-timeout-ms', '1500'] });
  const its = client(other);
  await its.makeConsumer('caller', { metadata: { text: 'x'.repeat(900) } });
  const { key } = await its.makeKey('caller');
  const frames = 3000;
  const bytes = Buffer.concat(Array.from({ length: frames }, (_, i) => request(i, Array(32).fill(key))));
  const connection = open(t, other.binary);
  connection.socket.pause();
  connection.write(bytes);
  const answered = () => other.metric('requests_total{route="binary",status="200"}');
  await until(answered, { what: 'a first answer' });
  await until(async () => (await other.metric('connections_open')) <= 1, { what: 'the connection to be cut' });
  assert.ok((await answered()) < frames, 'not all of it was answered into memory');
});

test('a peer that takes its answers late gets them all', async (t) => {
  const connection = open(t);
  const frames = 3000;
  connection.socket.pause();
  connection.write(Buffer.concat(Array.from({ length: frames }, (_, i) => request(i, Array(32).fill(good.key)))));
  const before = await node.metric('requests_total{route="binary",status="200"}');
  await until(async () => (await node.metric('requests_total{route="binary",status="200"}')) > before, { what: 'some answers' });
  connection.socket.resume();
  (await connection.some(frames)).forEach((answer, i) => assert.equal(answer.tag, i));
});

test('the ceiling of connections is one for both protocols', async (t) => {
  const other = await startNode({ dataDir: dataDirFor(t), flags: ['--serve-threads', '1', '--connections-max', '3'] });
  await until(async () => (await other.metric('connections_open')) === 1, { what: 'no connection but the asking one' });
  const taken = [];
  for (let i = 0; i < 4; i++) {
    taken.push(open(t, other.binary));
    await taken[i].ask([]);
  }
  await open(t, other.binary).closed();
  await assert.rejects(other.metrics(), 'HTTP is refused as well');
  taken[0].end();
  await taken[0].closed();
  await until(() => other.metric('connections_refused_total').then((count) => count >= 2, () => false), { what: 'room for HTTP' });
});
