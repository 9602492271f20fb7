// SPDX-License-Identifier: Apache-2.0
// gRPC as it goes over HTTP/2: the five bytes before a message, trailers, encodings, deadlines, and
// what a client's library would never send.
import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { after, before, test } from 'node:test';
import { client, exchange } from './lib/http.mjs';
import { decode, encode } from './lib/protobuf.mjs';
import { startNode } from './lib/node.mjs';

const STATUS = { OK: 0, INVALID_ARGUMENT: 3, DEADLINE_EXCEEDED: 4, RESOURCE_EXHAUSTED: 8, UNIMPLEMENTED: 12, INTERNAL: 13, UNAVAILABLE: 14 };
const VALIDATE = '/keyreeve.v1.Validation/Validate';
const HEALTH = '/grpc.health.v1.Health/Check';

let node;
let over;
let key;
before(async () => {
  node = await startNode();
  const api = client(node);
  await api.makeConsumer('c');
  ({ key } = await api.makeKey('c'));
  over = connect(node.url);
});
after(async () => {
  over.destroy();
  await node.remove();
});

const framed = (message, { flag = 0, size = message.length } = {}) => {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(size, 1);
  return Buffer.concat([prefix, message]);
};
// keyreeve.v1.ValidateRequest: key is field 1, min_index field 7.
const MIN_INDEX = 7;
const question = (...more) => encode([[1, key], ...more]);

/** One call: {headers, trailers, isTrailersOnly, status, message, body}. */
function call(path, body, fields = {}) {
  return new Promise((done, fail) => {
    const stream = over.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...fields });
    const parts = [];
    let headers, trailers;
    stream.setTimeout(30_000, () => fail(new Error(`${path}: no answer within 30 s`)));
    stream.on('response', (received) => (headers = received));
    stream.on('trailers', (received) => (trailers = received));
    stream.on('data', (part) => parts.push(part));
    stream.on('error', fail);
    stream.on('close', () => {
      const end = trailers ?? headers ?? {};
      done({ headers, trailers, isTrailersOnly: trailers === undefined, status: Number(end['grpc-status']), message: end['grpc-message'], body: Buffer.concat(parts) });
    });
    stream.end(body);
  });
}

test('a call is answered with one message behind five bytes, and its status in trailers', async () => {
  for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc; charset=utf-8', 'Application/gRPC']) {
    const { headers, trailers, status, body } = await call(VALIDATE, framed(question()), { 'content-type': type });
    assert.equal(headers[':status'], 200);
    assert.equal(headers['content-type'], 'application/grpc');
    assert.equal(headers['grpc-status'], undefined);
    assert.deepEqual(Object.entries(trailers), [['grpc-status', '0']]);
    assert.equal(status, STATUS.OK);
    assert.equal(body[0], 0);
    assert.equal(body.readUInt32BE(1), body.length - 5);
    assert.equal(decode(body.subarray(5))[1]?.[0], 1, 'valid');
  }
});

const refusals = [
  ['a body of nothing', VALIDATE, () => Buffer.alloc(0), {}, STATUS.UNIMPLEMENTED, /no message/],
  ['half a prefix', VALIDATE, () => Buffer.alloc(4), {}, STATUS.INTERNAL, /cut off/],
  ['a message that is cut off', VALIDATE, () => framed(question(), { size: 1000 }), {}, STATUS.INTERNAL, /cut off/],
  ['a length of 4 GiB', VALIDATE, () => framed(question(), { size: 0xffffffff }), {}, STATUS.INTERNAL, /cut off/],
  ['two messages', VALIDATE, () => Buffer.concat([framed(question()), framed(question())]), {}, STATUS.UNIMPLEMENTED, /more than one/],
  ['a message that says it is compressed', VALIDATE, () => framed(question(), { flag: 1 }), {}, STATUS.INTERNAL, /compressed/],
  ['an encoding', VALIDATE, () => framed(question(), { flag: 1 }), { 'grpc-encoding': 'gzip' }, STATUS.UNIMPLEMENTED, /encoding/],
  ['what is no message of the method', VALIDATE, () => framed(Buffer.from([0x0a, 5])), {}, STATUS.INVALID_ARGUMENT, /./],
  ['another method', '/keyreeve.v1.Validation/Other', () => framed(question()), {}, STATUS.UNIMPLEMENTED, /no such method/],
  ['a path of the HTTP API', '/v1/validate', () => framed(question()), {}, STATUS.UNIMPLEMENTED, /no such method/],
  ['more than is taken', VALIDATE, () => framed(Buffer.alloc((1 << 20) + 1)), {}, STATUS.RESOURCE_EXHAUSTED, /too large/],
  ['a deadline that is none', VALIDATE, () => framed(question()), { 'grpc-timeout': '1' }, STATUS.INVALID_ARGUMENT, /grpc-timeout/],
  ['a deadline of an unknown unit', VALIDATE, () => framed(question()), { 'grpc-timeout': '1s' }, STATUS.INVALID_ARGUMENT, /grpc-timeout/],
  ['a deadline of nine digits', VALIDATE, () => framed(question()), { 'grpc-timeout': '123456789S' }, STATUS.INVALID_ARGUMENT, /grpc-timeout/],
  ['a deadline that has passed', VALIDATE, () => framed(question()), { 'grpc-timeout': '0n' }, STATUS.DEADLINE_EXCEEDED, /deadline/],
  ['the same where nothing is looked up', HEALTH, () => framed(Buffer.alloc(0)), { 'grpc-timeout': '0H' }, STATUS.DEADLINE_EXCEEDED, /deadline/],
];

