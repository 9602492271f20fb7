// SPDX-License-Identifier: Apache-2.0
// A proxy's HTTP/2 connection carries the questions of all its clients: one who gives up question
// after question must not end it for the others. Who is no proxy of ours is sent away for that.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Authority } from './lib/certificates.mjs';
import { CODE, END_HEADERS, END_STREAM, Frames, TYPE, frame, head, headers, reset } from './lib/frames.mjs';
import { client } from './lib/http.mjs';
import { strangerKey } from './lib/keys.mjs';
import { makeDataDir, startNode } from './lib/node.mjs';
import { decode, encode } from './lib/protobuf.mjs';

const CHECK = '/envoy.service.auth.v3.Authorization/Check';
const RESETS = 2000;

let directory;
let authority;
let gateway; // its certificate
let node; // trusts certificates and its unix socket, no address
let trusting; // trusts the loopback, too
let socketPath;
let key;
before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyreeve-proxy-'));
  authority = new Authority(directory, 'ca');
  const gateways = new Authority(directory, 'gateways');
  const main = authority.issue('main');
  gateway = gateways.issue('gateway-1', 'DNS:gateway-1.internal');
  const dataDir = makeDataDir();
  socketPath = join(dataDir, 'http.sock');
  node = await startNode({
    dataDir,
    flags: ['--http', 'http://127.0.0.1:0', '--http-validation', 'https://127.0.0.1:0', '--http-management', 'http://127.0.0.1:0', '--http-unix', socketPath,
      '--tls-cert', main.cert, '--tls-key', main.key, '--tls-client-ca', gateways.file('gateways.pem')],
  });
  const api = client(node);
  await api.makeConsumer('c');
  ({ key } = await api.makeKey('c'));
  trusting = await startNode({ flags: ['--trusted-proxies', '127.0.0.0/8'] });
});
after(async () => {
  await node?.remove();
  await trusting?.remove();
  rmSync(directory, { recursive: true, force: true });
});

/** A question of Envoy's, whole. */
function check(id, credential) {
  const header = encode([[1, 'authorization'], [2, `Bearer ${credential}`]]);
  const message = encode([[1, encode([[4, encode([[2, encode([[2, 'GET'], [3, header], [4, '/']])]])]])]]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  const fields = [...head('POST', CHECK), ['content-type', 'application/grpc'], ['te', 'trailers']];
  return Buffer.concat([headers(id, fields, END_HEADERS), frame(TYPE.DATA, END_STREAM, id, Buffer.concat([prefix, message]))]);
}

/** The code of google.rpc.Status in the answer to a check. */
async function verdict(frames, id) {
  const { payload } = await frames.expect(TYPE.DATA, (one) => one.id === id, `the answer to check ${id}`);
  const [status] = decode(payload.subarray(5))[1];
  return decode(status)[1]?.[0] ?? 0;
}

// Two checks whose clients wait among many whose clients give up, as one burst of bytes.
function burst(resets) {
  const parts = [check(1, strangerKey())];
  for (let id = 3; id < 3 + 2 * resets; id += 2) parts.push(check(id, strangerKey()), reset(id));
  return Buffer.concat([...parts, check(3 + 2 * resets, strangerKey())]);
}

const overTls = (options) => connectTls({ port: node.portOf('http-validation'), host: '127.0.0.1', servername: 'localhost', ca: authority.pem, ALPNProtocols: ['h2'], ...options });
const withCertificate = () => overTls({ cert: gateway.certPem, key: gateway.keyPem });

const proxies = [
  ['an address in trusted_proxies', () => new Frames(trusting.port)],
  ['the unix socket', () => new Frames(0, { socket: connect(socketPath) })],
  ['a client certificate', () => new Frames(0, { socket: withCertificate() })],
];
for (const [name, open] of proxies)
  test(`${name}: questions that were given up cost the others nothing`, async (t) => {
    const frames = open();
    t.after(() => frames.destroy());
    frames.send(burst(RESETS));
    assert.equal(await verdict(frames, 1), 16);
    assert.equal(await verdict(frames, 3 + 2 * RESETS), 16);
    await frames.isAlive();
    assert.deepEqual(frames.of(TYPE.GOAWAY), []);
  });

const strangers = [
  ['an address of no proxy', () => new Frames(node.portOf('http'))],
  ['TLS without a certificate', () => new Frames(0, { socket: overTls() })],
];
for (const [name, open] of strangers)
  test(`${name}: it is sent away, behind the answer to what was whole`, async (t) => {
    const frames = open();
    t.after(() => frames.destroy());
    frames.send(check(1, key), ...Array.from({ length: RESETS }, (_, i) => [headers(2 * i + 3), reset(2 * i + 3)]).flat());
    assert.equal((await frames.expect(TYPE.GOAWAY)).code, CODE.CALM);
    assert.equal(await verdict(frames, 1), 0);
  });
