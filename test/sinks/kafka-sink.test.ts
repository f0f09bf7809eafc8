import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kafkaSink, OK, record, send } from '../support/kafka-sinks.ts';
import { createTopics, startMockBrokers, TopicReader } from '../support/mock-brokers.ts';

// The law: what a batch holds is in its topics, each record with its key, its value or none, and its headers, and the records of
// a key are in one partition, in the order in which they were sent. Brokers and reader are librdkafka's.

const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
/** The reader's librdkafka was built without zstd: real brokers and kcat try it. */
const READABLE = COMPRESSIONS.filter((name) => name !== 'zstd');

const brokers = await startMockBrokers();
await createTopics(brokers, ['whole', 'ordered', 'crc', 'round', 'public.orders', ...READABLE]);

test('a record is read as it was sent: key, value, headers; and a tombstone is one', async () => {
  const sink = kafkaSink({ brokers, topic: 'whole' });
  const records = [record(0, '{"id":1}', '{"a":"é"}'), record(1, '{"id":1}', null), record(2, null, '{}')];
  const more = { contentType: 'application/cloudevents+json', isReplay: true, gap: 'dead' };
  assert.deepEqual(await send(sink, records, more), OK);
  const read = await (await TopicReader.open(brokers, ['whole'])).read(3);
  const common = { op: 'insert', schema: 'public', table: 'orders', lsn: '0/1' };
  const cloud = { 'content-type': 'application/cloudevents+json', replay: 'true' };
  const shown = read
    .map(({ key, payload, headers }) => ({ key, payload, headers }))
    .toSorted((a, b) => a.headers.id!.localeCompare(b.headers.id!));
  assert.deepEqual(shown, [
    { key: '{"id":1}', payload: '{"a":"é"}', headers: { id: 'id-0', ...common, ...cloud, gap: 'dead' } },
    { key: '{"id":1}', payload: null, headers: { id: 'id-1', ...common, ...cloud } },
    { key: null, payload: '{}', headers: { id: 'id-2', ...common, ...cloud } },
  ]);
});

for (const compression of READABLE) {
  test(`what is compressed with ${compression} is read as it was sent`, async () => {
    const sink = kafkaSink({ brokers, topic: compression, options: { compression } });
    const values = Array.from({ length: 500 }, (_, i) => `{"n":${i},"text":"${'a b c '.repeat(i % 50)}"}`);
    assert.deepEqual(
      await send(
        sink,
        values.map((value, i) => record(i, `key ${i % 7}`, value)),
      ),
      OK,
    );
    const read = await (await TopicReader.open(brokers, [compression])).read(values.length);
    assert.deepEqual(new Set(read.map(({ payload }) => payload)), new Set(values));
  });
}

test('records of a key keep their order in one partition, however many batches are under way', async () => {
  const sink = kafkaSink({ brokers, topic: 'ordered' });
  const KEYS = 40;
  const ROUNDS = 50;
  // As delivery does: one batch of a key at a time, those of different keys all at once.
  await Promise.all(
    Array.from({ length: KEYS }, async (_, key) => {
      for (let n = 0; n < ROUNDS; n++) {
        assert.deepEqual(await send(sink, [record(0, `key ${key}`, String(n))]), OK);
      }
    }),
  );
  const read = await (await TopicReader.open(brokers, ['ordered'])).read(KEYS * ROUNDS);
  const byKey = Map.groupBy(read, ({ key }) => key);
  assert.equal(byKey.size, KEYS);
  for (const [key, messages] of byKey) {
    assert.equal(new Set(messages.map(({ partition }) => partition)).size, 1, `${key}`);
    assert.deepEqual(
      messages.map(({ payload }) => Number(payload)),
      Array.from({ length: ROUNDS }, (_, n) => n),
    );
  }
  assert.ok(new Set(read.map(({ partition }) => partition)).size > 1);
});

test('the partitioner says where a key goes, and order goes before the key', async () => {
  const reader = await TopicReader.open(brokers, ['crc', 'round', 'public.orders']);
  const keys = Array.from({ length: 30 }, (_, i) => `key ${i}`);
  const crc = kafkaSink({ brokers, topic: 'crc', options: { partitioner: 'crc32' } });
  const round = kafkaSink({ brokers, topic: 'round', options: { partitioner: 'round_robin' } });
  const templated = kafkaSink({ brokers, topic: null, options: { topicTemplate: '{schema}.{table}' } });
  for (const sink of [crc, round])
    assert.deepEqual(
      await send(
        sink,
        keys.map((key, i) => record(i, key)),
      ),
      OK,
    );
  assert.deepEqual(
    await send(
      templated,
      keys.map((key, i) => ({ ...record(i, key), order: 'all' })),
    ),
    OK,
  );
  const read = await reader.read(90);
  const of = (topic: string) => read.filter((message) => message.topic === topic);
  // librdkafka's own choice, by its `consistent` partitioner, is tried against a real broker.
  assert.ok(new Set(of('crc').map(({ partition }) => partition)).size > 1);
  const counts = Map.groupBy(of('round'), ({ partition }) => partition);
  assert.deepEqual(
    [...counts.values()].map(({ length }) => length).toSorted((a, b) => a - b),
    [7, 7, 8, 8],
  );
  assert.equal(new Set(of('public.orders').map(({ partition }) => partition)).size, 1);
});

test('the brokers say beforehand whether a topic is there', async () => {
  const { signal } = new AbortController();
  assert.deepEqual(await kafkaSink({ brokers, topic: 'whole' }).probe([], signal), OK);
  const outcome = await kafkaSink({ brokers, topic: 'nowhere' }).probe([], signal);
  assert.ok('reason' in outcome);
  assert.equal(outcome.reason, 'topic "nowhere": the topic does not exist, or may not be seen');
  const templated = kafkaSink({ brokers, topic: null, options: { topicTemplate: '{schema}.{table}' } });
  const there = { schema: 'public', name: 'orders' };
  assert.deepEqual(await templated.probe([there], signal), OK);
  assert.equal((await templated.probe([there, { schema: 'public', name: 'other' }], signal)).class, 'misconfigured');
});
