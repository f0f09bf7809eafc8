import { ELEMENT_OID, OID } from '../postgres/oid.ts';
import type { RelationColumn } from '../postgres/pgoutput.ts';
import { readArray, type WriteAvro } from './avro-array.ts';
import {
  encoded,
  NULL_BRANCH,
  VALUE_BRANCH,
  writeBytes,
  writeDouble,
  writeFloat,
  writeHex,
  writeLong,
  writeLongText,
  writeText,
} from './avro-binary.ts';
import { type AvroSchema, type DefinedNames, nullable, recordSchema } from './avro-schema.ts';
import { ByteWriter } from './byte-writer.ts';
import { writeFixedScale, writeOwnScale } from './connect-decimal.ts';
import {
  bitBytes,
  commaOfPoint,
  DEFAULT_PRECISION,
  MILLIS_PRECISION,
  MODIFIER_OFFSET,
  MONEY_SCALE,
  moneyNumber,
  MORE_ELEMENTS,
  NUMBERED,
  PLACEHOLDER,
  pointWkb,
  scaleOf,
  SHORT,
} from './debezium-value.ts';
import {
  writeDuration,
  writeEpochDays,
  writeEpochInstant,
  writeEpochTime,
  writeTimeOfDay,
  writeZonedTime,
  writeZonedTimestamp,
} from './epoch-time.ts';
import type { WriteElement } from './array-text.ts';

/*
  A value's text to Avro. Two tables: that of ENVELOPE DEBEZIUM is what Debezium's PostgreSQL connector with its default modes and
  the Avro converter of Kafka Connect make (their semantic types stand in `connect.name`); that of the others has Avro's own logical
  types. An Avro type that a reader does not know the name of is the plain one.
  https://debezium.io/documentation/reference/3.0/connectors/postgresql.html#postgresql-data-types
  https://avro.apache.org/docs/1.12.0/specification/#logical-types

                      DEBEZIUM                                    NATIVE, FLAT
    bool              boolean                                     boolean
    int2 int4         int                                         int
    int8 oid          long                                        long
    float4 float8     float, double                               float, double
    numeric(p,s)      bytes, decimal(p, s)                        bytes, decimal(p, s)
    numeric           record VariableScaleDecimal                 string
    money             bytes, decimal(64, 2)                       string
    bytea             bytes                                       bytes
    bit(1)            boolean                                     boolean
    bit(n), varbit    bytes, lowest bits first                    string
    date              int, days since 1970-01-01                  int, date
    time              long, microseconds (0..3: int, ms)          long, time-micros
    timetz            string, UTC                                 string
    timestamp         long, microseconds (0..3: ms)               long, local-timestamp-micros
    timestamptz       string, RFC 3339                            long, timestamp-micros
    interval          long, microseconds                          string
    uuid              string                                      string, uuid
    json jsonb xml    string                                      string
    point             record Point                                string
    arrays of these   array of ["null", T]                        array of ["null", T]
    anything else     string, Postgres's text                     string, Postgres's text

  Infinite dates and timestamps are the numbers that epoch-time.ts names. What has no form in its type is refused: NaN of a
  numeric(p,s), and in DEBEZIUM NaN and Infinity of any numeric; an array of more than one dimension; a timestamp later than
  294246; money of a locale that has another notation.
*/

/** How values of a column are written. */
export interface AvroType {
  /** The schema of one value that is not null. */
  readonly schema: (defined: DefinedNames) => AvroSchema;
  /** False where the value has no form in the type; what was written then is to be taken back. */
  readonly write: WriteAvro;
  /** What stands for a large value that is not sent, in DEBEZIUM; null: there is nothing that could. */
  readonly unavailable: Buffer | null;
  /** Whether every value is short, so that there is nothing to leave out. */
  readonly isShort: boolean;
}

export type AvroTypes = 'debezium' | 'logical';

