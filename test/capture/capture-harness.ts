import { join } from 'node:path';
import { after } from 'node:test';
import type pg from 'pg';
import { PgoutputPlugin } from 'pg-logical-replication';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { armTable } from '../../src/capture/arm.ts';
import { Capture } from '../../src/capture/capture.ts';
import type { ChunkSink } from '../../src/capture/intake.ts';
import { PUBLICATION } from '../../src/capture/publication.ts';
import { ChangeLog } from '../../src/log/change-log.ts';
import { LogReader } from '../../src/log/log-reader.ts';
import { LOG_FILE } from '../../src/log/schema.ts';
import { FRAME, frameBytes } from '../../src/postgres/pgoutput.ts';
import type { Lsn } from '../../src/postgres/lsn.ts';
import { parseUpstreamUrl } from '../../src/upstream/upstream-config.ts';

/** A sink that wants nothing. */
export const ignoringSink: ChunkSink = {
  wantsData: () => false,
  onChunk: () => undefined,
  onDurable: () => undefined,
  onDiscarded: () => undefined,
};

/** Resolves when `condition` holds; rejects after the deadline, saying what did not happen. */
export async function eventually(what: string, condition: () => unknown, deadlineMs = 30_000): Promise<void> {
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
export function readLog(folder: string): LoggedMessage[] {
  const reader = LogReader.open(join(folder, LOG_FILE));
  const messages: LoggedMessage[] = [];
  for (let id = reader.headersFrom(0, 1)[0]?.id ?? 1; ; id++) {
    const chunk = reader.read(id);
    if (chunk === null) break;
    // A parser of its own for each chunk: it must be decodable without those before it.
    const parser = new PgoutputPlugin({ protoVersion: 1, publicationNames: [] });
    for (const { version } of chunk.header.relations) {
      if (version !== null) parser.parse(chunk.relationMessages.get(version)!);
    }
    for (let at = 0; at < chunk.data.length; at += frameBytes(chunk.data, at)) {
      const frame = chunk.data.subarray(at, at + frameBytes(chunk.data, at));
      messages.push({
        lsn: frame.readBigUInt64BE(FRAME.startLsn),
        message: parser.parse(frame.subarray(FRAME.message)),
      });
    }
  }
  reader.close();
  return messages;
}

type Row = Record<string, unknown> | null;

/** The changes in the log: what happened, to which table, the new row, and the old row or key where there is one. */
export function loggedChanges(folder: string): unknown[] {
  const plain = (row: Row): Row => (row === null ? null : { ...row });
  const changes: unknown[] = [];
  for (const { message } of readLog(folder)) {
    if (message.tag === 'insert') changes.push(['insert', message.relation.name, plain(message.new)]);
    if (message.tag === 'update') {
      changes.push(['update', message.relation.name, plain(message.new), plain(message.old ?? message.key)]);
    }
    if (message.tag === 'delete') changes.push(['delete', message.relation.name, plain(message.old ?? message.key)]);
    if (message.tag === 'truncate') changes.push(['truncate', message.relations.map(({ name }) => name)]);
  }
  return changes;
}

export interface RunningCapture {
  readonly capture: Capture;
  readonly log: ChangeLog;
  /** Rejects with the fault that ended the run. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

export const SLOT = 'walhook_test';

/** Arms `table` on the server that `admin` is connected to, with the test's slot; returns the start LSN. */
export async function arm(admin: pg.Client, table: string, isFirst = true, slotName = SLOT): Promise<Lsn> {
  const { rows } = await admin.query<{ oid: string }>('SELECT $1::regclass::oid::bigint AS oid', [table]);
  return armTable(admin, { slotName, publicationName: PUBLICATION, tableOid: Number(rows[0]!.oid), isFirst });
}

/** Runs one connection's life of capture into a log in `folder`. */
export function startCapture(
  url: string,
  folder: string,
  sink: ChunkSink = ignoringSink,
  slotName = SLOT,
): RunningCapture {
  const log = ChangeLog.open(join(folder, LOG_FILE));
  const capture = new Capture({
    upstream: parseUpstreamUrl(url),
    slotName,
    publicationName: PUBLICATION,
    log,
    sink,
    clock: systemClock,
    logger: silentLogger,
  });
  const controller = new AbortController();
  const done = capture.run(controller.signal);
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
  return { capture, log, done, stop };
}
