// SPDX-License-Identifier: Apache-2.0
// The vault: one master key for all core nodes, and where it may come from.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { client, expect } from './lib/http.mjs';
import { dataDirFor, keyreeve, keyreeved, refuseNode, run, startNode, until } from './lib/node.mjs';

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

// --- where the master key may come from ----------------------------------------------------------

const HEX = '6b'.repeat(32);

/** A bucket that keeps values, and one key in it: {id, key}. */
async function makeKept(api) {
  await api.makeBucket('vault', { isRetrievable: true });
  await api.makeConsumer('v', {}, 'vault');
  return api.makeKey('v', {}, 'vault');
}

const reveal = async (api, { id }) => expect(await api.post(`${api.keys('v', 'vault')}/${id}/reveal`), 200).body.key;

test('the master key may come from the environment, which is empty of it behind that, and from a descriptor', async (t) => {
  const dataDir = dataDirFor(t);
  let node = await startNode({ dataDir, env: { KEYREEVE_MASTER_KEY: HEX } });
  assert.ok(!readFileSync(`/proc/${node.pid}/environ`, 'latin1').includes(HEX));
  assert.ok(!existsSync(join(dataDir, 'master-key')));
  const key = await makeKept(client(node));
  await node.stop();
  assert.ok(!node.stderr.includes(HEX));
  const file = join(dataDir, 'elsewhere');
  writeFileSync(file, `${HEX}\n`, { mode: 0o600 });
  node = await startNode({ dataDir, flags: ['--master-key-fd', '9'], under: ['sh', '-c', 'exec 9<"$0"; exec "$@"', file] });
  assert.equal(await reveal(client(node), key), key.key);
  await node.stop();
  const refused = async (options, what) => {
    const ended = await refuseNode({ dataDir, ...options });
    assert.match(ended.stderr, what);
    assert.ok(!ended.stderr.includes(HEX), ended.stderr);
  };
  await refused({ env: { KEYREEVE_MASTER_KEY: '5a'.repeat(32) } }, /KEYREEVE_MASTER_KEY: the master key of version 1 is not the cluster's/);
  await refused({ env: { KEYREEVE_MASTER_KEY: `${HEX}0` } }, /KEYREEVE_MASTER_KEY:1: not a master key/);
  await refused({ env: { KEYREEVE_MASTER_KEY: HEX }, flags: ['--master-key-file', file] }, /more than one place/);
  await refused({ flags: ['--master-key', HEX] }, /unknown option --master-key/);
  const printed = await run(keyreeved, ['--print-config'], { env: { KEYREEVE_MASTER_KEY: HEX } });
  assert.equal(printed.code, 0, printed.stderr);
  assert.ok(!printed.stdout.includes(HEX) && !/^master_key:/m.test(printed.stdout), printed.stdout);
});
