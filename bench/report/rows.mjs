// SPDX-License-Identifier: Apache-2.0
// Result rows as the report reads them: lines of rows.jsonl (docs/benchmark.md), and what follows from
// a row's histogram, values or points.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FORMAT = 1;

function parse(line, number, path) {
  let row;
  try {
    row = JSON.parse(line);
  } catch (error) {
    throw new Error(`${path}:${number}: is no JSON (${error.message})`);
  }
  if (row.format !== FORMAT) throw new Error(`${path}:${number}: format ${row.format}; this report reads ${FORMAT}`);
  if (typeof row.name !== 'string' || typeof row.stats !== 'object')
    throw new Error(`${path}:${number}: a row has a name and stats`);
  return { conditions: {}, ...row, number };
}

/** All rows of a directory; `number` is the line. */
export function readRows(directory) {
  const path = join(directory, 'rows.jsonl');
  if (!existsSync(path)) throw new Error(`${path} is not there; the subcommands write it with --out ${directory}`);
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((line, i) => (line.trim() === '' ? null : parse(line, i + 1, path)))
    .filter(Boolean);
}

const keyOf = ({ name, system, region, conditions }) => JSON.stringify([name, system, region, conditions]);

/** Of rows that say the same under the same conditions, the last. */
export function latest(rows) {
  return [...new Map(rows.map((row) => [keyOf(row), row])).values()];
}

/** Without those over TCP relays where there are some over packets, which say more. */
export function drawn(rows) {
  return rows.some((row) => row.conditions.form === 'tun') ? rows.filter((row) => row.conditions.form !== 'relay') : rows;
}

export const isRelayed = (row) => row.conditions.form === 'relay';

/** Rows of a name, and of these conditions ("system" and "region" among them). */
export function select(rows, name, wanted = {}) {
  return rows.filter(
    (row) => row.name === name && Object.entries(wanted).every(([key, value]) => (row[key] ?? row.conditions[key]) === value),
  );
}

/** Pairs [value, how many], upwards, of a row's durations. */
function bins(row) {
  if (row.histogram) return row.histogram;
  return (row.values ?? []).filter((value) => value !== null).sort((a, b) => a - b).map((value) => [value, 1]);
}

/** The share of what is at most x, as points {x, y: 0..1}; at most about `most` of them. */
export function distribution(row, most = 240) {
  if (row.points) return row.points.map(([x, y]) => ({ x, y }));
  const all = bins(row);
  const total = all.reduce((sum, [, count]) => sum + count, 0);
  const points = [];
  let seen = 0;
  for (const [value, count] of all) {
    const before = seen;
    seen += count;
    // What no eye tells apart is left out, the tail never.
    const isSeen = Math.floor((before / total) * most) !== Math.floor((seen / total) * most) || total - seen < 10;
    if (points.length === 0) points.push({ x: value, y: before / total });
    if (isSeen) points.push({ x: value, y: seen / total });
  }
  return points;
}

/** The value below which each share lies, by "nines": x = -log10(1 - share). */
export function percentileCurve(row) {
  const all = bins(row);
  const total = all.reduce((sum, [, count]) => sum + count, 0);
  const last = Math.log10(total);
  const points = [];
  let seen = 0;
  let next = 0;
  for (const [value, count] of all) {
    seen += count;
    const nines = seen >= total ? last : Math.min(last, -Math.log10(1 - seen / total));
    for (; next <= nines + 1e-9; next += 0.05) points.push({ x: next, y: value });
  }
  points.push({ x: last, y: all.at(-1)[0] });
  return points;
}
