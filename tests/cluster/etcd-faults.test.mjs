// SPDX-License-Identifier: Apache-2.0
// Three core nodes over an etcd with little space, and four followers: etcd full, its log trimmed
// beyond a core node that is away, a full disk, a damaged directory, a relay that dies.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { expect, expectProblem } from '../integration/lib/http.mjs';
import { until } from '../integration/lib/node.mjs';
import { fill, mountBelow } from '../integration/lib/smalldisk.mjs';
import { codeAt, makeKey } from './lib/checkers.mjs';
import { Cluster, assertSameState } from './lib/cluster.mjs';

const MIB = 1 << 20;
const DEADLINE_MS = 60_000;
const onSmallDisk = 'core-3';

// Each of these stories takes long, so all of them are a part of the soak.
const skip = process.env.KEYREEVE_SOAK ? false : 'a part of the soak';

test('faults of etcd\'s space, of disks and of relays', { timeout: 840_000, skip }, async (t) => {
  let disk;
  const cluster = await Cluster.up(t, {
    engine: 'etcd',
    etcdQuota: 24 * MIB,
    settings: { log_retention_bytes: MIB },
    prepare: ({ dir }) => {
      disk = mountBelow(t, join(dir, onSmallDisk));
    },
  });
  const steady = await makeKey(cluster.api(cluster.followers[0]), 'steady');
  await cluster.caughtUp();

  const standbyOf = (leader) => cluster.cores.find((name) => name !== leader && name !== onSmallDisk);
  const write = (name = cluster.followers[0]) => cluster.api(name).post(cluster.api(name).keys('steady'), {});
  const resumed = (name) => until(async () => (await write(name).catch(() => ({}))).status === 200, { what: `writes through ${name}`, deadlineMs: DEADLINE_MS, everyMs: 100 });

  /** An entry of about a mebibyte, if it is taken. */
  function writeMuch(name) {
    const api = cluster.api(name);
    return api.post(`${api.keys('steady')}/$bulk`, Array.from({ length: 1000 }, () => ({ description: 'd'.repeat(1000) })));
  }

  const refusals = (name) => cluster.log(name).split('this node must not lead').length;
  const logKeys = (clusterId) => cluster.etcdctl(['get', `/${clusterId}/log/`, '--prefix', '--keys-only']).split('\n').filter(Boolean);
  const firstIndex = (clusterId) => Number.parseInt(logKeys(clusterId)[0].split('/').at(-1), 16);

  await cluster.story(t, 'etcd is full: writes are 503 with the mend, validations go on, and it mends itself', async () => {
    const leader = await cluster.leader();
    const paused = standbyOf(leader);
    const others = cluster.names.filter((name) => name !== paused);
    // What the paused one lacks is kept, so that there is something to trim later.
    await cluster.underLoad('etcd-full', others, steady, async (progress, writer) => {
      await cluster.whileStopped(paused, async () => {
        await progress();
        const junk = Buffer.alloc(MIB, 'j').toString();
        let error;
        for (let i = 0; i < 60 && !error; i++) {
          try {
            cluster.etcdctl(['put', '/somebody-else'], { input: junk });
          } catch (failed) {
            error = failed.stderr;
          }
        }
        assert.match(error ?? '', /database space exceeded/);
        const refused = await until(() => /etcd's quota/.test(writer.lastRefusal.text) && writer.lastRefusal, { what: 'a refusal for want of space', deadlineMs: DEADLINE_MS });
        expectProblem(refused, 503, /free space there/);
        assert.ok(Number(refused.headers.get('retry-after')) >= 1);
        for (const name of others) assert.equal(await codeAt(cluster, name, steady), 'VALID', name);
      });
      await resumed(cluster.followers[1]);
      assert.equal(cluster.etcdctl(['alarm', 'list']).trim(), '');
    });
    assert.match(cluster.log(leader), /etcd is out of space/);
  });

  await cluster.story(t, 'etcd\'s log is trimmed beyond a core node that is away: it must not lead, and comes back by a snapshot', async () => {
    const { clusterId } = await cluster.seenBy(cluster.followers[0]);
    const away = standbyOf(await cluster.leader());
    const index = await cluster.caughtUp();
    await cluster.stop(away);
    await until(async () => {
      await writeMuch(cluster.followers[0]);
      return firstIndex(clusterId) > index + 1;
    }, { what: () => `etcd's log to begin behind ${index}: ${logKeys(clusterId)}`, deadlineMs: 180_000, everyMs: 500 });
    const rest = cluster.cores.filter((name) => name !== away);
    for (const name of rest) await cluster.kill(name);
    const starting = cluster.start(away);
    await until(() => refusals(away) > 1, { what: 'the one that lacks entries to refuse to lead', deadlineMs: DEADLINE_MS });
    await Promise.all(rest.map((name) => cluster.start(name)));
    await starting;
    assert.match(cluster.log(away), /the snapshot is good/);
    await resumed(away);
    await assertSameState(cluster);
  });

  await cluster.story(t, 'a relay is killed: who followed it finds another way', async () => {
    const far = 'edge-ap-northeast';
    const upstream = async () => {
      const { nodes } = await cluster.seenBy(await cluster.leader(cluster.cores));
      return nodes.find(({ id }) => id === far)?.upstream;
    };
    const viaFollower = (not) => async () => {
      const name = await upstream();
      return cluster.followers.includes(name) && name !== not && name;
    };
    try {
      for (const core of cluster.cores) await cluster.cut(far, core);
      const relay = await until(viaFollower(), { what: 'a relay', deadlineMs: DEADLINE_MS, everyMs: 100 });
      await cluster.underLoad('relay-killed', cluster.names.filter((name) => name !== relay), steady, async (progress) => {
        await cluster.kill(relay);
        await progress();
        await until(viaFollower(relay), { what: 'another relay', deadlineMs: DEADLINE_MS, everyMs: 100 });
        await cluster.start(relay);
      });
    } finally {
      await cluster.heal();
    }
  });

  await cluster.story(t, 'a full disk at one core node: the others go on, and it catches up', async (t) => {
    if (!disk) return t.skip('mounting a tmpfs is not permitted');
    if ((await cluster.leader()) === onSmallDisk) {
      await cluster.stop(onSmallDisk);
      await cluster.start(onSmallDisk);
    }
    const others = cluster.names.filter((name) => name !== onSmallDisk);
    await cluster.underLoad('disk-full', others, steady, async (progress) => {
      const empty = fill(disk, 16 * MIB);
      try {
        await until(() => /disk|space/i.test(cluster.log(onSmallDisk).split('\n').slice(-20).join('\n')), { what: 'a line on the full disk', deadlineMs: DEADLINE_MS });
        await progress(40);
      } finally {
        empty();
      }
    });
  });

  await cluster.story(t, 'a damaged directory of one core node: it refuses to start, the others go on, and wiped it joins again', async () => {
    const damaged = standbyOf(await cluster.leader());
    const others = cluster.names.filter((name) => name !== damaged);
    await cluster.underLoad('damaged', others, steady, async (progress) => {
      await cluster.stop(damaged);
      const db = join(cluster.dataDir(damaged), 'db');
      for (const family of ['meta', 'log', 'keys']) execFileSync('ldb', [`--db=${db}`, `--column_family=${family}`, 'compact'], { stdio: 'ignore' });
      for (const name of readdirSync(db).filter((name) => name.endsWith('.sst'))) {
        const bytes = readFileSync(join(db, name));
        bytes[40] ^= 0x55; // in the first data block
        writeFileSync(join(db, name), bytes);
      }
      await assert.rejects(cluster.start(damaged), /restore this directory from a backup, or empty it/);
      await progress();
      rmSync(cluster.dataDir(damaged), { recursive: true });
      await cluster.start(damaged);
    });
  });
});
