// SPDX-License-Identifier: Apache-2.0
// The route table of the node, read from its source, so that no test keeps a second list.
import { readFileSync } from 'node:fs';

const source = readFileSync(new URL('../../../node/dispatch_table.h', import.meta.url), 'utf8');

/** Every row: {name, method, path, kind, right, limitBytes}. */
export function readRoutes() {
  const shorthand = {};
  const expand = (text) =>
    text
      .match(/"[^"]*"|[A-Z]+/g)
      .map((part) => (part.startsWith('"') ? part.slice(1, -1) : shorthand[part]))
      .join('');
  for (const [, name, value] of source.matchAll(/^#define ([A-Z]) (.*)$/gm)) shorthand[name] = expand(value);
  const limits = { KR_BODY_NONE: 0, KR_BODY_USUAL: 1 << 20, KR_BODY_BULK: 16 << 20 };
  return [...source.matchAll(/^ROUTE\(([^)]*)\)/gm)].map(([, row]) => {
    const [name, method, path, kind, right, limit] = row.split(',').map((cell) => cell.trim());
    return {
      name: expand(name),
      method: expand(method),
      path: expand(path),
      kind,
      right,
      limitBytes: limits[limit] ?? Number(limit),
    };
  });
}
