// SPDX-License-Identifier: Apache-2.0
// A passage to a node for one test: counts who goes through, and can hold back what the node says.
import { connect, createServer } from 'node:net';

/**
 * Leads to "HOST:PORT": {place, connections, holds}. While it holds, what the node says waits for
 * the connection's end, and both leave in one piece.
 */
export async function openPassage(t, target) {
  const colon = target.lastIndexOf(':');
  const [host, port] = [target.slice(0, colon), Number(target.slice(colon + 1))];
  const passage = { connections: 0, holds: false };
  const sockets = new Set();
  const keep = (socket) => (sockets.add(socket), socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
  const server = createServer((client) => {
    const node = keep(connect(port, host));
    const held = [];
    passage.connections += 1;
    keep(client).pipe(node);
    node.on('data', (bytes) => (passage.holds ? held.push(bytes) : client.write(bytes)));
    node.on('end', () => client.end(Buffer.concat(held)));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => (sockets.forEach((socket) => socket.destroy()), server.close()));
  passage.place = `127.0.0.1:${server.address().port}`;
  return passage;
}
