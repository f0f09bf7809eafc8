import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/logger.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import {
  MemoryBudget,
  STREAM_SHARE_EVENTS,
  TOTAL_WINDOW_BYTES,
  TOTAL_WINDOW_EVENTS,
} from '../../src/delivery/memory-budget.ts';
import { DeliveryStore } from '../../src/log/delivery-store.ts';
import { MemoryChunkSource, streamDefinition } from '../support/delivery-fakes.ts';
import { FakeSink, insertRows, writer } from '../support/delivery-stage.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { temporaryFolder } from '../support/test-database.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

test('what all streams hold has a limit of events and one of bytes, beyond which each has a share', () => {
  const budget = new MemoryBudget();
  assert.equal(budget.allows(1e9, 1e9), true);
  budget.change(0, TOTAL_WINDOW_EVENTS);
  assert.deepEqual([budget.allows(0, STREAM_SHARE_EVENTS), budget.allows(0, STREAM_SHARE_EVENTS - 1)], [false, true]);
  budget.change(TOTAL_WINDOW_BYTES, -TOTAL_WINDOW_EVENTS);
  assert.deepEqual([budget.allows(1e6, 0), budget.allows(1_000, 1e6)], [false, true]);
  budget.change(-TOTAL_WINDOW_BYTES, 0);
  assert.deepEqual(budget.used, { bytes: 0, events: 0 });
});

test('a hundred endpoints that do not answer hold no more than the limit, and each has requests under way', async () => {
  const streams = 100;
  const chunks = writer();
  insertRows(chunks, 1, 3_000);
  chunks.cut();
  const clock = new VirtualClock();
  const budget = new MemoryBudget();
  const store = DeliveryStore.open(join(temporaryFolder(), 'delivery.db'));
  const sinks: FakeSink[] = [];
  const delivery = new Delivery({
    source: new MemoryChunkSource(chunks.chunks, chunks.chunks.length),
    store,
    createSink: () => {
      const sink = new FakeSink();
      sink.answer = () => new Promise(() => undefined);
      sinks.push(sink);
      return sink;
    },
    clock,
    random: new SeededRandom(1),
    logger: silentLogger,
    budget,
  });
  const stop = new AbortController();
  const running = delivery.run(stop.signal);
  delivery.configure(
    Array.from({ length: streams }, (_, i) => ({ ...streamDefinition(), id: `id-${i}`, name: `stream_${i}` })),
  );
  await clock.advance(1_000);
  const { events } = budget.used;
  assert.ok(events > 0.9 * TOTAL_WINDOW_EVENTS, `${events} events`);
  assert.ok(events <= TOTAL_WINDOW_EVENTS + streams * STREAM_SHARE_EVENTS, `${events} events`);
  assert.equal(sinks.filter(({ sent }) => sent.length > 0).length, streams);
  stop.abort();
  await clock.advance(60_000);
  await running;
  assert.deepEqual(budget.used, { bytes: 0, events: 0 });
  store.close();
});
