import type Database from 'better-sqlite3';
import type { Position } from '../model/change.ts';
import { encodePositions } from './position-bytes.ts';
import { type EventColumns, eventOf, placeOf, type StoredEventRow, type StoredPlace } from './stored-event-row.ts';

/** An event that waits on disk, so that the stream's cursor may pass it. Numbers ascend in the order of its lane. */
export interface ParkedEvent extends StoredEventRow {
  readonly seq: number;
}

/** A lane that has events on disk. */
export interface ParkedLane extends StoredPlace {
  readonly lane: string;
  readonly count: number;
  /** Of those that are read at the start: the others come after. */
  readonly afterSeq: number;
}

/** What of a stream is parked, when it is read again. */
export interface LoadedParked {
  /** Members of batches that wait to be tried again, and those that no lane alone can hold: in order. */
  readonly members: readonly ParkedEvent[];
  readonly lanes: readonly ParkedLane[];
  readonly lastSeq: number;
}

/** The events that wait on disk behind keys that fail. */
export class ParkedEvents {
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: Database.Database) {
    this.#statements = prepare(db);
  }

  /** `members`: positions of events in batches that wait to be tried again. */
  load(streamId: string, members: readonly Position[]): LoadedParked {
    const { last } = this.#statements.last.get(streamId) as { last: number | null };
    if (last === null) return { members: [], lanes: [], lastSeq: 0 };
    const found = new Map<number, ParkedEvent>();
    for (const position of members) {
      for (const row of this.#statements.at.all(streamId, encodePositions([position])) as Row[]) {
        found.set(row.seq, parkedOf(row));
      }
    }
    for (const row of this.#statements.loose.all(streamId) as Row[]) found.set(row.seq, parkedOf(row));
    const loaded = [...found.values()].toSorted((a, b) => a.seq - b.seq);
    return { members: loaded, lanes: this.#lanes(streamId, loaded), lastSeq: last };
  }

  /** The lane's first events with numbers above `afterSeq`. */
  read(streamId: string, table: number, lane: string, afterSeq: number, limit: number): readonly ParkedEvent[] {
    return (this.#statements.read.all(streamId, table, lane, afterSeq, limit) as Row[]).map(parkedOf);
  }

  /** Commit time of the event that was parked first; null where none is. In ms. */
  oldestMs(streamId: string): number | null {
    return (this.#statements.oldest.get(streamId) as { commit_ms: number } | undefined)?.commit_ms ?? null;
  }

  /** Inside the caller's transaction. */
  add(streamId: string, events: readonly ParkedEvent[]): void {
    for (const event of events) {
      this.#statements.add.run(
        streamId,
        event.seq,
        event.eventId,
        encodePositions([event.position]),
        event.commitMs,
        event.relationOid,
        event.schema,
        event.tableName,
        event.op,
        event.key,
        event.payload,
        event.thin,
        event.table,
        event.keyShape,
        event.lane,
        event.secondLane,
        event.barrier ? 1 : 0,
        event.oldKey,
        event.messages,
      );
    }
  }

  /** Inside the caller's transaction. */
  end(streamId: string, seqs: readonly number[]): void {
    for (const seq of seqs) this.#statements.end.run(streamId, seq);
  }

  #lanes(streamId: string, loaded: readonly ParkedEvent[]): readonly ParkedLane[] {
    const rows = this.#statements.lanes.all(streamId) as (Row & { lane: string; count: number })[];
    return rows.flatMap((row) => {
      const own = loaded.filter(({ table, lane, secondLane }) => {
        return table === row.table_oid && lane === row.lane && secondLane === null;
      });
      const count = row.count - own.length;
      return count === 0 ? [] : [{ ...placeOf(row), lane: row.lane, count, afterSeq: own.at(-1)?.seq ?? 0 }];
    });
  }
}

interface Row extends EventColumns {
  readonly seq: number;
}

function parkedOf(row: Row): ParkedEvent {
  return { seq: row.seq, ...eventOf(row) };
}

function prepare(db: Database.Database) {
  return {
    last: db.prepare('SELECT max(seq) AS last FROM parked WHERE stream_id = ?'),
    oldest: db.prepare('SELECT commit_ms FROM parked WHERE stream_id = ? ORDER BY seq LIMIT 1'),
    at: db.prepare('SELECT * FROM parked WHERE stream_id = ? AND position = ? ORDER BY seq'),
    loose: db.prepare(
      'SELECT * FROM parked WHERE stream_id = ? AND (lane IS NULL OR second_lane IS NOT NULL) ORDER BY seq',
    ),
    lanes: db.prepare(
      `SELECT table_oid, lane, max(key_shape) AS key_shape, NULL AS second_lane, 0 AS barrier, count(*) AS count
       FROM parked WHERE stream_id = ? AND lane IS NOT NULL AND second_lane IS NULL GROUP BY table_oid, lane`,
    ),
    read: db.prepare(
      `SELECT * FROM parked WHERE stream_id = ? AND table_oid = ? AND lane = ? AND seq > ? AND second_lane IS NULL
       ORDER BY seq LIMIT ?`,
    ),
    add: db.prepare(`INSERT INTO parked VALUES (${'?, '.repeat(18)}?)`),
    end: db.prepare('DELETE FROM parked WHERE stream_id = ? AND seq = ?'),
  };
}
