// SPDX-License-Identifier: Apache-2.0
// The etcd engine over a real etcd of three members under TLS: elections, hand-over, members that
// die, a lost majority, the quota.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDriver, startEtcd } from './lib/etcd.mjs';
import { until } from './lib/node.mjs';

const DONE = /^done (.+?) (\d+) (\d+)(?:: (.*))?$/;

/**
 * Appends behind `end`, again where an election of etcd has cost the node its leadership for a while;
 * answers the last index.
 */
async function append(driver, end, count = 1, size = 200) {
  let refused = 0;
  const attempt = async () => {
    const [, outcome, first] = await driver.ask(`append ${count} ${size}`, DONE);
    if (outcome === 'ok') return Number(first) + count - 1;
    refused += 1;
    return undefined;
  };
  const last = await until(attempt, { what: () => `an append to be taken; ${refused} were refused, and the engine said\n${driver.stderr}`, deadlineMs: 60_000, everyMs: 50 });
  // What was refused may be there all the same.
  assert.ok(refused > 0 ? last >= end + count : last === end + count, `${last} behind ${end}, ${refused} refused`);
  return last;
}

test('the first leads, the second stands by and takes over what the first leaves', async (t) => {
  const etcd = await startEtcd(t);
  const a = startDriver(t, etcd, 'node-a');
  assert.equal((await a.leads()).index, 0);
  let last = await append(a, 0, 3);
  last = await append(a, last, 1, 2 << 20); // an entry that no value of etcd holds
  for (let i = 0; i < 30; i++) last = await append(a, last, 2);
  assert.ok(last >= 64);
  const { end, isOutOfSpace } = JSON.parse((await a.ask('figures', /^figures (.*)$/))[1]);
  assert.deepEqual({ end, isOutOfSpace }, { end: last, isOutOfSpace: false });
  // Now, as an election could make it the leader.
  const b = startDriver(t, etcd, 'node-b');
  await b.expect(/^follows node-a 127\.0\.0\.1:7402$/);

  const [, , epochOfA] = await a.expect(/^role (leader) (\d+)$/);
  assert.equal(await a.stop(), 0);
  assert.equal((await b.leads()).index, last);
  const [, epochOfB] = await b.expect(/^role leader (\d+)$/);
  assert.ok(Number(epochOfB) > Number(epochOfA));
  last = await append(b, last);

  // kill -9: the lease must run out first.
  const c = startDriver(t, etcd, 'node-c');
  await c.expect(/^follows node-b/);
  await b.kill();
  assert.equal((await c.leads()).index, last);
  await append(c, last);
  assert.equal(await c.stop(), 0);
  assert.equal(etcd.control('get', '/clst_test/leader').trim(), '', 'the leader takes its key along');
});

test('members of etcd may die, one at a time, its leader included, without a loss', async (t) => {
  const etcd = await startEtcd(t);
  const a = startDriver(t, etcd, 'node-a');
  await a.leads();
  let last = 0;
  for (let round = 0; round < 3; round++) {
    const victim = round === 0 ? 0 : etcd.leader();
    last = await append(a, last);
    await etcd.killMember(victim);
    for (let count = 0; count < 5; count++) last = await append(a, last);
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
  const acknowledged = await append(a, 0, 2);
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
  await append(a, index);
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
  await append(good, 0);
  for (const driver of [bare, foreign]) assert.deepEqual(driver.lines.filter((line) => !line.startsWith('role standby')), []);
  const plain = startDriver(t, etcd, 'node-d', { endpoints: 'http://192.0.2.1:2379' });
  await plain.expect(/^fault .*192\.0\.2\.1.*use https/);
  assert.equal(await plain.exited, 1);
});
