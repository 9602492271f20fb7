// SPDX-License-Identifier: Apache-2.0
// Followers whose certificate is another cluster's, ends or is renewed; whose upstream is killed; who
// come back when the log does not reach back to them; who were removed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { sign, X509Certificate } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { expect } from '../integration/lib/http.mjs';
import { keyreeve, keyreeved, run, until } from '../integration/lib/node.mjs';
import { Promises, Validator, Writer, answersUntil, codeAt, makeKey, revoke } from './lib/checkers.mjs';
import { Cluster, assertSameState } from './lib/cluster.mjs';

const STALENESS_MS = 3000;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----\n/;

/** Tells a node that starts to read its certificates again, over and over, until it has a snapshot and is ready again. */
async function reloads(cluster, name) {
  await until(() => existsSync(join(cluster.dataDir(name), 'keyreeved.pid')), { what: `${name} to run` });
  await until(
    async () => {
      cluster.signal(name, 'SIGHUP');
      return /a snapshot is complete[^]*"event":"ready"/.test(cluster.log(name));
    },
    { what: `${name} to come back with the snapshot`, deadlineMs: 60_000, everyMs: 5 },
  );
}

/** Leaves a follower no upstream but the leader: the others may hold a log that reaches back further. */
async function leaveOnlyLeader(cluster, name) {
  for (const other of cluster.followers) if (other !== name) await cluster.cut(name, other);
}

const bundleOf = (cluster, name) => join(cluster.dir, 'ca', name, 'node.pem');
const certificateOf = (cluster, name) => new X509Certificate(readFileSync(bundleOf(cluster, name), 'utf8').match(CERTIFICATE)[0]);

async function offline(cluster, args) {
  const ended = await run(keyreeve, args, { env: { HOME: cluster.dir } });
  assert.equal(ended.code, 0, ended.stderr);
}

const renew = (cluster, name) => offline(cluster, ['node', 'add', name, '--dir', join(cluster.dir, 'ca'), '--renew']);

/** Has a running node read its bundle again. */
async function reload(cluster, name) {
  const times = () => cluster.log(name).split('the bundle was read again').length;
  const before = times();
  cluster.signal(name, 'SIGHUP');
  await until(() => times() > before, { what: `${name} to read its bundle again` });
}

/** The node's certificate and key, but as they were two years ago: the same CA has signed it. */
function expire(cluster, name) {
  const path = bundleOf(cluster, name);
  const { raw } = certificateOf(cluster, name);
  const sized = (at) => {
    const more = raw[at + 1] < 0x80 ? 0 : raw[at + 1] - 0x80;
    return at + 2 + more + (more ? raw.readUIntBE(at + 2, more) : raw[at + 1]);
  };
  const begin = 2 + (raw[1] < 0x80 ? 0 : raw[1] - 0x80);
  const signed = Buffer.from(raw.subarray(begin, sized(begin)));
  const algorithm = raw.subarray(sized(begin), sized(sized(begin)));
  const validity = /\x17\x0d(\d\d)\d{10}Z\x17\x0d(\d\d)\d{10}Z/.exec(signed.toString('latin1'));
  for (const [year, at] of [[validity[1], 2], [validity[2], 17]]) signed.write(String(year - 2).padStart(2, '0'), validity.index + at, 'latin1');
  const signature = sign('sha256', signed, readFileSync(join(cluster.dir, 'ca', 'ca-key.pem')));
  const body = Buffer.concat([signed, algorithm, Buffer.from([0x03, signature.length + 1, 0]), signature]);
  const der = Buffer.concat([Buffer.from([0x30, 0x82, body.length >> 8, body.length & 0xff]), body]);
  const pem = `-----BEGIN CERTIFICATE-----\n${der.toString('base64').match(/.{1,64}/g).join('\n')}\n-----END CERTIFICATE-----\n`;
  assert.ok(Date.parse(new X509Certificate(pem).validTo) < Date.now());
  writeFileSync(path, readFileSync(path, 'utf8').replace(CERTIFICATE, pem), { mode: 0o600 });
}

