import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../src/formats/byte-writer.ts';
import { AvroValueError } from '../../src/formats/avro-row.ts';
import { createAvroEncoder, type EnvelopeOptions } from '../../src/formats/envelope.ts';
import { EventIds } from '../../src/formats/event-id.ts';
import { framedValues, type MessageEncoder } from '../../src/formats/message-encoder.ts';
import { OID } from '../../src/postgres/oid.ts';
import { readRelation } from '../../src/postgres/pgoutput.ts';
import { avroType, readAvro } from '../support/avro-reader.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  type TestColumn,
  type TestRelation,
  type TestValue,
  truncateMessage,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-frames.ts';
import { encodable, encodeEvent, OPTIONS, type TestChange } from './encode-event.ts';
import { readGolden, writeGolden } from './golden.ts';

// FORMAT AVRO: what another implementation reads of what is written.

const TABLE = 16_400;
type Avro = Record<string, unknown>;

function avroEncoder({ relation, primaryKey, sent }: TestChange, options: Partial<EnvelopeOptions>): MessageEncoder {
  const definition = relationMessage(relation);
  const ids = new EventIds({ systemId: '7300000000000000001', databaseOid: 5 });
  const read = readRelation(definition, 0, definition.length);
  return createAvroEncoder(ids, read, primaryKey ?? ['id'], sent ?? null, { ...OPTIONS, ...options })!;
}

/** What is read of a change: its values, and its keys, the old one first where there are two. */
function read(change: TestChange, options: Partial<EnvelopeOptions>, thinOf: number | null = null) {
  const encoder = avroEncoder(change, options);
  const { schemas } = encoder;
  const out = new ByteWriter(16);
  const ids = new ByteWriter(16);
  const count =
    thinOf === null
      ? encoder.encode(out, encodable(change), ids)
      : encoder.encodeThin(out, encodable(change), ids, thinOf);
  const bytes = out.copy();
  const framed = framedValues(bytes, 0, count);
  assert.equal(
    framed.reduce((sum, { length }) => sum + length + 4, 0),
    bytes.length,
  );
  const keyOf = (write: (out: ByteWriter) => void): unknown => {
    const key = new ByteWriter(16);
    write(key);
    return key.length === 0 ? null : readAvro(schemas.key!, key.copy());
  };
  const keys = [keyOf((key) => encoder.encodeKey(key, encodable(change)))];
  if (count === 2) keys.unshift(keyOf((key) => encoder.encodeOldKey!(key, encodable(change))));
  return { values: framed.map((value) => readAvro(schemas.value, value) as Avro), keys, schemas };
}

function table(columns: readonly TestColumn[], identity: TestRelation['identity'] = 'd'): TestRelation {
  return { oid: TABLE, schema: 'public', name: 'orders', identity, columns };
}

const COLUMNS: readonly TestColumn[] = [
  { name: 'id', type: OID.int8, key: true },
  { name: 'status', type: OID.text },
  { name: 'note', type: OID.text },
];

/** One value of a type, as it is read. */
function valueOf(type: number, modifier: number, text: TestValue, envelope: EnvelopeOptions['envelope']): unknown {
  const relation = table([{ name: 'v', type, modifier }], 'n');
  const { values } = read({ relation, message: insertMessage(TABLE, [text]) }, { envelope });
  return envelope === 'flat' ? values[0]!.v : (values[0]!.after as Avro).v;
}

const decimal = (unscaled: bigint): Buffer => {
  let hex = '';
  for (let rest = unscaled; ; rest >>= 8n) {
    hex = (rest & 0xffn).toString(16).padStart(2, '0') + hex;
    const isEnd = (rest >= -128n && rest < 128n) || false;
    if (isEnd) return Buffer.from(hex, 'hex');
  }
};
const numeric = (precision: number, scale: number): number => ((precision << 16) | (scale & 0x7ff)) + 4;

