// SPDX-License-Identifier: Apache-2.0
// The management API: buckets, consumers, keys and managers, their formats, preconditions.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, expect, expectProblem, listAll } from './lib/http.mjs';
import { foreignValue, keyPattern, misspelled, sha256, strangerKey } from './lib/keys.mjs';
import { startNode } from './lib/node.mjs';

let node;
let api;
before(async () => {
  node = await startNode();
  api = client(node);
});
after(() => node.remove());

const stamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const idOf = (type) => new RegExp(`^${type}_[0-9A-Za-z]{24}$`);
const names = (answer) => answer.body.data.map((item) => item.name);
const absent = 'bckt_000000000000000000000000';

// --- buckets -------------------------------------------------------------------------------------

test('a bucket is made with 200, defaults and an ETag, and found by name and by id', async () => {
  const made = expect(await api.post(api.buckets, { name: 'plain' }), 200);
  assert.match(made.body.id, idOf('bckt'));
  assert.match(made.body.createdOn, stamp);
  assert.deepEqual({ ...made.body, id: 0, createdOn: 0, updatedOn: 0 }, {
    id: 0, name: 'plain', description: null, tags: {}, isRetrievable: false, createdOn: 0, updatedOn: 0,
    environment: 'production', keyPrefix: 'kr_live', defaultExpiryDays: null, maxStalenessMs: 60000, metadataLimit: 1024, deleteProtection: false,
  });
  assert.ok(Number(made.headers.get('keyreeve-index')) > 1);
  assert.ok(made.headers.get('etag'));
  for (const name of ['plain', made.body.id]) {
    const shown = expect(await api.get(`${api.buckets}/${name}`), 200);
    assert.deepEqual(shown.body, made.body);
    assert.equal(shown.headers.get('etag'), made.headers.get('etag'));
  }
});

test('a bucket takes all its settings, and PATCH changes those that may change', async () => {
  const settings = {
    description: 'd', tags: { a: '1' }, isRetrievable: true, environment: 'development', keyPrefix: 'acme_x',
    defaultExpiryDays: 30, maxStalenessMs: null, metadataLimit: 16384, deleteProtection: true,
  };
  const made = await api.makeBucket('full', settings);
  for (const [name, value] of Object.entries(settings)) assert.deepEqual(made[name], value, name);
  const changes = { description: null, tags: {}, keyPrefix: 'other', defaultExpiryDays: null, maxStalenessMs: 5000, metadataLimit: 2048, deleteProtection: false };
  const changed = expect(await api.patch(`${api.buckets}/full`, changes), 200).body;
  for (const [name, value] of Object.entries(changes)) assert.deepEqual(changed[name], value, name);
  assert.ok(Date.parse(changed.updatedOn) >= Date.parse(made.updatedOn));
  assert.deepEqual((await api.get(`${api.buckets}/full`)).body, changed);
  for (const [name, value] of Object.entries({ name: 'x', isRetrievable: false, environment: 'production', id: 'x' }))
    expectProblem(await api.patch(`${api.buckets}/full`, { [name]: value }), 400, new RegExp(name));
});

test('a bucket under deleteProtection is 409 on DELETE', async () => {
  await api.makeBucket('guarded', { deleteProtection: true });
  expectProblem(await api.delete(`${api.buckets}/guarded`), 409, /deleteProtection/);
  expect(await api.patch(`${api.buckets}/guarded`, { deleteProtection: false }), 200);
  const gone = expect(await api.delete(`${api.buckets}/guarded`), 204);
  assert.equal(gone.text, '');
  expectProblem(await api.delete(`${api.buckets}/guarded`), 404);
});

test('bucket names are unique and well-formed', async () => {
  expectProblem(await api.post(api.buckets, { name: 'production' }), 409, /name/);
  for (const name of ['ab', 'Upper', 'with space', 'a'.repeat(129), 'ümlaut', 'a/b', ''])
    expectProblem(await api.post(api.buckets, { name }), 400, /name/);
  await api.makeBucket('a'.repeat(128));
  expectProblem(await api.post(api.buckets, {}), 400, /name/);
  expectProblem(await api.post(api.buckets, { name: 'x12', keyPrefix: 'Bad-' }), 400, /keyPrefix/);
  expectProblem(await api.post(api.buckets, { name: 'x12', environment: 'staging' }), 400, /environment/);
  expectProblem(await api.post(api.buckets, { name: 'x12', metadataLimit: 16385 }), 400, /metadataLimit/);
  expectProblem(await api.post(api.buckets, { name: 'x12', maxStalenessMs: -1 }), 400, /maxStalenessMs/);
});

