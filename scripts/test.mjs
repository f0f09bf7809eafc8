// Runs the test suites by name: unit (*.test.ts), pg (*.pg-test.ts), sim (*.sim-test.ts), full (*.full-test.ts).
// `node --test` with a pattern that matches nothing exits 0, so the files are found here and an empty suite is an error.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const suffixes = { unit: 'test', pg: 'pg-test', sim: 'sim-test', full: 'full-test' };
const suites = process.argv.slice(2);
if (suites.length === 0) {
  console.error(`usage: node scripts/test.mjs ${Object.keys(suffixes).join('|')} …`);
  process.exit(2);
}
const files = [];
for (const suite of suites) {
  const suffix = suffixes[suite];
  if (!suffix) {
    console.error(`no test suite "${suite}"; there are ${Object.keys(suffixes).join(', ')}`);
    process.exit(2);
  }
  const found = globSync(`test/**/*.${suffix}.ts`, { cwd: root }).sort();
  if (found.length === 0) {
    console.error(`the suite "${suite}" has no files`);
    process.exit(1);
  }
  files.push(...found);
}
// Two files at a time: each Postgres suite runs a server of its own.
const args = ['--test', '--test-reporter=spec', '--test-concurrency=2', '--test-timeout=600000', ...files];
const result = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
process.exit(result.status ?? 1);
