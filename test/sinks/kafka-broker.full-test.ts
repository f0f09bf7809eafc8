import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { FailureOutcome, Outcome } from '../../src/sinks/sink.ts';
import { readTopic, startKafka } from '../support/kafka-broker.ts';
import { kafkaSink, OK, record, send } from '../support/kafka-sinks.ts';
import { SELF_SIGNED } from '../support/self-signed.ts';

// The law: Apache Kafka's own broker takes what the sink sends, over each of its doors and to those that it lets in, and kcat
// reads what was sent.

const PASSWORD = 'sesame+open=1';
const broker = await startKafka({
  users: [
    { name: 'alice', password: PASSWORD },
    { name: 'bob', password: PASSWORD },
  ],
  tls: SELF_SIGNED,
});
const { signal } = new AbortController();

function failureOf(outcome: Outcome): string {
  assert.ok('code' in outcome, JSON.stringify(outcome));
  return `${outcome.class} ${outcome.code}`;
}

for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
  test(`kcat reads what is compressed with ${compression}, tombstones and headers included`, async () => {
    const topic = `whole-${compression}`;
    await broker.createTopic(topic);
    const sink = kafkaSink({ brokers: broker.address(), topic, options: { compression } });
    const values = Array.from({ length: 3_000 }, (_, i) =>
      i % 10 === 9 ? null : `{"n":${i},"é":"${'ab '.repeat(i % 99)}"}`,
    );
    assert.deepEqual(
      await send(
        sink,
        values.map((value, i) => record(i, `{"id":${i % 100}}`, value)),
      ),
      OK,
    );
    const read = await readTopic(broker.address(), topic);
    const inOrder = read.toSorted((a, b) => Number(a.headers.id!.slice(3)) - Number(b.headers.id!.slice(3)));
    assert.deepEqual(
      inOrder.map(({ payload }) => payload),
      values,
    );
    assert.deepEqual(inOrder[7], {
      partition: inOrder[7]!.partition,
      offset: inOrder[7]!.offset,
      key: '{"id":7}',
      payload: values[7],
      headers: { id: 'id-7', op: 'insert', schema: 'public', table: 'orders', lsn: '0/1' },
    });
    // Each partition has its keys in the order in which they were sent.
    for (const messages of Map.groupBy(read, ({ key }) => key).values()) {
      const sent = messages.map(({ headers }) => Number(headers.id!.slice(3)));
      assert.deepEqual(
        sent,
        sent.toSorted((a, b) => a - b),
      );
      assert.equal(new Set(messages.map(({ partition }) => partition)).size, 1);
    }
  });
}

for (const [partitioner, theirs] of [
  ['murmur2', 'murmur2_random'],
  ['crc32', 'consistent'],
] as const) {
  test(`${partitioner} puts a key where librdkafka's ${theirs} does`, async () => {
    const topic = `partitioner-${partitioner}`;
    await broker.createTopic(topic);
    const keys = Array.from({ length: 50 }, (_, i) => `{"id":${i * 7919}}`);
    execFileSync('kcat', ['-b', broker.address(), '-t', topic, '-P', '-K', '|', '-X', `topic.partitioner=${theirs}`], {
      input: keys.map((key) => `${key}|theirs\n`).join(''),
    });
    const sink = kafkaSink({ brokers: broker.address(), topic, options: { partitioner } });
    assert.deepEqual(
      await send(
        sink,
        keys.map((key, i) => record(i, key, 'ours')),
      ),
      OK,
    );
    const read = await readTopic(broker.address(), topic);
    assert.equal(read.length, 100);
    for (const messages of Map.groupBy(read, ({ key }) => key).values()) {
      assert.equal(new Set(messages.map(({ partition }) => partition)).size, 1);
    }
  });
}

for (const saslMechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
  test(`${saslMechanism} lets in who knows the password, and nobody else`, async () => {
    await broker.createTopic('guarded');
    let refused = 0;
    const sinkOf = (saslUsername: string, password: string) =>
      kafkaSink({
        brokers: broker.address('sasl'),
        topic: 'guarded',
        options: { saslMechanism, saslUsername },
        password,
        onRefused: () => refused++,
      });
    const sink = sinkOf('alice', PASSWORD);
    assert.deepEqual(await sink.probe([], signal), OK);
    assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
    for (const wrong of [sinkOf('alice', 'wrong'), sinkOf('nobody', PASSWORD)]) {
      const outcome = await send(wrong, [record(0, 'a')]);
      assert.equal(failureOf(outcome), 'misconfigured sasl_failed');
      assert.doesNotMatch((outcome as FailureOutcome).reason, /wrong|sesame|nobody/);
      assert.equal(failureOf(await wrong.probe([], signal)), 'misconfigured sasl_failed');
    }
    assert.equal(refused, 2);
  });
}

