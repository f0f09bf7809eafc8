import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import type pg from 'pg';
import { formatLsn } from '../../src/postgres/lsn.ts';
import type { GapReason } from '../../src/model/gap.ts';
import type { StreamReport } from '../../src/model/status.ts';
import { slotIsFree, walLsn } from '../capture/capture-harness.ts';
import { startReceiver, type TestReceiver } from '../support/json-receiver.ts';
import { startStandby } from '../support/standby.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { createStream, startEngine, tableOf, type RunningEngine } from './engine-harness.ts';

// The law: whatever costs changes is announced in status, history, metric and event, in its place; the stream goes on
// behind it only when it is told to; and what is mended is gone on with by itself.

const NEVER = new AbortController().signal;

/** A server with a table and a stream that has delivered the row 1. */
class Scene {
  readonly url: string;
  readonly dataDir = temporaryFolder();
  receiver!: TestReceiver;
  running!: RunningEngine;
  admin!: pg.Client;

  constructor(url: string) {
    this.url = url;
  }

  async begin(): Promise<this> {
    this.admin = await connect(this.url);
    this.receiver = await startReceiver();
    await this.admin.query('DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, body text)');
    this.start();
    const change = createStream('s', [await tableOf(this.admin, 't')], this.receiver.url);
    assert.equal(change.kind, 'create-stream');
    const { request } = change;
    const options = { ...request.options, gapEvents: true };
    await this.running.engine.execute({ ...change, request: { ...request, options } }, 'postgres', NEVER);
    await this.write(1);
    await this.delivered([1]);
    return this;
  }

  start(): void {
    this.running = startEngine(this.url, this.dataDir);
    const { running } = this;
    after(() => running.stop());
  }

  async write(id: number, admin = this.admin): Promise<void> {
    await admin.query('INSERT INTO t VALUES ($1)', [id]);
  }

  ids(): number[] {
    return this.receiver.requests.filter(({ body }) => body.schema === 'public').map(({ body }) => idOf(body));
  }

  async delivered(ids: readonly number[]): Promise<void> {
    await waitFor(`rows ${ids.join()}`, () => this.ids().length >= ids.length);
    assert.deepEqual(this.ids(), ids);
  }

  report(): Promise<StreamReport> {
    return this.running.engine.report('s');
  }

  /** The gap is told everywhere, and holds the stream. */
  async announced(reason: GapReason): Promise<void> {
    const report = await waitFor('the gap to be announced', async () => {
      const { status, statusReason, capture } = await this.report();
      return status === 'paused' && capture.state === 'streaming' ? statusReason : null;
    });
    assert.match(report, /are lost: .*RESUME/);
    const gap = await waitFor('the event', () => this.receiver.requests.find(({ body }) => body.schema === 'cdc'));
    const { table, op, after } = gap.body as { table: string; op: string; after: Record<string, string> };
    assert.deepEqual([table, op, after['reason']], ['gap', 'insert', reason]);
    const [entry] = this.running.engine.history('stream', 's', 1);
    assert.deepEqual([entry?.action, entry?.actor], ['gap', 'walhook']);
    assert.equal(this.running.engine.gapCount(), 1);
  }

  async end(): Promise<void> {
    await this.running.engine.dropStreams(['s'], false, 'postgres');
    await this.running.stop();
    await this.receiver.close();
  }
}

function idOf(body: Record<string, unknown>): number {
  return (body.key as { id: number }).id;
}

const server = await startPostgres();

/** What is done to the slot while nobody reads it. */
const FAULTS: [what: string, reason: GapReason, fault: (admin: pg.Client, slot: string) => Promise<unknown>][] = [
  ['dropped', 'slot-missing', (admin, slot) => admin.query('SELECT pg_drop_replication_slot($1)', [slot])],
  [
    'dropped and made anew',
    'slot-ahead',
    async (admin, slot) => {
      await admin.query('SELECT pg_drop_replication_slot($1)', [slot]);
      await admin.query('INSERT INTO t VALUES (2)');
      await admin.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
    },
  ],
  [
    'moved on by somebody',
    'slot-ahead',
    async (admin, slot) => {
      await admin.query('INSERT INTO t VALUES (2)');
      await admin.query('SELECT pg_replication_slot_advance($1, $2)', [slot, formatLsn(await walLsn(admin))]);
    },
  ],
  ['invalidated', 'slot-lost', invalidate],
  ['without its publication', 'publication-missing', (admin) => admin.query('DROP PUBLICATION walhook')],
];

