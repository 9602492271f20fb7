// SPDX-License-Identifier: Apache-2.0
// The vault: one master key for all core nodes, where it may come from, and its rotation while the
// nodes serve.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { client, expect } from './lib/http.mjs';
import { makeCluster, startMember } from './lib/member.mjs';
import { claimNet } from './lib/net.mjs';
import { dataDirFor, keyreeve, keyreeved, refuseNode, run, startNode, until } from './lib/node.mjs';

const HEX = '6b'.repeat(32);
const net = await claimNet();

/** A core node of the cluster in home, the first one at .1. */
function startCore(t, home, name, number) {
  const flags = ['--master-key-file', join(home, 'ca', name, 'master-key'), '--rate-limit-per-token', '0'];
  if (number > 1) flags.push('--upstreams', `127.0.${net}.1:7402`);
  return startMember(t, home, name, `127.0.${net}.${number}`, flags);
}

const isReady = (node) => fetch(`${node.url}/readyz`).then(({ status }) => status === 200, () => false);

test("a core node that joins with another master key than the cluster's stops, and says why", { timeout: 240_000 }, async (t) => {
  const home = dataDirFor(t);
  await makeCluster(home, { one: 'core', two: 'core' });
  const one = startCore(t, home, 'one', 1);
  await until(() => isReady(one), { what: () => `the leader: ${one.log()}`, deadlineMs: 60_000 });
  writeFileSync(join(home, 'ca', 'two', 'master-key'), `${'5a'.repeat(32)}\n`);
  const two = startCore(t, home, 'two', 2);
  assert.equal(await two.ended, 1, two.log());
  assert.match(two.log(), /two\/master-key: the master key of version 1 is not the cluster's/);
  assert.ok(await isReady(one));
  await one.stop();
});

// --- where the master key may come from ----------------------------------------------------------

/** A bucket that keeps values, and one key in it: {id, key}. */
async function makeKept(api) {
  await api.makeBucket('vault', { isRetrievable: true });
  await api.makeConsumer('v', {}, 'vault');
  return api.makeKey('v', {}, 'vault');
}

const reveal = async (api, { id }) => expect(await api.post(`${api.keys('v', 'vault')}/${id}/reveal`), 200).body.key;

test('the master key may come from the environment, which is empty of it behind that, and from a descriptor', async (t) => {
  const dataDir = dataDirFor(t);
  let node = await startNode({ dataDir, env: { KEYREEVE_MASTER_KEY: HEX } });
  assert.ok(!readFileSync(`/proc/${node.pid}/environ`, 'latin1').includes(HEX));
  assert.ok(!existsSync(join(dataDir, 'master-key')));
  const key = await makeKept(client(node));
  await node.stop();
  assert.ok(!node.stderr.includes(HEX));
  const file = join(dataDir, 'elsewhere');
  writeFileSync(file, `${HEX}\n`, { mode: 0o600 });
  node = await startNode({ dataDir, flags: ['--master-key-fd', '9'], under: ['sh', '-c', 'exec 9<"$0"; exec "$@"', file] });
  assert.equal(await reveal(client(node), key), key.key);
  await node.stop();
  const refused = async (options, what) => {
    const ended = await refuseNode({ dataDir, ...options });
    assert.match(ended.stderr, what);
    assert.ok(!ended.stderr.includes(HEX), ended.stderr);
  };
  await refused({ env: { KEYREEVE_MASTER_KEY: '5a'.repeat(32) } }, /KEYREEVE_MASTER_KEY: the master key of version 1 is not the cluster's/);
  await refused({ env: { KEYREEVE_MASTER_KEY: `${HEX}0` } }, /KEYREEVE_MASTER_KEY:1: not a master key/);
  await refused({ env: { KEYREEVE_MASTER_KEY: HEX }, flags: ['--master-key-file', file] }, /more than one place/);
  await refused({ flags: ['--master-key', HEX] }, /unknown option --master-key/);
  const printed = await run(keyreeved, ['--print-config'], { env: { KEYREEVE_MASTER_KEY: HEX } });
  assert.equal(printed.code, 0, printed.stderr);
  assert.ok(!printed.stdout.includes(HEX) && !/^master_key:/m.test(printed.stdout), printed.stdout);
});

test('a follower, which needs no master key, is empty of the one in its environment', async (t) => {
  const home = dataDirFor(t);
  await makeCluster(home, { one: 'follower' });
  const host = `127.0.${net}.3`;
  // Nobody leads it: it waits, and so lives.
  const one = startMember(t, home, 'one', host, ['--upstreams', `127.0.${net}.4:7402`], { KEYREEVE_MASTER_KEY: HEX });
  await until(() => fetch(`${one.url}/healthz`).then(({ status }) => status === 200, () => false), { what: () => `the follower: ${one.log()}`, deadlineMs: 60_000 });
  assert.ok(!readFileSync(`/proc/${one.pid}/environ`, 'latin1').includes(HEX));
  await one.stop();
});

// --- rotation ------------------------------------------------------------------------------------

/** What `keyreeve vault rotate --json` says: {code, steps}. */
async function rotate(node, token, options = {}) {
  const ended = await run(keyreeve, ['vault', 'rotate', '--json', '--url', node.url], { env: { KEYREEVE_TOKEN: token, HOME: '/nonexistent' }, ...options });
  return { ...ended, steps: ended.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line)) };
}

