// SPDX-License-Identifier: Apache-2.0
// A real YAML parser for the shipped manifests: Debian's js-yaml, which lies where Debian puts it.
import { createRequire } from 'node:module';
import { shipped } from './gateway.mjs';

const yaml = createRequire(import.meta.url)('/usr/share/nodejs/js-yaml');

/** The documents of a shipped file. */
export const documents = (path) => yaml.loadAll(shipped(path));
