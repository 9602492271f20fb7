// SPDX-License-Identifier: Apache-2.0
// keyreeve import over a server that takes every row: where it sends them, inputs that are slow, and
// reports that cannot be written.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { keyreeve, run, until } from './lib/node.mjs';
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

/** An import of what is written to its input, which stays open. */
function startImport(t, { env }, ...args) {
  const child = spawn(keyreeve, ['import', '-', ...args], { env: { ...process.env, ...env }, stdio: ['pipe', 'ignore', 'pipe'] });
  const it = { stderr: '', write: (text) => child.stdin.write(text), end: () => child.stdin.end(), kill: (signal) => child.kill(signal) };
  child.stderr.on('data', (bytes) => (it.stderr += bytes));
  child.stdin.on('error', () => {});
  it.ended = new Promise((done) => child.on('close', (code, signal) => done({ code, signal })));
  t.after(() => child.kill('SIGKILL'));
  return it;
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

test('rows are refused by a node, not by what stands before it', async (t) => {
  let says;
  const { asked, cli, dir } = await serve(t, () => says);
  const input = join(dir, 'in.jsonl');
  writeFileSync(input, rows(4));
  says = { status: 400, text: '<html>Bad Request</html>' };
  assert.match((await cli(['import', input], 1)).stderr, /gave no reason \(400\)/);
  assert.equal(asked.length, 1);
  says = { status: 400, body: { detail: 'no such thing' } };
  const { refused } = JSON.parse((await cli(['import', input, '--json'], 1)).stdout);
  assert.equal(refused, 4);
});

test('while its input is quiet, an import serves what it has sent, saves what is done, and can be stopped', { timeout: 40_000 }, async (t) => {
  const served = await serveImport(t);
  const state = served.path('state');
  const saved = () => existsSync(state) && JSON.parse(readFileSync(state)).imported;
  const quiet = startImport(t, served, '--batch', '1', '--timeout', '1', '--state', state);
  quiet.write(`${row(1)}\n`);
  await until(() => saved() === 1, { what: () => `a saved state: ${quiet.stderr}` });
  quiet.write(`${row(2)}\n${row(3).slice(0, 20)}`);
  await until(() => saved() === 2, { what: () => `the next one: ${quiet.stderr}` });
  quiet.kill('SIGTERM');
  assert.deepEqual(await quiet.ended, { code: 1, signal: null });
  assert.match(quiet.stderr, /interrupted/);
  assert.doesNotMatch(quiet.stderr, /takes no rows/);
  assert.equal(served.asked.length, 2);

  const again = startImport(t, served, '--batch', '1', '--state', state);
  again.write([1, 2, 3].map((number) => row(number)).join('\n'));
  again.end();
  assert.deepEqual(await again.ended, { code: 0, signal: null }, again.stderr);
  assert.equal(served.asked.length, 3, 'the half of a row is read whole');
});

test('a dry run of a quiet input can be stopped', { timeout: 40_000 }, async (t) => {
  const served = await serveImport(t);
  const quiet = startImport(t, served, '--dry-run', '--report', served.path('report'), '--batch', '1');
  quiet.write('nonsense\n'.repeat(8)); // as many lines as a row's batch waits for
  await until(() => existsSync(served.path('report')) && linesOf(served.path('report')).length === 8, { what: () => quiet.stderr });
  quiet.kill('SIGINT');
  assert.deepEqual(await quiet.ended, { code: 1, signal: null });
});

test('rows that a node has taken are counted, also when the import ends at others', async (t) => {
  const { cli, dir } = await serve(t, async ({ path, text }) => {
    if (path.includes('/missing/')) return { status: 404, body: { detail: 'there is no such bucket' } };
    await pause(100); // the refusal comes first
    const { rows: given } = JSON.parse(text);
    return { body: { imported: given.length, existing: 0, refused: [] } };
  });
  const input = join(dir, 'in.jsonl');
  writeFileSync(input, [...Array.from({ length: 4 }, (_, i) => row(i)), row(4, { bucket: 'missing' })].join('\n'));
  const ended = await cli(['import', input], 3);
  assert.match(ended.stdout, /^imported +4$/m);
  assert.match(ended.stdout, /^lines +0$/m);
  assert.match(ended.stderr, /4 of them stand behind line 0/);
  const { imported, lines, complete } = JSON.parse((await cli(['import', input, '--json'], 3)).stdout);
  assert.deepEqual([imported, lines, complete], [4, 0, false]);
});

test('an answer that is none ends the import at once, and what else is under way is awaited', async (t) => {
  let isGood;
  const { asked, cli, dir } = await serve(t, async ({ text }) => {
    const number = asked.length;
    if (!isGood) await until(() => asked.length === 4, { what: () => `all that is under way, not ${asked.length}` }); // and answered at once
    else await pause(100 * number); // one after the other, the answer that is none first
    if (number === 1 || !isGood) return { text: '<html>Welcome</html>' };
    return { body: { imported: JSON.parse(text).rows.length, existing: 0, refused: [] } };
  });
  const input = join(dir, 'in.jsonl');
  writeFileSync(input, Array.from({ length: 4 }, (_, i) => row(i, { bucket: `bucket-${i}` })).join('\n'));
  for (const [good, count] of [[false, 0], [true, 3]]) {
    isGood = good;
    asked.length = 0;
    const begun = performance.now();
    const ended = await cli(['import', input, '--json'], 1);
    assert.ok(performance.now() - begun < 6000, 'it does not wait until its patience is over');
    assert.match(ended.stderr, /does not add up/);
    const { imported, lines, complete } = JSON.parse(ended.stdout);
    assert.deepEqual([asked.length, imported, lines, complete], [4, count, 0, false]);
  }
});

test('an import that has ended early says how it goes on, if it does', async (t) => {
  const { cli, dir } = await serve(t, () => ({ status: 403, body: { detail: 'not allowed' } }));
  const input = join(dir, 'in.jsonl');
  writeFileSync(input, rows(2));
  assert.match((await cli(['import', input], 4)).stderr, /the same command goes on from here/);
  const piped = await cli(['import', '-'], 4, { input: rows(2) });
  assert.doesNotMatch(piped.stderr, /the same command/);
  assert.match(piped.stderr, /with --state FILE it could go on/);
  assert.match((await cli(['import', '-', '--state', join(dir, 'state')], 4, { input: rows(2) })).stderr, /the same command goes on from here/);
});
