// SPDX-License-Identifier: Apache-2.0
// The keyreeve command over a server that answers what a node seldom does: too much, too late, not
// everywhere, not yet.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { dataDirFor, keyreeve, run } from './lib/node.mjs';

/** A server that answers with what answer(request) says, {status, body}; and a command that asks it. */
async function serve(t, answer) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://node');
    asked.push({ method: request.method, path: url.pathname, query: url.searchParams });
    request.resume();
    const { status = 200, body } = await answer(asked.at(-1));
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const env = { HOME: dataDirFor(t), XDG_CONFIG_HOME: '', KEYREEVE_CONTEXT: '', KEYREEVE_URL: `http://127.0.0.1:${server.address().port}`, KEYREEVE_TOKEN: 'kr_mgmt_token', KEYREEVE_BUCKET: 'production' };
  const cli = async (args, code = 0) => {
    const ended = await run(keyreeve, args, { env });
    assert.equal(ended.code, code, `keyreeve ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
    return ended;
  };
  return { asked, cli };
}

test('export asks for smaller pages where a page is too large for the node', async (t) => {
  const all = Array.from({ length: 25 }, (_, i) => ({ name: `c${i}`, apiKeys: [{ id: `key_${i}` }] }));
  const { asked, cli } = await serve(t, ({ path, query }) => {
    if (!path.endsWith('/consumers')) return { body: { name: 'production' } };
    const [limit, from] = [Number(query.get('limit')), Number(query.get('cursor') ?? query.get('offset'))];
    if (limit > 5) return { status: 413, body: { title: 'Content Too Large', detail: 'the answer is too large; ask for fewer items' } };
    const data = all.slice(from, from + limit);
    const isLast = from + data.length === all.length;
    return { body: { data, limit, offset: 0, total: all.length, ...(isLast ? {} : { cursor: String(from + data.length) }) } };
  });
  const { stdout, stderr } = await cli(['export', 'production']);
  const rows = stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(rows.filter(({ type }) => type === 'consumer').map(({ name }) => name), all.map(({ name }) => name));
  assert.equal(rows.filter(({ type }) => type === 'key').length, all.length);
  assert.doesNotMatch(stderr, /too large/);
  assert.ok(asked.some(({ query }) => Number(query.get('limit')) > 5), 'it begins with large pages');
});
