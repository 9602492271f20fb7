// SPDX-License-Identifier: Apache-2.0
// A full disk: writes are refused with the mend while validations go on, and resume with the space.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { client, expect, expectProblem } from './lib/http.mjs';
import { dataDirFor, refuseNode, startNode, until } from './lib/node.mjs';
import { fill, mountSmall } from './lib/smalldisk.mjs';

const MIB = 1 << 20;

test('below the reserve, writes are 503 with the mend, validations go on, and writes resume', async (t) => {
  const mount = mountSmall(t, 256); // the database sets some room aside for its log at once
  if (!mount) return t.skip('mounting a tmpfs is not permitted');
  const node = await startNode({ dataDir: join(mount, 'data'), flags: ['--disk-reserve-bytes', `${64 * MIB}`] });
  const api = client(node);
  await api.makeConsumer('c');
  const key = await api.makeKey('c');
  const empty = fill(mount, 40 * MIB);

  const refused = expectProblem(await api.post(api.keys('c'), {}), 503, /disk/);
  assert.match(refused.body.detail, /free space/);
  assert.equal(refused.headers.get('retry-after'), '1');
  expectProblem(await api.post(`${api.keys('c')}/${key.id}/revoke`), 503);
  assert.equal(await api.code(key.key), 'VALID', 'a refused revocation has not happened');
  expect(await api.get(api.keys('c')), 200);
  assert.equal((await api.get(api.keys('c'))).body.total, 1);
  assert.equal((await fetch(`${node.url}/healthz`)).status, 200);
  expect(await fetch(`${node.url}/metrics`).then(async (answer) => ({ status: answer.status, text: await answer.text() })), 200);

  empty();
  const again = await until(async () => {
    const answer = await api.post(api.keys('c'), {});
    return answer.status === 200 ? answer.body : undefined;
  }, { what: 'writes to resume' });
  assert.equal(await api.code(again.key), 'VALID');
  expect(await api.post(`${api.keys('c')}/${key.id}/revoke`), 200);
  assert.equal(await api.code(key.key), 'REVOKED');
  await node.stop();
});

test('a disk that is full to the last byte loses nothing that was acknowledged', async (t) => {
  const mount = mountSmall(t, 96);
  if (!mount) return t.skip('mounting a tmpfs is not permitted');
  const dataDir = join(mount, 'data');
  let node = await startNode({ dataDir, flags: ['--disk-reserve-bytes', '0'] });
  let api = client(node);
  await api.makeConsumer('c');
  const acknowledged = [];
  const empty = fill(mount, 1 * MIB);
  let refusal;
  for (let i = 0; i < 400 && !refusal && !node.exit; i++) {
    try {
      const answer = await api.post(`${api.keys('c')}/$bulk`, Array.from({ length: 1000 }, () => ({ description: 'd'.repeat(1000) })));
      if (answer.status === 200) acknowledged.push(...answer.body.data.map((key) => key.key));
      else refusal = answer;
    } catch {
      break; // it stopped, which it may, with a line that says why
    }
  }
  if (refusal) {
    expectProblem(refusal, 503, /disk|space/);
    assert.equal(await api.code(acknowledged[0] ?? 'x'), acknowledged.length ? 'VALID' : 'MALFORMED');
  } else {
    assert.ok(acknowledged.length < 400_000, 'the disk was never full');
    await node.ended;
    assert.match(node.stderr, /No space|disk/i);
  }
  empty();
  if (!node.exit) await node.stop();
  node.assertClean();
  node = await startNode({ dataDir });
  api = client(node);
  for (let at = 0; at < acknowledged.length; at += 1000) {
    const { results } = expect(await api.post('/v1/validate/$batch', acknowledged.slice(at, at + 1000).map((key) => ({ key }))), 200).body;
    assert.ok(results.every((result) => result.code === 'VALID'), 'an acknowledged key is lost');
  }
  expect(await api.post(api.keys('c'), {}), 200);
  await node.stop();
});

test('a first start without the space for it is refused with the mend', async (t) => {
  const ended = await refuseNode({ dataDir: dataDirFor(t), flags: ['--disk-reserve-bytes', '1099511627776'] });
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /^keyreeved: .*too full.*free space.*--disk-reserve-bytes/m);
});

test('a reserve larger than the free space refuses writes and serves validations', async (t) => {
  const dataDir = dataDirFor(t);
  let node = await startNode({ dataDir });
  await client(node).makeConsumer('c');
  const key = await client(node).makeKey('c');
  await node.stop();
  node = await startNode({ dataDir, flags: ['--disk-reserve-bytes', '1099511627776'] });
  const api = client(node);
  expectProblem(await api.post(api.keys('c'), {}), 503, /free space/);
  assert.equal(await api.code(key.key), 'VALID');
  await node.stop();
});
