// SPDX-License-Identifier: Apache-2.0
// Who may do what: tokens, roles against every route of the table, limits, the audit trail, rates.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { client, expect, expectProblem } from './lib/http.mjs';
import { strangerKey } from './lib/keys.mjs';
import { dataDirFor, startNode, until } from './lib/node.mjs';
import { encode } from './lib/protobuf.mjs';
import { readRoutes } from './lib/routes.mjs';

const routes = readRoutes();
const guarded = routes.filter((route) => route.right !== 'NONE');
const roles = ['owner', 'admin', 'developer', 'viewer'];
const holders = {
  ANY: roles, READ: roles, ROLL: ['owner', 'admin', 'developer'], REVEAL: ['owner', 'admin', 'developer'],
  WRITE: ['owner', 'admin'], REVOKE: ['owner', 'admin'], AUDIT: ['owner', 'admin'], BUCKETS: ['owner'], TOKENS: ['owner'],
};
const tokens = '/v1/accounts/default/tokens';
const audits = '/v1/accounts/default/audit-logs';

let node;
let api;
let as = {}; // role → client
before(async () => {
  node = await startNode();
  api = client(node);
  await api.makeBucket('matrix', { isRetrievable: true });
  await api.makeConsumer('m', {}, 'matrix');
  for (const role of roles) as[role] = client(node, (await api.makeToken(`a ${role}`, { roles: [role] })).token);
});
after(() => node.remove());

// --- tokens --------------------------------------------------------------------------------------

test('a token is shown once, works, is listed masked, and ends with its deletion', async () => {
  const made = await api.makeToken('ci', { roles: ['viewer', 'developer'], expiresOn: '2099-01-01T00:00:00Z' });
  assert.match(made.id, /^key_[0-9A-Za-z]{24}$/);
  assert.match(made.token, /^kr_mgmt_[0-9A-Za-z]{43}_[0-9a-f]{8}$/);
  assert.deepEqual([made.label, new Set(made.roles), made.expiresOn], ['ci', new Set(['viewer', 'developer']), '2099-01-01T00:00:00.000Z']);
  const own = client(node, made.token);
  const me = expect(await own.get('/v1/who-am-i'), 200).body;
  assert.equal(me.sub, made.id);
  assert.deepEqual(new Set(me.roles), new Set(['viewer', 'developer']));
  const list = expect(await api.get(tokens), 200);
  assert.ok(list.body.data.some((token) => token.id === made.id && token.masked === made.masked));
  assert.ok(!list.text.includes(made.token) && !list.text.includes(node.token));
  expect(await api.call('DELETE', `${tokens}/${made.id}`, {}), 204);
  expectProblem(await own.get('/v1/who-am-i'), 401);
  expectProblem(await api.delete(`${tokens}/key_000000000000000000000000`), 404);
});

test('the last owner token cannot be deleted, and two at once cannot both go', async () => {
  const list = (await api.get(tokens)).body.data;
  const owners = list.filter((token) => token.roles.includes('owner') && token.status === 'active');
  assert.equal(owners.length, 2);
  const answers = await Promise.all(owners.map((token) => api.delete(`${tokens}/${token.id}`)));
  const gone = answers.filter((answer) => answer.status === 204).length;
  assert.equal(gone, 1, answers.map((answer) => `${answer.status} ${answer.text}`).join('\n'));
  const left = [api, as.owner];
  const works = await Promise.all(left.map(async (own) => (await own.get('/v1/who-am-i')).status === 200));
  assert.deepEqual([...works].sort(), [false, true]);
  api = left[works.indexOf(true)];
  as.owner = client(node, (await api.makeToken('another owner', { roles: ['owner'] })).token);
});

/** A token that ends soon; one whose end came before it was made, on a busy machine, is asked for again. */
async function makeBriefToken() {
  for (let lifeMs = 600; ; lifeMs *= 2) {
    const began = Date.now();
    const answer = await api.post(tokens, { label: 'brief', roles: ['viewer'], expiresOn: new Date(began + lifeMs).toISOString() });
    if (answer.status === 400 && Date.now() - began >= lifeMs) continue;
    return expect(answer, 200).body;
  }
}

