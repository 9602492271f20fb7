// SPDX-License-Identifier: Apache-2.0
// Starting, restarting and stopping a node, and every start that must be refused with one line.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { constants, getPriority } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { client, exchange, expect, raw, statusesOf } from './lib/http.mjs';
import { assertRefused, dataDirFor, keyreeve, keyreeved, refuseNode, run, startNode, until } from './lib/node.mjs';

const modeOf = (path) => statSync(path).mode & 0o777;

async function refuse(t, { flags = [], env, dataDir = dataDirFor(t), code = 1 }, what) {
  assertRefused(await refuseNode({ dataDir, flags, env }), code, what);
}

test('the first start makes an account with three buckets and an owner token in a 0600 file', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  const api = client(node);
  assert.equal(modeOf(join(node.dataDir, 'owner-token')), 0o600);
  assert.equal(modeOf(join(node.dataDir, 'master-key')), 0o600);
  assert.match(node.token, /^kr_mgmt_[0-9A-Za-z]{43}_[0-9a-f]{8}$/);

  const me = expect(await api.get('/v1/who-am-i'), 200).body;
  assert.deepEqual(me.roles, ['owner']);
  assert.equal(me.account, 'default');

  const list = expect(await api.get(api.buckets), 200).body;
  assert.deepEqual(
    list.data.map(({ name, environment, keyPrefix, isRetrievable }) => [name, environment, keyPrefix, isRetrievable]).sort(),
    [
      ['development', 'development', 'kr_dev', false],
      ['preview', 'preview', 'kr_test', false],
      ['production', 'production', 'kr_live', false],
    ],
  );
  assert.equal(list.total, 3);
  assert.ok(!node.stderr.includes(node.token), 'the owner token is in the log');
  assert.ok(!node.stdout.includes(node.token), 'the owner token went to a stdout that is no terminal');
});

test('the owner token is shown once on a terminal, and not on the next start', async (t) => {
  const dataDir = dataDirFor(t);
  const onTerminal = async () => {
    const node = run('script', ['-qefc', `exec ${keyreeved} --data ${dataDir} --http 127.0.0.1:0 --binary-listen 127.0.0.1:0`, '/dev/null'], { env: { SHELL: '/bin/sh' } });
    const pid = await until(() => existsSync(join(dataDir, 'keyreeved.pid')) && Number(readFileSync(join(dataDir, 'keyreeved.pid'), 'utf8')), { what: 'the pid file' });
    process.kill(pid, 'SIGTERM');
    return (await node).stdout;
  };
  const first = await onTerminal();
  const token = readFileSync(join(dataDir, 'owner-token'), 'utf8').trim();
  assert.equal(first.split(token).length, 2, 'the token stands there exactly once');
  assert.doesNotMatch(first, /^\{/m, 'a terminal gets text, not JSON');
  assert.ok(!(await onTerminal()).includes(token));
});

test('logs are JSON lines when stderr is no terminal', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  const lines = node.stderr.trim().split('\n').map((line) => JSON.parse(line));
  assert.ok(lines.length >= 2);
  for (const line of lines) assert.equal(typeof line.level, 'string', JSON.stringify(line));
  assert.ok(lines.some((line) => JSON.stringify(line).includes('serving')));
});

