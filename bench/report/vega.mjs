// SPDX-License-Identifier: Apache-2.0
// Vega as Debian packages it (node-vega): a specification in, SVG out, without a browser.
//
// Debian's modules lie in /usr/share/nodejs, which a Node.js from elsewhere does not search, so that
// they are asked for by path. Its umbrella module is not usable; the parts are put together here.
import { createRequire, Module } from 'node:module';

const PLACE = '/usr/share/nodejs';

function load() {
  process.env.NODE_PATH = [PLACE, process.env.NODE_PATH].filter(Boolean).join(':');
  Module._initPaths();
  const require = createRequire(`${PLACE}/`);
  const part = (name) => require(`${PLACE}/${name}`);
  const { transforms } = part('vega-dataflow');
  for (const name of ['vega-transforms', 'vega-view-transforms', 'vega-encode']) Object.assign(transforms, part(name));
  return {
    parse: part('vega-parser').parse,
    View: part('vega-view').View,
    textMetrics: part('vega-scenegraph').textMetrics,
    geo: part('d3-geo'),
    topojson: part('topojson-client'),
  };
}

let parts = null;

/** Debian's modules; throws with the package's name when they are not there. */
export function vega() {
  try {
    parts ??= load();
  } catch (error) {
    throw new Error(`Vega is not there (${error.message.split('\n')[0]}); deploy/packages.sh report installs it`);
  }
  return parts;
}

// Without a canvas Vega takes every letter to be 0.8 em wide; those of a sans-serif are narrower.
const NARROW = /[ijlftI.,:;'|!() ]/;
function widthOf(item, text) {
  const size = item.fontSize ?? 11;
  return [...String(text ?? item.text ?? '')].reduce((sum, letter) => sum + size * (NARROW.test(letter) ? 0.32 : 0.57), 0);
}

/** The SVG of a specification; the ids in it begin with `id`, so that a page may hold many. */
export async function toSvg(spec, id) {
  const { parse, View, textMetrics } = vega();
  textMetrics.width = widthOf;
  const view = new View(parse(spec), { renderer: 'none', logLevel: 1 });
  const svg = await view.toSVG();
  view.finalize();
  return svg
    .replace(/\bid="([^"]+)"/g, `id="${id}-$1"`)
    .replace(/url\(#([^)]+)\)/g, `url(#${id}-$1)`)
    .replace('<svg ', `<svg role="img" aria-labelledby="${id}-title" `);
}
