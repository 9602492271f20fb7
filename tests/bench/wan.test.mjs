// SPDX-License-Identifier: Apache-2.0
// The emulated world of packets: links as they are asked for, TCP over them, cuts; and nothing left of
// it, in whatever way it ends. Needs root and /dev/net/tun.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { run, until } from '../integration/lib/node.mjs';
import { assertDelays, assertNoWorld, bench, childrenOf, DEADLINE_MS, done, foreground, isThere, links, newName, probe, spawnIn, wan, whyNoPackets, worldFor } from './worlds.mjs';

const skip = await whyNoPackets();

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
  await assertNoWorld(name);
}

/** The namespace of a program in a world, which others hold as well: so that finding none means something. */
function namespaceOf(pid) {
  const namespace = readlinkSync(`/proc/${pid}/ns/net`);
  assert.notEqual(namespace, readlinkSync('/proc/self/ns/net'));
  assert.ok(holdersOf(namespace).length >= 2);
  return namespace;
}

test('the emulated world', { skip }, async (t) => {
  await t.test('links have the delay and the loss that they are asked to have', async (t) => {
    const name = await worldFor(t);
    const rows = await probe(name, ['--packets', '20', '--losses', '100']);
    assertDelays(rows, 20);
    assert.equal(rows[0].conditions.form, 'tun');
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
    assert.equal((await inside.ended).code, 137);
    await assertGone(name, [sleeper], [namespace]);
    assert.equal((await wan(['down', '--name', name])).code, 1);
  });

  for (const [what, end, code] of [
    ['kill -9 of the link process', ({ link }) => process.kill(link, 'SIGKILL'), 1],
    ['kill -9 of what started it', ({ up }) => process.kill(up.pid, 'SIGKILL'), null],
    ['Ctrl-C', ({ up }) => process.kill(-up.pid, 'SIGINT'), 0],
  ])
    await t.test(`${what} leaves nothing`, async (t) => {
      const name = newName();
      const world = await foreground(t, name);
      const namespace = namespaceOf(world.sleeper);
      end(world);
      assert.equal((await world.up.ended).code, code, world.up.said);
      await world.inside.ended;
      await assertGone(name, world.pids, [namespace]);
      await worldFor(t); // and the next one comes up
    });

  await t.test('Ctrl-C while it comes up leaves nothing, or a world', async (t) => {
    for (let i = 0; i < 12; i++) {
      const name = newName();
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
