// SPDX-License-Identifier: Apache-2.0
// Each rule must see what it is there for: bad samples, one a case, and a good tree that passes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { check as borders } from './borders.mjs';
import { check as docs } from './docs.mjs';
import { check as format } from './format.mjs';
import { check as headers } from './headers.mjs';
import { check as layers } from './layers.mjs';
import { check as names } from './names.mjs';
import { check as sizes } from './sizes.mjs';
import { check as words } from './words.mjs';

const HEAD = '// SPDX-License-Identifier: Apache-2.0\n// A sample.\n';
const HEADER = `${HEAD}#pragma once\n\n`;
const FORMAT = 'BasedOnStyle: LLVM\nIndentWidth: 4\nColumnLimit: 100\nBreakBeforeBraces: Linux\nAllowShortFunctionsOnASingleLine: None\n';

const longFunction = `int f(void)\n{\n${'    g();\n'.repeat(80)}}\n`;

// [rule, name of the case, files, what a problem must match]
const CASES = [
  [layers, 'an include upwards', { 'core/keys/a.c': '#include "core/store/b.h"\n', 'core/store/b.h': '' }, /is not below/],
  [layers, 'http sees keys', { 'core/http/a.c': '#include "core/keys/b.h"\n', 'core/keys/b.h': '' }, /is not below/],
  [layers, 'a unit test above its layer', { 'tests/unit/proto/t.c': '#include "node/b.h"\n', 'node/b.h': '' }, /is not below/],
  [layers, 'an include beside', { 'node/a.c': '#include "b.h"\n', 'node/b.h': '' }, /not named from the root/],
  [layers, 'a header that is not there', { 'node/a.c': '#include "node/b.h"\n' }, /there is no/],
  [borders, 'jansson outside', { 'node/a.c': '#include <jansson.h>\n' }, /not at home/],
  [borders, 'RocksDB outside', { 'core/store/hot.c': '#include <rocksdb/c.h>\n' }, /not at home/],
  [borders, 'generated code outside', { 'node/a.c': '#include "proto/log.pb-c.h"\n' }, /not at home/],
  [borders, 'an unknown library', { 'core/base/a.c': '#include <foo.h>\n' }, /has no home/],
  [sizes, 'a long function', { 'node/a.c': longFunction }, /f has 83 lines/],
  [sizes, 'a long file', { 'node/a.c': 'int a;\n'.repeat(601) }, /601 lines/],
  [sizes, 'a wide line', { 'node/a.c': `int a; // ${'x'.repeat(100)}\n` }, /wider/],
  [names, 'a function of no family', { 'node/a.h': 'void b_go(void);\n' }, /function b_go/],
  [names, 'a static inline of no family', { 'node/a.h': 'static inline int go(void)\n{\n    return 1;\n}\n' }, /function go/],
  [names, 'a struct of no family', { 'node/a.h': 'struct b {\n    int c;\n};\n' }, /struct b/],
  [names, 'an enum value without KR_', { 'node/a.h': 'enum a {\n    A_ONE,\n};\n' }, /enum value A_ONE/],
  [names, 'a macro without KR_', { 'node/a.h': '#define LIMIT 3\n' }, /macro LIMIT/],
  [names, 'a typedef with _t', { 'node/a.h': 'typedef struct a a_t;\n' }, /no _t/],
  [names, 'a typedef with _t in a source', { 'node/a.c': 'typedef int number_t;\n' }, /no _t/],
  [headers, 'no licence', { 'node/a.c': 'int a;\n' }, /first line/],
  [headers, 'no purpose', { 'node/a.c': `${HEAD.split('\n')[0]}\nint a;\n` }, /no comment/],
  [headers, 'no guard', { 'node/a.h': `${HEAD}int a_get(void);\n` }, /pragma once/],
  [headers, 'a header that needs another', { 'node/a.h': `${HEADER}size_t a_get(void);\n` }, /compile alone/],
  [headers, 'its own header is not first', { 'node/a.c': `${HEAD}#include <stdio.h>\n#include "node/a.h"\n`, 'node/a.h': HEADER }, /first include/],
  [format, 'two spaces', { '.clang-format': FORMAT, 'node/a.c': 'int f(void)\n{\n  return 1;\n}\n' }, /clang-format/],
  [format, 'white space at an end', { 'a.md': 'text \n' }, /white space/],
  [format, 'no line feed', { 'a.md': 'text' }, /no line feed/],
  [words, 'unfinished', { 'node/a.c': `// ${'TO' + 'DO'}: all of it\n` }, /unfinished/],
  [words, 'a registry', { 'a.sh': `curl https://${'pypi' + '.org'}/\n` }, /registry/],
  [words, 'a path of one machine', { 'a.md': `see /${'home'}/someone\n` }, /one machine/],
  [docs, 'a route that is not described', { 'node/dispatch_table.h': '#define P "/a"\nROUTE("x", "GET", P "/b", CALL, ANY, 0, h)\n', 'node/api/openapi.yaml': 'paths:\n  /a:\n    get:\n' }, /does not describe GET \/a\/b/],
  [docs, 'a description of no route', { 'node/dispatch_table.h': '', 'node/api/openapi.yaml': 'paths:\n  /a:\n    get:\n' }, /is no route/],
  [docs, 'a route not on its page', { 'node/dispatch_table.h': 'ROUTE("x", "GET", "/b", CALL, ANY, 0, h)\n' }, /api\.md: lacks/],
  [docs, 'a setting not on its page', { 'node/config_table.h': 'TEXT(data, "", "help")\n' }, /lacks the setting data/],
  [docs, 'a wrong default', { 'node/config_table.h': 'NUMBER(a, 3, 0, 9, "", "help")\n', 'docs/operations.md': '| `a` | `4` | help |\n' }, /default 3/],
  [docs, 'an example of no setting', { 'node/config_table.h': '', 'deploy/keyreeve.yaml': '#nothing: 1\n' }, /is no setting/],
  [docs, 'a code not on its page', { 'core/keys/verdict.h': '    X(VALID, 200)\n' }, /lacks the code VALID/],
  [docs, 'a metric not on its page', { 'node/metrics.c': 'single(render, "keys", "gauge", "", 1);\n' }, /keyreeve_keys/],
  [docs, 'a dead link', { 'a.md': '[b](b.md)\n' }, /not there/],
  [docs, 'a link to no heading', { 'a.md': '# One (two)\n[b](#one-two) [c](#one)\n' }, /links to #one, which/],
];

const GOOD = {
  '.clang-format': FORMAT,
  'core/base/a.h': `${HEADER}#include <stddef.h>\n\n#define KR_A_MAX 3\n\nenum a_kind { KR_A_ONE };\nsize_t a_get(void);\ntypedef void a_done_fn(void *ctx);\n`,
  'core/base/a.c': `${HEAD}#include "core/base/a.h"\n\nsize_t a_get(void)\n{\n    return KR_A_MAX;\n}\n`,
  'node/b.c': `${HEAD}#include <uv.h>\n\n#include "core/base/a.h"\n`,
};

function withTree(content, use) {
  const root = mkdtempSync(join(tmpdir(), 'keyreeve-lint-'));
  try {
    for (const [path, text] of Object.entries(content)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const problemsOf = (rule, content) => withTree(content, (root) => rule(root).problems);

const failures = [];
let seen = 0;
for (const [rule, name, content, expected] of CASES) {
  const problems = problemsOf(rule, content);
  if (problems.some((problem) => expected.test(problem))) seen++;
  else failures.push(`${name}: not seen (${problems.join('; ') || 'nothing'})`);
}
for (const rule of [layers, borders, sizes, names, headers, format, words])
  problemsOf(rule, GOOD).forEach((problem) => failures.push(`a good tree: ${problem}`));

failures.forEach((failure) => console.error(failure));
console.log(`${seen} of ${CASES.length} bad samples seen`);
process.exitCode = failures.length > 0 ? 1 : 0;
