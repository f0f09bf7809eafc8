import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type pg from 'pg';
import { startReceiver } from '../support/json-receiver.ts';
import { binDirOf } from '../support/postgres-versions.ts';
import { streamStatus } from '../support/stream-status.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';

// The law: what is going to be lost is told of before it is; what is kept no longer is said to be gone, and costs no stream
// that still needs it anything.

const server = await startPostgres();
const direct = await connect(server.url());
const walhook = await new WalhookProcess({
  upstreamUrl: server.url(),
  dataDir: join(temporaryFolder(), 'data'),
}).start();
const client = await connect(walhook.sqlUrl());
const receiver = await startReceiver();

async function metric(name: string): Promise<number> {
  const text = await (await fetch(walhook.httpUrl('/metrics'))).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? Number.NaN);
}

async function property(stream: string, name: string): Promise<string | null> {
  return (await streamStatus(client, stream)).get(name) ?? null;
}

async function unmet(sql: pg.Client): Promise<readonly { requirement: string; found: string; fix: string }[]> {
  const { rows } = await sql.query<{ requirement: string; ok: boolean; found: string; fix: string }>('CHECK CDC');
  return rows.filter(({ ok }) => !ok);
}

test('what is older than retention goes, but for what a stream still has to send; REPLAY says what is gone', async () => {
  await client.query('CREATE TABLE kept (id int PRIMARY KEY); CREATE TABLE behind (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM kept ON kept TO WEBHOOK '${receiver.url}/kept' WITH (retention = '2s')`);
  const position = 'SELECT pg_current_wal_insert_lsn()::text AS lsn, clock_timestamp()::text AS at';
  const { rows } = await direct.query<{ lsn: string; at: string }>(position);
  const { lsn, at } = rows[0]!;
  for (let id = 1; id <= 20; id++) await direct.query('INSERT INTO kept VALUES ($1)', [id]);
  await waitFor('the rows', () => receiver.to('/kept').length === 20);
  // Within its time it can be sent again.
  await client.query(`REPLAY CDC STREAM kept FROM LSN '${lsn}'`);
  await waitFor('them again', () => receiver.to('/kept').length === 40);
  // Each write has a chunk of its own, so that what is old can go; what a replay sends again is held until it is sent.
  const write = async (): Promise<void> => {
    await direct.query('INSERT INTO kept SELECT max(id) + 1 FROM kept');
    await waitFor('it to be sent', async () => (await property('kept', 'pending_events')) === '0');
  };
  const refused = await waitFor(
    'them to be gone',
    async () => {
      await write();
      await direct.query('SELECT pg_sleep(2.5)');
      await write();
      return client.query(`REPLAY CDC STREAM kept FROM LSN '${lsn}'`).then(
        () => null,
        (error: unknown) => error as pg.DatabaseError,
      );
    },
    90_000,
  );
  assert.deepEqual([refused.code, refused.message], ['55000', 'the log does not go back that far']);
  assert.match(refused.detail ?? '', /^It has everything from [0-9A-F]+\/[0-9A-F]+ on\.$/);
  await assert.rejects(client.query(`REPLAY CDC STREAM kept SINCE '${at}'`), { code: '55000' });
  // What the hint says works.
  const oldest = /FROM LSN '([^']+)'/.exec(refused.hint ?? '')?.[1];
  await client.query(`REPLAY CDC STREAM kept FROM LSN '${oldest}'`);

  // A stream that has not sent them holds them, whatever their age.
  await client.query(`CREATE CDC STREAM behind ON behind TO WEBHOOK '${receiver.url}/behind'`);
  await client.query('ALTER CDC STREAM behind PAUSE');
  for (let id = 1; id <= 20; id++) await direct.query('INSERT INTO behind VALUES ($1)', [id]);
  const { rows: later } = await direct.query<{ lsn: string }>(position);
  await direct.query('INSERT INTO kept SELECT max(id) + 1 FROM kept');
  await waitFor('its time to be over', async () => {
    const { rows: now } = await direct.query<{ is_over: boolean }>(
      `SELECT clock_timestamp() > $1::timestamptz + '4 s' AS is_over`,
      [at],
    );
    return now[0]!.is_over;
  });
  await waitFor('all of them to be captured', async () => (await property('behind', 'pending_events')) === '20');
  // So they can be sent again to others as well.
  await client.query(`REPLAY CDC STREAM kept FROM LSN '${later[0]!.lsn}'`);
  await client.query('ALTER CDC STREAM behind RESUME');
  await waitFor('them', () => receiver.to('/behind').length === 20);
  assert.equal(await metric('walhook_capture_gaps_total'), 0);
  await client.query('DROP CDC STREAM kept, behind');
});

