// SPDX-License-Identifier: Apache-2.0
// The relay of the local cluster: links pass bytes on, a cut holds them, healing lets them go on.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { claimNet } from './lib/net.mjs';
import { binDir, run, until } from './lib/node.mjs';

const bench = join(binDir, 'keyreeve-bench');
const net = await claimNet();
const at = (last) => `127.0.${net}.${last}`;
const port = 7403;

/** A server that answers every byte with itself, on a free port of an address. */
async function echoOn(t, host) {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket));
  await new Promise((done) => server.listen(0, host, done));
  t.after(() => server.close());
  return server.address().port;
}

function connectFrom(t, localAddress) {
  const socket = connect({ host: at(9), port, localAddress });
  socket.received = '';
  socket.on('data', (bytes) => (socket.received += bytes)).on('error', () => {});
  t.after(() => socket.destroy());
  return socket;
}

async function startRelay(t) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-relay-'));
  const [table, cuts] = [join(directory, 'table'), join(directory, 'cuts')];
  writeFileSync(table, `# who is where\nnode a ${at(1)}\nnode c ${at(3)}\nlink * b ${at(9)}:${port} ${at(2)}:${await echoOn(t, at(2))}\n`);
  const relay = spawn(bench, ['relay', '--table', table, '--cuts', cuts], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => relay.on('close', (code) => done(code)));
  t.after(async () => {
    relay.kill('SIGTERM');
    assert.equal(await ended, 0);
    rmSync(directory, { recursive: true, force: true });
  });
  let said = '';
  relay.stdout.on('data', (bytes) => (said += bytes));
  await until(() => said.includes('1 links'), { what: 'the relay to listen' });
  const setCuts = (text) => {
    writeFileSync(`${cuts}.new`, text);
    renameSync(`${cuts}.new`, cuts);
  };
  return setCuts;
}

test('a cut holds what goes between two names, and only that, until it is healed', async (t) => {
  const setCuts = await startRelay(t);
  const a = connectFrom(t, at(1));
  const c = connectFrom(t, at(3));
  a.write('1');
  c.write('1');
  await until(() => a.received === '1' && c.received === '1', { what: 'both to be answered' });

  setCuts('b a\n');
  // The cut is in force once a's bytes stop while c's go on; until then they are answered.
  let sent = 1;
  await until(
    async () => {
      a.write('x');
      sent++;
      const before = c.received.length;
      c.write('yy');
      await until(() => c.received.length === before + 2, { what: 'c to be answered' });
      return a.received.length < sent;
    },
    { what: 'the cut' },
  );
  const held = connectFrom(t, at(1));
  held.write('new');
  const before = c.received.length;
  for (let round = 1; round <= 20; round++) {
    c.write('z');
    await until(() => c.received.length === before + round, { what: 'c to be answered' });
  }
  assert.equal(held.received, '');

  setCuts('\n');
  await until(() => a.received.length === sent && held.received === 'new', { what: 'what was held' });
});

test('the end of a connection is passed on, in both directions', async (t) => {
  await startRelay(t);
  const a = connectFrom(t, at(1));
  const bytes = 'k'.repeat(300_000);
  const over = new Promise((done) => a.on('end', done));
  a.end(bytes);
  await over;
  assert.equal(a.received, bytes);
});

test('a table that is not one is refused with the line', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-relay-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const table = join(directory, 'table');
  writeFileSync(table, `node a ${at(1)}\nlink a b\n`);
  const ended = await run(bench, ['relay', '--table', table, '--cuts', join(directory, 'cuts')]);
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /table:2: write "node NAME ADDRESS"/);
});
