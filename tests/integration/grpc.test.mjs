// SPDX-License-Identifier: Apache-2.0
// gRPC with a real client: Envoy's authorization in the shapes that Envoy documents, health, and our
// own Validation. The messages' bytes are tested by unit tests, the transport's by http2.test.mjs.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Authority } from './lib/certificates.mjs';
import { checkRequest, envoy, grpcClient, health, Metadata, outcomeOf, ownEnvoy, secure, status, validation } from './lib/grpc.mjs';
import { client, exchange, expect } from './lib/http.mjs';
import { misspelled, strangerKey } from './lib/keys.mjs';
import { makeDataDir, startNode } from './lib/node.mjs';

const identity = ['x-consumer-id', 'x-consumer-name', 'x-consumer-metadata', 'x-key-id', 'x-key-scopes', 'x-key-expires', 'x-environment'];

let directory;
let authority;
let node; // trusts nobody; TLS on a listener of its own
let behind; // trusts the loopback proxy, also over a unix socket
let socketPath;
let api;
let consumer;
let key;
const opened = [];
before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyreeve-grpc-'));
  authority = new Authority(directory, 'ca');
  const certificate = authority.issue('main');
  const tls = ['--tls-cert', certificate.cert, '--tls-key', certificate.key];
  node = await startNode({ flags: ['--http', 'http://127.0.0.1:0', '--http-validation', 'https://127.0.0.1:0', '--http-management', 'http://127.0.0.1:0', ...tls] });
  api = client(node);
  consumer = await api.makeConsumer('caller', { metadata: { plan: 'gold', name: 'Zoë' } });
  key = await api.makeKey('caller', { scopes: ['read', 'write'], expiresOn: '2099-01-01T00:00:00Z' });
  const dataDir = makeDataDir();
  socketPath = join(dataDir, 'http.sock');
  behind = await startNode({ dataDir, flags: ['--trusted-proxies', '127.0.0.0/8,10.0.0.0/8', '--credential-query', 'api_key', '--http-unix', socketPath] });
});
after(async () => {
  for (const one of opened) one.close();
  await node?.remove();
  await behind?.remove();
  rmSync(directory, { recursive: true, force: true });
});

const connect = (Service, { port = node.port, address = `127.0.0.1:${port}`, ...more } = {}) => {
  const one = grpcClient(Service, address, more);
  opened.push(one);
  return one;
};
const bearer = (value) => ({ authorization: `Bearer ${value}` });

/** The outcome of a check that is answered. */
async function check(question, channel = connect(envoy.Authorization)) {
  const { error, answer } = await channel.call('Check', checkRequest(question));
  assert.ifError(error);
  return outcomeOf(answer);
}

/** The error of a call that ends with this status. */
async function expectStatus(code, calling, details = /./) {
  const { error, answer } = await calling;
  assert.equal(error?.code, code, error?.message ?? JSON.stringify(answer));
  assert.match(error.details, details);
  return error;
}

// --- Authorization -------------------------------------------------------------------------------

for (const isRaw of [false, true])
  test(`Check lets a good key in, in ${isRaw ? 'header_map' : 'headers'}, and tells who it is`, async () => {
    const outcome = await check({ headers: bearer(key.key), path: '/orders?bucket=preview', isRaw, extensions: { bucket: 'production', scopes: 'read' } });
    assert.deepEqual([outcome.code, outcome.status], [0, 200]);
    assert.deepEqual(outcome.headers, {
      'x-consumer-id': consumer.id, 'x-consumer-name': 'caller', 'x-consumer-metadata': Buffer.from(JSON.stringify({ plan: 'gold', name: 'Zoë' })).toString('base64url'),
      'x-key-id': key.id, 'x-key-scopes': 'read,write', 'x-key-expires': '2099-01-01T00:00:00.000Z', 'x-environment': 'production',
    });
    assert.deepEqual(outcome.removed, ['authorization']);
    assert.deepEqual(outcome.metadata, {
      code: 'VALID', keyId: key.id, consumerId: consumer.id, consumerName: 'caller', bucket: 'production', environment: 'production', expiresOn: '2099-01-01T00:00:00.000Z', scopes: ['read', 'write'],
    });
  });

