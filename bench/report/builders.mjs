// SPDX-License-Identifier: Apache-2.0
// The forms of charts, as Vega specifications: lines, bars, ranges, and a map. They know nothing of
// what is measured.
import { color, CONFIG, FONT, SERIES } from './theme.mjs';
import { vega } from './vega.mjs';

const base = (width, height, more) => ({
  $schema: 'https://vega.github.io/schema/vega/v5.json', width, height, padding: 8, autosize: 'pad', config: CONFIG, ...more,
});

const text = (encode, update = {}) => ({
  type: 'text', interactive: false,
  encode: { update: { font: { value: FONT }, fontSize: { value: 12 }, fill: { value: color('soft') }, ...encode, ...update } },
});

// Two rows of one label would lie on each other.
function labelled(list) {
  const seen = new Map();
  return list.map((one) => {
    const count = (seen.get(one.label) ?? 0) + 1;
    seen.set(one.label, count);
    return count === 1 ? one : { ...one, label: `${one.label} (${count})` };
  });
}

const colored = (list) => list.map((one, i) => ({ color: SERIES[i % SERIES.length], ...one }));

// Which multiples of a power of ten are ticks, by how many decades an axis spans.
const STEPS = [[0.7, [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9]], [1.3, [1, 2, 3, 5, 7]], [3.2, [1, 2, 5]], [Infinity, [1]]];

// A logarithmic axis has no zero: what was measured as nothing, or less, stands at a microsecond.
const LEAST_MS = 1e-3;
const aboveZero = (value) => Math.max(value, LEAST_MS);
const placedOn = (type) => (type === 'log' ? aboveZero : (value) => value);

/** The ticks of a logarithmic axis. */
function decades([low, high]) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const width = Math.log10(high / low);
  const steps = STEPS.find(([most]) => width < most)[1];
  const all = Array.from({ length: last - first + 1 }, (_, i) => steps.map((step) => step * 10 ** (first + i))).flat();
  return all.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001).map((tick) => Number(tick.toPrecision(3)));
}

const extent = (values) => [Math.min(...values), Math.max(...values)];

/** An axis of named ticks: {value: text}. */
const tickText = (ticks) => ({ labels: { update: { text: { signal: `${JSON.stringify(ticks)}[datum.value]` } } } });

function axisOf(orient, scale, { title, format = ',.9~g', ticks, type, domain, count = 6, grid = true }) {
  const named = ticks ? { values: Object.keys(ticks).map(Number), encode: tickText(ticks) } : type === 'log' ? { values: decades(domain) } : { tickCount: count };
  return { orient, scale, title, format, grid, domain: orient === 'bottom', ticks: orient === 'bottom', ...named };
}

// The rules of a chart are thin lines across it with a text: a target, a moment, a bound.
function ruleMarks(rules, height, width) {
  const upright = rules.filter((rule) => rule.x !== undefined);
  const level = rules.filter((rule) => rule.y !== undefined);
  const stroke = { stroke: { field: 'color' }, strokeDash: { value: [4, 3] }, strokeWidth: { value: 1.2 }, opacity: { value: 0.9 } };
  return {
    data: [{ name: 'upright', values: upright }, { name: 'level', values: level }],
    marks: [
      { type: 'rule', from: { data: 'upright' }, encode: { update: { x: { scale: 'x', field: 'x' }, y: { value: 0 }, y2: { value: height }, ...stroke } } },
      { type: 'rule', from: { data: 'level' }, encode: { update: { y: { scale: 'y', field: 'y' }, x: { value: 0 }, x2: { value: width }, ...stroke } } },
      { ...text({ x: { scale: 'x', field: 'x', offset: 5 }, y: { field: 'at' }, text: { field: 'label' }, fill: { field: 'color' }, fontSize: { value: 11 } }), from: { data: 'upright' } },
      { ...text({ y: { scale: 'y', field: 'y', offset: -6 }, x: { value: width }, align: { value: 'right' }, text: { field: 'label' }, fill: { field: 'color' }, fontSize: { value: 11 } }), from: { data: 'level' } },
    ],
  };
}

/**
 * Curves: series [{name, points: [{x, y}], color?, dash?}]; x and y {title, type, domain, format, ticks};
 * rules [{x or y, label, color?}]. `step` draws what holds until it changes; `area` fills below.
 */
