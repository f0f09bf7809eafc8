import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../src/formats/byte-writer.ts';
import { Transaction } from '../../src/formats/change.ts';
import { EventIds } from '../../src/formats/event-id.ts';
import { NativeEncoder, type NativeOptions } from '../../src/formats/native.ts';
import { PgoutputError, readRelation } from '../../src/postgres/pgoutput.ts';
import {
  deleteMessage,
  frame,
  type Identity,
  insertMessage,
  relationMessage,
  type TestColumn,
  type TestRelation,
  type TestValue,
  truncateMessage,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-frames.ts';

// What an event looks like, byte for byte: the id aside, which event-id.test.ts has.

const TRANSACTION = new Transaction(0x1_a2b3_c4d5n, 1_767_607_200_123_456n, 7788);
const OID = 16_400;
const COLUMNS: readonly TestColumn[] = [
  { name: 'id', type: 20, key: true },
  { name: 'status', type: 25 },
  { name: 'body', type: 25 },
];

function relation(identity: Identity, columns = COLUMNS): TestRelation {
  const keyed = identity === 'n' ? columns.map(({ name, type }) => ({ name, type })) : columns;
  return { oid: OID, schema: 'public', name: 'orders', identity, columns: keyed };
}

function encoderOf(of: TestRelation, primaryKey: readonly string[], options?: NativeOptions): NativeEncoder {
  const definition = relationMessage(of);
  const ids = new EventIds({ systemId: '1', databaseOid: 1 });
  const relationOf = readRelation(definition, 0, definition.length);
  return new NativeEncoder(ids, relationOf, 'orders_cdc_stream', primaryKey, null, options);
}

function changeOf(message: Buffer) {
  return { data: frame(0x1_a2b3_c400n, message), offset: 0, transaction: TRANSACTION, ordinal: 0, seq: 3 };
}

function encode(
  of: TestRelation,
  message: Buffer,
  primaryKey: readonly string[] = ['id'],
  options?: NativeOptions,
): string {
  const out = new ByteWriter(16);
  encoderOf(of, primaryKey, options).encode(out, changeOf(message), new ByteWriter(16));
  return out.copy().toString('utf8');
}

function encodeThin(of: TestRelation, message: Buffer, fullBytes: number, as: 'insert' | 'delete' | null = null) {
  const out = new ByteWriter(16);
  encoderOf(of, ['id']).encodeThin(out, { ...changeOf(message), as }, new ByteWriter(16), fullBytes);
  return out.copy().toString('utf8');
}

const TRAILER = '"commit_ts":"2026-01-05T10:00:00.123456Z","lsn":"1/A2B3C400","xid":"7788","seq":3}';

function body(op: string, fields: string): string {
  return `"stream":"orders_cdc_stream","op":"${op}","schema":"public","table":"orders",${fields},${TRAILER}`;
}

const ROW = ['42', 'paid', 'long'];
const OLD = ['42', 'open', 'long'];

interface Case {
  readonly name: string;
  readonly identity: Identity;
  readonly message: Buffer;
  readonly expected: string;
  readonly primaryKey?: readonly string[];
  readonly columns?: readonly TestColumn[];
}

const CASES: readonly Case[] = [
  {
    name: 'INSERT',
    identity: 'd',
    message: insertMessage(OID, ['42', null, 'x']),
    expected: body('insert', '"key":{"id":"42"},"before":null,"after":{"id":"42","status":null,"body":"x"}'),
  },
  {
    name: 'INSERT into a table without a key',
    identity: 'n',
    message: insertMessage(OID, ROW),
    expected: body('insert', '"key":null,"before":null,"after":{"id":"42","status":"paid","body":"long"}'),
  },
  {
    name: 'INSERT, REPLICA IDENTITY FULL: the primary key is the key',
    identity: 'f',
    message: insertMessage(OID, ROW),
    expected: body('insert', '"key":{"id":"42"},"before":null,"after":{"id":"42","status":"paid","body":"long"}'),
  },
  {
    name: 'INSERT, REPLICA IDENTITY FULL without a primary key',
    identity: 'f',
    primaryKey: [],
    message: insertMessage(OID, ROW),
    expected: body('insert', '"key":null,"before":null,"after":{"id":"42","status":"paid","body":"long"}'),
  },
  {
    name: 'INSERT, REPLICA IDENTITY FULL, a primary key that is no longer there',
    identity: 'f',
    primaryKey: ['gone'],
    message: insertMessage(OID, ROW),
    expected: body('insert', '"key":null,"before":null,"after":{"id":"42","status":"paid","body":"long"}'),
  },
  {
    name: 'UPDATE that keeps the key: of the row before, the key is known',
    identity: 'd',
    message: updateMessage(OID, ROW),
    expected: body(
      'update',
      '"key":{"id":"42"},"before":{"id":"42"},"after":{"id":"42","status":"paid","body":"long"},"before_complete":false',
    ),
  },
  {
    name: 'UPDATE that keeps the key and leaves a large value out',
    identity: 'd',
    message: updateMessage(OID, ['42', 'paid', UNCHANGED]),
    expected: body(
      'update',
      '"key":{"id":"42"},"before":{"id":"42"},"after":{"id":"42","status":"paid"},"unchanged_toast":["body"],"before_complete":false',
    ),
  },
  {
    name: 'UPDATE that changes the key',
    identity: 'i',
    message: updateMessage(OID, ['43', 'paid', 'long'], { kind: 'K', row: ['42', null, null] }),
    expected: body(
      'update',
      '"key":{"id":"43"},"old_key":{"id":"42"},"before":{"id":"42"},"after":{"id":"43","status":"paid","body":"long"},"before_complete":false',
    ),
  },
  {
    name: 'UPDATE of a large key that stays: the old key comes although it is the same',
    identity: 'd',
    message: updateMessage(OID, [UNCHANGED, 'paid', 'x'], { kind: 'K', row: ['42', null, null] }),
    expected: body(
      'update',
      '"key":{"id":"42"},"before":{"id":"42"},"after":{"id":"42","status":"paid","body":"x"},"before_complete":false',
    ),
  },
  {
    name: 'UPDATE, REPLICA IDENTITY FULL: both images and what changed',
    identity: 'f',
    message: updateMessage(OID, ROW, { kind: 'O', row: OLD }),
    expected: body(
      'update',
      '"key":{"id":"42"},"before":{"id":"42","status":"open","body":"long"},"after":{"id":"42","status":"paid","body":"long"},"changed":["status"],"before_complete":true',
    ),
  },
  {
    name: 'UPDATE, REPLICA IDENTITY FULL: the old row supplies a large value that was left out',
    identity: 'f',
    message: updateMessage(OID, ['42', null, UNCHANGED], { kind: 'O', row: OLD }),
    expected: body(
      'update',
      '"key":{"id":"42"},"before":{"id":"42","status":"open","body":"long"},"after":{"id":"42","status":null,"body":"long"},"changed":["status"],"before_complete":true',
    ),
  },
  {
    name: 'UPDATE, REPLICA IDENTITY FULL, of the primary key and nothing else',
    identity: 'f',
    message: updateMessage(OID, ['43', 'open', 'long'], { kind: 'O', row: OLD }),
    expected: body(
      'update',
      '"key":{"id":"43"},"old_key":{"id":"42"},"before":{"id":"42","status":"open","body":"long"},"after":{"id":"43","status":"open","body":"long"},"changed":["id"],"before_complete":true',
    ),
  },
  {
    name: 'UPDATE that changes nothing',
    identity: 'f',
    message: updateMessage(OID, OLD, { kind: 'O', row: OLD }),
    expected: body(
      'update',
      '"key":{"id":"42"},"before":{"id":"42","status":"open","body":"long"},"after":{"id":"42","status":"open","body":"long"},"changed":[],"before_complete":true',
    ),
  },
  {
    name: 'UPDATE of a table whose every column is its key',
    identity: 'd',
    columns: [{ name: 'id', type: 23, key: true }],
    message: updateMessage(OID, ['43'], { kind: 'K', row: ['42'] }),
    expected: body(
      'update',
      '"key":{"id":43},"old_key":{"id":42},"before":{"id":42},"after":{"id":43},"changed":["id"],"before_complete":true',
    ),
  },
  {
    name: 'DELETE: the key is known',
    identity: 'd',
    message: deleteMessage(OID, 'K', ['42', null, null]),
    expected: body('delete', '"key":{"id":"42"},"before":{"id":"42"},"after":null,"before_complete":false'),
  },
  {
    name: 'DELETE, REPLICA IDENTITY FULL',
    identity: 'f',
    message: deleteMessage(OID, 'O', ['42', null, 'long']),
    expected: body(
      'delete',
      '"key":{"id":"42"},"before":{"id":"42","status":null,"body":"long"},"after":null,"before_complete":true',
    ),
  },
  {
    name: 'TRUNCATE',
    identity: 'd',
    message: truncateMessage(OID),
    expected: body('truncate', '"key":null,"before":null,"after":null'),
  },
  {
    name: 'names that JSON escapes',
    identity: 'n',
    columns: [{ name: 'a"\\\n\u0001ü', type: 25 }],
    message: insertMessage(OID, ['x']),
    expected: body('insert', '"key":null,"before":null,"after":{"a\\"\\\\\\n\\u0001ü":"x"}'),
  },
];

for (const { name, identity, message, expected, primaryKey, columns } of CASES) {
  test(name, () => {
    const text = encode(relation(identity, columns), message, primaryKey);
    assert.match(text, /^\{"id":"[0-9a-f-]{36}",/);
    assert.equal(text.slice('{"id":"019b8d8a-7b6f-7c3f-8f83-b22a9aa26cff",'.length), expected);
    assert.doesNotThrow(() => JSON.parse(text));
  });
}

type Value = readonly [type: number, text: TestValue, json: string];

const VALUES: Readonly<Record<string, readonly Value[]>> = {
  'numbers that JSON has': [
    [21, '-32768', '-32768'],
    [23, '2147483647', '2147483647'],
    [700, '1.5', '1.5'],
    [701, '1e+308', '1e+308'],
    [701, '-0', '-0'],
    [701, '5e-324', '5e-324'],
  ],
  'numbers that it has not, or not exactly': [
    [20, '9223372036854775807', '"9223372036854775807"'],
    [1700, '0.10', '"0.10"'],
    [1700, 'NaN', '"NaN"'],
    [701, 'NaN', '"NaN"'],
    [701, 'Infinity', '"Infinity"'],
    [700, '-Infinity', '"-Infinity"'],
    [26, '4294967295', '"4294967295"'],
  ],
  booleans: [
    [16, 't', 'true'],
    [16, 'f', 'false'],
  ],
  text: [
    [25, '', '""'],
    [25, 'a"b\\c/d', '"a\\"b\\\\c/d"'],
    [25, '\b\t\n\f\r\u0001\u001f\u007f', '"\\b\\t\\n\\f\\r\\u0001\\u001f\u007f"'],
    [25, 'größe 語 😀', '"größe 語 😀"'],
    [25, Buffer.from([0x61, 0xff, 0x62]), '"a\ufffdb"'],
    [1043, 'varchar', '"varchar"'],
    [2950, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'],
    [99_999, 'an enum', '"an enum"'],
    [3904, '[1,10)', '"[1,10)"'],
    [1186, '1 year 2 mons', '"1 year 2 mons"'],
  ],
  'json is spliced in': [
    [114, '{"a" : 1.0,\n "b":[null]}', '{"a" : 1.0,\n "b":[null]}'],
    [3802, '12345678901234567890.10', '12345678901234567890.10'],
    [3802, '"ü"', '"ü"'],
    [114, Buffer.from([0x22, 0xff, 0x22]), '"\ufffd"'],
  ],
  timestamps: [
    [1114, '2026-01-05 10:00:00.123456', '"2026-01-05T10:00:00.123456"'],
    [1114, '2026-01-05 10:00:00', '"2026-01-05T10:00:00.000000"'],
    [1114, '2026-01-05 10:00:00.1', '"2026-01-05T10:00:00.100000"'],
    [1114, '9999-12-31 23:59:59.999999', '"9999-12-31T23:59:59.999999"'],
    [1114, '10000-01-01 00:00:00', '"10000-01-01 00:00:00"'],
    [1114, '0044-03-15 12:00:00 BC', '"0044-03-15 12:00:00 BC"'],
    [1114, 'infinity', '"infinity"'],
    [1114, '-infinity', '"-infinity"'],
    [1184, '2026-01-05 10:00:00.123456+00', '"2026-01-05T10:00:00.123456Z"'],
    [1184, '2026-01-05 10:00:00+00', '"2026-01-05T10:00:00.000000Z"'],
    [1184, '2026-01-05 10:00:00+05:45', '"2026-01-05T10:00:00.000000+05:45"'],
    [1184, '2026-01-05 10:00:00-08', '"2026-01-05T10:00:00.000000-08:00"'],
    [1184, '1890-01-05 10:00:00+00:53:28', '"1890-01-05 10:00:00+00:53:28"'],
    [1184, '0044-03-15 12:00:00+00 BC', '"0044-03-15 12:00:00+00 BC"'],
    [1184, 'infinity', '"infinity"'],
    [1082, '2026-01-05', '"2026-01-05"'],
    [1082, '4713-01-01 BC', '"4713-01-01 BC"'],
    [1083, '10:00:00.1', '"10:00:00.1"'],
    [1266, '10:00:00+02', '"10:00:00+02"'],
  ],
  'bytea is base64': [
    [17, '\\x', '""'],
    [17, '\\x00', '"AA=="'],
    [17, '\\x0001', '"AAE="'],
    [17, '\\x000102', '"AAEC"'],
    [17, '\\xdeadbeefFF', '"3q2+7/8="'],
    [17, '\\xzz', '"\\\\xzz"'],
    [17, '\\x0', '"\\\\x0"'],
  ],
  arrays: [
    [1007, '{}', '[]'],
    [1007, '{1,NULL,-3}', '[1,null,-3]'],
    [1007, '{{1,2},{3,4}}', '[[1,2],[3,4]]'],
    [1007, '[0:2]={1,2,3}', '[1,2,3]'],
    [1007, '[1:1][-2:-1]={{1,2}}', '[[1,2]]'],
    [1016, '{9223372036854775807}', '["9223372036854775807"]'],
    [1009, '{a,"b c","d\\"e\\\\f",NULL,"NULL","",nu\u00fcll}', '["a","b c","d\\"e\\\\f",null,"NULL","","nu\u00fcll"]'],
    [1009, '{"{}",","}', '["{}",","]'],
    [1000, '{t,f,NULL}', '[true,false,null]'],
    [1022, '{1.5,NaN,Infinity}', '[1.5,"NaN","Infinity"]'],
    [3807, '{"{\\"a\\": [1, 2]}",1,"\\"x\\""}', '[{"a": [1, 2]},1,"x"]'],
    [1115, '{"2026-01-05 10:00:00"}', '["2026-01-05T10:00:00.000000"]'],
    [1001, '{"\\\\x00ff"}', '["AP8="]'],
    [1231, '{0.10}', '["0.10"]'],
    [1007, '{1,2', '"{1,2"'],
    [1007, '{1,,2}', '"{1,,2}"'],
    [1007, '{1}x', '"{1}x"'],
    [1007, '', '""'],
    [1007, '[0:2]', '"[0:2]"'],
    [1009, '{"a', '"{\\"a"'],
    [1009, '{"a\\', '"{\\"a\\\\"'],
    [1007, '{{{{{{{1}}}}}}}', '"{{{{{{{1}}}}}}}"'],
  ],
};

for (const [name, values] of Object.entries(VALUES)) {
  test(name, () => {
    for (const [type, text, json] of values) {
      const event = encode(relation('n', [{ name: 'v', type }]), insertMessage(OID, [text]));
      const after = event.slice(
        event.indexOf('"after":{"v":') + '"after":{"v":'.length,
        event.indexOf('},"commit_ts"'),
      );
      assert.equal(after, json, `${type}: ${String(text)}`);
      assert.doesNotThrow(() => JSON.parse(event));
    }
  });
}

test('with numbers = number, bigint and numeric are numbers with the digits that they have', () => {
  const options = { numbers: 'number', includeTransaction: true } as const;
  const cases: readonly (readonly [type: number, text: string, json: string])[] = [
    [20, '9223372036854775807', '9223372036854775807'],
    [20, '-1', '-1'],
    [1700, '0.10', '0.10'],
    [1700, '-123456789012345678901234567890.1234567890', '-123456789012345678901234567890.1234567890'],
    [1700, 'NaN', '"NaN"'],
    [1700, '-Infinity', '"-Infinity"'],
    [1016, '{9223372036854775807,NULL}', '[9223372036854775807,null]'],
    [1231, '{0.10,NaN}', '[0.10,"NaN"]'],
    [790, '$1.00', '"$1.00"'],
  ];
  for (const [type, text, json] of cases) {
    const event = encode(relation('n', [{ name: 'v', type }]), insertMessage(OID, [text]), [], options);
    assert.ok(event.includes(`"after":{"v":${json}},"commit_ts"`), event);
    assert.doesNotThrow(() => JSON.parse(event));
  }
  const keyed = encode(relation('d'), insertMessage(OID, ROW), ['id'], options);
  assert.ok(keyed.includes('"key":{"id":42}'), keyed);
});

test('without include_transaction, time, position and transaction are left out', () => {
  const options = { numbers: 'string', includeTransaction: false } as const;
  const event = encode(relation('d'), insertMessage(OID, ROW), ['id'], options);
  const { id, ...rest } = JSON.parse(event) as Record<string, unknown>;
  assert.match(String(id), /^[0-9a-f-]{36}$/);
  assert.deepEqual(Object.keys(rest), ['stream', 'op', 'schema', 'table', 'key', 'before', 'after']);
});

const THIN: readonly (readonly [
  name: string,
  identity: Identity,
  message: Buffer,
  as: 'insert' | 'delete' | null,
  head: string,
])[] = [
  ['INSERT', 'd', insertMessage(OID, ROW), null, '"op":"insert"|"key":{"id":"42"}'],
  ['UPDATE', 'd', updateMessage(OID, ROW), null, '"op":"update"|"key":{"id":"42"}'],
  [
    'UPDATE of the key',
    'd',
    updateMessage(OID, ROW, { kind: 'K', row: ['41', null, null] }),
    null,
    '"op":"update"|"key":{"id":"42"},"old_key":{"id":"41"}',
  ],
  [
    'UPDATE that enters',
    'f',
    updateMessage(OID, ROW, { kind: 'O', row: OLD }),
    'insert',
    '"op":"insert"|"key":{"id":"42"}',
  ],
  [
    'UPDATE that leaves',
    'f',
    updateMessage(OID, ROW, { kind: 'O', row: OLD }),
    'delete',
    '"op":"delete"|"key":{"id":"42"}',
  ],
  ['DELETE', 'd', deleteMessage(OID, 'K', ['42', null, null]), null, '"op":"delete"|"key":{"id":"42"}'],
  ['TRUNCATE', 'd', truncateMessage(OID), null, '"op":"truncate"|"key":null'],
];

for (const [name, identity, message, as, expected] of THIN) {
  test(`thin, ${name}: the key and what is known of the change, and no row`, () => {
    const thin = encodeThin(relation(identity), message, 1_234_567, as);
    const [op, key] = expected.split('|');
    const id = thin.slice(0, thin.indexOf('"stream"'));
    assert.equal(
      thin.slice(id.length),
      `"stream":"orders_cdc_stream",${op},"schema":"public","table":"orders",${key},"before":null,"after":null,"thin":true,"full_bytes":1234567,${TRAILER}`,
    );
    if (as === null) assert.ok(encode(relation(identity), message).startsWith(id), 'the id is that of the whole event');
  });
}

test('a large value is written whole', () => {
  const text = 'ab"\n语'.repeat(200_000);
  const event = encode(relation('n', [{ name: 'v', type: 25 }]), insertMessage(OID, [text]));
  assert.equal((JSON.parse(event) as { after: { v: string } }).after.v, text);
});

test('bytes that are no change are refused', () => {
  assert.throws(() => encode(relation('d'), insertMessage(OID, ['1', '2'])), PgoutputError);
  assert.throws(() => encode(relation('d'), Buffer.from('C')), PgoutputError);
  assert.throws(
    () => encode(relation('d'), Buffer.concat([insertMessage(OID, []).subarray(0, 6), Buffer.from([0, 3, 0x78])])),
    PgoutputError,
  );
});

test('commit times are exact to the microsecond', () => {
  const cases: readonly (readonly [bigint, string])[] = [
    [0n, '1970-01-01T00:00:00.000000Z'],
    [951_782_400_000_001n, '2000-02-29T00:00:00.000001Z'],
    [1_709_251_199_999_999n, '2024-02-29T23:59:59.999999Z'],
    [4_102_444_800_000_000n, '2100-01-01T00:00:00.000000Z'],
  ];
  for (const [micros, text] of cases) assert.equal(new Transaction(1n, micros, 1).commitText.toString(), text);
});
