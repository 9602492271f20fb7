// SPDX-License-Identifier: Apache-2.0
// The emulated world: links as they are asked for, TCP over them, cuts; and nothing left of it, in
// whatever way it ends. Needs root and /dev/net/tun.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { binDir, run, until } from '../integration/lib/node.mjs';

const bench = join(binDir, 'keyreeve-bench');
const wan = (args) => run(bench, ['wan', ...args]);
const DEADLINE_MS = 60_000;

async function whyNot() {
  if (process.getuid() !== 0) return 'an emulated world needs root';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun here';
  const name = `why${process.pid}`;
  const up = await wan(['up', '--name', name]);
  if (up.code !== 0) return up.stderr.trim();
  await wan(['down', '--name', name]);
  return undefined;
}

const skip = await whyNot();
let next = 0;

async function worldFor(t, args = []) {
  const name = `t${process.pid}-${next++}`;
  t.after(() => wan(['down', '--name', name]));
  const up = await wan(['up', '--name', name, ...args]);
  assert.equal(up.code, 0, up.stderr);
  return name;
}

async function done(args) {
  const ended = await wan(args);
  assert.equal(ended.code, 0, `wan ${args.join(' ')}: ${ended.stderr}`);
  return ended;
}

/** Links of a world by "from to". */
async function links(name) {
  const { stdout } = await done(['status', '--json', '--name', name]);
  return new Map(JSON.parse(stdout).links.map((link) => [`${link.from} ${link.to}`, link]));
}

async function probe(name, args) {
  const { stdout } = await done(['probe', '--json', '--blast', '0', '--name', name, ...args]);
  return stdout.trim().split('\n').map((line) => JSON.parse(line));
}

