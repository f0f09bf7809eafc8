import assert from 'node:assert/strict';
import { test } from 'node:test';
import { armTable, disarmTable, dropAll } from '../../src/capture/arm.ts';
import { listedTables, PUBLICATION } from '../../src/capture/publication.ts';
import { findSlot } from '../../src/capture/slot.ts';
import { connect, startPostgres, serverVersion } from '../support/test-database.ts';
import { walLsn } from './capture-harness.ts';

const server = await startPostgres();
const admin = await connect(server.url());
const names = { slotName: 'walhook_arm', publicationName: PUBLICATION };

async function oidOf(table: string): Promise<number> {
  const { rows } = await admin.query<{ oid: string }>('SELECT $1::regclass::oid::bigint AS oid', [table]);
  return Number(rows[0]!.oid);
}

test('the first table brings publication and slot, the last one takes them away', async () => {
  await admin.query(
    'CREATE TABLE one (id int PRIMARY KEY); CREATE SCHEMA "Odd"; CREATE TABLE "Odd"."T wo" (id int PRIMARY KEY)',
  );
  const [one, two] = [await oidOf('one'), await oidOf('"Odd"."T wo"')];
  const before = await walLsn(admin);
  const startLsn = await armTable(admin, { ...names, tableOid: one, isFirst: true });
  assert.ok(startLsn > before && startLsn <= (await walLsn(admin)) + 8192n);
  assert.ok(startLsn >= (await findSlot(admin, names.slotName))!.confirmedLsn);
  await armTable(admin, { ...names, tableOid: two, isFirst: false });
  await armTable(admin, { ...names, tableOid: two, isFirst: false });
  assert.deepEqual(await listedTables(admin, PUBLICATION), [one, two]);
  const { rows } = await admin.query('SELECT pubviaroot FROM pg_publication WHERE pubname = $1', [PUBLICATION]);
  assert.deepEqual(rows, [{ pubviaroot: true }]);
  await admin.query('ALTER TABLE one RENAME TO uno');
  await disarmTable(admin, PUBLICATION, one);
  await disarmTable(admin, PUBLICATION, one);
  await disarmTable(admin, PUBLICATION, 1);
  assert.deepEqual(await listedTables(admin, PUBLICATION), [two]);
  await dropAll(admin, names);
  await dropAll(admin, names);
  assert.equal(await findSlot(admin, names.slotName), null);
  assert.deepEqual(await listedTables(admin, PUBLICATION), []);
});

test('a slot that is missing though streams exist is never made anew', async () => {
  await admin.query('CREATE TABLE again (id int PRIMARY KEY)');
  await assert.rejects(armTable(admin, { ...names, tableOid: await oidOf('again'), isFirst: false }), {
    name: 'PgError',
    code: '55000',
    message: /does not exist any more/,
  });
  assert.equal(await findSlot(admin, names.slotName), null);
});

test('where no slot is left it is 53400, with what mends it', async () => {
  await admin.query('CREATE TABLE late (id int PRIMARY KEY)');
  await admin.query(`SELECT pg_create_physical_replication_slot('filler_' || n)
                       FROM generate_series(1, current_setting('max_replication_slots')::int) n`);
  await assert.rejects(armTable(admin, { ...names, tableOid: await oidOf('late'), isFirst: true }), {
    name: 'PgError',
    code: '53400',
    hint: /max_replication_slots/,
  });
  await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots');
  await dropAll(admin, names);
});

test('a table whose updates would begin to fail is refused with what mends it, and is not published', async () => {
  await admin.query(`
    CREATE TABLE keyless (id int);
    CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
    CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts FOR VALUES IN (1)`);
  for (const [table, named, hint] of [
    ['keyless', 'keyless', /REPLICA IDENTITY FULL/],
    ['nothing', 'nothing', /REPLICA IDENTITY DEFAULT/],
    ['parts', 'part', /REPLICA IDENTITY FULL/],
  ] as const) {
    const refusal = { code: '55000', message: new RegExp(`public\\.${named} `), hint };
    await assert.rejects(armTable(admin, { ...names, tableOid: await oidOf(table), isFirst: true }), refusal, table);
  }
  await admin.query('ALTER TABLE keyless REPLICA IDENTITY FULL');
  await armTable(admin, { ...names, tableOid: await oidOf('keyless'), isFirst: true });
  assert.deepEqual(await listedTables(admin, PUBLICATION), [await oidOf('keyless')]);
  await dropAll(admin, names);
});

