// SPDX-License-Identifier: Apache-2.0
// The vault of a cluster: all core nodes have one master key.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { dataDirFor, keyreeve, keyreeved, run, until } from './lib/node.mjs';

const net = 70 + (process.pid % 50);

/** The secrets of a cluster with these core nodes, in home/ca. */
async function makeCluster(home, names) {
  for (const args of [['cluster', 'init', '--out', join(home, 'ca')], ...names.map((name) => ['node', 'add', name, '--dir', join(home, 'ca'), '--region', 'here', '--role', 'core'])]) {
    const ended = await run(keyreeve, args, { env: { HOME: home } });
    assert.equal(ended.code, 0, ended.stderr);
  }
}

/** A core node of the cluster in home, the first one at .1: {url, log(), ended, stop()}. */
function startCore(t, home, name, number) {
  const host = `127.0.${net}.${number}`;
  mkdirSync(join(home, name), { recursive: true });
  const flags = ['--data', join(home, name, 'data'), '--http', `${host}:7400`, '--binary-listen', '', '--peer-listen', `${host}:7402`, '--peer-bundle', join(home, 'ca', name, 'node.pem'), '--master-key-file', join(home, 'ca', name, 'master-key'), '--serve-threads', '1', '--rate-limit-per-token', '0'];
  if (number > 1) flags.push('--upstreams', `127.0.${net}.1:7402`);
  const child = spawn(keyreeved, [...flags, '--insecure'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => (said += bytes));
  const ended = once(child, 'exit').then(([code]) => code);
  const stop = async () => {
    child.kill('SIGTERM');
    assert.equal(await ended, 0, said);
    assert.doesNotMatch(said, /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:/);
  };
  t.after(() => child.exitCode ?? child.kill('SIGKILL'));
  return { url: `http://${host}:7400`, log: () => said, ended, stop };
}

const isReady = (node) => fetch(`${node.url}/readyz`).then(({ status }) => status === 200, () => false);

test("a core node that joins with another master key than the cluster's stops, and says why", { timeout: 240_000 }, async (t) => {
  const home = dataDirFor(t);
  await makeCluster(home, ['one', 'two']);
  const one = startCore(t, home, 'one', 1);
  await until(() => isReady(one), { what: () => `the leader: ${one.log()}`, deadlineMs: 60_000 });
  writeFileSync(join(home, 'ca', 'two', 'master-key'), `${'5a'.repeat(32)}\n`);
  const two = startCore(t, home, 'two', 2);
  assert.equal(await two.ended, 1, two.log());
  assert.match(two.log(), /two\/master-key: the master key of version 1 is not the cluster's/);
  assert.ok(await isReady(one));
  await one.stop();
});
