// SPDX-License-Identifier: Apache-2.0
// The served description lists exactly the routes of the table, as YAML and as JSON.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { exchange } from './lib/http.mjs';
import { startNode } from './lib/node.mjs';
import { readRoutes } from './lib/routes.mjs';

let node;
before(async () => {
  node = await startNode();
});
after(() => node.remove());

const methodNames = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'];
const describe = async (headers = {}) => exchange(node, { path: '/openapi', headers });

test('JSON lists every route of the table, and no other', async () => {
  const answer = await describe({ accept: 'application/json' });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /^application\/(openapi\+)?json/);
  const document = JSON.parse(answer.text);
  assert.match(document.openapi, /^3\./);
  const listed = Object.entries(document.paths).flatMap(([path, item]) => Object.keys(item).filter((name) => methodNames.includes(name)).map((method) => `${method.toUpperCase()} ${path}`));
  const routes = readRoutes();
  const any = new Set(routes.filter((route) => route.method === '*').map((route) => route.path));
  for (const path of any) assert.ok(listed.includes(`GET ${path}`), path);
  assert.deepEqual(
    listed.filter((line) => !any.has(line.split(' ')[1])).sort(),
    routes.filter((route) => route.method !== '*').map((route) => `${route.method} ${route.path}`).sort(),
  );
});

test('every operation has an id of its own, answers, and its path parameters', async () => {
  const document = JSON.parse((await describe({ accept: 'application/json' })).text);
  const resolve = (item) => (item.$ref ? item.$ref.slice(2).split('/').reduce((at, name) => at[name.replaceAll('~1', '/').replaceAll('~0', '~')], document) : item);
  const ids = new Set();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of Object.keys(item).filter((name) => methodNames.includes(name))) {
      const operation = item[method];
      assert.ok(operation.operationId && !ids.has(operation.operationId), `${method} ${path}: ${operation.operationId}`);
      ids.add(operation.operationId);
      assert.ok(Object.keys(operation.responses ?? {}).length > 0, `${method} ${path}: no answers`);
      const named = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolve).filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name);
      assert.deepEqual(new Set(named), new Set([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)), `${method} ${path}`);
    }
  }
  const check = (value) => {
    if (value === null || typeof value !== 'object') return;
    if (typeof value.$ref === 'string') assert.ok(resolve(value), value.$ref);
    Object.values(value).forEach(check);
  };
  check(document);
});

test('whatever may wait says how long', async () => {
  const document = JSON.parse((await describe({ accept: 'application/json' })).text);
  const nameOf = ({ $ref, name }) => $ref?.split('/').at(-1) ?? name;
  const waiting = Object.values(document.paths)
    .flatMap((item) => methodNames.map((method) => item[method]))
    .filter((operation) => operation?.parameters?.some((parameter) => nameOf(parameter) === 'wait'));
  assert.ok(waiting.length >= 5, `${waiting.length} operations`);
  for (const { operationId, parameters } of waiting) assert.ok(parameters.map(nameOf).includes('timeoutMs'), operationId);
  // As it is described: up to ten minutes, and a receipt's 0 is no wait.
  const path = '/v1/receipts/999999?wait=everywhere&timeoutMs=';
  const headers = { authorization: `Bearer ${node.token}` };
  for (const [value, status] of [['0', 404], ['600000', 404], ['600001', 400]]) assert.equal((await exchange(node, { path: path + value, headers })).status, status, value);
});

test('YAML is the form without a preference for JSON, and the file itself', async () => {
  const file = readFileSync(new URL('../../node/api/openapi.yaml', import.meta.url), 'utf8');
  for (const headers of [{}, { accept: '*/*' }, { accept: 'application/yaml' }, { accept: 'text/html' }]) {
    const answer = await describe(headers);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type'), /yaml/);
    assert.equal(answer.text, file);
  }
});
