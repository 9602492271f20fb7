// SPDX-License-Identifier: Apache-2.0
// The report of a fixed set of rows: a page that is whole, every chart, every number with its row.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bars as barSpec } from '../../bench/report/builders.mjs';
import { sections } from '../../bench/report/figures.mjs';
import { quantity } from '../../bench/report/numbers.mjs';
import { distribution, percentileCurve } from '../../bench/report/rows.mjs';
import { judgeAll } from '../../bench/report/targets.mjs';
import { sample } from './sample.mjs';

const bench = join(process.env.KEYREEVE_BIN ?? 'build/dev/bin', 'keyreeve-bench');
const land = JSON.parse(readFileSync(new URL('../../bench/report/land.json', import.meta.url), 'utf8'));

function report(t, rows, ...more) {
  const directory = mkdtempSync(join(tmpdir(), 'keyreeve-report-'));
  t.after(() => rmSync(directory, { recursive: true }));
  if (rows !== null) writeFileSync(join(directory, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const out = join(directory, 'report.html');
  const run = spawnSync(bench, ['report', '--in', directory, '--out', out, ...more], { encoding: 'utf8' });
  return { run, directory, read: () => readFileSync(out, 'utf8') };
}

const VOID = new Set(['meta', 'br', 'link', 'hr', 'img', 'input']);

/** Every element is closed where it was opened; throws at the first that is not. */
function checkNesting(html) {
  const open = [];
  for (const [, slash, name, , self] of html.replace(/<style>[\s\S]*?<\/style>/g, '').matchAll(/<(\/?)([a-zA-Z][\w-]*)((?:"[^"]*"|[^>"])*?)(\/?)>/g)) {
    if (self || VOID.has(name.toLowerCase())) continue;
    if (!slash) open.push(name);
    else assert.equal(open.pop(), name, `</${name}>`);
  }
  assert.deepEqual(open, []);
}

const idsOf = (html) => [...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);

