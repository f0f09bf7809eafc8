import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch, SchedulerEvent } from '../../src/delivery/batch.ts';
import { type Failure, REJECTED_RETRY_MS } from '../../src/delivery/retry-policy.ts';
import { Scheduler, type SchedulerOptions } from '../../src/delivery/scheduler.ts';
import type { Outcome } from '../../src/sinks/sink.ts';
import { SeededRandom } from '../support/seeded-random.ts';

// Whatever the receiver answers: every event ends acknowledged or dead; a key's events first go out in order, one request at a
// time; no attempt before it is due; a batch that is tried again has its members; nothing waits for ever; limits hold.
// SIM_SEED repeats one seed; SIM_SEEDS runs as many.

interface TestEvent extends SchedulerEvent {
  readonly index: number;
  readonly poison: 'rejected' | 'transient' | null;
}

const TRANSIENT_POISON_MS = 300_000;

interface Flight {
  readonly batch: Batch<TestEvent>;
  readonly doneAtMs: number;
}

const FAILED: Failure = { class: 'transient', status: 500, code: 'http_500', reason: 'HTTP 500', retryAfterMs: null };

class World {
  readonly random: SeededRandom;
  readonly options: SchedulerOptions;
  readonly scheduler: Scheduler<TestEvent>;
  readonly events: TestEvent[] = [];
  readonly flights: Flight[] = [];
  readonly acknowledged = new Set<number>();
  readonly dead = new Set<number>();
  readonly #firstSent = new Set<number>();
  readonly #members = new Map<number, string>();
  readonly #dueAtMs = new Map<number, number>();
  readonly #maxBytes: number;
  readonly #faultRate: number;
  nowMs = 0;
  #downUntilMs = 0;
  #throttledUntilMs = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    const { random } = this;
    this.options = {
      batchMaxEvents: random.chance(0.3) ? 1 : 1 + random.below(20),
      maxInFlight: 1 + random.below(8),
      maxRetries: random.chance(0.5) ? 0 : 1 + random.below(5),
      backoff: { initialMs: 100, maxMs: 5_000 },
    };
    this.#maxBytes = 50 + random.below(2_000);
    this.#faultRate = random.chance(0.3) ? 0 : random.float() * 0.5;
    this.scheduler = new Scheduler(this.options, random);
    this.#generate();
  }

  #generate(): void {
    const { random } = this;
    const keys = 1 + random.below(30);
    const tables = 1 + random.below(3);
    const count = 50 + random.below(400);
    const shapes = Array.from({ length: tables }, () => 'id:23');
    for (let index = 0; index < count; index++) {
      const table = random.below(tables);
      if (random.chance(0.005)) shapes[table] = `id:${random.below(3)}`;
      const barrier = random.chance(0.01);
      const lane = `k${random.below(keys)}`;
      const other = `k${random.below(keys)}`;
      this.events.push({
        index,
        table,
        keyShape: shapes[table]!,
        lane,
        secondLane: !barrier && random.chance(0.1) && other !== lane ? other : null,
        barrier,
        sharesPosition: index > 0 && random.chance(0.01),
        bytes: 10 + random.below(100),
        poison: random.chance(0.02) ? (random.chance(0.5) ? 'rejected' : 'transient') : null,
        detach: () => undefined,
      });
    }
  }

  run(): void {
    let next = 0;
    for (let steps = 0; ; steps++) {
      assert.ok(steps < 200_000, 'it never comes to an end');
      while (next < this.events.length && this.scheduler.hasRoom && !this.random.chance(0.05)) {
        this.scheduler.add(this.events[next++]!);
      }
      this.#send();
      const settled = this.acknowledged.size + this.dead.size;
      if (next === this.events.length && settled === this.events.length) break;
      this.#passTime(next === this.events.length);
    }
    assert.equal(this.scheduler.window.pending, 0);
    assert.equal(this.scheduler.window.length, 0);
    assert.equal(this.scheduler.inFlight, 0);
  }

  #send(): void {
    for (;;) {
      let bytes = 0;
      const batch = this.scheduler.next(this.nowMs, (event) => {
        if (bytes > 0 && bytes + event.bytes > this.#maxBytes) return false;
        bytes += event.bytes;
        return true;
      });
      if (batch === null) return;
      this.#checkSent(batch);
      const doneAtMs = this.nowMs + 1 + this.random.below(this.random.chance(0.05) ? 5_000 : 50);
      this.flights.push({ batch, doneAtMs });
    }
  }

  #checkSent(batch: Batch<TestEvent>): void {
    assert.ok(this.flights.length < this.options.maxInFlight, 'more in flight than allowed');
    assert.ok(this.nowMs >= (this.#dueAtMs.get(batch.id) ?? 0), 'sent before it is due');
    assert.ok(this.nowMs >= this.#throttledUntilMs, 'sent although the receiver asked for time');
    assert.ok(batch.entries.length > 0);
    const members = batch.entries.map(({ event }) => event.index).join();
    const before = this.#members.get(batch.id);
    if (before === undefined) {
      assert.ok(batch.entries.length <= this.options.batchMaxEvents);
      this.#members.set(batch.id, members);
    } else assert.equal(members, before, 'a batch changed its members');
    const inFlight = this.flights.flatMap((flight) => flight.batch.entries.map(({ event }) => event));
    const own: TestEvent[] = [];
    for (const { event } of batch.entries) {
      assert.ok(!this.acknowledged.has(event.index) && !this.dead.has(event.index), 'sent after its end');
      for (const other of inFlight) assert.ok(!conflict(event, other), 'two requests of one key in flight');
      if (!this.#firstSent.has(event.index)) this.#checkOrder(event, own);
      this.#firstSent.add(event.index);
      own.push(event);
    }
  }

  /** Everything before `event` that it has to follow is settled, or earlier in the same batch. */
  #checkOrder(event: TestEvent, own: readonly TestEvent[]): void {
    for (let i = event.index - 1; i >= 0; i--) {
      const earlier = this.events[i]!;
      if (!conflict(event, earlier) && !fenced(event, earlier)) continue;
      if (this.acknowledged.has(i) || this.dead.has(i) || (own.includes(earlier) && !event.barrier)) continue;
      assert.fail(`event ${event.index} went before event ${i}`);
    }
  }

  #passTime(allAdded: boolean): void {
    const due = this.scheduler.nextDueMs(this.nowMs);
    const done = this.flights.reduce((least, { doneAtMs }) => Math.min(least, doneAtMs), Infinity);
    const at = Math.min(done, due ?? Infinity);
    assert.ok(!allAdded || at !== Infinity, 'nothing is in flight, nothing is due, and events are left');
    if (at !== Infinity) this.nowMs = Math.max(this.nowMs, at);
    const landed = this.flights.filter(({ doneAtMs }) => doneAtMs <= this.nowMs);
    for (const flight of landed) {
      this.flights.splice(this.flights.indexOf(flight), 1);
      this.#land(flight.batch);
    }
  }

  #land(batch: Batch<TestEvent>): void {
    const events = batch.entries.map(({ event }) => event);
    const outcome = this.#answer(events);
    const failed = new Set<number>();
    if (outcome.class === 'ok' && this.random.chance(this.#faultRate / 4)) {
      for (const i of events.keys()) if (this.random.chance(0.3)) failed.add(i);
    }
    const settlement = this.scheduler.settle(batch, outcome, this.nowMs, failed);
    for (const { index } of settlement.acknowledged) {
      assert.ok(!this.acknowledged.has(index), 'acknowledged twice');
      this.acknowledged.add(index);
    }
    for (const event of settlement.dead) {
      assert.ok(event.poison !== null || this.options.maxRetries > 0, 'dead without a reason');
      this.dead.add(event.index);
    }
    if (batch.state === 'waiting') this.#checkWait(batch, outcome);
    if (failed.size > 0) this.#members.set(batch.id, batch.entries.map(({ event }) => event.index).join());
    this.#checkCursor();
  }

  #checkWait(batch: Batch<TestEvent>, outcome: Outcome): void {
    this.#dueAtMs.set(batch.id, batch.dueAtMs);
    if (outcome.class === 'ok' || outcome.class === 'cancelled') return;
    assert.ok(batch.dueAtMs >= this.nowMs + (outcome.retryAfterMs ?? 0), 'Retry-After is not kept');
    if (outcome.class === 'rejected')
      assert.equal(batch.dueAtMs, this.nowMs + REJECTED_RETRY_MS[batch.rejections - 1]!);
    if (outcome.class === 'overloaded') this.#throttledUntilMs = Math.max(this.#throttledUntilMs, batch.dueAtMs);
  }

  /** The cursor has passed exactly the events that are settled without a gap; the runs beyond it are settled too. */
  #checkCursor(): void {
    const { window } = this.scheduler;
    const passed = window.passed?.index ?? -1;
    for (let i = 0; i <= passed; i++)
      assert.ok(this.acknowledged.has(i) || this.dead.has(i), 'the cursor passed an event');
    assert.equal(window.oldest?.index ?? passed + 1, passed + 1);
    for (const [first, last] of window.finishedRuns()) {
      for (let i = first.index; i <= last.index; i++) assert.ok(this.acknowledged.has(i) || this.dead.has(i));
    }
  }

  #answer(events: readonly TestEvent[]): Outcome {
    const { random } = this;
    if (this.nowMs < this.#downUntilMs) return FAILED;
    if (random.chance(this.#faultRate / 20)) this.#downUntilMs = this.nowMs + random.below(20_000);
    if (events.some(({ poison }) => poison === 'rejected')) return { ...FAILED, class: 'rejected', status: 422 };
    // It heals: an event is not given up while the endpoint takes nothing else, and there may be nothing else.
    if (events.some(({ poison }) => poison === 'transient') && this.nowMs < TRANSIENT_POISON_MS) return FAILED;
    if (!random.chance(this.#faultRate)) return { class: 'ok', status: 200, failed: [] };
    const retryAfterMs = random.chance(0.3) ? random.below(10_000) : null;
    const kinds = ['transient', 'misconfigured', 'overloaded'] as const;
    return { ...FAILED, class: kinds[random.below(3)]!, retryAfterMs };
  }
}

/** Whether two events may not be under way in two requests. */
function conflict(a: TestEvent, b: TestEvent): boolean {
  if (a.table !== b.table) return false;
  if (a.barrier || b.barrier) return true;
  if (a.keyShape !== b.keyShape) return false;
  const lanes = [a.lane, a.secondLane];
  return lanes.includes(b.lane) || (b.secondLane !== null && lanes.includes(b.secondLane));
}

/** A change of the key's columns separates what is before it from what is after. */
function fenced(event: TestEvent, earlier: TestEvent): boolean {
  return event.table === earlier.table && event.keyShape !== earlier.keyShape;
}

test('with seeded faults nothing is lost, reordered, early or starved', () => {
  const one = process.env['SIM_SEED'];
  const seeds = Number(process.env['SIM_SEEDS'] ?? 200);
  const first = one === undefined ? 1 : Number(one);
  const last = one === undefined ? seeds : first;
  let events = 0;
  let dead = 0;
  for (let seed = first; seed <= last; seed++) {
    const world = new World(seed);
    try {
      world.run();
    } catch (error) {
      throw new Error(`SIM_SEED=${seed}: ${(error as Error).message}`, { cause: error });
    }
    events += world.events.length;
    dead += world.dead.size;
  }
  assert.ok(one !== undefined || dead > 0, 'no seed came to a dead letter');
  assert.ok(events > 0);
});
