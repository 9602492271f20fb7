// SPDX-License-Identifier: Apache-2.0
// The binary validation protocol over real sockets: verdicts, order, bounds, and what breaks it.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { FAULTS, binary, frame, request } from './lib/binary.mjs';
import { client, expect } from './lib/http.mjs';
import { foreignValue, misspelled, sha256, strangerKey } from './lib/keys.mjs';
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
    ['SHAPE', request(9, [good.key], { bucket: '' })],
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
  const crumbs = open(t, slow.binary);
  const frame = [...request(1, [good.key])];
  const drip = setInterval(() => crumbs.write(Buffer.from([frame.shift()])), 200);
  t.after(() => clearInterval(drip));
  await Promise.all([connection.closed(), crumbs.closed()]);
  assert.ok(frame.length > 0, 'it was closed before its frame was whole');
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
  const other = await startNode({ dataDir: dataDirFor(t), flags: ['--serve-threads', '1', '--connections-max', '4'] });
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

// --- subscriptions --------------------------------------------------------------------------------

const subscription = (tag) => frame({ tag, op: 2 });

/** A connection that is subscribed: its lease has been given. */
async function subscribed(t) {
  const connection = open(t);
  connection.write(subscription(77));
  const lease = await connection.next();
  assert.deepEqual([lease.op, lease.tag, lease.dropsAll, lease.lost], [2, 77, false, []]);
  assert.ok(lease.leaseMs > 0 && lease.leaseMs <= 2000, `${lease.leaseMs}`);
  assert.ok(lease.index > 0);
  return connection;
}

test('a subscriber hears of every key that stops being good, once, and of no new one', async (t) => {
  const connection = await subscribed(t);
  const second = await subscribed(t);
  const keys = [];
  for (let i = 0; i < 4; i++) keys.push(await api.makeKey('caller'));
  const [revoked, deleted, disabled, expired] = keys;
  const path = ({ id }) => `${api.keys('caller')}/${id}`;
  assert.deepEqual((await connection.ask(keys.map(({ key }) => key))).results.map(({ code, mayKeep }) => [code, mayKeep]), keys.map(() => ['VALID', true]));
  const indexes = [
    await api.post(`${path(revoked)}/revoke`),
    await api.delete(path(deleted)),
    await api.patch(path(disabled), { enabled: false }),
    await api.patch(path(expired), { expiresOn: '2020-01-01T00:00:00Z' }),
  ].map((answer) => Number(answer.headers.get('keyreeve-index')));
  for (const one of [connection, second]) {
    const lost = [];
    while (lost.length < 4) {
      const news = await one.next();
      assert.deepEqual([news.op, news.tag, news.dropsAll, news.leaseMs], [2, 0, false, undefined]);
      assert.ok(news.index + 1 >= news.lost.at(-1).revision);
      lost.push(...news.lost);
    }
    assert.deepEqual(lost, keys.map(({ key }, i) => ({ digest: sha256(key, 'hex'), revision: indexes[i] })));
  }
  assert.deepEqual(codes(await connection.ask(keys.map(({ key }) => key))), ['REVOKED', 'REVOKED', 'DISABLED', 'EXPIRED']);
});

test('when many keys go at once, everything is to be dropped', async (t) => {
  await api.makeBucket('doomed');
  await api.makeConsumer('one', {}, 'doomed');
  await api.makeConsumer('two', {}, 'doomed');
  const { key } = await api.makeKey('one', {}, 'doomed');
  const connection = await subscribed(t);
  assert.equal(await connection.code(key), 'VALID');
  expect(await api.post(`${api.consumers('doomed')}/one/revoke`, { confirm: 'one' }), 200);
  assert.equal((await connection.next()).dropsAll, true);
  assert.equal(await connection.code(key), 'REVOKED');
  expect(await api.post(`${api.buckets}/doomed/revoke`, { confirm: 'doomed' }), 200);
  assert.equal((await connection.next()).dropsAll, true);
  expect(await api.delete(`${api.consumers('doomed')}/two`), 204);
  assert.equal((await connection.next()).dropsAll, true);
  expect(await api.delete(`${api.buckets}/doomed`), 204);
  assert.equal((await connection.next()).dropsAll, true);
});

