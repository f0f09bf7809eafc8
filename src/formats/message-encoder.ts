import type { ByteWriter } from './byte-writer.ts';
import type { EventEncoder } from './encoder.ts';

/** The schemas of a message's key and value, as JSON. They are the same objects for all messages of a relation definition. */
export interface MessageSchemas {
  /** Null: there is no key. */
  readonly key: string | null;
  readonly value: string;
}

/*
  Where values are not JSON, none ends where it says so itself. An event's values are laid out as

    (Int32(length) value)*
*/

/**
 * An encoder of what needs its schema to be read. The values that it writes are laid out as above, without commas; keys are
 * written plain, and one that is not there is nothing. Throws `AvroValueError` where a value cannot be written.
 */
export interface MessageEncoder extends EventEncoder {
  readonly schemas: MessageSchemas;
}

/** Writes a value behind its length. */
export function writeFramed(out: ByteWriter, write: () => void): void {
  out.reserve(4);
  out.length += 4;
  const start = out.length;
  write();
  out.bytes.writeUInt32BE(out.length - start, start - 4);
}

/** The values of an event that begin at `start`. */
export function framedValues(bytes: Buffer, start: number, count: number): readonly Buffer[] {
  const values: Buffer[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const length = bytes.readUInt32BE(at);
    values.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return values;
}
