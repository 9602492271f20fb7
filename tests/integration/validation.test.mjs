// SPDX-License-Identifier: Apache-2.0
// POST /v1/validate and /v1/validate/$batch: every code that needs no counters, and bad questions.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, exchange, expect, expectProblem } from './lib/http.mjs';
import { foreignValue, misspelled, sha256, strangerKey } from './lib/keys.mjs';
import { startNode } from './lib/node.mjs';
import { decode, encode } from './lib/protobuf.mjs';

let node;
let api;
let good; // a key of `caller` with metadata and scopes
before(async () => {
  node = await startNode({ flags: ['--node-id', 'edge-7', '--region', 'eu-west'] });
  api = client(node);
  await api.makeConsumer('caller', { metadata: { plan: 'gold', text: 'Zoë "q"' }, tags: { secret: 'tag' } });
  good = await api.makeKey('caller', { scopes: ['read', 'write'], expiresOn: '2099-01-01T00:00:00Z' });
});
after(() => node.remove());

const fields = ['valid', 'code', 'keyId', 'sub', 'data', 'consumer', 'bucket', 'environment', 'scopes', 'expiresOn', 'index', 'ageMs', 'node', 'region'];
const post = (body, headers = {}) => api.call('POST', '/v1/validate', body, { authorization: '', ...headers });

test('a VALID answer has every field of the contract, and no tags', async () => {
  const answer = expect(await api.validate(good.key), 200);
  assert.deepEqual(new Set(Object.keys(answer.body)), new Set(fields));
  const { consumer, index, ageMs, ...rest } = answer.body;
  assert.deepEqual(rest, {
    valid: true, code: 'VALID', keyId: good.id, sub: 'caller', data: { plan: 'gold', text: 'Zoë "q"' }, bucket: 'production', environment: 'production',
    scopes: ['read', 'write'], expiresOn: '2099-01-01T00:00:00.000Z', node: 'edge-7', region: 'eu-west',
  });
  assert.deepEqual(Object.keys(consumer), ['id', 'name']);
  assert.ok(index > 1 && ageMs >= 0);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.ok(!answer.text.includes('secret'));
});

test('MALFORMED: structure or checksum wrong, whatever was sent as a key', async () => {
  for (const key of ['', 'x', misspelled(), misspelled(good.key), good.key.slice(0, -1), `${good.key} `, ` ${good.key}`, good.key.toUpperCase(), 'ключ', 'x'.repeat(60_000), `${good.key}\\u0000`]) {
    const answer = expect(await api.validate(key), 200).body;
    assert.deepEqual([answer.valid, answer.code, answer.keyId, answer.bucket], [false, 'MALFORMED', null, null], key.slice(0, 60));
  }
});

test('NOT_FOUND: well-formed and unknown, and management tokens open no gateway', async () => {
  for (const key of [strangerKey(), strangerKey('kr_test'), node.token]) {
    const answer = expect(await api.validate(key), 200).body;
    assert.deepEqual([answer.valid, answer.code, answer.keyId, answer.sub, answer.bucket], [false, 'NOT_FOUND', null, null, null]);
  }
});

test('a value without our structure is looked up only once the cluster holds custom keys', async () => {
  const foreign = foreignValue();
  assert.equal(await api.code(foreign), 'MALFORMED');
  const { id } = await api.makeKey('caller', { key: foreignValue() });
  assert.equal(await api.code(foreign), 'NOT_FOUND');
  assert.equal(await api.code(misspelled()), 'MALFORMED', 'a wrong checksum never is');
  expect(await api.delete(`${api.keys('caller')}/${id}`), 204);
});

test('what is found by its digest is a key, whatever it looks like', async () => {
  const value = misspelled();
  const { id } = await api.makeKey('caller', { keyHash: { algorithm: 'sha256', value: sha256(value, 'hex') } });
  assert.equal(await api.code(value), 'VALID');
  expect(await api.delete(`${api.keys('caller')}/${id}`), 204);
  assert.equal(await api.code(value), 'REVOKED');
});