test('the page has every chart, and needs nothing but itself', (t) => {
  const { run, read, directory } = report(t, sample());
  assert.equal(run.status, 0, run.stderr);
  const html = read();
  checkNesting(html);
  const ids = idsOf(html);
  assert.equal(new Set(ids).size, ids.length, 'an id stands once');
  const charts = ['map', 'regions', 'excess', 'loads', 'systems', 'throughput-1', 'throughput-2', 'latency', 'recovery-1', 'recovery-2', 'writes', 'memory'];
  for (const id of charts) {
    assert.match(html, new RegExp(`<figure id="${id}">[\\s\\S]*?<svg [^>]*aria-labelledby="${id}-title"`), id);
    for (const theme of ['light', 'dark']) {
      const png = readFileSync(join(directory, 'charts', `${id}-${theme}.png`));
      assert.equal(png.subarray(1, 4).toString(), 'PNG', `${id}-${theme}.png`);
    }
  }
  assert.equal(readdirSync(join(directory, 'charts')).length, 2 * charts.length);
  assert.equal((html.match(/<svg /g) ?? []).length, charts.length);
  assert.doesNotMatch(html, /(src|href)="(?!#)/, 'nothing is fetched');
  assert.doesNotMatch(html, /\b(NaN|undefined|Infinity)\b/);
  assert.match(html, /prefers-color-scheme:dark/);
  assert.match(html, /@media print/);
});

test('links that are relays are called so, and are not drawn where there are packets', (t) => {
  const captions = (html) => [...html.matchAll(/<figcaption[^>]*>([\s\S]*?)<\/figcaption>/g)].map(([, text]) => text);
  const relayed = report(t, sample('relay'), '--no-png').read();
  assert.equal(captions(relayed).filter((text) => text.includes('TCP relays')).length, 5); // every chart over links
  assert.match(relayed, /<summary>The emulated links \(TCP relays\)/);
  const rows = sample();
  const both = report(t, [...rows, ...sample('relay')], '--no-png').read();
  assert.doesNotMatch(captions(both).join(), /relays/);
  for (const [, number] of both.slice(0, both.indexOf('id="rows"')).matchAll(/href="#row-(\d+)"/g)) {
    const of = [...rows, ...sample('relay')][number - 1];
    assert.notEqual(of.conditions.form, 'relay', `row ${number}`);
  }
});

test('every number that is told leads to its row, and is in it', (t) => {
  const rows = sample();
  const html = report(t, rows, '--no-png').read();
  const ids = new Set(idsOf(html));
  const links = [...html.matchAll(/<a class="figure-of" href="#row-(\d+)">([^<]+)<\/a>/g)];
  assert.ok(links.length > 50, `${links.length} linked numbers`);
  for (const [, number, text] of links) {
    const row = rows[Number(number) - 1];
    const told = Object.values(row.stats).map((value) => quantity(value, row.unit));
    assert.ok(told.includes(text), `"${text}" is no statistic of row ${number}, ${row.name}`);
  }
  for (const [, target] of html.matchAll(/href="#([^"]+)"/g)) assert.ok(ids.has(target), `#${target} is there`);
  for (const [, list] of html.matchAll(/<p class="note">Rows (.*?)<\/p>/g)) assert.match(list, /row-\d+/);
  rows.forEach((row, i) => assert.ok(html.includes(`id="row-${i + 1}"`), `row ${i + 1}`));
});

test('what has no row is called not measured', (t) => {
  const { run, read } = report(t, sample().filter((row) => row.name === 'restart.ready'), '--no-png');
  assert.equal(run.status, 0, run.stderr);
  const html = read();
  assert.doesNotMatch(html, /<svg/);
  const { targets } = JSON.parse(readFileSync(new URL('../../bench/targets.json', import.meta.url), 'utf8'));
  const figures = targets.flatMap((target) => target.figures).length;
  assert.equal((html.match(/class="status unmeasured"/g) ?? []).length, figures - 1);
  assert.equal((html.match(/class="status missed"/g) ?? []).length, 1);
  assert.equal((html.match(/Not measured in this run/g) ?? []).length, 4);
});

test('a target is met, missed, or was measured under other conditions', () => {
  const figure = { row: 'x', stat: 'p50', atMost: 10, at: { keys: 5 }, says: 'x' };
  const target = { stat: 'p50', atMost: 10, at: { keys: 5 } };
  const row = (p50, keys) => ({ id: 'P', name: 'x', target, stats: { p50 }, conditions: { keys } });
  const status = (rows) => judgeAll([{ id: 'P', title: '', figures: [figure] }], rows)[0].figures[0];
  assert.equal(status([]).status, 'unmeasured');
  assert.equal(status([row(10, 5)]).status, 'met');
  assert.equal(status([row(10.5, 5)]).status, 'missed');
  assert.equal(status([row(1, 4)]).status, 'elsewhere');
  assert.equal(status([row(1, 4), row(11, 5), row(2, 5)]).status, 'missed', 'the worst under the right conditions');
});

test('figures of one row and one bound are told apart by what they are of', () => {
  const figures = ['postgresql', 'etcd'].map((beside) => ({ row: 'x', where: { beside }, stat: 'p50', atMost: 1, says: beside }));
  const row = (p50, beside) => ({ id: 'P', name: 'x', target: { stat: 'p50', atMost: 1 }, stats: { p50 }, conditions: { beside } });
  const [judged] = judgeAll([{ id: 'P', title: '', figures }], [row(0.8, 'postgresql'), row(1.2, 'etcd')]);
  assert.deepEqual(judged.figures.map(({ says, status }) => [says, status]), [['postgresql', 'met'], ['etcd', 'missed']]);
});

test('where a pair of ours was measured, it and no whole cluster stands beside the pairs of others', () => {
  const systemsOf = (rows) => sections(rows, land)[0].figures.find((figure) => figure.id === 'systems').rows;
  const isCluster = (row) => row.system === 'keyreeve' && row.conditions.settings === undefined;
  const rows = sample();
  assert.ok(systemsOf(rows).some(isCluster));
  const other = rows.find((row) => row.name === 'propagate.excess' && row.system === 'postgresql');
  const pair = { ...other, system: 'keyreeve', conditions: { ...other.conditions, engine: 'local' } };
  const shown = systemsOf([...rows, pair]);
  assert.ok(shown.includes(pair));
  assert.ok(!shown.some(isCluster));
});

test('curves follow from histograms', () => {
  const row = { histogram: [[10, 50], [20, 40], [30, 9], [40, 1]] };
  assert.deepEqual(distribution(row), [{ x: 10, y: 0 }, { x: 10, y: 0.5 }, { x: 20, y: 0.9 }, { x: 30, y: 0.99 }, { x: 40, y: 1 }]);
  const curve = percentileCurve(row);
  const at = (nines) => curve.findLast((point) => point.x <= nines + 1e-9).y;
  assert.equal(at(0), 10);
  assert.equal(at(0.25), 10);
  assert.equal(at(0.9), 20);
  assert.equal(at(1.5), 30);
  assert.equal(at(2), 40);
});

test('what was measured as nothing beyond the link, or less, is drawn as well', (t) => {
  const rows = sample().map((row) => {
    if (row.name !== 'propagate.excess') return row;
    return { ...row, histogram: [[0, 100]], stats: { ...row.stats, min: -0.2, p50: 0, p99: 0, max: 0 } };
  });
  const { run, read } = report(t, rows);
  assert.equal(run.status, 0, run.stderr);
  const page = read();
  assert.ok(page.includes('What Keyreeve adds to the link') && page.includes('Beside what a team would build instead'));
  assert.doesNotMatch(page, /(?:NaN|Infinity)[,)" ]/);
});

test('rows of one label stand beside each other', () => {
  const bars = [{ label: 'x', value: 1 }, { label: 'x', value: 2 }, { label: 'y', value: 3 }];
  const spec = barSpec({ bars, title: '' });
  assert.deepEqual(spec.data[0].values.map((one) => one.label), ['x', 'x (2)', 'y']);
});

test('what is no row is told with its line', (t) => {
  const missing = report(t, null);
  assert.equal(missing.run.status, 1);
  assert.match(missing.run.stderr, /rows\.jsonl is not there/);
  const strange = report(t, [...sample().slice(0, 2), { format: 2 }]);
  assert.equal(strange.run.status, 1);
  assert.match(strange.run.stderr, /rows\.jsonl:3: format 2/);
});
