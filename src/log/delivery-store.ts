import Database from 'better-sqlite3';
import type { CircuitStateName } from '../model/status.ts';
import type { Position } from '../model/change.ts';
import type { DeliveryRecord } from '../model/delivery-control.ts';
import { type DeadLetter, type DeadLetterCounts, DeadLetters } from './dead-letters.ts';
import { FailedAttempts } from './failed-attempts.ts';
import { migrate } from './delivery-schema.ts';
import { type LoadedParked, type ParkedEvent, ParkedEvents } from './parked-events.ts';
import { decodePositions, encodePositions } from './position-bytes.ts';
import { limitCache } from './schema.ts';
import type { StoredPlace } from './stored-event-row.ts';

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
  /** Events that were discarded as dead letters. */
  readonly eventsDiscarded: number;
  readonly deadLetters: number;
  /** Changes that the stream's filters dropped. */
  readonly eventsFiltered: number;
  /** Events that were sent because a filter could not tell. */
  readonly filterDoubts: number;
  /** Why it could not, the last time. */
  readonly lastFilterDoubt: string | null;
  readonly lastEventAtMs: number | null;
  readonly lastDeliveryAtMs: number | null;
  readonly lastHttpStatus: number | null;
  readonly lastError: string | null;
  readonly lastErrorAtMs: number | null;
}

/** A circuit breaker's state. Times are wall time. */
export interface StoredCircuit {
  readonly state: CircuitStateName;
  readonly openedAtMs: number | null;
  readonly nextProbeAtMs: number | null;
  /** Since it opened. */
  readonly failedProbes: number;
}

/** A key that goes on after a dead letter. */
export interface KeyMark {
  readonly table: number;
  readonly lane: string;
  /** Of the dead letter; null: the mark is gone. */
  readonly eventId: string | null;
}

export interface StoredProgress {
  /** Everything up to here is acknowledged or dead; null: nothing yet. */
  readonly cursor: Position | null;
  /** The same beyond the cursor, ascending. */
  readonly acknowledged: readonly PositionRange[];
  readonly lastBatchId: number;
  readonly haltedReason: string | null;
  readonly circuit: StoredCircuit;
  /** Until when the receiver has asked for time; 0: it has not. */
  readonly throttledUntilMs: number;
  /** The endpoint's origin that both are of. */
  readonly circuitOrigin: string | null;
  readonly counters: StreamCounters;
}

/**
 * What has to be durable before a stream's next batches are sent: what they consist of, and that those before them, whose
 * keys they may have, are finished. The rest of the progress follows a little later.
 */
export interface BatchChange {
  readonly streamId: string;
  readonly batches: readonly StoredRetry[];
  readonly finished: readonly number[];
}

/** A batch that waits to be tried again, or may be under way. */
export interface StoredRetry {
  readonly batchId: number;
  readonly attempts: number;
  readonly transientFailures: number;
  readonly rejections: number;
  readonly firstAttemptMs: number;
  readonly dueAtMs: number;
  readonly members: readonly Position[];
}

/** What has changed of one stream since its last save. */
export interface ProgressChange {
  readonly streamId: string;
  readonly progress: StoredProgress;
  readonly retries: readonly StoredRetry[];
  readonly endedRetries: readonly number[];
  readonly deadLetters: readonly DeadLetter[];
  /** Ids of dead letters that were sent again and have arrived. */
  readonly endedDeadLetters: readonly string[];
  readonly failedAttempts: readonly DeliveryRecord[];
  readonly keyMarks: readonly KeyMark[];
  readonly parked: readonly ParkedEvent[];
  /** Numbers of parked events that are acknowledged or dead. */
  readonly endedParked: readonly number[];
  readonly shapes: readonly StoredShape[];
}

/** What a stream knows of a table's columns, as whoever saved it wrote it. */
export interface StoredShape {
  readonly oid: number;
  readonly state: string;
}

export interface LoadedProgress {
  readonly progress: StoredProgress;
  /** Positions of events that are acknowledged or dead, which the cursor and its ranges do not have. */
  readonly finished: readonly Position[];
  /** The batches that had them. */
  readonly finishedBatches: readonly number[];
  readonly retries: readonly StoredRetry[];
  readonly keyMarks: readonly KeyMark[];
  /** Events up to here that come again are a replay's; null: none are. */
  readonly replayUntil: Position | null;
  /** Dead letters whose keys wait. */
  readonly blockedKeys: readonly (StoredPlace & { readonly eventId: string })[];
  readonly parked: LoadedParked;
  readonly deadLetters: DeadLetterCounts;
  /** The highest number of an attempt. */
  readonly lastAttempt: number;
  readonly shapes: readonly StoredShape[];
}

/**
 * Delivery's progress, on disk. A cursor never passes an event that is neither acknowledged nor stored as a dead letter in
 * the same transaction.
 */