test('who may not write to a topic is told so beforehand, and by its events', async () => {
  await broker.createTopic('guarded');
  const options = { saslMechanism: 'scram-sha-256', saslUsername: 'bob' } as const;
  const sink = kafkaSink({ brokers: broker.address('sasl'), topic: 'guarded', options, password: PASSWORD });
  assert.equal(failureOf(await sink.probe([], signal)), 'misconfigured topic_authorization');
  assert.equal(failureOf(await send(sink, [record(0, 'a')])), 'misconfigured topic_authorization');
});

test('a door that wants a log-in says so to those who do not log in', async () => {
  const sink = kafkaSink({ brokers: broker.address('sasl'), topic: 'guarded' });
  const outcome = await sink.probe([], signal);
  assert.equal(failureOf(outcome), 'transient connection_reset');
  assert.match((outcome as FailureOutcome).reason, /log-in/);
});

test('by TLS only whose certificate is trusted is told anything', async () => {
  await broker.createTopic('tls');
  const to = { brokers: broker.address('tls'), topic: 'tls' };
  const trusting = kafkaSink({ ...to, ca: SELF_SIGNED.cert, options: { tls: true } });
  assert.deepEqual(await send(trusting, [record(0, 'a')]), OK);
  const careless = kafkaSink({ ...to, options: { tls: true, tlsInsecureSkipVerify: true } });
  assert.deepEqual(await send(careless, [record(0, 'a')]), OK);
  const strict = kafkaSink({ ...to, options: { tls: true } });
  assert.equal(failureOf(await strict.probe([], signal)), 'misconfigured tls_error');
  assert.equal(failureOf(await send(strict, [record(0, 'a')])), 'misconfigured tls_error');
  // Each side without TLS where the other has it.
  assert.equal(failureOf(await kafkaSink(to).probe([], signal)).split(' ')[0], 'transient');
  const wrong = kafkaSink({ brokers: broker.address(), topic: 'tls', options: { tls: true } });
  assert.ok(['transient', 'misconfigured'].includes((await wrong.probe([], signal)).class));
});

test('a message that is too large is rejected, alone, and the others of its batch are there', async () => {
  await broker.createTopic('large');
  const sink = kafkaSink({ brokers: broker.address(), topic: 'large' });
  const records = [record(0, 'a', 'small'), record(1, 'a', 'x'.repeat(1_100_000)), record(2, 'a', 'small')];
  const outcome = await send(sink, records);
  assert.deepEqual(outcome, { class: 'ok', status: null, failed: ['id-1'] });
  assert.equal(failureOf(await send(sink, [records[1]!])), 'rejected message_too_large');
  assert.equal((await readTopic(broker.address(), 'large')).length, 2);
});

test('through a restart of the broker each message is there once, in order', async () => {
  await broker.createTopic('restart');
  const sink = kafkaSink({ brokers: broker.address(), topic: 'restart', options: { requestTimeoutMs: 60_000 } });
  const KEYS = 20;
  let isOver = false;
  const counts = await Promise.all([
    ...Array.from({ length: KEYS }, async (_, key) => {
      let n = 0;
      while (!isOver) {
        const outcome = await send(sink, [record(0, `key ${key}`, String(n))]);
        // What certainly was not taken is left to delivery's retries: then it is sent again from here.
        if (outcome.class === 'ok') n++;
        else assert.equal(outcome.class, 'transient', JSON.stringify(outcome));
      }
      return n;
    }),
    (async () => {
      for (let restarts = 0; restarts < 2; restarts++) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        await broker.restart();
      }
      isOver = true;
      return 0;
    })(),
  ]);
  const read = await readTopic(broker.address(), 'restart');
  const byKey = Map.groupBy(read, ({ key }) => key);
  for (let key = 0; key < KEYS; key++) {
    const got = byKey.get(`key ${key}`)!.map(({ payload }) => Number(payload));
    assert.deepEqual(
      got,
      Array.from({ length: counts[key]! }, (_, n) => n),
      `key ${key}`,
    );
  }
});
