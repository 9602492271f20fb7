// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench plan: each result follows from its formula, over the figures of docs/capacity.md or
// of a run.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const bench = join(process.env.KEYREEVE_BIN ?? 'build/dev/bin', 'keyreeve-bench');
const page = readFileSync(new URL('../../docs/capacity.md', import.meta.url), 'utf8');
const committed = Object.fromEntries([...page.matchAll(/^\| `([\w.]+)` \| (\d+) \|/gm)].map(([, name, value]) => [name, Number(value)]));

function plan(...args) {
  const run = spawnSync(bench, ['plan', '--json', ...args], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  const rows = run.stdout.trim().split('\n').map((line) => JSON.parse(line));
  return { rows, of: Object.fromEntries(rows.map((row) => [row.name.replace('plan.', ''), row.stats.p50])) };
}

const near = (actual, expected, what) => assert.ok(Math.abs(actual - expected) <= 1e-6 * Math.abs(expected), `${what}: ${actual}, expected ${expected}`);

/** The formulas of docs/capacity.md, once more. */
function expected(f, { requests, regions, keys, peak = 2.5, load = 0.5, cores = 4, changes = 0.01, farMs = f['far.us'] / 1000 }) {
  const busiest = (requests / 86400) * peak;
  const region = busiest * Math.min(1, 2 / regions);
  const needed = region / (f.validations * load);
  const nodes = Math.max(2, Math.ceil(needed / cores) + 1);
  const relays = Math.min(2, nodes);
  const below = Math.ceil((nodes - relays) / relays);
  const writes = ((keys * changes) / 86400) * peak;
  const child = writes * f['entry.bytes'] + f['link.bytes'];
  const memory = f['node.bytes'] + keys * f['key.bytes'];
  return {
    peak: busiest, region_peak: region, region_cores: needed, region_nodes: nodes, nodes: regions * nodes, cores: regions * nodes * cores,
    node_memory: memory, memory: regions * nodes * memory, writes, child_bytes: child, fan_out: regions * relays, leader_bytes: regions * relays * child,
    relay_fan_out: below, relay_bytes: below * child, depth: below > 0 ? 2 : 1, worst: farMs + ((below > 0 ? 2 : 1) * f['hop.us']) / 1000,
  };
}

function check(of, wanted) {
  assert.deepEqual(Object.keys(of), Object.keys(wanted));
  for (const [name, value] of Object.entries(wanted)) near(of[name], value, name);
}

test('over the committed figures', () => {
  assert.equal(Object.keys(committed).length, 7);
  const { rows, of } = plan('--requests-per-day', '10e9', '--regions', '12', '--keys', '100e6');
  check(of, expected(committed, { requests: 10e9, regions: 12, keys: 100e6 }));
  for (const row of rows) assert.ok(row.conditions.formula.length > 0, row.name);
});

test('small and large ones, and all that can be said otherwise', () => {
  check(plan('--requests-per-day', '1e6', '--regions', '1', '--keys', '1000').of, expected(committed, { requests: 1e6, regions: 1, keys: 1000 }));
  const { of } = plan('--requests-per-day', '5e12', '--regions', '40', '--keys', '2e9', '--peak', '4', '--load', '0.3', '--cores', '16', '--changes', '0.2', '--far-ms', '150');
  const wanted = expected(committed, { requests: 5e12, regions: 40, keys: 2e9, peak: 4, load: 0.3, cores: 16, changes: 0.2, farMs: 150 });
  assert.equal(wanted.depth, 2);
  check(of, wanted);
});

test('over the rows of a run', (t) => {
  const quiet = { load: 'idle', way: 'single' };
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-test-plan-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const row = (name, stats, conditions = {}, system = 'keyreeve') => `${JSON.stringify({ format: 1, name, system, conditions, stats })}\n`;
  writeFileSync(join(directory, 'rows.jsonl'), [
    row('serve.rate', { p50: 250000 }, { protocol: 'http' }), row('serve.rate', { p50: 9e6 }, { protocol: 'binary' }), row('serve.rate', { p50: 1 }, { protocol: 'http' }, 'redis'),
    row('restart.memory', { p50: 120 }), row('propagate.excess', { p99: 900 }, quiet), row('propagate.excess', { p99: 700 }, quiet),
    row('propagate.excess', { p99: 90000 }, { ...quiet, load: 'loss' }), row('propagate.link', { p50: 10 }, quiet), row('propagate.link', { p50: 90000 }, quiet),
    row('failover.timeline', { count: 3 }),
  ].join(''));
  const figures = { ...committed, validations: 250000, 'key.bytes': 120, 'hop.us': 900, 'far.us': 90000 };
  check(plan('--from', directory).of, expected(figures, { requests: 10e9, regions: 12, keys: 100e6 }));
  const missing = spawnSync(bench, ['plan', '--from', join(directory, 'nothing')], { encoding: 'utf8' });
  assert.equal(missing.status, 1);
});
