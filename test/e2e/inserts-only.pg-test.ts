import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: a stream that takes inserts only needs no replica identity, and costs the application none.

const receiver = await startReceiver();

test('a table without a replica identity gives its inserts, and nothing that the application does to it fails', async () => {
  const server = await startPostgres();
  const app = await connect(server.url());
  const walhook = await new WalhookProcess({
    upstreamUrl: server.url(),
    dataDir: join(temporaryFolder(), 'data'),
  }).start();
  const client = await connect(walhook.sqlUrl());
  const events = (): string[] =>
    receiver.to('/inserts').map(({ body }) => `${String(body['op'])} ${JSON.stringify(body['after'])}`);
  const come = async (...expected: string[]): Promise<void> => {
    await waitFor(expected.join(), () => events().length >= expected.length);
    assert.deepEqual(events(), expected);
  };
  const stream = (operations: string): string =>
    `CREATE OR REPLACE CDC STREAM inserts ON bare TO WEBHOOK '${receiver.url}/inserts' ${operations}`;
  await app.query('CREATE TABLE bare (id int)');
  await assert.rejects(client.query(stream('')), { code: '55000', message: /no replica identity/ });
  const { rows } = await client.query<Record<string, string>>(`EXPLAIN ${stream('OPERATIONS (INSERT, TRUNCATE)')}`);
  assert.match(JSON.stringify(rows), /ALTER PUBLICATION walhook_inserts ADD TABLE public\.bare/);
  await client.query(stream('OPERATIONS (INSERT, TRUNCATE)'));
  await app.query('INSERT INTO bare VALUES (1); UPDATE bare SET id = 2; DELETE FROM bare; TRUNCATE bare');
  await come('insert {"id":1}', 'truncate null');
  assert.deepEqual(
    (await client.query<{ ok: boolean }>('CHECK CDC')).rows.filter(({ ok }) => !ok),
    [],
  );
  // A stream that wants more is refused, as long as the table has no identity.
  await assert.rejects(client.query(stream('')), { code: '55000', message: /no replica identity/ });
  const more = `CREATE CDC STREAM more ON bare TO WEBHOOK '${receiver.url}/more'`;
  await assert.rejects(client.query(more), { code: '55000', message: /no replica identity/ });
  await app.query('ALTER TABLE bare ADD CONSTRAINT bare_key PRIMARY KEY (id)');
  await client.query(stream(''));
  await app.query('INSERT INTO bare VALUES (3); UPDATE bare SET id = 4');
  await come('insert {"id":1}', 'truncate null', 'insert {"id":3}', 'update {"id":4}');
  // Wanting less again, it is left what it needs when the identity goes: inserts go on.
  await client.query(stream('OPERATIONS (INSERT)'));
  await app.query('ALTER TABLE bare DROP CONSTRAINT bare_key');
  await waitFor('UPDATE to work', () =>
    app.query('UPDATE bare SET id = 5').then(
      () => true,
      () => false,
    ),
  );
  await app.query('INSERT INTO bare VALUES (6)');
  await waitFor('the row', () => events().includes('insert {"id":6}'));
  assert.equal(events().length, 5);
  // Everything is taken away again.
  await client.query('DROP CDC STREAM inserts');
  assert.equal((await app.query('SELECT FROM pg_publication')).rowCount, 0);
});
