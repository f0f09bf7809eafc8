import { assert, must } from '../base/assert.ts';
import type { ByteWriter } from '../formats/byte-writer.ts';
import type { EncodableChange, Transaction } from '../formats/change.ts';
import type { EventEncoder } from '../formats/encoder.ts';
import { createAvroEncoder, createEncoder, type EnvelopeOptions } from '../formats/envelope.ts';
import type { EventIds } from '../formats/event-id.ts';
import type { MessageEncoder, MessageSchemas } from '../formats/message-encoder.ts';
import type { Position } from '../model/change.ts';
import type { FilteredChange } from '../filters/row-filter.ts';
import type { EventOperation, FormatName, OperationName, StreamTable } from '../model/stream.ts';
import { FRAME, frameBytes, type Relation, TAG } from '../postgres/pgoutput.ts';
import type { DeliveryEvent } from './delivery-event.ts';
import { ChangeFilter, type StreamFilters } from './change-filter.ts';
import type { IndexedChunk } from './chunk-index.ts';
import { LaneKeys, type Ordering } from './lane-key.ts';
import type { RelationChanges } from './relation-changes.ts';
import { UnchangedValues, type ValueAnswer, type ValueQuestion } from './unchanged-values.ts';

/** What all of a stream's changes of one relation definition share. */
export class EventSource {
  readonly oid: number;
  readonly table: { readonly schema: string; readonly name: string };
  readonly keys: LaneKeys;
  /** Null where every change is an event. */
  readonly filter: ChangeFilter | null;
  readonly unchanged: UnchangedValues;
  readonly #encoder: EventEncoder;
  readonly #avro: MessageEncoder | null;

  constructor(
    ids: EventIds,
    table: StreamTable,
    relation: Relation,
    filters: StreamFilters,
    options: EnvelopeOptions,
    ordering: Ordering,
  ) {
    this.oid = relation.oid;
    this.table = { schema: relation.schema, name: relation.name };
    this.keys = new LaneKeys(relation, table.keyColumns, ordering);
    this.filter = ChangeFilter.of(table, filters, relation);
    this.unchanged = new UnchangedValues(relation, table);
    this.#encoder = createEncoder(ids, relation, table.keyColumns, table.columns, options);
    this.#avro =
      options.format === 'avro' ? createAvroEncoder(ids, relation, table.keyColumns, table.columns, options) : null;
  }

  /** Those of FORMAT AVRO, where the stream has it. */
  get schemas(): MessageSchemas | null {
    return this.#avro?.schemas ?? null;
  }

  #encoderOf(format: FormatName): EventEncoder {
    return format === 'avro' ? must(this.#avro, 'its schemas are known') : this.#encoder;
  }

  /** How many JSON values the event came to, see `EventEncoder`. */
  encode(out: ByteWriter, event: ChangeEvent, ids: ByteWriter, format: FormatName): number {
    return this.#encoderOf(format).encode(out, event, ids);
  }

  /** The event without its rows: what it is about, and how large it is in full. */
  encodeThin(out: ByteWriter, event: ChangeEvent, ids: ByteWriter, fullBytes: number, format: FormatName): number {
    return this.#encoderOf(format).encodeThin(out, event, ids, fullBytes);
  }

  encodeKey(out: ByteWriter, event: ChangeEvent, format: FormatName): void {
    this.#encoderOf(format).encodeKey(out, event);
  }

  encodeOldKey(out: ByteWriter, event: ChangeEvent, format: FormatName): void {
    const encoder = this.#encoderOf(format);
    assert(encoder.encodeOldKey !== undefined, 'an event of two values has two keys');
    encoder.encodeOldKey(out, event);
  }
}

/** One change on its way to one stream's receiver. */
export class ChangeEvent implements DeliveryEvent, EncodableChange {
  /** It was sent before, and somebody has asked for it again. */
  isReplay = false;
  readonly source: EventSource;
  readonly transaction: Transaction;
  readonly chunkId: number;
  readonly ordinal: number;
  readonly seq: number;
  readonly table: number;
  readonly keyShape: string;
  readonly lane: string | null;
  readonly secondLane: string | null;
  readonly barrier: boolean;
  readonly sharesPosition: boolean;
  readonly bytes: number;
  readonly as: 'insert' | 'delete' | null;
  readonly backfill: Buffer | null;
  readonly fetched: readonly number[] | null = null;
  data: Buffer;
  offset: number;

