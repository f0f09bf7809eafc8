import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAvro } from '../support/avro-reader.ts';
import { type ConnectRecord, readAsConnect } from '../support/connect-reader.ts';
import { countMessages, readBytes, startKafka } from '../support/kafka-broker.ts';
import { startSchemaRegistry } from '../support/schema-registry.ts';
import { startKafkaStage } from '../support/kafka-stage.ts';
import { waitFor } from '../support/wait-for.ts';

// The law: what walhook produces with ENVELOPE DEBEZIUM, Kafka Connect's own converters read, and Debezium's own transform makes
// rows of; and a schema registry that others have written takes the schemas, and refuses what is not compatible.

const broker = await startKafka();
const registry = await startSchemaRegistry();
const { sql } = await startKafkaStage();

const COLUMNS = `id bigint PRIMARY KEY, small smallint, n numeric(10, 3), any_n numeric, f float8, b bool, note text, day date,
  clock time, at timestamp, zoned timestamptz, u uuid, j jsonb, bytes bytea, tags text[], span interval`;
const ROW = `-5, -1234.567, 1.5, 0.1, true, 'é\\n"', '2026-01-05', '10:00:00.5', '2026-01-05 10:00:00.123456',
  '2026-01-05 12:00:00+02', '019c4ab1-473b-783c-af83-b22a9aa26cff', '{"a": [1]}', '\\x00ff', '{a,NULL}', '1 day'`;

/** The same life of two rows, whichever the format. */
async function produce(table: string, clauses: string): Promise<void> {
  await broker.createTopic(table);
  await sql(
    `CREATE TABLE ${table} (${COLUMNS})`,
    `ALTER TABLE ${table} REPLICA IDENTITY FULL`,
    `CREATE CDC STREAM ${table}_stream ON ${table} TO KAFKA '${broker.address()}' TOPIC '${table}' ENVELOPE DEBEZIUM ${clauses}`,
    `INSERT INTO ${table} VALUES (1, ${ROW})`,
    `INSERT INTO ${table} (id) VALUES (9007199254740993)`,
    `UPDATE ${table} SET note = 'other' WHERE id = 1`,
    `UPDATE ${table} SET id = 2 WHERE id = 1`,
    `DELETE FROM ${table} WHERE id = 2`,
    `TRUNCATE ${table}`,
  );
  await waitFor('the messages', async () => (await countMessages(broker.address(), table)) === 9);
}

type Row = Record<string, unknown>;

const long = (value: number | string): Row => ({ Long: String(value) });

/** Of each key, in order: what a record is, and its row before and after. */
function lives(records: readonly ConnectRecord[]) {
  const byKey = Map.groupBy(records, ({ key }) => (key as { id: { Long: string } } | null)?.id.Long ?? null);
  return new Map(
    [...byKey].map(([key, own]) => [
      key,
      own.map(({ value }) => {
        if (value === null) return 'tombstone';
        const noteOf = (row: unknown): unknown => (row as Row | null)?.note ?? null;
        return [value.op, noteOf(value.before), noteOf(value.after)];
      }),
    ]),
  );
}

const LIVES = new Map<string | null, unknown>([
  ['1', [['c', null, 'é\\n"'], ['u', 'é\\n"', 'other'], ['d', 'other', null], 'tombstone']],
  ['2', [['c', null, 'other'], ['d', 'other', null], 'tombstone']],
  ['9007199254740993', [['c', null, null]]],
  [null, [['t', null, null]]],
]);

test('JsonConverter reads what ENVELOPE DEBEZIUM is in JSON, with nothing lost', async () => {
  await produce('as_json', '');
  const records = await readAsConnect(broker.address(), 'as_json');
  assert.deepEqual(lives(records), LIVES);
  const { value, schema } = records.find((record) => record.value?.op === 'c' && lives([record]).has('1'))!;
  assert.equal(schema, null);
  assert.deepEqual(value!.after, {
    id: long(1),
    small: long(-5),
    // Without a schema a Decimal stays base64 of its unscaled value: -1234567, and 15 with its scale.
    n: Buffer.from([0xed, 0x29, 0x79]).toString('base64'),
    any_n: { scale: long(1), value: Buffer.from([15]).toString('base64') },
    f: { Double: '0.1' },
    b: true,
    note: 'é\\n"',
    day: long(20_458),
    clock: long(36_000_500_000),
    at: long('1767607200123456'),
    zoned: '2026-01-05T10:00:00.000000Z',
    u: '019c4ab1-473b-783c-af83-b22a9aa26cff',
    j: '{"a": [1]}',
    bytes: Buffer.from([0, 255]).toString('base64'),
    tags: ['a', null],
    span: long(86_400_000_000),
  });
  const { source, ...rest } = value!;
  const { version, connector, name, snapshot, db, schema: ofSchema, table, xmin } = source as Row;
  assert.deepEqual(
    { version, connector, name, snapshot, db, schema: ofSchema, table, xmin },
    {
      version: '3.0.8.Final',
      connector: 'postgresql',
      name: 'as_json_stream',
      snapshot: 'false',
      db: 'postgres',
      schema: 'public',
      table: 'as_json',
      xmin: null,
    },
  );
  assert.deepEqual(Object.keys(rest).toSorted(), ['after', 'before', 'op', 'transaction', 'ts_ms', 'ts_ns', 'ts_us']);
});

