// SPDX-License-Identifier: Apache-2.0
// A cluster whose nodes live in network namespaces of their own on one bridge, so that links can be
// cut as in a network: packets vanish, in one direction or in both. Tests talk to the nodes over unix
// sockets, which know no namespace. Needs root and iproute2.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { client, expect } from '../../integration/lib/http.mjs';
import { assertUnreported, keyreeve, keyreeved, run, until } from '../../integration/lib/node.mjs';
import { caughtUp, metric } from './cluster.mjs';

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
const READY_DEADLINE_MS = 60_000;

/** Why no namespace can be made here; undefined: it can. */
export function whyNoNamespaces() {
  if (process.getuid() !== 0) return 'network namespaces need root';
  const probe = `kr${process.pid}probe`;
  try {
    ip('netns', 'add', probe);
    ip('-n', probe, 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two');
    ip('-n', probe, 'link', 'add', 'hub', 'type', 'bridge');
  } catch (error) {
    return `no network namespaces here: ${error.stderr?.toString().trim() || error.message}`;
  } finally {
    try {
      ip('netns', 'del', probe);
    } catch {} // was not made
  }
  return undefined;
}

export class NetnsCluster {
  /** nodes: {name, region, role}; the first leads. */
  static async up(t, nodes, staleness) {
    const cluster = new NetnsCluster();
    cluster.dir = mkdtempSync(join(tmpdir(), 'keyreeve-netns-'));
    cluster.prefix = `kr${process.pid}`;
    cluster.nodes = nodes.map((node, i) => ({ ...node, address: `10.213.0.${i + 1}`, socketPath: join(cluster.dir, `${node.name}.sock`), url: 'http://localhost' }));
    t.after(() => cluster.remove());
    await cluster.#makeCertificates();
    cluster.#makeNetwork();
    for (const { name } of cluster.nodes) await cluster.start(name);
    const token = readFileSync(join(cluster.dataDir(cluster.names[0]), 'owner-token'), 'utf8').trim();
    for (const node of cluster.nodes) node.token = token;
    const api = cluster.api(cluster.names[0]);
    expect(await api.patch(`${api.buckets}/production`, { maxStalenessMs: staleness }), 200);
    await cluster.caughtUp();
    return cluster;
  }

  get names() {
    return this.nodes.map(({ name }) => name);
  }

  get cores() {
    return this.nodes.filter(({ role }) => role === 'core').map(({ name }) => name);
  }

  node = (name) => this.nodes.find((one) => one.name === name);
  api = (name) => client(this.node(name));
  dataDir = (name) => join(this.dir, name, 'data');
  metric = (name, what) => metric(this, name, what);
  caughtUp = (names = this.names) => caughtUp(this, names);
  seenBy = async (name) => expect(await this.api(name).get('/v1/cluster'), 200).body;
  leader = async () => this.names[0];
  log = (name) => this.node(name).said ?? '';
  space = (name) => `${this.prefix}${this.names.indexOf(name)}`;

  async #makeCertificates() {
    const ca = join(this.dir, 'ca');
    const offline = async (args) => {
      const ended = await run(keyreeve, args, { env: { HOME: this.dir } });
      assert.equal(ended.code, 0, ended.stderr);
    };
    await offline(['cluster', 'init', '--out', ca]);
    for (const { name, region, role } of this.nodes) await offline(['node', 'add', name, '--dir', ca, '--region', region, '--role', role]);
  }

  #makeNetwork() {
    const hub = `${this.prefix}hub`;
    ip('netns', 'add', hub);
    ip('-n', hub, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', hub, 'link', 'set', 'bridge', 'up');
    this.nodes.forEach(({ name, address }, i) => {
      const space = this.space(name);
      ip('netns', 'add', space);
      ip('-n', space, 'link', 'set', 'lo', 'up');
      ip('-n', space, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', `down${i}`, 'netns', hub);
      ip('-n', hub, 'link', 'set', `down${i}`, 'master', 'bridge', 'up');
      ip('-n', space, 'addr', 'add', `${address}/24`, 'dev', 'up0');
      ip('-n', space, 'link', 'set', 'up0', 'up');
    });
  }

  #configure({ name, role, address, socketPath }) {
    const [first] = this.nodes;
    const lines = [`data: ${this.dataDir(name)}`, `http_unix: ${socketPath}`, `peer_bundle: ${this.dir}/ca/${name}/node.pem`, `peer_listen: ${address}:7402`, 'serve_threads: 1', 'rate_limit_per_token: 0'];
    if (role === 'core') lines.push(`master_key_file: ${this.dir}/ca/${name}/master-key`);
    if (name !== first.name) lines.push(`upstreams: ${first.address}:7402`);
    mkdirSync(join(this.dir, name), { recursive: true });
    writeFileSync(join(this.dir, name, 'keyreeve.yaml'), `${lines.join('\n')}\n`);
  }

  async start(name) {
    const node = this.node(name);
    this.#configure(node);
    node.said = '';
    node.exit = undefined;
    node.process = spawn('ip', ['netns', 'exec', this.space(name), keyreeved, '--config', join(this.dir, name, 'keyreeve.yaml')], { stdio: ['ignore', 'ignore', 'pipe'] });
    node.process.stderr.on('data', (bytes) => (node.said += bytes));
    node.ended = new Promise((done) => node.process.on('close', (code, signal) => done((node.exit = { code, signal }))));
    const isReady = async () => (await this.api(name).get('/readyz').catch(() => ({}))).status === 200;
    await until(isReady, { what: () => `${name} to be ready: ${node.said.slice(-2000)}`, deadlineMs: READY_DEADLINE_MS, everyMs: 50 });
  }

  /** Nothing of what a sends reaches b any more. */
  cutOneWay = (a, b) => ip('-n', this.space(a), 'route', 'add', 'blackhole', `${this.node(b).address}/32`);
  healOneWay = (a, b) => ip('-n', this.space(a), 'route', 'del', 'blackhole', `${this.node(b).address}/32`);
  /** The node's cable is pulled out, and put in again. */
  unplug = (name) => ip('-n', this.space(name), 'link', 'set', 'up0', 'down');
  plug = (name) => ip('-n', this.space(name), 'link', 'set', 'up0', 'up');

  async remove() {
    this.isGone = true;
    const running = this.nodes.filter(({ process: child, exit }) => child && !exit);
    for (const { process: child } of running) child.kill('SIGTERM');
    const timer = setTimeout(() => this.nodes.forEach(({ process: child }) => child?.kill('SIGKILL')), 30_000);
    await Promise.all(this.nodes.map(({ ended }) => ended));
    clearTimeout(timer);
    for (const space of [...this.names.map(this.space), `${this.prefix}hub`]) {
      try {
        ip('netns', 'del', space);
      } catch {} // was not made
    }
    rmSync(this.dir, { recursive: true, force: true });
    for (const { name, said } of this.nodes) assertUnreported(said ?? '', name);
    for (const { name, exit, said } of running) {
      assert.deepEqual(exit, { code: 0, signal: null }, `${name}: ${said.slice(-2000)}`);
      assert.match(said, /"event":"stopped"/, name);
    }
  }
}
