// SPDX-License-Identifier: Apache-2.0
// What the keyreeve command refuses before it asks a node, and how it says so.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { client } from './lib/http.mjs';
import { keyreeve, run, startNode } from './lib/node.mjs';

let node;

before(async () => {
  node = await startNode();
  await client(node).makeConsumer('acme');
});
after(() => node.remove());

/** Runs the command as the owner; fails unless it ends with this code. */
async function cli(args, { code = 0, input = '' } = {}) {
  const env = { HOME: node.dataDir, KEYREEVE_URL: node.url, KEYREEVE_TOKEN: node.token, KEYREEVE_BUCKET: 'production', KEYREEVE_NODES: node.binary };
  const ended = await run(keyreeve, args, { env, input });
  assert.equal(ended.code, code, `keyreeve ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
  return ended;
}

async function refuse(args, what) {
  const { stdout, stderr } = await cli(args, { code: 2, input: 'stranger\n' });
  assert.equal(stdout, '');
  for (const pattern of [what].flat()) assert.match(stderr, pattern);
}

test('an option that would be passed over is refused', async () => {
  for (const option of [['--scope', 'a:b'], ['--ip', '10.0.0.1'], ['--min-index', '1'], ['--explain']])
    await refuse(['key', 'verify', '--bench', '1', ...option], [new RegExp(`${option[0]} and --bench exclude each other`), /without --bench/]);
  for (const option of [['--nodes', node.binary], ['--cert', '/nowhere'], ['--cert-key', '/nowhere']])
    await refuse(['key', 'verify', ...option], [new RegExp(`${option[0]} belongs to --bench`), /--url/]);
  await refuse(['key', 'create', 'acme', '--last4', 'abcd'], [/--last4 belongs to --key-sha256/]);
  await cli(['key', 'verify'], { code: 6, input: 'stranger\n' }); // a variable that is not needed is no mistake
});

test('what an option says twice, or not at all, is told by its name', async () => {
  await refuse(['consumer', 'create', 'tagged', '-t', 'a=b', '-t', 'a=c'], /--tag gives a name two values/);
  await cli(['consumer', 'create', 'tagged', '-t', 'a=b', '-t', 'ab=c', '-t', 'a2=b']);
  await refuse(['login', node.url, '--name', ''], [/--name is empty/, /host and port/]);
});

test("a key's id is enough to act on it, and --wait takes its word apart", async () => {
  const api = client(node);
  const { id, key } = await api.makeKey('acme');
  const json = async (...args) => JSON.parse((await cli([...args, '--json'])).stdout);
  assert.equal((await json('key', 'show', id)).id, id);
  assert.equal((await json('key', 'update', id, '-d', 'leaked')).description, 'leaked');
  await cli(['key', 'reveal', id], { code: 4 }); // the bucket keeps no values
  const receipt = await json('key', 'revoke', id, '--wait', 'everywhere');
  assert.deepEqual([receipt.level, receipt.keys], ['everywhere', 1]);
  assert.equal(await api.code(key), 'REVOKED');
  assert.equal((await json('key', 'revoke', '--wait', 'committed', 'acme', id)).level, 'committed');
  await cli(['key', 'delete', id, '--yes']);
  for (const command of ['show', 'update', 'revoke', 'reveal', 'delete']) {
    const { stderr } = await cli(['key', command, key], { code: 2 });
    assert.match(stderr, /what stands alone is to be a key's id/);
    assert.ok(!stderr.includes(key), 'a value is not repeated');
  }
  await cli(['key', 'show', `key_${'0'.repeat(24)}`], { code: 3 });
});
