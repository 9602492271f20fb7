// SPDX-License-Identifier: Apache-2.0
// What keyreeve does to the files that it is given: outputs that are none, links, and one file for two things.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyreeve, run, until } from './lib/node.mjs';
import { serve } from './lib/server.mjs';

const importRow = JSON.stringify({ consumer: 'c', keyHash: { algorithm: 'sha256', value: 'ab'.repeat(32) } });

/** serve(), of a node with a bucket that is empty and takes what is imported; path(name) lies in a directory of the test. */
async function serveBucket(t, meanwhile = () => {}) {
  const served = await serve(t, async ({ method, path, text }) => {
    await meanwhile();
    if (method === 'POST') return { body: { imported: JSON.parse(text).rows.length, existing: 0, refused: [] } };
    return { body: path.endsWith('/consumers') ? { data: [], total: 0 } : { name: 'production' } };
  });
  const path = (name) => join(served.dir, name);
  return { ...served, path, write: (name, text) => (writeFileSync(path(name), text), path(name)) };
}
const exported = /^\{"type":"bucket","name":"production"\}\n$/;

test('an export goes into a pipe, and through links, and leaves both as they are', { timeout: 30_000 }, async (t) => {
  const { cli, path, write } = await serveBucket(t);
  execFileSync('mkfifo', [path('fifo')]);
  const reading = run('cat', [path('fifo')]);
  await cli(['export', 'production', '--out', path('fifo')]);
  assert.match((await reading).stdout, exported);
  assert.ok(lstatSync(path('fifo')).isFIFO());
  symlinkSync(write('file', 'old'), path('link'));
  await cli(['export', 'production', '--out', path('link')]);
  assert.ok(lstatSync(path('link')).isSymbolicLink());
  assert.match(readFileSync(path('file'), 'utf8'), exported);
});

test('an export to what cannot be a file asks for nothing', { timeout: 30_000 }, async (t) => {
  const { asked, cli, path } = await serveBucket(t);
  mkdirSync(path('folder'));
  symlinkSync(path('nowhere'), path('link'));
  const before = readdirSync(path('.'));
  assert.match((await cli(['export', 'production', '--out', path('folder')], 1)).stderr, /folder is a directory/);
  assert.match((await cli(['export', 'production', '--out', path('link')], 1)).stderr, /link leads to nothing/);
  assert.deepEqual(readdirSync(path('.')), before);
  assert.equal(asked.length, 0);
});

test('an export that comes to nothing leaves nothing behind', { timeout: 30_000 }, async (t) => {
  let meanwhile = () => {};
  const { cli, env, path } = await serveBucket(t, () => meanwhile());
  const left = () => readdirSync(path('.')).filter((name) => name.startsWith('out'));
  meanwhile = () => existsSync(path('out')) || mkdirSync(path('out'));
  assert.match((await cli(['export', 'production', '--out', path('out')], 1)).stderr, /cannot write .*out: /);
  assert.deepEqual(left(), ['out']);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    meanwhile = () => new Promise(() => {});
    const child = spawn(keyreeve, ['export', 'production', '--out', path('out2')], { env: { ...process.env, ...env }, stdio: 'ignore' });
    const ended = new Promise((done) => child.on('close', (code, by) => done({ code, by })));
    await until(() => left().length === 2, { what: 'a temporary file' });
    child.kill(signal);
    assert.deepEqual(await ended, { code: null, by: signal });
    assert.deepEqual(left(), ['out']);
  }
});

test('the state of an import is a file, or there is none', { timeout: 30_000 }, async (t) => {
  const { asked, cli, path, write } = await serveBucket(t);
  const input = write('in.jsonl', importRow);
  mkdirSync(path('folder'));
  execFileSync('mkfifo', [path('fifo')]);
  for (const place of ['fifo', 'folder'])
    for (const more of [[], ['--dry-run']]) assert.match((await cli(['import', input, '--state', path(place), '--restart', ...more], 1)).stderr, new RegExp(`${place} is (no file|a directory)`));
  assert.ok(lstatSync(path('fifo')).isFIFO());
  const nowhere = await cli(['import', input, '--state', path('no/such/place')], 1);
  assert.match(nowhere.stderr, /--state FILE names another place/);
  assert.equal(asked.length, 0, 'what cannot be gone on with is not begun');

  symlinkSync(write('kept', ''), path('link'));
  await cli(['import', input, '--state', path('link'), '--restart']);
  assert.ok(lstatSync(path('link')).isSymbolicLink());
  assert.ok(!existsSync(path('kept')), 'nothing is left to go on with');
});

test('an import does not write over its input, nor its report over its state', { timeout: 30_000 }, async (t) => {
  const { asked, cli, path, write } = await serveBucket(t);
  const input = write('in.jsonl', `${importRow}\nnonsense\n`);
  const text = readFileSync(input, 'utf8');
  symlinkSync(input, path('symbolic'));
  linkSync(input, path('hard'));
  for (const name of ['in.jsonl', 'symbolic', 'hard'])
    for (const more of [[], ['--dry-run'], ['--restart']]) {
      assert.match((await cli(['import', input, '--report', path(name), ...more], 2)).stderr, /--report is the input/);
      assert.match((await cli(['import', input, '--state', path(name), ...more], 2)).stderr, /--state is the input/);
    }
  assert.equal(readFileSync(input, 'utf8'), text);
  assert.equal(statSync(input).ino, statSync(path('hard')).ino);
  for (const report of [`${input}.keyreeve-state`, `${path('.')}/in.jsonl.keyreeve-state`]) assert.match((await cli(['import', input, '--report', report], 2)).stderr, /--report is the file that progress is kept in/);
  assert.equal(asked.length, 0);
});
