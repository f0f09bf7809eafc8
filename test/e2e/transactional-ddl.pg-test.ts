import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// A migration makes a table and its stream in one transaction: both are there when it commits, and neither when not.

const server = await startPostgres();
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const receiver = await startReceiver();
const client = await connect(walhook.sqlUrl());

const migration = (table: string): string => `
  CREATE TABLE ${table} (id int PRIMARY KEY);
  CREATE CDC STREAM ${table}_events ON ${table} TO WEBHOOK '${receiver.url}/${table}';
  COMMENT ON CDC STREAM ${table}_events IS 'made by a migration';
`;
const WAYS: ReadonlyArray<[what: string, run: (table: string) => Promise<unknown>]> = [
  ['a block', async (table) => client.query('BEGIN').then(() => each(migration(table), 'COMMIT'))],
  ['one message', async (table) => client.query(migration(table))],
];

async function each(text: string, end: string): Promise<void> {
  for (const statement of text.split(';')) if (statement.trim()) await client.query(statement);
  await client.query(end);
}

for (const [index, [what, run]] of WAYS.entries()) {
  test(`${what}: the first write behind it is captured`, async () => {
    const table = `migrated_${index}`;
    await run(table);
    await client.query(`INSERT INTO ${table} VALUES (1)`);
    const { body } = await waitFor('the event', () => receiver.to(`/${table}`)[0]);
    assert.deepEqual(body.key, { id: 1 });
  });
}

test('a rollback leaves neither table nor stream', async () => {
  await client.query('BEGIN');
  await each(migration('undone'), 'ROLLBACK');
  await assert.rejects(client.query(migration('undone') + 'SELECT 1/0'), { code: '22012' });
  await assert.rejects(client.query('SELECT FROM undone'), { code: '42P01' });
  await assert.rejects(client.query('SHOW CDC STREAM STATUS undone_events'), { code: '42704' });
});

test('what an aborted savepoint made is not captured', async () => {
  await client.query('BEGIN; CREATE TABLE saved (id int PRIMARY KEY); SAVEPOINT s');
  await client.query(`CREATE CDC STREAM unsaved ON saved TO WEBHOOK '${receiver.url}/unsaved'`);
  await client.query('ROLLBACK TO s; COMMIT');
  await assert.rejects(client.query('SHOW CDC STREAM STATUS unsaved'), { code: '42704' });
});