test('the checks are made in their order: revoked, enabled, not-before, expiry, bucket, address, scopes', async () => {
  const key = await api.makeKey('caller', { enabled: false, notBefore: '2098-01-01T00:00:00Z', scopes: ['read'], ipAllow: ['192.0.2.0/24', '2001:db8::/32'] });
  const path = `${api.keys('caller')}/${key.id}`;
  const wrong = { bucket: 'preview', ip: '10.0.0.1', scopes: ['read', 'admin'] };
  const patch = async (change) => expect(await api.patch(path, change), 200);
  assert.equal(await api.code(key.key, wrong), 'DISABLED');
  await patch({ enabled: true });
  assert.equal(await api.code(key.key, wrong), 'NOT_YET_VALID');
  await patch({ notBefore: null, expiresOn: '2020-01-01T00:00:00Z' });
  assert.equal(await api.code(key.key, wrong), 'EXPIRED');
  await patch({ expiresOn: null });
  assert.equal(await api.code(key.key, wrong), 'FORBIDDEN', 'another bucket');
  assert.equal(await api.code(key.key, { ...wrong, bucket: 'production' }), 'FORBIDDEN', 'the address');
  assert.equal(await api.code(key.key, { ...wrong, bucket: 'production', ip: '192.0.2.255' }), 'INSUFFICIENT_SCOPE');
  assert.equal(await api.code(key.key, { ip: '192.0.2.1', scopes: ['read'] }), 'VALID');
  assert.equal(await api.code(key.key, { ip: '2001:db8::9' }), 'VALID');
  assert.equal(await api.code(key.key, { ip: '::ffff:192.0.2.1' }), 'VALID', 'an IPv4 address in IPv6 form');
  assert.equal(await api.code(key.key), 'FORBIDDEN', 'no address is none of the allowed');
  await patch({ enabled: false });
  expect(await api.post(`${path}/revoke`), 200);
  assert.equal(await api.code(key.key, wrong), 'REVOKED');
});

test('bucket may be a name or an id, and an unknown one is never the key\'s', async () => {
  const { id } = (await api.get(`${api.buckets}/production`)).body;
  for (const [bucket, code] of [['production', 'VALID'], [id, 'VALID'], ['preview', 'FORBIDDEN'], ['no-such-bucket', 'FORBIDDEN'], [null, 'VALID']])
    assert.equal(await api.code(good.key, { bucket }), code, String(bucket));
});

test('scopes: all that are asked for must be held', async () => {
  for (const [scopes, code] of [[[], 'VALID'], [['read'], 'VALID'], [['write', 'read'], 'VALID'], [['Read'], 'INSUFFICIENT_SCOPE'], [['read', 'x'], 'INSUFFICIENT_SCOPE'], [[''], 'INSUFFICIENT_SCOPE'], [null, 'VALID']])
    assert.equal(await api.code(good.key, { scopes }), code, JSON.stringify(scopes));
});

test('maxStalenessMs of 0 holds on the node that makes the truth', async () => {
  const answer = (await api.validate(good.key, { maxStalenessMs: 0 })).body;
  assert.deepEqual([answer.code, answer.ageMs], ['VALID', 0]);
});

test('bad questions are 400 and name the field', async () => {
  const key = good.key;
  for (const [body, detail] of [
    ['', /./], ['{', /./], ['null', /object/], ['[]', /object/], ['"x"', /object/], [{}, /key/], [{ key: 5 }, /key.*string/], [{ key: null }, /key/], [{ key: [key] }, /key/],
    [{ key, Bucket: 'x' }, /Bucket.*unknown/], [{ key, bucket: 1 }, /bucket/], [{ key, bucket: '' }, /bucket: empty/], [{ key, bucket: '', ip: '10.0.0.1' }, /bucket: empty/], [{ key, scopes: 'read' }, /scopes/], [{ key, scopes: [1] }, /scopes/], [{ key, scopes: Array(33).fill('a') }, /scopes.*32/],
    [{ key, ip: 'localhost' }, /ip/], [{ key, ip: '10.0.0.0/8' }, /ip/], [{ key, minIndex: -1 }, /minIndex/], [{ key, minIndex: '5' }, /minIndex/], [{ key, minIndex: 1.5 }, /minIndex/],
    [{ key, maxStalenessMs: -1 }, /maxStalenessMs/], [{ key, explain: 'yes' }, /explain/], [`{"key":"${key}","key":"${key}"}`, /./], [`{"key":"${key}"} x`, /./], [`${'['.repeat(40)}${']'.repeat(40)}`, /./],
  ]) {
    const answer = expectProblem(await post(body), 400, detail);
    assert.ok(!answer.text.includes(key), 'the answer repeats the key');
  }
  expectProblem(await post({ key: '\u0000' }), 400);
  expectProblem(await post(Buffer.from([0x7b, 0x22, 0x6b, 0x65, 0x79, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d])), 400);
  expectProblem(await post({ key }, { 'keyreeve-min-index': 'soon' }), 400, /Keyreeve-Min-Index/);
});

