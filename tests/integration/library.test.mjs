// SPDX-License-Identifier: Apache-2.0
// libkeyreeve: installed and used as its pages say, against real nodes that come, go and hang.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { client, expect } from './lib/http.mjs';
import { misspelled, strangerKey } from './lib/keys.mjs';
import { askSeldom, buildExample, installLibrary, runExample, startExample } from './lib/library.mjs';
import { claimPlace } from './lib/net.mjs';
import { dataDirFor, keyreeve, run, startNode, until, whileStopped } from './lib/node.mjs';

let node;
let api;
let good;
let library;
let verify;
const cleanups = [];
before(async () => {
  library = await installLibrary({ after: (cleanup) => cleanups.push(cleanup) });
  verify = await buildExample(library, 'verify');
  node = await startNode();
  api = client(node);
  await api.makeConsumer('caller', { metadata: { plan: 'gold' } });
  good = await api.makeKey('caller');
});
after(async () => {
  for (const cleanup of cleanups) await cleanup();
  await node.remove();
});

const NOBODY = '127.0.0.1:9';

test('only keyreeve_* is exported, by the shared and by the static library', () => {
  const names = (args) =>
    execFileSync('nm', args, { encoding: 'utf8' })
      .split('\n')
      .map((line) => / [TDBRVW] ([^@\s]+)/.exec(line)?.[1])
      .filter(Boolean);
  const shared = names(['-D', '--defined-only', join(library.lib, 'libkeyreeve.so')]);
  assert.ok(shared.includes('keyreeve_verify'));
  assert.deepEqual(shared.filter((name) => !/^keyreeve_/.test(name)), []);
  assert.deepEqual(names(['-g', '--defined-only', join(library.lib, 'libkeyreeve.a')]).sort(), shared.sort());
});

