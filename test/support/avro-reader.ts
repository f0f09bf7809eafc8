import avro from 'avsc';
import type { Type } from 'avsc';

/** Longs as bigints: what is written has 64 bits. */
const longs = avro.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

/** The type of a schema, as avsc, which is another implementation, reads it. Unions come without their branch's name. */
export function avroType(schema: string): Type {
  const typeHook = (part: unknown): Type | undefined => {
    const isLong =
      part === 'long' || (typeof part === 'object' && part !== null && 'type' in part && part.type === 'long');
    return isLong ? longs : undefined;
  };
  return avro.Type.forSchema(JSON.parse(schema) as never, { typeHook: typeHook as never, wrapUnions: false });
}

/** A value as avsc reads it: as a plain object, with longs as bigints and bytes as Buffers. Throws where bytes are left. */
export function readAvro(schema: string, bytes: Buffer): unknown {
  return plain(avroType(schema).fromBuffer(bytes) as unknown);
}

/** Without the classes that avsc gives its records. */
function plain(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}
