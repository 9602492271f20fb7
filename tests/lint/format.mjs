// SPDX-License-Identifier: Apache-2.0
// Format: every C file is as clang-format (14, .clang-format) writes it; no file ends its lines or
// itself untidily.
import { spawnSync } from 'node:child_process';
import { C_FILES, files, main, read } from './tree.mjs';

const TEXTS = /\.([ch]|mjs|sh|md|proto|yaml|yml|conf|service|cmake)$|CMakeLists\.txt$/;
const BATCH = 64;

function formatProblems(root, paths) {
  const run = spawnSync('clang-format', ['--dry-run', '-Werror', ...paths], { cwd: root, encoding: 'utf8' });
  if (run.error) return [`cannot run clang-format: ${run.error.message}`];
  if (run.status === 0) return [];
  const named = [...run.stderr.matchAll(/^(\S+?):(\d+):\d+: error/gm)];
  const first = new Map(named.reverse().map((match) => [match[1], match[2]]));
  return [...first].map(([path, line]) => `${path}:${line}: not as clang-format writes it (clang-format -i ${path})`);
}

function tidyProblems(path, source) {
  if (source === '') return [];
  const problems = [];
  if (!source.endsWith('\n')) problems.push(`${path}: no line feed at its end`);
  if (/\n\n$/.test(source)) problems.push(`${path}: an empty line at its end`);
  source.split('\n').forEach((line, i) => {
    if (/[ \t\r]$/.test(line)) problems.push(`${path}:${i + 1}: white space at the end of the line`);
    if (/^\t/.test(line)) problems.push(`${path}:${i + 1}: a tab`);
  });
  return problems;
}

export function check(root) {
  const sources = files(root, C_FILES);
  const problems = [];
  for (let at = 0; at < sources.length; at += BATCH)
    problems.push(...formatProblems(root, sources.slice(at, at + BATCH)));
  for (const path of files(root, TEXTS)) problems.push(...tidyProblems(path, read(root, path)));
  return { problems };
}

main(import.meta.url, check);
