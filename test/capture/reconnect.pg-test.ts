import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock, type Clock } from '../../src/base/clock.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import {
  arm,
  assertSequence,
  eventually,
  faultOfRun,
  slotIsFree,
  SLOT,
  startCapture,
  type RunningCapture,
} from './capture-harness.ts';
import { startProxy } from './cutting-proxy.ts';

// The law: however often a connection breaks, and wherever, each change is in the log exactly once.

const server = await startPostgres({ settings: { wal_sender_timeout: '1000' } });
const proxy = await startProxy(server.port);
const proxyUrl = server.url().replace(String(server.port), String(proxy.port));

async function tableWithSlot(table: string, on = server): Promise<Awaited<ReturnType<typeof connect>>> {
  const admin = await connect(on.url());
  await admin.query(`CREATE TABLE ${table} (id int PRIMARY KEY, body text)`);
  await arm(admin, table, true);
  return admin;
}

async function captured(running: RunningCapture, count: number): Promise<void> {
  await eventually(`${count} changes in the log`, () =>
    running.log.end().last === null ? false : changesOf(running) >= count,
  );
}

function changesOf(running: RunningCapture): number {
  return running.capture.status().changesCaptured;
}

test('a walsender that is terminated in the middle of a large transaction', async () => {
  const admin = await tableWithSlot('terminated');
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder, { reconnects: true });
  const count = 150_000;
  const writing = admin.query(`INSERT INTO terminated SELECT i, repeat('x', 60) FROM generate_series(1, ${count}) i`);
  const killer = await connect(server.url());
  let kills = 0;
  await writing;
  while (changesOf(running) < count) {
    const before = changesOf(running);
    await eventually('some progress', () => changesOf(running) > Math.min(before + 25_000, count - 1));
    const sql = 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active';
    if (changesOf(running) < count) kills += (await killer.query(sql, [SLOT])).rowCount ?? 0;
  }
  await admin.query(`INSERT INTO terminated VALUES (${count + 1}, 'the next transaction')`);
  await captured(running, count + 1);
  await running.stop();
  assert.ok(kills > 0 && running.faults.length > 0, `${kills} kills, ${running.faults.length} faults`);
  assertSequence(folder, count + 1);
  await slotIsFree(admin);
  await admin.query(`SELECT pg_drop_replication_slot('${SLOT}')`);
});

test('a line that is cut after ever more bytes, in the middle of messages', async () => {
  const admin = await tableWithSlot('cut');
  const folder = temporaryFolder();
  proxy.cutAfter(20_000);
  const running = startCapture(proxyUrl, folder, { reconnects: true });
  const count = 20_000;
  for (let from = 0; from < count; from += 5_000) {
    await admin.query(`INSERT INTO cut SELECT i, repeat('x', 40) FROM generate_series(${from + 1}, ${from + 5_000}) i`);
  }
  // Each time a little more comes through: whole transactions are sent again, and the last one has to fit.
  let limit = 20_000;
  while (changesOf(running) < count) {
    const cuts = running.faults.length;
    await eventually('a cut or the end', () => running.faults.length > cuts || changesOf(running) >= count);
    proxy.cutAfter((limit += 53_077));
  }
  proxy.cutAfter(null);
  await running.stop();
  assert.ok(running.faults.length >= 5, `${running.faults.length} cuts`);
  assert.deepEqual([...new Set(running.faults.map(({ kind }) => kind))], ['reconnect']);
  assertSequence(folder, count);
  await slotIsFree(admin);
  await admin.query(`SELECT pg_drop_replication_slot('${SLOT}')`);
});

test('a line that falls silent is noticed after twice the timeout', async () => {
  const admin = await tableWithSlot('silent');
  const folder = temporaryFolder();
  const running = startCapture(proxyUrl, folder, { reconnects: true });
  await admin.query(`INSERT INTO silent VALUES (1)`);
  await captured(running, 1);
  proxy.silence();
  await admin.query(`INSERT INTO silent VALUES (2)`);
  await captured(running, 2);
  await running.stop();
  assert.equal(running.faults[0]?.reason, 'silent');
  assertSequence(folder, 2);
  await slotIsFree(admin);
  await admin.query(`SELECT pg_drop_replication_slot('${SLOT}')`);
});

test('a server that falls silent before the stream begins is given up, and stopping does not wait for it', async () => {
  const admin = await tableWithSlot('mute');
  const folder = temporaryFolder();
  const hasty: Clock = { ...systemClock, after: (delayMs, run) => systemClock.after(delayMs / 100, run) };
  // At the password, among the questions, at the start.
  for (const bytes of [0, 60, 700, 1_200, 1_700]) {
    proxy.silenceAfter(bytes);
    const running = startCapture(proxyUrl, folder, { clock: hasty });
    assert.equal((await faultOfRun(running)).kind, 'reconnect', `after ${bytes} bytes`);
    await running.stop();
  }
  const patient = startCapture(proxyUrl, folder);
  await eventually('it connects', () => patient.capture.status().state === 'connecting');
  await patient.stop();
  assert.deepEqual(patient.faults, []);
  proxy.silenceAfter(null);
  await slotIsFree(admin);
  await admin.query(`SELECT pg_drop_replication_slot('${SLOT}')`);
});

test('an idle line is not taken for a dead one', async () => {
  // A busy machine may hold us up for longer than the other server's timeout: then it is the server that ends the line.
  const patient = await startPostgres({ settings: { wal_sender_timeout: '3s' } });
  const admin = await tableWithSlot('idle', patient);
  const running = startCapture(patient.url(), temporaryFolder(), { reconnects: true });
  await admin.query(`INSERT INTO idle VALUES (1)`);
  await captured(running, 1);
  // The server's clock says when three timeouts have passed.
  await admin.query('SELECT pg_sleep(9)');
  await admin.query(`INSERT INTO idle VALUES (2)`);
  await captured(running, 2);
  await running.stop();
  assert.deepEqual(running.faults, []);
});

test('a server that crashes and recovers', async () => {
  await tableWithSlot('crashed');
  const folder = temporaryFolder();
  const running = startCapture(server.url(), folder, { reconnects: true });
  let next = 1;
  for (let crash = 0; crash < 3; crash++) {
    const writer = await connect(server.url());
    for (let i = 0; i < 20; i++) await writer.query(`INSERT INTO crashed VALUES (${next++})`);
    await writer.query(`INSERT INTO crashed SELECT generate_series(${next}, ${next + 9_999})`);
    next += 10_000;
    await server.stop('immediate');
    await server.restart();
  }
  await captured(running, next - 1);
  await running.stop();
  assert.ok(running.faults.length >= 3);
  assertSequence(folder, next - 1);
});
