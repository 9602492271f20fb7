// SPDX-License-Identifier: Apache-2.0
// What one address may take of a node, and what a busy node says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, exchange, expect, expectProblem, raw } from './lib/http.mjs';
import { strangerKey } from './lib/keys.mjs';
import { startNode, until } from './lib/node.mjs';

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