test('the bucket of management tokens is hidden', async () => {
  const list = (await api.get(api.buckets)).body.data;
  assert.ok(!list.some((bucket) => bucket.name === 'keyreeve-system'));
  expectProblem(await api.get(`${api.buckets}/keyreeve-system`), 404);
  expectProblem(await api.post(api.consumers('keyreeve-system'), { name: 'x' }), 404);
  expectProblem(await api.post(`${api.buckets}/keyreeve-system/revoke`, { confirm: 'keyreeve-system' }), 404);
  const again = await api.post(api.buckets, { name: 'keyreeve-system' });
  assert.ok([400, 409].includes(again.status), again.text);
});

test('defaultExpiryDays gives new keys their expiry, unless they name one', async () => {
  await api.makeBucket('expiring', { defaultExpiryDays: 10 });
  await api.makeConsumer('c', {}, 'expiring');
  const key = await api.makeKey('c', {}, 'expiring');
  assert.ok(Math.abs(Date.parse(key.expiresOn) - Date.now() - 10 * 86400e3) < 60e3, key.expiresOn);
  assert.equal((await api.makeKey('c', { expiresOn: null }, 'expiring')).expiresOn, null);
  assert.equal((await api.makeKey('c', { expiresOn: '2099-01-01T00:00:00Z' }, 'expiring')).expiresOn, '2099-01-01T00:00:00.000Z');
});

// --- consumers -----------------------------------------------------------------------------------

test('a consumer is made with 200, shown by name and id, changed and deleted', async () => {
  const made = expect(await api.post(api.consumers(), { name: 'carol', description: 'd', tags: { team: 'a' }, metadata: { b: 1, a: [true, null] } }), 200);
  assert.match(made.body.id, idOf('csmr'));
  assert.deepEqual({ ...made.body, id: 0, createdOn: 0, updatedOn: 0 }, {
    id: 0, name: 'carol', description: 'd', tags: { team: 'a' }, metadata: { b: 1, a: [true, null] }, createdOn: 0, updatedOn: 0,
  });
  for (const name of ['carol', made.body.id]) assert.deepEqual((await api.get(`${api.consumers()}/${name}`)).body, made.body);
  const changed = expect(await api.patch(`${api.consumers()}/carol`, { description: null, tags: {}, metadata: {} }), 200).body;
  assert.deepEqual([changed.description, changed.tags, changed.metadata], [null, {}, {}]);
  expectProblem(await api.patch(`${api.consumers()}/carol`, { name: 'dora' }), 400, /name/);
  expectProblem(await api.post(api.consumers(), { name: 'carol' }), 409, /name/);
  expect(await api.delete(`${api.consumers()}/carol`), 204);
  expectProblem(await api.get(`${api.consumers()}/carol`), 404);
  expectProblem(await api.delete(`${api.consumers()}/carol`), 404);
});

test('the same consumer name may live in two buckets', async () => {
  const one = await api.makeConsumer('twin', { metadata: { in: 'production' } });
  const other = await api.makeConsumer('twin', { metadata: { in: 'preview' } }, 'preview');
  assert.notEqual(one.id, other.id);
  expectProblem(await api.get(`${api.consumers('preview')}/${one.id}`), 404);
  const key = await api.makeKey('twin', {}, 'preview');
  assert.match(key.key, /^kr_test_/);
  assert.deepEqual((await api.validate(key.key)).body.data, { in: 'preview' });
});

test('consumer names are 1 to 128 characters of a-z, 0-9, _ and -', async () => {
  await api.makeConsumer('x');
  await api.makeConsumer('y'.repeat(128));
  for (const name of ['', '-', 'z'.repeat(129), 'Upper', 'a b', 'a.b', 5, null, ['x']]) expectProblem(await api.post(api.consumers(), { name }), 400, /name/);
});

