import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Transformer } from '../../src/delivery/transformer.ts';
import type { WindowLimits } from '../../src/delivery/scheduler.ts';
import type { EnvelopeName, FormatName } from '../../src/model/stream.ts';
import type { FailureOutcome, SinkBatch, SinkRecord } from '../../src/sinks/sink.ts';
import { readAvro } from '../support/avro-reader.ts';
import { streamDefinition } from '../support/delivery-fakes.ts';
import { MICROS, ORDERS, Stage, writer } from '../support/delivery-stage.ts';
import {
  ChunkWriter,
  deleteMessage,
  insertMessage,
  truncateMessage,
  updateMessage,
} from '../support/pgoutput-frames.ts';
import { temporaryFolder } from '../support/test-database.ts';

// The law: a sink that takes records has each event's values one by one, each under the key that it is about, with the event's
// id; the same records whether the event lies in the log or was kept as a dead letter.

const STATUS = 'a,]}"\\ é';

/** An insert, an update, a change of the key, a delete, a truncate. */
function changes(): ChunkWriter {
  const chunks = writer();
  chunks.begin(MICROS);
  chunks.change(ORDERS.oid, insertMessage(ORDERS.oid, ['1', STATUS]));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['1', 'paid']));
  chunks.change(ORDERS.oid, updateMessage(ORDERS.oid, ['2', STATUS], { kind: 'K', row: ['1', null] }));
  chunks.change(ORDERS.oid, deleteMessage(ORDERS.oid, 'K', ['2', null]));
  chunks.change(ORDERS.oid, truncateMessage(ORDERS.oid));
  chunks.commit();
  chunks.cut();
  return chunks;
}

function stageOf(chunks: ChunkWriter, limits?: WindowLimits, transformer: Transformer | null = null): Stage {
  const path = join(temporaryFolder(), 'delivery.db');
  const on = new Stage(chunks.chunks, path, chunks.chunks.length, limits, transformer);
  on.sink.takesRecords = true;
  return on;
}

function recordsOf(sent: readonly SinkBatch[]): readonly SinkRecord[] {
  return sent.flatMap(({ records = [] }) => records);
}

type Shown = readonly [op: string, key: string | null, value: string | null];

function show({ operation, key, value }: SinkRecord): Shown {
  const said = value === null ? null : (JSON.parse(value.toString()) as Record<string, unknown>);
  return [operation, key && key.toString(), said && String(said.op ?? said._sm_deleted)];
}

const EXPECTED: Readonly<Record<EnvelopeName, readonly Shown[]>> = {
  native: [
    ['insert', '{"id":1}', 'insert'],
    ['update', '{"id":1}', 'update'],
    ['update', '{"id":2}', 'update'],
    ['delete', '{"id":2}', 'delete'],
    ['truncate', null, 'truncate'],
  ],
  debezium: [
    ['insert', '{"id":1}', 'c'],
    ['update', '{"id":1}', 'u'],
    ['delete', '{"id":1}', 'd'],
    ['delete', '{"id":1}', null],
    ['insert', '{"id":2}', 'c'],
    ['delete', '{"id":2}', 'd'],
    ['delete', '{"id":2}', null],
    ['truncate', null, 't'],
  ],
  flat: [
    ['insert', '{"id":1}', 'false'],
    ['update', '{"id":1}', 'false'],
    ['delete', '{"id":1}', 'true'],
    ['delete', '{"id":1}', null],
    ['insert', '{"id":2}', 'false'],
    ['delete', '{"id":2}', 'true'],
    ['delete', '{"id":2}', null],
    ['truncate', null, 'true'],
  ],
  cloudevents: [
    ['insert', '{"id":1}', 'undefined'],
    ['update', '{"id":1}', 'undefined'],
    ['update', '{"id":2}', 'undefined'],
    ['delete', '{"id":2}', 'undefined'],
    ['truncate', null, 'undefined'],
  ],
};

for (const [envelope, expected] of Object.entries(EXPECTED) as [EnvelopeName, readonly Shown[]][]) {
  for (const batchMaxEvents of [1, 100]) {
    test(`${envelope}, ${batchMaxEvents} at a time: each event's values, under their keys`, async () => {
      const on = stageOf(changes());
      on.configure(streamDefinition({ envelope, options: { batchMaxEvents } }));
      await on.clock.advance(1_000);
      const records = recordsOf(on.sink.sent);
      assert.deepEqual(records.map(show), expected);
      assert.equal(new Set(records.map(({ id }) => id)).size, 5);
      for (const { schema, table, order, lsn } of records) {
        assert.deepEqual([schema, table, order], ['public', 'orders', null]);
        assert.match(lsn, /^[0-9A-F]+\/[0-9A-F]+$/);
      }
      await on.stop();
    });
  }
}

test('records need nothing to be written down before they are sent: their ids are those of the events', async () => {
  const on = stageOf(changes());
  const batches: number[] = [];
  on.sink.answer = () => {
    batches.push(on.store.load(streamDefinition().id)?.retries.length ?? 0);
    return { class: 'ok', status: null, failed: [] };
  };
  on.configure(streamDefinition({ options: { batchMaxEvents: 100 } }));
  await on.clock.advance(1_000);
  assert.ok(batches.length > 0 && batches.every((stored) => stored === 0));
  await on.stop();
});

