// SPDX-License-Identifier: Apache-2.0
// propagate --world: a small cluster in a small world of packets and of relays, the rows it writes, and
// nothing left when it is interrupted. Packets need root and /dev/net/tun.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { binDir, until } from '../integration/lib/node.mjs';
import { bench, wan, whyNoPackets, withoutRoot } from './worlds.mjs';

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

// Three core nodes, each with a member of etcd.
const CORES = TOPOLOGY.slice(0, TOPOLOGY.indexOf('nodes:')) + ['home', 'near', 'far'].map((region, i) => `${i === 0 ? 'nodes:\n' : ''}  - {name: core-${i + 1}, region: ${region}, role: core}\n`).join('');

const NOBODY = 65534;

/** words: before the command, which take root from it. */
function start(t, rounds, { engine = 'local', words = [], topology: text = TOPOLOGY } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'keyreeve-bench-test-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const topology = join(dir, 'small.yaml');
  writeFileSync(topology, text);
  const work = join(dir, 'a'.repeat(100)); // a long way, as --work of run.sh may be
  mkdirSync(work);
  chmodSync(dir, 0o777);
  if (words.length > 0) chownSync(work, NOBODY, NOBODY);
  const args = ['propagate', '--world', '--topology', topology, '--engine', engine, '--bin', binDir, '--rounds', String(rounds), '--bursts', '1', '--cuts', '1', '--bulk-keys', '2000', '--rate', '1000', '--out', dir];
  const [program, ...rest] = [...words, bench, ...args];
  const child = spawn(program, rest, { env: { ...process.env, TMPDIR: work }, stdio: ['ignore', 'pipe', 'pipe'] });
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

const ENDED_WELL = { code: 0, signal: null };
const LOADS = [['idle', 'single'], ['idle', 'burst'], ['idle', 'bulk'], ['validations', 'single'], ['catching up', 'single'], ['loss', 'single'], ['cut', 'single']];

async function rowsOf({ child, dir }) {
  const timer = setTimeout(() => child.kill('SIGTERM'), DEADLINE_MS);
  const ended = await child.ended;
  clearTimeout(timer);
  assert.deepEqual(ended, ENDED_WELL, child.said);
  const rows = readFileSync(join(dir, 'rows.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  return (name, conditions) => rows.filter((row) => row.name === name && Object.entries(conditions).every(([key, value]) => row.conditions[key] === value));
}

const gone = (work) => until(() => processesOf(work).length === 0, { what: () => `the end of ${processesOf(work)}`, deadlineMs: DEADLINE_MS });

/** What is true in a world of either form; options: of start. */
function tell(form, skip, options) {
  test(`every phase gives rows that fit the links (${form})`, { skip }, async (t) => {
    const run = start(t, 3, options);
    const find = await rowsOf(run);
    const links = { 'core-1': 0, relay: 5000, below: 5000, edge: 30_000 };
    const regions = { 'core-1': 'home', relay: 'near', below: 'near', edge: 'far' };
    for (const [load, way] of LOADS)
      for (const [node, link] of Object.entries(links)) {
        const what = `${node}, ${load}, ${way}`;
        const [delay, none] = find('propagate.delay', { world: 'small', form, engine: 'local', load, way, node });
        // The follower that catches up, or whose region is cut off, has nothing to measure; relays lose nothing.
        if ((node === 'edge' && (load === 'catching up' || load === 'cut')) || (form === 'relay' && load === 'loss')) {
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
    assert.match(run.child.said, /probes a second of the node that was asked least: \d+ \(wanted >= 10000, missed/, 'as fewer were asked for');
    assert.ok(find('propagate.capacity', {})[0].stats.p50 > 0);
    assert.match(margin.command, /^keyreeve-bench propagate --world /);
  });

  test(`interrupted, it leaves nothing (${form})`, { skip }, async (t) => {
    const { child, work } = start(t, 100000, options);
    await until(() => processesOf(work).length > 0, { what: () => `a node: ${child.said}`, deadlineMs: DEADLINE_MS });
    child.kill('SIGINT');
    assert.deepEqual(await child.ended, { code: null, signal: 'SIGINT' }, child.said);
    await gone(work);
    assert.deepEqual(readdirSync(work), []);
  });

  test(`killed, it leaves no process (${form})`, { skip }, async (t) => {
    const { child, work } = start(t, 100000, options);
    await until(() => processesOf(work).length > 3, { what: () => `its nodes: ${child.said}`, deadlineMs: DEADLINE_MS });
    child.kill('SIGKILL');
    assert.deepEqual(await child.ended, { code: null, signal: 'SIGKILL' }, child.said);
    await gone(work);
    await until(async () => (await wan(['status', '--name', `propagate-${child.pid}`])).code === 1, { what: 'the end of the world', deadlineMs: DEADLINE_MS });
  });
}

const words = await withoutRoot();
const noRelays = words === undefined && 'the programs are closed to other users';

tell('tun', await whyNoPackets());
tell('relay', noRelays, { words });

test('members of etcd reach each other over the relays alone', { skip: noRelays }, async (t) => {
  const find = await rowsOf(start(t, 3, { words, engine: 'etcd', topology: CORES }));
  const [answer] = find('propagate.answer', { form: 'relay', engine: 'etcd', load: 'idle', way: 'single' });
  assert.ok(answer.stats.min > 10_000, `a majority takes a round trip of 10 ms: ${answer.stats.min} us`);
});
