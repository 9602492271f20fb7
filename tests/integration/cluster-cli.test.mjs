// SPDX-License-Identifier: Apache-2.0
// keyreeve cluster init and node add: what they write, who accepts it, and what they refuse. The
// certificates are judged by another TLS library's user: Node's crypto and tls.
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { keyreeve, run } from './lib/node.mjs';

const home = mkdtempSync(join(tmpdir(), 'keyreeve-cluster-'));
after(() => rmSync(home, { recursive: true, force: true }));
const path = (...parts) => join(home, ...parts);
const mode = (file) => statSync(file).mode & 0o777;
const DAY_MS = 86_400_000;

async function cli(args, code = 0) {
  const ended = await run(keyreeve, args, { env: { HOME: home, XDG_CONFIG_HOME: path('config') } });
  assert.equal(ended.code, code, `keyreeve ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
  return ended;
}
const json = async (args) => JSON.parse((await cli([...args, '--json'])).stdout);

/** A cluster's directory of its own. */
async function makeCluster(name) {
  const made = await json(['cluster', 'init', '--out', path(name)]);
  return { dir: path(name), id: made.clusterId, made };
}
const add = (cluster, name, ...more) => json(['node', 'add', name, '--dir', cluster.dir, ...more]);
const asCore = ['--region', 'fra', '--role', 'core'];

/** The certificates and the key of a bundle. */
function readBundle(file) {
  const text = readFileSync(file, 'utf8');
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g).map((pem) => new X509Certificate(pem));
  return { text, certificate: certificates[0], authority: certificates[1], key: createPrivateKey(text) };
}

test('init makes a CA, its key and a master key, and tells no secret', async () => {
  const { dir, id, made } = await makeCluster('made');
  assert.match(id, /^clst_[0-9A-Za-z]{24}$/);
  assert.deepEqual(readdirSync(dir).sort(), ['ca-key.pem', 'ca.pem', 'master-key']);
  assert.equal(mode(dir), 0o700);
  assert.equal(mode(join(dir, 'ca-key.pem')), 0o600);
  assert.equal(mode(join(dir, 'master-key')), 0o600);
  const master = readFileSync(join(dir, 'master-key'), 'utf8');
  assert.match(master, /^[0-9a-f]{64}\n$/);
  assert.ok(!JSON.stringify(made).includes(master.trim()));
  const authority = new X509Certificate(readFileSync(join(dir, 'ca.pem')));
  assert.ok(authority.ca);
  assert.match(authority.subject, new RegExp(`^O=${id}$`, 'm'));
  assert.ok(authority.verify(authority.publicKey));
  assert.ok(authority.checkPrivateKey(createPrivateKey(readFileSync(join(dir, 'ca-key.pem')))));
  assert.equal(authority.publicKey.asymmetricKeyDetails.namedCurve, 'prime256v1');
  assert.ok(Math.abs(Date.parse(made.notAfter) - Date.now() - 3650 * DAY_MS) < DAY_MS);
});

test('init refuses a directory that holds something, and leaves it alone', async () => {
  mkdirSync(path('full'));
  writeFileSync(path('full', 'notes.txt'), 'mine');
  assert.match((await cli(['cluster', 'init', '--out', path('full')], 4)).stderr, /not empty \(it holds notes\.txt\)/);
  assert.deepEqual(readdirSync(path('full')), ['notes.txt']);
  const { dir } = await makeCluster('once');
  const before = readFileSync(join(dir, 'ca.pem'), 'utf8');
  await cli(['cluster', 'init', '--out', dir], 4);
  assert.equal(readFileSync(join(dir, 'ca.pem'), 'utf8'), before);
  mkdirSync(path('empty'));
  await cli(['cluster', 'init', '--out', path('empty')]);
  assert.match((await cli(['cluster', 'init'], 2)).stderr, /--out/);
  assert.match((await cli(['cluster', 'init', '--out', path('full', 'notes.txt')], 1)).stderr, /notes\.txt/);
});

test('a cluster that there is already gets a CA of its id, and keeps its master key', async () => {
  const id = 'clst_000000000000000000000001';
  const made = await json(['cluster', 'init', id, '--out', path('present')]);
  assert.equal(made.clusterId, id);
  assert.deepEqual(readdirSync(path('present')).sort(), ['ca-key.pem', 'ca.pem']);
  assert.match((await cli(['node', 'add', 'n1', '--dir', path('present'), ...asCore], 3)).stderr, /master-key is missing/);
  assert.ok(!existsSync(path('present', 'n1')));
  writeFileSync(path('present', 'master-key'), `${'5a'.repeat(32)}\n`, { mode: 0o600 });
  const told = await add({ dir: path('present') }, 'n1', ...asCore);
  assert.equal(readFileSync(told.masterKey, 'utf8'), `${'5a'.repeat(32)}\n`);
  for (const wrong of ['acct_1', 'clst_a b', `clst_${'x'.repeat(60)}`])
    assert.match((await cli(['cluster', 'init', wrong, '--out', path('wrong')], 2)).stderr, /cluster's id/);
  assert.ok(!existsSync(path('wrong')));
});

test('a node gets its bundle, and a core node the master key', async () => {
  const cluster = await makeCluster('nodes');
  const told = await add(cluster, 'fra-1', ...asCore);
  assert.deepEqual([told.nodeId, told.clusterId, told.region, told.role], ['fra-1', cluster.id, 'fra', 'core']);
  assert.equal(mode(join(cluster.dir, 'fra-1')), 0o700);
  assert.equal(mode(told.bundle), 0o600);
  assert.equal(mode(told.masterKey), 0o600);
  assert.equal(readFileSync(told.masterKey, 'utf8'), readFileSync(join(cluster.dir, 'master-key'), 'utf8'));
  const { certificate, authority, key, text } = readBundle(told.bundle);
  assert.deepEqual(certificate.subject.split('\n').sort(), ['CN=fra-1', 'L=fra', `O=${cluster.id}`, 'OU=core']);
  assert.equal(certificate.subjectAltName, `URI:keyreeve://${cluster.id}/fra-1`);
  assert.ok(!certificate.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
  assert.ok(certificate.checkPrivateKey(key));
  assert.equal(authority.fingerprint256, new X509Certificate(readFileSync(join(cluster.dir, 'ca.pem'))).fingerprint256);
  assert.ok(!text.includes(readFileSync(join(cluster.dir, 'ca-key.pem'), 'utf8').split('\n')[1]), 'the key of the CA stays where it is');
  const edge = await add(cluster, 'edge-1', '--region', 'sin-2', '--role', 'follower', '--days', '30');
  assert.equal(edge.masterKey, undefined);
  assert.deepEqual(readdirSync(join(cluster.dir, 'edge-1')), ['node.pem']);
  assert.ok(Math.abs(Date.parse(edge.notAfter) - Date.now() - 30 * DAY_MS) < 60_000);
  const people = await cli(['node', 'add', 'fra-2', '--dir', cluster.dir, ...asCore]);
  assert.match(people.stderr, /peer_bundle: \/etc\/keyreeve\/node\.pem/);
  assert.match(people.stdout, /^role +core$/m);
});

/** A handshake of Node's TLS with these two bundles; answers how the server ended up. */
async function shakeHands(server, client) {
  const options = { minVersion: 'TLSv1.3', ALPNProtocols: ['keyreeve/1'], checkServerIdentity: () => undefined };
  const of = ({ text, authority }) => ({ key: text, cert: text, ca: [authority.toString()] });
  const listener = createServer({ ...options, ...of(server), requestCert: true, rejectUnauthorized: false });
  try {
    await new Promise((done) => listener.listen(0, '127.0.0.1', done));
    return await new Promise((done) => {
      listener.once('tlsClientError', (error) => done(error.code));
      listener.once('secureConnection', (socket) => {
        const { authorizationError, alpnProtocol } = socket;
        done(authorizationError ?? `${socket.getPeerCertificate().subject.CN} by ${alpnProtocol}`);
        socket.destroy();
      });
      const socket = connect({ ...options, ...of(client), port: listener.address().port, host: '127.0.0.1' });
      socket.on('error', () => {});
      socket.on('end', () => socket.destroy());
    });
  } finally {
    listener.close();
  }
}

test('two nodes of a cluster accept each other, and nobody of another one', async () => {
  const [ours, theirs] = [await makeCluster('ours'), await makeCluster('theirs')];
  const bundle = async (cluster, name) => readBundle((await add(cluster, name, ...asCore)).bundle);
  const one = await bundle(ours, 'n1');
  assert.equal(await shakeHands(one, await bundle(ours, 'n2')), 'n2 by keyreeve/1');
  assert.equal(await shakeHands(one, { ...(await bundle(theirs, 'n3')), authority: one.authority }), 'SELF_SIGNED_CERT_IN_CHAIN');
});

test('a renewal changes certificate and key, and nothing else', async () => {
  const cluster = await makeCluster('renewed');
  const first = readBundle((await add(cluster, 'n1', '--region', 'fra', '--role', 'follower', '--days', '2')).bundle);
  assert.match((await cli(['node', 'add', 'n1', '--dir', cluster.dir, ...asCore], 4)).stderr, /--renew/);
  const told = await add(cluster, 'n1', '--renew');
  const second = readBundle(told.bundle);
  assert.deepEqual([told.region, told.role], ['fra', 'follower']);
  assert.equal(second.certificate.subject, first.certificate.subject);
  assert.notEqual(second.certificate.serialNumber, first.certificate.serialNumber);
  assert.ok(!second.certificate.checkPrivateKey(first.key));
  assert.ok(Date.parse(second.certificate.validTo) > Date.parse(first.certificate.validTo));
  assert.match((await cli(['node', 'add', 'n1', '--dir', cluster.dir, '--renew', '--role', 'core'], 4)).stderr, /n1 is a follower node in fra/);
  await cli(['node', 'add', 'n9', '--dir', cluster.dir, '--renew'], 3);
  assert.ok(!existsSync(join(cluster.dir, 'n9')));
});

test('what cannot be is refused, and nothing is written', async () => {
  const cluster = await makeCluster('refusing');
  const before = readdirSync(cluster.dir).sort();
  for (const name of ['N1', '-n1', '..', '../n1', 'a'.repeat(64), ''])
    assert.match((await cli(['node', 'add', '--dir', cluster.dir, ...asCore, '--', name], 2)).stderr, /is no node's name/);
  for (const region of ['FRA', 'eu central', ''])
    assert.match((await cli(['node', 'add', 'n1', '--dir', cluster.dir, '--region', region, '--role', 'core'], 2)).stderr, /is no region/);
  assert.match((await cli(['node', 'add', 'n1', '--dir', cluster.dir, '--region', 'fra', '--role', 'leader'], 2)).stderr, /core\|follower/);
  assert.match((await cli(['node', 'add', 'n1', '--dir', cluster.dir, '--region', 'fra'], 2)).stderr, /--role/);
  assert.match((await cli(['node', 'add', 'n1', '--dir', cluster.dir, ...asCore, '--days', '0'], 2)).stderr, /--days/);
  await cli(['node', 'add', 'n1', '--dir', path('nowhere'), ...asCore], 3);
  chmodSync(join(cluster.dir, 'ca-key.pem'), 0o644);
  assert.match((await cli(['node', 'add', 'n1', '--dir', cluster.dir, ...asCore], 4)).stderr, /chmod 600/);
  chmodSync(join(cluster.dir, 'ca-key.pem'), 0o600);
  const other = await makeCluster('other');
  writeFileSync(join(cluster.dir, 'ca-key.pem'), readFileSync(join(other.dir, 'ca-key.pem')));
  assert.match((await cli(['node', 'add', 'n1', '--dir', cluster.dir, ...asCore], 1)).stderr, /does not belong/);
  assert.deepEqual(readdirSync(cluster.dir).sort(), before);
});

test('local-cluster.sh tells what it does not know from what is not there', async () => {
  const script = new URL('../../deploy/local-cluster.sh', import.meta.url).pathname;
  const ended = async (...args) => run('sh', [script, ...args, '--dir', path('none')]);
  const unknown = await ended('foo');
  assert.deepEqual([unknown.code, unknown.stderr], [2, 'local-cluster: unknown action foo; --help shows the usage\n']);
  assert.equal((await ended('*')).code, 2);
  assert.equal((await ended()).code, 2);
  const absent = await ended('down');
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /there is no cluster in/);
});