const REJECTED: FailureOutcome = {
  class: 'rejected',
  status: null,
  code: 'invalid_record',
  reason: 'no',
  retryAfterMs: null,
};

test('a dead letter that is sent again is the records that it was', async () => {
  const on = stageOf(changes());
  const stream = streamDefinition({ envelope: 'debezium', options: { onDeadLetter: 'continue' } });
  const moved = ({ records = [] }: SinkBatch): boolean => records.length === 3 && records[2]!.operation === 'insert';
  on.sink.answer = (batch) => (moved(batch) ? REJECTED : { class: 'ok', status: null, failed: [] });
  on.configure(stream);
  await on.clock.advance(3_600_000);
  const [letter] = on.store.deadLetters.list(stream.id, 5);
  assert.equal(letter?.op, 'update');
  const before = on.sink.sent.find(moved)!;
  on.sink.sent.length = 0;
  on.sink.answer = () => ({ class: 'ok', status: null, failed: [] });
  assert.deepEqual(on.delivery.control({ kind: 'retry-dead-letters', streamId: stream.id, id: null }), {
    kind: 'count',
    count: 1,
  });
  await on.clock.advance(60_000);
  const [again] = on.sink.sent;
  assert.equal(again!.isReplay, true);
  assert.deepEqual(again!.records, before.records);
  await on.stop();
});

test('what goes with one key, one table or one stream says so, and so does a KEY of its own', async () => {
  const orders = async (options: object, orderingKey: readonly string[] | null = null) => {
    const on = stageOf(changes());
    on.configure(streamDefinition({ envelope: 'flat', orderingKey, options }));
    await on.clock.advance(1_000);
    const found = recordsOf(on.sink.sent).map(({ order }) => order);
    await on.stop();
    return found;
  };
  assert.deepEqual(new Set(await orders({ ordering: 'table' })), new Set(['public.orders']));
  assert.deepEqual(new Set(await orders({ ordering: 'stream' })), new Set(['']));
  assert.deepEqual(new Set(await orders({ ordering: 'none' })), new Set([null]));
  // By status: what the deleted row's was is not known.
  const table = 'public.orders';
  const status = Buffer.from(STATUS).toString('latin1');
  assert.deepEqual(await orders({}, ['status']), [status, 'paid', status, status, status, table, table, table]);
});

test('PEEK shows values as they are, several as an array', async () => {
  const on = stageOf(changes());
  const stream = streamDefinition({ envelope: 'flat', desiredState: 'paused', options: { batchMaxEvents: 100 } });
  on.configure(stream);
  await on.clock.advance(1_000);
  const answer = on.delivery.control({ kind: 'peek', streamId: stream.id, limit: 10 });
  assert.ok(answer?.kind === 'peek');
  for (const { body } of answer.requests) assert.ok(JSON.parse(body));
  await on.stop();
});

test('a stream that gets another kind of sink while a batch waits goes on with what that one takes', async () => {
  const on = stageOf(changes());
  on.sink.takesRecords = false;
  on.sink.answer = () => ({ class: 'transient', status: 500, code: 'http_500', reason: 'no', retryAfterMs: null });
  on.configure(streamDefinition({ options: { batchMaxEvents: 100 } }));
  await on.clock.advance(100);
  assert.ok(on.sink.sent.length > 0 && recordsOf(on.sink.sent).length === 0);
  on.sink.takesRecords = true;
  on.sink.sent.length = 0;
  on.sink.answer = () => ({ class: 'ok', status: null, failed: [] });
  const destination = { kind: 'kafka', brokers: 'k', topic: 't' } as const;
  on.configure(streamDefinition({ destination, options: { batchMaxEvents: 100 } }));
  await on.clock.advance(60_000);
  assert.deepEqual(recordsOf(on.sink.sent).map(show), EXPECTED.native);
  await on.stop();
});

test('each value is transformed, and a tombstone stays one', async () => {
  const bodies: string[] = [];
  const transformer: Transformer = {
    transform: (_, __, body) => {
      bodies.push(body.toString());
      const values = JSON.parse(body.toString()) as object[];
      return Promise.resolve({
        body: Buffer.from(JSON.stringify(values.map((value, n) => ({ n, s: ',]}"', value })))),
      });
    },
  };
  const on = stageOf(changes(), undefined, transformer);
  const transform = { language: 'jsonpath', text: '$' } as const;
  on.configure(streamDefinition({ envelope: 'flat', transform, options: { batchMaxEvents: 100 } }));
  await on.clock.advance(1_000);
  const records = recordsOf(on.sink.sent);
  assert.deepEqual(
    records.map(({ operation, value }) => [operation, value === null]),
    EXPECTED.flat.map(([operation, , value]) => [operation, value === null]),
  );
  for (const { value } of records) if (value !== null) assert.ok((JSON.parse(value.toString()) as { s: string }).s);
  await on.stop();
});

