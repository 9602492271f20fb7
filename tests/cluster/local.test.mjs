// SPDX-License-Identifier: Apache-2.0
// One leader on its own disk and four followers: writes anywhere, validations everywhere, receipts,
// partitions, kills, a follower that starts from nothing.
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { expect, expectProblem } from '../integration/lib/http.mjs';
import { binDir, keyreeve, run, until } from '../integration/lib/node.mjs';
import { Validator, codeAt, makeKey, revoke } from './lib/checkers.mjs';
import { Cluster, assertSameState } from './lib/cluster.mjs';
import { whileHeldBehindLookUp, whyNoDebugger } from './lib/debugger.mjs';
import { Watch } from './lib/watch.mjs';

const STALENESS_MS = 3000;
const BUSY_MS = 3000; // what a busy machine may add
const FRESH_MS = STALENESS_MS - 1000; // what was heard last is no older than that

test('one leader and four followers', { timeout: 600_000 }, async (t) => {
  const cluster = await Cluster.up(t, { engine: 'local', staleness: STALENESS_MS, settings: { realm: 'made-so' } });
  const leader = cluster.api('core-1');
  /** Behind each of them all nodes have the same chain and the same sums. */
  const story = (name, tell) =>
    cluster.story(t, name, async (s) => {
      await tell(s);
      await assertSameState(cluster);
    });

  await story('every node sees the same five members and the leader', async () => {
    await until(async () => (await cluster.seenBy('core-1')).nodes.length === 5, { what: 'five members' });
    for (const name of cluster.names) {
      const view = await cluster.seenBy(name);
      assert.equal(view.leader, 'core-1');
      assert.equal(view.engine, 'local');
      assert.deepEqual(view.nodes.map(({ id }) => id).sort(), [...cluster.names].sort());
    }
  });

  await story('what local-cluster.sh has made it starts again as it is, and as it is told to', async () => {
    for (const [more, realm] of [[[], 'made-so'], [['--set', 'realm=made-anew'], 'made-anew'], [[], 'made-anew']]) {
      await cluster.script(['down']);
      await cluster.script(['up', '--bin', binDir, '--no-packages', ...more], 240_000);
      for (const name of cluster.names) {
        const { headers } = expect(await cluster.api(name).get('/authz/nginx', { authorization: '' }), 401);
        assert.match(headers.get('www-authenticate'), new RegExp(`realm="${realm}"`), name);
      }
    }
  });

  await story('a key that is created at a follower validates at every node with its index', async () => {
    const key = await makeKey(cluster.api('edge-ap-northeast'), 'written-far');
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key, { minIndex: key.index }), 'VALID', name);
  });

  await story('management answers at a follower are the leader\'s, errors too', async () => {
    const api = cluster.api('edge-us-west');
    assert.equal(expect(await api.get('/v1/who-am-i'), 200).body.account, 'default');
    expect(await api.get(`${api.consumers()}/nobody`), 404);
    expect(await api.get('/v1/who-am-i', { authorization: 'Bearer kr_mgmt_x' }), 401);
    expect(await api.post(api.consumers(), { name: 'written-far' }), 409);
    const twice = { 'idempotency-key': 'once-only' };
    const first = expect(await api.post(api.keys('written-far'), {}, twice), 200).body;
    const again = expect(await cluster.api('edge-us-east').post(api.keys('written-far'), {}, twice), 200).body;
    assert.deepEqual(again, first);
  });

  await story('wait=everywhere names every node as applied, and none answers VALID from then on', async () => {
    const key = await makeKey(leader, 'revoked-everywhere');
    for (const name of cluster.names) assert.equal(await codeAt(cluster, name, key, { minIndex: key.index }), 'VALID');
    const receipt = expect(await revoke(cluster.api('edge-eu-west'), key, '?wait=everywhere'), 200).body;
    const codes = await Promise.all(cluster.names.map((name) => codeAt(cluster, name, key)));
    assert.deepEqual(codes, cluster.names.map(() => 'REVOKED'));
    assert.equal(receipt.level, 'everywhere');
    assert.deepEqual(receipt.nodes.map(({ node }) => node).sort(), [...cluster.names].sort());
    assert.ok(receipt.nodes.every(({ state, afterMs }) => state === 'applied' && Number.isInteger(afterMs)), JSON.stringify(receipt));
    assert.ok(receipt.nodes.every(({ node, region }) => region === cluster.node(node).region));
    const later = expect(await leader.get(`/v1/receipts/${receipt.index}`), 200).body;
    assert.deepEqual(later.nodes.map(({ state }) => state), receipt.nodes.map(() => 'applied'));
  });

  await story('the command line shows a row a node', async () => {
    const key = await makeKey(leader, 'revoked-by-hand');
    const env = { KEYREEVE_URL: cluster.node('edge-us-east').url, KEYREEVE_TOKEN: cluster.token, KEYREEVE_BUCKET: 'production', HOME: cluster.dir };
    const shown = await run(keyreeve, ['key', 'revoke', key.consumer, key.id, '--wait', 'everywhere'], { env });
    assert.equal(shown.code, 0, shown.stderr);
    for (const name of cluster.names) assert.match(shown.stdout, new RegExp(`^${name} +${cluster.node(name).region} +applied +\\d+`, 'm'));
    const status = await run(keyreeve, ['cluster', 'status'], { env });
    assert.equal(status.code, 0, status.stderr);
    for (const name of cluster.names) assert.match(status.stdout, new RegExp(`^${name} `, 'm'));
  });

  await story('every node names the nearest nodes, itself first, by the distances that it has measured', async () => {
    const ways = async (name) => {
      const { region, nodes } = expect(await cluster.api(name).get('/v1/nodes/nearest', { authorization: '' }), 200).body;
      assert.equal(region, cluster.node(name).region);
      assert.deepEqual(nodes.map(({ id }) => id).sort(), [...cluster.names].sort());
      for (const one of nodes) {
        const { region: there, url } = cluster.node(one.id);
        assert.deepEqual([one.region, one.http], [there, url]);
      }
      assert.deepEqual([nodes[0].id, nodes[0].roundTripUs], [name, 0]);
      return nodes.slice(1).map(({ id, roundTripUs }) => ({ id, us: roundTripUs }));
    };
    const isOrdered = (measured) =>
      measured.every(({ us }, i) => us > 0 && us < 10_000_000 && us >= (measured[i - 1]?.us ?? 0));
    // A follower measures the ways to all others.
    for (const name of cluster.followers) {
      const all = async () => [await ways(name)].find((them) => them.every(({ us }) => us !== null));
      const found = await until(all, { what: `the distances from ${name}`, deadlineMs: 60_000 });
      assert.ok(isOrdered(found), JSON.stringify(found));
    }
    // The leader measures none, and has its children's word.
    const { nodes } = await cluster.seenBy('core-1');
    const children = nodes.filter(({ upstream }) => upstream === 'core-1').map(({ id }) => id);
    assert.ok(children.length > 0);
    const found = await ways('core-1');
    const measured = found.filter(({ us }) => us !== null);
    assert.ok(isOrdered(measured), JSON.stringify(found));
    assert.deepEqual(found.slice(0, measured.length), measured, 'who was not measured is behind');
    for (const child of children) assert.ok(measured.some(({ id }) => id === child), child);
  });

  await story('cluster status --watch shows what changes, and outlives the node that it asks', async (s) => {
    const [killed, asked] = ['edge-eu-west', 'edge-us-east'];
    const screen = new Watch(s, cluster, 'core-1', { onTerminal: true });
    const pipe = new Watch(s, cluster, asked, { onTerminal: false });
    const serve = (rows) => cluster.names.every((name) => rows[name]?.STATE === 'serving');
    const both = (what, isWanted) => Promise.all([screen, pipe].map((one) => one.shows(what, isWanted)));
    for (const rows of await both('all five serving', serve)) {
      for (const { name, region } of cluster.nodes) {
        assert.deepEqual([rows[name].REGION, rows[name].ROLE], [region, name === 'core-1' ? 'leader' : 'follower']);
        assert.match(rows[name].UPSTREAM, name === 'core-1' ? /^-$/ : /^(core-1|edge-[a-z-]+)$/);
        for (const column of ['INDEX', 'LAG MS', 'LEASE MS', 'VALID/S'])
          assert.match(rows[name][column], /^[\d,]+$/, `${column} of ${name}`);
      }
    }
    const { index, ...key } = await makeKey(leader, 'watched');
    const number = (row, column) => Number((row?.[column] ?? '').replaceAll(',', ''));
    const hasIndex = (row) => number(row, 'INDEX') >= index;
    await both(`index ${index} at every node`, (rows) => cluster.names.every((name) => hasIndex(rows[name])));
    const validator = new Validator(cluster, [killed], key);
    await both('validations at one node', (rows) => number(rows[killed], 'VALID/S') > 0);
    assert.deepEqual(await validator.stop(), []);
    await cluster.kill(killed);
    await both('a node that is not heard of', (rows) => rows[killed]?.STATE === 'unheard' && rows['core-1'].STATE === 'serving');
    await cluster.start(killed);
    await both('all five again', serve);
    await cluster.kill(asked);
    await pipe.shows('nobody who answers', (rows, text) => /cannot reach/.test(text) && !(asked in rows));
    await cluster.start(asked);
    await both('all five, behind the start of the one that it asks', serve);
    assert.deepEqual([screen.clearings > screen.views.length, pipe.clearings], [true, 0], 'a terminal alone is cleared');
    assert.deepEqual(await screen.interrupt(), { code: 130, signal: null });
    pipe.process.kill('SIGINT');
    assert.deepEqual(await pipe.ended, { code: null, signal: 'SIGINT' });
  });

  await story('a follower that is cut off turns STALE within the bound, and the receipt says so', async () => {
    const key = await makeKey(leader, 'behind-a-cut');
    const cut = 'edge-ap-northeast';
    assert.equal(await codeAt(cluster, cut, key, { minIndex: key.index }), 'VALID');
    await cluster.cut(cut, 'all');
    const receipt = expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200).body;
    const code = await codeAt(cluster, cut, key);
    assert.equal(code, 'STALE');
    const states = Object.fromEntries(receipt.nodes.map(({ node, state }) => [node, state]));
    assert.equal(states[cut], 'lease-expired');
    for (const name of cluster.names.filter((one) => one !== cut)) assert.equal(states[name], 'applied', name);
    const lost = receipt.nodes.find(({ node }) => node === cut);
    assert.ok(lost.afterMs <= STALENESS_MS + 2000, `${lost.afterMs} ms`);

    await cluster.heal();
    await until(async () => (await codeAt(cluster, cut, key)) === 'REVOKED', { what: 'the follower to catch up' });
    const later = expect(await leader.get(`/v1/receipts/${receipt.index}`), 200).body;
    await until(async () => (await cluster.seenBy('core-1')).nodes.every(({ state }) => state === 'serving'), { what: 'all to serve' });
    assert.equal(later.index, receipt.index);
  });

  await story('a receipt is waited for through a follower too, for longer than anything else', async () => {
    const cut = 'edge-ap-northeast';
    await leader.makeBucket('patient', { maxStalenessMs: 16_000 });
    const key = await makeKey(leader, 'behind-a-long-cut', 'patient');
    assert.equal(await codeAt(cluster, cut, key, { minIndex: key.index }), 'VALID');
    await cluster.cut(cut, 'all');
    const receipt = expect(await revoke(cluster.api('edge-us-east'), key, '?wait=everywhere&timeoutMs=600000'), 200).body;
    await cluster.heal();
    const { state, afterMs } = receipt.nodes.find(({ node }) => node === cut);
    assert.equal(state, 'lease-expired');
    assert.ok(afterMs > 12_000, `${afterMs} ms`);
    await until(async () => (await codeAt(cluster, cut, key)) === 'REVOKED', { what: 'the follower to catch up' });
    await until(async () => (await cluster.seenBy('core-1')).nodes.every((node) => node.state === 'serving'), { what: 'all to serve' });
  });

  await story('a process that was stopped answers nothing from the past', async () => {
    const key = await makeKey(leader, 'behind-a-pause');
    const paused = 'edge-us-west';
    assert.equal(await codeAt(cluster, paused, key, { minIndex: key.index }), 'VALID');
    let asked;
    const receipt = await cluster.whileStopped(paused, async () => {
      asked = codeAt(cluster, paused, key);
      return expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200).body;
    });
    assert.notEqual(await asked, 'VALID');
    assert.equal(receipt.nodes.find(({ node }) => node === paused).state, 'lease-expired');
    await until(async () => (await codeAt(cluster, paused, key)) === 'REVOKED', { what: 'the paused node to catch up' });
  });

  await story('a process that is stopped between its look-up and its answer does not say VALID behind the receipt', async (s) => {
    const why = await whyNoDebugger();
    if (why) return s.skip(why);
    const key = await makeKey(leader, 'looked-up');
    const paused = 'edge-us-west';
    assert.equal(await codeAt(cluster, paused, key, { minIndex: key.index }), 'VALID');
    const [answer, receipt] = await whileHeldBehindLookUp(
      cluster,
      paused,
      () => cluster.api(paused).validate(key.key),
      async () => expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200).body,
    );
    assert.equal(receipt.nodes.find(({ node }) => node === paused).state, 'lease-expired');
    const { code, keyId, ageMs } = answer.body;
    assert.deepEqual([code, keyId], ['STALE', key.id], 'it had found the key, and was too late');
    assert.ok(ageMs > STALENESS_MS, `${ageMs} ms`);
    await until(async () => (await codeAt(cluster, paused, key)) === 'REVOKED', { what: 'the paused node to catch up' });
  });

  await story('a follower that is stopped waits for the leader no longer than it is told to', async () => {
    const [name, silent] = ['edge-eu-west', 'edge-us-west'];
    appendFileSync(join(cluster.dir, name, 'keyreeve.yaml'), 'stop_timeout_ms: 500\n');
    await cluster.stop(name);
    await cluster.start(name);
    const key = await makeKey(leader, 'behind-a-stop');
    assert.equal(await codeAt(cluster, silent, key, { minIndex: key.index }), 'VALID');
    const answer = await cluster.whileStopped(silent, async () => {
      const asked = revoke(cluster.api(name), key, '?wait=everywhere&timeoutMs=60000');
      asked.catch(() => {}); // it is awaited below
      await until(async () => (await codeAt(cluster, 'core-1', key)) === 'REVOKED', { what: 'the revocation' });
      await cluster.stop(name);
      return asked;
    });
    assert.match(expect(answer, 503).body.detail, /nobody knows/);
    await cluster.start(name);
    await until(async () => (await codeAt(cluster, silent, key)) === 'REVOKED', { what: 'the paused node to catch up' });
  });

  await story('a bulk revocation is one record everywhere', async () => {
    const keys = [];
    for (let i = 0; i < 5; i++) keys.push(await makeKey(leader, 'bulk'));
    const path = `${leader.consumers()}/bulk/revoke?wait=everywhere`;
    const receipt = expect(await cluster.api('edge-us-east').post(path, { confirm: 'bulk' }), 200).body;
    assert.equal(receipt.keys, 5);
    for (const name of cluster.names) for (const key of keys) assert.equal(await codeAt(cluster, name, key), 'REVOKED');
  });

  await story('followers are killed and come back; nobody else notices', async () => {
    const key = await makeKey(leader, 'steady');
    const others = cluster.names.filter((name) => name !== 'edge-eu-west');
    for (const name of others) assert.equal(await codeAt(cluster, name, key, { minIndex: key.index }), 'VALID');
    const { writer } = await cluster.underLoad(
      'followers-killed',
      others,
      key,
      async () => {
        await cluster.kill('edge-eu-west');
        await cluster.start('edge-eu-west');
      },
      { through: ['core-1'] },
    );
    assert.equal(writer.refused, 0);
  });

  await story('a follower whose directory is gone fetches everything anew', async () => {
    const key = await makeKey(leader, 'before-the-wipe');
    const dead = await makeKey(leader, 'dead-before-the-wipe');
    expect(await revoke(leader, dead), 200);
    await cluster.stop('edge-us-east');
    rmSync(cluster.dataDir('edge-us-east'), { recursive: true });
    await cluster.start('edge-us-east');
    await cluster.caughtUp();
    assert.equal(await codeAt(cluster, 'edge-us-east', key), 'VALID');
    assert.equal(await codeAt(cluster, 'edge-us-east', dead), 'REVOKED');
  });

  await story('the leader is killed: validations go on while the bucket allows, writes say 503, and it comes back', async () => {
    const key = await makeKey(leader, 'without-a-leader');
    await cluster.caughtUp();
    const killed = Date.now();
    cluster.signal('core-1', 'SIGKILL');
    const answers = await Promise.all(cluster.followers.map(async (name) => ({ name, code: await codeAt(cluster, name, key), afterMs: Date.now() - killed })));
    for (const { name, code, afterMs } of answers) {
      // On a busy machine an answer may come when the bucket does not allow it any more.
      if (afterMs < FRESH_MS) assert.equal(code, 'VALID', name);
      else assert.match(code, /^(VALID|STALE)$/, name);
    }
    const began = Date.now();
    const api = cluster.api('edge-us-east');
    const answer = await api.post(api.keys('without-a-leader'), {});
    assert.equal(answer.status, 503);
    assert.ok(answer.headers.get('retry-after'));
    assert.ok(Date.now() - began < 5_000 + BUSY_MS, `an answer after ${Date.now() - began} ms`);
    await until(async () => (await codeAt(cluster, 'edge-us-east', key)) === 'STALE', { what: 'STALE', deadlineMs: 15_000 });
    await cluster.start('core-1');
    await until(async () => (await codeAt(cluster, 'edge-us-east', key)) === 'VALID', { what: 'VALID again' });
    await makeKey(cluster.api('edge-us-east'), 'after-the-leader');
    await cluster.caughtUp();
  });

  await story('the leader is killed under load and comes back: no acknowledged write is lost or done twice', async (s) => {
    const key = await makeKey(leader, 'under-load');
    await cluster.caughtUp();
    // Nobody else can lead: followers go on for as long as the bucket allows, and no longer.
    const load = await cluster.underLoad(
      'leader-killed',
      cluster.followers,
      key,
      async () => {
        await cluster.kill('core-1');
        await cluster.start('core-1');
      },
      { allowed: ['VALID', 'STALE'] },
    );
    const { writer, validator, promises } = load;
    s.diagnostic(
      `${writer.acknowledged.length} writes, ${writer.refused} sent again, ` +
        `${validator.asked} validations, ${promises.kept.length} receipts`,
    );
  });

  await story('an answer that is too large for the links between nodes is told as such', async () => {
    await leader.makeBucket('large', { metadataLimit: 16_384 });
    const keys = Array.from({ length: 900 }, () => ({ metadata: { note: 'x'.repeat(16_000) } }));
    for (const consumer of ['large-1', 'large-2', 'large-3']) {
      await leader.makeConsumer(consumer, {}, 'large');
      expect(await leader.post(`${leader.keys(consumer, 'large')}/$bulk`, keys), 200);
    }
    const page = `${leader.consumers('large')}?include-api-keys=true`;
    expect(await leader.get(page), 200);
    // Entries go before answers, and these are large.
    const behind = await makeKey(leader, 'behind-the-large');
    await until(async () => (await codeAt(cluster, 'edge-us-west', behind, { minIndex: behind.index })) === 'VALID', { what: 'the follower to have them', deadlineMs: 60_000 });
    const far = cluster.api('edge-us-west');
    expectProblem(await far.get(page), 413, /^the answer is too large; ask for fewer items$/);
    assert.equal(expect(await far.get(`${page}&limit=2`), 200).body.data.length, 2);
  });

  await cluster.story(t, 'a removed node is refused', async () => {
    const known = await makeKey(leader, 'known-to-the-removed');
    assert.equal(await codeAt(cluster, 'edge-ap-northeast', known, { minIndex: known.index }), 'VALID');
    expect(await leader.delete('/v1/cluster/nodes/edge-ap-northeast'), 204);
    const key = await makeKey(leader, 'without-the-removed');
    const receipt = expect(await revoke(leader, key, '?wait=everywhere&timeoutMs=20000'), 200).body;
    assert.ok(!receipt.nodes.some(({ node, state }) => node === 'edge-ap-northeast' && state === 'pending'));
    await until(async () => (await codeAt(cluster, 'edge-ap-northeast', known)) === 'STALE', { what: 'the removed node to be stale' });
    expect(await leader.delete('/v1/cluster/nodes/edge-ap-northeast'), 404);
    expect(await leader.delete('/v1/cluster/nodes/core-1'), 409);
    await assertSameState(cluster, cluster.names.filter((name) => name !== 'edge-ap-northeast'));
  });
});

test('local-cluster.sh makes no cluster in a directory that holds something else, which down --purge would remove', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'keyreeve-full-'));
  t.after(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'my notes.txt'), 'mine');
  const ended = await run(resolve('deploy/local-cluster.sh'), ['up', '--dir', dir, '--bin', binDir, '--no-packages']);
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /holds my notes\.txt, which is no cluster's; name an empty directory/);
  assert.deepEqual(readdirSync(dir), ['my notes.txt']);
});
