// SPDX-License-Identifier: Apache-2.0
// The report's charts: which rows each is made of, and how it is drawn. A chart without rows is null.
import { bars, lines, ranges, worldMap } from './builders.mjs';
import { milliseconds, quantity } from './numbers.mjs';
import { distribution, drawn, isRelayed, percentileCurve, select } from './rows.mjs';
import { color, SERIES } from './theme.mjs';

const SYSTEMS = {
  keyreeve: 'Keyreeve', empty: 'its own empty handler', bare: 'bare socket', redis: 'Redis 7', postgresql: 'PostgreSQL 15', etcd: 'etcd 3.4',
  ttl: 'cache, 60 s', memcached: 'memcached', nginx: 'nginx', disk: 'the disk',
};
export const systemName = (name) => SYSTEMS[name] ?? name;

// Where the regions of the topologies that we ship are.
const PLACES = {
  'us-east': [-77.5, 39], 'us-west': [-121, 45.6], 'eu-west': [-6.3, 53.3], 'ap-northeast': [139.7, 35.7], 'sa-east': [-46.6, -23.5],
};

const ours = (rows, name, wanted = {}) => select(rows, name, { system: 'keyreeve', ...wanted });
const stat = (row, name) => milliseconds(row.stats[name], row.unit);
const byMedian = (a, b) => a.stats.p50 - b.stats.p50;

/** The world that most is said of: an emulated one before the loopback. */
export function worldOf(rows) {
  const worlds = [...new Set(select(rows, 'propagate.delay').map((row) => row.conditions.world))];
  return worlds.find((world) => world !== 'loopback') ?? worlds[0];
}

// With the engine local one flush at the leader commits, as with what it is compared with; with etcd a
// majority of members, which may be regions away.
function sameEngine(rows) {
  const local = rows.filter((row) => row.conditions.engine === 'local');
  return local.length > 0 ? local : rows;
}

// Of `beside`, which measures a pair of nodes as it does the others' pairs: those rows tell settings.
const isPair = (row) => row.conditions.settings !== undefined;

const quiet = (rows, name) => {
  const all = ours(rows, name, { world: worldOf(rows) }).filter((row) => (row.conditions.way ?? 'single') === 'single' && !isPair(row));
  const idle = all.filter((row) => (row.conditions.load ?? 'idle') === 'idle');
  return sameEngine(idle.length > 0 ? idle : all);
};

const ENGINES = {
  local: 'The leader commits on its own disk (engine local).',
  etcd: 'A majority of etcd members commits (engine etcd), so that the way to the nearest other member and back is in it.',
};
// Of the links, where they are not what a reader expects.
const linksText = (row) => (isRelayed(row) ? ' The links are TCP relays (no root, or no TUN): they delay, and lose nothing.' : '');
const engineText = (row) => ENGINES[row.conditions.engine] ?? '';

export const placeOf = (row) => row.region ?? row.conditions.node ?? 'node';

/** [{place, delay, link, excess, color}], the nearest first: of each region the node that is last. */
export function places(rows) {
  const slowest = new Map();
  for (const row of quiet(rows, 'propagate.delay').sort(byMedian)) slowest.set(placeOf(row), row);
  const rowOf = (name, { region, conditions: { node, engine } }) =>
    quiet(rows, name).find((row) => row.region === region && row.conditions.node === node && row.conditions.engine === engine);
  return [...slowest.entries()]
    .sort(([, a], [, b]) => byMedian(a, b))
    .map(([place, delay], i) => ({
      place, delay, link: rowOf('propagate.link', delay), excess: rowOf('propagate.excess', delay), color: SERIES[i % SERIES.length],
    }));
}

function map(rows, land) {
  const all = places(rows).filter(({ delay }) => delay.region in PLACES);
  if (all.length < 2) return null;
  const dots = all.map(({ place, delay }, i) => ({
    name: place, at: PLACES[place], isRoot: i === 0, note: `${i === 0 ? 'the leader\u2019s; ' : ''}revoked in ${quantity(delay.stats.p50, delay.unit)}`,
  }));
  return {
    id: 'map', title: 'A revocation on its way around the world',
    caption: `From the moment at which the leader has received a revocation to the first refusal at the last node of each region: medians. The links are emulated${isRelayed(all[0].delay) ? ' by TCP relays (no root, or no TUN), which delay and lose nothing' : ', packet by packet'}; their one-way delay is in the table below.`,
    rows: all.map(({ delay }) => delay), spec: worldMap({ land, places: dots }),
  };
}

const percent = (points, unit) => points.map(({ x, y }) => ({ x: milliseconds(x, unit), y: y * 100 }));

