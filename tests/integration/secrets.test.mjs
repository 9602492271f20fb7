// SPDX-License-Identifier: Apache-2.0
// Nothing that a node writes or says holds a key's value or a token, but for the answers that
// must: a whole run is searched for every value that it made.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { client, exchange, expect, raw } from './lib/http.mjs';
import { foreignValue, sha256, strangerKey } from './lib/keys.mjs';
import { dataDirFor, keyreeve, run, startNode } from './lib/node.mjs';

function* filesUnder(path) {
  for (const name of readdirSync(path)) {
    const file = join(path, name);
    const status = statSync(file);
    if (status.isDirectory()) yield* filesUnder(file);
    else if (status.isFile()) yield file;
  }
}

/** The forms in which a value could lie somewhere: as it is, its body alone, in base64 and hex. */
function formsOf(value) {
  const body = value.split('_').find((part) => part.length >= 32) ?? value;
  return [body, Buffer.from(value).toString('base64').slice(4, -4), Buffer.from(body).toString('hex')];
}

test('a whole run leaves no value in logs, files, metrics, lists, audit or exports', async (t) => {
  const dataDir = dataDirFor(t);
  const flags = ['--log-level', 'debug', '--credential-query', 'k', '--trusted-proxies', '127.0.0.1'];
  let node = await startNode({ dataDir, flags });
  let api = client(node);
  const secrets = new Map(); // value → where it comes from
  const said = []; // [what, text], all of which is searched
  const keep = (value, what) => {
    assert.ok(value.length >= 16, what);
    secrets.set(value, what);
    return value;
  };

  for (const [bucket, isRetrievable] of [['closed', false], ['open', true]]) {
    await api.makeBucket(bucket, { isRetrievable });
    const made = expect(await api.post(`${api.consumers(bucket)}?with-api-key=true`, { name: 'c', apiKeys: [{}, { key: keep(foreignValue(), 'given at creation') }] }), 200).body;
    for (const key of made.apiKeys) keep(key.key, `${bucket}: of a creation`);
    const keys = api.keys('c', bucket);
    const single = await api.makeKey('c', { description: 'single' }, bucket);
    keep(single.key, `${bucket}: created`);
    keep((await api.makeKey('c', { key: foreignValue() }, bucket)).key, `${bucket}: imported`);
    const hashed = foreignValue();
    await api.makeKey('c', { keyHash: { algorithm: 'sha256', value: sha256(hashed, 'hex') } }, bucket);
    keep(hashed, `${bucket}: imported as a hash`);
    for (const key of expect(await api.post(`${keys}/$bulk`, [{}, {}, {}]), 200).body.data) keep(key.key, `${bucket}: $bulk`);
    expect(await api.post(`${api.buckets}/${bucket}/$import`, { rows: [{ consumer: 'imported', key: keep(foreignValue(), `${bucket}: $import`) }] }), 200);
    const idempotent = { 'idempotency-key': `once-${bucket}` };
    keep(expect(await api.post(keys, { description: 'idempotent' }, idempotent), 200).body.key, `${bucket}: idempotent`);
    expect(await api.post(keys, { description: 'idempotent' }, idempotent), 200);
    keep(expect(await api.post(`${api.consumers(bucket)}/c/roll-key?return=key`, {}, { 'idempotency-key': `roll-${bucket}` }), 200).body.key, `${bucket}: rolled`);
    expect(await api.post(`${keys}/${single.id}/revoke`, {}), 200);
    if (isRetrievable) {
      expect(await api.post(`${keys}/${single.id}/reveal`, undefined, { 'idempotency-key': 'reveal' }), 200);
      expect(await api.get(`${keys}?key-format=visible`), 200);
    }
    // Values in requests that fail, in every place where one may stand.
    const wrong = keep(foreignValue(), 'in a refused request');
    const refuse = async (...request) => {
      const answer = await api.call(...request);
      assert.ok(answer.status >= 400, answer.text);
      said.push([`${answer.status} to ${request[0]}`, answer.text]);
    };
    for (const value of [wrong, keep(strangerKey(), 'in a refused request')]) {
      for (const body of [{ key: value, unknown: 1 }, { unknown: value }, { [value]: 1 }, `{"key":"${value}"`, `{"${value}":1,"${value}":2}`, { key: `${value} x` }, { key: [value] }]) await refuse('POST', keys, body);
      await refuse('POST', '/v1/validate', { key: value, ip: value });
      await refuse('POST', '/v1/validate', { key: value, [value]: 1 });
      await refuse('POST', '/v1/validate', `{"key":"${value}`);
      await refuse('POST', `${api.buckets}/${bucket}/$import`, { [value]: [] });
      for (const path of ['/v1', '/v1/cluster/nodes', '/v1/receipts', '/v1/accounts', '/v1/accounts/default/tokens', api.buckets, api.consumers(bucket), keys, `${api.consumers(bucket)}/c/managers`]) {
        for (const method of ['GET', 'PATCH', 'DELETE', 'PUT']) await refuse(method, `${path}/${value}`);
      }
    }
  }
  const token = await api.makeToken('secret', { roles: ['admin'] });
  keep(token.token, 'a token');
  await client(node, token.token).get('/v1/who-am-i');

  for (const value of secrets.keys()) {
    await api.validate(value);
    await exchange(node, { path: '/authz/forward', headers: { authorization: `Bearer ${value}`, 'x-forwarded-uri': `/x?k=${value}` } });
    await exchange(node, { path: '/authz/nginx', headers: { 'x-api-key': value } });
    await api.call('POST', '/v1/validate', { key: value, explain: true });
    await client(node, value).get(api.buckets);
  }
  const broken = raw(node); // a head that cannot be read, with a value inside
  broken.write(`GET /${[...secrets.keys()][0]} HTTP/1.1\r\nHost: a\r\nX Y: ${[...secrets.keys()][1]}\r\n\r\n`);
  const refusal = await broken.until((_, closed) => closed);

  said.push(['a refusal', refusal], ['metrics', await node.metrics()]);
  for (const bucket of ['closed', 'open']) {
    for (const path of ['', '/c', '?include-api-keys=true', '/c?include-api-keys=true&key-format=masked', '/c/keys', '/c/keys?key-format=none'])
      said.push([`list ${path}`, expect(await api.get(`${api.consumers(bucket)}${path}`), 200).text]);
  }
  said.push(['tokens', (await api.get('/v1/accounts/default/tokens')).text]);
  for (let offset = 0; offset < 300; offset += 100) said.push(['audit', (await api.get(`/v1/accounts/default/audit-logs?limit=100&offset=${offset}`)).text]);
  const home = dataDirFor(t);
  const rows = join(home, 'rows.jsonl');
  writeFileSync(rows, [...secrets.keys()].map((value) => JSON.stringify({ consumer: 'c', [value]: 1 })).join('\n'));
  const imported = await run(keyreeve, ['import', '--bucket', 'open', rows], { env: { KEYREEVE_URL: node.url, KEYREEVE_TOKEN: node.token, HOME: home, XDG_CONFIG_HOME: home } });
  assert.notEqual(imported.code, 0);
  assert.match(imported.stdout + imported.stderr, /a member that no row may have/);
  said.push(['an import', imported.stdout + imported.stderr]);
  const exported = await run(keyreeve, ['export', '--bucket', 'open'], { env: { KEYREEVE_URL: node.url, KEYREEVE_TOKEN: node.token, HOME: home, XDG_CONFIG_HOME: home } });
  assert.equal(exported.code, 0, exported.stderr);
  assert.ok(exported.stdout.includes('"c"'), exported.stdout);
  said.push(['export', exported.stdout + exported.stderr]);

  await node.stop();
  let stderr = node.stderr + node.stdout;
  node = await startNode({ dataDir, flags }); // what a restart says and writes, too
  api = client(node);
  const [first] = secrets.keys();
  assert.notEqual(await api.code(first), 'MALFORMED');
  await node.kill9();
  stderr += node.stderr + node.stdout;
  said.push(['log', stderr]);

  const ownerToken = node.token;
  for (const [value, what] of secrets) {
    for (const form of formsOf(value)) for (const [where, text] of said) assert.ok(!text.includes(form), `${where} holds a value (${what})`);
  }
  for (const form of formsOf(ownerToken)) for (const [where, text] of said) assert.ok(!text.includes(form), `${where} holds the owner token`);

  let searched = 0;
  for (const file of filesUnder(dataDir)) {
    const bytes = readFileSync(file);
    searched++;
    for (const [value, what] of secrets) {
      for (const form of formsOf(value)) assert.equal(bytes.indexOf(form), -1, `${file} holds a value (${what})`);
    }
    if (!file.endsWith('/owner-token')) for (const form of formsOf(ownerToken)) assert.equal(bytes.indexOf(form), -1, `${file} holds the owner token`);
  }
  assert.ok(searched >= 6 && secrets.size >= 20, `${searched} files, ${secrets.size} values`);
});