test('a restart keeps buckets, consumers, keys, revocations and tokens', async (t) => {
  const dataDir = dataDirFor(t);
  let node = await startNode({ dataDir });
  let api = client(node);
  await api.makeBucket('kept', { isRetrievable: true, tags: { a: 'b' } });
  await api.makeConsumer('ann', { metadata: { plan: 'gold' }, tags: { team: 'x' } }, 'kept');
  const good = await api.makeKey('ann', { scopes: ['read'] }, 'kept');
  const bad = await api.makeKey('ann', {}, 'kept');
  expect(await api.post(`${api.keys('ann', 'kept')}/${bad.id}/revoke`, { reason: 'keyCompromise' }), 200);
  const before = {
    buckets: (await api.get(api.buckets)).body,
    keys: (await api.get(api.keys('ann', 'kept'))).body,
    cluster: (await api.get('/v1/cluster')).body,
    audit: (await api.get('/v1/accounts/default/audit-logs?limit=100')).body,
  };
  await node.stop();
  assert.ok(!existsSync(join(dataDir, 'keyreeved.pid')), 'the pid file goes with the process');

  node = await startNode({ dataDir });
  api = client(node);
  assert.deepEqual((await api.get(api.buckets)).body, before.buckets);
  assert.deepEqual((await api.get(api.keys('ann', 'kept'))).body, before.keys);
  const cluster = (await api.get('/v1/cluster')).body;
  assert.equal(cluster.clusterId, before.cluster.clusterId);
  assert.equal(cluster.index, before.cluster.index);
  assert.deepEqual((await api.get('/v1/accounts/default/audit-logs?limit=100')).body, before.audit);
  const answer = (await api.validate(good.key)).body;
  assert.equal(answer.code, 'VALID');
  assert.deepEqual(answer.data, { plan: 'gold' });
  assert.deepEqual(answer.scopes, ['read']);
  assert.equal(await api.code(bad.key), 'REVOKED');
  assert.equal((await api.post(`${api.keys('ann', 'kept')}/${good.id}/reveal`)).body.key, good.key);
});

/** The threads of a process: name, nice value, policy (sched(7): 0 other, 3 batch), and the signals below 32 that it blocks. */
function threadsOf(pid) {
  return readdirSync(`/proc/${pid}/task`).map((id) => {
    const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from the third on, of proc(5)
    return { name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), nice: Number(fields[16]), policy: Number(fields[38]), blocked: Number(fields[29]) };
  });
}

test('serving threads stand before the control loop, and both before the pool and RocksDB', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  const api = client(node);
  expect(await api.get(api.buckets), 200); // reads run on the pool
  const threads = threadsOf(node.pid);
  const nicest = getPriority();
  const seen = (wanted) => threads.filter(wanted).map(({ nice, policy }) => [nice, policy]);
  for (const found of seen(({ name }) => name.startsWith('kr-serve'))) assert.deepEqual(found, [nicest, 0]);
  assert.deepEqual(seen(({ name }) => name === 'kr-control'), [[Math.max(nicest, 5), 3]]);
  const pool = seen(({ name }) => name === 'kr-pool');
  assert.ok(pool.some(([nice, policy]) => nice === Math.max(nicest, 10) && policy === 3), JSON.stringify(threads));
  const rocksdb = seen(({ name }) => name.startsWith('rocksdb:'));
  assert.ok(rocksdb.length > 0, JSON.stringify(threads));
  for (const found of rocksdb) assert.deepEqual(found, [Math.max(nicest, 10), 3]);
});

test('SIGTERM answers a request whose body is still on its way, and closes idle connections', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  const idle = raw(node);
  const slow = raw(node);
  const body = JSON.stringify({ key: 'kr_live_short' });
  slow.write(`POST /v1/validate HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`);
  await until(async () => (await node.metric('connections_open')) >= 2, { what: 'both connections' });
  node.process.kill('SIGTERM');
  await idle.until((received, closed) => closed);
  slow.write(body.slice(5));
  const received = await slow.until((text, closed) => closed);
  assert.deepEqual(statusesOf(received), [200]);
});

test('while a node stops, nobody comes in at its unix sockets either', async (t) => {
  const dataDir = dataDirFor(t);
  const paths = ['http.sock', 'binary.sock'].map((name) => join(dataDir, name));
  const node = await startNode({ dataDir, flags: ['--http-unix', paths[0], '--binary-unix', paths[1], '--stop-timeout-ms', '20000'] });
  const body = JSON.stringify({ key: 'kr_live_short' });
  const slow = raw(paths[0]); // the node waits for its end
  slow.write(`POST /v1/validate HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`);
  await until(async () => (await node.metric('connections_open')) >= 1, { what: 'the connection' });
  const refusal = (path) =>
    new Promise((done) => {
      const socket = connect(path, () => done(socket.destroy() && undefined));
      socket.on('error', ({ code }) => done(code));
    });
  node.process.kill('SIGTERM');
  for (const path of paths) assert.match(await until(() => refusal(path), { what: `${path} to let nobody in` }), /^(ENOENT|ECONNREFUSED)$/);
  assert.equal(node.exit, null, 'it is still at work');
  slow.write(body.slice(5));
  assert.deepEqual(statusesOf(await slow.until((text, closed) => closed)), [200]);
  await node.stop();
});