function perRegion(rows) {
  const all = places(rows);
  if (all.length === 0) return null;
  const series = all.map(({ place, delay, color: tint }) => ({ name: place, color: tint, points: percent(distribution(delay), delay.unit) }));
  const rules = all
    .filter(({ link }) => link && stat(link, 'p50') > 1)
    .map(({ link, color: tint }) => ({ x: stat(link, 'p50'), label: '', color: tint }));
  return {
    id: 'regions', title: 'Propagation, by region',
    caption: `The share of revocations that the last node of a region refuses, by the time since the leader's receipt. ${engineText(all[0].delay)}${rules.length > 0 ? ' Dashed: what the link alone takes, one way, measured in between. What lies between a dashed line and its curve is ours.' : ''}${linksText(all[0].delay)}`,
    rows: all.flatMap(({ delay, link }) => [delay, link].filter(Boolean)),
    spec: lines({ series, rules, x: { title: 'milliseconds since the leader received the revocation', type: 'log' }, y: { title: '% refused', domain: [0, 100], count: 5 } }),
  };
}

function excess(rows) {
  const all = places(rows).filter((one) => one.excess);
  if (all.length === 0) return null;
  return {
    id: 'excess', title: 'What Keyreeve adds to the link',
    caption: `The delay less the one-way delay of the same link, which an echo measures in between: commit with its flush, the way through the nodes, the prober. ${engineText(all[0].excess)} Dot: median; thick: to the 99th percentile; thin: minimum to maximum.${linksText(all[0].excess)}`,
    rows: all.map((one) => one.excess),
    spec: ranges({ ranges: all.map((one) => rangeOf(one.excess, one.place, one.color)), title: 'milliseconds beyond the link' }),
  };
}

function rangeOf(row, label, tint) {
  return {
    label, color: tint, low: stat(row, 'min'), mid: stat(row, 'p50'), high: stat(row, 'p99'), most: stat(row, 'max'),
    note: `${quantity(row.stats.p50, row.unit)} · p99 ${quantity(row.stats.p99, row.unit)}`,
  };
}

const LOADS = {
  idle: 'idle', validations: 'under validations', 'catching up': 'while a follower catches up', loss: 'with packet loss', cut: 'a region cut off',
};
const WAYS = { single: '', burst: ', in bursts', bulk: ', many keys at once' };

function underLoad(rows) {
  const all = ours(rows, 'propagate.worst', { world: worldOf(rows) });
  if (all.length < 2) return null;
  const hasBoth = new Set(all.map((row) => row.conditions.engine)).size > 1;
  const name = ({ conditions: { load = 'idle', way = 'single', engine } }) => `${LOADS[load] ?? load}${WAYS[way] ?? `, ${way}`}${hasBoth ? ` (${engine})` : ''}`;
  return {
    id: 'loads', title: 'The last node of all, under load and trouble',
    caption: `How long a revocation takes until no node lets the key in any more. Dot: median; thick: to the 99th percentile; thin: minimum to maximum.${linksText(all[0])}`,
    rows: all, spec: ranges({ ranges: all.map((row) => rangeOf(row, name(row), color('ours'))), title: 'milliseconds until the last node refuses' }),
  };
}

// The same world, quiet, at one place: the farthest that all systems have.
function besideRows(rows) {
  const quietOnes = select(rows, 'propagate.excess').filter((row) => (row.conditions.load ?? 'idle') === 'idle' && (row.conditions.way ?? 'single') === 'single');
  const all = [...groupBy(quietOnes, (row) => JSON.stringify([row.system, row.conditions.world])).values()].flatMap(sameEngine);
  const systems = (list) => new Set(list.map((row) => row.system)).size;
  const placeIn = (row) => (row.conditions.world === 'loopback' ? '' : placeOf(row)); // on one machine there is one place
  const groups = [...groupBy(all, (row) => JSON.stringify([row.conditions.world, placeIn(row)])).values()].map(ofEqualShape).map(slowestOfEach).filter((group) => systems(group) > 1);
  const farthest = (group) => [group[0].conditions.world === 'loopback' ? 0 : 1, systems(group), linkOf(rows, group[0])];
  groups.sort((a, b) => compareLists(farthest(b), farthest(a)));
  return groups[0] ?? [];
}

// A whole cluster of ours beside pairs of others only where our pair was not measured.
const ofEqualShape = (group) => (group.some((row) => row.system === 'keyreeve' && isPair(row)) ? group.filter(isPair) : group);
const slowestOfEach = (group) => [...groupBy(group, (row) => row.system).values()].map((own) => own.sort(byMedian).at(-1));
const linkOf = (rows, { system, region, conditions: { world, node } }) =>
  select(rows, 'propagate.link', { system, world }).find((row) => row.region === region && row.conditions.node === node)?.stats.p50 ?? 0;
