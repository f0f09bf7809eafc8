import type { ByteWriter } from '../formats/byte-writer.ts';
import type { StoredEventRow } from '../log/stored-event-row.ts';
import type { Position } from '../model/change.ts';
import type { EventOperation } from '../model/stream.ts';
import type { DeliveryEvent, EventOrigin } from './delivery-event.ts';

/** An event whose body was made before, and which comes from the disk: parked behind a blocked key, or dead and sent again. */
export class StoredEvent implements DeliveryEvent {
  readonly source: EventOrigin;
  readonly table: number;
  readonly keyShape: string;
  readonly lane: string | null;
  readonly secondLane: string | null;
  readonly barrier: boolean;
  readonly sharesPosition = false;
  readonly mayPark = false;
  readonly bytes: number;
  readonly isReplay: boolean;
  readonly #row: StoredEventRow;

  constructor(row: StoredEventRow, isReplay: boolean) {
    this.source = { oid: row.relationOid, table: { schema: row.schema, name: row.tableName } };
    this.table = row.table;
    this.keyShape = row.keyShape;
    this.lane = row.lane;
    this.secondLane = row.secondLane;
    this.barrier = row.barrier;
    this.bytes = row.payload.length;
    this.isReplay = isReplay;
    this.#row = row;
  }

  get eventId(): string {
    return this.#row.eventId;
  }

  get operation(): EventOperation {
    return this.#row.op as EventOperation;
  }

  get position(): Position {
    return this.#row.position;
  }

  get commitMs(): number {
    return this.#row.commitMs;
  }

  get chunkId(): number {
    return 0;
  }

  encode(out: ByteWriter, ids: ByteWriter): number {
    ids.raw(Buffer.from(this.#row.eventId.replaceAll('-', ''), 'hex'));
    return writeValues(out, this.#row.payload);
  }

  encodeThin(out: ByteWriter, ids: ByteWriter): number {
    ids.raw(Buffer.from(this.#row.eventId.replaceAll('-', ''), 'hex'));
    return writeValues(out, this.#row.thin ?? this.#row.payload);
  }

  encodeKey(out: ByteWriter): void {
    out.raw(Buffer.from(this.#row.key));
  }

  encodeOldKey(out: ByteWriter): void {
    out.raw(Buffer.from(this.#row.oldKey ?? this.#row.key));
  }

  detach(): void {
    // It shares its memory with nothing.
  }
}

/** An event of two values is kept as an array of them, and no event is one otherwise. Returns how many there are. */
function writeValues(out: ByteWriter, payload: Uint8Array): number {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (bytes[0] !== 0x5b) {
    out.raw(bytes);
    return 1;
  }
  out.slice(bytes, 1, bytes.length - 1);
  return 2;
}
