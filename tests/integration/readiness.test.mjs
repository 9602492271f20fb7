// SPDX-License-Identifier: Apache-2.0
// When a node is ready: /readyz, gRPC's health, the log and systemd say the same, and none of them
// before a follower that began empty has its state.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { client, expectProblem } from './lib/http.mjs';
import { makeCluster, startMember } from './lib/member.mjs';
import { claimNet } from './lib/net.mjs';
import { dataDirFor, until } from './lib/node.mjs';

const isSoak = Boolean(process.env.KEYREEVE_SOAK);
const BUSY_MS = 3_000; // what a busy machine may add
const net = await claimNet();

/** What a process says to systemd: a socket like systemd's, and all lines that came in. */
async function listenAsSystemd(t, path) {
  const script = 'use IO::Socket::UNIX; $| = 1; my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die; print "listening\\n"; while ($s->recv(my $d, 65536), 1) { print "$d\\n" }';
  const child = spawn('perl', ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (bytes) => (text += bytes));
  t.after(() => child.kill('SIGKILL'));
  await until(() => text.includes('listening'), { what: 'the socket' });
  return () => text.split('\n').slice(1).filter(Boolean);
}

const readyz = (node) => fetch(`${node.url}/readyz`).then(({ status }) => status, () => 0);
const times = (text, pattern) => text.match(pattern)?.length ?? 0;

test('an empty follower is ready when it has a state, and says so once, everywhere', { timeout: 240_000 }, async (t) => {
  const home = dataDirFor(t);
  await makeCluster(home, { core: 'core', edge: 'follower' });
  const heard = await listenAsSystemd(t, join(home, 'notify'));
  const ready = /"event":"ready"/g;

  // Nobody leads yet: all that there is of a state, nothing, is in memory, and yet it is not ready.
  const edge = startMember(t, home, 'edge', `127.0.${net}.2`, ['--upstreams', `127.0.${net}.1:7402`], { NOTIFY_SOCKET: join(home, 'notify') });
  await until(() => /the link to an upstream closed/.test(edge.log()), { what: () => `the follower to look for its upstream: ${edge.log()}`, deadlineMs: 60_000 });
  await until(() => heard().includes('STATUS=out of touch with the cluster'), { what: () => `systemd to hear why: ${heard()}` });
  assert.match(await (await client(edge).get('/metrics')).text, /^keyreeve_table_loaded(\{[^}]*\})? 1$/m);
  assert.equal(await readyz(edge), 503);
  assert.equal(await (await fetch(`${edge.url}/readyz`)).text(), 'not ready: out of touch with the cluster\n');
  assert.equal(times(edge.log(), ready), 0, edge.log());
  assert.ok(!heard().includes('READY=1'), heard().join());

  const core = startMember(t, home, 'core', `127.0.${net}.1`, ['--master-key-file', join(home, 'ca', 'core', 'master-key')]);
  await until(async () => (await readyz(edge)) === 200, { what: () => `the follower to be ready: ${edge.log()}`, deadlineMs: 60_000 });
  await until(() => heard().includes('READY=1'), { what: () => `systemd to hear that: ${heard()}` });
  assert.equal(times(edge.log(), ready), 1, edge.log());
  assert.ok(edge.log().indexOf('a snapshot is complete') < edge.log().indexOf('"event":"ready"'), edge.log());
  assert.ok(heard().includes('STATUS=serving'));

  // Without a leader a write is refused in time.
  const closed = /the link to an upstream closed/g;
  const before = times(edge.log(), closed);
  await core.stop();
  await until(() => times(edge.log(), closed) > before, { what: () => `the follower to notice: ${edge.log()}` });
  const token = readFileSync(join(home, 'core', 'data', 'owner-token'), 'utf8').trim();
  const began = Date.now();
  const refused = expectProblem(await client(edge, token).post('/v1/accounts/default/key-buckets', { name: 'b' }), 503, /nothing was changed/);
  assert.ok(refused.headers.get('retry-after'));
  assert.ok(Date.now() - began < 5_000 + BUSY_MS, `an answer after ${Date.now() - began} ms`);

  if (isSoak) {
    await until(async () => (await readyz(edge)) === 503, { what: 'the follower to know too little', deadlineMs: 90_000, everyMs: 200 });
    await until(() => /"level":"warn","event":"not ready any more/.test(edge.log()), { what: () => `it to say so: ${edge.log()}` });
    await until(() => heard().at(-1) === 'STATUS=out of touch with the cluster', { what: () => `systemd to hear why: ${heard()}` });
    const again = startMember(t, home, 'core', `127.0.${net}.1`, ['--master-key-file', join(home, 'ca', 'core', 'master-key')]);
    await until(async () => (await readyz(edge)) === 200, { what: 'the follower to be ready again', deadlineMs: 60_000 });
    await until(() => times(edge.log(), ready) === 2 && heard().at(-1) === 'STATUS=serving', { what: () => `it to say so: ${edge.log()}` });
    await again.stop();
  }
  await edge.stop();
  assert.ok(heard().includes('STOPPING=1'));
});
