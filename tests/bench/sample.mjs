// SPDX-License-Identifier: Apache-2.0
// A small, fixed set of rows in which every chart of the report finds something. None is a measurement.

const machine = { cpu: 'Sample processor', cores: 2, memoryBytes: 8 * 1024 ** 3, kernel: 'Linux 6.1.0', filesystem: 'ext4' };

// The same numbers each time: a linear congruential generator.
function chance(seed) {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647;
}

const rank = (sorted, share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];

function statsOf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    count: sorted.length, min: sorted[0], p50: rank(sorted, 0.5), p90: rank(sorted, 0.9), p99: rank(sorted, 0.99), p999: rank(sorted, 0.999),
    max: sorted.at(-1), mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
  };
}

const row = (name, unit, values, more = {}) => ({
  format: 1, name, label: name, system: 'keyreeve', region: null, unit, conditions: {}, stats: statsOf(values), values,
  command: `keyreeve-bench sample --of ${name}`, seed: 1, version: '0.1.0', machine, load1: 1.5, at: '2026-01-31T12:00:00.000Z', ...more,
});

// Delays with a long tail, whole microseconds.
function delays(seed, base, spread, count = 300) {
  const next = chance(seed);
  return Array.from({ length: count }, () => Math.round(base + spread * (0.6 + next() + (next() > 0.97 ? 6 * next() : 0))));
}

function histogramRow(name, more, values) {
  const counts = new Map();
  for (const value of [...values].sort((a, b) => a - b)) counts.set(value, (counts.get(value) ?? 0) + 1);
  const { values: _, ...rest } = row(name, 'us', values, more);
  return { ...rest, histogram: [...counts] };
}

const REGIONS = { 'us-east': 30, 'us-west': 32000, 'eu-west': 38000, 'sa-east': 58000, 'ap-northeast': 78000 };

function propagation(form) {
  const rows = [];
  const conditions = { world: 'five regions', form, engine: 'local', load: 'idle', way: 'single' };
  Object.entries(REGIONS).forEach(([region, base], i) => {
    const links = delays(i + 1, base, 20);
    const all = delays(i + 11, base, 700);
    rows.push(histogramRow('propagate.delay', { region, conditions: { ...conditions, node: `f-${region}` } }, all));
    rows.push(histogramRow('propagate.link', { region, conditions: { ...conditions, node: `f-${region}` } }, links));
    rows.push(histogramRow('propagate.excess', { region, conditions: { ...conditions, node: `f-${region}` } }, all.map((value, k) => Math.max(0, value - links[k]))));
  });
  ['idle', 'validations', 'catching up', 'loss'].forEach((load, i) =>
    rows.push(histogramRow('propagate.worst', { conditions: { ...conditions, load } }, delays(i + 31, 78000 + 2000 * i, 900 + 900 * i))));
  return rows;
}

function beside(form) {
  const region = 'ap-northeast';
  const conditions = { world: 'five regions', form, load: 'idle', way: 'single', node: `f-${region}` };
  const one = (system, seed, base, settings) =>
    histogramRow('propagate.excess', { system, region, conditions: { ...conditions, settings } }, delays(seed, base, 900));
  const { values: _, stats: __, ...ttl } = row('propagate.ttl', 'us', [1], { system: 'ttl', conditions: { seconds: 60 } });
  const points = Array.from({ length: 100 }, (_, i) => 60e6 * 10 ** ((i - 99) / 16)).map((us) => [us, us / 60e6]);
  return [
    one('redis', 41, 40, 'no flush before the answer'), one('postgresql', 42, 700, 'synchronous_commit on'), one('etcd', 43, 2100, 'flushed by a majority'),
    { ...ttl, stats: { count: points.length }, points },
  ];
}

