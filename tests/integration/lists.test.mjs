// SPDX-License-Identifier: Apache-2.0
// The management API's lists: pages, cursors, filters, order.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client, expect, expectProblem, listAll } from './lib/http.mjs';
import { startNode } from './lib/node.mjs';

let node;
let api;
before(async () => {
  node = await startNode();
  api = client(node);
});
after(() => node.remove());

const names = (answer) => answer.body.data.map((item) => item.name);

test('lists clamp limit, take offset, and refuse what is no number', async () => {
  await api.makeBucket('paged');
  for (let i = 0; i < 25; i++) await api.makeConsumer(`c${String(i).padStart(2, '0')}`, { tags: { odd: String(i % 2) } }, 'paged');
  const path = api.consumers('paged');
  const all = expect(await api.get(path), 200).body;
  assert.deepEqual([all.data.length, all.limit, all.offset, all.total], [25, 1000, 0, 25]);
  const some = (await api.get(`${path}?limit=10&offset=20`)).body;
  assert.deepEqual([some.data.length, some.limit, some.offset, some.total], [5, 10, 20, 25]);
  assert.deepEqual(some.data.map((item) => item.name), all.data.slice(20).map((item) => item.name));
  assert.equal((await api.get(`${path}?limit=5000`)).body.limit, 1000);
  assert.deepEqual((await api.get(`${path}?offset=99`)).body.data, []);
  for (const query of ['limit=0', 'limit=-1', 'limit=x', 'limit=', 'offset=-1', 'offset=1.5', 'limit=99999999999999999999999', 'cursor=%21', 'cursor='])
    expectProblem(await api.get(`${path}?${query}`), 400, /limit|offset|cursor/);
  assert.equal((await api.get(`${api.buckets}?limit=1`)).body.data.length, 1);
});

test('q filters by the beginning of the name, tag.NAME by tags', async () => {
  const path = api.consumers('paged');
  assert.deepEqual(names(await api.get(`${path}?q=c1`)), ['c10', 'c11', 'c12', 'c13', 'c14', 'c15', 'c16', 'c17', 'c18', 'c19']);
  assert.equal((await api.get(`${path}?q=c1&limit=3`)).body.total, 10);
  assert.equal((await api.get(`${path}?tag.odd=1`)).body.total, 12);
  assert.deepEqual(names(await api.get(`${path}?tag.odd=1&q=c0`)), ['c01', 'c03', 'c05', 'c07', 'c09']);
  assert.equal((await api.get(`${path}?tag.absent=1`)).body.total, 0);
  assert.equal((await listAll(api, `${path}?tag.odd=0`, 4)).length, 13);
});

test('a cursor walks every item once although others come and go meanwhile', async () => {
  const path = api.consumers('paged');
  const first = (await api.get(`${path}?limit=5`)).body;
  const seen = names({ body: first });
  let { cursor } = first;
  for (let round = 0; cursor; round++) {
    await api.makeConsumer(`a-new-${round}`, {}, 'paged'); // before everything that is still to come
    if (round === 1) expect(await api.delete(`${path}/c05`), 204); // shown already
    const { body } = expect(await api.get(`${path}?limit=5&cursor=${cursor}`), 200);
    seen.push(...names({ body }));
    cursor = body.cursor;
  }
  assert.deepEqual(seen, Array.from({ length: 25 }, (_, i) => `c${String(i).padStart(2, '0')}`));
  expectProblem(await api.get(`${path}?cursor=${first.cursor}&offset=1`), 400, /cursor/);
});