interface Scalar {
  readonly schema: AvroType['schema'];
  readonly write: WriteAvro;
}

/** The type of a column. */
export function avroType({ typeOid, typeModifier }: RelationColumn, types: AvroTypes): AvroType {
  const element = ELEMENT_OID.get(typeOid) ?? MORE_ELEMENTS.get(typeOid);
  if (element === undefined) {
    const scalar = scalarType(typeOid, typeModifier, types);
    return { ...scalar, unavailable: placeholderOf(scalar), isShort: SHORT.has(typeOid) };
  }
  const { schema, write } = scalarType(element, typeModifier, types);
  const item = placeholderOf({ schema, write });
  return {
    schema: (defined) => ({ type: 'array', items: ['null', schema(defined)] }),
    write: (out, data, start, end) => readArray(out, write, data, start, end),
    unavailable: NUMBERED.has(element) ? NUMBERS : item === null ? null : listOf([item]),
    isShort: false,
  };
}

const TEXT: Scalar = {
  schema: () => 'string',
  write: (out, data, start, end) => {
    writeText(out, data, start, end);
    return true;
  },
};
const BYTES: Scalar = { schema: () => 'bytes', write: writeHex };
const BOOLEAN: Scalar = {
  schema: () => 'boolean',
  write: (out, data, start) => {
    out.byte(data[start] === 0x74 || data[start] === 0x31 ? 1 : 0);
    return true;
  },
};
const FLOAT: Scalar = {
  schema: () => 'float',
  write: (out, data, start, end) => {
    writeFloat(out, Number(data.toString('latin1', start, end)));
    return true;
  },
};
const DOUBLE: Scalar = {
  schema: () => 'double',
  write: (out, data, start, end) => {
    writeDouble(out, Number(data.toString('latin1', start, end)));
    return true;
  },
};

function placeholderOf({ schema, write }: Scalar): Buffer | null {
  if (write === BYTES.write) return encoded((out) => writeBytes(out, Buffer.from(PLACEHOLDER), 0, PLACEHOLDER.length));
  const plain = schema(new Set());
  const isText = plain === 'string' || (typeof plain === 'object' && 'type' in plain && plain.type === 'string');
  if (!isText) return null;
  return encoded((out) => writeText(out, Buffer.from(PLACEHOLDER), 0, PLACEHOLDER.length));
}

function listOf(items: readonly Buffer[]): Buffer {
  return encoded((out) => {
    writeLong(out, items.length);
    for (const item of items) {
      out.byte(VALUE_BRANCH);
      out.raw(item);
    }
    out.byte(NULL_BRANCH);
  });
}

const NUMBERS = listOf([...Buffer.from(PLACEHOLDER)].map((byte) => encoded((out) => writeLong(out, byte))));

/** The type of one value of a type, of which the modifier says precision and scale. */
function scalarType(oid: number, modifier: number, types: AvroTypes): Scalar {
  switch (oid) {
    case OID.bool:
      return BOOLEAN;
    case OID.int2:
      return {
        schema: () => (types === 'debezium' ? { type: 'int', 'connect.type': 'int16' } : 'int'),
        write: writeLongText,
      };
    case OID.int4:
      return { schema: () => 'int', write: writeLongText };
    case OID.int8:
    case OID.oid:
      return { schema: () => 'long', write: writeLongText };
    case OID.float4:
      return FLOAT;
    case OID.float8:
      return DOUBLE;
    case OID.bytea:
      return BYTES;
    case OID.bit:
    case OID.varbit:
      if (modifier === 1) return BOOLEAN;
      return types === 'debezium' ? bits(modifier) : TEXT;
    case OID.numeric:
      return numeric(modifier, types);
    default:
      return types === 'debezium' ? debeziumScalar(oid, modifier) : logicalScalar(oid);
  }
}

