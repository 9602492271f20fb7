// SPDX-License-Identifier: Apache-2.0
// What --check and a start say of the settings: the same, before anything is made.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { client } from './lib/http.mjs';
import { makeCluster } from './lib/member.mjs';
import { assertRefused, binDir, dataDirFor, keyreeve, keyreeved, refuseNode, run, startNode } from './lib/node.mjs';

const bench = join(binDir, 'keyreeve-bench');

/** Runs a program with some of its standard descriptors closed or led elsewhere, as a shell does. */
const runWith = (redirection, program, args, more) => run('sh', ['-c', `exec "$0" "$@" ${redirection}`, program, ...args], more);

/** A start and --check refuse these settings in the same words, and neither makes anything. */
async function refuseBoth(t, flags, what) {
  const dataDir = join(dataDirFor(t), 'data');
  const started = await refuseNode({ dataDir, flags });
  assertRefused(started, 2, what);
  const checked = await run(keyreeved, ['--data', dataDir, '--http', '127.0.0.1:0', '--binary-listen', '127.0.0.1:0', ...flags, '--check']);
  assert.deepEqual([checked.code, checked.stderr], [2, started.stderr]);
  assert.ok(!existsSync(dataDir), 'nothing was made');
}

test('--check takes the master key of a node that has run, from wherever it is kept', async (t) => {
  const dataDir = dataDirFor(t);
  await (await startNode({ dataDir })).stop();
  const kept = join(dataDir, 'master-key');
  const elsewhere = join(dataDir, 'elsewhere');
  const check = (flags, env) => run(keyreeved, ['--data', dataDir, ...flags, '--check'], { env });
  const isGood = ({ code, stdout, stderr }) => assert.deepEqual([code, stdout, stderr], [0, 'the settings are good\n', '']);
  isGood(await check([]));
  renameSync(kept, elsewhere);
  isGood(await check(['--master-key-file', elsewhere]));
  isGood(await check([], { KEYREEVE_MASTER_KEY: readFileSync(elsewhere, 'utf8').trim() }));
  isGood(await runWith(`9<${elsewhere}`, keyreeved, ['--data', dataDir, '--master-key-fd', '9', '--check']));
});

test('a node starts whichever of its standard descriptors are closed', async (t) => {
  for (const closed of ['0<&-', '1>&-', '2>&-', '0<&- 1>&- 2>&-']) {
    const node = await startNode({ under: ['sh', '-c', `exec "$0" "$@" ${closed}`] });
    await node.remove();
  }
});

test('a value that nobody gets is not taken for printed', async (t) => {
  const node = await startNode();
  t.after(() => node.remove());
  await client(node).makeConsumer('c');
  const env = { HOME: node.dataDir, KEYREEVE_URL: node.url, KEYREEVE_TOKEN: node.token, KEYREEVE_BUCKET: 'production' };
  const created = await runWith('>&-', keyreeve, ['key', 'create', 'c'], { env });
  assert.deepEqual([created.code, created.stdout], [1, '']);
  assert.match(created.stderr, /cannot write to standard output/);
  for (const closed of ['0<&-', '2>&-', '0<&- 2>&-']) {
    const listed = await runWith(closed, keyreeve, ['key', 'list', 'c'], { env });
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(listed.stdout, /key_/);
  }
  const unread = await runWith('0<&-', keyreeve, ['import', '-'], { env });
  assert.notEqual(unread.code, 0, 'input that cannot be read is no empty input');
});

test('what could not be written ends no program with 0', async () => {
  for (const action of ['--print-config', '--man', '--help', '--version', '--check']) {
    const full = await runWith('>/dev/full', keyreeved, ['--data', '/nowhere', action]);
    assert.deepEqual([full.code, full.stderr], [1, 'keyreeved: standard output did not take all that was written; is a disk full?\n'], action);
  }
  for (const args of [['--help'], ['--man'], ['--version'], ['plan', '--help'], ['plan', '--man'], ['plan', '--keys', '1e6', '--json']]) {
    const full = await runWith('>/dev/full', bench, args);
    assert.deepEqual([full.code, full.stderr], [1, 'keyreeve-bench: standard output did not take all that was written; is a disk full?\n'], args.join(' '));
  }
  for (const program of [keyreeved, bench]) assert.equal((await runWith('>&-', program, ['--help'])).code, 1, 'as what is closed');
  for (const program of [keyreeved, bench]) assert.equal((await runWith('| true', program, ['--man'])).stderr, '');
});

test('--help, --version and --man need no settings, and a value is not one of them', async (t) => {
  const env = { KEYREEVE_SERVE_THREADS: 'many', KEYREEVE_ACCOUNT: '' };
  for (const action of ['--help', '-h', '--version', '--man']) {
    const shown = await run(keyreeved, ['--config', '/nowhere.yaml', action], { env });
    assert.deepEqual([shown.code, shown.stderr], [0, ''], action);
    assert.match(shown.stdout, /keyreeved/i);
  }
  const printed = await run(keyreeved, ['--realm', '--help', '--print-config']);
  assert.match(printed.stdout, /^realm: "--help"$/m);
  assert.equal((await run(keyreeved, ['--check'], { env })).code, 2);
});

