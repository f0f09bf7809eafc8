import { SyntheticFrames } from '../postgres/synthetic-frames.ts';
import { ByteWriter } from '../formats/byte-writer.ts';
import { Transaction } from '../formats/change.ts';
import { createEncoder } from '../formats/envelope.ts';
import { EventIds } from '../formats/event-id.ts';
import type { TransformSample } from '../model/transform-check.ts';
import { ELEMENT_OID, OID } from '../postgres/oid.ts';

/** A value of each type that is no text. */
const VALUES: ReadonlyMap<number, string> = new Map([
  [OID.bool, 't'],
  [OID.int2, '1'],
  [OID.int4, '1'],
  [OID.int8, '1'],
  [OID.oid, '1'],
  [OID.float4, '1.5'],
  [OID.float8, '1.5'],
  [OID.numeric, '1.50'],
  [OID.money, '$1.50'],
  [OID.bytea, '\\x00'],
  [OID.json, '{"key":"value"}'],
  [OID.jsonb, '{"key": "value"}'],
  [OID.date, '2026-01-05'],
  [OID.time, '10:00:00'],
  [OID.timetz, '10:00:00+00'],
  [OID.timestamp, '2026-01-05 10:00:00'],
  [OID.timestamptz, '2026-01-05 10:00:00+00'],
  [OID.interval, '1 day'],
  [OID.uuid, '00000000-0000-4000-8000-000000000001'],
  [OID.point, '(1,2)'],
]);

const OID_OF_SAMPLE = 16_384;
const LSN = 0x100_0000n;
const COMMIT_MICROS = 1_767_607_200_000_000n;
const XID = 700;

/** The body of an INSERT into the table, in the stream's envelope. */
export function sampleEvent(sample: TransformSample): Buffer {
  const { schema, table: name, columns, keyColumns, database } = sample;
  const frames = new SyntheticFrames();
  const values = columns.map(({ typeOid }) => {
    const element = ELEMENT_OID.get(typeOid);
    return element === undefined ? (VALUES.get(typeOid) ?? 'text') : '{}';
  });
  frames.insert(LSN, OID_OF_SAMPLE, values);
  const relation = {
    oid: OID_OF_SAMPLE,
    schema,
    name,
    replicaIdentity: 'd',
    columns: columns.map((column) => ({ ...column, typeModifier: -1, isKey: keyColumns.includes(column.name) })),
  } as const;
  const ids = new EventIds({ systemId: '1', databaseOid: 1 });
  const encoder = createEncoder(ids, relation, keyColumns, null, { ...sample, stream: 'sample', database });
  const out = new ByteWriter();
  const transaction = new Transaction(LSN, COMMIT_MICROS, XID);
  encoder.encode(out, { data: frames.finish(), offset: 0, transaction, ordinal: 0, seq: 0 }, new ByteWriter());
  return out.copy();
}
