// SPDX-License-Identifier: Apache-2.0
// Keys of a cluster, and checkers that run beside a fault: a writer that remembers what was
// acknowledged, validators that know what is allowed, revocations whose receipts must hold.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, listAll } from '../../integration/lib/http.mjs';
import { until } from '../../integration/lib/node.mjs';

/** A key of a consumer of its own: {id, key, consumer, index}. */
export async function makeKey(api, consumer, bucket = 'production') {
  const made = await api.post(api.consumers(bucket), { name: consumer });
  assert.ok(made.status === 200 || made.status === 409, made.text);
  const answer = expect(await api.post(api.keys(consumer, bucket), {}), 200);
  return { ...answer.body, consumer, bucket, index: Number(answer.headers.get('keyreeve-index')) };
}

/** With an Idempotency-Key, so that a node may send it again when a leader is lost on the way. */
export const revoke = (api, key, more = '') => {
  const path = `${api.keys(key.consumer, key.bucket)}/${key.id}/revoke${more}`;
  return api.post(path, {}, { 'idempotency-key': `revoke-${key.id}` });
};

/** The code that a node answers for a key now. */
export const codeAt = (cluster, name, key, more = {}) => cluster.api(name).code(key.key, more);

/** Every answer of a node for a key, from the first that it gives until one of these. */
export async function answersUntil(cluster, name, key, codes) {
  const seen = [];
  await until(
    async () => {
      const code = await codeAt(cluster, name, key).catch(() => undefined);
      if (code !== undefined && code !== seen.at(-1)) seen.push(code);
      return codes.includes(code);
    },
    { what: () => `${codes} at ${name}, after ${seen}`, deadlineMs: 90_000, everyMs: 1 },
  );
  return seen;
}

const LANES = 2; // so that some writes are under way whenever a node dies

const nobody = () => ({ status: 0, text: '' }); // has answered

/**
 * Creates keys through these nodes until it is stopped, each with an Idempotency-Key and a
 * description of its own, and sends what was not acknowledged again; remembers what was acknowledged,
 * what was still open when it was stopped, and for how long writes were away.
 */
export class Writer {
  constructor(cluster, names, consumer) {
    const lastMs = Date.now();
    const prefix = `${consumer}-${lastMs}-`;
    Object.assign(this, { cluster, names: [names].flat(), consumer, prefix, lastMs, longestGapMs: 0 });
    Object.assign(this, { acknowledged: [], open: [], begun: 0, refused: 0, isStopped: false });
    this.lastRefusal = nobody();
    this.ended = Promise.all(Array.from({ length: LANES }, () => this.#run()));
  }

  get #isOver() {
    return this.isStopped || this.cluster.isGone;
  }

  async #run() {
    while (!this.#isOver) {
      const description = `${this.prefix}${this.begun++}`;
      while (!(await this.#write(description))) {
        if (this.#isOver) return this.open.push(description);
        await pause(20);
      }
    }
  }

  /** Was it acknowledged? */
  async #write(description) {
    const api = this.cluster.api(this.names[(this.begun + this.refused) % this.names.length]);
    const headers = { 'idempotency-key': description };
    const answer = await api.post(api.keys(this.consumer), { description }, headers).catch(nobody);
    if (answer.status === 200) {
      this.longestGapMs = Math.max(this.longestGapMs, Date.now() - this.lastMs);
      this.lastMs = Date.now();
      this.acknowledged.push({ ...answer.body, description, consumer: this.consumer });
      return true;
    }
    assert.ok([0, 503].includes(answer.status), `${answer.status} ${answer.text}`);
    this.refused++;
    this.lastRefusal = answer;
    return false;
  }

  async stop() {
    this.isStopped = true;
    await this.ended;
    return this.acknowledged;
  }

  /** Of each write the ids of the keys that it has made, as this node lists them. */
  async #made(name) {
    const api = this.cluster.api(name);
    const made = new Map();
    for (const { id, description } of await listAll(api, api.keys(this.consumer))) {
      if (!description?.startsWith(this.prefix)) continue;
      made.set(description, [...(made.get(description) ?? []), id]);
    }
    return made;
  }

  /**
   * What was acknowledged is VALID at each of these nodes, and was done once, however often it was
   * sent; of what was open when it was stopped, each is there once or not at all.
   */
  async assertKept(names) {
    await assertAllThere(this.cluster, this.acknowledged, names);
    const made = await this.#made(names[0]);
    const repeated = [...made].filter(([, ids]) => ids.length > 1);
    assert.deepEqual(repeated, [], 'writes that were done more than once');
    for (const { description, id } of this.acknowledged) {
      assert.deepEqual(made.get(description), [id], description);
      made.delete(description);
    }
    const unexpected = [...made.keys()].filter((description) => !this.open.includes(description));
    assert.deepEqual(unexpected, [], 'keys that nobody has asked for');
  }
}

