// SPDX-License-Identifier: Apache-2.0
// Three core nodes over three real etcd members, and four followers: leaders die, hand over, are cut
// off and paused; etcd members die; everything dies at once. No acknowledged write is lost.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDriver } from '../integration/lib/etcd.mjs';
import { expect, expectProblem } from '../integration/lib/http.mjs';
import { until } from '../integration/lib/node.mjs';
import { decode, encode } from '../integration/lib/protobuf.mjs';
import { fill, mountBelow } from '../integration/lib/smalldisk.mjs';
import { assertAllThere, codeAt, makeKey, revoke } from './lib/checkers.mjs';
import { Cluster, assertSameState, assertStandbyIsNotMissed } from './lib/cluster.mjs';
import { whileHeldBehindLookUp, whyNoDebugger } from './lib/debugger.mjs';

const DEADLINE_MS = 60_000;
const BUSY_MS = 3_000; // what a busy machine may add
const members = ['etcd-1', 'etcd-2', 'etcd-3'];
const onSmallDisk = 'core-3';
const MIB = 1 << 20;

// The longest stories, and more rounds of the others.
const isSoak = Boolean(process.env.KEYREEVE_SOAK);
const soak = { skip: isSoak ? false : 'a part of the soak' };
const rounds = isSoak ? 5 : 1;

