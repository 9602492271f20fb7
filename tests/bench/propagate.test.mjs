// SPDX-License-Identifier: Apache-2.0
// propagate --world: a small cluster in a small world, the rows it writes, and nothing left when it
// is interrupted. Needs root and /dev/net/tun.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { binDir, run, until } from '../integration/lib/node.mjs';

const bench = join(binDir, 'keyreeve-bench');
const DEADLINE_MS = 240_000;

const TOPOLOGY = `
mbit: 1000
queue_kib: 1024
regions: [home, near, far]
links:
  - {between: [home, near], delay_ms: 5}
  - {between: [home, far], delay_ms: 30}
  - {between: [near, far], delay_ms: 25}
nodes:
  - {name: core-1, region: home, role: core}
  - {name: relay, region: near, role: follower}
  - {name: below, region: near, role: follower, upstreams: [relay]}
  - {name: edge, region: far, role: follower}
`;

async function whyNot() {
  if (process.getuid() !== 0) return 'an emulated world needs root';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun here';
  const name = `why${process.pid}`;
  const up = await run(bench, ['wan', 'up', '--name', name]);
  if (up.code !== 0) return up.stderr.trim();
  await run(bench, ['wan', 'down', '--name', name]);
  return undefined;
}

const skip = await whyNot();

function start(t, rounds) {
  const dir = mkdtempSync(join(tmpdir(), 'keyreeve-bench-test-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const topology = join(dir, 'small.yaml');
  writeFileSync(topology, TOPOLOGY);
  const args = ['propagate', '--world', '--topology', topology, '--bin', binDir, '--rounds', String(rounds), '--bursts', '1', '--cuts', '1', '--bulk-keys', '2000', '--rate', '1000', '--out', dir];
  const work = join(dir, 'a'.repeat(100)); // a long way, as --work of run.sh may be
  mkdirSync(work);
  const child = spawn(bench, args, { env: { ...process.env, TMPDIR: work }, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  child.said = '';
  child.stdout.on('data', (bytes) => (child.said += bytes));
  child.stderr.on('data', (bytes) => (child.said += bytes));
  child.ended = new Promise((done) => child.on('close', (code, signal) => done({ code, signal })));
  return { child, dir, work };
}

/** Of processes that work in this directory. */
function processesOf(directory) {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`).includes(directory);
    } catch {
      return false; // gone meanwhile
    }
  });
}

test('propagate in an emulated world', { skip }, async (t) => {
  await t.test('every phase gives rows that fit the links', async (t) => {
    const { child, dir } = start(t, 3);
    const timer = setTimeout(() => child.kill('SIGTERM'), DEADLINE_MS);
    const ended = await child.ended;
    clearTimeout(timer);
    assert.deepEqual(ended, { code: 0, signal: null }, child.said);
    const rows = readFileSync(join(dir, 'rows.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
    const find = (name, conditions) => rows.filter((row) => row.name === name && Object.entries(conditions).every(([key, value]) => row.conditions[key] === value));

    const links = { 'core-1': 0, relay: 5000, below: 5000, edge: 30_000 };
    const regions = { 'core-1': 'home', relay: 'near', below: 'near', edge: 'far' };
    for (const [load, way] of [['idle', 'single'], ['idle', 'burst'], ['idle', 'bulk'], ['validations', 'single'], ['catching up', 'single'], ['loss', 'single'], ['cut', 'single']])
      for (const [node, link] of Object.entries(links)) {
        const what = `${node}, ${load}, ${way}`;
        const [delay, none] = find('propagate.delay', { world: 'small', engine: 'local', load, way, node });
        // The follower that catches up, or whose region is cut off, has nothing to measure.
        if (node === 'edge' && (load === 'catching up' || load === 'cut')) {
          assert.equal(delay, undefined, what);
          continue;
        }
        assert.equal(none, undefined, what);
        assert.equal(delay.region, regions[node]);
        assert.ok(delay.stats.min > link, `${what}: ${delay.stats.min} us over a link of ${link} us`);
        const [excess] = find('propagate.excess', { load, way, node });
        assert.ok(excess.stats.max < delay.stats.max + 1, what);
        if (link > 0) assert.ok(find('propagate.link', { load, way, node })[0].stats.min > link - 2000, what);
      }
    const [margin] = find('propagate.receipt_margin', {});
    assert.ok(margin.stats.min > 0, 'no node lets a key in after its receipt');
    const [receipt] = find('propagate.receipt', {});
    assert.ok(receipt.stats.min > 500_000, 'the receipt waits for the lease of the region that is cut off');
    assert.equal(find('propagate.worst', { load: 'idle', way: 'burst' })[0].stats.count, 32);
    const [newcomer] = find('propagate.newcomer', { load: 'catching up' });
    assert.ok(newcomer.stats.count >= 1 && newcomer.stats.min > 0);
    const [probes] = find('propagate.probes', { load: 'all' });
    assert.equal(probes.id, 'P6');
    assert.equal(probes.stats.count, 4, 'a rate for every node');
    assert.match(child.said, /probes a second of the node that was asked least: \d+ \(wanted >= 10000, missed/, 'as fewer were asked for');
    assert.ok(find('propagate.capacity', {})[0].stats.p50 > 0);
    assert.match(rows[0].command, /^keyreeve-bench propagate --world /);
  });

  await t.test('interrupted, it leaves nothing', async (t) => {
    const { child, work } = start(t, 100000);
    await until(() => processesOf(work).length > 0, { what: () => `a node: ${child.said}`, deadlineMs: DEADLINE_MS });
    child.kill('SIGINT');
    assert.deepEqual(await child.ended, { code: null, signal: 'SIGINT' }, child.said);
    await until(() => processesOf(work).length === 0, { what: () => `the end of ${processesOf(work)}`, deadlineMs: DEADLINE_MS });
    assert.deepEqual(readdirSync(work), []);
  });
});