async function invalidate(admin: pg.Client, slot: string): Promise<void> {
  await admin.query(`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`);
  await admin.query('SELECT pg_reload_conf()');
  await waitFor('the slot to be lost', async () => {
    await admin.query(
      `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 20)`,
    );
    await admin.query('SELECT pg_switch_wal()');
    await admin.query('CHECKPOINT');
    const sql = `SELECT FROM pg_replication_slots WHERE slot_name = $1 AND wal_status = 'lost'`;
    return (await admin.query(sql, [slot])).rowCount === 1;
  });
  await admin.query('ALTER SYSTEM RESET max_slot_wal_keep_size');
  await admin.query('SELECT pg_reload_conf()');
}

for (const [what, reason, fault] of FAULTS) {
  test(`a slot that is ${what}`, async () => {
    const scene = await new Scene(server.url()).begin();
    const { slotName } = scene.running;
    await scene.running.stop();
    await slotIsFree(scene.admin, slotName);
    await fault(scene.admin, slotName);
    await scene.admin.query('INSERT INTO t VALUES (2) ON CONFLICT DO NOTHING');
    scene.start();
    await scene.announced(reason);
    await scene.write(3);
    await waitFor('the change to be captured', async () => (await scene.report()).delivery.pendingEvents === 1);
    // Not a word more, also after a restart.
    await scene.running.stop();
    scene.start();
    await waitFor('capture', async () => (await scene.report()).capture.state === 'streaming');
    assert.equal((await scene.report()).status, 'paused');
    assert.deepEqual(scene.ids(), [1]);
    await scene.running.engine.setDesiredState('s', 'running', 'alice');
    await scene.delivered([1, 3]);
    await waitFor('the truth', async () => (await scene.report()).status === 'running');
    assert.deepEqual(
      scene.running.engine.history('stream', 's', 2).map(({ action, actor }) => [action, actor]),
      [
        ['resume', 'alice'],
        ['gap', 'walhook'],
      ],
    );
    await scene.end();
  });
}

test('a slot that is dropped while it is read, and a publication', async () => {
  const scene = await new Scene(server.url()).begin();
  await waitFor('the slot to be dropped', async () => {
    const sql = `SELECT pg_terminate_backend(active_pid), pg_drop_replication_slot(slot_name)
                   FROM pg_replication_slots WHERE slot_name = $1`;
    return scene.admin.query(sql, [scene.running.slotName]).then(
      () => true,
      () => false,
    );
  });
  await scene.announced('slot-missing');
  await scene.running.engine.setDesiredState('s', 'running', 'postgres');
  await scene.write(2);
  await scene.delivered([1, 2]);
  await scene.admin.query('DROP PUBLICATION walhook');
  await scene.write(3);
  await waitFor('the second gap', () => scene.running.engine.gapCount() === 2);
  await waitFor('capture', async () => (await scene.report()).capture.state === 'streaming');
  await scene.running.engine.setDesiredState('s', 'running', 'postgres');
  await scene.write(4);
  await scene.delivered([1, 2, 4]);
  await scene.end();
});

/** Puts a stopped server's files aside, or back. */
function copyFiles(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  execFileSync('cp', ['-a', from, to]);
}

for (const [what, rows] of [
  ['has less than was received', 1],
  ['has gone on for long', 3_000],
] as const) {
  test(`a database that was put back to an earlier point and ${what}`, async () => {
    const own = await startPostgres();
    const copy = `${own.dataDir}-copy`;
    const scene = await new Scene(own.url()).begin();
    await scene.running.stop();
    await own.stop();
    copyFiles(own.dataDir, copy);
    await own.restart();
    scene.start();
    scene.admin = await connect(own.url());
    for (let id = 2; id <= 50; id++) await scene.write(id);
    const before = Array.from({ length: 50 }, (_, i) => i + 1);
    await waitFor('50 rows', () => scene.ids().length === 50);
    assert.deepEqual(
      scene.ids().toSorted((a, b) => a - b),
      before,
    );
    await scene.running.stop();
    await own.stop();
    copyFiles(copy, own.dataDir);
    await own.restart();
    scene.admin = await connect(own.url());
    for (let id = 101; id <= 100 + rows; id++) await scene.write(id);
    scene.start();
    const report = await waitFor('the gap', async () => {
      const found = await scene.report();
      return found.definition.heldGap === null ? null : found;
    });
    assert.deepEqual([report.status, report.definition.heldGap?.reason], ['paused', 'other-history']);
    assert.equal(report.capture.state, 'failed');
    const seen = scene.receiver.requests.length;
    assert.equal(seen, 50);
    await scene.running.engine.setDesiredState('s', 'running', 'postgres');
    await waitFor('capture', async () => (await scene.report()).capture.state === 'streaming');
    await scene.admin.query('DELETE FROM t WHERE id > 1');
    await scene.write(2);
    await waitFor('what comes now', () =>
      scene.receiver.requests.some(({ body }, i) => i >= seen && body.op === 'insert' && body.schema === 'public'),
    );
    assert.equal(scene.receiver.requests[seen]?.body.schema, 'cdc');
    const ids = scene.receiver.requests.map(({ body }) => body.id);
    assert.equal(new Set(ids).size, ids.length, 'no id comes again');
    await scene.end();
  });
}