export function lines({ series, x: across, y: up, rules = [], width = 760, height = 300, step = false, area = false }) {
  const [toX, toY] = [placedOn(across.type), placedOn(up.type)];
  const all = colored(series).map((one) => ({ ...one, points: one.points.map(({ x: at, y: value }) => ({ x: toX(at), y: toY(value) })) }));
  const rulesAt = rules.map((rule) => rule.x).filter((at) => at !== undefined);
  const x = { domain: extent([...all.flatMap((one) => one.points.map((point) => point.x)), ...rulesAt]), ...across };
  x.domain = x.domain.map(toX);
  const y = up.type === 'log' ? { domain: extent(all.flatMap((one) => one.points.map((point) => point.y))), ...up } : up;
  const values = all.flatMap((one) => one.points.map((point) => ({ ...point, name: one.name })));
  const named = rules.map((rule, i) => ({ color: color('soft'), at: 10 + (i % 4) * 15, ...rule }));
  const extra = ruleMarks(named, height, width);
  const scale = (name, { type = 'linear', domain, nice = false }, range) => ({
    name, type, range, domain: domain ?? { data: 'points', field: name }, nice, zero: type === 'linear' && !domain, clamp: true,
  });
  const interpolate = { value: step ? 'step-after' : 'linear' };
  const place = { x: { scale: 'x', field: 'x' }, y: { scale: 'y', field: 'y' }, interpolate };
  const inner = [];
  if (area)
    inner.push({ type: 'area', from: { data: 'one' }, encode: { update: { ...place, y2: { scale: 'y', value: 0 }, fill: { scale: 'color', field: 'name' }, opacity: { value: 0.14 } } } });
  inner.push({
    type: 'line', from: { data: 'one' },
    encode: { update: { ...place, stroke: { scale: 'color', field: 'name' }, strokeDash: { scale: 'dash', field: 'name' }, strokeWidth: { value: 2.25 }, strokeCap: { value: 'round' }, strokeJoin: { value: 'round' } } },
  });
  const names = all.map((one) => one.name);
  return base(width, height, {
    data: [{ name: 'points', values }, ...extra.data],
    scales: [
      scale('x', x, 'width'),
      scale('y', y, 'height'),
      { name: 'color', type: 'ordinal', domain: names, range: all.map((one) => one.color) },
      { name: 'dash', type: 'ordinal', domain: names, range: all.map((one) => one.dash ?? [1, 0]) },
    ],
    axes: [axisOf('bottom', 'x', x), axisOf('left', 'y', y)],
    legends: names.length > 1 ? [{ stroke: 'color', strokeDash: 'dash', symbolType: 'stroke' }] : [],
    marks: [
      { type: 'group', from: { facet: { name: 'one', data: 'points', groupby: 'name' } }, marks: inner },
      ...extra.marks,
    ],
  });
}

/** Bars: [{label, value, note, color?}], level, longest label left; rules [{x, label}] across. */
export function bars({ bars: list, title, type = 'linear', format = ',.0f', rules = [], width = 620, band = 34 }) {
  const height = list.length * band;
  const all = labelled(list).map((one) => ({ color: color('ours'), note: '', ...one }));
  const most = Math.max(...all.map((one) => one.value), ...rules.map((rule) => rule.x));
  const extra = ruleMarks(rules.map((rule) => ({ color: color('warn'), at: -6, ...rule })), height, width);
  return base(width, height, {
    padding: { left: 8, right: 8, top: rules.length > 0 ? 24 : 8, bottom: 8 },
    data: [{ name: 'bars', values: all }, ...extra.data],
    scales: [
      { name: 'x', type, range: 'width', domain: [0, most * 1.12], zero: true },
      { name: 'y', type: 'band', range: 'height', domain: { data: 'bars', field: 'label' }, padding: 0.32 },
    ],
    axes: [
      axisOf('bottom', 'x', { title, format, count: 5 }),
      { orient: 'left', scale: 'y', domain: false, ticks: false, labelColor: color('ink'), labelLimit: 0 },
    ],
    marks: [
      {
        type: 'rect', from: { data: 'bars' },
        encode: { update: { x: { scale: 'x', value: 0 }, x2: { scale: 'x', field: 'value' }, y: { scale: 'y', field: 'label' }, height: { scale: 'y', band: 1 }, fill: { field: 'color' }, cornerRadiusTopRight: { value: 3 }, cornerRadiusBottomRight: { value: 3 } } },
      },
      ...extra.marks,
      { ...text({ x: { scale: 'x', field: 'value', offset: 7 }, y: { scale: 'y', field: 'label', band: 0.5 }, baseline: { value: 'middle' }, text: { field: 'note' }, fill: { value: color('ink') } }), from: { data: 'bars' } },
    ],
  });
}

