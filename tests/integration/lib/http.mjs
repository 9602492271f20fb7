// SPDX-License-Identifier: Apache-2.0
// Talking to a node: JSON calls with a token, and raw sockets for what no client would send.
import { connect } from 'node:net';

/** A client bound to a node and a token; answers {status, headers, body, text}. */
export function client(node, token = node.token) {
  const call = async (method, path, body, headers = {}) => {
    const answer = await fetch(node.url + path, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body !== undefined ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
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
  };
}

/** A raw connection: write bytes (latin1), read what came until a condition holds or it closes. */
export function raw(target) {
  const socket = typeof target === 'string' ? connect(target) : connect(target.port, '127.0.0.1');
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
