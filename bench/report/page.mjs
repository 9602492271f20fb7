// SPDX-License-Identifier: Apache-2.0
// The report's page: one HTML file that needs nothing else. Every number links to the row it is from.
import { places, systemName } from './figures.mjs';
import { digits, quantity } from './numbers.mjs';
import { drawn, isRelayed, select } from './rows.mjs';
import { declarations, FONT } from './theme.mjs';

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
export const escape = (text) => String(text).replace(/[&<>"]/g, (letter) => ESCAPES[letter]);

const rowLink = (row, text) => `<a class="figure-of" href="#row-${row.number}">${text}</a>`;
const linked = (row, stat) => rowLink(row, quantity(row.stats[stat], row.unit));

const STYLE = `
:root{${declarations('light')};color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{${declarations('dark')}}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
body{margin:0;background:var(--canvas);color:var(--ink);font:16px/1.55 ${FONT};-webkit-font-smoothing:antialiased}
main{max-width:960px;margin:0 auto;padding:48px 20px 96px}
h1{font-size:34px;line-height:1.2;letter-spacing:-.02em;margin:0 0 8px}
h2{font-size:24px;letter-spacing:-.01em;margin:64px 0 16px}
h3{font-size:17px;margin:0 0 4px}
p{margin:0 0 12px}
.lead,.caption,.note{color:var(--soft)}
.lead{font-size:17px;max-width:64ch}
.caption{font-size:14px;max-width:78ch}
.note{font-size:13px}
a{color:var(--ours);text-decoration:none}
a:hover{text-decoration:underline}
a.figure-of{color:inherit;border-bottom:1px dotted var(--line)}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:24px 0 0;font-size:14px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:14px;margin:32px 0 0}
.card,figure,.sheet{background:var(--paper);border:1px solid var(--faint);border-radius:12px}
.card{padding:18px 20px}
.card b{display:block;font-size:28px;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.card span{font-size:14px;color:var(--soft)}
figure{margin:0 0 18px;padding:22px 24px 14px}
figure svg{display:block;width:100%;height:auto;margin:10px 0 4px}
.sheet{overflow-x:auto;margin:0 0 18px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft);font-size:13px}
th,td{text-align:left;padding:9px 14px;border-bottom:1px solid var(--faint);vertical-align:top}
tr:last-child td{border-bottom:0}
td.number,th.number{text-align:right;white-space:nowrap}
code{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.status{font-weight:600;font-size:13px}
.says{width:46%}
.met{color:var(--good)}.missed{color:var(--bad)}.elsewhere{color:var(--warn)}.unmeasured{color:var(--soft);font-weight:400}
details summary{cursor:pointer;color:var(--ours);margin:0 0 12px}
tr:target td{background:color-mix(in srgb,var(--ours) 12%,transparent)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0;padding:18px 20px;font-size:14px}
dt{color:var(--soft)}dd{margin:0}
@media print{
:root{${declarations('light')};color-scheme:light}
body{background:#fff;font-size:11pt}main{max-width:none;padding:0}
figure,.card,.sheet,tr{break-inside:avoid}h2,h3{break-after:avoid}nav{display:none}
figure,.card,.sheet{border-color:#ccc}
}`;

// --- the top -------------------------------------------------------------------------------------

function cards(rows) {
  const far = places(drawn(rows)).at(-1);
  const best = (name, wanted, stat = 'p50') => select(rows, name, { system: 'keyreeve', ...wanted }).sort((a, b) => b.stats[stat] - a.stats[stat])[0];
  const list = [
    [far?.delay, 'p50', `until a revocation is true in ${far?.place}, the farthest${far && isRelayed(far.delay) ? ', over TCP relays' : ''}`],
    [far?.excess, 'p50', 'of that are the commit and the nodes, the rest is the link'],
    [best('serve.rate', { protocol: 'http' }), 'p50', 'HTTP validations on one core'],
    [best('serve.rate', { protocol: 'binary' }), 'p50', 'validations on one core, binary'],
    [best('failover.writes', { way: 'kill' }, 'max'), 'max', 'without writes when the leader is killed'],
    [best('restart.memory', {}), 'p50', 'of memory a key'],
  ];
  return list
    .filter(([row]) => row)
    .map(([row, stat, says]) => `<div class="card"><b>${linked(row, stat)}</b><span>${escape(says)}</span></div>`)
    .join('\n');
}

const SHORT = { met: 'met', missed: 'missed', unmeasured: 'not measured' };

function conditionsText(others) {
  return Object.entries(others)
    .map(([name, value]) => `${name} ${value === null ? 'not told' : typeof value === 'number' ? digits(value) : value}`)
    .join(', ');
}

function statusCell({ status, others, isMet }) {
  if (status !== 'elsewhere') return `<span class="status ${status}">${SHORT[status]}</span>`;
  return `<span class="status elsewhere">${isMet ? 'holds' : 'does not hold'} under other conditions</span><br><span class="note">${escape(conditionsText(others))}</span>`;
}

function targetRows({ id, title, figures }) {
  return figures
    .map((figure, i) => {
      const { row } = figure;
      const head = i === 0 ? `<td rowspan="${figures.length}"><b>${id}</b></td><td rowspan="${figures.length}">${escape(title)}</td>` : '';
      const value = row ? linked(row, row.target.stat) : '–';
      const ratio = row?.ratio === undefined ? '–' : `${digits(row.ratio)} ×`;
      const command = row ? `<br><code class="note">${escape(row.command)}</code>` : '';
      return `<tr>${head}<td class="says">${escape(figure.says)}${command}</td><td class="number">${value}</td><td class="number">${ratio}</td><td>${statusCell(figure)}</td></tr>`;
    })
    .join('\n');
}

function targetTable(judged) {
  return `<h2 id="targets">Targets</h2>
<p class="caption">The ratio is what was measured divided by the bound. Where a target is meant for other conditions than were measured, it says so; what has no row was not measured.</p>
<div class="sheet"><table><thead><tr><th></th><th>what</th><th>target</th><th class="number">measured</th><th class="number">ratio</th><th></th></tr></thead>
<tbody>${judged.map(targetRows).join('\n')}</tbody></table></div>`;
}

// --- sections ------------------------------------------------------------------------------------

function figureText(figure) {
  const links = [...new Set(figure.rows)].map((row) => `<a href="#row-${row.number}">${row.number}</a>`).join(', ');
  return `<figure id="${figure.id}"><h3 id="${figure.id}-title">${escape(figure.title)}</h3>
<figcaption class="caption">${escape(figure.caption)}</figcaption>
${figure.svg}
<p class="note">Rows ${links}</p></figure>`;
}

function regionTable(rows) {
  const all = places(rows);
  if (all.length === 0) return '';
  const cell = (row, stat) => `<td class="number">${row ? linked(row, stat) : '–'}</td>`;
  const body = all.map(({ place, delay, link, excess }) =>
    `<tr><td>${escape(place)}</td>${cell(link, 'p50')}${['p50', 'p90', 'p99', 'max'].map((stat) => cell(delay, stat)).join('')}${cell(excess, 'p50')}${cell(excess, 'p99')}</tr>`);
  return `<div class="sheet"><table><thead><tr><th>region</th><th class="number">link, one way</th><th class="number">delay p50</th><th class="number">p90</th><th class="number">p99</th><th class="number">max</th><th class="number">beyond the link p50</th><th class="number">p99</th></tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

function worldTable(rows) {
  const delays = select(rows, 'world.delay');
  if (delays.length === 0) return '';
  const body = delays.map((row) => `<tr><td>${escape(row.conditions.from)} → ${escape(row.conditions.to)}</td><td class="number">${quantity(row.conditions.askedUs, 'us')}</td>${['p50', 'p99', 'max'].map((stat) => `<td class="number">${linked(row, stat)}</td>`).join('')}</tr>`);
  return `<details><summary>The emulated links${isRelayed(delays[0]) ? ' (TCP relays)' : ''}: what was asked for, and what was got</summary><div class="sheet"><table><thead><tr><th>link</th><th class="number">asked for</th><th class="number">p50</th><th class="number">p99</th><th class="number">max</th></tr></thead><tbody>${body.join('\n')}</tbody></table></div></details>`;
}

function planTable(rows) {
  const plan = rows.filter((row) => row.name.startsWith('plan.'));
  if (plan.length === 0) return '';
  const body = plan.map((row) => `<tr><td>${escape(row.label)}</td><td class="number">${linked(row, 'p50')}</td><td class="note">${escape(row.conditions.formula ?? '')}</td></tr>`);
  return `<h2 id="plan">Capacity on paper</h2><p class="caption">Derived from what was measured, each by the formula beside it: <code>${escape(plan[0].command)}</code></p>
<div class="sheet"><table><thead><tr><th></th><th class="number"></th><th>formula</th></tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}

function sectionText(section, rows) {
  const body =
    section.figures.length > 0
      ? section.figures.map(figureText).join('\n')
      : `<p class="unmeasured">Not measured in this run (${escape(section.missing)}).</p>`;
  const tables = section.id === 'propagation' ? regionTable(drawn(rows)) + worldTable(drawn(rows)) : '';
  return `<h2 id="${section.id}">${escape(section.title)}</h2>\n${body}\n${tables}`;
}

// --- the end -------------------------------------------------------------------------------------

function rowTable(rows) {
  const one = (row) => {
    const conditions = Object.entries(row.conditions).map(([name, value]) => `${name} ${typeof value === 'number' ? digits(value) : value}`).join(', ');
    const stats = ['p50', 'p99', 'max'].map((stat) => `<td class="number">${row.stats[stat] === undefined ? '–' : quantity(row.stats[stat], row.unit)}</td>`).join('');
    return `<tr id="row-${row.number}"><td class="number">${row.number}</td><td><b>${escape(row.name)}</b><br><span class="note">${escape([systemName(row.system), row.region, conditions].filter(Boolean).join(' · '))}</span></td><td class="number">${row.stats.count}</td>${stats}<td><code>${escape(row.command)}</code></td></tr>`;
  };
  return `<h2 id="rows">All rows</h2><p class="caption">Lines of <code>rows.jsonl</code>, from which this page is made and nothing else. The command of each measures it again.</p>
<div class="sheet"><table><thead><tr><th class="number">line</th><th>what</th><th class="number">count</th><th class="number">p50</th><th class="number">p99</th><th class="number">max</th><th>command</th></tr></thead><tbody>${rows.map(one).join('\n')}</tbody></table></div>`;
}

function loadText(rows) {
  const loads = rows.map((row) => row.load1).filter((load) => load !== undefined);
  if (loads.length === 0) return '';
  const { cores } = rows[0].machine;
  const isBusy = Math.max(...loads) > 3 * cores;
  return `<p class="caption">The load average while rows were written: ${digits(Math.min(...loads))} to ${digits(Math.max(...loads))}.${isBusy ? ' <b class="elsewhere">Others were at work on this machine; times are longer than they need be, and ratios say more.</b>' : ''}</p>`;
}

function machineText(rows) {
  const machines = [...new Set(rows.map((row) => JSON.stringify(row.machine)))].map((text) => JSON.parse(text));
  return machines
    .map((machine) => `<dl><dt>processor</dt><dd>${escape(machine.cpu)}, ${machine.cores} cores</dd><dt>memory</dt><dd>${quantity(machine.memoryBytes, 'bytes')}</dd><dt>kernel</dt><dd>${escape(machine.kernel)}</dd><dt>file system</dt><dd>${escape(machine.filesystem)}</dd></dl>`)
    .join('');
}

/** The page of all rows and charts (with their `svg`). */
export function page({ rows, sections, judged }) {
  const times = rows.map((row) => row.at).sort();
  const versions = [...new Set(rows.map((row) => row.version))].join(', ');
  const day = times[0].slice(0, 10);
  const links = [...sections.map((one) => [one.id, one.title]), ['targets', 'Targets'], ...(rows.some((row) => row.name.startsWith('plan.')) ? [['plan', 'Capacity on paper']] : []), ['machine', 'Machine'], ['rows', 'All rows']];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Keyreeve, measured on ${day}</title><style>${STYLE}</style></head>
<body><main>
<h1>Keyreeve, measured</h1>
<p class="lead">How fast a revoked API key is refused in every region, how many validations a core answers, and what happens when machines die. Version ${escape(versions)}, ${times[0].replace('T', ' ').slice(0, 16)} to ${times.at(-1).slice(11, 16)} UTC, on one machine; regions are emulated.</p>
<nav>${links.map(([id, text]) => `<a href="#${id}">${escape(text)}</a>`).join('')}</nav>
<div class="cards">${cards(rows)}</div>
${sections.map((section) => sectionText(section, rows)).join('\n')}
${targetTable(judged)}
${planTable(rows)}
<h2 id="machine">Machine</h2><div class="sheet">${machineText(rows)}</div>${loadText(rows)}
${rowTable(rows)}
</main></body></html>
`;
}
