// SPDX-License-Identifier: Apache-2.0
// Core nodes whose leader is the operator's word: a standby is promoted, and the old leader, which
// holds writes that nobody else has, comes back.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { client, expect, expectProblem } from '../integration/lib/http.mjs';
import { until } from '../integration/lib/node.mjs';
import { Promises, Validator, Writer, answersUntil, codeAt, makeKey, revoke } from './lib/checkers.mjs';
import { Cluster, assertSameState, assertStandbyIsNotMissed } from './lib/cluster.mjs';

const STALENESS_MS = 4000;

test('a leader and two standbys', { timeout: 600_000 }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'local', standbys: 2, settings: { log_retention_bytes: 1 << 20 } });
  // From its beginning, so that no node can know of another bound.
  await cluster.api('core-1').makeBucket('short', { maxStalenessMs: STALENESS_MS });
  const survivors = cluster.names.filter((name) => name !== 'core-1');
  const steady = await makeKey(cluster.api('core-1'), 'steady', 'short');
  for (const consumer of ['written', 'bulky']) await cluster.api('core-1').makeConsumer(consumer);
  const before = {};
  const writers = []; // whose writes must be there to the end
  const startWriter = (names) => writers[writers.push(new Writer(cluster, names, 'written')) - 1];
  const assertAllKept = async (names) => {
    for (const writer of writers) await writer.assertKept(names);
  };
  const leads = (name, names) => until(async () => (await cluster.leader(names)) === name, { what: `${name} to lead`, deadlineMs: 40_000 });

  await cluster.story(t, 'a leader that is restarted asks its standbys, and leads again', async () => {
    await until(async () => (await cluster.seenBy('core-1')).nodes.length === 7, { what: 'seven members' });
    const { epoch } = await cluster.seenBy('core-1');
    await cluster.kill('core-1');
    await cluster.start('core-1');
    await leads('core-1');
    assert.equal((await cluster.seenBy('core-1')).epoch, epoch);
    assert.match(cluster.log('core-1'), /leading again: no core node knows a higher epoch/);
    await assertSameState(cluster);
  });

  await cluster.story(t, 'a standby that is wiped takes a snapshot, with a stored answer larger than a frame in it', async () => {
    const leader = cluster.api('core-1');
    const bulk = Array.from({ length: 1000 }, () => ({ description: 'd'.repeat(1000) }));
    const { index } = await cluster.seenBy('core-1');
    const answer = expect(await leader.post(`${leader.keys('bulky')}/$bulk`, bulk, { 'idempotency-key': 'large' }), 200);
    assert.ok(answer.text.length > 1 << 20);
    await cluster.stop('core-3');
    rmSync(cluster.dataDir('core-3'), { recursive: true });
    await until(
      async () => {
        expect(await leader.post(`${leader.keys('bulky')}/$bulk`, bulk), 200);
        return (await cluster.metric('core-1', 'log_first_index')) > index + 1;
      },
      { what: 'the log to be cut', deadlineMs: 60_000, everyMs: 500 },
    );
    await cluster.start('core-3');
    assert.match(cluster.log('core-3'), /a snapshot is complete/);
    await assertSameState(cluster);
  });

  await cluster.story(t, 'a follower that is cut off answers for a bucket without a bound, but not behind a power cut', async () => {
    const name = 'edge-us-east';
    await cluster.api('core-1').makeBucket('always', { maxStalenessMs: null });
    const key = await makeKey(cluster.api('core-1'), 'always', 'always');
    await cluster.caughtUp();
    for (const code of ['VALID', 'STALE']) {
      await cluster.cut(name, 'all');
      await cluster.kill(name);
      const mark = join(cluster.dataDir(name), 'db', 'boot');
      if (code === 'STALE') writeFileSync(mark, readFileSync(mark, 'utf8').replace(/^./, '?')); // of another boot
      const started = cluster.start(name);
      assert.deepEqual(await answersUntil(cluster, name, key, ['VALID', 'STALE']), [code]);
      await cluster.heal();
      await started;
      await answersUntil(cluster, name, key, ['VALID']);
    }
    assert.match(cluster.log(name), /the machine stopped without this node/);
    await until(() => /caught up after the machine had stopped/.test(cluster.log(name)), { what: 'it to say so' });
    await assertSameState(cluster);
  });

  await cluster.story(t, 'a standby is killed under load: the others do not notice, and it catches up', (s) =>
    assertStandbyIsNotMissed(s, cluster, steady, 'standby-killed'));

  await cluster.story(t, 'a receipt of every node, before the leader is lost', async () => {
    before.key = await makeKey(cluster.api('core-1'), 'revoked-before', 'short');
    before.receipt = expect(await revoke(cluster.api('core-1'), before.key, '?wait=everywhere&timeoutMs=20000'), 200).body;
    assert.ok(before.receipt.nodes.every(({ state }) => state === 'applied'), JSON.stringify(before.receipt));
    before.limited = await cluster.api('core-1').makeToken('limited', { roles: ['owner'], buckets: ['short'] });
    const writer = startWriter(cluster.names);
    await until(() => writer.acknowledged.length >= 20, { what: 'twenty writes' });
    await writer.stop();
    await cluster.caughtUp();
  });

  await cluster.story(t, 'the leader dies with a write that nobody else has, and a standby is promoted', async () => {
    await cluster.cut('core-1', 'all');
    await until(async () => (await cluster.metric('core-1', 'children')) === 0, { what: 'the cut to be felt' });
    before.lost = await makeKey(cluster.api('core-1'), 'lost');
    await cluster.kill('core-1');
    // Denied, though a standby without a leader cannot write the denial down.
    expectProblem(await client(cluster.node('core-2'), before.limited.token).post('/v1/cluster/promote', { oldLeaderIsDown: true }), 403, /limited/);
    const validator = new Validator(cluster, survivors, steady);
    const promoted = await cluster.cli('core-2', ['promote', '--old-leader-is-down']);
    assert.equal(promoted.code, 0, promoted.stderr);
    await leads('core-2', survivors);
    const writer = startWriter(survivors);
    await until(() => writer.acknowledged.length >= 20, { what: 'twenty writes' });
    await writer.stop();
    const wrong = await validator.stop();
    assert.ok(wrong.every((answer) => answer.endsWith('STALE')), wrong.slice(0, 5).join());
    await assertAllKept(survivors);
    await assertSameState(cluster, survivors);
    const { data } = expect(await cluster.api('core-2').get('/v1/accounts/default/audit-logs?action=cluster.promote'), 200).body;
    assert.deepEqual(data.map(({ target }) => target), ['core-2']);
  });

  await cluster.story(t, 'what was revoked stays revoked, and its receipt can still be read', async () => {
    for (const name of survivors) assert.equal(await codeAt(cluster, name, before.key), 'REVOKED', name);
    for (const name of ['core-2', 'edge-us-east']) {
      const receipt = expect(await cluster.api(name).get(`/v1/receipts/${before.receipt.index}`), 200).body;
      assert.equal(receipt.index, before.receipt.index);
      assert.ok(receipt.nodes.every(({ node, state }) => state === 'applied' || node === 'core-1'), JSON.stringify(receipt));
    }
    assert.equal(await codeAt(cluster, 'core-2', before.lost), 'NOT_FOUND');
  });

  await cluster.story(t, 'everywhere waits until the dead leader\'s time is over', async () => {
    before.meanwhile = await makeKey(cluster.api('core-2'), 'revoked-meanwhile', 'short');
    before.steady = await revoke(cluster.api('core-2'), steady, '?wait=everywhere&timeoutMs=20000');
    const { nodes } = expect(before.steady, 200).body;
    assert.equal(nodes.find(({ node }) => node === 'core-1').state, 'lease-expired');
    assert.ok(nodes.every(({ node, state }) => state === 'applied' || node === 'core-1'), JSON.stringify(nodes));
  });

  await cluster.story(t, 'the old leader comes back: it stands by, and never says VALID for what was revoked', async () => {
    const promises = new Promises(cluster, ['core-2', 'edge-us-west'], ['core-1', 'core-3', 'edge-eu-west'], 'revoked-meanwhile', 'short');
    await until(() => promises.kept.length > 0, { what: 'a receipt' });
    await cluster.heal();
    const [seen, lost] = await Promise.all([
      answersUntil(cluster, 'core-1', steady, ['REVOKED']),
      answersUntil(cluster, 'core-1', before.lost, ['NOT_FOUND']),
      cluster.start('core-1'),
    ]);
    assert.ok(!seen.includes('VALID'), seen.join());
    assert.ok(!lost.includes('VALID'), lost.join());
    await promises.stop();
    await leads('core-2');
    assert.equal(await cluster.metric('core-1', 'is_leader'), 0);
    assert.match(cluster.log('core-1'), /this node led when it stopped, and another leads now: it stands by/);
    assert.match(cluster.log('core-1'), /a snapshot is complete/);
    assert.equal(await codeAt(cluster, 'core-1', before.meanwhile, { minIndex: before.meanwhile.index }), 'VALID');
    await assertSameState(cluster);
  });

  await cluster.story(t, 'two leaders that come to see each other: the older one steps down', async () => {
    await cluster.cut('core-2', 'all');
    const promoted = await cluster.cli('core-3', ['promote', '--old-leader-is-down']);
    assert.equal(promoted.code, 0, promoted.stderr);
    const others = cluster.names.filter((name) => name !== 'core-2');
    await cluster.kill('core-3'); // what was answered is durable
    await cluster.start('core-3');
    await leads('core-3', others);
    assert.equal(await cluster.metric('core-2', 'is_leader'), 1);
    await cluster.heal();
    await until(async () => (await cluster.metric('core-2', 'is_leader')) === 0, { what: 'the older leader to step down' });
    await leads('core-3');
    assert.match(cluster.log('core-2'), /stepping down: another node leads under a higher epoch/);
    await assertSameState(cluster);
  });

  await cluster.story(t, 'all are killed at once and started again: the last one that was promoted leads', async () => {
    const writer = startWriter(cluster.names);
    await until(() => writer.acknowledged.length >= 20, { what: 'twenty writes' });
    await Promise.all(cluster.names.map((name) => cluster.kill(name)));
    await Promise.all(cluster.names.map((name) => cluster.start(name)));
    const behind = writer.acknowledged.length;
    await until(() => writer.acknowledged.length >= behind + 20, { what: 'twenty more writes', deadlineMs: 60_000 });
    await writer.stop();
    await leads('core-3');
    await assertSameState(cluster);
    await assertAllKept(cluster.names);
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, before.key), 'REVOKED', name);
  });
});
