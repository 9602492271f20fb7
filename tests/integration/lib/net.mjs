// SPDX-License-Identifier: Apache-2.0
// Loopback networks for the tests: test files run beside each other, and each has its own.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

// What a file that was killed may have left running: nodes, gateways, members of etcd.
const USED = [...[1, 2, 3, 4, 5, 6, 7].map((last) => [last, 7400]), [1, 8000], ...[101, 102, 103].map((last) => [last, 2379])];

function answers(host, port) {
  const socket = connect({ host, port });
  return new Promise((done) => socket.on('connect', () => done(true)).on('error', () => done(false))).finally(() => socket.destroy());
}

/**
 * A network 127.0.N.x that no other test has and where nothing runs: it is claimed by a socket, which
 * this process holds to its end. Its ports need not be searched for.
 */
export async function claimNet() {
  for (let net = 80; net < 240; net++) {
    const claim = createServer().unref();
    claim.listen(7399, `127.0.${net}.254`);
    const isOurs = await once(claim, 'listening').then(
      () => true,
      () => false,
    );
    if (!isOurs) continue;
    const found = await Promise.all(USED.map(([last, port]) => answers(`127.0.${net}.${last}`, port)));
    if (!found.includes(true)) return net;
    claim.close();
  }
  throw new Error('every network from 127.0.80.x to 127.0.239.x is in use');
}

let ownNet;
let nextPort = 8000;

/** Where a program of this test file may listen, and nothing else does: {host, port}. */
export async function claimPlace() {
  ownNet ??= claimNet();
  return { host: `127.0.${await ownNet}.1`, port: nextPort++ };
}
