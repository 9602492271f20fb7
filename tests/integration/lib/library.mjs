// SPDX-License-Identifier: Apache-2.0
// libkeyreeve as a user has it: installed, found by pkg-config, its examples built and run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { binDir, run, until } from './node.mjs';
import { openPassage } from './passage.mjs';

const buildDir = dirname(binDir);

async function must(program, args, options) {
  const ended = await run(program, args, { deadlineMs: 180_000, ...options });
  assert.equal(ended.code, 0, `${program} ${args.join(' ')}: ${ended.stderr}${ended.stdout}`);
  return ended.stdout;
}

/** Installs the library into a directory that goes with the test: {prefix, lib, sanitize}. */
export async function installLibrary(t) {
  const prefix = mkdtempSync(join(tmpdir(), 'keyreeve-library-'));
  t.after(() => rmSync(prefix, { recursive: true, force: true }));
  // One at a time: an installation writes its manifest into the build tree.
  await must('flock', [join(buildDir, 'install.lock'), 'cmake', '--install', buildDir, '--prefix', prefix, '--component', 'client']);
  const pc = readdirSync(prefix, { recursive: true }).find((path) => path.endsWith('keyreeve.pc'));
  assert.ok(pc, 'keyreeve.pc is installed');
  const lib = join(prefix, dirname(dirname(pc)));
  // A library with sanitizers wants a program with them.
  const needed = await must('nm', ['-D', join(lib, 'libkeyreeve.so')]);
  return { prefix, lib, sanitize: needed.includes('__asan_init') ? ['-fsanitize=address,undefined'] : [] };
}

/** Builds docs/examples/NAME.c with what pkg-config says, and answers the program's path. */
export async function buildExample(library, name, { isStatic = false, more = [] } = {}) {
  const env = { PKG_CONFIG_PATH: join(library.lib, 'pkgconfig') };
  const words = (text) => text.split(/\s+/).filter(Boolean);
  const flags = words(await must('pkg-config', [...(isStatic ? ['--static'] : []), '--cflags', '--libs', 'keyreeve', ...more], { env }));
  const libraries = isStatic ? flags.map((flag) => (flag === '-lkeyreeve' ? '-l:libkeyreeve.a' : flag)) : flags;
  const program = join(library.prefix, `${name}${isStatic ? '-static' : ''}`);
  await must('cc', ['-std=gnu11', '-Wall', '-Wextra', '-Werror', ...library.sanitize, resolve('docs/examples', `${name}.c`), ...libraries, '-o', program]);
  return program;
}

/** An example that reads keys from its input: ask(key) answers what it prints for it. */
export function startExample(t, library, program, args, env = {}) {
  const child = spawn(program, args, { env: { ...process.env, LD_LIBRARY_PATH: library.lib, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  let out = '';
  let stderr = '';
  let asked = 0;
  const ended = new Promise((done) => child.on('close', (code, signal) => done({ code, signal })));
  child.stdout.on('data', (bytes) => (out += bytes));
  child.stderr.on('data', (bytes) => (stderr += bytes));
  child.stdin.on('error', () => {});
  t.after(() => child.kill('SIGKILL'));
  const lines = () => out.split('\n').slice(0, -1);
  return {
    async ask(key) {
      asked += 1;
      const mine = asked;
      child.stdin.write(`${key}\n`);
      await until(() => lines().length >= mine, { what: () => `answer ${mine}; ${stderr}`, everyMs: 1 });
      return lines()[mine - 1].replace(/ \{.*/, '');
    },
    last: () => lines().at(-1),
    /** What it has complained of. */
    complaints: () => stderr,
    /** Ends its input, and expects a clean end. */
    async end() {
      child.stdin.end();
      assert.deepEqual(await ended, { code: 0, signal: null }, stderr);
      assert.doesNotMatch(stderr, /Sanitizer|runtime error:/);
    },
  };
}

/** Asks for a key every 1.1 s, which is more than the examples' time-out, and counts the connections that takes. */
export async function askSeldom(t, library, program, node, key, { scheme = '', env } = {}) {
  const passage = await openPassage(t, node);
  const example = startExample(t, library, program, [`${scheme}${passage.place}`, 'keep'], env);
  for (let i = 0; i < 4; i++) {
    assert.match(await example.ask(key), /^VALID/, example.complaints());
    await setTimeout(1100);
  }
  await example.end();
  return passage.connections;
}

/** Runs a program with the library to its end. */
export const runExample = (library, program, args, env = {}) => run(program, args, { env: { LD_LIBRARY_PATH: library.lib, ...env } });
