import assert from 'node:assert/strict';
import { test } from 'node:test';
import { API } from '../../src/sinks/kafka/requests.ts';
import type { FailureOutcome, Outcome } from '../../src/sinks/sink.ts';
import { AUTHORITY, CLIENT } from '../support/certificates.ts';
import { FakeKafka } from '../support/fake-kafka.ts';
import { kafkaSink, OK, record, send } from '../support/kafka-sinks.ts';
import { CERTIFICATES } from '../support/server-certificates.ts';
import { waitFor } from '../support/wait-for.ts';

// The law: what a broker does wrong is an outcome; what it may have taken already is sent again as the same, so that it is kept
// once; and no connection goes to an address that may not be called, whoever names it.

const signal = new AbortController().signal;

function failureOf(outcome: Outcome): string {
  assert.ok('code' in outcome, JSON.stringify(outcome));
  return `${outcome.class} ${outcome.code}`;
}

async function stage(options = {}) {
  const fake = await FakeKafka.start();
  return { fake, sink: kafkaSink({ brokers: fake.address, options }) };
}

test('a batch whose answer was lost is sent again under the same producer id and number', async () => {
  const { fake, sink } = await stage();
  assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
  fake.faults.push('hang-up', 'hang-up');
  assert.deepEqual(await send(sink, [record(0, 'a'), record(1, 'b')]), OK);
  assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
  const numbers = fake.received.map(({ producerId, sequence, count }) => [producerId, sequence, count]);
  assert.deepEqual(numbers, [
    [1n, 0, 1],
    [1n, 1, 2],
    [1n, 1, 2],
    [1n, 1, 2],
    [1n, 3, 1],
  ]);
});

test('a batch that the broker has already is there', async () => {
  const { fake, sink } = await stage();
  fake.faults.push('hang-up', 46);
  assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
});

test('a partition that has moved is looked for, and the same batch goes where it is', async () => {
  const { fake, sink } = await stage();
  fake.faults.push(6);
  assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
  assert.equal(fake.requests.get(API.metadata), 2);
  assert.deepEqual(fake.received[0], fake.received[1]);
});

for (const code of [45, 59, 47]) {
  test(`after error ${code} the batch goes under a new producer id, from 0`, async () => {
    const { fake, sink } = await stage();
    assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
    fake.faults.push(code);
    assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
    const { producerId, sequence } = fake.received.at(-1)!;
    assert.deepEqual([producerId, sequence], [2n, 0]);
  });
}

test('what nobody knows to be there is given up at its deadline, and what follows has a new producer id', async () => {
  const { fake, sink } = await stage({ requestTimeoutMs: 300 });
  fake.faults.push('silence');
  assert.equal(failureOf(await send(sink, [record(0, 'a')])), 'transient timeout');
  assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
  assert.deepEqual(
    fake.received.map(({ producerId, sequence }) => [producerId, sequence]),
    [
      [1n, 0],
      [2n, 0],
    ],
  );
});

const FAILURES: readonly (readonly [code: number, outcome: string])[] = [
  [10, 'rejected message_too_large'],
  [87, 'rejected invalid_record'],
  [19, 'transient not_enough_replicas'],
  [29, 'misconfigured topic_authorization'],
  [76, 'misconfigured compression'],
  [89, 'overloaded throttled'],
  [-1, 'transient broker_error'],
  [999, 'transient kafka_999'],
];
for (const [code, outcome] of FAILURES) {
  test(`error ${code} is ${outcome}, and costs no number`, async () => {
    const { fake, sink } = await stage();
    fake.faults.push(code, code, code);
    assert.equal(failureOf(await send(sink, [record(0, 'a')])), outcome);
    fake.faults.length = 0;
    assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
    assert.equal(fake.received.at(-1)!.sequence, 0);
  });
}