test('a slot that the server may take away is told of everywhere before it is lost', async () => {
  await client.query('CREATE TABLE slow (id int PRIMARY KEY)');
  await client.query(`CREATE CDC STREAM slow ON slow TO WEBHOOK '${receiver.url}/slow'`);
  await waitFor('it to run', async () => (await property('slow', 'status')) === 'running');
  assert.equal(await metric('walhook_capture_slot_wal_status{database="postgres",status="reserved"}'), 1);
  // A transaction that stays open keeps the slot where it is.
  const holder = await connect(server.url());
  await holder.query('BEGIN; INSERT INTO slow VALUES (1)');
  await direct.query(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`);
  await direct.query('SELECT pg_reload_conf()');
  await direct.query(`SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 64)`);
  const slot = await waitFor('the slot to be in danger', async () => {
    const { rows } = await client.query<{ wal_status: string }>('SHOW CDC SLOTS');
    return rows[0]?.wal_status === 'unreserved' ? rows[0] : null;
  });
  assert.equal(slot.wal_status, 'unreserved');
  const [first, ...others] = await unmet(client);
  assert.equal(first?.requirement, 'max_slot_wal_keep_size leaves time for an outage');
  assert.deepEqual(
    others.map(({ requirement, found }) => [requirement, found]),
    [['slot’s WAL is safe', 'unreserved']],
  );
  await waitFor('a heartbeat to see it', async () => (await property('slow', 'slot_wal_status')) === 'unreserved');
  assert.match((await property('slow', 'status_reason')) ?? '', /max_slot_wal_keep_size/);
  assert.equal(await metric('walhook_capture_slot_wal_status{database="postgres",status="unreserved"}'), 1);
  assert.ok(walhook.logLines.some((line) => line.includes('the server may take the slot away')));
  // What CHECK CDC says mends it, in time.
  await holder.query('COMMIT');
  for (const { fix } of others) for (const sql of fix.split('; ')) await direct.query(sql);
  await waitFor('the slot to be safe', async () => (await unmet(client)).length === 0);
  await waitFor('the row', () => receiver.to('/slow').length === 1);
  assert.equal(await metric('walhook_capture_gaps_total'), 0);
  await client.query('DROP CDC STREAM slow');
});

test('a slot that a promotion would cost is told of where there is a standby, with what mends it', async () => {
  const primary = await startPostgres({ binDir: await binDirOf(17) });
  const admin = await connect(primary.url());
  const own = await new WalhookProcess({ upstreamUrl: primary.url(), dataDir: join(temporaryFolder(), 'own') }).start();
  const sql = await connect(own.sqlUrl());
  await sql.query('CREATE TABLE t (id int PRIMARY KEY)');
  await sql.query(`CREATE CDC STREAM s ON t TO WEBHOOK '${receiver.url}/t'`);
  const { rows } = await admin.query<{ name: string }>('SELECT slot_name AS name FROM pg_replication_slots');
  const { name } = rows[0]!;
  const replication = await connect(`${primary.url()}?replication=database`);
  const setFailover = async (value: boolean): Promise<void> => {
    await own.stop();
    await waitFor('nobody to read it', async () => {
      const free = 'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND NOT active';
      return (await admin.query(free, [name])).rowCount === 1;
    });
    await replication.query(`ALTER_REPLICATION_SLOT ${name} (FAILOVER ${value})`);
    await own.start();
  };
  await setFailover(false);
  const alone = await connect(own.sqlUrl());
  await waitFor('all to be well without a standby', async () => (await unmet(alone)).length === 0);
  await admin.query(`SELECT pg_create_physical_replication_slot('standby')`);
  const [missing] = await waitFor('it to be missed', async () => {
    const found = await unmet(alone);
    return found.length > 0 ? found : null;
  });
  assert.equal(missing?.requirement, 'slot goes on on a standby that is promoted');
  assert.ok(missing.fix.endsWith(`ALTER_REPLICATION_SLOT ${name} (FAILOVER true);`));
  await setFailover(true);
  const mended = await connect(own.sqlUrl());
  await waitFor('it to be well', async () => (await unmet(mended)).length === 0);
  await own.stop();
});