/** Ranges on a logarithmic axis: [{label, low, mid, high, most, note, color?}]: a line, its thick part, a dot. */
export function ranges({ ranges: list, title, rules = [], width = 620, band = 36, domain }) {
  const height = list.length * band;
  const all = labelled(list).map(({ low, mid, high, most, ...one }) => ({
    color: color('ours'), note: '', ...one, low: aboveZero(low), mid: aboveZero(mid), high: aboveZero(high), most: aboveZero(most),
  }));
  const extra = ruleMarks(rules.map((rule) => ({ color: color('warn'), at: -6, ...rule })), height, width);
  const [low, most] = extent(all.flatMap((one) => [one.low, one.most]));
  const span = domain ?? [low / 1.15, most * 1.15];
  const bar = (from, to, size) => ({
    type: 'rule', from: { data: 'ranges' },
    encode: { update: { x: { scale: 'x', field: from }, x2: { scale: 'x', field: to }, y: { scale: 'y', field: 'label', band: 0.5 }, stroke: { field: 'color' }, strokeWidth: { value: size }, strokeCap: { value: 'round' }, opacity: { value: size > 2 ? 1 : 0.55 } } },
  });
  return base(width, height, {
    padding: { left: 8, right: 130, top: rules.length > 0 ? 24 : 8, bottom: 8 },
    data: [{ name: 'ranges', values: all }, ...extra.data],
    scales: [
      { name: 'x', type: 'log', range: 'width', domain: span, nice: false },
      { name: 'y', type: 'band', range: 'height', domain: { data: 'ranges', field: 'label' } },
    ],
    axes: [
      axisOf('bottom', 'x', { title, type: 'log', domain: span }),
      { orient: 'left', scale: 'y', domain: false, ticks: false, labelColor: color('ink'), labelLimit: 0 },
    ],
    marks: [
      bar('low', 'most', 1.6),
      bar('mid', 'high', 7),
      { type: 'symbol', from: { data: 'ranges' }, encode: { update: { x: { scale: 'x', field: 'mid' }, y: { scale: 'y', field: 'label', band: 0.5 }, size: { value: 90 }, fill: { value: color('paper') }, stroke: { field: 'color' }, strokeWidth: { value: 2.5 } } } },
      ...extra.marks,
      { ...text({ x: { scale: 'x', field: 'most', offset: 8 }, y: { scale: 'y', field: 'label', band: 0.5 }, baseline: { value: 'middle' }, text: { field: 'note' } }), from: { data: 'ranges' } },
    ],
  });
}

const SOUTH = -57; // what lies below is ice

/**
 * A map: land (TopoJSON), places [{name, at: [longitude, latitude], note, isRoot}]. A line goes from the
 * root to each other place along the great circle.
 */
export function worldMap({ land, places, width = 820 }) {
  const { geo, topojson } = vega();
  const shape = topojson.feature(land, land.objects.land);
  const projection = geo.geoNaturalEarth1().fitWidth(width, { type: 'Sphere' });
  const height = Math.round(projection([0, SOUTH])[1]);
  const path = geo.geoPath(projection);
  const root = places.find((place) => place.isRoot);
  const ways = root ? places.filter((place) => place !== root).map((place) => ({ path: path({ type: 'LineString', coordinates: [root.at, place.at] }) })) : [];
  const dots = places.map((place) => {
    const [x, y] = projection(place.at);
    // A label stands where no line leaves its place.
    const isLeft = x > width * 0.78 || (root && place !== root && x < projection(root.at)[0]);
    return { ...place, x, y, align: isLeft ? 'right' : 'left', dx: isLeft ? -11 : 11 };
  });
  const label = (field, dy, more) => ({
    ...text({ x: { field: 'x' }, dx: { field: 'dx' }, align: { field: 'align' }, y: { field: 'y' }, dy: { value: dy }, text: { field } }, more), from: { data: 'dots' },
  });
  return base(width, height, {
    data: [{ name: 'dots', values: dots }, { name: 'ways', values: ways }, { name: 'land', values: [{ path: path(shape) }] }],
    marks: [
      {
        type: 'group', encode: { update: { width: { value: width }, height: { value: height }, clip: { value: true } } },
        marks: [
          { type: 'path', from: { data: 'land' }, encode: { update: { path: { field: 'path' }, fill: { value: color('land') } } } },
          { type: 'path', from: { data: 'ways' }, encode: { update: { path: { field: 'path' }, stroke: { value: color('ours') }, strokeWidth: { value: 1.6 }, strokeDash: { value: [5, 4] }, opacity: { value: 0.75 } } } },
          { type: 'symbol', from: { data: 'dots' }, encode: { update: { x: { field: 'x' }, y: { field: 'y' }, size: { signal: 'datum.isRoot ? 150 : 80' }, fill: { value: color('ours') }, stroke: { value: color('paper') }, strokeWidth: { value: 2 } } } },
          label('name', -2, { fill: { value: color('ink') }, fontWeight: { value: 600 }, fontSize: { value: 13 } }),
          label('note', 13, { fontSize: { value: 11.5 } }),
        ],
      },
    ],
  });
}