test('of batches that went together and were rejected each is tried alone, and one bad batch fails alone', async () => {
  const { fake, sink } = await stage();
  fake.faults.push('silence');
  const first = send(sink, [record(0, 'a')]);
  await waitFor('the first to be under way', () => fake.received.length === 1);
  const others = [send(sink, [record(0, 'b')]), send(sink, [record(0, 'c')]), send(sink, [record(0, 'd')])];
  // The first goes again and is taken; the three go together and are rejected; of them the second is.
  fake.faults.push(0, 87, 0, 87, 0);
  fake.hangUp();
  assert.deepEqual(await first, OK);
  const [b, c, d] = await Promise.all(others);
  assert.deepEqual([b, d], [OK, OK]);
  assert.equal(failureOf(c!), 'rejected invalid_record');
  const { sequence, count } = fake.received.at(-1)!;
  assert.deepEqual([sequence, count], [2, 1]);
});

test('an event that is not everywhere goes again, and all that came after it in the batch', async () => {
  const { fake, sink } = await stage();
  fake.topics.set('insert', { partitions: 1 });
  fake.topics.set('delete', { partitions: 1, error: 29 });
  const routed = kafkaSink({ brokers: fake.address, topic: null, options: { topicTemplate: '{op}' } });
  const both = [record(1, 'a'), { ...record(1, 'b'), operation: 'delete' as const }];
  const outcome = await send(routed, [record(0, 'a'), ...both, record(2, 'a'), record(3, 'z')]);
  assert.deepEqual(outcome, { class: 'ok', status: null, failed: ['id-1', 'id-2', 'id-3'] });
  assert.equal(failureOf(await send(routed, both)), 'misconfigured topic_authorization');
  await sink.close();
});

test('with acks = 1 batches have no producer id, and with acks = 0 no answer', async () => {
  const { fake, sink } = await stage({ acks: '1' });
  assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
  assert.equal(fake.received[0]!.producerId, -1n);
  const careless = kafkaSink({ brokers: fake.address, options: { acks: '0' } });
  fake.faults.push('silence');
  assert.deepEqual(await send(careless, [record(0, 'a')]), OK);
  await waitFor('the message', () => fake.received.length === 2);
});

test('a broker that is named may be called or not, and so may those that a broker names', async () => {
  const fake = await FakeKafka.start();
  const blocked = kafkaSink({ brokers: fake.address, allow: [] });
  const named = await send(blocked, [record(0, 'a')]);
  assert.equal(failureOf(named), 'misconfigured egress_blocked');
  assert.match((named as FailureOutcome).reason, /127\.0\.0\.1.* --egress-allow \(WALHOOK_EGRESS_ALLOW\)/);
  assert.equal(failureOf(await blocked.probe([], signal)), 'misconfigured egress_blocked');
  assert.equal(fake.requests.size, 0);

  const lured = kafkaSink({ brokers: fake.address });
  for (const host of ['169.254.169.254', '10.0.0.1', '127.0.0.2', '::1']) {
    fake.advertised = { host, port: 80 };
    await send(lured, [record(0, 'a')]);
    const outcome = await send(lured, [record(0, 'a')]);
    assert.equal(failureOf(outcome), 'misconfigured egress_blocked', host);
    fake.hangUp();
  }
  assert.equal(fake.received.length, 0);
});

