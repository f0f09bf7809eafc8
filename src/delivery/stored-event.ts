import { must } from '../base/assert.ts';
import type { ByteWriter } from '../formats/byte-writer.ts';
import { type MessageSchemas, writeFramed } from '../formats/message-encoder.ts';
import type { StoredEventRow } from '../log/stored-event-row.ts';
import type { Position } from '../model/change.ts';
import type { EventOperation, FormatName } from '../model/stream.ts';
import type { DeliveryEvent, EventOrigin } from './delivery-event.ts';
import { decodeKept, type KeptMessage, type KeptMessages } from './kept-messages.ts';

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
  #decoded: KeptMessages | null = null;

  constructor(row: StoredEventRow, isReplay: boolean) {
    this.source = { oid: row.relationOid, table: { schema: row.schema, name: row.tableName } };
    this.table = row.table;
    this.keyShape = row.keyShape;
    this.lane = row.lane;
    this.secondLane = row.secondLane;
    this.barrier = row.barrier;
    this.bytes = row.payload.length + (row.messages?.length ?? 0);
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

  get schemas(): MessageSchemas | null {
    return this.#kept?.schemas ?? null;
  }

  encode(out: ByteWriter, ids: ByteWriter, format: FormatName = 'json'): number {
    ids.raw(Buffer.from(this.#row.eventId.replaceAll('-', ''), 'hex'));
    if (format !== 'json') return this.#writeMessages(out, ({ value }) => value);
    return writeValues(out, this.#row.payload);
  }

  encodeThin(out: ByteWriter, ids: ByteWriter, _bytes: number, format: FormatName = 'json'): number {
    ids.raw(Buffer.from(this.#row.eventId.replaceAll('-', ''), 'hex'));
    if (format !== 'json') return this.#writeMessages(out, ({ thin }) => thin);
    return writeValues(out, this.#row.thin ?? this.#row.payload);
  }

  encodeKey(out: ByteWriter, format: FormatName = 'json'): void {
    if (format === 'json') out.raw(Buffer.from(this.#row.key));
    else this.#writeKey(out, this.#messages.length - 1);
  }

  encodeOldKey(out: ByteWriter, format: FormatName = 'json'): void {
    if (format === 'json') out.raw(Buffer.from(this.#row.oldKey ?? this.#row.key));
    else this.#writeKey(out, 0);
  }

  get #kept(): KeptMessages | null {
    const { messages } = this.#row;
    if (messages === null) return null;
    return (this.#decoded ??= decodeKept(messages));
  }

  get #messages(): readonly KeptMessage[] {
    return must(this.#kept, 'its schemas are known').messages;
  }

  #writeMessages(out: ByteWriter, valueOf: (message: KeptMessage) => Buffer): number {
    for (const message of this.#messages) writeFramed(out, () => out.raw(valueOf(message)));
    return this.#messages.length;
  }

  #writeKey(out: ByteWriter, nth: number): void {
    const { key } = must(this.#messages[nth], 'it has a message at least');
    if (key !== null) out.raw(key);
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
