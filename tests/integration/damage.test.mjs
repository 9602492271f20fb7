// SPDX-License-Identifier: Apache-2.0
// Damaged files and rows: the node names what is damaged and how to mend it, and serves no answer
// that rests on it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { client, expect } from './lib/http.mjs';
import { dataDirFor, makeDataDir, refuseNode, startNode, until } from './lib/node.mjs';

let model; // a data directory with table files, made once and copied
let token;
let key;
const ROWS = 600; // log rows: more than the tail that a start verifies

const ldb = (dataDir, ...args) => execFileSync('ldb', [`--db=${join(dataDir, 'db')}`, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const families = ['meta', 'log', 'keys', 'key_ids', 'subjects', 'consumer_keys', 'buckets'];

before(async () => {
  model = makeDataDir();
  const node = await startNode({ dataDir: model });
  const api = client(node);
  await api.makeConsumer('c');
  for (let done = 0; done < ROWS; done += 20) await Promise.all(Array.from({ length: 20 }, () => api.post(api.keys('c'), {})));
  key = await api.makeKey('c');
  const { index } = (await api.get('/v1/cluster')).body;
  assert.ok(index > ROWS);
  token = node.token;
  await node.stop();
  for (const family of families) ldb(model, `--column_family=${family}`, 'compact');
});
after(() => rmSync(model, { recursive: true, force: true }));

function copyFor(t) {
  const dataDir = dataDirFor(t);
  cpSync(model, dataDir, { recursive: true });
  return dataDir;
}

const filesOf = (dataDir, pattern) => readdirSync(join(dataDir, 'db')).filter((name) => pattern.test(name)).map((name) => join(dataDir, 'db', name));

function flip(path, at) {
  const bytes = readFileSync(path);
  bytes[at < 0 ? bytes.length + at : at] ^= 0x55;
  writeFileSync(path, bytes);
}

const mend = /restore this directory from a backup, or empty it/;

/** Starts on damage and checks that it ends with a line that names `what` and the mend. */
async function assertRefuses(dataDir, what) {
  const ended = await refuseNode({ dataDir });
  assert.notEqual(ended.code, 0, ended.stderr);
  assert.equal(ended.signal, null, ended.stderr);
  assert.match(ended.stderr, what);
  assert.match(ended.stderr, mend);
  return ended;
}

test('the copied directory is good as it is', async (t) => {
  const node = await startNode({ dataDir: copyFor(t) });
  assert.equal(node.token, token);
  assert.equal(await client(node).code(key.key), 'VALID');
  await node.stop();
});

test('a flipped byte in a table file that a start reads is refused with the file\'s name', async (t) => {
  const tables = filesOf(model, /\.sst$/).map((path) => path.split('/').at(-1));
  assert.ok(tables.length >= families.length);
  let refusals = 0;
  for (const name of tables) {
    const dataDir = copyFor(t);
    flip(join(dataDir, 'db', name), 40); // in the first data block
    const ended = await refuseNode({ dataDir });
    assert.equal(ended.signal, null, ended.stderr);
    if (ended.code === 0) continue; // rows that only a request reads
    refusals++;
    assert.match(ended.stderr, new RegExp(`${name}|row`));
    assert.match(ended.stderr, mend);
  }
  assert.ok(refusals >= 3, `only ${refusals} of ${tables.length} damaged files were noticed at start`);
});

async function assertTrueAnswers(api, name) {
  assert.equal(await api.code(key.key), 'VALID', name);
  for (const path of [api.keys('c'), api.consumers(), api.buckets, '/v1/who-am-i']) {
    const answer = await api.get(path);
    assert.ok([200, 500].includes(answer.status), answer.text);
    if (answer.status === 200 && path === api.keys('c')) assert.equal(answer.body.total, ROWS + 1);
  }
}

test('a byte that is flipped in the middle or at the end of a table file yields no wrong answer', async (t) => {
  for (const name of filesOf(model, /\.sst$/).map((path) => path.split('/').at(-1))) {
    const { length } = readFileSync(join(model, 'db', name));
    for (const at of [Math.floor(length / 3), length - 10]) {
      const dataDir = copyFor(t);
      flip(join(dataDir, 'db', name), at);
      const node = await startNode({ dataDir }).catch(({ message }) => {
        assert.match(message, /^keyreeved ended: \{"code":1,"signal":null\}/);
        assert.match(message, new RegExp(`${name}|row|MANIFEST-`)); // RocksDB lays a damaged end to the file that lists it
        assert.match(message, mend);
      });
      if (!node) continue;
      try {
        await assertTrueAnswers(client(node), name);
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        // It has stopped meanwhile over what it found behind its start.
        await until(() => node.exit, { what: () => `a node to end that does not answer: ${error.cause ?? error}` });
        assert.equal(node.exit.code, 1, node.stderr);
      }
      if (!node.exit) node.process.kill('SIGTERM');
      await node.ended;
      node.assertClean();
      if (node.exit.code !== 0) assert.match(node.stderr, mend);
    }
  }
});

test('a truncated MANIFEST is refused', async (t) => {
  const dataDir = copyFor(t);
  const [manifest] = filesOf(dataDir, /^MANIFEST-/).slice(-1);
  truncateSync(manifest, 30);
  await assertRefuses(dataDir, /Corruption|MANIFEST/);
});

test('a damaged write-ahead log is refused, not cut short silently', async (t) => {
  const dataDir = dataDirFor(t);
  const node = await startNode({ dataDir });
  const api = client(node);
  await api.makeConsumer('c');
  const made = expect(await api.post(`${api.keys('c')}/$bulk`, Array.from({ length: 500 }, () => ({}))), 200).body.data;
  for (let i = 0; i < 20; i++) await api.makeKey('c');
  await node.kill9();
  const logs = filesOf(dataDir, /^\d+\.log$/).filter((path) => readFileSync(path).length > 50_000);
  assert.equal(logs.length, 1);
  flip(logs[0], 30_000);
  await assertRefuses(dataDir, /Corruption|corrupt/);
  assert.ok(made.length === 500);
});

test('a write-ahead log that a crash cut short is no damage', async (t) => {
  const dataDir = dataDirFor(t);
  let node = await startNode({ dataDir });
  await client(node).makeConsumer('c');
  const first = await client(node).makeKey('c');
  await node.kill9();
  const [log] = filesOf(dataDir, /^\d+\.log$/).slice(-1);
  writeFileSync(log, Buffer.concat([readFileSync(log), Buffer.from([1, 2, 3, 4, 5])]));
  node = await startNode({ dataDir });
  assert.equal(await client(node).code(first.key), 'VALID');
  await node.stop();
});

test('a missing CURRENT with data beside it is damage, not a new directory', async (t) => {
  const dataDir = copyFor(t);
  rmSync(join(dataDir, 'db', 'CURRENT'));
  const before = readdirSync(join(dataDir, 'db')).filter((name) => name.endsWith('.sst')).sort();
  await assertRefuses(dataDir, /Corruption|CURRENT/);
  assert.deepEqual(readdirSync(join(dataDir, 'db')).filter((name) => name.endsWith('.sst')).sort(), before, 'and nothing is deleted');
  assert.equal(readFileSync(join(dataDir, 'owner-token'), 'utf8').trim(), token);
});

const rowKey = (index) => `0x${index.toString(16).padStart(16, '0').toUpperCase()}`;
const getRow = (dataDir, index) => ldb(dataDir, '--column_family=log', '--hex', 'get', rowKey(index)).trim();
const putRow = (dataDir, index, value) => ldb(dataDir, '--column_family=log', '--hex', 'put', rowKey(index), value);
const damaged = (hex) => hex.slice(0, -2) + (hex.endsWith('00') ? '01' : '00');

/** The newest index of the log. */
function lastIndex(dataDir) {
  const rows = ldb(dataDir, '--column_family=log', '--hex', 'scan', '--no_value').match(/0x[0-9A-F]{16}/g);
  return parseInt(rows.at(-1), 16);
}

test('a damaged row at the log\'s end is refused at the start and named', async (t) => {
  const dataDir = copyFor(t);
  const last = lastIndex(dataDir);
  for (const index of [last, last - 100]) {
    const row = getRow(dataDir, index);
    putRow(dataDir, index, damaged(row));
    await assertRefuses(dataDir, new RegExp(`log row ${index} is damaged`));
    putRow(dataDir, index, row);
  }
  const node = await startNode({ dataDir });
  await node.stop();
});

test('a damaged, missing or swapped row far below is found behind the start, and stops the node', async (t) => {
  const dataDir = copyFor(t);
  const row = getRow(dataDir, 5);
  putRow(dataDir, 5, damaged(row));
  await assertRefuses(dataDir, /log row 5 is damaged/);
  putRow(dataDir, 5, getRow(dataDir, 6));
  await assertRefuses(dataDir, /log row 5/);
  ldb(dataDir, '--column_family=log', '--hex', 'delete', rowKey(5));
  await assertRefuses(dataDir, /log row 5 is missing/);
  putRow(dataDir, 5, row);
  const node = await startNode({ dataDir });
  await node.stop();
});

test('a log that goes on behind the state is refused', async (t) => {
  const dataDir = copyFor(t);
  const last = lastIndex(dataDir);
  putRow(dataDir, last + 1, getRow(dataDir, last));
  await assertRefuses(dataDir, new RegExp(`log row ${last + 1}`));
});

test('a damaged record of a key is refused with its family', async (t) => {
  const dataDir = copyFor(t);
  const [row] = ldb(dataDir, '--column_family=keys', '--hex', 'scan', '--max_keys=1').match(/0x[0-9A-F]+/g);
  ldb(dataDir, '--column_family=keys', '--hex', 'put', row, '0xFFFFFFFF');
  await assertRefuses(dataDir, /keys/);
});