const compareLists = (a, b) => a.map((value, i) => value - b[i]).find((difference) => difference !== 0) ?? 0;

function perSystem(rows) {
  const measured = besideRows(rows);
  if (measured.length === 0) return null;
  const { world } = measured[0].conditions;
  const order = ['keyreeve', 'redis', 'postgresql', 'etcd', 'ttl'];
  const all = [...measured, ...select(rows, 'propagate.ttl')].sort((a, b) => order.indexOf(a.system) - order.indexOf(b.system));
  const settings = all.filter((row) => row.conditions.settings).map((row) => `${systemName(row.system)}: ${row.conditions.settings}`);
  const low = Math.min(...measured.map((row) => milliseconds(row.stats.p50, row.unit))) / 8;
  const high = Math.max(...all.flatMap((row) => distribution(row).map((point) => milliseconds(point.x, row.unit))));
  return {
    id: 'systems', title: 'Beside what a team would build instead',
    caption: `The same links${world === 'loopback' ? ', all on one machine' : `, at ${placeOf(measured[0])}`}, each with its own replication: how long a key is let in after it was taken away, beyond the link's one-way delay.${linksText(measured[0])} ${settings.length > 0 ? `${settings.join('. ')}. ` : ''}${all.length > measured.length ? 'The cache is computed, not measured: it lets a key in until its entry has run out.' : ''}`,
    rows: all,
    spec: lines({
      series: all.map((row) => ({ name: systemName(row.system), dash: row.points ? [5, 4] : [1, 0], points: percent(distribution(row), row.unit) })),
      x: { title: 'milliseconds beyond the link', type: 'log', domain: [low, high] }, y: { title: '% refused', domain: [0, 100], count: 5 },
    }),
  };
}

const PROTOCOLS = {
  http: 'HTTP/1.1', unix: 'HTTP/1.1, unix socket', https: 'HTTP/1.1, TLS', http2: 'HTTP/2', binary: 'binary', 'binary unix': 'binary, unix socket', 'binary tls': 'binary, TLS', grpc: 'gRPC', redis: '',
};

const loadName = ({ conditions: { keys, zipf } }) =>
  keys ? ` · ${quantity(keys / 1e6, 'M')} keys, ${zipf > 0 ? `Zipf ${zipf}` : 'uniform'}` : '';

function throughputName(row) {
  const { protocol } = row.conditions;
  const how = PROTOCOLS[protocol] ?? protocol;
  return `${systemName(row.system)}${how ? ` · ${how}` : ''}`;
}

// One chart a set of keys and a depth: what stands in one chart was measured in turns within one run.
function throughput(rows) {
  const all = select(rows, 'serve.rate').filter((row) => !row.conditions.rate);
  return [...groupBy(all, groupOf).values()].map((group, i) => ({
    id: `throughput-${i + 1}`, title: `${group[0].conditions.depth > 1 ? `Validations, ${group[0].conditions.depth} in flight on a connection` : 'Validations, one in flight on a connection'}${loadName(group[0])}`,
    caption: 'Answers in one second of the server\'s processor time, measured in turns within one run: medians. Blue is Keyreeve, grey what it is measured beside.',
    rows: group,
    spec: bars({
      bars: group
        .sort((a, b) => b.stats.p50 - a.stats.p50)
        .map((row) => ({ label: throughputName(row), value: row.stats.p50, note: quantity(row.stats.p50, row.unit), color: color(row.system === 'keyreeve' ? 'ours' : 'other') })),
      title: 'answers a second of processor time',
    }),
  }));
}

const groupOf = ({ conditions: { keys, zipf, depth = 1 } }) => JSON.stringify([keys, zipf, depth]);
function groupBy(list, key) {
  const groups = new Map();
  for (const one of list) groups.set(key(one), [...(groups.get(key(one)) ?? []), one]);
  return groups;
}

const NINES = { 0: '0 %', 1: '90 %', 2: '99 %', 3: '99.9 %', 4: '99.99 %', 5: '99.999 %', 6: '99.9999 %' };

