// SPDX-License-Identifier: Apache-2.0
// The error conditions of RFC 9113, each over a real connection: what ends it, what ends a stream,
// and what is passed over. And floods, which end in ENHANCE_YOUR_CALM.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ACK, CODE, END_HEADERS, END_STREAM, Frames, PADDED, PREFACE, TYPE, WITH_PRIORITY, block, frame, head, headers, number, ping, reset, settings, windowUpdate } from './lib/frames.mjs';
import { startNode } from './lib/node.mjs';

let node;
before(async () => {
  node = await startNode();
});
after(() => node.remove());

const post = (...more) => [...head('POST', '/v1/validate'), ...more];
const data = (id, text = '', flags = 0) => frame(TYPE.DATA, flags, id, Buffer.from(text));
const open = (id = 1) => headers(id, post(), END_HEADERS); // a stream whose content is to come
const zeros = (size) => Buffer.alloc(size);
const malformed = (fields) => headers(1, fields);

// What the connection ends with (RFC 9113 §5.4.1).
const connectionErrors = [
  ['3.4', 'a preface that no SETTINGS follow', [ping()], CODE.PROTOCOL, { hasSettings: false }],
  ['4.2', 'DATA longer than SETTINGS_MAX_FRAME_SIZE', [open(), data(1, 'a'.repeat(16385))], CODE.FRAME_SIZE],
  ['4.2', 'HEADERS longer than SETTINGS_MAX_FRAME_SIZE', [frame(TYPE.HEADERS, END_HEADERS, 1, zeros(16385))], CODE.FRAME_SIZE],
  ['4.2', 'an unknown frame that is too long', [frame(0xbe, 0, 0, zeros(16385))], CODE.FRAME_SIZE],
  ['4.3', 'a field block that HPACK cannot read', [frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])], CODE.COMPRESSION],
  ['4.3', 'an index beyond the table', [frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 1, [0xbe])], CODE.COMPRESSION],
  ['4.3', 'another frame within a field block', [headers(1, head(), END_STREAM), ping()], CODE.PROTOCOL],
  ['4.3', 'an unknown frame within a field block', [headers(1, head(), END_STREAM), frame(0xbe, 0, 1)], CODE.PROTOCOL],
  ['4.3', 'another stream within a field block', [headers(1, head(), END_STREAM), headers(3)], CODE.PROTOCOL],
  ['5.1', 'DATA on an idle stream', [data(1, 'a', END_STREAM)], CODE.PROTOCOL],
  ['5.1', 'RST_STREAM on an idle stream', [reset(1)], CODE.PROTOCOL],
  ['5.1', 'WINDOW_UPDATE on an idle stream', [windowUpdate(1, 1)], CODE.PROTOCOL],
  ['5.1', 'CONTINUATION on an idle stream', [frame(TYPE.CONTINUATION, END_HEADERS, 1, block(head()))], CODE.PROTOCOL],
  ['5.1', 'HEADERS behind the end of a stream', [headers(1), headers(1)], CODE.STREAM_CLOSED],
  ['5.1', 'DATA behind the end of a stream that waits', [open(), data(1, '{"key":"k","minIndex":999999999}', END_STREAM), data(1, 'late')], CODE.STREAM_CLOSED],
  ['5.1.1', 'a stream of an even number', [headers(2)], CODE.PROTOCOL],
  ['6.1', 'DATA on stream 0', [data(0, 'a')], CODE.PROTOCOL],
  ['6.1', 'DATA with more padding than content', [open(), frame(TYPE.DATA, PADDED, 1, [5, 1, 2])], CODE.PROTOCOL],
  ['6.2', 'HEADERS on stream 0', [headers(0)], CODE.PROTOCOL],
  ['6.2', 'HEADERS with more padding than content', [frame(TYPE.HEADERS, END_HEADERS | END_STREAM | PADDED, 1, [200, 0x82])], CODE.PROTOCOL],
  ['6.2', 'HEADERS without room for its priority', [frame(TYPE.HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, [0, 0])], CODE.FRAME_SIZE],
  ['6.3', 'PRIORITY on stream 0', [frame(TYPE.PRIORITY, 0, 0, zeros(5))], CODE.PROTOCOL],
  ['6.3', 'PRIORITY of another size', [frame(TYPE.PRIORITY, 0, 1, zeros(4))], CODE.FRAME_SIZE],
  ['6.4', 'RST_STREAM on stream 0', [reset(0)], CODE.PROTOCOL],
  ['6.4', 'RST_STREAM of another size', [open(), frame(TYPE.RST_STREAM, 0, 1, zeros(3))], CODE.FRAME_SIZE],
  ['6.5', 'SETTINGS on a stream', [frame(TYPE.SETTINGS, 0, 1)], CODE.PROTOCOL],
  ['6.5', 'SETTINGS of a broken size', [frame(TYPE.SETTINGS, 0, 0, zeros(3))], CODE.FRAME_SIZE],
  ['6.5', 'an ACK with content', [frame(TYPE.SETTINGS, ACK, 0, zeros(6))], CODE.FRAME_SIZE],
  ['6.5.2', 'SETTINGS_ENABLE_PUSH of 2', [settings([2, 2])], CODE.PROTOCOL],
  ['6.5.2', 'SETTINGS_INITIAL_WINDOW_SIZE of 2^31', [settings([4, 2 ** 31])], CODE.FLOW],
  ['6.5.2', 'SETTINGS_MAX_FRAME_SIZE of 16383', [settings([5, 16383])], CODE.PROTOCOL],
  ['6.5.2', 'SETTINGS_MAX_FRAME_SIZE of 2^24', [settings([5, 2 ** 24])], CODE.PROTOCOL],
  ['6.6', 'PUSH_PROMISE of a client', [headers(1, head(), END_HEADERS), frame(TYPE.PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([number(2), block(head())]))], CODE.PROTOCOL],
  ['6.7', 'PING on a stream', [ping('keyreeve', 0, 1)], CODE.PROTOCOL],
  ['6.7', 'PING of another size', [ping('short')], CODE.FRAME_SIZE],
  ['6.8', 'GOAWAY on a stream', [frame(TYPE.GOAWAY, 0, 1, zeros(8))], CODE.PROTOCOL],
  ['6.8', 'GOAWAY that is too short', [frame(TYPE.GOAWAY, 0, 0, zeros(7))], CODE.FRAME_SIZE],
  ['6.9', 'WINDOW_UPDATE of 0 for the connection', [windowUpdate(0, 0)], CODE.PROTOCOL],
  ['6.9', 'WINDOW_UPDATE of 0 for a stream', [open(), windowUpdate(1, 0)], CODE.PROTOCOL],
  ['6.9', 'WINDOW_UPDATE of another size', [frame(TYPE.WINDOW_UPDATE, 0, 0, zeros(3))], CODE.FRAME_SIZE],
  ['6.9.1', 'a window of the connection beyond 2^31 - 1', [windowUpdate(0, 2 ** 31 - 1)], CODE.FLOW],
  ['6.10', 'CONTINUATION on stream 0', [headers(1, head(), END_STREAM), frame(TYPE.CONTINUATION, END_HEADERS, 0)], CODE.PROTOCOL],
  ['6.10', 'CONTINUATION behind END_HEADERS', [open(), frame(TYPE.CONTINUATION, END_HEADERS, 1)], CODE.PROTOCOL],
  ['6.10', 'CONTINUATION behind DATA', [open(), data(1, 'a'), frame(TYPE.CONTINUATION, END_HEADERS, 1)], CODE.PROTOCOL],
];

