import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import { DeliveryStore } from '../../src/log/delivery-store.ts';
import type { StreamOptions } from '../../src/model/stream-options.ts';
import { AddressGuard, parseEgressAllow } from '../../src/sinks/address-guard.ts';
import { WebhookSink } from '../../src/sinks/webhook/webhook-sink.ts';
import { MemoryChunkSource, streamDefinition } from '../support/delivery-fakes.ts';
import { ChunkWriter, insertMessage, type TestRelation, updateMessage } from '../support/pgoutput-frames.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { type Fault, WebhookReceiver } from '../support/webhook-receiver.ts';

// Through real sockets: whatever the receiver does, everything arrives, each key in order, a failing key alone.

const ORDERS: TestRelation = {
  oid: 16_400,
  schema: 'public',
  name: 'orders',
  identity: 'd',
  columns: [
    { name: 'id', type: 23, key: true },
    { name: 'n', type: 23 },
  ],
};
const KEYS = 10;

interface NativeEvent {
  readonly id: string;
  readonly after: { readonly id: number; readonly n: number };
}

function makeLog(rounds: number): ChunkWriter {
  const writer = new ChunkWriter();
  writer.define(ORDERS);
  for (let n = 0; n < rounds; n++) {
    writer.begin(1_767_607_200_000_000n);
    for (let id = 0; id < KEYS; id++) {
      const row = [String(id), String(n)];
      writer.change(ORDERS.oid, n === 0 ? insertMessage(ORDERS.oid, row) : updateMessage(ORDERS.oid, row));
    }
    writer.commit();
  }
  writer.cut();
  return writer;
}

async function stage(rounds: number, options: Partial<StreamOptions>, ...faults: readonly Fault[]) {
  const receiver = (await WebhookReceiver.start()).script(...faults);
  const store = DeliveryStore.open(join(temporaryFolder(), 'delivery.db'));
  const delivery = new Delivery({
    source: new MemoryChunkSource(makeLog(rounds).chunks),
    store,
    createSink: ({ options, secrets = {} }) =>
      new WebhookSink({
        url: receiver.url(),
        options,
        secrets,
        userAgent: 'walhook/0.0.0',
        guard: new AddressGuard(parseEgressAllow(['127.0.0.1'])),
        clock: systemClock,
      }),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const stop = new AbortController();
  const running = delivery.run(stop.signal);
  delivery.configure([
    streamDefinition({ options: { initialBackoffMs: 20, maxBackoffMs: 100, requestTimeoutMs: 300, ...options } }),
  ]);
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
    await receiver.stop();
  };
  after(() => store.close());
  const events = (): NativeEvent[] =>
    receiver.requests.flatMap(({ body }) => JSON.parse(body.toString('utf8')) as NativeEvent | NativeEvent[]);
  return { receiver, delivery, store, end, events };
}

/** First arrivals, per key. */
function firstArrivals(events: readonly NativeEvent[]): Map<number, number[]> {
  const seen = new Set<string>();
  const keys = new Map<number, number[]>();
  for (const { id, after: row } of events) {
    if (seen.has(id)) continue;
    seen.add(id);
    keys.set(row.id, [...(keys.get(row.id) ?? []), row.n]);
  }
  return keys;
}

const TROUBLE: readonly Fault[] = [
  { kind: 'answer', status: 500 },
  { kind: 'reset' },
  { kind: 'reset' },
  { kind: 'hang' },
  { kind: 'answer', status: 200 },
  { kind: 'raw', bytes: 'garbage\r\n\r\n' },
  { kind: 'huge-body', bytes: 5_000_000 },
  { kind: 'answer', status: 503, headers: { 'retry-after': '0' } },
  { kind: 'answer', status: 404 },
];

for (const batchMaxEvents of [1, 7]) {
  test(`through all kinds of trouble everything arrives in order per key, batches of ${batchMaxEvents}`, async () => {
    const rounds = 20;
    const options = { batchMaxEvents, maxInFlight: 4, circuitBreaker: false };
    const on = await stage(rounds, options, ...TROUBLE, ...TROUBLE, ...TROUBLE);
    await until(() => on.delivery.status()[0]!.eventsDelivered === rounds * KEYS);
    const inOrder = Array.from({ length: rounds }, (_, n) => n);
    const arrived = firstArrivals(on.events());
    for (let id = 0; id < KEYS; id++) assert.deepEqual(arrived.get(id), inOrder, `key ${id}`);
    await on.end();
    assert.notEqual(on.store.load(streamDefinition().id)!.progress.cursor, null);
  });
}

async function until(condition: () => boolean, deadlineMs = 10_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!condition()) {
    assert.ok(performance.now() < endMs, 'the condition did not come to hold');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test('a key whose events fail does not hold up the others', async () => {
  const on = await stage(20, { maxInFlight: 4 });
  on.receiver.decide = ({ body }) => (body.includes('"key":{"id":3}') ? { kind: 'answer', status: 500 } : null);
  await until(() => on.delivery.status()[0]!.eventsDelivered === 20 * (KEYS - 1));
  const [status] = on.delivery.status();
  assert.equal(status!.pendingEvents, 20);
  assert.equal(status!.lastError, 'HTTP 500');
  assert.equal(firstArrivals(on.events()).get(3)!.length, 1);
  on.receiver.decide = null;
  await until(() => on.delivery.status()[0]!.pendingEvents === 0);
  await on.end();
});

test('the event that spoils a batch is found, and the others are delivered', async () => {
  const on = await stage(5, { batchMaxEvents: 50, maxInFlight: 2 });
  on.receiver.decide = ({ body }) => (body.includes('"after":{"id":3,"n":0}') ? { kind: 'answer', status: 422 } : null);
  await until(() => on.delivery.status()[0]!.eventsDelivered === 5 * (KEYS - 1));
  assert.equal(on.delivery.status()[0]!.pendingEvents, 5);
  await on.end();
});

test('of a batch only the events that the receiver lists as failed come again', async () => {
  const on = await stage(1, { batchMaxEvents: 10, maxInFlight: 1 });
  let listed: string[] | null = null;
  on.receiver.decide = ({ body }) => {
    if (listed !== null) return null;
    listed = (JSON.parse(body.toString('utf8')) as NativeEvent[]).slice(2, 4).map(({ id }) => id);
    return { kind: 'answer', status: 200, body: { failed: listed } };
  };
  await until(() => on.delivery.status()[0]!.pendingEvents === 0);
  const second = JSON.parse(on.receiver.requests[1]!.body.toString('utf8')) as NativeEvent[];
  assert.deepEqual(
    second.map(({ id }) => id),
    listed,
  );
  assert.equal(on.receiver.requests[1]!.headers['x-cdc-attempt'], '2');
  await on.end();
});
