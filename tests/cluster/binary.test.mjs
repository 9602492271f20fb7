// SPDX-License-Identifier: Apache-2.0
// The binary protocol in a cluster: every node answers it, a node that is out of touch is STALE.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binary, frame } from '../integration/lib/binary.mjs';
import { expect } from '../integration/lib/http.mjs';
import { buildExample, installLibrary, startExample } from '../integration/lib/library.mjs';
import { until } from '../integration/lib/node.mjs';
import { makeKey, revoke } from './lib/checkers.mjs';
import { Cluster, assertSameState } from './lib/cluster.mjs';
import { whileHeldBehindLookUp, whyNoDebugger } from './lib/debugger.mjs';

const STALENESS_MS = 3000;

test('the binary protocol at every node', { timeout: 600_000 }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'local', staleness: STALENESS_MS });
  const leader = cluster.api('core-1');
  const place = (name) => new URL(cluster.node(name).url).host.replace(/:\d+$/, ':7401');
  const open = (name) => {
    const connection = binary(place(name));
    t.after(() => connection.destroy());
    return connection;
  };
  /** Behind each of them all nodes have the same chain and the same sums. */
  const story = (name, tell) =>
    cluster.story(t, name, async (s) => {
      await tell(s);
      await assertSameState(cluster);
    });

  await story('a write is seen with its index, and a revocation on connections that are open', async () => {
    const key = await makeKey(leader, 'written');
    const connections = cluster.names.map(open);
    for (const one of connections) assert.equal(await one.code(key.key, { minIndex: key.index }), 'VALID');
    const receipt = expect(await revoke(leader, key, '?wait=everywhere'), 200).body;
    for (const one of connections) {
      const answer = await one.ask([key.key]);
      assert.equal(answer.results[0].code, 'REVOKED');
      assert.ok(answer.index >= receipt.index);
    }
  });

  await story('a node that is out of touch is STALE once its window is over, and good again when healed', async () => {
    const cut = cluster.followers[0];
    const key = await makeKey(leader, 'kept');
    const dead = await makeKey(leader, 'taken');
    const connection = open(cut);
    assert.equal(await connection.code(key.key, { minIndex: Math.max(key.index, dead.index) }), 'VALID');
    await cluster.cut(cut, 'all');
    expect(await revoke(leader, dead, '?wait=everywhere'), 200);
    assert.notEqual(await connection.code(dead.key), 'VALID', 'the promise of the receipt');
    const stale = await until(
      async () => {
        const answer = await connection.ask([key.key]);
        return answer.results[0].code === 'STALE' && answer;
      },
      { what: 'STALE' },
    );
    assert.ok(stale.ageMs > STALENESS_MS, `${stale.ageMs}`);
    assert.equal(stale.results[0].body, '');
    const subscriber = open(cut);
    subscriber.write(frame({ tag: 1, op: 2 }));
    assert.equal((await subscriber.next()).leaseMs, 0, 'it gives no lease either');
    assert.equal(await open('core-1').code(key.key), 'VALID');
    await cluster.heal();
    await until(async () => (await connection.code(key.key)) === 'VALID', { what: 'VALID after healing' });
    assert.equal(await connection.code(dead.key, { minIndex: 1 }), 'REVOKED');
  });

  await story('a node that is stopped between its look-up and its answer does not say VALID behind the receipt', async (s) => {
    const why = await whyNoDebugger();
    if (why) return s.skip(why);
    const paused = cluster.followers[1];
    const key = await makeKey(leader, 'looked-up');
    const connection = open(paused);
    assert.equal(await connection.code(key.key, { minIndex: key.index }), 'VALID');
    const [answer] = await whileHeldBehindLookUp(
      cluster,
      paused,
      () => connection.ask([key.key]),
      async () => expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200),
    );
    assert.equal(answer.results[0].code, 'STALE');
    assert.ok(answer.ageMs > STALENESS_MS, `${answer.ageMs}`);
    await until(async () => (await connection.code(key.key)) === 'REVOKED', { what: 'the paused node to catch up' });
  });

  await story('the C example goes on when the node that it asks is killed, or hangs', async (t) => {
    const library = await installLibrary(t);
    const verify = await buildExample(library, 'verify');
    const [one, other] = cluster.followers;
    const key = await makeKey(leader, 'asked-on');
    await cluster.caughtUp();
    const example = startExample(t, library, verify, [[one, other].map(place).join()]);
    const asks = async (count, when) => {
      for (let i = 0; i < count; i++) assert.equal(await example.ask(key.key), 'VALID', `${when}, ${i}`);
    };
    await until(async () => (await example.ask(key.key)) === 'VALID', { what: 'VALID' });
    // Whichever of the two it asks, each is killed once and hangs once.
    for (const name of [one, other]) {
      await asks(100, 'before');
      await cluster.kill(name);
      await asks(100, `${name} is dead`);
      await cluster.start(name);
      await cluster.caughtUp();
      const back = open(name);
      await until(async () => (await back.code(key.key)) === 'VALID', { what: `${name} to answer` });
    }
    for (const name of [one, other]) {
      await cluster.whileStopped(name, () => asks(100, `${name} hangs`));
      const back = open(name);
      await until(async () => (await back.code(key.key)) === 'VALID', { what: `${name} to answer` });
    }
    await example.end();
  });
});
