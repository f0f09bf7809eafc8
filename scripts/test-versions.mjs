// Runs the suites that depend on the server against each version of PostgreSQL, one after the other, and prints a table of
// version by suite. `npm run test:versions -- 14 17 capture engine` runs some of them only. A suite is the folder of its
// tests; what it printed is in the folder that the last line names.
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const VERSIONS = ['14', '15', '16', '17', '18'];
const SUITES = ['capture', 'engine', 'e2e', 'formats', 'upstream'];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((word) => !VERSIONS.includes(word) && !SUITES.includes(word));
if (unknown.length > 0) {
  console.error(`no version or suite ${unknown.join(', ')}; there are ${[...VERSIONS, ...SUITES].join(', ')}`);
  process.exit(2);
}
/** Those that were asked for, or all. */
const chosen = (all) => (all.some((one) => wanted.includes(one)) ? all.filter((one) => wanted.includes(one)) : all);

const logs = mkdtempSync(join(tmpdir(), 'walhook-versions-'));
const versions = chosen(VERSIONS);
const suites = chosen(SUITES);
const cells = versions.map((version) => suites.map((suite) => run(version, suite)));
const rows = [['PostgreSQL', ...suites], ...cells.map((row, i) => [versions[i], ...row.map(({ text }) => text)])];
const width = Math.max(...rows.flat().map((cell) => cell.length));
for (const row of rows) console.log(row.map((cell) => cell.padEnd(width)).join('  '));
console.log(`\nwhat was printed: ${logs}`);
process.exit(cells.flat().every(({ isGood }) => isGood) ? 0 : 1);

function run(version, suite) {
  const files = globSync(`test/${suite}/**/*.pg-test.ts`, { cwd: root }).sort();
  if (files.length === 0) return { isGood: false, text: 'no tests' };
  const log = join(logs, `${version}-${suite}.log`);
  const reporters = `--test-reporter=tap --test-reporter-destination=stdout --test-reporter=spec
    --test-reporter-destination=${log}`.split(/\s+/);
  const startedMs = Date.now();
  const args = ['--test', ...reporters, '--test-concurrency=2', '--test-timeout=600000', ...files];
  const env = { ...process.env, TEST_POSTGRES: version, FORCE_COLOR: '0' };
  const { status, stdout } = spawnSync(process.execPath, args, {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const count = (what) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(stdout ?? '')?.[1] ?? Number.NaN);
  const [passed, failed, skipped] = ['pass', 'fail', 'skipped'].map(count);
  const isGood = status === 0 && passed > 0 && failed === 0;
  const text = `${isGood ? 'ok' : 'FAILED'} ${passed} of ${passed + failed}${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  console.log(`${version} ${suite}: ${text}, ${Math.round((Date.now() - startedMs) / 1000)} s`);
  if (!isGood) console.log(failures(log));
  return { isGood, text };
}

/** The end of what the tests printed: what failed, and why. */
function failures(log) {
  const text = readFileSync(log, 'utf8');
  const at = text.lastIndexOf('failing tests:');
  return at === -1 ? text.slice(-4_000) : text.slice(at);
}
