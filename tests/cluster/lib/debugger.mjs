// SPDX-License-Identifier: Apache-2.0
// Holds a running node between two of its own steps, by gdb: which step a signal interrupts is
// chance, and the one that matters takes microseconds.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { keyreeved, until } from '../../integration/lib/node.mjs';

const DEADLINE_MS = 60_000; // a busy machine reads a large program's symbols slowly
// What the program does with its signals is its own affair.
const SETTINGS = ['set debuginfod enabled off', 'set mi-async on', 'handle all nostop noprint pass'];

/** One gdb, spoken to in its machine interface (the GDB manual, "The GDB/MI Interface"). */
class Debugger {
  #lines = [];
  #commands = 0;
  #process;

  constructor(program) {
    const settings = SETTINGS.flatMap((one) => ['-iex', one]);
    const args = ['-nx', '-quiet', '--interpreter=mi3', ...settings, program];
    this.#process = spawn('gdb', args, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.ended = new Promise((done) => {
      this.#process.on('close', done);
      this.#process.on('error', ({ message }) => done(this.#lines.push(`^error,msg="${message}"`)));
    });
    this.#process.stdin.on('error', () => {});
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#lines.push(line));
  }

  #seen(pattern, from = 0) {
    const what = () => `${pattern} from gdb, after ${this.#lines.slice(-8).join('\n')}`;
    const find = () => this.#lines.slice(from).find((line) => pattern.test(line));
    return until(find, { what, deadlineMs: DEADLINE_MS });
  }

  async command(text) {
    const number = ++this.#commands;
    this.#process.stdin.write(`${number}${text}\n`);
    const result = await this.#seen(new RegExp(`^${number}?\\^`));
    if (/^\d*\^error/.test(result)) throw new Error(`gdb, ${text}: ${result}`);
  }

  /** Runs begin(), and waits until the program stops for that reason. */
  async stopped(reason, begin) {
    const from = this.#lines.length;
    await begin();
    await this.#seen(new RegExp(`^\\*stopped,reason="${reason}"`), from);
  }

  /** It lets go of the program, whatever state that is in. */
  async end() {
    this.#process.kill('SIGTERM');
    await this.ended;
  }
}

/**
 * Holds a node, all its threads, behind the look-up of a validation and before the time is taken
 * that its answer goes by: ask() has it validate, body() runs while it is held, and then it goes on.
 * Answers what ask() and body() have answered.
 */
export async function whileHeldBehindLookUp(cluster, name, ask, body) {
  const isAwake = async () => (await cluster.metric(name, 'knowledge_age_seconds')) < 1;
  const gdb = new Debugger(keyreeved);
  try {
    await gdb.command('-break-insert validate_look_up');
    await gdb.command(`-target-attach ${cluster.pid(name)}`);
    await gdb.command('-exec-continue');
    await until(isAwake, { what: `${name} to be fresh again`, deadlineMs: DEADLINE_MS });
    let asked;
    await gdb.stopped('breakpoint-hit', async () => {
      asked = ask();
      asked.catch(() => {}); // it is awaited below
    });
    await gdb.stopped('function-finished', () => gdb.command('-exec-finish'));
    const done = await body();
    await gdb.command('-target-detach');
    return [await asked, done];
  } finally {
    await gdb.end();
  }
}

/** Why no process can be held here; undefined: it can. */
export async function whyNoDebugger() {
  const sleeper = spawn('sleep', ['60'], { stdio: 'ignore' });
  const gdb = new Debugger('/bin/sleep');
  try {
    await gdb.command(`-target-attach ${sleeper.pid}`);
    await gdb.command('-target-detach');
    return undefined;
  } catch (error) {
    return `no process can be held here: ${error.message}`;
  } finally {
    await gdb.end();
    sleeper.kill();
  }
}
