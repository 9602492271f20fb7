// SPDX-License-Identifier: Apache-2.0
// A cluster of real processes for the tests, through deploy/local-cluster.sh: its nodes, its
// faults, the load that they must stand, and what must be true of all nodes behind it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { client, expect } from '../../integration/lib/http.mjs';
import { claimNet } from '../../integration/lib/net.mjs';
import { assertUnreported, binDir, keyreeve, run, until, whileStopped } from '../../integration/lib/node.mjs';
import { Promises, Validator, Writer, codeAt, makeKey, revoke } from './checkers.mjs';

const script = resolve('deploy/local-cluster.sh');
const UP_DEADLINE_MS = 240_000;
// Bounds what a dead node may still say, so that there are receipts while it is dead.
const PROMISED = { name: 'promised', maxStalenessMs: 3000 };

export class Cluster {
  /** etcdQuota in bytes; settings go into every node's configuration; prepare(cluster) runs before anything starts. */
  static async up(t, { engine = 'local', standbys = 0, staleness, etcdQuota, settings = {}, prepare = () => {} } = {}) {
    const cluster = new Cluster();
    cluster.dir = join(mkdtempSync(join(tmpdir(), 'keyreeve-cluster-')), 'c');
    t.after(() => cluster.remove());
    cluster.net = await claimNet();
    prepare(cluster);
    const more = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    more.push('--standbys', String(standbys));
    if (staleness !== undefined) more.push('--staleness', String(staleness));
    if (etcdQuota !== undefined) more.push('--etcd-quota', String(etcdQuota));
    await cluster.script(['up', '--engine', engine, '--net', String(cluster.net), '--bin', binDir, '--no-packages', ...more], UP_DEADLINE_MS);
    cluster.token = readFileSync(join(cluster.dir, 'owner-token'), 'utf8').trim();
    const { stdout } = await cluster.script(['urls']);
    cluster.nodes = stdout
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .map(([name, region, role, url]) => ({ name, region, role, url, token: cluster.token }));
    return cluster;
  }

  async script(args, deadlineMs = 90_000) {
    const ended = await run(script, [...args, '--dir', this.dir], { deadlineMs });
    assert.equal(ended.code, 0, `local-cluster.sh ${args.join(' ')}: ${ended.stderr}${ended.stdout}\n${this.logTails()}`);
    return ended;
  }

  get names() {
    return this.nodes.map(({ name }) => name);
  }

  get followers() {
    return this.nodes.filter(({ role }) => role === 'follower').map(({ name }) => name);
  }

  get cores() {
    return this.nodes.filter(({ role }) => role === 'core').map(({ name }) => name);
  }

  node(name) {
    return this.nodes.find((one) => one.name === name);
  }

  api(name) {
    return client(this.node(name));
  }

  kill = (name) => this.script(['kill', name]);
  stop = (name) => this.script(['stop', name]);
  start = (name) => this.script(['start', name], UP_DEADLINE_MS);
  cut = (a, b) => this.script(['cut', a, b]);
  heal = (...names) => this.script(['heal', ...names]);

  pid(name) {
    return Number(readFileSync(join(this.dir, name, 'pid'), 'utf8'));
  }

  signal(name, signal) {
    process.kill(this.pid(name), signal);
  }

  whileStopped = (name, body) => whileStopped(this.pid(name), body);

  dataDir(name) {
    return join(this.dir, name, 'data');
  }

  log(name) {
    try {
      return readFileSync(join(this.dir, name, 'log'), 'utf8');
    } catch {
      return '';
    }
  }

  logTails() {
    try {
      return readdirSync(this.dir)
        .map((name) => `--- ${name}\n${this.log(name).split('\n').slice(-12).join('\n')}`)
        .join('\n');
    } catch {
      return '';
    }
  }

  /** The cluster as one node sees it. */
  async seenBy(name) {
    return expect(await this.api(name).get('/v1/cluster'), 200).body;
  }

