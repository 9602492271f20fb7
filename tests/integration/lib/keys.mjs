// SPDX-License-Identifier: Apache-2.0
// Values that look like keys, made without asking the node: well-formed, damaged and imported ones.
import { createHash, randomBytes } from 'node:crypto';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** CRC-32 of IEEE 802.3 as 8 lower-case hex digits. */
export function crc32(text) {
  let crc = 0xffffffff;
  for (const byte of Buffer.from(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ((crc ^ 0xffffffff) >>> 0).toString(16).padStart(8, '0');
}

/** A well-formed key that nobody has issued. */
export function strangerKey(prefix = 'kr_live') {
  const body = Array.from(randomBytes(43), (byte) => alphabet[byte % 62]).join('');
  return `${prefix}_${body}_${crc32(body)}`;
}

/** A key's structure with a checksum that is not its own. */
export function misspelled(key = strangerKey()) {
  return key.slice(0, -1) + (key.endsWith('0') ? '1' : '0');
}

/** A value as another system may have issued it: no structure of ours. */
export function foreignValue(size = 40) {
  return `sk-${randomBytes(size).toString('base64url').slice(0, size - 3)}`;
}

export const sha256 = (text, encoding) => createHash('sha256').update(text).digest(encoding);

export const keyPattern = /^[a-z][a-z0-9]{1,15}(?:_[a-z0-9]{1,15}){0,2}_[0-9A-Za-z]{32,64}_[0-9a-f]{8}$/;
