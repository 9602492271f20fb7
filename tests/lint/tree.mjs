// SPDX-License-Identifier: Apache-2.0
// What the lint rules share: the files of a tree, C source without its comments, and reporting.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const SKIPPED = new Set(['.git', 'build', 'data', 'node_modules', 'out']);

function walk(root, folder, found) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory() && !SKIPPED.has(entry.name)) walk(root, path, found);
    else if (entry.isFile() && !SKIPPED.has(entry.name)) found.push(path);
  }
  return found;
}

/** All files below root as relative paths, sorted; build results are left out. */
export function files(root, pattern = /./) {
  return walk(root, '', []).filter((path) => pattern.test(path)).sort();
}

export const C_FILES = /\.[ch]$/;
// Tables that are included several times with macros defined: no guard, nothing of their own.
export const TABLES = /_table\.h$/;

export function read(root, path) {
  return readFileSync(join(root, path), 'utf8');
}

export function readIfThere(root, path) {
  return existsSync(join(root, path)) ? read(root, path) : null;
}

/** The folder of a path: "core/store" of "core/store/hot.c", "" of "a.c". */
export function folderOf(path) {
  const at = path.lastIndexOf('/');
  return at < 0 ? '' : path.slice(0, at);
}

const blank = (text) => text.replace(/[^\n]/g, ' ');

/** C source with comments blanked and literals emptied; lines and columns stay where they were. */
export function strip(source) {
  return source.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\[\s\S]|[^'\\\n])+'/g,
    (match) => (match[0] === '/' ? blank(match) : match[0] + blank(match.slice(1, -1)) + match[0]),
  );
}

/** The same without preprocessor lines (continued ones too). */
export function stripDirectives(stripped) {
  return stripped.replace(/^[ \t]*#(?:[^\n]*\\\n)*[^\n]*/gm, blank);
}

export function lineOf(text, offset) {
  let line = 1;
  for (let i = 0; i < offset; i++) if (text.charCodeAt(i) === 10) line++;
  return line;
}

/**
 * The functions of a C file: {name, line, lines}, from the line of the name to the closing brace.
 * Relies on the committed format: a function's braces stand alone at the first column.
 */
export function functions(source) {
  const lines = stripDirectives(strip(source)).split('\n');
  const found = [];
  for (let at = 0; at < lines.length; at++) {
    if (lines[at].trimEnd() !== '{') continue;
    const begin = signatureStart(lines, at);
    const name = /([A-Za-z_]\w*)\s*\(/.exec(lines.slice(begin, at).join(' '))?.[1];
    const end = lines.indexOf('}', at);
    if (name && end > 0) found.push({ name, line: begin + 1, lines: end - begin + 1 });
  }
  return found;
}

function signatureStart(lines, brace) {
  let at = brace - 1;
  while (at > 0 && /\S/.test(lines[at - 1]) && !/[;}]\s*$/.test(lines[at - 1])) at--;
  return Math.max(at, 0);
}

/** The includes of a file: {line, path, isForeign}. */
export function includes(source) {
  const found = [];
  source.split('\n').forEach((text, i) => {
    const match = /^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)/.exec(text);
    if (match) found.push({ line: i + 1, path: match[1] ?? match[2], isForeign: match[2] !== undefined });
  });
  return found;
}

/** Runs a rule when its file is the program: `node tests/lint/<rule>.mjs [ROOT]`. */
export function main(url, check) {
  if (resolve(process.argv[1]) !== fileURLToPath(url)) return;
  const root = resolve(process.argv[2] ?? '.');
  const { problems, notes = [] } = check(root);
  notes.forEach((note) => console.log(note));
  problems.forEach((problem) => console.error(problem));
  if (problems.length > 0) {
    console.error(`${relative('.', fileURLToPath(url))}: ${problems.length} to mend`);
    process.exitCode = 1;
  }
}
