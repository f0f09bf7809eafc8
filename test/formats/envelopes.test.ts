import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '../../src/formats/byte-writer.ts';
import { Transaction } from '../../src/formats/change.ts';
import type { EnvelopeName } from '../../src/model/stream.ts';
import { PgoutputError } from '../../src/postgres/pgoutput.ts';
import { insertMessage } from '../support/pgoutput-frames.ts';
import { encodable, encodeEvent, encodeKey, encoderFor, encodeThin, type TestChange } from './encode-event.ts';
import { GOLDEN_CHANGES } from './golden-changes.ts';
import { readGolden, writeGolden } from './golden.ts';

// What every envelope makes of every operation, byte for byte.

const ENVELOPES: readonly EnvelopeName[] = ['native', 'debezium', 'flat', 'cloudevents'];

for (const envelope of ENVELOPES) {
  const file = `${envelope}.txt`;
  const printed = new Map(
    Object.entries(GOLDEN_CHANGES).map(([name, change]) => [name, encodeEvent(change, { envelope })]),
  );
  if (process.env.RECORD) writeGolden(file, printed);
  const golden = readGolden(file);
  for (const [name, text] of printed) {
    test(`${envelope}: ${name}`, () => {
      assert.equal(text, golden.get(name));
      assert.doesNotThrow(() => JSON.parse(`[${text}]`));
    });
  }
  test(`${envelope}: nothing is in the golden file that is not checked`, () => {
    assert.deepEqual([...golden.keys()], Object.keys(GOLDEN_CHANGES));
  });
}

test('an event says how many values it came to: two only where an envelope splits a change of the key', () => {
  for (const envelope of ENVELOPES) {
    for (const [name, change] of Object.entries(GOLDEN_CHANGES)) {
      const out = new ByteWriter(16);
      const ids = new ByteWriter(16);
      const encoder = encoderFor(change, { envelope });
      const values = encoder.encode(out, encodable(change), ids);
      const parsed = JSON.parse(`[${out.copy().toString('utf8')}]`) as unknown[];
      assert.equal(values, parsed.length, `${envelope}, ${name}`);
      const splits = (envelope === 'debezium' || envelope === 'flat') && /another key/.test(name);
      assert.equal(values, splits ? 2 : 1, `${envelope}, ${name}`);
      assert.equal(ids.length, 16, 'one id, whatever it is made into');
      out.clear();
      assert.equal(encoder.encodeThin(out, encodable(change), ids, 1), values, `${envelope}, ${name}, thin`);
      assert.equal((JSON.parse(`[${out.copy().toString('utf8')}]`) as unknown[]).length, values);
    }
  }
});

test('the id is the same in every envelope', () => {
  for (const change of Object.values(GOLDEN_CHANGES)) {
    const ids = ENVELOPES.map((envelope) => {
      const written = new ByteWriter(16);
      encoderFor(change, { envelope }).encode(new ByteWriter(16), encodable(change), written);
      return written.copy().toString('hex');
    });
    assert.equal(new Set(ids).size, 1);
  }
});

const change = (name: string): TestChange => GOLDEN_CHANGES[name]!;
const parse = (text: string): Record<string, unknown>[] => JSON.parse(`[${text}]`) as Record<string, unknown>[];

const LARGE = insertMessage(16_400, ['42', 'paid', '19.90', '2026-01-05 10:00:00+00', 'x'.repeat(100_000)]);

test('thin, debezium: what may be long is unavailable, and the key is there', () => {
  const [thin] = parse(
    encodeThin({ ...change('INSERT, REPLICA IDENTITY DEFAULT'), message: LARGE }, { envelope: 'debezium' }, 7),
  );
  assert.deepEqual(thin!.after, {
    id: 42,
    status: '__debezium_unavailable_value',
    total: '__debezium_unavailable_value',
    placed_at: '2026-01-05T10:00:00.000000Z',
    body: '__debezium_unavailable_value',
  });
  const [removed, created] = parse(
    encodeThin(change('UPDATE, REPLICA IDENTITY FULL, another key'), { envelope: 'debezium' }, 7),
  );
  assert.equal((removed!.before as { id: number }).id, 42);
  assert.equal((created!.after as { id: number }).id, 43);
});

test('thin, flat: the key, what became of the row, and how long it was', () => {
  const [thin] = parse(
    encodeThin({ ...change('INSERT, REPLICA IDENTITY DEFAULT'), message: LARGE }, { envelope: 'flat' }, 123_456),
  );
  assert.deepEqual(thin, {
    id: '42',
    _sm_version: 7024657408,
    _sm_deleted: false,
    _sm_thin: true,
    _sm_full_bytes: 123_456,
  });
});

