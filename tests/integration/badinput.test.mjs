// SPDX-License-Identifier: Apache-2.0
// What management requests must not be: wrong bodies, types, sizes, paths and methods. Each is
// refused with a problem that names the mistake, and nothing is written.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, exchange, expect, expectProblem, raw } from './lib/http.mjs';
import { startNode } from './lib/node.mjs';
import { readRoutes } from './lib/routes.mjs';

const routes = readRoutes();
let node;
let api;
let key;
let index; // the log's position, which nothing here may move
before(async () => {
  node = await startNode();
  api = client(node);
  await api.makeConsumer('c');
  key = await api.makeKey('c');
  index = (await api.get('/v1/cluster')).body.index;
});
after(async () => {
  assert.equal((await api.get('/v1/cluster')).body.index, index, 'a refused request wrote something');
  await node.remove();
});

const pathOf = (route) =>
  route.path.replace(/\{(\w+)\}/g, (_, name) => ({ account: 'default', bucket: 'production', consumer: 'c', id: key.id, index: '1', rest: '/x' })[name]);
const bearer = () => ({ authorization: `Bearer ${node.token}` });
// A body of its own is what these take; DELETE takes none.
const writing = routes.filter((route) => route.right !== 'NONE' && ['POST', 'PATCH'].includes(route.method));

test('all routes that change something by a body are tried', () => {
  const left = routes.filter((route) => route.limitBytes > 0 && !writing.includes(route) && route.method !== 'DELETE');
  assert.deepEqual(left.map((route) => route.name).filter((name) => !/^(authz|validate|grpc)(\.|$)/.test(name)), []);
  for (const kind of ['CALL', 'CHANGE', 'LOCAL']) assert.ok(writing.some((route) => route.kind === kind), kind);
});

for (const route of writing) {
  test(`${route.name}: a body that is no JSON, of another form or too deep is 400`, async () => {
    const isArray = route.name === 'key.bulk';
    const wrap = (text) => (isArray ? `[${text}]` : text);
    const deep = (levels) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
    for (const body of ['{', 'nonsense', '"text"', '5', 'null', 'true', isArray ? '{}' : '[]', wrap('{"a":1,}'), wrap("{'a':1}"), wrap(deep(40)), `${'['.repeat(100_000)}`, wrap('{"a":NaN}'), wrap('{"description":"a","description":"b"}'), `${wrap('{}')} {}`])
      expectProblem(await api.call(route.method, pathOf(route), body), 400);
    for (const bytes of [[0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d], [0xef, 0xbb, 0xbf, 0x7b, 0x7d], [0x00]])
      expectProblem(await api.call(route.method, pathOf(route), Buffer.from(bytes)), 400);
    expectProblem(await api.call(route.method, pathOf(route), wrap('{"description":"\ud800"}').replace('\ud800', '\\ud800')), 400);
  });

  test(`${route.name}: an unknown field is 400 with its name`, async () => {
    const body = route.name === 'key.bulk' ? [{ thisFieldIsUnknown: 1 }] : { thisFieldIsUnknown: 1 };
    expectProblem(await api.call(route.method, pathOf(route), body), 400, /thisFieldIsUnknown/);
  });

  test(`${route.name}: another media type is 415, a body over the limit 413`, async () => {
    for (const type of ['text/plain', 'application/xml', 'multipart/form-data'])
      expectProblem(await api.call(route.method, pathOf(route), '{}', { 'content-type': type }), 415);
    const connection = raw(node);
    connection.write(`${route.method} ${pathOf(route)} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${node.token}\r\nContent-Length: ${route.limitBytes + 1}\r\n\r\n`);
    const refusal = await connection.until((_, closed) => closed);
    assert.match(refusal, /^HTTP\/1\.1 413 .*application\/problem\+json.*"status":413/s);
    assert.ok(refusal.includes(`"instance":"${pathOf(route)}"`), refusal);
  });
}

