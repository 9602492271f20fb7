// SPDX-License-Identifier: Apache-2.0
// The keyreeve command over a server that answers what a node seldom does: too much, too late, not
// everywhere, not yet.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { answersTo } from './lib/binary.mjs';
import { serve } from './lib/server.mjs';

// Too large for the node, and one of more values than the command reads.
const tooLarge = { status: 413, body: { title: 'Content Too Large', detail: 'the answer is too large; ask for fewer items' } };
const tooMany = { body: { data: Array(1_000_001).fill(0), total: 25 } };

for (const [whose, large] of [['the node', tooLarge], ['the command', tooMany]]) test(`export asks for smaller pages where a page is too large for ${whose}`, async (t) => {
  const all = Array.from({ length: 25 }, (_, i) => ({ name: `c${i}`, apiKeys: [{ id: `key_${i}` }] }));
  const { asked, cli } = await serve(t, ({ path, query }) => {
    if (!path.endsWith('/consumers')) return { body: { name: 'production' } };
    const [limit, from] = [Number(query.get('limit')), Number(query.get('cursor') ?? query.get('offset'))];
    if (limit > 5) return large;
    const data = all.slice(from, from + limit);
    const isLast = from + data.length === all.length;
    return { body: { data, limit, offset: 0, total: all.length, ...(isLast ? {} : { cursor: String(from + data.length) }) } };
  });
  const { stdout, stderr } = await cli(['export', 'production']);
  const rows = stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(rows.filter(({ type }) => type === 'consumer').map(({ name }) => name), all.map(({ name }) => name));
  assert.equal(rows.filter(({ type }) => type === 'key').length, all.length);
  assert.doesNotMatch(stderr, /too large/);
  assert.ok(asked.some(({ query }) => Number(query.get('limit')) > 5), 'it begins with large pages');
});

/** A trail of a row a day, two hundred of them, asked as the node has it: of at most 30 days at once. */
async function serveTrail(t) {
  const day = 24 * 3600e3, now = Date.now();
  const all = Array.from({ length: 200 }, (_, i) => ({ index: 200 - i, timestamp: new Date(now - i * day - 1000).toISOString(), action: 'key.create' }));
  const served = await serve(t, ({ query }) => {
    const [start, end] = ['startDate', 'endDate'].map((name) => query.has(name) && Date.parse(query.get(name)));
    const until = end || (start && start + 30 * day < Date.now() ? start + 30 * day : Date.now());
    const from = start || until - 30 * day;
    if (until - from > 30 * day) return { status: 400, body: { detail: 'parameter startDate: at most 30 days before endDate' } };
    const rows = all.filter(({ timestamp }) => Date.parse(timestamp) >= from && Date.parse(timestamp) <= until);
    const [limit, at] = [Number(query.get('limit')), Number(query.get('cursor') ?? query.get('offset'))];
    const data = rows.slice(at, at + limit), next = at + data.length;
    return { body: { data, pagination: { limit, offset: 0, total: rows.length, hasMore: next < rows.length, ...(next < rows.length && data.length ? { cursor: String(next) } : {}) } } };
  });
  const audit = async (...args) => {
    const { data, total } = JSON.parse((await served.cli(['audit', ...args, '--json'])).stdout);
    return { days: data.map(({ index }) => 200 - index), total };
  };
  const daysAgo = (days) => new Date(now - days * day).toISOString();
  return { ...served, audit, daysAgo };
}
const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

test('audit shows more than the node answers at once, newest first, without a gap and once each', async (t) => {
  const { asked, audit, daysAgo } = await serveTrail(t);
  assert.deepEqual(await audit('--since', '60d'), { days: range(0, 60), total: 60 });
  assert.ok(asked.length > 1 && !asked[0].query.has('endDate'), 'the newest rows are asked for without an end');
  assert.deepEqual((await audit('--since', '30d')).days, range(0, 30));
  assert.deepEqual((await audit('--since', '1970-01-01')).days, range(0, 200));
  assert.deepEqual((await audit('--since', daysAgo(150), '--until', daysAgo(50))).days, range(50, 150));
  assert.deepEqual((await audit('--until', daysAgo(50))).days, range(50, 80));
  assert.deepEqual((await audit('--until', '2999-01-01')).days.slice(0, 29), range(0, 29));
  assert.equal((await audit()).days.length, 30);
});

