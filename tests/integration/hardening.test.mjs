// SPDX-License-Identifier: Apache-2.0
// What callers must not be able to do to each other, or to the node.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { client, exchange, expect, raw, statusesOf } from './lib/http.mjs';
import { foreignValue, misspelled, strangerKey } from './lib/keys.mjs';
import { startNode, until, whileStopped } from './lib/node.mjs';

const postOf = (path, body, more = '') =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

const validateOf = (key, more = {}) => postOf('/v1/validate', JSON.stringify({ key, ...more }));

/** Lets everything that the sockets hold arrive in one turn of the loop. */
function inOneTurn(node, send) {
  return whileStopped(node.pid, async () => {
    send();
    await pause(100);
  });
}

test('an answer goes to the connection that asked, whatever is refused in the same turn', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1'] });
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('alone');
  const { key } = await api.makeKey('alone');
  const sent = [
    [validateOf(key), /"code":"VALID"/],
    [validateOf(strangerKey()), /"code":"NOT_FOUND"/],
    [postOf('/v1/validate', '{"key":17}'), / 400 .*key: expected a string/s],
    [validateOf(misspelled()), /"code":"MALFORMED"/],
    [postOf('/v1/validate', 'nonsense'), / 400 /],
    [validateOf(key, { explain: true }), / 401 /],
    [validateOf(key), /"code":"VALID"/],
    [postOf('/v1/validate', '{}').replace('application/json', 'text/html'), / 415 /],
    ['GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n', /\r\n\r\nok\n$/],
  ];
  const connections = sent.map(() => raw(node));
  t.after(() => connections.forEach((connection) => connection.destroy()));
  await Promise.all(connections.map((connection) => new Promise((done) => connection.socket.on('connect', done))));
  const seen = connections.map(() => 0);
  for (let round = 0; round < 3; round++) {
    await inOneTurn(node, () => connections.forEach((connection, i) => connection.write(sent[i][0])));
    for (const [i, connection] of connections.entries()) {
      const received = (await connection.until((text) => text.indexOf('\r\n\r\n', seen[i]) > 0)).slice(seen[i]);
      assert.match(received, sent[i][1]);
      assert.equal(statusesOf(received).length, 1, received);
      seen[i] += received.length;
    }
  }
});

// One turn: a revocation is handed over, long batches are answered while it is applied, and then the
// question, which was looked up before all that.
test('minIndex is not answered by what was found before that index', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1'] });
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('c');
  const { headers, body } = expect(await api.post(api.keys('c'), {}), 200);
  const minIndex = Number(headers.get('keyreeve-index')) + 1;
  const batch = JSON.stringify(Array.from({ length: 250 }, () => ({ key: body.key, scopes: [] })));
  const sent = [
    `POST ${api.keys('c')}/${body.id}/revoke HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${node.token}\r\nContent-Length: 0\r\n\r\n`,
    ...Array(62).fill(postOf('/v1/validate/$batch', batch)),
    validateOf(body.key, { minIndex }),
  ];
  const connections = sent.map(() => raw(node));
  t.after(() => connections.forEach((connection) => connection.destroy()));
  await Promise.all(connections.map((connection) => new Promise((done) => connection.socket.on('connect', done))));
  await inOneTurn(node, () => connections.forEach((connection, i) => connection.write(sent[i])));
  const received = await connections.at(-1).until((text) => text.endsWith('}'));
  const { code, index } = JSON.parse(received.slice(received.indexOf('\r\n\r\n')));
  assert.ok(code === 'REVOKED' && index >= minIndex, received);
  assert.deepEqual(statusesOf(await connections[0].until((text) => text.endsWith('}'))), [200]);
});

test('a peer that asks and asks but takes no answers is not answered into memory', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1'] });
  t.after(() => node.remove());
  const asked = 1000;
  const connection = connect(node.port, '127.0.0.1');
  t.after(() => connection.destroy());
  connection.pause();
  connection.write('GET /openapi HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(asked));
  const answered = () => node.metric('requests_total{route="openapi",status="200"}');
  await until(answered, { what: 'a first answer' });
  await pause(1000);
  assert.ok((await answered()) < asked / 2, `${await answered()} answers wait in memory`);

  let received = 0;
  connection.on('data', (bytes) => (received += bytes.toString('latin1').split('HTTP/1.1 200 OK\r\n').length - 1));
  connection.resume();
  await until(async () => (await answered()) === asked, { what: 'the other answers' });
  await until(() => received >= asked - 20, { what: 'the other answers to arrive' }); // some heads arrive in two parts
});