test('every spelling of the same JSON gives the same answer', async () => {
  const escaped = [...good.key].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  for (const body of [` { "key" : "${good.key}" } `, `\r\n{\t"key":\n"${good.key}"}`, `{"key":"${escaped}"}`, `{"bucket":"production","key":"${good.key}"}`, `{"key":"${good.key}","method":"GET","path":"/x","ip":null}`])
    assert.equal((await post(body)).body.code, 'VALID', body);
});

test('media types: JSON, none, and curl\'s default pass, others are 415; a body over 64 KiB is 413', async () => {
  const body = JSON.stringify({ key: good.key });
  for (const type of ['application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON', 'application/x-www-form-urlencoded', undefined]) {
    const answer = await exchange(node, { method: 'POST', path: '/v1/validate', headers: type ? { 'content-type': type } : {}, body });
    assert.equal(JSON.parse(answer.text).code, 'VALID', type);
  }
  expectProblem(await post(body, { 'content-type': 'text/plain' }), 415);
  expectProblem(await post({ key: 'x'.repeat(70_000) }), 413);
});

test('/v1/validate has POST alone', async () => {
  for (const path of ['/v1/validate', '/v1/validate/$batch']) {
    const answer = expectProblem(await api.get(path), 405);
    assert.equal(answer.headers.get('allow'), 'POST');
  }
});

test('explain needs a management token, and says which check failed, without the value', async () => {
  const key = await api.makeKey('caller', { enabled: false });
  expectProblem(await post({ key: key.key, explain: true }), 401, /explain/);
  expectProblem(await post({ key: key.key, explain: true }, { authorization: `Bearer ${good.key}` }), 401, /explain/);
  const viewer = await api.makeToken('looker', { roles: ['viewer'] });
  for (const token of [node.token, viewer.token]) {
    const answer = expect(await post({ key: key.key, explain: true }, { authorization: `Bearer ${token}` }), 200);
    assert.equal(answer.body.code, 'DISABLED');
    assert.equal(answer.body.explain.masked, key.masked);
    assert.deepEqual(answer.body.explain.checks.map((check) => [check.check, check.ok]), [['structure', true], ['lookup', true], ['available', true], ['revoked', true], ['enabled', false]]);
    assert.ok(!answer.text.includes(key.key));
  }
  const fine = (await post({ key: good.key, explain: true }, { authorization: `Bearer ${node.token}` })).body.explain.checks;
  assert.ok(fine.every((check) => check.ok));
  expectProblem(await api.call('POST', '/v1/validate/$batch', [{ key: key.key }, { key: key.key, explain: true }], { authorization: '' }), 401, /explain/);
});

// --- batches -------------------------------------------------------------------------------------

const batch = (body, headers = {}) => api.call('POST', '/v1/validate/$batch', body, { authorization: '', ...headers });

test('a batch answers each question in its place, up to 1000', async () => {
  const disabled = await api.makeKey('caller', { enabled: false });
  const kinds = [
    [{ key: good.key }, 'VALID'], [{ key: strangerKey() }, 'NOT_FOUND'], [{ key: misspelled() }, 'MALFORMED'], [{ key: disabled.key }, 'DISABLED'],
    [{ key: good.key, bucket: 'preview' }, 'FORBIDDEN'], [{ key: good.key, scopes: ['none'] }, 'INSUFFICIENT_SCOPE'], [{ key: good.key, minIndex: 1e9 }, 'STALE'],
  ];
  const questions = Array.from({ length: 1000 }, (_, i) => kinds[(i * 5 + (i >> 3)) % kinds.length]);
  const answer = expect(await batch(questions.map(([question]) => question)), 200);
  assert.deepEqual(answer.body.results.map((result) => result.code), questions.map(([, code]) => code));
  for (const result of answer.body.results) assert.equal(result.sub, result.code === 'VALID' ? 'caller' : null);
  assert.deepEqual((await batch([])).body, { results: [] });
});

