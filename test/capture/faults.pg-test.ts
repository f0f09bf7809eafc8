import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import type { CaptureFault } from '../../src/capture/fault.ts';
import { createSlot } from '../../src/capture/slot.ts';
import { formatLsn } from '../../src/postgres/lsn.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { arm, eventually, faultOfRun, slotIsFree, startCapture, walLsn } from './capture-harness.ts';

// The law: whatever may have cost changes is a fault of kind gap, with a remedy; nothing goes quiet.

const server = await startPostgres({ settings: { max_replication_slots: '6' } });
const admin = await connect(server.url());
await admin.query('CREATE TABLE t (id int PRIMARY KEY, body text)');

/** A log that has one change of a slot of its own, and nobody reading. */
async function logWithSlot(slotName: string): Promise<string> {
  await arm(admin, 't', true, slotName);
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder, { slotName });
  await admin.query(`INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t`);
  await eventually('one change', () => running.capture.status().changesCaptured === 1);
  await running.stop();
  await slotIsFree(admin, slotName);
  return folder;
}

async function stopFault(url: string, folder: string, slotName: string): Promise<CaptureFault> {
  const running = startCapture(url, folder, { slotName, reconnects: true });
  const fault = await faultOfRun(running);
  assert.notEqual(fault.kind, 'reconnect');
  assert.ok(fault.remedy !== null);
  assert.equal(running.capture.status().state, 'failed');
  assert.ok(running.capture.status().error?.includes(fault.message));
  await running.stop();
  return fault;
}

async function drop(client: pg.Client, slotName: string): Promise<void> {
  await slotIsFree(client, slotName);
  await client.query('SELECT pg_drop_replication_slot($1)', [slotName]);
}

test('a second process on the same slot is told that it is in use', async () => {
  const folder = await logWithSlot('s_used');
  const first = startCapture(server.url(), folder, { slotName: 's_used' });
  await eventually('it streams', () => first.capture.status().state === 'streaming');
  const second = startCapture(server.url(), temporaryFolder(), { slotName: 's_used' });
  const fault = await faultOfRun(second);
  assert.deepEqual([fault.reason, fault.kind], ['slot-in-use', 'reconnect']);
  assert.equal(first.capture.status().state, 'streaming');
  await second.stop();
  await first.stop();
  await drop(admin, 's_used');
});

test('a slot that was dropped is missed, and one made anew in its place is found out', async () => {
  const folder = await logWithSlot('s_gone');
  await drop(admin, 's_gone');
  assert.equal((await stopFault(server.url(), folder, 's_gone')).reason, 'slot-missing');
  await admin.query(`INSERT INTO t SELECT max(id) + 1 FROM t`);
  await createSlot(admin, 's_gone');
  assert.equal((await stopFault(server.url(), folder, 's_gone')).reason, 'slot-ahead');
  await drop(admin, 's_gone');
});

test('a slot that somebody else has moved on is found out', async () => {
  const folder = await logWithSlot('s_moved');
  await admin.query(`INSERT INTO t SELECT max(id) + 1 FROM t`);
  await admin.query('SELECT pg_replication_slot_advance($1, $2)', ['s_moved', formatLsn(await walLsn(admin))]);
  assert.equal((await stopFault(server.url(), folder, 's_moved')).reason, 'slot-ahead');
  await drop(admin, 's_moved');
});

