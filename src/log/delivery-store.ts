import Database from 'better-sqlite3';
import type { Position } from '../model/change.ts';

/*
  delivery.db: how far each stream has come. A file of its own, so that delivery's commits do not wait for capture's.

  A position is 20 bytes: Int64(commit LSN) Int64(LSN) Int32(ordinal), big-endian, so that bytes compare as positions do.
  `cursor` is one; `acknowledged` is first and last of each range beyond it; `members` of a retry are its events' in order.
  Times are milliseconds since 1970.
*/

const MIGRATIONS: readonly string[] = [
  `CREATE TABLE streams (
     stream_id TEXT PRIMARY KEY,
     cursor BLOB,
     acknowledged BLOB NOT NULL,
     last_batch_id INTEGER NOT NULL,
     events_delivered INTEGER NOT NULL,
     events_failed INTEGER NOT NULL,
     events_retried INTEGER NOT NULL,
     dead_letters INTEGER NOT NULL,
     last_event_at INTEGER,
     last_delivery_at INTEGER,
     last_http_status INTEGER,
     last_error TEXT,
     last_error_at INTEGER,
     halted_reason TEXT
   ) STRICT;
   CREATE TABLE retries (
     stream_id TEXT NOT NULL,
     batch_id INTEGER NOT NULL,
     attempts INTEGER NOT NULL,
     transient_failures INTEGER NOT NULL,
     rejections INTEGER NOT NULL,
     first_attempt_at INTEGER NOT NULL,
     due_at INTEGER NOT NULL,
     members BLOB NOT NULL,
     PRIMARY KEY (stream_id, batch_id)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE dead_letters (
     stream_id TEXT NOT NULL,
     event_id TEXT NOT NULL,
     position BLOB NOT NULL,
     schema_name TEXT NOT NULL,
     table_name TEXT NOT NULL,
     key TEXT NOT NULL,
     payload BLOB NOT NULL,
     reason TEXT NOT NULL,
     attempts INTEGER NOT NULL,
     last_status INTEGER,
     first_attempt_at INTEGER,
     died_at INTEGER NOT NULL,
     PRIMARY KEY (stream_id, event_id)
   ) STRICT;`,
];

/** A run of positions: every event of the stream from `first` to `last`, both included, is acknowledged or dead. */
export interface PositionRange {
  readonly first: Position;
  readonly last: Position;
}

export interface StreamCounters {
  readonly eventsDelivered: number;
  /** Attempts that failed. */
  readonly eventsFailed: number;
  readonly eventsRetried: number;
  readonly deadLetters: number;
  readonly lastEventAtMs: number | null;
  readonly lastDeliveryAtMs: number | null;
  readonly lastHttpStatus: number | null;
  readonly lastError: string | null;
  readonly lastErrorAtMs: number | null;
}

export interface StoredProgress {
  /** Everything up to here is acknowledged or dead; null: nothing yet. */
  readonly cursor: Position | null;
  /** The same beyond the cursor, ascending. */
  readonly acknowledged: readonly PositionRange[];
  readonly lastBatchId: number;
  readonly haltedReason: string | null;
  readonly counters: StreamCounters;
}

/** A batch that waits to be tried again. */
export interface StoredRetry {
  readonly batchId: number;
  readonly attempts: number;
  readonly transientFailures: number;
  readonly rejections: number;
  readonly firstAttemptMs: number;
  readonly dueAtMs: number;
  readonly members: readonly Position[];
}

export interface DeadLetter {
  readonly eventId: string;
  readonly position: Position;
  readonly schema: string;
  readonly table: string;
  /** The key as JSON. */
  readonly key: string;
  readonly payload: Buffer;
  readonly reason: string;
  readonly attempts: number;
  readonly lastStatus: number | null;
  readonly firstAttemptMs: number | null;
  readonly diedAtMs: number;
}

/** What has changed of one stream since its last save. */
export interface ProgressChange {
  readonly streamId: string;
  readonly progress: StoredProgress;
  readonly retries: readonly StoredRetry[];
  readonly endedRetries: readonly number[];
  readonly deadLetters: readonly DeadLetter[];
}

