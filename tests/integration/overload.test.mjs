// SPDX-License-Identifier: Apache-2.0
// What one address may take of a node, and what a busy node says.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, constants } from 'node:http2';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Authority } from './lib/certificates.mjs';
import { END_HEADERS, END_STREAM, Frames, TYPE, frame, head, headers } from './lib/frames.mjs';
import { client, exchange, expect, expectProblem, raw, statusesOf } from './lib/http.mjs';
import { foreignValue, strangerKey } from './lib/keys.mjs';
import { dataDirFor, startNode, until } from './lib/node.mjs';

const PROBE = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';

test('one address has so many connections and no more; those behind a trusted proxy are not counted', async (t) => {
  const flags = ['--serve-threads', '1', '--connections-per-address', '5'];
  const node = await startNode({ flags });
  const behindProxy = await startNode({ flags: [...flags, '--trusted-proxies', '127.0.0.0/8'] });
  t.after(() => Promise.all([node.remove(), behindProxy.remove()]));
  const isServed = async (connection) => {
    connection.write(PROBE);
    await connection.until((text, closed) => closed || text.endsWith('ok\n'));
    return connection.received.endsWith('ok\n');
  };
  const held = [];
  t.after(() => held.forEach((connection) => connection.destroy()));
  // The harness may hold one itself.
  do held.push(raw(node));
  while (await isServed(held.at(-1)));
  assert.ok(held.length === 5 || held.length === 6, `${held.length}`);
  assert.equal(held.at(-1).received, '');
  assert.ok((await behindProxy.metric('connections_refused_total')) === 0);
  held[0].destroy();
  await until(
    () => {
      held.push(raw(node));
      return isServed(held.at(-1));
    },
    { what: 'the place of a closed connection to be free', everyMs: 50 },
  );
  const many = Array.from({ length: 20 }, () => raw(behindProxy));
  t.after(() => many.forEach((connection) => connection.destroy()));
  for (const connection of many) connection.write(PROBE);
  for (const connection of many) await connection.until((text) => text.endsWith('ok\n'));
});

test('there are as many connections as there may be, whichever loops they come to', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '4', '--connections-max', '40'] });
  t.after(() => node.remove());
  const held = Array.from({ length: 60 }, () => raw(node));
  t.after(() => held.forEach((connection) => connection.destroy()));
  for (const connection of held) connection.write(PROBE);
  await Promise.all(held.map((connection) => connection.until((text, closed) => closed || text.endsWith('ok\n'))));
  const served = held.filter(({ received }) => received.endsWith('ok\n')).length;
  assert.ok(served >= 37 && served <= 40, `${served}`); // the harness may hold some itself
  for (const connection of held) connection.destroy();
  await until(async () => (await node.metric('connections_open')) <= 4, { what: 'their places to be free' });
});

test('strangers leave places for whom the operator trusts, and for this host', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '2', '--connections-max', '40', '--trusted-proxies', '127.0.0.3/32'] });
  t.after(() => node.remove());
  const from = async (localAddress, count) => {
    const held = Array.from({ length: count }, () => raw({ port: node.port, localAddress }));
    t.after(() => held.forEach((connection) => connection.destroy()));
    for (const connection of held) connection.write(PROBE);
    await Promise.all(held.map((connection) => connection.until((text, closed) => closed || text.endsWith('ok\n'))));
    return held.filter(({ received }) => received.endsWith('ok\n')).length;
  };
  // The harness may hold some itself, and give them up.
  const strangers = (await from('127.0.0.2', 60)) + (await from('127.0.0.2', 10));
  assert.ok(strangers >= 32 && strangers <= 35, `${strangers}`);
  assert.equal(await from('127.0.0.3', 1), 1);
  assert.equal(await from('127.0.0.1', 1), 1);
});