test('a key that is no identity, and partitions that write no WAL or are yet to come, are told too', async () => {
  await admin.query(`
    CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE);
    CREATE TABLE unkeyed (id int) PARTITION BY LIST (id); ALTER TABLE unkeyed REPLICA IDENTITY FULL;
    CREATE TABLE keyed (id int PRIMARY KEY) PARTITION BY LIST (id);
    CREATE UNLOGGED TABLE quiet PARTITION OF keyed FOR VALUES IN (1)`);
  const hasVirtual = (await serverVersion(admin)) >= 180_000;
  if (hasVirtual) {
    await admin.query(`
      CREATE TABLE virtual (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL);
      ALTER TABLE virtual REPLICA IDENTITY FULL`);
  }
  const cases = [
    ['deferred', /deferred has no replica identity/, /ADD PRIMARY KEY/],
    ...(hasVirtual ? ([['virtual', /virtual generated column/, /REPLICA IDENTITY DEFAULT/]] as const) : []),
    ['unkeyed', /partitions to come/, /ADD PRIMARY KEY/],
    ['keyed', /public\.quiet writes no WAL/, /SET LOGGED/],
  ] as const;
  for (const [table, message, hint] of cases) {
    const refusal = { code: '55000', message, hint };
    await assert.rejects(armTable(admin, { ...names, tableOid: await oidOf(table), isFirst: true }), refusal, table);
  }
});

test('heirs of a table are neither published with it nor taken out with it', async () => {
  await admin.query(`
    CREATE TABLE elder (id int PRIMARY KEY); CREATE TABLE heir () INHERITS (elder);
    CREATE TABLE keyed_heir (PRIMARY KEY (id)) INHERITS (elder)`);
  const [elder, keyedHeir] = [await oidOf('elder'), await oidOf('keyed_heir')];
  await armTable(admin, { ...names, tableOid: elder, isFirst: true });
  assert.deepEqual(await listedTables(admin, PUBLICATION), [elder]);
  await admin.query('INSERT INTO heir VALUES (1); UPDATE elder SET id = 2; DELETE FROM elder');
  await armTable(admin, { ...names, tableOid: keyedHeir, isFirst: false });
  await disarmTable(admin, PUBLICATION, elder);
  assert.deepEqual(await listedTables(admin, PUBLICATION), [keyedHeir]);
  await dropAll(admin, names);
});

test('a publication of an older version comes to publish what REPLICA IDENTITY FULL needs', async () => {
  await admin.query(`CREATE PUBLICATION ${PUBLICATION} WITH (publish_via_partition_root = true);
    CREATE TABLE full_row (id int, twice int GENERATED ALWAYS AS (id * 2) STORED); ALTER TABLE full_row REPLICA IDENTITY FULL`);
  await armTable(admin, { ...names, tableOid: await oidOf('full_row'), isFirst: true });
  await admin.query('INSERT INTO full_row VALUES (1); UPDATE full_row SET id = 2; DELETE FROM full_row');
  await dropAll(admin, names);
});

test('what cannot be published, is gone, or is not ours is refused with a code that no pool drops connections on', async () => {
  await admin.query(`CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); CREATE VIEW seen AS SELECT 1 AS one;
                     CREATE ROLE guest LOGIN PASSWORD 'walhook'; CREATE TABLE ours (id int PRIMARY KEY)`);
  for (const table of ['unlogged', 'seen']) {
    await assert.rejects(
      armTable(admin, { ...names, tableOid: await oidOf(table), isFirst: true }),
      { code: '55000' },
      table,
    );
  }
  await assert.rejects(armTable(admin, { ...names, tableOid: 1, isFirst: true }), { code: '42P01' });
  const guest = await connect(server.url().replace('postgres:walhook', 'guest:walhook'));
  await assert.rejects(armTable(guest, { ...names, tableOid: await oidOf('ours'), isFirst: true }), { code: '42501' });
});
