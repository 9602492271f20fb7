// SPDX-License-Identifier: Apache-2.0
// Three core nodes over three real etcd members, and four followers: leaders die, hand over, are cut
// off and paused; etcd members die; everything dies at once. No acknowledged write is lost.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { expect } from '../integration/lib/http.mjs';
import { until } from '../integration/lib/node.mjs';
import { Cluster, Validator, Writer, assertAllThere, codeAt, makeKey, revoke } from './lib/cluster.mjs';

/** Waits until the writer has been answered so many times more. */
const progress = (writer, more = 20) => {
  const target = writer.acknowledged.length + more;
  return until(() => writer.acknowledged.length >= target, { what: `${more} more writes`, deadlineMs: 60_000 });
};

// The longer stories; each takes a minute or so.
const soak = { skip: process.env.KEYREEVE_SOAK ? false : 'a part of the soak' };

test('three core nodes over etcd and four followers', { timeout: 840_000 }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'etcd' });
  const validatorKey = await makeKey(cluster.api(cluster.followers[0]), 'steady');
  await cluster.caughtUp();

  /** Runs a fault under writes through followers and validations at the nodes that survive it. */
  async function underLoad(consumer, survivors, fault) {
    expect(await cluster.api(await cluster.leader()).post(`/v1/accounts/default/key-buckets/production/consumers`, { name: consumer }), 200);
    const writer = new Writer(cluster, cluster.followers, consumer);
    await progress(writer);
    const validator = new Validator(cluster, survivors, validatorKey);
    await fault(writer);
    await progress(writer);
    assert.deepEqual(await validator.stop(), []);
    const acknowledged = await writer.stop();
    await cluster.caughtUp();
    await assertAllThere(cluster, acknowledged, cluster.names);
    return writer;
  }

  await t.test('the leader is killed under load: nothing is lost, no validation fails, another leads', async () => {
    const leader = await cluster.leader();
    await underLoad('leader-killed', cluster.names.filter((name) => name !== leader), async (writer) => {
      await cluster.kill(leader);
      await progress(writer);
      await cluster.start(leader);
    });
    assert.notEqual(await cluster.leader(), leader);
  });

  await t.test('a clean stop hands over', async () => {
    const leader = await cluster.leader();
    await underLoad('handed-over', cluster.names.filter((name) => name !== leader), async (writer) => {
      await cluster.stop(leader);
      await progress(writer);
      await cluster.start(leader);
    });
  });

  await t.test('wait=everywhere names all seven, through a follower', async () => {
    const key = await makeKey(cluster.api('edge-us-west'), 'all-seven');
    const receipt = expect(await revoke(cluster.api('edge-eu-west'), key, '?wait=everywhere'), 200).body;
    assert.deepEqual(receipt.nodes.map(({ node }) => node).sort(), [...cluster.names].sort());
    assert.ok(receipt.nodes.every(({ state }) => state === 'applied'), JSON.stringify(receipt.nodes));
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key), 'REVOKED');
  });

  await t.test('one etcd member dies: writes go on', async () => {
    await underLoad('member-killed', cluster.names, async (writer) => {
      await cluster.kill('etcd-2');
      await progress(writer);
      await cluster.start('etcd-2');
    });
  });

  await t.test('a leader that is cut from etcd leads no more, and another does', async () => {
    const leader = await cluster.leader();
    await underLoad('leader-cut', cluster.followers, async (writer) => {
      await cluster.cut(leader, 'etcd');
      await until(async () => (await cluster.seenBy(cluster.followers[0]).catch(() => ({ leader }))).leader !== leader, { what: 'another leader' });
      await progress(writer);
      await cluster.heal();
    });
  });

  await t.test('a paused leader comes back as a standby, and says nothing from the past', soak, async () => {
    const leader = await cluster.leader();
    const key = await makeKey(cluster.api(leader), 'paused-leader');
    await cluster.caughtUp();
    cluster.signal(leader, 'SIGSTOP');
    const others = cluster.names.filter((name) => name !== leader);
    await until(async () => ![null, leader].includes((await cluster.seenBy(others[others.length - 1]).catch(() => ({ leader }))).leader), { what: 'another leader' });
    const asked = codeAt(cluster, leader, key, { maxStalenessMs: 1000 });
    expect(await revoke(cluster.api(cluster.followers[0]), key), 200);
    cluster.signal(leader, 'SIGCONT');
    assert.notEqual(await asked, 'VALID');
    await until(async () => (await codeAt(cluster, leader, key)) === 'REVOKED', { what: 'the paused leader to catch up' });
  });

  await t.test('without a majority of etcd writes answer 503 in time, and validations go on', soak, async () => {
    await cluster.kill('etcd-1');
    await cluster.kill('etcd-3');
    const api = cluster.api(cluster.followers[0]);
    await until(async () => {
      const began = Date.now();
      const answer = await api.post(api.keys('steady'), {});
      assert.ok(Date.now() - began < 15_000);
      return answer.status === 503 && answer.headers.get('retry-after');
    }, { what: '503', deadlineMs: 60_000 });
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, validatorKey), 'VALID', name);
    await cluster.start('etcd-1');
    await cluster.start('etcd-3');
    await until(async () => (await api.post(api.keys('steady'), {})).status === 200, { what: 'writes', deadlineMs: 60_000 });
  });

  await t.test('every process is killed at once: what was acknowledged is there', soak, async () => {
    expect(await cluster.api(await cluster.leader()).post('/v1/accounts/default/key-buckets/production/consumers', { name: 'all-killed' }), 200);
    const writer = new Writer(cluster, cluster.followers, 'all-killed');
    await progress(writer);
    for (const name of [...cluster.names, 'etcd-1', 'etcd-2', 'etcd-3']) cluster.signal(name, 'SIGKILL');
    const acknowledged = await writer.stop().catch(() => writer.acknowledged);
    for (const name of ['etcd-1', 'etcd-2', 'etcd-3', ...cluster.names]) await cluster.script(['start', name], 240_000);
    await cluster.caughtUp();
    await assertAllThere(cluster, acknowledged, cluster.names);
  });

  await t.test('a core node is wiped and joins again', soak, async () => {
    const leader = await cluster.leader();
    const standby = cluster.cores.find((name) => name !== leader);
    await cluster.stop(standby);
    rmSync(cluster.dataDir(standby), { recursive: true });
    await cluster.start(standby);
    await cluster.caughtUp();
    assert.equal(await codeAt(cluster, standby, validatorKey), 'VALID');
  });

  await t.test('a rolling restart of all nodes fails no validation elsewhere', soak, async () => {
    for (const name of cluster.names) {
      const others = cluster.names.filter((other) => other !== name);
      const validator = new Validator(cluster, others, validatorKey);
      await cluster.stop(name);
      await cluster.start(name);
      assert.deepEqual(await validator.stop(), [], `while ${name} was away`);
    }
  });
});