test('audit counts its limit and its offset through all that it asks for', async (t) => {
  const { audit, cli } = await serveTrail(t);
  assert.deepEqual(await audit('--since', '90d', '--limit', '40'), { days: range(0, 40), total: 90 });
  assert.deepEqual(await audit('--since', '90d', '--limit', '5', '--offset', '27'), { days: range(27, 32), total: 90 });
  assert.deepEqual(await audit('--since', '90d', '--offset', '85'), { days: range(85, 90), total: 90 });
  assert.deepEqual(await audit('--since', '90d', '--offset', '500'), { days: [], total: 90 });
  assert.match((await cli(['audit', '--since', '90d', '--limit', '40'])).stderr, /40 of 90 shown/);
});

test('a node that may let keys in for ever has not confirmed either', async (t) => {
  const nodes = [{ node: 'core-1', region: 'fra', state: 'applied', afterMs: 4 }, { node: 'edge-1', region: 'sin', state: 'unbounded', afterMs: null }];
  const { cli } = await serve(t, () => ({ status: 202, body: { index: 1, level: 'everywhere', keys: 1, nodes } }));
  assert.match((await cli(['key', 'revoke', 'acme', 'key_1', '--wait'], 1)).stderr, /1 of 2 nodes have not confirmed yet/);
});

test('a deletion that did not get everywhere in time shows its receipt, and fails as a revocation does', async (t) => {
  const receipt = {
    index: 4711, level: 'everywhere', requestedOn: '2026-01-31T12:00:00.000Z', committedOn: '2026-01-31T12:00:00.004Z', keys: 1,
    nodes: [{ node: 'core-1', region: 'fra', state: 'applied', afterMs: 4 }, { node: 'edge-1', region: 'sin', state: 'pending', afterMs: null }], slowestMs: 4,
  };
  const { asked, cli } = await serve(t, () => ({ status: 202, body: receipt }));
  const deleted = await cli(['key', 'delete', 'acme', 'key_1', '--yes', '--wait', 'everywhere', '--wait-ms', '50'], 1);
  assert.deepEqual([asked[0].method, asked[0].query.get('wait'), asked[0].query.get('timeoutMs')], ['DELETE', 'everywhere', '50']);
  assert.match(deleted.stdout, /^index +4711$/m);
  assert.match(deleted.stdout, /^edge-1 +sin +pending/m);
  assert.match(deleted.stderr, /1 of 2 nodes have not confirmed yet/);
  const revoked = await cli(['key', 'revoke', 'acme', 'key_1', '--wait'], 1);
  assert.equal(revoked.stdout, deleted.stdout);
  assert.deepEqual(JSON.parse((await cli(['key', 'delete', 'acme', 'key_1', '--yes', '--wait', '--json'], 1)).stdout), receipt);
});

test('a revocation that is to be committed is done when it is, whatever the other nodes know by then', async (t) => {
  const nodes = [{ node: 'core-1', region: 'fra', state: 'applied', afterMs: 4 }, { node: 'edge-1', region: 'sin', state: 'pending', afterMs: null }];
  const { cli } = await serve(t, () => ({ body: { index: 1, level: 'committed', keys: 1, nodes } }));
  for (const args of [['key', 'revoke', 'acme', 'key_1'], ['consumer', 'revoke', 'acme', '--yes'], ['bucket', 'revoke', 'production', '--yes']]) {
    const { stdout, stderr } = await cli(args);
    assert.match(stdout, /^level +committed$/m);
    assert.doesNotMatch(stdout, /edge-1/);
    assert.equal(stderr, '');
  }
  const asked = await cli(['receipt', '1'], 1);
  assert.match(asked.stdout, /^edge-1 +sin +pending/m);
  assert.match(asked.stderr, /1 of 2 nodes have not confirmed yet/);
});

// A login page, say, or another service on that port.
for (const text of ['<html>welcome</html>', '', '[]', 'null']) test(`a server that answers 200 and ${text || 'nothing'} is not taken for a node`, async (t) => {
  const { cli } = await serve(t, () => ({ text }));
  for (const args of [
    ['key', 'create', 'acme'], ['key', 'roll', 'acme'], ['key', 'reveal', 'acme', 'key_1'], ['key', 'list', 'acme'], ['key', 'delete', 'acme', 'key_1', '--yes'], ['key', 'revoke', 'acme', 'key_1'],
    ['consumer', 'create', 'acme', '--with-key'], ['token', 'create', 'ci'], ['bucket', 'show', 'production'],
    ['cluster', 'status'], ['node', 'list'], ['node', 'remove', 'core-1', '--yes'], ['promote', '--old-leader-is-down'], ['vault', 'rotate'], ['whoami'], ['login'], ['audit'], ['export', 'production'],
  ])
    for (const more of [[], ['--json']]) assert.match((await cli([...args, ...more], 1)).stderr, /is no Keyreeve node: its answer \(200\) is no JSON object/, args.join(' '));
});