test('a wrong copy of the server, and then the right one again', async () => {
  const own = await startPostgres();
  const [old, right] = [`${own.dataDir}-old`, `${own.dataDir}-right`];
  const scene = await new Scene(own.url()).begin();
  await scene.running.stop();
  await own.stop();
  copyFiles(own.dataDir, old);
  await own.restart();
  scene.start();
  scene.admin = await connect(own.url());
  await scene.write(2);
  await scene.delivered([1, 2]);
  await own.stop();
  copyFiles(own.dataDir, right);
  copyFiles(old, own.dataDir);
  await own.restart();
  await waitFor('the gap', async () => (await scene.report()).definition.heldGap !== null, 60_000);
  await own.stop();
  copyFiles(right, own.dataDir);
  await own.restart();
  scene.admin = await connect(own.url());
  await scene.write(3);
  await scene.delivered([1, 2, 3]);
  const report = await scene.report();
  assert.deepEqual([report.status, report.definition.heldGap], ['running', null]);
  await scene.end();
});

test('a standby that is promoted has no slot, which is a gap and no more', async () => {
  const primary = await startPostgres();
  const standby = await startStandby(primary);
  const hosts = `127.0.0.1:${primary.port},127.0.0.1:${standby.port}`;
  const scene = new Scene(primary.url().replace(`127.0.0.1:${primary.port}`, hosts));
  const url = scene.url;
  Object.assign(scene, { url: primary.url() });
  scene.start = () => {
    scene.running = startEngine(url, scene.dataDir);
    const { running } = scene;
    after(() => running.stop());
  };
  await scene.begin();
  const promoted = await connect(standby.url());
  await waitFor('the standby to have it', async () => (await promoted.query('SELECT FROM t')).rowCount === 1);
  await primary.stop('immediate');
  await promoted.query('SELECT pg_promote()');
  await scene.write(2, promoted);
  await scene.announced('slot-missing');
  await scene.running.engine.setDesiredState('s', 'running', 'postgres');
  await scene.write(3, promoted);
  await scene.delivered([1, 3]);
  await scene.end();
});

test('what cannot work is tried again, and works once it is mended', async () => {
  await server.restart().catch(() => undefined);
  const admin = await connect(server.url());
  await admin.query(`CREATE ROLE capturer LOGIN REPLICATION PASSWORD 'walhook'; GRANT ALL ON SCHEMA public TO capturer;
    GRANT CREATE ON DATABASE postgres TO capturer; GRANT pg_monitor TO capturer`);
  const scene = new Scene(server.url());
  scene.start = () => {
    scene.running = startEngine(server.url().replace('postgres:walhook', 'capturer:walhook'), scene.dataDir);
    const { running } = scene;
    after(() => running.stop());
  };
  await admin.query(
    'DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, body text); ALTER TABLE t OWNER TO capturer',
  );
  scene.admin = admin;
  scene.receiver = await startReceiver();
  scene.start();
  await scene.running.engine.execute(
    createStream('s', [await tableOf(admin, 't')], scene.receiver.url),
    'postgres',
    NEVER,
  );
  await scene.write(1);
  await scene.delivered([1]);
  await admin.query('ALTER ROLE capturer NOREPLICATION');
  await admin.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active');
  await waitFor('the failure', async () => (await scene.report()).status === 'failed');
  await scene.write(2);
  assert.match((await scene.report()).statusReason ?? '', /REPLICATION/);
  await admin.query('ALTER ROLE capturer REPLICATION');
  await scene.delivered([1, 2]);
  assert.equal(scene.running.engine.gapCount(), 0);
  await scene.end();
});
