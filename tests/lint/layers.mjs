// SPDX-License-Identifier: Apache-2.0
// Layers: an include goes down the layers of ARCHITECTURE.md, or stays in its folder.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { C_FILES, files, folderOf, includes, main, read } from './tree.mjs';

// Each layer with all layers below it. core/http and core/keys never see each other.
const BELOW = {
  'core/base': [],
  'core/keys': ['core/base'],
  'core/http': ['core/base'],
  'core/tls': ['core/base'],
  'core/yaml': ['core/base'],
  proto: ['core/keys', 'core/base'],
  'core/store': ['proto', 'core/keys', 'core/base'],
  replication: ['core/store', 'core/tls', 'proto', 'core/keys', 'core/base'],
  node: ['replication', 'core/store', 'core/http', 'core/tls', 'core/yaml', 'proto', 'core/keys', 'core/base'],
  client: ['proto', 'core/tls', 'core/keys', 'core/base'],
  bench: ['replication', 'core/store', 'core/http', 'core/tls', 'core/yaml', 'proto', 'core/keys', 'core/base'],
};
const LAYERS = Object.keys(BELOW);

const layerOf = (path) => LAYERS.find((layer) => path.startsWith(`${layer}/`));

// A unit test stands where its layer stands; a fuzz target may use every parser, a program that
// integration tests drive every layer.
function allowedFor(path) {
  if (/^tests\/(fuzz|integration)\//.test(path)) return LAYERS;
  if (path.startsWith('tests/sim/')) return ['replication', ...BELOW.replication];
  const tested = /^tests\/unit\/(.*)/.exec(path);
  const layer = layerOf(tested ? tested[1] : path);
  return layer && [layer, ...BELOW[layer]];
}

function checkInclude(root, path, { line, path: included }) {
  if (/\.pb-c\.h$/.test(included)) return null; // generated; its border is another rule
  const target = layerOf(included);
  if (target === undefined) {
    const isOfTests = path.startsWith('tests/') &&
      (existsSync(join(root, folderOf(path), included)) || (/^tests\/(unit|sim)\//.test(included) && existsSync(join(root, included))));
    return isOfTests ? null : `${path}:${line}: "${included}" is not named from the root`;
  }
  if (!existsSync(join(root, included))) return `${path}:${line}: there is no ${included}`;
  const allowed = allowedFor(path);
  if (allowed === undefined) return `${path}: belongs to no layer`;
  if (allowed.includes(target)) return null;
  return `${path}:${line}: must not include ${included}: ${target} is not below`;
}

export function check(root) {
  const problems = [];
  for (const path of files(root, C_FILES)) {
    for (const one of includes(read(root, path)).filter((include) => !include.isForeign)) {
      const problem = checkInclude(root, path, one);
      if (problem) problems.push(problem);
    }
  }
  return { problems };
}

main(import.meta.url, check);
