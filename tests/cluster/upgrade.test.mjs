// SPDX-License-Identifier: Apache-2.0
// Upgrade from format 1 of the data directory: one that a node of that format really wrote and left
// at a kill -9 becomes the state of a cluster, and all nodes end with the same chain and the same sums.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { client, expect } from '../integration/lib/http.mjs';
import { dataDirFor, keyreeve, killNodesOn, refuseNode, startNode, until } from '../integration/lib/node.mjs';
import { codeAt, makeKey, revoke } from './lib/checkers.mjs';
import { Cluster, assertSameState } from './lib/cluster.mjs';

const FORMAT = 2; // of this version
const vectors = resolve('tests/vectors/format-1');
/** What the node of format 1 answered; see make.mjs there. */
const before = JSON.parse(readFileSync(join(vectors, 'expected.json'), 'utf8'));
const steady = before.keys.find(({ code }) => code === 'VALID');
const soak = { skip: process.env.KEYREEVE_SOAK ? false : 'a part of the soak' };
const upgraded = /the data directory was brought to this version's format.*"from":1,"to":2/g;

function unpack(dir) {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  execFileSync('tar', ['-C', dir, '-xzf', join(vectors, 'directory.tar.gz')]);
}

/** A cluster's CA for the node that had none, as docs/operations.md says. */
function makeCa(dir) {
  const old = mkdtempSync(join(tmpdir(), 'keyreeve-test-'));
  unpack(old);
  execFileSync(keyreeve, ['cluster', 'init', before.clusterId, '--out', join(dir, 'ca')], { stdio: 'ignore' });
  copyFileSync(join(old, 'master-key'), join(dir, 'ca', 'master-key'));
  rmSync(old, { recursive: true });
}

async function assertAnswers(api, what) {
  for (let i = 0; i < before.keys.length; i += 100) {
    const asked = before.keys.slice(i, i + 100);
    const { results } = expect(await api.post('/v1/validate/$batch', asked.map(({ key }) => ({ key }))), 200).body;
    assert.deepEqual(results.map(({ code }, n) => `${asked[n].what}: ${code}`), asked.map(({ what: name, code }) => `${name}: ${code}`), what);
  }
}

/** Before anything is written. */
async function assertLists(api) {
  for (const [path, total] of Object.entries(before.lists)) assert.equal(expect(await api.get(path), 200).body.total, total, path);
}

/** What only core nodes hold, asked for through any node. */
async function assertManaged(api, node) {
  const readable = before.keys.find(({ bucket }) => bucket === 'readable');
  assert.equal(expect(await api.post(`${api.keys(readable.consumer, 'readable')}/${readable.id}/reveal`), 200).body.key, readable.key);
  const { nodes: _, ...receipt } = expect(await api.get(`/v1/receipts/${before.receipt.index}`), 200).body;
  for (const field of Object.keys(receipt).filter((one) => one !== 'slowestMs')) assert.deepEqual(receipt[field], before.receipt[field], field);
  const viewer = client(node, before.viewer);
  assert.equal(expect(await viewer.get('/v1/who-am-i'), 200).body.account, 'default');
  expect(await viewer.post(api.keys('steady'), {}), 403);
}

/** Every node answers as the old one did, and the managed ones list what it listed. */
async function assertEverywhere(cluster, managed) {
  await cluster.caughtUp();
  for (const name of cluster.names) await assertAnswers(cluster.api(name), name);
  for (const name of managed) {
    await assertLists(cluster.api(name));
    await assertManaged(cluster.api(name), cluster.node(name));
  }
  await assertSameState(cluster);
}

async function assertLifeGoesOn(cluster) {
  const { writer } = await cluster.underLoad('written-after', cluster.names, steady, (progress) => progress());
  assert.equal(writer.refused, 0);
  const old = before.keys.filter(({ code }) => code === 'VALID').at(-1);
  const receipt = expect(await revoke(cluster.api('edge-eu-west'), old, '?wait=everywhere&timeoutMs=20000'), 200).body;
  assert.deepEqual(receipt.nodes.map(({ node }) => node).sort(), [...cluster.names].sort());
  for (const name of cluster.names) assert.equal(await codeAt(cluster, name, old), 'REVOKED', name);
}

const upgrades = (log) => log.match(upgraded)?.length ?? 0;

test('a directory of format 1 whose node is killed at every start comes up whole', async (t) => {
  const dataDir = dataDirFor(t);
  unpack(dataDir);
  for (let waitMs = 5; ; waitMs *= 1.2) {
    assert.ok(waitMs < 30_000, 'no node came up, however long it was let be');
    const starting = startNode({ dataDir });
    const node = await Promise.race([starting, pause(waitMs)]); // one that ends by itself says why
    if (node === undefined) {
      await killNodesOn(dataDir);
      await starting.catch(() => {});
      continue;
    }
    const api = client(node, before.token);
    await assertAnswers(api, 'alone');
    await assertLists(api);
    await assertManaged(api, node);
    await node.stop();
    break;
  }
  const again = await startNode({ dataDir });
  await assertAnswers(client(again, before.token), 'once more');
  await again.stop();
  assert.equal(upgrades(again.stderr), 0, again.stderr);
});

