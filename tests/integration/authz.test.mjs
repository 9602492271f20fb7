// SPDX-License-Identifier: Apache-2.0
// The skins for gateways over HTTP: what /authz/… tells them, and what it does not.
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { client, exchange, expect, raw, statusesOf } from './lib/http.mjs';
import { misspelled, strangerKey } from './lib/keys.mjs';
import { makeDataDir, startNode, until } from './lib/node.mjs';

const identity = ['x-consumer-id', 'x-consumer-name', 'x-consumer-metadata', 'x-key-id', 'x-key-scopes', 'x-key-expires', 'x-environment'];
const skins = ['/authz/forward', '/authz/nginx', '/authz/haproxy', '/authz/envoy'];
const tellsReason = (skin) => ['/authz/nginx', '/authz/haproxy'].includes(skin);
// Envoy puts the path and the query of its client behind the prefix with the question.
const asking = (skin, query) => (skin === '/authz/envoy' ? `${skin};${query}/v1/x?bucket=preview&scopes=none&reason=header` : `${skin}?${query}`);

let node; // trusts nobody
let behind; // trusts the loopback proxy, takes keys from query and cookie
let socketPath;
let api;
let consumer;
let key;
let denied; // kind → a key that ends in 401
before(async () => {
  node = await startNode();
  api = client(node);
  consumer = await api.makeConsumer('caller', { metadata: { plan: 'gold', name: 'Zoë' } });
  key = await api.makeKey('caller', { scopes: ['read', 'write'], expiresOn: '2099-01-01T00:00:00Z' });
  const make = async (more) => (await api.makeKey('caller', more)).key;
  const [revoked, expired] = [await api.makeKey('caller'), await api.makeKey('caller')];
  expect(await api.post(`${api.keys('caller')}/${revoked.id}/revoke`), 200);
  expect(await api.patch(`${api.keys('caller')}/${expired.id}`, { expiresOn: '2020-01-01T00:00:00Z' }), 200);
  denied = {
    MALFORMED: misspelled(),
    NOT_FOUND: strangerKey(),
    REVOKED: revoked.key,
    DISABLED: await make({ enabled: false }),
    EXPIRED: expired.key,
    NOT_YET_VALID: await make({ notBefore: '2098-01-01T00:00:00Z' }),
  };
  const dataDir = makeDataDir();
  socketPath = join(dataDir, 'http.sock');
  const flags = ['--trusted-proxies', '127.0.0.0/8,10.0.0.0/8', '--credential-query', 'api_key', '--credential-cookie', 'kr', '--realm', 'my api', '--http-unix', socketPath];
  behind = await startNode({ dataDir, flags });
});
after(async () => {
  await node.remove();
  await behind.remove();
});

const ask = (path, headers = {}, more = {}) => exchange(node, { path, headers, ...more });
const bearer = (value) => ({ authorization: `Bearer ${value}` });
const identityOf = (answer) => identity.filter((name) => answer.headers.get(name) !== null);