test('Check overwrites every identity header, with empty ones too, so that none that is forged passes', async () => {
  await api.makeConsumer('bare');
  const bare = await api.makeKey('bare');
  const forged = Object.fromEntries(identity.map((name) => [name, 'forged']));
  const outcome = await check({ headers: { ...forged, 'x-api-key': bare.key } });
  assert.deepEqual(Object.keys(outcome.headers), identity);
  assert.deepEqual([outcome.headers['x-key-scopes'], outcome.headers['x-key-expires']], ['', '']);
  assert.ok(!JSON.stringify(outcome).includes('forged'));
  for (const option of outcome.options) {
    assert.deepEqual([option.append, option.append_action], [null, 'OVERWRITE_IF_EXISTS_OR_ADD']);
    assert.equal(option.keep_empty_value, option.header.value === '', 'Envoy passes over an empty value otherwise');
  }
  assert.deepEqual(outcome.removed, ['X-API-Key']);
  assert.ok(!JSON.stringify(outcome).includes(bare.key), 'the key is in the answer');
});

test('Check answers one and the same 401 to every key that is not good, and the reason to the gateway alone', async () => {
  const [revoked, disabled] = [await api.makeKey('caller'), await api.makeKey('caller', { enabled: false })];
  expect(await api.post(`${api.keys('caller')}/${revoked.id}/revoke`), 200);
  const rows = { MALFORMED: misspelled(), NOT_FOUND: strangerKey(), REVOKED: revoked.key, DISABLED: disabled.key };
  const channel = connect(envoy.Authorization);
  const bodies = new Set();
  for (const [code, value] of Object.entries(rows)) {
    const outcome = await check({ headers: bearer(value) }, channel);
    assert.deepEqual([outcome.code, outcome.status], [status.UNAUTHENTICATED, 401]);
    assert.equal(outcome.headers['www-authenticate'], 'Bearer realm="keyreeve", error="invalid_token"');
    assert.equal(outcome.headers['content-type'], 'application/problem+json');
    assert.equal(outcome.metadata.code, code);
    for (const name of identity) assert.equal(outcome.headers[name], undefined);
    bodies.add(outcome.body);
  }
  const missing = await check({}, channel);
  assert.deepEqual([missing.status, missing.headers['www-authenticate']], [401, 'Bearer realm="keyreeve"']);
  bodies.add(missing.body);
  assert.equal(bodies.size, 1);
  assert.equal(JSON.parse(missing.body).status, 401);
  assert.equal((await check({ headers: { ...bearer(key.key), 'x-api-key': 'another' } }, channel)).status, 401);
});

test('Check refuses a wrong bucket and a missing scope with 403', async () => {
  for (const [extensions, code] of [[{ bucket: 'preview' }, 'FORBIDDEN'], [{ scopes: 'read,admin' }, 'INSUFFICIENT_SCOPE']]) {
    const outcome = await check({ headers: bearer(key.key), extensions });
    assert.deepEqual([outcome.code, outcome.status, outcome.metadata.code], [status.PERMISSION_DENIED, 403, code]);
    assert.equal(JSON.parse(outcome.body).status, 403);
    assert.equal(outcome.headers['www-authenticate'], undefined);
  }
});

test('Check ends the call UNAVAILABLE when nobody can tell', async () => {
  await expectStatus(status.UNAVAILABLE, connect(envoy.Authorization).call('Check', checkRequest({ headers: bearer(key.key), extensions: { bucket: '' } })), /UNAVAILABLE/);
});

