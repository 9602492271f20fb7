// SPDX-License-Identifier: Apache-2.0
// Starts real gateways with the shipped configurations, and the API that stands behind them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../../integration/lib/node.mjs';

export const identity = ['x-consumer-id', 'x-consumer-name', 'x-consumer-metadata', 'x-key-id', 'x-key-scopes', 'x-key-expires', 'x-environment'];

/** A file of deploy/, as text. */
export const shipped = (path) => readFileSync(new URL(`../../../deploy/${path}`, import.meta.url), 'utf8');

/** Replaces what the example must contain. */
export function put(text, from, to) {
  assert.ok(text.includes(from), `the example has no "${from}"`);
  return text.replaceAll(from, to);
}

// Of a head that has all of an identity's headers; Node's own limit is 16 KiB.
export const headBytes = 65_536;

/** An HTTP server on a free port; answer(request, response). */
export async function startServer(answer) {
  const server = createServer({ maxHeaderSize: headBytes }, answer);
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: server.address().port,
    stop: () =>
      new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      }),
  };
}

export async function readBody(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

/** The API behind the gateway: answers with what it was sent. */
export const startApi = () =>
  startServer(async (request, answer) => {
    const body = await readBody(request);
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body: body.toString() }));
  });

// A test that broke off must leave no gateway behind.
const alive = new Set();
process.on('exit', () => alive.forEach((child) => child.kill('SIGKILL')));

/**
 * Starts a gateway's program in a directory of its own. files: name → text; arguments(directory);
 * it is there when url/status answers 200.
 */
export async function startProgram({ program, host, port, files, args, env = {}, signal = 'SIGTERM' }) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-gateway-'));
  chmodSync(directory, 0o755);
  for (const [name, text] of Object.entries(files(directory))) writeFileSync(join(directory, name), text);
  const child = spawn(program, args(directory), { cwd: directory, env: { PATH: process.env.PATH, HOME: directory, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  alive.add(child);
  let output = '';
  child.stdout.on('data', (bytes) => (output += bytes));
  child.stderr.on('data', (bytes) => (output += bytes));
  const ended = new Promise((done) => child.on('close', done)).then(() => alive.delete(child));
  const url = `http://${host}:${port}`;
  const stop = async () => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(timer);
    rmSync(directory, { recursive: true, force: true });
  };
  const isThere = async () => {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${output}`);
    return fetch(`${url}/status`).then((answer) => answer.status === 200, () => false);
  };
  try {
    await until(isThere, { what: () => `${program}: ${output}`, deadlineMs: 60_000 });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    host,
    port,
    directory,
    log: () => output,
    stop,
  };
}
