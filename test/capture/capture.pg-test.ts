import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
import { PUBLICATION } from '../../src/capture/publication.ts';
import type { ChunkHeader } from '../../src/log/chunk.ts';
import { LogReader } from '../../src/log/log-reader.ts';
import { LOG_FILE } from '../../src/log/schema.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import {
  arm,
  describeChange,
  eventually,
  ignoringSink,
  loggedChanges,
  loggedIds,
  readLog,
  startCapture,
} from './capture-harness.ts';

const server = await startPostgres();
const admin = await connect(server.url());

/** Arms the tables with a slot of the test's own, runs the statements, and returns the folder with the log of them. */
async function capture(slotName: string, tables: readonly string[], statements: readonly string[]): Promise<string> {
  for (const [index, table] of tables.entries()) await arm(admin, table, index === 0, slotName);
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder, { slotName });
  for (const statement of statements) await admin.query(statement);
  const transactions = statements.length;
  await eventually(`${transactions} transactions`, () => running.capture.status().transactionsCaptured >= transactions);
  await running.stop();
  return folder;
}

test('insert, update, delete and truncate arrive in the log, with what each replica identity gives', async () => {
  await admin.query(`
    CREATE TABLE by_key (id int PRIMARY KEY, name text);
    CREATE TABLE by_full (id int, name text);
    ALTER TABLE by_full REPLICA IDENTITY FULL;
    CREATE TABLE by_index (id int PRIMARY KEY, code text NOT NULL UNIQUE, name text);
    ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code_key;`);
  const folder = await capture(
    's_identity',
    ['by_key', 'by_full', 'by_index'],
    [
      `INSERT INTO by_key VALUES (1, 'one'), (2, NULL)`,
      `UPDATE by_key SET name = 'eins' WHERE id = 1`,
      `UPDATE by_key SET id = 3 WHERE id = 1`,
      `DELETE FROM by_key WHERE id = 3`,
      `INSERT INTO by_full VALUES (1, 'one')`,
      `UPDATE by_full SET name = 'eins'`,
      `DELETE FROM by_full`,
      `INSERT INTO by_index VALUES (1, 'a', 'one')`,
      `UPDATE by_index SET code = 'b'`,
      `DELETE FROM by_index`,
      `TRUNCATE by_key, by_full`,
    ],
  );
  assert.deepEqual(loggedChanges(folder), [
    ['insert', 'by_key', { id: 1, name: 'one' }],
    ['insert', 'by_key', { id: 2, name: null }],
    ['update', 'by_key', { id: 1, name: 'eins' }, null],
    ['update', 'by_key', { id: 3, name: 'eins' }, { id: 1 }],
    ['delete', 'by_key', { id: 3 }],
    ['insert', 'by_full', { id: 1, name: 'one' }],
    ['update', 'by_full', { id: 1, name: 'eins' }, { id: 1, name: 'one' }],
    ['delete', 'by_full', { id: 1, name: 'eins' }],
    ['insert', 'by_index', { id: 1, code: 'a', name: 'one' }],
    ['update', 'by_index', { id: 1, code: 'b', name: 'one' }, { code: 'a' }],
    ['delete', 'by_index', { code: 'b' }],
    ['truncate', ['by_key', 'by_full']],
  ]);
});

test('the log has what the peer library receives from a slot of its own, message by message', async () => {
  await admin.query('CREATE TABLE peer (id int PRIMARY KEY, body text)');
  const statements = [
    `INSERT INTO peer SELECT i, repeat('x', i * 7 % 500) FROM generate_series(1, 3000) i`,
    `UPDATE peer SET body = body || 'y' WHERE id % 3 = 0`,
    `DELETE FROM peer WHERE id % 5 = 0`,
    `ALTER TABLE peer ADD more int DEFAULT 5`,
    `INSERT INTO peer VALUES (-1, 'z', NULL)`,
    `TRUNCATE peer`,
  ];
  await arm(admin, 'peer', true, 's_peer_ours');
  await admin.query(`SELECT pg_create_logical_replication_slot('s_peer_theirs', 'pgoutput')`);
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder, { slotName: 's_peer_ours' });
  for (const statement of statements) await admin.query(statement);
  const theirs: { lsn: string; message: ReturnType<PgoutputPlugin['parse']> }[] = [];
  const service = new LogicalReplicationService(
    { connectionString: server.url() },
    { acknowledge: { auto: false, timeoutSeconds: 0 } },
  );
  service.on('data', (lsn: string, message: ReturnType<PgoutputPlugin['parse']>): void => {
    theirs.push({ lsn, message });
  });
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [PUBLICATION] });
  service.subscribe(plugin, 's_peer_theirs').catch(() => undefined);
  await eventually(
    'the peer has the truncate',
    () => theirs.at(-1)?.message.tag === 'commit' && theirs.at(-2)?.message.tag === 'truncate',
  );
  await service.destroy();
  const changes = theirs.map(({ message }) => describeChange(message)).filter((change) => change !== null);
  await eventually('all changes are captured', () => running.capture.status().changesCaptured === changes.length);
  await running.stop();
  // A walsender says again what a relation is whenever its cache was invalidated, by an autovacuum say.
  const withoutRelations = (tags: readonly string[]): string[] => tags.filter((tag) => tag !== 'relation');
  assert.deepEqual(
    withoutRelations([...readLog(folder)].map(({ message }) => message.tag)),
    withoutRelations(theirs.map(({ message }) => message.tag)),
  );
  assert.deepEqual(loggedChanges(folder), changes);
});

