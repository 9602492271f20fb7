// SPDX-License-Identifier: Apache-2.0
// Emulated worlds for tests: started, told and measured by the real program, and gone behind the test.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { binDir, run, until } from '../integration/lib/node.mjs';

export const bench = join(binDir, 'keyreeve-bench');
export const wan = (args) => run(bench, ['wan', ...args]);
export const DEADLINE_MS = 60_000;

/** Why there are no worlds of packets here; undefined: there are. */
export async function whyNoPackets() {
  if (process.getuid() !== 0) return 'an emulated world of packets needs root';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun here';
  const name = `why${process.pid}`;
  const up = await wan(['up', '--name', name]);
  if (up.code === 0) await wan(['down', '--name', name]);
  return up.code === 0 && up.stdout.includes('form tun') ? undefined : up.stderr.trim();
}

/** The words before a command that take root from it; undefined where that cannot be. */
export async function withoutRoot() {
  if (process.getuid() !== 0) return [];
  const words = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  return (await run(words[0], [...words.slice(1), bench, '--version'])).code === 0 ? words : undefined;
}

let next = 0;

export const newName = () => `t${process.pid}-${next++}`;

export async function worldFor(t, args = []) {
  const name = newName();
  t.after(() => wan(['down', '--name', name]));
  const up = await wan(['up', '--name', name, ...args]);
  assert.equal(up.code, 0, up.stderr);
  return name;
}

export async function done(args) {
  const ended = await wan(args);
  assert.equal(ended.code, 0, `wan ${args.join(' ')}: ${ended.stderr}`);
  return ended;
}

export async function describe(name) {
  return JSON.parse((await done(['status', '--json', '--name', name])).stdout);
}

/** Links of a world by "from to". */
export async function links(name) {
  return new Map((await describe(name)).links.map((link) => [`${link.from} ${link.to}`, link]));
}

export async function probe(name, args) {
  const { stdout } = await done(['probe', '--json', '--blast', '0', '--name', name, ...args]);
  return stdout.trim().split('\n').map((line) => JSON.parse(line));
}

/** Never early, but for what comparing two clocks takes; late as far as this machine is busy. */
export function assertDelays(rows, count) {
  const delays = rows.filter((row) => row.name === 'world.delay');
  assert.equal(delays.length, count);
  for (const { conditions, stats } of delays) {
    assert.ok(stats.min > conditions.askedUs - 2000, `${conditions.from} ${conditions.to}: ${stats.min} us`);
    assert.ok(stats.p50 < conditions.askedUs + 50_000, `${conditions.from} ${conditions.to}: ${stats.p50} us`);
  }
}

function listen(child) {
  child.said = '';
  child.stdout.on('data', (bytes) => (child.said += bytes));
  child.stderr.on('data', (bytes) => (child.said += bytes));
  child.ended = new Promise((end) => child.on('close', (code, signal) => end({ code, signal })));
  return child;
}

/** A program in a region; it ends with the test. */
export function spawnIn(t, name, region, command) {
  const child = listen(spawn(bench, ['wan', 'exec', region, '--name', name, '--', ...command], { stdio: ['ignore', 'pipe', 'pipe'] }));
  t.after(() => child.kill('SIGTERM'));
  return child;
}

export const childrenOf = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
export const isThere = (pid) => existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

/** A world in the foreground, its process, and a program in it with a child: what is to be gone later. */
export async function foreground(t, name, args = []) {
  const up = listen(spawn(bench, ['wan', 'up', '--foreground', '--name', name, ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true }));
  t.after(() => up.kill('SIGKILL'));
  await until(() => up.said.includes('up until'), { what: () => `the world: ${up.said}`, deadlineMs: DEADLINE_MS });
  const inside = spawnIn(t, name, 'eu-west', ['sh', '-c', 'sleep 1000 & echo inside; exec sleep 1000']);
  await until(() => inside.said.includes('inside'), { what: () => `the program: ${inside.said}`, deadlineMs: DEADLINE_MS });
  const [link] = childrenOf(up.pid);
  const [sleeper] = childrenOf(inside.pid);
  return { up, inside, link, sleeper, pids: [up.pid, link, sleeper, ...childrenOf(sleeper)] };
}

export async function assertNoWorld(name) {
  const status = await wan(['status', '--name', name]);
  assert.equal(status.code, 1, status.stdout);
  assert.match(status.stderr, /no world/);
}
