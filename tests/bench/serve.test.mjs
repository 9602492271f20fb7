// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench serve starts what it measures, and writes its rows. The figures are not judged.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { binDir, dataDirFor, run } from '../integration/lib/node.mjs';

// It is no package of the tests; where it is not installed, what is beside it is left out.
const hasRedis = existsSync('/usr/bin/redis-server');
// On a machine with one core nobody is pinned, and the bare responder needs a core to stand on.
const withBare = (list) => (availableParallelism() > 1 ? list : []);
const withRedis = (list) => list.filter((one) => hasRedis || !one.includes('redis'));

async function serve(t, args) {
  const TMPDIR = dataDirFor(t);
  const ended = await run(join(binDir, 'keyreeve-bench'), ['serve', '--key-count', '100', '--turns', '2', '--json', ...args], { deadlineMs: 240_000, env: { TMPDIR } });
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(readdirSync(TMPDIR), [], 'nothing is left behind');
  return ended.stdout.trim().split('\n').map((line) => JSON.parse(line));
}

test('--compare measures every protocol beside its yardstick', { timeout: 300_000 }, async (t) => {
  const rows = await serve(t, ['--compare', '--seconds', '1', ...(hasRedis ? [] : ['--no-redis'])]);
  const rates = rows.filter(({ name }) => name === 'serve.rate');
  assert.deepEqual(rates.map(({ conditions, system }) => `${system} ${conditions.protocol} ${conditions.depth ?? conditions.streams}`), withRedis([
    'keyreeve http 1', 'keyreeve unix 1', 'keyreeve https 1', 'empty http 1', 'redis redis 1', ...withBare(['bare http 1']), 'keyreeve binary 16', 'keyreeve binary unix 16', 'keyreeve binary tls 16', 'redis redis 16', ...withBare(['bare binary 16']), 'keyreeve grpc 100', 'empty http2 100',
  ]));
  assert.deepEqual(rates.filter(({ id }) => id === 'P4').map(({ conditions }) => conditions.protocol), ['grpc']);
  for (const { values, conditions } of rates) {
    assert.equal(values.length, 2);
    // A busy machine may have had no time for a whole turn.
    assert.ok(values.every((value) => value === null || value > 0), JSON.stringify(values));
    assert.equal(conditions.per, 'cpu');
  }
  const ratios = rows.filter(({ name }) => name === 'serve.ratio');
  assert.deepEqual(ratios.map(({ conditions, id }) => `${conditions.protocol} / ${conditions.beside}: ${id}`), withRedis([
    'http / empty: P2', 'http / redis: P2', ...withBare(['http / bare: undefined']), 'unix / tcp: P2', 'https / http: undefined', ...withBare(['http / redis: undefined']), 'binary / redis pipeline: P3', ...withBare(['binary / bare: undefined', 'binary / redis pipeline: undefined']), 'binary unix / binary: undefined', 'binary tls / binary: undefined', 'grpc / empty http2: undefined',
  ]));
});

test('--idle and --writes measure nodes of their own', { timeout: 300_000 }, async (t) => {
  const idle = await serve(t, ['--idle', '50']);
  assert.deepEqual(idle.map(({ name, id, conditions }) => [name, id, conditions.connections, conditions.protocol]), ['http', 'https', 'binary', 'binary tls'].map((protocol) => ['idle.memory', protocol === 'http' ? 'P12' : undefined, 50, protocol]));
  const writes = await serve(t, ['--writes', '50', '--seconds', '2']);
  assert.deepEqual(writes.map(({ name, conditions }) => [name, conditions.writesPerSecond]), [['serve.latency', 0], ['serve.latency', 50], ['serve.under_writes', 50]]);
});

test('what does not go together is refused', async () => {
  for (const [args, complaint] of [
    [[], /missing --keys/],
    [['--compare', '--idle', '5'], /exclude each other/],
    [['--keys', 'x', '--https', '127.0.0.1:1'], /need --cacert/],
    [['--keys', 'x', '--url', 'https://a'], /--url must be http:\/\/HOST:PORT/],
  ]) {
    const refused = await run(join(binDir, 'keyreeve-bench'), ['serve', ...args]);
    assert.equal(refused.code, 2, args.join(' '));
    assert.match(refused.stderr, complaint);
  }
});
