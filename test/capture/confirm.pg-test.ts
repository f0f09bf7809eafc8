import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { arm, assertSequence, eventually, slotLsn, startCapture, walLsn } from './capture-harness.ts';

// The law: what is confirmed to the server is never beyond what the log has made durable, and an idle slot pins no WAL.

const server = await startPostgres({ settings: { wal_sender_timeout: '4500' } });
const admin = await connect(server.url());
await admin.query('CREATE TABLE quiet (id int PRIMARY KEY)');
await admin.query('CREATE DATABASE busy');
const busy = await connect(server.url('busy'));
await busy.query('CREATE TABLE noise (id int PRIMARY KEY, body text)');
await arm(admin, 'quiet');

test('keepalives move an idle slot while another database is busy', async () => {
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder);
  await admin.query('INSERT INTO quiet VALUES (1)');
  await eventually('the row', () => running.capture.status().changesCaptured === 1);
  for (let round = 0; round < 3; round++) {
    await busy.query(
      `INSERT INTO noise SELECT ${round} * 100000 + i, repeat('x', 100) FROM generate_series(1, 20000) i`,
    );
    const target = await walLsn(admin);
    await eventually('the slot is past the noise', async () => (await slotLsn(admin)) >= target);
    assert.ok(running.log.end().confirmLsn >= (await slotLsn(admin)), 'written down before it was confirmed');
  }
  await running.stop();
  // The position that was confirmed without a change is the log's own: it continues there.
  const again = startCapture(server.url(), folder);
  await admin.query('INSERT INTO quiet VALUES (2)');
  await eventually('the next row', () => again.capture.status().changesCaptured === 1);
  await again.stop();
  assertSequence(folder, 2);
});

test('the slot is never ahead of the log, and a status says what is known', async () => {
  const folder = temporaryFolder();
  await admin.query(`SELECT pg_drop_replication_slot('walhook_test')`);
  await arm(admin, 'quiet');
  const running = startCapture(server.url(), folder);
  await eventually('it streams', () => running.capture.status().state === 'streaming');
  for (let id = 1; id <= 200; id++) {
    await admin.query('INSERT INTO quiet VALUES ($1)', [1_000 + id]);
    if (id % 10 === 0) assert.ok((await slotLsn(admin)) <= running.log.end().confirmLsn);
  }
  await eventually('200 rows', () => running.capture.status().changesCaptured === 200);
  const status = running.capture.status();
  assert.deepEqual(
    {
      ...status,
      heartbeatAgeMs: 0,
      backfills: [],
      receivedLsn: null,
      confirmedLsn: null,
      upstreamLsn: null,
      logBytes: 0,
      logChunks: 0,
    },
    {
      state: 'streaming',
      error: null,
      slotName: 'walhook_test',
      slotWalStatus: 'reserved',
      backfills: [],
      heartbeatAgeMs: 0,
      receivedLsn: null,
      confirmedLsn: null,
      upstreamLsn: null,
      changesCaptured: 200,
      transactionsCaptured: 200,
      logBytes: 0,
      logChunks: 0,
    },
  );
  assert.ok(status.logBytes > 0 && status.logChunks > 0 && status.receivedLsn !== null && status.upstreamLsn !== null);
  await running.stop();
});

test('heartbeats come back by the slot, and the slot of an idle database follows one that is busy', async () => {
  const folder = temporaryFolder();
  await admin.query('CREATE TABLE idle (id int PRIMARY KEY)');
  await arm(admin, 'idle', true, 'walhook_idle');
  const running = startCapture(server.url(), folder, { slotName: 'walhook_idle', heartbeatMs: 50 });
  await eventually('the first heartbeat', () => running.capture.status().heartbeatAgeMs > 0);
  let worst = 0n;
  for (let i = 0; i < 40; i++) {
    await busy.query(
      `INSERT INTO noise SELECT 1000000 * ${i + 1} + n, repeat('x', 1000) FROM generate_series(1, 2000) n`,
    );
    // A load of some 50 MB/s, of which the server has to decode as much.
    await busy.query('SELECT pg_sleep(0.04)');
    const lag = (await walLsn(admin)) - (await slotLsn(admin, 'walhook_idle'));
    if (lag > worst) worst = lag;
  }
  await eventually('the slot to follow', async () => {
    return (await walLsn(admin)) - (await slotLsn(admin, 'walhook_idle')) < 1_000_000n;
  });
  assert.ok(worst < 16n * 1024n * 1024n, `${worst} bytes behind`);
  assert.equal(running.capture.status().error, null);
  assert.equal(running.capture.status().changesCaptured, 0);
  await running.stop();
});

test('a fast shutdown of the server does not wait for us', async () => {
  const folder = temporaryFolder();
  await admin.query(`SELECT pg_drop_replication_slot('walhook_test')`);
  await arm(admin, 'quiet');
  const running = startCapture(server.url(), folder, { reconnects: true });
  await admin.query('INSERT INTO quiet VALUES (5000)');
  await eventually('the row', () => running.capture.status().changesCaptured === 1);
  // A walsender ends only when everything has been confirmed, the checkpoint's record included.
  await server.stop('fast');
  await eventually('the end is noticed', () => running.faults.length > 0);
  await running.stop();
});