test('when a bucket demands younger knowledge, everything is to be dropped; when less, nothing', async (t) => {
  await api.makeBucket('tightened', { maxStalenessMs: 60_000 });
  await api.makeConsumer('one', {}, 'tightened');
  const { key, id } = await api.makeKey('one', {}, 'tightened');
  const connection = await subscribed(t);
  const mayKeep = async () => (await connection.ask([key])).results[0].mayKeep;
  const setBound = async (maxStalenessMs) => expect(await api.patch(`${api.buckets}/tightened`, { maxStalenessMs }), 200);
  assert.equal(await mayKeep(), true);
  await setBound(500);
  assert.equal((await connection.next()).dropsAll, true);
  assert.equal(await mayKeep(), false);
  await setBound(30_000);
  assert.equal(await mayKeep(), true);
  expect(await api.patch(`${api.keys('one', 'tightened')}/${id}`, { description: 'the next news' }), 200);
  const news = await connection.next();
  assert.deepEqual([news.dropsAll, news.lost.map(({ digest }) => digest)], [false, [sha256(key, 'hex')]]);
});

test('what could end without news may not be kept', async (t) => {
  const connection = open(t);
  await api.makeBucket('strict', { maxStalenessMs: 500 });
  await api.makeConsumer('caller', {}, 'strict');
  const soon = await api.makeKey('caller', { expiresOn: new Date(Date.now() + 55_000).toISOString() });
  const later = await api.makeKey('caller', { expiresOn: new Date(Date.now() + 3_600_000).toISOString() });
  const strict = await api.makeKey('caller', {}, 'strict');
  const { results } = await connection.ask([soon.key, later.key, strict.key, strangerKey()]);
  assert.deepEqual(results.map(({ code, mayKeep }) => [code, mayKeep]), [['VALID', false], ['VALID', true], ['VALID', false], ['NOT_FOUND', false]]);
});

test('a lease is renewed in the order of questions, and nobody else is told', async (t) => {
  const connection = await subscribed(t);
  const other = open(t);
  connection.write(Buffer.concat([request(1, [good.key]), subscription(2), request(3, [good.key]), subscription(4)]));
  const answers = await connection.some(4);
  assert.deepEqual(answers.map(({ tag, op }) => [tag, op]), [[1, 1], [2, 2], [3, 1], [4, 2]]);
  const { key, id } = await api.makeKey('caller');
  assert.equal(await other.code(key), 'VALID');
  expect(await api.post(`${api.keys('caller')}/${id}/revoke`), 200);
  assert.equal((await connection.next()).lost[0].digest, sha256(key, 'hex'));
  assert.equal(await other.code(key), 'REVOKED');
  assert.deepEqual(other.answers, []);
});

test('a subscriber that waits for an index, or is gone, does no harm', async (t) => {
  const waiting = await subscribed(t);
  const gone = await subscribed(t);
  gone.socket.resetAndDestroy();
  waiting.write(request(5, [good.key], { minIndex: 1_000_000 }));
  const { key, id } = await api.makeKey('caller');
  expect(await api.post(`${api.keys('caller')}/${id}/revoke`), 200);
  const news = await waiting.next();
  assert.equal(news.lost[0].digest, sha256(key, 'hex'));
  assert.deepEqual(codes(await waiting.next()), ['STALE']);
});

test('a subscriber that waits for an index and is found gone by its news is forgotten', async (t) => {
  const other = await startNode({ dataDir: dataDirFor(t), flags: ['--serve-threads', '1'] });
  const its = client(other);
  await its.makeConsumer('caller');
  const { key, id } = await its.makeKey('caller');
  const [gone, asking] = [open(t, other.binary), open(t, other.binary)];
  gone.write(subscription(1));
  await gone.next();
  const { index } = await asking.ask([]);
  gone.write(request(2, [key], { minIndex: index + 1_000_000 }));
  await asking.ask([]); // by now it waits
  gone.socket.resetAndDestroy();
  expect(await its.post(`${its.keys('caller')}/${id}/revoke`), 200);
  assert.equal(await asking.code(key, { minIndex: index + 1_000_000 }), 'STALE'); // a second later
  assert.equal(await asking.code(key), 'REVOKED');
  await other.stop();
});

test('a subscriber that takes no news is cut', async (t) => {
  const connection = await subscribed(t);
  const deaf = await subscribed(t);
  const { key, id } = await api.makeKey('caller');
  const path = `${api.keys('caller')}/${id}`;
  let isCut = false;
  deaf.socket.on('close', () => (isCut = true));
  deaf.socket.pause();
  // More than all buffers between the two hold, so that its end is seen by a write that fails.
  deaf.write(Buffer.concat(Array.from({ length: 20_000 }, (_, i) => request(i, Array(32).fill(good.key)))));
  // News are told while its answers wait, sooner or later in the node itself.
  await until(
    async () => {
      expect(await api.patch(path, { description: String(Math.random()) }), 200);
      return isCut;
    },
    { what: 'it to be cut', deadlineMs: 60_000, everyMs: 20 },
  );
  assert.equal((await connection.next()).lost[0].digest, sha256(key, 'hex'));
  assert.ok(deaf.answers.length < 20_000, 'it has not got all its answers');
});
