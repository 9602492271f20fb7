// SPDX-License-Identifier: Apache-2.0
// What every gateway that knows two nodes must do while one of them cannot judge: ask the other.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { exchange, expect } from '../../integration/lib/http.mjs';
import { makeCluster, startMember } from '../../integration/lib/member.mjs';
import { claimNet } from '../../integration/lib/net.mjs';
import { dataDirFor, startNode, until, whileStopped } from '../../integration/lib/node.mjs';
import { startScene } from './gateway.mjs';

/** A node that answers, and never that it can tell: a follower whom nobody leads. */
async function startStale(t) {
  const home = dataDirFor(t);
  const net = await claimNet();
  await makeCluster(home, { edge: 'follower' });
  const stale = startMember(t, home, 'edge', `127.0.${net}.2`, ['--upstreams', `127.0.${net}.1:7402`]);
  await until(() => fetch(`${stale.url}/readyz`).then(({ status }) => status === 503, () => false), { what: () => `the follower to answer: ${stale.log()}`, deadlineMs: 60_000 });
  return new URL(stale.url).host;
}

/**
 * start({addresses, apiPort}) starts a gateway with what is shipped, and what its README says of several
 * nodes; it lets in who is not judged. Answers as describeGateway's start.
 */
export function describeTwoNodes(name, start) {
  describe(`${name}, before two nodes`, () => {
    let scene, node, api, key;
    before(async () => {
      scene = await startScene();
      ({ node, api, key } = scene);
    });
    after(() => scene?.stop());

    const launch = async (t, other) => {
      const gateway = await start({ addresses: [other, `127.0.0.1:${node.port}`], apiPort: api.port });
      t.after(() => gateway.stop());
      return (value) => exchange(gateway, { method: 'POST', path: '/', headers: { 'x-api-key': value }, body: 'hello' });
    };
    const judgesAll = async (ask) => {
      for (let i = 0; i < 20; i++) {
        assert.equal(JSON.parse(expect(await ask(key), 200).text).headers['x-consumer-name'], 'acme', `question ${i}`);
        expect(await ask('nonsense'), 401);
      }
    };

    test('asks the other while one is out of touch', async (t) => {
      const ask = await launch(t, await startStale(t));
      await until(async () => (await ask(key)).status === 200, { what: 'the other to be asked' });
      await judgesAll(ask);
    });

    test('asks the other while one hangs, and does not wait for it each time', async (t) => {
      const hung = await startNode();
      t.after(() => hung.remove());
      const ask = await launch(t, `127.0.0.1:${hung.port}`);
      const started = Date.now();
      await whileStopped(hung.pid, () => judgesAll(ask));
      assert.ok(Date.now() - started < 20_000, `${Date.now() - started} ms for 40 questions`);
    });
  });
}