test('Check believes a source of trusted gateways, and their forwarded addresses behind it', async () => {
  const [own, its] = [client(node), client(behind)];
  const near = await own.makeKey('caller', { ipAllow: ['192.0.2.0/24'] });
  assert.equal((await check({ headers: bearer(near.key), source: '192.0.2.7' })).status, 403, 'the peer is nobody to be believed');
  await its.makeConsumer('caller');
  const far = await its.makeKey('caller', { ipAllow: ['192.0.2.0/24'] });
  for (const address of [`127.0.0.1:${behind.port}`, `unix:${socketPath}`]) {
    const channel = connect(envoy.Authorization, { address });
    assert.equal((await check({ headers: bearer(far.key), source: '192.0.2.7' }, channel)).status, 200, address);
    assert.equal((await check({ headers: bearer(far.key), source: '203.0.113.7' }, channel)).status, 403, address);
    const forwarded = { 'x-forwarded-for': '203.0.113.1, 192.0.2.8, 10.1.1.2' };
    assert.equal((await check({ headers: { ...bearer(far.key), ...forwarded }, source: '10.1.1.1' }, channel)).status, 200, address);
    assert.equal((await check({ headers: { ...bearer(far.key), ...forwarded }, source: 'nowhere' }, channel)).status, 403, address);
  }
  assert.equal((await check({ path: `/a?b=c&api_key=${far.key}`, source: '192.0.2.7' }, connect(envoy.Authorization, { port: behind.port }))).status, 200);
});

test('a key that is revoked while the channel stays open is refused at the next check', async () => {
  const doomed = await api.makeKey('caller');
  const channel = connect(envoy.Authorization);
  const accepted = await node.metric('connections_accepted_total');
  assert.equal((await check({ headers: bearer(doomed.key) }, channel)).status, 200);
  expect(await api.post(`${api.keys('caller')}/${doomed.id}/revoke`, {}), 200);
  const outcome = await check({ headers: bearer(doomed.key) }, channel);
  assert.deepEqual([outcome.status, outcome.metadata.code, outcome.metadata.keyId], [401, 'REVOKED', doomed.id]);
  const opened = (await node.metric('connections_accepted_total')) - accepted;
  assert.ok(opened <= 5, `${opened} connections: the channel was not kept`);
});

test('hundreds of checks at a time on one channel have each its own answer', async () => {
  const channel = connect(envoy.Authorization);
  const strangers = Array.from({ length: 8 }, strangerKey);
  const outcomes = await Promise.all(
    Array.from({ length: 400 }, (_, i) => check({ headers: bearer(i % 3 === 0 ? strangers[i % 8] : key.key), isRaw: i % 2 === 0, extensions: i % 5 === 0 ? { bucket: 'preview' } : {} }, channel)),
  );
  outcomes.forEach((outcome, i) => assert.equal(outcome.status, i % 3 === 0 ? 401 : i % 5 === 0 ? 403 : 200, `check ${i}`));
});

test('a client that has our own .proto of the authorization reads the same answer', async () => {
  const question = { attributes: { request: { http: { headers: bearer(key.key), path: '/' } }, context_extensions: { bucket: 'production' } } };
  const { error, answer } = await connect(ownEnvoy.Authorization).call('Check', question);
  assert.ifError(error);
  assert.equal(answer.ok_response.headers.length, identity.length);
  const code = Object.entries(answer.dynamic_metadata.fields).find(([name]) => name === 'code');
  assert.equal(code[1].string_value, 'VALID');
});

test('gRPC over TLS, by ALPN, and not for a client that does not know the authority', async () => {
  const port = node.portOf('http-validation');
  const address = `localhost:${port}`;
  const good = connect(envoy.Authorization, { address, credentials: secure(Buffer.from(authority.pem)) });
  assert.equal((await check({ headers: bearer(key.key) }, good)).status, 200);
  const bad = connect(envoy.Authorization, { address, credentials: secure() });
  await expectStatus(status.UNAVAILABLE, bad.call('Check', checkRequest({}), { deadlineMs: 10_000 }));
});

