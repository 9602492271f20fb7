// SPDX-License-Identifier: Apache-2.0
// The life of a key as operators and gateways see it: made, valid, rolled, expired, disabled,
// revoked, each change true at the next request.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, expect, expectProblem } from './lib/http.mjs';
import { keyPattern } from './lib/keys.mjs';
import { run, startNode, until } from './lib/node.mjs';

let node;
let api;
before(async () => {
  node = await startNode();
  api = client(node);
});
after(() => node.remove());

const iso = (fromNowMs) => new Date(Date.now() + fromNowMs).toISOString();
const DAY_MS = 24 * 3600 * 1000;

test("the hosted service's documented curl lines work unchanged but for host and token", async () => {
  const env = { BUCKET_NAME: 'production', ZP_API_KEY: node.token, ZP_ACCOUNT_NAME: 'default', API: node.url };
  const consumer = await run('sh', ['-c', `
curl --silent --show-error --fail-with-body \\
  --request POST \\
  --url $API/v1/accounts/$ZP_ACCOUNT_NAME/key-buckets/$BUCKET_NAME/consumers \\
  --header "Content-Type: application/json" \\
  --header "Authorization: Bearer $ZP_API_KEY" \\
  --data @- << EOF
{
  "metadata": {
    "testId": "1234"
  },
  "name": "my-consumer"
}
EOF
`], { env });
  assert.equal(consumer.code, 0, consumer.stdout + consumer.stderr);
  const made = JSON.parse(consumer.stdout);
  assert.match(made.id, /^csmr_[0-9A-Za-z]{24}$/);
  assert.equal(made.name, 'my-consumer');
  assert.deepEqual(made.metadata, { testId: '1234' });

  const key = await run('sh', ['-c', `
curl --silent --show-error --fail-with-body \\
  --request POST \\
  --url $API/v1/accounts/$ZP_ACCOUNT_NAME/key-buckets/$BUCKET_NAME/consumers/my-consumer/keys \\
  --header "Content-Type: application/json" \\
  --header "Authorization: Bearer $ZP_API_KEY" \\
  --data '{"description":"My first API Key"}'
`], { env });
  assert.equal(key.code, 0, key.stdout + key.stderr);
  const { id, description, key: value, expiresOn } = JSON.parse(key.stdout);
  assert.match(id, /^key_[0-9A-Za-z]{24}$/);
  assert.equal(description, 'My first API Key');
  assert.equal(expiresOn, null);
  assert.match(value, keyPattern);
  assert.match(value, /^kr_live_/);

  const validated = await run('sh', ['-c', `curl -s $API/v1/validate -d '{"key":"${value}"}'`], { env });
  const answer = JSON.parse(validated.stdout);
  assert.equal(answer.valid, true);
  assert.equal(answer.code, 'VALID');
  assert.equal(answer.sub, 'my-consumer');
  assert.deepEqual(answer.data, { testId: '1234' });
  assert.deepEqual(answer.consumer, { id: made.id, name: 'my-consumer' });
  assert.equal(answer.keyId, id);
  assert.equal(answer.bucket, 'production');
  assert.equal(answer.environment, 'production');
});

test('a changed consumer shows in the next validation', async () => {
  await api.makeConsumer('changing', { metadata: { plan: 'free' } });
  const { key } = await api.makeKey('changing');
  expect(await api.patch(`${api.consumers()}/changing`, { metadata: { plan: 'gold', deep: { a: [1, 2.5, null, 'ü'] } } }), 200);
  assert.deepEqual((await api.validate(key)).body.data, { plan: 'gold', deep: { a: [1, 2.5, null, 'ü'] } });
});

