/*
  The NATIVE envelope as a receiver sees it. Nothing in this folder imports anything of walhook's, so that it can be used
  anywhere.
*/

/** A column's value as the envelope has it: `bigint` and `numeric` are strings, unless the stream has `numbers = number`. */
export type ColumnValue = string | number | boolean | null | readonly unknown[] | { readonly [name: string]: unknown };

/** Columns by name; one whose value is not known is absent. */
export type Row = Readonly<Record<string, ColumnValue>>;

/** What every event has. `R` is the table's row. */
export interface EventHead<R extends object = Row> {
  /** Never changes for the same change: keep it to apply every change once. */
  readonly id: string;
  readonly stream: string;
  readonly schema: string;
  readonly table: string;
  /** The key's columns; null for a table without a key, and for a truncate. */
  readonly key: Partial<R> | null;
  /** When the transaction committed, RFC 3339 in UTC. This and what follows: not with `include_transaction = false`. */
  readonly commit_ts?: string;
  readonly lsn?: string;
  readonly xid?: string;
  /** The change's place in its transaction, from 0. */
  readonly seq?: number;
}

/** A row is there that was not: inserted, or come into the stream's row filter. */
export interface InsertEvent<R extends object = Row> extends EventHead<R> {
  readonly op: 'insert';
  readonly before: null;
  readonly after: R;
  /** Columns that are not in `after`, as their large values were not sent. */
  readonly unchanged_toast?: readonly string[];
  readonly thin?: never;
}

/** A row that a backfill has read, as it was at `lsn`: put it in the place of what you have of its key. */
export interface ReadEvent<R extends object = Row> extends EventHead<R> {
  readonly op: 'read';
  readonly before: null;
  readonly after: R;
  readonly thin?: never;
}

export interface UpdateEvent<R extends object = Row> extends EventHead<R> {
  readonly op: 'update';
  /** The key before, where the update changed it. */
  readonly old_key?: Partial<R>;
  /** What is known of the row before: all of it where `before_complete` says so. */
  readonly before: Partial<R>;
  /** The row, but for the columns that `unchanged_toast` lists. */
  readonly after: Partial<R>;
  /** Columns whose values differ, where both rows are known. */
  readonly changed?: readonly string[];
  readonly unchanged_toast?: readonly string[];
  readonly before_complete: boolean;
  readonly thin?: never;
}

/** A row is there no more: deleted, or gone from the stream's row filter. */
export interface DeleteEvent<R extends object = Row> extends EventHead<R> {
  readonly op: 'delete';
  readonly before: Partial<R>;
  readonly after: null;
  readonly before_complete: boolean;
  readonly thin?: never;
}

export interface TruncateEvent<R extends object = Row> extends EventHead<R> {
  readonly op: 'truncate';
  readonly key: null;
  readonly before: null;
  readonly after: null;
  readonly thin?: never;
}

/** An event that was too large: of which key it is, and no row. */
export interface ThinEvent<R extends object = Row> extends EventHead<R> {
  readonly op: 'insert' | 'read' | 'update' | 'delete' | 'truncate';
  readonly old_key?: Partial<R>;
  readonly before: null;
  readonly after: null;
  readonly thin: true;
  /** How long the event is in full. */
  readonly full_bytes: number;
}

/** One change, as `ENVELOPE NATIVE` has it. Ask `thin` first, then `op`. */
export type NativeEvent<R extends object = Row> =
  | InsertEvent<R>
  | ReadEvent<R>
  | UpdateEvent<R>
  | DeleteEvent<R>
  | TruncateEvent<R>
  | ThinEvent<R>;

/** The events of a request's body, in order: one, or with `batch_max_events` above 1 an array. Throws `SyntaxError`. */
export function readEvents<Event = NativeEvent>(body: string | Uint8Array): readonly Event[] {
  const text = typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body);
  const parsed = JSON.parse(text) as Event | readonly Event[];
  return Array.isArray(parsed) ? (parsed as readonly Event[]) : [parsed as Event];
}

/**
 * The answer that acknowledges a batch apart from these events, which are then sent again: the body of a 200 with
 * `Content-Type: application/json`.
 */
export function failedEvents(ids: readonly string[]): string {
  return JSON.stringify({ failed: ids });
}
