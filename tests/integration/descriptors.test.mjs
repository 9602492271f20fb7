// SPDX-License-Identifier: Apache-2.0
// A node with few descriptors, and one that has none left.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, raw, statusesOf } from './lib/http.mjs';
import { dataDirFor, run, startNode, until } from './lib/node.mjs';

const PROBE = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';

/** Asks over a raw connection: true when it was answered, false when it was closed. */
async function isServed(connection) {
  const before = connection.received.length;
  connection.write(PROBE);
  await connection.until((text, closed) => closed || (text.length > before && text.endsWith('ok\n')));
  return connection.received.length > before;
}

async function setLimit(node, limit) {
  const { code, stderr } = await run('prlimit', ['--pid', String(node.pid), `--nofile=${limit}:`]);
  assert.equal(code, 0, stderr);
}

test('where descriptors are few there are fewer connections, and the rest of the node has its own', async (t) => {
  const node = await startNode({ dataDir: dataDirFor(t), flags: ['--serve-threads', '1'], under: ['prlimit', '--nofile=200:256'] });
  const said = node.stderr.split('\n').find((line) => line.includes('fewer connections than connections_max'));
  assert.match(said, /"level":"warn".*"connections":128,"descriptors":256,"mend":"LimitNOFILE=\d+ in the unit, or ulimit -n \d+ before the start"/);
  const connections = Array.from({ length: 200 }, () => raw(node));
  t.after(() => connections.forEach((connection) => connection.destroy()));
  const served = (await Promise.all(connections.map(isServed))).filter(Boolean).length;
  assert.ok(served > 100 && served <= 128, `${served} of 200`);
  const [one] = connections.filter(({ closed }) => !closed);
  const body = JSON.stringify({ name: 'c' });
  const before = one.received.length;
  one.write(`POST ${client(node).consumers()} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${node.token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await one.until((text) => text.slice(before).includes('"id"'));
  assert.deepEqual(statusesOf(one.received.slice(before)), [200]);
});

test('without a descriptor a node goes on serving who is connected, and lets the others wait', async (t) => {
  const node = await startNode({ dataDir: dataDirFor(t), flags: ['--serve-threads', '1'] });
  const held = raw(node);
  const waiting = [];
  t.after(() => [held, ...waiting].forEach((connection) => connection.destroy()));
  assert.ok(await isServed(held));
  const pauses = async () => {
    const before = held.received.length;
    held.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n');
    const text = await held.until((all) => /keyreeve_tls_failed_total \d+\n/.test(all.slice(before)));
    return Number(/keyreeve_accept_pauses_total (\d+)/.exec(text.slice(before))[1]);
  };
  assert.equal(await pauses(), 0);
  await setLimit(node, 4);
  for (let i = 0; i < 3; i++) waiting.push(raw(node));
  for (const connection of waiting) connection.write(PROBE);
  await until(async () => (await pauses()) >= 2, { what: 'the listener to find no descriptor, twice' });
  assert.deepEqual(waiting.map(({ received, closed }) => [received, closed]), waiting.map(() => ['', false]));
  assert.ok(await isServed(held));
  await setLimit(node, 1024);
  for (const connection of waiting) await connection.until((text) => text.endsWith('ok\n'));
  assert.ok(await isServed(held));
});