for (const skin of skins) {
  test(`${skin}: a good key is 200 with the whole set of identity headers and no body`, async () => {
    const answer = await ask(skin, bearer(key.key));
    assert.equal(answer.status, 200);
    assert.deepEqual(Object.fromEntries(identity.map((name) => [name, answer.headers.get(name)])), {
      'x-consumer-id': consumer.id, 'x-consumer-name': 'caller', 'x-consumer-metadata': Buffer.from(JSON.stringify({ plan: 'gold', name: 'Zoë' })).toString('base64url'),
      'x-key-id': key.id, 'x-key-scopes': 'read,write', 'x-key-expires': '2099-01-01T00:00:00.000Z', 'x-environment': 'production',
    });
    assert.equal(answer.headers.get('content-length'), '0');
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.equal(answer.headers.get('x-auth-reason'), null);
    assert.ok(answer.headers.get('x-request-id'));
  });

  test(`${skin}: what has no value is an empty header, so that a forged one cannot pass`, async () => {
    await api.makeConsumer(`bare-${skin.slice(7)}`);
    const bare = await api.makeKey(`bare-${skin.slice(7)}`);
    const answer = await ask(skin, { ...bearer(bare.key), 'x-consumer-name': 'root', 'x-key-scopes': 'admin', 'x-key-expires': 'never' });
    assert.deepEqual(identityOf(answer), identity);
    assert.equal(answer.headers.get('x-key-scopes'), '');
    assert.equal(answer.headers.get('x-key-expires'), '');
    assert.equal(answer.headers.get('x-consumer-metadata'), Buffer.from('{}').toString('base64url'));
    assert.equal(answer.headers.get('x-consumer-name'), `bare-${skin.slice(7)}`);
  });

  test(`${skin}: every key that is not good gets one and the same 401, without identity`, async () => {
    const answers = [];
    for (const [reason, value] of Object.entries(denied)) {
      const answer = await ask(skin, bearer(value));
      assert.equal(answer.status, 401, reason);
      assert.deepEqual(identityOf(answer), []);
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer realm="keyreeve", error="invalid_token"');
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      const { date, 'x-request-id': id, 'x-auth-reason': told, ...rest } = answer.headers.all;
      assert.equal(told, tellsReason(skin) ? reason : undefined);
      answers.push(JSON.stringify([rest, answer.text]));
    }
    assert.equal(new Set(answers).size, 1, answers.join('\n'));
  });

  test(`${skin}: no key at all is 401 with a challenge that names no error`, async () => {
    for (const headers of [{}, { authorization: '' }, { authorization: 'Bearer' }, { authorization: 'Digest x' }, { 'x-api-key': '' }]) {
      const answer = await ask(skin, headers);
      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer realm="keyreeve"', JSON.stringify(headers));
      assert.deepEqual(identityOf(answer), []);
    }
  });

  test(`${skin}: the key may come as Bearer, X-API-Key or Basic's user part`, async () => {
    const basic = (text) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    for (const headers of [bearer(key.key), { authorization: `bearer  ${key.key}` }, { 'x-api-key': key.key }, basic(`${key.key}:`), basic(`${key.key}:password`), basic(key.key)])
      assert.equal((await ask(skin, headers)).status, 200, JSON.stringify(headers));
    for (const headers of [basic(`:${key.key}`), { authorization: 'Basic %%%' }, { authorization: key.key }, { authorization: `Bearer ${key.key} x` }, { cookie: `kr=${key.key}` }])
      assert.equal((await ask(skin, headers)).status, 401, JSON.stringify(headers));
    assert.equal((await ask(skin, { 'x-forwarded-uri': `/x?api_key=${key.key}` })).status, 401, 'off by default');
  });

  test(`${skin}: two different keys in one request are 401, the same one twice is not`, async () => {
    const other = await api.makeKey('caller');
    assert.equal((await ask(skin, { ...bearer(key.key), 'x-api-key': key.key })).status, 200);
    for (const headers of [{ ...bearer(key.key), 'x-api-key': other.key }, { ...bearer(key.key), 'x-api-key': denied.REVOKED }, { 'x-api-key': [key.key, other.key] }]) {
      const answer = await ask(skin, headers);
      assert.equal(answer.status, 401, JSON.stringify(headers));
      assert.deepEqual(identityOf(answer), []);
    }
  });

  test(`${skin}: bucket and scopes of the route's URL are required: 403 without identity`, async () => {
    const { id } = (await api.get(`${api.buckets}/production`)).body;
    for (const query of ['bucket=production', `bucket=${id}`, 'scopes=read', 'scopes=write,read', 'bucket=production&reason=header', 'scopes=write%2Cread', 'scopes=read&&scopes=write'])
      assert.equal((await ask(asking(skin, query), bearer(key.key))).status, 200, query);
    for (const [query, reason] of [['bucket=preview', 'FORBIDDEN'], ['bucket=nowhere', 'FORBIDDEN'], ['scopes=read,admin', 'INSUFFICIENT_SCOPE']]) {
      const answer = await ask(asking(skin, query), bearer(key.key));
      assert.equal(answer.status, 403, query);
      assert.deepEqual(identityOf(answer), []);
      assert.equal(answer.headers.get('www-authenticate'), null);
      assert.equal(answer.headers.get('x-auth-reason'), tellsReason(skin) ? reason : null);
    }
  });

  test(`${skin}: requirements that cannot be understood let nobody in, and say 503`, async () => {
    for (const query of [`scopes=${[...Array(40).fill('read'), 'admin'].join(',')}`, 'scopes=%zz', 'bucket=%00', Array.from({ length: 20 }, (_, i) => `p${i}=1`).join('&')]) {
      const answer = await ask(asking(skin, query), bearer(key.key));
      assert.deepEqual(identityOf(answer), []);
      if (skin === '/authz/nginx') {
        assert.deepEqual([answer.status, answer.headers.get('x-error-status'), answer.headers.get('content-length')], [403, '503', '0'], query);
      } else {
        assert.equal(answer.status, 503, query);
      }
      assert.equal(answer.headers.get('retry-after'), '1');
    }
  });

  test(`${skin}: a mistyped question lets nobody in, where it would ask for less than was meant`, async () => {
    const mistyped = ['scope=read', 'bucket=production&scope=admin', 'scopes=', 'scopes=,', 'bucket=production&scopes=', 'buckets=preview', 'Bucket=preview', 'bucket=', 'bucket', 'bucket=production&bucket=production', 'production', '=production', 'api_key=x'];
    for (const query of mistyped) {
      const answer = await ask(asking(skin, query), bearer(key.key));
      assert.equal(skin === '/authz/nginx' ? answer.headers.get('x-error-status') : String(answer.status), '503', query);
      assert.notEqual(answer.status, 200, query);
      assert.deepEqual(identityOf(answer), [], query);
    }
  });

  test(`${skin}: any method is answered, HEAD without a body, and a body is read and ignored`, async () => {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'PURGE', 'TRACE']) {
      assert.equal((await ask(skin, bearer(key.key), { method })).status, 200, method);
      const refused = await ask(skin, bearer(denied.NOT_FOUND), { method });
      assert.equal(refused.status, 401, method);
    }
    const body = 'x'.repeat(100_000);
    assert.equal((await ask(skin, { ...bearer(key.key), 'content-type': 'text/html' }, { method: 'POST', body })).status, 200);
    assert.equal((await ask(skin, { ...bearer(key.key), 'transfer-encoding': 'chunked' }, { method: 'POST', body })).status, 200);
    const connection = raw(node);
    connection.write(`HEAD ${skin} HTTP/1.1\r\nHost: a\r\n\r\nHEAD ${skin} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${key.key}\r\nConnection: close\r\n\r\n`);
    assert.deepEqual(statusesOf(await connection.until((_, closed) => closed), { isHead: true }), [401, 200]);
  });

  test(`${skin}: connections are kept for the next question`, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const accepted = await node.metric('connections_accepted_total');
    for (let i = 0; i < 50; i++) await ask(skin, bearer(i % 2 ? key.key : denied.REVOKED), { agent });
    agent.destroy();
    assert.ok((await node.metric('connections_accepted_total')) - accepted <= 3);
  });
}