test('values of every type, as a reader has them', () => {
  const cases: readonly (readonly [
    name: string,
    type: number,
    modifier: number,
    text: string,
    debezium: unknown,
    logical: unknown,
  ])[] = [
    ['bool', OID.bool, -1, 't', true, true],
    ['bool', OID.bool, -1, 'f', false, false],
    ['int2', OID.int2, -1, '-32768', -32_768, -32_768],
    ['int4', OID.int4, -1, '2147483647', 2_147_483_647, 2_147_483_647],
    ['int4', OID.int4, -1, '-2147483648', -2_147_483_648, -2_147_483_648],
    ['int8', OID.int8, -1, '9223372036854775807', 2n ** 63n - 1n, 2n ** 63n - 1n],
    ['int8', OID.int8, -1, '-9223372036854775808', -(2n ** 63n), -(2n ** 63n)],
    ['int8', OID.int8, -1, '0', 0n, 0n],
    ['oid', OID.oid, -1, '4294967295', 4_294_967_295n, 4_294_967_295n],
    ['float4', OID.float4, -1, '1.5', 1.5, 1.5],
    ['float8', OID.float8, -1, '1e-300', 1e-300, 1e-300],
    ['float8', OID.float8, -1, 'NaN', NaN, NaN],
    ['float8', OID.float8, -1, '-Infinity', -Infinity, -Infinity],
    ['float8', OID.float8, -1, '-0', -0, -0],
    ['numeric', OID.numeric, numeric(5, 2), '123.45', decimal(12_345n), decimal(12_345n)],
    ['numeric', OID.numeric, numeric(5, 2), '-0.01', decimal(-1n), decimal(-1n)],
    [
      'numeric',
      OID.numeric,
      numeric(38, 0),
      `-${'9'.repeat(38)}`,
      decimal(-(10n ** 38n) + 1n),
      decimal(-(10n ** 38n) + 1n),
    ],
    ['numeric', OID.numeric, numeric(3, -2), '12300', decimal(12_300n), decimal(12_300n)],
    ['numeric', OID.numeric, numeric(2, 4), '0.0012', decimal(12n), decimal(12n)],
    ['numeric', OID.numeric, -1, '1.500', { scale: 1, value: decimal(15n) }, '1.500'],
    ['numeric', OID.numeric, -1, '-100', { scale: 0, value: decimal(-100n) }, '-100'],
    ['money', OID.money, -1, '-$1,234.50', decimal(-123_450n), '-$1,234.50'],
    ['bytea', OID.bytea, -1, String.raw`\x00ff10`, Buffer.from([0, 255, 16]), Buffer.from([0, 255, 16])],
    ['bytea', OID.bytea, -1, String.raw`\x`, Buffer.alloc(0), Buffer.alloc(0)],
    ['bit', OID.bit, 1, '1', true, true],
    ['bit', OID.bit, 10, '1000000001', Buffer.from([1, 2]), '1000000001'],
    ['varbit', OID.varbit, -1, '101', Buffer.from([5]), '101'],
    ['date', OID.date, -1, '2026-01-05', 20_458, 20_458],
    ['date', OID.date, -1, '0044-03-15 BC', -735_160, -735_160],
    ['date', OID.date, -1, 'infinity', 2_146_033_979, 2_146_033_979],
    ['time', OID.time, -1, '10:00:00.000001', 36_000_000_001n, 36_000_000_001n],
    ['time', OID.time, 3, '24:00:00', 86_400_000, 86_400_000_000n],
    ['timetz', OID.timetz, -1, '10:00:00.1+02', '08:00:00.1Z', '10:00:00.1+02'],
    ['timestamp', OID.timestamp, -1, '2026-01-05 10:00:00.123456', 1_767_607_200_123_456n, 1_767_607_200_123_456n],
    ['timestamp', OID.timestamp, 3, '2026-01-05 10:00:00.123', 1_767_607_200_123n, 1_767_607_200_123_000n],
    ['timestamp', OID.timestamp, -1, '1969-12-31 23:59:59.999999', -1n, -1n],
    ['timestamp', OID.timestamp, -1, '-infinity', -9_223_372_036_832_400_000n, -9_223_372_036_832_400_000n],
    [
      'timestamptz',
      OID.timestamptz,
      -1,
      '2026-01-05 10:00:00.12+00',
      '2026-01-05T10:00:00.120000Z',
      1_767_607_200_120_000n,
    ],
    ['timestamptz', OID.timestamptz, -1, 'infinity', 'infinity', 9_223_372_036_825_200_000n],
    [
      'timestamptz',
      OID.timestamptz,
      -1,
      '4714-11-24 00:00:00+00 BC',
      '-4713-11-24T00:00:00.000000Z',
      -210_866_803_200_000_000n,
    ],
    ['interval', OID.interval, -1, '1 day 02:00:00', 93_600_000_000n, '1 day 02:00:00'],
    [
      'uuid',
      OID.uuid,
      -1,
      '019c4ab1-473b-783c-af83-b22a9aa26cff',
      '019c4ab1-473b-783c-af83-b22a9aa26cff',
      '019c4ab1-473b-783c-af83-b22a9aa26cff',
    ],
    ['jsonb', OID.jsonb, -1, '{"a": "ü"}', '{"a": "ü"}', '{"a": "ü"}'],
    ['xml', 142, -1, '<a/>', '<a/>', '<a/>'],
    [
      'point',
      OID.point,
      -1,
      '(1.5,-2)',
      { x: 1.5, y: -2, wkb: Buffer.from('0101000000000000000000f83f00000000000000c0', 'hex'), srid: null },
      '(1.5,-2)',
    ],
    ['text', OID.text, -1, 'ünï\n"\\', 'ünï\n"\\', 'ünï\n"\\'],
    ['text', OID.text, -1, '', '', ''],
    ['inet', 869, -1, '10.0.0.1/8', '10.0.0.1/8', '10.0.0.1/8'],
    ['int4range', 3904, -1, '[1,2)', '[1,2)', '[1,2)'],
    ['an enum', 99_999, -1, 'open', 'open', 'open'],
    ['int4[]', 1007, -1, '{1,NULL,-3}', [1, null, -3], [1, null, -3]],
    ['int4[]', 1007, -1, '{}', [], []],
    ['int4[]', 1007, -1, '[0:1]={1,2}', [1, 2], [1, 2]],
    [
      'text[]',
      1009,
      -1,
      String.raw`{a,"b,\"c","NULL",NULL,"",ü}`,
      ['a', 'b,"c', 'NULL', null, '', 'ü'],
      ['a', 'b,"c', 'NULL', null, '', 'ü'],
    ],
    ['date[]', 1182, -1, '{1970-01-02}', [1], [1]],
    ['bytea[]', 1001, -1, String.raw`{"\\x0102"}`, [Buffer.from([1, 2])], [Buffer.from([1, 2])]],
    ['numeric[]', 1231, -1, '{1.5}', [{ scale: 1, value: decimal(15n) }], ['1.5']],
    [
      'point[]',
      1017,
      -1,
      '{"(0,0)"}',
      [{ x: 0, y: 0, wkb: Buffer.concat([Buffer.from([1, 1]), Buffer.alloc(19)]), srid: null }],
      ['(0,0)'],
    ],
  ];
  for (const [name, type, modifier, text, debezium, logical] of cases) {
    assert.deepEqual(valueOf(type, modifier, text, 'debezium'), debezium, `debezium ${name} ${text}`);
    for (const envelope of ['flat', 'native'] as const) {
      assert.deepEqual(valueOf(type, modifier, text, envelope), logical, `${envelope} ${name} ${text}`);
      assert.equal(valueOf(type, modifier, null, envelope), null);
    }
  }
});