test('SIGTERM under writes loses none that was acknowledged', async (t) => {
  const dataDir = dataDirFor(t);
  let node = await startNode({ dataDir });
  let api = client(node);
  await api.makeConsumer('busy');
  const acknowledged = [];
  let isOver = false;
  const writers = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      try {
        const answer = await api.post(api.keys('busy'), {});
        if (answer.status === 200) acknowledged.push(answer.body);
        else assert.equal(answer.status, 503, answer.text);
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        return; // the connection was refused or closed: the node has stopped
      }
    }
  });
  await until(() => acknowledged.length >= 40, { what: 'writes under way' });
  await node.stop();
  isOver = true;
  await Promise.all(writers);
  node = await startNode({ dataDir });
  api = client(node);
  for (const key of acknowledged) assert.equal(await api.code(key.key), 'VALID', key.id);
});

test('a second SIGTERM does no harm, SIGHUP is ignored', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  node.process.kill('SIGHUP');
  await until(() => node.stderr.includes('SIGHUP'), { what: 'the line about SIGHUP' });
  assert.equal((await fetch(`${node.url}/healthz`)).status, 200);
  node.process.kill('SIGTERM');
  node.process.kill('SIGTERM');
});

test('an unknown setting in the file is refused with its line', async (t) => {
  const dataDir = dataDirFor(t);
  const file = join(dataDir, 'keyreeve.yaml');
  writeFileSync(file, 'region: "eu"\n# a comment\nhtpp: "127.0.0.1:7400"\n');
  await refuse(t, { dataDir, flags: ['--config', file], code: 2 }, [/keyreeve\.yaml:3:/, /htpp/, /--help/]);
});

test('a setting given twice, of a wrong type or out of range is refused with its name', async (t) => {
  const dataDir = dataDirFor(t);
  const file = join(dataDir, 'keyreeve.yaml');
  const cases = [
    ['region: "a"\nregion: "b"\n', [/:2:/, /region/]],
    ['insecure: maybe\n', [/insecure/, /"maybe" is neither true nor false/]],
    ['serve_threads: 100000\n', [/serve_threads/, /256/]],
    ['idle_timeout_ms: soon\n', [/:1:/]],
    ['insecure: fasle\n', [/"fasle"/]],
    ['- a\n- b\n', [/keyreeve\.yaml: /, /write lines/]],
    ['{ unbalanced\n', [/keyreeve\.yaml/]],
  ];
  for (const [text, what] of cases) {
    writeFileSync(file, text);
    await refuse(t, { dataDir, flags: ['--config', file], code: 2 }, what);
  }
  await refuse(t, { flags: ['--config', join(dataDir, 'absent.yaml')], code: 2 }, /absent\.yaml.*No such file/);
});

test('an unknown flag, a flag without its value and a bad number are refused', async (t) => {
  await refuse(t, { flags: ['--htpp', 'x'], code: 2 }, [/--htpp/, /--help/]);
  await refuse(t, { flags: ['--region'], code: 2 }, [/--region/, /value/]);
  await refuse(t, { flags: ['--idle-timeout-ms', 'soon'], code: 2 }, [/--idle-timeout-ms/, /soon/]);
  await refuse(t, { flags: ['--serve-threads=-1'], code: 2 }, [/--serve-threads/, /0 to 256/]);
  await refuse(t, { flags: ['--log-level', 'loud'], code: 2 }, /log_level.*loud/);
  await refuse(t, { flags: ['--trusted-proxies', '10.0.0.0/99'], code: 2 }, /trusted_proxies.*10\.0\.0\.0\/99/);
  await refuse(t, { env: { KEYREEVE_CONNECTIONS_MAX: '0' }, code: 2 }, /KEYREEVE_CONNECTIONS_MAX/);
});

test('a flag goes before a variable, a variable before the file', async (t) => {
  const dataDir = dataDirFor(t);
  const file = join(dataDir, 'keyreeve.yaml');
  writeFileSync(file, 'region: "file"\nnode_id: "file"\nrealm: "file"\n');
  const env = { KEYREEVE_NODE_ID: 'variable', KEYREEVE_REALM: 'variable' };
  const printed = await run(keyreeved, ['--config', file, '--realm', 'flag', '--print-config'], { env });
  assert.match(printed.stdout, /^region: "file"$/m);
  assert.match(printed.stdout, /^node_id: "variable"$/m);
  assert.match(printed.stdout, /^realm: "flag"$/m);
});

