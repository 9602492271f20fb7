// SPDX-License-Identifier: Apache-2.0
// Headers: each compiles alone and begins with #pragma once; each source says its licence and what
// it is; a .c includes its own header first.
// usage: node tests/lint/headers.mjs [ROOT [DIRECTORY OF GENERATED HEADERS]]
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { files, includes, main, read, TABLES } from './tree.mjs';

const LICENCE = 'SPDX-License-Identifier: Apache-2.0';
const COMMENTED = /\.([ch]|mjs|proto)$/;

function checkBeginning(path, source) {
  const [first, second] = source.split('\n');
  if (first !== `// ${LICENCE}`) return `${path}:1: the first line is not "// ${LICENCE}"`;
  if (!/^\/\/ \S.*\S/.test(second ?? '')) return `${path}:2: no comment says what the file is`;
  return null;
}

function checkOwnHeader(root, path, source) {
  const own = path.replace(/\.c$/, '.h');
  if (!existsSync(join(root, own))) return null;
  const first = includes(source)[0];
  const internal = path.replace(/\.c$/, '_internal.h');
  return [own, internal].includes(first?.path) ? null : `${path}: its first include is not "${own}"`;
}

function compile(root, generated, path) {
  const compiler = process.env.CC ?? 'cc';
  const flags = ['-std=c11', '-D_GNU_SOURCE', '-DKR_VERSION="0"', '-Wall', '-Wextra', '-Werror'];
  const arguments_ = [...flags, '-fsyntax-only', `-I${root}`, `-I${generated}`, '-x', 'c', '-'];
  const run = spawnSync(compiler, arguments_, { input: `#include "${path}"\n`, encoding: 'utf8', cwd: root });
  if (run.error) return `${path}: cannot run ${compiler}: ${run.error.message}`;
  return run.status === 0 ? null : `${path}: does not compile alone\n${run.stderr.split('\n').slice(0, 5).join('\n')}`;
}

function checkHeader(root, generated, path, source) {
  if (!/^#pragma once$/m.test(source)) return `${path}: no #pragma once`;
  return path.startsWith('tests/') ? null : compile(root, generated, path);
}

export function check(root, generated = resolve(process.argv[3] ?? join(root, 'build/dev/generated'))) {
  const problems = [];
  for (const path of files(root, COMMENTED)) {
    const source = read(root, path);
    problems.push(checkBeginning(path, source));
    if (/\.c$/.test(path)) problems.push(checkOwnHeader(root, path, source));
    if (/\.h$/.test(path) && !TABLES.test(path)) problems.push(checkHeader(root, generated, path, source));
  }
  return { problems: problems.filter(Boolean) };
}

main(import.meta.url, check);
