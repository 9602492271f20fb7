// SPDX-License-Identifier: Apache-2.0
// The served description lists exactly the routes of the route table, in YAML and in JSON.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { startNode } from './lib/node.mjs';

let node;
before(async () => (node = await startNode()));
after(async () => node.remove());

/** "METHOD path" of every row of the table, its macros resolved; "*" stands for any method. */
function tableRoutes() {
  const text = readFileSync(new URL('../../node/dispatch_table.h', import.meta.url), 'utf8');
  const macros = new Map([...text.matchAll(/^#define ([A-Z]) (.+)$/gm)].map(([, name, value]) => [name, value]));
  const resolve = (expression) =>
    [...expression.matchAll(/"([^"]*)"|\b([A-Z])\b/g)].map(([, literal, macro]) => literal ?? resolve(macros.get(macro))).join('');
  return [...text.matchAll(/^ROUTE\("[^"]+",\s*"([^"]+)",\s*([^,]+),/gm)].map(([, method, path]) => `${method} ${resolve(path)}`);
}

const anyMethods = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options'];

test('GET /openapi as JSON describes exactly the routes of the table', async () => {
  const answer = await fetch(`${node.url}/openapi`, { headers: { accept: 'application/json' } });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type'), /application\/json/);
  const description = await answer.json();
  assert.match(description.openapi, /^3\.1/);
  const described = new Set();
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of anyMethods) {
      if (item[method]) described.add(`${method.toUpperCase()} ${path}`);
    }
  }
  const routes = tableRoutes();
  assert.ok(routes.length > 35);
  for (const route of routes) {
    const [method, path] = route.split(' ');
    if (method === '*') assert.ok([...described].some((one) => one.endsWith(` ${path}`)), `${path} is not described`);
    else assert.ok(described.has(route), `${route} is not described`);
  }
  for (const one of described) {
    const [, path] = one.split(' ');
    assert.ok(routes.includes(one) || routes.includes(`* ${path}`), `${one} is described and not served`);
  }
});

test('every described operation says what it answers, and every reference leads somewhere', async () => {
  const description = await (await fetch(`${node.url}/openapi`, { headers: { accept: 'application/json' } })).json();
  const follow = (reference) => reference.slice(2).split('/').reduce((at, part) => at?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], description);
  const walk = (value) => {
    if (value === null || typeof value !== 'object') return;
    if (typeof value.$ref === 'string') assert.notEqual(follow(value.$ref), undefined, value.$ref);
    Object.values(value).forEach(walk);
  };
  walk(description);
  for (const [path, item] of Object.entries(description.paths)) {
    for (const method of anyMethods.filter((name) => item[name])) {
      assert.ok(Object.keys(item[method].responses ?? {}).length > 0, `${method} ${path} has no responses`);
    }
  }
});

test('GET /openapi without a preference is the YAML file itself', async () => {
  const answer = await fetch(`${node.url}/openapi`);
  assert.match(answer.headers.get('content-type'), /yaml/);
  assert.equal(await answer.text(), readFileSync(new URL('../../node/api/openapi.yaml', import.meta.url), 'utf8'));
});