/** What a record in Avro says, as another implementation reads it. */
function showAvro({ operation, key, value, schemas }: SinkRecord): Shown {
  const ofKey = key === null ? null : (readAvro(schemas!.key!, key) as { id: number });
  const said = value === null ? null : (readAvro(schemas!.value, value) as Record<string, unknown>);
  return [operation, ofKey && `{"id":${ofKey.id}}`, said && String(said.op ?? said._sm_deleted)];
}

for (const envelope of ['native', 'debezium', 'flat'] as const) {
  test(`${envelope} in Avro: the same records, with the schemas by which they are read`, async () => {
    for (const batchMaxEvents of [1, 100]) {
      const on = stageOf(changes());
      on.configure(streamDefinition({ envelope, format: 'avro', options: { batchMaxEvents } }));
      await on.clock.advance(1_000);
      const records = recordsOf(on.sink.sent);
      assert.deepEqual(records.map(showAvro), EXPECTED[envelope]);
      // The same strings, so that whoever looks them up need not read them.
      assert.equal(new Set(records.map(({ schemas }) => schemas)).size, 1);
      await on.stop();
    }
  });
}

test('a dead letter in Avro is the records that it was when it is sent again, and JSON to be read', async () => {
  const on = stageOf(changes());
  const stream = streamDefinition({ envelope: 'debezium', format: 'avro' });
  const moved = ({ records = [] }: SinkBatch): boolean => records.length === 3 && records[2]!.operation === 'insert';
  on.sink.answer = (batch) => (moved(batch) ? REJECTED : { class: 'ok', status: null, failed: [] });
  on.configure(stream);
  await on.clock.advance(3_600_000);
  const [letter] = on.store.deadLetters.list(stream.id, 5);
  assert.deepEqual(
    (JSON.parse(letter!.payload.toString()) as { op: string }[]).map(({ op }) => op),
    ['d', 'c'],
  );
  const before = on.sink.sent.find(moved)!;
  const again = async (format: FormatName): Promise<readonly SinkRecord[]> => {
    on.sink.sent.length = 0;
    on.configure({ ...stream, format });
    on.delivery.control({ kind: 'retry-dead-letters', streamId: stream.id, id: null });
    await on.clock.advance(60_000);
    return on.sink.sent[0]!.records!;
  };
  // Rejected once more, so that it stays.
  on.sink.answer = () => REJECTED;
  const asAvro = await again('avro');
  assert.deepEqual(asAvro, before.records);
  await on.clock.advance(3_600_000);
  // In a stream of JSON it is JSON.
  on.sink.answer = () => ({ class: 'ok', status: null, failed: [] });
  const asJson = await again('json');
  assert.deepEqual(asJson.map(show), EXPECTED.debezium.slice(2, 5));
  assert.ok(asJson.every(({ schemas }) => schemas === undefined));
  await on.stop();
});

test('what was kept as JSON is refused in a stream of Avro, and says why', async () => {
  const on = stageOf(changes());
  const stream = streamDefinition({ envelope: 'flat' });
  const isDelete = ({ records = [] }: SinkBatch): boolean => records[0]?.key?.toString() === '{"id":2}';
  on.sink.answer = (batch) => (isDelete(batch) ? REJECTED : { class: 'ok', status: null, failed: [] });
  on.configure(stream);
  await on.clock.advance(3_600_000);
  assert.equal(on.store.deadLetters.list(stream.id, 5).length, 1);
  on.sink.sent.length = 0;
  on.configure({ ...stream, format: 'avro' });
  on.delivery.control({ kind: 'retry-dead-letters', streamId: stream.id, id: null });
  await on.clock.advance(1_000);
  const [refused] = recordsOf(on.sink.sent);
  assert.deepEqual([refused!.key, refused!.value, refused!.schemas], [null, null, undefined]);
  assert.match(refused!.fault!, /^the event was kept as JSON/);
  await on.stop();
});

test('a value that Avro has no form for is told of its event alone', async () => {
  const relation = {
    ...ORDERS,
    columns: [ORDERS.columns[0]!, { name: 'n', type: 1700, modifier: ((5 << 16) | 2) + 4 }],
  };
  const chunks = new ChunkWriter();
  chunks.define(relation);
  chunks.begin(MICROS);
  for (const [id, n] of [
    ['1', '1.50'],
    ['2', 'NaN'],
    ['3', '2.50'],
  ]) {
    chunks.change(relation.oid, insertMessage(relation.oid, [id!, n!]));
  }
  chunks.commit();
  chunks.cut();
  const on = stageOf(chunks);
  on.configure(streamDefinition({ envelope: 'flat', format: 'avro', options: { batchMaxEvents: 100 } }));
  await on.clock.advance(1_000);
  const records = recordsOf(on.sink.sent);
  assert.deepEqual(
    records.map(({ event, fault = null, value }) => [event, fault, value === null]),
    [
      [0, null, false],
      [1, 'column "n" has a value that its Avro type cannot hold', true],
      [2, null, false],
    ],
  );
  assert.equal(new Set(records.map(({ id }) => id)).size, 3);
  await on.stop();
});
