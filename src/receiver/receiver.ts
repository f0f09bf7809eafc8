/*
  For receivers of walhook's webhooks: the envelope's types, and its reading. Imports nothing, so that it can be used
  anywhere.
*/

/** A column's value as the envelope has it: `bigint` and `numeric` are strings. */
export type ColumnValue = string | number | boolean | null | readonly unknown[] | { readonly [name: string]: unknown };

/** Columns by name; one whose value is not known is absent. */
export type Row = Readonly<Record<string, ColumnValue>>;

/** One change, as `ENVELOPE NATIVE` has it. */
export interface NativeEvent {
  /** Never changes for the same change: keep it to apply every change once. */
  readonly id: string;
  readonly stream: string;
  readonly op: 'insert' | 'update' | 'delete' | 'truncate';
  readonly schema: string;
  readonly table: string;
  /** Null for a table without a key, and for a truncate. */
  readonly key: Row | null;
  /** The key before an update that changed it. */
  readonly old_key?: Row;
  readonly before: Row | null;
  readonly after: Row | null;
  readonly changed?: readonly string[];
  readonly unchanged_toast?: readonly string[];
  readonly before_complete?: boolean;
  readonly commit_ts: string;
  readonly lsn: string;
  readonly xid: string;
  readonly seq: number;
}

/** The events of a request's body, in order: one, or with `batch_max_events` above 1 an array. Throws `SyntaxError`. */
export function readEvents(body: string | Uint8Array): readonly NativeEvent[] {
  const text = typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true }).decode(body);
  const parsed = JSON.parse(text) as NativeEvent | readonly NativeEvent[];
  return Array.isArray(parsed) ? (parsed as readonly NativeEvent[]) : [parsed as NativeEvent];
}

/**
 * The answer that acknowledges a batch apart from these events, which are then sent again: the body of a 200 with
 * `Content-Type: application/json`.
 */
export function failedEvents(ids: readonly string[]): string {
  return JSON.stringify({ failed: ids });
}
