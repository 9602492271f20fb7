// SPDX-License-Identifier: Apache-2.0
// A start over many keys: while they are brought into memory, validations are answered from the
// index, rightly, and /readyz says how far it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, expect } from './lib/http.mjs';
import { misspelled, sha256, strangerKey } from './lib/keys.mjs';
import { dataDirFor, startNode, until } from './lib/node.mjs';

const ROWS = 2000; // of one $import
const IMPORTS = 60;
const value = (number) => `kr-import-${String(number).padStart(30, '0')}`;
const progress = /^not ready: (\d+) of about (\d+) keys are in memory\n$/;

async function importKeys(api) {
  for (let at = 0; at < IMPORTS; at++) {
    const rows = Array.from({ length: ROWS }, (_, row) => ({ consumer: `c${row % 100}`, keyHash: { algorithm: 'sha256', value: sha256(value(at * ROWS + row), 'hex') } }));
    assert.equal(expect(await api.post(`${api.buckets}/production/$import`, { rows }), 200).body.imported, ROWS);
  }
}

test('while the keys are loaded, validations are answered from the index', { timeout: 240_000 }, async (t) => {
  const dataDir = dataDirFor(t);
  const first = await startNode({ dataDir });
  const api = client(first);
  await importKeys(api);
  const { name } = await api.makeConsumer('loading');
  const { key: good } = await api.makeKey(name);
  const { key: revoked, id } = await api.makeKey(name);
  const expired = (await api.makeKey(name, { expiresOn: new Date(Date.now() + 1000).toISOString() })).key;
  expect(await api.post(`${api.keys(name)}/${id}/revoke`, {}), 200);
  await until(async () => (await api.code(expired)) === 'EXPIRED', { what: 'the key to expire' });
  // Imported by their digests, these are keys, whatever they look like.
  const odd = [misspelled(), 'a value with spaces, ünd not ASCII'];
  const rows = odd.map((one) => ({ consumer: name, keyHash: { algorithm: 'sha256', value: sha256(one, 'hex') } }));
  assert.equal(expect(await api.post(`${api.buckets}/production/$import`, { rows }), 200).body.imported, rows.length);
  await first.stop();

  const wanted = [
    [good, 'VALID'],
    [revoked, 'REVOKED'],
    [expired, 'EXPIRED'],
    [strangerKey(), 'NOT_FOUND'],
    [value(0), 'VALID'],
    [value(ROWS * IMPORTS - 1), 'VALID'],
    [value(ROWS * IMPORTS), 'NOT_FOUND'],
    ...odd.map((one) => [one, 'VALID']),
    [misspelled(), 'MALFORMED'],
    ['noise, noise, noise and noise', 'MALFORMED'],
  ];
  const node = await startNode({ dataDir, isLoading: true });
  const loading = client(node, api.token);
  const seen = [];
  let asked = 0;
  // It answers a moment before it leads, and knows nothing fresh until then.
  await until(async () => (await loading.code(good)) !== 'STALE', { what: 'the node to lead', everyMs: 1 });
  for (;;) {
    const [key, code] = wanted[asked % wanted.length];
    assert.equal(await loading.code(key), code);
    // What was answered before the node said this was answered while it loaded.
    const { status, text } = await node.readiness();
    if (status === 200) break;
    assert.equal(status, 503);
    assert.match(text, progress);
    seen.push(progress.exec(text).slice(1).map(Number));
    asked++;
  }
  assert.ok(asked >= wanted.length, `only ${asked} validations were answered before the node was ready`);
  t.diagnostic(`${asked} validations while ${seen.at(-1)[1]} keys were loaded`);
  for (const [at, [done, total]] of seen.entries()) {
    assert.ok(done >= (seen[at - 1]?.[0] ?? 0), `${done} after ${seen[at - 1]}`);
    assert.ok(total > 0.5 * ROWS * IMPORTS && total < 2 * ROWS * IMPORTS, `about ${total} keys`);
  }
  for (const [key, code] of wanted) assert.equal(await loading.code(key), code, 'from memory as from the index');
  await node.stop();
});