test('Keyreeve-Min-Index holds for every question of a batch, and lowers none', async () => {
  const codes = async (questions, minIndex) => expect(await batch(questions, { 'keyreeve-min-index': String(minIndex) }), 200).body.results.map(({ code }) => code);
  const key = good.key;
  assert.deepEqual(await codes([{ key }, { key, minIndex: 1e9 }], 1), ['VALID', 'STALE']);
  assert.deepEqual(await codes([{ key }, { key, minIndex: 1 }, { key: strangerKey() }], 1e9), ['STALE', 'STALE', 'STALE']);
  expectProblem(await batch([{ key }], { 'keyreeve-min-index': 'soon' }), 400, /Keyreeve-Min-Index/);
  assert.equal((await post({ key, minIndex: 1e9 }, { 'keyreeve-min-index': '1' })).body.code, 'STALE');
});

test('a batch over 1000, of another form, or with one bad question is refused as a whole', async () => {
  expectProblem(await batch(Array(1001).fill({ key: 'x' })), 400, /1000/);
  expectProblem(await batch({ key: good.key }), 400, /array/);
  expectProblem(await batch([{ key: good.key }, { kee: 'x' }]), 400, /\[1\]\.kee/);
  expectProblem(await batch([{ key: good.key }, 7]), 400, /\[1\]/);
  expectProblem(await batch([{ key: 'x'.repeat(1 << 20) }]), 413);
  expectProblem(await batch('[]', { 'content-type': 'text/html' }), 415);
});

// --- protobuf ------------------------------------------------------------------------------------

const protobuf = (path, body) => exchange(node, { method: 'POST', path, headers: { 'content-type': 'application/x-protobuf' }, body });

test('protobuf asks and answers as the .proto says', async () => {
  const answer = await protobuf('/v1/validate', encode([[1, good.key], [2, 'production'], [3, 'read'], [3, 'write'], [4, '10.0.0.1'], [5, 'GET'], [6, '/x']]));
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get('content-type'), 'application/x-protobuf');
  const got = decode(answer.bytes);
  assert.deepEqual([got[1], got[2]], [[1], [1]]);
  assert.deepEqual([3, 4, 5, 8 + 1, 10, 11, 15, 16].map((number) => (got[number] ?? []).map(String)), [
    ['VALID'], [good.id], ['caller'], ['read', 'write'], ['production'], ['production'], ['edge-7'], ['eu-west'],
  ]);
  assert.deepEqual(JSON.parse(got[6][0]), { plan: 'gold', text: 'Zoë "q"' });
  assert.equal(got[12][0], Date.parse('2099-01-01T00:00:00Z'));
  const denied = decode((await protobuf('/v1/validate', encode([[1, good.key], [2, 'preview']]))).bytes);
  assert.deepEqual([denied[1], denied[2], denied[5], denied[6], denied[7], denied[9]], [undefined, [8], undefined, undefined, undefined, undefined]);
});

test('a protobuf batch keeps its order; what is no message is 400', async () => {
  const body = encode([[1, encode([[1, good.key]])], [1, encode([[1, strangerKey()]])], [1, encode([[1, 'x']])]]);
  const results = decode((await protobuf('/v1/validate/$batch', body)).bytes)[1].map((result) => decode(result)[2][0]);
  assert.deepEqual(results, [1, 3, 2]);
  for (const bytes of [Buffer.from([0xff, 0xff, 0xff]), Buffer.from([0x0a, 0x7f]), Buffer.from([0x08, 0x01])])
    assert.equal((await protobuf('/v1/validate', bytes)).status, 400, bytes.toString('hex'));
  assert.equal((await protobuf('/v1/validate', encode([[1, good.key], [4, 'nowhere']]))).status, 400);
  assert.equal((await protobuf('/v1/validate/$batch', encode(Array(1001).fill([1, encode([[1, 'x']])])))).status, 400);
});

test('the metrics count validations by code and requests by route', async () => {
  const count = async (label) => Number(new RegExp(`keyreeve_${label} (\\d+)`).exec(await node.metrics())?.[1] ?? 0);
  const [valid, requests] = [await count('validations_total\\{code="VALID"\\}'), await count('requests_total\\{route="validate",status="200"\\}')];
  for (let i = 0; i < 5; i++) await api.validate(good.key);
  assert.equal(await count('validations_total\\{code="VALID"\\}'), valid + 5);
  assert.equal(await count('requests_total\\{route="validate",status="200"\\}'), requests + 5);
});