test('--print-config prints a file that reads back to the same settings', async (t) => {
  const dataDir = dataDirFor(t);
  const file = join(dataDir, 'printed.yaml');
  const given = ['--http-unix', '/run/quo"te\\d', '--insecure', '--request-timeout-ms', '1234', '--trusted-proxies', '10.0.0.0/8,::1/128'];
  const first = await run(keyreeved, [...given, '--print-config']);
  assert.equal(first.code, 0, first.stderr);
  writeFileSync(file, first.stdout);
  const second = await run(keyreeved, ['--config', file, '--print-config']);
  assert.equal(second.code, 0, second.stderr);
  assert.equal(second.stdout, first.stdout);
});

test('--check says that the settings are good, and finds what a start would refuse', async (t) => {
  const dataDir = dataDirFor(t);
  const good = await run(keyreeved, ['--data', dataDir, '--check']);
  assert.deepEqual([good.code, good.stderr], [0, '']);
  assert.deepEqual(readdirSync(dataDir), [], '--check writes nothing');
  writeFileSync(join(dataDir, 'master-key'), `${'ab'.repeat(32)}\n`, { mode: 0o644 });
  chmodSync(join(dataDir, 'master-key'), 0o644);
  const open = await run(keyreeved, ['--data', dataDir, '--check']);
  assertRefused(open, 2, /chmod 600/);
  writeFileSync(join(dataDir, 'master-key'), 'garbage\n');
  chmodSync(join(dataDir, 'master-key'), 0o600);
  assertRefused(await run(keyreeved, ['--data', dataDir, '--check']), 2, [/master-key:1/, /64 hex digits/]);
  assertRefused(await run(keyreeved, ['--http', '0.0.0.0:7400', '--check']), 2, /--insecure/);
});

test('--help names every setting, --version the version, --man is troff', async () => {
  const help = await run(keyreeved, ['--help']);
  const table = readFileSync(new URL('../../node/config_table.h', import.meta.url), 'utf8');
  for (const [, name] of table.matchAll(/^(?:TEXT|NUMBER|FLAG)\((\w+),/gm)) assert.ok(help.stdout.includes(`--${name.replaceAll('_', '-')} `), name);
  assert.match((await run(keyreeved, ['--version'])).stdout, /^keyreeved \d+\.\d+\.\d+\n$/);
  assert.match((await run(keyreeved, ['--man'])).stdout, /^\.TH "KEYREEVED" 8/);
});

test('a port in use is refused, and the words say how to find the other process', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  await refuse(t, { flags: ['--http', `127.0.0.1:${node.port}`] }, [/in use/, /--http/]);
  await refuse(t, { flags: ['--binary-listen', node.binary] }, [/binary_listen/, /in use/, /--binary-listen/]);
});

test('a start that is refused for a port or a socket has made nothing', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  const dataDir = dataDirFor(t);
  await refuse(t, { dataDir, flags: ['--binary-listen', node.binary] }, [/in use/]);
  assert.deepEqual(readdirSync(dataDir), ['lock']);
  await refuse(t, { flags: ['--http', '127.0.0.1:7999', '--http-metrics', '127.0.0.1:7999'], code: 2 }, [/http_metrics/, /address of http;/]);
});

test('a data directory of a running node is refused', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  await refuse(t, { dataDir: node.dataDir }, [/locked by process/, new RegExp(String(node.pid)), /stop|another/]);
  assert.equal((await fetch(`${node.url}/readyz`)).status, 200, 'the running node goes on');
});

test('a unix socket that another node serves is refused, a left-over one is taken over', async (t) => {
  const dataDir = dataDirFor(t);
  const socketPath = join(dataDir, 'http.sock');
  const flags = ['--http-unix', socketPath];
  const node = await startNode({ dataDir, flags });
  assert.equal((await exchange(node, { path: '/healthz', socketPath })).status, 200);
  assert.equal(statSync(socketPath).mode & 0o007, 0, 'no access for others');
  await refuse(t, { flags }, [/another process serves/, /http\.sock/]);
  await node.kill9();
  assert.ok(existsSync(socketPath));
  const next = await startNode({ dataDir, flags });
  assert.equal((await exchange(next, { path: '/healthz', socketPath })).status, 200);
});