for (const [section, name, parts, code, { hasSettings = true } = {}] of connectionErrors)
  test(`§${section}: ${name} ends the connection`, async (t) => {
    const frames = new Frames(node.port, { greets: hasSettings });
    t.after(() => frames.destroy());
    frames.send(...(hasSettings ? [] : [PREFACE]), ...parts);
    assert.equal((await frames.expect(TYPE.GOAWAY, ({ code: c }) => c !== CODE.NONE)).code, code);
    await frames.until(({ closed }) => closed, 'the end of the connection');
  });

// What its stream alone ends with (RFC 9113 §5.4.2).
const streamErrors = [
  ['5.1', 'trailers that do not end the stream', [open(), headers(1, [['x-trailer', '1']], END_HEADERS)], CODE.PROTOCOL],
  ['6.9.1', 'a window of a stream beyond 2^31 - 1', [open(), windowUpdate(1, 2 ** 31 - 1)], CODE.FLOW],
  ['8.1', 'trailers with a pseudo-header', [open(), headers(1, [[':path', '/']])], CODE.PROTOCOL],
  ['8.1.1', 'less content than Content-Length says', [headers(1, post(['content-length', '5']), END_HEADERS), data(1, 'four', END_STREAM)], CODE.PROTOCOL],
  ['8.1.1', 'more content than Content-Length says', [headers(1, post(['content-length', '3']), END_HEADERS), data(1, 'four')], CODE.PROTOCOL],
  ['8.1.1', 'content in pieces, and more than Content-Length says', [headers(1, post(['content-length', '3']), END_HEADERS), data(1, 'tw'), data(1, 'o!', END_STREAM)], CODE.PROTOCOL],
  ['8.1.1', 'no content where Content-Length says some', [headers(1, post(['content-length', '3']))], CODE.PROTOCOL],
  ['8.1.1', 'two Content-Length', [headers(1, post(['content-length', '3'], ['content-length', '3']), END_HEADERS)], CODE.PROTOCOL],
  ['8.1.1', 'a Content-Length that is no number', [headers(1, post(['content-length', '+3']), END_HEADERS)], CODE.PROTOCOL],
  ['8.2.1', 'a field name in upper case', [malformed([...head(), ['X-Upper', '1']])], CODE.PROTOCOL],
  ['8.2.1', 'a field name with a space', [malformed([...head(), ['x y', '1']])], CODE.PROTOCOL],
  ['8.2.1', 'a field name with a colon', [malformed([...head(), ['x:y', '1']])], CODE.PROTOCOL],
  ['8.2.1', 'an empty field name', [malformed([...head(), ['', '1']])], CODE.PROTOCOL],
  ['8.2.1', 'a line break in a value', [malformed([...head(), ['x', '1\r\nx-b: 2']])], CODE.PROTOCOL],
  ['8.2.1', 'a NUL in a value', [malformed([...head(), ['x', '1\0']])], CODE.PROTOCOL],
  ['8.2.1', 'a space before a value', [malformed([...head(), ['x', ' 1']])], CODE.PROTOCOL],
  ['8.2.1', 'a tab behind a value', [malformed([...head(), ['x', '1\t']])], CODE.PROTOCOL],
  ...['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'].map((name) => ['8.2.2', `the field ${name}`, [malformed([...head(), [name, 'x']])], CODE.PROTOCOL]),
  ['8.2.2', 'a TE other than trailers', [malformed([...head(), ['te', 'gzip']])], CODE.PROTOCOL],
  ['8.3', 'an unknown pseudo-header', [malformed([...head(), [':unknown', '1']])], CODE.PROTOCOL],
  ['8.3', 'a pseudo-header of answers', [malformed([...head(), [':status', '200']])], CODE.PROTOCOL],
  ['8.3', 'a pseudo-header behind a field', [malformed([['x', '1'], ...head()])], CODE.PROTOCOL],
  ...[0, 1, 2].map((i) => ['8.3.1', `no ${head()[i][0]}`, [malformed(head().filter((_, at) => at !== i))], CODE.PROTOCOL]),
  ['8.3.1', 'neither :authority nor Host', [malformed(head().slice(0, 3))], CODE.PROTOCOL],
  ...[0, 1, 2, 3].map((i) => ['8.3.1', `${head()[i][0]} twice`, [malformed([...head(), head()[i]])], CODE.PROTOCOL]),
  ['8.3.1', 'an empty :path', [malformed(head('GET', ''))], CODE.PROTOCOL],
  ['8.3.1', 'a :path without a slash', [malformed(head('GET', 'healthz'))], CODE.PROTOCOL],
  ['8.3.1', 'the asterisk for GET', [malformed(head('GET', '*'))], CODE.PROTOCOL],
  ['8.5', 'CONNECT with a path', [malformed(head('CONNECT', '/'))], CODE.PROTOCOL],
];