function logicalScalar(oid: number): Scalar {
  switch (oid) {
    case OID.date:
      return { schema: logical('int', 'date'), write: numberOf(writeEpochDays) };
    case OID.time:
      return { schema: logical('long', 'time-micros'), write: numberOf(micros(writeTimeOfDay)) };
    case OID.timestamp:
      return { schema: logical('long', 'local-timestamp-micros'), write: numberOf(micros(writeEpochTime)) };
    case OID.timestamptz:
      return { schema: logical('long', 'timestamp-micros'), write: numberOf(writeEpochInstant) };
    case OID.uuid:
      return { schema: logical('string', 'uuid'), write: TEXT.write };
    default:
      return TEXT;
  }
}

const JSON_NAME = connect('string', 'io.debezium.data.Json');
const XML_OID = 142;

function debeziumScalar(oid: number, modifier: number): Scalar {
  const precision = modifier < 0 ? DEFAULT_PRECISION : modifier;
  const millis = precision <= MILLIS_PRECISION;
  switch (oid) {
    case OID.money:
      return money();
    case OID.date:
      return { schema: connect('int', 'io.debezium.time.Date'), write: numberOf(writeEpochDays) };
    case OID.time:
      return {
        schema: millis ? connect('int', 'io.debezium.time.Time') : connect('long', 'io.debezium.time.MicroTime'),
        write: numberOf((out, data, start, end) => writeTimeOfDay(out, data, start, end, millis)),
      };
    case OID.timetz:
      return { schema: connect('string', 'io.debezium.time.ZonedTime'), write: textOf(writeZonedTime) };
    case OID.timestamp:
      return {
        schema: connect('long', millis ? 'io.debezium.time.Timestamp' : 'io.debezium.time.MicroTimestamp'),
        write: numberOf((out, data, start, end) => writeEpochTime(out, data, start, end, millis)),
      };
    case OID.timestamptz:
      return {
        schema: connect('string', 'io.debezium.time.ZonedTimestamp'),
        write: textOf((out, data, start, end) => writeZonedTimestamp(out, data, start, end, precision)),
      };
    case OID.interval:
      return { schema: connect('long', 'io.debezium.time.MicroDuration'), write: numberOf(writeDuration) };
    case OID.uuid:
      return { schema: connect('string', 'io.debezium.data.Uuid'), write: TEXT.write };
    case OID.json:
    case OID.jsonb:
      return { schema: JSON_NAME, write: TEXT.write };
    case XML_OID:
      return { schema: connect('string', 'io.debezium.data.Xml'), write: TEXT.write };
    case OID.point:
      return POINT;
    default:
      return TEXT;
  }
}

function logical(type: string, logicalType: string): () => AvroSchema {
  return () => ({ type, logicalType });
}

function connect(type: string, name: string, parameters?: Readonly<Record<string, string>>): () => AvroSchema {
  const more = parameters === undefined ? {} : { 'connect.parameters': parameters };
  return () => ({ type, 'connect.version': 1, ...more, 'connect.name': name });
}

/** Above all precisions of Kafka Connect: what its converter says where nobody has said one. */
const CONNECT_PRECISION = 64;

function decimalSchema(precision: number, scale: number, types: AvroTypes, hasPrecision: boolean): () => AvroSchema {
  const decimal = { type: 'bytes', scale, precision, logicalType: 'decimal' };
  if (types === 'logical') return () => decimal;
  const parameters = {
    scale: String(scale),
    ...(hasPrecision ? { 'connect.decimal.precision': String(precision) } : {}),
  };
  return () => ({
    ...decimal,
    'connect.version': 1,
    'connect.parameters': parameters,
    'connect.name': 'org.apache.kafka.connect.data.Decimal',
  });
}

