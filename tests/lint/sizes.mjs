// SPDX-License-Identifier: Apache-2.0
// Sizes: no giant files, functions or lines. Prints the medians, which say more than the limits.
import { files, functions, main, read } from './tree.mjs';

const FILE_LINES = 600;
const FUNCTION_LINES = 70;
const COLUMNS = 100;
const HEADER_LINES = 200;

const SOURCES = /\.([ch]|mjs|sh|proto|cmake)$|CMakeLists\.txt$/;
// Bytes that a tool wrote down, as tables.
const DATA = /^tests\/unit\/.*golden_\w+\.h$/;

function middle(numbers, share = 0.5) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function checkFile(path, source, totals) {
  const problems = [];
  const lines = source.split('\n');
  const count = lines.length - 1;
  if (count > FILE_LINES) problems.push(`${path}: ${count} lines; ${FILE_LINES} are the limit`);
  if (/\.h$/.test(path) && !path.startsWith('tests/') && count > HEADER_LINES && !/_internal\.h$/.test(path))
    problems.push(`${path}: a header of ${count} lines; ${HEADER_LINES} are the limit`);
  // Scripts hold lines to paste and tables of cases, which breaking would not make clearer.
  if (!/\.(mjs|sh)$/.test(path))
    lines.forEach((line, i) => {
      if ([...line].length > COLUMNS) problems.push(`${path}:${i + 1}: wider than ${COLUMNS} columns`);
    });
  if (!/\.[ch]$/.test(path)) return problems;
  for (const one of functions(source)) {
    if (one.lines > FUNCTION_LINES)
      problems.push(`${path}:${one.line}: ${one.name} has ${one.lines} lines; ${FUNCTION_LINES} are the limit`);
    if (!path.startsWith('tests/')) totals.functions.push(one.lines);
  }
  if (/\.c$/.test(path) && !path.startsWith('tests/')) totals.files.push(count);
  return problems;
}

export function check(root) {
  const totals = { functions: [], files: [] };
  const problems = files(root, SOURCES)
    .filter((path) => !DATA.test(path))
    .flatMap((path) => checkFile(path, read(root, path), totals));
  const notes = [
    `functions: ${totals.functions.length}, median ${middle(totals.functions)} lines, ` +
      `90 % under ${middle(totals.functions, 0.9)}`,
    `source files: ${totals.files.length}, median ${middle(totals.files)} lines, longest ${Math.max(0, ...totals.files)}`,
  ];
  return { problems, notes };
}

main(import.meta.url, check);