test('Check refuses a request with more than can be judged: a call that fails would let it in where the gateway says so', async () => {
  const channel = connect(envoy.Authorization);
  const many = (count) => {
    const question = checkRequest({ isRaw: true });
    for (let i = 0; i < count; i++) question.attributes.request.http.header_map.headers.push({ key: 'x-api-key', raw_value: Buffer.from(key.key) });
    return question;
  };
  const asked = async (question) => {
    const { error, answer } = await channel.call('Check', question);
    assert.ifError(error);
    return outcomeOf(answer);
  };
  assert.equal((await asked(many(64))).status, 200);
  for (const [status, question] of [[431, many(65)], [413, checkRequest({ headers: bearer(key.key), body: 'x'.repeat(2 << 20) })]]) {
    const outcome = await asked(question);
    assert.deepEqual([outcome.code, outcome.status, outcome.metadata.code], [7, status, 'MALFORMED']);
    assert.equal(JSON.parse(outcome.body).status, status);
    for (const name of identity) assert.equal(outcome.headers[name], undefined);
  }
  assert.equal((await check({ headers: bearer(key.key) }, channel)).status, 200);
});

// --- Health --------------------------------------------------------------------------------------

test('Health says that the node serves, and knows no other services', async () => {
  const channel = connect(health.Health);
  for (const service of ['', 'envoy.service.auth.v3.Authorization', 'keyreeve.v1.Validation']) {
    const { error, answer } = await channel.call('Check', { service });
    assert.ifError(error);
    assert.equal(answer.status, 'SERVING', service);
  }
  await expectStatus(status.NOT_FOUND, channel.call('Check', { service: 'keyreeve.v1.Other' }));
  await expectStatus(status.UNIMPLEMENTED, channel.raw('/grpc.health.v1.Health/Watch', Buffer.alloc(0)));
});

// --- Validation ----------------------------------------------------------------------------------

test('Validate means what POST /v1/validate means', async () => {
  const channel = connect(validation.Validation);
  const { error, answer } = await channel.call('Validate', { key: key.key, bucket: 'production', scopes: ['read'] });
  assert.ifError(error);
  const { index, ageMs, ...told } = (await api.validate(key.key, { bucket: 'production', scopes: ['read'] })).body;
  assert.ok(Number(answer.index) >= 1 && index >= 1 && ageMs >= 0);
  assert.deepEqual(
    { valid: answer.valid, code: answer.code_text, keyId: answer.key_id, sub: answer.sub, data: JSON.parse(answer.data), consumer: { id: answer.consumer_id, name: answer.consumer_name }, bucket: answer.bucket, environment: answer.environment, scopes: answer.scopes, expiresOn: new Date(Number(answer.expires_ms)).toISOString(), node: answer.node, region: answer.region },
    told,
  );
  assert.equal(answer.code, 'CODE_VALID');
  for (const [question, code] of [[{ key: strangerKey() }, 'CODE_NOT_FOUND'], [{ key: 'nonsense' }, 'CODE_MALFORMED'], [{ key: key.key, bucket: 'preview' }, 'CODE_FORBIDDEN']]) {
    const refused = await channel.call('Validate', question);
    assert.ifError(refused.error);
    assert.deepEqual([refused.answer.valid, refused.answer.code], [false, code]);
  }
});

test('ValidateBatch answers in the order of the questions, and bounds their number', async () => {
  const channel = connect(validation.Validation);
  const requests = Array.from({ length: 200 }, (_, i) => ({ key: i % 2 ? key.key : 'nonsense' }));
  const { error, answer } = await channel.call('ValidateBatch', { requests });
  assert.ifError(error);
  assert.deepEqual(answer.results.map((one) => one.code), requests.map((_, i) => (i % 2 ? 'CODE_VALID' : 'CODE_MALFORMED')));
  await expectStatus(status.INVALID_ARGUMENT, channel.call('ValidateBatch', { requests: Array.from({ length: 1001 }, () => ({ key: 'k' })) }));
});