test('of two --config the last one counts, and one without a value is refused', async (t) => {
  const dataDir = dataDirFor(t);
  const [first, last] = ['first', 'last'].map((realm) => {
    const path = join(dataDir, `${realm}.yaml`);
    writeFileSync(path, `realm: ${realm}\n`);
    return path;
  });
  for (const flags of [['--config', first, '--config', last], ['--config', first, `--config=${last}`], [`--config=${first}`, '--config', last]])
    assert.match((await run(keyreeved, [...flags, '--print-config'])).stdout, /^realm: "last"$/m);
  for (const flags of [['--check', '--config'], ['--check', '--config='], ['--config', '', '--check']]) {
    const refused = await run(keyreeved, flags);
    assert.deepEqual([refused.code, refused.stderr], [2, 'keyreeved: --config needs a value; keyreeved --help shows it\n']);
  }
});

test('a peer_listen that no start could use is refused before anything is made', async (t) => {
  const home = dataDirFor(t);
  await makeCluster(home, { 'core-1': 'core' });
  const core = ['--peer-bundle', join(home, 'ca/core-1/node.pem'), '--master-key-file', join(home, 'ca/core-1/master-key')];
  const cases = [
    [['--peer-listen', 'foo'], [/peer_listen: "foo" is no address/, /HOST:PORT/]],
    [['--peer-listen', ''], [/peer_listen: "" is no address/]],
    [['--peer-listen', 'localhost:17430'], [/peer_listen: localhost:17430 has no IP address/]],
    [['--http', '127.0.0.1:17430', '--peer-listen', '127.0.0.1:17430'], [/peer_listen: 127\.0\.0\.1:17430 is the address of http;/]],
    [['--http', '127.0.0.1:17430', '--peer-listen', '0.0.0.0:17430', '--peer-advertise', '127.0.0.1:17430'], [/peer_listen: 0\.0\.0\.0:17430 cannot be bound beside http/]],
    [['--binary-listen', '127.0.0.1:17430', '--peer-listen', '[::]:17430', '--peer-advertise', '127.0.0.1:17430'], [/cannot be bound beside binary_listen/]],
    [['--peer-listen', '0.0.0.0:17430'], [/peer_listen: other nodes cannot reach this one at 0\.0\.0\.0:17430; say with peer_advertise/]],
    [['--peer-listen', '[::]:17430'], [/peer_advertise/]],
    [['--peer-listen', '127.0.0.1:0'], [/peer_advertise/]],
  ];
  for (const [flags, patterns] of cases) await refuseBoth(t, [...core, ...flags], patterns);
  for (const [flags] of cases.slice(0, 2)) {
    const alone = await run(keyreeved, ['--data', home, ...flags, '--check']); // it is used with peer_bundle
    assert.deepEqual([alone.code, alone.stderr], [0, '']);
  }

  const node = await startNode({ dataDir: join(home, 'data'), flags: [...core, '--peer-listen', '127.0.0.1:0', '--peer-advertise', 'core-1.example:7402'] });
  const taken = await refuseNode({ dataDir: join(home, 'other'), flags: [...core, '--peer-listen', node.binary] });
  assertRefused(taken, 1, [/peer_listen: .* is in use by another process/, /--peer-listen/]);
  assert.deepEqual(readdirSync(join(home, 'other')), ['lock']);
  await node.stop();
});

test("a unix socket's path that no start could use is refused before anything is made", async (t) => {
  const home = dataDirFor(t);
  const [file, socket] = [join(home, 'file'), join(home, 'socket')];
  writeFileSync(file, '');
  const cases = [
    [['--http-unix', socket, '--binary-unix', socket], [/binary_unix: .*socket is the path of http_unix/]],
    [['--binary-unix', join(file, 'binary.sock')], [/binary_unix: .*\/file is no directory/]],
    [['--http-unix', join(file, 'below/http.sock')], [/http_unix: .*\/below is no directory/]],
    [['--http-unix', file], [/http_unix: .*\/file exists and is no socket/]],
    [['--http-unix', join(home, 'x'.repeat(108))], [/http_unix: the path is longer than 107 bytes/]],
  ];
  for (const [flags, patterns] of cases) await refuseBoth(t, flags, patterns);
  const dataDir = join(home, 'made/by/the/start');
  const node = await startNode({ dataDir, flags: ['--http-unix', join(dataDir, 'http.sock'), '--binary-unix', join(home, 'made/binary.sock')] });
  await node.stop();
});

test("a unix socket's directory that is missing may be made before a start, and a start without it may be repeated", async (t) => {
  const [home, dataDir] = [dataDirFor(t), dataDirFor(t)];
  const flags = ['--http-unix', join(home, 'missing/http.sock')];
  const checked = await run(keyreeved, ['--data', dataDir, ...flags, '--check']);
  assert.deepEqual([checked.code, checked.stderr], [0, '']);
  assertRefused(await refuseNode({ dataDir, flags }), 1, [/http_unix: .*\/missing cannot be used \(No such file.*\); make it/]);
  assert.deepEqual(readdirSync(dataDir), ['lock'], 'no database was made');
  mkdirSync(join(home, 'missing'));
  await (await startNode({ dataDir, flags })).stop();
  const spelled = await run(keyreeved, ['--data', 'data', '--http-unix', './data/http.sock', '--check'], { cwd: home });
  assert.deepEqual([spelled.code, spelled.stderr], [0, '']);
});

test('an account and a carrier of keys that no request could name are refused', async (t) => {
  for (const account of ['a/b', '..', '']) await refuseBoth(t, ['--account', account], /account: /);
  await refuseBoth(t, ['--credential-header', 'X Y'], [/credential_header: "X Y"/, /X-API-Key/]);
  await refuseBoth(t, ['--http-advertise', 'foo'], [/http_advertise: "foo" is no URL/]);
});
