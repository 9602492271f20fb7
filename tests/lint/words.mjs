// SPDX-License-Identifier: Apache-2.0
// Words: nothing in the tree announces unfinished work, names a package registry, or knows a path
// of somebody's machine.
import { files, main, read } from './tree.mjs';

// Written in pieces, so that this file passes its own rule.
const UNFINISHED = ['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK', 'for ' + 'now', 'st' + 'ub', 'place' + 'holder'];
const HOSTS = [
  'deb.debian' + '.org', 'registry.npmjs' + '.org', 'pypi' + '.org', 'crates' + '.io',
  'proxy.golang' + '.org', 'rubygems' + '.org', 'docker' + '.io', 'ghcr' + '.io',
];
const RULES = [
  [new RegExp(`\\b(${UNFINISHED.join('|')})\\b`), 'reads like something unfinished'],
  [new RegExp(`\\b(${HOSTS.join('|').replaceAll('.', '\\.')})\\b`), 'names a package registry'],
  [/(^|[^A-Za-z0-9_.\-/])\/(work|home|root|Users|farm)\/\w/, 'a path of one machine'],
];

// Words with another meaning, where they are right: the corpora are bytes, not prose.
const SKIPPED = /^(LICENSE$|tests\/fuzz\/corpus\/|tests\/vectors\/)/;

function checkLine(path, line, number) {
  for (const [pattern, why] of RULES) {
    const match = pattern.exec(line);
    if (match) return `${path}:${number}: "${match[0].trim()}" ${why}`;
  }
  return null;
}

export function check(root) {
  const problems = [];
  for (const path of files(root).filter((one) => !SKIPPED.test(one)))
    read(root, path).split('\n').forEach((line, i) => problems.push(checkLine(path, line, i + 1)));
  return { problems: problems.filter(Boolean) };
}

main(import.meta.url, check);