test('a client that sends far too much still learns why', async () => {
  const answer = await api.post(api.consumers(), { name: 'x', description: 'd'.repeat(3 << 20) });
  expectProblem(answer, 413);
});

test('every field refuses a wrong type and names itself', async () => {
  const wrong = {
    text: [5, true, [], {}],
    bool: [0, 'true', null, [], {}],
    number: ['5', true, 1.5, -1, [], {}],
    time: [5, 'tomorrow', '2020-13-01T00:00:00Z', true, {}],
    tags: ['x', [], { a: 1 }, { a: null }, { a: { b: 'c' } }, 5],
    metadata: ['x', [], 5, true],
    texts: ['x', {}, [1], [null], [[]], ['']],
  };
  const fields = {
    [api.buckets]: { name: 'text', description: 'text', tags: 'tags', isRetrievable: 'bool', environment: 'text', keyPrefix: 'text', defaultExpiryDays: 'number', maxStalenessMs: 'number', metadataLimit: 'number', deleteProtection: 'bool' },
    [api.consumers()]: { name: 'text', description: 'text', tags: 'tags', metadata: 'metadata' },
    [api.keys('c')]: { description: 'text', expiresOn: 'time', key: 'text', enabled: 'bool', notBefore: 'time', scopes: 'texts', ipAllow: 'texts', tags: 'tags', metadata: 'metadata' },
    '/v1/accounts/default/tokens': { label: 'text', roles: 'texts', buckets: 'texts', environment: 'text', expiresOn: 'time' },
    [`${api.consumers()}/c/managers`]: { email: 'text', sub: 'text' },
    [`${api.consumers()}/c/roll-key`]: { expiresOn: 'time' },
    [`${api.keys('c')}/${'{id}'}/revoke`]: { reason: 'text' },
  };
  const valid = { [api.buckets]: { name: 'bad-input' }, [api.consumers()]: { name: 'bad-input' }, '/v1/accounts/default/tokens': { label: 'x', roles: ['viewer'] }, [`${api.consumers()}/c/managers`]: { email: 'a@example.org' } };
  for (const [path, names] of Object.entries(fields)) {
    for (const [name, kind] of Object.entries(names)) {
      for (const value of wrong[kind]) {
        const answer = await api.post(path.replace('{id}', key.id), { ...valid[path], [name]: value });
        expectProblem(answer, 400, new RegExp(`^${name}`));
      }
    }
  }
});

test('limits of texts, tags, metadata, scopes and addresses', async () => {
  const consumer = (more) => api.post(api.consumers(), { name: 'bad-input', ...more });
  const made = (more) => api.post(api.keys('c'), more);
  expectProblem(await consumer({ tags: Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`t${i}`, 'x'])) }), 400, /tags.*5/);
  expectProblem(await consumer({ tags: { '': 'x' } }), 400, /tags/);
  expectProblem(await consumer({ tags: { ['n'.repeat(65)]: 'x' } }), 400, /tags/);
  expectProblem(await consumer({ tags: { n: 'x'.repeat(257) } }), 400, /tags/);
  expectProblem(await consumer({ metadata: { a: 'x'.repeat(1024) } }), 400, /metadata.*1024/);
  expectProblem(await consumer({ metadata: { a: 'ü'.repeat(510) } }), 400, /metadata/);
  expectProblem(await consumer({ description: 'd'.repeat(1025) }), 400, /description.*1024/);
  expectProblem(await made({ scopes: Array.from({ length: 65 }, (_, i) => `s${i}`) }), 400, /scopes/);
  expectProblem(await made({ scopes: ['with space'] }), 400, /scopes\[0\]/);
  expectProblem(await made({ scopes: ['a', 'com,ma'] }), 400, /scopes\[1\]/);
  expectProblem(await made({ ipAllow: ['10.0.0.1/8'] }), 400, /ipAllow\[0\]/);
  expectProblem(await made({ ipAllow: ['10.0.0.0/8', '10.0.0.0/33'] }), 400, /ipAllow\[1\]/);
  expectProblem(await made({ ipAllow: ['example.org'] }), 400, /ipAllow\[0\]/);
  expectProblem(await made({ notBefore: '2099-01-01T00:00:00Z', expiresOn: '2098-01-01T00:00:00Z' }), 400, /notBefore/);
});

