// SPDX-License-Identifier: Apache-2.0
// keyreeve-bench against a real cluster: the leader killed and stopped, a follower from empty, and
// writes beside bare puts to the same etcd. What is tested are the rows, never how fast anything was.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Cluster } from '../cluster/lib/cluster.mjs';
import { binDir, keyreeve, run, until } from '../integration/lib/node.mjs';

const bench = join(binDir, 'keyreeve-bench');
const place = (cluster, name) => cluster.node(name).url.replace('http://', '');

function outDirectory(t) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-test-rows-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

const rowsOf = (directory) => readFileSync(join(directory, 'rows.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line));

async function measure(args) {
  const ended = await run(bench, args, { deadlineMs: 120_000 });
  assert.equal(ended.code, 0, ended.stderr);
}

async function endLeader(cluster, way, out) {
  const leader = await cluster.leader();
  const alive = cluster.names.filter((name) => name !== leader);
  await measure([
    'failover', '--way', way, '--leader-pid', String(cluster.pid(leader)), '--before', '1', '--after', '20', '--out', out,
    '--writers', alive.filter((name) => cluster.cores.includes(name)).map((name) => place(cluster, name)).join(','),
    '--nodes', alive.map((name) => place(cluster, name)).join(','), '--token-file', join(cluster.dir, 'owner-token'),
  ]);
  await cluster.start(leader);
}

test('the leader is killed, then stopped: the gap without writes, and every validation', { timeout: 600_000 }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'etcd' });
  const out = outDirectory(t);
  await endLeader(cluster, 'kill', out);
  await endLeader(cluster, 'stop', out);
  const rows = rowsOf(out);
  for (const way of ['kill', 'stop']) {
    const of = (name) => rows.filter((row) => row.name === name && row.conditions.way === way);
    const [gap] = of('failover.writes');
    assert.equal(gap.id, 'P10');
    assert.ok(gap.values[0] > 0);
    const [failed] = of('failover.failed');
    assert.ok(failed.conditions.validations > 0);
    const [writes, validations] = of('failover.timeline');
    assert.equal(writes.conditions.series, 'writes accepted');
    assert.equal(writes.points.length, 210);
    assert.ok(writes.points[0][0] <= -1000 && writes.points.at(-1)[0] > 19_000, 'from before the signal until long after it');
    const sum = (points) => points.reduce((total, [, rate]) => total + rate / 10, 0);
    assert.equal(Math.round(sum(validations.points)), failed.conditions.validations - failed.values[0]);
    assert.ok(sum(writes.points.filter(([ms]) => ms > gap.values[0])) > 0, 'writes go on');
  }
});

const etcdctl = (options, ...words) =>
  run('etcdctl', ['--endpoints', options['--etcd-endpoint'], '--cacert', options['--etcd-ca-file'], '--cert', options['--etcd-cert-file'], '--key', options['--etcd-key-file'], ...words],
    { deadlineMs: 30_000, env: { ETCDCTL_API: '3' } });

test('writes beside bare puts of the same size to the same etcd', { timeout: 600_000 }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'etcd' });
  const out = outDirectory(t);
  const leader = await cluster.leader();
  const options = Object.fromEntries((await cluster.script(['etcd', leader])).stdout.trim().split('\n').map((line) => line.split(' ')));
  assert.deepEqual(Object.keys(options), ['--etcd-endpoint', '--etcd-ca-file', '--etcd-cert-file', '--etcd-key-file']);
  const token = join(cluster.dir, 'owner-token');
  const how = ['--url', cluster.node(leader).url, '--token-file', token, '--bucket', 'production'];
  const made = await run(keyreeve, ['consumer', 'create', 'bench', ...how], { deadlineMs: 30_000 });
  assert.equal(made.code, 0, made.stderr);
  const write = (more) => ['write', '--engine', 'etcd', '--url', cluster.node(leader).url, '--token-file', token, '--consumer', 'bench', '--disk', cluster.dir, '--seconds', '0.5', '--turns', '2', '--outstanding', '8', '--out', out, ...more];
  await measure(write(Object.entries(options).flat()));

  const rows = rowsOf(out);
  const ratio = rows.find((row) => row.name === 'write.etcd_ratio');
  assert.equal(ratio.id, 'P7');
  assert.equal(ratio.stats.count, 2);
  assert.ok(ratio.values.every((value) => value > 0));
  const put = rows.find((row) => row.name === 'write.etcd_put');
  assert.equal(put.system, 'etcd');
  assert.ok(put.stats.count > 0);
  const { bytes } = ratio.conditions;
  const look = async () => {
    const { stdout } = await etcdctl(options, 'get', '/', '--prefix', '--write-out', 'json', '--sort-by', 'KEY');
    return JSON.parse(stdout).kvs.map(({ key, value = '' }) => ({ key: Buffer.from(key, 'base64').toString(), size: Buffer.from(value, 'base64').length }));
  };
  let kvs = [];
  // What was looked up may be trimmed by now; indexes and times in a row take a byte more or less.
  await until(
    async () => {
      assert.equal((await run(keyreeve, ['key', 'create', 'bench', ...how], { deadlineMs: 30_000 })).code, 0);
      kvs = await look();
      return kvs.some(({ key, size }) => /\/log\//.test(key) && Math.abs(size - bytes) <= 16);
    },
    { what: () => `a row of about ${bytes} bytes: ${JSON.stringify(kvs)}` },
  );
  assert.ok(!kvs.some(({ key }) => key.startsWith('/keyreeve-bench')), 'nothing stays behind');

  const { '--etcd-key-file': _, ...incomplete } = options;
  for (const [more, said] of [
    [Object.entries(incomplete).flat(), /needs --etcd-ca-file, --etcd-cert-file and --etcd-key-file/],
    [['--etcd-endpoint', 'etcd-1:2379'], /--etcd-endpoint etcd-1:2379: write https:/],
    [Object.entries({ ...options, '--etcd-cert-file': join(cluster.dir, 'nobody.pem') }).flat(), /nobody\.pem/],
    [Object.entries({ ...options, '--etcd-ca-file': join(cluster.dir, 'ca', 'ca.pem') }).flat(), /no TLS: it is not of --etcd-ca-file/],
  ]) {
    const ended = await run(bench, write(more), { deadlineMs: 60_000 });
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, said);
  }
});

test('a follower joins', { timeout: 600_000 }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'local' });
  const out = outDirectory(t);
  const [name] = cluster.followers;
  await cluster.stop(name);
  rmSync(cluster.dataDir(name), { recursive: true });
  const start = `deploy/local-cluster.sh start ${name} --dir ${cluster.dir}`;
  await measure(['join', '--command', start, '--http', place(cluster, name), '--key-count', '1', '--out', out]);
  const rows = rowsOf(out);
  assert.equal(rows.find((row) => row.name === 'join.ready').id, 'P11');

  const failing = await run(bench, ['join', '--command', 'exit 3', '--http', '127.0.0.1:1', '--key-count', '1'], { deadlineMs: 30_000 });
  assert.equal(failing.code, 1);
  assert.match(failing.stderr, /the command has failed/);
});
