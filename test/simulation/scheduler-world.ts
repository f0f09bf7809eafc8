import assert from 'node:assert/strict';
import type { Batch, SchedulerEvent } from '../../src/delivery/batch.ts';
import { OPEN_MS, SLOW_START_STEP_MS } from '../../src/delivery/circuit-breaker.ts';
import { type Failure, REJECTED_RETRY_MS } from '../../src/delivery/retry-policy.ts';
import { Scheduler, type SchedulerOptions, type Settlement, type WindowLimits } from '../../src/delivery/scheduler.ts';
import type { Outcome } from '../../src/sinks/sink.ts';
import { SeededRandom } from '../support/seeded-random.ts';

export interface TestEvent extends SchedulerEvent {
  readonly index: number;
  readonly poison: 'rejected' | 'transient' | null;
}

interface Flight {
  readonly batch: Batch<TestEvent>;
  readonly doneAtMs: number;
}

interface Sent {
  readonly atMs: number;
  readonly bytes: number;
}

/** When events that fail for a reason of their own fail no more: an event is given up only when others are taken. */
const HEALED_MS = 3_000_000;
const FAILED: Failure = { class: 'transient', status: 500, code: 'http_500', reason: 'HTTP 500', retryAfterMs: null };
/** Sends back to which rates are counted. */
const RATE_HISTORY = 40;

/** A scheduler, a receiver that does as chance says, and an operator; every step is checked. */
export class SchedulerWorld {
  readonly random: SeededRandom;
  readonly options: SchedulerOptions;
  readonly scheduler: Scheduler<TestEvent>;
  readonly events: TestEvent[] = [];
  readonly flights: Flight[] = [];
  readonly acknowledged = new Set<number>();
  readonly dead = new Set<number>();
  readonly seen = { skipped: 0, dead: 0, opened: 0, halts: 0, gaps: 0, blocked: 0, held: 0, parked: 0, unparked: 0 };
  readonly #firstSent = new Set<number>();
  readonly #members = new Map<number, string>();
  readonly #dueAtMs = new Map<number, number>();
  readonly #sent: Sent[] = [];
  /** Parked: by number, in order. */
  readonly #disk = new Map<number, TestEvent>();
  readonly #limits: WindowLimits;
  #seq = 0;
  /** Good answers that the batch's members have not had since they last failed: what may make them dead. */
  readonly #answersAtFailure = new Map<number, number>();
  /** By key: the dead letter that its next event has to tell of. */
  readonly #gaps = new Map<string, number>();
  /** Keys of which one was skipped that stood behind another in its batch: either of them may be what tells of it. */
  readonly #loose = new Set<string>();
  /** Dead letters that block their keys. */
  readonly #blocked = new Map<number, TestEvent>();
  readonly #maxBytes: number;
  readonly #faultRate: number;
  readonly #skips: SeededRandom;
  readonly #skipRate: number;
  nowMs = 0;
  #answers = 0;
  #failuresInARow = 0;
  #downUntilMs = 0;
  #throttledUntilMs = 0;
  #probeAtMs = 0;
  #closedAtMs: number | null = null;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    // What is skipped is chosen beside, so that a seed's events and answers are the same without.
    this.#skips = new SeededRandom(seed + 1_000_000);
    this.#skipRate = this.#skips.chance(0.5) ? 0 : 0.05;
    const { random } = this;
    this.#maxBytes = 50 + random.below(2_000);
    this.options = {
      batchMaxEvents: random.chance(0.3) ? 1 : 1 + random.below(20),
      batchMaxBytes: this.#maxBytes,
      batchMaxDelayMs: random.chance(0.7) ? 0 : 1 + random.below(2_000),
      maxInFlight: 1 + random.below(8),
      maxRequestsPerSecond: random.chance(0.8) ? 0 : 1 + random.below(50),
      maxBytesPerSecond: random.chance(0.8) ? 0 : 100 + random.below(10_000),
      circuitBreaker: random.chance(0.7),
      maxRetries: random.chance(0.5) ? 0 : 1 + random.below(5),
      maxRetryDurationMs: random.chance(0.6) ? 0 : 1_000 + random.below(100_000),
      onExhausted: random.chance(0.2) ? 'pause' : 'dead_letter',
      onDeadLetter: random.chance(0.4) ? 'block_key' : 'continue',
      backoff: { initialMs: 100, maxMs: 5_000 },
    };
    this.#faultRate = random.chance(0.3) ? 0 : random.float() * 0.5;
    const isSmall = random.chance(0.5);
    this.#limits = { events: isSmall ? 5 + random.below(30) : 1_000, bytes: isSmall ? 2_000 : 1e6, outsideBytes: 500 };
    this.scheduler = new Scheduler(this.options, random, { limits: this.#limits });
    this.#generate();
  }

  #generate(): void {
    const { random } = this;
    const keys = 1 + random.below(30);
    const tables = 1 + random.below(3);
    const count = 50 + random.below(400);
    const isOrdered = random.chance(0.9);
    const shares = Array.from({ length: count + 1 }, (_, i) => i > 0 && random.chance(0.01));
    const shapes = Array.from({ length: tables }, () => 'id:23');
    for (let index = 0; index < count; index++) {
      const table = random.below(tables);
      if (random.chance(0.005) && isOrdered) shapes[table] = `id:${random.below(3)}`;
      const barrier = random.chance(0.01) && isOrdered;
      const lane = `k${random.below(keys)}`;
      const other = `k${random.below(keys)}`;
      this.events.push({
        index,
        table,
        keyShape: shapes[table]!,
        lane: barrier || !isOrdered ? null : lane,
        secondLane: !barrier && isOrdered && random.chance(0.1) && other !== lane ? other : null,
        barrier,
        sharesPosition: shares[index]!,
        bytes: 10 + random.below(100),
        poison: random.chance(0.02) ? (random.chance(0.5) ? 'rejected' : 'transient') : null,
        mayPark: !barrier && !shares[index]! && !shares[index + 1]!,
        detach: () => undefined,
      });
    }
  }