test('a master key that others may read, that is missing or damaged is refused', async (t) => {
  const dataDir = dataDirFor(t);
  const node = await startNode({ dataDir });
  await node.stop();
  const path = join(dataDir, 'master-key');
  const value = readFileSync(path);
  chmodSync(path, 0o640);
  await refuse(t, { dataDir, code: 2 }, [/master-key/, /chmod 600/]);
  chmodSync(path, 0o600);
  writeFileSync(path, 'not hex\n');
  await refuse(t, { dataDir, code: 2 }, [/master-key:1/, /64 hex digits/, /copy/]);
  writeFileSync(path, '\n');
  await refuse(t, { dataDir, code: 2 }, [/master-key/, /no master key/, /copy/]);
  rmSync(path);
  await refuse(t, { dataDir }, [/master-key is missing/, /restore/]);
  const elsewhere = join(dataDirFor(t), 'key');
  writeFileSync(elsewhere, value, { mode: 0o600 });
  const again = await startNode({ dataDir, flags: ['--master-key-file', elsewhere] });
  await again.stop();
});

test('the database is nobody else\'s to read, in a directory that is open as well', async (t) => {
  const dataDir = dataDirFor(t);
  chmodSync(dataDir, 0o755);
  await (await startNode({ dataDir })).stop();
  const db = join(dataDir, 'db');
  assert.equal(modeOf(db), 0o700);
  for (const name of readdirSync(db)) assert.equal(modeOf(join(db, name)) & 0o077, 0, name);
  chmodSync(db, 0o755);
  await (await startNode({ dataDir })).stop();
  assert.equal(modeOf(db), 0o700);
});

test('an owner token that others may read is refused while it is there', async (t) => {
  const dataDir = dataDirFor(t);
  await (await startNode({ dataDir })).stop();
  const path = join(dataDir, 'owner-token');
  chmodSync(path, 0o644);
  await refuse(t, { dataDir, code: 2 }, [/owner-token/, /chmod 600/]);
  assertRefused(await run(keyreeved, ['--data', dataDir, '--check']), 2, [/owner-token/, /chmod 600/]);
});

