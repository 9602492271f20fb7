// SPDX-License-Identifier: Apache-2.0
// Names: what a header offers begins with a family of that header; constants begin with KR_.
import { files, folderOf, lineOf, main, read, strip, stripDirectives, TABLES } from './tree.mjs';

// Families beside the file's own stem: the nouns of headers that hold more than one thing.
const FAMILIES = {
  'bench/draw.h': ['zipf'],
  'client/parse.h': ['invocation'],
  'client/libkeyreeve/client.h': ['keyreeve', 'ask'],
  'core/base/mem.h': ['arena'],
  'core/keys/command.h': ['entry'],
  'core/keys/model.h': [
    'environment', 'revoke', 'bucket', 'consumer', 'key', 'manager', 'member', 'leader', 'audit', 'tag', 'tags', 'texts', 'sealed', 'idempotency', 'receipt',
  ],
  'core/keys/revoke.h': ['revocation'],
  'core/store/store_load.h': ['load'],
  'node/control_internal.h': ['task'],
  'node/dispatch.h': ['route'],
  'node/serve_internal.h': ['job', 'listener', 'suspended'],
  'proto/codec.h': ['validation'],
  'proto/codec_peer.h': ['peer'],
  'replication/engine_etcd_internal.h': ['etcd'],
};
// Families of a whole folder.
const FOLDER_FAMILIES = { bench: ['bench'], 'core/http': ['http'], 'node/api': ['api'] };
const MACRO_FAMILIES = {
  'core/base/err.h': ['must_use'],
  'core/base/hash.h': ['XXH_'],
  'core/base/log.h': ['LOG_'],
};

const stem = (path) => path.slice(path.lastIndexOf('/') + 1, -2);

// "store_view.h" offers store_view_… and store_…; "contexts.h" also context_…; x_internal.h what any
// file of its folder may share.
function familiesOf(path, sources) {
  const parts = stem(path).split('_');
  const own = parts.map((_, i) => parts.slice(0, i + 1).join('_'));
  const single = own.filter((name) => name.endsWith('s')).map((name) => name.slice(0, -1));
  const folder = folderOf(path);
  const shared = /_internal\.h$/.test(path) ? sources.filter((one) => folderOf(one) === folder).map(stem) : [];
  return [...own, ...single, ...(FAMILIES[path] ?? []), ...(FOLDER_FAMILIES[folder] ?? []), ...shared];
}

const belongs = (name, families) => families.some((one) => name === one || (name.startsWith(one) && /[_0-9]/.test(name[one.length])));

/** The declarations at file level: text without bodies, and where each begins. */
function declarations(text) {
  const found = [];
  let depth = 0;
  let begin = 0;
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (c === '{') depth++;
    if (c === '}') depth--;
    const isEnd = depth === 0 && (c === ';' || (c === '}' && isFunction(text.slice(begin, at))));
    if (!isEnd) continue;
    found.push({ text: text.slice(begin, at + 1), begin });
    begin = at + 1;
  }
  return found;
}

function isFunction(text) {
  return /\)\s*\{/.test(text.slice(0, text.indexOf('{') + 1));
}

function checkFunction(declaration, families) {
  const head = declaration.split('{')[0].replace(/__attribute__\s*\(\(.*?\)\)/g, '');
  const name = /([A-Za-z_]\w*)\s*\(/.exec(head)?.[1];
  if (!name || /^(_Static_assert|static_assert)$/.test(name)) return null;
  return belongs(name, families) ? null : `function ${name} is of no family of this header (${families[0]}_…)`;
}

function checkTypedef(declaration) {
  const name = /(\w+)\s*\(/.exec(declaration.replace(/^\s*typedef/, ''))?.[1] ?? /(\w+)\s*;/.exec(declaration)?.[1];
  if (/_t$/.test(name)) return `typedef ${name}: no _t`;
  return /_fn$/.test(name) ? null : `typedef ${name}: only callbacks have one, and end with _fn`;
}

function checkType(declaration, families) {
  const [, kind, name] = /^\s*(struct|enum|union)\s+(\w+)\s*\{/.exec(declaration) ?? [];
  if (!name) return null;
  // A callback's arguments or a table's row may carry the name of what they belong to.
  if (!belongs(name, families) && !families.some((one) => name.endsWith(`_${one}`)))
    return `${kind} ${name} is of no family of this header (${families[0]}_…)`;
  return kind === 'enum' ? checkEnumerators(declaration) : null;
}

function checkEnumerators(declaration) {
  const body = declaration.slice(declaration.indexOf('{') + 1, declaration.lastIndexOf('}'));
  for (const part of body.split(',')) {
    const name = /^\s*([A-Za-z_]\w*)/.exec(part)?.[1];
    if (name && !name.startsWith('KR_')) return `enum value ${name} does not begin with KR_`;
  }
  return null;
}

function checkDeclaration(declaration, families) {
  if (/^\s*typedef\b/.test(declaration)) return checkTypedef(declaration);
  if (/^\s*enum\s*\{/.test(declaration)) return checkEnumerators(declaration);
  if (/^\s*(struct|enum|union)\s+\w+\s*\{/.test(declaration)) return checkType(declaration, families);
  if (/\(/.test(declaration)) return checkFunction(declaration, families);
  return null;
}

function checkMacros(path, stripped) {
  const allowed = MACRO_FAMILIES[path] ?? [];
  return [...stripped.matchAll(/^[ \t]*#[ \t]*define[ \t]+(\w+)/gm)]
    .filter(([, name]) => !name.startsWith('KR_') && name !== 'X' && !/^(TEXT|NUMBER|FLAG|SECRET|ROUTE|ROW)$/.test(name))
    .filter(([, name]) => !allowed.some((one) => name.startsWith(one)))
    .map((match) => `${path}:${lineOf(stripped, match.index)}: macro ${match[1]} does not begin with KR_`);
}

function checkHeader(path, source, sources) {
  const stripped = strip(source);
  const families = familiesOf(path, sources);
  const problems = checkMacros(path, stripped);
  for (const { text, begin } of declarations(stripDirectives(stripped))) {
    const problem = checkDeclaration(text, families);
    if (problem) problems.push(`${path}:${lineOf(stripped, begin + text.search(/\S/))}: ${problem}`);
  }
  return problems;
}

function checkTypedefs(path, source) {
  return [...strip(source).matchAll(/^\s*typedef\b[^;]*?\b(\w+_t)\s*;/gm)].map(
    (match) => `${path}: typedef ${match[1]}: no _t`,
  );
}

export function check(root) {
  const headers = files(root, /\.h$/).filter((path) => !TABLES.test(path) && !/^tests/.test(folderOf(path)));
  const sources = files(root, /\.c$/);
  return {
    problems: [
      ...headers.flatMap((path) => checkHeader(path, read(root, path), sources)),
      ...sources.flatMap((path) => checkTypedefs(path, read(root, path))),
    ],
  };
}

main(import.meta.url, check);
