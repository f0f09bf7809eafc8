import type { ByteWriter } from '../formats/byte-writer.ts';
import type { MessageSchemas } from '../formats/message-encoder.ts';
import type { Position } from '../model/change.ts';
import type { EventOperation, FormatName } from '../model/stream.ts';
import type { SchedulerEvent } from './batch.ts';

/** An event on its way to one stream's receiver: a change where it lies in the log, or one that was kept on disk. */
export interface DeliveryEvent extends SchedulerEvent {
  /** What it is to the receiver. */
  readonly operation: EventOperation;
  readonly source: EventOrigin;
  readonly position: Position;
  readonly commitMs: number;
  /** Of the log, where it lies there. */
  readonly chunkId: number;
  /** The row's key is sent again although a newer change of it may have arrived. */
  readonly isReplay: boolean;
  /** Of its messages in FORMAT AVRO; null: it has no such form. */
  readonly schemas: MessageSchemas | null;
  /**
   * Appends its body to `out` and its id, 16 bytes, to `ids`. Returns how many values it came to: one, or where its envelope
   * splits it two. JSON, the default, has commas between them; otherwise they are laid out as `message-encoder.ts` has it, and
   * a value may have no form in the format: `AvroValueError`. Only where there are `schemas` it may be asked for in Avro.
   */
  encode(out: ByteWriter, ids: ByteWriter, format?: FormatName): number;
  /** The same of one that is too large: what it is, without its rows. `bytes`: how large it is. */
  encodeThin(out: ByteWriter, ids: ByteWriter, bytes: number, format?: FormatName): number;
  /** Appends its key; in Avro nothing where there is none. */
  encodeKey(out: ByteWriter, format?: FormatName): void;
  /** Of an event of two values: appends the key of the first, which the row had before. */
  encodeOldKey(out: ByteWriter, format?: FormatName): void;
}

/** Where an event comes from. */
export interface EventOrigin {
  readonly oid: number;
  readonly table: { readonly schema: string; readonly name: string };
}
