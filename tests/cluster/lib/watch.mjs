// SPDX-License-Identifier: Apache-2.0
// keyreeve cluster status --watch, on a terminal or into a pipe, and what it has shown.
import { spawn } from 'node:child_process';
import { keyreeve, until } from '../../integration/lib/node.mjs';

const CLEARED = '\x1b[H\x1b[2J';
const STAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\n\n/m;
const DEADLINE_MS = 60_000;

/** The rows of a view by their columns' names: [{NODE, STATE, …}]. */
function rowsOf(view) {
  const lines = view.slice(Math.max(0, view.search(/^NODE /m))).split('\n');
  const cells = (line) => line.trim().split(/ {2,}/);
  const columns = cells(lines[0]);
  if (columns[0] !== 'NODE') return [];
  const row = (line) => Object.fromEntries(cells(line).map((cell, i) => [columns[i], cell]));
  return lines.slice(1).filter(Boolean).map(row);
}

export class Watch {
  #said = '';
  #from = 0;

  constructor(t, cluster, name, { onTerminal }) {
    const { url } = cluster.node(name);
    const owner = { KEYREEVE_URL: url, KEYREEVE_TOKEN: cluster.token, HOME: cluster.dir };
    const command = [keyreeve, 'cluster', 'status', '--watch'];
    // Util-linux's script gives it a terminal, wide enough for all columns.
    const wide = ['script', '-qefc', `stty cols 250 && exec ${command.join(' ')}`, '/dev/null'];
    const [program, ...args] = onTerminal ? wide : command;
    this.process = spawn(program, args, { env: { ...process.env, ...owner, TERM: 'xterm' } });
    this.ended = new Promise((done) => {
      this.process.on('close', (code, signal) => done({ code, signal }));
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream.on('data', (bytes) => (this.#said += bytes));
    t.after(() => this.process.kill());
  }

  /** All of it, without what a terminal makes of it. */
  get text() {
    return this.#said.replaceAll(CLEARED, '').replaceAll('\r', '').replace(/\x1b\[\d*m/g, '');
  }

  get clearings() {
    return this.#said.split(CLEARED).length - 1;
  }

  /** The texts between the stamps, but for the last one, which may be a half. */
  get views() {
    return this.text.split(STAMP).slice(1, -1);
  }

  /**
   * Waits for a view, behind that of the last time, that is as it is wanted: (rows by NODE, text) →
   * true. Answers its rows.
   */
  async shows(what, isWanted) {
    const byNode = (view) => Object.fromEntries(rowsOf(view).map((row) => [row.NODE, row]));
    const isIt = (view, i) => i >= this.#from && isWanted(byNode(view), view);
    const last = () => `a view with ${what}; the last: ${this.views.at(-1)}`;
    const any = () => this.views.some(isIt);
    await until(any, { what: last, deadlineMs: DEADLINE_MS, everyMs: 100 });
    const found = this.views.findIndex(isIt);
    this.#from = found + 1;
    return byNode(this.views[found]);
  }

  /** Ctrl-C, on a terminal. */
  interrupt() {
    this.process.stdin.write('\x03');
    return this.ended;
  }
}
