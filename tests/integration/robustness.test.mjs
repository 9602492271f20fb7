// SPDX-License-Identifier: Apache-2.0
// Clients that are many, slow, silent, greedy or gone.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { client, exchange, expect, expectProblem, raw, statusesOf } from './lib/http.mjs';
import { startNode, until } from './lib/node.mjs';

const REQUEST_TIMEOUT_MS = 1500;
const IDLE_TIMEOUT_MS = 2500;

let node;
let hasty; // with short deadlines; asked over connections of their own, as kept ones end any time
let api;
let key;
before(async () => {
  node = await startNode();
  hasty = await startNode({ flags: ['--request-timeout-ms', `${REQUEST_TIMEOUT_MS}`, '--idle-timeout-ms', `${IDLE_TIMEOUT_MS}`] });
  api = client(node);
  await api.makeConsumer('c');
  key = await api.makeKey('c');
});
after(async () => {
  await node.remove();
  await hasty.remove();
});

const head = (method, path, more = '') => `${method} ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
const validation = () => {
  const body = JSON.stringify({ key: key.key });
  return `${head('POST', '/v1/validate', `Content-Length: ${body.length}\r\n`)}${body}`;
};
const onlyMetrics = (target = node) => until(async () => (await target.metric('connections_open')) <= 4, { what: 'the connections to go', everyMs: 50 });

test('1,000 connections at once are all served, and all gone afterwards', async () => {
  const accepted = await node.metric('connections_accepted_total');
  const connections = Array.from({ length: 1000 }, () => raw(node));
  for (const connection of connections) connection.write(validation());
  const answers = await Promise.all(connections.map((connection) => connection.until((text) => text.endsWith('}'))));
  for (const answer of answers) assert.match(answer, /"code":"VALID"/);
  for (const connection of connections) connection.write(validation());
  await Promise.all(connections.map((connection) => connection.until((text) => text.split('"code":"VALID"').length === 3)));
  assert.ok((await node.metric('connections_accepted_total')) >= accepted + 1000);
  for (const connection of connections) connection.destroy();
  await onlyMetrics();
});

/** Sends crumbs until the node closes; how long that took. */
async function dribble(start, crumb) {
  const connection = raw(hasty);
  const started = Date.now();
  connection.write(start);
  while (!connection.closed) {
    connection.write(crumb);
    await pause(50);
    if (Date.now() - started > 20_000) throw new Error('the node keeps a slow client');
  }
  return Date.now() - started;
}

test('a head or a body that dribbles in is cut off at the request timeout', async () => {
  const tookMs = await Promise.all([
    dribble('G', 'a'),
    dribble('GET /healthz HTTP/1.1\r\nHost: a\r\n', 'X: y\r\n'),
    dribble(head('POST', '/v1/validate', 'Content-Length: 60000\r\n'), 'x'),
    dribble(head('POST', '/v1/validate', 'Transfer-Encoding: chunked\r\n'), '1\r\nx\r\n'),
  ]);
  for (const ms of tookMs) assert.ok(ms >= REQUEST_TIMEOUT_MS - 100 && ms < REQUEST_TIMEOUT_MS + 4000, `${tookMs}`);
  assert.equal((await exchange(hasty, { path: '/healthz', agent: false })).status, 200);
});

test('a silent connection is closed at the idle timeout, also behind a request', async () => {
  const started = Date.now();
  const [silent, served] = [raw(hasty), raw(hasty)];
  served.write(head('GET', '/healthz'));
  await Promise.all([silent, served].map((connection) => connection.until((_, closed) => closed)));
  const tookMs = Date.now() - started;
  assert.ok(tookMs >= IDLE_TIMEOUT_MS - 100 && tookMs < IDLE_TIMEOUT_MS + 4000, `${tookMs} ms`);
  assert.deepEqual(statusesOf(served.received), [200]);
  assert.equal(silent.received, '');
});

test('a body over its route\'s limit is 413 before it is sent, and ends the connection', async () => {
  for (const [path, limit] of [['/v1/validate', 65536], ['/v1/validate/$batch', 1 << 20], [api.buckets, 1 << 20], [`${api.keys('c')}/$bulk`, 16 << 20], ['/absent', 65536]]) {
    const connection = raw(node);
    connection.write(head('POST', path, `Authorization: Bearer ${node.token}\r\nContent-Length: ${limit + 1 + (path === '/absent' ? 1 << 20 : 0)}\r\n`));
    assert.deepEqual(statusesOf(await connection.until((_, closed) => closed)), [413], path);
  }
});

test('a chunked body over the limit is 413 when it passes it', async () => {
  const connection = raw(node);
  const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
  connection.write(head('POST', '/v1/validate', 'Transfer-Encoding: chunked\r\n'));
  for (let i = 0; i < 8 && !connection.closed; i++) connection.write(chunk);
  const received = await connection.until((text, closed) => closed || text.includes('413'));
  assert.match(received, /^HTTP\/1\.1 413 /);
});

test('a chunked body within the limit is read whole, through fetch and byte by byte', async () => {
  const body = JSON.stringify({ key: key.key, path: 'x'.repeat(20_000) });
  const answer = await exchange(node, { method: 'POST', path: '/v1/validate', headers: { 'transfer-encoding': 'chunked' }, body });
  assert.equal(JSON.parse(answer.text).code, 'VALID');
  const connection = raw(node);
  connection.socket.setNoDelay(true);
  const small = JSON.stringify({ key: key.key });
  for (const byte of `${head('POST', '/v1/validate', 'Transfer-Encoding: chunked\r\n')}${[...small].map((letter) => `1;x=y\r\n${letter}\r\n`).join('')}0\r\n\r\n`) {
    connection.write(byte);
    await new Promise(setImmediate);
  }
  assert.match(await connection.until((text) => text.endsWith('}')), /"code":"VALID"/);
  connection.destroy();
});

test('a head that is too large or has too many fields is refused', async () => {
  for (const more of [`X: ${'y'.repeat(20_000)}\r\n`, 'X: y\r\n'.repeat(2000)]) {
    const connection = raw(node);
    connection.write(head('GET', '/healthz', more));
    const [status] = statusesOf(await connection.until((_, closed) => closed));
    assert.ok([400, 413, 431].includes(status), `${status}`);
  }
  const connection = raw(node);
  connection.write(head('GET', `/${'x'.repeat(20_000)}`));
  const [status] = statusesOf(await connection.until((_, closed) => closed));
  assert.ok([400, 413, 414, 431].includes(status), `${status}`);
});

test('pipelined requests of every kind are answered in their order', async () => {
  const authorization = `Authorization: Bearer ${node.token}\r\n`;
  const consumer = JSON.stringify({ name: 'piped' });
  const kinds = [
    [validation(), 200, '"VALID"'],
    [head('GET', '/v1/who-am-i', authorization), 200, '"roles"'],
    [head('GET', '/healthz'), 200, 'ok'],
    [`${head('POST', api.consumers(), `${authorization}Content-Length: ${consumer.length}\r\n`)}${consumer}`, [200, 409], 'piped'],
    [head('GET', '/absent'), 404, 'no such path'],
    [head('GET', '/v1/validate'), 405, 'Allow'],
    [head('GET', `${api.keys('c')}`, authorization), 200, '"data"'],
    [head('GET', '/authz/nginx', `X-API-Key: ${key.key}\r\n`), 200, ''],
    [head('GET', '/authz/forward'), 401, 'API key'],
    [head('GET', '/v1/who-am-i'), 401, 'token'],
  ];
  const order = Array.from({ length: 60 }, (_, i) => kinds[(i * 7 + (i >> 2)) % kinds.length]);
  const connection = raw(node);
  connection.write(order.map(([request]) => request).join('') + head('GET', '/healthz', 'Connection: close\r\n'));
  const statuses = statusesOf(await connection.until((_, closed) => closed));
  assert.equal(statuses.length, order.length + 1);
  order.forEach(([, expected], i) => assert.ok([expected].flat().includes(statuses[i]), `answer ${i}: ${statuses[i]}, not ${expected}`));
});

test('requests in one write behind a slow one are answered after it', async () => {
  const body = JSON.stringify({ key: key.key, minIndex: 1e9 });
  const connection = raw(node);
  connection.write(`${head('POST', '/v1/validate', `Content-Length: ${body.length}\r\n`)}${body}${head('GET', '/healthz', 'Connection: close\r\n')}`);
  assert.deepEqual(statusesOf(await connection.until((_, closed) => closed)), [503, 200]);
});

test('a client that has closed its side still gets its answers', async () => {
  const connection = raw(node);
  connection.write(validation() + head('GET', '/v1/who-am-i', `Authorization: Bearer ${node.token}\r\n`) + validation());
  connection.end();
  assert.deepEqual(statusesOf(await connection.until((_, closed) => closed)), [200, 200, 200]);
  const half = raw(node);
  half.write('GET /healthz HTT');
  half.end();
  assert.equal(await half.until((_, closed) => closed), '', 'half a request has no answer');
});

test('Connection: close and HTTP/1.0 end the connection, keep-alive of 1.0 keeps it', async () => {
  for (const [request, count] of [[head('GET', '/healthz', 'Connection: close\r\n'), 1], ['GET /healthz HTTP/1.0\r\n\r\n', 1]]) {
    const connection = raw(node);
    connection.write(request + head('GET', '/healthz'));
    assert.equal(statusesOf(await connection.until((_, closed) => closed)).length, count);
  }
  const kept = raw(node);
  const asked = 'GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n';
  kept.write(asked);
  await kept.until((text) => text.endsWith('ok\n'));
  kept.write(asked + head('GET', '/healthz', 'Connection: close\r\n'));
  const received = await kept.until((_, closed) => closed);
  assert.deepEqual(statusesOf(received), [200, 200, 200]);
});

test('Expect: 100-continue is told to go on, and other expectations are refused', async () => {
  const body = JSON.stringify({ key: key.key });
  const connection = raw(node);
  connection.write(head('POST', '/v1/validate', `Expect: 100-continue\r\nConnection: close\r\nContent-Length: ${body.length}\r\n`));
  await connection.until((text) => text === 'HTTP/1.1 100 Continue\r\n\r\n');
  connection.write(body);
  assert.deepEqual(statusesOf(await connection.until((_, closed) => closed)), [100, 200]);
  const large = raw(node);
  large.write(head('POST', '/v1/validate', 'Expect: 100-continue\r\nContent-Length: 70000\r\n'));
  assert.deepEqual(statusesOf(await large.until((_, closed) => closed)), [413]);
});

test('a client that never reads is cut off, and others do not feel it', async () => {
  const socket = connect({ port: hasty.port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.pause();
  let isClosed = false;
  socket.on('close', () => (isClosed = true));
  const request = head('GET', '/openapi');
  socket.write(request.repeat(400));
  const before = await hasty.metric('requests_refused_total');
  await until(async () => (await hasty.metric('requests_refused_total')) > before || isClosed, { what: 'the greedy client to be cut off', everyMs: 50 });
  assert.equal((await exchange(hasty, { path: '/healthz', agent: false })).status, 200);
  socket.destroy();
  await onlyMetrics(hasty);
});

test('a client that goes away during a management call changes nothing about it', async (t) => {
  const names = Array.from({ length: 30 }, (_, i) => `gone-${i}`);
  await Promise.all(
    names.map(async (name) => {
      const body = JSON.stringify({ name });
      const connection = raw(node);
      connection.write(`${head('POST', api.consumers(), `Authorization: Bearer ${node.token}\r\nContent-Length: ${body.length}\r\n`)}${body}`);
      await new Promise((done) => connection.socket.once('connect', done));
      await new Promise(setImmediate);
      connection.socket.resetAndDestroy?.() ?? connection.destroy();
    }),
  );
  await onlyMetrics();
  const made = expect(await api.get(`${api.consumers()}?q=gone-&limit=1000`), 200).body.data.map(({ name }) => name);
  t.diagnostic(`${made.length} of ${names.length} consumers were made`);
  for (const name of names) {
    const { status, text } = await api.post(api.consumers(), { name });
    // One that was under way yet may have come in between.
    assert.ok(status === 409 || (status === 200 && !made.includes(name)), `${name}: ${status} ${text}`);
  }
  const { data } = expect(await api.get(`${api.consumers()}?q=gone-&limit=1000`), 200).body;
  assert.deepEqual(data.map(({ name }) => name).sort(), [...names].sort());
});

test('connections over the ceiling are refused, and room that comes free is given away', async () => {
  const small = await startNode({ flags: ['--connections-max', '10', '--serve-threads', '1'] });
  const connections = Array.from({ length: 40 }, () => raw(small));
  await until(() => connections.filter((connection) => connection.closed).length >= 29, { what: 'refusals' });
  for (const connection of connections) connection.destroy();
  const answer = await until(() => exchange(small, { path: '/healthz' }).catch(() => undefined), { what: 'room again' });
  assert.equal(answer.status, 200);
  assert.ok((await small.metric('connections_refused_total')) >= 29);
  await small.remove();
});

test('a client that reads a long answer slowly gets all of it, past any deadline', async () => {
  const tag = 'd'.repeat(1000);
  const body = JSON.stringify(Array.from({ length: 10_000 }, () => ({ description: tag })));
  await client(hasty).makeConsumer('slow');
  const socket = connect(hasty.port, '127.0.0.1');
  socket.write(`${head('POST', `${api.keys('slow')}/$bulk`, `Authorization: Bearer ${hasty.token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n`)}${body}`);
  const begun = Date.now();
  let received = 0;
  let announced = 0;
  for await (const bytes of socket) {
    if (received === 0) announced = Number(/Content-Length: (\d+)/.exec(bytes.toString('latin1'))[1]);
    received += bytes.length;
    if (Date.now() - begun < 2.5 * REQUEST_TIMEOUT_MS) await pause(20);
  }
  assert.ok(announced > 10_000_000);
  assert.ok(received > announced, `${received} of ${announced} bytes came`);
});

test('large bodies and large answers pass whole', async () => {
  const bulk = expect(await api.post(`${api.keys('c')}/$bulk`, Array.from({ length: 10_000 }, (_, i) => ({ description: `${i} ${'d'.repeat(1000)}` }))), 200).body;
  assert.equal(bulk.data.length, 10_000);
  assert.ok(bulk.data.every((item, i) => item.description.startsWith(`${i} `)));
  expectProblem(await api.post(`${api.keys('c')}/$bulk`, Array.from({ length: 10_001 }, () => ({}))), 400, /10000/);
});