test('text does not depend on the settings of the role or the server', async () => {
  await admin.query(`
    CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'walhook';
    ALTER ROLE odd SET datestyle = 'German';
    ALTER ROLE odd SET intervalstyle = 'iso_8601';
    ALTER ROLE odd SET extra_float_digits = 0;
    ALTER ROLE odd SET bytea_output = 'escape';
    ALTER ROLE odd SET client_encoding = 'LATIN1';
    CREATE TABLE settings (id int PRIMARY KEY, at timestamptz, during interval, number float8, data bytea, name text)`);
  await arm(admin, 'settings', true, 's_settings');
  const folder = temporaryFolder();
  const url = server.url().replace('postgres:walhook', 'odd:walhook');
  const running = startCapture(url, folder, { slotName: 's_settings' });
  await admin.query(`
    INSERT INTO settings VALUES (1, '2024-02-01 12:00:00+09', '1 day 02:03:04', 0.1::float8 + 0.2, '\\x00ff', 'ü€')`);
  await eventually('the row', () => running.capture.status().changesCaptured === 1);
  await running.stop();
  const reader = LogReader.open(join(folder, LOG_FILE));
  const data = reader.read(1)!.data.toString('utf8');
  reader.close();
  for (const text of ['2024-02-01 03:00:00+00', '1 day 02:03:04', '0.30000000000000004', '\\x00ff', 'ü€']) {
    assert.ok(data.includes(text), text);
  }
});

test('rolled back transactions and subtransactions leave nothing, and COPY keeps each row apart', async () => {
  await admin.query('CREATE TABLE partly (id int PRIMARY KEY)');
  const folder = await capture(
    's_partly',
    ['partly'],
    [
      `DO $$ BEGIN INSERT INTO partly VALUES (1); BEGIN INSERT INTO partly VALUES (2); RAISE 'no';
       EXCEPTION WHEN others THEN NULL; END; INSERT INTO partly VALUES (3); END $$`,
      `INSERT INTO partly SELECT generate_series(10, 12)`,
      `COPY partly FROM PROGRAM 'seq 100 199'`,
    ],
  );
  assert.deepEqual(loggedIds(folder), [1, 3, 10, 11, 12, ...Array.from({ length: 100 }, (_, i) => 100 + i)]);
});

test('chunks are handed on before they are durable, with data only where it is wanted', async () => {
  await admin.query('CREATE TABLE handed (id int PRIMARY KEY, body text)');
  await arm(admin, 'handed', true, 's_handed');
  const folder = temporaryFolder();
  const events: string[] = [];
  const handed: { header: ChunkHeader; data: Buffer | null; relations: number[] }[] = [];
  const running = startCapture(server.url(), folder, {
    slotName: 's_handed',
    sink: {
      ...ignoringSink,
      wantsData: () => handed.length % 2 === 0,
      onChunk(header, data, relationMessages) {
        events.push(`chunk ${header.id}`);
        handed.push({ header, data, relations: [...relationMessages.keys()] });
      },
      onDurable: (id) => events.push(`durable ${id}`),
    },
  });
  for (const [id, bytes] of [
    [1, 10],
    [2, 400_000],
    [3, 10],
    [4, 10],
  ] as const) {
    await admin.query(`INSERT INTO handed VALUES ($1, repeat('x', $2))`, [id, bytes]);
    await eventually(`row ${id}`, () => running.capture.status().changesCaptured === id);
  }
  await running.stop();
  const reader = LogReader.open(join(folder, LOG_FILE));
  for (const [index, { header, data, relations }] of handed.entries()) {
    const chunk = reader.read(header.id)!;
    assert.deepEqual(header, chunk.header);
    assert.deepEqual(relations, [...chunk.relationMessages.keys()]);
    if (data === null) assert.equal(index % 2, 1);
    else {
      assert.equal(index % 2, 0);
      assert.ok(data.equals(chunk.data));
      assert.equal(data.buffer.byteLength, data.length, 'an ArrayBuffer of its own');
    }
  }
  reader.close();
  assert.ok(events.indexOf('chunk 1') < events.indexOf('durable 1'));
  assert.equal(events.at(-1), `durable ${handed.length}`);
});

test('partitions arrive as their root, and a table added later only from then on', async () => {
  await admin.query(`
    CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
    CREATE TABLE late (id int PRIMARY KEY)`);
  await arm(admin, 'parted', true, 's_parted');
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder, { slotName: 's_parted' });
  await admin.query(`INSERT INTO late VALUES (1)`);
  await admin.query(`INSERT INTO parted VALUES (2)`);
  await admin.query(`CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (20)`);
  await admin.query(`INSERT INTO parted VALUES (11)`);
  const startLsn = await arm(admin, 'late', false, 's_parted');
  await admin.query(`INSERT INTO late VALUES (2)`);
  await eventually('three changes', () => running.capture.status().changesCaptured === 3);
  await running.stop();
  assert.deepEqual(loggedChanges(folder), [
    ['insert', 'parted', { id: 2 }],
    ['insert', 'parted', { id: 11 }],
    ['insert', 'late', { id: 2 }],
  ]);
  const reader = LogReader.open(join(folder, LOG_FILE));
  const last = reader.headersFrom(0, 100).at(-1)!.last!;
  assert.ok(last.commitLsn >= startLsn);
  assert.equal(reader.firstChunkEndingAfter(null, startLsn), reader.lastId());
  reader.close();
});