test('apiKeys and managers of a creation are made with it, all or nothing', async () => {
  const taken = foreignValue();
  const made = expect(await api.post(api.consumers(), {
    name: 'whole',
    apiKeys: [{ description: 'one', scopes: ['r'] }, { key: taken }],
    managers: [{ email: 'a@example.org' }, { email: 'b@example.org', sub: 'auth0|b' }],
  }), 200).body;
  assert.equal(made.apiKeys.length, 2);
  assert.match(made.apiKeys[0].key, keyPattern);
  assert.equal(made.apiKeys[1].key, taken);
  for (const key of made.apiKeys) assert.equal(await api.code(key.key), 'VALID');
  assert.deepEqual(made.managers.map(({ email, sub }) => [email, sub]), [['a@example.org', null], ['b@example.org', 'auth0|b']]);

  const refused = await api.post(api.consumers(), { name: 'half', apiKeys: [{}, { key: taken }] });
  expectProblem(refused, 409, /apiKeys\[1\]/);
  expectProblem(await api.get(`${api.consumers()}/half`), 404);
  expectProblem(await api.post(api.consumers(), { name: 'half', apiKeys: [{ unknown: 1 }] }), 400, /apiKeys\[0\]\.unknown/);
  expectProblem(await api.post(api.consumers(), { name: 'half', managers: [{ email: 'nonsense' }] }), 400, /managers\[0\]\.email/);
  expectProblem(await api.post(api.consumers(), { name: 'half', apiKeys: {} }), 400, /apiKeys/);
  expectProblem(await api.get(`${api.consumers()}/half`), 404);
});

test('with-api-key=true makes a key with the consumer and shows its value once', async () => {
  const made = expect(await api.post(`${api.consumers()}?with-api-key=true`, { name: 'keyed' }), 200).body;
  assert.equal(made.apiKeys.length, 1);
  assert.equal(await api.code(made.apiKeys[0].key), 'VALID');
  const shown = (await api.get(`${api.consumers()}/keyed?include-api-keys=true`)).body;
  assert.deepEqual(shown.apiKeys.map((key) => key.id), [made.apiKeys[0].id]);
  assert.equal(shown.apiKeys[0].key, made.apiKeys[0].masked);
  assert.equal((await api.get(`${api.consumers()}/keyed`)).body.apiKeys, undefined);
  expectProblem(await api.post(`${api.consumers()}?with-api-key=perhaps`, { name: 'keyed2' }), 400, /with-api-key/);
});

test('include-managers and include-manager-invites embed what they name', async () => {
  await api.makeConsumer('managed', { managers: [{ email: 'invite@example.org' }, { email: 'real@example.org', sub: 's' }] });
  const emails = async (query) => (await api.get(`${api.consumers()}/managed?${query}`)).body.managers?.map((manager) => manager.email);
  assert.deepEqual(await emails('include-managers=true'), ['real@example.org']);
  assert.deepEqual(await emails('include-manager-invites=true'), ['invite@example.org']);
  assert.deepEqual((await emails('include-managers=true&include-manager-invites=true')).sort(), ['invite@example.org', 'real@example.org']);
  assert.equal(await emails(''), undefined);
  assert.deepEqual(names(await api.get(`${api.consumers()}?manager-email=real@example.org`)), ['managed']);
  assert.deepEqual(names(await api.get(`${api.consumers()}?manager-email=none@example.org`)), []);
});

// --- keys ----------------------------------------------------------------------------------------

test('a key shows its value at creation and masked afterwards', async () => {
  await api.makeConsumer('model');
  const given = { description: 'd', expiresOn: '2099-12-31T23:59:59.5+01:00', notBefore: '2020-01-01T00:00:00Z', scopes: ['a:b', 'c'], ipAllow: ['10.0.0.0/8', '2001:db8::1'], tags: { t: 'v' }, metadata: { m: [1] } };
  const made = expect(await api.post(api.keys('model'), given), 200);
  const key = made.body;
  assert.match(key.key, keyPattern);
  assert.equal(key.masked, `kr_live_...${key.key.slice(-4)}`);
  assert.deepEqual({ ...key, id: 0, key: 0, masked: 0, createdOn: 0, updatedOn: 0, createdBy: 0, ipAllow: 0 }, {
    id: 0, description: 'd', createdOn: 0, updatedOn: 0, expiresOn: '2099-12-31T22:59:59.500Z', key: 0, status: 'expiring', enabled: true,
    notBefore: '2020-01-01T00:00:00.000Z', scopes: ['a:b', 'c'], ipAllow: 0, tags: { t: 'v' }, metadata: { m: [1] }, masked: 0, createdBy: 0,
    lastUsedOn: null, revokedOn: null, revokeReason: null, rotatedFrom: null,
  });
  assert.equal(key.ipAllow.length, 2);
  const path = `${api.keys('model')}/${key.id}`;
  const shown = expect(await api.get(path), 200);
  assert.equal(shown.body.key, key.masked);
  assert.deepEqual({ ...shown.body, key: 0 }, { ...key, key: 0 });
  assert.equal(shown.headers.get('etag'), made.headers.get('etag'));
  assert.equal((await api.get(`${path}?key-format=none`)).body.key, undefined);
  assert.equal((await api.get(`${path}?key-format=masked`)).body.key, key.masked);
  expectProblem(await api.get(`${path}?key-format=visible`), 409);
  expectProblem(await api.get(`${api.keys('model')}?key-format=visible`), 409);
  expectProblem(await api.get(`${api.consumers()}?include-api-keys=true&key-format=visible`), 409);
  expectProblem(await api.get(`${path}?key-format=bright`), 400, /key-format/);
});