test('as Avro its types are those of Debezium, and ExtractNewRecordState makes rows of it', async () => {
  await produce('as_avro', `FORMAT AVRO WITH (schema_registry_url = '${registry.url}')`);
  const records = await readAsConnect(broker.address(), 'as_avro', registry.ownUrl);
  assert.deepEqual(lives(records), LIVES);
  const inserted = records.find((record) => record.value?.op === 'c' && lives([record]).has('1'))!;
  assert.equal(inserted.schema, 'as_avro_stream.public.as_avro.Envelope');
  assert.deepEqual(inserted.types, {
    id: 'INT64',
    small: 'INT16',
    n: 'org.apache.kafka.connect.data.Decimal',
    any_n: 'io.debezium.data.VariableScaleDecimal',
    f: 'FLOAT64',
    b: 'BOOLEAN',
    note: 'STRING',
    day: 'io.debezium.time.Date',
    clock: 'io.debezium.time.MicroTime',
    at: 'io.debezium.time.MicroTimestamp',
    zoned: 'io.debezium.time.ZonedTimestamp',
    u: 'io.debezium.data.Uuid',
    j: 'io.debezium.data.Json',
    bytes: 'BYTES',
    tags: 'ARRAY',
    span: 'io.debezium.time.MicroDuration',
  });
  const row = {
    id: long(1),
    small: { Short: '-5' },
    n: { BigDecimal: '-1234.567' },
    any_n: { scale: { Integer: '1' }, value: { bytes: Buffer.from([15]).toString('base64') } },
    f: { Double: '0.1' },
    b: true,
    note: 'é\\n"',
    day: { Integer: '20458' },
    clock: long(36_000_500_000),
    at: long('1767607200123456'),
    zoned: '2026-01-05T10:00:00.000000Z',
    u: '019c4ab1-473b-783c-af83-b22a9aa26cff',
    j: '{"a": [1]}',
    bytes: { bytes: Buffer.from([0, 255]).toString('base64') },
    tags: ['a', null],
    span: long(86_400_000_000),
  };
  assert.deepEqual(inserted.value!.after, row);
  const { lsn } = inserted.value!.source as Row;
  assert.deepEqual(inserted.extracted, { ...row, __deleted: 'false', __op: 'c', __source_lsn: lsn });
  // A deleted row is its last image, tombstones and truncates are dropped: as with Debezium itself.
  const deleted = records.find((record) => record.value?.op === 'd' && lives([record]).has('2'))!;
  assert.deepEqual(
    [deleted.extracted!.id, deleted.extracted!.note, deleted.extracted!.__deleted],
    [long(2), 'other', 'true'],
  );
  assert.deepEqual(
    records.filter(({ value }) => value === null || value.op === 't').map(({ extracted }) => extracted),
    [null, null, null],
  );
});

for (const envelope of ['NATIVE', 'FLAT']) {
  test(`a registry takes ENVELOPE ${envelope} as its table changes, and what it refuses has its reason`, async () => {
    const table = `evolving_${envelope.toLowerCase()}`;
    await broker.createTopic(table);
    await sql(
      `CREATE TABLE ${table} (id int PRIMARY KEY, a int)`,
      `CREATE CDC STREAM ${table}_stream ON ${table} TO KAFKA '${broker.address()}' TOPIC '${table}' FORMAT AVRO
         ENVELOPE ${envelope} WITH (schema_registry_url = '${registry.url}', max_retry_duration = '1s')`,
      `INSERT INTO ${table} VALUES (1, 1)`,
    );
    await waitFor('the first', async () => (await countMessages(broker.address(), table)) === 1);
    await registry.setCompatibility('BACKWARD');
    await sql(
      `ALTER TABLE ${table} ADD COLUMN b text`,
      `INSERT INTO ${table} VALUES (2, 2, 'two')`,
      `ALTER TABLE ${table} DROP COLUMN b, ALTER COLUMN a TYPE bigint`,
      `INSERT INTO ${table} VALUES (3, 3)`,
    );
    await waitFor('the others', async () => (await countMessages(broker.address(), table)) === 3);
    assert.equal(await registry.versions(`${table}-value`), 3);
    const rows = await Promise.all(
      (await readBytes(broker.address(), table)).map(async (bytes) => {
        const value = readAvro(await registry.schema(bytes.readInt32BE(1)), bytes.subarray(5)) as Row;
        const { id, a, b } = (envelope === 'FLAT' ? value : value.after) as Row;
        return { id, a, b };
      }),
    );
    assert.deepEqual(
      rows.toSorted((x, y) => Number(x.id) - Number(y.id)),
      [
        { id: 1, a: 1, b: undefined },
        { id: 2, a: 2, b: 'two' },
        { id: 3, a: 3n, b: undefined },
      ],
    );
    await sql(`ALTER TABLE ${table} ALTER COLUMN a TYPE text USING a::text`, `INSERT INTO ${table} VALUES (4, 'x')`);
    const [letter] = await waitFor('the dead letter', async () => {
      const letters = await sql(`SHOW CDC DEAD LETTERS FOR ${table}_stream`);
      return letters.length > 0 ? letters : null;
    });
    assert.ok(
      letter!.includes(
        `schema registry: subject "${table}-value": HTTP 409: the schema is not compatible with those that the subject has`,
      ),
      JSON.stringify(letter),
    );
    await registry.setCompatibility('NONE');
    await sql(`RETRY CDC DEAD LETTERS FOR ${table}_stream ALL`);
    await waitFor('the dead letter’s event', async () => (await countMessages(broker.address(), table)) === 4);
  });
}