test('a directory of a later format is refused, and keeps its rows', async (t) => {
  const dataDir = dataDirFor(t);
  unpack(dataDir);
  const db = join(dataDir, 'db');
  const rows = () => ['meta', 'keys', 'log', 'due', 'counts'].map((family) => execFileSync('ldb', [`--db=${db}`, `--column_family=${family}`, '--hex', 'scan'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  const hex = (text) => `0x${Buffer.from(text).toString('hex').toUpperCase()}`;
  const later = FORMAT + 1;
  execFileSync('ldb', [`--db=${db}`, '--column_family=meta', '--hex', 'put', hex('format'), `0x${later.toString(16).padStart(8, '0')}`], { stdio: 'ignore' });
  const kept = rows();
  const refused = await refuseNode({ dataDir });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^keyreeved: [^\n]*was written by format 3 and this version reads format 2; use the version that wrote it, or name another data directory\n$/);
  assert.deepEqual(rows(), kept);
});

test('a node of format 1 becomes the leader of a cluster', { timeout: 300_000 }, async (t) => {
  const cluster = await Cluster.up(t, {
    engine: 'local',
    standbys: 1,
    prepare: ({ dir }) => {
      makeCa(dir);
      unpack(join(dir, 'core-1', 'data'));
    },
  });
  assert.equal(cluster.token, before.token);
  const leader = cluster.api('core-1');

  await cluster.story(t, 'every node has what the old node had, and answers as it did', async () => {
    assert.equal(upgrades(cluster.log('core-1')), 1, cluster.log('core-1'));
    const view = await cluster.seenBy('edge-ap-northeast');
    assert.equal(view.clusterId, before.clusterId);
    assert.equal(view.leader, 'core-1');
    assert.ok(view.index >= before.index);
    await assertEverywhere(cluster, ['core-1', 'core-2', 'edge-us-west']);
  });

  await cluster.story(t, 'writes, receipts and validations go on', () => assertLifeGoesOn(cluster));

  await cluster.story(t, 'the leader dies and comes back without another upgrade', async () => {
    const key = await makeKey(leader, 'steady');
    await cluster.kill('core-1');
    await cluster.start('core-1');
    await until(async () => (await cluster.leader()) === 'core-1', { what: 'core-1 to lead again', deadlineMs: 40_000 });
    assert.equal(upgrades(cluster.log('core-1')), 1);
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key, { minIndex: key.index }), 'VALID', name);
    await assertSameState(cluster);
  });

  await cluster.story(t, 'the standby, which has the state by a snapshot, is promoted and leads on', async () => {
    const survivors = cluster.names.filter((name) => name !== 'core-1');
    await cluster.stop('core-1');
    const promoted = await cluster.cli('core-2', ['promote', '--old-leader-is-down']);
    assert.equal(promoted.code, 0, promoted.stderr);
    await until(async () => (await cluster.leader(survivors)) === 'core-2', { what: 'core-2 to lead', deadlineMs: 40_000 });
    await assertManaged(cluster.api('edge-us-west'), cluster.node('edge-us-west'));
    await makeKey(cluster.api('edge-us-west'), 'steady');
    await assertSameState(cluster, survivors);
  });
});

test('a node of format 1 moves to etcd', { timeout: 600_000, ...soak }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'etcd', prepare: ({ dir }) => makeCa(dir) });
  // As docs/operations.md says: no core node runs, no log is in etcd, and the log begins where the state ends.
  await Promise.all(cluster.names.map((name) => cluster.stop(name)));
  cluster.etcdctl(['del', '--prefix', `/${before.clusterId}/`]);
  cluster.etcdctl(['put', `/${before.clusterId}/start`, String(before.index)]);
  for (const name of cluster.names) rmSync(cluster.dataDir(name), { recursive: true });
  unpack(cluster.dataDir('core-1'));
  cluster.token = before.token;
  for (const node of cluster.nodes) node.token = before.token;
  await cluster.start('core-1');
  await Promise.all(cluster.names.map((name) => cluster.start(name)));

  await cluster.story(t, 'every node has what the old node had, and answers as it did', async () => {
    assert.equal(upgrades(cluster.log('core-1')), 1, cluster.log('core-1'));
    assert.equal(await cluster.leader(), 'core-1');
    await assertEverywhere(cluster, ['core-1', 'core-3', 'edge-us-west']);
  });

  await cluster.story(t, 'writes, receipts and validations go on', () => assertLifeGoesOn(cluster));

  await cluster.story(t, 'another core node takes over', async () => {
    const others = cluster.names.filter((name) => name !== 'core-1');
    await cluster.underLoad('taken-over', others, steady, async (progress) => {
      await cluster.kill('core-1');
      await progress();
      await cluster.start('core-1');
    });
    assert.notEqual(await cluster.leader(), 'core-1');
    assert.equal(upgrades(cluster.log('core-1')), 1);
    await assertManaged(cluster.api('edge-us-west'), cluster.node('edge-us-west'));
  });
});