test('bad tokens are refused: none, another scheme, garbage, a gateway\'s key, expired, disabled', async () => {
  const key = await api.makeKey('m', {}, 'matrix');
  const brief = await makeBriefToken();
  await until(async () => (await client(node, brief.token).get('/v1/who-am-i')).status === 401, { what: 'the token\'s expiry', everyMs: 50 });
  for (const authorization of [undefined, '', 'Bearer', 'Bearer ', `Basic ${node.token}`, 'Bearer x', `Bearer ${strangerKey('kr_mgmt')}`, `Bearer ${key.key}`, `Bearer ${brief.token}`, node.token]) {
    const answer = await client(node, '').get(api.buckets, authorization === undefined ? {} : { authorization });
    expectProblem(answer, 401);
    assert.match(answer.headers.get('www-authenticate'), /^Bearer realm="keyreeve"/);
  }
  for (const body of [{}, { roles: [] }, { roles: ['root'] }, { roles: 'owner' }, { roles: ['viewer'], buckets: ['nowhere'] }, { roles: ['viewer'], environment: 'moon' }, { roles: ['viewer'], expiresOn: '2020-01-01T00:00:00Z' }, { roles: ['viewer'], scopes: [] }])
    expectProblem(await api.post(tokens, { label: 'x', ...body }), 400);
});

// --- the matrix ----------------------------------------------------------------------------------

/** The route's path with resources that exist, and a request that changes nothing when allowed. */
function request(route) {
  const values = { account: 'default', bucket: 'matrix', consumer: 'm', id: 'key_000000000000000000000000', index: '1' };
  const path = route.path.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const body = route.method === 'POST' || route.method === 'PATCH' ? { thisFieldIsUnknown: 1 } : undefined;
  return [route.method, path, body, { 'if-match': '"none"' }];
}

test('all but what is open to everybody is in the matrix', () => {
  const open = routes.filter((route) => !guarded.includes(route)).map((route) => route.name);
  assert.deepEqual(open.filter((name) => !/^(authz|validate|grpc)(\.|$)/.test(name)), ['health', 'ready', 'metrics', 'openapi', 'cluster.nearest']);
  for (const route of guarded) assert.ok(holders[route.right], `${route.name}: who has the right ${route.right}?`);
});

for (const route of guarded) {
  test(`${route.name} is for ${holders[route.right].join(', ')} alone`, async () => {
    for (const role of roles) {
      const answer = await as[role].call(...request(route));
      if (holders[route.right].includes(role)) {
        assert.ok(![401, 403, 405, 500].includes(answer.status), `${role}: ${answer.status} ${answer.text}`);
      } else {
        expectProblem(answer, 403, /roles/);
      }
    }
    expectProblem(await client(node, '').call(...request(route)), 401);
  });
}

test('probes, metrics and the description are open', async () => {
  for (const path of ['/healthz', '/readyz', '/metrics', '/openapi']) assert.equal((await client(node, '').get(path)).status, 200, path);
});

test('key-format=visible needs the right to reveal', async () => {
  const key = await api.makeKey('m', {}, 'matrix');
  for (const role of roles) {
    const answer = await as[role].get(`${api.keys('m', 'matrix')}/${key.id}?key-format=visible`);
    if (role === 'viewer') expectProblem(answer, 403);
    else assert.equal(expect(answer, 200).body.key, key.key);
  }
});

// --- limits --------------------------------------------------------------------------------------

test('a token limited to buckets sees and touches no other', async () => {
  const own = client(node, (await api.makeToken('limited', { roles: ['admin'], buckets: ['matrix', 'preview'] })).token);
  assert.deepEqual((await own.get(api.buckets)).body.data.map((bucket) => bucket.name), ['matrix', 'preview']);
  expect(await own.get(`${api.buckets}/matrix`), 200);
  expect(await own.post(api.consumers('preview'), { name: 'allowed' }), 200);
  await api.makeConsumer('other');
  for (const [method, path, body] of [
    ['GET', `${api.buckets}/production`], ['GET', api.consumers()], ['POST', api.consumers(), { name: 'x' }], ['GET', `${api.consumers()}/other`],
    ['DELETE', `${api.consumers()}/other`], ['POST', api.keys('other'), {}], ['POST', `${api.keys('other')}/$bulk`, [{}]], ['POST', `${api.buckets}/production/$import`, { rows: [] }],
    ['POST', `${api.buckets}/production/revoke`, { confirm: 'production' }], ['POST', `${api.consumers()}/other/roll-key`],
  ]) expectProblem(await own.call(method, path, body), 403);
  expectProblem(await own.get(audits), 403);
  assert.equal((await api.get(api.keys('other'))).body.total, 0);
});