test('paths that are none, or malformed, are 404 or 400', async () => {
  for (const path of ['/', '/v1', '/v2/accounts/default/key-buckets', '/v1/accounts', '/v1/accounts/default', '/v1/accounts/default/key-buckets/production/consumers/c/keys/x/y', '/favicon.ico', '/healthz/x'])
    expectProblem(await api.get(path), 404);
  for (const path of ['/v1/accounts/default/key-buckets/%zz', '/v1/accounts/default/key-buckets/%00', '/v1/accounts/default/key-buckets/a%2Fb', '/v1/accounts/default/key-buckets/%ff', '/v1/accounts/default/key-buckets/%2e%2e', '/v1/accounts/default/key-buckets?limit=%f']) {
    const answer = await exchange(node, { path, headers: bearer() });
    assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`);
  }
  const many = Array.from({ length: 40 }, (_, i) => `p${i}=1`).join('&');
  expectProblem(await api.get(`${api.buckets}?${many}`), 400);
});

test('every path answers methods that it has not with 405 and the ones that it has', async () => {
  const matches = (template, path) => new RegExp(`^${template.replace(/[$.]/g, '\\$&').replace(/\{\w+\}/g, '[^/]+')}$`).test(path);
  for (const path of new Set(routes.map((route) => route.path))) {
    const list = routes.filter((route) => matches(route.path, path)).map((route) => route.method);
    if (list.includes('*')) continue;
    const allowed = new Set(list.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])));
    for (const method of ['PUT', 'PATCH', 'DELETE', 'POST', 'OPTIONS'].filter((name) => !allowed.has(name))) {
      const answer = await exchange(node, { method, path: pathOf({ path }), headers: bearer() });
      assert.equal(answer.status, 405, `${method} ${path}`);
      assert.deepEqual(new Set(answer.headers.get('allow').split(', ')), allowed, path);
    }
  }
});

test('HEAD is answered as GET, without a body', async () => {
  for (const path of [api.buckets, `${api.keys('c')}/${key.id}`, '/healthz', '/absent']) {
    const [got, headOnly] = [await exchange(node, { path, headers: bearer() }), await exchange(node, { method: 'HEAD', path, headers: bearer() })];
    assert.deepEqual([headOnly.status, headOnly.text], [got.status, '']);
    if (got.status === 200) assert.equal(headOnly.headers.get('content-length'), got.headers.get('content-length'));
  }
});

test('every answer of every route carries its own X-Request-Id', async () => {
  const seen = new Set();
  for (const route of routes) {
    for (const headers of [{}, bearer()]) {
      const method = route.method === '*' ? 'GET' : route.method;
      const isHarmless = ['GET', '*'].includes(route.method) || !headers.authorization;
      const answer = await exchange(node, { method, path: isHarmless ? pathOf(route) : `${pathOf(route)}-x`, headers });
      const id = answer.headers.get('x-request-id');
      assert.match(id ?? '', /^req_\w{20,}$/, `${method} ${route.path}: ${answer.status}`);
      assert.ok(!seen.has(id), 'given twice');
      seen.add(id);
    }
  }
});

test('a problem names the path as instance, and says nothing of what was sent', async () => {
  const secret = 'kr_live_thisIsNoKeyButLooksSecret0123456789abcdef_00000000';
  const answer = expectProblem(await api.post(api.keys('c'), { key: secret }), 400);
  assert.equal(answer.body.instance, api.keys('c'));
  assert.ok(!answer.text.includes('thisIsNoKey'));
  assert.ok(!expect(await api.post(api.keys('c'), `{"key":"${secret}"`), 400).text.includes('thisIsNoKey'));
});
