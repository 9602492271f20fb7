// SPDX-License-Identifier: Apache-2.0
// kill -9 in a loop under concurrent writers: every acknowledged answer is found after the restart,
// and nothing is half there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { client, expect, listAll } from './lib/http.mjs';
import { dataDirFor, killNodesOn, startNode, until } from './lib/node.mjs';

const ROUNDS = process.env.KEYREEVE_SOAK ? 100 : 7;
const BULK = 25;

async function codesOf(api, values) {
  const codes = [];
  for (let at = 0; at < values.length; at += 1000) {
    const answer = expect(await api.post('/v1/validate/$batch', values.slice(at, at + 1000).map((key) => ({ key }))), 200);
    codes.push(...answer.body.results.map((result) => result.code));
  }
  return codes;
}

/** What was promised, and what was under way when the node died. */
class Ledger {
  valid = new Map(); // value → what it is, acknowledged and never touched again
  revoked = new Map(); // value → what ended it, acknowledged
  consumers = new Set();
  deleted = new Set();
  batches = new Map(); // batch name → acknowledged?
  rolls = []; // {consumer, old: [value], isAcknowledged, next}
  index = 0;
  acknowledged = 0;

  note(answer) {
    this.index = Math.max(this.index, Number(answer.headers.get('keyreeve-index')));
    this.acknowledged++;
  }
}

/** One writer of each kind; each ends when its connection does. */
function startWriters(api, ledger, round) {
  let number = 0;
  const name = () => `r${round}-${number++}`;
  const say = async (method, path, body, status) => {
    const answer = expect(await api.call(method, path, body), status);
    ledger.note(answer);
    return answer.body;
  };
  const kinds = {
    async create() {
      const key = await say('POST', api.keys('crash'), { description: name() }, 200);
      ledger.valid.set(key.key, 'created');
    },
    async revoke() {
      const key = await say('POST', api.keys('crash'), { description: name() }, 200);
      await say('POST', `${api.keys('crash')}/${key.id}/revoke`, undefined, 200);
      ledger.revoked.set(key.key, 'revoked');
    },
    async remove() {
      const consumer = name();
      await say('POST', api.consumers(), { name: consumer }, 200);
      const key = await say('POST', api.keys(consumer), {}, 200);
      if (number % 2) {
        await say('DELETE', `${api.consumers()}/${consumer}`, undefined, 204);
        ledger.deleted.add(consumer);
        ledger.revoked.set(key.key, 'its consumer deleted');
      } else {
        ledger.consumers.add(consumer);
        ledger.valid.set(key.key, 'of a new consumer');
      }
    },
    async bulk() {
      const batch = name();
      ledger.batches.set(batch, false);
      const made = await say('POST', `${api.keys('bulk')}/$bulk`, Array.from({ length: BULK }, () => ({ description: batch })), 200);
      ledger.batches.set(batch, true);
      for (const key of made.data) ledger.valid.set(key.key, 'of a batch');
    },
    async roll() {
      const consumer = name();
      await say('POST', api.consumers(), { name: consumer, apiKeys: [{}, {}, {}] }, 200);
      const before = await say('POST', `${api.keys(consumer)}/$bulk`, [{}, {}, {}], 200);
      const roll = { consumer, old: before.data.map((key) => key.key), isAcknowledged: false };
      ledger.rolls.push(roll);
      roll.next = (await say('POST', `${api.consumers()}/${consumer}/roll-key?return=key`, { expiresOn: '2020-01-01T00:00:00Z' }, 200)).key;
      roll.isAcknowledged = true;
    },
  };
  return Object.values(kinds).map(async (step) => {
    for (;;) {
      try {
        await step();
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        return; // the connection broke: the node is gone
      }
    }
  });
}

