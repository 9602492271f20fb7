// SPDX-License-Identifier: Apache-2.0
// A gateway that Debian does not have, replayed: an HTTP server that reads the shipped configuration
// and does with it what the gateway's documentation says, towards a real node and a real API.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { headBytes, readBody, startServer } from './gateway.mjs';

/** Headers as pairs of a lower-case name and a value, in order, as they were sent. */
const pairsOf = (raw) => Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i].toLowerCase(), raw[2 * i + 1]]);

export const valuesOf = (pairs, name) => pairs.filter(([one]) => one === name.toLowerCase()).map(([, value]) => value);
export const without = (pairs, ...names) => pairs.filter(([one]) => !names.some((name) => name.toLowerCase() === one));
/** All values of one name, replaced by these. */
export const set = (pairs, name, ...values) => [...without(pairs, name), ...values.map((value) => [name.toLowerCase(), value])];

const hopByHop = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'];

/** Sends a request; null where there is no answer in time. */
function send(agent, { port, method, path, headers, body, timeoutMs = 60_000 }) {
  return new Promise((done) => {
    const sent = request({ host: '127.0.0.1', port, method, path, agent, headers: headers.flat(), maxHeaderSize: headBytes }, async (answer) => {
      try {
        done({ status: answer.statusCode, headers: pairsOf(answer.rawHeaders), body: await readBody(answer) });
      } catch {
        done(null);
      }
    });
    sent.setTimeout(timeoutMs, () => sent.destroy());
    sent.on('error', () => done(null));
    sent.end(body);
  });
}

/**
 * judge(incoming, ask) answers {headers} to pass the request on with these, or {status, headers, body}
 * for the client. incoming: {method, path, headers, client}. ask() sends a request to a port.
 */
export async function startReplay({ apiPort, judge }) {
  const agent = new Agent({ keepAlive: true });
  const server = await startServer(async (received, answer) => {
    const body = await readBody(received);
    const incoming = { method: received.method, path: received.url, headers: pairsOf(received.rawHeaders), client: received.socket.remoteAddress };
    let outcome = await judge(incoming, (question) => send(agent, question));
    if (outcome.status === undefined) {
      const headers = set(without(outcome.headers, ...hopByHop), 'content-length', String(body.length));
      outcome = (await send(agent, { port: apiPort, method: incoming.method, path: incoming.path, headers, body })) ?? { status: 502, headers: [], body: '' };
    }
    answer.writeHead(outcome.status, without(outcome.headers, ...hopByHop, 'content-length').flat());
    answer.end(outcome.body);
  });
  return {
    port: server.port,
    url: `http://127.0.0.1:${server.port}`,
    async stop() {
      await server.stop();
      agent.destroy();
    },
  };
}

/** A setting that the gateway does not know is refused, as the gateway itself would do. */
export function assertKeys(object, known, where) {
  for (const key of Object.keys(object)) assert.ok(known.includes(key), `${where} has no setting "${key}"`);
}