export interface LoadedProgress {
  readonly progress: StoredProgress;
  readonly retries: readonly StoredRetry[];
}

/**
 * Delivery's progress, on disk. A cursor never passes an event that is neither acknowledged nor stored as a dead letter in
 * the same transaction.
 */
export class DeliveryStore {
  readonly #db: Database.Database;
  readonly #statements: Statements;

  private constructor(db: Database.Database) {
    this.#db = db;
    this.#statements = prepare(db);
  }

  /** Opens or makes the file. Throws what SQLite throws where it cannot be opened, or is of a later version. */
  static open(path: string): DeliveryStore {
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('busy_timeout = 5000');
    migrate(db);
    return new DeliveryStore(db);
  }

  load(streamId: string): LoadedProgress | null {
    const row = this.#statements.load.get(streamId) as StreamRow | undefined;
    if (!row) return null;
    const retries = (this.#statements.retries.all(streamId) as RetryRow[]).map((retry) => ({
      batchId: retry.batch_id,
      attempts: retry.attempts,
      transientFailures: retry.transient_failures,
      rejections: retry.rejections,
      firstAttemptMs: retry.first_attempt_at,
      dueAtMs: retry.due_at,
      members: decodePositions(retry.members),
    }));
    return { progress: progressOf(row), retries };
  }

  /** All or nothing, and durable when it returns. */
  save(changes: readonly ProgressChange[]): void {
    this.#db.transaction(() => {
      for (const change of changes) this.#saveOne(change);
    })();
  }

  /** Forgets a stream with all that belongs to it. */
  remove(streamId: string): void {
    this.#db.transaction(() => {
      for (const statement of this.#statements.remove) statement.run(streamId);
    })();
  }

  /** Oldest first. */
  deadLetters(streamId: string, limit: number): readonly DeadLetter[] {
    return (this.#statements.deadLetters.all(streamId, limit) as DeadLetterRow[]).map((row) => ({
      eventId: row.event_id,
      position: decodePositions(row.position)[0]!,
      schema: row.schema_name,
      table: row.table_name,
      key: row.key,
      payload: row.payload,
      reason: row.reason,
      attempts: row.attempts,
      lastStatus: row.last_status,
      firstAttemptMs: row.first_attempt_at,
      diedAtMs: row.died_at,
    }));
  }

  close(): void {
    this.#db.close();
  }

  #saveOne({ streamId, progress, retries, endedRetries, deadLetters }: ProgressChange): void {
    const { counters } = progress;
    this.#statements.save.run(
      streamId,
      progress.cursor === null ? null : encodePositions([progress.cursor]),
      encodePositions(progress.acknowledged.flatMap(({ first, last }) => [first, last])),
      progress.lastBatchId,
      counters.eventsDelivered,
      counters.eventsFailed,
      counters.eventsRetried,
      counters.deadLetters,
      counters.lastEventAtMs,
      counters.lastDeliveryAtMs,
      counters.lastHttpStatus,
      counters.lastError,
      counters.lastErrorAtMs,
      progress.haltedReason,
    );
    for (const id of endedRetries) this.#statements.endRetry.run(streamId, id);
    for (const retry of retries) {
      this.#statements.saveRetry.run(
        streamId,
        retry.batchId,
        retry.attempts,
        retry.transientFailures,
        retry.rejections,
        retry.firstAttemptMs,
        retry.dueAtMs,
        encodePositions(retry.members),
      );
    }
    for (const letter of deadLetters) {
      this.#statements.saveDeadLetter.run(
        streamId,
        letter.eventId,
        encodePositions([letter.position]),
        letter.schema,
        letter.table,
        letter.key,
        letter.payload,
        letter.reason,
        letter.attempts,
        letter.lastStatus,
        letter.firstAttemptMs,
        letter.diedAtMs,
      );
    }
  }
}

function migrate(db: Database.Database): void {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > MIGRATIONS.length) {
    throw new Error(`delivery.db is of version ${version}; this walhook knows ${MIGRATIONS.length} at most`);
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    db.transaction(() => {
      db.exec(MIGRATIONS[next]!);
      db.pragma(`user_version = ${next + 1}`);
    })();
  }
}

