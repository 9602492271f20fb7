// SPDX-License-Identifier: Apache-2.0
// What --check and a start say of the settings: the same, before anything is made.
import assert from 'node:assert/strict';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { dataDirFor, keyreeved, run, startNode } from './lib/node.mjs';

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