test('large bodies that are announced and do not come keep nobody from anything', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1'] });
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('c');
  const { key } = await api.makeKey('c');
  const announced = Array.from({ length: 300 }, () => raw(node));
  t.after(() => announced.forEach((connection) => connection.destroy()));
  for (const [i, connection] of announced.entries()) {
    const size = i % 2 ? 'Transfer-Encoding: chunked' : 'Content-Length: 1000000';
    connection.write(`POST /authz/forward HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n${size}\r\n\r\n`);
  }
  for (const connection of announced) await connection.until((text) => text.includes('100 Continue'));
  const body = JSON.stringify({ key });
  const chunked = raw(node);
  t.after(() => chunked.destroy());
  chunked.write(`POST /v1/validate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
  await chunked.until((text) => text.includes('"code"'));
  assert.match(chunked.received, /^HTTP\/1.1 200 [^]*"code":"VALID"/);
  const batch = Array.from({ length: 500 }, () => ({ key }));
  const answer = await exchange(node, { method: 'POST', path: '/v1/validate/$batch', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(batch), agent: false });
  assert.equal(answer.status, 200, answer.text);
});

// 16 bodies of 16 MiB are all that fits; of each, what needs the last doubling has come.
test('whole requests that came in one write are answered while large bodies fill the memory', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1', '--request-timeout-ms', '300000'] });
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('c');
  const part = 'x'.repeat((8 << 20) + 65_536);
  const begin = () => {
    const connection = raw(node);
    connection.write(`POST ${api.keys('c')}/$bulk HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${node.token}\r\nContent-Length: ${15 << 20}\r\n\r\n${part}`);
    return connection;
  };
  const large = Array.from({ length: 16 }, begin);
  t.after(() => large.forEach((connection) => connection.destroy()));
  // What asks whether it is full needs some of it, too, and may be what a large one had no room for.
  const refused = () => exchange(node, { method: 'POST', path: '/v1/validate', body: 'x'.repeat(60_000), agent: false }).then(({ status }) => status === 503, () => false);
  const isFull = async () => {
    const isRefused = await refused();
    const gone = large.flatMap((connection, i) => (connection.received === '' && !connection.closed ? [] : [i]));
    for (const i of gone) {
      large[i].destroy();
      large[i] = begin();
    }
    return isRefused && gone.length === 0;
  };
  await until(isFull, { what: 'the memory to be full', everyMs: 200, deadlineMs: 120_000 });
  assert.ok(large.every((connection) => connection.received === ''));
  const piped = raw(node);
  t.after(() => piped.destroy());
  piped.write(PROBE.repeat(2000));
  await piped.until((text, closed) => closed || text.split('ok\n').length > 2000);
  assert.equal(statusesOf(piped.received).filter((status) => status === 200).length, 2000);
});

test('an address that tries tokens is told to wait; good tokens and keys are served on', async (t) => {
  const node = await startNode({ flags: ['--auth-failures-per-minute', '5', '--trusted-proxies', '127.0.0.1/32'] });
  t.after(() => node.remove());
  const api = client(node);
  const stranger = { token: strangerKey('kr_mgmt') };
  const from = (address) => ({ headers: { 'X-Forwarded-For': address } });
  const ask = (who, address) => exchange(node, { path: '/v1/who-am-i', headers: { Authorization: `Bearer ${who}`, 'X-Forwarded-For': address } });
  for (let i = 0; i < 5; i++) assert.equal((await ask(stranger.token, '192.0.2.7')).status, 401);
  const limited = await ask(stranger.token, '192.0.2.7');
  assert.equal(limited.status, 429);
  assert.ok(Number(limited.headers.get('retry-after')) > 5, limited.headers.get('retry-after'));
  assert.equal((await ask(stranger.token, '192.0.2.8')).status, 401, 'another address is not touched');
  assert.equal((await ask(node.token, '192.0.2.7')).status, 200);
  assert.equal((await exchange(node, { path: '/v1/who-am-i', ...from('192.0.2.7') })).status, 401, 'no token is no attempt');
  assert.ok((await node.metric('auth_failures_total')) >= 7);
  assert.equal(await node.metric('auth_limited_total'), 1);
  // Whatever else tells a good token from a wrong one counts as well.
  const tries = [
    { path: '/v1/validate', body: { key: stranger.token, explain: true } },
    { path: '/v1/validate/$batch', body: [{ key: stranger.token }, { key: stranger.token, explain: true }, { key: stranger.token, explain: true }] },
    { path: `${api.keys('c')}/$bulk`, body: 'x'.repeat(200_000) },
  ];
  for (const [i, { path, body }] of tries.entries()) {
    const address = `192.0.2.${20 + i}`;
    const attempt = (who) =>
      exchange(node, { method: 'POST', path, headers: { Authorization: `Bearer ${who}`, 'Content-Type': 'application/json', 'X-Forwarded-For': address }, body: JSON.stringify(body), agent: false });
    for (let n = 0; n < 5; n++) assert.equal((await attempt(stranger.token)).status, 401, path);
    const told = await attempt(stranger.token);
    assert.equal(told.status, 429, path);
    assert.ok(Number(told.headers.get('retry-after')) > 5, path);
    assert.ok((await attempt(node.token)).status !== 429, 'a good token goes on');
  }
  await api.makeConsumer('c');
  assert.equal(await api.code((await api.makeKey('c')).key), 'VALID');
});

test('wrong tokens are counted also where no address is named: as the proxy\'s own, and of the unix socket together', async (t) => {
  const dataDir = dataDirFor(t);
  const socketPath = join(dataDir, 'http.sock');
  const node = await startNode({ dataDir, flags: ['--auth-failures-per-minute', '5', '--trusted-proxies', '127.0.0.1/32', '--http-unix', socketPath] });
  const ask = (who, at, forwarded) => exchange(node, { ...at, path: '/v1/who-am-i', headers: { Authorization: `Bearer ${who}`, ...(forwarded && { 'X-Forwarded-For': forwarded }) } });
  for (const [at, names] of [[{}, [undefined, 'unknown', '_hidden', '192.0.2.7, nobody']], [{ socketPath }, [undefined, '192.0.2.7', '192.0.2.8']]]) {
    for (let i = 0; i < 5; i++) assert.equal((await ask(strangerKey('kr_mgmt'), at, names[i % names.length])).status, 401);
    for (const name of names) {
      const told = await ask(strangerKey('kr_mgmt'), at, name);
      assert.equal(told.status, 429, name);
      assert.ok(Number(told.headers.get('retry-after')) > 5, name);
    }
    assert.equal((await ask(node.token, at)).status, 200, 'a good token goes on');
  }
  assert.equal((await ask(strangerKey('kr_mgmt'), {}, '192.0.2.7')).status, 401, 'a client that is named has a count of its own');
});

test('management requests beyond the ceiling get 503 with Retry-After, validations go on', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1', '--calls-max', '1', '--rate-limit-per-token', '0'] });
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('c');
  const { key } = await api.makeKey('c');
  const answers = await Promise.all(Array.from({ length: 60 }, () => api.get('/v1/who-am-i')));
  const busy = answers.filter((answer) => answer.status === 503);
  assert.ok(busy.length > 0 && busy.length < 60, `${busy.length} of 60`);
  for (const answer of busy) {
    expectProblem(answer, 503, /too many management requests/);
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
  }
  assert.equal(await api.code(key), 'VALID');
  expect(await api.get('/v1/who-am-i'), 200);
});

// --- answers that nobody takes -------------------------------------------------------------------

const refusedOf = (node) => node.metric('requests_refused_total');

/** Answers to GET /openapi so far. */
async function openapiAnswers(node) {
  const lines = (await node.metrics()).match(/^keyreeve_requests_total\{[^}]*route="openapi"[^}]*\} \d+$/gm) ?? [];
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Asks on this socket, one request at a time, and reads nothing: {answered, isCut}. */
async function askWithoutReading(node, socket, { most }) {
  const [before, refused] = [await openapiAnswers(node), await refusedOf(node)];
  let answered = 0;
  let isCut = false;
  while (!isCut && answered < most) {
    socket.write('GET /openapi HTTP/1.1\r\nHost: a\r\n\r\n');
    const wanted = answered + 1;
    await until(
      async () => {
        answered = (await openapiAnswers(node)) - before;
        isCut = (await refusedOf(node)) > refused;
        return isCut || answered >= wanted;
      },
      { what: `answer ${wanted}, or the end of a connection that takes none` },
    );
  }
  return { answered, isCut };
}

test('who takes no answers to calls is held, then cut, in the clear and over TLS', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-overload-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const authority = new Authority(directory, 'ca');
  const { cert, key } = authority.issue('main');
  const node = await startNode({
    flags: ['--http', 'http://127.0.0.1:0', '--http-management', 'https://127.0.0.1:0', '--tls-cert', cert, '--tls-key', key, '--request-timeout-ms', '1500'],
  });
  t.after(() => node.remove());
  const port = node.portOf('http-management');
  const ways = {
    'in the clear': () => connectPlain(node.port, '127.0.0.1'),
    TLS: () => connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.pem, ALPNProtocols: ['http/1.1'] }),
  };
  for (const [name, open] of Object.entries(ways)) {
    const socket = open(); // nobody listens to its data, so it stops reading
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    // The kernel keeps up to 4 MiB for a socket: some forty answers.
    const { answered, isCut } = await askWithoutReading(node, socket, { most: 120 });
    assert.ok(isCut, `${name}: ${answered} answers were written and none was read`);
    assert.ok(answered > 0, name);
  }
});

/** Connections, most at most, that send and take no answer, until ask is answered with 503. */
async function fillWithAnswers(t, node, { most, send, ask }) {
  const greedy = [];
  t.after(() => greedy.forEach((frames) => frames.destroy()));
  for (let isFull = false; !isFull; ) {
    assert.ok(greedy.length < most, 'the memory of answers has no bound');
    const more = Array.from({ length: 20 }, () => new Frames(node.port, { settings: [[4, 0]] }));
    greedy.push(...more);
    more.forEach(send);
    for (const frames of more) await frames.expect(TYPE.HEADERS);
    isFull = (await ask()).status === 503;
  }
  return greedy;
}

test('where untaken answers fill the memory, calls get 503 until they are taken, changes go on', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1', '--request-timeout-ms', '600000'] });
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('c');
  // 128 MiB, of which each of them holds two or less.
  const greedy = await fillWithAnswers(t, node, {
    most: 400,
    send: (frames) => frames.send(...Array.from({ length: 20 }, (_, i) => headers(2 * i + 1, head('GET', '/openapi')))),
    ask: () => api.get('/openapi'),
  });
  const refused = await api.get('/openapi');
  expectProblem(refused, 503, /too many answers wait/);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  const { key } = await api.makeKey('c');
  assert.equal(await api.code(key), 'VALID');
  for (const frames of greedy) frames.destroy();
  await until(async () => (await api.get('/openapi')).status === 200, { what: 'the memory to be free again' });
});

test('batches whose answers nobody takes fill no more than their half, and hold up no change', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1', '--request-timeout-ms', '600000'] });
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('c');
  const { id, key } = await api.makeKey('c');
  const batch = JSON.stringify(Array.from({ length: 1000 }, () => ({ key: '' })));
  const ask = () => api.call('POST', '/v1/validate/$batch', batch, { authorization: '' });
  const ids = [1, 3, 5, 7];
  // A connection's streams are all whole at the same moment; each answer has 200 KB.
  const greedy = await fillWithAnswers(t, node, {
    most: 1000,
    send: (frames) => {
      frames.send(...ids.flatMap((one) => [headers(one, [...head('POST', '/v1/validate/$batch'), ['content-type', 'application/json']], END_HEADERS), frame(TYPE.DATA, 0, one, Buffer.from(batch))]));
      frames.send(...ids.map((one) => frame(TYPE.DATA, END_STREAM, one)));
    },
    ask,
  });
  // 128 MiB of 200 KB each, no more than two of a connection, which has asked for four in one round.
  assert.ok(greedy.length > 240, `${greedy.length} connections filled it`);
  expectProblem(await ask(), 503, /too many answers wait/);
  assert.equal(await api.code(key), 'VALID');
  expect(await api.post(`${api.keys('c')}/${id}/revoke`, {}), 200);
  assert.equal(await api.code(key), 'REVOKED');
  await api.makeKey('c');
  for (const frames of greedy) frames.destroy();
  await until(async () => (await ask()).status === 200, { what: 'the memory to be free again' });
});

// --- long lists ----------------------------------------------------------------------------------

// A bucket whose consumers are looked through one by one, because no index has managers.
const LISTED = 4000;
const SLOW_LIST = 'key-buckets/many/consumers?manager-email=nobody%40example.com';

async function makeManyConsumers(api) {
  await api.makeBucket('many');
  for (let at = 0; at < LISTED; at += 2000) {
    const rows = Array.from({ length: 2000 }, (_, i) => ({ consumer: `c-${at + i}`, key: foreignValue() }));
    assert.equal(expect(await api.post(`${api.buckets}/many/$import`, { rows }), 200).body.imported, 2000);
  }
}

const reads = async (node) => (await node.metric('reads_running')) + (await node.metric('reads_waiting'));

test('a viewer with many slow lists holds up no revocation', async (t) => {
  const lists = 60;
  const node = await startNode({ flags: ['--rate-limit-per-token', '0'] });
  t.after(() => node.remove());
  const api = client(node);
  await makeManyConsumers(api);
  await api.makeConsumer('c');
  const keys = [];
  for (let i = 0; i < 5; i++) keys.push(await api.makeKey('c'));
  const viewer = client(node, (await api.makeToken('looks', { roles: ['viewer'] })).token);
  let answered = 0;
  const all = Array.from({ length: lists }, async () => {
    const answer = await viewer.get(`/v1/accounts/default/${SLOW_LIST}`);
    answered++;
    return answer;
  });
  await until(async () => (await node.metric('calls_under_way')) > lists / 2, { what: 'the lists to be under way' });
  for (const { id, key } of keys) {
    expect(await api.post(`${api.keys('c')}/${id}/revoke`, { reason: 'keyCompromise' }), 200);
    assert.equal(await api.code(key), 'REVOKED');
  }
  assert.ok(answered < lists / 2, `${answered} of ${lists} lists were answered before the revocations`);
  // Where the machine is busy, the last ones wait longer than anybody may.
  for (const answer of await Promise.all(all)) answer.status === 200 ? assert.equal(answer.body.total, 0) : expectProblem(answer, 503, /too many/);
});

test('a list ends when its client has gone, and makes room', async (t) => {
  const lists = 120;
  const node = await startNode({ flags: ['--rate-limit-per-token', '0'] });
  t.after(() => node.remove());
  const api = client(node);
  await makeManyConsumers(api);
  const ask = `GET /v1/accounts/default/${SLOW_LIST} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${node.token}\r\n\r\n`;
  const gone = Array.from({ length: lists }, () => raw(node));
  for (const connection of gone) connection.write(ask);
  await until(async () => (await reads(node)) > lists / 2, { what: 'the lists to be under way' });
  for (const connection of gone) connection.destroy();
  await until(async () => (await reads(node)) === 0, { what: 'the lists to end' });
  const givenUp = await node.metric('reads_given_up_total');
  assert.ok(givenUp > 0);

  // Of one connection, 16 at a time.
  const sessions = Array.from({ length: lists / 10 }, () => connect(node.url));
  t.after(() => sessions.forEach((session) => session.destroy()));
  const streams = Array.from({ length: lists }, (_, i) => sessions[i % sessions.length].request({ ':path': `/v1/accounts/default/${SLOW_LIST}`, authorization: `Bearer ${node.token}` }));
  for (const stream of streams) stream.on('error', () => {});
  await until(async () => (await reads(node)) > lists / 2, { what: 'the lists to be under way' });
  for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
  await until(async () => (await reads(node)) === 0, { what: 'the lists to end' });
  assert.ok((await node.metric('reads_given_up_total')) > givenUp);
});

test('the calls under way are counted for the node: one loop may have them all', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '4', '--calls-max', '8', '--rate-limit-per-token', '0'] });
  t.after(() => node.remove());
  await makeManyConsumers(client(node));
  const session = connect(node.url);
  t.after(() => session.destroy());
  const list = () =>
    new Promise((done, fail) => {
      const stream = session.request({ ':path': `/v1/accounts/default/${SLOW_LIST}`, authorization: `Bearer ${node.token}` });
      stream.on('error', fail).on('response', (head) => done(head[':status'])).resume();
    });
  for (let i = 0; i < 3; i++) assert.deepEqual(await Promise.all(Array.from({ length: 4 }, list)), [200, 200, 200, 200]);
});

test('half of the calls may only read: lists beyond that get 503, changes do not', async (t) => {
  const node = await startNode({ flags: ['--serve-threads', '1', '--calls-max', '8', '--rate-limit-per-token', '0'] });
  t.after(() => node.remove());
  const api = client(node);
  await makeManyConsumers(api);
  const all = Array.from({ length: 12 }, () => api.get(`/v1/accounts/default/${SLOW_LIST}`));
  await until(async () => (await reads(node)) > 2, { what: 'the lists to be under way' });
  await api.makeConsumer('c');
  const answers = await Promise.all(all);
  const busy = answers.filter((answer) => answer.status === 503);
  assert.ok(busy.length >= 4 && busy.length < 12, `${busy.length} of 12`);
  for (const answer of busy) {
    expectProblem(answer, 503, /too many management requests/);
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
  }
  assert.ok((await node.metric('reads_refused_total')) > 0);
});