test('key-format=visible shows values of a retrievable bucket and leaves audit rows', async () => {
  await api.makeBucket('seen', { isRetrievable: true });
  await api.makeConsumer('s', {}, 'seen');
  const key = await api.makeKey('s', {}, 'seen');
  const path = api.keys('s', 'seen');
  assert.equal((await api.get(`${path}/${key.id}?key-format=visible`)).body.key, key.key);
  assert.equal((await api.get(`${path}?key-format=visible`)).body.data[0].key, key.key);
  assert.equal((await api.get(`${api.consumers('seen')}?include-api-keys=true&key-format=visible`)).body.data[0].apiKeys[0].key, key.key);
  assert.equal((await api.get(path)).body.data[0].key, key.masked);
  assert.equal((await api.post(`${path}/${key.id}/reveal`)).body.key, key.key);
  const rows = (await api.get('/v1/accounts/default/audit-logs?action=key.reveal')).body;
  assert.equal(rows.pagination.total, 4, JSON.stringify(rows));
});

test('PATCH of a key changes description, expiry and enabled, and refuses what is immutable', async () => {
  await api.makeConsumer('patched');
  const key = await api.makeKey('patched', { scopes: ['a'] });
  const path = `${api.keys('patched')}/${key.id}`;
  const changed = expect(await api.patch(path, { description: 'new', expiresOn: '2098-01-01T00:00:00Z', enabled: false }), 200).body;
  assert.deepEqual([changed.description, changed.expiresOn, changed.enabled, changed.status], ['new', '2098-01-01T00:00:00.000Z', false, 'disabled']);
  for (const body of [{ scopes: ['b'] }, { key: strangerKey() }, { id: 'x' }, { createdOn: '2020-01-01T00:00:00Z' }, { status: 'active' }, { expiresOn: 'tomorrow' }, { expiresOn: 5 }, { enabled: 'yes' }, { enabled: null }])
    expectProblem(await api.patch(path, body), 400, new RegExp(Object.keys(body)[0]));
  assert.deepEqual((await api.get(path)).body, { ...changed });
});

test('keys of another consumer, ids of no key and names of none are 404', async () => {
  await api.makeConsumer('mine');
  await api.makeConsumer('yours');
  const key = await api.makeKey('mine');
  for (const path of [
    `${api.keys('yours')}/${key.id}`, `${api.keys('mine')}/key_000000000000000000000000`, `${api.keys('mine')}/nonsense`,
    `${api.keys('nobody')}`, `${api.consumers('nowhere')}`, `${api.buckets}/${absent}`,
    '/v1/accounts/other/key-buckets', '/v1/accounts/other/audit-logs', '/v1/accounts/other/tokens',
  ]) expectProblem(await api.get(path), 404);
  expectProblem(await api.delete(`${api.keys('yours')}/${key.id}`), 404);
  assert.equal(await api.code(key.key), 'VALID');
});

test('values of other systems are imported, validated, and refused when in use anywhere', async () => {
  await api.makeConsumer('importer');
  const path = api.keys('importer');
  const plain = foreignValue();
  const made = expect(await api.post(path, { key: plain }), 200).body;
  assert.equal(made.key, plain);
  assert.equal(await api.code(plain), 'VALID');
  assert.ok(!(await api.get(`${path}/${made.id}`)).text.includes(plain));
  expectProblem(await api.post(path, { key: plain }), 409, /in use/);
  await api.makeConsumer('importer', {}, 'preview');
  expectProblem(await api.post(api.keys('importer', 'preview'), { key: plain }), 409, /in use/);
  expectProblem(await api.post(path, { keyHash: { algorithm: 'sha256', value: sha256(plain, 'hex') } }), 409, /in use/);
  // What only begins like its digest would take its place in memory.
  const alike = `${sha256(plain, 'hex').slice(0, 48)}${'0'.repeat(16)}`;
  expectProblem(await api.post(api.keys('importer', 'preview'), { keyHash: { algorithm: 'sha256', value: alike } }), 409, /in use/);
  assert.equal((await api.validate(plain)).body.keyId, made.id);

  const hosted = 'zpka_d67b7e241bb948758f415b79aa8ec822_2efb7009';
  const kept = await api.makeKey('importer', { key: hosted });
  assert.equal(kept.masked, 'zpka_...7009');
  assert.equal(await api.code(hosted), 'VALID');

  for (const [key, what] of [['short', /16/], [`with space ${'x'.repeat(20)}`, /spaces/], ['x'.repeat(513), /512|longer/], ['ü'.repeat(20), /ASCII/], [misspelled(), /checksum/]])
    expectProblem(await api.post(path, { key }), 400, what);
  const owner = expectProblem(await api.post(path, { key: node.token }), 409, /in use/);
  assert.ok(!owner.text.includes(node.token));
});

