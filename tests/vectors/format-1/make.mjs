// SPDX-License-Identifier: Apache-2.0
// Makes directory.tar.gz and expected.json beside this file: a data directory as a node that wrote
// format 1 left it at a kill -9, and what that node answered for all that is in it.
//
// Format 1 ended with commit d049bcd. So this ran, as it is, in a tree of that commit's parent, over the
// programs that were built of it (`git archive d049bcd^`, `cmake --preset release`):
//
//   KEYREEVE_BIN=build/release/bin unshare --uts sh -c \
//       'hostname example && node tests/vectors/format-1/make.mjs'
//
// RocksDB writes the machine's name into its files; hence the name of one that is nobody's. The keys
// and tokens are good in this directory alone.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { client, expect } from '../../integration/lib/http.mjs';
import { makeDataDir, startNode } from '../../integration/lib/node.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const FAR = '2999-01-01T00:00:00.000Z'; // nothing that the test looks at may end before
// The longest that it takes: what was revoked stays listed.
const flags = ['--serve-threads', '1', '--retention-days', '3650'];

const dataDir = makeDataDir();
let node = await startNode({ dataDir, flags });
let api = client(node);
const keys = [];

async function addKey(what, code, consumer, more = {}, bucket = 'production') {
  const made = await api.makeKey(consumer, more, bucket);
  keys.push({ what, code, key: made.key, id: made.id, consumer, bucket });
  return made;
}

async function restart() {
  await node.stop();
  node = await startNode({ dataDir, flags });
  api = client(node);
}

// Each restart moves what was written so far into a sorted table.
await api.makeBucket('readable', { isRetrievable: true });
await api.makeBucket('doomed');
for (const name of ['steady', 'suspect', 'stolen', 'leaving']) await api.makeConsumer(name, { metadata: { plan: name }, tags: { made: 'before' } });
for (const bucket of ['readable', 'doomed']) await api.makeConsumer('steady', {}, bucket);
for (let i = 0; i < 40; i++) await addKey(`key ${i}`, 'VALID', 'steady');
await addKey('with scopes and an end', 'VALID', 'steady', { scopes: ['read'], expiresOn: FAR, description: 'as long as it gets' });
await addKey('to be read again', 'VALID', 'steady', {}, 'readable');
await addKey('not yet in force', 'NOT_YET_VALID', 'steady', { notBefore: FAR });
const soon = new Date(Date.now() + 1000).toISOString();
await addKey('over', 'EXPIRED', 'steady', { expiresOn: soon });
await restart();

const disabled = await addKey('switched off', 'DISABLED', 'steady');
expect(await api.patch(`${api.keys('steady')}/${disabled.id}`, { enabled: false }), 200);
const revoked = await addKey('revoked by itself', 'REVOKED', 'steady');
const { index: revokedAt } = expect(await api.post(`${api.keys('steady')}/${revoked.id}/revoke`, { reason: 'keyCompromise' }), 200).body;
await addKey('rolled over', 'REVOKED', 'suspect');
expect(await api.post(`${api.consumers()}/suspect/roll-key`, { expiresOn: '2020-01-01T00:00:00.000Z' }), 204);
for (let i = 0; i < 3; i++) await addKey(`revoked with its consumer ${i}`, 'REVOKED', 'stolen');
expect(await api.post(`${api.consumers()}/stolen/revoke`, { confirm: 'stolen' }), 200);
await addKey('of the same consumer, made behind that', 'VALID', 'stolen');
await restart();

for (let i = 0; i < 3; i++) await addKey(`revoked with its bucket ${i}`, 'REVOKED', 'steady', {}, 'doomed');
expect(await api.post(`${api.buckets}/doomed/revoke`, { confirm: 'doomed' }), 200);
await addKey('of a consumer that left', 'REVOKED', 'leaving');
expect(await api.delete(`${api.consumers()}/leaving`), 204);
expect(await api.post(`${api.consumers()}/steady/managers`, { email: 'ann@example.com' }), 200);
const viewer = await api.makeToken('a viewer', { roles: ['viewer'] });
expect(await api.post(api.keys('steady'), {}, { 'idempotency-key': 'once' }), 200);

await pause(Math.max(0, Date.parse(soon) - Date.now()) + 100);
for (const one of keys) {
  const code = await api.code(one.key);
  if (code !== one.code) throw new Error(`${one.what}: ${code}, not ${one.code}`);
}
await addKey('the last write', 'VALID', 'steady');
const { clusterId, index } = expect(await api.get('/v1/cluster'), 200).body;
const receipt = expect(await api.get(`/v1/receipts/${revokedAt}`), 200).body;
const lists = {};
for (const path of [`${api.consumers()}?limit=100`, `${api.keys('steady')}?limit=100`, `${api.keys('stolen')}`, `${api.consumers()}/steady/managers`])
  lists[path] = expect(await api.get(path), 200).body.total;
await node.kill9();

const names = readFileSync(join(dataDir, 'db', 'CURRENT'), 'utf8');
if (!names.startsWith('MANIFEST-')) throw new Error(`not a database: ${names}`);
// RocksDB's own log names paths of this machine.
execFileSync('tar', ['-C', dataDir, '--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@0', '--exclude=./db/LOG*', '--exclude=./db/LOCK',
  '--exclude=./lock', '--exclude=./keyreeved.pid', '--exclude=./http-address', '-czf', join(here, 'directory.tar.gz'), '.']);
const expected = { clusterId, index, token: node.token, viewer: viewer.token, receipt, lists, keys };
writeFileSync(join(here, 'expected.json'), `${JSON.stringify(expected, null, 1)}\n`);
rmSync(dataDir, { recursive: true });
