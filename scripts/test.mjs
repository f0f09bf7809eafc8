// Runs the test suites by name: unit (*.test.ts), pg (*.pg-test.ts), sim (*.sim-test.ts), full (*.full-test.ts).
// `node --test` with a pattern that matches nothing exits 0, so the files are found here and an empty suite is an error.
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const suffixes = { unit: 'test', pg: 'pg-test', sim: 'sim-test', full: 'full-test' };
const RUN_LIMIT_MS = 60 * 60_000;
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
const args = ['--import', './scripts/test-guard.mjs', '--test', '--test-reporter=spec', '--test-concurrency=2'];
args.push('--test-timeout=600000', ...files);
// Told to end, the runner says what it was running: a file that hangs where the guard cannot end it has a name, too.
const result = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', timeout: RUN_LIMIT_MS });
process.exit(result.status ?? 1);
