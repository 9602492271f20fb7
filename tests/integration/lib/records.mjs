// SPDX-License-Identifier: Apache-2.0
// Records that no TLS client sends, on a connection that a real handshake has opened.
import { createCipheriv, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';

const DATA = 23;
const HANDSHAKE = 22;
const TAG_SIZE = 16;
const CIPHERS = 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256';
const CLIENT_HELLO = Buffer.from([1, 0, 0, 0]); // as far as anybody looks at one that is refused
const KEY_UPDATE = Buffer.from([24, 0, 0, 1, 1]); // "and you, too" (RFC 8446 §4.6.3)

const hmac = (secret, ...parts) => parts.reduce((hash, part) => hash.update(part), createHmac('sha256', secret)).digest();
const u16 = (value) => Buffer.from([value >> 8, value & 255]);

function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function encrypt(key, nonce, extra, plain) {
  const cipher = createCipheriv('aes-128-gcm', key, nonce).setAAD(extra);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** HKDF-Expand-Label without a context, of one hash's size or less (RFC 8446 §7.1). */
function expandLabel(secret, label, size) {
  const name = Buffer.from(`tls13 ${label}`);
  return hmac(secret, u16(size), Buffer.from([name.length]), name, Buffer.from([0, 1])).subarray(0, size);
}

/** What a client seals with TLS 1.3, behind its handshake. */
class Sealer13 {
  constructor(secret) {
    this.rekey(secret);
  }

  rekey(secret) {
    this.secret = secret;
    this.key = expandLabel(secret, 'key', 16);
    this.iv = expandLabel(secret, 'iv', 12);
    this.count = 0;
  }

  seal(type, content) {
    const head = Buffer.concat([Buffer.from([DATA, 3, 3]), u16(content.length + 1 + TAG_SIZE)]);
    const nonce = Buffer.from(this.iv);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ this.count++) >>> 0, 8);
    return Buffer.concat([head, encrypt(this.key, nonce, head, Buffer.concat([content, Buffer.from([type])]))]);
  }

  /** Asks for new keys. */
  question() {
    const record = this.seal(HANDSHAKE, KEY_UPDATE);
    this.rekey(expandLabel(this.secret, 'traffic upd', 32));
    return record;
  }
}

/** The same with TLS 1.2: the key block of RFC 5246 §6.3, the records of RFC 5288. */
class Sealer12 {
  constructor(master, clientRandom, serverRandom) {
    const seed = Buffer.concat([Buffer.from('key expansion'), serverRandom, clientRandom]);
    const first = hmac(master, seed);
    const second = hmac(master, first);
    const block = Buffer.concat([hmac(master, first, seed), hmac(master, second, seed)]);
    this.key = block.subarray(0, 16);
    this.salt = block.subarray(32, 36);
    this.count = 1; // Finished was the first
  }

  seal(type, content) {
    const count = u64(this.count++);
    const sealed = encrypt(this.key, Buffer.concat([this.salt, count]), Buffer.concat([count, Buffer.from([type, 3, 3]), u16(content.length)]), content);
    return Buffer.concat([Buffer.from([type, 3, 3]), u16(count.length + sealed.length), count, sealed]);
  }

  /** Asks for a new handshake. */
  question() {
    return this.seal(HANDSHAKE, CLIENT_HELLO);
  }
}

function sealerOf(secrets, heard) {
  const traffic = secrets.CLIENT_TRAFFIC_SECRET_0;
  if (traffic) return new Sealer13(traffic[1]);
  const [random, master] = secrets.CLIENT_RANDOM;
  return new Sealer12(master, random, heard.subarray(11, 43)); // of the ServerHello
}

/**
 * Shakes hands ("TLSv1.2" or "TLSv1.3") and reads no more: {socket, data(text), question()}. The
 * latter two make records; what they make is sent in the order in which it was made.
 */
export async function openRecords(t, { port, ca, version }) {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  t.after(() => socket.destroy());
  let heard = Buffer.alloc(0);
  const wire = new Duplex({ read() {}, write: (bytes, _, done) => socket.write(bytes, done) });
  const hear = (bytes) => ((heard = Buffer.concat([heard, bytes])), wire.push(bytes));
  socket.on('data', hear);
  const secrets = {};
  const client = connectTls({ socket: wire, servername: 'localhost', ca, minVersion: version, maxVersion: version, ciphers: CIPHERS });
  client.on('error', () => {}).on('keylog', (line) => {
    const [name, ...values] = line.toString().trim().split(' ');
    secrets[name] = values.map((value) => Buffer.from(value, 'hex'));
  });
  await once(client, 'secureConnect');
  socket.off('data', hear).pause();
  const sealer = sealerOf(secrets, heard);
  return { socket, data: (text) => sealer.seal(DATA, Buffer.from(text)), question: () => sealer.question() };
}