test('a thousand values are sealed again under writes, through a kill -9, and the old key may go', { timeout: 600_000 }, async (t) => {
  const dataDir = dataDirFor(t);
  const path = join(dataDir, 'master-key');
  let node = await startNode({ dataDir });
  let api = client(node);
  await makeKept(api);
  const bulk = expect(await api.post(`${api.keys('v', 'vault')}/$bulk`, Array.from({ length: 1000 }, () => ({}))), 200).body.data;
  const kept = bulk.map(({ id, key }) => ({ id, key }));
  await node.stop();
  const old = readFileSync(path, 'utf8');
  const grown = `1:${old}2:${HEX}\n`;
  writeFileSync(path, grown);

  node = await startNode({ dataDir });
  api = client(node);
  const step = async (cursor) => expect(await api.post('/v1/cluster/vault/rotate', cursor ? { cursor } : {}), 200).body;
  assert.deepEqual(await step(), { version: 2, resealed: 0, remaining: 1001, cursor: null, isDone: false });
  const first = await step();
  assert.deepEqual([first.resealed, first.remaining, first.isDone], [500, 501, false]);
  for (const at of [0, 499, 500, 999]) assert.equal(await reveal(api, kept[at]), kept[at].key, `during, ${at}`);
  // Killed with a step under way.
  const cut = api.post('/v1/cluster/vault/rotate', { cursor: first.cursor }).catch(() => null);
  await node.kill9();
  await cut;

  writeFileSync(path, old);
  const lacks = await refuseNode({ dataDir });
  assert.equal(lacks.code, 1);
  assert.match(lacks.stderr, /master-key: lacks the master key of version 2/);
  writeFileSync(path, grown);
  node = await startNode({ dataDir });
  api = client(node);
  let stop = false;
  const writes = (async () => {
    while (!stop) {
      const made = await api.makeKey('v', {}, 'vault');
      kept.push({ id: made.id, key: made.key });
    }
  })();
  const done = await rotate(node, node.token);
  stop = true;
  await writes;
  assert.equal(done.code, 0, done.stderr);
  assert.ok(done.steps.length >= 2, done.stdout);
  assert.deepEqual([done.steps.at(-1).isDone, done.steps.at(-1).version], [true, 2]);
  assert.ok(done.steps.every(({ isDone }, at) => isDone === (at === done.steps.length - 1)), done.stdout);
  const again = await run(keyreeve, ['vault', 'rotate', '--url', node.url], { env: { KEYREEVE_TOKEN: node.token, HOME: '/nonexistent' } });
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /0 values were sealed again; all are under version 2 .*may go/s);
  await node.stop();

  writeFileSync(path, `2:${HEX}\n`);
  node = await startNode({ dataDir });
  api = client(node);
  const values = new Map();
  for (let page; values.size < (page?.total ?? Infinity); ) {
    page = expect(await api.get(`${api.keys('v', 'vault')}?limit=1000&offset=${values.size}&key-format=visible`), 200).body;
    for (const { id, key } of page.data) values.set(id, key);
  }
  for (const { id, key } of kept) assert.equal(values.get(id), key);
  assert.equal(await reveal(api, kept.at(-1)), kept.at(-1).key);
  await node.stop();
});

test('a standby follows a rotation, which waits for one that lacks the new master key', { timeout: 300_000 }, async (t) => {
  const home = dataDirFor(t);
  await makeCluster(home, { one: 'core', two: 'core', three: 'core' });
  const file = (name) => join(home, 'ca', name, 'master-key');
  const old = readFileSync(file('one'), 'utf8');
  for (const name of ['one', 'two']) writeFileSync(file(name), `1:${old}2:${HEX}\n`);
  const one = startCore(t, home, 'one', 1);
  await until(() => isReady(one), { what: () => `the leader: ${one.log()}`, deadlineMs: 60_000 });
  const token = readFileSync(join(home, 'one', 'data', 'owner-token'), 'utf8').trim();
  const api = client(one, token);
  const key = await makeKept(api);
  const two = startCore(t, home, 'two', 2);
  let three = startCore(t, home, 'three', 3);
  await until(async () => (await isReady(two)) && (await isReady(three)), { what: () => `the standbys: ${two.log()}${three.log()}`, deadlineMs: 90_000 });
  const states = async () => expect(await api.get('/v1/cluster'), 200).body.nodes.map(({ state }) => state);
  await until(async () => (await states()).every((state) => state === 'serving'), { what: 'the leader to hear of all', everyMs: 50 });
  const early = await rotate(two, token);
  assert.notEqual(early.code, 0);
  assert.match(early.stderr, /core node three has another newest master key/);
  await three.stop();
  const done = await until(async () => { const tried = await rotate(two, token); return tried.code === 0 && tried; }, { what: 'the leader to miss the third node', deadlineMs: 60_000, everyMs: 500 });
  assert.ok(done.steps.at(-1).isDone, done.stdout);
  three = startCore(t, home, 'three', 3);
  assert.equal(await three.ended, 1, three.log());
  assert.match(three.log(), /three\/master-key: lacks the master key of version 2/);
  writeFileSync(file('two'), `2:${HEX}\n`);
  await two.stop();
  const back = startCore(t, home, 'two', 2);
  await until(() => isReady(back), { what: () => `the standby: ${back.log()}`, deadlineMs: 60_000 });
  await one.stop();
  const promoted = await run(keyreeve, ['promote', '--url', back.url, '--old-leader-is-down'], { env: { KEYREEVE_TOKEN: token, HOME: home } });
  assert.equal(promoted.code, 0, promoted.stderr);
  assert.equal(await reveal(client(back, token), key), key.key);
  await back.stop();
});
