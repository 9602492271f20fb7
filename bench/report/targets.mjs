// SPDX-License-Identifier: Apache-2.0
// The table of targets: what each says, what was measured, and whether that is what was meant.

const isWhere = (row, { where = {} }) => Object.entries(where).every(([name, value]) => row.conditions[name] === value);
const sameTarget = (row, figure) =>
  row.name === figure.row && isWhere(row, figure) && row.target.stat === figure.stat && row.target.atMost === figure.atMost && row.target.atLeast === figure.atLeast;

function isMet(row) {
  const value = row.stats[row.target.stat];
  return row.target.atMost !== undefined ? value <= row.target.atMost : value >= row.target.atLeast;
}

/** The conditions that the target is meant for and the row was not measured under: {keys: 1000000, …}. */
export function otherConditions(row) {
  const wanted = Object.entries(row.target.at ?? {});
  return Object.fromEntries(wanted.filter(([name, value]) => row.conditions[name] !== value).map(([name]) => [name, row.conditions[name] ?? null]));
}

// Of several rows for one figure, those under the right conditions count, and of them the worst.
function choose(rows) {
  const right = rows.filter((row) => Object.keys(otherConditions(row)).length === 0);
  const badness = (row) => (row.target.atMost !== undefined ? row.stats[row.target.stat] : -row.stats[row.target.stat]);
  return (right.length > 0 ? right : rows).sort((a, b) => badness(b) - badness(a))[0];
}

function judge(figure, id, rows) {
  const row = choose(rows.filter((one) => one.id === id && one.target && sameTarget(one, figure)));
  if (row === undefined) return { says: figure.says, row: null, status: 'unmeasured' };
  const others = otherConditions(row);
  const status = Object.keys(others).length > 0 ? 'elsewhere' : isMet(row) ? 'met' : 'missed';
  return { says: figure.says, row, status, others, isMet: isMet(row) };
}

/** [{id, title, figures: [{says, row, status: met | missed | elsewhere | unmeasured, others, isMet}]}] */
export function judgeAll(targets, rows) {
  return targets.map(({ id, title, figures }) => ({ id, title, figures: figures.map((figure) => judge(figure, id, rows)) }));
}
