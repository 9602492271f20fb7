// SPDX-License-Identifier: Apache-2.0
// Starts real gateways with the shipped configurations, and the API that stands behind them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { client, raw } from '../../integration/lib/http.mjs';
import { startNode, until } from '../../integration/lib/node.mjs';

export const identity = ['x-consumer-id', 'x-consumer-name', 'x-consumer-metadata', 'x-key-id', 'x-key-scopes', 'x-key-expires', 'x-environment'];

/** A file of deploy/, as text. */
export const shipped = (path) => readFileSync(new URL(`../../../deploy/${path}`, import.meta.url), 'utf8');

/** The blocks of code behind a heading of a page. */
export function blocksOf(path, heading) {
  const [, section] = shipped(path).split(`\n## ${heading}\n`);
  return [...section.split('\n## ')[0].matchAll(/```\w+\n([^`]*)```/g)].map(([, block]) => block);
}

/** Replaces what the example must contain. */
export function put(text, from, to) {
  assert.ok(text.includes(from), `the example has no "${from}"`);
  return text.replaceAll(from, to);
}

// Of a head that has all of an identity's headers; Node's own limit is 16 KiB.
export const headBytes = 65_536;

/** An HTTP server on a free port; answer(request, response), and of an upgrade takeUpgrade(request, socket). */
export async function startServer(answer, takeUpgrade) {
  const server = createServer({ maxHeaderSize: headBytes }, answer);
  if (takeUpgrade) server.on('upgrade', takeUpgrade);
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

// Without it, no server takes an upgrade to HTTP/2 (RFC 7540 §3.2.1).
export const http2Settings = 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA';

/** A request with exactly these lines on a connection of its own, and what came back until isWhole(it). */
export async function say(t, gateway, path, lines, isWhole = (received) => received.includes('\r\n\r\n'), method = 'GET') {
  const connection = raw(gateway);
  t.after(() => connection.destroy());
  connection.write([`${method} ${path} HTTP/1.1`, 'Host: api', ...lines, '', ''].join('\r\n'));
  return { connection, received: await connection.until(isWhole) };
}

export async function readBody(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

const told = ({ method, url, headers }, body = '') => JSON.stringify({ method, url, headers, body });

/** The API behind the gateway: answers with what it was sent. It takes any upgrade, and what then comes goes back. taken(): requests so far. */
export async function startApi() {
  let taken = 0;
  const server = await startServer(
    async (request, answer) => {
      taken++;
      const body = await readBody(request);
      answer.setHeader('content-type', 'application/json');
      answer.end(told(request, body.toString()));
    },
    (request, socket) => {
      const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      socket.on('error', () => {});
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n${told(request)}\n`);
      socket.pipe(socket);
    },
  );
  return { ...server, taken: () => taken };
}

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
    return fetch(`${url}/status`, { headers: { connection: 'close' } }).then((answer) => answer.status === 200, () => false);
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

/** A node, an API to stand behind a gateway, and a key of the consumer acme: {node, api, call, key, stop()}. */
export async function startScene(options) {
  const node = await startNode(options);
  const api = await startApi();
  const call = client(node);
  await call.makeConsumer('acme');
  const { key } = await call.makeKey('acme');
  const stop = async () => {
    await api.stop();
    await node.remove();
  };
  return { node, api, call, key, stop };
}