test('envoy: any path below the prefix is fine, and none of it is a question', async () => {
  for (const path of ['', '/', '/x', '/x/../y//z', '/x;bucket=preview', '/;bucket=preview', '/?bucket=preview', '/x?scopes=admin&bucket=', '/%2f;x', '/v1/validate', '/*'])
    for (const question of ['', ';bucket=production&scopes=read'])
      assert.equal((await ask(`/authz/envoy${question}${path}`, bearer(key.key))).status, 200, question + path);
  for (const path of ['/authz/envoy;bucket=preview', '/authz/envoy;bucket=preview/?bucket=production', '/authz/envoy;scopes=admin/;scopes=read'])
    assert.equal((await ask(path, bearer(key.key))).status, 403, path);
  for (const path of ['/authz/envoyx', '/authz/envoy%3Bbucket=production'])
    assert.equal((await ask(path, bearer(key.key))).status, 404, path);
});

test('envoy: a question in the query, where other gateways have it, lets nobody in', async () => {
  for (const path of ['/authz/envoy?bucket=preview', '/authz/envoy?bucket=production/x?y=1', '/authz/envoy;bucket=production?scopes=admin', '/authz/envoy?x'])
    assert.equal((await ask(path, bearer(key.key))).status, 503, path);
  for (const path of ['/authz/envoy/?bucket=preview', '/authz/envoy?', '/authz/envoy;bucket=production?'])
    assert.equal((await ask(path, bearer(key.key))).status, 200, path);
});