test("a master key that is not the cluster's is refused, with and without a sealed value, and seals nothing", async (t) => {
  const dataDir = dataDirFor(t);
  const path = join(dataDir, 'master-key');
  let node = await startNode({ dataDir });
  const right = readFileSync(path);
  const wrong = `${'5a'.repeat(32)}\n`;
  await node.stop();
  writeFileSync(path, wrong);
  await refuse(t, { dataDir }, [/master-key: the master key of version 1 is not the cluster's/, /copy/]);
  writeFileSync(path, right);
  node = await startNode({ dataDir });
  const api = client(node);
  await api.makeBucket('vault', { isRetrievable: true });
  await api.makeConsumer('v', {}, 'vault');
  const key = await api.makeKey('v', {}, 'vault');
  await node.stop();
  writeFileSync(path, wrong);
  await refuse(t, { dataDir }, [/master-key: the master key of version 1 is not the cluster's/, /copy/]);
  writeFileSync(path, `2:${wrong}`);
  await refuse(t, { dataDir }, [/master-key: lacks the master key of version 1/, /line 1:64 hex digits/]);
  writeFileSync(path, `1:${right}2:${wrong}`);
  node = await startNode({ dataDir });
  const shown = expect(await client(node).post(`${api.keys('v', 'vault')}/${key.id}/reveal`), 200);
  assert.equal(shown.body.key, key.key);
  await node.stop();
});

test('a directory from before the checks takes the master key over that opens its values', async (t) => {
  const dataDir = dataDirFor(t);
  const path = join(dataDir, 'master-key');
  let node = await startNode({ dataDir });
  const right = readFileSync(path);
  const api = client(node);
  await api.makeBucket('vault', { isRetrievable: true });
  await api.makeConsumer('v', {}, 'vault');
  const key = await api.makeKey('v', {}, 'vault');
  await node.stop();
  execFileSync('ldb', [`--db=${join(dataDir, 'db')}`, '--column_family=vault', 'delete', 'versions']);
  writeFileSync(path, `${'5a'.repeat(32)}\n`);
  await refuse(t, { dataDir }, [/master-key: the master key opens none of the values/, /copy/]);
  writeFileSync(path, right);
  node = await startNode({ dataDir });
  assert.equal(expect(await client(node).post(`${api.keys('v', 'vault')}/${key.id}/reveal`), 200).body.key, key.key);
  await node.stop();
  writeFileSync(path, `${'5a'.repeat(32)}\n`);
  await refuse(t, { dataDir }, [/master-key: the master key of version 1 is not the cluster's/]);
});

test('a data directory of another cluster is refused', async (t) => {
  const dataDir = dataDirFor(t);
  let node = await startNode({ dataDir });
  const { clusterId } = (await client(node).get('/v1/cluster')).body;
  await node.stop();
  await refuse(t, { dataDir, flags: ['--cluster-id', `clst_${'0'.repeat(24)}`] }, [new RegExp(clusterId), /clst_0{24}/, /--data or --cluster-id/]);
  node = await startNode({ dataDir, flags: ['--cluster-id', clusterId] });
  await node.stop();
});

test('cluster_id names no new cluster: an empty data directory is refused and gets no secrets', async (t) => {
  const dataDir = dataDirFor(t);
  const flags = ['--cluster-id', `clst_${'0'.repeat(24)}`];
  for (let start = 1; start <= 2; start++) await refuse(t, { dataDir, flags }, [/holds no cluster/, /clst_0{24}/, /mount/, /without --cluster-id/]);
  for (const secret of ['owner-token', 'master-key']) assert.ok(!existsSync(join(dataDir, secret)), secret);
  await (await startNode({ dataDir })).stop();
});

/** A new cluster's CA below home, and the flags of a core node of it. */
async function coreFlags(home) {
  const ca = join(home, 'ca');
  for (const args of [['cluster', 'init', '--out', ca], ['node', 'add', 'core-1', '--dir', ca, '--region', 'here', '--role', 'core']]) {
    const ended = await run(keyreeve, args, { env: { HOME: home } });
    assert.equal(ended.code, 0, ended.stderr);
  }
  return ['--peer-bundle', join(ca, 'core-1', 'node.pem'), '--master-key-file', join(ca, 'core-1', 'master-key')];
}

test('cluster_id guards an empty data directory of a node that has a bundle, too', async (t) => {
  const dataDir = dataDirFor(t);
  const flags = await coreFlags(join(dataDir, 'home'));
  const node = await startNode({ dataDir: join(dataDir, 'data'), flags });
  const { clusterId } = (await client(node).get('/v1/cluster')).body;
  await node.stop();
  const guarded = [...flags, '--cluster-id', clusterId];
  await refuse(t, { dataDir: join(dataDir, 'unmounted'), flags: guarded }, [/holds no cluster/, new RegExp(clusterId), /mount/]);
  assert.ok(!existsSync(join(dataDir, 'unmounted', 'owner-token')));
  await (await startNode({ dataDir: join(dataDir, 'data'), flags: guarded })).stop();
});

test('a cluster_id that is none is refused before the directory is touched', async (t) => {
  for (const wrong of ['other', 'clst_other', `acct_${'0'.repeat(24)}`, `clst_${'0'.repeat(25)}`]) {
    const dataDir = dataDirFor(t);
    await refuse(t, { dataDir, flags: ['--cluster-id', wrong], code: 2 }, [/cluster_id/, new RegExp(wrong), /keyreeve status/]);
    assert.deepEqual(readdirSync(dataDir), []);
  }
});

test('a data directory of another format version is refused', async (t) => {
  const dataDir = dataDirFor(t);
  await (await startNode({ dataDir })).stop();
  const put = (value) => execFileSync('ldb', [`--db=${join(dataDir, 'db')}`, '--column_family=meta', '--hex', 'put', `0x${Buffer.from('format').toString('hex')}`, value]);
  put('0x00000003');
  await refuse(t, { dataDir }, [/format 3/, /reads format 2/]);
  put('0x00000002');
  await (await startNode({ dataDir })).stop();
});

test('a family of rows that this version does not know is refused and not touched', async (t) => {
  const dataDir = dataDirFor(t);
  await (await startNode({ dataDir })).stop();
  execFileSync('ldb', [`--db=${join(dataDir, 'db')}`, 'create_column_family', 'future']);
  await refuse(t, { dataDir }, [/another version/, /future/]);
});

test('an address that is not loopback needs --insecure', async (t) => {
  await refuse(t, { flags: ['--http', '0.0.0.0:0'], code: 2 }, [/0\.0\.0\.0/, /--insecure/]);
  await refuse(t, { flags: ['--http', '[::]:0'], code: 2 }, /--insecure/);
  await refuse(t, { flags: ['--http', 'nonsense'], code: 2 }, /HOST:PORT/);
  await refuse(t, { flags: ['--http', 'localhost:0'], code: 2 }, [/localhost:0 has no IP address/, /127\.0\.0\.1/]);
  await refuse(t, { flags: ['--binary-listen', '0.0.0.0:0'], code: 2 }, [/binary_listen/, /--insecure/]);
  await refuse(t, { flags: ['--binary-listen', '7401'], code: 2 }, [/binary_listen/, /HOST:PORT/]);
  const dataDir = dataDirFor(t);
  const node = await startNode({ dataDir, flags: ['--http', '0.0.0.0:0', '--insecure'] });
  await node.stop();
});

test('what is wrong about the other nodes and etcd ends a start as it ends --check', async (t) => {
  const dataDir = dataDirFor(t);
  const home = join(dataDir, 'home');
  const core = await coreFlags(home);
  const cases = [
    [[...core, '--engine', 'etcd', '--etcd-endpoints', 'http://192.0.2.1:2379'], [/etcd_endpoints/, /https/]],
    [[...core, '--engine', 'etcd', '--etcd-endpoints', 'https://192.0.2.1:2379', '--etcd-ca-file', join(home, 'nowhere.pem')], [/nowhere\.pem: cannot be read/]],
    [[...core, '--upstreams', '10.0.0.1:7402,10.0.0.2'], [/upstreams: "10\.0\.0\.2" is no address/]],
    [['--upstreams', '10.0.0.1:7402'], [/peer_bundle: needed with upstreams/]],
    [['--peer-bundle', join(home, 'nowhere.pem')], [/nowhere\.pem/]],
  ];
  for (const [flags, patterns] of cases) {
    await refuse(t, { dataDir: join(dataDir, 'data'), flags, code: 2 }, patterns);
    assertRefused(await run(keyreeved, ['--data', join(dataDir, 'data'), ...flags, '--check']), 2, patterns);
  }
  assert.ok(!existsSync(join(dataDir, 'data')), 'nothing was made');
});

// Where its loop is between two states it has no handlers, and a signal that a thread took then would end it.
test('no thread takes the signals of a stop and a reload but the control loop', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  const api = client(node);
  await api.makeConsumer('c');
  const { id } = await api.makeKey('c');
  expect(await api.post(`${api.keys('c')}/${id}/revoke`, {}), 200); // whatever starts a thread late has had its reason
  const threads = threadsOf(node.pid);
  const ours = ['SIGHUP', 'SIGINT', 'SIGTERM'].reduce((set, name) => set | (1 << (constants.signals[name] - 1)), 0);
  assert.ok(threads.some(({ name }) => name === 'kr-pool'), 'the pool is there from the start');
  for (const { name, blocked } of threads) assert.equal(blocked & ours, name === 'kr-control' ? 0 : ours, name);
});

test('systemd does not start a node again whose settings are wrong', () => {
  const unit = readFileSync(new URL('../../deploy/systemd/keyreeved.service', import.meta.url), 'utf8');
  assert.match(unit, /^Restart=on-failure$/m);
  assert.match(unit, /^RestartPreventExitStatus=2$/m);
  // systemd.service(5): the status counts of the main process alone, so nothing may end before it.
  assert.doesNotMatch(unit, /^ExecStartPre/m);
});

test('a data directory that cannot be made is refused', async (t) => {
  const dataDir = dataDirFor(t);
  writeFileSync(join(dataDir, 'file'), '');
  await refuse(t, { dataDir: join(dataDir, 'file') }, /file/);
  await refuse(t, { dataDir: join(dataDir, 'file/below') }, /file/);
});