  /** The name of the leader that these nodes agree on. */
  async leader(names = this.names) {
    let views = [];
    const agreed = async () => {
      views = await Promise.all(names.map((name) => this.seenBy(name).catch((error) => ({ error: error.message }))));
      const leaders = new Set(views.map((view) => view.leader ?? null));
      const [only] = leaders;
      return leaders.size === 1 && only;
    };
    try {
      return await until(agreed, { what: 'one leader', deadlineMs: 30_000, everyMs: 50 });
    } catch (error) {
      const seen = views.map(({ leader, seenBy, epoch, index, error: why }, i) => `${names[i]}: ${why ?? `${leader} by ${seenBy}, epoch ${epoch}, index ${index}`}`);
      throw new Error(`${error.message}\n${seen.join('\n')}\n${this.logTails()}`);
    }
  }

  caughtUp = (names = this.names, deadlineMs = 60_000) => caughtUp(this, names, deadlineMs);
  metric = (name, what) => metric(this, name, what);

  /** The command line, as the owner, at that node. */
  cli(name, args) {
    const env = { KEYREEVE_URL: this.node(name).url, KEYREEVE_TOKEN: this.token, KEYREEVE_BUCKET: 'production', HOME: this.dir };
    return run(keyreeve, args, { env });
  }

  /** etcdctl at this member, as the nodes' client; answers its output, or fails as it does. */
  etcdctl(args, { member = 1, input } = {}) {
    const ca = join(this.dir, 'etcd-ca');
    const tls = ['--cacert', join(ca, 'ca.pem'), '--cert', join(ca, 'client.pem'), '--key', join(ca, 'client-key.pem')];
    const endpoint = `https://127.0.${this.net}.${100 + member}:2379`;
    return execFileSync('etcdctl', ['--endpoints', endpoint, ...tls, ...args], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ETCDCTL_API: '3' },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(input !== undefined && { input }),
    });
  }

  /** Heals, continues and starts whatever a story that broke off has left. */
  async restore() {
    await this.heal();
    const members = readdirSync(this.dir).filter((name) => /^etcd-\d$/.test(name));
    for (const name of [...members, ...this.names]) {
      try {
        this.signal(name, 'SIGCONT');
      } catch {
        continue; // it has ended
      }
    }
    await Promise.all(members.map((name) => this.start(name)));
    await Promise.all(this.names.map((name) => this.start(name)));
  }

  /** A test of its own; one that fails leaves a whole cluster behind all the same. */
  story(t, name, tell, options = {}) {
    return t.test(name, options, async (t) => {
      try {
        await tell(t);
      } catch (error) {
        await this.restore().catch(({ message }) => t.diagnostic(`nor could the cluster be restored: ${message}`));
        throw error;
      }
    });
  }

  /** Sent again when a leader was lost on the way; what is there already is as good. */
  async #make(path, body) {
    const api = this.api(this.followers[0]);
    const headers = { 'idempotency-key': `make-${path}-${body.name}` };
    const attempt = async () => [await api.post(path, body, headers)].find(({ status }) => status !== 503);
    const made = await until(attempt, { what: `${path}/${body.name}`, deadlineMs: 30_000, everyMs: 100 });
    assert.ok([200, 409].includes(made.status), made.text);
  }

  #makeConsumer = (name, bucket) => this.#make(this.api(this.followers[0]).consumers(bucket), { name });

  /** Writes through these nodes while the fault runs; answers the writer, which is stopped then. */
  async writing(consumer, fault, through = this.followers) {
    await this.#makeConsumer(consumer);
    const writer = new Writer(this, through, consumer);
    const progress = (more = 20) => {
      const target = writer.acknowledged.length + more;
      const state = () => `${target - writer.acknowledged.length} of ${more} more writes; refused last with ${writer.lastRefusal.status} ${writer.lastRefusal.text}`;
      return until(() => writer.acknowledged.length >= target, { what: state, deadlineMs: 60_000 });
    };
    try {
      await fault(progress, writer);
    } finally {
      await writer.stop();
    }
    return writer;
  }

  /** Validates at the nodes that must not notice while the fault runs. */
  async validating(unmoved, key, fault, allowed) {
    const validator = new Validator(this, unmoved, key, allowed);
    try {
      await fault();
    } finally {
      await validator.stop();
    }
    assert.deepEqual(validator.wrong, []);
    return validator;
  }

  /** Revokes through these nodes while the fault runs, and holds all nodes to the receipts. */
  async promising(consumer, fault, through = this.followers) {
    await this.#make(this.api(this.followers[0]).buckets, PROMISED);
    await this.#makeConsumer(consumer, PROMISED.name);
    const promises = new Promises(this, through, this.names, consumer, PROMISED.name);
    const kept = () => {
      const target = promises.kept.length + 1;
      return until(() => promises.kept.length >= target, { what: 'a receipt', deadlineMs: 60_000 });
    };
    try {
      await fault(kept);
    } finally {
      await promises.stop();
    }
    return promises;
  }

  /**
   * All three; what was acknowledged is there behind it, and once, no node has let in what was
   * revoked, and all nodes are the same. allowed: what may be said of the key; through: who is
   * written to.
   */
  async underLoad(consumer, unmoved, key, fault, { allowed, through } = {}) {
    let writer, validator;
    const promised = async (kept) => {
      const load = async (progress, writing) => {
        await Promise.all([progress(), kept()]);
        await fault(progress, writing);
        await Promise.all([progress(), kept()]);
      };
      const written = async () => (writer = await this.writing(consumer, load, through));
      validator = await this.validating(unmoved, key, written, allowed);
    };
    const promises = await this.promising(consumer, promised, through);
    await this.caughtUp();
    await writer.assertKept(this.names);
    await assertSameState(this);
    return { writer, validator, promises };
  }

  /** False also where its number has gone to another program. */
  isRunning(name) {
    try {
      return readFileSync(`/proc/${this.pid(name)}/cmdline`, 'utf8').includes(`${this.dir}/`);
    } catch {
      return false;
    }
  }

  /** Every process of the cluster is gone behind it, whatever has become of the script. */
  async #killAll() {
    const left = readdirSync(this.dir).filter((name) => this.isRunning(name));
    for (const name of left) this.signal(name, 'SIGKILL');
    await until(() => !left.some((name) => this.isRunning(name)), { what: () => `the end of ${left}` });
  }

  async remove() {
    this.isGone = true;
    try {
      if (existsSync(join(this.dir, 'engine'))) await this.#down(); // else it never began
    } finally {
      rmSync(resolve(this.dir, '..'), { recursive: true, force: true });
    }
  }

  async #down() {
    const running = (this.nodes ?? []).filter(({ name }) => this.isRunning(name)).map(({ name }) => [name, this.log(name).length]);
    const ended = await run(script, ['down', '--dir', this.dir], { deadlineMs: 120_000 });
    if (ended.code !== 0) await this.#killAll();
    // LeakSanitizer may spin for ever at the end of the relay, which is the links and no node.
    if (!/relay \(process \d+\) has not ended/.test(ended.stderr)) assert.equal(ended.code, 0, `local-cluster.sh down: ${ended.stderr}${ended.stdout}`);
    for (const { name } of this.nodes ?? []) assertUnreported(this.log(name), name);
    for (const [name, from] of running) assert.match(this.log(name).slice(from), /"event":"stopped"/, `${name} ended, but not as it was asked to`);
  }
}

