import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type pg from 'pg';
import type { BackfillTable } from '../../src/model/backfill.ts';
import type { StreamOptions } from '../../src/model/stream-options.ts';
import type { StreamDeclaration } from '../../src/model/stream.ts';
import { startReceiver, type JsonRequest } from '../support/json-receiver.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { createStream, startEngine, tableOf, type RunningEngine } from './engine-harness.ts';

// The law: when all is quiet, whoever has applied a stream's events by key has the table, whatever was written meanwhile.

const NEVER = new AbortController().signal;
const server = await startPostgres({ settings: { max_replication_slots: '60', max_wal_senders: '60' } });
const admin = await connect(server.url());

type Body = Record<string, unknown>;

interface Scene {
  readonly running: RunningEngine;
  readonly requests: readonly JsonRequest[];
  bodies(): Body[];
}

interface Settings {
  /** As the table has them, or the engine finds that they have changed, a few seconds later. Default: id. */
  readonly keyColumns?: readonly string[];
  readonly options?: Partial<StreamOptions>;
  readonly declaration?: Partial<StreamDeclaration>;
  readonly dataDir?: string;
}

async function scene(
  table: string,
  { options = {}, declaration = {}, dataDir, keyColumns = ['id'] }: Settings = {},
): Promise<Scene> {
  const receiver = await startReceiver();
  const running = startEngine(server.url(), dataDir ?? temporaryFolder());
  after(() => running.stop());
  const change = createStream(table, [{ ...(await tableOf(admin, table)), keyColumns }], receiver.url);
  assert.equal(change.kind, 'create-stream');
  const { request } = change;
  const more = { ...request, ...declaration, options: { ...request.options, ...options } };
  await running.engine.execute({ ...change, request: more }, 'postgres', NEVER);
  const bodies = (): Body[] =>
    receiver.requests.flatMap(({ body }) => (Array.isArray(body) ? (body as Body[]) : [body]));
  return { running, requests: receiver.requests, bodies };
}

async function allOf(table: string, running: RunningEngine): Promise<readonly BackfillTable[]> {
  return (running.engine.definition(table, null)?.tables ?? []).map(({ oid }) => ({ oid, where: null }));
}

async function synced({ running }: Scene, stream: string): Promise<void> {
  await waitFor(
    'the backfill and all deliveries',
    async () => {
      const { backfill, delivery, status } = await running.engine.report(stream, null);
      return (
        backfill?.state === 'done' && delivery.pendingEvents === 0 && delivery.inFlight === 0 && status === 'running'
      );
    },
    60_000,
  );
}

/** The events applied one after the other, by key. */
function applied(bodies: readonly Body[]): Map<string, string> {
  const rows = new Map<string, string>();
  for (const { op, key, old_key: oldKey, after } of bodies) {
    const at = JSON.stringify(key);
    if (op === 'truncate') rows.clear();
    else if (op === 'delete') rows.delete(at);
    else {
      if (oldKey !== undefined) rows.delete(JSON.stringify(oldKey));
      rows.set(at, JSON.stringify(after));
    }
  }
  return rows;
}

async function rowsOf(table: string): Promise<string[]> {
  const { rows } = await admin.query<{ row: Body }>(`SELECT to_jsonb(t) AS row FROM ${table} t ORDER BY 1`);
  return rows.map(({ row }) => JSON.stringify(sorted(row))).sort();
}

