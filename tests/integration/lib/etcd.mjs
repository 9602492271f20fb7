// SPDX-License-Identifier: Apache-2.0
// A real etcd of several members on loopback, under TLS with client certificates; and the driver
// that runs the engine over it.
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { claimNet } from './net.mjs';
import { run, until } from './node.mjs';

const BIN = process.env.KEYREEVE_BIN ?? 'build/dev/bin';
const env = { ...process.env, ETCDCTL_API: '3' };

const openssl = (directory, ...args) => execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });

/** A certificate for these addresses, signed by ca.pem of the directory. */
function issue(directory, name, addresses) {
  writeFileSync(join(directory, `${name}.ext`), `subjectAltName=${addresses.map((one) => `IP:${one}`).join()}\nextendedKeyUsage=serverAuth,clientAuth\n`);
  openssl(directory, 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}-key.pem`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  openssl(directory, 'x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.pem`);
  chmodSync(join(directory, `${name}-key.pem`), 0o600);
}

function makeAuthority(directory) {
  openssl(directory, 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca-key.pem', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=test authority');
}

function argumentsOf(cluster, member) {
  const { directory, members, quotaBytes } = cluster;
  const file = (name) => join(directory, name);
  return [
    '--name', member.name, '--data-dir', file(member.name),
    '--listen-client-urls', member.client, '--advertise-client-urls', member.client,
    '--listen-peer-urls', member.peer, '--initial-advertise-peer-urls', member.peer,
    '--initial-cluster', members.map((one) => `${one.name}=${one.peer}`).join(','),
    '--quota-backend-bytes', String(quotaBytes),
    '--client-cert-auth', '--trusted-ca-file', file('ca.pem'), '--cert-file', file('member.pem'), '--key-file', file('member-key.pem'),
    '--peer-client-cert-auth', '--peer-trusted-ca-file', file('ca.pem'), '--peer-cert-file', file('member.pem'), '--peer-key-file', file('member-key.pem'),
    '--log-level', 'error',
  ];
}

class EtcdCluster {
  constructor(directory, members, quotaBytes) {
    Object.assign(this, { directory, members, quotaBytes, endpoints: members.map((one) => one.client).join(',') });
  }

  startMember(i) {
    const member = this.members[i];
    member.process = spawn('etcd', argumentsOf(this, member), { stdio: ['ignore', 'ignore', 'pipe'] });
    member.stderr = '';
    member.process.stderr.on('data', (data) => (member.stderr += data));
    member.failed = new Promise((_, fail) => {
      // One that was killed has a signal instead of a code.
      member.process.on('close', (code) => code !== null && fail(new Error(`${member.name} ended with ${code}: ${member.stderr}`)));
    });
    member.failed.catch(() => {}); // where nobody waits for it
  }

  killMember(i) {
    const { process } = this.members[i];
    return new Promise((resolve) => process.once('exit', resolve).kill('SIGKILL'));
  }

  #controlled(args) {
    const file = (name) => join(this.directory, name);
    return ['--endpoints', this.endpoints, '--cacert', file('ca.pem'), '--cert', file('client.pem'), '--key', file('client-key.pem'), ...args];
  }

  /** etcdctl's output; args like 'member', 'list'. */
  control(...args) {
    return execFileSync('etcdctl', this.#controlled(args), { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Waits until all members are healthy; ends at once, with what it said, when one has ended by itself. */
  async ready() {
    let isOver = false;
    const isHealthy = async () => (await run('etcdctl', this.#controlled(['endpoint', 'health']), { env })).code === 0;
    const healthy = until(async () => isOver || (await isHealthy()), { what: 'etcd to be healthy', deadlineMs: 30_000, everyMs: 100 });
    try {
      await Promise.race([healthy, ...this.members.map(({ failed }) => failed)]);
    } finally {
      isOver = true;
    }
  }

  /** Which member leads etcd. */
  leader() {
    const statuses = JSON.parse(this.control('endpoint', 'status', '-w', 'json'));
    return statuses.findIndex(({ Status }) => Status.header.member_id === Status.leader);
  }

  async stop() {
    await Promise.all(this.members.map(({ process }, i) => process && process.exitCode === null && process.signalCode === null && this.killMember(i)));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Starts etcd with so many members; it ends with the test. */
export async function startEtcd(t, { count = 3, quotaBytes = 1 << 30 } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-etcd-'));
  makeAuthority(directory);
  const net = await claimNet();
  const addresses = Array.from({ length: count }, (_, i) => `127.0.${net}.${101 + i}`);
  // Members call each other from 127.0.0.1, which a caller's certificate must name as well.
  issue(directory, 'member', ['127.0.0.1', ...addresses]);
  issue(directory, 'client', ['127.0.0.1']);
  const members = addresses.map((address, i) => ({ name: `etcd-${i}`, client: `https://${address}:2379`, peer: `https://${address}:2380` }));
  const cluster = new EtcdCluster(directory, members, quotaBytes);
  t.after(() => cluster.stop());
  members.forEach((_, i) => cluster.startMember(i));
  await cluster.ready();
  return cluster;
}

class EngineDriver {
  constructor(child) {
    this.child = child;
    this.lines = [];
    this.exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
    createInterface({ input: child.stdout }).on('line', (line) => this.lines.push(line));
    this.stderr = '';
    child.stderr.on('data', (data) => (this.stderr += data));
  }

  tell(command) {
    this.child.stdin.write(`${command}\n`);
  }

  /** The first line from `from` on that matches; waits for it. */
  async expect(pattern, { from = 0, deadlineMs = 20_000 } = {}) {
    try {
      return await until(() => this.lines.slice(from).map((line) => pattern.exec(line)).find(Boolean), { what: pattern, deadlineMs });
    } catch (error) {
      throw new Error(`${error.message}; it said:\n${this.lines.join('\n')}\n${this.stderr}`);
    }
  }

  /** Sends a command and waits for its answer. */
  ask(command, pattern, options) {
    const from = this.lines.length;
    this.tell(command);
    return this.expect(pattern, { from, ...options });
  }

  /** Waits until it leads and has the whole log; answers index and chain. */
  async leads(options) {
    const [, index, chain] = await this.expect(/^caught-up (\d+) (\w+)$/, options);
    return { index: Number(index), chain };
  }

  kill() {
    this.child.kill('SIGKILL');
    return this.exited;
  }

  async stop() {
    await this.ask('stop', /^closed$/);
    return this.exited;
  }
}

/**
 * Starts an engine over {directory, endpoints, quotaBytes}; it ends with the test. from: {index, chain},
 * where its state ends.
 */
export function startDriver(t, cluster, member, { withCertificate = true, caFile = 'ca.pem', endpoints = cluster.endpoints, clusterId = 'clst_test', from } = {}) {
  const file = (name) => join(cluster.directory, name);
  const certificate = withCertificate ? [file('client.pem'), file('client-key.pem')] : ['-', '-'];
  const position = from ? [String(from.index), from.chain] : [];
  const child = spawn(join(BIN, 'etcd-driver'), [member, clusterId, endpoints, String(cluster.quotaBytes), file(caFile), ...certificate, ...position], { stdio: 'pipe' });
  const driver = new EngineDriver(child);
  child.stdin.on('error', () => {}); // a driver that was killed
  t.after(() => driver.kill());
  return driver;
}
