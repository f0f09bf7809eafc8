import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDLE_CAPTURE, emptyDeliveryStatus } from '../../src/engine/status.ts';
import { SAMPLE_EVERY_MS, StreamSamples } from '../../src/http/console/stream-samples.ts';
import type { DeliveryStatus, StreamReport } from '../../src/model/status.ts';
import { exampleStream } from '../support/example-stream.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

function report(id: string, name: string, delivery: Partial<DeliveryStatus> = {}): StreamReport {
  return {
    definition: exampleStream({ id, name }),
    status: 'running',
    statusReason: null,
    delivery: { ...emptyDeliveryStatus(id), ...delivery },
    capture: IDLE_CAPTURE,
    backfill: null,
    lagSeconds: 0,
    lagBytes: 0,
  };
}

class Stage {
  readonly clock = new VirtualClock();
  reports: readonly StreamReport[] = [];
  readonly samples = new StreamSamples(async () => this.reports, this.clock);

  async take(...reports: readonly StreamReport[]): Promise<void> {
    this.reports = reports;
    await this.samples.take();
    await this.clock.advance(SAMPLE_EVERY_MS);
  }
}

test('counts become rates a second; the first has none, and a count that begins anew none below nothing', async () => {
  const stage = new Stage();
  for (const eventsDelivered of [100, 110, 110, 3]) await stage.take(report('1', 's', { eventsDelivered }));
  const { times, series } = stage.samples.of('s', ['delivered'], 0);
  assert.deepEqual(series.delivered, [null, 2, 0, 0]);
  assert.deepEqual(
    times.map((time) => time - times[0]!),
    [0, 5_000, 10_000, 15_000],
  );
});

test('a quarter of an hour is kept, and only what is new is told', async () => {
  const stage = new Stage();
  for (let taken = 0; taken < 200; taken++) await stage.take(report('1', 's', { pendingEvents: taken }));
  const all = stage.samples.of('s', ['pending'], 0);
  assert.deepEqual([all.times.length, all.series.pending![0], all.series.pending!.at(-1)], [180, 20, 199]);
  assert.deepEqual(stage.samples.of('s', ['pending'], 198).series.pending, [198, 199]);
  assert.deepEqual(stage.samples.of('s', ['pending'], 200).times, []);
  assert.deepEqual(stage.samples.of('s', ['pending'], 0, 2).series.pending, [198, 199]);
  assert.equal(stage.samples.count, 200);
});

test('a stream that takes the name of one that is gone begins anew; one with another name goes on', async () => {
  const stage = new Stage();
  await stage.take(report('1', 'a', { pendingEvents: 1 }));
  await stage.take(report('1', 'b', { pendingEvents: 2 }), report('2', 'a', { pendingEvents: 9 }));
  assert.deepEqual(stage.samples.of('a', ['pending'], 0).series.pending, [null, 9]);
  assert.deepEqual(stage.samples.of('b', ['pending'], 0).series.pending, [1, 2]);
  await stage.take();
  assert.deepEqual(stage.samples.of('b', ['pending'], 0).series.pending, [null, null, null]);
});

test('what cannot be asked is left out, and asked again', async () => {
  const clock = new VirtualClock();
  let asked = 0;
  const samples = new StreamSamples(async () => {
    if (asked++ === 0) throw new Error('not now');
    return [];
  }, clock);
  const stop = new AbortController();
  const running = samples.run(stop.signal);
  await clock.advance(SAMPLE_EVERY_MS);
  await clock.advance(SAMPLE_EVERY_MS);
  assert.ok(samples.count >= 1);
  stop.abort();
  await running;
});