test('an explanation is for holders of a management token', async () => {
  const channel = connect(validation.Validation);
  await expectStatus(status.UNAUTHENTICATED, channel.call('Validate', { key: key.key, explain: true }), /token/);
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${node.token}`);
  const { error, answer } = await channel.call('Validate', { key: key.key, explain: true }, { metadata });
  assert.ifError(error);
  assert.equal(answer.valid, true);
});

test('refused calls count as what HTTP says: wrong tokens, too many of them, too large a message', async (t) => {
  const small = await startNode({ flags: ['--auth-failures-per-minute', '1'] });
  t.after(() => small.remove());
  const channel = connect(validation.Validation, { port: small.port });
  const counted = async () => {
    const counts = await Promise.all([401, 413, 429].map((code) => small.metric(`requests_total{route="grpc.validate",status="${code}"}`)));
    return counts.map((count) => count ?? 0);
  };
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${strangerKey('kr_mgmt')}`);
  const ask = () => channel.call('Validate', { key: 'nonsense', explain: true }, { metadata });
  await expectStatus(status.UNAUTHENTICATED, ask(), /token/);
  assert.deepEqual(await counted(), [1, 0, 0]);
  await expectStatus(status.RESOURCE_EXHAUSTED, ask(), /too many requests with a wrong token/);
  assert.deepEqual(await counted(), [1, 0, 1]);
  await expectStatus(status.RESOURCE_EXHAUSTED, channel.call('Validate', { key: 'x'.repeat(2 << 20) }));
  assert.deepEqual(await counted(), [1, 1, 1]);
});

test('a wait for an index ends with the deadline, or UNAVAILABLE after a second, and leaves the channel usable', async () => {
  const channel = connect(validation.Validation);
  await expectStatus(status.DEADLINE_EXCEEDED, channel.call('Validate', { key: key.key, min_index: '1000000' }, { deadlineMs: 200 }));
  await expectStatus(status.UNAVAILABLE, channel.call('Validate', { key: key.key, min_index: '1000000' }), /STALE/);
  const made = await api.makeKey('caller');
  const { error, answer } = await channel.call('Validate', { key: made.key, min_index: '1' });
  assert.ifError(error);
  assert.equal(answer.valid, true);
});

// --- what is refused -----------------------------------------------------------------------------

test('what is no message is an invalid argument, what is too large is told so, and the channel lives on', async () => {
  const channel = connect(envoy.Authorization);
  const isCheck = (path) => path.endsWith('Authorization/Check');
  const paths = ['/envoy.service.auth.v3.Authorization/Check', '/keyreeve.v1.Validation/Validate', '/keyreeve.v1.Validation/ValidateBatch', '/grpc.health.v1.Health/Check'];
  for (const path of paths) {
    await expectStatus(status.INVALID_ARGUMENT, channel.raw(path, Buffer.from('0a05', 'hex')));
    if (!isCheck(path)) await expectStatus(status.RESOURCE_EXHAUSTED, channel.raw(path, Buffer.alloc(5 << 20)));
  }
  for (const path of ['/envoy.service.auth.v3.Authorization/Other', '/keyreeve.v1.Other/Validate', '/v1/validate', '/healthz'])
    await expectStatus(status.UNIMPLEMENTED, channel.raw(path, Buffer.alloc(0)));
  assert.equal((await check({ headers: bearer(key.key) }, channel)).status, 200);
});

test('a listener for management serves no gRPC, and HTTP/1.1 calls no method', async () => {
  const management = connect(envoy.Authorization, { port: node.portOf('http-management') });
  await expectStatus(status.UNIMPLEMENTED, management.call('Check', checkRequest({ headers: bearer(key.key) })));
  const answer = await exchange(node, { method: 'POST', path: '/grpc.health.v1.Health/Check', headers: { 'content-type': 'application/grpc' }, body: Buffer.alloc(5) });
  assert.ok(answer.status >= 400 && answer.status < 500, String(answer.status));
});

test('no key that was checked is in the log', () => {
  assert.ok(!node.stderr.includes(key.key));
  assert.ok(!behind.stderr.includes('kr_'));
});
