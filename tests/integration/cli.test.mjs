// SPDX-License-Identifier: Apache-2.0
// The keyreeve command over a real node: logins, the life of a key, exit codes, import and export.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { client, expect } from './lib/http.mjs';
import { crc32 } from './lib/keys.mjs';
import { keyreeve, run, startNode, until } from './lib/node.mjs';

let node, home;

before(async () => {
  node = await startNode();
  home = mkdtempSync(join(tmpdir(), 'keyreeve-cli-'));
});
after(async () => {
  rmSync(home, { recursive: true, force: true });
  await node.remove();
});

const clean = { KEYREEVE_URL: '', KEYREEVE_TOKEN: '', KEYREEVE_BUCKET: '', KEYREEVE_CONTEXT: '' };
const place = () => ({ ...clean, HOME: home, XDG_CONFIG_HOME: join(home, 'config') });
const asOwner = () => ({ ...place(), KEYREEVE_URL: node.url, KEYREEVE_TOKEN: node.token, KEYREEVE_BUCKET: 'production' });

/** Runs the command as the owner; fails unless it ends with this code. */
async function cli(args, { code = 0, input = '', env = asOwner() } = {}) {
  const ended = await run(keyreeve, args, { env, input });
  assert.equal(ended.code, code, `keyreeve ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
  return ended;
}
const json = async (args, options) => JSON.parse((await cli([...args, '--json'], options)).stdout);

function makeKey(number) {
  const body = `Import${String(number).padStart(37, '0')}`;
  return `kr_live_${body}_${crc32(body)}`;
}
const path = (name) => join(home, name);
const lines = (text) => text.split('\n').filter((line) => line !== '');

test('login stores a context that only its owner can read, and later commands use it', async () => {
  const tokenFile = path('token');
  writeFileSync(tokenFile, `${node.token}\n`, { mode: 0o600 });
  await cli(['login', node.url, '--token-file', tokenFile, '--name', 'here'], { env: place() });
  const stored = path('config/keyreeve/contexts.json');
  assert.equal(statSync(stored).mode & 0o777, 0o600);
  const who = await json(['whoami'], { env: place() });
  assert.deepEqual(who.roles, ['owner']);
  const listed = await json(['contexts', 'list'], { env: place() });
  assert.equal(listed.data[0].name, 'here');
  assert.ok(!JSON.stringify(listed).includes(node.token));
  chmodSync(stored, 0o640);
  assert.match((await cli(['whoami'], { env: place(), code: 4 })).stderr, /chmod 600/);
  chmodSync(stored, 0o600);
  await cli(['contexts', 'remove', 'here'], { env: place() });
  await cli(['whoami'], { env: place(), code: 2 });
});

test('a later login keeps the default bucket, and nodes on two ports of a host are two contexts', async (t) => {
  const other = await startNode();
  t.after(() => other.remove());
  const [asHere, asOther] = [node, other].map((one) => ({ env: place(), input: one.token }));
  const hostOf = (one) => new URL(one.url).host;
  const stored = async () => Object.fromEntries((await json(['contexts', 'list'], { env: place() })).data.map(({ name, url, bucket }) => [name, [url, bucket]]));
  await cli(['login', node.url, '--bucket', 'preview'], asHere);
  await cli(['login', node.url], asHere);
  await cli(['login', other.url], asOther);
  assert.deepEqual(await stored(), { [hostOf(node)]: [node.url, 'preview'], [hostOf(other)]: [other.url, null] });
  await cli(['login', node.url, '--bucket', 'development'], asHere);
  assert.deepEqual((await stored())[hostOf(node)], [node.url, 'development']);
  await cli(['login', other.url, '--name', hostOf(node)], asOther);
  assert.deepEqual((await stored())[hostOf(node)], [other.url, null], 'a bucket of one node says nothing of another');
  for (const name of [node, other].map(hostOf)) await cli(['contexts', 'remove', name], { env: place() });
});

test('a token is not sent to another URL than its context has', async () => {
  const tokenFile = path('token2');
  writeFileSync(tokenFile, node.token, { mode: 0o600 });
  await cli(['login', node.url, '--token-file', tokenFile, '--name', 'here'], { env: place() });
  const ended = await cli(['whoami', '--url', 'http://127.0.0.1:9'], { env: place(), code: 4 });
  assert.match(ended.stderr, /no token for http:\/\/127\.0\.0\.1:9/);
  await cli(['contexts', 'remove', 'here'], { env: place() });
});

test('login refuses a token that is wrong, or that others can read', async () => {
  await cli(['login', node.url], { env: place(), input: 'kr_mgmt_wrong-token-0123', code: 4 });
  assert.ok(!existsSync(path('config/keyreeve/contexts.json')) || !readFileSync(path('config/keyreeve/contexts.json'), 'utf8').includes('wrong'));
  writeFileSync(path('open'), node.token);
  chmodSync(path('open'), 0o644);
  assert.match((await cli(['login', node.url, '--token-file', path('open')], { env: place(), code: 4 })).stderr, /chmod 600/);
});

test('a key lives: made, verified, disabled, rolled, revoked with a receipt', async () => {
  await cli(['consumer', 'create', 'life', '--metadata', '{"plan":"gold"}']);
  const made = await cli(['key', 'create', 'life', '-d', 'CI', '--expires', '90d', '-s', 'orders:read']);
  assert.match(made.stdout, /^kr_live_[0-9A-Za-z]{43}_[0-9a-f]{8}\n$/);
  assert.ok(!made.stderr.includes(made.stdout.trim()), 'the value is on standard output alone');
  const value = made.stdout.trim();
  const [key] = (await json(['key', 'list', 'life'])).data;
  assert.equal(key.description, 'CI');
  assert.ok(!JSON.stringify(key).includes(value));

  const verdict = await json(['key', 'verify', '-s', 'orders:read'], { input: value });
  assert.equal(verdict.code, 'VALID');
  assert.deepEqual(verdict.data, { plan: 'gold' });
  await cli(['key', 'verify', '-s', 'orders:write'], { input: value, code: 6 });
  await cli(['key', 'update', 'life', key.id, '--enabled', 'false']);
  assert.equal((await json(['key', 'verify'], { input: value, code: 6 })).code, 'DISABLED');
  await cli(['key', 'update', 'life', key.id, '--enabled', 'true']);

  const rolled = (await cli(['key', 'roll', 'life', '--expires', '1h'])).stdout.trim();
  assert.equal((await json(['key', 'verify'], { input: rolled })).code, 'VALID');
  const receipt = await json(['key', 'revoke', 'life', key.id, '--reason', 'keyCompromise', '--wait']);
  assert.equal(receipt.level, 'everywhere');
  assert.equal(receipt.nodes[0].state, 'applied');
  assert.deepEqual((await json(['receipt', String(receipt.index)])).index, receipt.index);
  assert.equal((await json(['key', 'verify'], { input: value, code: 6 })).code, 'REVOKED');
  const { index } = await json(['key', 'verify'], { input: rolled });
  const stale = await cli(['key', 'verify', '--min-index', String(index + 1000)], { input: rolled, code: 7 });
  assert.match(stale.stdout, /^verdict +STALE$/m, 'a node that does not know enough says so, and that is shown');
  assert.equal(stale.stderr, '');
  await cli(['consumer', 'revoke', 'life', '--yes']);
  assert.equal((await json(['key', 'verify'], { input: rolled, code: 6 })).code, 'REVOKED');
});

test('a key is verified against the bucket that is worked in, with --bench too', async () => {
  await cli(['consumer', 'create', 'there', '-b', 'preview']);
  const input = (await cli(['key', 'create', 'there', '-b', 'preview'])).stdout.trim();
  const anywhere = { ...place(), KEYREEVE_URL: node.url };
  const how = [['key', 'verify'], ['key', 'verify', '--bench', '1', '--nodes', node.binary]];
  for (const args of how) {
    assert.equal((await json(args, { input, env: anywhere })).code, 'VALID');
    assert.equal((await json(args, { input, env: { ...anywhere, KEYREEVE_BUCKET: 'preview' } })).code, 'VALID');
    assert.equal((await json(args, { input, env: { ...anywhere, KEYREEVE_BUCKET: 'production' }, code: 6 })).code, 'FORBIDDEN');
    assert.equal((await json([...args, '-b', 'preview'], { input })).code, 'VALID');
  }
  writeFileSync(path('token4'), node.token, { mode: 0o600 });
  await cli(['login', node.url, '--token-file', path('token4'), '--name', 'there', '--bucket', 'production'], { env: place() });
  for (const args of how) assert.equal((await json(args, { input, env: place(), code: 6 })).code, 'FORBIDDEN');
  await cli(['contexts', 'remove', 'there'], { env: place() });
});

test('a roll that would end no key is refused, and ends none', async () => {
  await cli(['consumer', 'create', 'kept']);
  await cli(['key', 'create', 'kept']);
  for (const args of [['key', 'roll', 'kept'], ['consumer', 'roll', 'kept']])
    assert.match((await cli([...args, '--expires', 'never'], { code: 2 })).stderr, /--expires needs a time/);
  assert.deepEqual((await json(['key', 'list', 'kept'])).data.map(({ expiresOn }) => expiresOn), [null]);
});

test('what exits how', async () => {
  await cli(['nonsense'], { code: 2 });
  await cli(['bucket', 'show', 'no-such-bucket'], { code: 3 });
  await cli(['consumer', 'create', 'twice']);
  await cli(['consumer', 'create', 'twice'], { code: 4 });
  await cli(['consumer', 'create', 'Not A Name'], { code: 1 });
  await cli(['status', '--url', 'http://127.0.0.1:9'], { code: 5 });
  await cli(['consumer', 'delete', 'twice'], { code: 2 });
  await cli(['consumer', 'delete', 'twice', '--yes']);
  // A node alone leads, and says so as soon as it has looked.
  const status = await until(async () => {
    const { stdout } = await cli(['status']);
    return /^leader +node-1$/m.test(stdout) && stdout;
  }, { what: 'the node to name itself as the leader' });
  assert.match(status, /^node-1 +local +leader +serving +- +- +\d+ +0 /m);
  const ended = await cli(['bucket', 'show', 'no-such-bucket', '--json'], { code: 3 });
  assert.ok(JSON.parse(ended.stderr).hint);
});

test('buckets, managers, tokens and the audit trail', async () => {
  await cli(['bucket', 'create', 'partners', '--environment', 'preview', '--key-prefix', 'acme_test', '--retrievable']);
  await cli(['consumer', 'create', 'p1', '-b', 'partners']);
  const value = (await cli(['key', 'create', 'p1', '-b', 'partners'])).stdout;
  assert.match(value, /^acme_test_/);
  const [key] = (await json(['key', 'list', 'p1', '-b', 'partners'])).data;
  assert.equal((await cli(['key', 'reveal', 'p1', key.id, '-b', 'partners'])).stdout, value);
  await cli(['manager', 'add', 'p1', 'ada@example.com', '-b', 'partners']);
  const [manager] = (await json(['manager', 'list', 'p1', '-b', 'partners'])).data;
  await cli(['manager', 'remove', 'p1', manager.id, '-b', 'partners', '--yes']);

  const token = (await cli(['token', 'create', 'looker', '--role', 'viewer'])).stdout.trim();
  const asViewer = { ...asOwner(), KEYREEVE_TOKEN: token };
  await cli(['bucket', 'list'], { env: asViewer });
  await cli(['bucket', 'create', 'denied'], { env: asViewer, code: 4 });
  const listed = (await json(['token', 'list'])).data.find((item) => item.label === 'looker');
  await cli(['token', 'delete', listed.id, '--yes']);
  await cli(['bucket', 'list'], { env: asViewer, code: 4 });

  const trail = await json(['audit', '--action', 'key.reveal']);
  assert.equal(trail.data[0].target, key.id);
  await cli(['bucket', 'delete', 'partners', '--yes']);
  await cli(['bucket', 'show', 'partners'], { code: 3 });
});

test('whoami shows what a token is limited to', async () => {
  const limited = (await cli(['token', 'create', 'narrow', '--role', 'viewer', '--allow-bucket', 'production', '--environment', 'production'])).stdout.trim();
  const { stdout } = await cli(['whoami'], { env: { ...asOwner(), KEYREEVE_TOKEN: limited } });
  assert.match(stdout, /^roles +viewer$/m);
  assert.match(stdout, /^buckets +production$/m);
  assert.match(stdout, /^environment +production$/m);
  assert.match((await cli(['whoami'])).stdout, /^buckets +-$/m);
});

test('a dry run checks every row and writes nothing', async () => {
  writeFileSync(path('dry.jsonl'), ['{"consumer":"dry","key":"' + makeKey(1) + '"}', 'nonsense', '{"consumer":"dry","key":"' + makeKey(2).replace(/.$/, 'x') + '"}'].join('\n'));
  const result = await json(['import', path('dry.jsonl'), '--dry-run', '--report', path('dry.report')], { code: 1, env: { ...place(), KEYREEVE_BUCKET: 'production' } });
  assert.equal(result.lines, 3);
  const refused = lines(readFileSync(path('dry.report'), 'utf8')).map((line) => JSON.parse(line).line);
  assert.ok(refused.includes(2));
  await cli(['consumer', 'show', 'dry'], { code: 3 });
});

test('what a dry run calls good, the node takes, and what it refuses, the node refuses too', async () => {
  const row = (i, settings) => ({ consumer: `told-${i}`, key: makeKey(40_000 + i), ...settings });
  const bad = [
    { expiresOn: '2020-01-31' }, { scopes: ['a,b'] }, { scopes: ['a b'] }, { tags: Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`t${i}`, ''])) }, { tags: { '': 'x' } },
    { expiresOn: '2099-01-31', notBefore: '2099-01-31' }, { description: 'x'.repeat(1025) }, { consumerDescription: 'x'.repeat(1025) },
    { ipAllow: Array.from({ length: 65 }, (_, i) => `192.0.2.${i}`) }, { scopes: Array.from({ length: 65 }, (_, i) => `s${i}`) }, { consumerMetadata: { a: 'x'.repeat(16_384) } },
    { key: undefined, keyHash: { algorithm: 'sha256', value: 'cd'.repeat(32), last4: 'abcde' } }, { key: makeKey(40_000) },
  ].map((settings, i) => row(i + 1, settings));
  const good = [row(0, {}), row(0, { scopes: ['orders:read'], notBefore: '2098-01-31', expiresOn: '2099-01-31' }), row(99, { key: undefined, keyHash: { algorithm: 'sha256', value: 'ef'.repeat(32), last4: null } })];
  writeFileSync(path('told.jsonl'), [...good, ...bad].map((one) => JSON.stringify(one)).join('\n'));
  const dry = await json(['import', path('told.jsonl'), '--dry-run', '--report', path('told.dry')], { code: 1 });
  assert.deepEqual([dry.good, dry.refused], [good.length, bad.length], readFileSync(path('told.dry'), 'utf8'));
  const report = lines(readFileSync(path('told.dry'), 'utf8')).map((line) => JSON.parse(line));
  assert.deepEqual(report.map(({ line }) => line), bad.map((_, i) => good.length + i + 1));
  assert.match(report.at(-1).detail, /line 1 has the same value/);
  const api = client(node);
  for (const [rows, refused] of [[good, 0], [bad, bad.length]]) {
    const answer = expect(await api.post(`${api.buckets}/production/$import`, { rows }), 200).body;
    assert.equal(answer.refused.length, refused, JSON.stringify(answer));
  }
});

test('a dry run puts rows where the import would: into the bucket of the stored login', async () => {
  writeFileSync(path('token3'), node.token, { mode: 0o600 });
  writeFileSync(path('placed.jsonl'), JSON.stringify({ consumer: 'placed', key: makeKey(3) }));
  const dry = (code, env) => json(['import', path('placed.jsonl'), '--dry-run'], { code, env: { ...place(), ...env } });
  assert.deepEqual([(await dry(1)).refused, (await dry(0, { KEYREEVE_BUCKET: 'preview' })).good], [1, 1]);
  await cli(['login', node.url, '--token-file', path('token3'), '--name', 'placed', '--bucket', 'preview'], { env: place() });
  assert.equal((await dry(0)).good, 1);
  // A file that nothing is wanted of is no obstacle.
  chmodSync(path('config/keyreeve/contexts.json'), 0o644);
  assert.equal((await dry(0, { KEYREEVE_BUCKET: 'preview' })).good, 1);
  assert.match((await cli(['import', path('placed.jsonl'), '--dry-run'], { code: 4, env: place() })).stderr, /chmod 600/);
  chmodSync(path('config/keyreeve/contexts.json'), 0o600);
  await cli(['contexts', 'remove', 'placed'], { env: place() });
});

test('import counts what is new, what is there and what is refused, and keys work at once', async () => {
  const rows = Array.from({ length: 3000 }, (_, i) => ({ bucket: i % 2 ? 'preview' : 'production', consumer: `imported-${i % 50}`, key: makeKey(1000 + i), consumerMetadata: { n: i % 50 } }));
  rows[10].keyHash = { algorithm: 'sha256', value: 'ab'.repeat(32), last4: 'beef' };
  delete rows[10].key;
  const text = rows.map((row) => JSON.stringify(row));
  text.splice(5, 0, '', '{"consumer":"x"}');
  writeFileSync(path('in.jsonl'), text.join('\n'));
  const first = await json(['import', path('in.jsonl'), '--batch', '700', '--report', path('in.report')], { code: 1 });
  assert.deepEqual([first.imported, first.existing, first.refused], [3000, 0, 1]);
  assert.deepEqual(lines(readFileSync(path('in.report'), 'utf8')).map((line) => JSON.parse(line).line), [7]);
  assert.ok(!existsSync(path('in.jsonl.keyreeve-state')), 'nothing is left to go on with');
  const again = await json(['import', path('in.jsonl')], { code: 1 });
  assert.deepEqual([again.imported, again.existing, again.refused], [0, 3000, 1]);
  const verdict = await json(['key', 'verify'], { input: makeKey(1000) });
  assert.equal(verdict.code, 'VALID');
  assert.deepEqual(verdict.data, { n: 0 });
  writeFileSync(path('other.jsonl'), JSON.stringify({ bucket: 'preview', consumer: 'thief', key: makeKey(1001) }));
  const stolen = await json(['import', path('other.jsonl'), '--report', path('other.report')], { code: 1 });
  assert.deepEqual([stolen.imported, stolen.refused], [0, 1]);
  assert.ok(!readFileSync(path('other.report'), 'utf8').includes(makeKey(1001)));
});

test('import takes every setting that a key has, and by the names that export gives them', async () => {
  const consumer = await json(['consumer', 'create', 'bound', '-b', 'preview']);
  const settings = { description: 'bound', expiresOn: '2099-01-31T12:00:00.000Z', notBefore: '2020-01-31T12:00:00.000Z', enabled: false, scopes: ['a'], ipAllow: ['192.0.2.0/24', '2001:db8::/32'], tags: { x: 'y' }, metadata: { n: 1 } };
  const ofKeys = async (bucket) => {
    const rows = lines((await cli(['export', bucket])).stdout).map((line) => JSON.parse(line));
    const keys = rows.filter((row) => row.type === 'key' && row.consumer === 'bound').map((row) => Object.fromEntries(['bucket', 'consumer', ...Object.keys(settings)].map((name) => [name, row[name]])));
    return keys.sort((a, b) => (String(a.description) < String(b.description) ? -1 : 1));
  };
  writeFileSync(path('bound.jsonl'), [
    JSON.stringify({ bucket: 'preview', consumer: consumer.id, key: makeKey(20), ...settings }),
    JSON.stringify({ bucket: 'preview', consumer: 'bound', key: makeKey(21), keyHash: null, tags: null, scopes: null, ipAllow: null, notBefore: null, consumerTags: null }),
  ].join('\n'));
  assert.equal((await json(['import', path('bound.jsonl')])).imported, 2);
  const keys = await ofKeys('preview');
  const where = { bucket: 'preview', consumer: 'bound' };
  assert.deepEqual(keys, [{ ...where, ...settings }, { ...where, description: null, expiresOn: null, notBefore: null, enabled: true, scopes: [], ipAllow: [], tags: {}, metadata: {} }]);

  await cli(['bucket', 'create', 'elsewhere']);
  const moved = keys.map((key) => ({ ...key, bucket: 'elsewhere' }));
  writeFileSync(path('moved.jsonl'), moved.map((key, i) => JSON.stringify({ ...key, key: makeKey(30 + i) })).join('\n'));
  assert.equal((await json(['import', path('moved.jsonl')])).imported, 2);
  assert.deepEqual(await ofKeys('elsewhere'), moved);
  const asked = { input: makeKey(20), env: { ...place(), KEYREEVE_URL: node.url } };
  assert.equal((await json(['key', 'verify', '--ip', '192.0.2.7'], { ...asked, code: 6 })).code, 'DISABLED');
});

test('an import that is killed goes on, and its counts and report are whole', async () => {
  const count = 60_000;
  const rows = Array.from({ length: count }, (_, i) => JSON.stringify({ consumer: `killed-${i % 500}`, key: makeKey(100_000 + i), ...(i % 10_000 === 9_999 ? { colour: 'red' } : {}) }));
  writeFileSync(path('killed.jsonl'), `${rows.join('\n')}\n`);
  const state = path('killed.jsonl.keyreeve-state');
  const args = ['import', path('killed.jsonl'), '--batch', '50', '--concurrency', '1', '--report', path('killed.report')];
  const child = spawn(keyreeve, args, { env: { ...process.env, ...asOwner() }, stdio: 'ignore' });
  const ended = new Promise((done) => child.on('close', done));
  await until(() => child.exitCode !== null || (existsSync(state) && JSON.parse(readFileSync(state)).lines > 0), { what: 'a saved state' });
  assert.equal(child.exitCode, null, 'it ended before it could be killed');
  child.kill('SIGKILL');
  await ended;
  const kept = JSON.parse(readFileSync(state));
  assert.ok(kept.lines > 0 && kept.lines < count);
  const result = await json(['import', path('killed.jsonl'), '--report', path('killed.report')], { code: 1 });
  assert.equal(result.lines, count);
  assert.equal(result.imported + result.existing, count - 6);
  assert.deepEqual(lines(readFileSync(path('killed.report'), 'utf8')).map((line) => JSON.parse(line).line), [10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
});

test('the report of an import that goes on is neither made up nor thrown away', async () => {
  const good = `${JSON.stringify({ consumer: 'reported', key: makeKey(8) })}\n`;
  const [input, report, state] = ['reported.jsonl', 'reported.report', 'reported.jsonl.keyreeve-state'].map(path);
  const reported = `${JSON.stringify({ line: 1, detail: 'not JSON' })}\n`;
  const begin = `nonsense\n${good}`;
  writeFileSync(input, `${begin}also nonsense\n`);
  const kept = JSON.stringify({ format: 1, target: `${node.url}, account default, bucket production`, digest: createHash('sha256').update(begin).digest('hex'), offset: begin.length, lines: 2, imported: 1, existing: 0, refused: 1, reportBytes: reported.length });
  writeFileSync(state, kept);
  const go = (...more) => cli(['import', input, '--report', report, ...more], { code: 1 });

  for (const found of [undefined, '', reported.slice(5)]) {
    if (found !== undefined) writeFileSync(report, found);
    assert.match((await go()).stderr, /reported\.report is not the report that this import goes on with.*\n.*--restart/);
    assert.equal(existsSync(report) ? readFileSync(report, 'utf8') : undefined, found);
  }
  writeFileSync(report, `${reported}of a row beyond the state\n`);
  assert.match((await go('--dry-run')).stderr, /has not ended.*\n.*another --report/);
  assert.ok(readFileSync(report, 'utf8').startsWith(reported));
  assert.equal(readFileSync(state, 'utf8'), kept);
  const elsewhere = await json(['import', input, '--dry-run', '--report', path('rehearsed.report')], { code: 1 });
  assert.deepEqual([elsewhere.good, elsewhere.refused], [1, 2]);

  assert.match((await go()).stdout, /^refused +2$/m);
  assert.deepEqual(lines(readFileSync(report, 'utf8')).map((line) => JSON.parse(line).line), [1, 3]);
});

test('a changed input is not continued', async () => {
  const text = `${JSON.stringify({ consumer: 'changed', key: makeKey(7) })}\n`;
  const state = path('changed.jsonl.keyreeve-state');
  writeFileSync(path('changed.jsonl'), text);
  writeFileSync(state, JSON.stringify({ format: 1, target: `${node.url}, account default, bucket production`, digest: '00'.repeat(32), offset: 10, lines: 1, imported: 1, existing: 0, refused: 0, reportBytes: 0 }));
  assert.match((await cli(['import', path('changed.jsonl')], { code: 1 })).stderr, /--restart/);
  await cli(['import', path('changed.jsonl'), '--restart']);
});

test('export writes what there is, and no value', async () => {
  await cli(['consumer', 'create', 'exported', '-b', 'development']);
  const value = (await cli(['key', 'create', 'exported', '-b', 'development'])).stdout.trim();
  await cli(['export', 'development', '--out', path('out.jsonl')]);
  const text = readFileSync(path('out.jsonl'), 'utf8');
  const rows = lines(text).map((line) => JSON.parse(line));
  assert.deepEqual([...new Set(rows.map((row) => row.type))], ['bucket', 'consumer', 'key']);
  assert.ok(!text.includes(value));
  assert.equal(rows.at(-1).consumer, 'exported');
});

test('export knows every key of a consumer that has more than fit into its own answer', async () => {
  const count = 2050;
  await cli(['bucket', 'create', 'crowded']);
  const rows = Array.from({ length: count }, (_, i) => JSON.stringify({ bucket: 'crowded', consumer: 'many-keys', key: makeKey(700_000 + i) }));
  writeFileSync(path('crowded.jsonl'), rows.join('\n'));
  await cli(['import', path('crowded.jsonl')]);
  const exported = await cli(['export', 'crowded']);
  const keys = lines(exported.stdout).map((line) => JSON.parse(line)).filter(({ type, consumer }) => type === 'key' && consumer === 'many-keys');
  assert.deepEqual([keys.length, new Set(keys.map(({ id }) => id)).size], [count, count]);
  assert.ok(exported.stdout.includes('"masked"') && !/"key":/.test(exported.stdout));
  assert.match(exported.stderr, /exported 1 buckets, 1 consumers, 2050 keys/);
});

test('tables are aligned, plain in a pipe, and page beyond the first thousand', async () => {
  const rows = Array.from({ length: 1500 }, (_, i) => JSON.stringify({ bucket: 'development', consumer: `many-${String(i).padStart(4, '0')}`, key: makeKey(900_000 + i) }));
  writeFileSync(path('many.jsonl'), rows.join('\n'));
  await cli(['import', path('many.jsonl')]);
  const first = await cli(['consumer', 'list', '-b', 'development', '--prefix', 'many-']);
  assert.equal(lines(first.stdout).length, 1001);
  assert.match(first.stderr, /1,000 of 1,500 shown/);
  assert.ok(!first.stdout.includes('\x1b'));
  const all = await json(['consumer', 'list', '-b', 'development', '--prefix', 'many-', '--all']);
  assert.equal(new Set(all.data.map((item) => item.name)).size, 1500);
});

test('every shell gets its completion, and bash accepts its own', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) assert.match((await cli(['completion', shell])).stdout, /keyCompromise/);
  const script = (await cli(['completion', 'bash'])).stdout;
  const asked = `${script}\nCOMP_WORDS=(keyreeve key rev); COMP_CWORD=2; _keyreeve; echo "\${COMPREPLY[*]}"`;
  assert.equal((await run('bash', ['-c', asked])).stdout.trim(), 'revoke reveal'.split(' ').sort().reverse().join(' '));
  // As bash splits them: at ":" and "=" as well.
  for (const [words, offered] of [
    ['--url http : //127.0.0.1 : 7400 key rev', 'revoke reveal'], ['--url = http : //127.0.0.1 : 7400 key rev', 'revoke reveal'], ['--tag a = b key rev', 'revoke reveal'],
    ['key list --status = act', 'active'], ['key list --status = revoked --url http :', ''], ['--url http : //127.0.0.1', ''],
  ]) {
    const { stdout, stderr } = await run('bash', ['-c', `${script}\nCOMP_WORDS=(keyreeve ${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _keyreeve; echo "\${COMPREPLY[*]}"`]);
    assert.deepEqual([stdout.trim(), stderr], [offered, ''], words);
  }
});

test('every command has a manual page', async () => {
  assert.match((await cli(['man'])).stdout, /^\.TH "KEYREEVE" 1/);
  assert.match((await cli(['man', 'key', 'create'])).stdout, /^\.TH "KEYREEVE-KEY-CREATE" 1/);
});