/** A program in a region; it ends with the test. */
function spawnIn(t, name, region, command) {
  const child = spawn(bench, ['wan', 'exec', region, '--name', name, '--', ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.said = '';
  child.stdout.on('data', (bytes) => (child.said += bytes));
  child.stderr.on('data', (bytes) => (child.said += bytes));
  child.ended = new Promise((end) => child.on('close', (code) => end(code)));
  t.after(() => child.kill('SIGKILL'));
  return child;
}

const ECHO = "require('net').createServer((s) => s.pipe(s).on('error', () => {})).listen(7000, '0.0.0.0', () => console.log('up'))";
// Prints how many ms one byte takes there and back over a connection that is open.
const ask = (address) => `
  const socket = require('net').connect(7000, '${address}', () => {
    const begin = process.hrtime.bigint();
    socket.write('x');
    socket.on('data', () => { console.log(Number(process.hrtime.bigint() - begin) / 1e6); process.exit(0); });
  });
  socket.on('error', () => process.exit(1));
  setTimeout(() => process.exit(2), 15000);`;

const childrenOf = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
const isThere = (pid) => existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

/** Processes that are in, or hold on to, a namespace like "net:[4026532]". */
function holdersOf(namespace) {
  const points = (path) => {
    try {
      return readlinkSync(path) === namespace;
    } catch {
      return false; // gone meanwhile
    }
  };
  const list = (path) => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  };
  return list('/proc').filter((pid) => /^\d+$/.test(pid) && (points(`/proc/${pid}/ns/net`) || list(`/proc/${pid}/fd`).some((fd) => points(`/proc/${pid}/fd/${fd}`))));
}

async function assertGone(name, pids, namespaces) {
  await until(() => !pids.some(isThere) && namespaces.every((one) => holdersOf(one).length === 0), {
    what: () => `the end of ${pids.filter(isThere)} and of ${namespaces.filter((one) => holdersOf(one).length > 0)}`,
    deadlineMs: DEADLINE_MS,
    everyMs: 20,
  });
  const status = await wan(['status', '--name', name]);
  assert.equal(status.code, 1, status.stdout);
  assert.match(status.stderr, /no world/);
}

/** A world in the foreground with a program in it: what is to be gone later. */
async function foreground(t, name) {
  const up = spawn(bench, ['wan', 'up', '--foreground', '--name', name], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  up.said = '';
  up.stdout.on('data', (bytes) => (up.said += bytes));
  up.stderr.on('data', (bytes) => (up.said += bytes));
  up.ended = new Promise((end) => up.on('close', (code, signal) => end({ code, signal })));
  t.after(() => up.kill('SIGKILL'));
  await until(() => up.said.includes('up until'), { what: () => `the world: ${up.said}`, deadlineMs: DEADLINE_MS });
  const inside = spawnIn(t, name, 'eu-west', ['sh', '-c', 'echo inside; exec sleep 1000']);
  await until(() => inside.said.includes('inside'), { what: () => `the program: ${inside.said}`, deadlineMs: DEADLINE_MS });
  const [link] = childrenOf(up.pid);
  const [sleeper] = childrenOf(inside.pid);
  const namespace = readlinkSync(`/proc/${sleeper}/ns/net`);
  assert.notEqual(namespace, readlinkSync('/proc/self/ns/net'));
  assert.ok(holdersOf(namespace).length >= 2); // so that finding none means something
  return { up, inside, link, pids: [up.pid, link, sleeper], namespaces: [namespace] };
}

test('the emulated world', { skip }, async (t) => {
  await t.test('links have the delay and the loss that they are asked to have', async (t) => {
    const name = await worldFor(t);
    const rows = await probe(name, ['--packets', '20', '--losses', '100']);
    const delays = rows.filter((row) => row.name === 'world.delay');
    assert.equal(delays.length, 20);
    for (const { conditions, stats } of delays) {
      // Never early, but for what comparing two clocks takes; late as far as this machine is busy.
      assert.ok(stats.min > conditions.askedUs - 2000, `${conditions.from} ${conditions.to}: ${stats.min} us`);
      assert.ok(stats.p50 < conditions.askedUs + 50_000, `${conditions.from} ${conditions.to}: ${stats.p50} us`);
    }
    assert.match(rows[0].command, /^keyreeve-bench wan probe /);

    await done(['set', 'us-east', 'eu-west', '--loss', '20', '--name', name]);
    await done(['set', 'us-west', 'sa-east', '--one-way', '--delay', '300', '--name', name]);
    const changed = await probe(name, ['--packets', '5', '--losses', '1000']);
    const lost = (from, to) => changed.find(({ name, conditions }) => name === 'world.loss' && conditions.from === from && conditions.to === to).stats.p50;
    assert.ok(Math.abs(lost('us-east', 'eu-west') - 0.2) < 0.08, `${lost('us-east', 'eu-west')}`);
    assert.ok(Math.abs(lost('eu-west', 'us-east') - 0.2) < 0.08, `${lost('eu-west', 'us-east')}`);
    const after = await links(name);
    assert.equal(after.get('us-west sa-east').delayMs, 300);
    assert.equal(after.get('sa-east us-west').delayMs, 88);
    assert.ok(after.get('us-east eu-west').lost > 0);
    assert.equal(after.get('us-west eu-west').lost, 0);
  });

  await t.test('TCP takes its round trips; a cut passes nothing until it is healed', async (t) => {
    const name = await worldFor(t);
    const server = spawnIn(t, name, 'eu-west', ['node', '-e', ECHO]);
    await until(() => server.said.includes('up'), { what: () => server.said, deadlineMs: DEADLINE_MS });
    const client = async () => (await run(bench, ['wan', 'exec', 'us-east', '--name', name, '--', 'node', '-e', ask('10.84.3.1')])).stdout;
    const ms = Number(await client());
    assert.ok(ms >= 76 && ms < 2000, `${ms} ms`);

    await done(['cut', 'eu-west', '--name', name]);
    const before = (await links(name)).get('us-east eu-west');
    assert.equal(before.cut, true);
    const waiting = client(); // its SYN is lost, and sent again and again
    await until(async () => (await links(name)).get('us-east eu-west').cutOff > before.cutOff, { what: 'a packet at the cut', deadlineMs: DEADLINE_MS });
    assert.equal((await links(name)).get('us-east eu-west').passed, before.passed);
    await done(['heal', '--name', name]);
    assert.ok(Number(await waiting) >= 76);
  });

  await t.test('a name is one world; what is wrong is named', async (t) => {
    const name = await worldFor(t);
    const again = await wan(['up', '--name', name]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /is up already/);
    for (const [args, why] of [[['set', 'mars', '--loss', '1'], /no region mars/], [['exec', 'mars', '--', 'true'], /no such region/]]) {
      const ended = await wan([args[0], args[1], '--name', name, ...args.slice(2)]);
      assert.equal(ended.code, 1);
      assert.match(ended.stderr, why);
    }
    for (const args of [['set', '--loss', '101'], ['cut'], ['exec', 'us-east'], ['explode']]) assert.equal((await wan(args)).code, 2, args.join(' '));
    assert.equal((await wan(['exec', 'us-east', '--name', name, '--', 'sh', '-c', 'exit 7'])).code, 7);
  });

  await t.test('down ends all that runs in it', async (t) => {
    const name = await worldFor(t);
    const inside = spawnIn(t, name, 'us-east', ['sh', '-c', 'echo inside; sleep 1000 & exec sleep 1000']);
    await until(() => inside.said.includes('inside'), { what: () => inside.said, deadlineMs: DEADLINE_MS });
    const [sleeper] = childrenOf(inside.pid);
    const namespace = readlinkSync(`/proc/${sleeper}/ns/net`);
    await done(['down', '--name', name]);
    assert.equal(await inside.ended, 137);
    await assertGone(name, [sleeper], [namespace]);
    assert.equal((await wan(['down', '--name', name])).code, 1);
  });

  for (const [what, end, code] of [
    ['kill -9 of the link process', ({ link }) => process.kill(link, 'SIGKILL'), 1],
    ['kill -9 of what started it', ({ up }) => process.kill(up.pid, 'SIGKILL'), null],
    ['Ctrl-C', ({ up }) => process.kill(-up.pid, 'SIGINT'), 0],
  ])
    await t.test(`${what} leaves nothing`, async (t) => {
      const name = `t${process.pid}-${next++}`;
      const world = await foreground(t, name);
      end(world);
      assert.equal((await world.up.ended).code, code, world.up.said);
      await world.inside.ended;
      await assertGone(name, world.pids, world.namespaces);
      await worldFor(t); // and the next one comes up
    });

  await t.test('Ctrl-C while it comes up leaves nothing, or a world', async (t) => {
    for (let i = 0; i < 12; i++) {
      const name = `t${process.pid}-${next++}`;
      t.after(() => wan(['down', '--name', name]));
      const up = spawn(bench, ['wan', 'up', '--name', name], { stdio: 'ignore', detached: true });
      const ended = new Promise((done) => up.on('close', (code) => done(code)));
      await pause(i * 8); // at another moment each time
      try {
        process.kill(-up.pid, 'SIGINT');
      } catch {} // it is up
      const code = await ended;
      const isUp = async () => (await wan(['status', '--name', name])).code === 0;
      if (code === 0) assert.ok(await isUp());
      else await until(async () => !(await isUp()), { what: 'the end of a world whose start was broken off', deadlineMs: DEADLINE_MS });
    }
  });
});