function serving() {
  const rate = (system, conditions, value) => row('serve.rate', '1/s', [value, value * 1.03, value * 0.97], { system, conditions });
  const one = { keys: 1000000, zipf: 0.99, connections: 64 };
  const ten = { keys: 10000000, zipf: 0, connections: 16, depth: 16 };
  return [
    rate('keyreeve', { ...one, protocol: 'http' }, 236000), rate('empty', { ...one, protocol: 'http' }, 251000), rate('redis', { ...one, protocol: 'redis' }, 171000),
    rate('bare', { ...one, protocol: 'http' }, 296000), rate('keyreeve', { ...ten, protocol: 'binary' }, 2650000), rate('redis', { ...ten, protocol: 'redis' }, 520000),
    row('serve.ratio', 'ratio', [0.92, 0.94, 0.95], { id: 'P2', target: { stat: 'p50', atLeast: 0.9, at: { keys: 1000000, connections: 64 } }, ratio: 0.94 / 0.9, conditions: { ...one, beside: 'empty' } }),
    row('serve.ratio', 'ratio', [5.1], { id: 'P3', target: { stat: 'p50', atLeast: 4.5, at: { keys: 10000000, connections: 16, depth: 16 } }, ratio: 5.1 / 4.5, conditions: { ...ten, beside: 'redis pipeline' } }),
    histogramRow('serve.latency', { conditions: { ...one, protocol: 'http', rate: 50000 } }, delays(51, 60, 90, 5000)),
    histogramRow('serve.latency', { system: 'empty', conditions: { ...one, protocol: 'http', rate: 50000 } }, delays(52, 50, 80, 5000)),
  ];
}

function failing() {
  const course = (series, at) => {
    const points = Array.from({ length: 80 }, (_, i) => [i * 100 - 2000, at(i * 100 - 2000)]);
    const { values: _, stats: __, ...rest } = row('failover.timeline', '1/s', [1], { label: `What clients saw of ${series}`, conditions: { way: 'kill', ttl: 2, series } });
    return { ...rest, points, stats: { count: points.length } };
  };
  return [
    course('writes accepted', (ms) => (ms >= 0 && ms < 2600 ? 0 : 400)), course('validations answered', () => 20000),
    row('failover.writes', 'ms', [2610], { id: 'P10', target: { stat: 'max', atMost: 4000, at: { ttl: 2 } }, ratio: 2610 / 4000, conditions: { way: 'kill', ttl: 2 } }),
    row('failover.failed', 'count', [0], { id: 'P10', target: { stat: 'max', atMost: 0 }, conditions: { way: 'kill', ttl: 2 } }),
  ];
}

function state(form) {
  return [
    histogramRow('write.flush', { system: 'disk', label: "the disk's flush", conditions: { engine: 'local', outstanding: 1 } }, delays(61, 140, 90)),
    histogramRow('write.one', { conditions: { engine: 'local', outstanding: 1 } }, delays(62, 300, 180)),
    histogramRow('write.many_latency', { conditions: { engine: 'local', outstanding: 1000 } }, delays(63, 9000, 6000)),
    row('write.many', '1/s', [61000, 60000, 62000], { id: 'P7', target: { stat: 'p50', atLeast: 50000, at: { outstanding: 1000 } }, ratio: 1.22, conditions: { engine: 'local', outstanding: 1000 } }),
    row('restart.memory', 'bytes', [112], { id: 'P8', target: { stat: 'p50', atMost: 128, at: { keys: 10000000 } }, ratio: 112 / 128, conditions: { keys: 1000000 } }),
    row('restart.ready', 'ms', [6100], { id: 'P9', target: { stat: 'p50', atMost: 5000, at: { keys: 10000000 } }, ratio: 1.22, conditions: { keys: 10000000 } }),
    row('hot.memory', 'bytes', [98], { conditions: { keys: 1000000 } }),
    row('plan.nodes', '', [36], { label: 'Validating nodes', conditions: { formula: 'regions × nodes a region' } }),
    row('world.delay', 'us', [38010, 38020, 38040], { system: 'world', conditions: { form, from: 'us-east', to: 'eu-west', askedUs: 38000 } }),
  ];
}

/** All sample rows; form: of the emulated world. */
export const sample = (form = 'tun') => [...propagation(form), ...beside(form), ...serving(), ...failing(), ...state(form)];