for (const [name, path, body, fields, status, text] of refusals)
  test(`${name} ends the call with ${Object.keys(STATUS).find((one) => STATUS[one] === status)}, in the head alone`, async () => {
    const answer = await call(path, body(), fields);
    assert.equal(answer.headers[':status'], 200);
    assert.equal(answer.headers['content-type'], 'application/grpc');
    assert.ok(answer.isTrailersOnly);
    assert.equal(answer.status, status, answer.message);
    assert.match(decodeURIComponent(answer.message), text);
    assert.equal(answer.headers['grpc-accept-encoding'], fields['grpc-encoding'] ? 'identity' : undefined);
    assert.equal(answer.body.length, 0);
    assert.equal((await call(HEALTH, framed(Buffer.alloc(0)))).status, STATUS.OK, 'the connection goes on');
  });

test('the encoding identity is none, and deadlines of every unit are read', async () => {
  assert.equal((await call(VALIDATE, framed(question()), { 'grpc-encoding': 'identity' })).status, STATUS.OK);
  for (const timeout of ['1H', '1M', '60S', '60000m', '60000000u', '99999999n', '0000001H', '99999999H'])
    assert.equal((await call(HEALTH, framed(Buffer.alloc(0)), { 'grpc-timeout': timeout })).status, STATUS.OK, timeout);
});

test('a call that waits ends with its deadline, or when the node waits no longer, and holds up no other', async () => {
  const started = Date.now();
  const waits = call(VALIDATE, framed(question([MIN_INDEX, 1e9])), { 'grpc-timeout': '50m' });
  const waitsLong = call(VALIDATE, framed(question([MIN_INDEX, 1e9])), { 'grpc-timeout': '1H' });
  assert.equal((await call(VALIDATE, framed(question()))).status, STATUS.OK);
  assert.equal((await waits).status, STATUS.DEADLINE_EXCEEDED);
  assert.ok(Date.now() - started >= 50);
  assert.equal((await waitsLong).status, STATUS.UNAVAILABLE);
});

test('what is no call of gRPC is told what the path is, as HTTP', async () => {
  const wrong = await call(HEALTH, framed(Buffer.alloc(0)), { 'content-type': 'application/grpc+json' });
  assert.equal(wrong.headers[':status'], 415);
  assert.equal((await exchange(node, { method: 'POST', path: HEALTH, headers: { 'content-type': 'application/grpc' }, body: framed(Buffer.alloc(0)), agent: false })).status, 415);
  assert.equal((await exchange(node, { method: 'GET', path: HEALTH, agent: false })).status, 405);
});

test('calls are counted by their method, and by what the status means in HTTP', async () => {
  const metrics = await node.metrics();
  assert.match(metrics, /keyreeve_requests_total\{[^}]*route="grpc\.validate",status="200"\} [1-9]/);
  assert.match(metrics, /keyreeve_requests_total\{[^}]*route="grpc\.validate",status="501"\} [1-9]/);
  assert.match(metrics, /keyreeve_requests_total\{[^}]*route="grpc\.health",status="200"\} [1-9]/);
});