test('the search would find a value: it finds the names that the files do hold', async (t) => {
  const dataDir = dataDirFor(t);
  const node = await startNode({ dataDir });
  const api = client(node);
  await api.makeConsumer('needle-0123456789abcdefghijklmnopqrstuvwxyz');
  await node.stop();
  const holds = [...filesUnder(dataDir)].some((file) => readFileSync(file).includes('needle-0123456789abcdefghijklmnopqrstuvwxyz'));
  assert.ok(holds);
});

/** The commands of docs/operations.md, "Backup": how one is made, how it is restored. */
function backupCommands() {
  const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const [, section] = /^## Backup\n([^]*?)^## /m.exec(page);
  return [...section.matchAll(/^```sh\n([^]*?)^```/gm)].map(([, commands]) => commands);
}

test('the documented backup holds no secret, is closed to others, and is restored as documented', async (t) => {
  const place = dataDirFor(t);
  const dataDir = join(place, 'keyreeve');
  const follow = async (commands) => {
    const here = commands.replaceAll('/var/lib', place).replace('-o keyreeve -g keyreeve ', '');
    const ended = await run('sh', ['-euc', `systemctl() { :; }; umask 022; ${here}`], { cwd: place });
    assert.deepEqual([ended.code, ended.stderr], [0, ''], here);
  };
  const [make, restore] = backupCommands();
  let node = await startNode({ dataDir });
  const { token } = node;
  await client(node).makeBucket('open', { isRetrievable: true });
  await client(node).makeConsumer('ann', {}, 'open');
  const kept = await client(node).makeKey('ann', {}, 'open');
  await node.stop();
  copyFileSync(join(dataDir, 'master-key'), join(place, 'master-key'));
  await follow(make);

  const archive = readdirSync(place).find((name) => /^keyreeve-[\d-]+\.tar\.gz$/.test(name));
  assert.equal(statSync(join(place, archive)).mode & 0o077, 0);
  const unpacked = await run('tar', ['-xzOf', archive], { cwd: place });
  assert.equal(unpacked.code, 0, unpacked.stderr);
  for (const secret of [token, kept.key, readFileSync(join(place, 'master-key'), 'utf8').trim()])
    for (const form of formsOf(secret)) assert.ok(!unpacked.stdout.includes(form));

  await follow(restore.replace(/keyreeve-[\d-]+\.tar\.gz/, archive));
  assert.ok(!existsSync(join(dataDir, 'owner-token')));
  writeFileSync(join(dataDir, 'owner-token'), token, { mode: 0o600 }); // where startNode looks for it
  node = await startNode({ dataDir });
  assert.equal(await client(node).code(kept.key), 'VALID');
  assert.equal(expect(await client(node).post(`${client(node).keys('ann', 'open')}/${kept.id}/reveal`), 200).body.key, kept.key);
  await node.stop();
});