interface StreamRow {
  cursor: Buffer | null;
  acknowledged: Buffer;
  last_batch_id: number;
  events_delivered: number;
  events_failed: number;
  events_retried: number;
  dead_letters: number;
  last_event_at: number | null;
  last_delivery_at: number | null;
  last_http_status: number | null;
  last_error: string | null;
  last_error_at: number | null;
  halted_reason: string | null;
}

interface RetryRow {
  batch_id: number;
  attempts: number;
  transient_failures: number;
  rejections: number;
  first_attempt_at: number;
  due_at: number;
  members: Buffer;
}

interface DeadLetterRow {
  event_id: string;
  position: Buffer;
  schema_name: string;
  table_name: string;
  key: string;
  payload: Buffer;
  reason: string;
  attempts: number;
  last_status: number | null;
  first_attempt_at: number | null;
  died_at: number;
}

function progressOf(row: StreamRow): StoredProgress {
  const ends = decodePositions(row.acknowledged);
  const acknowledged: PositionRange[] = [];
  for (let i = 0; i + 1 < ends.length; i += 2) acknowledged.push({ first: ends[i]!, last: ends[i + 1]! });
  return {
    cursor: row.cursor === null ? null : decodePositions(row.cursor)[0]!,
    acknowledged,
    lastBatchId: row.last_batch_id,
    haltedReason: row.halted_reason,
    counters: {
      eventsDelivered: row.events_delivered,
      eventsFailed: row.events_failed,
      eventsRetried: row.events_retried,
      deadLetters: row.dead_letters,
      lastEventAtMs: row.last_event_at,
      lastDeliveryAtMs: row.last_delivery_at,
      lastHttpStatus: row.last_http_status,
      lastError: row.last_error,
      lastErrorAtMs: row.last_error_at,
    },
  };
}

type Statements = ReturnType<typeof prepare>;

function prepare(db: Database.Database) {
  return {
    load: db.prepare('SELECT * FROM streams WHERE stream_id = ?'),
    retries: db.prepare('SELECT * FROM retries WHERE stream_id = ? ORDER BY batch_id'),
    deadLetters: db.prepare('SELECT * FROM dead_letters WHERE stream_id = ? ORDER BY position LIMIT ?'),
    save: db.prepare(`INSERT OR REPLACE INTO streams VALUES (${'?, '.repeat(13)}?)`),
    saveRetry: db.prepare(`INSERT OR REPLACE INTO retries VALUES (${'?, '.repeat(7)}?)`),
    endRetry: db.prepare('DELETE FROM retries WHERE stream_id = ? AND batch_id = ?'),
    saveDeadLetter: db.prepare(`INSERT OR REPLACE INTO dead_letters VALUES (${'?, '.repeat(11)}?)`),
    remove: ['streams', 'retries', 'dead_letters'].map((table) =>
      db.prepare(`DELETE FROM ${table} WHERE stream_id = ?`),
    ),
  };
}

const POSITION_BYTES = 20;

function encodePositions(positions: readonly Position[]): Buffer {
  const bytes = Buffer.allocUnsafe(positions.length * POSITION_BYTES);
  let at = 0;
  for (const { commitLsn, lsn, ordinal } of positions) {
    bytes.writeBigUInt64BE(commitLsn, at);
    bytes.writeBigUInt64BE(lsn, at + 8);
    bytes.writeUInt32BE(ordinal, at + 16);
    at += POSITION_BYTES;
  }
  return bytes;
}

function decodePositions(bytes: Buffer): Position[] {
  const positions: Position[] = [];
  for (let at = 0; at + POSITION_BYTES <= bytes.length; at += POSITION_BYTES) {
    positions.push({
      commitLsn: bytes.readBigUInt64BE(at),
      lsn: bytes.readBigUInt64BE(at + 8),
      ordinal: bytes.readUInt32BE(at + 16),
    });
  }
  return positions;
}
