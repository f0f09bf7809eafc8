import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertCarriedOut, everyStatement, literally } from '../drivers/every-statement.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { psql } from '../support/psql.ts';
import { startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();

const ordinary: [string, string][] = [
  [
    'queries, types and errors',
    `SELECT 1, 'x', NULL, now() IS NOT NULL; SELECT 1/0; SELECT nonsense; SELECT '{1,2}'::int[], 'NaN'::float8;`,
  ],
  [
    'prepared statements',
    `PREPARE p (int) AS SELECT $1 * 2; EXECUTE p (21); DEALLOCATE p; SELECT $1 + 1 \\bind 41 \\g`,
  ],
  [
    'a transaction',
    `BEGIN; CREATE TABLE tx (a int); SAVEPOINT s; INSERT INTO tx VALUES (1); ROLLBACK TO s; SELECT * FROM tx; ROLLBACK; SELECT to_regclass('tx');`,
  ],
  [
    'COPY in and out',
    `CREATE TEMP TABLE c (a int, b text);\nCOPY c FROM STDIN;\n1\tone\n2\t\\N\n\\.\nCOPY c TO STDOUT;\n\\copy c to stdout csv`,
  ],
  ['notices and multi-statement messages', `DO $$ BEGIN RAISE NOTICE 'hello'; END $$; SELECT 1 \\; SELECT 2;`],
  ['LISTEN and NOTIFY', `LISTEN ch; NOTIFY ch, 'payload'; SELECT 1;`],
  [
    'look-alikes of ours',
    `SELECT 'CREATE CDC STREAM' AS cdc; SHOW cdc; SELECT $$ALTER CDC STREAM s PAUSE$$; /* DROP CDC STREAM s */ SELECT 1;`,
  ],
];

for (const [what, script] of ordinary) {
  test(`psql sees no difference: ${what}`, async () => {
    const direct = await psql(server.url(), script);
    const proxied = await psql(walhook.sqlUrl(), script);
    const steady = (text: string): string =>
      text.replaceAll(/server process with PID \\d+/g, 'server process').replaceAll(/PID \d+/g, 'PID');
    assert.equal(steady(proxied.stdout.toString('utf8')), steady(direct.stdout.toString('utf8')));
    assert.equal(steady(proxied.stderr), steady(direct.stderr));
    assert.equal(proxied.status, direct.status);
    assert.ok(direct.stdout.length > 0, 'the script printed something');
  });
}

test('psql sees no difference: a 100 MB result', async () => {
  const script = `SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, 100000) AS i;`;
  const direct = await psql(server.url(), script, ['-At']);
  const proxied = await psql(walhook.sqlUrl(), script, ['-At']);
  assert.ok(direct.stdout.length > 100_000_000, `${direct.stdout.length} bytes`);
  assert.ok(direct.stdout.equals(proxied.stdout));
});

test('psql runs every statement of ours', async () => {
  const script = `
    CREATE TABLE users (id int PRIMARY KEY, name text);
    CREATE CHANGE DATA CAPTURE ON users
      TO WEBHOOK '${receiver.url}/users' -- the endpoint
      FORMAT JSON;
    INSERT INTO users VALUES (1, 'Ada');
    SHOW CDC STREAMS;
    SHOW CDC STREAM STATUS users_cdc_stream;
    ALTER CDC STREAM users_cdc_stream PAUSE;
    ALTER CDC STREAM users_cdc_stream RESUME;
  `;
  const run = await psql(walhook.sqlUrl(), script, ['-v', 'ON_ERROR_STOP=1']);
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stderr, /NOTICE: {2}stream name "users_cdc_stream" was generated/);
  const out = run.stdout.toString('utf8');
  assert.match(out, /stream_name +\| +source +\| destination_type/);
  assert.match(out, / stream_name +\| users_cdc_stream/);
  await waitFor('the webhook', () => receiver.to('/users')[0]);
  const dropped = await psql(
    walhook.sqlUrl(),
    'DROP CDC STREAM users_cdc_stream; DROP CDC STREAM IF EXISTS users_cdc_stream; DROP TABLE users;',
  );
  assert.equal(dropped.status, 0, dropped.stderr);
  assert.match(dropped.stderr, /NOTICE: {2}CDC stream "users_cdc_stream" does not exist, skipping/);
});