test('a token limited to an environment sees and touches no other', async () => {
  const own = client(node, (await api.makeToken('dev only', { roles: ['owner'], environment: 'development' })).token);
  assert.deepEqual((await own.get(api.buckets)).body.data.map((bucket) => bucket.name), ['development']);
  expect(await own.post(api.consumers('development'), { name: 'd' }), 200);
  expectProblem(await own.post(api.consumers('production'), { name: 'd' }), 403);
  expectProblem(await own.post(api.buckets, { name: 'escape', environment: 'production' }), 403);
  expect(await own.post(api.buckets, { name: 'inside', environment: 'development' }), 200);
  expectProblem(await own.post(tokens, { label: 'escape', roles: ['owner'] }), 403);
  expectProblem(await own.post(tokens, { label: 'escape', roles: ['viewer'], environment: 'production' }), 403);
  expect(await own.post(tokens, { label: 'inside', roles: ['viewer'], environment: 'development' }), 200);
  const seen = expect(await own.get(tokens), 200).body;
  assert.deepEqual([seen.data.map(({ label }) => label), seen.total], [['dev only', 'inside'], 2]);
});

test('an owner who is limited touches neither the nodes nor what befell other buckets', async () => {
  const own = client(node, (await api.makeToken('dev owner', { roles: ['owner'], environment: 'development' })).token);
  await api.makeConsumer('revoked');
  const { index } = expect(await api.post(`${api.consumers()}/revoked/revoke`, { confirm: 'revoked' }), 200).body;
  for (const [method, path, body] of [
    ['POST', '/v1/cluster/promote', { oldLeaderIsDown: true }], ['POST', '/v1/cluster/vault/rotate', {}], ['DELETE', '/v1/cluster/nodes/node-2'], ['GET', `/v1/receipts/${index}`],
  ]) {
    const answer = expectProblem(await own.call(method, path, body), 403, /limited/);
    const { data } = expect(await api.get(`${audits}?action=access.denied&limit=1`), 200).body;
    assert.equal(data[0].requestId, answer.headers.get('x-request-id'));
  }
  expect(await api.get(`/v1/receipts/${index}`), 200);
});

// --- the audit trail -----------------------------------------------------------------------------

test('every change is one audit row with its actor, target and request', async () => {
  const me = (await api.get('/v1/who-am-i')).body.sub;
  const trail = [];
  const act = async (action, method, path, body, status = 200) => {
    const answer = expect(await api.call(method, path, body), status);
    trail.push([action, answer.headers.get('x-request-id')]);
    return answer.body;
  };
  const bucket = `${api.buckets}/audited`;
  const consumer = `${api.consumers('audited')}/a`;
  await act('bucket.create', 'POST', api.buckets, { name: 'audited', isRetrievable: true });
  await act('bucket.update', 'PATCH', bucket, { description: 'x' });
  await act('consumer.create', 'POST', api.consumers('audited'), { name: 'a' });
  await act('consumer.update', 'PATCH', consumer, { description: 'x' });
  const manager = await act('manager.create', 'POST', `${consumer}/managers`, { email: 'a@example.org' });
  await act('manager.delete', 'DELETE', `${consumer}/managers/${manager.id}`, undefined, 204);
  const key = await act('key.create', 'POST', `${consumer}/keys`, { description: 'x' });
  await act('key.bulk', 'POST', `${consumer}/keys/$bulk`, [{}, {}]);
  await act('key.update', 'PATCH', `${consumer}/keys/${key.id}`, { description: 'y' });
  await act('key.reveal', 'POST', `${consumer}/keys/${key.id}/reveal`);
  await act('key.reveal', 'GET', `${consumer}/keys/${key.id}?key-format=visible`);
  await act('consumer.roll', 'POST', `${consumer}/roll-key`, undefined, 204);
  await act('key.revoke', 'POST', `${consumer}/keys/${key.id}/revoke`);
  await act('key.delete', 'DELETE', `${consumer}/keys/${key.id}`, undefined, 204);
  await act('consumer.revoke', 'POST', `${consumer}/revoke`, { confirm: 'a' });
  await act('bucket.import', 'POST', `${bucket}/$import`, { rows: [] });
  await act('bucket.revoke', 'POST', `${bucket}/revoke`, { confirm: 'audited' });
  await act('consumer.delete', 'DELETE', consumer, undefined, 204);
  await act('bucket.delete', 'DELETE', bucket, undefined, 204);
  const token = await act('token.create', 'POST', tokens, { label: 'x', roles: ['viewer'] });
  await act('token.delete', 'DELETE', `${tokens}/${token.id}`, undefined, 204);

  const { data } = expect(await api.get(`${audits}?limit=100&actor=${me}`), 200).body;
  const rows = data.slice(0, trail.length).reverse();
  assert.deepEqual(rows.map((row) => [row.action, row.requestId]), trail);
  for (const row of rows) {
    assert.equal(row.actor, me);
    assert.equal(row.success, true);
    assert.equal(row.clientAddress, '127.0.0.1');
    assert.ok(Math.abs(Date.parse(row.timestamp) - Date.now()) < 120_000);
    assert.ok(row.target, JSON.stringify(row));
  }
  assert.ok(!JSON.stringify(rows).includes(key.key));
});

