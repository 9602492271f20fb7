// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench beside: it measures what is installed, and whatever ends it leaves no process behind.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

const bench = join(process.env.KEYREEVE_BIN ?? 'build/dev/bin', 'keyreeve-bench');
const DEADLINE_MS = 60000;

const isThere = (path) => path.split(':').some((one) => existsSync(one));
const SYSTEMS = [['etcd', '/usr/bin/etcd'], ['redis', '/usr/bin/redis-server'], ['postgresql', '/usr/lib/postgresql/15/bin/postgres']];
const systems = ['keyreeve', ...SYSTEMS.filter(([, path]) => isThere(path)).map(([name]) => name)];

function start(t, ...more) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-test-beside-'));
  const work = join(directory, 'work');
  mkdirSync(work);
  for (const path of [directory, work]) chmodSync(path, 0o711); // PostgreSQL runs as another user than root
  const child = spawn(bench, ['beside', '--systems', systems.join(','), '--out', directory, ...more], { env: { ...process.env, TMPDIR: work } });
  let said = '';
  child.stdout.on('data', (data) => (said += data));
  child.stderr.on('data', (data) => (said += data));
  const end = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  t.after(() => {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });
  return { child, end, directory, work, said: () => said };
}

/** Processes that work in this run's directory, by the pid that stands in no file: the parent's. */
function childrenOf(pid) {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line).slice(1)).filter(([, parent]) => Number(parent) === pid).map(([own]) => Number(own));
}

const isAlive = (pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

async function until(what, condition) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    if (await condition()) return;
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await pause(20);
  }
}

test('each system has its rows, of as many changes as were asked for', async (t) => {
  const run = start(t, '--rounds', '7');
  assert.deepEqual(await run.end, { code: 0, signal: null }, run.said());
  const rows = readFileSync(join(run.directory, 'rows.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  for (const system of systems)
    for (const name of ['propagate.delay', 'propagate.link', 'propagate.excess']) {
      const row = rows.find((one) => one.system === system && one.name === name);
      assert.ok(row, `${name} of ${system}`);
      assert.equal(row.stats.count, 7);
      assert.ok(row.values.every((value) => value >= 0));
      assert.ok(row.conditions.settings.length > 0);
    }
  assert.equal(rows.filter((row) => row.conditions.engine === 'local' && row.name === 'propagate.delay').length, 1, 'Keyreeve is one pair');
  const others = systems.filter((system) => system !== 'keyreeve');
  assert.deepEqual(rows.filter((row) => row.name === 'propagate.ratio').map((row) => row.conditions.beside).sort(), others.sort());
  for (const row of rows.filter((one) => one.name === 'propagate.ratio' && one.conditions.beside !== 'redis')) assert.equal(row.id, 'P6');
  const flush = rows.find((row) => row.name === 'beside.flush');
  assert.equal(flush.system, 'disk');
  assert.equal(flush.stats.count, 7);
  assert.ok(flush.stats.min > 0);
  const ttl = rows.find((row) => row.system === 'ttl');
  assert.deepEqual(ttl.points.at(-1), [60e6, 1]);
  for (const [us, share] of ttl.points) assert.ok(Math.abs(us / 60e6 - share) < 1e-6);
});

const whyNoWorld = process.getuid() !== 0 ? 'an emulated world needs root' : existsSync('/dev/net/tun') ? undefined : 'no /dev/net/tun here';

test('in a world the replica is a region away', { skip: whyNoWorld }, async (t) => {
  const run = start(t, '--world', '--near', 'us-east', '--far', 'us-west', '--rounds', '2');
  assert.deepEqual(await run.end, { code: 0, signal: null }, run.said());
  const rows = readFileSync(join(run.directory, 'rows.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  for (const system of systems) {
    const row = rows.find((one) => one.system === system && one.name === 'propagate.delay');
    assert.equal(row.region, 'us-west');
    assert.equal(row.conditions.world, 'five-regions');
    assert.ok(row.stats.min > 30_000, `${system}: ${row.stats.min} us over a link of 32 ms`);
  }
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'])
  for (const moment of ['while it starts', 'while it measures'])
    test(`${signal} ${moment} leaves no process behind`, async (t) => {
      const run = start(t, '--rounds', '100000');
      const { pid } = run.child;
      const wanted = moment === 'while it starts' ? 2 : systems.length + 1;
      let children = [];
      await until('its programs', () => {
        assert.equal(run.child.exitCode, null, run.said());
        children = childrenOf(pid);
        return children.length >= wanted;
      });
      run.child.kill(signal);
      const { signal: ended } = await run.end;
      assert.equal(ended, signal, run.said());
      await until('the end of its programs', () => children.every((child) => !isAlive(child)));
      if (signal !== 'SIGKILL') assert.deepEqual(readdirSync(run.work), []);
    });

test('what it cannot measure it says', async (t) => {
  const far = spawnSync(bench, ['beside', '--systems', 'keyreeve'], { env: { ...process.env, TMPDIR: `/tmp/${'x'.repeat(300)}` }, encoding: 'utf8' });
  assert.equal(far.status, 1);
  assert.match(far.stderr, /TMPDIR \/tmp\/x+…: \d+ bytes too long; name a shorter one/);
  const run = start(t, '--systems', 'etcd,nothing');
  assert.equal((await run.end).code, 1);
  assert.match(run.said(), /there are keyreeve, redis, postgresql, etcd/);
});