test('a question that is not understood is told to the operator, by the name of the parameter alone', async () => {
  const flags = ['--serve-threads', '1'];
  const told = await startNode({ flags });
  try {
    const own = client(told);
    await own.makeConsumer('c');
    const { key: value } = await own.makeKey('c');
    for (let i = 0; i < 3; i++) await exchange(told, { path: `/authz/forward?buckets=some-secret`, headers: bearer(value) });
    const lines = () => told.stderr.split('\n').filter((line) => line.includes('question is not understood'));
    await until(() => lines().length > 0, { what: 'the line' });
    assert.equal(lines().length, 1);
    assert.match(lines()[0], /buckets/);
    assert.doesNotMatch(lines()[0], /some-secret/);
  } finally {
    await told.remove();
  }
});

test('envoy: the headers that carried the key are named for removal, on a 200 alone', async () => {
  const name = 'x-envoy-auth-headers-to-remove';
  const removed = async (headers) => (await ask('/authz/envoy/x', headers)).headers.get(name)?.toLowerCase() ?? null;
  assert.equal(await removed(bearer(key.key)), 'authorization');
  assert.equal(await removed({ 'x-api-key': key.key }), 'x-api-key');
  assert.equal(await removed({ 'x-api-key': key.key, authorization: 'Digest x' }), 'x-api-key');
  assert.equal(await removed({ ...bearer(key.key), 'x-api-key': key.key }), 'authorization,x-api-key');
  assert.equal(await removed(bearer(denied.REVOKED)), null);
  assert.equal((await ask('/authz/forward', bearer(key.key))).headers.get(name), null);
});

test('envoy: the reason is told where the prefix asks for it, whatever the client puts behind', async () => {
  assert.equal((await ask('/authz/envoy;reason=header/x', bearer(denied.REVOKED))).headers.get('x-auth-reason'), 'REVOKED');
  assert.equal((await ask('/authz/envoy/;reason=header?reason=header', bearer(denied.REVOKED))).headers.get('x-auth-reason'), null);
});

test('haproxy: a denial has the same body as for the others, and the reason beside it', async () => {
  const [told, untold] = [await ask('/authz/haproxy', bearer(denied.REVOKED)), await ask('/authz/forward', bearer(denied.REVOKED))];
  assert.equal(told.text, untold.text);
  assert.equal(told.headers.get('x-auth-reason'), 'REVOKED');
});

test('forward: a denial has a problem+json body for the client that tells no reason', async () => {
  const answer = await ask('/authz/forward', bearer(denied.REVOKED));
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  const { type, title, status, detail } = JSON.parse(answer.text);
  assert.deepEqual([type, title, status], ['https://httpproblems.com/http-status/401', 'Unauthorized', 401]);
  assert.doesNotMatch(detail + JSON.stringify(answer.headers.all), /revoked/i);
});

test('forward: reason=header gives the reason to a gateway that asks for it', async () => {
  const answer = await ask('/authz/forward?reason=header', bearer(denied.REVOKED));
  assert.equal(answer.headers.get('x-auth-reason'), 'REVOKED');
  assert.equal((await ask('/authz/forward?reason=body', bearer(denied.REVOKED))).headers.get('x-auth-reason'), null);
});

test('nginx: a denial has Content-Length: 0 and no body', async () => {
  for (const [path, headers, status] of [['/authz/nginx', bearer(denied.EXPIRED), 401], ['/authz/nginx?bucket=preview', bearer(key.key), 403], ['/authz/nginx', {}, 401]]) {
    const answer = await ask(path, headers);
    assert.deepEqual([answer.status, answer.headers.get('content-length'), answer.text, answer.headers.get('content-type')], [status, '0', '', null]);
  }
});

