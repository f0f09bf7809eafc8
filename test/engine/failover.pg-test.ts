import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type pg from 'pg';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { startReceiver, type TestReceiver } from '../support/json-receiver.ts';
import { binDirOf } from '../support/postgres-versions.ts';
import { startStandby } from '../support/standby.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { createStream, startEngine, tableOf, type RunningEngine } from './engine-harness.ts';

// The law: where the standby has kept a copy of the slot, its promotion costs nothing and nobody is asked anything; where
// it lacks what was received, that is announced.

const NEVER = new AbortController().signal;
const PHYSICAL = 'to_standby';

interface Pair {
  readonly primary: LocalPostgres;
  readonly standby: LocalPostgres;
  readonly admin: pg.Client;
  readonly onStandby: pg.Client;
  readonly receiver: TestReceiver;
  readonly running: RunningEngine;
}

/**
 * A primary, a standby that keeps a copy of its slots, and a stream that has delivered the row 1. `isSafe`: nobody is sent
 * what the standby does not have.
 */
async function startPair(version: 17 | 18, isSafe: boolean): Promise<Pair> {
  const settings: Record<string, string> = isSafe ? { synchronized_standby_slots: PHYSICAL } : {};
  const primary = await startPostgres({ binDir: await binDirOf(version), settings });
  const before = await connect(primary.url());
  await before.query('SELECT pg_create_physical_replication_slot($1)', [PHYSICAL]);
  await before.query('CREATE TABLE t (id int PRIMARY KEY, body text)');
  await before.end();
  const standby = await startStandby(primary, PHYSICAL);
  const hosts = `127.0.0.1:${primary.port},127.0.0.1:${standby.port}`;
  const running = startEngine(primary.url().replace(`127.0.0.1:${primary.port}`, hosts), temporaryFolder());
  after(() => running.stop());
  const admin = await connect(primary.url());
  const receiver = await startReceiver();
  await running.engine.execute(createStream('s', [await tableOf(admin, 't')], receiver.url), 'postgres', NEVER);
  const pair = { primary, standby, admin, onStandby: await connect(standby.url()), receiver, running };
  await admin.query('INSERT INTO t VALUES (1)');
  await delivered(pair, [1]);
  await waitFor(
    'the standby to have the slot',
    async () => {
      // What the worker waits for: that the slot moves on past where the standby's WAL began to be kept.
      await admin.query('SELECT pg_log_standby_snapshot()');
      const sql = 'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND synced AND NOT temporary';
      return (await pair.onStandby.query(sql, [running.slotName])).rowCount === 1;
    },
    120_000,
  );
  return pair;
}

function ids({ receiver }: Pair): number[] {
  return receiver.requests.map(({ body }) => (body['key'] as { id: number }).id);
}

async function delivered(pair: Pair, wanted: readonly number[]): Promise<void> {
  await waitFor(`rows ${wanted.join()}`, () => ids(pair).length >= wanted.length, 60_000);
  assert.deepEqual(ids(pair), wanted);
}

for (const version of [17, 18] as const) {
  test(`${version}: the standby that is promoted has the slot, and nothing is lost or asked`, async () => {
    const pair = await startPair(version, true);
    const { primary, admin, onStandby, running } = pair;
    const many = Array.from({ length: 200 }, (_, i) => i + 1);
    await admin.query('INSERT INTO t SELECT generate_series(2, 150)');
    await waitFor('what came before', () => ids(pair).length === 150, 60_000);
    await primary.stop('immediate');
    await onStandby.query('SELECT pg_promote()');
    await onStandby.query('INSERT INTO t SELECT generate_series(151, 200)');
    await waitFor('what came after', () => ids(pair).length >= 200, 60_000);
    assert.deepEqual(
      ids(pair).toSorted((a, b) => a - b),
      many,
      'each once, though the copy of the slot is behind',
    );
    const { status } = await running.engine.report('s', null);
    assert.equal(status, 'running');
    assert.equal(running.engine.gapCount(), 0);
    // The next standby may keep a copy, too.
    const { rows } = await onStandby.query('SELECT failover FROM pg_replication_slots WHERE slot_name = $1', [
      running.slotName,
    ]);
    assert.deepEqual(rows, [{ failover: true }]);
    await running.stop();
  });

  test(`${version}: a promoted standby that lacks what was received is another history, also with the slot`, async () => {
    const pair = await startPair(version, false);
    const { primary, standby, admin, running } = pair;
    await standby.stop();
    await admin.query('INSERT INTO t VALUES (2)');
    await delivered(pair, [1, 2]);
    await primary.stop('immediate');
    await standby.restart();
    const onStandby = await connect(standby.url());
    await onStandby.query('SELECT pg_promote()');
    const report = await waitFor(
      'the gap',
      async () => {
        const found = await running.engine.report('s', null);
        return found.definition.heldGap === null ? null : found;
      },
      60_000,
    );
    assert.deepEqual([report.status, report.definition.heldGap?.reason], ['paused', 'other-history']);
    await running.engine.setDesiredState('s', 'running', 'postgres');
    await waitFor(
      'capture',
      async () => (await running.engine.report('s', null)).capture.state === 'streaming',
      60_000,
    );
    await onStandby.query('INSERT INTO t VALUES (3)');
    await delivered(pair, [1, 2, 3]);
    await running.stop();
  });
}
