// SPDX-License-Identifier: Apache-2.0
// A small file system that a test can fill.
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, symlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A small file system of its own, or undefined where mounting is not permitted. */
export function mountSmall(t, sizeMib) {
  const path = mkdtempSync(join(tmpdir(), 'keyreeve-small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'keyreeve-test', path], { stdio: 'ignore' });
  } catch {
    rmSync(path, { recursive: true });
    return undefined;
  }
  t.after(() => {
    execFileSync('umount', ['-l', path]);
    rmSync(path, { recursive: true });
  });
  return path;
}

/** Such a one below the data of a node that is to be set up in this folder. RocksDB sets some room aside at once. */
export function mountBelow(t, nodeDir) {
  const disk = mountSmall(t, 384);
  if (!disk) return undefined;
  mkdirSync(nodeDir, { recursive: true });
  mkdirSync(join(disk, 'data'), { mode: 0o700 });
  symlinkSync(join(disk, 'data'), join(nodeDir, 'data'));
  return disk;
}

/** Fills the file system up to so many free bytes; answers how to empty it again. */
export function fill(path, leaveBytes) {
  const file = openSync(join(path, 'filler'), 'w');
  const block = Buffer.alloc(64 * 1024, 1);
  try {
    for (let { bavail, bsize } = statfsSync(path); bavail * bsize > leaveBytes; { bavail, bsize } = statfsSync(path)) writeSync(file, block);
  } catch (error) {
    if (error.code !== 'ENOSPC') throw error;
  }
  return () => {
    ftruncateSync(file, 0);
    closeSync(file);
  };
}
