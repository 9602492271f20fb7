// SPDX-License-Identifier: Apache-2.0
// No value of a key is anywhere but in the answer to its creation: everything that a run wrote is
// searched for every value it made.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { client } from './lib/http.mjs';
import { keyreeve, startNode } from './lib/node.mjs';

function filesBelow(directory) {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

/** Every way in which this run comes to hold a key: value → how. */
async function makeValues(call) {
  const values = new Map();
  const keep = (how, value) => {
    assert.equal(typeof value, 'string', how);
    values.set(value, how);
  };
  const sealed = await call.post(call.buckets, { name: 'sealed', isRetrievable: true });
  assert.equal(sealed.status, 200);
  for (const bucket of ['production', 'sealed']) {
    await call.post(call.consumers(bucket), { name: 'someone' });
    const keys = call.keys('someone', bucket);
    keep(`${bucket}: created`, (await call.post(keys, {})).body.key);
    const idempotent = { 'idempotency-key': `once-${bucket}` };
    const first = await call.post(keys, {}, idempotent);
    const again = await call.post(keys, {}, idempotent);
    assert.equal(first.body.key, again.body.key);
    keep(`${bucket}: idempotent`, first.body.key);
    for (const { key } of (await call.post(`${keys}/$bulk`, [{}, {}])).body.data) keep(`${bucket}: bulk`, key);
    const given = `imported-value-of-${bucket}-0123456789`;
    assert.equal((await call.post(keys, { key: given })).status, 200);
    keep(`${bucket}: given`, given);
    const rows = [{ consumer: 'someone', key: `row-value-of-${bucket}-9876543210` }];
    assert.equal((await call.post(`${call.buckets}/${bucket}/$import`, { rows })).body.imported, 1);
    keep(`${bucket}: imported row`, rows[0].key);
    keep(`${bucket}: rolled`, (await call.post(`${call.consumers(bucket)}/someone/roll-key?return=key`, {})).body.key);
    const withKey = await call.post(`${call.consumers(bucket)}?with-api-key=true`, { name: 'another' });
    keep(`${bucket}: with-api-key`, withKey.body.apiKeys[0].key);
  }
  const token = await call.post('/v1/accounts/default/tokens', { label: 'viewer', roles: ['viewer'] });
  keep('management token', token.body.key ?? token.body.token);
  return values;
}

/** Uses each value well and badly, so that whatever would write it down has its chance. */
async function useValues(node, call, values) {
  for (const value of values.keys()) {
    await call.validate(value);
    await call.validate(value, { explain: true }, { authorization: `Bearer ${node.token}` });
    await call.validate(`${value}x`);
    for (const path of ['/authz/forward', '/authz/nginx', '/v1/who-am-i']) {
      await fetch(node.url + path, { headers: { authorization: `Bearer ${value}` } });
    }
    await fetch(`${node.url}/nowhere`, { headers: { 'x-api-key': value } });
    await call.post(call.keys('someone'), { key: value });
    await call.post(call.keys('someone'), { key: value, colour: value.length });
  }
}

function assertAbsent(values, place, content) {
  for (const [value, how] of values) {
    assert.ok(!content.includes(value), `a key's value (${how}) stands in ${place}`);
  }
}

test('no value of a key is written anywhere', { timeout: 120_000 }, async () => {
  const node = await startNode({ flags: ['--log-level', 'debug'] });
  const call = client(node);
  const values = await makeValues(call);
  await useValues(node, call, values);

  assertAbsent(values, 'the metrics', await node.metrics());
  for (const path of ['/v1/accounts/default/audit-logs?limit=100', call.consumers(), call.keys('someone'), call.keys('someone', 'sealed'),
    `${call.consumers('sealed')}?include-api-keys=true`, '/v1/accounts/default/tokens', '/v1/cluster']) {
    const answer = await call.get(path);
    assert.equal(answer.status, 200, path);
    assertAbsent(values, path, answer.text);
  }
  const exported = execFileSync(keyreeve, ['export'], { env: { ...process.env, KEYREEVE_URL: node.url, KEYREEVE_TOKEN: node.token }, encoding: 'utf8' });
  assert.match(exported, /someone/);
  assertAbsent(values, 'the export', exported);

  await node.stop(); // what lay in memory tables and buffers is in files now
  assertAbsent(values, 'the log on stderr', node.stderr);
  assertAbsent(values, 'stdout', node.stdout);
  values.set(node.token, 'owner token');
  assertAbsent(values, 'the log on stderr', node.stderr);
  const files = filesBelow(node.dataDir);
  assert.ok(files.some((path) => path.endsWith('.sst') || path.endsWith('.log')), 'there are database files to search');
  for (const path of files) {
    if (!path.endsWith('/owner-token')) assertAbsent(values, path, readFileSync(path, 'latin1'));
  }

  // A check that cannot fail proves nothing: what must be in the files is found there.
  const everything = files.map((path) => readFileSync(path, 'latin1')).join('');
  assert.ok(everything.includes('someone'), 'names are in the files');
  rmSync(node.dataDir, { recursive: true, force: true });
});

test('a retrievable value comes back by reveal, also after a restart', async () => {
  const node = await startNode();
  const call = client(node);
  await call.post(call.buckets, { name: 'sealed', isRetrievable: true });
  await call.post(call.consumers('sealed'), { name: 'someone' });
  const { id, key } = (await call.post(call.keys('someone', 'sealed'), {})).body;
  await node.stop();
  const again = await startNode({ dataDir: node.dataDir });
  const revealed = await client(again).post(`${call.keys('someone', 'sealed')}/${id}/reveal`, {});
  assert.equal(revealed.status, 200);
  assert.equal(revealed.body.key, key);
  await again.remove();
});