for (const [section, name, parts, code] of streamErrors)
  test(`§${section}: ${name} ends the stream alone`, async (t) => {
    const frames = new Frames(node.port);
    t.after(() => frames.destroy());
    frames.send(...parts);
    assert.equal((await frames.expect(TYPE.RST_STREAM, ({ id }) => id === 1)).code, code);
    frames.send(headers(9));
    await frames.expect(TYPE.HEADERS, ({ id }) => id === 9, 'the answer on another stream');
    assert.equal(frames.of(TYPE.HEADERS, 1).length, 0);
    assert.equal(frames.of(TYPE.GOAWAY).length, 0);
  });

// What is passed over, or allowed.
const fine = [
  ['4.1', 'an unknown frame', [frame(0xbe, 0xff, 0, zeros(8))]],
  ['4.1', 'unknown flags', [frame(TYPE.PING, 0xfe, 0, zeros(8))]],
  ['4.1', 'a reserved bit', [frame(TYPE.WINDOW_UPDATE, 0, 2 ** 31, number(1))]],
  ['5.1', 'PRIORITY on an idle stream', [frame(TYPE.PRIORITY, 0, 7, [0, 0, 0, 0, 1])]],
  ['5.1', 'RST_STREAM and WINDOW_UPDATE behind the end of a stream', [headers(1), reset(1), windowUpdate(1, 1)]],
  ['5.1', 'DATA on a stream that was reset', [open(), reset(1), data(1, 'a')]],
  ['5.1.1', 'a stream of a lower number', [headers(5), headers(3)]],
  ['5.5', 'an unknown setting', [settings([0xbeef, 1])]],
  ['6.4', 'RST_STREAM with an unknown code', [open(), reset(1, 0xbeef)]],
  ['6.5.3', 'an ACK that nobody waits for', [frame(TYPE.SETTINGS, ACK, 0)]],
  ['6.7', 'the answer to a PING that nobody sent', [ping('nobody--', ACK)]],
  ['6.9.2', 'a window that becomes negative', [open(), settings([4, 0])]],
];

