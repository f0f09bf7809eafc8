import type { ByteWriter } from '../formats/byte-writer.ts';
import type { EncodableChange, Transaction } from '../formats/change.ts';
import type { EventIds } from '../formats/event-id.ts';
import { NativeEncoder } from '../formats/native.ts';
import type { Position } from '../model/change.ts';
import type { StreamTable } from '../model/stream.ts';
import { FRAME, frameBytes, type Relation, TAG } from '../postgres/pgoutput.ts';
import type { SchedulerEvent } from './batch.ts';
import type { IndexedChunk } from './chunk-index.ts';
import { LaneKeys } from './lane-key.ts';
import type { RelationChanges } from './relation-changes.ts';

/** What all of a stream's changes of one relation definition share. */
export class EventSource {
  readonly oid: number;
  readonly table: { readonly schema: string; readonly name: string };
  readonly keys: LaneKeys;
  readonly #encoder: NativeEncoder;

  constructor(ids: EventIds, stream: string, table: StreamTable, relation: Relation) {
    this.oid = relation.oid;
    this.table = { schema: relation.schema, name: relation.name };
    this.keys = new LaneKeys(relation, table.keyColumns);
    this.#encoder = new NativeEncoder(ids, relation, stream, table.keyColumns);
  }

  encode(out: ByteWriter, event: ChangeEvent, ids: ByteWriter): void {
    this.#encoder.encode(out, event, ids);
  }

  encodeKey(out: ByteWriter, event: ChangeEvent): void {
    this.#encoder.encodeKey(out, event);
  }
}

/** One change on its way to one stream's receiver. */
export class ChangeEvent implements SchedulerEvent, EncodableChange {
  readonly source: EventSource;
  readonly transaction: Transaction;
  readonly chunkId: number;
  readonly ordinal: number;
  readonly seq: number;
  readonly table: number;
  readonly keyShape: string;
  readonly lane: string;
  readonly secondLane: string | null;
  readonly barrier: boolean;
  readonly sharesPosition: boolean;
  readonly bytes: number;
  data: Buffer;
  offset: number;

  constructor(source: EventSource, chunk: IndexedChunk, changes: RelationChanges, i: number, sharesPosition: boolean) {
    const { data } = chunk;
    const offset = changes.offsets[i]!;
    this.source = source;
    this.transaction = chunk.transactions[changes.transactions[i]!]!;
    this.chunkId = chunk.id;
    this.ordinal = changes.ordinals[i]!;
    this.seq = changes.seqs[i]!;
    this.table = source.oid;
    this.keyShape = source.keys.shape;
    this.barrier = data[offset + FRAME.message] === TAG.truncate;
    this.lane = this.barrier ? '' : source.keys.lane(data, offset);
    this.secondLane = this.barrier ? null : source.keys.secondLane(data, offset, this.lane);
    this.sharesPosition = sharesPosition;
    this.bytes = frameBytes(data, offset);
    this.data = data;
    this.offset = offset;
  }

  get position(): Position {
    return {
      commitLsn: this.transaction.commitLsn,
      lsn: this.data.readBigUInt64BE(this.offset + FRAME.startLsn),
      ordinal: this.ordinal,
    };
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
