// SPDX-License-Identifier: Apache-2.0
// keyreeve import over a server that takes every row: where it sends them, and
// reports that cannot be written.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyreeve, run } from './lib/node.mjs';
import { serve } from './lib/server.mjs';

const row = (number, more = {}) => JSON.stringify({ consumer: 'c', keyHash: { algorithm: 'sha256', value: number.toString(16).padStart(64, '0') }, ...more });
const rows = (count, more) => Array.from({ length: count }, (_, i) => row(i, more)).join('\n');
const linesOf = (path) => readFileSync(path, 'utf8').split('\n').filter(Boolean);

/** serve(), of a node that imports all rows but those that refuse(row) has a reason against. */
async function serveImport(t, refuse = () => undefined) {
  const served = await serve(t, ({ text }) => {
    const { rows: given = [] } = JSON.parse(text || '{}');
    const refused = given.flatMap((one, i) => (refuse(one) ? [{ row: i, detail: refuse(one) }] : []));
    return { body: { imported: given.length - refused.length, existing: 0, refused } };
  });
  const path = (name) => join(served.dir, name);
  const write = (name, text) => (writeFileSync(path(name), text), path(name));
  return { ...served, path, write };
}

test('the bucket that rows go to is a name or an id, wherever it comes from', async (t) => {
  const { asked, cli, url, write } = await serveImport(t);
  const input = write('in.jsonl', rows(3));
  for (const bucket of ['a'.repeat(200), 'production/../preview', '..', 'ab', 'Production'])
    for (const dry of [[], ['--dry-run']]) {
      assert.match((await cli(['import', input, '--bucket', bucket, ...dry], 2)).stderr, /is no bucket/, bucket);
      await cli(['import', input, ...dry], 2, { env: { KEYREEVE_BUCKET: bucket } });
    }
  await cli(['login', url, '--name', 'wide', '--bucket', 'a'.repeat(200)]);
  await cli(['import', input], 2, { env: { KEYREEVE_BUCKET: '', KEYREEVE_CONTEXT: 'wide' } });
  await cli(['import', input, '--account', '..'], 2);
  const imports = () => asked.filter(({ method }) => method === 'POST').map(({ target }) => target);
  assert.deepEqual(imports(), []);
  const id = `bckt_${'7'.repeat(24)}`;
  await cli(['import', input, '--bucket', id]);
  assert.deepEqual(imports(), [`/v1/accounts/default/key-buckets/${id}/$import`]);
});

test('a report that cannot be written loses no row: the import goes on from the first that it lacks', async (t) => {
  const count = 60;
  const { cli, env, path, write } = await serveImport(t, ({ description }) => description);
  const input = write('in.jsonl', rows(count, { description: 'x'.repeat(50) }));
  const args = ['import', input, '--batch', '5', '--report', path('report')];
  const full = await run('bash', ['-c', `trap '' XFSZ; ulimit -f 1; exec "$@"`, 'bash', keyreeve, ...args], { env });
  assert.equal(full.code, 1);
  assert.match(full.stderr, /cannot write the report/);
  assert.ok(JSON.parse(readFileSync(`${input}.keyreeve-state`)).lines < count);
  const { refused, lines } = JSON.parse((await cli([...args, '--json'], 1)).stdout);
  assert.deepEqual([refused, lines], [count, count]);
  assert.deepEqual(linesOf(path('report')).map((line) => JSON.parse(line).line), Array.from({ length: count }, (_, i) => i + 1));
});
