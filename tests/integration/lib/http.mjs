// SPDX-License-Identifier: Apache-2.0
// Talking to a node: JSON calls with a token, and raw sockets for what no client would send.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';

/** Asserts an answer's status, showing its text when it differs, and hands it back. */
export function expect(answer, status) {
  assert.equal(answer.status, status, answer.text);
  return answer;
}

/** Asserts a problem+json of exactly the shape that every error has. */
export function expectProblem(answer, status, detail = /./) {
  expect(answer, status);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.deepEqual(Object.keys(answer.body), ['type', 'title', 'status', 'detail', 'instance', 'trace']);
  assert.equal(answer.body.type, `https://httpproblems.com/http-status/${status}`);
  assert.equal(answer.body.status, status);
  assert.match(answer.body.title, /^[A-Z]/);
  assert.match(answer.body.detail, detail);
  assert.deepEqual(Object.keys(answer.body.trace), ['timestamp', 'requestId']);
  assert.match(answer.body.trace.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(answer.body.trace.requestId, answer.headers.get('x-request-id'));
  return answer;
}

/** As fetch, over the node's unix socket. */
function fetchUnix(socketPath, path, { method, headers, body }) {
  return new Promise((done, fail) => {
    const sent = request({ socketPath, path, method, headers: { ...headers, 'content-length': body === undefined ? 0 : Buffer.byteLength(body) }, agent: false, timeout: 30_000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => (text += part));
      answer.on('error', fail);
      answer.on('end', () => done({ status: answer.statusCode, headers: new Headers(answer.headers), text: async () => text }));
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within 30 s`)));
    sent.on('error', fail);
    sent.end(body);
  });
}

/** A client bound to a node and a token; answers {status, headers, body, text}. */
export function client(node, token = node.token) {
  const send = node.socketPath ? (path, options) => fetchUnix(node.socketPath, path, options) : (path, options) => fetch(node.url + path, options);
  const call = async (method, path, body, headers = {}) => {
    const answer = await send(path, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body !== undefined ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      body: body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    const isJson = (answer.headers.get('content-type') ?? '').includes('json');
    return { status: answer.status, headers: answer.headers, text, body: isJson && text ? JSON.parse(text) : undefined };
  };
  const buckets = '/v1/accounts/default/key-buckets';
  return {
    call,
    get: (path, headers) => call('GET', path, undefined, headers),
    post: (path, body, headers) => call('POST', path, body, headers),
    patch: (path, body, headers) => call('PATCH', path, body, headers),
    delete: (path, headers) => call('DELETE', path, undefined, headers),
    buckets,
    consumers: (bucket = 'production') => `${buckets}/${bucket}/consumers`,
    keys: (consumer, bucket = 'production') => `${buckets}/${bucket}/consumers/${consumer}/keys`,
    validate: (key, more = {}, headers = {}) => call('POST', '/v1/validate', { key, ...more }, { authorization: '', ...headers }),
    /** The code that a validation of this key answers. */
    code: async (key, more = {}) => (await call('POST', '/v1/validate', { key, ...more }, { authorization: '' })).body.code,
    makeBucket: async (name, more = {}) => expect(await call('POST', buckets, { name, ...more }), 200).body,
    makeConsumer: async (name, more = {}, bucket = 'production') =>
      expect(await call('POST', `${buckets}/${bucket}/consumers`, { name, ...more }), 200).body,
    makeKey: async (consumer, more = {}, bucket = 'production') =>
      expect(await call('POST', `${buckets}/${bucket}/consumers/${consumer}/keys`, more), 200).body,
    /** A management token; answers {id, token, …}. */
    makeToken: async (label, more) => expect(await call('POST', '/v1/accounts/default/tokens', { label, ...more }), 200).body,
  };
}

/** One request with exactly these headers and this method, which fetch would not let pass. */
export function exchange(node, { method = 'GET', path = '/', headers = {}, body, socketPath, agent } = {}) {
  return new Promise((done, fail) => {
    const where = socketPath ? { socketPath } : { host: node.host ?? '127.0.0.1', port: node.port };
    const sent = request({ ...where, method, path, headers, agent, timeout: 20_000 }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', fail);
      answer.on('end', () => {
        const bytes = Buffer.concat(parts);
        const get = (name) => answer.headers[name.toLowerCase()] ?? null;
        done({ status: answer.statusCode, headers: { get, all: answer.headers, raw: answer.rawHeaders }, bytes, text: bytes.toString() });
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer within 20 s`)));
    sent.on('error', fail);
    if (body?.[Symbol.asyncIterator]) Readable.from(body).pipe(sent); // in chunks
    else sent.end(body);
  });
}

/** Counts whole HTTP/1.1 answers in what a raw connection received: their statuses, in order. */
export function statusesOf(received, { isHead = false } = {}) {
  const statuses = [];
  let rest = received;
  while (rest.length > 0) {
    const end = rest.indexOf('\r\n\r\n');
    assert.notEqual(end, -1, `a half answer: ${JSON.stringify(rest.slice(0, 200))}`);
    const head = rest.slice(0, end);
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(head);
    assert.ok(status, `no status line: ${JSON.stringify(rest.slice(0, 200))}`);
    statuses.push(Number(status[1]));
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    rest = rest.slice(end + 4 + (isHead || status[1].startsWith('1') ? 0 : length));
  }
  return statuses;
}

/** A raw connection: write bytes (latin1), read what came until a condition holds or it closes. */
export function raw(target) {
  const socket = typeof target === 'string' ? connect(target) : connect({ port: target.port, host: target.host ?? '127.0.0.1', localAddress: target.localAddress });
  let received = '';
  let closed = false;
  const waiting = new Set();
  const wake = () => waiting.forEach((check) => check());
  socket.setEncoding('latin1');
  socket.on('data', (text) => ((received += text), wake()));
  socket.on('close', () => ((closed = true), wake()));
  socket.on('error', () => {});
  return {
    socket,
    write: (text) => socket.write(text, 'latin1'),
    end: () => socket.end(),
    destroy: () => socket.destroy(),
    get received() {
      return received;
    },
    get closed() {
      return closed;
    },
    /** Resolves with everything received once condition(received, closed) holds. */
    until(condition, deadlineMs = 20_000) {
      return new Promise((done, fail) => {
        const timer = setTimeout(() => {
          waiting.delete(check);
          fail(new Error(`raw connection: waited ${deadlineMs} ms; received ${JSON.stringify(received.slice(0, 400))}`));
        }, deadlineMs);
        const check = () => {
          if (!condition(received, closed)) return;
          clearTimeout(timer);
          waiting.delete(check);
          done(received);
        };
        waiting.add(check);
        check();
      });
    },
  };
}

/** Walks a list by its cursor, page by page, and hands back all items. */
export async function listAll(api, path, limit = 1000) {
  const items = [];
  const mark = path.includes('?') ? '&' : '?';
  for (let cursor = ''; cursor !== undefined; ) {
    const { body } = expect(await api.get(`${path}${mark}limit=${limit}${cursor && `&cursor=${cursor}`}`), 200);
    assert.ok(body.data.length <= limit);
    items.push(...body.data);
    cursor = body.cursor;
  }
  return items;
}