test('the key may come from a query parameter and a cookie where that is switched on', async () => {
  const own = client(behind);
  await own.makeConsumer('c');
  const { key: value } = await own.makeKey('c');
  const other = (await own.makeKey('c')).key;
  const from = (headers, path = '/authz/nginx') => exchange(behind, { path, headers }).then((answer) => answer.status);
  for (const name of ['x-forwarded-uri', 'x-original-uri']) {
    assert.equal(await from({ [name]: `/api/x?a=b&api_key=${value}&c` }), 200);
    assert.equal(await from({ [name]: `/api/x?api_key=${encodeURIComponent(value)}` }), 200);
    assert.equal(await from({ [name]: `/api/x?xapi_key=${value}` }), 401);
    assert.equal(await from({ [name]: `/api/api_key=${value}` }), 401);
  }
  const odd = 'of=its&caller+100%-own';
  expect(await own.post(own.keys('c'), { key: odd }), 200);
  assert.equal(await from({ 'x-forwarded-uri': `/x?api_key=${encodeURIComponent(odd)}` }), 200, 'it is decoded');
  assert.equal(await from({ 'x-forwarded-uri': `/x?api_key=${value}&api_key=${other}` }), 401, 'two different keys');
  assert.equal(await from({}, `/authz/envoy;bucket=production/x?a=b&api_key=${value}`), 200);
  assert.equal(await from({ 'x-forwarded-uri': `/x?api_key=${value}` }, '/authz/envoy/x'), 401, 'Envoy says the path itself');
  assert.equal(await from({ cookie: `a=b; kr=${value}; c=d` }), 200);
  assert.equal(await from({ cookie: `kr=${value}` }), 200);
  assert.equal(await from({ cookie: `akr=${value}; krx=${value}` }), 401);
  assert.equal(await from({ cookie: `kr=${value}`, authorization: `Bearer ${other}` }), 401);
  assert.equal(await from({ cookie: `kr=${value}; kr=${other}` }), 401);
  const challenge = await exchange(behind, { path: '/authz/nginx' });
  assert.equal(challenge.headers.get('www-authenticate'), 'Bearer realm="my api"');
});

test('the key may come with another scheme of Authorization, for validations alone, and the challenge names it', async () => {
  const other = await startNode({ flags: ['--credential-scheme', 'ApiKey'] });
  try {
    const own = client(other);
    await own.makeConsumer('c');
    const { key: value } = await own.makeKey('c');
    const status = async (scheme, path = '/authz/forward', credential = value) => (await exchange(other, { path, headers: { authorization: `${scheme} ${credential}` } })).status;
    for (const scheme of ['ApiKey', 'apikey', 'Bearer']) assert.equal(await status(scheme), 200, scheme);
    assert.equal(await status('Token'), 401);
    assert.equal(await status('Bearer', own.buckets, other.token), 200);
    assert.equal(await status('ApiKey', own.buckets, other.token), 401);
    const challenge = await exchange(other, { path: '/authz/forward', headers: { authorization: 'ApiKey x' } });
    assert.equal(challenge.headers.get('www-authenticate'), 'ApiKey realm="keyreeve", error="invalid_token"');
  } finally {
    await other.remove();
  }
});

test('ipAllow: the forwarded address counts only from a trusted proxy', async () => {
  const forwarded = async (target, ipAllow, header, more = {}) => {
    const own = client(target);
    const name = `ip-${Math.random().toString(36).slice(2)}`;
    await own.makeConsumer(name);
    const { key: value } = await own.makeKey(name, { ipAllow });
    const headers = { ...bearer(value), ...(header === undefined ? {} : { 'x-forwarded-for': header }) };
    return (await exchange(target, { path: '/authz/forward', headers, ...more })).status;
  };
  const allow = ['192.0.2.0/24', '2001:db8::/32'];
  assert.equal(await forwarded(node, allow, '192.0.2.7'), 403, 'an untrusted peer may say what it likes');
  assert.equal(await forwarded(node, ['127.0.0.1'], '192.0.2.7'), 200, 'its own address counts');
  assert.equal(await forwarded(node, ['127.0.0.1'], undefined), 200);
  assert.equal(await forwarded(behind, allow, '192.0.2.7'), 200);
  assert.equal(await forwarded(behind, allow, '2001:db8::5'), 200);
  assert.equal(await forwarded(behind, allow, '192.0.2.7, 10.1.2.3, 127.0.0.1'), 200, 'trusted hops are skipped');
  assert.equal(await forwarded(behind, allow, ['192.0.2.7', '10.1.2.3']), 200, 'several fields are one list');
  assert.equal(await forwarded(behind, allow, '192.0.2.7, 203.0.113.9'), 403, 'the rightmost untrusted address is the client');
  assert.equal(await forwarded(behind, allow, '203.0.113.9'), 403);
  assert.equal(await forwarded(behind, allow, 'unknown'), 403);
  assert.equal(await forwarded(behind, allow, '192.0.2.7, unknown'), 403, 'nothing behind what is no address is believed');
  assert.equal(await forwarded(behind, allow, undefined), 403, 'a proxy that does not say is no client');
  assert.equal(await forwarded(behind, allow, ''), 403);
  assert.equal(await forwarded(behind, allow, '192.0.2.7', { socketPath }), 200, 'who may open the unix socket is trusted');
  assert.equal(await forwarded(behind, allow, undefined, { socketPath }), 403);
});