for (const [section, name, parts] of fine)
  test(`§${section}: ${name} is passed over`, async (t) => {
    const frames = new Frames(node.port);
    t.after(() => frames.destroy());
    frames.send(...parts);
    await frames.isAlive();
    assert.equal(frames.of(TYPE.GOAWAY).length, 0);
  });

test('§6.5.3: SETTINGS are acknowledged; §6.7: so is a PING, with its content', async (t) => {
  const frames = new Frames(node.port);
  t.after(() => frames.destroy());
  await frames.expect(TYPE.SETTINGS, ({ flags }) => flags === ACK);
  await frames.isAlive('12345678');
});

test('§5.1.2: a stream too many is refused, and ends the connection of a client that knows the bound', async (t) => {
  const frames = new Frames(node.port);
  t.after(() => frames.destroy());
  for (let i = 0; i < 129; i++) frames.send(open(2 * i + 1));
  assert.equal((await frames.expect(TYPE.RST_STREAM)).id, 257);
  assert.equal(frames.of(TYPE.RST_STREAM)[0].code, CODE.REFUSED);
  frames.send(frame(TYPE.SETTINGS, ACK, 0), open(259));
  assert.equal((await frames.expect(TYPE.GOAWAY)).code, CODE.PROTOCOL);
});

test('§6.10: a request in many frames, and padded content', async (t) => {
  const frames = new Frames(node.port);
  t.after(() => frames.destroy());
  const fields = head('POST', '/v1/validate');
  frames.send(frame(TYPE.HEADERS, 0, 1, block(fields.slice(0, 1))), ...fields.slice(1).map((field, i) => frame(TYPE.CONTINUATION, i === 2 ? END_HEADERS : 0, 1, block([field]))));
  frames.send(frame(TYPE.DATA, PADDED, 1, Buffer.concat([Buffer.from([3]), Buffer.from('{"key":'), zeros(3)])), data(1, '"k"}', END_STREAM));
  await frames.expect(TYPE.DATA, ({ id, flags, payload }) => id === 1 && flags === END_STREAM && JSON.parse(payload.toString()).code === 'MALFORMED');
});