test('roll-key: old and new are valid until the old one expires', async () => {
  await api.makeConsumer('roller');
  const first = await api.makeKey('roller', { description: 'd', scopes: ['a', 'b'], metadata: { m: 1 }, tags: { t: '1' }, ipAllow: ['192.0.2.0/24'] });
  const answer = expect(await api.post(`${api.consumers()}/roller/roll-key?return=key`, { expiresOn: iso(DAY_MS) }), 200);
  const rolled = answer.body;
  assert.match(rolled.key, keyPattern);
  assert.notEqual(rolled.key, first.key);
  assert.equal(rolled.rotatedFrom, first.id);
  assert.equal(rolled.expiresOn, null);
  for (const setting of ['description', 'scopes', 'metadata', 'tags', 'ipAllow']) assert.deepEqual(rolled[setting], first[setting], setting);
  const ip = '192.0.2.7';
  assert.equal(await api.code(first.key, { ip }), 'VALID');
  assert.equal(await api.code(rolled.key, { ip }), 'VALID');
  assert.equal((await api.get(`${api.keys('roller')}/${first.id}`)).body.status, 'expiring');
  expect(await api.patch(`${api.keys('roller')}/${first.id}`, { expiresOn: iso(300) }), 200);
  await until(async () => (await api.code(first.key, { ip })) === 'EXPIRED', { what: 'the expiry of the old key', everyMs: 50 });
  assert.equal((await api.get(`${api.keys('roller')}/${first.id}`)).body.status, 'expired');
  assert.equal(await api.code(rolled.key, { ip }), 'VALID');
});

test('roll-key answers 204, keeps an earlier expiry, and gives seven days by default', async () => {
  await api.makeConsumer('weekly');
  const soon = await api.makeKey('weekly', { expiresOn: iso(DAY_MS) });
  const never = await api.makeKey('weekly');
  const answer = expect(await api.post(`${api.consumers()}/weekly/roll-key`), 204);
  assert.equal(answer.text, '');
  const keys = (await api.get(api.keys('weekly'))).body.data;
  assert.equal(keys.length, 3);
  const byId = Object.fromEntries(keys.map((key) => [key.id, key]));
  assert.equal(byId[soon.id].expiresOn, soon.expiresOn, 'the earlier of the two stays');
  const left = Date.parse(byId[never.id].expiresOn) - Date.now();
  assert.ok(Math.abs(left - 7 * DAY_MS) < 60_000, `${left} ms`);
});

test('roll-key with a time in the past revokes the old keys at once', async () => {
  await api.makeConsumer('hasty');
  const old = await api.makeKey('hasty');
  const rolled = expect(await api.post(`${api.consumers()}/hasty/roll-key?return=key`, { expiresOn: '2020-01-01T00:00:00Z' }), 200).body;
  assert.equal(await api.code(old.key), 'REVOKED');
  assert.equal(await api.code(rolled.key), 'VALID');
});

test('roll-key of a consumer without keys is 409, of none 404', async () => {
  await api.makeConsumer('keyless');
  expectProblem(await api.post(`${api.consumers()}/keyless/roll-key`), 409);
  expectProblem(await api.post(`${api.consumers()}/nobody/roll-key`), 404);
});

test('a key that expires is VALID before and EXPIRED behind its moment', async () => {
  await api.makeConsumer('short');
  const key = await api.makeKey('short', { expiresOn: iso(DAY_MS) });
  assert.equal(await api.code(key.key), 'VALID');
  expect(await api.patch(`${api.keys('short')}/${key.id}`, { expiresOn: iso(300) }), 200);
  await until(async () => (await api.code(key.key)) === 'EXPIRED', { what: 'EXPIRED', everyMs: 50 });
  expect(await api.patch(`${api.keys('short')}/${key.id}`, { expiresOn: null }), 200);
  assert.equal(await api.code(key.key), 'VALID');
});

test('a disabled key is refused until it is enabled again', async () => {
  await api.makeConsumer('switch');
  const key = await api.makeKey('switch');
  expect(await api.patch(`${api.keys('switch')}/${key.id}`, { enabled: false }), 200);
  assert.equal(await api.code(key.key), 'DISABLED');
  assert.equal((await api.get(`${api.keys('switch')}/${key.id}`)).body.status, 'disabled');
  expect(await api.patch(`${api.keys('switch')}/${key.id}`, { enabled: true }), 200);
  assert.equal(await api.code(key.key), 'VALID');
});