test('a value that its type cannot hold is refused, with its column and not its text', () => {
  const cases: readonly (readonly [
    type: number,
    modifier: number,
    text: string,
    envelopes: readonly EnvelopeOptions['envelope'][],
  ])[] = [
    [OID.numeric, numeric(5, 2), 'NaN', ['debezium', 'flat', 'native']],
    [OID.numeric, -1, 'Infinity', ['debezium']],
    [OID.money, -1, '1.234,50 €', ['debezium']],
    [1007, -1, '{{1,2},{3,4}}', ['debezium', 'flat', 'native']],
    [OID.timestamp, -1, '294276-12-31 23:59:59', ['debezium', 'flat', 'native']],
    [OID.date, -1, 'yesterday', ['debezium', 'flat', 'native']],
  ];
  for (const [type, modifier, text, envelopes] of cases) {
    for (const envelope of envelopes) {
      assert.throws(
        () => valueOf(type, modifier, text, envelope),
        (error) => error instanceof AvroValueError && /column "v"/.test(error.message) && !error.message.includes(text),
        `${envelope} ${text}`,
      );
    }
  }
});

test('any text, bytes and whole numbers come back as they were', () => {
  const columns: readonly TestColumn[] = [
    { name: 'id', type: OID.int8, key: true },
    { name: 't', type: OID.text },
    { name: 'b', type: OID.bytea },
    { name: 'n', type: OID.numeric, modifier: numeric(38, 6) },
    { name: 'l', type: 1009 },
  ];
  const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  const row = fc.record({
    id: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    t: fc.option(fc.string({ unit: 'grapheme', maxLength: 200 })),
    b: fc.option(fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))),
    n: fc.option(fc.bigInt({ min: -(10n ** 37n), max: 10n ** 37n })),
    l: fc.option(fc.array(fc.option(fc.string({ unit: 'grapheme', maxLength: 10 })), { maxLength: 5 })),
  });
  fc.assert(
    fc.property(row, ({ id, t, b, n, l }) => {
      const digits = n === null ? null : String(n < 0n ? -n : n).padStart(7, '0');
      const values: TestValue[] = [
        String(id),
        t,
        b === null ? null : String.raw`\x${b.toString('hex')}`,
        digits === null ? null : `${n! < 0n ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6)}`,
        l === null ? null : `{${l.map((text) => (text === null ? 'NULL' : quote(text))).join(',')}}`,
      ];
      const change = { relation: table(columns), message: insertMessage(TABLE, values) };
      const { values: written, keys } = read(change, { envelope: 'flat' });
      const expected = { id, t, b, n: n === null ? null : decimal(n), l };
      const { _sm_version, _sm_deleted, _sm_unknown, _sm_full_bytes, ...rest } = written[0]!;
      assert.deepEqual(rest, expected);
      assert.deepEqual([_sm_version, _sm_deleted, _sm_unknown, _sm_full_bytes], [0x1_a2b3_c400n, false, [], null]);
      assert.deepEqual(keys, [{ id }]);
    }),
  );
});