for (const [what, nonsense] of [
  ['a length that is none', Buffer.from('ffffffff00000000', 'hex')],
  ['a length of 2 GB', Buffer.from('7fffffff00000000', 'hex')],
  ['an HTTP answer', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['an answer to another question', Buffer.from('0000000a000001000000000000000000', 'hex')],
  ['an answer that is too short', Buffer.from('000000060000000100000000', 'hex')],
] as const) {
  test(`${what} is an invalid answer`, async () => {
    const { fake, sink } = await stage();
    fake.nonsense = nonsense;
    assert.equal(failureOf(await sink.probe([], signal)), 'transient invalid_answer');
  });
}

test('a broker that never answers, and none at all, are transient', async () => {
  const { fake, sink } = await stage({ connectTimeoutMs: 200 });
  fake.nonsense = Buffer.alloc(0);
  assert.equal(failureOf(await send(sink, [record(0, 'a')])), 'transient timeout');
  const nobody = kafkaSink({ brokers: '127.0.0.1:1' });
  assert.equal(failureOf(await send(nobody, [record(0, 'a')])), 'transient connection_refused');
  assert.equal(failureOf(await nobody.probe([], signal)), 'transient connection_refused');
});

test('a certificate of ours is shown to a broker that asks for one; without it one is not let in', async () => {
  const strict = { ...CERTIFICATES.localhost, ca: AUTHORITY, requestCert: true, rejectUnauthorized: true };
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    const { address: brokers, received } = await FakeKafka.start({ ...strict, maxVersion });
    const to = { brokers, options: { tls: true }, ca: CERTIFICATES.root };
    const known = kafkaSink({ ...to, certificate: CLIENT });
    assert.deepEqual(await send(known, [record(0, 'a')]), OK);
    const stranger = kafkaSink(to);
    assert.equal(failureOf(await stranger.probe([], signal)), 'misconfigured tls_error', maxVersion);
    assert.equal(failureOf(await send(stranger, [record(0, 'a')])), 'misconfigured tls_error', maxVersion);
    assert.equal(received.length, 1);
  }
});

test('of several brokers the first that answers is enough', async () => {
  const fake = await FakeKafka.start();
  const sink = kafkaSink({ brokers: `127.0.0.1:1,${fake.address}` });
  assert.deepEqual(await send(sink, [record(0, 'a')]), OK);
});

test('a topic that is not there, or that one may not write to, is known beforehand, and nothing is sent', async () => {
  const { fake } = await stage();
  fake.topics.set('readable', { partitions: 1, operations: 1 << 3 });
  fake.topics.set('writable', { partitions: 1, operations: 1 << 4 });
  const probe = async (topic: string) => kafkaSink({ brokers: fake.address, topic }).probe([], signal);
  assert.equal(failureOf(await probe('nowhere')), 'misconfigured unknown_topic');
  assert.equal(failureOf(await probe('readable')), 'misconfigured topic_authorization');
  assert.deepEqual(await probe('writable'), OK);
  assert.equal(fake.received.length, 0);
});

test('a sink that is closed, or is told to stop, cancels what is under way', async () => {
  const { fake, sink } = await stage();
  fake.faults.push('silence', 'silence');
  const abort = new AbortController();
  const told = sink.send({ ...batch(), records: [record(0, 'a')] }, abort.signal);
  const other = send(sink, [record(0, 'b')]);
  await waitFor('one to be under way', () => fake.received.length > 0);
  abort.abort();
  assert.deepEqual(await told, { class: 'cancelled' });
  await sink.close();
  assert.deepEqual(await other, { class: 'cancelled' });
  assert.deepEqual(await send(sink, [record(0, 'a')]), { class: 'cancelled' });
});

function batch() {
  const fixed = { requestId: 'r', body: Buffer.alloc(0), contentType: 'application/json', events: 1, attempt: 1 };
  return { ...fixed, stream: 's', table: null, path: '' };
}

test('what waits for one partition holds up no other', async () => {
  const { fake, sink } = await stage();
  fake.topics.set('t', { partitions: 2 });
  fake.faults.push('silence');
  const stuck = send(sink, [record(0, 'stuck')]);
  await waitFor('it to be under way', () => fake.received.length === 1);
  const { partition } = fake.received[0]!;
  let n = 0;
  await waitFor('a message of the other partition', async () => {
    void send(sink, [record(0, `key ${n++}`)]);
    return fake.received.some((received) => received.partition !== partition);
  });
  await sink.close();
  assert.deepEqual(await stuck, { class: 'cancelled' });
});