export class DeliveryStore {
  readonly #db: Database.Database;
  readonly #statements: Statements;
  readonly #parked: ParkedEvents;
  readonly deadLetters: DeadLetters;
  readonly failedAttempts: FailedAttempts;

  private constructor(db: Database.Database) {
    this.#db = db;
    this.#statements = prepare(db);
    this.#parked = new ParkedEvents(db);
    this.deadLetters = new DeadLetters(db);
    this.failedAttempts = new FailedAttempts(db);
  }

  /** Opens or makes the file. Throws what SQLite throws where it cannot be opened, or is of a later version. */
  static open(path: string): DeliveryStore {
    const db = new Database(path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('busy_timeout = 5000');
    limitCache(db);
    migrate(db);
    return new DeliveryStore(db);
  }

  load(streamId: string): LoadedProgress | null {
    const row = this.#statements.load.get(streamId) as StreamRow | undefined;
    if (!row) return null;
    const rows = this.#statements.retries.all(streamId) as RetryRow[];
    const ended = rows.filter(({ finished }) => finished === 1);
    const finished = ended.flatMap(({ members }) => decodePositions(members));
    const finishedBatches = ended.map(({ batch_id }) => batch_id);
    const waiting = rows.filter(({ finished }) => finished === 0);
    const retries = waiting.map((retry) => ({
      batchId: retry.batch_id,
      attempts: retry.attempts,
      transientFailures: retry.transient_failures,
      rejections: retry.rejections,
      firstAttemptMs: retry.first_attempt_at,
      dueAtMs: retry.due_at,
      members: decodePositions(retry.members),
    }));
    const keyMarks = (this.#statements.keyMarks.all(streamId) as KeyMarkRow[]).map((mark) => ({
      table: mark.table_oid,
      lane: mark.lane,
      eventId: mark.event_id,
    }));
    const blockedKeys = this.deadLetters.blocking(streamId);
    const parked = this.#parked.load(
      streamId,
      retries.flatMap(({ members }) => members),
    );
    const deadLetters = this.deadLetters.counts(streamId);
    const lastAttempt = this.failedAttempts.lastId(streamId);
    const progress = progressOf(row, rows);
    const until = this.#statements.replay.pluck().get(streamId) as Buffer | undefined;
    const replayUntil = until === undefined ? null : decodePositions(until)[0]!;
    const found = { progress, finished, finishedBatches, retries, keyMarks, blockedKeys, parked };
    const shapes = this.#statements.shapes.all(streamId) as StoredShape[];
    return { ...found, deadLetters, lastAttempt, replayUntil, shapes };
  }

  /** All or nothing, and durable when it returns. */
  save(changes: readonly ProgressChange[], batches: readonly BatchChange[] = []): void {
    this.#db.transaction(() => {
      for (const change of changes) this.#saveOne(change);
      for (const change of batches) this.#saveBatches(change);
    })();
  }

  /** The stream has acknowledged this and no more: what is between, up to `until`, is sent again. */
  rewind(
    streamId: string,
    { cursor, acknowledged }: Pick<StoredProgress, 'cursor' | 'acknowledged'>,
    until: Position,
  ): void {
    this.#db.transaction(() => {
      this.#statements.rewind.run(
        cursor === null ? null : encodePositions([cursor]),
        encodePositions(acknowledged.flatMap(({ first, last }) => [first, last])),
        streamId,
      );
      this.#statements.saveReplay.run(streamId, encodePositions([until]));
    })();
  }

  /** Forgets how far every stream has come and what it waits to send again: their positions mean nothing any more. */
  forgetPositions(): void {
    this.#db.transaction(() => {
      this.#db.exec(`UPDATE streams SET cursor = NULL, acknowledged = x'';
        DELETE FROM retries; DELETE FROM replays; DELETE FROM shapes;`);
    })();
  }

  /** Forgets a stream with all that belongs to it. */
  remove(streamId: string): void {
    this.#db.transaction(() => {
      for (const statement of this.#statements.remove) statement.run(streamId);
    })();
  }

  close(): void {
    this.#db.close();
  }

  /** Commit time of the stream's event that was parked first; null where none is. In ms. */
  oldestParkedMs(streamId: string): number | null {
    return this.#parked.oldestMs(streamId);
  }

  /** The lane's first parked events with numbers above `afterSeq`. */
  readParked(streamId: string, table: number, lane: string, afterSeq: number, limit: number): readonly ParkedEvent[] {
    return this.#parked.read(streamId, table, lane, afterSeq, limit);
  }

  #saveBatches({ streamId, batches, finished }: BatchChange): void {
    for (const id of finished) this.#statements.finishRetry.run(streamId, id);
    for (const batch of batches) this.#saveRetry(streamId, batch);
  }

  #saveRetry(streamId: string, retry: StoredRetry): void {
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

  #saveOne(change: ProgressChange): void {
    const { streamId, progress, retries, endedRetries, deadLetters, keyMarks } = change;
    const { counters, circuit } = progress;
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
      counters.eventsFiltered,
      counters.filterDoubts,
      counters.lastFilterDoubt,
      progress.circuitOrigin,
      circuit.state,
      circuit.openedAtMs,
      circuit.nextProbeAtMs,
      circuit.failedProbes,
      counters.eventsDiscarded,
      Math.round(progress.throttledUntilMs),
    );
    for (const id of endedRetries) this.#statements.endRetry.run(streamId, id);
    for (const retry of retries) this.#saveRetry(streamId, retry);
    this.#parked.add(streamId, change.parked);
    this.#parked.end(streamId, change.endedParked);
    this.deadLetters.add(streamId, deadLetters);
    this.deadLetters.end(streamId, change.endedDeadLetters);
    this.failedAttempts.add(streamId, change.failedAttempts);
    for (const { oid, state } of change.shapes) this.#statements.saveShape.run(streamId, oid, state);
    for (const { table, lane, eventId } of keyMarks) {
      if (eventId === null) this.#statements.endKeyMark.run(streamId, table, lane);
      else this.#statements.saveKeyMark.run(streamId, table, lane, eventId);
    }
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
  events_filtered: number;
  filter_doubts: number;
  last_filter_doubt: string | null;
  circuit_origin: string | null;
  circuit_state: CircuitStateName;
  circuit_opened_at: number | null;
  circuit_next_probe_at: number | null;
  circuit_failed_probes: number;
  events_discarded: number;
  throttled_until: number;
}

interface RetryRow {
  batch_id: number;
  attempts: number;
  transient_failures: number;
  rejections: number;
  first_attempt_at: number;
  due_at: number;
  members: Buffer;
  finished: number;
}

interface KeyMarkRow {
  table_oid: number;
  lane: string;
  event_id: string;
}

/** Batches are written down at once, the rest of the progress a little later. */
function progressOf(row: StreamRow, retries: readonly RetryRow[]): StoredProgress {
  const ends = decodePositions(row.acknowledged);
  const acknowledged: PositionRange[] = [];
  for (let i = 0; i + 1 < ends.length; i += 2) acknowledged.push({ first: ends[i]!, last: ends[i + 1]! });
  return {
    cursor: row.cursor === null ? null : decodePositions(row.cursor)[0]!,
    acknowledged,
    lastBatchId: retries.reduce((highest, { batch_id }) => Math.max(highest, batch_id), row.last_batch_id),
    haltedReason: row.halted_reason,
    circuitOrigin: row.circuit_origin,
    throttledUntilMs: row.throttled_until,
    circuit: {
      state: row.circuit_state,
      openedAtMs: row.circuit_opened_at,
      nextProbeAtMs: row.circuit_next_probe_at,
      failedProbes: row.circuit_failed_probes,
    },
    counters: {
      eventsDelivered: row.events_delivered,
      eventsFailed: row.events_failed,
      eventsRetried: row.events_retried,
      deadLetters: row.dead_letters,
      eventsFiltered: row.events_filtered,
      eventsDiscarded: row.events_discarded,
      filterDoubts: row.filter_doubts,
      lastFilterDoubt: row.last_filter_doubt,
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
    keyMarks: db.prepare('SELECT * FROM key_marks WHERE stream_id = ?'),
    saveKeyMark: db.prepare('INSERT OR REPLACE INTO key_marks VALUES (?, ?, ?, ?)'),
    endKeyMark: db.prepare('DELETE FROM key_marks WHERE stream_id = ? AND table_oid = ? AND lane = ?'),
    save: db.prepare(`INSERT OR REPLACE INTO streams VALUES (${'?, '.repeat(23)}?)`),
    saveRetry: db.prepare(`INSERT OR REPLACE INTO retries VALUES (${'?, '.repeat(8)}0)`),
    finishRetry: db.prepare('UPDATE retries SET finished = 1 WHERE stream_id = ? AND batch_id = ?'),
    endRetry: db.prepare('DELETE FROM retries WHERE stream_id = ? AND batch_id = ?'),
    shapes: db.prepare('SELECT relation_oid AS oid, state FROM shapes WHERE stream_id = ?'),
    saveShape: db.prepare('INSERT OR REPLACE INTO shapes VALUES (?, ?, ?)'),
    replay: db.prepare('SELECT until FROM replays WHERE stream_id = ?'),
    saveReplay: db.prepare('INSERT OR REPLACE INTO replays VALUES (?, ?)'),
    rewind: db.prepare('UPDATE streams SET cursor = ?, acknowledged = ? WHERE stream_id = ?'),
    remove: ['streams', 'retries', 'dead_letters', 'key_marks', 'parked', 'attempts', 'replays', 'shapes'].map(
      (table) => db.prepare(`DELETE FROM ${table} WHERE stream_id = ?`),
    ),
  };
}
