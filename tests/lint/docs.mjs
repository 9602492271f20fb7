// SPDX-License-Identifier: Apache-2.0
// Docs: what is written down twice says the same. Tables of the code against the pages, the served
// OpenAPI description against the routes, links against files.
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { files, main, read, readIfThere } from './tree.mjs';

const uncomment = (source) => source.replace(/^\s*\/\/.*$/gm, '');

/** The routes of dispatch_table.h: {method, path}; its macros are string literals to join. */
export function routes(source) {
  const macros = new Map();
  const join_ = (text) =>
    [...text.matchAll(/"([^"]*)"|([A-Z]\w*)/g)].map(([, literal, macro]) => literal ?? macros.get(macro) ?? '').join('');
  const plain = uncomment(source);
  for (const [, name, value] of plain.matchAll(/^#define (\w+) (.*)$/gm)) macros.set(name, join_(value));
  const rows = plain.matchAll(/^ROUTE\("[^"]+",\s*"([^"]+)",\s*([^,]+),/gm);
  return [...rows].map(([, method, path]) => ({ method, path: join_(path) }));
}

/** The operations of an OpenAPI file in YAML: "GET /path". Reads the two levels below `paths:`. */
export function operations(source) {
  const found = new Set();
  let path = null;
  const [, below = ''] = source.split(/^paths:.*$/m);
  for (const line of below.split('\n')) {
    if (/^\S/.test(line)) break;
    path = /^ {2}["']?(\/[^"':]*)["']?:\s*$/.exec(line)?.[1] ?? path;
    const method = /^ {4}(get|post|put|patch|delete|head|options|trace):/.exec(line)?.[1];
    if (method && path) found.add(`${method.toUpperCase()} ${path}`);
  }
  return found;
}

function checkOpenApi(root, table) {
  const source = readIfThere(root, 'node/api/openapi.yaml');
  if (source === null) return ['node/api/openapi.yaml: is not there'];
  const described = operations(source);
  const problems = [];
  const served = new Set();
  for (const { method, path } of routes(table)) {
    const same = [...described].filter((one) => (method === '*' ? one.endsWith(` ${path}`) : one === `${method} ${path}`));
    if (same.length === 0) problems.push(`node/api/openapi.yaml: does not describe ${method} ${path}`);
    same.forEach((one) => served.add(one));
  }
  for (const one of described)
    if (!served.has(one)) problems.push(`node/api/openapi.yaml: describes ${one}, which is no route`);
  return problems;
}

function checkRoutePage(root, table) {
  const page = readIfThere(root, 'docs/api.md') ?? '';
  return routes(table)
    .map(({ method, path }) => `\`${method === '*' ? 'any' : method} ${path}\``)
    .filter((text) => !page.includes(text))
    .map((text) => `docs/api.md: lacks ${text}`);
}

/** The settings of config_table.h: {name, fallback}. */
export function settings(source) {
  const rows = uncomment(source).matchAll(/^(TEXT|NUMBER|FLAG)\((\w+),\s*("[^"]*"|-?\w+)/gm);
  return [...rows].map(([, , name, fallback]) => ({ name, fallback: fallback.replaceAll('"', '') }));
}

function checkSettings(root, table) {
  const page = readIfThere(root, 'docs/operations.md') ?? '';
  const example = readIfThere(root, 'deploy/keyreeve.yaml') ?? '';
  const problems = [];
  const all = settings(table);
  for (const { name, fallback } of all) {
    const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\` |`));
    if (row === undefined) problems.push(`docs/operations.md: lacks the setting ${name}`);
    else if (fallback !== '' && !row.includes(`\`${fallback}\``))
      problems.push(`docs/operations.md: ${name} does not name its default ${fallback}`);
    if (!new RegExp(`^#? ?${name}:`, 'm').test(example)) problems.push(`deploy/keyreeve.yaml: lacks ${name}`);
  }
  for (const [, name] of example.matchAll(/^#?([a-z_]+):/gm))
    if (!all.some((one) => one.name === name)) problems.push(`deploy/keyreeve.yaml: ${name} is no setting`);
  return problems;
}

/** What a page must name: each match of a pattern in a source, in backquotes. */
function checkNamed(root, sourcePath, pattern, page, what) {
  const source = readIfThere(root, sourcePath);
  if (source === null) return [];
  const text = readIfThere(root, page) ?? '';
  return [...new Set([...source.matchAll(pattern)].map((match) => match[1]))]
    .filter((name) => !text.includes(`\`${name}\``))
    .map((name) => `${page}: lacks the ${what} ${name} of ${sourcePath}`);
}

function checkMetrics(root) {
  const source = readIfThere(root, 'node/metrics.c') ?? '';
  const page = readIfThere(root, 'docs/operations.md') ?? '';
  return [...source.matchAll(/(?:single|heading)\(\w*&?\w+,\s*"(\w+)"/g)]
    .map(([, name]) => `keyreeve_${name}`)
    .filter((name) => !page.includes(`\`${name}\``))
    .map((name) => `docs/operations.md: lacks the metric ${name}`);
}

const withoutCode = (text) => text.replace(/```[\s\S]*?```/g, '');

/** The anchors of a page, as the usual renderers make them of its headings. */
const anchorsOf = (text) =>
  new Set([...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => `#${heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')}`));

function checkLinks(root, path) {
  const links = [...withoutCode(read(root, path)).matchAll(/\]\(([^)#\s]*)(#[^)\s]*)?\)/g)];
  return links
    .filter(([, target]) => !/^[a-z]+:/.test(target))
    .filter(([, target, anchor]) => {
      const at = target === '' ? path : normalize(join(dirname(path), target));
      return !existsSync(join(root, at)) || (anchor && at.endsWith('.md') && !anchorsOf(read(root, at)).has(anchor));
    })
    .map(([, target, anchor = '']) => `${path}: links to ${target}${anchor}, which is not there`);
}

function checkReadme(root) {
  const text = readIfThere(root, 'README.md') ?? '';
  return ['./deploy/quickstart.sh', './tests/run.sh']
    .filter((command) => !text.includes(command))
    .map((command) => `README.md: does not name ${command}`);
}

export function check(root) {
  const routeTable = readIfThere(root, 'node/dispatch_table.h') ?? '';
  const settingTable = readIfThere(root, 'node/config_table.h') ?? '';
  return {
    problems: [
      ...checkOpenApi(root, routeTable),
      ...checkRoutePage(root, routeTable),
      ...checkSettings(root, settingTable),
      ...checkNamed(root, 'core/keys/verdict.h', /^ {4}X\((\w+), \d+\)/gm, 'docs/api.md', 'code'),
      ...checkNamed(root, 'core/store/index.h', /^ {4}X\(\w+, "(\w+)"/gm, 'docs/disk-format.md', 'family'),
      ...checkNamed(root, 'client/exit.h', /^ {4}X\(\w+, (\d+)/gm, 'docs/operations.md', 'exit code'),
      ...checkMetrics(root),
      ...checkReadme(root),
      ...files(root, /\.md$/).flatMap((path) => checkLinks(root, path)),
    ],
  };
}

main(import.meta.url, check);
