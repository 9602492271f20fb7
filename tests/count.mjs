// SPDX-License-Identifier: Apache-2.0
// Counts tests for tests/run.sh: from ctest's JUnit file, or from a TAP file of Node's test runner.
// usage: node tests/count.mjs ctest FILE | tap FILE
// Prints a line "KIND PASSED FAILED SKIPPED" for each kind. A unit-test program counts as the cases
// that it ran, and one more when it failed without naming a failed case (a crash).
import { readFileSync } from 'node:fs';

function sum(text, pattern) {
  return [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
}

function countCase(attributes, body) {
  const isFailed = /<failure/.test(body);
  const isSkipped = /status="(disabled|notrun)"/.test(attributes) && !isFailed;
  if (isSkipped) return { passed: 0, failed: 0, skipped: 1 };
  const passed = sum(body, /\[ {2}PASSED {2}\] (\d+) test/g);
  const failed = sum(body, /\[ {2}FAILED {2}\] (\d+) test/g);
  const isCounted = passed + failed > 0;
  return {
    passed: isCounted || isFailed ? passed : 1,
    failed: isFailed ? Math.max(failed, 1) : failed,
    skipped: 0,
  };
}

function countCtest(text) {
  const kinds = new Map();
  for (const [, attributes, body] of text.matchAll(/<testcase ([^>]*)>([\s\S]*?)<\/testcase>/g)) {
    const kind = /name="([^"/]*)/.exec(attributes)[1];
    const total = kinds.get(kind) ?? { passed: 0, failed: 0, skipped: 0 };
    const one = countCase(attributes, body);
    for (const name of Object.keys(total)) total[name] += one[name];
    kinds.set(kind, total);
  }
  return kinds;
}

function countTap(text) {
  const last = (name) => Number([...text.matchAll(new RegExp(`^# ${name} (\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);
  const failed = last('fail') + last('cancelled');
  return new Map([['tap', { passed: last('pass'), failed, skipped: last('skipped') + last('todo') }]]);
}

const [, , form, file] = process.argv;
const count = { ctest: countCtest, tap: countTap }[form];
if (!count || !file) {
  console.error('usage: node tests/count.mjs ctest FILE | tap FILE');
  process.exit(2);
}
for (const [kind, { passed, failed, skipped }] of count(readFileSync(file, 'utf8')))
  console.log(kind, passed, failed, skipped);
