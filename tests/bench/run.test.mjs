// SPDX-License-Identifier: Apache-2.0
// bench/run.sh: a run leaves its report, and one that is ended, whenever and however, no process.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { withoutRoot } from './worlds.mjs';

const bin = resolve(process.env.KEYREEVE_BIN ?? 'build/dev/bin');
const DEADLINE_MS = 240_000;

const NOBODY = 65534;
const asUser = await withoutRoot();
// By what tests call them: the words before the command.
const USERS = process.getuid() === 0 ? { root: [], ...(asUser && { 'a user': asUser }) } : { 'a user': [] };

function start(t, steps, words = [], { programs = bin, path = process.env.PATH } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-test-run-'));
  chmodSync(directory, 0o711);
  if (words.length > 0) chownSync(directory, NOBODY, NOBODY);
  const out = join(directory, 'out');
  const [program, ...rest] = [...words, 'bench/run.sh'];
  const child = spawn(program, [...rest, '--quick', '--no-packages', '--only', steps, '--bin', programs, '--work', directory, '--out', out], { detached: true, env: { ...process.env, PATH: path } });
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

/** Command lines of processes that name the directory or work in it; of all namespaces below this one. */
function processesOf(directory) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return line.includes(directory) || readlinkSync(`/proc/${pid}/cwd`).startsWith(directory) ? [line] : [];
    } catch {
      return []; // gone meanwhile
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

const nodes = (directory) => processesOf(directory).filter((line) => line.includes('keyreeved'));

test('a run has rows, a report, and leaves nothing else', { timeout: 600_000 }, async (t) => {
  const run = start(t, 'plan');
  assert.equal((await run.end).code, 0, run.said());
  assert.match(readFileSync(join(run.out, 'report.html'), 'utf8'), /Capacity on paper/);
  assert.deepEqual(readdirSync(run.directory), ['out']);
  assert.deepEqual(processesOf(run.directory), []);
});

/** Programs that do nothing, among them a node that never gets ready and a sleep that takes no time. */
function idlePrograms(t) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-test-bin-'));
  chmodSync(directory, 0o755);
  t.after(() => rmSync(directory, { recursive: true }));
  for (const name of ['keyreeve', 'keyreeve-bench', 'sleep']) writeFileSync(join(directory, name), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  writeFileSync(join(directory, 'keyreeved'), `#!${process.execPath}\nsetInterval(() => {}, 1e6);\n`, { mode: 0o755 });
  return directory;
}

for (const [user, words] of Object.entries(USERS))
  test(`a node of ${user} that never gets ready ends with its step`, { timeout: 600_000 }, async (t) => {
    const programs = idlePrograms(t);
    const run = start(t, 'node', words, { programs, path: `${programs}:${process.env.PATH}` });
    assert.equal((await run.end).code, 1, run.said());
    assert.match(run.said(), /FAILED after .*waited in vain for: curl/);
    assert.deepEqual(nodes(run.directory), []);
  });

test('steps are listed with what they measure, and no other is taken', () => {
  const missing = spawnSync('bench/run.sh', ['--only', 'plan,nothing'], { encoding: 'utf8' });
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /no step "nothing"/);
  const listed = spawnSync('bench/run.sh', ['--list'], { encoding: 'utf8' });
  for (const id of [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12]) assert.match(listed.stdout, new RegExp(`P${id}\\b`));
});

async function endBy(run, signal) {
  assert.equal(run.child.exitCode, null, run.said());
  run.child.kill(signal);
  await run.end;
  await until('the end of all', () => processesOf(run.directory).length === 0, run.said);
  if (signal !== 'SIGKILL') assert.deepEqual(readdirSync(run.directory), ['out']);
}

for (const [user, words] of Object.entries(USERS))
  for (const [signal, when] of [['SIGINT', 'while a cluster starts'], ['SIGTERM', 'while a cluster is measured'], ['SIGKILL', 'while a cluster is measured']])
    test(`${signal} ${when} leaves no process of ${user} behind`, { timeout: 600_000 }, async (t) => {
      const run = start(t, 'cluster-etcd', words);
      const wanted = when === 'while a cluster starts' ? 1 : 7;
      await until('its nodes', () => nodes(run.directory).length >= wanted || run.child.exitCode !== null, run.said);
      await endBy(run, signal);
    });

// Each of the three has a world of its own.
const WORLDS = [
  ['SIGINT', 'its links are measured', /bench wan probe/], ['SIGKILL', 'its links are measured', /bench wan probe/],
  ['SIGINT', 'a cluster is in it', /keyreeved --config/], ['SIGKILL', 'a cluster is in it', /keyreeved --config/],
  ['SIGINT', 'PostgreSQL is in it', /bin\/postgres -D/],
];

for (const [user, words] of Object.entries(USERS))
  for (const [signal, when, what] of WORLDS)
    test(`${signal} while a world is up and ${when} leaves no process of ${user} behind`, { timeout: 600_000 }, async (t) => {
      const run = start(t, 'world', words);
      await until(`a process like ${what}`, () => processesOf(run.directory).some((line) => what.test(line)) || run.child.exitCode !== null, run.said);
      await endBy(run, signal);
    });

test('without root the links of the world are relays, and are measured', { timeout: 1_200_000, skip: USERS['a user'] === undefined && 'the programs are closed to other users' }, async (t) => {
  const run = start(t, 'world', USERS['a user']);
  assert.equal((await run.end).code, 0, run.said());
  const rows = readFileSync(join(run.out, 'rows.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  for (const name of ['world.delay', 'propagate.delay', 'propagate.receipt']) assert.equal(rows.find((row) => row.name === name)?.conditions.form, 'relay', name);
  for (const system of ['redis', 'postgresql', 'etcd']) assert.equal(rows.find((row) => row.system === system)?.conditions.form, 'relay', system);
  assert.match(readFileSync(join(run.out, 'report.html'), 'utf8'), /The links are TCP relays/);
  assert.deepEqual(readdirSync(run.directory), ['out']);
});
