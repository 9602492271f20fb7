// SPDX-License-Identifier: Apache-2.0
// A node that has no descriptor left.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { raw } from './lib/http.mjs';
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