function numeric(modifier: number, types: AvroTypes): Scalar {
  if (modifier < MODIFIER_OFFSET) return types === 'debezium' ? VARIABLE_DECIMAL : TEXT;
  const scale = scaleOf(modifier);
  const digits = ((modifier - MODIFIER_OFFSET) >> 16) & 0xffff;
  // Avro has neither a negative scale nor one above the precision, Postgres both.
  const shown = Math.max(0, scale);
  const precision = Math.max(scale < 0 ? digits - scale : digits, shown);
  return {
    schema: decimalSchema(precision, shown, types, true),
    write: (out, data, start, end) => {
      if (scale >= 0) return writeFixedScale(out, data, start, end, scale, writeBytes);
      // The zeros that a negative scale leaves at the end are digits like others here.
      return writeFixedScale(out, data, start, end, 0, writeBytes);
    },
  };
}

const VARIABLE_DECIMAL: Scalar = {
  schema: (defined) =>
    recordSchema(
      defined,
      'io.debezium.data',
      'VariableScaleDecimal',
      () => [
        { name: 'scale', type: 'int' },
        { name: 'value', type: 'bytes' },
      ],
      { 'connect.version': 1, 'connect.name': 'io.debezium.data.VariableScaleDecimal' },
    ),
  write: (out, data, start, end) => writeOwnScale(out, data, start, end, writeLong, writeBytes),
};

function money(): Scalar {
  return {
    schema: decimalSchema(CONNECT_PRECISION, MONEY_SCALE, 'debezium', false),
    write: (out, data, start, end) => {
      const text = moneyNumber(data, start, end);
      return text !== null && writeFixedScale(out, text, 0, text.length, MONEY_SCALE, writeBytes);
    },
  };
}

/** Of a varbit without a length. */
const MAX_BITS = '2147483647';

function bits(modifier: number): Scalar {
  return {
    schema: connect('bytes', 'io.debezium.data.Bits', { length: modifier < 1 ? MAX_BITS : String(modifier) }),
    write: (out, data, start, end) => {
      const bytes = bitBytes(data, start, end);
      writeBytes(out, bytes, 0, bytes.length);
      return true;
    },
  };
}

const POINT: Scalar = {
  schema: (defined) =>
    recordSchema(
      defined,
      'io.debezium.data.geometry',
      'Point',
      () => [
        { name: 'x', type: 'double' },
        { name: 'y', type: 'double' },
        nullable('wkb', 'bytes'),
        nullable('srid', 'int'),
      ],
      { 'connect.version': 1, 'connect.name': 'io.debezium.data.geometry.Point' },
    ),
  write: (out, data, start, end) => {
    const comma = commaOfPoint(data, start, end);
    if (comma === null) return false;
    const x = Number(data.toString('latin1', start + 1, comma));
    const y = Number(data.toString('latin1', comma + 1, end - 1));
    writeDouble(out, x);
    writeDouble(out, y);
    out.byte(VALUE_BRANCH);
    const wkb = pointWkb(x, y);
    writeBytes(out, wkb, 0, wkb.length);
    out.byte(NULL_BRANCH);
    return true;
  },
};

/** What is written in decimal and read again: a few digits, and one place that knows how Postgres writes times. */
const scratch = new ByteWriter(256);
const QUOTE = 0x22;

function numberOf(write: WriteElement): WriteAvro {
  return (out, data, start, end) => {
    scratch.clear();
    write(scratch, data, start, end);
    // Text of another shape comes as a string, which is no number.
    return writeLongText(out, scratch.bytes, 0, scratch.length);
  };
}

function textOf(write: WriteElement): WriteAvro {
  return (out, data, start, end) => {
    scratch.clear();
    write(scratch, data, start, end);
    const isQuoted = scratch.bytes[0] === QUOTE && scratch.bytes[scratch.length - 1] === QUOTE;
    if (isQuoted) writeText(out, scratch.bytes, 1, scratch.length - 1);
    return isQuoted;
  };
}

function micros(
  write: (out: ByteWriter, data: Buffer, start: number, end: number, millis: boolean) => void,
): WriteElement {
  return (out, data, start, end) => write(out, data, start, end, false);
}
