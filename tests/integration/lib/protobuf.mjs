// SPDX-License-Identifier: Apache-2.0
// Just enough of protobuf's wire format to write and read messages by field number.

function varint(value) {
  const bytes = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

/** A message from [number, value] pairs: a number or boolean is a varint, the rest has a length. */
export function encode(fields) {
  return Buffer.concat(
    fields.map(([number, value]) => {
      if (typeof value === 'number' || typeof value === 'boolean') return Buffer.concat([varint(number << 3), varint(Number(value))]);
      const bytes = Buffer.from(value);
      return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
    }),
  );
}

/** The fields of a message: number → array of values, varints as numbers, the rest as buffers. */
export function decode(bytes) {
  const fields = {};
  let at = 0;
  const next = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  };
  while (at < bytes.length) {
    const tag = next();
    const isBytes = (tag & 7) === 2;
    const number = next();
    (fields[tag >> 3] ??= []).push(isBytes ? bytes.subarray(at, (at += number)) : number);
  }
  return fields;
}
