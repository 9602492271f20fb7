// SPDX-License-Identifier: Apache-2.0
// What --check and a start say of the settings: the same, before anything is made.
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { client } from './lib/http.mjs';
import { dataDirFor, keyreeve, keyreeved, run, startNode } from './lib/node.mjs';

/** Runs a program with some of its standard descriptors closed or led elsewhere, as a shell does. */
const runWith = (redirection, program, args, more) => run('sh', ['-c', `exec "$0" "$@" ${redirection}`, program, ...args], more);

test('--check takes the master key of a node that has run, from wherever it is kept', async (t) => {
  const dataDir = dataDirFor(t);
  await (await startNode({ dataDir })).stop();
  const kept = join(dataDir, 'master-key');
  const elsewhere = join(dataDir, 'elsewhere');
  const check = (flags, env) => run(keyreeved, ['--data', dataDir, ...flags, '--check'], { env });
  const isGood = ({ code, stdout, stderr }) => assert.deepEqual([code, stdout, stderr], [0, 'the settings are good\n', '']);
  isGood(await check([]));
  renameSync(kept, elsewhere);
  isGood(await check(['--master-key-file', elsewhere]));
  isGood(await check([], { KEYREEVE_MASTER_KEY: readFileSync(elsewhere, 'utf8').trim() }));
  isGood(await runWith(`9<${elsewhere}`, keyreeved, ['--data', dataDir, '--master-key-fd', '9', '--check']));
});

test('a node starts whichever of its standard descriptors are closed', async (t) => {
  for (const closed of ['0<&-', '1>&-', '2>&-', '0<&- 1>&- 2>&-']) {
    const node = await startNode({ under: ['sh', '-c', `exec "$0" "$@" ${closed}`] });
    await node.remove();
  }
});

test('a value that nobody gets is not taken for printed', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  await client(node).makeConsumer('c');
  const env = { HOME: node.dataDir, KEYREEVE_URL: node.url, KEYREEVE_TOKEN: node.token, KEYREEVE_BUCKET: 'production' };
  const created = await runWith('>&-', keyreeve, ['key', 'create', 'c'], { env });
  assert.deepEqual([created.code, created.stdout], [1, '']);
  assert.match(created.stderr, /cannot write to standard output/);
  for (const closed of ['0<&-', '2>&-', '0<&- 2>&-']) {
    const listed = await runWith(closed, keyreeve, ['key', 'list', 'c'], { env });
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(listed.stdout, /key_/);
  }
  const unread = await runWith('0<&-', keyreeve, ['import', '-'], { env });
  assert.notEqual(unread.code, 0, 'input that cannot be read is no empty input');
});

test('--help, --version and --man need no settings, and a value is not one of them', async (t) => {
  const env = { KEYREEVE_SERVE_THREADS: 'many', KEYREEVE_ACCOUNT: '' };
  for (const action of ['--help', '-h', '--version', '--man']) {
    const shown = await run(keyreeved, ['--config', '/nowhere.yaml', action], { env });
    assert.deepEqual([shown.code, shown.stderr], [0, ''], action);
    assert.match(shown.stdout, /keyreeved/i);
  }
  const printed = await run(keyreeved, ['--realm', '--help', '--print-config']);
  assert.match(printed.stdout, /^realm: "--help"$/m);
  assert.equal((await run(keyreeved, ['--check'], { env })).code, 2);
});

test('of two --config the last one counts, and one without a value is refused', async (t) => {
  const dataDir = dataDirFor(t);
  const [first, last] = ['first', 'last'].map((realm) => {
    const path = join(dataDir, `${realm}.yaml`);
    writeFileSync(path, `realm: ${realm}\n`);
    return path;
  });
  for (const flags of [['--config', first, '--config', last], ['--config', first, `--config=${last}`], [`--config=${first}`, '--config', last]])
    assert.match((await run(keyreeved, [...flags, '--print-config'])).stdout, /^realm: "last"$/m);
  for (const flags of [['--check', '--config'], ['--check', '--config='], ['--config', '', '--check']]) {
    const refused = await run(keyreeved, flags);
    assert.deepEqual([refused.code, refused.stderr], [2, 'keyreeved: --config needs a value; keyreeved --help shows it\n']);
  }
});
