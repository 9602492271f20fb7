// SPDX-License-Identifier: Apache-2.0
// A cluster of real processes for the tests, through deploy/local-cluster.sh, and checkers that run
// beside a fault: writers that remember what was acknowledged, validators that know what is allowed.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { client, expect } from '../../integration/lib/http.mjs';
import { binDir, run, until } from '../../integration/lib/node.mjs';

const script = resolve('deploy/local-cluster.sh');
const UP_DEADLINE_MS = 240_000;

let nextNet = 80 + (process.pid % 80);

export class Cluster {
  static async up(t, { engine = 'local', staleness } = {}) {
    const cluster = new Cluster();
    cluster.dir = join(mkdtempSync(join(tmpdir(), 'keyreeve-cluster-')), 'c');
    cluster.net = nextNet++;
    t.after(() => cluster.remove());
    const more = staleness === undefined ? [] : ['--staleness', String(staleness)];
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

  /** Waits until every one of these nodes has applied what the first of them has now. */
  async caughtUp(names = this.names, deadlineMs = 60_000) {
    const { index } = await this.seenBy(await this.leader(names));
    await until(
      async () => {
        const at = await Promise.all(names.map((name) => this.metric(name, 'log_index').catch(() => 0)));
        return at.every((one) => one >= index);
      },
      { what: `index ${index} at ${names}`, deadlineMs, everyMs: 50 },
    );
    return index;
  }

  async metric(name, metric) {
    const answer = await fetch(`${this.node(name).url}/metrics`);
    const text = await answer.text();
    const line = text.split('\n').find((one) => one.startsWith(`keyreeve_${metric} `) || one.startsWith(`keyreeve_${metric}{`));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  }

  async remove() {
    const logs = [...(this.nodes ?? [])].map(({ name }) => [name, this.log(name)]);
    await run(script, ['down', '--dir', this.dir], { deadlineMs: 120_000 });
    for (const [name] of logs) assert.doesNotMatch(this.log(name), /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:/, name);
    rmSync(resolve(this.dir, '..'), { recursive: true, force: true });
  }
}

/** A key of a consumer of its own: {id, key, consumer, index}. */
export async function makeKey(api, consumer) {
  const made = await api.post(api.consumers(), { name: consumer });
  assert.ok(made.status === 200 || made.status === 409, made.text);
  const answer = expect(await api.post(api.keys(consumer), {}), 200);
  return { ...answer.body, consumer, index: Number(answer.headers.get('keyreeve-index')) };
}

/** With an Idempotency-Key, so that a node may send it again when a leader is lost on the way. */
export const revoke = (api, key, more = '') => api.post(`${api.keys(key.consumer)}/${key.id}/revoke${more}`, {}, { 'idempotency-key': `revoke-${key.id}` });

/** The code that a node answers for a key now. */
export async function codeAt(cluster, name, key, more = {}) {
  const answer = await fetch(`${cluster.node(name).url}/v1/validate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key: key.key, ...more }),
  });
  return (await answer.json()).code;
}

/**
 * Creates keys through a node one after the other until it is stopped, with an Idempotency-Key each,
 * and remembers what was acknowledged and when writes were answered last.
 */
export class Writer {
  constructor(cluster, names, consumer) {
    Object.assign(this, { cluster, names: [names].flat(), consumer, acknowledged: [], refused: 0, longestGapMs: 0, isStopped: false });
    this.ended = this.#run();
  }

  async #run() {
    const headers = (n) => ({ 'idempotency-key': `${this.consumer}-${n}` });
    let last = Date.now();
    for (let n = 0; !this.isStopped; ) {
      const api = this.cluster.api(this.names[(n + this.refused) % this.names.length]);
      const answer = await api.post(api.keys(this.consumer), {}, headers(n)).catch(() => ({ status: 0 }));
      if (answer.status === 200) {
        this.longestGapMs = Math.max(this.longestGapMs, Date.now() - last);
        last = Date.now();
        this.acknowledged.push({ ...answer.body, consumer: this.consumer });
        n++;
      } else {
        assert.ok([0, 503].includes(answer.status), `${answer.status} ${answer.text}`);
        this.refused++;
        await new Promise((done) => setTimeout(done, 20));
      }
    }
  }

  async stop() {
    this.isStopped = true;
    await this.ended;
    return this.acknowledged;
  }
}

/** Asks these nodes for a key that is good all the time, and remembers every other answer. */
export class Validator {
  constructor(cluster, names, key) {
    Object.assign(this, { cluster, key, asked: 0, wrong: [], isStopped: false });
    this.ended = Promise.all(names.map((name) => this.#run(name)));
  }

  async #run(name) {
    while (!this.isStopped) {
      const code = await codeAt(this.cluster, name, this.key).catch((error) => `no answer: ${error.cause?.code ?? error.message}`);
      this.asked++;
      if (code !== 'VALID') this.wrong.push(`${name}: ${code}`);
    }
  }

  async stop() {
    this.isStopped = true;
    await this.ended;
    assert.ok(this.asked > 0);
    return this.wrong;
  }
}

/** Every acknowledged key is VALID at each of these nodes. */
export async function assertAllThere(cluster, keys, names) {
  for (const name of names) {
    const batch = await fetch(`${cluster.node(name).url}/v1/validate/$batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(keys.slice(-1000).map(({ key }) => ({ key }))),
    });
    const { results } = await batch.json();
    const lost = results.filter(({ code }) => code !== 'VALID').map(({ code }) => code);
    assert.deepEqual(lost, [], `${name} lacks acknowledged keys`);
  }
}
