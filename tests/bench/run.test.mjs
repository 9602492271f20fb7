// SPDX-License-Identifier: Apache-2.0
// bench/run.sh: a run leaves its report, and one that is ended, whenever and however, no process.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

const bin = resolve(process.env.KEYREEVE_BIN ?? 'build/dev/bin');
const DEADLINE_MS = 240_000;

function start(t, steps) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-test-run-'));
  chmodSync(directory, 0o711);
  const out = join(directory, 'out');
  const child = spawn('bench/run.sh', ['--quick', '--no-packages', '--only', steps, '--bin', bin, '--work', directory, '--out', out], { detached: true });
  let said = '';
  child.stdout.on('data', (data) => (said += data));
  child.stderr.on('data', (data) => (said += data));
  const end = new Promise((done) => child.on('close', (code, signal) => done({ code, signal })));
  t.after(async () => {
    if (child.exitCode === null) child.kill('SIGKILL');
    await until('the end of what a failed test has left', () => processesOf(directory).length === 0, () => said);
    rmSync(directory, { recursive: true, force: true });
  });
  return { child, end, out, directory, said: () => said };
}

/** Processes that name the directory in their command line; of all namespaces below this one. */
function processesOf(directory) {
  const told = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return told.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory);
    } catch {
      return false;
    }
  });
}

async function until(what, condition, said) {
  const end = Date.now() + DEADLINE_MS;
  while (!condition()) {
    assert.ok(Date.now() < end, `waited in vain: ${what}\n${said()}`);
    await pause(50);
  }
}

const nodes = (directory) => processesOf(directory).filter((pid) => existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('keyreeved'));

test('a run has rows, a report, and leaves nothing else', { timeout: 600_000 }, async (t) => {
  const run = start(t, 'plan');
  assert.equal((await run.end).code, 0, run.said());
  assert.match(readFileSync(join(run.out, 'report.html'), 'utf8'), /Capacity on paper/);
  assert.deepEqual(readdirSync(run.directory), ['out']);
  assert.deepEqual(processesOf(run.directory), []);
});

test('steps are listed with what they measure, and no other is taken', () => {
  const missing = spawnSync('bench/run.sh', ['--only', 'plan,nothing'], { encoding: 'utf8' });
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /no step "nothing"/);
  const listed = spawnSync('bench/run.sh', ['--list'], { encoding: 'utf8' });
  for (const id of [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]) assert.match(listed.stdout, new RegExp(`P${id}\\b`));
});

for (const [signal, when] of [['SIGINT', 'while a cluster starts'], ['SIGTERM', 'while a cluster is measured'], ['SIGKILL', 'while a cluster is measured']])
  test(`${signal} ${when} leaves no process behind`, { timeout: 600_000, skip: signal === 'SIGKILL' && process.getuid() !== 0 && 'the namespace that ends with it needs root' }, async (t) => {
    const run = start(t, 'cluster-etcd');
    const wanted = when === 'while a cluster starts' ? 1 : 7;
    await until('its nodes', () => nodes(run.directory).length >= wanted || run.child.exitCode !== null, run.said);
    assert.equal(run.child.exitCode, null, run.said());
    run.child.kill(signal);
    await run.end;
    await until('the end of all', () => processesOf(run.directory).length === 0, run.said);
    if (signal !== 'SIGKILL') assert.deepEqual(readdirSync(run.directory), ['out']);
  });
