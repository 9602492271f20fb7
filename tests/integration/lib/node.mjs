// SPDX-License-Identifier: Apache-2.0
// Starts and stops real nodes for the integration tests, and watches what they say.
//
// Every node gets a data directory of its own and a free port. A sanitizer's report, or an exit that
// nobody asked for, fails the test that stops the node.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export const binDir = resolve(process.env.KEYREEVE_BIN ?? 'build/dev/bin');
export const keyreeved = join(binDir, 'keyreeved');
export const keyreeve = join(binDir, 'keyreeve');

if (!existsSync(keyreeved)) throw new Error(`${keyreeved} is missing: set KEYREEVE_BIN to the folder of the built programs`);

const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 30_000;

/** Waits until check() answers something truthy, and answers that. */
export async function until(check, { what, deadlineMs = 20_000, everyMs = 10 } = {}) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const result = await check();
    if (result) return result;
    if (Date.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${typeof what === 'function' ? what() : (what ?? check)}`);
    await pause(everyMs);
  }
}

/** Runs body() while no thread of the process runs: SIGSTOP alone returns before they have stopped. */
export async function whileStopped(pid, body) {
  const statusOf = (task) => readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8');
  process.kill(pid, 'SIGSTOP');
  try {
    await until(() => readdirSync(`/proc/${pid}/task`).every((task) => /^State:\tT/m.test(statusOf(task))), { what: `process ${pid} to stop`, everyMs: 1 });
    return await body();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

export function makeDataDir() {
  return mkdtempSync(join(tmpdir(), 'keyreeve-test-'));
}

/** A data directory that goes with the test, and before it whatever node still runs on it. */
export function dataDirFor(t) {
  const dataDir = makeDataDir();
  t.after(async () => {
    for (const node of [...alive]) if (node.dataDir === dataDir) await node.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return dataDir;
}

// A test that broke off must leave no node behind.
const alive = new Set();
process.on('exit', () => alive.forEach((node) => node.process.kill('SIGKILL')));

/** kill -9 for whatever runs on this data directory, ready or not. */
export async function killNodesOn(dataDir) {
  for (const node of [...alive]) if (node.dataDir === dataDir) await node.kill9();
}

/** No sanitizer has anything to report in what a program has said. */
export function assertUnreported(said, name = 'a program') {
  assert.doesNotMatch(said, /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:/, `${name} said: ${said}`);
}

class Node {
  constructor(dataDir, flags, env, under) {
    this.dataDir = dataDir;
    this.stderr = '';
    this.stdout = '';
    this.exit = null;
    const [program, ...args] = [...under, keyreeved, '--data', dataDir, '--http', '127.0.0.1:0', '--binary-listen', '127.0.0.1:0', '--rate-limit-per-token', '0', ...flags];
    this.process = spawn(program, args, {
      env: { PATH: process.env.PATH, ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? '', TSAN_OPTIONS: process.env.TSAN_OPTIONS ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    alive.add(this);
    this.process.stdout.on('data', (bytes) => (this.stdout += bytes));
    this.process.stderr.on('data', (bytes) => (this.stderr += bytes));
    this.ended = new Promise((done) => {
      this.process.on('close', (code, signal) => {
        alive.delete(this);
        done((this.exit = { code, signal }));
      });
    });
  }

  get pid() {
    return this.process.pid;
  }

  /** Waits for what /readyz answers: {status, text}. */
  async answers(condition) {
    const addressFile = join(this.dataDir, 'http-address');
    await until(
      async () => {
        if (this.exit) throw new Error(`keyreeved ended: ${JSON.stringify(this.exit)}\n${this.stderr}`);
        if (!existsSync(addressFile)) return false;
        const pidFile = join(this.dataDir, 'keyreeved.pid');
        if (!existsSync(pidFile) || Number(readFileSync(pidFile, 'utf8')) !== this.pid) return false;
        this.url = `http://${readFileSync(addressFile, 'utf8').trim()}`;
        return condition(await this.readiness());
      },
      { what: () => `/readyz: ${this.stderr}`, deadlineMs: START_DEADLINE_MS },
    );
    this.port = Number(new URL(this.url).port);
    const binaryFile = join(this.dataDir, 'binary-address');
    if (existsSync(binaryFile)) this.binary = readFileSync(binaryFile, 'utf8').trim();
    this.token = readFileSync(join(this.dataDir, 'owner-token'), 'utf8').trim();
    return this;
  }

  /** What /readyz answers: {status, text}; status 0 when nobody does. */
  readiness() {
    return this.get('/readyz').catch(() => ({ status: 0, text: '' }));
  }

  /** The port of another listener: 'http-validation'. */
  portOf(listener) {
    return Number(/:(\d+)$/.exec(readFileSync(join(this.dataDir, `${listener}-address`), 'utf8').trim())[1]);
  }

  assertClean() {
    assertUnreported(this.stderr);
  }

  /** Asks for a stop and checks that it was a clean one. */
  async stop() {
    if (!this.exit) this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGABRT'), STOP_DEADLINE_MS);
    await this.ended;
    clearTimeout(timer);
    this.assertClean();
    assert.deepEqual(this.exit, { code: 0, signal: null }, this.stderr);
  }

  async kill9() {
    this.process.kill('SIGKILL');
    await this.ended;
    this.assertClean();
    assert.deepEqual(this.exit, { code: null, signal: 'SIGKILL' }, `it had ended by itself: ${this.stderr}`);
  }

  /** Everything of a clean end, and the data directory with it. */
  async remove() {
    await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /**
   * {status, text}, over a connection of its own: a kept one may be closed by the node just then, and
   * fetch() may never say that a node was killed before it could answer.
   */
  get(path) {
    return new Promise((done, fail) => {
      const sent = get(`${this.url}${path}`, { agent: false, timeout: 20_000 }, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (part) => (text += part));
        answer.on('error', fail);
        answer.on('end', () => done({ status: answer.statusCode, text }));
      });
      sent.on('timeout', () => sent.destroy(new Error(`${path}: no answer within 20 s`)));
      sent.on('error', fail);
    });
  }

  async metrics() {
    return (await this.get('/metrics')).text;
  }

  async metric(name) {
    const line = (await this.metrics()).split('\n').find((text) => text.startsWith(`keyreeve_${name} `) || text.startsWith(`keyreeve_${name}{`));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  }
}

