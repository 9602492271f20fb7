// SPDX-License-Identifier: Apache-2.0
// The etcd engine over a real etcd of three members under TLS: elections, hand-over, members that
// die, a lost majority, the quota.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDriver, startEtcd } from './lib/etcd.mjs';
import { until } from './lib/node.mjs';

const DONE = /^done (.+?) (\d+) (\d+)(?:: (.*))?$/;

/** Appends and expects that it is committed; answers the last index. */
async function append(driver, count = 1, size = 200) {
  const [, outcome, first] = await driver.ask(`append ${count} ${size}`, DONE);
  assert.equal(outcome, 'ok');
  return Number(first) + count - 1;
}

test('the first leads, the second stands by and takes over what the first leaves', async (t) => {
  const etcd = await startEtcd(t);
  const a = startDriver(t, etcd, 'node-a');
  assert.equal((await a.leads()).index, 0);
  const b = startDriver(t, etcd, 'node-b');
  await b.expect(/^follows node-a 127\.0\.0\.1:7402$/);
  assert.equal(await append(a, 3), 3);
  assert.equal(await append(a, 1, 2 << 20), 4, 'an entry that no value of etcd holds');
  for (let i = 0; i < 30; i++) await append(a, 2);
  const { end, isOutOfSpace } = JSON.parse((await a.ask('figures', /^figures (.*)$/))[1]);
  assert.deepEqual({ end, isOutOfSpace }, { end: 64, isOutOfSpace: false });

  const [, , epochOfA] = await a.expect(/^role (leader) (\d+)$/);
  assert.equal(await a.stop(), 0);
  const atB = await b.leads();
  assert.equal(atB.index, 64);
  const [, epochOfB] = await b.expect(/^role leader (\d+)$/);
  assert.ok(Number(epochOfB) > Number(epochOfA));
  assert.equal(await append(b), 65);

  // kill -9: the lease must run out first.
  const c = startDriver(t, etcd, 'node-c');
  await c.expect(/^follows node-b/);
  await b.kill();
  assert.equal((await c.leads()).index, 65);
  assert.equal(await append(c), 66);
  assert.equal(await c.stop(), 0);
  assert.equal(etcd.control('get', '/clst_test/leader').trim(), '', 'the leader takes its key along');
});

test('members of etcd may die, one at a time, its leader included, without a loss', async (t) => {
  const etcd = await startEtcd(t);
  const a = startDriver(t, etcd, 'node-a');
  await a.leads();
  // A member that comes back may begin an election, which costs a node its leadership for a while.
  const appendWhenLed = async () => {
    for (let tries = 0; tries < 100; tries++) {
      const from = a.lines.length;
      const [, outcome, first] = await a.ask('append 1 200', DONE);
      if (outcome === 'ok') return Number(first);
      await a.leads({ from, deadlineMs: 30_000 });
    }
    throw new Error('a hundred appends in turn were refused');
  };
  let last = 0;
  for (let round = 0; round < 3; round++) {
    const victim = round === 0 ? 0 : etcd.leader();
    await appendWhenLed();
    await etcd.killMember(victim);
    for (let count = 0; count < 5; count++) {
      const index = await appendWhenLed();
      assert.ok(index > last, 'what was acknowledged is there');
      last = index;
    }
    etcd.startMember(victim);
    await etcd.ready();
  }
  await a.stop();
  const { index, chain } = await startDriver(t, etcd, 'node-b').leads();
  assert.ok(index >= last, 'what was acknowledged is there for the next leader');
  assert.match(chain, /^[0-9a-f]{32}$/);
  const c = startDriver(t, etcd, 'node-c');
  await c.expect(/^follows node-b/);
});

test('without a majority writes are refused in time, and go on when it is back', async (t) => {
  const etcd = await startEtcd(t);
  const a = startDriver(t, etcd, 'node-a');
  await a.leads();
  const acknowledged = await append(a, 2);
  await etcd.killMember(0);
  await etcd.killMember(1);
  const from = a.lines.length;
  const [, outcome] = await a.ask('append 1 200', DONE, { deadlineMs: 10_000 });
  assert.match(outcome, /^(deadline exceeded|no leader)$/);
  await a.expect(/^role standby/, { from });
  const again = a.lines.length;
  etcd.startMember(0);
  etcd.startMember(1);
  const { index } = await a.leads({ from: again, deadlineMs: 60_000 });
  assert.ok(index === acknowledged || index === acknowledged + 1, 'what was acknowledged is there, what was not may be');
  assert.equal(await append(a), index + 1);
  await a.stop();
});

test('etcd out of space refuses writes with the mend, and recovers after a trim', async (t) => {
  const etcd = await startEtcd(t, { count: 1, quotaBytes: 24 << 20 });
  const a = startDriver(t, etcd, 'node-a');
  await a.leads();
  let last = 0;
  let refusal;
  // A defragmentation alone may win a few writes more; then they are refused for good.
  for (let refused = 0; refused < 10; ) {
    const [, outcome, first, , why] = await a.ask('append 1 1000000', DONE);
    refused = outcome === 'ok' ? 0 : refused + 1;
    if (outcome === 'ok') last = Number(first);
    else refusal = { outcome, why };
    assert.ok(last < 100, 'the quota is never met');
    if (refused > 0) await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.equal(refusal.outcome, 'disk full');
  assert.match(refusal.why, /out of space \(NOSPACE\).*quota-backend-bytes/);
  a.tell(`trim ${last}`);
  const next = await until(
    async () => {
      const [, outcome, first] = await a.ask('append 1 1000', DONE);
      return outcome === 'ok' && Number(first);
    },
    { what: () => `an append after the trim; the engine said\n${a.stderr}`, deadlineMs: 60_000, everyMs: 100 },
  );
  assert.equal(next, last + 1, a.stderr);
  assert.equal(etcd.control('alarm', 'list').trim(), '');
  await a.stop();
});

test('a node without a certificate of the authority neither reads nor leads', async (t) => {
  const etcd = await startEtcd(t, { count: 1 });
  const bare = startDriver(t, etcd, 'node-a', { withCertificate: false });
  const foreign = startDriver(t, etcd, 'node-b', { caFile: 'client.pem' });
  const good = startDriver(t, etcd, 'node-c');
  assert.equal((await good.leads()).index, 0);
  assert.equal(await append(good), 1);
  for (const driver of [bare, foreign]) assert.deepEqual(driver.lines.filter((line) => !line.startsWith('role standby')), []);
  const plain = startDriver(t, etcd, 'node-d', { endpoints: 'http://192.0.2.1:2379' });
  await plain.expect(/^fault .*192\.0\.2\.1.*use https/);
  assert.equal(await plain.exited, 1);
});
