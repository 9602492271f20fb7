// SPDX-License-Identifier: Apache-2.0
// Numbers for people: three digits and a unit that fits.
const THIN = '\u202f';

const group = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, ',');

/** Three significant digits, thousands grouped. */
export function digits(value) {
  if (value === 0) return '0';
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size >= 2) return group(String(Math.round(value / 10 ** (size - 2)) * 10 ** (size - 2)).split('.')[0]);
  return value.toFixed(2 - size).replace(/\.?0+$/, '');
}

function scaled(value, steps) {
  const [unit, factor] = steps.find(([, one]) => Math.abs(value) < one * 999.5) ?? steps.at(-1);
  return `${digits(value / factor)}${THIN}${unit}`;
}

const TIMES = [['ns', 1e-3], ['µs', 1], ['ms', 1e3], ['s', 1e6]];
const BYTES = [['B', 1], ['KiB', 1024], ['MiB', 1024 ** 2], ['GiB', 1024 ** 3], ['TiB', 1024 ** 4]];
const RATES = [['/s', 1], ['k/s', 1e3], ['M/s', 1e6]];
const MICROSECONDS = { ns: 1e-3, us: 1, ms: 1e3 };

/** A value of a row's unit. */
export function quantity(value, unit) {
  if (value === null || value === undefined) return '–';
  if (unit in MICROSECONDS) return scaled(value * MICROSECONDS[unit], TIMES);
  if (unit === 'bytes') return scaled(value, BYTES);
  if (unit === 'bytes/s') return `${scaled(value, BYTES)}/s`;
  if (unit === '1/s') return scaled(value, RATES);
  if (unit === 'ratio') return `${digits(value)}${THIN}×`;
  return !unit || unit === 'count' ? digits(value) : `${digits(value)}${THIN}${unit}`;
}

export const milliseconds = (value, unit) => (value * MICROSECONDS[unit]) / 1e3;
