// SPDX-License-Identifier: Apache-2.0
// The emulated world of TCP relays, for machines without root or TUN: links as they are asked for,
// cuts that hold, every byte in its place; and nothing left of it, in whatever way it ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run, until } from '../integration/lib/node.mjs';
import { assertDelays, assertNoWorld, bench, childrenOf, DEADLINE_MS, describe, done, foreground, isThere, links, newName, probe, spawnIn, wan, withoutRoot, worldFor } from './worlds.mjs';

const RELAY = ['--relay'];

/** The own address of a region. */
async function addressOf(name, region) {
  return (await describe(name)).regions.find((one) => one.name === region).address;
}

/** A server in a region, and where another region reaches it. */
async function serverIn(t, name, region, from, serve) {
  const address = await addressOf(name, region);
  const server = createServer({ allowHalfOpen: true }, (socket) => serve(socket.on('error', () => {})));
  await new Promise((up) => server.listen(0, address, up));
  t.after(() => server.close());
  const { port } = server.address();
  const { stdout } = await done(['reach', from, `${address}:${port}`, '--name', name]);
  const [host, reached] = stdout.trim().split(':');
  assert.notEqual(host, address);
  return { host, port: Number(reached) };
}

function connectTo(t, where) {
  const socket = connect({ allowHalfOpen: true, ...where });
  socket.received = '';
  socket.on('error', (error) => (socket.failed = error));
  t.after(() => socket.destroy());
  return socket;
}

const echo = (socket) => socket.pipe(socket);

/** How many ms it takes until the answer is there, from the moment of this call. */
async function roundTrip(socket, text) {
  const begin = process.hrtime.bigint(), { length } = socket.received;
  socket.write(text);
  await until(() => socket.received.length >= length + text.length || socket.failed, { what: 'an answer', deadlineMs: DEADLINE_MS, everyMs: 1 });
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

function hear(socket) {
  socket.setEncoding('latin1').on('data', (text) => (socket.received += text));
  return socket;
}

test('without root the links are relays, which is said, and measured as they are', async (t) => {
  const words = await withoutRoot();
  if (words === undefined) return t.skip('the programs are closed to other users');
  const name = newName(), command = [...words, bench, 'wan'];
  const go = (args) => run(command[0], [...command.slice(1), ...args, '--name', name]);
  t.after(() => go(['down']));
  const up = await go(['up']);
  assert.equal(up.code, 0, up.stderr);
  assert.match(up.stderr, /root.*TCP relays/);
  assert.match(up.stdout, /form relay/);
  const measured = await go(['probe', '--json', '--blast', '20', '--packets', '20']);
  assert.equal(measured.code, 0, measured.stderr);
  const rows = measured.stdout.trim().split('\n').map((line) => JSON.parse(line));
  assertDelays(rows, 20);
  for (const { conditions } of rows) assert.equal(conditions.form, 'relay');
  assert.equal(rows.filter((row) => row.name === 'world.bandwidth').length, 20);
  assert.equal(rows.filter((row) => row.name === 'world.loss').length, 0); // there is none to measure
  assert.equal((await go(['down'])).code, 0);
  await assertNoWorld(name);
});

test('links are changed while the world runs; what relays cannot do is refused', async (t) => {
  const name = await worldFor(t, RELAY);
  await done(['set', 'us-west', 'sa-east', '--one-way', '--delay', '300', '--name', name]);
  await done(['set', 'us-east', 'us-west', '--jitter', '10', '--mbit', '50', '--name', name]);
  assertDelays((await probe(name, ['--packets', '5'])).filter(({ conditions }) => conditions.to !== 'us-west'), 16);
  const after = await links(name);
  assert.equal(after.get('us-west sa-east').delayMs, 300);
  assert.equal(after.get('sa-east us-west').delayMs, 88);
  assert.equal(after.get('us-east us-west').mbit, 50);
  for (const what of [['--loss', '1'], ['--reorder', '1']]) {
    const refused = await wan(['set', ...what, '--name', name]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /no packets to lose or to reorder/);
    assert.equal(refused.stderr.trim().split('\n').length, 1);
  }
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-wan-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'lossy.yaml');
  writeFileSync(file, 'mbit: 10\nqueue_kib: 64\nregions: [a, b]\nlinks: [{between: [a, b], delay_ms: 1, loss_percent: 2}]\n');
  const refused = await wan(['up', '--relay', '--topology', file, '--name', newName()]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /link between a and b.*no packets to lose/);
});