  run(): void {
    let next = 0;
    for (let steps = 0; ; steps++) {
      assert.ok(steps < 200_000, 'it never comes to an end');
      while (next < this.events.length && this.scheduler.hasRoom && !this.random.chance(0.05)) {
        this.scheduler.add(this.events[next++]!, this.nowMs);
      }
      if (this.random.chance(0.01)) this.#operate();
      if (this.#skips.chance(this.#skipRate)) this.#skip();
      this.#unpark();
      this.#send();
      this.#park();
      const settled = this.acknowledged.size + this.dead.size;
      if (next === this.events.length && settled === this.events.length) break;
      this.#passTime(next === this.events.length);
    }
    assert.equal(this.scheduler.pending, 0);
    assert.equal(this.scheduler.bytes, 0);
    assert.equal(this.scheduler.window.pending, 0);
    assert.equal(this.scheduler.window.length, 0);
    assert.equal(this.scheduler.inFlight, 0);
  }

  /** As a stream does it: where nothing can be added, and nothing sent. */
  #park(): void {
    if (this.scheduler.hasRoom) return;
    const { pending } = this.scheduler;
    this.seen.parked += this.scheduler.park(this.nowMs, (event) => {
      this.#disk.set(++this.#seq, event);
      return this.#seq;
    });
    assert.equal(this.scheduler.pending, pending, 'parking lost an event');
    // A stream saves at once, and so what has ended is gone too.
    for (const seq of this.scheduler.endedParked) this.#disk.delete(seq);
    this.scheduler.clearChanged();
    this.#checkMemory();
  }