/** A node of another CA that would follow this cluster: {log(), url}. */
function startStranger(t, cluster, name, bundle) {
  const dir = join(cluster.dir, name);
  const host = `127.0.${cluster.net}.${name.length + 30}`;
  mkdirSync(dir);
  const config = [`data: ${dir}/data`, `http: ${host}:7400`, `peer_bundle: ${bundle}`, `peer_listen: ${host}:7402`, `binary_listen: ${host}:7401`, `upstreams: 127.0.${cluster.net}.1:7402`];
  writeFileSync(join(dir, 'keyreeve.yaml'), `${config.join('\n')}\n`);
  const child = spawn(keyreeved, ['--config', join(dir, 'keyreeve.yaml')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => (said += bytes));
  t.after(() => child.kill('SIGKILL'));
  return { log: () => said, url: `http://${host}:7400` };
}

/** Shows the leader this bundle's certificate, and is content with whatever it is shown. */
function intrude(cluster, bundle) {
  const pem = readFileSync(bundle);
  return new Promise((done) => {
    const socket = connect({ host: `127.0.${cluster.net}.1`, port: 7402, key: pem, cert: pem, rejectUnauthorized: false, ALPNProtocols: ['keyreeve/1'] });
    socket.on('error', () => {}).on('close', done);
  });
}

/** What a node shows to whoever connects: the serial number of its certificate. */
function shownSerial(cluster, name, as) {
  const bundle = readFileSync(bundleOf(cluster, as));
  const index = cluster.names.indexOf(name) + 1;
  const options = { host: `127.0.${cluster.net}.${index}`, port: 7402, key: bundle, cert: bundle, ca: readFileSync(join(cluster.dir, 'ca', 'ca.pem')), ALPNProtocols: ['keyreeve/1'], checkServerIdentity: () => undefined };
  return new Promise((done, fail) => {
    const socket = connect(options, () => {
      done(socket.getPeerX509Certificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', fail);
  });
}

test('one leader and followers with trouble of their own', { timeout: 600_000 }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'local', staleness: STALENESS_MS });
  const leader = cluster.api('core-1');
  const steady = await makeKey(leader, 'steady');
  const upstreamOf = async (name) => (await cluster.seenBy('core-1')).nodes.find(({ id }) => id === name).upstream;
  const untrusted = (name = 'core-1') => cluster.metric(name, 'links_closed_total{reason="untrusted"}');
  await cluster.caughtUp();

  await cluster.story(t, 'certificates of another cluster, and of this one by another CA, let nobody in', async (s) => {
    const { clusterId } = await cluster.seenBy('core-1');
    const validator = new Validator(cluster, cluster.names, steady);
    for (const [name, ...id] of [['other'], ['forged', clusterId]]) {
      const before = await untrusted();
      const ca = join(cluster.dir, `${name}-ca`);
      await offline(cluster, ['cluster', 'init', ...id, '--out', ca]);
      await offline(cluster, ['node', 'add', name, '--dir', ca, '--region', 'us-east', '--role', 'follower']);
      const bundle = join(ca, name, 'node.pem');
      await intrude(cluster, bundle);
      await until(async () => (await untrusted()) > before, { what: `the leader to refuse ${name}` });
      const stranger = startStranger(s, cluster, name, bundle);
      await until(() => /the link to an upstream closed.*"reason":"untrusted"/.test(stranger.log()), { what: `${name} to refuse the leader: ${stranger.log()}` });
      const answer = await fetch(`${stranger.url}/v1/validate`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ key: steady.key }) });
      assert.equal(answer.status, 503);
    }
    assert.match(cluster.log('core-1'), /a link from a node closed.*"reason":"untrusted","why":"[^"]+"/);
    assert.deepEqual((await cluster.seenBy('core-1')).nodes.map(({ id }) => id).sort(), [...cluster.names].sort());
    assert.deepEqual(await validator.stop(), []);
  });

  await cluster.story(t, 'all certificates are renewed under traffic, without a restart', async () => {
    const writer = new Writer(cluster, cluster.names, 'steady');
    const validator = new Validator(cluster, cluster.names, steady);
    const promises = new Promises(cluster, ['edge-us-west'], cluster.names, 'steady');
    for (const name of cluster.names) {
      const before = certificateOf(cluster, name).serialNumber;
      assert.equal(await shownSerial(cluster, name, 'core-1'), before);
      await renew(cluster, name);
      await reload(cluster, name);
      const after = certificateOf(cluster, name).serialNumber;
      assert.notEqual(after, before);
      assert.equal(await shownSerial(cluster, name, 'core-1'), after);
    }
    await writer.stop();
    assert.deepEqual(await validator.stop(), []);
    assert.equal(writer.refused, 0);
    await promises.stop();
    await assertSameState(cluster);
    await writer.assertKept(cluster.names);
  });

  await cluster.story(t, 'a node whose certificate has expired gets no new link, until it is renewed', async () => {
    const name = 'edge-eu-west';
    const others = cluster.names.filter((one) => one !== name);
    const before = await untrusted();
    const validator = new Validator(cluster, others, steady);
    expire(cluster, name);
    await reload(cluster, name);
    assert.equal(await codeAt(cluster, name, steady), 'VALID', 'a link that is up stays');
    await cluster.cut(name, 'all');
    await until(async () => (await codeAt(cluster, name, steady)) === 'STALE', { what: 'STALE' });
    await cluster.heal();
    await until(async () => (await untrusted()) > before, { what: 'the leader to refuse it' });
    assert.match(cluster.log('core-1'), /a link from a node closed.*"reason":"untrusted","why":"[^"]*expired[^"]*"/);
    assert.equal(await codeAt(cluster, name, steady), 'STALE');
    await renew(cluster, name);
    await reload(cluster, name);
    await until(async () => (await codeAt(cluster, name, steady)) === 'VALID', { what: 'VALID again' });
    assert.deepEqual(await validator.stop(), []);
    await assertSameState(cluster);
  });

  await cluster.story(t, 'a relay is killed: its leaves find another upstream', async () => {
    const leaves = ['edge-us-east', 'edge-us-west'];
    for (const leaf of leaves) await cluster.cut(leaf, 'core-1');
    await until(async () => (await Promise.all(leaves.map(upstreamOf))).every((one) => one?.startsWith('edge')), { what: 'two leaves' });
    const relay = await upstreamOf(leaves[0]);
    const key = await makeKey(leader, 'below-a-relay');
    for (const leaf of leaves) assert.equal(await codeAt(cluster, leaf, key, { minIndex: key.index }), 'VALID');
    const promises = new Promises(cluster, ['core-1'], leaves, 'steady');
    const rest = cluster.names.filter((one) => one !== relay);
    // Who follows the leader itself notices nothing.
    const above = await Promise.all(rest.map(upstreamOf));
    const validator = new Validator(cluster, rest.filter((one, i) => one === 'core-1' || above[i] === 'core-1'), steady);
    await cluster.kill(relay);
    const receipt = expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200).body;
    // A leaf whose time was over before it found another upstream has not heard, and says so.
    for (const name of rest) assert.ok(['REVOKED', 'STALE'].includes(await codeAt(cluster, name, key)), name);
    assert.equal(receipt.nodes.find(({ node }) => node === relay).state, 'lease-expired');
    for (const leaf of leaves) await until(async () => (await codeAt(cluster, leaf, steady)) === 'VALID', { what: `${leaf} to be fed again`, deadlineMs: 40_000 });
    for (const name of rest) assert.equal(await codeAt(cluster, name, key), 'REVOKED', name);
    await cluster.start(relay);
    await cluster.heal();
    assert.deepEqual(await validator.stop(), []);
    await promises.stop();
    assert.equal(await codeAt(cluster, relay, key), 'REVOKED');
    await assertSameState(cluster);
  });

  await cluster.story(t, 'a follower that is away for longer than the log reaches back comes by a snapshot, whenever it is told to reload', async () => {
    const name = 'edge-ap-northeast';
    appendFileSync(join(cluster.dir, 'core-1', 'keyreeve.yaml'), 'log_retention_bytes: 1048576\n');
    const key = await makeKey(leader, 'before-it-left');
    assert.equal(await codeAt(cluster, name, key, { minIndex: key.index }), 'VALID');
    await cluster.stop(name);
    await leaveOnlyLeader(cluster, name);
    await cluster.stop('core-1');
    await cluster.start('core-1');
    const left = key.index;
    expect(await revoke(leader, key), 200);
    const bulk = Array.from({ length: 500 }, () => ({ description: 'd'.repeat(1000) }));
    await until(
      async () => {
        expect(await leader.post(`${leader.keys('steady')}/$bulk`, bulk), 200);
        return (await cluster.metric('core-1', 'log_first_index')) > left + 1;
      },
      { what: 'the log to be cut', deadlineMs: 60_000, everyMs: 500 },
    );
    const [seen] = await Promise.all([answersUntil(cluster, name, key, ['REVOKED']), cluster.start(name), reloads(cluster, name)]);
    assert.ok(!seen.includes('VALID'), seen.join());
    assert.match(cluster.log(name), /a snapshot is complete/);
    await cluster.heal();
    await assertSameState(cluster);
  });

  await cluster.story(t, 'a removed node is refused by name, and cannot come back', async () => {
    const name = 'edge-ap-northeast';
    const rest = cluster.names.filter((one) => one !== name);
    const refused = () => cluster.metric('core-1', 'links_closed_total{reason="refused"}');
    const before = await refused();
    const validator = new Validator(cluster, rest, steady);
    await leaveOnlyLeader(cluster, name);
    await until(async () => (await codeAt(cluster, name, steady)) === 'VALID' && (await upstreamOf(name)) === 'core-1', { what: 'it to follow the leader' });
    const removed = await cluster.cli('core-1', ['node', 'remove', name, '--yes']);
    assert.equal(removed.code, 0, removed.stderr);
    await until(async () => (await refused()) > before, { what: 'its link to be closed' });
    await until(() => /refused this node: edge-ap-northeast was removed from the cluster/.test(cluster.log(name)), { what: 'it to hear why' });
    assert.match(cluster.log('core-1'), /a link from a node closed.*edge-ap-northeast.*"reason":"refused","why":"it was removed from the cluster"/);
    await until(async () => (await codeAt(cluster, name, steady)) === 'STALE', { what: 'STALE' });
    await cluster.heal();
    assert.deepEqual(await validator.stop(), []);
    await assertSameState(cluster, rest);
  });
});
