import type Database from 'better-sqlite3';
import { encodePositions } from './position-bytes.ts';
import { type EventColumns, eventOf, placeOf, type StoredEventRow, type StoredPlace } from './stored-event-row.ts';

/** An event that was given up on. Times in ms since 1970. */
export interface DeadLetter extends StoredEventRow {
  readonly reason: string;
  readonly attempts: number;
  readonly lastStatus: number | null;
  /** The beginning of the last answer, without secrets; null: there was none, or nothing in it. */
  readonly lastExcerpt: string | null;
  readonly firstAttemptMs: number | null;
  readonly diedAtMs: number;
  /** Its key waits for what becomes of it. */
  readonly blocksKey: boolean;
}

/** A dead letter that is to be sent again. */
export interface Replay {
  readonly row: StoredEventRow;
  /** Ascends in the order in which they died. */
  readonly number: number;
}

/** How many dead letters a stream has, those that are being sent again apart. */
export interface DeadLetterCounts {
  readonly kept: number;
  readonly retrying: number;
}

/** Dead letters, kept until somebody sends them again or discards them. */
export class DeadLetters {
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Database.Database) {
    this.#statements = prepare(db);
  }

  counts(streamId: string): DeadLetterCounts {
    return this.#statements.counts.get(streamId) as DeadLetterCounts;
  }

  /** Oldest first. */
  list(streamId: string, limit: number): readonly DeadLetter[] {
    return (this.#statements.list.all(streamId, limit) as Row[]).map(letterOf);
  }

  /** Those whose keys wait. */
  blocking(streamId: string): readonly (StoredPlace & { readonly eventId: string })[] {
    const rows = this.#statements.blocking.all(streamId) as Row[];
    return rows.map((row) => ({ ...placeOf(row), eventId: row.event_id }));
  }

  /** From now on they are to be sent again. `id` null: all. Durable when it returns; gives how many. */
  markRetrying(streamId: string, id: string | null): number {
    return this.#statements.markRetrying.run(streamId, id).changes;
  }

  /** Those to be sent again with numbers above `after`. */
  replays(streamId: string, after: number, limit: number): readonly Replay[] {
    const rows = this.#statements.replays.all(streamId, after, limit) as (Row & { number: number })[];
    return rows.map((row) => ({ row: eventOf(row), number: row.number }));
  }

  /** Forgets them, but those that are being sent again. Durable when it returns; gives their ids. */
  discard(streamId: string, id: string | null): readonly string[] {
    return (this.#statements.discard.all(streamId, id) as { event_id: string }[]).map((row) => row.event_id);
  }

  /** Inside the caller's transaction. */
  add(streamId: string, letters: readonly DeadLetter[]): void {
    for (const letter of letters) {
      this.#statements.add.run(
        streamId,
        letter.eventId,
        encodePositions([letter.position]),
        letter.schema,
        letter.tableName,
        letter.key,
        letter.payload,
        letter.reason,
        letter.attempts,
        letter.lastStatus,
        letter.firstAttemptMs,
        letter.diedAtMs,
        letter.op,
        letter.table,
        letter.keyShape,
        letter.lane,
        letter.secondLane,
        letter.barrier ? 1 : 0,
        letter.blocksKey ? 1 : 0,
        letter.relationOid,
        letter.commitMs,
        letter.thin,
        0,
        letter.oldKey,
        letter.lastExcerpt,
        letter.messages,
      );
    }
  }

  /** Replays that have arrived. Inside the caller's transaction. */
  end(streamId: string, eventIds: readonly string[]): void {
    for (const id of eventIds) this.#statements.end.run(streamId, id);
  }
}

interface Row extends EventColumns {
  readonly reason: string;
  readonly attempts: number;
  readonly last_status: number | null;
  readonly last_excerpt: string | null;
  readonly first_attempt_at: number | null;
  readonly died_at: number;
  readonly blocks_key: number;
}

function letterOf(row: Row): DeadLetter {
  return {
    ...eventOf(row),
    reason: row.reason,
    attempts: row.attempts,
    lastStatus: row.last_status,
    lastExcerpt: row.last_excerpt,
    firstAttemptMs: row.first_attempt_at,
    diedAtMs: row.died_at,
    blocksKey: row.blocks_key === 1,
  };
}

function prepare(db: Database.Database) {
  return {
    counts: db.prepare(
      `SELECT count(*) FILTER (WHERE retrying = 0) AS kept, count(*) FILTER (WHERE retrying = 1) AS retrying
       FROM dead_letters WHERE stream_id = ?`,
    ),
    list: db.prepare('SELECT * FROM dead_letters WHERE stream_id = ? AND retrying = 0 ORDER BY position LIMIT ?'),
    blocking: db.prepare('SELECT * FROM dead_letters WHERE stream_id = ? AND blocks_key = 1 ORDER BY position'),
    markRetrying: db.prepare(
      'UPDATE dead_letters SET retrying = 1 WHERE stream_id = ? AND event_id = coalesce(?, event_id) AND retrying = 0',
    ),
    replays: db.prepare(
      `SELECT rowid AS number, * FROM dead_letters WHERE stream_id = ? AND retrying = 1 AND rowid > ?
       ORDER BY rowid LIMIT ?`,
    ),
    discard: db.prepare(
      `DELETE FROM dead_letters WHERE stream_id = ? AND event_id = coalesce(?, event_id) AND retrying = 0
       RETURNING event_id`,
    ),
    add: db.prepare(`INSERT OR REPLACE INTO dead_letters VALUES (${'?, '.repeat(25)}?)`),
    end: db.prepare('DELETE FROM dead_letters WHERE stream_id = ? AND event_id = ? AND retrying = 1'),
  };
}