async function check(api, ledger) {
  const position = (await api.get('/v1/cluster')).body.index;
  assert.ok(position >= ledger.index, `index ${position} is behind the acknowledged ${ledger.index}`);

  for (const [map, expected] of [[ledger.valid, 'VALID'], [ledger.revoked, 'REVOKED']]) {
    const codes = await codesOf(api, [...map.keys()]);
    [...map.values()].forEach((what, i) => assert.equal(codes[i], expected, `an acknowledged key, ${what}`));
  }

  const consumers = await listAll(api, api.consumers());
  const names = new Set(consumers.map((consumer) => consumer.name));
  for (const name of ledger.consumers) assert.ok(names.has(name), `${name} is lost`);
  for (const name of ledger.deleted) assert.ok(!names.has(name), `${name} is back`);
  assert.equal((await api.get(`${api.consumers()}?limit=1`)).body.total, consumers.length, 'the counter of consumers');

  const keys = await listAll(api, api.keys('bulk'));
  const counts = new Map();
  for (const key of keys) counts.set(key.description, (counts.get(key.description) ?? 0) + 1);
  for (const [batch, isAcknowledged] of ledger.batches) {
    const count = counts.get(batch) ?? 0;
    assert.ok(count === BULK || (count === 0 && !isAcknowledged), `${batch}: ${count} of ${BULK} keys`);
  }
  assert.equal((await api.get(`${api.keys('bulk')}?limit=1`)).body.total, keys.length, 'the counter of keys');

  for (const roll of ledger.rolls) {
    const all = await listAll(api, api.keys(roll.consumer));
    const successors = all.filter((key) => key.rotatedFrom !== null);
    const codes = await codesOf(api, roll.old);
    if (successors.length === 0) {
      assert.ok(!roll.isAcknowledged, 'an acknowledged roll is lost');
      assert.deepEqual(new Set(codes), new Set(['VALID']), 'a roll that did not happen has revoked something');
    } else {
      assert.equal(successors.length, 1);
      assert.deepEqual(new Set(codes), new Set(['REVOKED']), 'half a roll');
      if (roll.isAcknowledged) assert.deepEqual(await codesOf(api, [roll.next]), ['VALID']);
    }
  }
}

test(`${ROUNDS} times killed under writers: nothing acknowledged is lost, nothing is half there`, async (t) => {
  const dataDir = dataDirFor(t);
  const ledger = new Ledger();
  let node = await startNode({ dataDir });
  await client(node).makeConsumer('crash');
  await client(node).makeConsumer('bulk');
  for (let round = 0; round < ROUNDS; round++) {
    const api = client(node);
    const target = ledger.acknowledged + 30 + Math.floor(Math.random() * 150);
    const writers = startWriters(api, ledger, round);
    const isOver = Promise.all(writers);
    const isEnough = until(() => ledger.acknowledged >= target || node.exit, { what: () => `${target} acknowledged writes; there are ${ledger.acknowledged}`, deadlineMs: 120_000, everyMs: 1 });
    await Promise.race([isEnough, isOver.then(() => isEnough)]); // a writer that fails ends it at once
    await node.kill9();
    await isOver;
    node = await startNode({ dataDir });
    await check(client(node), ledger);
  }
  t.diagnostic(`${ledger.acknowledged} acknowledged writes over ${ROUNDS} kills`);
  await node.stop();
  node = await startNode({ dataDir });
  await check(client(node), ledger);
  await node.stop();
});

test('killed while it starts, again and again, a node still comes up with everything', async (t) => {
  const dataDir = dataDirFor(t);
  let node = await startNode({ dataDir });
  const api = client(node);
  await api.makeConsumer('c');
  const made = expect(await api.post(`${api.keys('c')}/$bulk`, Array.from({ length: 200 }, () => ({}))), 200).body.data;
  await node.kill9();
  for (let round = 0; round < 5; round++) {
    const starting = startNode({ dataDir }).catch(() => undefined);
    await new Promise((done) => setTimeout(done, 40 * round));
    await killNodesOn(dataDir);
    await starting;
  }
  node = await startNode({ dataDir });
  const codes = await codesOf(client(node), made.map((key) => key.key));
  assert.deepEqual(new Set(codes), new Set(['VALID']));
  await node.stop();
});