function sorted(row: Body): Body {
  return Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function tableFrom(bodies: readonly Body[]): string[] {
  return [...applied(bodies).values()].map((row) => JSON.stringify(sorted(JSON.parse(row) as Body))).sort();
}

test('rows that were there come as reads, in the order of the key, and once', async () => {
  await admin.query(`CREATE TABLE plain (id int PRIMARY KEY, body text);
    INSERT INTO plain SELECT i, 'b' || i FROM generate_series(1, 2500) i; ANALYZE plain`);
  const one = await scene('plain', { options: { initialScan: 'yes', batchMaxEvents: 500, maxInFlight: 1 } });
  await synced(one, 'plain');
  const reads = one.bodies();
  assert.equal(reads.length, 2_500);
  assert.deepEqual(
    reads.map(({ key }) => (key as { id: number }).id),
    Array.from({ length: 2_500 }, (_, i) => i + 1),
  );
  assert.deepEqual(
    { ...reads[0], id: null, lsn: null, xid: null, commit_ts: null },
    {
      id: null,
      stream: 'plain',
      op: 'read',
      schema: 'public',
      table: 'plain',
      key: { id: 1 },
      before: null,
      after: { id: 1, body: 'b1' },
      commit_ts: null,
      lsn: null,
      xid: null,
      seq: 0,
    },
  );
  assert.equal(new Set(reads.map(({ id }) => id)).size, 2_500);
  const { backfill } = await one.running.engine.report('plain', null);
  assert.deepEqual([backfill?.rowsDone, backfill?.rowsTotal, backfill?.state], [2_500, 2_500, 'done']);
  // What comes then is a change; and another backfill is of other ids.
  await admin.query(`UPDATE plain SET body = 'x' WHERE id = 7`);
  await waitFor('the change', () => one.bodies().length === 2_501);
  await one.running.engine.backfill(
    'plain',
    [{ ...(await allOf('plain', one.running))[0]!, where: 'id <= 3' }],
    'postgres',
  );
  await waitFor('three more', () => one.bodies().length === 2_504);
  await synced(one, 'plain');
  assert.equal(new Set(one.bodies().map(({ id }) => id)).size, 2_504);
  await one.running.stop();
});

/** Writes at random for a while, in transactions of a few statements, some of them rolled back. */
async function writeAtRandom(client: pg.Client, random: SeededRandom, transactions: number): Promise<void> {
  for (let i = 0; i < transactions; i++) {
    await client.query('BEGIN');
    for (let n = 1 + Math.floor(random.float() * 4); n > 0; n--) {
      const a = 1 + Math.floor(random.float() * 60);
      const b = `k${Math.floor(random.float() * 20)}`;
      const choice = random.float();
      if (choice < 0.3) {
        await client.query(`INSERT INTO raced VALUES ($1, $2, $3) ON CONFLICT (a, b) DO UPDATE SET v = excluded.v`, [
          a,
          b,
          `${i}-${n}`,
        ]);
      } else if (choice < 0.65) await client.query(`UPDATE raced SET v = $1 WHERE a = $2`, [`u${i}-${n}`, a]);
      else if (choice < 0.8) await client.query(`DELETE FROM raced WHERE a = $1 AND b = $2`, [a, b]);
      else if (choice < 0.97) {
        await client.query(
          `UPDATE raced SET a = a + 1000 WHERE a = $1 AND NOT EXISTS (SELECT FROM raced r WHERE r.a = $1 + 1000)`,
          [a],
        );
      } else if (choice < 0.975) await client.query('TRUNCATE raced');
    }
    await client.query(random.float() < 0.1 ? 'ROLLBACK' : 'COMMIT').catch(() => undefined);
  }
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

/** Changes that came while tables were read, all schedules together. */
let writes = 0;

for (let seed = 1; seed <= 20; seed++) {
  test(`exact under concurrent writes (schedule ${seed})`, async () => {
    await admin.query(`DROP TABLE IF EXISTS raced; CREATE TABLE raced (a int, b text, v text, PRIMARY KEY (b, a));
      INSERT INTO raced SELECT i % 60, 'k' || i / 60, 'first' FROM generate_series(60, 1199) i`);
    if (seed % 3 === 0) await admin.query('ALTER TABLE raced REPLICA IDENTITY FULL');
    const writers = await Promise.all([connect(server.url()), connect(server.url()), connect(server.url())]);
    const quiet = new AbortController();
    const writing = writers.map((client, i) => writeUntil(quiet.signal, client, new SeededRandom(seed * 100 + i)));
    const options = { initialScan: 'yes', batchMaxEvents: 100 } as const;
    const one = await scene('raced', { options, keyColumns: ['b', 'a'] });
    const { engine } = one.running;
    // The first is followed by others while the writers go on; some take the place of one that is under way.
    for (let n = seed % 4; n < 6; n++) {
      const isDone = async (): Promise<boolean> => (await engine.report('raced', null)).backfill?.state === 'done';
      if (n % 3 !== 1) {
        await waitFor('a backfill', isDone, 60_000).catch(async (cause: unknown) => {
          throw new Error(JSON.stringify(await engine.report('raced', null), bigintText), { cause });
        });
      }
      await engine.backfill('raced', await allOf('raced', one.running), 'postgres');
    }
    quiet.abort();
    await Promise.all(writing);
    // The last thing that is written tells that all has come.
    await admin.query(`INSERT INTO raced VALUES (-1, 'end', 'end')`);
    await waitFor('the end', () => one.bodies().some(({ key }) => (key as { a?: number } | null)?.a === -1));
    await synced(one, 'raced');
    const rows = await rowsOf('raced');
    // What the capture thread has done the delivery thread may be told a moment later.
    await waitFor('the rows', () => tableFrom(one.bodies()).length === rows.length);
    assert.deepEqual(tableFrom(one.bodies()), rows);
    writes += one.bodies().filter(({ op }) => op !== 'read').length;
    await one.running.stop();
    await Promise.all(writers.map((client) => client.end()));
  });
}

test('there were writes in the schedules', () => assert.ok(writes > 500, `${writes}`));

/** A deadlock between writers costs a transaction, and that is all. */
async function writeUntil(signal: AbortSignal, client: pg.Client, random: SeededRandom): Promise<void> {
  while (!signal.aborted) await writeAtRandom(client, random, 5).catch(() => client.query('ROLLBACK'));
}

test('a backfill goes on where it was after a restart, and ids stay', async () => {
  await admin.query(`CREATE TABLE resumed (id text PRIMARY KEY, body text);
    INSERT INTO resumed SELECT 'k' || i, repeat('x', 100) FROM generate_series(1, 20000) i`);
  const dataDir = temporaryFolder();
  const one = await scene('resumed', { options: { initialScan: 'yes', batchMaxEvents: 1_000 }, dataDir });
  const stoppedAt = await waitFor(
    'some rows',
    async () => (await one.running.engine.report('resumed', null)).backfill?.rowsDone,
  );
  await one.running.stop();
  const running = startEngine(server.url(), dataDir);
  after(() => running.stop());
  const next = { ...one, running };
  const first = await waitFor(
    'its state to be known',
    async () => (await running.engine.report('resumed', null)).backfill,
  );
  assert.ok(first.rowsDone >= stoppedAt, 'not from the beginning');
  await synced(next, 'resumed');
  const ids = new Map(one.bodies().map(({ id, key }) => [id, JSON.stringify(key)]));
  assert.equal(ids.size, 20_000);
  assert.equal(new Set(ids.values()).size, 20_000);
  await running.stop();
});

test('a backfill is cancelled, and goes to the stream that asked alone; WHERE and columns hold', async () => {
  await admin.query(`CREATE TABLE shared (id int PRIMARY KEY, body text, secret text);
    INSERT INTO shared SELECT i, 'b', 's' FROM generate_series(1, 300) i`);
  const one = await scene('shared');
  const other = await startReceiver();
  const change = createStream('other', [await tableOf(admin, 'shared')], other.url);
  await one.running.engine.execute(change, 'postgres', NEVER);
  const { engine } = one.running;
  assert.deepEqual(
    (await engine.cancelBackfill('shared', 'postgres')).map(({ severity }) => severity),
    ['NOTICE'],
  );
  await engine.backfill('other', [{ ...(await allOf('other', one.running))[0]!, where: `id % 2 = 0` }], 'postgres');
  await waitFor('all rows', () => other.requests.length === 150);
  assert.equal(one.requests.length, 0);
  await admin.query(`UPDATE shared SET body = 'c' WHERE id = 1`);
  await waitFor('the change', () => one.requests.length === 1 && other.requests.length === 151);
  assert.deepEqual(
    engine.history('stream', 'other', 1).map(({ action, detail }) => [action, detail]),
    [['backfill', 'public.shared']],
  );
  await one.running.stop();
});

test('a table without key is read by its blocks, and a partitioned one as one', async () => {
  await admin.query(`CREATE TABLE keyless (id int, body text); ALTER TABLE keyless REPLICA IDENTITY FULL;
    INSERT INTO keyless SELECT i, repeat('x', 300) FROM generate_series(1, 3000) i;
    CREATE TABLE parted (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (500);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (500) TO (1000);
    INSERT INTO parted SELECT i, 'p' FROM generate_series(1, 999) i`);
  const keyless = await scene('keyless', { options: { batchMaxEvents: 500 }, keyColumns: [] });
  const table = { ...(await tableOf(admin, 'keyless')), keyColumns: [] };
  const notices = await keyless.running.engine.backfill('keyless', [{ oid: table.oid, where: null }], 'postgres');
  assert.ok(notices.length <= 1);
  await synced(keyless, 'keyless');
  const ids = keyless.bodies().map(({ after }) => (after as { id: number }).id);
  assert.deepEqual(
    ids.toSorted((a, b) => a - b),
    Array.from({ length: 3_000 }, (_, i) => i + 1),
  );
  await keyless.running.stop();
  const parted = await scene('parted', { options: { initialScan: 'only', batchMaxEvents: 500 } });
  await synced(parted, 'parted');
  await admin.query(`INSERT INTO parted VALUES (0, 'not for it')`);
  await synced(parted, 'parted');
  assert.deepEqual(
    [parted.bodies().length, new Set(parted.bodies().map(({ table: name }) => name))],
    [999, new Set(['parted'])],
  );
  await parted.running.stop();
});

test('rows that grow a thousandfold from one to the next come in order and once, with a key and without', async () => {
  for (const key of ['PRIMARY KEY', '']) {
    const table = key === '' ? 'grows_keyless' : 'grows';
    await admin.query(`CREATE TABLE ${table} (id int ${key}, body text)`);
    await admin.query(`ALTER TABLE ${table} ALTER body SET STORAGE EXTERNAL, REPLICA IDENTITY FULL`);
    await admin.query(`INSERT INTO ${table} SELECT i, 'x' FROM generate_series(1, 3000) AS i`);
    await admin.query(`INSERT INTO ${table} SELECT i, repeat('x', 200000) FROM generate_series(3001, 3150) AS i`);
    const scened = await scene(table, {
      options: { initialScan: 'yes', maxInFlight: 1 },
      keyColumns: key === '' ? [] : ['id'],
    });
    await synced(scened, table);
    const ids = scened.bodies().map(({ after: row }) => (row as { id: number }).id);
    assert.deepEqual(
      ids,
      Array.from({ length: 3150 }, (_, i) => i + 1),
    );
    await scened.running.stop();
  }
});

test('a slot that is lost is healed by a backfill where the stream says so', async () => {
  await admin.query(`CREATE TABLE healed (id int PRIMARY KEY, body text); INSERT INTO healed VALUES (1, 'a')`);
  const dataDir = temporaryFolder();
  const one = await scene('healed', { options: { onGap: 'backfill', gapEvents: true }, dataDir });
  await admin.query(`INSERT INTO healed VALUES (2, 'b')`);
  await waitFor('the row', () => one.requests.length === 1);
  await one.running.stop();
  await waitFor('the slot to be free', async () => {
    const sql =
      'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active';
    return (await admin.query(sql, [one.running.slotName])).rowCount === 1;
  });
  await admin.query(`UPDATE healed SET body = 'lost'`);
  const running = startEngine(server.url(), dataDir);
  after(() => running.stop());
  await waitFor('the gap and both rows', () => one.requests.length === 4);
  assert.deepEqual(
    one
      .bodies()
      .slice(1)
      .map(({ op, table, after }) => [op, table, (after as Body)['body'] ?? null]),
    [
      ['insert', 'gap', null],
      ['read', 'healed', 'lost'],
      ['read', 'healed', 'lost'],
    ],
  );
  await synced({ ...one, running }, 'healed');
  assert.deepEqual(
    running.engine.history('stream', 'healed', 2).map(({ action, actor }) => [action, actor]),
    [
      ['resume', 'walhook'],
      ['gap', 'walhook'],
    ],
  );
  await running.stop();
});
