// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made with the openssl program: a CA, and what it signs.
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** A CA in a directory of its own files: NAME.pem, NAME-key.pem. */
export class Authority {
  constructor(directory, name = 'ca') {
    this.directory = directory;
    this.name = name;
    this.openssl('req', '-x509', ...CURVE, '-keyout', `${name}-key.pem`, '-out', `${name}.pem`, '-days', '3', '-subj', `/CN=${name}`);
  }

  openssl(...args) {
    execFileSync('openssl', args, { cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  file(name) {
    return join(this.directory, name);
  }

  get pem() {
    return readFileSync(this.file(`${this.name}.pem`), 'utf8');
  }

  /** A certificate for these names (DNS:…, IP:…): {cert, key} are paths, {certPem, keyPem} texts. */
  issue(name, alternatives = 'DNS:localhost,IP:127.0.0.1', { days = 2, serial = Date.now() } = {}) {
    const paths = { cert: this.file(`${name}.pem`), key: this.file(`${name}-key.pem`) };
    writeFileSync(this.file(`${name}.ext`), `subjectAltName=${alternatives}\n`);
    this.openssl('req', '-new', ...CURVE, '-keyout', paths.key, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    this.openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${this.name}.pem`, '-CAkey', `${this.name}-key.pem`, '-set_serial', String(serial),
      '-days', String(days), '-extfile', `${name}.ext`, '-out', paths.cert);
    chmodSync(paths.key, 0o600);
    return { ...paths, certPem: readFileSync(paths.cert, 'utf8'), keyPem: readFileSync(paths.key, 'utf8') };
  }
}
