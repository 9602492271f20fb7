// SPDX-License-Identifier: Apache-2.0
// A client of the binary validation protocol: frames out, answers in, and raw bytes for what no
// client would send; and what a node would say.
import { connect } from 'node:net';
import { connect as connectSecurely } from 'node:tls';

export const CODES = [
  null, 'VALID', 'MALFORMED', 'NOT_FOUND', 'REVOKED', 'DISABLED', 'EXPIRED', 'NOT_YET_VALID', 'FORBIDDEN', 'INSUFFICIENT_SCOPE', 'RATE_LIMITED', 'QUOTA_EXCEEDED',
  'STALE', 'UNAVAILABLE',
];
export const FAULTS = { LENGTH: 1, OP: 2, FLAGS: 3, COUNT: 4, SHAPE: 5 };

const u16 = (value) => Buffer.from(new Uint16Array([value]).buffer);
const sized = (text) => {
  const bytes = Buffer.from(text);
  return Buffer.concat([u16(bytes.length), bytes]);
};

/** A frame of these parts, whatever they are. */
export function frame({ tag = 0, op = 1, flags = 0, count = 0, length }, ...parts) {
  const head = Buffer.alloc(12);
  const rest = Buffer.concat(parts);
  head.writeUInt32LE(length ?? 8 + rest.length, 0);
  head.writeUInt32LE(tag, 4);
  head.writeUInt8(op, 8);
  head.writeUInt8(flags, 9);
  head.writeUInt16LE(count, 10);
  return Buffer.concat([head, rest]);
}

/** A request as a client sends it. */
export function request(tag, keys, { minIndex, maxStalenessMs, bucket } = {}) {
  const more = [];
  let flags = 0;
  if (minIndex !== undefined) {
    flags |= 1;
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(BigInt(minIndex));
    more.push(number);
  }
  if (maxStalenessMs !== undefined) {
    flags |= 2;
    const number = Buffer.alloc(4);
    number.writeUInt32LE(maxStalenessMs);
    more.push(number);
  }
  if (bucket !== undefined) {
    flags |= 4;
    more.push(sized(bucket));
  }
  return frame({ tag, flags, count: keys.length }, ...keys.map(sized), ...more);
}

/** What a node says to these whole frames: of each key the same. `keys` is how many they ask for. */
export function answersTo(bytes, code) {
  const frames = [];
  let keys = 0;
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32LE(at)) {
    const count = bytes.readUInt16LE(at + 10);
    const rest = Buffer.alloc(12 + 4 * count);
    for (let i = 0; i < count; i++) rest[12 + 4 * i] = CODES.indexOf(code);
    frames.push(frame({ tag: bytes.readUInt32LE(at + 4), count }, rest));
    keys += count;
  }
  return { bytes: Buffer.concat(frames), keys };
}

function parse(bytes) {
  const answer = { tag: bytes.readUInt32LE(4), op: bytes[8] };
  if (answer.op === 255) return { ...answer, fault: bytes[9], text: bytes.subarray(12, 12 + bytes.readUInt16LE(10)).toString() };
  answer.index = Number(bytes.readBigUInt64LE(12));
  if (answer.op === 2) {
    const lost = Array.from({ length: bytes.readUInt16LE(10) }, (_, i) => bytes.subarray(24 + 40 * i, 64 + 40 * i));
    if (bytes.length !== 24 + 40 * lost.length) throw new Error(`news of ${lost.length} keys in ${bytes.length} bytes`);
    const isLease = (bytes[9] & 1) !== 0;
    return {
      ...answer,
      leaseMs: isLease ? bytes.readUInt32LE(20) : undefined,
      dropsAll: (bytes[9] & 2) !== 0,
      lost: lost.map((one) => ({ digest: one.subarray(0, 32).toString('hex'), revision: Number(one.readBigUInt64LE(32)) })),
    };
  }
  answer.ageMs = bytes.readUInt32LE(20);
  answer.results = [];
  let at = 24;
  for (let i = bytes.readUInt16LE(10); i > 0; i--) {
    const size = bytes.readUInt16LE(at + 2);
    answer.results.push({ code: CODES[bytes[at]], mayKeep: bytes[at + 1] === 1, body: bytes.subarray(at + 4, at + 4 + size).toString() });
    at += 4 + size;
  }
  if (at !== bytes.length) throw new Error(`an answer of ${bytes.length} bytes has ${at}`);
  return answer;
}

/** A connection to "HOST:PORT" or a unix socket's path; with TLS when it has options of tls.connect. */
export function binary(place, secure) {
  const colon = place.lastIndexOf(':');
  const [host, port] = [place.slice(0, colon), Number(place.slice(colon + 1))];
  const socket = secure ? connectSecurely({ host, port, ...secure }) : colon < 0 ? connect(place) : connect(port, host);
  const answers = [];
  const waiting = new Set();
  let received = Buffer.alloc(0);
  let isClosed = false;
  let tag = 0;
  const wake = () => [...waiting].forEach((check) => check());
  socket.on('data', (bytes) => {
    received = Buffer.concat([received, bytes]);
    while (received.length >= 4 && received.length >= 4 + received.readUInt32LE(0)) {
      const size = 4 + received.readUInt32LE(0);
      answers.push(parse(received.subarray(0, size)));
      received = received.subarray(size);
    }
    wake();
  });
  socket.on('close', () => ((isClosed = true), wake()));
  socket.on('error', () => {});
  const until = (check, what) =>
    new Promise((done, fail) => {
      const timer = setTimeout(() => end(new Error(`waited in vain for ${what}; ${answers.length} answers came`)), 30_000);
      const end = (error) => (clearTimeout(timer), waiting.delete(test), error ? fail(error) : done());
      const test = () => (check() ? end() : isClosed && end(new Error(`closed before ${what}; ${answers.length} answers came`)));
      waiting.add(test);
      test();
    });
  return {
    socket,
    answers,
    write: (bytes) => socket.write(bytes),
    end: () => socket.end(),
    destroy: () => socket.destroy(),
    /** The next answer that nobody has taken. */
    async next() {
      await until(() => answers.length > 0, 'an answer');
      return answers.shift();
    },
    async some(count) {
      await until(() => answers.length >= count, `${count} answers`);
      return answers.splice(0, count);
    },
    /** Waits for the other side's end; nothing half may be left. */
    async closed() {
      await new Promise((done, fail) => {
        if (isClosed) return done();
        const timer = setTimeout(() => fail(new Error('the connection stays open')), 30_000);
        socket.once('close', () => (clearTimeout(timer), done()));
      });
      if (received.length > 0) throw new Error(`${received.length} bytes of half an answer`);
    },
    async ask(keys, more) {
      tag += 1;
      socket.write(request(tag, keys, more));
      const answer = await this.next();
      if (answer.tag !== tag) throw new Error(`asked ${tag}, was answered ${JSON.stringify(answer)}`);
      return answer;
    },
    /** The code of one key. */
    async code(key, more) {
      return (await this.ask([key], more)).results[0].code;
    },
  };
}
