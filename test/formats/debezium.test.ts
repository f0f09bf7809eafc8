import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Transaction } from '../../src/formats/change.ts';
import {
  deleteMessage,
  insertMessage,
  type TestColumn,
  type TestRelation,
  type TestValue,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-frames.ts';
import { encodeEvent } from './encode-event.ts';
import { readGolden } from './golden.ts';

// ENVELOPE DEBEZIUM against what Debezium itself has written or expects.

const OID = 16_400;

/** The JSON of one value. */
function valueOf(type: number, modifier: number, text: TestValue): string {
  const relation: TestRelation = {
    oid: OID,
    schema: 'public',
    name: 'values',
    identity: 'n',
    columns: [{ name: 'v', type, modifier }],
  };
  const event = encodeEvent({ relation, message: updateMessage(OID, [text]) }, { envelope: 'debezium' });
  const start = '{"before":null,"after":{"v":';
  assert.equal(event.slice(0, start.length), start);
  assert.doesNotThrow(() => JSON.parse(event), event);
  return event.slice(start.length, event.indexOf('},"source":'));
}

test('every value is what Debezium expects of it', () => {
  const golden = readGolden('debezium-values.txt');
  assert.ok(golden.size > 80);
  for (const [name, json] of golden) {
    const [, oid, modifier, ...text] = name.split(' | ');
    assert.equal(valueOf(Number(oid), Number(modifier), text.join(' | ')), json, name);
  }
});

interface Source {
  readonly name: string;
  readonly db: string;
  readonly schema: string;
  readonly table: string;
  readonly ts_us: number;
  readonly txId: number;
  readonly lsn: number;
}

interface Published {
  readonly op: string;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly source: Source;
}

const TIMESTAMPTZ = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

function columnOf(name: string, value: unknown): TestColumn {
  const key = name === 'id';
  if (typeof value === 'number') return { name, type: 20, key };
  if (typeof value === 'boolean') return { name, type: 16, key };
  return { name, type: typeof value === 'string' && TIMESTAMPTZ.test(value) ? 1184 : 25, key };
}

/** As Postgres prints it. */
function textOf(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  if (typeof value !== 'string') return String(value as number);
  if (!TIMESTAMPTZ.test(value)) return value;
  return value.replace('T', ' ').replace(/0*Z$/, '+00');
}

function messageOf({ op, before, after }: Published): Buffer {
  if (op === 'd')
    return deleteMessage(
      OID,
      'K',
      Object.entries(before!).map(([name, v]) => (name === 'id' ? textOf(v) : null)),
    );
  const row = Object.values(after!).map(textOf);
  return op === 'c' ? insertMessage(OID, row) : updateMessage(OID, row);
}

/** Without what is documented to differ. */
function comparable(record: string): string {
  return record
    .replace(/"version":"[^"]*"/, '"version":"x"')
    .replace(/"sequence":"\[\\"\d+\\"/, '"sequence":"[\\"x\\"')
    .replace(/("op":".").*$/, '$1')
    .replace('"name":"","active":false', '"name":null,"active":null');
}

for (const [name, published] of readGolden('debezium-published.txt')) {
  test(`as published: ${name}`, () => {
    const record = JSON.parse(published) as Published;
    const { source } = record;
    const columns = Object.entries(record.after ?? record.before!).map(([column, value]) => columnOf(column, value));
    const change = {
      relation: { oid: OID, schema: source.schema, name: source.table, identity: 'd', columns },
      message: messageOf(record),
      lsn: BigInt(source.lsn),
      transaction: new Transaction(BigInt(source.lsn) + 8n, BigInt(source.ts_us), source.txId),
    } as const;
    const ours = encodeEvent(change, { envelope: 'debezium', stream: source.name, database: source.db });
    assert.equal(comparable(ours), comparable(published));
  });
}

const numeric = (precision: number, scale: number): number => ((precision << 16) | (scale & 0x7ff)) + 4;

test('what Debezium stops at or leaves out is the text', () => {
  const cases: readonly (readonly [type: number, modifier: number, text: string, json: string])[] = [
    [1700, -1, 'NaN', '"NaN"'],
    [1700, numeric(5, 2), 'Infinity', '"Infinity"'],
    [1700, numeric(5, 2), '1.234', '"1.234"'],
    [1700, -1, '', '""'],
    [1700, -1, '-', '"-"'],
    [790, -1, '1.234,50 €', '"1.234,50 €"'],
    [718, -1, '<(1,2),3>', '"<(1,2),3>"'],
    [4451, -1, '{[1,3)}', '"{[1,3)}"'],
    [99_999, -1, '(1,"a ""b""")', '"(1,\\"a \\"\\"b\\"\\"\\")"'],
    [99_998, -1, '"a"=>"b"', '"\\"a\\"=>\\"b\\""'],
    [1082, -1, 'soon', '"soon"'],
    [1083, -1, '10:00', '"10:00"'],
    [1114, -1, '2026-01-05', '"2026-01-05"'],
    [1184, -1, '2026-01-05 10:00:00+05:45', '"2026-01-05 10:00:00+05:45"'],
    [1266, -1, '10:00:00', '"10:00:00"'],
    [1186, -1, 'a while', '"a while"'],
    [600, -1, '1,2', '"1,2"'],
    [701, -1, '1.5x', '"1.5x"'],
    [701, -1, '1e', '"1e"'],
    [17, -1, '\\xzz', '"\\\\xzz"'],
    [1007, -1, '{1,', '"{1,"'],
  ];
  for (const [type, modifier, text, json] of cases) assert.equal(valueOf(type, modifier, text), json, text);
});

test('more times: leap years, years before Christ, precisions, zones, signs', () => {
  const cases: readonly (readonly [type: number, modifier: number, text: string, json: string])[] = [
    [1082, -1, '1970-01-01', '0'],
    [1082, -1, '1969-12-31', '-1'],
    [1082, -1, '2000-02-29', '11016'],
    [1082, -1, '0001-01-01 BC', '-719528'],
    [1082, -1, '0044-03-15 BC', '-735160'],
    [1082, -1, 'infinity', '2146033979'],
    [1082, -1, '-infinity', '-2147472691'],
    [1114, -1, '1970-01-01 00:00:00', '0'],
    [1114, -1, '1970-01-01 00:00:00.000001', '1'],
    [1114, -1, '1969-12-31 23:59:59.999999', '-1'],
    [1114, -1, '1969-12-31 23:59:58', '-2000000'],
    [1114, 0, '1969-12-31 23:59:59', '-1000'],
    [1114, 3, '1969-12-31 23:59:59.999', '-1'],
    [1114, 3, 'infinity', '9223372036825200'],
    [1114, 3, '-infinity', '-9223372036832400'],
    [1114, -1, '0001-12-31 23:59:59.5 BC', '-62135596800500000'],
    [1184, 0, '2026-01-05 10:00:00+00', '"2026-01-05T10:00:00Z"'],
    [1184, 3, '2026-01-05 10:00:00.12+00', '"2026-01-05T10:00:00.120Z"'],
    [1184, -1, '0001-01-01 00:00:00+00', '"0001-01-01T00:00:00.000000Z"'],
    [1184, -1, '0001-01-01 00:00:00+00 BC', '"0000-01-01T00:00:00.000000Z"'],
    [1083, 0, '00:00:00', '0'],
    [1083, 6, '00:00:00.000001', '1'],
    [1266, -1, '00:30:00+02', '"22:30:00Z"'],
    [1266, -1, '23:30:00.5-05:45', '"05:15:00.5Z"'],
    [1266, -1, '24:00:00+00', '"24:00:00Z"'],
    [1266, -1, '00:00:00+15:59:59', '"08:00:01Z"'],
    [1186, -1, '00:00:00', '0'],
    [1186, -1, '-1 days', '-86400000000'],
    [1186, -1, '1 mon', '2629800000000'],
    [1186, -1, '-1 years -2 mons +3 days -04:05:06.78', '-36572706780000'],
    [1186, -1, 'infinity', '9223372036854775807'],
  ];
  for (const [type, modifier, text, json] of cases) assert.equal(valueOf(type, modifier, text), json, text);
});

test('more floats, as Double.toString and Float.toString of JDK 19 print them', () => {
  const cases: readonly (readonly [type: number, text: string, json: string])[] = [
    [701, '0', '0.0'],
    [701, '-0', '-0.0'],
    [701, '0.001', '0.001'],
    [701, '0.0001', '1.0E-4'],
    [701, '0.00012345', '1.2345E-4'],
    [701, '9999999', '9999999.0'],
    [701, '10000000', '1.0E7'],
    [701, '12345678.9', '1.23456789E7'],
    [701, '100', '100.0'],
    [701, '123456.789', '123456.789'],
    [701, '1e+308', '1.0E308'],
    [701, '1.7976931348623157e+308', '1.7976931348623157E308'],
    [701, '5e-324', '4.9E-324'],
    [701, '1e-323', '9.9E-324'],
    [701, '-2e-323', '-2.0E-323'],
    [701, '1.234e-05', '1.234E-5'],
    [700, '1e-45', '1.4E-45'],
    [700, '3.4028235e+38', '3.4028235E38'],
    [700, '1.1', '1.1'],
  ];
  for (const [type, text, json] of cases) assert.equal(valueOf(type, -1, text), json, text);
});

test('a large value that was left out is unavailable, in the shape of its type', () => {
  const placeholder = '__debezium_unavailable_value';
  const numbers = JSON.stringify([...Buffer.from(placeholder)]);
  const cases: readonly (readonly [type: number, json: string])[] = [
    [25, `"${placeholder}"`],
    [114, `"${placeholder}"`],
    [3802, `"${placeholder}"`],
    [17, `"${Buffer.from(placeholder).toString('base64')}"`],
    [1009, `["${placeholder}"]`],
    [3807, `["${placeholder}"]`],
    [1007, numbers],
    [1016, numbers],
    [1182, numbers],
  ];
  for (const [type, json] of cases) assert.equal(valueOf(type, -1, UNCHANGED), json);
});

test('control characters are escaped as Jackson does it', () => {
  assert.equal(valueOf(25, -1, '\u0001\u001f\b\t\n\f\r"\\/'), '"\\u0001\\u001F\\b\\t\\n\\f\\r\\"\\\\/"');
});

/** What the base64 of a Decimal means. */
function unscaled(json: string): bigint {
  const bytes = Buffer.from(JSON.parse(json) as string, 'base64');
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
}

test('a Decimal is the number, in as few bytes as hold it, whatever its size', () => {
  const digits = fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n });
  fc.assert(
    fc.property(digits, fc.nat(12), (value, scale) => {
      const sign = value < 0n ? '-' : '';
      const text = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
      const decimal = scale === 0 ? `${sign}${text}` : `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}`;
      const fixed = valueOf(1700, numeric(60, scale), decimal);
      assert.equal(unscaled(fixed), value, decimal);
      const bytes = Buffer.from(JSON.parse(fixed) as string, 'base64').length;
      assert.ok(bytes === 1 || value !== BigInt.asIntN((bytes - 1) * 8, value), `${decimal} in ${bytes} bytes`);
      const variable = JSON.parse(valueOf(1700, -1, decimal)) as { scale: number; value: string };
      assert.equal(unscaled(JSON.stringify(variable.value)) * 10n ** BigInt(scale - variable.scale), value, decimal);
      assert.ok(variable.scale === 0 || !decimal.slice(0, decimal.length - (scale - variable.scale)).endsWith('0'));
    }),
  );
});

test('a numeric of negative scale counts in its tens', () => {
  assert.equal(unscaled(valueOf(1700, numeric(3, -2), '12300')), 123n);
  assert.equal(unscaled(valueOf(1700, numeric(3, -2), '-100')), -1n);
  assert.equal(unscaled(valueOf(1700, numeric(3, -2), '0')), 0n);
});

test('floats: every number reads back as itself', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = Object.is(value, -0) ? '-0' : String(value);
      assert.ok(Object.is(Number(valueOf(701, -1, text)), value), text);
    }),
  );
});

test('timestamps: every microsecond of twenty thousand years is exact', () => {
  fc.assert(
    fc.property(fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }), fc.nat(999_999), (seconds, micros) => {
      const iso = new Date(seconds * 1000).toISOString();
      const text = `${iso.slice(0, 10)} ${iso.slice(11, 19)}.${String(micros).padStart(6, '0')}`;
      assert.equal(valueOf(1114, -1, text), String(BigInt(seconds) * 1_000_000n + BigInt(micros)), text);
      assert.equal(valueOf(1082, -1, text.slice(0, 10)), String(Math.floor(seconds / 86_400)));
    }),
  );
});
