// SPDX-License-Identifier: Apache-2.0
// What keyreeve-bench says of itself: --help and --man of every subcommand, and of every action of wan.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const bench = join(process.env.KEYREEVE_BIN ?? 'build/dev/bin', 'keyreeve-bench');

function say(...args) {
  const run = spawnSync(bench, args, { encoding: 'utf8' });
  assert.deepEqual([run.status, run.stderr], [0, ''], args.join(' '));
  return run.stdout;
}

/** The names in the list that follows the title. */
const listed = (help, title) => [...help.split(`${title}:\n`)[1].split('\n\n')[0].matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name);

const plain = (page) => page.replaceAll('\\-', '-').replaceAll('\\(aq', "'");

function check(...words) {
  const help = say(...words, '--help');
  assert.ok(help.startsWith(`Usage: keyreeve-bench ${words.join(' ')}`), help);
  assert.match(help, /\nExample:\n {2}\S/);
  const page = plain(say(...words, '--man'));
  assert.ok(page.startsWith(`.TH "${['keyreeve-bench', ...words].join('-').toUpperCase()}" 1 `), page);
  const options = [...help.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, name]) => name).filter((name) => name !== '--help' && name !== '--man');
  for (const option of options) assert.ok(page.includes(`.TP\n.B ${option}`), `${words.join(' ')}: ${option}`);
  for (const line of help.split('\nExample:\n')[1].trim().split('\n')) assert.ok(page.includes(line.trim().replaceAll('\\', '\\e')), line);
}

test('every subcommand has a help with an example, and a manual page with the same', () => {
  const overview = say('--help');
  const names = listed(overview, 'Subcommands');
  const page = plain(say('--man'));
  assert.ok(names.length > 10);
  assert.ok(page.startsWith('.TH "KEYREEVE-BENCH" 1 '));
  for (const name of names) {
    assert.ok(page.includes(`.TP\n.B ${name}\n`), name);
    if (name !== 'wan') check(name);
  }
});

test('wan has an overview, and a page for every action', () => {
  const actions = listed(say('wan', '--help'), 'Actions');
  const page = plain(say('wan', '--man'));
  assert.ok(actions.length > 5);
  assert.ok(page.startsWith('.TH "KEYREEVE-BENCH-WAN" 1 '));
  for (const action of actions) {
    assert.ok(page.includes(`.TP\n.B ${action}\n`), action);
    check('wan', action);
  }
});

test('what it does not know is refused with the list', () => {
  for (const args of [['nothing'], ['wan', 'nothing'], []]) {
    const run = spawnSync(bench, args, { encoding: 'utf8' });
    assert.equal(run.status, 2);
    assert.match(run.stderr, /^Usage: keyreeve-bench/m);
  }
});

test('keys and the rows that import them are two files', (t) => {
  const cwd = mkdtempSync(join(tmpdir(), 'keyreeve-bench-'));
  t.after(() => rmSync(cwd, { recursive: true }));
  const make = (out, jsonl) => spawnSync(resolve(bench), ['keys', '--count', '3', '--out', out, '--jsonl', jsonl], { encoding: 'utf8', cwd });
  const path = (name) => join(cwd, name);
  writeFileSync(path('x'), 'what was there\n'.repeat(50));
  for (const [out, jsonl] of [['x', 'x'], ['x', './x']]) {
    const { status, stderr } = make(out, jsonl);
    assert.deepEqual([status, stderr], [2, 'keyreeve-bench keys: --out and --jsonl name one file; name two\n']);
    assert.equal(readFileSync(path('x'), 'utf8'), 'what was there\n'.repeat(50), 'what is refused loses nothing');
  }
  assert.equal(make('x', 'y').status, 0);
  for (const name of ['x', 'y']) assert.equal(readFileSync(path(name), 'utf8').split('\n').length, 4, 'nothing is left of what was there');
  assert.equal(make('/dev/null', '/dev/null').status, 0);
});