test('a revoked key is REVOKED at the very next request, on every connection, and stays so', async () => {
  await api.makeConsumer('revoked');
  const key = await api.makeKey('revoked');
  const path = `${api.keys('revoked')}/${key.id}`;
  assert.equal(await api.code(key.key), 'VALID');
  const answer = expect(await api.post(`${path}/revoke`, { reason: 'keyCompromise' }), 200);
  const codes = await Promise.all(Array.from({ length: 32 }, () => api.code(key.key)));
  assert.deepEqual(new Set(codes), new Set(['REVOKED']));
  const receipt = answer.body;
  assert.deepEqual(Object.keys(receipt), ['index', 'level', 'requestedOn', 'committedOn', 'keys', 'nodes', 'slowestMs']);
  assert.equal(receipt.index, Number(answer.headers.get('keyreeve-index')));
  assert.equal(receipt.level, 'committed');
  assert.equal(receipt.keys, 1);
  assert.ok(Date.parse(receipt.committedOn) >= Date.parse(receipt.requestedOn));

  const shown = (await api.get(path)).body;
  assert.equal(shown.status, 'revoked');
  assert.equal(shown.revokeReason, 'keyCompromise');
  assert.ok(Date.parse(shown.revokedOn) > 0);
  const validated = (await api.validate(key.key)).body;
  assert.deepEqual([validated.valid, validated.sub, validated.data, validated.consumer, validated.scopes], [false, null, null, null, null]);
  assert.equal(validated.keyId, key.id, 'the gateway can still log which key it was');

  const again = await api.patch(path, { enabled: true, expiresOn: null });
  assert.ok([200, 409].includes(again.status), again.text);
  assert.equal(await api.code(key.key), 'REVOKED', 'nothing brings it back');
});

test('wait=everywhere on one node answers with that node, and the receipt can be read again', async () => {
  await api.makeConsumer('everywhere');
  const key = await api.makeKey('everywhere');
  const { body: receipt } = expect(await api.post(`${api.keys('everywhere')}/${key.id}/revoke?wait=everywhere&timeoutMs=5000`), 200);
  assert.equal(receipt.level, 'everywhere');
  assert.equal(receipt.nodes.length, 1);
  const { node: name, region, state, afterMs } = receipt.nodes[0];
  assert.deepEqual([name, region, state], ['node-1', 'local', 'applied']);
  assert.equal(receipt.slowestMs, afterMs);
  const again = expect(await api.get(`/v1/receipts/${receipt.index}`), 200).body;
  assert.equal(again.index, receipt.index);
  assert.equal(again.committedOn, receipt.committedOn);
  assert.equal(again.keys, receipt.keys);
  expectProblem(await api.get('/v1/receipts/999999'), 404);
  expectProblem(await api.get('/v1/receipts/x'), 404);
  expectProblem(await api.post(`${api.keys('everywhere')}/${key.id}/revoke?wait=nowhere`), 400, /wait/);
  expectProblem(await api.post(`${api.keys('everywhere')}/${key.id}/revoke?timeoutMs=0`), 400, /timeoutMs/);
});

test('a validation that asks for the index of a write sees that write', async () => {
  await api.makeConsumer('reader');
  for (let round = 0; round < 20; round++) {
    const made = expect(await api.post(api.keys('reader'), {}), 200);
    const minIndex = Number(made.headers.get('keyreeve-index'));
    const answer = (await api.validate(made.body.key, {}, { 'keyreeve-min-index': String(minIndex) })).body;
    assert.equal(answer.code, 'VALID');
    assert.ok(answer.index >= minIndex);
    const revoked = expect(await api.post(`${api.keys('reader')}/${made.body.id}/revoke`), 200);
    assert.equal(await api.code(made.body.key, { minIndex: revoked.body.index }), 'REVOKED');
  }
});

test('an index that does not come answers STALE with 503 after about a second', async () => {
  await api.makeConsumer('future');
  const { key } = await api.makeKey('future');
  const started = Date.now();
  const answer = expect(await api.validate(key, { minIndex: 1e9 }), 503);
  const tookMs = Date.now() - started;
  assert.equal(answer.body.code, 'STALE');
  assert.equal(answer.body.valid, false);
  assert.equal(answer.body.sub, null);
  assert.equal(answer.headers.get('retry-after'), '1');
  assert.ok(tookMs >= 900 && tookMs < 5000, `${tookMs} ms`);
});

test('an index that comes while a validation waits ends the wait', async () => {
  await api.makeConsumer('awaited');
  const key = await api.makeKey('awaited');
  const { index } = (await api.get('/v1/cluster')).body;
  const waiting = api.validate(key.key, { minIndex: index + 1 });
  await until(async () => (await api.post(`${api.keys('awaited')}/${key.id}/revoke`)).status === 200);
  const answer = expect(await waiting, 200);
  assert.equal(answer.body.code, 'REVOKED');
  assert.ok(answer.body.index > index);
});