  /** `kept`: what the source's filter made of the change. */
  constructor(
    source: EventSource,
    chunk: IndexedChunk,
    changes: RelationChanges,
    i: number,
    sharesPosition: boolean,
    kept: FilteredChange | null = null,
  ) {
    const { data } = chunk;
    const offset = changes.offsets[i]!;
    this.source = source;
    this.transaction = chunk.transactions[changes.transactions[i]!]!;
    this.chunkId = chunk.id;
    this.ordinal = changes.ordinals[i]!;
    this.seq = changes.seqs[i]!;
    this.table = source.keys.table;
    this.keyShape = source.keys.shape;
    const place = source.keys.place(data, offset);
    this.lane = place.lane;
    this.secondLane = place.secondLane;
    this.barrier = place.barrier;
    this.sharesPosition = sharesPosition;
    this.bytes = frameBytes(data, offset);
    this.as = kept !== null && data[offset + FRAME.message] === TAG.update ? madeOfUpdate(kept) : null;
    this.backfill = chunk.backfill;
    this.data = data;
    this.offset = offset;
  }

  /** What it is to the receiver. */
  get operation(): EventOperation {
    if (this.backfill !== null) return 'read';
    return this.as ?? OPERATION.get(this.data[this.offset + FRAME.message]!) ?? 'truncate';
  }

  /** A TRUNCATE of several tables is one position for all of them. */
  get mayPark(): boolean {
    return this.data[this.offset + FRAME.message] !== TAG.truncate;
  }

  get commitMs(): number {
    return this.transaction.commitMs;
  }

  get schemas(): MessageSchemas | null {
    return this.source.schemas;
  }

  encode(out: ByteWriter, ids: ByteWriter, format: FormatName = 'json'): number {
    return this.source.encode(out, this, ids, format);
  }

  encodeThin(out: ByteWriter, ids: ByteWriter, bytes: number, format: FormatName = 'json'): number {
    return this.source.encodeThin(out, this, ids, bytes, format);
  }

  encodeKey(out: ByteWriter, format: FormatName = 'json'): void {
    this.source.encodeKey(out, this, format);
  }

  encodeOldKey(out: ByteWriter, format: FormatName = 'json'): void {
    this.source.encodeOldKey(out, this, format);
  }

  get position(): Position {
    return {
      commitLsn: this.transaction.commitLsn,
      lsn: this.data.readBigUInt64BE(this.offset + FRAME.startLsn),
      ordinal: this.ordinal,
    };
  }

  /** What Postgres has left out of it, as a question; null: nothing. */
  question(): ValueQuestion | null {
    return this.backfill === null ? this.source.unchanged.question(this) : null;
  }

  /** The same with the answer to its question, for one request. */
  filled(answer: ValueAnswer): ChangeEvent {
    const filled = this.source.unchanged.fill(this, answer);
    if (filled === null) return this;
    return Object.assign(Object.create(ChangeEvent.prototype) as ChangeEvent, this, filled, { offset: 0 });
  }

  /** Copies the frame, so that the chunk can go. */
  detach(): void {
    if (this.data.length === this.bytes) return;
    const copy = Buffer.allocUnsafeSlow(this.bytes);
    this.data.copy(copy, 0, this.offset, this.offset + this.bytes);
    this.data = copy;
    this.offset = 0;
  }
}

function madeOfUpdate({ operation }: FilteredChange): 'insert' | 'delete' | null {
  return operation === 'insert' || operation === 'delete' ? operation : null;
}

const OPERATION: ReadonlyMap<number, OperationName> = new Map([
  [TAG.insert, 'insert'],
  [TAG.update, 'update'],
  [TAG.delete, 'delete'],
]);
