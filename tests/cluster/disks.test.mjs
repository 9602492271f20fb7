// SPDX-License-Identifier: Apache-2.0
// A leader and a standby over the local engine, on small disks that fill up and in directories that
// are damaged: the others go on, nothing that was acknowledged is lost, and each comes back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { expect, expectProblem } from '../integration/lib/http.mjs';
import { until } from '../integration/lib/node.mjs';
import { fill, mountBelow } from '../integration/lib/smalldisk.mjs';
import { Writer, codeAt, makeKey, revoke } from './lib/checkers.mjs';
import { Cluster, assertSameState } from './lib/cluster.mjs';

const MIB = 1 << 20;
const DEADLINE_MS = 60_000;

// Each of these stories takes long, so all of them are a part of the soak.
const skip = process.env.KEYREEVE_SOAK ? false : 'a part of the soak';

function damage(db) {
  for (const family of ['meta', 'log', 'keys']) execFileSync('ldb', [`--db=${db}`, `--column_family=${family}`, 'compact'], { stdio: 'ignore' });
  for (const name of readdirSync(db).filter((one) => one.endsWith('.sst'))) {
    const bytes = readFileSync(join(db, name));
    bytes[40] ^= 0x55; // in the first data block
    writeFileSync(join(db, name), bytes);
  }
}

test('disks of core nodes over the local engine', { timeout: 840_000, skip }, async (t) => {
  const disks = {};
  const cluster = await Cluster.up(t, {
    standbys: 1,
    prepare: ({ dir }) => {
      for (const name of ['core-1', 'core-2']) {
        disks[name] = mountBelow(t, join(dir, name));
        if (!disks[name]) return;
      }
    },
  });
  const leader = cluster.api('core-1');
  const steady = await makeKey(leader, 'steady');
  await cluster.caughtUp();
  const others = (name) => cluster.names.filter((one) => one !== name);

  await cluster.story(t, 'the standby\'s disk is full: the others go on, and it catches up', async (s) => {
    if (!disks['core-2']) return s.skip('mounting a tmpfs is not permitted');
    await cluster.underLoad('standby-full', others('core-2'), steady, async (progress) => {
      const empty = fill(disks['core-2'], 16 * MIB);
      try {
        await until(() => /disk|space/i.test(cluster.log('core-2').split('\n').slice(-20).join('\n')), { what: 'a line on the full disk', deadlineMs: DEADLINE_MS });
        await progress(40);
      } finally {
        empty();
      }
    });
  });

  await cluster.story(t, 'the leader\'s disk is full: writes are 503 with the mend, validations go on, and writes resume', async (s) => {
    if (!disks['core-1']) return s.skip('mounting a tmpfs is not permitted');
    const key = await makeKey(leader, 'kept-by-a-full-disk');
    await cluster.underLoad('leader-full', cluster.names, steady, async () => {
      const empty = fill(disks['core-1'], 16 * MIB);
      try {
        for (const name of ['core-1', 'edge-us-east']) {
          expectProblem(await cluster.api(name).post(leader.keys('steady'), {}), 503, /free space/);
          expectProblem(await revoke(cluster.api(name), key), 503);
        }
        for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key, { minIndex: key.index }), 'VALID', name);
      } finally {
        empty();
      }
      await until(async () => (await leader.post(leader.keys('steady'), {})).status === 200, { what: 'writes to resume', deadlineMs: DEADLINE_MS });
    });
    expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200);
  });

  await cluster.story(t, 'the standby\'s directory is damaged: it refuses to start, and wiped it joins again', async () => {
    await cluster.underLoad('standby-damaged', others('core-2'), steady, async (progress) => {
      await cluster.stop('core-2');
      damage(join(cluster.dataDir('core-2'), 'db'));
      await assert.rejects(cluster.start('core-2'), /restore this directory from a backup, or empty it/);
      await progress();
      rmSync(cluster.dataDir('core-2'), { recursive: true });
      await cluster.start('core-2');
    });
  });

  await cluster.story(t, 'the leader\'s directory is damaged: the standby is promoted, and the old leader joins with an empty one', async () => {
    const writer = new Writer(cluster, others('core-1'), 'steady');
    const moreWrites = (count) => {
      const target = writer.acknowledged.length + count;
      return until(() => writer.acknowledged.length >= target, { what: `${count} more writes`, deadlineMs: DEADLINE_MS });
    };
    await moreWrites(20);
    await cluster.caughtUp();
    await cluster.stop('core-1');
    damage(join(cluster.dataDir('core-1'), 'db'));
    await assert.rejects(cluster.start('core-1'), /restore this directory from a backup, or empty it/);
    for (const name of others('core-1')) assert.equal(await codeAt(cluster, name, steady), 'VALID', name);
    const promoted = await cluster.cli('core-2', ['promote', '--old-leader-is-down']);
    assert.equal(promoted.code, 0, promoted.stderr);
    await moreWrites(20);
    rmSync(cluster.dataDir('core-1'), { recursive: true });
    appendFileSync(join(cluster.dir, 'core-1', 'keyreeve.yaml'), `upstreams: 127.0.${cluster.net}.2:7403\n`);
    await cluster.start('core-1');
    await writer.stop();
    await until(async () => (await cluster.leader()) === 'core-2', { what: 'all to see the new leader' });
    await assertSameState(cluster);
    await writer.assertKept(cluster.names);
  });
});
