import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SchedulerEvent } from '../../src/delivery/batch.ts';
import { Scheduler } from '../../src/delivery/scheduler.ts';
import { schedulerOptions } from '../../src/delivery/stream-settings.ts';
import type { Outcome } from '../../src/sinks/sink.ts';
import { streamDefinition } from '../support/delivery-fakes.ts';
import { SeededRandom } from '../support/seeded-random.ts';

// How many events a stream holds: few while its endpoint takes none, as many as may be while it does.

const OK: Outcome = { class: 'ok', status: 200, failed: [] };

class Stream {
  readonly scheduler = new Scheduler<SchedulerEvent>(
    schedulerOptions(streamDefinition({ options: { maxInFlight: 16, batchMaxEvents: 100 } }).options),
    new SeededRandom(1),
  );
  #next = 1;

  /** Reads what there is room for, and gives how many events are held then. */
  fill(): number {
    for (; this.scheduler.hasRoom; this.#next++) {
      const place = { table: 1, keyShape: 'id', lane: String(this.#next), secondLane: null, barrier: false };
      this.scheduler.add({ ...place, sharesPosition: false, mayPark: true, bytes: 1, detach: () => undefined }, 0);
    }
    return this.scheduler.window.length;
  }

  /** One request and its answer. */
  send(outcome: Outcome): void {
    const batch = this.scheduler.next(0, () => true);
    assert.ok(batch !== null);
    this.scheduler.settle(batch, outcome, 0);
  }
}

test('of an endpoint that has answered nothing no more is held than begins', () => {
  const stream = new Stream();
  assert.equal(stream.fill(), 2_048);
  for (let i = 0; i < 16; i++) assert.ok(stream.scheduler.next(0, () => true) !== null);
  assert.equal(stream.fill(), 2_048);
});

test('what is taken makes room for twice as much, up to the limit', () => {
  const stream = new Stream();
  const held: number[] = [];
  for (let i = 0; i < 5; i++) {
    held.push(stream.fill());
    stream.send(OK);
  }
  assert.deepEqual(held, [2_048, 4_096, 8_192, 16_384, 16_384]);
});

const NO_ANSWER = { status: null, code: 'timeout', reason: 'no answer', retryAfterMs: null } as const;
const failures: readonly (readonly [what: string, outcome: Outcome, times: number])[] = [
  ['asks for time', { ...NO_ANSWER, class: 'overloaded' }, 1],
  ['fails until its circuit opens', { ...NO_ANSWER, class: 'transient' }, 5],
];
for (const [what, outcome, times] of failures) {
  test(`an endpoint that ${what} gets no more, until what is held is less than begins`, () => {
    const stream = new Stream();
    for (let i = 0; i < 2; i++) {
      stream.fill();
      stream.send(OK);
    }
    assert.equal(stream.scheduler.hasRoom, true);
    for (let i = 0; i < times; i++) stream.send(outcome);
    assert.equal(stream.scheduler.hasRoom, false);
  });
}
