/** One table that a backfill reads. */
export interface BackfillTable {
  readonly oid: number;
  /** Which of its rows: a condition in SQL, read and typed by `sql/predicate/` before; null: all. */
  readonly where: string | null;
}

/** A reading of tables for one stream. */
export interface Backfill {
  /** A UUID of version 7: its time stands at the beginning of the ids of all its events. */
  readonly id: string;
  readonly streamId: string;
  readonly tables: readonly BackfillTable[];
  /**
   * Not every change of the tables becomes an event (OPERATIONS, WHEN): a row that was changed while it was read is read
   * again, as no event may tell of it.
   */
  readonly rereads: boolean;
}

/** Whose rows a chunk of the log has, where they were read by a backfill. */
export type BackfillOf = Pick<Backfill, 'id' | 'streamId'>;

/** How far a stream's newest backfill is. */
export interface BackfillStatus extends BackfillOf {
  readonly state: 'running' | 'done' | 'cancelled';
  readonly rowsDone: number;
  /** The planner's estimate, until it is done; null where there is none. */
  readonly rowsTotal: number | null;
  /** Why it does not get on, or null. */
  readonly problem: string | null;
}