test('keys are listed in the order of their creation, by cursor too, and filtered by status', async () => {
  await api.makeConsumer('lister');
  const made = [];
  for (let i = 0; i < 12; i++) made.push(await api.makeKey('lister', { description: `k${i}` }));
  const path = api.keys('lister');
  assert.deepEqual((await listAll(api, path, 5)).map((key) => key.id).sort(), made.map((key) => key.id).sort());
  assert.deepEqual((await listAll(api, path, 5)).map((key) => key.id), (await api.get(path)).body.data.map((key) => key.id));
  expect(await api.post(`${path}/${made[0].id}/revoke`), 200);
  expect(await api.patch(`${path}/${made[1].id}`, { enabled: false }), 200);
  expect(await api.patch(`${path}/${made[2].id}`, { expiresOn: '2020-01-01T00:00:00Z' }), 200);
  expect(await api.patch(`${path}/${made[3].id}`, { expiresOn: new Date(Date.now() + 1e6).toISOString() }), 200);
  const ids = async (status) => (await api.get(`${path}?status=${status}`)).body.data.map((key) => key.id);
  assert.deepEqual(await ids('revoked'), [made[0].id]);
  assert.deepEqual(await ids('disabled'), [made[1].id]);
  assert.deepEqual(await ids('expired'), [made[2].id]);
  assert.deepEqual(await ids('expiring'), [made[3].id]);
  assert.equal((await api.get(`${path}?status=active&limit=3`)).body.total, 8);
  assert.equal((await listAll(api, `${path}?status=active`, 3)).length, 8);
  expectProblem(await api.get(`${path}?status=sleepy`), 400, /status/);
});

test('a page of keys begins behind a place, whether a key is there or not', async () => {
  await api.makeConsumer('placed');
  const path = api.keys('placed');
  const made = await api.makeKey('placed');
  const at = Date.parse(made.createdOn);
  const from = (place) => api.get(`${path}?cursor=${Buffer.from(place).toString('base64url')}`);
  assert.equal(expect(await from(`${at - 1}.key_${'z'.repeat(24)}`), 200).body.data.length, 1);
  assert.equal(expect(await from(`${at}.key_${'z'.repeat(24)}`), 200).body.data.length, 0);
  assert.equal(expect(await api.get(`${path}?status=active&cursor=${Buffer.from(`${at}.key_${'z'.repeat(24)}`).toString('base64url')}`), 200).body.data.length, 0);
  for (const place of ['hello', made.id, `${at}`, `${at}.`, `x.${made.id}`, `${at}.csmr_${'z'.repeat(24)}`]) expectProblem(await from(place), 400, /cursor/);
});

test('a page is answered as long as its head fits beside it, and a larger one is 413', async () => {
  await api.makeBucket('large', { metadataLimit: 16_384 });
  const consumers = ['c1', 'c2', 'c3', 'c4', 'c5'];
  const page = `${api.consumers('large')}?include-api-keys=true`;
  const sizeOf = (answer) => Buffer.byteLength(expect(answer, 200).text);
  const noted = (size) => ({ metadata: { note: 'x'.repeat(size) } });
  const fill = async (consumer, sizes) => {
    for (let at = 0; at < sizes.length; at += 120) expect(await api.post(`${api.keys(consumer, 'large')}/$bulk`, sizes.slice(at, at + 120).map(noted)), 200);
  };
  for (const name of consumers) {
    await api.makeConsumer(name, {}, 'large');
    await fill(name, [1]);
  }
  const first = sizeOf(await api.get(page));
  await fill('c1', [1]);
  const second = sizeOf(await api.get(page));
  const around = second - first - 1; // a note
  const most = (64 << 20) - 16_384;
  const count = Math.ceil((most - second) / (16_000 + around));
  const notes = most - second - count * around;
  const sizes = Array.from({ length: count }, (_, i) => Math.floor(notes / count) + (i < notes % count));
  for (const [i, name] of consumers.entries()) await fill(name, sizes.filter((_, at) => at % consumers.length === i));
  assert.equal(sizeOf(await api.get(page)), most);
  await fill('c1', [16_284 - around]); // with its head it would be over 64 MiB
  expectProblem(await api.get(page), 413, /^the answer is too large; ask for fewer items$/);
});