test('a stop waits for the calls under way, also past the stop timeout', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '2', '--stop-timeout-ms', '0'] });
  t.after(() => node.remove());
  const api = client(node);
  const rows = Array.from({ length: 2000 }, (_, i) => ({ consumer: `consumer-${i}`, key: foreignValue() }));
  expect(await api.post(`${api.buckets}/production/$import`, { rows }), 200);
  const calls = Array.from({ length: 200 }, () => api.get(`${api.consumers()}?tag.no=such&limit=1`));
  calls.push(...Array.from({ length: 20 }, (_, i) => api.post(api.consumers(), { name: `late-${i}` })));
  let answered = 0;
  for (const call of calls) call.then(() => answered++, () => {});
  const ended = Promise.allSettled(calls);
  // All have come when none is missing from those that are answered and those that are under way.
  await until(async () => answered + (await node.metric('calls_under_way')) >= calls.length, { what: 'every call to come' });
  await node.stop();
  assert.match(node.stderr, /"event":"stopping","callsUnderWay":[1-9]/);
  for (const { status, value, reason } of await ended) {
    assert.equal(status, 'fulfilled', `${reason?.cause ?? reason}`);
    assert.ok([200, 503].includes(value.status), value.text); // 503: it has not begun
  }
});

test('a bucket that is required but empty or named twice lets nobody in', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('routed');
  const { key } = await api.makeKey('routed');
  const ask = (query) => exchange(node, { path: `/authz/nginx${query}`, headers: { 'x-api-key': key } });
  expect(await ask('?bucket=production'), 200);
  expect(await ask('?bucket=preview'), 403);
  for (const query of ['?bucket=', '?bucket', '?bucket=preview&bucket=production', '?bucket=production&bucket=']) {
    const answer = expect(await ask(query), 403);
    assert.equal(answer.headers.get('x-error-status'), '503', query);
    assert.equal(answer.headers.get('x-consumer-id'), null, query);
  }
});

test('a revocation of a whole bucket gets through while others keep changing the bucket', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  const api = client(node);
  let isOver = false;
  const statuses = {};
  const change = async (i) => {
    for (let round = 0; !isOver; round++) {
      const { status } = await api.patch(`${api.buckets}/production`, { description: `${i}.${round}` });
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  const changes = Array.from({ length: 16 }, (_, i) => change(i));
  for (let i = 0; i < 10; i++) {
    const before = statuses[200] ?? 0;
    expect(await api.post(`${api.buckets}/production/revoke`, { confirm: 'production' }), 200);
    await until(() => statuses[200] > before, { what: () => `a change; there were ${JSON.stringify(statuses)}` });
  }
  isOver = true;
  await Promise.all(changes);
  t.diagnostic(`the changes were answered ${JSON.stringify(statuses)}`);
});

test('who has no token may not send a large body to the management API', async (t) => {
  const node = await startNode({ flags: ['--stop-timeout-ms', '100'] });
  t.after(() => node.remove());
  const head = (token) =>
    `POST ${client(node).buckets}/production/$import HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Length: 10000000\r\n\r\n`;
  for (const token of [strangerKey('kr_mgmt'), `${node.token}\r\nAuthorization: Bearer ${node.token}`]) {
    const connection = raw(node);
    connection.write(head(token)); // no byte of the body: the answer does not wait for it
    const received = await connection.until((_, closed) => closed);
    assert.match(received, /^HTTP\/1.1 401 .*\r\nWWW-Authenticate: Bearer .*\r\nConnection: close\r\n|^HTTP\/1.1 401 .*Connection: close\r\n.*WWW-Authenticate: Bearer/s);
  }
  const connection = raw(node);
  t.after(() => connection.destroy());
  connection.write(head(node.token));
  await pause(100);
  assert.equal(connection.received, '');
});

// 5 MiB lie in 8 MiB of memory, and 40 of these are more than 256 MiB.
test('large bodies that come together are bounded together', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1', '--stop-timeout-ms', '100'] });
  t.after(() => node.remove());
  const { buckets } = client(node);
  const connections = Array.from({ length: 40 }, () => raw(node));
  t.after(() => connections.forEach((connection) => connection.destroy()));
  const begun = 'x'.repeat(5 << 20);
  for (const connection of connections)
    connection.write(`POST ${buckets}/production/$import HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${node.token}\r\nTransfer-Encoding: chunked\r\n\r\n1000000\r\n${begun}`);
  const refused = () => connections.filter((connection) => connection.received !== '');
  await until(() => refused().length > 0, { what: 'a refusal' });
  assert.ok(refused().length < 30, `${refused().length}`);
  for (const connection of refused()) assert.match(connection.received, /^HTTP\/1.1 503 .*Retry-After: 1\r\n/s);
  assert.equal(await client(node).code(strangerKey()), 'NOT_FOUND');
});