test('byte by byte the same is understood', async (t) => {
  const frames = new Frames(node.port, { greets: false });
  t.after(() => frames.destroy());
  frames.socket.setNoDelay(true);
  for (const byte of Buffer.concat([PREFACE, settings(), headers(1)])) {
    frames.send(Buffer.from([byte]));
    await new Promise((done) => setImmediate(done));
  }
  await frames.expect(TYPE.HEADERS);
});

test('§3.4: what only begins like the preface is HTTP/1.1, and no valid one', async (t) => {
  for (const [text, status] of [['PRI * HTTP/2.0\r\n\r\nSM\r\n\rX', 501], ['PRI * HTTP/2.0\r\nHost: a\r\n\r\n', 501], ['PRIX / HTTP/1.1\r\nHost: a\r\n\r\n', 404]]) {
    const frames = new Frames(node.port, { greets: false });
    t.after(() => frames.destroy());
    let received = '';
    frames.socket.on('data', (bytes) => (received += bytes));
    frames.send(Buffer.from(text));
    await new Promise((done) => frames.socket.once('data', done));
    assert.match(received, new RegExp(`^HTTP/1\\.1 ${status} `), text);
  }
});

// --- floods --------------------------------------------------------------------------------------

const floods = [
  ['rapid resets', (i) => [headers(2 * i + 1), reset(2 * i + 1)]],
  ['malformed requests', (i) => [headers(2 * i + 1, [...head(), ['X', '1']])]],
  ['PING', () => [ping()]],
  ['SETTINGS', () => [settings([4, 65535])]],
  ['PRIORITY', () => [frame(TYPE.PRIORITY, 0, 7, [0, 0, 0, 0, 1])]],
  ['empty DATA', (i) => (i === 0 ? [open(1)] : [data(1)])],
  ['DATA of padding', (i) => (i === 0 ? [open(1)] : [frame(TYPE.DATA, PADDED, 1, [0])])],
  ['HEADERS of streams that are over', (i) => (i === 0 ? [headers(80_001)] : [headers(2 * i - 1)])],
  ['CONTINUATION', (i) => (i === 0 ? [headers(1, head(), END_STREAM)] : [frame(TYPE.CONTINUATION, 0, 1)])],
  ['fields that are called up again', (i) => (i === 0 ? [headers(1, head(), END_STREAM)] : [frame(TYPE.CONTINUATION, 0, 1, Buffer.concat([Buffer.from([0x40, 1, 120, 126]), Buffer.alloc(126, 'v'), Buffer.alloc(2000, 0x80 | 62)]))])],
];

/** Answers a function that asks the node on a connection of its own, and waits for a 200. */
function startNeighbour(t, { port }) {
  const frames = new Frames(port);
  t.after(() => frames.destroy());
  let id = -1;
  return async () => {
    id += 2;
    frames.send(headers(id));
    await frames.until(({ closed }) => closed || frames.of(TYPE.HEADERS, id).length > 0, 'the answer to a neighbour', 5000);
    assert.equal(frames.of(TYPE.HEADERS, id)[0]?.payload[0], 0x80 | 8, ':status 200 (RFC 7541, appendix A)');
  };
}

describe('where all connections are served by one loop', () => {
  let loop;
  before(async () => {
    loop = await startNode({ flags: ['--serve-threads', '1'] });
  });
  after(() => loop?.remove());

  for (const [name, make] of floods)
    test(`a flood of ${name} is told to calm down, and nobody else feels it`, async (t) => {
      const ask = startNeighbour(t, loop);
      await ask();
      const frames = new Frames(loop.port);
      t.after(() => frames.destroy());
      let goaway;
      for (let i = 0; i < 40_000 && !goaway && !frames.closed; i += 500) {
        const parts = [];
        for (let k = i; k < i + 500; k++) parts.push(...make(k));
        frames.send(...parts);
        await ask(); // behind these, or between them
        [goaway] = frames.of(TYPE.GOAWAY);
      }
      goaway = await frames.expect(TYPE.GOAWAY);
      assert.equal(goaway.code, CODE.CALM);
      await frames.until(({ closed }) => closed, 'the end of the connection');
      await ask();
    });
});