function latency(rows) {
  const all = select(rows, 'serve.latency').filter((row) => row.histogram);
  const open = all.filter((row) => row.conditions.rate > 0);
  const shown = (open.length > 0 ? open : all).sort((a, b) => (a.system === 'keyreeve' ? -1 : 0) - (b.system === 'keyreeve' ? -1 : 0)).slice(0, 6);
  if (shown.length === 0) return null;
  const series = shown.map((row) => ({
    name: `${throughputName(row)}${row.conditions.rate ? ` at ${quantity(row.conditions.rate, '1/s')}` : ''}${row.conditions.writesPerSecond ? `, ${quantity(row.conditions.writesPerSecond, '1/s')} writes` : ''}`,
    points: percentileCurve(row).map(({ x, y }) => ({ x, y: milliseconds(y, row.unit) })),
  }));
  const last = Math.max(...series.flatMap((one) => one.points.map((point) => point.x)));
  const ticks = Object.fromEntries(Object.entries(NINES).filter(([nines]) => Number(nines) <= last));
  return {
    id: 'latency', title: 'Latency, percentile by percentile',
    caption: `${open.length > 0 ? 'Open loop: latency counts from the moment at which a request should have left.' : 'Closed loop: each connection asks again when it is answered, so waiting in line is part of it.'} All durations are in it, up to the longest.`,
    rows: shown, spec: lines({ series, x: { title: 'percentile', domain: [0, last], ticks }, y: { title: 'milliseconds', type: 'log' } }),
  };
}

function recovery(rows) {
  return select(rows, 'failover.timeline', { way: 'kill' }).map((row, i) => ({
    id: `recovery-${i + 1}`, title: `The leader is killed: ${row.conditions.series}`,
    caption: `${row.label}. Zero is the moment of kill -9.`,
    rows: [row, ...(i === 0 ? select(rows, 'failover.writes', { way: 'kill' }) : select(rows, 'failover.failed', { way: 'kill' }))],
    spec: lines({
      series: [{ name: row.conditions.series, color: SERIES[i], points: row.points.map(([x, y]) => ({ x: x / 1e3, y })) }],
      step: true, area: true, height: 150, rules: [{ x: 0, label: 'kill -9', color: color('bad') }],
      x: { title: 'seconds', domain: [row.points[0][0] / 1e3, row.points.at(-1)[0] / 1e3] }, y: { title: `${row.conditions.series.split(' ')[0]} a second`, count: 4 },
    }),
  }));
}

function memory(rows) {
  const parts = [['restart.memory', 'a node, beyond an empty one'], ['hot.memory', 'the table alone']];
  const all = parts.flatMap(([name, label]) => ours(rows, name).slice(-1).map((row) => ({ row, label: `${label}, ${quantity(row.conditions.keys / 1e6, 'M')} keys` })));
  if (all.length === 0) return null;
  const target = all.map(({ row }) => row.target).find(Boolean);
  return {
    id: 'memory', title: 'Memory a key',
    caption: 'Resident memory divided by keys, with the consumers that hold them.',
    rows: all.map(({ row }) => row),
    spec: bars({ bars: all.map(({ row, label }) => ({ label, value: row.stats.p50, note: quantity(row.stats.p50, row.unit) })), title: 'bytes a key', rules: target ? [{ x: target.atMost, label: 'target' }] : [] }),
  };
}

function writes(rows) {
  const all = ['write.flush', 'write.one', 'write.many_latency', 'write.etcd_put'].flatMap((name) => select(rows, name));
  if (all.length === 0) return null;
  const flushes = all.filter((row) => row.name === 'write.flush').length;
  const beside = (row) => (row.system === 'disk' && flushes > 1 ? `${row.label}, beside ${row.conditions.engine}` : row.label);
  const name = (row) => (row.system === 'keyreeve' ? `${row.conditions.outstanding > 1 ? `${row.conditions.outstanding} at a time` : 'one at a time'}, ${row.conditions.engine}` : beside(row));
  return {
    id: 'writes', title: 'Durable writes',
    caption: 'From the request to the answer, which comes when the key is on the disk (or with a majority of etcd\'s members). Dot: median; thick: to the 99th percentile; thin: minimum to maximum.',
    rows: [...all, ...select(rows, 'write.many')],
    spec: ranges({ ranges: all.map((row) => rangeOf(row, name(row), color(row.system === 'keyreeve' ? 'ours' : 'other'))), title: 'milliseconds' }),
  };
}

/** The sections of the page with their charts; `missing` says what would be there, and what measures it. */
export function sections(all, land) {
  const rows = drawn(all);
  const list = [
    { id: 'propagation', title: 'How fast a revocation is true everywhere', missing: 'keyreeve-bench propagate', figures: [map(rows, land), perRegion(rows), excess(rows), underLoad(rows), perSystem(rows)] },
    { id: 'validation', title: 'Validations', missing: 'keyreeve-bench serve', figures: [...throughput(rows), latency(rows)] },
    { id: 'failure', title: 'When the leader dies', missing: 'keyreeve-bench failover', figures: recovery(rows) },
    { id: 'state', title: 'Writes and memory', missing: 'keyreeve-bench write, restart and hot', figures: [writes(rows), memory(rows)] },
  ];
  return list.map((section) => ({ ...section, figures: section.figures.filter(Boolean) }));
}
