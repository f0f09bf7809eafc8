import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { armTable, republish } from '../../src/capture/arm.ts';
import { MembershipWatch, type Unpublished } from '../../src/capture/membership.ts';
import { ChangeLog } from '../../src/log/change-log.ts';
import { LOG_FILE } from '../../src/log/schema.ts';
import { connect, startPostgres, temporaryFolder, serverVersion } from '../support/test-database.ts';
import { SLOT, walLsn } from './capture-harness.ts';

// The law: a table whose changes the publication leaves out, or has left out since it was last looked at, is found; it is
// known since when nothing is missing; and what we do to the publication ourselves is nothing of the kind.

const PUBLICATION = 'walhook';

const server = await startPostgres();
const admin = await connect(server.url());
await admin.query(`
  CREATE TABLE a (id int PRIMARY KEY, body text);
  CREATE TABLE b (id int PRIMARY KEY, body text);
  CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
  CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)`);
const version = await serverVersion(admin);

async function oidOf(table: string): Promise<number> {
  const { rows } = await admin.query<{ oid: string }>('SELECT $1::regclass::oid::bigint AS oid', [table]);
  return Number(rows[0]!.oid);
}

const [a, b, p] = [await oidOf('a'), await oidOf('b'), await oidOf('p')];

interface Watched {
  readonly watch: MembershipWatch;
  readonly log: ChangeLog;
  readonly path: string;
}

