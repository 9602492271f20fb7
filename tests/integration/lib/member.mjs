// SPDX-License-Identifier: Apache-2.0
// A cluster whose members a test starts one by one: the secrets, and a node with flags of its own.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { assertUnreported, keyreeve, keyreeved, run } from './node.mjs';

/** The secrets of a cluster with these nodes, in home/ca; roles: name → role. */
export async function makeCluster(home, roles) {
  const ca = join(home, 'ca');
  const added = Object.entries(roles).map(([name, role]) => ['node', 'add', name, '--dir', ca, '--region', 'here', '--role', role]);
  for (const args of [['cluster', 'init', '--out', ca], ...added]) {
    const ended = await run(keyreeve, args, { env: { HOME: home } });
    assert.equal(ended.code, 0, ended.stderr);
  }
}

/** A node of the cluster in home, at 7400 and 7402 of a host: {url, pid, log(), ended, stop()}. */
export function startMember(t, home, name, host, more = [], env = {}) {
  mkdirSync(join(home, name), { recursive: true });
  const flags = ['--data', join(home, name, 'data'), '--http', `${host}:7400`, '--binary-listen', '', '--peer-listen', `${host}:7402`, '--peer-bundle', join(home, 'ca', name, 'node.pem'), '--serve-threads', '1', '--insecure'];
  const child = spawn(keyreeved, [...flags, ...more], { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => (said += bytes));
  const ended = new Promise((done) => child.on('close', (code, signal) => done(code ?? signal)));
  const stop = async () => {
    child.kill('SIGTERM');
    assert.equal(await ended, 0, said);
    assertUnreported(said);
  };
  t.after(() => (child.kill('SIGKILL'), ended));
  return { url: `http://${host}:7400`, pid: child.pid, log: () => said, ended, stop };
}