test('deleting a key, its consumer or its bucket revokes at once', async () => {
  await api.makeBucket('doomed-bucket');
  await api.makeConsumer('a', {}, 'doomed-bucket');
  await api.makeConsumer('b', {}, 'doomed-bucket');
  const [one, two] = [await api.makeKey('a', {}, 'doomed-bucket'), await api.makeKey('a', {}, 'doomed-bucket')];
  const other = await api.makeKey('b', {}, 'doomed-bucket');
  expect(await api.delete(`${api.keys('a', 'doomed-bucket')}/${one.id}`), 204);
  assert.equal(await api.code(one.key), 'REVOKED');
  assert.equal(await api.code(two.key), 'VALID');
  expect(await api.delete(`${api.consumers('doomed-bucket')}/a`), 204);
  assert.equal(await api.code(two.key), 'REVOKED');
  assert.equal(await api.code(other.key), 'VALID');
  expectProblem(await api.get(`${api.consumers('doomed-bucket')}/a`), 404);
  expect(await api.delete(`${api.buckets}/doomed-bucket`), 204);
  assert.equal(await api.code(other.key), 'REVOKED');
  expectProblem(await api.get(`${api.buckets}/doomed-bucket`), 404);

  await api.makeBucket('doomed-bucket');
  assert.equal((await api.get(api.consumers('doomed-bucket'))).body.total, 0, 'the name is free again and empty');
  assert.equal(await api.code(other.key), 'REVOKED', 'and revives nothing');
});

test('a name that was deleted can be used again, and revives no key', async () => {
  await api.makeConsumer('phoenix');
  const old = await api.makeKey('phoenix');
  expect(await api.delete(`${api.consumers()}/phoenix`), 204);
  await api.makeConsumer('phoenix');
  assert.equal(await api.code(old.key), 'REVOKED');
  assert.equal((await api.get(api.keys('phoenix'))).body.total, 0);
  const fresh = await api.makeKey('phoenix');
  assert.equal(await api.code(fresh.key), 'VALID');
});

test('a bulk revocation needs the name as confirmation, and ends every key by one record', async () => {
  await api.makeBucket('bulk');
  const keys = [];
  for (const name of ['x', 'y']) {
    await api.makeConsumer(name, {}, 'bulk');
    keys.push(...expect(await api.post(`${api.keys(name, 'bulk')}/$bulk`, Array.from({ length: 50 }, () => ({}))), 200).body.data);
  }
  const path = `${api.consumers('bulk')}/x/revoke`;
  expectProblem(await api.post(path, {}), 400, /confirm/);
  expectProblem(await api.post(path, { confirm: 'y' }), 400, /confirm/);
  assert.equal(await api.code(keys[0].key), 'VALID');
  const index = (await api.get('/v1/cluster')).body.index;
  const one = expect(await api.post(path, { confirm: 'x', reason: 'superseded' }), 200).body;
  assert.equal(one.keys, 50);
  assert.equal(one.index, index + 1, 'one record');
  const codes = async () => (await Promise.all(keys.map((key) => api.code(key.key)))).reduce((sum, code) => ({ ...sum, [code]: (sum[code] ?? 0) + 1 }), {});
  assert.deepEqual(await codes(), { REVOKED: 50, VALID: 50 });
  const shown = (await api.get(`${api.keys('x', 'bulk')}?limit=1`)).body.data[0];
  assert.deepEqual([shown.status, shown.revokeReason], ['revoked', 'superseded']);
  const fresh = await api.makeKey('x', {}, 'bulk');
  assert.equal(await api.code(fresh.key), 'VALID', 'a key made afterwards is none of them');

  expectProblem(await api.post(`${api.buckets}/bulk/revoke`, { confirm: 'x' }), 400, /confirm/);
  expect(await api.post(`${api.buckets}/bulk/revoke`, { confirm: 'bulk' }), 200);
  assert.deepEqual(await codes(), { REVOKED: 100 });
  assert.equal(await api.code(fresh.key), 'REVOKED');
});

test('lastUsedOn tells when a key was used, and null before', async () => {
  await api.makeConsumer('used');
  const key = await api.makeKey('used');
  const path = `${api.keys('used')}/${key.id}`;
  assert.equal((await api.get(path)).body.lastUsedOn, null);
  await api.code(key.key);
  const { lastUsedOn } = (await api.get(path)).body;
  assert.ok(Math.abs(Date.parse(lastUsedOn) - Date.now()) < 120_000, lastUsedOn);
});

