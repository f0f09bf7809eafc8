import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { listedTables, PUBLICATION } from '../../src/capture/publication.ts';
import { startReceiver } from '../support/json-receiver.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { createStream, startEngine, tableOf } from './engine-harness.ts';

// Law: a stream on schemas has, within moments, the tables that the schemas have, each as soon as its changes can be
// captured without harm to who writes it.

const server = await startPostgres();
const admin = await connect(server.url());

test('tables come, get a key, are renamed, moved and dropped: the stream follows', async () => {
  const receiver = await startReceiver();
  const running = startEngine(server.url(), temporaryFolder());
  after(() => running.stop());
  const { engine, catalog } = running;
  await admin.query('CREATE SCHEMA shop; CREATE SCHEMA attic');
  const made = createStream('shop', [], receiver.url);
  assert.ok(made.kind === 'create-stream');
  const scope = { kind: 'schemas', schemas: ['shop'] } as const;
  const never = new AbortController().signal;
  await engine.execute({ ...made, request: { ...made.request, scope } }, 'postgres', never);
  assert.equal((await engine.report('shop')).definition.tables.length, 0);
  await waitFor('it to run', async () => (await engine.report('shop')).status === 'running');

  const tables = (): string => {
    return catalog
      .stream('shop')!
      .definition.tables.map(({ schema, name, keyColumns }) => `${schema}.${name} (${keyColumns.join()})`)
      .join(' ');
  };
  const isSettled = async (): Promise<boolean> => {
    const { unarmedTables, definition } = catalog.stream('shop')!;
    if (unarmedTables.length > 0 || (definition.unreadTables ?? []).length > 0) return false;
    return (await engine.captureStatus()).get('postgres')!.backfills.every(({ state }) => state === 'done');
  };
  const becomes = (wanted: string) => waitFor(wanted, async () => tables() === wanted && (await isSettled()));
  const arrives = (count: number) => waitFor(`${count} events`, () => receiver.requests.length === count);

  // What is committed before the table is noticed is read from it.
  await admin.query('CREATE TABLE shop.a (id int PRIMARY KEY); INSERT INTO shop.a VALUES (0)');
  await admin.query('CREATE TABLE shop.keyless (id int)');
  await becomes('shop.a (id)');
  await arrives(1);
  await admin.query('INSERT INTO shop.a VALUES (1); INSERT INTO shop.keyless VALUES (1)');
  await admin.query('UPDATE shop.keyless SET id = 2; DELETE FROM shop.keyless');
  await arrives(2);
  await admin.query('ALTER TABLE shop.keyless ADD PRIMARY KEY (id)');
  await becomes('shop.a (id) shop.keyless (id)');
  await admin.query('INSERT INTO shop.keyless VALUES (3)');
  await arrives(3);
  await admin.query('ALTER TABLE shop.a RENAME TO z; ALTER TABLE shop.keyless SET SCHEMA attic');
  await becomes('shop.z (id)');
  await admin.query('INSERT INTO attic.keyless VALUES (4); INSERT INTO shop.z VALUES (2)');
  await arrives(4);
  assert.deepEqual(
    receiver.requests.map(({ body }) => {
      const event = body as unknown as { op: string; schema: string; table: string; after: { id: number } };
      return `${event.op} ${event.schema}.${event.table} ${event.after.id}`;
    }),
    ['read shop.a 0', 'insert shop.a 1', 'insert shop.keyless 3', 'insert shop.z 2'],
  );
  await admin.query('DROP TABLE shop.z');
  await becomes('');
  assert.deepEqual(await listedTables(admin, PUBLICATION), []);
  assert.equal((await engine.report('shop')).status, 'running');
  const said = catalog
    .history('stream', 'shop', 100)
    .map(({ actor, action, detail }) => `${actor} ${action} ${detail}`);
  assert.deepEqual(said.reverse(), [
    'postgres create tables in schema shop',
    'walhook follow add table shop.a',
    'walhook follow add table shop.keyless',
    'walhook follow drop table shop.keyless',
    'walhook follow rename table shop.a to shop.z',
    'walhook follow drop table shop.z',
  ]);
  await engine.dropStreams(['shop'], false, 'postgres');
});

test('a table that was just noticed is read, though the stream is replaced before it could be', async () => {
  const receiver = await startReceiver();
  const running = startEngine(server.url(), temporaryFolder());
  after(() => running.stop());
  const { engine, catalog } = running;
  await admin.query('CREATE SCHEMA depot');
  const made = createStream('depot', [], receiver.url);
  assert.ok(made.kind === 'create-stream');
  const never = new AbortController().signal;
  const scope = { kind: 'schemas', schemas: ['depot'] } as const;
  await engine.execute({ ...made, request: { ...made.request, scope } }, 'postgres', never);
  // One that is noticed, and cannot be published as long as it is locked.
  const locker = await connect(server.url());
  await locker.query('BEGIN; CREATE TABLE depot.late (id int PRIMARY KEY); INSERT INTO depot.late VALUES (1); COMMIT');
  await locker.query('BEGIN; LOCK TABLE depot.late IN SHARE MODE');
  const { tables } = (
    await waitFor('it to be noticed', () => {
      const record = catalog.stream('depot')!;
      return record.definition.tables.length === 1 ? record : null;
    })
  ).definition;
  // One that the scope has by now, and nobody has noticed.
  await admin.query('CREATE TABLE depot.unseen (id int PRIMARY KEY); INSERT INTO depot.unseen VALUES (2)');
  const all = [...tables, { ...(await tableOf(admin, 'depot.unseen')), schema: 'depot', name: 'unseen' }];
  const request = { ...made.request, scope: { kind: 'tables' }, tables: all } as const;
  const replaced = engine.execute({ ...made, orReplace: true, request }, 'postgres', never);
  await locker.query('COMMIT');
  await replaced;
  const rows = (): number[] => receiver.requests.map(({ body }) => (body as { after: { id: number } }).after.id);
  await waitFor('all rows', () => rows().length >= 2);
  assert.deepEqual(
    rows().toSorted((a, b) => a - b),
    [1, 2],
  );
  await engine.dropStreams(['depot'], false, 'postgres');
});
