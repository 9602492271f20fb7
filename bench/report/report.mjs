// SPDX-License-Identifier: Apache-2.0
// The report: rows.jsonl in, one HTML page and a PNG of each chart out. `keyreeve-bench report` runs it.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { sections as allSections } from './figures.mjs';
import { page } from './page.mjs';
import { latest, readRows } from './rows.mjs';
import { judgeAll } from './targets.mjs';
import { paint, THEMES } from './theme.mjs';
import { toSvg } from './vega.mjs';

const here = new URL('.', import.meta.url).pathname;
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

function writePng(svg, path) {
  const run = spawnSync('rsvg-convert', ['--zoom', '2', '--output', path], { input: svg });
  if (run.error) throw new Error(`rsvg-convert: ${run.error.message}; deploy/packages.sh report installs it`);
  if (run.status !== 0) throw new Error(`rsvg-convert: ${run.stderr}`);
}

async function draw(figures, directory) {
  for (const figure of figures) {
    figure.svg = await toSvg(figure.spec, figure.id);
    if (directory === null) continue;
    for (const theme of Object.keys(THEMES)) writePng(paint(figure.svg, theme), join(directory, `${figure.id}-${theme}.png`));
  }
}

async function main() {
  const { values } = parseArgs({ options: { in: { type: 'string' }, out: { type: 'string' }, 'no-png': { type: 'boolean', default: false } } });
  const rows = latest(readRows(values.in));
  if (rows.length === 0) throw new Error(`${values.in}/rows.jsonl has no rows`);
  const sections = allSections(rows, readJson(join(here, 'land.json')));
  const figures = sections.flatMap((section) => section.figures);
  const directory = values['no-png'] ? null : join(dirname(values.out), 'charts');
  if (directory) mkdirSync(directory, { recursive: true });
  await draw(figures, directory);
  const judged = judgeAll(readJson(join(here, '../targets.json')).targets, rows);
  writeFileSync(values.out, page({ rows, sections, judged }));
  console.log(`${values.out}: ${rows.length} rows, ${figures.length} charts${directory ? `; PNGs in ${directory}` : ''}`);
}

main().catch((error) => {
  console.error(`keyreeve-bench report: ${error.message}`);
  process.exitCode = 1;
});
