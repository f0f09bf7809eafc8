import type { ByteWriter } from './byte-writer.ts';
import type { EncodableChange } from './change.ts';

/** Writes the changes of one relation definition as events of one stream, in the stream's envelope. */
export interface EventEncoder {
  /**
   * Appends the event of `change` to `out`, and its 16-byte id to `ids`. Returns how many JSON values the event came to,
   * separated by commas: one, or two where the envelope has a change of the key as a delete and a create. Throws
   * `PgoutputError` on bytes that are no change.
   */
  encode(out: ByteWriter, change: EncodableChange, ids: ByteWriter): number;

  /**
   * The same without what makes it large, as it is sent where `encode` makes it larger than its stream wants. `fullBytes`:
   * what `encode` wrote.
   */
  encodeThin(out: ByteWriter, change: EncodableChange, ids: ByteWriter, fullBytes: number): number;

  /** Appends the key alone. */
  encodeKey(out: ByteWriter, change: EncodableChange): void;

  /** Appends the key that an UPDATE has changed; where the envelope has such a change as two values, and of no other. */
  encodeOldKey?(out: ByteWriter, change: EncodableChange): void;
}
