/*
  The types of the envelopes a stream can have besides NATIVE (`NativeEvent`).
*/

/** Debezium's way of a numeric without a fixed scale: the unscaled number big-endian in base64. */
export interface DebeziumVariableDecimal {
  readonly scale: number;
  readonly value: string;
}

/** A column's value as `ENVELOPE DEBEZIUM` has it; `__debezium_unavailable_value` where Postgres did not send it. */
export type DebeziumValue =
  | string
  | number
  | boolean
  | null
  | DebeziumVariableDecimal
  | readonly DebeziumValue[]
  | { readonly x: number; readonly y: number; readonly wkb: string; readonly srid: null };

export type DebeziumRow = Readonly<Record<string, DebeziumValue>>;

/**
 * One record of `ENVELOPE DEBEZIUM`. An update that changes the key is two, a `d` and a `c`: in an array in the place of the
 * one. It has no id; the request's `webhook-id` header has the event's, or the batch's.
 */
export interface DebeziumRecord {
  readonly before: DebeziumRow | null;
  readonly after: DebeziumRow | null;
  readonly source: {
    readonly version: string;
    readonly connector: 'postgresql';
    /** The stream. */
    readonly name: string;
    /** Of the commit. */
    readonly ts_ms: number;
    readonly snapshot: string;
    readonly db: string;
    /** JSON of two strings: the commit's LSN and the change's, in decimal. */
    readonly sequence: string;
    readonly ts_us: number;
    readonly ts_ns: number;
    readonly schema: string;
    readonly table: string;
    readonly txId: number;
    readonly lsn: number;
    readonly xmin: null;
  };
  readonly transaction: null;
  readonly op: 'c' | 'u' | 'd' | 'r' | 't';
  readonly ts_ms: number;
  readonly ts_us: number;
  readonly ts_ns: number;
}

/**
 * One row of `ENVELOPE FLAT`: the columns, and these. Of a delete the key alone. An update that changes the key is two, the old
 * key deleted and the new row.
 */
export interface FlatRow {
  readonly [column: string]: unknown;
  /** Larger for every later change of the same key. */
  readonly _sm_version: number;
  readonly _sm_deleted: boolean;
  /** The event was too large: the row has its key alone, and this is how long it would have been. */
  readonly _sm_thin?: true;
  readonly _sm_full_bytes?: number;
}

/** One event of `ENVELOPE CLOUDEVENTS`. `data` is a `NativeEvent` from `op` to `before_complete`. */
export interface CloudEvent<Data = unknown> {
  readonly specversion: '1.0';
  /** Never changes for the same change: keep it, with `source`, to apply every change once. */
  readonly id: string;
  readonly source: string;
  readonly type: `cdc.${string}`;
  /** `schema.table` */
  readonly subject: string;
  /** Of the commit. This and what follows but for the data: unless `include_transaction` is off. */
  readonly time?: string;
  /** Compares as strings do, in the order of the changes. */
  readonly sequence?: string;
  readonly cdclsn?: string;
  readonly cdcxid?: string;
  readonly datacontenttype: 'application/json';
  readonly data: Data;
}