test('a slot that the server has invalidated is lost', async () => {
  const folder = await logWithSlot('s_lost');
  await admin.query(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`);
  await admin.query('SELECT pg_reload_conf()');
  await eventually('the slot is lost', async () => {
    await admin.query(
      `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 20)`,
    );
    await admin.query('SELECT pg_switch_wal()');
    await admin.query('CHECKPOINT');
    const sql = `SELECT FROM pg_replication_slots WHERE slot_name = 's_lost' AND wal_status = 'lost'`;
    return (await admin.query(sql)).rowCount === 1;
  });
  assert.equal((await stopFault(server.url(), folder, 's_lost')).reason, 'slot-lost');
  await admin.query('ALTER SYSTEM RESET max_slot_wal_keep_size');
  await admin.query('SELECT pg_reload_conf()');
  await drop(admin, 's_lost');
});

test('a publication that was dropped stops the stream', async () => {
  const folder = await logWithSlot('s_unpublished');
  // From version 18 on the server itself only warns, and sends nothing.
  await admin.query('DROP PUBLICATION walhook');
  await admin.query(`INSERT INTO t SELECT max(id) + 1 FROM t`);
  const fault = await stopFault(server.url(), folder, 's_unpublished');
  assert.equal(fault.reason, 'publication-missing');
  await drop(admin, 's_unpublished');
});

test('a publication that is dropped under the stream ends it where it was dropped, before anything is passed over', async () => {
  const folder = await logWithSlot('s_dropped_under');
  await admin.query('ALTER ROLE postgres SET client_min_messages = error');
  const settings = { slotName: 's_dropped_under', reconnects: true, heartbeatMs: 600_000 };
  const running = startCapture(server.url(), folder, settings);
  await eventually('it streams', () => running.capture.status().state === 'streaming');
  await admin.query('DROP PUBLICATION walhook');
  const droppedLsn = await walLsn(admin);
  await admin.query('INSERT INTO t SELECT max(id) + 1 FROM t');
  // More than what has a status sent of its own accord.
  await admin.query(`SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 4)`);
  const fault = await faultOfRun(running);
  assert.equal(fault.reason, 'publication-missing');
  const { confirmLsn } = running.log.end();
  assert.ok(confirmLsn <= droppedLsn, `complete up to ${confirmLsn}, dropped before ${droppedLsn}`);
  await running.stop();
  await admin.query('ALTER ROLE postgres RESET client_min_messages');
  await drop(admin, 's_dropped_under');
});

test('slots run out', async () => {
  const { rows } = await admin.query<{ name: string }>(
    `SELECT 'filler_' || i AS name FROM generate_series(1, 6 - (SELECT count(*)::int FROM pg_replication_slots)) i`,
  );
  for (const { name } of rows) await createSlot(admin, name);
  await assert.rejects(createSlot(admin, 'one_too_many'), { reason: 'no-slots-left', kind: 'stop' });
  for (const { name } of rows) await drop(admin, name);
});

test('a transaction that stays open keeps the slot from being made, and leaves none behind', async () => {
  const writer = await connect(server.url());
  await writer.query('BEGIN');
  await writer.query(`INSERT INTO t SELECT max(id) + 1 FROM t`);
  const impatient = await connect(server.url());
  await impatient.query('SET statement_timeout = 200');
  await assert.rejects(createSlot(impatient, 'held_up'), { reason: 'server-unavailable', kind: 'reconnect' });
  await writer.query('ROLLBACK');
  // The server says that it has failed before it has let go of the slot.
  await eventually('there is no slot', async () => {
    const { rowCount } = await admin.query(`SELECT FROM pg_replication_slots WHERE slot_name = 'held_up'`);
    return rowCount === 0;
  });
});

test('another server, a server that is not logical, and one without the user are told apart', async () => {
  const folder = await logWithSlot('s_other');
  const other = await startPostgres();
  const otherAdmin = await connect(other.url());
  await otherAdmin.query('CREATE TABLE t (id int PRIMARY KEY)');
  await arm(otherAdmin, 't', true, 's_other');
  assert.equal((await stopFault(other.url(), folder, 's_other')).reason, 'other-server');
  const wrongPassword = other.url().replace('postgres:walhook', 'postgres:wrong');
  assert.equal((await stopFault(wrongPassword, temporaryFolder(), 's_other')).reason, 'not-permitted');
  await otherAdmin.query(`CREATE ROLE plain LOGIN PASSWORD 'walhook'`);
  const plain = other.url().replace('postgres:walhook', 'plain:walhook');
  assert.equal((await stopFault(plain, temporaryFolder(), 's_other')).reason, 'not-permitted');
  await drop(otherAdmin, 's_other');
  await drop(admin, 's_other');
  const replica = await startPostgres({ settings: { wal_level: 'replica' } });
  const replicaAdmin = await connect(replica.url());
  assert.equal((await stopFault(replica.url(), temporaryFolder(), 's_none')).reason, 'wal-level');
  await assert.rejects(createSlot(replicaAdmin, 's_none'), { reason: 'wal-level' });
});

test('a server that is not there is tried again', async () => {
  const running = startCapture('postgres://u:p@127.0.0.1:1/d', temporaryFolder(), { reconnects: true });
  await eventually('three attempts', () => running.faults.length >= 3);
  assert.deepEqual([...new Set(running.faults.map(({ reason }) => reason))], ['connection-lost']);
  assert.equal(running.capture.status().state, 'connecting');
  await running.stop();
});