test('the manual page names every function and every error of the header', () => {
  const header = readFileSync(join(library.prefix, 'include/keyreeve.h'), 'utf8');
  const page = readFileSync(join(library.prefix, 'share/man/man3/keyreeve.3'), 'utf8').replaceAll('\\', '');
  const names = [...header.matchAll(/(keyreeve_\w+)\(|(KR_KEYREEVE_\w+) = -?[01],/g)].map(([, name, error]) => name ?? error);
  assert.ok(names.length > 8, names.join());
  for (const name of names) assert.ok(page.includes(name), name);
});

test('the example says of each key what the node says, statically linked as well', async (t) => {
  for (const program of [verify, await buildExample(library, 'verify', { isStatic: true })]) {
    const example = startExample(t, library, program, [node.binary]);
    assert.equal(await example.ask(good.key), 'VALID');
    const { sub, data } = JSON.parse(/\{.*\}/.exec(example.last())[0]);
    assert.deepEqual([sub, data], ['caller', { plan: 'gold' }]);
    assert.equal(await example.ask(strangerKey()), 'NOT_FOUND');
    assert.equal(await example.ask(misspelled()), 'MALFORMED');
    assert.equal(await example.ask('x'.repeat(600)), 'MALFORMED');
    assert.equal(await example.ask(''), 'MALFORMED');
    await example.end();
  }
});

test('a list of nodes that is none is refused', async () => {
  for (const nodes of ['', 'nonsense', '127.0.0.1:', ':7401', `${NOBODY},`, 'unix:', Array(17).fill(NOBODY).join()])
    assert.equal((await runExample(library, verify, [nodes])).code, 2, nodes);
});

test('nodes that are not there cost nothing as long as one is, and then it is UNAVAILABLE', async (t) => {
  const example = startExample(t, library, verify, [`${NOBODY},unix:/nowhere/binary.sock,${node.binary}`]);
  assert.equal(await example.ask(good.key), 'VALID');
  const lonely = startExample(t, library, verify, [NOBODY]);
  assert.equal(await lonely.ask(good.key), 'UNAVAILABLE');
  await Promise.all([example.end(), lonely.end()]);
});

test('a node that is gone is connected to again', async (t) => {
  const dataDir = dataDirFor(t);
  const { host, port } = await claimPlace();
  const flags = ['--binary-listen', `${host}:${port}`];
  const first = await startNode({ dataDir, flags });
  await client(first).makeConsumer('caller');
  const { key } = await client(first).makeKey('caller');
  const example = startExample(t, library, verify, [first.binary]);
  assert.equal(await example.ask(key), 'VALID');
  await first.kill9();
  assert.equal(await example.ask(key), 'UNAVAILABLE');
  await startNode({ dataDir, flags });
  await until(async () => (await example.ask(key)) === 'VALID', { what: 'VALID again', everyMs: 100 });
  await example.end();
});

test('a client that asks less often than its time-out keeps its connection', async (t) => {
  assert.equal(await askSeldom(t, library, verify, node.binary, good.key), 1);
});

test('what is kept is dropped with the news, and with the lease', async (t) => {
  const dataDir = dataDirFor(t);
  const other = await startNode({ dataDir });
  const its = client(other);
  await its.makeConsumer('caller');
  const [kept, revoked, many] = [await its.makeKey('caller'), await its.makeKey('caller'), await its.makeKey('caller')];
  const example = startExample(t, library, verify, [other.binary, 'keep']);
  for (const { key } of [kept, revoked, many]) await until(async () => (await example.ask(key)) === 'VALID kept', { what: 'an answer that was kept' });

  expect(await its.post(`${its.keys('caller')}/${revoked.id}/revoke`), 200);
  await until(async () => (await example.ask(revoked.key)) === 'REVOKED', { what: 'the news' });
  assert.equal(await example.ask(kept.key), 'VALID kept', 'others stay');
  for (let i = 0; i < 20; i++) assert.equal(await example.ask(revoked.key), 'REVOKED');

  expect(await its.post(`${its.consumers()}/caller/revoke`, { confirm: 'caller' }), 200);
  await until(async () => (await example.ask(many.key)) === 'REVOKED', { what: 'the news of many' });
  assert.equal(await example.ask(kept.key), 'REVOKED');
  await example.end();
});

test('a node that hangs gives no lease: nothing that was kept outlives it by more', async (t) => {
  const dataDir = dataDirFor(t);
  const other = await startNode({ dataDir });
  const its = client(other);
  await its.makeConsumer('caller');
  const { key } = await its.makeKey('caller');
  const example = startExample(t, library, verify, [other.binary, 'keep']);
  await until(async () => (await example.ask(key)) === 'VALID kept', { what: 'an answer that was kept' });
  const stoppedAt = Date.now();
  await whileStopped(other.pid, async () => {
    await until(async () => (await example.ask(key)) === 'UNAVAILABLE', { what: 'the end of the lease', everyMs: 20 });
    assert.ok(Date.now() - stoppedAt < 15_000);
    assert.equal(await example.ask(key), 'UNAVAILABLE');
  });
  await until(async () => (await example.ask(key)) === 'VALID kept', { what: 'VALID again' });
  await example.end();
});

test('the libuv example asks all at once, and leaves its loop empty', async () => {
  const program = await buildExample(library, 'verify_uv', { more: ['libuv'] });
  const keys = Array.from({ length: 60 }, (_, i) => (i % 2 ? good.key : strangerKey()));
  const ended = await runExample(library, program, [`${NOBODY},${node.binary}`, ...keys]);
  assert.equal(ended.code, 0, ended.stderr);
  const lines = ended.stdout.trim().split('\n');
  assert.deepEqual(lines.sort(), keys.map((key, i) => `${key} ${i % 2 ? 'VALID' : 'NOT_FOUND'}`).sort());
  const alone = await runExample(library, program, [NOBODY, good.key]);
  assert.deepEqual([alone.code, alone.stdout], [0, `${good.key} UNAVAILABLE\n`], alone.stderr);
});

test('keyreeve key verify --bench measures through the library', async () => {
  const bench = (key, nodes, more = []) => run(keyreeve, ['key', 'verify', '--url', node.url, '--bench', '1', '--nodes', nodes, ...more], { input: `${key}\n` });
  const people = await bench(good.key, node.binary);
  assert.equal(people.code, 0, people.stderr);
  assert.match(people.stdout, /answers\/s +\S*[1-9]/);
  assert.match(people.stdout, /verdict +VALID/);
  const programs = await bench(strangerKey(), `${NOBODY},${node.binary}`, ['--json']);
  assert.equal(programs.code, 6, programs.stderr);
  const figures = JSON.parse(programs.stdout);
  assert.ok(figures.answered > 0 && figures.perSecond > 0 && figures.p50Us <= figures.maxUs, programs.stdout);
  assert.deepEqual([figures.code, figures.nodesUp], ['NOT_FOUND', 1]);
  assert.equal((await bench(good.key, NOBODY)).code, 5);
  assert.equal((await bench('x'.repeat(600), node.binary)).code, 6);
  for (const bucket of ['', 'b'.repeat(256)]) assert.equal((await bench(good.key, node.binary, ['--bucket', bucket])).code, 2);
  const wrong = await bench(good.key, 'nonsense');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /HOST:PORT/);
});
