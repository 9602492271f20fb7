// SPDX-License-Identifier: Apache-2.0
// Partitions in which packets vanish, in both directions or in one: what was revoked everywhere is
// VALID nowhere, whoever is cut off says STALE, and all catch up when the network is whole again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expect } from '../integration/lib/http.mjs';
import { until } from '../integration/lib/node.mjs';
import { Promises, Validator, codeAt, makeKey, revoke } from './lib/checkers.mjs';
import { assertSameState } from './lib/cluster.mjs';
import { NetnsCluster, whyNoNamespaces } from './lib/netns.mjs';

const STALENESS_MS = 3000;
const SLACK_MS = 2500; // of a receipt over its bound, on a machine with other things to do
const NODES = [
  { name: 'core-1', region: 'us-east', role: 'core' },
  { name: 'edge-1', region: 'us-west', role: 'follower' },
  { name: 'edge-2', region: 'eu-west', role: 'follower' },
];

test('partitions in network namespaces', { timeout: 600_000, skip: whyNoNamespaces() }, async (t) => {
  const cluster = await NetnsCluster.up(t, NODES, STALENESS_MS);
  const leader = cluster.api('core-1');
  const edges = ['edge-1', 'edge-2'];
  const steady = await makeKey(leader, 'steady');
  const allServe = () => until(async () => (await Promise.all(cluster.names.map((name) => codeAt(cluster, name, steady)))).every((code) => code === 'VALID'), { what: 'all to serve', deadlineMs: 60_000 });

  /**
   * While the network is broken: revoked everywhere within the bound; those cut off say STALE, or what
   * they may have heard, and never VALID.
   */
  async function revokeDuring(cutOff, breakIt, mend, allowed = ['STALE']) {
    const key = await makeKey(leader, 'behind-a-partition');
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key, { minIndex: key.index }), 'VALID', name);
    const promises = new Promises(cluster, ['core-1'], cluster.names, 'steady');
    const others = cluster.names.filter((name) => !cutOff.includes(name));
    const validator = new Validator(cluster, others, steady);
    breakIt();
    const receipt = expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200).body;
    const codes = await Promise.all(cluster.names.map((name) => codeAt(cluster, name, key)));
    cluster.names.forEach((name, i) => assert.ok((cutOff.includes(name) ? allowed : ['REVOKED']).includes(codes[i]), `${name}: ${codes[i]}`));
    for (const { node, state, afterMs } of receipt.nodes) {
      assert.equal(state, cutOff.includes(node) ? 'lease-expired' : 'applied', JSON.stringify(receipt));
      assert.ok(afterMs <= STALENESS_MS + SLACK_MS, `${node}: ${afterMs} ms`);
    }
    for (const name of cutOff) assert.equal(await codeAt(cluster, name, steady), 'STALE', name);
    assert.deepEqual(await validator.stop(), []);
    mend();
    await allServe();
    await promises.stop();
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key), 'REVOKED', name);
    await assertSameState(cluster);
  }

  await t.test('the leader is cut from all its followers', () => revokeDuring(edges, () => cluster.unplug('core-1'), () => cluster.plug('core-1')));

  await t.test('one follower is cut from everybody', () => revokeDuring(['edge-2'], () => cluster.unplug('edge-2'), () => cluster.plug('edge-2')));

  await t.test('nothing of what a follower sends arrives', () =>
    revokeDuring(
      ['edge-1'],
      () => ['core-1', 'edge-2'].forEach((name) => cluster.cutOneWay('edge-1', name)),
      () => ['core-1', 'edge-2'].forEach((name) => cluster.healOneWay('edge-1', name)),
      ['STALE', 'REVOKED'],
    ));

  await t.test('a follower receives nothing of what is sent to it', () =>
    revokeDuring(
      ['edge-1'],
      () => ['core-1', 'edge-2'].forEach((name) => cluster.cutOneWay(name, 'edge-1')),
      () => ['core-1', 'edge-2'].forEach((name) => cluster.healOneWay(name, 'edge-1')),
    ));

  await t.test('a follower that only the leader does not hear goes through another', async () => {
    const promises = new Promises(cluster, ['core-1'], cluster.names, 'steady');
    cluster.cutOneWay('edge-2', 'core-1');
    const upstream = async () => (await cluster.seenBy('core-1')).nodes.find(({ id }) => id === 'edge-2').upstream;
    await until(async () => (await upstream()) === 'edge-1', { what: 'edge-2 to follow edge-1' });
    await allServe();
    const key = await makeKey(leader, 'around-a-cut');
    assert.equal(await codeAt(cluster, 'edge-2', key, { minIndex: key.index }), 'VALID');
    const receipt = expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200).body;
    assert.ok(receipt.nodes.every(({ state }) => state === 'applied'), JSON.stringify(receipt));
    assert.equal(await codeAt(cluster, 'edge-2', key), 'REVOKED');
    cluster.healOneWay('edge-2', 'core-1');
    await promises.stop();
    await assertSameState(cluster);
  });
});
