// SPDX-License-Identifier: Apache-2.0
// Colours and type of the report. Charts name colours as CSS variables, so that one SVG serves light
// and dark; for PNG they are replaced by their values.

const SHARED = { font: 'Inter, "Helvetica Neue", Arial, sans-serif' };

export const THEMES = {
  light: {
    paper: '#ffffff', canvas: '#f5f6f8', ink: '#171c26', soft: '#5b6575', faint: '#e3e7ed', line: '#c9d0da',
    land: '#dfe4ea', ours: '#2456c7', other: '#9aa5b4', good: '#17794a', bad: '#b3321f', warn: '#8a5a00',
    c1: '#2456c7', c2: '#c8570f', c3: '#178256', c4: '#8a3fb0', c5: '#a17a00', c6: '#b3321f', c7: '#0f7f94',
  },
  dark: {
    paper: '#161b24', canvas: '#0e1218', ink: '#e9edf4', soft: '#9aa6b8', faint: '#252c38', line: '#3a4454',
    land: '#2a3340', ours: '#7ea6ff', other: '#6d7a8d', good: '#58d39a', bad: '#ff8b78', warn: '#f2c14e',
    c1: '#7ea6ff', c2: '#ff9f5f', c3: '#58d39a', c4: '#d09cff', c5: '#f2c14e', c6: '#ff8b78', c7: '#5fd3e6',
  },
};

export const color = (name) => `var(--${name})`;
export const SERIES = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7'].map(color);
export const FONT = SHARED.font;

/** The declarations of a theme's variables, for a style sheet. */
export function declarations(theme) {
  return Object.entries(THEMES[theme]).map(([name, value]) => `--${name}:${value}`).join(';');
}

/** The SVG with a theme's colours in the place of variables, on its paper. */
export function paint(svg, theme) {
  const painted = svg.replace(/var\(--(\w+)\)/g, (_, name) => THEMES[theme][name]);
  return painted.replace(/(<svg [^>]*>)/, `$1<rect width="100%" height="100%" fill="${THEMES[theme].paper}"/>`);
}

const axis = {
  domainColor: color('line'), tickColor: color('line'), gridColor: color('faint'), labelColor: color('soft'), titleColor: color('soft'),
  labelFont: FONT, titleFont: FONT, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, tickSize: 4, labelPadding: 6,
  titlePadding: 10, gridWidth: 1,
};

export const CONFIG = {
  background: null,
  axis,
  legend: {
    labelColor: color('ink'), titleColor: color('soft'), labelFont: FONT, titleFont: FONT, labelFontSize: 12, symbolStrokeWidth: 2.5,
    orient: 'top', direction: 'horizontal', columnPadding: 18, padding: 0, offset: 14, symbolSize: 140, labelLimit: 0,
  },
  text: { font: FONT },
};