test('a connection takes its round trips, and one to nobody ends', async (t) => {
  const name = await worldFor(t, RELAY);
  const socket = hear(connectTo(t, await serverIn(t, name, 'eu-west', 'us-east', echo)));
  const first = await roundTrip(socket, 'x'); // with the handshake's own
  assert.ok(first >= 150 && first < 4000, `${first} ms`);
  const second = await roundTrip(socket, 'y');
  assert.ok(second >= 75 && second < 4000, `${second} ms`);

  const address = await addressOf(name, 'us-west');
  const { stdout } = await done(['reach', 'us-east', `${address}:9`, '--name', name]);
  const begin = Date.now();
  const refused = connectTo(t, { host: stdout.split(':')[0], port: 9 });
  await until(() => refused.failed || refused.closed, { what: 'the end of a connection to nobody', deadlineMs: DEADLINE_MS });
  assert.ok(Date.now() - begin >= 60, 'it is told one round trip later');

  assert.equal((await done(['reach', 'us-west', `${address}:9`, '--name', name])).stdout, `${address}:9\n`); // within a region
  for (const [args, why] of [[['mars', `${address}:9`], /no region mars/], [['us-east', '127.0.0.1:9'], /no region's own address/]]) {
    const ended = await wan(['reach', ...args, '--name', name]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, why);
  }
  assert.equal((await wan(['reach', 'us-east', '127.0.0.1', '--name', name])).code, 2);
});

test('a cut holds what goes between two regions, and only that, until it is healed', async (t) => {
  const name = await worldFor(t, RELAY);
  const where = await serverIn(t, name, 'eu-west', 'us-east', echo);
  const socket = hear(connectTo(t, where)), other = hear(connectTo(t, await serverIn(t, name, 'us-west', 'us-east', echo)));
  await roundTrip(socket, 'a');
  await roundTrip(other, 'a');
  await done(['cut', 'eu-west', '--name', name]);
  assert.equal((await links(name)).get('us-east eu-west').cut, true);
  socket.write('b');
  const late = hear(connectTo(t, where)); // one that is opened while the link is cut
  late.write('c');
  assert.ok((await roundTrip(other, 'b')) >= 60);
  await roundTrip(other, 'c');
  assert.deepEqual([socket.received, late.received], ['a', '']);
  await done(['heal', '--name', name]);
  await until(() => socket.received === 'ab' && late.received === 'c', { what: 'what was held', deadlineMs: DEADLINE_MS });
  assert.equal(socket.failed ?? late.failed, undefined);
});

test('every byte arrives in its place, through jitter, a narrow link and cuts', async (t) => {
  const name = await worldFor(t, RELAY);
  await done(['set', 'us-east', 'eu-west', '--delay', '3', '--jitter', '3', '--mbit', '100', '--queue', '64', '--name', name]);
  const sent = randomBytes(6 << 20), there = createHash('sha256'), back = createHash('sha256');
  const where = await serverIn(t, name, 'eu-west', 'us-east', (socket) => echo(socket.on('data', (bytes) => there.update(bytes))));
  const socket = connectTo(t, where);
  let received = 0, isOver = false;
  socket.on('data', (bytes) => (back.update(bytes), (received += bytes.length))).on('end', () => (isOver = true));
  socket.end(sent);
  for (const part of [0.2, 0.5, 0.8]) {
    await until(() => received > part * sent.length || socket.failed, { what: () => `${part} of all, not ${received}`, deadlineMs: DEADLINE_MS });
    await done(['cut', 'us-east', 'eu-west', '--name', name]);
    assert.ok(received < sent.length);
    await done(['heal', '--name', name]);
  }
  await until(() => isOver || socket.failed, { what: () => `the end, behind ${received} bytes`, deadlineMs: DEADLINE_MS });
  const wanted = createHash('sha256').update(sent).digest('hex');
  assert.equal(received, sent.length);
  assert.deepEqual([there.digest('hex'), back.digest('hex')], [wanted, wanted]);
});

test('worlds beside each other have addresses of their own', async (t) => {
  const [one, other] = [await worldFor(t, RELAY), await worldFor(t, RELAY)];
  assert.notEqual(await addressOf(one, 'us-east'), await addressOf(other, 'us-east'));
});

const gone = (pids) => until(() => !pids.some(isThere), { what: () => `the end of ${pids.filter(isThere)}`, deadlineMs: DEADLINE_MS, everyMs: 20 });

test('a program ends as it ends, and what it has started with it', async (t) => {
  const name = await worldFor(t, RELAY);
  assert.equal((await wan(['exec', 'us-east', '--name', name, '--', 'sh', '-c', 'exit 7'])).code, 7);
  assert.equal((await wan(['exec', 'mars', '--name', name, '--', 'true'])).code, 1);
  for (const [end, code] of [[(exec) => exec.kill('SIGTERM'), 143], [() => done(['down', '--name', name]), 137]]) {
    const inside = spawnIn(t, name, 'us-east', ['sh', '-c', '(sleep 1000 & sleep 1000) & echo inside; exec sleep 1000']);
    await until(() => inside.said.includes('inside'), { what: () => inside.said, deadlineMs: DEADLINE_MS });
    const [sleeper] = childrenOf(inside.pid);
    const all = [sleeper, ...childrenOf(sleeper)];
    await end(inside);
    assert.equal((await inside.ended).code, code);
    await gone(all);
  }
});

test('a world that came up is there, however busy the machine is', async (t) => {
  const words = await withoutRoot(); // whose worlds have no real-time priority
  for (let i = 0; i < 4; i++) {
    const busy = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
    t.after(() => busy.kill('SIGKILL'));
  }
  const [program, ...rest] = [...(words ?? []), bench, 'wan'];
  for (let i = 0; i < 20; i++) {
    const name = newName();
    for (const action of ['up', 'down']) {
      const ended = await run(program, [...rest, action, '--name', name]);
      assert.equal(ended.code, 0, `${action} ${i}: ${ended.stderr}`);
    }
  }
});

for (const [what, end, code] of [
  ["kill -9 of the world's process", ({ link }) => process.kill(link, 'SIGKILL'), 1],
  ['kill -9 of what started it', ({ up }) => process.kill(up.pid, 'SIGKILL'), null],
  ['Ctrl-C', ({ up }) => process.kill(-up.pid, 'SIGINT'), 0],
])
  test(`${what} leaves nothing`, async (t) => {
    const name = newName();
    const world = await foreground(t, name, RELAY);
    end(world);
    assert.equal((await world.up.ended).code, code, world.up.said);
    await world.inside.ended;
    await gone(world.pids);
    await assertNoWorld(name);
  });
