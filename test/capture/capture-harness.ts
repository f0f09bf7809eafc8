import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after } from 'node:test';
import type pg from 'pg';
import { PgoutputPlugin } from 'pg-logical-replication';
import { systemClock, type Clock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { systemRandom } from '../../src/base/random.ts';
import { supervise } from '../../src/base/service.ts';
import { armTable } from '../../src/capture/arm.ts';
import { Capture } from '../../src/capture/capture.ts';
import { CaptureFault } from '../../src/capture/fault.ts';
import type { ChunkSink } from '../../src/capture/intake.ts';
import { PUBLICATION } from '../../src/capture/publication.ts';
import { ChangeLog } from '../../src/log/change-log.ts';
import { LogReader } from '../../src/log/log-reader.ts';
import { LOG_FILE } from '../../src/log/schema.ts';
import { FRAME, frameBytes } from '../../src/postgres/pgoutput.ts';
import { parseLsn, type Lsn } from '../../src/postgres/lsn.ts';
import { upstreamOf } from '../support/upstreams.ts';

export const SLOT = 'walhook_test';

/** A sink that wants nothing. */
export const ignoringSink: ChunkSink = {
  wantsData: () => false,
  onChunk: () => undefined,
  onDurable: () => undefined,
  onDiscarded: () => undefined,
};

/** Resolves when `condition` holds; rejects after the deadline, saying what did not happen. */
export async function eventually(what: string, condition: () => unknown, deadlineMs = 60_000): Promise<void> {
  const until = systemClock.monotonicMs() + deadlineMs;
  while (!(await condition())) {
    if (systemClock.monotonicMs() > until) throw new Error(`did not happen in ${deadlineMs} ms: ${what}`);
    await systemClock.sleep(10);
  }
}

/** A message of the log as pg-logical-replication's parser, not ours, reads it. */
export interface LoggedMessage {
  readonly lsn: Lsn;
  readonly message: ReturnType<PgoutputPlugin['parse']>;
}

/** Everything in the log, from its first chunk to its last. */
export function* readLog(folder: string): Generator<LoggedMessage> {
  const reader = LogReader.open(join(folder, LOG_FILE));
  try {
    for (let id = reader.headersFrom(0, 1)[0]?.id ?? 1; ; id++) {
      const chunk = reader.read(id);
      if (chunk === null) return;
      // A parser of its own for each chunk: it must be decodable without those before it.
      const parser = new PgoutputPlugin({ protoVersion: 1, publicationNames: [] });
      for (const message of chunk.relationMessages.values()) parser.parse(message);
      for (let at = 0; at < chunk.data.length; at += frameBytes(chunk.data, at)) {
        const frame = chunk.data.subarray(at, at + frameBytes(chunk.data, at));
        yield { lsn: frame.readBigUInt64BE(FRAME.startLsn), message: parser.parse(frame.subarray(FRAME.message)) };
      }
    }
  } finally {
    reader.close();
  }
}

type Row = Record<string, unknown> | null;

/** What a change did, to which table, the new row, and the old row or key where there is one. */
export function describeChange(message: LoggedMessage['message']): unknown[] | null {
  const plain = (row: Row): Row => (row === null ? null : { ...row });
  if (message.tag === 'insert') return ['insert', message.relation.name, plain(message.new)];
  if (message.tag === 'update') {
    return ['update', message.relation.name, plain(message.new), plain(message.key ?? message.old)];
  }
  if (message.tag === 'delete') return ['delete', message.relation.name, plain(message.key ?? message.old)];
  if (message.tag === 'truncate') return ['truncate', message.relations.map(({ name }) => name)];
  return null;
}

/** The changes in the log, described. */
export function loggedChanges(folder: string): unknown[][] {
  return [...readLog(folder)].map(({ message }) => describeChange(message)).filter((change) => change !== null);
}

/** The column `id` of every insert in the log, in the log's order. */
export function loggedIds(folder: string): number[] {
  const ids: number[] = [];
  for (const { message } of readLog(folder)) if (message.tag === 'insert') ids.push(Number(message.new['id']));
  return ids;
}

/** Asserts that the log's inserts are 1, 2, … `count`: nothing missing, nothing twice, in order. */
export function assertSequence(folder: string, count: number): void {
  // Not deepEqual: its account of a difference between arrays of this size takes minutes and gigabytes.
  const ids = loggedIds(folder);
  const wrong = ids.findIndex((id, index) => id !== index + 1);
  if (wrong !== -1) assert.fail(`after ${wrong} comes ${ids[wrong]} (of ${ids.length}, expected ${count})`);
  assert.equal(ids.length, count);
}

/** Arms `table` on the server that `admin` is connected to; returns the start LSN. */
export async function arm(admin: pg.Client, table: string, isFirst = true, slotName = SLOT): Promise<Lsn> {
  const { rows } = await admin.query<{ oid: string }>('SELECT $1::regclass::oid::bigint AS oid', [table]);
  return armTable(admin, { slotName, publicationName: PUBLICATION, tableOid: Number(rows[0]!.oid), isFirst });
}

export interface RunningCapture {
  readonly capture: Capture;
  readonly log: ChangeLog;
  /** The faults that ended connections so far. */
  readonly faults: readonly CaptureFault[];
  /** Settles when it runs no more: rejects with the fault that ended it. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

export interface CaptureSettings {
  readonly sink?: ChunkSink;
  readonly slotName?: string;
  /** Connect again after a fault that allows it. */
  readonly reconnects?: boolean;
  readonly clock?: Clock;
  readonly heartbeatMs?: number;
}

/** Runs capture into a log in `folder`, until the file's tests are done. */
export function startCapture(url: string, folder: string, settings: CaptureSettings = {}): RunningCapture {
  const log = ChangeLog.open(join(folder, LOG_FILE));
  const capture = new Capture({
    upstream: upstreamOf(url),
    slotName: settings.slotName ?? SLOT,
    publicationName: PUBLICATION,
    log,
    sink: settings.sink ?? ignoringSink,
    clock: settings.clock ?? systemClock,
    logger: silentLogger,
    ...(settings.heartbeatMs === undefined ? {} : { heartbeatMs: settings.heartbeatMs }),
  });
  const controller = new AbortController();
  const faults: CaptureFault[] = [];
  const done = supervise((signal) => capture.run(signal), controller.signal, {
    name: 'capture',
    backoff: { initialMs: 20, maxMs: 200 },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    onFailure(error) {
      if (!(error instanceof CaptureFault)) return 'stop';
      faults.push(error);
      return error.kind === 'reconnect' && settings.reconnects === true ? 'retry' : 'stop';
    },
  });
  done.catch(() => undefined);
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    controller.abort();
    await done.catch(() => undefined);
    log.close();
  };
  after(stop);
  return { capture, log, faults, done, stop };
}

/** The fault that ends the run. */
export async function faultOfRun(running: RunningCapture): Promise<CaptureFault> {
  const fault = await running.done.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(fault instanceof CaptureFault)) throw new Error(`ended without a fault: ${String(fault)}`);
  return fault;
}

/** The slot's position as the server has it. */
export async function slotLsn(admin: pg.Client, slotName = SLOT): Promise<Lsn> {
  const { rows } = await admin.query<{ lsn: string }>(
    'SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = $1',
    [slotName],
  );
  return parseLsn(rows[0]!.lsn)!;
}

/** The server's end of WAL. */
export async function walLsn(admin: pg.Client): Promise<Lsn> {
  const { rows } = await admin.query<{ lsn: string }>('SELECT pg_current_wal_lsn()::text AS lsn');
  return parseLsn(rows[0]!.lsn)!;
}

/** Resolves when the slot has nobody who reads it. */
export async function slotIsFree(admin: pg.Client, slotName = SLOT): Promise<void> {
  await eventually('the slot is free', async () => {
    const sql = 'SELECT FROM pg_replication_slots WHERE slot_name = $1 AND NOT active';
    return (await admin.query(sql, [slotName])).rowCount === 1;
  });
}
