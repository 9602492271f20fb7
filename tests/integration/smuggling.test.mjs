// SPDX-License-Identifier: Apache-2.0
// The table of requests that two parsers might read differently: each is refused with one answer,
// and the connection ends there, however the bytes arrive and whatever follows them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { raw, statusesOf } from './lib/http.mjs';
import { startNode } from './lib/node.mjs';

const table = JSON.parse(readFileSync(new URL('smuggling.json', import.meta.url), 'utf8'));
const second = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';

let node;
before(async () => {
  node = await startNode();
});
after(() => node.remove());

/** Everything that comes back until the node closes. */
async function answersTo(send) {
  const connection = raw(node);
  await send(connection);
  const received = await connection.until((_, closed) => closed);
  return statusesOf(received, { isHead: false });
}

test('each request of the table is refused once and the connection closed', async () => {
  assert.ok(table.length > 100);
  for (const { name, request, status } of table) assert.deepEqual(await answersTo((connection) => connection.write(request)), [status], name);
});

test('what follows a refused request is never answered', async () => {
  for (const { name, request, status } of table) assert.deepEqual(await answersTo((connection) => connection.write(request + second + second)), [status], name);
});

test('a request before it is answered, and nothing behind', async () => {
  for (const { name, request, status } of table) assert.deepEqual(await answersTo((connection) => connection.write(second + request + second)), [200, status], name);
});

test('byte by byte the refusals are the same', async () => {
  await Promise.all(
    table.map(async ({ name, request, status }) => {
      const statuses = await answersTo(async (connection) => {
        connection.socket.setNoDelay(true);
        for (const byte of request) {
          if (connection.closed) return;
          connection.write(byte);
          await new Promise(setImmediate);
        }
      });
      assert.deepEqual(statuses, [status], name);
    }),
  );
});

test('the node is well afterwards', async () => {
  assert.equal((await fetch(`${node.url}/readyz`)).status, 200);
  assert.ok((await node.metric('requests_refused_total')) >= 4 * table.length);
});