test('psql -1: table and stream of one script come and go together', async () => {
  const script = (table: string, end: string): string =>
    `CREATE TABLE ${table} (id int PRIMARY KEY);
     CREATE CDC STREAM ${table}_events ON ${table} TO WEBHOOK '${receiver.url}/${table}';
     COPY ${table} FROM STDIN;\n1\n\\.\n${end}`;
  const failed = await psql(walhook.sqlUrl(), script('never', 'SELECT 1/0;'), [
    '-1',
    '-v',
    'ON_ERROR_STOP=1',
    '-f',
    '-',
  ]);
  assert.equal(failed.status, 3, failed.stderr);
  const made = await psql(walhook.sqlUrl(), script('at_once', ''), ['-1', '-v', 'ON_ERROR_STOP=1', '-f', '-']);
  assert.equal(made.status, 0, made.stderr);
  const shown = await psql(walhook.sqlUrl(), "SHOW CDC STREAMS; SELECT to_regclass('never') IS NULL;", ['-At']);
  assert.match(shown.stdout.toString('utf8'), /^at_once_events\|.*\nt\n$/s);
  await psql(walhook.sqlUrl(), 'INSERT INTO at_once VALUES (2);');
  const { body } = await waitFor('the event', () => receiver.to('/at_once')[0]);
  assert.deepEqual(body.key, { id: 2 });
  await psql(walhook.sqlUrl(), 'DROP CDC STREAM at_once_events;');
});

test('psql runs every statement of ours', async () => {
  await psql(
    walhook.sqlUrl(),
    'CREATE TABLE people (id int PRIMARY KEY, name text); CREATE TABLE extra (id int PRIMARY KEY);',
  );
  const statements = everyStatement(`${receiver.url}/every`);
  // Each is followed by a line that says what came of it.
  const script = statements.map((one) => `${literally(one)} \\g /dev/null\n\\echo :SQLSTATE\n`).join('');
  const { stdout } = await psql(walhook.sqlUrl(), script);
  const states = stdout.toString('utf8').trimEnd().split('\n');
  assertCarriedOut(
    statements,
    states.map((state) => (state === '00000' ? 'done' : `error ${state}`)),
  );
});

test('psql puts the caret under the word that is wrong', async () => {
  const { stderr } = await psql(walhook.sqlUrl(), 'ALTER CDC STREAM s PAUZE;');
  const lines = stderr.split('\n');
  const at = lines.findIndex((line) => line.startsWith('LINE 1: '));
  assert.notEqual(at, -1, stderr);
  assert.equal(lines[at + 1]!.indexOf('^'), lines[at]!.indexOf('PAUZE'), stderr);
  assert.match(stderr, /HINT: /);
});

const EXAMPLES = join(import.meta.dirname, '..', '..', 'sql-examples');
for (const file of globSync('*.sql', { cwd: EXAMPLES }).sort()) {
  test(`psql runs ${file}`, async () => {
    const run = await psql(walhook.sqlUrl(), `\\set QUIET off\n${readFileSync(join(EXAMPLES, file), 'utf8')}`);
    const expected = readFileSync(join(EXAMPLES, file.replace(/\.sql$/, '.out')), 'utf8');
    const answers = (text: string): string[] =>
      text
        .split('\n')
        .map((line) => line.trimEnd())
        .filter((line) => /^[A-Z ]+$/.test(line) && line !== '');
    assert.deepEqual(answers(run.stdout.toString('utf8')), answers(expected));
  });
}
