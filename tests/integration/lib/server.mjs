// SPDX-License-Identifier: Apache-2.0
// A server that answers as a test says, and the keyreeve command that asks it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { dataDirFor, keyreeve, run } from './node.mjs';

/**
 * A server that answers with what answer(request) says, {status, body} or {status, text}; and a command that asks it,
 * in a directory of its own: {asked, url, env, dir, cli(args, code, more)}.
 */
export async function serve(t, answer) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://node');
    const one = { method: request.method, target: request.url, path: url.pathname, query: url.searchParams, text: await textOf(request) };
    asked.push(one);
    const { status = 200, body, text } = await answer(one);
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    response.end(body === undefined ? text : JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const url = `http://127.0.0.1:${server.address().port}`;
  const dir = dataDirFor(t);
  const env = { HOME: dir, XDG_CONFIG_HOME: '', KEYREEVE_CONTEXT: '', KEYREEVE_URL: url, KEYREEVE_TOKEN: 'kr_mgmt_token', KEYREEVE_BUCKET: 'production' };
  const cli = async (args, code = 0, more = {}) => {
    const ended = await run(keyreeve, args, { ...more, env: { ...env, ...more.env } });
    assert.equal(ended.code, code, `keyreeve ${args.join(' ')}\n${ended.stdout}\n${ended.stderr}`);
    return ended;
  };
  return { asked, url, env, dir, cli };
}
