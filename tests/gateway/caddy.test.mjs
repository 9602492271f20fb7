// SPDX-License-Identifier: Apache-2.0
// The shipped Caddyfile in a real Caddy, in front of a real API, asking a real node.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { exchange } from '../integration/lib/http.mjs';
import { claimPlace } from '../integration/lib/net.mjs';
import { assertPreflights, describeGateway } from './lib/contract.mjs';
import { blocksOf, put, shipped, startProgram, startScene, startServer } from './lib/gateway.mjs';
import { describeTwoNodes } from './lib/nodes.mjs';

/** Caddy with the shipped file; only ports, the node's address and patience are put in. */
async function startCaddy({ node, apiPort, isOpen = false, edit = (text) => text }) {
  const { host, port } = await claimPlace();
  let text = edit(shipped('caddy/Caddyfile'));
  if (node) text = put(text, '127.0.0.1:7400', `127.0.0.1:${node.port}`);
  text = put(text, '127.0.0.1:8080', `127.0.0.1:${apiPort}`);
  text = put(text, '\n:8000 {', `\nhttp://:${port} {\n\tbind ${host}`);
  text = put(text, '(keyreeve) {', '{\n\tadmin off\n}\n\n(keyreeve) {');
  if (node) text = put(text, 'response_header_timeout 2s', 'response_header_timeout 20s'); // a busy machine is no dead node
  if (isOpen) text = put(text, 'import keyreeve_closed', 'import keyreeve_open');
  const caddy = await startProgram({ program: '/usr/bin/caddy', host, port, files: () => ({ Caddyfile: text }), args: () => ['run', '--config', 'Caddyfile'] });
  return { ...caddy, log: undefined }; // it writes no line for a request
}

describeGateway('Caddy', { start: startCaddy });

const [severalNodes] = blocksOf('caddy/README.md', 'Several nodes');

// With shipped patience in a question, which a node that hangs shall cost; but no check takes a busy machine for one.
const lines = put(severalNodes, 'health_timeout 1s', 'health_timeout 20s');
describeTwoNodes('Caddy', ({ addresses, apiPort }) =>
  startCaddy({ apiPort, isOpen: true, edit: (text) => put(text, 'forward_auth 127.0.0.1:7400 {', `forward_auth ${addresses.join(' ')} {\n${lines}`) }),
);

describe('the Caddyfile', () => {
  let scene, gateway, key;
  before(async () => {
    scene = await startScene();
    key = scene.key;
    gateway = await startCaddy({ node: scene.node, apiPort: scene.api.port, isOpen: true });
  });
  after(async () => {
    await gateway?.stop();
    await scene?.stop();
  });

  const get = (path, headers = { 'x-api-key': key }) => exchange(gateway, { path, headers });

  test('lets preflights pass where its README\'s lines say so', async (t) => {
    const [lines, last] = blocksOf('caddy/README.md', 'Preflights');
    const edit = (text) => put(put(text, 'forward_auth 127.0.0.1:7400 {\n', lines), '@keyreeve_nameless {\n', `@keyreeve_nameless {\n${last}`);
    const other = await startCaddy({ node: scene.node, apiPort: scene.api.port, edit });
    t.after(() => other.stop());
    await assertPreflights(other);
  });

  test('lets nobody in because of an answer that is not Keyreeve\'s', async (t) => {
    for (const [status, headers, seen = status] of [[200, {}, 503], [200, { 'x-key-id': '' }, 503], [204, {}, 503], [302, { location: '/' }], [404, {}]]) {
      const stranger = await startServer((request, answer) => answer.writeHead(status, headers).end());
      t.after(() => stranger.stop());
      for (const isOpen of [false, true]) {
        const other = await startCaddy({ node: stranger, apiPort: scene.api.port, isOpen });
        t.after(() => other.stop());
        const before = scene.api.taken();
        for (const sent of [{}, { 'x-api-key': key }, { 'x-key-id': 'key_forged' }])
          assert.equal((await exchange(other, { path: '/', headers: sent })).status, seen, `${status} ${JSON.stringify(headers)}`);
        assert.equal(scene.api.taken(), before);
      }
    }
  });

  test('takes an identity header in CGI spelling for what it is', async () => {
    const forged = { X_Key_Id: 'forged', 'x_consumer-name': 'forged', 'X-CONSUMER_ID': 'forged', 'X-Key_Scopes': 'forged' };
    const { text } = await get('/', { 'x-api-key': key, ...forged });
    assert.ok(!text.includes('forged'), text);
  });

  test('compares a path without regard to case', async () => {
    for (const path of ['/orders', '/orders/1', '/ORDERS/1'])
      assert.equal((await get(path)).status, 403, path);
  });

  test('tells a dead API from a silent Keyreeve', async () => {
    await scene.api.stop();
    assert.equal((await get('/')).status, 502);
    assert.equal((await get('/', {})).status, 401);
  });
});