test('hashed keys are imported in hex and base64, and are never retrievable', async () => {
  await api.makeBucket('hashes', { isRetrievable: true });
  await api.makeConsumer('h', {}, 'hashes');
  const path = api.keys('h', 'hashes');
  for (const encoding of ['hex', 'base64', 'base64url']) {
    for (const value of [foreignValue(), strangerKey()]) {
      const made = await api.makeKey('h', { keyHash: { algorithm: 'sha256', value: sha256(value, encoding), last4: value.slice(-4) } }, 'hashes');
      assert.ok(made.masked.endsWith(value.slice(-4)), made.masked);
      assert.equal(await api.code(value), 'VALID', encoding);
      expectProblem(await api.post(`${path}/${made.id}/reveal`), 409, /hash/);
      expectProblem(await api.post(path, { key: value }), 409, /in use/);
    }
  }
  const hash = (more) => ({ keyHash: { algorithm: 'sha256', value: sha256(foreignValue(), 'hex'), ...more } });
  assert.equal((await api.makeKey('h', { keyHash: { algorithm: 'sha256', value: sha256(foreignValue(), 'hex').toUpperCase() } }, 'hashes')).status, 'active');
  expectProblem(await api.post(path, hash({ algorithm: 'md5' })), 400, /keyHash\.algorithm/);
  expectProblem(await api.post(path, hash({ value: 'abcd' })), 400, /keyHash\.value/);
  expectProblem(await api.post(path, hash({ last4: 'abc' })), 400, /keyHash\.last4/);
  expectProblem(await api.post(path, hash({ salt: 'x' })), 400, /keyHash\.salt/);
  expectProblem(await api.post(path, { keyHash: 'x' }), 400, /keyHash/);
  expectProblem(await api.post(path, { ...hash(), key: foreignValue() }), 400, /keyHash|key/);
});

test('$bulk makes all keys or none', async () => {
  await api.makeConsumer('bulky');
  const path = `${api.keys('bulky')}/$bulk`;
  const taken = foreignValue();
  const before = (await api.get('/v1/cluster')).body.index;
  const made = expect(await api.post(path, [{ description: 'a' }, { key: taken }, { scopes: ['s'] }]), 200);
  assert.equal(made.body.data.length, 3);
  assert.equal(Number(made.headers.get('keyreeve-index')), before + 1, 'one record');
  for (const key of made.body.data) assert.equal(await api.code(key.key), 'VALID');
  const total = async () => (await api.get(api.keys('bulky'))).body.total;
  assert.equal(await total(), 3);

  const twice = foreignValue();
  expectProblem(await api.post(path, [{}, { key: taken }]), 409, /\[1\]/);
  expectProblem(await api.post(path, [{ key: twice }, {}, { key: twice }]), 409, /\[2\]/);
  expectProblem(await api.post(path, [{}, { wrong: 1 }]), 400, /\[1\]\.wrong/);
  expectProblem(await api.post(path, [{}, 5]), 400, /\[1\]/);
  expectProblem(await api.post(path, {}), 400, /array/);
  expectProblem(await api.post(path, []), 400);
  assert.equal(await total(), 3);
  assert.notEqual(await api.code(twice), 'VALID');

  const many = expect(await api.post(path, Array.from({ length: 2000 }, () => ({}))), 200).body;
  assert.equal(many.data.length, 2000);
  assert.equal(new Set(many.data.map((key) => key.key)).size, 2000);
  assert.equal(await total(), 2003);
  const list = (await api.get(api.keys('bulky'))).body;
  assert.deepEqual([list.data.length, list.total], [1000, 2003]);
});

// --- tags, ETags ---------------------------------------------------------------------------------

