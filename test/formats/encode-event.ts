import { ByteWriter } from '../../src/formats/byte-writer.ts';
import { Transaction } from '../../src/formats/change.ts';
import type { EventEncoder } from '../../src/formats/encoder.ts';
import { createEncoder, type EnvelopeOptions } from '../../src/formats/envelope.ts';
import { EventIds } from '../../src/formats/event-id.ts';
import { readRelation } from '../../src/postgres/pgoutput.ts';
import { frame, relationMessage, type TestRelation } from '../support/pgoutput-frames.ts';

/** One change, and whose. */
export interface TestChange {
  readonly relation: TestRelation;
  readonly message: Buffer;
  /** The primary key, for REPLICA IDENTITY FULL. */
  readonly primaryKey?: readonly string[];
  /** The stream's column list. */
  readonly sent?: readonly string[];
  /** What a row filter has made of an UPDATE. */
  readonly as?: 'insert' | 'delete';
  /** The backfill that has read the row. */
  readonly backfill?: Buffer;
  readonly lsn?: bigint;
  readonly transaction?: Transaction;
}

export const OPTIONS: EnvelopeOptions = {
  envelope: 'native',
  stream: 'orders_cdc_stream',
  database: 'shop',
  numbers: 'string',
  includeTransaction: true,
};

const TRANSACTION = new Transaction(0x1_a2b3_c4d5n, 1_767_607_200_123_456n, 7788);

export function encoderFor(
  { relation, primaryKey, sent }: TestChange,
  options: Partial<EnvelopeOptions>,
): EventEncoder {
  const definition = relationMessage(relation);
  const ids = new EventIds({ systemId: '7300000000000000001', databaseOid: 5 });
  const read = readRelation(definition, 0, definition.length);
  return createEncoder(ids, read, primaryKey ?? ['id'], sent ?? null, { ...OPTIONS, ...options });
}

export function encodable({ message, as, backfill, lsn = 0x1_a2b3_c400n, transaction = TRANSACTION }: TestChange) {
  return {
    data: frame(lsn, message),
    offset: 0,
    transaction,
    ordinal: 0,
    seq: 3,
    ...(as && { as }),
    ...(backfill && { backfill }),
  };
}

/** The event as it stands in an array: one JSON value, or two with a comma between them. */
export function encodeEvent(change: TestChange, options: Partial<EnvelopeOptions> = {}): string {
  const out = new ByteWriter(16);
  encoderFor(change, options).encode(out, encodable(change), new ByteWriter(16));
  return out.copy().toString('utf8');
}

export function encodeThin(change: TestChange, options: Partial<EnvelopeOptions>, fullBytes: number): string {
  const out = new ByteWriter(16);
  encoderFor(change, options).encodeThin(out, encodable(change), new ByteWriter(16), fullBytes);
  return out.copy().toString('utf8');
}

export function encodeKey(change: TestChange, options: Partial<EnvelopeOptions>): string {
  const out = new ByteWriter(16);
  encoderFor(change, options).encodeKey(out, encodable(change));
  return out.copy().toString('utf8');
}
