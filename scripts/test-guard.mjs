// Loaded into each test file's process: one that does not come to its end fails by name instead of holding up the run.
// The runner's own --test-timeout does not see what is left open behind the last test.
import { after } from 'node:test';

const FILE_LIMIT_MS = Number(process.env['TEST_FILE_LIMIT_MS'] ?? 15 * 60_000);
const LEFT_OPEN_LIMIT_MS = 30_000;

// The process that runs the files has the variable not set: it is no test file.
if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  limit(FILE_LIMIT_MS, 'the file did not come to its end');
  after(() => limit(LEFT_OPEN_LIMIT_MS, 'the tests are done and something is still open'));
}

/** Ends this process with a failure where it is there after this long. Does not keep it alive. */
function limit(ms, what) {
  setTimeout(() => {
    const held = process.getActiveResourcesInfo().join(', ');
    process.stderr.write(`${process.argv[1]}: ${what} after ${ms} ms; held by ${held}\n`, () => process.exit(1));
  }, ms).unref();
}