  #unpark(): void {
    for (let next = this.scheduler.wanting; next !== null; next = this.scheduler.wanting) {
      const { table, lane, afterSeq } = next;
      const found = [...this.#disk].filter(([seq, event]) => {
        return seq > afterSeq && event.table === table && event.lane === lane && event.secondLane === null;
      });
      assert.ok(found.length > 0, 'a lane is wanted that has nothing on disk');
      const events = found.slice(0, 1 + this.random.below(5)).map(([seq, event]) => ({ seq, event }));
      this.seen.unparked += events.length;
      this.scheduler.giveParked(events, this.nowMs);
    }
  }

  /** No more than the window, what may lie outside of it, and what is loaded of it at a time. */
  #checkMemory(): void {
    const most = this.#limits.bytes + this.#limits.outsideBytes + 120 * (5 * this.options.maxInFlight + 20);
    if (this.#limits.bytes < 1e6) assert.ok(this.scheduler.bytes <= most, `${this.scheduler.bytes} bytes held`);
  }

  #send(): void {
    for (;;) {
      let bytes = 0;
      const state = this.scheduler.breaker.state;
      const { next: peeked } = this.scheduler.preview(1);
      const batch = this.scheduler.next(this.nowMs, (event) => {
        if (bytes > 0 && bytes + event.bytes > this.#maxBytes) return false;
        bytes += event.bytes;
        return true;
      });
      if (batch === null) return;
      const [{ event, gap }] = batch.entries as [Batch<TestEvent>['entries'][number]];
      // What is peeked at first is sent first; what goes with it may be more, as one event lets another go.
      if (!this.#members.has(batch.id) && batch.attempts === 0) {
        assert.deepEqual([peeked[0]?.event.index, peeked[0]?.gap], [event.index, gap], 'peeked at something else');
      }
      const sent = { atMs: this.nowMs, bytes: batch.entries.reduce((sum, { event }) => sum + event.bytes, 0) };
      this.#checkGate(batch, state);
      this.#checkRates(sent);
      this.#sent.push(sent);
      this.scheduler.charge(sent.bytes, this.nowMs);
      this.#checkSent(batch);
      const doneAtMs = this.nowMs + 1 + this.random.below(this.random.chance(0.05) ? 5_000 : 50);
      this.flights.push({ batch, doneAtMs });
    }
  }

  #checkGate(batch: Batch<TestEvent>, state: string): void {
    assert.ok(!this.scheduler.halted, 'sent although the stream has halted');
    assert.ok(this.flights.length < this.options.maxInFlight, 'more in flight than allowed');
    assert.ok(this.nowMs >= (this.#dueAtMs.get(batch.id) ?? 0), 'sent before it is due');
    assert.ok(this.nowMs >= this.#throttledUntilMs, 'sent although the receiver asked for time');
    assert.equal(batch.isProbe, state !== 'closed', 'what goes through a circuit that is not closed is a probe');
    if (batch.isProbe) {
      assert.ok(this.nowMs >= this.#probeAtMs, 'a probe before its time');
      assert.ok(!this.flights.some((flight) => flight.batch.isProbe), 'two probes at a time');
    } else if (this.#closedAtMs !== null) {
      const allowed = 2 ** Math.floor((this.nowMs - this.#closedAtMs) / SLOW_START_STEP_MS);
      assert.ok(this.flights.length < allowed, 'a load that did not come slowly');
    }
  }

  /** Over any time up to now: the rate, a burst of 50 ms's worth, and the last one. */
  #checkRates(last: Sent): void {
    const { maxRequestsPerSecond: requests, maxBytesPerSecond: bytes } = this.options;
    let count = 1;
    let sum = 0;
    for (const sent of this.#sent.slice(-RATE_HISTORY).toReversed()) {
      const seconds = (last.atMs - sent.atMs) / 1000;
      count++;
      sum += sent.bytes;
      if (requests > 0) assert.ok(count <= Math.max(1, requests / 20) + requests * seconds + 1, 'too many requests');
      if (bytes > 0) assert.ok(sum <= Math.max(1, bytes / 20) + bytes * seconds + this.#maxBytes, 'too many bytes');
    }
  }

  #checkSent(batch: Batch<TestEvent>): void {
    assert.ok(batch.entries.length > 0);
    const members = batch.entries.map(({ event }) => event.index).join();
    const before = this.#members.get(batch.id);
    if (before === undefined) {
      assert.ok(batch.entries.length <= this.options.batchMaxEvents);
      this.#members.set(batch.id, members);
    } else assert.equal(members, before, 'a batch changed its members');
    const inFlight = this.flights.flatMap((flight) => flight.batch.entries.map(({ event }) => event));
    const own: TestEvent[] = [];
    for (const [i, { event, gap }] of batch.entries.entries()) {
      assert.ok(!this.acknowledged.has(event.index) && !this.dead.has(event.index), 'sent after its end');
      for (const other of inFlight) assert.ok(!conflict(event, other), 'two requests of one key in flight');
      for (const other of this.#blocked.values()) assert.ok(!conflict(event, other), 'a blocked key was sent');
      if (!this.#firstSent.has(event.index)) {
        this.#checkOrder(event, own);
        this.#answersAtFailure.set(event.index, this.#answers);
      }
      if (!own.some((earlier) => conflict(event, earlier))) this.#checkGap(event, gap, i);
      this.#firstSent.add(event.index);
      own.push(event);
    }
  }

  #checkGap(event: TestEvent, gap: string | null, i: number): void {
    if (keysOf(event).some((key) => this.#loose.has(key))) return;
    const keys = keysOf(event).filter((key) => this.#gaps.has(key));
    if (keys.length === 0) return;
    assert.ok(gap !== null, 'the next event of a key does not tell of its dead letter');
    assert.equal(i, 0, 'the event that tells of a dead letter is not the first of its batch');
    assert.ok(keys.some((key) => String(this.#gaps.get(key)) === gap));
    this.seen.gaps++;
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

  /** An operator names an event: it is given up where it waits to be sent, and later where it is under way. */
  #skip(): void {
    const index = this.#skips.below(this.events.length);
    const underWay = this.flights.some(({ batch }) => batch.entries.some(({ event }) => event.index === index));
    const { pending } = this.scheduler;
    const skipped = this.scheduler.skip((event) => event.index === index);
    assert.ok(skipped !== null || !underWay, 'an event under way was not found');
    if (skipped === null) return;
    assert.ok(!this.acknowledged.has(index) && !this.dead.has(index), 'skipped after its end');
    assert.equal(skipped.batch.state === 'in-flight', underWay);
    if (underWay) return;
    assert.equal(this.scheduler.pending, pending - 1);
    this.#buried(skipped.event);
    this.#changedMembers(skipped.batch);
    this.#checkCursor();
  }

  #buried(event: TestEvent): void {
    this.dead.add(event.index);
    this.seen.skipped++;
    this.scheduler.bury(event, String(event.index), false);
    for (const key of keysOf(event)) {
      this.#gaps.set(key, event.index);
      const isFirst = this.events.slice(0, event.index).every((earlier) => {
        const isOver = this.acknowledged.has(earlier.index) || this.dead.has(earlier.index);
        return isOver || !keysOf(earlier).includes(key);
      });
      if (!isFirst) this.#loose.add(key);
    }
  }

  #changedMembers(batch: Batch<TestEvent>): void {
    this.#members.set(batch.id, batch.entries.map(({ event }) => event.index).join());
  }

  /** What an operator does now and then. */
  #operate(): void {
    if (this.scheduler.halted) {
      this.scheduler.resume(this.nowMs);
      this.#dueAtMs.clear();
      this.#throttledUntilMs = 0;
      return;
    }
    for (const index of this.#blocked.keys()) {
      assert.ok(this.scheduler.unblock(String(index)));
      this.#blocked.delete(index);
      return;
    }
  }

  #passTime(allAdded: boolean): void {
    const due = this.scheduler.nextDueMs(this.nowMs);
    const done = this.flights.reduce((least, { doneAtMs }) => Math.min(least, doneAtMs), Infinity);
    const at = Math.min(done, due ?? Infinity);
    if (at === Infinity) {
      const waitsForOperator = this.scheduler.halted || this.#blocked.size > 0;
      assert.ok(!allAdded || waitsForOperator, 'nothing is in flight, nothing is due, and events are left');
      this.#operate();
    } else {
      if (due === at && done > at && this.options.batchMaxDelayMs > 0) this.seen.held++;
      this.nowMs = Math.max(this.nowMs, at);
    }
    const landed = this.flights.filter(({ doneAtMs }) => doneAtMs <= this.nowMs);
    for (const flight of landed) {
      this.flights.splice(this.flights.indexOf(flight), 1);
      this.#land(flight.batch);
    }
  }

  #land(batch: Batch<TestEvent>): void {
    const { scheduler } = this;
    const entries = batch.entries.map(({ event, gap }) => ({ event, gap }));
    const events = entries.map(({ event }) => event);
    const outcome = this.#answer(events);
    const failed = new Set<number>();
    if (outcome.class === 'ok' && this.random.chance(this.#faultRate / 4)) {
      for (const i of events.keys()) if (this.random.chance(0.3)) failed.add(i);
    }
    const stateBefore = scheduler.breaker.state;
    const isProbe = batch.isProbe;
    const settlement = scheduler.settle(batch, outcome, this.nowMs, failed);
    if (outcome.class === 'ok' || outcome.class === 'rejected') this.#answers++;
    this.#checkCircuit(outcome, isProbe, stateBefore);
    for (const event of settlement.acknowledged) this.#acknowledge(event);
    for (const event of settlement.dead) this.#bury(event, outcome);
    for (const event of settlement.skipped) this.#buried(event);
    for (const { index } of events) this.#answersAtFailure.set(index, this.#answers);
    if (settlement.halted) this.seen.halts++;
    if (batch.state === 'waiting') this.#checkWait(batch, outcome, settlement);
    if (failed.size > 0 || settlement.skipped.length > 0) this.#changedMembers(batch);
    this.#checkCursor();
  }

  #acknowledge(event: TestEvent): void {
    assert.ok(!this.acknowledged.has(event.index), 'acknowledged twice');
    this.acknowledged.add(event.index);
    for (const key of keysOf(event)) this.#gaps.delete(key);
  }

  #bury(event: TestEvent, outcome: Outcome): void {
    const { index } = event;
    const { maxRetries, maxRetryDurationMs, onExhausted, onDeadLetter } = this.options;
    assert.equal(onExhausted, 'dead_letter', 'dead although the stream was to halt');
    const mayBe = event.poison !== null || maxRetries > 0 || maxRetryDurationMs > 0;
    assert.ok(mayBe, 'dead without a reason');
    if (outcome.class !== 'rejected') {
      assert.ok(this.#answers > this.#answersAtFailure.get(index)!, 'dead although the endpoint took nothing else');
    }
    this.dead.add(index);
    this.seen.dead++;
    this.scheduler.bury(event, String(index));
    if (onDeadLetter === 'continue') for (const key of keysOf(event)) this.#gaps.set(key, index);
    else if (event.lane !== null || event.barrier) {
      for (const key of keysOf(event)) this.#gaps.delete(key);
      this.#blocked.set(index, event);
      this.seen.blocked++;
    }
  }

  #checkCircuit(outcome: Outcome, isProbe: boolean, before: string): void {
    const { state, nextProbeAtMs, openedAtMs } = this.scheduler.breaker.stored;
    if (!this.options.circuitBreaker) assert.equal(state, 'closed');
    const isFailure = outcome.class === 'transient' || outcome.class === 'misconfigured';
    if (before === 'closed' && !isProbe) {
      if (isFailure) this.#failuresInARow++;
      else if (outcome.class === 'ok') this.#failuresInARow = 0;
      if (this.#failuresInARow >= 5 && this.options.circuitBreaker) assert.equal(state, 'open', 'five in a row');
    }
    if (state === 'open' && (before !== 'open' || (isProbe && isFailure))) {
      assert.ok(openedAtMs !== null && nextProbeAtMs !== null);
      assert.ok(nextProbeAtMs >= this.nowMs + OPEN_MS * 0.8, 'open for too short a time');
      this.#probeAtMs = nextProbeAtMs;
      this.#failuresInARow = 0;
      this.#closedAtMs = null;
      this.seen.opened++;
    }
    if (state === 'closed' && before !== 'closed') {
      assert.ok(isProbe && outcome.class === 'ok', 'closed by something else than a probe');
      this.#closedAtMs = this.nowMs;
    }
  }

  #checkWait(batch: Batch<TestEvent>, outcome: Outcome, { halted }: Settlement<TestEvent>): void {
    this.#dueAtMs.set(batch.id, batch.dueAtMs);
    if (outcome.class === 'ok' || outcome.class === 'cancelled' || halted) return;
    assert.ok(batch.dueAtMs >= this.nowMs + (outcome.retryAfterMs ?? 0), 'Retry-After is not kept');
    if (outcome.class === 'rejected')
      assert.equal(batch.dueAtMs, this.nowMs + REJECTED_RETRY_MS[batch.rejections - 1]!);
    if (outcome.class === 'overloaded') this.#throttledUntilMs = Math.max(this.#throttledUntilMs, batch.dueAtMs);
  }

  /** The cursor has passed exactly the events that are settled without a gap; the runs beyond it are settled too. */
  #checkCursor(): void {
    const { window } = this.scheduler;
    const passed = (window.passed as TestEvent | null)?.index ?? -1;
    const onDisk = new Set([...this.#disk.values()].map(({ index }) => index));
    const isKept = (i: number): boolean => this.acknowledged.has(i) || this.dead.has(i) || onDisk.has(i);
    for (let i = 0; i <= passed; i++) assert.ok(isKept(i), 'the cursor passed an event');
    const isParked = this.#disk.size > 0;
    if (!isParked) assert.equal(window.oldest?.index ?? passed + 1, passed + 1);
    for (const [first, last] of window.finishedRuns()) {
      for (let i = first.index; i <= (last as TestEvent).index; i++) assert.ok(isKept(i));
    }
  }

  #answer(events: readonly TestEvent[]): Outcome {
    const { random } = this;
    if (this.nowMs < this.#downUntilMs) return FAILED;
    if (random.chance(this.#faultRate / 20)) this.#downUntilMs = this.nowMs + random.below(60_000);
    const isHealed = this.nowMs >= HEALED_MS;
    if (!isHealed && events.some(({ poison }) => poison === 'rejected')) {
      return { ...FAILED, class: 'rejected', status: 422 };
    }
    if (!isHealed && events.some(({ poison }) => poison === 'transient')) return FAILED;
    if (!random.chance(this.#faultRate)) return { class: 'ok', status: 200, failed: [] };
    const retryAfterMs = random.chance(0.3) ? random.below(10_000) : null;
    const kinds = ['transient', 'misconfigured', 'overloaded', 'gone'] as const;
    const kind = kinds[random.below(random.chance(0.1) ? 4 : 3)]!;
    return kind === 'gone' ? { ...FAILED, class: kind, status: 410 } : { ...FAILED, class: kind, retryAfterMs };
  }
}

function keysOf({ table, lane, secondLane }: TestEvent): string[] {
  return [lane, secondLane].flatMap((key) => (key === null ? [] : [`${table}/${key}`]));
}

/** Whether two events may not be under way in two requests. */
function conflict(a: TestEvent, b: TestEvent): boolean {
  if (a.table !== b.table) return false;
  if (a.barrier || b.barrier) return true;
  if (a.keyShape !== b.keyShape || a.lane === null || b.lane === null) return false;
  const lanes = [a.lane, a.secondLane];
  return lanes.includes(b.lane) || (b.secondLane !== null && lanes.includes(b.secondLane));
}

/** A change of the key's columns separates what is before it from what is after. */
function fenced(event: TestEvent, earlier: TestEvent): boolean {
  return event.table === earlier.table && event.keyShape !== earlier.keyShape;
}