test('what is no value of a key does not reach the terminal', async (t) => {
  const { cli } = await serve(t, () => ({ body: { id: 'key_1', key: 'kr_live_\u001b]0;x\u0007' } }));
  const { stdout, stderr } = await cli(['key', 'create', 'acme'], 1);
  assert.equal(stdout, '');
  assert.match(stderr, /the node's answer holds no value/);
});

test('--timeout begins where the wait for every node ends', async (t) => {
  const receipt = { index: 1, level: 'everywhere', keys: 1, nodes: [] };
  // Longer than --timeout; for as long as it must be, a timer is what a slow node is.
  const { cli } = await serve(t, () => pause(1500, { body: receipt }));
  await cli(['key', 'revoke', 'acme', 'key_1', '--timeout', '1', '--wait', '--wait-ms', '30000']);
  await cli(['key', 'revoke', 'acme', 'key_1', '--timeout', '1', '--wait']);
  assert.match((await cli(['key', 'revoke', 'acme', 'key_1', '--timeout', '1'], 5)).stderr, /cannot reach/);
});

test('what cannot be undone says what it would do, and does not without --yes', async (t) => {
  const { asked, cli } = await serve(t, () => ({ status: 204 }));
  for (const [args, would] of [
    [['bucket', 'delete', 'b'], 'delete the bucket "b"'],
    [['bucket', 'revoke', 'b'], 'revoke every key of the bucket "b"'],
    [['consumer', 'delete', 'c'], 'delete the consumer "c"'],
    [['consumer', 'revoke', 'c'], 'revoke every key of the consumer "c"'],
    [['key', 'delete', 'c', 'key_1'], 'delete the key "key_1"'],
    [['manager', 'remove', 'c', 'eusr_1'], 'delete the manager "eusr_1"'],
    [['token', 'delete', 'key_1'], 'delete the token "key_1"'],
    [['node', 'remove', 'fra-1'], 'remove the node "fra-1"'],
  ])
    assert.ok((await cli(args, 2)).stderr.includes(`not done: this would ${would}`), args.join(' '));
  assert.equal(asked.length, 0);
});

// A path of /buckets/b/consumers/.. is the bucket's.
test('a name that would be another place in a path is refused, and nothing is asked', async (t) => {
  const { asked, cli } = await serve(t, () => ({ status: 204 }));
  for (const name of ['..', '.', ''])
    for (const args of [
      ['consumer', 'delete', name, '--yes'], ['consumer', 'update', name, '-d', 'x'], ['consumer', 'revoke', name, '--yes'], ['consumer', 'roll', name],
      ['key', 'delete', 'c1', name, '--yes'], ['key', 'revoke', 'c1', name], ['key', 'list', name], ['key', 'show', name, 'key_1', '--json'], ['manager', 'remove', 'c1', name, '--yes'],
      ['bucket', 'delete', name, '--yes'], ['bucket', 'show', name], ['token', 'delete', name, '--yes'], ['node', 'remove', name, '--yes'], ['receipt', name], ['export', name],
      ['consumer', 'list', '-b', name], ['bucket', 'list', '--account', name],
    ]) {
      const { stdout, stderr } = await cli(args, 2);
      assert.ok(args.includes('--json') ? JSON.parse(stderr).error.includes(`"${name}" is no name`) : stderr.includes(`"${name}" is no name`), `${args.join(' ')}: ${stderr}`);
      assert.equal(stdout, '', args.join(' '));
    }
  assert.equal(asked.length, 0);
});

test('a path is asked for as it is written', async (t) => {
  const { asked, cli, url } = await serve(t, () => ({ body: { sub: 'x' } }));
  await cli(['whoami', '--url', `${url}/behind/./a/../proxy`]);
  assert.equal(asked[0].target, '/behind/./a/../proxy/v1/who-am-i');
});

test('status says at once that a node is not ready, whatever else it cannot tell yet', async (t) => {
  const { asked, cli } = await serve(t, ({ path }) => (path === '/healthz' ? { text: 'ok\n' } : { status: 503, body: { detail: 'not yet' } }));
  const ended = await cli(['status'], 1);
  assert.match(ended.stdout, /^state +starting$/m);
  assert.equal(ended.stderr, '');
  assert.deepEqual(asked.map(({ path }) => path), ['/healthz', '/readyz', '/v1/cluster']);
  const { ready, cluster } = JSON.parse((await cli(['status', '--json'], 1)).stdout);
  assert.deepEqual([ready, cluster], [false, null]);
});

test('status says that a node serves, though not to this token', async (t) => {
  const { cli } = await serve(t, ({ path }) => (path === '/v1/cluster' ? { status: 401, body: { detail: 'this token is unknown' } } : { text: 'ok\n' }));
  const ended = await cli(['status']);
  assert.match(ended.stdout, /^state +serving$/m);
  assert.match(ended.stderr, /nodes are not shown: this token is unknown \(401\)/);
  assert.deepEqual(JSON.parse((await cli(['status', '--json'])).stdout).ready, true);
});

// JSON, but of another service.
test('an object that says nothing of what was asked is no success', async (t) => {
  const { cli } = await serve(t, () => ({ body: {} }));
  for (const [args, says] of [
    [['node', 'list'], /no list of nodes/], [['cluster', 'status'], /no list of nodes/], [['promote', '--old-leader-is-down'], /names no leader/],
    [['key', 'revoke', 'acme', 'key_1'], /no receipt/], [['key', 'revoke', 'acme', 'key_1', '--wait'], /no receipt/], [['key', 'delete', 'acme', 'key_1', '--yes'], /no receipt/], [['receipt', '7'], /no receipt/],
  ])
    for (const more of [[], ['--json']]) {
      const { stdout, stderr } = await cli([...args, ...more], 1);
      assert.match(stderr, says, args.join(' '));
      assert.doesNotMatch(stdout + stderr, /null/);
    }
});

test('a receipt of less than was asked for is no success', async (t) => {
  let receipt;
  const { cli } = await serve(t, () => ({ body: receipt }));
  const nodes = [{ node: 'core-1', region: 'fra', state: 'applied', afterMs: 4 }];
  for (receipt of [{ index: 1, level: 'committed', keys: 1, nodes }, { index: 1, level: 'everywhere', keys: 1 }, { index: 1, keys: 1, nodes }])
    for (const args of [['key', 'revoke', 'acme', 'key_1', '--wait'], ['key', 'delete', 'acme', 'key_1', '--yes', '--wait', 'everywhere']])
      assert.match((await cli(args, 1)).stderr, /does not say that it holds everywhere/, JSON.stringify(receipt));
  receipt = { index: 1, level: 'everywhere', keys: 1, nodes };
  await cli(['key', 'revoke', 'acme', 'key_1', '--wait']);
  receipt = { index: 1, level: 'committed', keys: 1, nodes: [] };
  await cli(['key', 'revoke', 'acme', 'key_1', '--wait', 'committed']);
});

test('key verify --bench says when no node could tell', async (t) => {
  const server = createServer((socket) => {
    let come = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      come = Buffer.concat([come, bytes]);
      let whole = 0;
      while (come.length >= whole + 4 && come.length >= whole + 4 + come.readUInt32LE(whole)) whole += 4 + come.readUInt32LE(whole);
      socket.write(answersTo(come.subarray(0, whole), 'STALE').bytes);
      come = come.subarray(whole);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { cli } = await serve(t, () => ({}));
  const { stdout } = await cli(['key', 'verify', '--bench', '1', '--nodes', `127.0.0.1:${server.address().port}`], 7, { input: 'kr_live_x\n' });
  assert.match(stdout, /^verdict +STALE$/m);
});

test('a word too many is not repeated where it may be a key', async (t) => {
  const { asked, cli, url } = await serve(t, () => ({}));
  const secret = `kr_mgmt_${'Ab3'.repeat(14)}x_0123abcd`;
  for (const args of [['login', url, secret], ['key', 'create', 'acme', secret], [secret], ['key', secret], [`--${secret}`], ['whoami', secret.toLowerCase()]]) {
    const { stdout, stderr } = await cli(args, 2);
    assert.doesNotMatch(stdout + stderr, /ab3ab3/i, args.join(' '));
  }
  assert.match((await cli(['whoami', 'acme'], 2)).stderr, /"acme" is one too many/);
  assert.match((await cli(['keys'], 2)).stderr, /no command "keys"; did you mean key\?/);
  assert.equal(asked.length, 0);
});
