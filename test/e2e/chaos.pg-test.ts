import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import type { LocalPostgres } from '../../src/cli/local-postgres.ts';
import { startProxy, type CuttingProxy } from '../capture/cutting-proxy.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { connect, startPostgres, temporaryFolder } from '../support/test-database.ts';
import { waitFor } from '../support/wait-for.ts';
import { WalhookProcess } from '../support/walhook-process.ts';
import { ChaosReceiver, digestOf, type GapRow, type Row } from './chaos-receiver.ts';
import { judge } from './chaos-verdict.ts';
import { KEYS, SCHEMA, Writers, type Committed } from './chaos-writers.ts';

// The law: whatever fails and whenever, every committed change arrives, or a gap that covers it is announced and healed;
// a key's changes arrive in their order, with ids that never change; and whoever has applied the events has the table.
//
// CHAOS_MINUTES says how long (2), CHAOS_SEED which faults and changes come.

const MINUTES = Number(process.env['CHAOS_MINUTES'] ?? 2);
const SEED = Number(process.env['CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const WRITERS = 4;
const LONGEST_PEACE_MS = 1_500;
/** How often a fault waits until walhook has got something done: a machine that is slow would see none but starts fail. */
const AFTER_PROGRESS = 0.7;
const LONGEST_WAIT_MS = 10_000;
const QUIET_DEADLINE_MS = 180_000;

/** Everything that can fail. */
class Stage {
  readonly server: LocalPostgres;
  readonly proxy: CuttingProxy;
  readonly receiver: ChaosReceiver;
  readonly walhook: WalhookProcess;
  #starting: Promise<unknown> = Promise.resolve();

  constructor(server: LocalPostgres, proxy: CuttingProxy, receiver: ChaosReceiver) {
    this.server = server;
    this.proxy = proxy;
    this.receiver = receiver;
    this.walhook = new WalhookProcess({
      upstreamUrl: server.url().replace(`:${server.port}/`, `:${proxy.port}/`),
      dataDir: join(temporaryFolder(), 'data'),
    });
  }

  /** Does not wait: what dies while it starts is to be found, too. */
  startWalhook(): void {
    this.#starting = this.walhook.start().catch(() => undefined);
  }

  /** A walhook that has come up, whatever became of the last one. */
  async freshWalhook(): Promise<void> {
    await this.#starting;
    await this.walhook.kill();
    await this.walhook.start();
  }

  /** Resolves when something has arrived after now, or has not for long. */
  async progress(): Promise<void> {
    await this.#starting;
    const before = this.receiver.arrivals.length;
    const hasArrived = (): boolean => this.receiver.arrivals.length > before;
    await waitFor('an arrival', hasArrived, LONGEST_WAIT_MS).catch(() => undefined);
  }

  /** Has the slot free for a moment, and does this to it. False where that did not come about. */
  async toSlot(does: string): Promise<boolean> {
    return this.#ask(async (client) => {
      const { rows } = await client.query<{ slot_name: string }>(
        `SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'walhook%' AND NOT temporary`,
      );
      const slot = rows[0]?.slot_name;
      if (slot === undefined) return false;
      for (let tries = 0; tries < 200; tries++) {
        await client.query('SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active');
        const isDone = await client.query(does, [slot]).then(
          () => true,
          (error: { code?: string }) => (error.code === '55006' ? false : Promise.reject(error as Error)),
        );
        if (isDone) return true;
      }
      return false;
    });
  }

  dropPublication(): Promise<boolean> {
    return this.#ask(async (client) => {
      await client.query('DROP PUBLICATION walhook');
      return true;
    });
  }

  /** Takes the table out of the publication, and puts it in again or leaves that to walhook. */
  unpublish(again: boolean): Promise<boolean> {
    return this.#ask(async (client) => {
      await client.query('ALTER PUBLICATION walhook DROP TABLE item');
      await client.query('SELECT pg_sleep(0.2)');
      if (again) await client.query('ALTER PUBLICATION walhook ADD TABLE item');
      return true;
    });
  }

  async #ask(question: (client: pg.Client) => Promise<boolean>): Promise<boolean> {
    const client = new pg.Client({ connectionString: this.server.url(), statement_timeout: 10_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await question(client);
    } catch {
      return false;
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
type Fault = (stage: Stage, random: SeededRandom) => Promise<boolean | void>;

const FAULTS: readonly (readonly [name: string, weight: number, fault: Fault])[] = [
  [
    'walhook killed',
    25,
    async (stage) => {
      await stage.walhook.kill();
      stage.startWalhook();
    },
  ],
  [
    'walhook told to stop',
    8,
    async (stage) => {
      await stage.walhook.stop();
      stage.startWalhook();
    },
  ],
  [
    'PostgreSQL crashed',
    8,
    async ({ server }) => {
      await server.stop('immediate');
      await server.restart();
    },
  ],
  [
    'PostgreSQL restarted',
    3,
    async ({ server }) => {
      await server.stop();
      await server.restart();
    },
  ],
  ['line to PostgreSQL cut', 15, async ({ proxy }) => proxy.cut()],
  ['line to PostgreSQL dead', 4, async ({ proxy }) => proxy.silence()],
  [
    'line to PostgreSQL cut again and again',
    6,
    async ({ proxy }, random) => {
      proxy.cutAfter(random.below(40_000));
      await pause(random.float() * 1_500);
      proxy.cutAfter(null);
    },
  ],
  ['line to the receiver cut', 8, async ({ receiver }) => receiver.cut()],
  [
    'receiver down',
    5,
    async ({ receiver }, random) => {
      await receiver.down();
      await pause(random.float() * 1_500);
      await receiver.up();
    },
  ],
  ['slot dropped', 2, (stage) => stage.toSlot('SELECT pg_drop_replication_slot($1)')],
  [
    'slot dropped and made anew',
    2,
    (stage) => stage.toSlot(`SELECT pg_drop_replication_slot($1), pg_create_logical_replication_slot($1, 'pgoutput')`),
  ],
  ['slot moved on', 2, (stage) => stage.toSlot('SELECT pg_replication_slot_advance($1, pg_current_wal_flush_lsn())')],
  ['publication dropped', 1, (stage) => stage.dropPublication()],
  ['table taken out', 2, (stage) => stage.unpublish(false)],
  ['table taken out and put in again', 2, (stage) => stage.unpublish(true)],
];

/** One of them, by its weight. */
function chooseFault(random: SeededRandom): (typeof FAULTS)[number] {
  const total = FAULTS.reduce((sum, [, weight]) => sum + weight, 0);
  let left = random.below(total);
  return FAULTS.find(([, weight]) => (left -= weight) < 0)!;
}

/** One fault after the other, the moments random: while something starts, reads, writes, sends. Resolves to their counts. */
async function wreck(stage: Stage, random: SeededRandom): Promise<Map<string, number>> {
  const counts = new Map(FAULTS.map(([name]) => [name, 0]));
  const endMs = performance.now() + MINUTES * 60_000;
  while (performance.now() < endMs) {
    if (random.chance(AFTER_PROGRESS)) await stage.progress();
    await pause(random.float() * LONGEST_PEACE_MS);
    const [name, , fault] = chooseFault(random);
    if ((await fault(stage, random)) !== false) counts.set(name, counts.get(name)! + 1);
  }
  return counts;
}

/** Resolves when a change that was made now has arrived and nothing else is under way. */
async function quiet(stage: Stage, writers: Writers): Promise<void> {
  const version = await writers.mark();
  let seen: Record<string, string | null> = {};
  await waitFor(
    'the stream to have nothing left to do',
    async () => {
      if (!stage.receiver.arrivals.some(({ after }) => after?.key === KEYS && after.version === version)) return false;
      seen = await statusOf(stage.walhook);
      return seen['status'] === 'running' && seen['pending_events'] === '0';
    },
    QUIET_DEADLINE_MS,
  ).catch((error: Error) => {
    const log = stage.walhook.logLines.slice(-20).join('\n');
    throw new Error(`${error.message}: ${JSON.stringify(seen)}\n${log}`, { cause: error });
  });
}

async function statusOf(walhook: WalhookProcess): Promise<Record<string, string | null>> {
  const client = new pg.Client({ connectionString: walhook.sqlUrl() });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ property: string; value: string | null }>('SHOW CDC STREAM STATUS items');
    return Object.fromEntries(rows.map(({ property, value }) => [property, value]));
  } catch (error) {
    return { error: String(error) };
  } finally {
    await client.end().catch(() => undefined);
  }
}