test('three core nodes over etcd and four followers', { timeout: 860_000 }, async (t) => {
  let disk;
  const cluster = await Cluster.up(t, {
    engine: 'etcd',
    prepare: ({ dir }) => {
      disk = mountBelow(t, join(dir, onSmallDisk));
    },
  });
  const steady = await makeKey(cluster.api(cluster.followers[0]), 'steady');
  await cluster.caughtUp();

  const allBut = (...names) => cluster.names.filter((name) => !names.includes(name));
  const startAll = (names) => Promise.all(names.map((name) => cluster.start(name)));
  const write = (name) => cluster.api(name).post(cluster.api(name).keys('steady'), {}).catch(() => ({ status: 0 }));
  const resumed = (name) => until(async () => (await write(name)).status === 200, { what: `writes through ${name}`, deadlineMs: DEADLINE_MS, everyMs: 100 });
  const otherLeader = (leader, seer) =>
    until(async () => ![null, leader].includes((await cluster.seenBy(seer).catch(() => ({ leader }))).leader), { what: 'another leader', deadlineMs: DEADLINE_MS });

  /** A refusal within the time that is promised, with when to come back. */
  const refused = (name) =>
    until(async () => {
      const began = Date.now();
      const answer = await write(name);
      assert.ok(Date.now() - began < 5_000 + BUSY_MS, `an answer after ${Date.now() - began} ms`);
      return answer.status === 503 && answer.headers.get('retry-after');
    }, { what: `503 with Retry-After at ${name}`, deadlineMs: DEADLINE_MS });

  const tell = (t, { writer, validator, promises }) =>
    t.diagnostic(
      `writes were away for ${writer.longestGapMs} ms; ${writer.acknowledged.length} writes, ${writer.refused} sent again, ` +
        `${validator.asked} validations, ${promises.kept.length} receipts and ${promises.answers} answers behind them`,
    );

  for (let round = 1; round <= rounds; round++) {
    await cluster.story(t, 'the leader is killed under load: nothing is lost, no validation fails, another leads', async (t) => {
      const leader = await cluster.leader();
      const load = await cluster.underLoad(`leader-killed-${round}`, allBut(leader), steady, async (progress) => {
        await cluster.kill(leader);
        await progress();
        await cluster.start(leader);
      });
      tell(t, load);
      assert.notEqual(await cluster.leader(), leader);
    });

    await cluster.story(t, 'a clean stop hands over', async (t) => {
      const leader = await cluster.leader();
      const load = await cluster.underLoad(`handed-over-${round}`, allBut(leader), steady, async (progress) => {
        await cluster.stop(leader);
        await progress();
        await cluster.start(leader);
      });
      tell(t, load);
    });
  }

  await cluster.story(t, 'a standby is killed under load: the others do not notice, and it catches up', (t) =>
    assertStandbyIsNotMissed(t, cluster, steady, 'standby-killed'));

  await cluster.story(t, 'wait=everywhere names all seven, through a follower', async () => {
    const key = await makeKey(cluster.api('edge-us-west'), 'all-seven');
    const receipt = expect(await revoke(cluster.api('edge-eu-west'), key, '?wait=everywhere'), 200).body;
    assert.deepEqual(receipt.nodes.map(({ node }) => node).sort(), [...cluster.names].sort());
    assert.ok(receipt.nodes.every(({ state }) => state === 'applied'), JSON.stringify(receipt.nodes));
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key), 'REVOKED');
  });

  await cluster.story(t, 'one etcd member dies: writes go on', async () => {
    await cluster.underLoad('member-killed', cluster.names, steady, async (progress) => {
      await cluster.kill('etcd-2');
      await progress();
      await cluster.start('etcd-2');
    });
  });

  await cluster.story(t, 'a standby and a follower die: writes and validations go on', async () => {
    const leader = await cluster.leader();
    const dying = [cluster.cores.find((name) => name !== leader), cluster.followers[3]];
    await cluster.underLoad('others-killed', allBut(...dying), steady, async (progress) => {
      await Promise.all(dying.map((name) => cluster.kill(name)));
      await progress();
      await startAll(dying);
    });
  }, soak);

  await cluster.story(t, 'a leader that is cut from etcd leads no more, and another does', async () => {
    const leader = await cluster.leader();
    await cluster.underLoad('leader-cut', cluster.names, steady, async (progress) => {
      await cluster.cut(leader, 'etcd');
      await otherLeader(leader, cluster.followers[0]);
      await progress();
      await cluster.heal();
    });
  });

  await cluster.story(t, 'a leader that is cut from all nodes but not from etcd goes on alone, and they catch up', async () => {
    const leader = await cluster.leader();
    const alone = [];
    await cluster.validating(cluster.names, steady, async () => {
      for (const name of allBut(leader)) await cluster.cut(leader, name);
      await refused(cluster.followers[0]);
      for (let i = 0; i < 20; i++) alone.push(expect(await write(leader), 200).body);
      await cluster.heal();
      await resumed(cluster.followers[0]);
    });
    assert.equal(await cluster.leader(), leader);
    await cluster.caughtUp();
    await assertAllThere(cluster, alone, cluster.names);
    await assertSameState(cluster);
  }, soak);

  await cluster.story(t, 'a paused leader comes back as a standby, and says nothing from the past', async () => {
    const leader = await cluster.leader();
    const key = await makeKey(cluster.api(leader), 'paused-leader');
    await cluster.caughtUp();
    let asked;
    await cluster.whileStopped(leader, async () => {
      await otherLeader(leader, cluster.followers[3]);
      asked = codeAt(cluster, leader, key, { maxStalenessMs: 1000 });
      expect(await revoke(cluster.api(cluster.followers[0]), key), 200);
    });
    assert.notEqual(await asked, 'VALID');
    await until(async () => (await codeAt(cluster, leader, key)) === 'REVOKED', { what: 'the paused leader to catch up', deadlineMs: DEADLINE_MS });
    await assertSameState(cluster);
  }, soak);

  await cluster.story(t, 'a leader that is stopped between its look-up and its answer does not say VALID behind the receipt', async (t) => {
    const why = await whyNoDebugger();
    if (why) return t.skip(why);
    await cluster.api(cluster.followers[0]).makeBucket('held', { maxStalenessMs: 3000 });
    const key = await makeKey(cluster.api(cluster.followers[0]), 'held-leader', 'held');
    const leader = await cluster.leader();
    await cluster.caughtUp();
    const revokeElsewhere = async () => {
      await otherLeader(leader, cluster.followers[3]);
      const api = cluster.api(cluster.followers[0]);
      const attempt = async () => {
        const { status, body } = await revoke(api, key, '?wait=everywhere&timeoutMs=20000');
        return status === 200 && body;
      };
      return until(attempt, { what: 'the receipt', deadlineMs: DEADLINE_MS });
    };
    const ask = () => cluster.api(leader).validate(key.key);
    const [answer, receipt] = await whileHeldBehindLookUp(cluster, leader, ask, revokeElsewhere);
    assert.equal(receipt.nodes.find(({ node }) => node === leader).state, 'lease-expired');
    assert.deepEqual([answer.body.code, answer.body.keyId], ['STALE', key.id]);
    await until(async () => (await codeAt(cluster, leader, key)) === 'REVOKED', { what: 'the held leader to catch up', deadlineMs: DEADLINE_MS });
    await assertSameState(cluster);
  });

  await cluster.story(t, 'without a majority of etcd writes answer 503 in time, and validations go on', async () => {
    await cluster.validating(cluster.names, steady, async () => {
      await Promise.all(['etcd-1', 'etcd-3'].map((name) => cluster.kill(name)));
      await Promise.all([cluster.followers[0], ...cluster.cores].map(refused));
      await startAll(['etcd-1', 'etcd-3']);
      await resumed(cluster.followers[0]);
    });
    await assertSameState(cluster);
  }, soak);

  await cluster.story(t, 'every process is killed at once: what was acknowledged is there', async () => {
    const writer = await cluster.writing('all-killed', async (progress) => {
      await progress();
      for (const name of [...cluster.names, ...members]) cluster.signal(name, 'SIGKILL');
    });
    await startAll(members);
    await startAll(cluster.names);
    await cluster.caughtUp();
    await writer.assertKept(cluster.names);
    await assertSameState(cluster);
  }, soak);

  const database = (name) => join(cluster.dataDir(name), 'db');
  const writeAheadLog = (name) => join(database(name), readdirSync(database(name)).filter((file) => /^\d+\.log$/.test(file)).sort().at(-1));

  /** What the node's disk is known to hold: the higher one of the two copies in its watermark. */
  const flushed = (name) => {
    const file = readFileSync(join(database(name), 'watermark'));
    return Math.max(...[0, 512].filter((at) => file.length >= at + 16).map((at) => Number(file.readBigUInt64LE(at))));
  };

  /** Ends all core nodes and takes what they have written since a flush. False: there was one meanwhile. */
  const cutPower = async (acknowledged) => {
    const index = await cluster.caughtUp();
    await until(() => cluster.cores.every((name) => flushed(name) >= index), { what: 'a flush at every core node' });
    const before = cluster.cores.map((name) => ({ name, path: writeAheadLog(name), size: statSync(writeAheadLog(name)).size, index: flushed(name) }));
    for (let i = 0; i < 10; i++) acknowledged.push(await makeKey(cluster.api(cluster.followers[0]), 'power-cut'));
    await Promise.all(cluster.cores.map((name) => cluster.kill(name)));
    if (before.some(({ name, index }) => flushed(name) > index)) return false;
    for (const { path, size } of before) {
      assert.ok(statSync(path).size > size, path);
      truncateSync(path, size);
    }
    return true;
  };

  await cluster.story(t, 'the power fails at all core nodes: etcd has what their disks had not flushed', async () => {
    const acknowledged = [];
    let isCut = false;
    for (let attempt = 0; attempt < 20 && !isCut; attempt++) {
      isCut = await cutPower(acknowledged);
      await startAll(cluster.cores);
      await resumed(cluster.followers[0]);
    }
    assert.ok(isCut, 'a flush came between in every attempt');
    await cluster.caughtUp();
    await assertAllThere(cluster, acknowledged, cluster.names);
    await assertSameState(cluster);
  }, soak);

  await cluster.story(t, 'a core node is wiped and joins again', async () => {
    const leader = await cluster.leader();
    const standby = cluster.cores.find((name) => name !== leader);
    await cluster.underLoad('wiped', allBut(standby), steady, async (progress) => {
      await cluster.stop(standby);
      rmSync(cluster.dataDir(standby), { recursive: true });
      await progress();
      await cluster.start(standby);
    });
    assert.equal(await codeAt(cluster, standby, steady), 'VALID');
  }, soak);

  const coresBut = (...names) => cluster.cores.filter((name) => !names.includes(name));
  const startLater = (name) => {
    const starting = cluster.start(name);
    starting.catch(() => {}); // awaited below
    return starting;
  };
  const leads = (name, seer = name) => until(async () => (await cluster.seenBy(seer).catch(() => ({}))).leader === name, { what: `${name} to lead`, deadlineMs: DEADLINE_MS, everyMs: 100 });
  const told = (name, what, from) => until(() => what.test(cluster.log(name).slice(from)), { what: `${what} in the log of ${name}`, deadlineMs: DEADLINE_MS, everyMs: 100 });
  const isFresh = async (name) => (await codeAt(cluster, name, steady, { maxStalenessMs: 1000 })) === 'VALID';

  await cluster.story(t, 'the leader\'s disk is full: alone it stays fresh and takes no write, and it makes way for another', async (t) => {
    if (!disk) return t.skip('mounting a tmpfs is not permitted');
    const others = coresBut(onSmallDisk);
    for (const name of others) await cluster.stop(name);
    await leads(onSmallDisk);
    await resumed(onSmallDisk);
    const from = cluster.log(onSmallDisk).length;
    const empty = fill(disk, 16 * MIB);
    let isFull = true;
    const makeRoom = () => {
      if (isFull) empty();
      isFull = false;
    };
    try {
      const refusal = await until(async () => [await write(onSmallDisk)].find(({ status }) => status === 503), { what: 'a refusal', deadlineMs: DEADLINE_MS, everyMs: 100 });
      expectProblem(refusal, 503, /free space/);
      await told(onSmallDisk, /this node's disk is full: it takes no writes/, from);
      const endMs = Date.now() + 4_000; // longer than any lease
      while (Date.now() < endMs) assert.ok(await isFresh(onSmallDisk));
      await Promise.all(others.map((name) => cluster.start(name)));
      await otherLeader(onSmallDisk, cluster.followers[0]);
      await resumed(cluster.followers[0]);
      await cluster.underLoad('leader-disk-full', allBut(onSmallDisk), steady, async (progress) => {
        await progress();
        for (const name of allBut(onSmallDisk)) await until(() => isFresh(name), { what: `${name} to be fresh`, deadlineMs: DEADLINE_MS });
        makeRoom();
      });
    } finally {
      makeRoom();
    }
    const text = cluster.log(onSmallDisk).slice(from);
    assert.match(text, /this node must not lead.*are kept in reserve/);
    assert.equal(text.split('it takes no writes').length, 2, 'one line on the refusals');
  });

  await cluster.story(t, 'a standby whose disk is full does not take over', async (t) => {
    if (!disk) return t.skip('mounting a tmpfs is not permitted');
    let leader = await cluster.leader();
    if (leader === onSmallDisk) {
      await cluster.stop(leader);
      await cluster.start(leader);
      leader = await cluster.leader();
    }
    await cluster.underLoad('standby-disk-full', allBut(onSmallDisk, leader), steady, async (progress) => {
      const empty = fill(disk, 16 * MIB);
      try {
        await progress();
        await cluster.kill(leader);
        await leads(coresBut(onSmallDisk, leader)[0], cluster.followers[0]);
        await progress();
      } finally {
        empty();
      }
      await cluster.start(leader);
    });
  });

  await cluster.story(t, 'a core node whose state is wrong leads nobody, not even alone, until it is rebuilt', async () => {
    const wrong = coresBut(await cluster.leader())[0];
    const mark = join(cluster.dataDir(wrong), 'db', 'differs');
    await cluster.stop(wrong);
    writeFileSync(mark, 'the test says so\n');
    const others = coresBut(wrong);
    for (const name of others) await cluster.kill(name);
    const from = cluster.log(wrong).length;
    const starting = startLater(wrong);
    await told(wrong, /nobody leads, and this node stands back.*replaced by a snapshot/, from);
    assert.equal(await codeAt(cluster, wrong, steady), 'STALE');
    assert.notEqual((await write(wrong)).status, 200);
    await Promise.all(others.map((name) => cluster.start(name)));
    await starting;
    await resumed(wrong);
    await until(() => !existsSync(mark), { what: 'a snapshot in its place', deadlineMs: DEADLINE_MS });
    await assertSameState(cluster);
  });

  /** Where the log in etcd ends: {index, chain}, by its last batch (proto/batch.proto). */
  function endOfLog(clusterId) {
    const last = ['--prefix', '--order', 'DESCEND', '--limit', '1'];
    const answer = cluster.etcdctl(['get', '-w', 'json', ...last, `/${clusterId}/log/`]);
    const batch = decode(Buffer.from(JSON.parse(answer).kvs[0].value, 'base64'));
    const half = (at) => batch[5][0].readBigUInt64LE(at).toString(16).padStart(16, '0');
    return { index: batch[1][0] + batch[7].length - 1, chain: half(8) + half(0) };
  }

  /** A leader of a later version appends an entry whose operation nobody here knows; answers its index. */
  async function appendUnknown(s) {
    const { clusterId } = await cluster.seenBy(cluster.followers[0]);
    const endpoints = [101, 102, 103].map((last) => `https://127.0.${cluster.net}.${last}:2379`).join();
    const etcd = { directory: join(cluster.dir, 'etcd-ca'), endpoints, quotaBytes: 1 << 30 };
    await Promise.all(cluster.cores.map((name) => cluster.stop(name)));
    const later = startDriver(s, etcd, 'of-a-later-version', { clusterId, from: endOfLog(clusterId) });
    const { index } = await later.leads({ deadlineMs: DEADLINE_MS });
    const [, epoch] = await later.expect(/^role leader (\d+)$/);
    const operation = encode([[400, '']]); // proto/log.proto: the numbers end long before
    const nowMs = Date.now();
    const place = [[1, index + 1], [2, Number(epoch)], [3, nowMs * 1000]];
    const entry = encode([...place, [5, 'system'], [6, nowMs], [7, operation]]);
    await later.ask(`entry ${entry.toString('hex')}`, /^done ok /);
    await later.stop();
    return index + 1;
  }

  await cluster.story(t, 'an operation that no core node knows stops each before it, with a clear line, and followers turn STALE', async (s) => {
    const { clusterId } = await cluster.seenBy(cluster.followers[0]);
    await cluster.api(cluster.followers[0]).makeBucket('unknown-op', { maxStalenessMs: 3000 });
    const key = await makeKey(cluster.api(cluster.followers[0]), 'unknown-op', 'unknown-op');
    await cluster.caughtUp();
    const from = Object.fromEntries(cluster.cores.map((name) => [name, cluster.log(name).length]));
    const index = await appendUnknown(s);
    const starting = cluster.cores.map(startLater);
    const why = `log entry ${index} cannot be read: format version not supported; use the version`;
    const line = new RegExp(`stopped: cannot go on.*${why} that wrote it`);
    for (const name of cluster.cores) await told(name, line, from[name]);
    await Promise.allSettled(starting);
    for (const name of cluster.cores) {
      assert.equal(cluster.log(name).slice(from[name]).split('cannot go on').length, 2, `one line at ${name}`);
      assert.ok(!cluster.isRunning(name), name);
    }
    for (const name of cluster.followers) {
      await until(async () => (await codeAt(cluster, name, key)) === 'STALE', { what: `STALE at ${name}` });
      await refused(name);
    }
    cluster.etcdctl(['del', `/${clusterId}/log/${index.toString(16).padStart(16, '0')}`]);
    await startAll(cluster.cores);
    await resumed(cluster.followers[0]);
    await cluster.caughtUp();
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key), 'VALID', name);
    await assertSameState(cluster);
  });

  await cluster.story(t, 'a rolling restart of all nodes fails no validation elsewhere', async () => {
    for (const name of cluster.names) {
      await cluster.underLoad(`rolling-${name}`, allBut(name), steady, async () => {
        await cluster.stop(name);
        await cluster.start(name);
      });
    }
  }, soak);

  // The last one: a node that was removed is not admitted again.
  await cluster.story(t, 'a core node that was removed leads nobody, though it is the only one', async () => {
    const leader = await cluster.leader();
    const removed = coresBut(leader)[0];
    const api = cluster.api(leader);
    expect(await api.delete(`/v1/cluster/nodes/${removed}`), 204);
    const from = cluster.log(removed).length;
    const others = coresBut(removed);
    for (const name of others) await cluster.kill(name);
    await told(removed, /was removed from the cluster/, from);
    await told(removed, /nobody leads, and this node stands back|this node must not lead/, from);
    for (let i = 0; i < 4; i++) {
      const answers = await Promise.all(Array.from({ length: 5 }, () => write(removed)));
      for (const { status } of answers) assert.notEqual(status, 200);
    }
    await Promise.all(others.map((name) => cluster.start(name)));
    const writer = await cluster.writing('removed', (progress) => progress());
    await cluster.caughtUp(allBut(removed));
    await writer.assertKept(allBut(removed));
    assert.ok(others.includes(await cluster.leader(allBut(removed))));
  });
});
