import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PsqlSession } from '../src/cli/psql-session.ts';
import { splitStatements } from '../src/sql/split.ts';
import { startPostgres, temporaryFolder } from './support/test-database.ts';
import { WalhookProcess } from './support/walhook-process.ts';

// Every file of sql-examples/ does what it says: its statements, run through walhook, print what is in the file beside
// it. `RECORD=1` writes those files anew; the diff is then the reviewer's.

const EXAMPLES = join(import.meta.dirname, '..', 'sql-examples');
const files = globSync('*.sql', { cwd: EXAMPLES }).sort();
assert.ok(files.length > 0, 'there are examples');

const server = await startPostgres();
const walhook = new WalhookProcess({ upstreamUrl: server.url(), dataDir: join(temporaryFolder(), 'data') });
await walhook.start();
const session = new PsqlSession(walhook.sqlUrl(), steady);
await session.connect();
after(() => session.close());

/** The value, or a constant of its kind where it differs from run to run: then its width would, and with it the table's. */
function steady(cell: string): string {
  return cell.replaceAll(/\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00\b/g, '0000-00-00 00:00:00.000+00');
}

async function run(sql: string): Promise<string> {
  const printed: string[] = [];
  for (const { start, end } of splitStatements(sql, { standardConformingStrings: true })) {
    printed.push((await session.run(sql.slice(start, end))).text);
  }
  return `${printed.join('\n')}\n`;
}

for (const file of files) {
  test(`${file} prints what it should`, async () => {
    const printed = await run(readFileSync(join(EXAMPLES, file), 'utf8'));
    const expectedFile = join(EXAMPLES, file.replace(/\.sql$/, '.out'));
    if (process.env.RECORD) writeFileSync(expectedFile, printed);
    assert.equal(printed, readFileSync(expectedFile, 'utf8'));
  });
}