test('tag.NAME is a precondition on every consumer-scoped route', async () => {
  await api.makeConsumer('tagged', { tags: { tenant: 't1', x: 'y' } });
  const key = await api.makeKey('tagged');
  const base = `${api.consumers()}/tagged`;
  for (const [method, path, body] of [
    ['GET', base], ['PATCH', base, { description: 'no' }], ['DELETE', base],
    ['POST', `${base}/roll-key`], ['POST', `${base}/revoke`, { confirm: 'tagged' }], ['GET', `${base}/keys`], ['POST', `${base}/keys`, {}],
    ['POST', `${base}/keys/$bulk`, [{}]], ['GET', `${base}/keys/${key.id}`], ['PATCH', `${base}/keys/${key.id}`, { enabled: false }],
    ['DELETE', `${base}/keys/${key.id}`], ['POST', `${base}/keys/${key.id}/revoke`], ['GET', `${base}/managers`], ['POST', `${base}/managers`, { email: 'a@b.c' }],
  ]) {
    for (const query of ['tag.tenant=t2', 'tag.tenant=t1&tag.x=z', 'tag.none='])
      expectProblem(await api.call(method, `${path}?${query}`, body), 404);
  }
  assert.equal((await api.get(`${base}/keys`)).body.total, 1);
  assert.equal(await api.code(key.key), 'VALID');
  expect(await api.get(`${base}?tag.tenant=t1&tag.x=y`), 200);
  expect(await api.patch(`${base}/keys/${key.id}?tag.tenant=t1`, { description: 'yes' }), 200);
});

test('If-Match lets one of two writers through and answers 412 to the other', async () => {
  await api.makeBucket('matched');
  await api.makeConsumer('m', {}, 'matched');
  const key = await api.makeKey('m', {}, 'matched');
  for (const path of [`${api.buckets}/matched`, `${api.consumers('matched')}/m`, `${api.keys('m', 'matched')}/${key.id}`]) {
    const etag = (await api.get(path)).headers.get('etag');
    assert.match(etag, /^"[^"]+"$/);
    const first = expect(await api.patch(path, { description: '1' }, { 'if-match': etag }), 200);
    assert.notEqual(first.headers.get('etag'), etag);
    assert.equal((await api.get(path)).headers.get('etag'), first.headers.get('etag'), 'the answer names the state that is there now');
    expectProblem(await api.patch(path, { description: '2' }, { 'if-match': etag }), 412);
    expectProblem(await api.delete(path, { 'if-match': etag }), 412);
    assert.equal((await api.get(path)).body.description, '1');
    expect(await api.patch(path, { description: '3' }, { 'if-match': '*' }), 200);
    expect(await api.patch(path, { description: '4' }, { 'if-match': `"other", ${(await api.get(path)).headers.get('etag')}` }), 200);
  }
  const path = `${api.keys('m', 'matched')}/${key.id}`;
  const etag = (await api.get(path)).headers.get('etag');
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => api.patch(path, { description: `w${i}` }, { 'if-match': etag })));
  assert.equal(answers.filter((answer) => answer.status === 200).length, 1);
  assert.ok(answers.every((answer) => [200, 412].includes(answer.status)));
  expect(await api.delete(path, { 'if-match': (await api.get(path)).headers.get('etag') }), 204);
});

test('a key that its consumer is revoked with has another ETag, and managers that leave change their consumer', async () => {
  await api.makeConsumer('shut');
  const { id } = await api.makeKey('shut');
  const consumer = `${api.consumers()}/shut`;
  const etagOf = async (path) => (await api.get(path)).headers.get('etag');
  const before = await etagOf(`${consumer}/keys/${id}`);
  expect(await api.post(`${consumer}/revoke`, { confirm: 'shut' }), 200);
  assert.notEqual(await etagOf(`${consumer}/keys/${id}`), before);
  expectProblem(await api.patch(`${consumer}/keys/${id}`, { description: 'late' }, { 'if-match': before }), 412);
  const changed = expect(await api.patch(`${consumer}/keys/${id}`, { description: 'known' }, { 'if-match': await etagOf(`${consumer}/keys/${id}`) }), 200);
  assert.equal(await etagOf(`${consumer}/keys/${id}`), changed.headers.get('etag'));
  const manager = expect(await api.post(`${consumer}/managers`, { email: 'a@example.com' }), 200).body;
  const managed = await etagOf(consumer);
  expect(await api.delete(`${consumer}/managers/${manager.id}`), 204);
  assert.notEqual(await etagOf(consumer), managed);
});