test('text that is no UTF-8 becomes valid, as in JSON', () => {
  const latin1 = Buffer.from('caf\u00e9', 'latin1');
  const { values } = read(
    { relation: table(COLUMNS), message: insertMessage(TABLE, ['1', latin1, null]) },
    { envelope: 'flat' },
  );
  assert.equal(values[0]!.status, 'caf\ufffd');
});

/** Longs of the Avro as the JSON has them: numbers. */
function asJson(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(asJson);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, asJson(member)]));
}

const FULL = table(COLUMNS, 'f');
const CHANGES: readonly (readonly [name: string, change: TestChange])[] = [
  ['insert', { relation: table(COLUMNS), message: insertMessage(TABLE, ['42', 'open', null]) }],
  [
    'read',
    { relation: table(COLUMNS), message: insertMessage(TABLE, ['42', 'open', null]), backfill: Buffer.alloc(16, 7) },
  ],
  ['update', { relation: table(COLUMNS), message: updateMessage(TABLE, ['42', 'paid', 'x']) }],
  [
    'update, whole',
    {
      relation: FULL,
      message: updateMessage(TABLE, ['42', 'paid', UNCHANGED], { kind: 'O', row: ['42', 'open', 'y'] }),
    },
  ],
  [
    'update of the key',
    {
      relation: table(COLUMNS),
      message: updateMessage(TABLE, ['43', 'paid', 'x'], { kind: 'K', row: ['42', null, null] }),
    },
  ],
  [
    'update that enters',
    { relation: table(COLUMNS), message: updateMessage(TABLE, ['42', 'paid', 'x']), as: 'insert' },
  ],
  [
    'update that leaves',
    {
      relation: FULL,
      message: updateMessage(TABLE, ['42', 'paid', 'x'], { kind: 'O', row: ['42', 'open', 'y'] }),
      as: 'delete',
    },
  ],
  ['unchanged', { relation: table(COLUMNS), message: updateMessage(TABLE, ['42', 'paid', UNCHANGED]) }],
  ['delete', { relation: table(COLUMNS), message: deleteMessage(TABLE, 'K', ['42', null, null]) }],
  ['delete, whole', { relation: FULL, message: deleteMessage(TABLE, 'O', ['42', 'open', 'y']) }],
  ['truncate', { relation: table(COLUMNS), message: truncateMessage(TABLE) }],
  ['columns', { relation: table(COLUMNS), message: insertMessage(TABLE, ['42', 'open', 'z']), sent: ['id', 'note'] }],
  [
    'no key',
    {
      relation: table(
        COLUMNS.map(({ name, type }) => ({ name, type })),
        'n',
      ),
      message: insertMessage(TABLE, ['42', 'open', 'z']),
    },
  ],
];

test('the DEBEZIUM envelope in Avro says what its JSON says', () => {
  for (const [name, change] of CHANGES) {
    const { values } = read(change, { envelope: 'debezium' });
    const json = JSON.parse(`[${encodeEvent(change, { envelope: 'debezium' })}]`) as readonly Avro[];
    // Above 2^53 a double has other digits: both go through one.
    assert.deepEqual(values.map(asJson), json, name);
  }
});

