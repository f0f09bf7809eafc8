import assert from 'node:assert/strict';
import { test } from 'node:test';
import { armTable, disarmTable, dropAll } from '../../src/capture/arm.ts';
import { listedTables, PUBLICATION } from '../../src/capture/publication.ts';
import { findSlot } from '../../src/capture/slot.ts';
import { connect, startPostgres } from '../support/test-database.ts';
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

test('a table whose updates would begin to fail is refused with what mends it, and is not published', async () => {
  await admin.query(`
    CREATE TABLE keyless (id int);
    CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
    CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts FOR VALUES IN (1)`);
  for (const [table, named] of [
    ['keyless', 'keyless'],
    ['nothing', 'nothing'],
    ['parts', 'part'],
  ] as const) {
    const refusal = { code: '55000', message: new RegExp(`public\\.${named} `), hint: /REPLICA IDENTITY FULL/ };
    await assert.rejects(armTable(admin, { ...names, tableOid: await oidOf(table), isFirst: true }), refusal, table);
  }
  await admin.query('ALTER TABLE keyless REPLICA IDENTITY FULL');
  await armTable(admin, { ...names, tableOid: await oidOf('keyless'), isFirst: true });
  assert.deepEqual(await listedTables(admin, PUBLICATION), [await oidOf('keyless')]);
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