test('thin, cloudevents: the attributes are whole', () => {
  const full = parse(encodeEvent(change('UPDATE, REPLICA IDENTITY FULL'), { envelope: 'cloudevents' }))[0]!;
  const thin = parse(encodeThin(change('UPDATE, REPLICA IDENTITY FULL'), { envelope: 'cloudevents' }, 999))[0]!;
  assert.deepEqual({ ...thin, data: null }, { ...full, data: null });
  assert.deepEqual(thin.data, {
    op: 'update',
    schema: 'public',
    table: 'orders',
    key: { id: '42' },
    before: null,
    after: null,
    thin: true,
    full_bytes: 999,
  });
});

test('keys, for dead letters: as the envelope writes the values', () => {
  const moved = change('UPDATE, REPLICA IDENTITY DEFAULT, another key');
  const keys = ENVELOPES.map((envelope) => encodeKey(moved, { envelope }));
  assert.deepEqual(keys, ['{"id":"43"}', '{"id":43}', '{"id":"43"}', '{"id":"43"}']);
  for (const envelope of ENVELOPES) {
    assert.equal(encodeKey(change('TRUNCATE'), { envelope }), 'null');
    assert.equal(encodeKey(change('DELETE, REPLICA IDENTITY FULL, no primary key'), { envelope }), 'null');
    assert.match(encodeKey(change('DELETE, REPLICA IDENTITY DEFAULT'), { envelope }), /^\{"id":"?42"?\}$/);
  }
});

test('numbers: FLAT and CLOUDEVENTS write them as asked, DEBEZIUM has its own way', () => {
  const of = (envelope: EnvelopeName) =>
    encodeEvent(change('INSERT, REPLICA IDENTITY FULL'), { envelope, numbers: 'number' });
  assert.match(of('flat'), /^\{"id":42,"status":"paid","total":19.90,/);
  assert.match(of('cloudevents'), /"after":\{"id":42,"status":"paid","total":19.90,/);
  assert.equal(of('debezium'), encodeEvent(change('INSERT, REPLICA IDENTITY FULL'), { envelope: 'debezium' }));
});

test('include_transaction = false: CLOUDEVENTS leaves its attributes out, the others need theirs', () => {
  const of = (envelope: EnvelopeName) =>
    encodeEvent(change('DELETE, REPLICA IDENTITY FULL'), { envelope, includeTransaction: false });
  const event = parse(of('cloudevents'))[0]!;
  const names = ['specversion', 'id', 'source', 'type', 'subject', 'datacontenttype', 'data'];
  assert.deepEqual(Object.keys(event), names);
  for (const envelope of ['debezium', 'flat'] as const) {
    assert.equal(of(envelope), encodeEvent(change('DELETE, REPLICA IDENTITY FULL'), { envelope }));
  }
});

// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system
const ATTRIBUTE_NAME = /^[a-z0-9]{1,20}$/;
const CONTROL = /[\p{Cc}\p{Noncharacter_Code_Point}\p{Cs}]/u;
const URI_REFERENCE = /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/;

test("cloudevents: attributes keep the specification's rules, whatever names there are", () => {
  const names = ['orders', 'a b', 'größe/€', '..', '\u0001\u007f\u0085', 'x\ufffe\ufdd0', '%2F', '\ud800', '"\\'];
  for (const name of names) {
    const relation = { ...change('TRUNCATE').relation, schema: name, name };
    const of = (more: Partial<TestChange> = {}) =>
      encodeEvent(
        { ...change('INSERT, REPLICA IDENTITY DEFAULT'), relation, ...more },
        { envelope: 'cloudevents', stream: name, database: name },
      );
    const { data, ...attributes } = parse(of())[0]!;
    assert.equal(typeof data, 'object');
    for (const [attribute, value] of Object.entries(attributes)) {
      assert.match(attribute, ATTRIBUTE_NAME);
      assert.ok(typeof value === 'string' && value.length > 0, attribute);
      assert.doesNotMatch(value, CONTROL);
    }
    assert.match(String(attributes.source), URI_REFERENCE);
    assert.equal(new URL(String(attributes.source)).href, attributes.source);
  }
});

test('cloudevents: sequence places events in their order', () => {
  const at = (commitLsn: bigint, seq: number) => {
    const out = new ByteWriter(16);
    const of = { ...change('TRUNCATE'), transaction: new Transaction(commitLsn, 1_767_607_200_000_000n, 700) };
    encoderFor(of, { envelope: 'cloudevents' }).encode(out, { ...encodable(of), seq }, new ByteWriter(16));
    return String(parse(out.copy().toString('utf8'))[0]!.sequence);
  };
  const sequences = [at(0xffn, 9), at(0x100n, 0), at(0x100n, 9), at(0x100n, 10), at(0x1_0000_0000n, 3)];
  assert.deepEqual(sequences, [...sequences].sort());
});

test('bytes that are no change are refused in every envelope', () => {
  for (const envelope of ENVELOPES) {
    for (const message of [Buffer.from('X\0\0\0\0'), insertMessage(16_400, ['1'])]) {
      assert.throws(() => encodeEvent({ ...change('TRUNCATE'), message }, { envelope }), PgoutputError);
    }
  }
});