test('the NATIVE envelope in Avro says what its JSON says', () => {
  for (const [name, change] of CHANGES) {
    const { values } = read(change, { envelope: 'native' });
    const json = JSON.parse(encodeEvent(change, { envelope: 'native' })) as Avro;
    const event = asJson(values[0]);
    const rowOf = (row: unknown): unknown =>
      row && { id: null, note: null, ...(change.sent === undefined && { status: null }), ...(row as Avro) };
    const idOf = (row: unknown): unknown => row && { ...(row as Avro), id: Number((row as Avro).id) };
    assert.deepEqual(
      event,
      {
        ...json,
        key: name === 'no key' ? null : idOf(json.key),
        old_key: idOf(json.old_key ?? null),
        before: json.before && idOf(rowOf(json.before)),
        after: json.after && idOf(rowOf(json.after)),
        changed: json.changed ?? null,
        unchanged_toast: json.unchanged_toast ?? [],
        before_complete: json.before_complete ?? null,
        thin: false,
        full_bytes: null,
        commit_ts: 1_767_607_200_123_456,
        xid: 7788,
      },
      name,
    );
  }
});

test('the FLAT envelope in Avro says what its JSON says, and which columns it does not know', () => {
  for (const [name, change] of CHANGES) {
    const { values } = read(change, { envelope: 'flat' });
    const json = JSON.parse(`[${encodeEvent(change, { envelope: 'flat' })}]`) as readonly Avro[];
    const all = change.sent === undefined ? { id: null, status: null, note: null } : { id: null, note: null };
    const unknown = name === 'unchanged' ? ['note'] : [];
    assert.deepEqual(
      values.map(asJson),
      json.map(({ id, ...rest }) => ({
        ...all,
        ...(id === undefined ? {} : { id: Number(id) }),
        ...rest,
        _sm_unknown: unknown,
        _sm_full_bytes: null,
      })),
      name,
    );
  }
});

test('an update of the key has a message and a key for each of the two', () => {
  const change = CHANGES.find(([name]) => name === 'update of the key')![1];
  for (const envelope of ['debezium', 'flat'] as const) {
    const { values, keys } = read(change, { envelope });
    assert.equal(values.length, 2);
    assert.deepEqual(keys, [{ id: 42n }, { id: 43n }]);
  }
  assert.deepEqual(read(change, { envelope: 'native' }).keys, [{ id: 43n }]);
});

test('a table without key, and a TRUNCATE, have no key', () => {
  const noKey = CHANGES.find(([name]) => name === 'no key')![1];
  const truncate = CHANGES.find(([name]) => name === 'truncate')![1];
  for (const envelope of ['debezium', 'flat', 'native'] as const) {
    assert.equal(read(noKey, { envelope }).schemas.key, null);
    assert.deepEqual(read(noKey, { envelope }).keys, [null]);
    assert.deepEqual(read(truncate, { envelope }).keys, [null]);
  }
});

test('an event that is too large goes without what makes it so', () => {
  const change: TestChange = {
    relation: table(COLUMNS),
    message: updateMessage(TABLE, ['42', 'paid', 'x'.repeat(500)]),
  };
  const placeholder = '__debezium_unavailable_value';
  const [debezium] = read(change, { envelope: 'debezium' }, 900).values;
  assert.deepEqual(debezium!.after, { id: 42n, status: placeholder, note: placeholder });
  const [flat] = read(change, { envelope: 'flat' }, 900).values;
  assert.deepEqual(
    [flat!.id, flat!.note, flat!._sm_unknown, flat!._sm_full_bytes],
    [42n, null, ['status', 'note'], 900n],
  );
  const [native] = read(change, { envelope: 'native' }, 900).values;
  assert.deepEqual(
    [native!.key, native!.before, native!.after, native!.thin, native!.full_bytes],
    [{ id: 42n }, null, null, true, 900n],
  );
});