test('a denial is an audit row that tells the actor and the route', async () => {
  const before = (await api.get(`${audits}?success=false&limit=1`)).body.pagination.total;
  const denied = client(node, (await api.makeToken('denied', { roles: ['viewer'] })).token);
  const answer = expectProblem(await denied.post(api.keys('m', 'matrix'), {}), 403);
  const { data, pagination } = (await api.get(`${audits}?success=false&limit=1`)).body;
  assert.equal(pagination.total, before + 1);
  assert.equal(data[0].action, 'access.denied');
  assert.equal(data[0].success, false);
  assert.equal(data[0].actor, (await denied.get('/v1/who-am-i')).body.sub);
  assert.equal(data[0].requestId, answer.headers.get('x-request-id'));
  assert.ok(JSON.stringify(data[0]).includes('key.create'));
});

test('who is denied in a loop writes one row a minute for each route, and the metrics count the others', async () => {
  const loop = client(node, (await api.makeToken('loop', { roles: ['viewer'] })).token);
  const touch = async () => Number(expect(await api.patch(`${api.consumers('matrix')}/m`, { description: 'touched' }), 200).headers.get('keyreeve-index'));
  const index = await touch();
  const leftOut = await node.metric('denials_left_out_total');
  const started = Date.now();
  for (let i = 0; i < 30; i++) expectProblem(await loop.post(api.keys('m', 'matrix'), {}), 403);
  for (let i = 0; i < 30; i++) expectProblem(await loop.delete(`${api.consumers('matrix')}/m`), 403);
  const { sub } = (await loop.get('/v1/who-am-i')).body;
  const { total } = (await api.get(`${audits}?success=false&actor=${sub}`)).body.pagination;
  const minutes = Math.floor((Date.now() - started) / 60_000); // of a machine that is very slow
  assert.ok(total >= 2 && total <= 2 + 2 * minutes, `${total} rows`);
  assert.equal((await node.metric('denials_left_out_total')) - leftOut, 60 - total);
  assert.equal(await touch(), index + total + 1, 'what has no row is not in the log');
});

test('audit rows older than audit_retention_days go, and stay where it is 0', async (t) => {
  const dataDir = dataDirFor(t);
  const first = await startNode({ dataDir });
  await first.stop();
  // A row of two days ago: by its time and index an AuditRecord, of which the action and the time.
  const at = BigInt(Date.now() - 2 * 86_400_000);
  const row = Buffer.alloc(16);
  row.writeBigUInt64BE(at ^ (1n << 63n));
  row.writeBigUInt64BE(1n, 8);
  const record = encode([[1, 'long.ago'], [10, Number(at)]]);
  const hex = (bytes) => `0x${bytes.toString('hex').toUpperCase()}`;
  execFileSync('ldb', [`--db=${join(dataDir, 'db')}`, '--column_family=audit', '--hex', 'put', hex(row), hex(record)], { stdio: 'ignore' });
  const count = async (by, query) => expect(await client(by).get(`${audits}?${query}`), 200).body.pagination.total;
  const keeping = await startNode({ dataDir, flags: ['--audit-retention-days', '0'] });
  const all = await count(keeping, 'limit=1');
  assert.equal(await count(keeping, 'action=long.ago'), 1);
  await keeping.stop();
  const purging = await startNode({ dataDir, flags: ['--audit-retention-days', '1'] });
  await until(async () => (await count(purging, 'action=long.ago')) === 0, { what: 'the old row to go' });
  assert.equal(await count(purging, 'limit=1'), all - 1, 'the rows of today stay');
  await purging.stop();
});