/** All three tables in a publication made anew, a log that is at the server's end, and a first look that finds all well. */
async function watched(): Promise<Watched> {
  await admin.query(`DROP PUBLICATION IF EXISTS ${PUBLICATION}, ${PUBLICATION}_inserts`);
  await admin.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots`);
  for (const tableOid of [a, b, p]) {
    await armTable(admin, { slotName: SLOT, publicationName: PUBLICATION, tableOid, isFirst: true });
  }
  const path = join(temporaryFolder(), LOG_FILE);
  const log = ChangeLog.open(path);
  after(() => log.close());
  log.confirm(await walLsn(admin));
  const watch = new MembershipWatch(log, PUBLICATION);
  watch.begin();
  assert.equal(await watch.look(admin), null, 'nothing is expected yet');
  watch.expect([a, b, p]);
  assert.equal(await watch.look(admin), null);
  return { watch, log, path };
}

function names(found: Unpublished | null): readonly string[] {
  return found?.tables.map(({ name }) => name) ?? [];
}

/** What somebody does, and the tables that are found. */
const DEEDS: [what: string, sql: string, tables: readonly string[], since?: number][] = [
  ['nothing', 'SELECT 1', []],
  ['takes a table out', 'ALTER PUBLICATION walhook DROP TABLE a', ['a']],
  [
    'takes one out and puts it in again',
    'ALTER PUBLICATION walhook DROP TABLE a; ALTER PUBLICATION walhook ADD TABLE a',
    ['a'],
  ],
  ['names others', 'ALTER PUBLICATION walhook SET TABLE b', ['a', 'p']],
  ['names the same', 'ALTER PUBLICATION walhook SET TABLE a, b, p', []],
  ['adds one', 'CREATE TABLE c (id int PRIMARY KEY); ALTER PUBLICATION walhook ADD TABLE c', []],
  ['restricts rows', 'ALTER PUBLICATION walhook SET TABLE a WHERE (id > 5), b, p', ['a'], 150_000],
  ['restricts columns', 'ALTER PUBLICATION walhook SET TABLE a (id), b, p', ['a'], 150_000],
  ['leaves updates out', `ALTER PUBLICATION walhook SET (publish = 'insert, delete')`, ['a', 'b', 'p']],
  ['publishes partitions by themselves', 'ALTER PUBLICATION walhook SET (publish_via_partition_root = false)', ['p']],
  ['makes it anew', 'DROP PUBLICATION walhook; CREATE PUBLICATION walhook FOR TABLE a, b, p', ['a', 'b', 'p']],
  ['changes who owns it', 'ALTER PUBLICATION walhook OWNER TO CURRENT_USER', []],
  ['adds a partition', 'CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)', []],
  [
    'attaches a partition that was a table before',
    'CREATE TABLE p3 (LIKE p INCLUDING ALL); ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30)',
    // Before 15 the server may leave its rows out from then on.
    version < 150_000 ? ['p'] : [],
  ],
  ['detaches one', 'ALTER TABLE p DETACH PARTITION p3', []],
];

for (const [what, sql, tables, since = 0] of DEEDS) {
  if (version < since) continue;
  test(`somebody ${what}`, async () => {
    const { watch } = await watched();
    const beforeLsn = await walLsn(admin);
    for (const statement of sql.split('; ')) await admin.query(statement);
    const found = await watch.look(admin);
    assert.deepEqual(names(found), tables);
    if (found === null) return;
    assert.ok(found.fromLsn <= beforeLsn, 'nothing is missing before it');
    assert.deepEqual(names(await watch.look(admin)), tables, 'it is found until it is mended');
    const oids = found.tables.map(({ oid }) => oid);
    await republish(admin, PUBLICATION, { oids, hasLostOptions: found.hasLostOptions });
    watch.republished(oids);
    assert.equal(await watch.look(admin), null);
    const { rows } = await admin.query<{ whole: boolean }>(
      `SELECT bool_and(coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') IS NULL
                       AND pubinsert AND pubupdate AND pubdelete AND pubtruncate) AS whole
         FROM pg_publication_rel r JOIN pg_publication p ON p.oid = prpubid WHERE prrelid IN (${[a, b, p].join()})`,
    );
    assert.equal(rows[0]!.whole, true);
  });
}

test('a table that was dropped has left the publication by itself', async () => {
  const { watch } = await watched();
  await admin.query('CREATE TABLE gone (id int PRIMARY KEY); ALTER PUBLICATION walhook ADD TABLE gone');
  watch.expect([a, b, p, await oidOf('gone')]);
  assert.equal(await watch.look(admin), null);
  await admin.query('DROP TABLE gone');
  assert.equal(await watch.look(admin), null);
});

test('what we take out and put in ourselves is no loss, in whatever order it comes to be known', async () => {
  const { watch } = await watched();
  watch.expect([b, p]);
  await admin.query('ALTER PUBLICATION walhook DROP TABLE a');
  assert.equal(await watch.look(admin), null);
  await admin.query('ALTER PUBLICATION walhook ADD TABLE a');
  watch.expect([a, b, p]);
  assert.equal(await watch.look(admin), null);
  // Asked before, answered after.
  const looking = watch.look(admin);
  watch.expect([b, p]);
  assert.equal(await looking, null);
  watch.expect([a, b, p]);
  await admin.query('ALTER PUBLICATION walhook DROP TABLE a');
  assert.deepEqual(names(await watch.look(admin)), ['a']);
});

test('of a table whose inserts alone count nothing is missing while one of its publications has them', async () => {
  const { watch } = await watched();
  watch.expect([b, p]);
  await admin.query('ALTER PUBLICATION walhook_inserts ADD TABLE a');
  watch.expect([a, b, p], [a]);
  assert.equal(await watch.look(admin), null);
  await admin.query('ALTER PUBLICATION walhook DROP TABLE a');
  assert.equal(await watch.look(admin), null);
  watch.expect([a, b, p]);
  await admin.query('ALTER PUBLICATION walhook_inserts DROP TABLE a');
  await admin.query('ALTER PUBLICATION walhook_inserts ADD TABLE a');
  assert.deepEqual(names(await watch.look(admin)), ['a']);
});

test('what was taken out while nobody looked is found, and nothing before the last look is missing', async () => {
  const { watch, log, path } = await watched();
  const firstLsn = await walLsn(admin);
  await admin.query(`INSERT INTO b VALUES (1) ON CONFLICT (id) DO UPDATE SET body = 'x'`);
  assert.equal(await watch.look(admin), null);
  log.confirm(await walLsn(admin));
  log.close();
  const takenLsn = await walLsn(admin);
  await admin.query('ALTER PUBLICATION walhook DROP TABLE a');
  await admin.query('ALTER PUBLICATION walhook ADD TABLE a');
  const again = ChangeLog.open(path);
  after(() => again.close());
  const later = new MembershipWatch(again, PUBLICATION);
  later.expect([a, b, p]);
  const found = await later.look(admin);
  assert.deepEqual(names(found), ['a']);
  assert.ok(found!.fromLsn > firstLsn && found!.fromLsn <= takenLsn, 'from the last look on');
});

test('who takes a table out and has not committed yet may do so before what is looked at: it is not known to be whole', async () => {
  const { watch, log } = await watched();
  const taker = await connect(server.url());
  await taker.query('BEGIN; ALTER PUBLICATION walhook DROP TABLE a');
  const beforeLsn = await walLsn(admin);
  await admin.query(`INSERT INTO b VALUES (2) ON CONFLICT (id) DO UPDATE SET body = 'x'`);
  for (let i = 0; i < 3; i++) assert.equal(await watch.look(admin), null);
  log.confirm((await walLsn(admin)) + 1_000_000n);
  await taker.query('COMMIT');
  const found = await watch.look(admin);
  assert.deepEqual(names(found), ['a']);
  assert.ok(found!.fromLsn <= beforeLsn);
});

test('a gap of another kind begins where the publication was last whole, unless it is whole now', async () => {
  const { watch, log } = await watched();
  const wholeLsn = await walLsn(admin);
  log.confirm(wholeLsn + 1_000_000n);
  const look = (): ReturnType<typeof watch.look> => watch.look(admin);
  assert.equal(await watch.completeLsn(look), wholeLsn + 1_000_000n);
  const lastLsn = await walLsn(admin);
  await admin.query('ALTER PUBLICATION walhook DROP TABLE a');
  assert.ok((await watch.completeLsn(look)) <= lastLsn);
  const silent = (): ReturnType<typeof look> => Promise.reject(new Error('the server does not answer'));
  assert.ok((await watch.completeLsn(silent)) <= lastLsn);
  await admin.query('DROP PUBLICATION walhook');
  assert.ok((await watch.completeLsn(look)) <= lastLsn);
});