test('large values that an update left alone: a placeholder in DEBEZIUM, and refused where there is none', () => {
  const columns: readonly TestColumn[] = [
    ...COLUMNS,
    { name: 'b', type: OID.bytea },
    { name: 'l', type: 1009 },
    { name: 'n', type: 1007 },
  ];
  const message = updateMessage(TABLE, ['1', UNCHANGED, UNCHANGED, UNCHANGED, UNCHANGED, UNCHANGED]);
  const text = '__debezium_unavailable_value';
  const [value] = read({ relation: table(columns), message }, { envelope: 'debezium' }).values;
  assert.deepEqual(value!.after, {
    id: 1n,
    status: text,
    note: text,
    b: Buffer.from(text),
    l: [text],
    n: [...Buffer.from(text)],
  });
  const relation = table([COLUMNS[0]!, { name: 'd', type: OID.numeric }]);
  assert.throws(
    () => read({ relation, message: updateMessage(TABLE, ['1', UNCHANGED]) }, { envelope: 'debezium' }),
    /column "d" .* unchanged_toast = fetch/,
  );
});

test('names that Avro does not take are made valid, and none is there twice', () => {
  const names = ['id', 'a-b', 'a_b', '1st', 'naïve', '_sm_version', 'a b', '_sm_deleted_2'];
  const columns = names.map((name, i) => ({ name, type: OID.text, ...(i === 0 && { key: true }) }));
  const relation: TestRelation = { ...table(columns), schema: 'my schema', name: '2026' };
  const { schemas, values } = read(
    { relation, message: insertMessage(TABLE, names) },
    { envelope: 'flat', stream: 'a.b' },
  );
  const schema = JSON.parse(schemas.value) as {
    name: string;
    namespace: string;
    fields: readonly { name: string; doc?: string }[];
  };
  assert.equal(schema.namespace, 'a_b.my_schema._2026');
  assert.deepEqual(
    schema.fields.slice(0, names.length).map(({ name, doc }) => [name, doc]),
    [
      ['id', undefined],
      ['a_b_2', 'column "a-b"'],
      ['a_b', undefined],
      ['_1st', 'column "1st"'],
      ['na_ve', 'column "naïve"'],
      ['_sm_version_2', 'column "_sm_version"'],
      ['a_b_3', 'column "a b"'],
      ['_sm_deleted_2', undefined],
    ],
  );
  assert.equal(values[0]!['a_b_3'], 'a b');
});

test('columns come and go, and readers of either schema read what was written with the other', () => {
  const added = [...COLUMNS, { name: 'more', type: OID.int4 }];
  const dropped = COLUMNS.slice(0, 2);
  const wider = COLUMNS.map((column) => (column.name === 'id' ? column : { ...column, type: OID.text }));
  for (const envelope of ['debezium', 'flat', 'native'] as const) {
    const typeOf = (columns: readonly TestColumn[]) => {
      const values = columns.map((_, i) => String(i));
      const { schemas } = read({ relation: table(columns), message: insertMessage(TABLE, values) }, { envelope });
      return avroType(schemas.value);
    };
    for (const [one, other] of [
      [COLUMNS, added],
      [COLUMNS, dropped],
      [COLUMNS, wider],
    ] as const) {
      assert.doesNotThrow(() => typeOf(one).createResolver(typeOf(other)));
      assert.doesNotThrow(() => typeOf(other).createResolver(typeOf(one)));
    }
    // int to bigint: readers of the new one read the old.
    const ints = [...COLUMNS, { name: 'n', type: OID.int4 }];
    const longs = [...COLUMNS, { name: 'n', type: OID.int8 }];
    assert.doesNotThrow(() => typeOf(longs).createResolver(typeOf(ints)));
    const texts = [...COLUMNS, { name: 'n', type: OID.text }];
    assert.throws(() => typeOf(texts).createResolver(typeOf(ints)));
  }
});

test('the schemas are those that were written down', () => {
  const columns: readonly TestColumn[] = [
    { name: 'id', type: OID.int8, key: true },
    { name: 'amount', type: OID.numeric, modifier: numeric(10, 2) },
    { name: 'at', type: OID.timestamptz },
    { name: 'day', type: OID.date },
    { name: 'tags', type: 1009 },
    { name: 'any', type: OID.numeric },
  ];
  const printed = new Map<string, string>();
  for (const envelope of ['debezium', 'flat', 'native'] as const) {
    const { schemas } = read({ relation: table(columns), message: truncateMessage(TABLE) }, { envelope, stream: 's' });
    printed.set(`${envelope} key`, schemas.key!);
    printed.set(`${envelope} value`, schemas.value);
  }
  if (process.env.RECORD) writeGolden('avro-schemas.txt', printed);
  assert.deepEqual(printed, readGolden('avro-schemas.txt'));
});