test(`${MINUTES} minutes of chaos (CHAOS_SEED=${SEED}) lose nothing in silence`, async (t) => {
  const random = new SeededRandom(SEED);
  const server = await startPostgres({ settings: { wal_sender_timeout: '5s' } });
  const direct = await connect(server.url());
  await direct.query(SCHEMA);
  await direct.end();
  const receiver = await ChaosReceiver.start(new SeededRandom(SEED + 1));
  const stage = new Stage(server, await startProxy(server.port), receiver);
  await stage.walhook.start();
  const client = await connect(stage.walhook.sqlUrl());
  await client.query(
    `CREATE CDC STREAM items ON item TO WEBHOOK '${receiver.url}' WITH (on_gap = backfill, gap_events = true,
       batch_max_events = 10, max_in_flight = 8, initial_backoff = '20ms', max_backoff = '200ms',
       circuit_breaker = ${random.chance(0.5)})`,
  );
  await client.end();

  const writers = new Writers(server, SEED + 2, WRITERS);
  const faults = await wreck(stage, random);
  await writers.stop();
  await stage.freshWalhook();
  // Twice: a gap that is found only now is healed before the second.
  await quiet(stage, writers);
  await quiet(stage, writers);

  const check = await connect(server.url());
  const { rows: committed } = await check.query<Committed>('SELECT key, version, op, tx, xid, lsn FROM ledger');
  const { rows } = await check.query<Row>('SELECT key, version, tx, body FROM item');
  const table = rows.map((row) => ({ ...row, body: digestOf(row.body) }));
  const gaps = [...receiver.gaps.values()];
  const { counts, wrong } = judge({ committed, after: writers.after, arrivals: receiver.arrivals, gaps, table });
  const print = (of: Iterable<readonly [string, unknown]>): string =>
    [...of].map(([name, value]) => `${name} ${String(value)}`).join(', ');
  t.diagnostic(`seed ${SEED}, ${MINUTES} minutes: ${print(Object.entries(counts))}`);
  t.diagnostic(`faults: ${print(faults)}`);
  const describe = ({ reason, from_lsn, to_lsn }: GapRow): string => `${reason} ${from_lsn} to ${to_lsn}`;
  t.diagnostic(`gaps: ${gaps.map(describe).join(', ') || 'none'}`);
  for (const [what, found] of Object.entries(wrong)) {
    assert.deepEqual(found.slice(0, 10), [], `${what}: ${found.length}`);
  }
  assert.ok(counts['arrived']! > 500 * MINUTES, `only ${counts['arrived']} changes arrived: no load`);
});