test('concurrent changes without If-Match all succeed, one after another', async () => {
  await api.makeConsumer('contended');
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => api.patch(`${api.consumers()}/contended`, { description: `w${i}` })));
  for (const answer of answers) expect(answer, 200);
});

test('of many concurrent creations of one name, one wins', async () => {
  const answers = await Promise.all(Array.from({ length: 16 }, () => api.post(api.consumers(), { name: 'raced' })));
  assert.equal(answers.filter((answer) => answer.status === 200).length, 1);
  assert.equal(answers.filter((answer) => answer.status === 409).length, 15);
  const value = foreignValue();
  const keys = await Promise.all(Array.from({ length: 16 }, () => api.post(api.keys('raced'), { key: value })));
  assert.equal(keys.filter((answer) => answer.status === 200).length, 1);
  assert.equal(keys.filter((answer) => answer.status === 409).length, 15);
});

// --- Idempotency-Key -----------------------------------------------------------------------------

test('an Idempotency-Key gives the same answer again, the created value too, and one effect', async () => {
  await api.makeConsumer('idem');
  const headers = { 'idempotency-key': 'create-1' };
  const first = expect(await api.post(api.keys('idem'), { description: 'once' }, headers), 200);
  const again = expect(await api.post(api.keys('idem'), { description: 'once' }, headers), 200);
  assert.equal(again.text, first.text);
  assert.equal(again.headers.get('keyreeve-index'), first.headers.get('keyreeve-index'));
  assert.equal(again.headers.get('etag'), first.headers.get('etag'));
  assert.notEqual(again.headers.get('x-request-id'), first.headers.get('x-request-id'));
  assert.equal((await api.get(api.keys('idem'))).body.total, 1);
  expectProblem(await api.post(api.keys('idem'), { description: 'other' }, headers), 409, /Idempotency-Key/);
  expectProblem(await api.post(api.consumers(), { description: 'once' }, headers), 409, /Idempotency-Key/);
  assert.equal((await api.get(api.keys('idem'))).body.total, 1);

  const bulk = { 'idempotency-key': 'bulk-1' };
  const many = expect(await api.post(`${api.keys('idem')}/$bulk`, [{}, {}], bulk), 200);
  assert.equal((await api.post(`${api.keys('idem')}/$bulk`, [{}, {}], bulk)).text, many.text);
  const roll = { 'idempotency-key': 'roll-1' };
  const rolled = expect(await api.post(`${api.consumers()}/idem/roll-key?return=key`, {}, roll), 200);
  assert.equal((await api.post(`${api.consumers()}/idem/roll-key?return=key`, {}, roll)).text, rolled.text);
  assert.equal((await api.get(api.keys('idem'))).body.total, 4);
  const revoke = { 'idempotency-key': 'revoke-1' };
  const path = `${api.keys('idem')}/${rolled.body.id}/revoke`;
  const receipt = expect(await api.post(path, {}, revoke), 200);
  assert.deepEqual((await api.post(path, {}, revoke)).body, receipt.body);
});

test('an Idempotency-Key is bound to its token, sent twice at once has one effect, and may be malformed', async () => {
  await api.makeConsumer('idem2');
  const headers = { 'idempotency-key': 'shared' };
  const mine = expect(await api.post(api.keys('idem2'), {}, headers), 200).body;
  const other = client(node, (await api.makeToken('second', { roles: ['admin'] })).token);
  const theirs = expect(await other.post(api.keys('idem2'), {}, headers), 200).body;
  assert.notEqual(theirs.key, mine.key);
  const answers = await Promise.all(Array.from({ length: 8 }, () => api.post(api.keys('idem2'), {}, { 'idempotency-key': 'at-once' })));
  const made = new Set(answers.filter((answer) => answer.status === 200).map((answer) => answer.body.key));
  assert.equal(made.size, 1);
  for (const answer of answers) assert.ok([200, 409].includes(answer.status), answer.text);
  assert.equal((await api.get(api.keys('idem2'))).body.total, 3);
  expectProblem(await api.post(api.keys('idem2'), {}, { 'idempotency-key': 'x'.repeat(256) }), 400, /Idempotency-Key/);
  expectProblem(await api.post(api.keys('idem2'), {}, { 'idempotency-key': 'a b' }), 400, /Idempotency-Key/);
});