test('reveal and key-format=visible show the value in a retrievable bucket only', async () => {
  await api.makeBucket('vault', { isRetrievable: true });
  await api.makeConsumer('v', {}, 'vault');
  const key = await api.makeKey('v', {}, 'vault');
  const shown = expect(await api.post(`${api.keys('v', 'vault')}/${key.id}/reveal`), 200);
  assert.deepEqual(shown.body, { key: key.key });
  expectProblem(await api.post(`${api.keys('reader')}/${(await api.makeKey('reader')).id}/reveal`), 409);
});

test("a key's id finds it, whoever of the bucket it belongs to", async () => {
  await api.makeBucket('found', { isRetrievable: true });
  const holder = await api.makeConsumer('holder', { tags: { team: 'a' } }, 'found');
  const { id, key } = await api.makeKey('holder', {}, 'found');
  const byName = `${api.keys('holder', 'found')}/${id}`;
  const byId = `${api.keys('-', 'found')}/${id}`;
  const named = expect(await api.get(byName), 200);
  const found = expect(await api.get(byId), 200);
  assert.deepEqual([found.body, found.headers.get('etag')], [named.body, named.headers.get('etag')]);
  assert.equal(expect(await api.get(`${byId}?key-format=visible`), 200).body.key, key);
  assert.equal(expect(await api.post(`${byId}/reveal`), 200).body.key, key);
  expectProblem(await api.patch(byId, { description: 'x' }, { 'if-match': '"other"' }), 412);
  assert.equal(expect(await api.patch(byId, { description: 'leaked' }, { 'if-match': named.headers.get('etag') }), 200).body.description, 'leaked');
  expect(await api.get(`${byId}?tag.team=a`), 200);
  expectProblem(await api.get(`${byId}?tag.team=b`), 404);
  const receipt = expect(await api.post(`${byId}/revoke?wait=everywhere`, { reason: 'keyCompromise' }), 200).body;
  assert.deepEqual([receipt.keys, receipt.level], [1, 'everywhere']);
  assert.equal(await api.code(key), 'REVOKED');
  expect(await api.delete(byId), 204);
  const { data } = expect(await api.get('/v1/accounts/default/audit-logs?limit=100'), 200).body;
  const rows = data.filter((row) => row.target === id || row.detail?.key === id);
  for (const action of ['create', 'update', 'revoke', 'delete', 'reveal']) assert.ok(rows.some((row) => row.action === `key.${action}`), action);
  for (const { action, detail } of rows) if (detail?.consumer) assert.ok([holder.id, 'holder'].includes(detail.consumer), `${action}: ${detail.consumer}`);
  assert.ok(rows.some(({ detail }) => detail?.consumer === 'holder' && detail.key === id), 'of key-format=visible');
});

test('the dash stands for a consumer of that bucket alone, with the same rights, and for nothing else', async () => {
  await api.makeConsumer('elsewhere');
  const { id, key } = await api.makeKey('elsewhere');
  for (const action of ['get', 'delete']) expectProblem(await api[action](`${api.keys('-', 'preview')}/${id}`), 404, new RegExp(`there is no key ${id}`));
  expectProblem(await api.get(`${api.keys('-')}/key_${'0'.repeat(24)}`), 404, /there is no key/);
  expectProblem(await api.get(api.keys('-')), 404, /consumer/);
  expectProblem(await api.get(`${api.consumers()}/-`), 404, /consumer/);
  expectProblem(await api.post(`${api.consumers()}/-/revoke`, { confirm: '-' }), 404, /consumer/);
  const limited = await api.makeToken('limited', { roles: ['admin'], buckets: ['preview'] });
  const viewer = await api.makeToken('reads', { roles: ['viewer'] });
  expectProblem(await client(node, limited.token).post(`${api.keys('-')}/${id}/revoke`), 403);
  expectProblem(await client(node, viewer.token).post(`${api.keys('-')}/${id}/revoke`), 403);
  expectProblem(await api.get(`${api.keys('-', 'keyreeve-system')}/${limited.id}`), 404, /bucket/);
  assert.equal(await api.code(key), 'VALID');
  await api.makeConsumer('gone');
  const late = await api.makeKey('gone');
  expect(await api.delete(`${api.consumers()}/gone`), 204);
  expectProblem(await api.get(`${api.keys('-')}/${late.id}`), 404, /there is no key/);
});
