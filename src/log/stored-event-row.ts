import type { Position } from '../model/change.ts';
import { decodePositions } from './position-bytes.ts';

/** Where an event stands among those it must not overtake. */
export interface StoredPlace {
  /** What its lanes are counted under: the relation's OID, or what stands for all of the stream's. */
  readonly table: number;
  readonly keyShape: string;
  readonly lane: string | null;
  readonly secondLane: string | null;
  readonly barrier: boolean;
}

/** An event that is kept with its body, so that the log may let go of it. */
export interface StoredEventRow extends StoredPlace {
  readonly eventId: string;
  readonly position: Position;
  readonly commitMs: number;
  readonly relationOid: number;
  readonly schema: string;
  readonly tableName: string;
  readonly op: string;
  /** The key as JSON. */
  readonly key: string;
  /** Of an event of two values the key of the first; null: it has one. */
  readonly oldKey: string | null;
  readonly payload: Buffer;
  /** The body without its rows, for where the whole is too large; null: it was not made. */
  readonly thin: Buffer | null;
  /** The event as messages of another format than JSON, with their schemas; null: it has none. */
  readonly messages: Buffer | null;
}

/** Its columns, by their names in the file. */
export interface EventColumns {
  readonly event_id: string;
  readonly position: Buffer;
  readonly commit_ms: number;
  readonly relation_oid: number;
  readonly schema_name: string;
  readonly table_name: string;
  readonly op: string;
  readonly key: string;
  readonly old_key: string | null;
  readonly payload: Buffer;
  readonly thin: Buffer | null;
  readonly messages: Buffer | null;
  readonly table_oid: number;
  readonly key_shape: string;
  readonly lane: string | null;
  readonly second_lane: string | null;
  readonly barrier: number;
}

export function eventOf(row: EventColumns): StoredEventRow {
  return {
    eventId: row.event_id,
    position: decodePositions(row.position)[0]!,
    commitMs: row.commit_ms,
    relationOid: row.relation_oid,
    schema: row.schema_name,
    tableName: row.table_name,
    op: row.op,
    key: row.key,
    oldKey: row.old_key,
    payload: row.payload,
    thin: row.thin,
    messages: row.messages,
    ...placeOf(row),
  };
}

export function placeOf(
  row: Pick<EventColumns, 'table_oid' | 'key_shape' | 'lane' | 'second_lane' | 'barrier'>,
): StoredPlace {
  return {
    table: row.table_oid,
    keyShape: row.key_shape,
    lane: row.lane,
    secondLane: row.second_lane,
    barrier: row.barrier === 1,
  };
}
