// SPDX-License-Identifier: Apache-2.0
// HTTP/2 frames written by hand (RFC 9113 §4 and §6): right ones, and those that no library sends.
import assert from 'node:assert/strict';
import { connect } from 'node:net';

export const TYPE = { DATA: 0, HEADERS: 1, PRIORITY: 2, RST_STREAM: 3, SETTINGS: 4, PUSH_PROMISE: 5, PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8, CONTINUATION: 9 };
export const CODE = { NONE: 0, PROTOCOL: 1, INTERNAL: 2, FLOW: 3, STREAM_CLOSED: 5, FRAME_SIZE: 6, REFUSED: 7, CANCEL: 8, COMPRESSION: 9, CALM: 11 };
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const WITH_PRIORITY = 32;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(type, flags, id, payload = Buffer.alloc(0)) {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, bytes]);
}

export function number(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

// RFC 7541 §5.1 with a prefix of seven bits.
function sized(text) {
  const bytes = Buffer.from(text, 'latin1');
  const prefix = [];
  let rest = bytes.length;
  if (rest < 127) {
    prefix.push(rest);
  } else {
    prefix.push(127);
    for (rest -= 127; rest >= 128; rest = Math.floor(rest / 128)) prefix.push((rest % 128) | 128);
    prefix.push(rest);
  }
  return Buffer.concat([Buffer.from(prefix), bytes]);
}

/** Fields without compression: each literal, without index (RFC 7541 §6.2.2). */
export const block = (fields) => Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), sized(name), sized(value)])));

export const head = (method = 'GET', path = '/healthz') => [[':method', method], [':scheme', 'http'], [':path', path], [':authority', 'localhost']];

/** A request without content, or the head of one. */
export const headers = (id, fields = head(), flags = END_STREAM | END_HEADERS) => frame(TYPE.HEADERS, flags, id, block(fields));
export const settings = (...pairs) => frame(TYPE.SETTINGS, 0, 0, Buffer.concat(pairs.map(([key, value]) => Buffer.concat([Buffer.from([key >> 8, key & 255]), number(value)]))));
export const ping = (text = 'keyreeve', flags = 0, id = 0) => frame(TYPE.PING, flags, id, Buffer.from(text));
export const reset = (id, code = CODE.CANCEL) => frame(TYPE.RST_STREAM, 0, id, number(code));
export const windowUpdate = (id, by) => frame(TYPE.WINDOW_UPDATE, 0, id, number(by));

/** A connection: send frames, and wait for those that come back. */
export class Frames {
  constructor(port, { greets = true, settings: pairs = [], socket } = {}) {
    this.socket = socket ?? connect(port, '127.0.0.1');
    this.rest = Buffer.alloc(0);
    this.frames = [];
    this.closed = false;
    this.waiting = new Set();
    this.socket.on('data', (bytes) => this.#receive(bytes));
    this.socket.on('close', () => ((this.closed = true), this.#wake()));
    this.socket.on('error', () => {});
    if (greets) this.send(PREFACE, settings(...pairs));
  }

  #wake() {
    for (const check of [...this.waiting]) check();
  }

  #receive(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    while (this.rest.length >= 9) {
      const size = this.rest.readUIntBE(0, 3);
      if (this.rest.length < 9 + size) break;
      const [type, flags] = this.rest.subarray(3, 5);
      const one = { type, flags, id: this.rest.readUInt32BE(5), payload: this.rest.subarray(9, 9 + size) };
      if (type === TYPE.RST_STREAM) one.code = one.payload.readUInt32BE(0);
      if (type === TYPE.GOAWAY) Object.assign(one, { last: one.payload.readUInt32BE(0), code: one.payload.readUInt32BE(4) });
      this.frames.push(one);
      this.rest = this.rest.subarray(9 + size);
    }
    this.#wake();
  }

  send(...parts) {
    this.socket.write(Buffer.concat(parts));
  }

  of(type, id) {
    return this.frames.filter((one) => one.type === type && (id === undefined || one.id === id));
  }

  /** The first frame of this kind; rejects when the connection is closed without it. */
  async expect(type, test = () => true, what = JSON.stringify(type)) {
    await this.until(() => this.closed || this.frames.some((one) => one.type === type && test(one)), what);
    const found = this.frames.find((one) => one.type === type && test(one));
    assert.ok(found, `${what}: the connection was closed; there came ${JSON.stringify(this.frames.map(({ type: t, id, code }) => [t, id, code]))}`);
    return found;
  }

  until(condition, what = 'a condition', deadlineMs = 30_000) {
    return new Promise((done, fail) => {
      const check = () => {
        if (!condition(this)) return;
        clearTimeout(timer);
        this.waiting.delete(check);
        done(this);
      };
      const timer = setTimeout(() => {
        this.waiting.delete(check);
        fail(new Error(`${what}: waited ${deadlineMs} ms; there came ${JSON.stringify(this.frames.slice(0, 20).map(({ type, id, code }) => [type, id, code]))}`));
      }, deadlineMs);
      this.waiting.add(check);
      check();
    });
  }

  /** A PING comes back: everything before it was looked at, and the connection lives. */
  async isAlive(text = 'are-you?') {
    this.send(ping(text));
    await this.expect(TYPE.PING, ({ flags, payload }) => flags === ACK && payload.toString() === text, 'the answer to a PING');
  }

  destroy() {
    this.socket.destroy();
  }
}