/** Asks these nodes for a key that is good all the time, and remembers what was not allowed. */
export class Validator {
  constructor(cluster, names, key, allowed = ['VALID']) {
    Object.assign(this, { cluster, key, allowed, asked: 0, wrong: [], isStopped: false });
    this.ended = Promise.all(names.map((name) => this.#run(name)));
  }

  async #run(name) {
    while (!this.isStopped && !this.cluster.isGone) {
      const failed = (error) => `no answer: ${error.cause?.code ?? error.message}`;
      const code = await codeAt(this.cluster, name, this.key).catch(failed);
      this.asked++;
      if (!this.allowed.includes(code)) this.wrong.push(`${name}: ${code}`);
    }
  }

  async stop() {
    this.isStopped = true;
    await this.ended;
    assert.ok(this.asked > 0);
    return this.wrong;
  }
}

const ASK_EVERY_MS = 5; // the nodes have other things to do as well
const AFTER_A_RECEIPT = ['REVOKED', 'STALE', 'UNAVAILABLE'];

/**
 * Revokes key after key everywhere, through whichever of these nodes answers, and asks others all
 * the time for what was revoked: a VALID to a question that was asked after a receipt breaks the
 * promise, and nothing else may be said that is no answer for a revoked key.
 */
export class Promises {
  constructor(cluster, names, asked, consumer, bucket = 'production') {
    Object.assign(this, { cluster, names, consumer, bucket, turn: 0, isStopped: false });
    Object.assign(this, { kept: [], broken: [], answers: 0 });
    this.ended = Promise.all([this.#revoke(), ...asked.map((name) => this.#ask(name))]);
  }

  get #isOver() {
    return this.isStopped || this.cluster.isGone;
  }

  /** The answer, by whichever node gives it; undefined: it was stopped before there was one. */
  async #insist(send) {
    while (!this.#isOver) {
      const api = this.cluster.api(this.names[this.turn++ % this.names.length]);
      const answer = await send(api).catch(nobody);
      if (answer.status === 200) return answer.body;
      await pause(20);
    }
    return undefined;
  }

  async #revoke() {
    for (;;) {
      const made = await this.#insist((api) => api.post(api.keys(this.consumer, this.bucket), {}));
      const key = { ...made, consumer: this.consumer, bucket: this.bucket };
      const attempt = (api) => revoke(api, key, '?wait=everywhere&timeoutMs=20000');
      const done = made && (await this.#insist(attempt));
      if (!done) return;
      this.kept.push({ key, index: done.index, atMs: performance.now() });
    }
  }

  /** One of the last. */
  #pick = () => this.kept.at(-1 - (this.answers % Math.min(4, this.kept.length || 1))) ?? {};

  async #ask(name) {
    while (!this.#isOver) {
      await pause(ASK_EVERY_MS);
      const { key, atMs } = this.#pick();
      const askedMs = performance.now();
      // With its bucket: of a key that a node lacks, nothing else says how old its answer may be.
      const asked = key && codeAt(this.cluster, name, key, { bucket: this.bucket });
      const code = await asked?.catch(() => undefined);
      if (code === undefined) continue;
      this.answers++;
      const isAllowed = AFTER_A_RECEIPT.includes(code);
      const when = `revoked everywhere ${Math.round(askedMs - atMs)} ms before`;
      if (!isAllowed) this.broken.push(`${name}: ${code} for ${key.id}, ${when}`);
    }
  }

  async stop() {
    this.isStopped = true;
    await this.ended;
    assert.deepEqual(this.broken, []);
    const told = `${this.kept.length} receipts, ${this.answers} answers`;
    assert.ok(this.kept.length > 0 && this.answers > 0, told);
    return this.kept;
  }
}

const BATCH_KEYS = 1000;

/** Every acknowledged key is VALID at each of these nodes. */
export async function assertAllThere(cluster, keys, names) {
  for (const name of names) {
    for (let from = 0; from < keys.length; from += BATCH_KEYS) {
      const asked = keys.slice(from, from + BATCH_KEYS).map(({ key }) => ({ key }));
      const batch = await fetch(`${cluster.node(name).url}/v1/validate/$batch`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(asked),
      });
      const { results } = await batch.json();
      assert.equal(results.length, asked.length, name);
      const lost = results.filter(({ code }) => code !== 'VALID').map(({ code }) => code);
      assert.deepEqual(lost, [], `${name} lacks acknowledged keys`);
    }
  }
}