/** Waits until every one of these nodes has applied what the leader has now. */
export async function caughtUp(cluster, names, deadlineMs = 60_000) {
  const { index } = await cluster.seenBy(await cluster.leader(names));
  await until(
    async () => {
      const at = await Promise.all(names.map((name) => cluster.metric(name, 'log_index').catch(() => 0)));
      return at.every((one) => one >= index);
    },
    { what: `index ${index} at ${names}`, deadlineMs, everyMs: 50 },
  );
  return index;
}

/** A node's metric; the first one of that name, or with its labels. */
export async function metric(cluster, name, what) {
  const { text } = await cluster.api(name).get('/metrics');
  const line = text.split('\n').find((one) => one.startsWith(`keyreeve_${what} `) || one.startsWith(`keyreeve_${what}{`));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

// meta/applied, see docs/disk-format.md: index, epoch, chain, then the sum of each class of records.
const HELD_BY_ALL = 16 + 16 + 32 + 5 * 32;

/** What a node's disk says of its position, as hex digits; the last class is the core nodes' alone. */
function positionOf(cluster, name) {
  const row = execFileSync('ldb', [`--db=${join(cluster.dataDir(name), 'db')}`, '--column_family=meta', '--value_hex', 'get', 'applied'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const digits = row.trim().replace(/^0x/, '');
  return { index: digits.slice(0, 16), all: digits.slice(0, HELD_BY_ALL), core: digits.slice(0, HELD_BY_ALL + 32) };
}

/** All these nodes have applied the same entries, with the same chain and the same sums of records. */
export async function assertSameState(cluster, names = cluster.names) {
  await cluster.caughtUp(names);
  const read = () => names.map((name) => positionOf(cluster, name));
  let last;
  const positions = await until(
    () => {
      try {
        const now = (last = read());
        return now.every(({ index }) => index === now[0].index) && now;
      } catch (error) {
        last = error; // the database has changed its files under the reader
        return false;
      }
    },
    { what: () => `one index at ${names}: ${last instanceof Error ? last : last.map(({ index }) => index)}`, deadlineMs: 60_000, everyMs: 200 },
  );
  const cores = positions.filter((_, i) => cluster.cores.includes(names[i]));
  assert.equal(new Set(positions.map(({ all }) => all)).size, 1, JSON.stringify(positions));
  assert.ok(new Set(cores.map(({ core }) => core)).size <= 1, JSON.stringify(cores));
  for (const name of names) assert.equal(await cluster.metric(name, 'differences_total'), 0, name);
}

/**
 * A standby is killed while all others are written to and asked: no validation of theirs fails, each
 * write is there, the leader stays, a receipt in the meantime names the dead one alone as not having
 * applied, and the standby catches up.
 */
export async function assertStandbyIsNotMissed(t, cluster, key, consumer) {
  const leader = await cluster.leader();
  const standby = cluster.cores.find((name) => name !== leader);
  const others = cluster.names.filter((name) => name !== standby);
  const { epoch } = await cluster.seenBy(leader);
  const revoked = await makeKey(cluster.api(leader), `${consumer}-revoked`);
  await cluster.caughtUp();
  const { writer, validator } = await cluster.underLoad(consumer, others, key, async (progress) => {
    await cluster.kill(standby);
    await progress();
    // Committed, and applied by all that live; the dead one's time is not waited for here.
    const asked = cluster.api(cluster.followers[1]);
    const receipt = expect(await revoke(asked, revoked, '?wait=everywhere&timeoutMs=1000'), 202);
    assert.equal(receipt.headers.get('content-type'), 'application/json');
    const isMissing = ({ nodes }) => nodes.filter(({ state }) => state === 'pending').map(({ node }) => node).join() === standby;
    const again = () => asked.get(`/v1/receipts/${receipt.body.index}`);
    const { nodes } = await until(async () => [(await again()).body].find((body) => body?.nodes && isMissing(body)), { what: 'the dead one alone to be pending', deadlineMs: 30_000 });
    assert.deepEqual(nodes.map(({ node }) => node).sort(), [...cluster.names].sort());
    for (const { node, state } of nodes) assert.equal(state, node === standby ? 'pending' : 'applied', node);
    for (const name of others) assert.equal(await codeAt(cluster, name, revoked), 'REVOKED', name);
    await progress();
    await cluster.start(standby);
  });
  assert.equal((await cluster.seenBy(await cluster.leader())).epoch, epoch);
  assert.equal(await codeAt(cluster, standby, revoked), 'REVOKED');
  t.diagnostic(`${validator.asked} validations, ${writer.acknowledged.length} writes, ${writer.refused} refused, away for ${writer.longestGapMs} ms`);
}