test('what is due goes by entries of a thousand rows that follow one another at once', async (t) => {
  const dataDir = dataDirFor(t);
  const first = await startNode({ dataDir });
  await first.stop();
  const at = BigInt(Date.now() - 2 * 86_400_000);
  const value = `0x${encode([[1, 'long.ago'], [10, Number(at)]]).toString('hex')}`;
  const rows = Array.from({ length: 8000 }, (_, i) => {
    const row = Buffer.alloc(16);
    row.writeBigUInt64BE(at ^ (1n << 63n));
    row.writeBigUInt64BE(BigInt(i + 1), 8);
    return `0x${row.toString('hex')} ==> ${value}\n`;
  });
  execFileSync('ldb', [`--db=${join(dataDir, 'db')}`, '--column_family=audit', '--hex', 'load'], { input: rows.join(''), stdio: ['pipe', 'ignore', 'ignore'] });
  const node = await startNode({ dataDir, flags: ['--audit-retention-days', '1', '--log-format', 'json'] });
  const purges = () => node.stderr.split('\n').filter((line) => line.includes('purged what was due')).map((line) => Number(JSON.parse(line).rows));
  await until(() => purges().reduce((sum, rows) => sum + rows, 0) >= 8000, { what: 'all to go' });
  assert.deepEqual(purges(), [8000], 'entries that follow one another');
  await node.stop();
});

test('the audit list clamps limit to 100, pages, filters, and keeps to 30 days', async () => {
  const first = expect(await api.get(audits), 200).body;
  assert.deepEqual(Object.keys(first), ['data', 'pagination']);
  assert.deepEqual([first.data.length, first.pagination.limit, first.pagination.offset, first.pagination.hasMore], [20, 20, 0, true]);
  assert.equal((await api.get(`${audits}?limit=500`)).body.pagination.limit, 100);
  const { total } = first.pagination;
  const last = (await api.get(`${audits}?limit=10&offset=${total - 4}`)).body;
  assert.deepEqual([last.data.length, last.pagination.hasMore], [4, false]);
  assert.equal(last.data.at(-1).action, 'cluster.init', 'newest first');
  const all = [];
  for (let offset = 0; offset < total; offset += 100) all.push(...(await api.get(`${audits}?limit=100&offset=${offset}`)).body.data);
  assert.equal(new Set(all.map((row) => row.index)).size, total);
  const count = async (query) => (await api.get(`${audits}?${query}`)).body.pagination.total;
  assert.equal(await count('action=token.create'), all.filter((row) => row.action === 'token.create').length);
  assert.equal(await count('action=none'), 0);
  const day = 86_400_000;
  const iso = (ms) => new Date(ms).toISOString();
  assert.equal(await count(`startDate=${iso(Date.now() - day)}`), total);
  assert.equal(await count(`endDate=${iso(Date.now() - day)}`), 0);
  expectProblem(await api.get(`${audits}?startDate=${iso(Date.now() - 31 * day)}&endDate=${iso(Date.now())}`), 400, /30 days/);
  for (const query of ['limit=0', 'limit=x', 'startDate=yesterday', 'success=maybe', `startDate=${iso(Date.now())}&endDate=${iso(Date.now() - day)}`])
    expectProblem(await api.get(`${audits}?${query}`), 400);
});

// --- rates ---------------------------------------------------------------------------------------

test('a token over its rate gets 429 with Retry-After; other tokens and validations go on', async () => {
  const own = await startNode({ flags: ['--rate-limit-per-token', '10'] });
  const mine = client(own);
  const other = client(own, (await mine.makeToken('other', { roles: ['admin'] })).token);
  await mine.makeConsumer('c');
  const key = await mine.makeKey('c');
  const answers = await Promise.all(Array.from({ length: 60 }, () => mine.get('/v1/who-am-i')));
  const limited = answers.filter((answer) => answer.status === 429);
  assert.ok(limited.length >= 30, `${limited.length}`);
  for (const answer of limited) {
    expectProblem(answer, 429);
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
  }
  expect(await other.get('/v1/who-am-i'), 200);
  const codes = await Promise.all(Array.from({ length: 100 }, () => mine.code(key.key)));
  assert.ok(codes.every((code) => code === 'VALID'));
  await until(async () => (await mine.get('/v1/who-am-i')).status === 200, { what: 'the rate to come back', everyMs: 100 });
  await own.remove();
});