test('a refused request leaves its Idempotency-Key free', async () => {
  await api.makeConsumer('idem3');
  const headers = { 'idempotency-key': 'mended' };
  expectProblem(await api.post(api.keys('idem3'), { wrong: 1 }, headers), 400);
  expect(await api.post(api.keys('idem3'), { description: 'right' }, headers), 200);
});

test('an Idempotency-Key is remembered across a restart', async () => {
  const own = await startNode();
  const first = client(own);
  await first.makeConsumer('idem');
  const headers = { 'idempotency-key': 'before' };
  const made = expect(await first.post(first.keys('idem'), {}, headers), 200);
  await own.stop();
  const again = await startNode({ dataDir: own.dataDir });
  const second = client(again);
  assert.equal((await second.post(second.keys('idem'), {}, headers)).text, made.text);
  expectProblem(await second.post(second.keys('idem'), { description: 'x' }, headers), 409);
  await again.remove();
});

// --- managers ------------------------------------------------------------------------------------

test('managers are invited, accepted, listed and removed', async () => {
  await api.makeConsumer('team');
  const path = `${api.consumers()}/team/managers`;
  const invite = expect(await api.post(path, { email: 'ann@example.org' }), 200).body;
  assert.match(invite.id, idOf('eusr'));
  assert.deepEqual([invite.email, invite.sub], ['ann@example.org', null]);
  const real = expect(await api.post(path, { email: 'bob@example.org', sub: 'auth0|bob' }), 200).body;
  const list = expect(await api.get(path), 200).body;
  assert.equal(list.total, 2);
  assert.deepEqual(new Set(list.data.map((manager) => manager.id)), new Set([invite.id, real.id]));
  expectProblem(await api.post(path, { email: 'bob@example.org' }), 409);
  for (const body of [{}, { email: 'nonsense' }, { email: 'a@b', sub: 5 }, { email: 'a@b', role: 'x' }]) expectProblem(await api.post(path, body), 400);
  assert.equal((await listAll(api, path, 1)).length, 2);
  expect(await api.delete(`${path}/${invite.id}`), 204);
  expectProblem(await api.delete(`${path}/${invite.id}`), 404);
  assert.equal((await api.get(path)).body.total, 1);
});

// --- $import -------------------------------------------------------------------------------------

test('$import takes each row by itself, names the refused ones, and may be repeated', async () => {
  await api.makeBucket('migrated');
  await api.makeConsumer('known', { metadata: { kept: true } }, 'migrated');
  const path = `${api.buckets}/migrated/$import`;
  const [a, b, c, taken] = Array.from({ length: 4 }, () => foreignValue());
  await api.makeConsumer('elsewhere', {}, 'preview');
  await api.makeKey('elsewhere', { key: taken }, 'preview');
  const rows = [
    { consumer: 'known', key: a, consumerMetadata: { kept: false } },
    { consumer: 'fresh', key: b, scopes: ['s'], consumerMetadata: { plan: 'x' }, consumerTags: { t: '1' } },
    { consumer: 'fresh', keyHash: { algorithm: 'sha256', value: sha256(c, 'base64') } },
    { consumer: 'fresh', key: taken },
    { consumer: 'Not A Name', key: foreignValue() },
    { consumer: 'never', key: 'short' },
    { consumer: 'fresh' },
    { consumer: 'fresh', key: foreignValue(), wrong: 1 },
    { consumer: 'known', key: b },
    5,
  ];
  const answer = expect(await api.post(path, { rows }), 200).body;
  assert.deepEqual([answer.imported, answer.existing], [3, 0]);
  assert.deepEqual(answer.refused.map((row) => row.row), [3, 4, 5, 6, 7, 8, 9]);
  for (const { detail } of answer.refused) assert.ok(detail.length > 5 && ![a, b, c, taken].some((value) => detail.includes(value)), detail);
  assert.deepEqual((await api.validate(a)).body.data, { kept: true }, 'a consumer that is there stays as it is');
  assert.deepEqual((await api.validate(b)).body.data, { plan: 'x' });
  assert.equal(await api.code(c), 'VALID');
  expectProblem(await api.get(`${api.consumers('migrated')}/never`), 404);

  const again = expect(await api.post(path, { rows }), 200).body;
  assert.deepEqual([again.imported, again.existing, again.refused.length], [0, 3, 7]);
  assert.equal((await api.get(api.keys('fresh', 'migrated'))).body.total, 2);
  for (const body of [{}, { rows: {} }, { rows: Array(2001).fill({ consumer: 'x', key: a }) }, { rows: [], wrong: 1 }]) expectProblem(await api.post(path, body), 400, /rows|wrong/);
});