/**
 * A node that is ready: {url, port, binary, token, dataDir, pid, stop(), kill9(), remove(), metric(name)}.
 * under: a program with its arguments that becomes the node, like prlimit; isLoading: it need not be ready, only answer.
 */
export async function startNode({ dataDir, flags = [], env = {}, under = [], isLoading = false } = {}) {
  const node = new Node(dataDir ?? makeDataDir(), flags, env, under);
  try {
    return await node.answers(({ status }) => status === 200 || (isLoading && status !== 0));
  } catch (error) {
    // Nobody else has it, nor the directory that it was given.
    node.process.kill('SIGKILL');
    await node.ended;
    if (dataDir === undefined) rmSync(node.dataDir, { recursive: true, force: true });
    throw error;
  }
}

/** A node that must not come up: its exit and what it said. */
export async function refuseNode({ dataDir = makeDataDir(), flags = [], env = {} } = {}) {
  const node = new Node(dataDir, flags, env, []);
  const timer = setTimeout(() => node.process.kill('SIGABRT'), START_DEADLINE_MS);
  node.process.stderr.on('data', () => node.stderr.includes('"event":"ready"') && node.process.kill('SIGTERM'));
  await node.ended;
  clearTimeout(timer);
  node.assertClean();
  return { ...node.exit, stderr: node.stderr, stdout: node.stdout, dataDir };
}

/** What a refused start must look like: its code, and one line for people at the end of stderr. */
export function assertRefused(ended, code, what) {
  assert.equal(ended.code, code, JSON.stringify(ended));
  const lines = ended.stderr.split('\n').filter((line) => line.startsWith('keyreeved: '));
  assert.equal(lines.length, 1, ended.stderr);
  for (const pattern of [what].flat()) assert.match(lines[0], pattern);
}

/** Runs a program to its end: {code, signal, stdout, stderr}. */
export async function run(program, args, { env = {}, input, cwd, deadlineMs = 60_000 } = {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const result = { stdout: '', stderr: '' };
  child.stdout.on('data', (bytes) => (result.stdout += bytes));
  child.stderr.on('data', (bytes) => (result.stderr += bytes));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      done({ ...result, code, signal });
    });
  });
}
